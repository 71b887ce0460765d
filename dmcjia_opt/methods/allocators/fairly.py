"""Shares that make the worst node of given options as quick as can be, and then the mean as small.

Where every option has one use, resources separate: the least delay that the nodes of a resource can all keep is the
root of one falling function, and what that delay leaves is filled by water-filling above the rates it takes. Where
options tie resources together, the prices are sought at which keeping a delay costs most (`bounds.promises`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.base.roots import falling_root
from dmcjia_opt.bounds.promises import level_at, needed, only, widened
from dmcjia_opt.methods.allocators.jointly import fill_jointly
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.contract import Allocation, Status

_EASED = 1e-10  # by how much, relative to itself, the least delay of uses that are tied together is missed
_ROUNDS, _NEARER = 30, 0.05
_GAP = 1e-9  # relative, of shares that are called optimal


def fill_fairly(
    problem: Problem, options: IntArray, fill: Callable[[Problem, IntArray, FloatArray], Allocation]
) -> Allocation:
    """Return shares and prices for `options` (n_plans, n_nodes) of a problem whose objective is the worst node.

    `fill` gives those of least mean above least rates (n_plans, n_nodes, n_uses), 1/s.
    """
    return _jointly(problem, options) if problem.joint else _separately(problem, options, fill)


def _separately(
    problem: Problem, options: IntArray, fill: Callable[[Problem, IntArray, FloatArray], Allocation]
) -> Allocation:
    used, service = problem.at(problem.resource, options), problem.at(problem.service, options)
    busy = service > 0
    fixed = problem.at(problem.fixed_delay, options)
    fine = np.isfinite(fixed).all(-1) & (problem.overload(options) == 0)
    least = np.where(fine, np.where(np.isfinite(fixed), fixed, 0.0).max(-1), 1.0)
    shape = len(options), problem.n_resources
    plans = np.arange(len(options))[:, None, None]

    def over(t: FloatArray) -> FloatArray:
        shares = needed(problem, options, t.reshape(shape)[plans, used])
        total = problem.by_resource(options, np.where(np.isfinite(shares), shares, 2.0))
        return np.where(fine[:, None] & (total > 0.0), total - 1.0, -1.0).ravel()

    start = np.repeat(least, problem.n_resources)
    level = falling_root(over, *widened(over, start))[1].reshape(shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        floors = np.where(busy, needed(problem, options, level.max(-1)[:, None, None]) / service, 0.0)
    filled = fill(problem, options, np.where(fine[:, None, None], floors, 0.0))
    hardest = np.zeros(shape)
    hardest[np.arange(shape[0]), level.argmax(-1)] = 1.0
    return Allocation(filled.shares, np.where(fine[:, None], hardest, np.nan), filled.status)


def _jointly(problem: Problem, options: IntArray) -> Allocation:
    shares = np.full((*options.shape, problem.n_uses), np.nan)
    prices = np.full((len(options), problem.n_resources), np.nan)
    status = np.full(len(options), Status.INFEASIBLE, dtype=np.int8)
    for row in np.flatnonzero(problem.overload(options) == 0):
        found, prices[row], gap = _one_jointly(only(problem, options[row]))
        if found is not None:
            shares[row], status[row] = found, Status.OPTIMAL if gap <= _GAP else Status.INACCURATE
    return Allocation(shares, prices, status)


def _one_jointly(problem: Problem) -> tuple[FloatArray | None, FloatArray, float]:
    """Return shares (n_nodes, n_uses), prices and relative gap of the only plan there is.

    There are no shares where none keep its deadlines.

    The nearer a deadline for all is to the least that can be kept, the nearer are the prices of the least mean that
    keeps it to those that prove that least delay; which tell the next deadline.
    """
    plan = np.zeros((1, problem.n_nodes), dtype=np.int64)
    by_mean = replace(problem, worst=False)

    def filled(most: float) -> Allocation:
        return fill_jointly(replace(by_mean, deadline=np.minimum(problem.deadline, most)), plan)

    best = filled(np.inf)
    at = _parts(best.prices[0])
    if best.status[0] == Status.INFEASIBLE:
        return None, at, np.inf
    high = float(problem.objective(plan[0], best.shares[0]))
    low, nearer = level_at(problem, at, high).low, _NEARER
    for _ in range(_ROUNDS):
        if high - low <= _EASED * high or nearer >= 1.0:
            break
        most = max(low + nearer * (high - low), low * (1.0 + 0.5 * _EASED))
        found = filled(most)
        if found.status[0] != Status.INFEASIBLE:
            value = float(problem.objective(plan[0], found.shares[0]))
            best, high = (found, value) if value < high else (best, high)
            nearer = max(nearer / 3.0, _NEARER)
        level = level_at(problem, _parts(found.prices[0]), high)
        if level.low > low:
            low, at = level.low, level.prices
        elif found.status[0] == Status.INFEASIBLE:
            nearer *= 3.0  # rounding: neither end can be moved so far
    return best.shares[0], at, (high - low) / high


def _parts(prices: FloatArray) -> FloatArray:
    """Return prices as parts of their sum; those that are not known as equal parts."""
    total = prices.sum()
    return prices / total if 0.0 < total < np.inf else np.full(len(prices), 1.0 / len(prices))
