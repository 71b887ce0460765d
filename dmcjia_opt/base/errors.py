"""Errors that a user can act on; each carries the exit code of the command line."""

from __future__ import annotations

from typing import ClassVar

_LONGEST_OF_OURS, _HEAD, _TAIL = 1900, 1500, 300


class DmcjiaError(Exception):
    """Base of every error this package raises on purpose; its message is one line that any terminal can show.

    Examples
    --------
    >>> from dmcjia_opt import DmcjiaError, InfeasibleError, InputError
    >>> [issubclass(error, DmcjiaError) for error in (InputError, InfeasibleError)], InputError.exit_code
    ([True, True], 2)
    """

    exit_code: ClassVar[int] = 1

    def __str__(self) -> str:
        text = super().__str__()
        if not text.isprintable():
            text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in " ".join(text.split()))
        return text if len(text) <= _LONGEST_OF_OURS else f"{text[:_HEAD]} … {text[-_TAIL:]}"


class ClaimFalse(DmcjiaError):
    """A plan claims a number that its recomputation contradicts.

    Examples
    --------
    >>> from dmcjia_opt import ClaimFalse
    >>> ClaimFalse("the plan claims 0.4 s and takes 0.5 s").exit_code
    1
    """

    exit_code = 1


class InputError(DmcjiaError, ValueError):
    """A file, field or argument is malformed; the message names it and the remedy.

    Examples
    --------
    >>> from dmcjia_opt import InputError, solve
    >>> try:
    ...     solve({"cloud": 60})
    ... except InputError as error:
    ...     print(error)
    ...
    a scenario is needed, or the path of its file, got a dict; Scenario.from_dict reads one
    """

    exit_code = 2


class Doubt(UserWarning):
    """Something in a user's own file that is read, and probably not what was meant; it is said in one sentence.

    Examples
    --------
    >>> import warnings
    >>> from dmcjia_opt import Doubt, Scenario
    >>> gate = {"name": "gate", "model": "vgg19", "compute_gflops": 5, "uplink_mbps": 25, "arrival_rate": 1}
    >>> servers = [{"name": "spare", "compute_gflops": 9}]
    >>> nodes = [gate | {"servers": ["cloud"]}]
    >>> content = {"cloud": {"compute_gflops": 60}, "servers": servers, "nodes": nodes}
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     scenario = Scenario.from_dict(content)
    ...
    >>> caught[0].category is Doubt, str(caught[0].message)[:40]
    (True, 'the scenario: the server "spare" has no ')
    """


class UncountedOperators(Doubt):
    """A network has operators whose MACs no rule knows; they are named, and count as 0.

    Examples
    --------
    >>> from dmcjia_opt import Doubt, UncountedOperators
    >>> issubclass(UncountedOperators, Doubt)
    True
    """


class InfeasibleError(DmcjiaError):
    """No plan satisfies the constraints.

    Examples
    --------
    >>> from dmcjia_opt import InfeasibleError, evaluate, generate
    >>> try:
    ...     evaluate(generate("paper", nodes=3, seed=1), [0, 16, 0], shares=[0.3, 0.3, 0.8])
    ... except InfeasibleError as error:
    ...     print(error)
    ...
    this is no plan: its shares exceed the cloud by 0.4
    """

    exit_code = 3


class BackendMissing(DmcjiaError):
    """A method's library is not installed, or has no licence to run.

    Examples
    --------
    >>> from dmcjia_opt import BackendMissing
    >>> BackendMissing("drawing needs matplotlib").exit_code
    4
    """

    exit_code = 4


class BackendFailed(DmcjiaError):
    """A solver crashed or returned nonsense.

    Examples
    --------
    >>> from dmcjia_opt import BackendFailed
    >>> BackendFailed("the solver ended without an answer").exit_code
    4
    """

    exit_code = 4


_LONGEST = 300


def shortened(text: str, most: int) -> str:
    """Return text as a message quotes it: its first `most` characters, and a sign that there are more."""
    return text if len(text) <= most else f"{text[:most]}…"


def in_one_line(error: BaseException) -> str:
    """Return the type and the message of any error in one line of bounded length."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # noqa: BLE001 - a foreign error may fail at this too
        text = "its message cannot be shown"
    kind = type(error).__name__
    text = f"{kind}: {text}" if text else kind
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"
