"""Errors that a user can act on; each carries the exit code of the command line."""

from __future__ import annotations

from typing import ClassVar

_LONGEST_OF_OURS, _HEAD, _TAIL = 1900, 1500, 300


class DmcjiaError(Exception):
    """Base of every error this package raises on purpose; its message is one line that any terminal can show."""

    exit_code: ClassVar[int] = 1

    def __str__(self) -> str:
        text = super().__str__()
        if not text.isprintable():
            text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in " ".join(text.split()))
        return text if len(text) <= _LONGEST_OF_OURS else f"{text[:_HEAD]} … {text[-_TAIL:]}"


class ClaimFalse(DmcjiaError):
    """A plan claims a number that its recomputation contradicts."""

    exit_code = 1


class InputError(DmcjiaError, ValueError):
    """A file, field or argument is malformed; the message names it and the remedy."""

    exit_code = 2


class Doubt(UserWarning):
    """Something in a user's own file that is read, and probably not what was meant; it is said in one sentence."""


class UncountedOperators(Doubt):
    """A network has operators whose MACs no rule knows; they are named, and count as 0."""


class InfeasibleError(DmcjiaError):
    """No plan satisfies the constraints."""

    exit_code = 3


class BackendMissing(DmcjiaError):
    """A method's library is not installed, or has no licence to run."""

    exit_code = 4


class BackendFailed(DmcjiaError):
    """A solver crashed or returned nonsense."""

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
