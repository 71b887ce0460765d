"""The one way a search evaluates plans: shares from the allocator, our objective, a budget, a cache and a trace."""

from __future__ import annotations

import time
from functools import cached_property

import numpy as np

from dmcjia_opt.base.arrays import BoolArray, FloatArray, IntArray, over_uses
from dmcjia_opt.base.errors import BackendFailed, InputError
from dmcjia_opt.base.processes import raise_if_interrupted
from dmcjia_opt.bounds.certificate import best_lower_bound, relative_gap
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.contract import Allocator, Callback, Placement, Status, Stop, TracePoint

#: Plans asked for again in a row, without one new plan, after which a search counts as stalled.
STALLED_AFTER = 10_000
#: Plans asked for, for every distinct plan of the budget, after which it does: a small space may never fill it.
_REQUESTS_A_PLAN = 20
_SLICE_SECONDS = 0.02
_MOST_AT_ONCE = 1 << 16


class BudgetSpent(Exception):
    """Raised inside a search to end it; the incumbent is in the evaluation."""


class Evaluation:
    """Evaluates batches of plans within a budget and remembers the best.

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
    lower_bound
        A proved lower bound, s; the best dual bound is computed when it is not given.
    """

    def __init__(
        self,
        problem: Problem,
        allocator: Allocator,
        stop: Stop | None,
        callback: Callback | None = None,
        *,
        lower_bound: float | None = None,
    ) -> None:
        self.problem = problem
        self.allocator = allocator
        self.stop = stop
        self.callback = callback
        self.evaluations = 0
        self.objective = np.inf
        self.splits: IntArray | None = None
        self.shares: FloatArray | None = None
        self.price = np.nan
        self.lower_bound = best_lower_bound(problem)[0] if lower_bound is None else lower_bound
        self.bound_from = ""
        self.trace: list[TracePoint] = []
        self.finished = False
        self._started = time.perf_counter()
        self._known: dict[bytes, tuple[float, float]] = {}
        self._repeats = 0
        self._requests = 0
        self._rate = 0.0
        self._space = float(np.rint(np.exp(min(np.log(problem.layers + 1.0).sum(), 700.0))))

    @property
    def seconds(self) -> float:
        """Wall time since the search began."""
        return time.perf_counter() - self._started

    def __call__(self, splits: IntArray) -> FloatArray:
        """Return the mean delay of each plan, s; +inf where it is infeasible or its allocator failed.

        Parameters
        ----------
        splits
            (n_plans, n_nodes).

        Raises
        ------
        BudgetSpent
            When the budget, the gap or the search space is exhausted.
        """
        return self.with_prices(splits)[0]

    def with_prices(self, splits: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return what `__call__` does, and the allocator's price for each plan, s per unit share; NaN if unknown."""
        keys = [row.tobytes() for row in np.ascontiguousarray(splits, dtype=np.int64)]
        fresh: dict[bytes, int] = {}
        for i, key in enumerate(keys):
            if key not in self._known and key not in fresh:
                fresh[key] = i
        self._repeats = 0 if fresh else self._repeats + len(keys)
        self._requests += len(keys)
        objective, price = self.solve_in_budget(splits[list(fresh.values())])
        self._known.update(zip(fresh, zip(objective.tolist(), price.tolist(), strict=True), strict=True))
        self._check()
        found = np.array([self._known[key] for key in keys]).reshape(-1, 2)
        return found[:, 0], found[:, 1]

    def knows(self, splits: IntArray) -> BoolArray:
        """Return which of the plans (n_plans, n_nodes) have been asked for before, (n_plans,)."""
        return np.array([row.tobytes() in self._known for row in np.ascontiguousarray(splits, dtype=np.int64)], bool)

    @cached_property
    def penalty(self) -> float:
        """A delay, s, far above the local delay of any node."""
        table = self.problem.fixed_delay
        return 1e3 * max(float(table.max(where=np.isfinite(table), initial=0.0)), 1.0)

    def finite(self, splits: IntArray) -> FloatArray:
        """Return the mean delay of each plan, s; where that is +inf, a penalty that grows with the overload.

        See `__call__`.
        """
        value = self(splits)
        return np.where(np.isfinite(value), value, self.penalty * (1.0 + self.problem.overload(splits)))

    def solve_in_budget(self, splits: IntArray) -> tuple[FloatArray, FloatArray]:
        """Evaluate plans known to be distinct, without the cache (see `__call__`).

        Returns
        -------
        objective, price
            (n_plans,) mean delay, +inf where infeasible or failed, and the allocator's price, NaN where unknown.
        """
        objective, price = np.empty(len(splits)), np.empty(len(splits))
        solvable = self.problem.overload(splits) == 0
        start = 0
        while start < len(splits):
            rows = slice(start, start + self._allowed(solvable[start:]))
            objective[rows], price[rows] = self._solve(splits[rows], solvable[rows])
            start = rows.stop
        return objective, price

    def _solve(self, splits: IntArray, solvable: BoolArray) -> tuple[FloatArray, FloatArray]:
        problem = self.problem
        objective, price = np.full(len(splits), np.inf), np.full(len(splits), np.nan)
        improved = False
        rows = np.flatnonzero(solvable)
        if rows.size:
            before = time.perf_counter()
            candidates = splits[rows]
            allocation = self.allocator.allocate(problem, candidates)
            if allocation.shares.shape != (*candidates.shape, problem.n_uses):
                raise BackendFailed(
                    f"the allocator returned shares of shape {allocation.shares.shape} for plans of {candidates.shape}"
                )
            values = problem.objective(candidates, allocation.shares)
            usable = problem.residuals(candidates, allocation.shares).feasible & ~np.isnan(values)
            objective[rows] = np.where(usable, values, np.inf)
            price[rows] = allocation.prices[:, 0]
            best = int(np.argmin(objective[rows]))
            improved = bool(objective[rows[best]] < self.objective)
            if improved:
                self.objective = float(objective[rows[best]])
                self.splits, self.shares = candidates[best].copy(), over_uses(allocation.shares[best]).copy()
                self.price = float(allocation.prices[best, 0])
            self._rate = (time.perf_counter() - before) / rows.size
        self.evaluations += len(splits)
        if improved:
            self.tick()
        return objective, price

    def tick(self) -> None:
        """Add a point to the trace, at most one for every state of the search, and call back."""
        point = TracePoint(self.evaluations, self.seconds, self.objective, self.lower_bound)
        if self.trace and self.trace[-1].evaluations == point.evaluations:
            self.trace[-1] = point
        else:
            self.trace.append(point)
        if self.callback is not None:
            self.callback(point)

    def placement(self, status: Status) -> Placement:
        """Return the incumbent; without one, the all-edge plan with status INFEASIBLE or LIMIT."""
        self.tick()
        if self.splits is None:
            lost = Status.INFEASIBLE if np.isposinf(self.lower_bound) else Status.LIMIT
            return Placement(self.problem.layers, None, self.lower_bound, lost, tuple(self.trace), self.evaluations)
        if self.finished:
            status = Status.OPTIMAL
        return Placement(
            self.splits,
            self.shares,
            self.lower_bound,
            status,
            tuple(self.trace),
            self.evaluations,
            self.price,
            self.bound_from,
        )

    def _allowed(self, solvable: BoolArray) -> int:
        """Return how many of the next plans are tried before the budget is looked at again, at least one."""
        self._check()
        allowed = min(len(solvable), _MOST_AT_ONCE)
        if self.stop is None:
            return allowed
        if self.stop.evaluations is not None:
            allowed = min(allowed, self.stop.evaluations - self.evaluations)
        if self.stop.seconds is not None:
            solves = max(1, int(_SLICE_SECONDS / self._rate)) if self._rate else 1
            costly = np.flatnonzero(solvable[:allowed])
            if costly.size > solves:
                allowed = int(costly[solves])
        return allowed

    def _check(self) -> None:
        raise_if_interrupted()
        stop = self.stop
        if stop is None:
            return
        if stop.gap is not None and relative_gap(self.objective, self.lower_bound) <= stop.gap:
            self.finished = True
            raise BudgetSpent
        spent = (
            (stop.evaluations is not None and self.evaluations >= stop.evaluations)
            or (stop.seconds is not None and self.evaluations > 0 and self.seconds >= stop.seconds)
            or self._repeats >= STALLED_AFTER
            or (stop.evaluations is not None and self._requests >= _REQUESTS_A_PLAN * stop.evaluations + STALLED_AFTER)
            or len(self._known) >= self._space
            or np.isposinf(self.lower_bound)
        )
        if spent:
            raise BudgetSpent


def check_positive(value: float, name: str) -> None:
    """Raise InputError unless an option called `name` is at least 1."""
    if not value >= 1:
        raise InputError(f"{name} must be at least 1, got {value}")
