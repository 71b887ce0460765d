"""Lagrangian placement: the best price, good plans on both sides of it, and the options no optimum can use.

At the prices ν* where the dual is largest every node has a cheapest option. What another one costs more is its
*reduced cost*, and a plan cannot be better than L(ν*) plus the sum of its reduced costs. So an option whose reduced
cost exceeds incumbent − L(ν*) is in no better plan. On heterogeneous fleets this leaves a handful of plans, or one.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray, blocks
from dmcjia_opt.bounds.certificate import options_lower_bound
from dmcjia_opt.bounds.dual import DualPoint, dual_point, priced, rounding_slack
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.contract import Status, of_shares
from dmcjia_opt.solving.fleets import Backend
from dmcjia_opt.solving.options import method
from dmcjia_opt.solving.search import Search

_BLOCK = 1 << 16
_BATCH_ENTRIES = 1 << 18
_FEW = 256  # so many plans are better searched than improved on
_AT_ONCE = 256  # so many plans are evaluated at once
_MAX_MOVES = 2048
_REPAIRS = 60


@dataclass(frozen=True, slots=True, eq=False)
class Survivors:
    """Options that a plan better than the incumbent may use, where a node has more than one.

    Parameters
    ----------
    prices
        (n_resources,) ν*, s per unit share.
    bound
        L(ν*) less its rounding slack, s.
    nodes
        (n_open,) nodes with more than one option left.
    options
        For each of them, its options, cheapest first.
    reduced
        For each of them, those options' reduced costs, s.
    cheapest
        (n_nodes,) every node's cheapest option at ν*.
    """

    prices: FloatArray
    bound: float
    nodes: IntArray
    options: tuple[IntArray, ...]
    reduced: tuple[np.ndarray[tuple[int, ...], np.dtype[np.float64]], ...]
    cheapest: IntArray

    @property
    def plans(self) -> float:
        """How many plans use only these options."""
        return float(np.exp(min(sum(math.log(len(options)) for options in self.options), 700.0)))


def survivors(problem: Problem, point: DualPoint, objective: float) -> Survivors:
    """Return the options that a plan better than `objective` may use, by their reduced costs at `point`."""
    slack = rounding_slack(problem.n_nodes, point.magnitude)
    bound = point.value - slack
    room = objective - bound + slack
    nodes: list[int] = []
    kept: list[IntArray] = []
    costs = []
    for rows in blocks(problem.n_nodes, problem.n_options, _BLOCK):
        cost, _ = priced(problem, point.prices, rows)
        for i, options, reduced in near_cheapest(cost, room):
            nodes.append(rows.start + i)
            kept.append(options)
            costs.append(reduced)
    return Survivors(point.prices, bound, np.array(nodes, dtype=np.int64), tuple(kept), tuple(costs), point.options)


def near_cheapest(cost: FloatArray, room: float) -> Iterator[tuple[int, IntArray, FloatArray]]:
    """Yield the rows of costs (n, n_options) with several entries that cost at most `room` more than the least.

    Each with these entries, cheapest first, and how much more they cost.
    """
    reduced = cost - cost.min(axis=1, keepdims=True)
    near = (reduced <= room) & np.isfinite(cost)
    for i in np.flatnonzero(near.sum(axis=1) > 1).tolist():
        options = np.flatnonzero(near[i])
        order = np.argsort(reduced[i, options], kind="stable")
        yield i, options[order], reduced[i, options[order]]


def left_open(search: Search) -> Survivors:
    """Return the options that a plan better than the incumbent may use."""
    return survivors(search.problem, search.dual.point, search.objective)


def moderate(prices: FloatArray, middle: FloatArray) -> bool:
    """Return whether a plan's prices can bound others; those at the edge of stability drown them in rounding."""
    return bool(((prices > 0.0) & (prices <= 2.0**40 * middle)).all())


def recover(search: Search) -> None:
    """Try the plans around the best prices, those between two of them, and exchanges of one node's option."""
    if search.problem.n_resources > 1:
        _try_around(search, search.dual.points)
        if search.options is None:
            repair(search)
    else:
        low, high = search.dual.low.options, search.dual.high.options
        ends = [high] if np.array_equal(low, high) else [high, low]
        search.solve_in_budget(np.stack(ends))
        if len(ends) > 1 and not search.closed:
            _switch(search, low, high)
    improve(search, pairs=False)


def _try_around(search: Search, points: Sequence[DualPoint]) -> None:
    """Try the plans of some points, each once, those of the first points first."""
    around = np.stack([point.options for point in points])
    first = np.sort(np.unique(around, axis=0, return_index=True)[1])
    search.solve_in_budget(around[first])


