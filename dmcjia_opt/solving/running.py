"""Every placer is run here: time, Ctrl-C, supervision and faults, whatever the method does.

A placer gets a `Search` that counts distinct plans, looks at the time and remembers the best plan; it closes when the
placer is done. Methods of others are supervised on top: one that overruns its time is ended, whatever it raises is one
sentence that names it, and it is looked at whether the problem is still the same.
"""

from __future__ import annotations

import signal
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import FrozenInstanceError, fields, is_dataclass, replace
from types import FrameType

import numpy as np

from dmcjia_opt.base.arrays import IntArray, frozen_int
from dmcjia_opt.base.errors import BackendFailed, DmcjiaError, InputError, in_one_line
from dmcjia_opt.bounds.best import BestPrice
from dmcjia_opt.bounds.certificate import judge
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.contract import Allocation, Allocator, Callback, Kind, Placement, Status, Stop
from dmcjia_opt.solving.ending import BudgetSpent, Ended
from dmcjia_opt.solving.handed import numbers
from dmcjia_opt.solving.plugins import what_is_missing
from dmcjia_opt.solving.reserving import of_what_is_reserved
from dmcjia_opt.solving.search import Placer, Search

#: How much longer than its limit a placer may take before it is ended: seconds, and a part of the limit.
GRACE_SECONDS, GRACE_PART = 0.5, 0.1
_LONGEST_ALARM = 1e8
_CLAIMS_A_PLAN = (Status.OPTIMAL, Status.FEASIBLE)


def place(
    placer: Placer,
    problem: Problem,
    allocator: Allocator,
    *,
    stop: Stop | None = None,
    rng: np.random.Generator | None = None,
    callback: Callback | None = None,
    dual: BestPrice | None = None,
    start: IntArray | None = None,
    name: str = "",
    nodes: Sequence[str] = (),
    proves: bool = True,
    supervised: bool = False,
) -> Placement:
    """Return what a placer finds.

    Parameters
    ----------
    placer, problem, allocator
        Who searches what, and what gives the shares.
    stop
        The budget; none by default.
    rng
        What the placer draws from; seeded with 0 by default.
    callback
        Called with a `TracePoint` as the search goes on.
    dual
        The problem's best price, where somebody shares it.
    start
        (n_nodes,) options that are evaluated first, for a placer that proves nothing.
    name, nodes
        What messages call the placer and the (n_nodes,) nodes.
    proves
        Believe the bounds that it derives.
    supervised
        End it when it overruns its time, and turn what it raises into a sentence that names it.

    Raises
    ------
    KeyboardInterrupt
        At Ctrl-C, if there is no plan yet.
    InputError
        If it does not take the problem.
    BackendFailed
        If a supervised placer fails, calls optimal what is no plan, or overran its time without a plan evaluated.
    """
    stop, name = stop or Stop(), name or type(placer).__qualname__
    who = f'placer "{name}"'
    check_support(placer, problem, name, who)
    search = Search(problem, allocator, stop, callback, dual=dual, who=who, proves=proves)
    limited, ended = False, False
    notes: list[str] = []
    try:
        with _alarm(stop.seconds if supervised else None, search):
            if start is not None and not proves:  # those that prove start from prices
                search.evaluate(start[None])
            placer.search(search, rng or np.random.default_rng(0))
    except KeyboardInterrupt:
        if search.options is None:
            raise
        limited = True
        notes.append(f"{who} was interrupted")
    except BaseException as error:
        chain = list(_chain(error))
        if search.fault is not None and any(cause is search.fault for cause in chain):
            raise search.fault from None
        if not any(isinstance(cause, BudgetSpent | Ended) for cause in chain):
            if supervised:
                raise _failure(who, error) from error
            raise
        limited, ended = not search.own_budget, any(isinstance(cause, Ended) for cause in chain)
    finally:
        search.close()
    seconds = search.seconds
    if search.deaf and stop.evaluations is not None:
        asked, budget = search.evaluations + 1, search.evaluations
        notes.append(f"{who} asked for plan {asked:,} of a budget of {budget:,} and was stopped there")
    elif search.stalled:
        notes.append(f"{who} asked {search.stalled:,} times in a row for plans it knew, and was stopped there")
    elif supervised and stop.seconds is not None and seconds > _latest(stop.seconds):
        verb = "was ended" if ended else "returned"
        notes.append(f"{who} {verb} after {seconds:.3g} s of a limit of {stop.seconds:g} s")
    found = search.placement(limited=limited, notes=notes)
    nothing = search.evaluations == 0 and not np.isposinf(found.lower_bound)
    if nothing and (supervised or ended):
        raise BackendFailed(f"{notes[0] if notes else who + ' ended'} without having had one plan evaluated")
    if supervised and search.options is None and found.shares is not None and found.status in _CLAIMS_A_PLAN:
        why = judge(problem, found.options, found.shares, nodes).violation
        raise BackendFailed(f"{who} calls a plan {found.status} that is none: {why}")
    return found


def at_the_edge(found: Placement, problem: Problem, allocator: Allocator) -> Placement:
    """Return what was found; where that is nothing, the all-edge plan with its shares, if it is one."""
    if found.shares is not None or found.status != Status.LIMIT or problem.overload(found.options) > 0:
        return found
    shares = allocator.allocate(problem, found.options[None]).shares[0]
    return replace(found, shares=shares) if judge(problem, found.options, shares).feasible else found


