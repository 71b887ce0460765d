"""The least delay of the worst node: the level that prices prove, the plans that keep it, and what is left to try.

At the prices that prove the level every node has an option that keeps the incumbent's delay t at least cost. What
another one costs more is its reduced cost, and in a plan with a worst node below t these add up to no more than what
keeping t leaves of all there is. The plans for which they do are searched whole where they are few; otherwise one
node's option after another is exchanged. Among the plans with the same worst node one of little mean is then sought:
the ordinary problem with t as everybody's deadline.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from dmcjia_opt.base.arrays import EPS, FloatArray, IntArray, blocks
from dmcjia_opt.bounds.certificate import options_lower_bound
from dmcjia_opt.bounds.promises import Needs
from dmcjia_opt.methods.placers.exact.lagrangian import near_cheapest
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.contract import Placement, Status, Stop
from dmcjia_opt.solving.search import Search

_MOST_PARTIAL, _BATCH, _MOVES, _TRIED = 100_000, 128, 1024, 64
_BLOCK = 1 << 17
_MARGIN = 1e-12  # relative: plans better by less than this are not looked for
_BINDS = 1e-9  # relative: so far above what no share can change, one resource decides and leaves no choice
_MEAN_GAP = 1e-6

#: Finds a plan of little mean within a budget.
ByMean = Callable[[Problem, Stop], Placement]


def search_fairest(search: Search, by_mean: ByMean) -> None:
    """Search for the plan whose worst node is the quickest, and among those for one of little mean."""
    level = search.dual.level
    if np.isinf(search.lower_bound):
        search.claim(Status.INFEASIBLE)
        return
    plans = np.stack([point.options for point in level.points])
    first = np.sort(np.unique(plans, axis=0, return_index=True)[1])[:_TRIED]
    search.solve_in_budget(plans[first])
    if search.options is None:  # all of them overload something: what the mean likes is a beginning
        begun = by_mean(replace(search.problem, worst=False), _within(search))
        if begun.shares is not None:
            search.solve_in_budget(begun.options[None])
    bound = None
    while not search.closed and bound is None and search.options is not None:
        before = search.objective
        bound = _try_all(search, level.prices)
        if bound is None and not search.objective < before:
            _exchange(search, level.prices)
            if not search.objective < before:
                break
    if bound is not None:
        search.prove(min(bound, search.objective * (1.0 - _MARGIN)), "exact")
    search.claim(search.proved(Status.FEASIBLE if bound is None else Status.ROUNDED))
    if search.options is not None:
        _lower_mean(search, by_mean)


@dataclass(frozen=True, slots=True, eq=False)
class _Left:
    """Options that a plan better than the incumbent may use, and what is left to spend on others than the cheapest."""

    cheapest: IntArray
    nodes: list[int]
    options: list[IntArray]
    reduced: list[FloatArray]
    room: float


def _left(search: Search, prices: FloatArray) -> _Left:
    problem = search.problem
    kept: list[tuple[int, IntArray, FloatArray]] = []
    cheapest, least = np.zeros(problem.n_nodes, dtype=np.int64), np.zeros(problem.n_nodes)
    near: list[tuple[slice, FloatArray]] = []
    for rows in blocks(problem.n_nodes, problem.n_options * problem.n_uses, _BLOCK):
        group = Needs.of(problem, rows)
        cost, _ = group.cost(np.full((len(group.rows), 1), search.objective), prices)
        cheapest[rows], least[rows] = cost.argmin(axis=1), cost.min(axis=1)
        near.append((rows, cost))
    total = float(prices.sum())
    room = total * (1.0 + 64.0 * EPS * (1.0 + np.log2(problem.n_nodes))) - float(least.sum())
    for rows, cost in near:
        kept.extend((rows.start + i, options, reduced) for i, options, reduced in near_cheapest(cost, room))
    kept.sort(key=lambda one: len(one[1]))
    return _Left(cheapest, [d for d, _, _ in kept], [o for _, o, _ in kept], [r for _, _, r in kept], room)


def _try_all(search: Search, prices: FloatArray) -> float | None:
    """Evaluate every plan that may be better, the most promising first; return the least of their own lower bounds.

    What an allocator makes of a plan proves nothing about it; the prices it says do. None if there are too many plans.
    """
    left = _left(search, prices)
    cost, chosen = np.zeros(1), np.zeros((1, 0), dtype=np.int64)
    for reduced in left.reduced:
        if len(cost) * len(reduced) > 4 * _MOST_PARTIAL:
            return None
        longer = cost[:, None] + reduced[None, :]
        parent, choice = np.nonzero(longer <= left.room)
        if len(parent) > _MOST_PARTIAL:
            return None
        cost, chosen = longer[parent, choice], np.column_stack([chosen[parent], choice])
    order, tried = np.argsort(cost, kind="stable"), []
    for start in range(0, len(order), _BATCH):
        before, rows = search.objective, chosen[order[start : start + _BATCH]]
        plans = np.repeat(left.cheapest[None, :], len(rows), axis=0)
        for j, (d, options) in enumerate(zip(left.nodes, left.options, strict=True)):
            plans[:, d] = options[rows[:, j]]
        tried.append((plans, search.with_prices(plans)[1]))
        if search.objective < before and start + _BATCH < len(order):
            return _try_all(search, prices)  # of a quicker plan fewer are left
    bound = np.inf
    for plans, at in tried:
        possible = search.problem.overload(plans) == 0
        own = options_lower_bound(search.problem, plans[possible], at[possible])
        bound = min(bound, float(np.min(own, initial=np.inf)))
    return bound


def _exchange(search: Search, prices: FloatArray) -> None:
    """Try the incumbent with one node's option exchanged, those of little reduced cost first."""
    incumbent, left = search.options, _left(search, prices)
    assert incumbent is not None  # the caller's loop
    moves = sorted(
        (float(cost), d, int(option))
        for d, options, reduced in zip(left.nodes, left.options, left.reduced, strict=True)
        for option, cost in zip(options, reduced, strict=True)
        if option != incumbent[d]
    )[:_MOVES]
    if moves:
        plans = np.repeat(incumbent[None, :], len(moves), axis=0)
        for plan, (_, d, option) in zip(plans, moves, strict=True):
            plan[d] = option
        search.with_prices(plans)


def _within(search: Search) -> Stop:
    """Return the budget of a search for a plan of little mean: the time that is left."""
    return Stop(seconds=None if np.isinf(search.seconds_left) else search.seconds_left, gap=_MEAN_GAP)


def _lower_mean(search: Search, by_mean: ByMean) -> None:
    """Take the plan of least mean of those with the incumbent's worst node, if there is more than one."""
    problem, options = search.problem, search.options
    assert options is not None  # the caller's look
    level = float(problem.at(problem.fixed_delay, options).max())
    if problem.n_resources == 1 and search.objective > level * (1.0 + _BINDS):
        return  # at that delay everything is used up
    most = np.minimum(problem.deadline, search.objective)
    found = by_mean(replace(problem, deadline=most, worst=False), _within(search))
    if found.shares is not None:
        search.offer(found.options, found.shares)
