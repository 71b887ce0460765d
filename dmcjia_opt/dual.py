"""The Lagrangian dual: one price for cloud capacity, one small minimum a node.

For any price ν ≥ 0 of cloud capacity (s per unit share), weak duality gives

    L(ν) = Σ_d min_γ [ w·local + min_x ( w·T(x) + ν·s·(λ + x) ) ] − ν   ≤   optimum,

x the excess service rate. L is concave, its supergradient is Σ shares − 1, and the shares chosen fall as ν rises.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dmcjia_opt.model.arrays import EPS, FloatArray, IntArray
from dmcjia_opt.model.problem import Problem

_BLOCK = 1 << 18  # table entries priced at a time: bounds memory on large fleets
_MAX_PASSES = 200
_LEAST_PRICE, _MOST_PRICE = 1e-250, 1e250  # beyond these, products with tables and weights leave the range of floats


@dataclass(frozen=True, slots=True, eq=False)
class DualPoint:
    """The dual function at one price.

    Parameters
    ----------
    price
        ν, s per unit share.
    value
        L(ν), s, as computed; `certificate.lower_bound` subtracts what rounding may have added.
    use
        Σ of the shares the nodes choose at this price; the supergradient of L is ``use − 1``.
    magnitude
        Sum of absolute terms in `value`, the scale of its rounding error.
    splits
        (n_nodes,) minimising splits, the smallest index among ties.
    """

    price: float
    value: float
    use: float
    magnitude: float
    splits: IntArray


def priced(problem: Problem, price: float, rows: slice = slice(None)) -> tuple[FloatArray, FloatArray]:
    """Return cost and share of every split at a price.

    Parameters
    ----------
    problem
        The compiled problem.
    price
        ν > 0, s per unit share.
    rows
        Which nodes.

    Returns
    -------
    cost, share
        (n_rows, n_splits) w·(local + T) + ν·δ in s, and the share δ that attains it; cost is +inf where the split
        is not allowed.
    """
    s = problem.cloud_time[rows]
    rate = problem.arrival_rate[rows, None]
    weight = problem.weight[rows, None]
    busy = s > 0
    s_safe = np.where(busy, s, 1.0)
    excess = problem.curve.excess_at(price * s_safe / weight, rate)
    if problem.least_rate is not None:
        excess = np.maximum(excess, problem.least_rate[rows] - rate)
    share = np.where(busy, s_safe * (rate + excess), 0.0)
    cost = weight * (problem.local_delay[rows] + np.where(busy, problem.curve.delay(excess, rate), 0.0))
    return cost + price * share, share


def dual_point(problem: Problem, price: float) -> DualPoint:
    """Return the dual function at `price` ≥ 0; at 0 every node takes its least local delay."""
    n = problem.n_nodes
    splits = np.empty(n, dtype=np.int64)
    best = np.empty(n)
    used = np.empty(n)
    step = max(1, _BLOCK // problem.n_splits)
    for start in range(0, n, step):
        rows = slice(start, min(start + step, n))
        if price > 0:
            cost, share = priced(problem, price, rows)
        else:
            cost = problem.weight[rows, None] * problem.local_delay[rows]
            share = np.where(problem.cloud_time[rows] > 0, np.inf, 0.0)
        choice = cost.argmin(axis=1)
        index = np.arange(len(choice))
        splits[rows] = choice
        best[rows] = cost[index, choice]
        used[rows] = share[index, choice]
    total = math.fsum(best) if n <= 1 << 16 else float(best.sum())
    return DualPoint(price, total - price, float(used.sum()), float(np.abs(best).sum()) + price, splits)


def least_load(problem: Problem) -> float:
    """Return the least total share that any choice of splits needs; a plan exists only if it is below 1."""
    rate = problem.arrival_rate[:, None]
    if problem.least_rate is not None:
        rate = np.maximum(rate, problem.least_rate)
    need = np.where(np.isfinite(problem.local_delay), rate * problem.cloud_time, np.inf)
    return float(need.min(axis=1).sum())


def maximise(problem: Problem, *, tolerance: float = 1e-14) -> tuple[DualPoint, DualPoint]:
    """Maximise the dual.

    Each pass prices the whole table once. Between a price where too much is used and one where too little is, the
    two tangents meet above the maximum: their intersection is the next price, and how far it lies above the best
    value so far is how much is left to gain. Bisection takes over when that shrinks the bracket too slowly.

    Parameters
    ----------
    problem
        A problem for which `least_load` is below 1.
    tolerance
        Stop when no more than this, relative to the dual's magnitude, is left to gain.

    Returns
    -------
    low, high
        Points at the two ends of the final bracket: ``low.use >= 1 >= high.use``. Either may hold the larger value.
        Both are the same point when the price is 0 (capacity is free), and when no price brings the use across 1
        (rounding decides whether the fleet is overloaded).
    """
    free = dual_point(problem, 0.0)
    if free.use <= 1.0:
        return free, free
    low, high = _bracket(problem)
    for step in range(_MAX_PASSES):
        best = max(low.value, high.value)
        meet, ceiling = _tangents_meet(low, high)
        if ceiling - best <= tolerance * max(low.magnitude, high.magnitude) or high.price <= low.price * (1 + 2 * EPS):
            break
        if step % 3 == 2 or not (low.price < meet < high.price):
            meet = math.sqrt(low.price * high.price)
        point = dual_point(problem, meet)
        if point.use >= 1.0:
            low = point
        if point.use <= 1.0:
            high = point
    return low, high


def _tangents_meet(low: DualPoint, high: DualPoint) -> tuple[float, float]:
    up, down = low.use - 1.0, high.use - 1.0
    if up - down <= 0.0:
        return low.price, max(low.value, high.value)
    span = high.price - low.price
    step = min(max((high.value - low.value - down * span) / (up - down), 0.0), span)
    return low.price + step, low.value + up * step


def _bracket(problem: Problem) -> tuple[DualPoint, DualPoint]:
    s = np.where(np.isfinite(problem.local_delay), problem.cloud_time, 0.0).max(axis=1)
    start = max(float(np.sqrt(problem.weight * s).sum()) ** 2, _LEAST_PRICE)
    point = first = dual_point(problem, start)
    factor = 4.0
    while True:
        price = point.price * factor if point.use > 1.0 else point.price / factor
        if not _LEAST_PRICE < price < _MOST_PRICE:
            end = first if point.use > 1.0 else point
            return end, end
        other = dual_point(problem, price)
        if (point.use > 1.0) != (other.use > 1.0):
            return (point, other) if point.use > 1.0 else (other, point)
        point = other
        factor *= factor if factor < 1e30 else 1.0