def _closed_at_once(search: Search) -> bool:
    """Close a search around prices that are about the best, where few plans are left; return whether it did."""
    problem, rough = search.problem, search.dual.rough
    search.raise_bound(rough[0].prices, seek=False)
    _try_around(search, rough)
    if search.options is None or search.closed:
        return search.options is not None
    room = search.objective
    left = survivors(problem, rough[0], room)
    if left.plans > _AT_ONCE:
        return False
    plans = np.repeat(left.cheapest[None, :], round(left.plans), axis=0)
    plans[:, left.nodes] = list(itertools.product(*left.options))
    _, prices = search.solve_in_budget(plans)
    able = problem.overload(plans) == 0
    least = float(options_lower_bound(problem, plans[able], prices[able]).min(initial=room))
    search.prove(least - rounding_slack(problem.n_nodes, 2 * rough[0].magnitude), "branch-and-bound")
    return True


def repair(search: Search) -> None:
    """Look for a plan where those around the best prices overload something: ever dearer where they do."""
    problem = search.problem
    prices = search.dual.point.prices
    for _ in range(_REPAIRS):
        point = dual_point(problem, prices)
        load = problem.by_resource(point.options, problem.least_share(point.options))
        if not (load >= 1.0).any():
            search.solve_in_budget(point.options[None])
            return
        prices = np.where(load >= 1.0, 1.5 * prices, prices)


def _switch(search: Search, low: IntArray, high: IntArray) -> None:
    """Try plans between two: the first k of the nodes where they differ as in one, the rest as in the other."""
    differ = np.flatnonzero(low != high)
    first, last = 0, len(differ)
    while last - first > 1:
        counts = np.unique(np.linspace(first, last, min(last - first + 1, _batch(search))).astype(np.int64))
        plans = np.repeat(high[None, :], len(counts), axis=0)
        for plan, count in zip(plans, counts, strict=True):
            plan[differ[:count]] = low[differ[:count]]
        values, _ = search.solve_in_budget(plans)
        step = int(np.diff(counts).max())
        if step <= 1:
            return
        best = int(counts[values.argmin()])
        first, last = max(0, best - step), min(len(differ), best + step)


def improve(search: Search, *, pairs: bool) -> None:
    """Exchange one node's option, and with `pairs` two, for as long as that helps."""
    while search.options is not None and not search.closed:
        before = search.objective
        left = left_open(search)
        if left.plans <= _FEW:
            return
        moves = sorted(
            (float(c), int(d), int(g))
            for d, options, costs in zip(left.nodes, left.options, left.reduced, strict=True)
            for g, c in zip(options, costs, strict=True)
        )
        most = _batch(search)
        _exchange(search, [((d, g),) for _, d, g in moves[:most]])
        if search.objective < before:
            continue
        if not pairs:
            return
        few = moves[: int(np.sqrt(2 * most))]
        _exchange(search, [((d, g), (e, h)) for i, (_, d, g) in enumerate(few) for _, e, h in few[:i] if d != e])
        if search.objective >= before:
            return


def _exchange(search: Search, changes: list[tuple[tuple[int, int], ...]]) -> None:
    incumbent = search.options
    assert incumbent is not None  # the caller's loop
    plans = np.repeat(incumbent[None, :], len(changes), axis=0)
    for plan, change in zip(plans, changes, strict=True):
        for d, g in change:
            plan[d] = g
    plans = plans[(plans != incumbent).any(axis=1)]
    if plans.size:
        search.solve_in_budget(plans)


def _batch(search: Search) -> int:
    return int(min(_MAX_MOVES, max(8, _BATCH_ENTRIES // search.problem.n_nodes)))


class LagrangianPlacer(ABC):
    """A placer that begins with a Lagrangian search and differs in how it closes what that leaves open."""

    __slots__ = ()
    #: Large fleets are planned by their prices alone, from columns (see `solving.fleets`).
    by_prices: ClassVar[bool] = True
    #: Whether it searches, so that plans need not be where prices are the best.
    searches: ClassVar[bool] = True

    def supports(self, problem: Problem) -> str | None:
        """Return that the worst node is none of its business, where that is what counts, nor what has no price."""
        worst = "its bound is one on the mean, not on the worst node; use exact" if problem.worst else None
        return worst or of_shares(problem, "exact")

    def search(self, search: Search, rng: np.random.Generator) -> None:
        """Search around the best price, then close what is left open."""
        full = search.dual.load >= 1.0
        if not full and self.searches and search.problem.n_resources > 1 and _closed_at_once(search):
            search.claim(search.proved(Status.ROUNDED))
            return
        search.raise_bound(search.dual.point.prices)
        if full:
            search.claim(Status.INFEASIBLE)
            return  # no plan exists, and the bound says so, but for rounding
        recover(search)
        left = Status.FEASIBLE if search.closed else self.close(search)
        search.claim(search.proved(left))

    @abstractmethod
    def close(self, search: Search) -> Status:
        """Raise the search's bound and improve its incumbent until they meet; return what it is if they do not."""


@method
class Lagrangian(LagrangianPlacer):
    """The best price and the best plan around it; optimal whenever the two meet, as they do on large fleets.

    Parameters
    ----------
    backend
        What prices the fleet: NumPy, or JAX on a CPU or a GPU as it finds.
    """

    backend: Backend = "numpy"
    searches: ClassVar[bool] = False

    def close(self, search: Search) -> Status:
        """Exchange the options of one node or two."""
        improve(search, pairs=True)
        return Status.FEASIBLE
