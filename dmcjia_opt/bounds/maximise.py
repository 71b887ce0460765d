"""The largest value of the dual: for one resource a bracket that closes in, for several all prices at once.

For one resource the maximum is where the shares that the nodes choose cross 1. Whole tables are only needed until the
price is bracketed: inside a bracket most options of most nodes can be ruled out, and later passes touch only what is
left.

For several, every price moves at once, by the square of its use, as if shares fell as the square root of their price;
where that overshoots, the move is damped. Once no options change, Newton's method takes over. A few prices are then
polished by cutting planes (`bundle`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

import numpy as np

from dmcjia_opt.base.arrays import EPS, FloatArray, IntArray
from dmcjia_opt.bounds.bundle import climb
from dmcjia_opt.bounds.columns import Columns, all_columns, columns
from dmcjia_opt.bounds.crowds import PartedCrowd, Tables
from dmcjia_opt.bounds.dual import LEAST_PRICE, MOST_PRICE, DualPoint, point_of
from dmcjia_opt.model.problem import Problem

SAMPLE = 2048  # nodes from which the price of a larger fleet is guessed
_SAMPLED, _LOOKS = 1.1, 6  # factor within which a sample tells a price, and how often it is looked for farther away
_MAX_PASSES = 300
_LITTLE, _STALLED = 1e-8, 3  # relative gain that counts as little, and after how many of those passes end
_FARTHEST_MOVE, _FLAT = 1.6, -0.05  # on log axes: how far a price moves at once, and the least slope to believe
_TOLD = 0.1  # of a move: how near to what it was to do it came, if no options changed
_NOTHING, _ABOUT = 1e-15, 1e-5  # of the dual: what is nothing to gain, and what is left where prices are about the best
_LARGE, _SETTLED, _ROOM = 1 << 18, 0.1, 8.0  # when options are ruled out: table entries, last move, times that
_MOST_POLISHED, _MOST_NODES_POLISHED = 64, 5000
_KEPT = 16
_BEYOND = 0.1  # of the nearer end's error: how far beyond 1 the next price is to be where the other end is far off

C = TypeVar("C", Tables, PartedCrowd)
_NEAR, _CLOSE = 1.05, 1.001  # factors: within which a price that is near is looked for, and to cross where it is


def several(problem: Problem, *, near: FloatArray | None = None, passes: int = 40) -> list[DualPoint]:
    """Maximise the dual of several resources about; return the best points met, the best first.

    Parameters
    ----------
    problem
        A problem for which `loads.least_load` is below 1.
    near
        (n_resources,) prices that are not far off, where some are known.
    passes
        Passes in which all prices move at once.
    """
    n = problem.n_nodes
    whole = Tables(partial(all_columns, problem), n)
    prices = guesses(all_columns(problem), problem.n_resources) if near is None else near
    points = all_at_once(whole, prices, narrow=n * problem.n_options > _LARGE, passes=passes)[1]
    return polished(problem, points, tolerance=_ABOUT)


def all_at_once(crowd: C, prices: FloatArray, *, narrow: bool, passes: int = 40) -> tuple[C, list[DualPoint]]:
    """Maximise the dual of several resources by moving all prices at once.

    Parameters
    ----------
    crowd, prices
        Who is asked, and (n_resources,) where to begin, s per unit share.
    narrow
        Rule out what will not be chosen once the prices hardly move.
    passes
        How often the crowd is asked at most.

    Returns
    -------
    The crowd with what may be chosen at the last prices, and the points met, the best first.
    """
    whole, left = crowd, crowd
    prices = np.clip(prices, LEAST_PRICE, MOST_PRICE)
    damp, last, went = np.ones_like(prices), np.zeros_like(prices), np.zeros_like(prices)
    expected = np.full_like(prices, np.inf)
    points: list[DualPoint] = []
    best, stalled = -math.inf, 0
    for step in range(passes):
        point = left.ask(prices)
        points.append(point)
        gained = point.value - best
        stalled = stalled + 1 if gained <= _LITTLE * abs(point.value) else 0
        best = max(best, point.value)
        if stalled >= _STALLED or _left(point) <= _NOTHING * abs(point.value):
            break
        off = np.log(np.maximum(point.use, 1e-9))
        slope = np.where(point.elasticity < _FLAT, np.minimum(point.elasticity, _FLAT), -0.5)
        told = bool((np.abs(off - expected) <= _TOLD * went).all())  # no options changed that matter
        move = np.clip((-1.0 / slope if told else 2.0) * off, -_FARTHEST_MOVE, _FARTHEST_MOVE)
        damp = 2.0 * damp if told else np.where(move * last < 0.0, 0.5 * damp, 1.1 * damp)
        damp = np.minimum(damp, 1.0)
        last, went = move, np.abs(slope * move * damp)
        expected = off + slope * move * damp
        prices = np.clip(prices * np.exp(move * damp), LEAST_PRICE, MOST_PRICE)
        moved = float(np.abs(move * damp).max())
        if left is whole and narrow and step > 4 and moved < _SETTLED:
            box = math.exp(_ROOM * moved)
            low, high = prices / box, prices * box
            left = whole.between(low, high)
        elif left is not whole and not ((prices >= low) & (prices <= high)).all():
            left = whole
    points.sort(key=lambda found: -found.value)
    return left, points


def _left(point: DualPoint) -> float:
    """Return about how far the dual rises beyond a point where it is smooth, s."""
    off = np.abs(point.use - 1.0)
    return float((point.prices * off) @ np.minimum(2.0 * off, 1.0))


def polished(
    problem: Problem, points: Sequence[DualPoint], *, tolerance: float = 1e-13, calls: int = 120
) -> list[DualPoint]:
    """Return points nearer to the maximum of the dual of several resources, the best first.

    They are found by cutting planes from the best one, where that is at a kink and there are no more than 64 resources.

    Parameters
    ----------
    problem, points
        What `several` got and returned.
    tolerance
        What may be left to gain, relative to the dual.
    calls
        How often the dual is asked for at most.
    """
    few = problem.n_resources <= _MOST_POLISHED and problem.n_nodes <= _MOST_NODES_POLISHED
    if not few or _left(points[0]) <= _NOTHING * abs(points[0].value):
        return list(points[:_KEPT])
    start, whole = points[0].prices, list(all_columns(problem))

    def ask(prices: FloatArray) -> DualPoint:
        return point_of(whole, np.clip(prices, LEAST_PRICE, MOST_PRICE), problem.n_nodes, elastic=False)

    summit = climb(ask, points, 0.05 * start, np.zeros_like(start), tolerance=tolerance, steps=calls)
    return sorted(summit.points, key=lambda point: -point.value)[:_KEPT]


def guesses(whole: Iterable[Columns], n_resources: int) -> FloatArray:
    """Return the order of magnitude of every price if each node spread its work over all that it may use."""
    return roots_of(whole, n_resources) ** 2


def roots_of(whole: Iterable[Columns], n_resources: int) -> FloatArray:
    """Return the square roots of what `guesses` does, which add up over parts of a fleet."""
    total = np.zeros(n_resources)
    for block in whole:
        allowed = np.isfinite(block.local)
        for use in block.uses:
            root = np.sqrt(np.where(allowed & (use.s > 0), use.s, 0.0) * block.weight)
            index = np.zeros(root.shape, dtype=np.int64) if use.resource is None else use.resource
            total += np.bincount(index.ravel(), root.ravel(), n_resources) / root.shape[1]
    return total


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
    whole = Tables(partial(all_columns, problem), n)
    if near is not None and (found := _around(whole, near, tolerance)) is not None:
        return found
    if n <= SAMPLE:
        return _maximise(Tables(list(all_columns(problem)).__iter__, n), _guess(problem), 1.5, tolerance)
    rows = np.linspace(0, n - 1, SAMPLE).astype(np.int64)
    sample = replace(columns(problem, rows), rows=np.arange(SAMPLE))
    part = SAMPLE / n
    low, high = _maximise(Tables([sample].__iter__, SAMPLE, part), _guess(problem, rows) / part**2, 1.5, 1e-9)
    if low.price <= 0.0:
        return _maximise(whole, _guess(problem), 1.5, tolerance)
    return _maximise(whole, math.sqrt(low.price * high.price), 1.02, tolerance)


def guessed(sample: Sequence[Problem], part: float) -> float:
    """Return the best price of one resource as far as some nodes of a fleet tell; 0 where it is free.

    Parameters
    ----------
    sample
        The problems of some of its nodes, whose weights are those in the whole fleet.
    part
        Which part of all nodes they are.
    """
    groups, n = [], 0
    for problem in sample:
        groups.append(replace(columns(problem, slice(None)), rows=n + np.arange(problem.n_nodes)))
        n += problem.n_nodes
    root = sum(float(roots_of([group], 1)[0]) for group in groups)
    low, high = _maximise(Tables(groups.__iter__, n, part), root**2 / part**2, 1.5, 1e-9)
    return _tangents_meet(low, high, part)[0]


def around(
    crowd: PartedCrowd, near: float, tolerance: float = 1e-12
) -> tuple[PartedCrowd, DualPoint, DualPoint] | None:
    """Maximise the dual of one resource whose best price is near to one, within a factor of about 1.1.

    Returns
    -------
    The crowd with what may be chosen there, and points as from `between`; None if there is no such price in sight.
    """
    width = _SAMPLED
    for _ in range(_LOOKS):
        left, low, high = crowd.ends(np.array([near / width]), np.array([near * width]))
        if _used(low) >= 1.0 >= _used(high):
            return _closed_in(left, low, high, 1.0, tolerance, smooth=True)
        end = high if _used(high) > 1.0 else low
        if not (0.0 < _used(end) < math.inf and LEAST_PRICE < near < MOST_PRICE):
            return None
        near, width = end.price * _used(end) ** 2, width * width
    return None


def _around(crowd: Tables, near: float, tolerance: float) -> tuple[DualPoint, DualPoint] | None:
    """Return what `between` does if that is near a price; None if it is not."""
    ends = np.array([near / _NEAR]), np.array([near * _NEAR])
    if not (ends[0] >= LEAST_PRICE and ends[1] <= MOST_PRICE):
        return None
    groups = [group for block in crowd.groups() for group in block.inside(*ends)]
    left = replace(crowd, groups=groups.__iter__)
    low, high = _bracket(left, near, _CLOSE)
    if not ends[0] <= low.price < high.price <= ends[1]:
        return None
    return _closed_in(left.between(low.prices, high.prices), low, high, 1.0, tolerance)[1:]


def _guess(problem: Problem, rows: slice | IntArray = slice(None)) -> float:
    """Return the order of magnitude of the price if every node sent all its work and the cloud had room."""
    s = np.where(np.isfinite(problem.fixed_delay[rows])[..., None], problem.service[rows], 0.0).max(axis=(1, 2))
    return max(float(np.sqrt(problem.weight[rows] * s).sum()) ** 2, LEAST_PRICE)


def _maximise(crowd: Tables, guess: float, factor: float, tolerance: float) -> tuple[DualPoint, DualPoint]:
    """Bracket the price around `guess`, then close in on what is left (see `between`).

    Two tangents meet above the maximum: how far above the best value so far is how much is left to gain, and where
    they meet is the next price, which is quick where splits change. In turn with that a Newton step on log axes,
    which is quick where they do not; and the middle of the bracket when neither has shrunk it enough.
    """
    free = crowd.ask(np.zeros(1))
    if _used(free) <= 1.0:
        return free, free
    low, high = _bracket(crowd, guess, factor)
    left = crowd.between(low.prices, high.prices)
    return _closed_in(left, low, high, crowd.capacity, tolerance)[1:]


def _closed_in(
    crowd: C, low: DualPoint, high: DualPoint, capacity: float, tolerance: float, *, smooth: bool = False
) -> tuple[C, DualPoint, DualPoint]:
    """Close in on the price in a bracket; the `crowd` has what may be chosen inside it (see `_maximise`).

    Where so many nodes change their options that use is a `smooth` function of the price, the secant on log axes takes
    the place of Newton's step, which knows of no changes.
    """
    ruled, width = high.price - low.price, high.price - low.price
    for step in range(_MAX_PASSES):
        best = max(low.value, high.value)
        price, ceiling = _tangents_meet(low, high, capacity)
        if ceiling - best <= tolerance * max(low.magnitude, high.magnitude) or high.price <= low.price * (1 + 2 * EPS):
            break
        span = high.price - low.price
        newton = _secant(low, high) if smooth else _newton(low if _used(low) - 1.0 < 1.0 - _used(high) else high)
        if (smooth or step % 2 == 0) and step % 4 != 3 and low.price < newton < high.price:
            price = newton
        if step % 4 == 3:
            if span > 0.1 * width:
                price = math.sqrt(low.price * high.price)
            width = span
        if not low.price < price < high.price:
            price = math.sqrt(low.price * high.price)
        if span < 0.1 * ruled and not smooth:
            crowd, ruled = crowd.between(low.prices, high.prices), span
        point = crowd.ask(np.array([price]))
        if _used(point) >= 1.0:
            low = point
        if _used(point) <= 1.0:
            high = point
    return crowd, low, high


def _bracket(crowd: Tables, guess: float, factor: float) -> tuple[DualPoint, DualPoint]:
    point = first = crowd.ask(np.array([guess]))
    while True:
        # the shares used fall about as the square root of the price; a little further, to cross
        price = point.price * (
            _used(point) ** 2 * factor if _used(point) > 1.0 else max(_used(point), 0.1) ** 2 / factor
        )
        other = crowd.ask(np.array([min(max(price, LEAST_PRICE), MOST_PRICE)]))
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


def _secant(low: DualPoint, high: DualPoint) -> float:
    """Return where the shares used would cross 1 on a straight line between two ends, on log axes.

    Where one of them is much nearer to 1, a little beyond: the other one is to come near too.
    """
    if not 0.0 < _used(high) < 1.0 < _used(low) < math.inf:
        return math.nan
    up, down = math.log(_used(low)), math.log(_used(high))
    nearer, farther = sorted((up, down), key=abs)
    goal = -_BEYOND * nearer if abs(farther) > abs(nearer) / _BEYOND else 0.0
    return low.price * math.exp((up - goal) / (up - down) * math.log(high.price / low.price))


def _used(point: DualPoint) -> float:
    """Return the share of the one resource that the nodes choose."""
    return float(point.use[0])
