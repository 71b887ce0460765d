"""The one search that every placer is handed: it counts plans and keeps budget, best plan, bound and trace."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np

from dmcjia_opt.base.arrays import BoolArray, FloatArray, IntArray, constant, frozen, frozen_int
from dmcjia_opt.base.errors import BackendFailed
from dmcjia_opt.base.processes import raise_if_interrupted
from dmcjia_opt.bounds.best import BestPrice
from dmcjia_opt.bounds.certificate import judge, lower_bound, relative_gap
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.contract import Allocator, Callback, Placement, Status, Stop, TracePoint, proved
from dmcjia_opt.solving.ending import BudgetSpent, Ended
from dmcjia_opt.solving.handed import numbers, plans_of

#: Plans asked for again in a row, without one new plan, after which a search counts as stalled.
STALLED_AFTER = 10_000
#: Plans asked for, for every distinct plan of the budget, after which it does: a small space may never fill it.
_REQUESTS_A_PLAN = 20
#: Refused requests after which a search that goes on asking is ended for good.
_PATIENCE = 1000
_SLICE_SECONDS = 0.02
_MOST_AT_ONCE = 1 << 16
_AS_QUICK = 1e-12  # relative difference of two delays that is none


class Search:
    """Evaluates plans within a budget, and remembers the best of them and the best bound.

    A plan is solved once however often it is asked for; only distinct plans count as evaluations. Batches are cut
    so that no more than the budget is spent, and so that a time limit is kept to within one inner solve; however
    short the time, one plan is evaluated.

    Parameters
    ----------
    problem, allocator
        What is solved, and how shares are chosen.
    stop
        The budget; with None the search is never ended from here, not even when it stalls.
    callback
        Called at each new incumbent and each `tick`.
    dual
        The best price, where somebody shares it.
    who
        Whom it is handed to, for messages; it then cannot be sent to another process.
    proves
        Believe the bounds that are derived by `prove`.

    Attributes
    ----------
    evaluations
        Distinct plans so far.
    objective, options, shares, prices
        The best plan so far: its mean delay, s, the option of each node (n_nodes,), and the shares
        (n_nodes, n_uses) and prices (n_resources,) that the allocator says; +inf and None before there is one.
    trace, notes
        Its points so far, and sentences for whoever reads the plan.

    Examples
    --------
    >>> from dmcjia_opt import Search, build_allocator, compile_problem, generate
    >>> search = Search(compile_problem(generate("paper", nodes=3)), build_allocator("waterfilling"))
    >>> search.evaluate([[0, 0, 0], [0, 16, 0], [0, 0, 0]]).round(3), search.evaluations
    (array([0.174, 0.276, 0.174]), 2)
    """

    def __init__(
        self,
        problem: Problem,
        allocator: Allocator,
        stop: Stop | None = None,
        callback: Callback | None = None,
        *,
        dual: BestPrice | None = None,
        who: str = "",
        proves: bool = False,
    ) -> None:
        self.problem, self.allocator, self.callback, self.who = problem, allocator, callback, who
        self.dual = dual or BestPrice(problem)
        self.evaluations = 0
        self.objective = np.inf
        self.options: IntArray | None = None
        self.shares: FloatArray | None = None
        self.prices = self._unknown = constant(np.nan, (problem.n_resources,))
        self.trace: list[TracePoint] = []
        self.notes: list[str] = []
        self.fault: BaseException | None = None  # what came from the allocator, the callback or this object
        self.at_work = False  # whether the main thread is inside of a request
        self.stalled, self.deaf = 0, False  # known plans in a row when it was refused more; whether it asked on then
        self.own_budget = False  # whether the budget is the method's own, whose end is an end in order
        self._stop, self._proves, self._closed = stop, proves, False
        self._sure: float | None = None
        self._sure_at = self._unknown
        self._proved, self._proved_by = -np.inf, ""
        self._says: Status | None = None
        self._says_bound: float | None = None
        self._reached = False
        self._rejected: tuple[IntArray, FloatArray | None] | None = None
        self._started = time.perf_counter()
        self._known: dict[bytes, tuple[float, FloatArray]] = {}
        self._repeats = self._requests = self._refused = 0
        self._rate = 0.0
        self._space = float(np.rint(np.exp(min(np.log(problem.last + 1.0).sum(), 700.0))))
        self._lock: AbstractContextManager[object] = threading.RLock() if who else nullcontext()

    def __reduce_ex__(self, protocol: object) -> str | tuple[object, ...]:
        if self.who:
            raise BackendFailed(
                f"{self.who} sends the search it was given to another process, where nobody counts; "
                "there, it should build an allocator by name with dmcjia_opt.build_allocator"
            )
        return super().__reduce_ex__(protocol)  # type: ignore[arg-type]

    @property
    def stop(self) -> Stop:
        """The budget."""
        return self._stop or Stop()

    @property
    def budgeted(self) -> bool:
        """Whether evaluations or seconds are limited."""
        return self.stop.evaluations is not None or self.stop.seconds is not None

    @property
    def seconds(self) -> float:
        """Wall time since the search began."""
        return time.perf_counter() - self._started

    @property
    def seconds_left(self) -> float:
        """Wall time that is left, ≥ 0; +inf without a limit."""
        limit = self.stop.seconds
        return np.inf if limit is None else max(limit - self.seconds, 0.0)

    @property
    def lower_bound(self) -> float:
        """The best lower bound so far, s, from a price (sought now if it was not before) or from `prove`."""
        return max(self._by_price(), self._proved)

    @property
    def closed(self) -> bool:
        """Whether the incumbent is within the tolerance of the bound."""
        return relative_gap(self.objective, self.lower_bound) <= self.stop.tolerance

    def proved(self, otherwise: Status) -> Status:
        """Return what the gap makes of the incumbent: OPTIMAL, WITHIN the tolerance, or else `otherwise`.

        INFEASIBLE without an incumbent, where only rounding might leave room for one.
        """
        if self.options is None and self.dual.full:
            return Status.INFEASIBLE
        return proved(relative_gap(self.objective, self.lower_bound), self.stop.tolerance, otherwise)

    @cached_property
    def penalty(self) -> float:
        """A delay, s, far above the local delay of any node."""
        table = self.problem.fixed_delay
        return 1e3 * max(float(table.max(where=np.isfinite(table), initial=0.0)), 1.0)

    def evaluate(self, options: IntArray) -> FloatArray:
        """Return the mean delay of each plan, s; +inf where it is infeasible or its allocator failed.

        Parameters
        ----------
        options
            (n_plans, n_nodes).

        Raises
        ------
        BudgetSpent, BackendFailed
            When the budget, the gap or the search space is exhausted; if these are no options.
        """
        return self.with_prices(options)[0]

    def with_prices(self, options: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return what `evaluate` does, and the allocator's prices (n_plans, n_resources); NaN if unknown."""
        with self._working():
            plans = plans_of(self.problem, options, self.who or "the search")
            keys = [row.tobytes() for row in plans]
            fresh: dict[bytes, int] = {}
            for i, key in enumerate(keys):
                if key not in self._known and key not in fresh:
                    fresh[key] = i
            self._repeats = 0 if fresh else self._repeats + len(keys)
            self._requests += len(keys)
            objective, prices = self._solve_in_budget(plans[list(fresh.values())])
            self._known.update(zip(fresh, zip(objective.tolist(), prices, strict=True), strict=True))
            self._check()
            found = [self._known[key] for key in keys]
            at = np.array([prices for _, prices in found]).reshape(-1, self.problem.n_resources)
            return np.array([value for value, _ in found]), at

    def finite(self, options: IntArray) -> FloatArray:
        """Return the mean delay of each plan, s; where that is +inf, a penalty that grows with the overload."""
        value = self.evaluate(options)
        return np.where(np.isfinite(value), value, self.penalty * (1.0 + self.problem.overload(options)))

    def solve_in_budget(self, options: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return what `with_prices` does for plans known to be distinct, without remembering each of them."""
        with self._working():
            return self._solve_in_budget(plans_of(self.problem, options, self.who or "the search"))

    def knows(self, options: IntArray) -> BoolArray:
        """Return which of the plans (n_plans, n_nodes) have been asked for before, (n_plans,)."""
        return np.array([row.tobytes() in self._known for row in np.ascontiguousarray(options, dtype=np.int64)], bool)

    def offer(self, options: IntArray, shares: FloatArray | None = None) -> float:
        """Return the mean delay of one plan with shares of its own, s; +inf where it is none.

        It counts as one evaluation, and the first is always looked at. A plan that is none is what the search ends
        with if it has no other.

        Parameters
        ----------
        options, shares
            (n_nodes,), and (n_nodes, n_uses) or (n_nodes,) where there is one use; None leaves the shares to the
            allocator.

        Raises
        ------
        BudgetSpent, BackendFailed
            When the budget is spent; if these are no options and shares.
        """
        with self._working():
            plan = plans_of(self.problem, [options], self.who or "the search")[0]
            if self.evaluations:
                self._check()
            if shares is None and self.problem.overload(plan) == 0:
                value = float(self._solve(plan[None], np.ones(1, dtype=bool))[0][0])
            else:
                self.evaluations += 1
                value = np.inf
                if shares is not None:
                    flat = self.problem.n_uses == 1 and np.ndim(shares) == 1
                    shape = plan.shape if flat else (*plan.shape, self.problem.n_uses)
                    shares = self.problem.by_use(plan, numbers(shares, f"{self.who} offered shares", shape))
                    value = judge(self.problem, plan, shares).objective
                    if self._better(value, plan, shares):
                        self._keep(value, plan, shares, self._unknown)
                        self._tick()
            if np.isinf(value):
                self._rejected = plan, shares
            return value

    def raise_bound(self, prices: FloatArray | float, *, seek: bool = True) -> None:
        """Raise the lower bound to what prices (n_resources,) prove, whoever says them (weak duality).

        A number will do where there is one resource. Unless told not to `seek` them, the best prices are known after.
        """
        with self._working():
            given = np.atleast_1d(np.asarray(prices, dtype=object)).tolist()
            real = all(isinstance(one, int | float | np.number) for one in given)
            if len(given) != self.problem.n_resources or not real:
                raise BackendFailed(f"{self.who} raises the bound by what is no price: {prices!r}")
            at = np.array(given, dtype=np.float64)
            bound = self.dual.known_at(at) or lower_bound(self.problem, at)
            known = self._by_price() if seek or self._sure is not None else -np.inf
            if bound >= known and bound > -np.inf:
                self._sure, self._sure_at = bound, at

    def prove(self, bound: float, source: str) -> None:
        """Raise the lower bound to one that the method has derived, s; `source` is the placer whose search proves it.

        It counts as proved where the registry says so of the method, and as a claim elsewhere.
        """
        if bound >= self.lower_bound:
            self._proved, self._proved_by = bound, source

    def claim(self, status: Status | None = None, bound: float | None = None) -> None:
        """Record what a solver says of its status and its bound, s; nobody believes it, and benchmarks show it."""
        with self._working():
            try:
                self._says = None if status is None else Status(status)
                self._says_bound = None if bound is None else float(bound)
            except (ValueError, TypeError) as error:
                raise BackendFailed(f"{self.who} claims what cannot be: {error}") from None

    def note(self, sentence: str) -> None:
        """Add a sentence for whoever reads the plan."""
        self.notes.append(str(sentence))

    def tick(self) -> None:
        """Add a point to the trace, at most one for every state of the search, and call back."""
        with self._working():
            self._tick()

    def unless_budgeted(self, evaluations: int) -> Stop:
        """Give the search a budget of its own where it has none, whose end is an end in order; return what it has."""
        if not self.budgeted:
            self._stop, self.own_budget = replace(self.stop, evaluations=evaluations), True
        return self.stop

    def end_when_closed(self) -> None:
        """End the search once the gap is no larger than the tolerance."""
        self._stop = replace(self.stop, gap=self.stop.tolerance)

    def close(self) -> None:
        """Answer no more: the search is over, even for threads that it left behind."""
        self._closed = True

    def placement(self, *, limited: bool = False, notes: Sequence[str] = ()) -> Placement:
        """Return the incumbent; without one, what was offered last, or the last option of every node, all at the edge.

        Parameters
        ----------
        limited
            Whether the search was ended before it was done.
        notes
            Further sentences.
        """
        options, shares, believed = self.options, self.shares, self._believed()
        self.tick()
        by_search = self._proves and self._proved >= believed
        if options is None and self._rejected is not None:
            options, shares = self._rejected
            failed = shares is None and self.problem.overload(options) == 0
            status = Status.FAILED if failed else Status.INFEASIBLE
            if self._says is not None:
                status = self._says
        elif options is None:
            none = np.isposinf(believed) or self._says == Status.INFEASIBLE
            status = Status.INFEASIBLE if none else Status.LIMIT
            options = self.problem.last
        elif self._reached:
            status = self.proved(Status.LIMIT)
        elif limited:
            status = Status.LIMIT
        else:
            status = Status.FEASIBLE if self._says is None else self._says
        return Placement(
            options,
            shares,
            believed,
            status,
            tuple(self.trace),
            self.evaluations,
            self.prices if np.isnan(self._sure_at).any() else self._sure_at,
            self._proved_by if by_search else "",
            (*self.notes, *notes),
            self._proved if self._proved_by and not self._proves else self._says_bound,
        )

    @contextmanager
    def _working(self) -> Iterator[None]:
        """Be at work for a placer, so that no alarm rings, and know whose fault an error is."""
        with self._lock:
            before, self.at_work = self.at_work, threading.current_thread() is threading.main_thread()
            try:
                yield
            except (BudgetSpent, Ended):
                raise
            except BaseException as error:
                self.fault = error
                raise
            finally:
                self.at_work = before

    def _by_price(self) -> float:
        if self._sure is None:
            with self._working():
                self._sure = self.dual.bound
                if self.problem.worst and np.isfinite(self._sure):
                    self._sure_at = frozen(self.dual.level.prices)
        return self._sure

    def _believed(self) -> float:
        """Return the bound that counts, −inf where none was asked for yet."""
        known = -np.inf if self._sure is None else self._sure
        return max(known, self._proved) if self._proves else known

    def _solve_in_budget(self, options: IntArray) -> tuple[FloatArray, FloatArray]:
        objective, prices = np.empty(len(options)), np.empty((len(options), self.problem.n_resources))
        solvable = self.problem.overload(options) == 0
        start = 0
        while start < len(options):
            rows = slice(start, start + self._allowed(solvable[start:]))
            objective[rows], prices[rows] = self._solve(options[rows], solvable[rows])
            start = rows.stop
        return objective, prices

    def _solve(self, options: IntArray, solvable: BoolArray) -> tuple[FloatArray, FloatArray]:
        problem = self.problem
        objective, prices = np.full(len(options), np.inf), np.full((len(options), problem.n_resources), np.nan)
        improved = False
        rows = np.flatnonzero(solvable)
        if rows.size:
            before = time.perf_counter()
            candidates = options[rows]
            allocation = self.allocator.allocate(problem, candidates)
            if allocation.shares.shape != (*candidates.shape, problem.n_uses):
                raise BackendFailed(
                    f"the allocator returned shares of shape {allocation.shares.shape} for plans of {candidates.shape}"
                )
            values = problem.objective(candidates, allocation.shares)
            usable = problem.residuals(candidates, allocation.shares).feasible & ~np.isnan(values)
            objective[rows] = np.where(usable, values, np.inf)
            prices[rows] = allocation.prices
            best = int(np.argmin(objective[rows]))
            improved = bool(objective[rows[best]] < self.objective)
            if improved:
                self._keep(float(objective[rows[best]]), candidates[best], allocation.shares[best], prices[rows[best]])
            self._rate = (time.perf_counter() - before) / rows.size
        self.evaluations += len(options)
        if improved:
            self._tick()
        return objective, prices

    def _better(self, objective: float, options: IntArray, shares: FloatArray) -> bool:
        """Return whether a plan is quicker; or its worst node as quick, where that counts, and its mean smaller."""
        if not self.problem.worst or self.options is None or self.shares is None or objective < self.objective:
            return objective < self.objective
        mean = replace(self.problem, worst=False).objective
        as_quick = objective <= self.objective * (1.0 + _AS_QUICK)
        return as_quick and bool(mean(options, shares) < mean(self.options, self.shares))

    def _keep(self, objective: float, options: IntArray, shares: FloatArray, prices: FloatArray) -> None:
        self.objective, self.prices = objective, frozen(prices)
        self.options, self.shares = frozen_int(options), frozen(shares)

    def _tick(self) -> None:
        point = TracePoint(self.evaluations, self.seconds, self.objective, self._believed())
        if self.trace and self.trace[-1].evaluations == point.evaluations:
            self.trace[-1] = point
        else:
            self.trace.append(point)
        if self.callback is not None:
            self.callback(point)

    def _allowed(self, solvable: BoolArray) -> int:
        """Return how many of the next plans are tried before the budget is looked at again, at least one."""
        self._check()
        allowed = min(len(solvable), _MOST_AT_ONCE)
        if self._stop is None:
            return allowed
        if self._stop.evaluations is not None:
            allowed = min(allowed, self._stop.evaluations - self.evaluations)
        if self._stop.seconds is not None:
            solves = max(1, int(_SLICE_SECONDS / self._rate)) if self._rate else 1
            costly = np.flatnonzero(solvable[:allowed])
            if costly.size > solves:
                allowed = int(costly[solves])
        return allowed

    def _check(self) -> None:
        raise_if_interrupted()
        stop = self._stop
        if self._closed:
            self._refuse()
        if stop is None:
            return
        stalled = self._repeats >= STALLED_AFTER
        self._reached = stop.gap is not None and relative_gap(self.objective, self.lower_bound) <= stop.gap
        if (
            self._reached
            or (stop.evaluations is not None and self.evaluations >= stop.evaluations)
            or (stop.seconds is not None and self.evaluations > 0 and self.seconds >= stop.seconds)
            or stalled
            or (stop.evaluations is not None and self._requests >= _REQUESTS_A_PLAN * stop.evaluations + STALLED_AFTER)
            or len(self._known) >= self._space
            or np.isposinf(self.lower_bound)
        ):
            self.stalled = self._repeats if stalled else 0
            self._refuse()

    def _refuse(self) -> None:
        self._refused += 1
        if self._refused > _PATIENCE:
            self.deaf = True
            raise Ended
        raise BudgetSpent


@runtime_checkable
class Placer(Protocol):
    """Options, given any allocator: the outer problem.

    Examples
    --------
    >>> from dmcjia_opt import Placer, build_placer
    >>> isinstance(build_placer("genetic"), Placer)
    True
    """

    def supports(self, problem: Problem) -> str | None:
        """Return None, or a sentence that says why this method cannot take `problem`."""

    def search(self, search: Search, rng: np.random.Generator) -> None:
        """Have plans evaluated until there are no more worth trying; `search` ends it when the budget is spent."""
