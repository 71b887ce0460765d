"""Branch and bound in which every case has its own best prices: for a few resources that few nodes use at a time.

Where a server serves one or two nodes at once, the best prices of the whole leave a gap that no fixed set of prices
closes. A case allows each node some of its options; its bound is the largest value of its own dual (`bundle`). Around
those prices options of high reduced cost leave the case, and the plans met there are evaluated. What is torn between
options that use different resources is branched on, then what is torn between options at all; a case of few plans is
evaluated whole. Cases are taken in the order of their bounds, so that the least of those is proved at any time.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace
from itertools import count, product

import numpy as np

from dmcjia_opt.base.arrays import BoolArray, FloatArray, IntArray
from dmcjia_opt.bounds.bundle import Summit, climb
from dmcjia_opt.bounds.certificate import options_lower_bound
from dmcjia_opt.bounds.columns import Columns, columns
from dmcjia_opt.bounds.dual import LEAST_PRICE, MOST_PRICE, DualPoint, point_of, rounding_slack
from dmcjia_opt.methods.placers.exact.lagrangian import left_open
from dmcjia_opt.solving.search import Search

_FEW = 512  # so many plans of a case are evaluated rather than bounded
_STEPS = 24
_LITTLE = 0.03  # of what is open: a bound that much nearer to the best is not worth another step
_TORN = 1e-6
_KEPT = 4  # points of a case at which those within it begin


@dataclass(frozen=True, slots=True, eq=False)
class _Case:
    """Which options are allowed, (n_nodes, k) of the columns, and prices to begin with."""

    allowed: BoolArray
    prices: tuple[FloatArray, ...]


def close(search: Search, *, most_cases: int) -> bool:
    """Search everything that a Lagrangian search has left open, case by case; return whether it was completed.

    Parameters
    ----------
    search
        Holds the incumbent, which may improve, and the bound, which rises.
    most_cases
        Give up after so many, with the bound reached.

    Raises
    ------
    BudgetSpent
        When the time or the evaluations are.
    """
    return _Tree(search).grow(most_cases)


class _Tree:
    def __init__(self, search: Search) -> None:
        problem, left = search.problem, left_open(search)
        self.search, self.problem = search, problem
        allowed = np.zeros((problem.n_nodes, problem.n_options), dtype=bool)
        allowed[np.arange(problem.n_nodes), left.cheapest] = True
        for d, options in zip(left.nodes, left.options, strict=True):
            allowed[d, options] = True
        self.columns: Columns = columns(problem, slice(None)).kept(allowed)
        at = np.arange(problem.n_nodes)[:, None], self.columns.option
        self.group = _groups(problem.resource[at], problem.service[at] > 0)
        self.work = problem.service[at].sum(axis=-1)
        self.evaluated: set[bytes] = set()

    def grow(self, most_cases: int) -> bool:
        search, number = self.search, count()
        every = np.isfinite(self.columns.local)
        start = tuple(point.prices for point in search.dual.points[:_KEPT])
        heap = [(search.lower_bound, next(number), _Case(every, start))]
        closed = np.inf  # the least bound of the cases that are done
        for _ in range(most_cases):
            if not heap or search.closed:
                break
            bound, _, case = heapq.heappop(heap)
            worst = min(bound, closed)
            search.prove(min(worst, search.objective), "branch-and-bound")
            wanted = search.objective * (1.0 - 0.5 * search.stop.tolerance)
            if bound >= wanted:
                closed = min(closed, bound)
                break
            found = self._bounded(case, wanted)
            if isinstance(found, float):
                closed = min(closed, max(found, bound))
                continue
            summit, allowed = found
            value = max(self._certain(summit.best), bound)
            prices = tuple(point.prices for point in sorted(summit.points, key=lambda p: -p.value)[:_KEPT])
            for part in self._parts(allowed, summit):
                heapq.heappush(heap, (value, next(number), _Case(part, prices)))
        least = min([closed, search.objective, *(bound for bound, _, _ in heap)])
        search.prove(least, "branch-and-bound")
        search.tick()
        return not heap or search.closed

    def _bounded(self, case: _Case, wanted: float) -> float | tuple[Summit[DualPoint], BoolArray]:
        """Return the bound of a case that is done with, or else its summit and the options that are left."""
        search, allowed = self.search, case.allowed
        number = allowed.sum(axis=1)
        if not number.all():
            return np.inf
        if float(np.log(number).sum()) <= np.log(_FEW):
            return self._enumerated(allowed)
        inside = replace(self.columns, local=np.where(allowed, self.columns.local, np.inf))

        def ask(prices: FloatArray) -> DualPoint:
            return point_of([inside], np.clip(prices, LEAST_PRICE, MOST_PRICE), self.problem.n_nodes, elastic=False)

        known = [ask(prices) for prices in case.prices]
        top = max(known, key=lambda point: point.value)
        little = _LITTLE * max(wanted - top.value, 0.0) / max(abs(top.value), 1e-300)
        floor = np.zeros_like(top.prices)
        summit = climb(ask, known, 0.1 * top.prices, floor, target=wanted, tolerance=max(little, 1e-13), steps=_STEPS)
        best = summit.best
        if self._certain(best) >= wanted:
            return self._certain(best)
        self._evaluate([point.options for point in sorted(summit.points, key=lambda p: -p.value)[:2]])
        cost, _ = inside.priced(best.prices)
        slack = rounding_slack(self.problem.n_nodes, best.magnitude)
        room = search.objective - best.value + 2.0 * slack
        left = allowed & (cost - cost.min(axis=1, keepdims=True) <= room)
        if float(np.log(left.sum(axis=1)).sum()) <= np.log(_FEW):
            return self._enumerated(left)
        return summit, left

    def _certain(self, point: DualPoint) -> float:
        return point.value - rounding_slack(self.problem.n_nodes, point.magnitude)

    def _enumerated(self, allowed: BoolArray) -> float:
        """Evaluate every plan of a case; return the least of their own bounds."""
        each = [self.columns.option[d, row] for d, row in enumerate(allowed)]
        plans = np.array(list(product(*each)), dtype=np.int64)
        plans = plans[self.problem.overload(plans) == 0]
        if not len(plans):
            return np.inf
        _, prices = self.search.solve_in_budget(plans)
        return float(options_lower_bound(self.problem, plans, prices).min())

    def _evaluate(self, plans: list[IntArray]) -> None:
        fresh = [plan for plan in plans if plan.tobytes() not in self.evaluated]
        self.evaluated.update(plan.tobytes() for plan in fresh)
        if fresh:
            self.search.solve_in_budget(np.unique(np.stack(fresh), axis=0))

    def _parts(self, allowed: BoolArray, summit: Summit[DualPoint]) -> list[BoolArray]:
        """Return the cases that a case is made of: two halves at what the mixture of plans at its summit tears."""
        mixture = np.zeros(allowed.shape)
        for point, part in zip(summit.points, summit.parts, strict=True):
            if part > 0:
                mixture += part * (self.columns.option == point.options[:, None]) * allowed
        total = mixture.sum(axis=1, keepdims=True)
        mixture /= np.where(total > 0, total, 1.0)
        groups = np.stack([(mixture * (self.group == g)).sum(axis=1) for g in range(int(self.group.max()) + 1)], axis=1)
        torn = 1.0 - groups.max(axis=1)
        if torn.max() > _TORN:
            d = int(torn.argmax())
            first = self.group[d] == int(groups[d].argmax())
        else:
            several = allowed.sum(axis=1) > 1
            spread = np.where(several, 1.0 - mixture.max(axis=1) + 1e-9 * allowed.sum(axis=1), -1.0)
            d = int(spread.argmax())
            order = np.flatnonzero(allowed[d])[np.argsort(self.work[d, allowed[d]], kind="stable")]
            middle = float((mixture[d] * self.work[d]).sum())
            cut = int(np.clip(np.searchsorted(self.work[d, order], middle, side="right"), 1, len(order) - 1))
            first = np.zeros(allowed.shape[1], dtype=bool)
            first[order[:cut]] = True
        parts = []
        for chosen in (first, ~first):
            part = allowed.copy()
            part[d] &= chosen
            parts.append(part)
        return parts


def _groups(resource: IntArray, used: BoolArray) -> IntArray:
    """Return a number (n, k) for what each option uses: the same where it is the same resources."""
    key = np.where(used, resource, -1)
    flat = np.unique(key.reshape(-1, key.shape[-1]), axis=0, return_inverse=True)[1]
    return np.asarray(flat.reshape(key.shape[:-1]), dtype=np.int64)
