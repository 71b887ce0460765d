"""The largest value of the dual: for one resource a bracket that closes in, for several all prices at once.

For one resource the maximum is where the shares that the nodes choose cross 1. Whole tables are only needed until the
price is bracketed: inside a bracket most options of most nodes can be ruled out, and later passes touch only what is
left.

For several, shares fall about as the square root of their price, so that every price moves by the square of its use;
where that overshoots, the move is damped. A few prices are then polished by cutting planes (`bundle`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from dmcjia_opt.base.arrays import EPS, FloatArray, IntArray
from dmcjia_opt.bounds.bundle import climb
from dmcjia_opt.bounds.dual import (
    LEAST_PRICE,
    MOST_PRICE,
    Columns,
    DualPoint,
    all_columns,
    columns,
    dual_point,
    point_of,
)
from dmcjia_opt.model.problem import Problem

_SAMPLE = 2048  # nodes from which the price of a larger fleet is guessed
_MAX_PASSES = 300
_LITTLE, _STALLED = 1e-8, 3  # relative gain that counts as little, and after how many of those passes end
_FARTHEST_MOVE = 1.6
_LARGE, _SETTLED, _ROOM = 1 << 18, 0.1, 8.0  # when options are ruled out: table entries, last move, times that
_MOST_POLISHED, _MOST_NODES_POLISHED = 64, 5000
_KEPT = 16
_NEAR, _CLOSE = 1.05, 1.001  # factors: within which a price that is near is looked for, and to cross where it is


def several(
    problem: Problem, *, near: FloatArray | None = None, passes: int = 40, polish: int = 120
) -> list[DualPoint]:
    """Maximise the dual of several resources; return the best points met, the best first.

    Parameters
    ----------
    problem
        A problem for which `loads.least_load` is below 1.
    near
        (n_resources,) prices that are not far off, where some are known.
    passes
        Passes in which all prices move at once.
    polish
        Calls of the dual by cutting planes after that, where there are no more than 64 resources.
    """
    groups: list[Columns] | None = None
    prices = _guesses(problem) if near is None else np.clip(near, LEAST_PRICE, MOST_PRICE)
    damp, last = np.ones_like(prices), np.zeros_like(prices)
    points: list[DualPoint] = []
    best, stalled = -math.inf, 0
    for step in range(passes):
        point = point_of(all_columns(problem) if groups is None else groups, prices, problem.n_nodes)
        points.append(point)
        gained = point.value - best
        stalled = stalled + 1 if gained <= _LITTLE * abs(point.value) else 0
        best = max(best, point.value)
        if stalled >= _STALLED:
            break
        move = np.clip(2.0 * np.log(np.maximum(point.use, 1e-9)), -_FARTHEST_MOVE, _FARTHEST_MOVE)
        damp = np.where(move * last < 0.0, 0.5 * damp, np.minimum(1.1 * damp, 1.0))
        last = move
        prices = np.clip(prices * np.exp(move * damp), LEAST_PRICE, MOST_PRICE)
        moved = float(np.abs(move * damp).max())
        if groups is None and problem.n_nodes * problem.n_options > _LARGE and step > 4 and moved < _SETTLED:
            box = math.exp(_ROOM * moved)
            low, high = prices / box, prices * box
            groups = [group for block in all_columns(problem) for group in block.inside(low, high)]
        elif groups is not None and not ((prices >= low) & (prices <= high)).all():
            groups = None
    points.sort(key=lambda found: -found.value)
    if problem.n_resources <= _MOST_POLISHED and len(points[0].options) <= _MOST_NODES_POLISHED:
        points = _polished(problem, points, polish)
    return points[:_KEPT]


def _polished(problem: Problem, points: list[DualPoint], calls: int) -> list[DualPoint]:
    """Return points nearer to the maximum, found by cutting planes from the best one."""
    start = points[0].prices

    def ask(prices: FloatArray) -> DualPoint:
        return dual_point(problem, np.clip(prices, LEAST_PRICE, MOST_PRICE))

    summit = climb(ask, points, 0.05 * start, np.zeros_like(start), steps=calls)
    return sorted(summit.points, key=lambda point: -point.value)


def _guesses(problem: Problem) -> FloatArray:
    """Return the order of magnitude of every price if each node spread its work over all that it may use."""
    total = np.zeros(problem.n_resources)
    for block in all_columns(problem):
        allowed = np.isfinite(block.local)
        weight = problem.weight[block.rows]
        for use in block.uses:
            root = np.sqrt(np.where(allowed & (use.s > 0), use.s, 0.0) * weight[:, None])
            index = np.zeros(root.shape, dtype=np.int64) if use.resource is None else use.resource
            total += np.bincount(index.ravel(), root.ravel(), problem.n_resources) / problem.n_options
    return np.clip(total**2, LEAST_PRICE, MOST_PRICE)


def between(problem: Problem, *, near: float | None = None, tolerance: float = 1e-14) -> tuple[DualPoint, DualPoint]:
    """Maximise the dual of one resource.

    Parameters
    ----------
    problem
        A problem of one resource for which `loads.least_load` is below 1.
    near
        A price > 0 that is not far off, where one is known.
    tolerance
        Stop when no more than this, relative to the dual's magnitude, is left to gain.

    Returns
    -------
    low, high
        Points at the two ends of the final bracket: ``low.use >= 1 >= high.use``. Either may hold the larger value.
        Both are the same point when the price is 0 (capacity is free), and when no price brings the use across 1
        (rounding decides whether the fleet is overloaded).
    """
    n = problem.n_nodes
    whole = partial(all_columns, problem)
    if near is not None and (found := _around(problem, near, tolerance)) is not None:
        return found
    if n <= _SAMPLE:
        return _maximise(list(all_columns(problem)).__iter__, n, 1.0, _guess(problem), 1.5, tolerance)
    rows = np.linspace(0, n - 1, _SAMPLE).astype(np.int64)
    sample = replace(columns(problem, rows), rows=np.arange(_SAMPLE))
    part = _SAMPLE / n
    low, high = _maximise([sample].__iter__, _SAMPLE, part, _guess(problem, rows) / part**2, 1.5, 1e-9)
    if low.price <= 0.0:
        return _maximise(whole, n, 1.0, _guess(problem), 1.5, tolerance)
    return _maximise(whole, n, 1.0, math.sqrt(low.price * high.price), 1.02, tolerance)


def _around(problem: Problem, near: float, tolerance: float) -> tuple[DualPoint, DualPoint] | None:
    """Return what `between` does if that is near a price; None if it is not."""
    ends = np.array([near / _NEAR]), np.array([near * _NEAR])
    if not (ends[0] >= LEAST_PRICE and ends[1] <= MOST_PRICE):
        return None
    groups = [group for block in all_columns(problem) for group in block.inside(*ends)]
    low, high = _bracket(groups.__iter__, problem.n_nodes, 1.0, near, _CLOSE)
    if not ends[0] <= low.price < high.price <= ends[1]:
        return None
    return _closed_in(_narrowed(groups, low, high), low, high, problem.n_nodes, 1.0, tolerance)


def _guess(problem: Problem, rows: slice | IntArray = slice(None)) -> float:
    """Return the order of magnitude of the price if every node sent all its work and the cloud had room."""
    s = np.where(np.isfinite(problem.fixed_delay[rows])[..., None], problem.service[rows], 0.0).max(axis=(1, 2))
    return max(float(np.sqrt(problem.weight[rows] * s).sum()) ** 2, LEAST_PRICE)


def _maximise(
    whole: Callable[[], Iterator[Columns]], n: int, capacity: float, guess: float, factor: float, tolerance: float
) -> tuple[DualPoint, DualPoint]:
    """Bracket the price around `guess`, then close in on what is left (see `between`).

    Two tangents meet above the maximum: how far above the best value so far is how much is left to gain, and where
    they meet is the next price, which is quick where splits change. In turn with that a Newton step on log axes,
    which is quick where they do not; and the middle of the bracket when neither has shrunk it enough.
    """
    free = point_of(whole(), np.zeros(1), n, capacity)
    if _used(free) <= 1.0:
        return free, free
    low, high = _bracket(whole, n, capacity, guess, factor)
    groups = [group for block in whole() for group in block.inside(low.prices, high.prices)]
    return _closed_in(groups, low, high, n, capacity, tolerance)


def _closed_in(
    groups: list[Columns], low: DualPoint, high: DualPoint, n: int, capacity: float, tolerance: float
) -> tuple[DualPoint, DualPoint]:
    """Close in on the price in a bracket; `groups` have what may be chosen inside it (see `_maximise`)."""
    ruled, width = high.price - low.price, high.price - low.price
    for step in range(_MAX_PASSES):
        best = max(low.value, high.value)
        price, ceiling = _tangents_meet(low, high, capacity)
        if ceiling - best <= tolerance * max(low.magnitude, high.magnitude) or high.price <= low.price * (1 + 2 * EPS):
            break
        span = high.price - low.price
        newton = _newton(low if _used(low) - 1.0 < 1.0 - _used(high) else high)
        if step % 2 == 0 and low.price < newton < high.price:
            price = newton
        if step % 4 == 3:
            if span > 0.1 * width:
                price = math.sqrt(low.price * high.price)
            width = span
        if not low.price < price < high.price:
            price = math.sqrt(low.price * high.price)
        if span < 0.1 * ruled:
            groups = _narrowed(groups, low, high)
            ruled = span
        point = point_of(groups, np.array([price]), n, capacity)
        if _used(point) >= 1.0:
            low = point
        if _used(point) <= 1.0:
            high = point
    return low, high


def _narrowed(groups: list[Columns], low: DualPoint, high: DualPoint) -> list[Columns]:
    """Return what of some columns may be chosen in a bracket."""
    return [g for group in groups for g in (group.inside(low.prices, high.prices) if group.open else [group])]


def _bracket(
    whole: Callable[[], Iterator[Columns]], n: int, capacity: float, guess: float, factor: float
) -> tuple[DualPoint, DualPoint]:
    point = first = point_of(whole(), np.array([guess]), n, capacity)
    while True:
        # the shares used fall about as the square root of the price; a little further, to cross
        price = point.price * (
            _used(point) ** 2 * factor if _used(point) > 1.0 else max(_used(point), 0.1) ** 2 / factor
        )
        other = point_of(whole(), np.array([min(max(price, LEAST_PRICE), MOST_PRICE)]), n, capacity)
        if (_used(point) > 1.0) != (_used(other) > 1.0):
            return (point, other) if _used(point) > 1.0 else (other, point)
        if not LEAST_PRICE < price < MOST_PRICE:
            end = first if _used(other) > 1.0 else other
            return end, end
        point = other
        factor = factor * factor


def _tangents_meet(low: DualPoint, high: DualPoint, capacity: float) -> tuple[float, float]:
    """Return where the tangents at the two ends meet, and their value there."""
    up, down = (_used(low) - 1.0) * capacity, (_used(high) - 1.0) * capacity
    if up - down <= 0.0:
        return low.price, max(low.value, high.value)
    span = high.price - low.price
    step = min(max((high.value - low.value - down * span) / (up - down), 0.0), span)
    return low.price + step, low.value + up * step


def _newton(point: DualPoint) -> float:
    """Return where the shares used would cross 1 if no split changed."""
    if not 0.0 < _used(point) < math.inf or float(point.elasticity[0]) > -1e-3:
        return math.nan
    return point.price * math.exp(min(max(-math.log(_used(point)) / float(point.elasticity[0]), -50.0), 50.0))


def _used(point: DualPoint) -> float:
    """Return the share of the one resource that the nodes choose."""
    return float(point.use[0])
