"""What a placer of others gets in the place of an allocator: it counts, looks at the time, and closes."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import numpy as np

from dmcjia_opt.base.arrays import IntArray, frozen_int
from dmcjia_opt.base.errors import BackendFailed, InputError
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.contract import Allocation, Allocator, Callback, Status, Stop
from dmcjia_opt.solving.search import STALLED_AFTER, BudgetSpent, Evaluation

#: How much longer than its limit a placer may take before it is ended: seconds, and a part of the limit.
GRACE_SECONDS, GRACE_PART = 0.5, 0.1
#: Refused requests after which a search that goes on asking is ended for good.
_PATIENCE = 1000
_LONGEST_ALARM = 1e8


class Ended(BaseException):
    """Ends a search that does not end by itself; no `except Exception` holds it up."""


class Meter:
    """An allocator that counts distinct plans against a budget and remembers the best of them.

    Parameters
    ----------
    who
        Whom it was given to, for messages.
    problem, allocator, stop, callback
        What is solved, what gives the shares, the budget, and who follows the search.

    Attributes
    ----------
    evaluation
        The count, the best plan and the trace.
    stopped
        Whether a request was refused because the budget was spent.
    reason
        What the placer did to be stopped, if it was not merely its time that was up.
    fault
        An error that came from the allocator or the callback rather than from the placer.
    at_work
        Whether the main thread is inside `allocate`.
    """

    def __init__(self, who: str, problem: Problem, allocator: Allocator, stop: Stop, callback: Callback | None) -> None:
        self.who = who
        self.stop = stop
        self.stopped = False
        self.reason = ""
        self.fault: BaseException | None = None
        self.at_work = False
        self._closed = False
        self._refused = 0
        self._repeats = 0
        self._known: set[bytes] = set()
        self._lock = threading.RLock()
        self._recorder = _Recorder(allocator)
        self.evaluation = Evaluation(problem, self._recorder, stop, callback)

    def __reduce__(self) -> str:
        raise BackendFailed(
            f"{self.who} sends the allocator it was given to another process, where nobody counts; "
            "there, it should build one by name with dmcjia_opt.build_allocator"
        )

    def supports(self, problem: Problem) -> str | None:
        """Return what the allocator says."""
        return self._recorder.inner.supports(problem)

    def allocate(self, problem: Problem, splits: IntArray) -> Allocation:
        """Return shares for `splits` (n_plans, n_nodes); plans that were not asked for before count.

        Raises
        ------
        BudgetSpent
            When the budget is spent; the plans that it still allowed were counted, and may be the best.
        BackendFailed
            If these are no splits, or the problem is not the one the placer was given.
        """
        with self._lock:
            self.at_work = threading.current_thread() is threading.main_thread()
            try:
                return self._allocate(self._plans(problem, splits))
            except BudgetSpent:
                self._refuse()
                raise
            except BaseException as error:
                self.fault = error
                raise
            finally:
                self.at_work = False

    def close(self) -> None:
        """Answer no more: the search is over, even for threads that it left behind."""
        self._closed = True

    def _plans(self, problem: Problem, splits: IntArray) -> IntArray:
        if problem is not self.evaluation.problem:
            raise BackendFailed(
                f"{self.who} asked for shares of another problem than the one it was given; "
                "for problems of its own it should build an allocator with dmcjia_opt.build_allocator"
            )
        try:
            plans = frozen_int(problem.check_splits(np.asarray(splits)))
        except (InputError, ValueError, TypeError) as error:
            raise BackendFailed(f"{self.who} asked for shares of a plan that is none: {error}") from None
        if plans.ndim != 2:
            raise BackendFailed(
                f"{self.who} asked for shares of splits of shape {plans.shape}; it must be (n_plans, n_nodes)"
            )
        return plans

    def _allocate(self, plans: IntArray) -> Allocation:
        fresh: dict[bytes, int] = {}
        for row, plan in enumerate(plans):
            if (key := plan.tobytes()) not in self._known:
                fresh.setdefault(key, row)
        self._repeats = 0 if fresh else self._repeats + len(plans)
        if self._spent():
            raise BudgetSpent
        self._recorder.kept.clear()
        rows = np.fromiter(fresh.values(), dtype=np.int64, count=len(fresh))
        self.evaluation.solve_in_budget(plans[rows])
        self._known.update(fresh)
        solvable = self.evaluation.problem.overload(plans) == 0
        again = np.setdiff1d(np.flatnonzero(solvable), rows)
        if again.size:
            self._recorder.allocate(self.evaluation.problem, plans[again])
        answered = np.concatenate([rows[solvable[rows]], again])
        problem = self.evaluation.problem
        shares = np.full((*plans.shape, problem.n_uses), np.nan)
        prices = np.full((len(plans), problem.n_resources), np.nan)
        status = np.full(len(plans), Status.INFEASIBLE, dtype=np.int8)
        if kept := self._recorder.kept:
            shares[answered] = np.concatenate([part.shares for part in kept])
            prices[answered] = np.concatenate([part.prices for part in kept])
            status[answered] = np.concatenate([part.status for part in kept])
        return Allocation(shares, prices, status)

    def _spent(self) -> bool:
        """Return whether further plans are refused, even those already known."""
        stop, done = self.stop, self.evaluation.evaluations
        return (
            self._closed
            or (stop.evaluations is not None and done >= stop.evaluations)
            or (stop.seconds is not None and done > 0 and self.evaluation.seconds >= stop.seconds)
            or self._repeats >= STALLED_AFTER
        )

    def _refuse(self) -> None:
        stop, done = self.stop, self.evaluation.evaluations
        self.stopped = True
        self._refused += 1
        if stop.evaluations is not None and done >= stop.evaluations and not self._closed:
            self.reason = f"asked for plan {done + 1:,} of a budget of {done:,} and was stopped there"
        elif self._repeats >= STALLED_AFTER:
            self.reason = f"asked {self._repeats:,} times in a row for plans it knew, and was stopped there"
        if self._refused > _PATIENCE:
            raise Ended


class _Recorder:
    """Passes on an allocator's answers and keeps them."""

    def __init__(self, inner: Allocator) -> None:
        self.inner = inner
        self.kept: list[Allocation] = []

    def supports(self, problem: Problem) -> str | None:
        return self.inner.supports(problem)

    def allocate(self, problem: Problem, splits: IntArray) -> Allocation:
        self.kept.append(self.inner.allocate(problem, splits))
        return self.kept[-1]


def latest(seconds: float) -> float:
    """Return when a search with this limit is ended, s: one that asks for shares is stopped at the limit itself."""
    return seconds + GRACE_SECONDS + GRACE_PART * seconds


@contextmanager
def alarm(seconds: float | None, meter: Meter) -> Iterator[None]:
    """End a search that overruns its time without asking for shares, where the system can: POSIX, main thread.

    Raises
    ------
    Ended
        Inside the search, at `latest(seconds)` and again from time to time, but not while `meter` is at work.
    """
    in_main = threading.current_thread() is threading.main_thread()
    if seconds is None or seconds > _LONGEST_ALARM or not in_main or not hasattr(signal, "setitimer"):
        yield
        return

    def ring(number: int, frame: FrameType | None) -> None:
        if going and not meter.at_work:
            raise Ended

    going = True
    started = time.monotonic()
    handler = signal.signal(signal.SIGALRM, ring)
    left, interval = signal.setitimer(signal.ITIMER_REAL, latest(seconds), GRACE_SECONDS)
    try:
        yield
    finally:
        going = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL if handler is None else handler)
        if left:  # somebody else's alarm, say of a test runner
            signal.setitimer(signal.ITIMER_REAL, max(left - (time.monotonic() - started), 1e-3), interval)