def check_support(method: Placer | Allocator, problem: Problem, name: str, who: str) -> None:
    """Look whether a method takes a problem.

    Raises
    ------
    InputError
        If it says why not.
    BackendFailed
        If it says something else than None or a sentence, or fails.
    """
    with _blaming(who):
        why = method.supports(problem)
    if why is None:
        return
    if not (isinstance(why, str) and why.strip()):
        raise BackendFailed(f"{who} answered supports() with {why!r}; it must be None, or a sentence that says why not")
    raise InputError(f'"{name}" cannot take this scenario: {why}')


def check_method(kind: Kind, method: object, who: str) -> None:
    """Raise InputError unless a method that somebody hands over is one of its kind."""
    if isinstance(method, type):
        raise InputError(f"{who} is a class; hand over an object of it, {method.__name__}()")
    if missing := what_is_missing(kind, type(method)):
        raise InputError(f"{who} cannot be used: {missing}")


class CheckedAllocator:
    """Another's allocator: it gets options it cannot change, and its answer is looked at.

    Parameters
    ----------
    inner, who
        The allocator, and what messages call it.
    """

    def __init__(self, inner: Allocator, who: str) -> None:
        self.inner = inner
        self.who = who

    def supports(self, problem: Problem) -> str | None:
        """Return what the allocator says."""
        return self.inner.supports(problem)

    @of_what_is_reserved
    def allocate(self, problem: Problem, options: IntArray) -> Allocation:
        """Return the allocator's shares, once it is known that they are some.

        Raises
        ------
        BackendFailed
            If the allocator fails, or returns something else than one row of shares, price and status a plan, or
            shares that break a constraint for a plan that it calls optimal or feasible.
        """
        with _blaming(self.who):
            given = self.inner.allocate(problem, frozen_int(options))
        if not isinstance(given, Allocation):
            kind = type(given).__name__
            article = "an" if kind[0].lower() in "aeiou" else "a"
            raise BackendFailed(f"{self.who} returned {article} {kind} instead of an Allocation")
        n = len(options)
        shares = numbers(given.shares, f"{self.who} returned shares", (*options.shape, problem.n_uses))
        prices = numbers(given.prices, f"{self.who} returned prices", (n, problem.n_resources))
        codes = numbers(given.status, f"{self.who} returned statuses", (n,))
        if not np.isin(codes, list(Status)).all():
            raise BackendFailed(f"{self.who} returned a status that is none; use {', '.join(s.name for s in Status)}")
        status = codes.astype(np.int8)
        claimed = np.flatnonzero(np.isin(status, _CLAIMS_A_PLAN) & (problem.overload(options) == 0))
        broken = claimed[~problem.residuals(options[claimed], shares[claimed]).feasible]
        if broken.size:
            row = int(broken[0])
            raise BackendFailed(
                f"{self.who} calls shares {Status(status[row])} that are none: "
                f"{judge(problem, options[row], shares[row]).violation}"
            )
        return Allocation(shares, prices, status)


@contextmanager
def unchanged(problem: Problem, others: Sequence[str]) -> Iterator[None]:
    """Look whether the problem is the same afterwards, where methods of others are given it.

    Parameters
    ----------
    problem
        What they are given.
    others
        What messages call them; nothing is looked at without any.

    Raises
    ------
    BackendFailed
        If one of them changed it.
    """
    before = _digest(problem) if others else None
    yield
    if others and _digest(problem) != before:
        raise BackendFailed(
            f"{' or '.join(others)} changed the problem it was given, so that no result can be trusted; "
            "it should change copies of the tables"
        )


def _digest(value: object) -> object:
    if isinstance(value, np.ndarray):
        rows = value[:1] if value.ndim > 1 and value.strides[0] == 0 else value  # one row that stands for all
        return value.shape, zlib.crc32(np.ascontiguousarray(rows).data)
    if is_dataclass(value):
        return tuple(_digest(getattr(value, field.name)) for field in fields(value))
    return value


@contextmanager
def _blaming(who: str) -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, Ended):
        raise
    except BaseException as error:
        raise _failure(who, error) from error


def _failure(who: str, error: BaseException) -> BackendFailed:
    text = str(error)
    if isinstance(error, FrozenInstanceError) or (
        isinstance(error, ValueError) and ("read-only" in text or "WRITEABLE" in text)
    ):
        return BackendFailed(
            f"{who} tried to change what it was given; splits and the problem are read-only, it should change copies "
            f"({in_one_line(error)})"
        )
    return BackendFailed(f"{who} failed: {text if isinstance(error, DmcjiaError) else in_one_line(error)}")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what led to it."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def _latest(seconds: float) -> float:
    """Return when a search with this limit is ended, s: one that asks for plans is stopped at the limit itself."""
    return seconds + GRACE_SECONDS + GRACE_PART * seconds


@contextmanager
def _alarm(seconds: float | None, search: Search) -> Iterator[None]:
    """End a search that overruns its time without asking for plans, where the system can: POSIX, main thread.

    Raises
    ------
    Ended
        Inside the search, at `_latest(seconds)` and again from time to time, but not while `search` is at work.
    """
    in_main = threading.current_thread() is threading.main_thread()
    if seconds is None or seconds > _LONGEST_ALARM or not in_main or not hasattr(signal, "setitimer"):
        yield
        return

    def ring(number: int, frame: FrameType | None) -> None:
        if going and not search.at_work:
            raise Ended

    going = True
    started = time.monotonic()
    handler = signal.signal(signal.SIGALRM, ring)
    left, interval = signal.setitimer(signal.ITIMER_REAL, _latest(seconds), GRACE_SECONDS)
    try:
        yield
    finally:
        going = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL if handler is None else handler)
        if left:  # somebody else's alarm, say of a test runner
            signal.setitimer(signal.ITIMER_REAL, max(left - (time.monotonic() - started), 1e-3), interval)
