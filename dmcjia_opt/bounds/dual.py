"""The Lagrangian dual: a price for each resource, one small minimum a node.

For any prices ν ≥ 0 of the resources (s per unit share), weak duality gives

    L(ν) = Σ_d min_o [ w·fixed + Σ_k min_x ( w·T(x) + ν_r·s·(λ + x) ) ] − Σ_r ν_r   ≤   optimum,

k the uses of option o, r what use k uses, x its excess service rate. L is concave, and its supergradient is Σ shares
− 1 of each resource: maximising it for one resource is finding where the shares that the nodes choose cross 1. Whole
tables are only needed until the price is bracketed: inside a bracket most options of most nodes can be ruled out, and
later passes touch only what is left.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from dmcjia_opt.base.arrays import EPS, BoolArray, FloatArray, IntArray, blocks, constant, over_uses
from dmcjia_opt.base.limits import FARTHEST
from dmcjia_opt.model.delay import DelayCurve
from dmcjia_opt.model.problem import Problem

#: Prices, s per unit share, between which the dual is evaluated; the best price of any sensible problem is.
LEAST_PRICE, MOST_PRICE = 1.0 / FARTHEST, FARTHEST
_BLOCK = 1 << 16  # table entries priced at a time: temporaries stay in cache, and memory small on large fleets
_SAMPLE = 2048  # nodes from which the price of a larger fleet is guessed
_TOGETHER = 256  # up to so many nodes, those with one split left are not worth a group of their own
_MAX_PASSES = 300
_EXACT_SUM = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class DualPoint:
    """The dual function at one vector of prices.

    Parameters
    ----------
    prices
        (n_resources,) ν, s per unit share.
    value
        L(ν), s, as computed; `certificate.lower_bound` subtracts what rounding may have added.
    use
        Σ of the shares of the one resource that the nodes choose; the supergradient of L is ``use − 1``.
    magnitude
        Sum of absolute terms in `value`, the scale of its rounding error.
    elasticity
        d log use / d log ν where the minimising splits stay the same, between −1 and 0.
    splits
        (n_nodes,) minimising splits.
    """

    prices: FloatArray
    value: float
    use: float
    magnitude: float
    elasticity: float
    splits: IntArray

    @property
    def price(self) -> float:
        """The price of the one resource there is."""
        return float(self.prices[0])


@dataclass(frozen=True, slots=True, eq=False)
class _Columns:
    """Candidate options of some nodes, (n, k) or (n, k, n_uses) each; padded with cost +inf."""

    curve: DelayCurve
    rows: IntArray  # (n,) which nodes
    split: IntArray
    local: FloatArray  # w·local delay
    s: FloatArray
    ratio: FloatArray  # s/w, 1 where nothing is used
    busy: FloatArray  # w where something is used, else 0
    rate: FloatArray  # (n, 1, 1)
    floor: FloatArray  # least excess rate
    wait: FloatArray  # paid upstream

    @property
    def open(self) -> bool:
        return bool(self.split.shape[1] > 1)

    def priced(self, price: float) -> tuple[FloatArray, FloatArray]:
        """Return cost (n, k) and shares (n, k, n_uses)."""
        if price <= 0.0:
            return self.local, np.where(self.s > 0, np.inf, 0.0)
        excess = above(self.floor, self.curve.excess_at(price * self.ratio, self.rate, self.wait))
        share = self.s * (self.rate + excess)
        delay = self.busy * self.curve.delay(excess, self.rate, self.wait)
        return added(self.local, delay, price * share), share

    def at(self, price: float) -> tuple[FloatArray, FloatArray, IntArray]:
        """Return least cost (n,), share (n,) and index (n, 1) of the minimiser of each node."""
        cost, share = self.priced(price)
        choice = cost.argmin(axis=1)[:, None]
        used = over_uses(share)
        return np.take_along_axis(cost, choice, 1)[:, 0], np.take_along_axis(used, choice, 1)[:, 0], choice

    def response(self, price: float, choice: IntArray) -> float:
        """Return Σ −dδ/dν of the chosen splits at a price > 0."""
        rows = np.arange(len(choice))[:, None], choice
        s, ratio = self.s[rows], self.ratio[rows]
        wait, floor = (t[rows] if t.strides[0] else t[:1, :1] for t in (self.wait, self.floor))
        excess = self.curve.excess_at(price * ratio, self.rate, wait)
        on = (s > 0) & (excess > floor * (1 + 1e-9))
        with np.errstate(over="ignore", divide="ignore"):
            return float(np.where(on, s * ratio / self.curve.curvature(excess, self.rate, wait), 0.0).sum())

    def inside(self, low: float, high: float) -> list[_Columns]:
        """Return what may be chosen at some price in [low, high], in two groups: one split left, or more.

        Costs are concave in the price, so on the bracket each lies above its chord; the two minimisers at its ends
        lie below their tangents there. A split whose chord is above both tangents where they meet, and at both
        ends, is never chosen inside.
        """
        span = high - low
        (cost_l, share_l), (cost_h, share_h) = self.priced(low), self.priced(high)
        share_l, share_h = over_uses(share_l), over_uses(share_h)
        index = np.arange(len(self.rows))
        at_l, at_h = cost_l.argmin(axis=1), cost_h.argmin(axis=1)
        best_l, best_h = cost_l[index, at_l], cost_h[index, at_h]
        up, down = share_l[index, at_l], share_h[index, at_h]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            meet = np.where(up - down > 0, (best_h - best_l - down * span) / ((up - down) * span), 0.0)
            part = np.nan_to_num(np.clip(meet, 0.0, 1.0), nan=0.0)[:, None]
            chord = cost_l + part * (cost_h - cost_l)
        ceiling = np.minimum(
            best_l[:, None] + up[:, None] * span * part, best_h[:, None] - down[:, None] * span * (1 - part)
        )
        slack = 64 * EPS * (np.abs(best_l) + np.abs(best_h))[:, None]
        keep = ~((chord > ceiling + slack) & (cost_l > best_l[:, None] + slack) & (cost_h > best_h[:, None] + slack))
        keep &= np.isfinite(cost_l)
        keep[index, at_l] = keep[index, at_h] = True
        count = keep.sum(axis=1)
        groups = (count == 1, count > 1) if len(count) > _TOGETHER else (count > 0,)
        return [self._kept(keep, np.flatnonzero(few), int(count[few].max())) for few in groups if few.any()]

    def _kept(self, keep: BoolArray, rows: IntArray, k: int) -> _Columns:
        keep = keep[rows]
        order = np.argsort(~keep, axis=1, kind="stable")[:, :k]
        at = rows[:, None], order
        local = self.local[at]
        local[~np.take_along_axis(keep, order, 1)] = np.inf
        same = (*order.shape, 1)  # of a table that is a constant
        rest = (t[at] if t.strides[0] else np.broadcast_to(t[:1, :1], same) for t in (self.floor, self.wait))
        chosen = (self.split[at], local, self.s[at], self.ratio[at], self.busy[at])
        return _Columns(self.curve, self.rows[rows], *chosen, self.rate[rows], *rest)


def _columns(problem: Problem, rows: slice | IntArray) -> _Columns:
    s = problem.service[rows]
    weight = problem.weight[rows, None, None]
    rate = problem.arrival_rate[rows, None, None]
    on = s > 0
    index = np.arange(problem.n_nodes)[rows]
    return _Columns(
        problem.curve,
        index,
        np.broadcast_to(np.arange(problem.n_options), s.shape[:2]),
        weight[:, :, 0] * problem.fixed_delay[rows],
        s,
        np.where(on, s / weight, 1.0),
        np.where(on, weight, 0.0),
        rate,
        problem.least_rate[rows] - rate if problem.ordered else constant(-np.inf, s.shape),
        problem.wait[rows][..., None],
    )


def _blocks(problem: Problem) -> Iterator[_Columns]:
    for rows in blocks(problem.n_nodes, problem.n_options, _BLOCK):
        yield _columns(problem, rows)


def above(floor: FloatArray, excess: FloatArray) -> FloatArray:
    """Return excess rates, raised to their floors where there are any."""
    return excess if floor.strides[0] == 0 else np.maximum(excess, floor)


def added(fixed: FloatArray, delay: FloatArray, paid: FloatArray) -> FloatArray:
    """Return what an option costs (...,) from what its uses (..., n_uses) delay and pay, added into `delay`."""
    cost: FloatArray = delay[..., 0]
    cost += fixed
    cost += paid[..., 0]
    for k in range(1, delay.shape[-1]):
        cost += delay[..., k]
        cost += paid[..., k]
    return cost


def priced(problem: Problem, price: float, rows: slice | IntArray = slice(None)) -> tuple[FloatArray, FloatArray]:
    """Return cost and shares of every option at a price.

    Parameters
    ----------
    problem
        The compiled problem.
    price
        ν ≥ 0, s per unit share.
    rows
        Which nodes.

    Returns
    -------
    cost, share
        (n_rows, n_options) w·(fixed + T) + ν·δ in s, and (n_rows, n_options, n_uses) the shares δ that attain it;
        cost is +inf where the option is not allowed.
    """
    return _columns(problem, rows).priced(price)


def dual_point(problem: Problem, price: float) -> DualPoint:
    """Return the dual function at `price` ≥ 0; at 0 every node takes its least local delay."""
    return _point(_blocks(problem), price, problem.n_nodes)


def _point(groups: Iterable[_Columns], price: float, n: int, capacity: float = 1.0) -> DualPoint:
    splits = np.empty(n, dtype=np.int64)
    best, used, response = np.empty(n), 0.0, 0.0
    for group in groups:
        cost, share, choice = group.at(price)
        best[group.rows] = cost
        used += float(share.sum())
        splits[group.rows] = np.take_along_axis(group.split, choice, 1)[:, 0]
        if price > 0.0:
            response += group.response(price, choice)
    paid = price * capacity
    total = math.fsum(best) if n <= _EXACT_SUM else float(best.sum())
    elasticity = -price * response / used if 0.0 < used < np.inf and response < np.inf else 0.0
    magnitude = float(np.abs(best).sum()) + paid
    return DualPoint(np.array([price]), total - paid, used / capacity, magnitude, elasticity, splits)


def split_costs(problem: Problem, nodes: IntArray, splits: IntArray, price: FloatArray) -> FloatArray:
    """Return what given splits of given nodes cost at given prices, s: w·(fixed + T) + ν·δ at the best share δ.

    `nodes`, `splits` and `price` (> 0, s per unit share) broadcast against each other; so does the result.
    """
    s, weight, rate = problem.service[nodes, splits], problem.weight[nodes], problem.arrival_rate[nodes][..., None]
    wait, price = problem.wait[nodes, splits][..., None], np.asarray(price)[..., None]
    busy = s > 0
    excess = problem.curve.excess_at(np.where(busy, price * s / weight[..., None], 1.0), rate, wait)
    if problem.ordered:
        excess = np.maximum(excess, problem.least_rate[nodes, splits] - rate)
    cloud = weight[..., None] * problem.curve.delay(excess, rate, wait) + price * s * (rate + excess)
    return np.asarray(weight * problem.fixed_delay[nodes, splits] + over_uses(np.where(busy, cloud, 0.0)))


def fixed_dual(problem: Problem, splits: IntArray, prices: FloatArray) -> FloatArray:
    """Return a lower bound, s, on the mean delay of given splits whatever the shares, as computed.

    Parameters
    ----------
    splits
        (n_plans, n_nodes).
    prices
        (n_plans, n_resources) > 0, any prices, s per unit share.
    """
    costs = split_costs(problem, np.arange(problem.n_nodes), splits, prices)
    return np.asarray(costs.sum(-1) - prices[:, 0])


def least_load(problem: Problem) -> float:
    """Return the least total share that any choice of splits needs; a plan exists only if it is below 1."""
    return sum(float(part.sum()) for part in _least_shares(problem))


def least_shares(problem: Problem) -> FloatArray:
    """Return the least share that any split of each node needs, (n_nodes,); +inf where none is stable."""
    return np.concatenate(list(_least_shares(problem)))


def _least_shares(problem: Problem) -> Iterator[FloatArray]:
    for block in _blocks(problem):
        rate = block.rate if block.floor.strides[0] == 0 else block.rate + np.maximum(block.floor, 0.0)
        yield np.where(np.isfinite(block.local), over_uses(rate * block.s), np.inf).min(axis=1)


def maximise(problem: Problem, *, tolerance: float = 1e-14) -> tuple[DualPoint, DualPoint]:
    """Maximise the dual.

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
    n = problem.n_nodes
    whole = partial(_blocks, problem)
    if n <= _SAMPLE:
        return _maximise(list(_blocks(problem)).__iter__, n, 1.0, _guess(problem), 1.5, tolerance)
    rows = np.linspace(0, n - 1, _SAMPLE).astype(np.int64)
    sample = replace(_columns(problem, rows), rows=np.arange(_SAMPLE))
    part = _SAMPLE / n
    low, high = _maximise([sample].__iter__, _SAMPLE, part, _guess(problem, rows) / part**2, 1.5, 1e-9)
    if low.price <= 0.0:
        return _maximise(whole, n, 1.0, _guess(problem), 1.5, tolerance)
    return _maximise(whole, n, 1.0, math.sqrt(low.price * high.price), 1.02, tolerance)


def _guess(problem: Problem, rows: slice | IntArray = slice(None)) -> float:
    """Return the order of magnitude of the price if every node sent all its work and the cloud had room."""
    s = np.where(np.isfinite(problem.fixed_delay[rows])[..., None], problem.service[rows], 0.0).max(axis=(1, 2))
    return max(float(np.sqrt(problem.weight[rows] * s).sum()) ** 2, LEAST_PRICE)


def _maximise(
    whole: Callable[[], Iterator[_Columns]], n: int, capacity: float, guess: float, factor: float, tolerance: float
) -> tuple[DualPoint, DualPoint]:
    """Bracket the price around `guess`, then close in on what is left (see `maximise`).

    Two tangents meet above the maximum: how far above the best value so far is how much is left to gain, and where
    they meet is the next price, which is quick where splits change. In turn with that a Newton step on log axes,
    which is quick where they do not; and the middle of the bracket when neither has shrunk it enough.
    """
    free = _point(whole(), 0.0, n, capacity)
    if free.use <= 1.0:
        return free, free
    low, high = _bracket(whole, n, capacity, guess, factor)
    groups = [group for block in whole() for group in block.inside(low.price, high.price)]
    ruled, width = high.price - low.price, high.price - low.price
    for step in range(_MAX_PASSES):
        best = max(low.value, high.value)
        price, ceiling = _tangents_meet(low, high, capacity)
        if ceiling - best <= tolerance * max(low.magnitude, high.magnitude) or high.price <= low.price * (1 + 2 * EPS):
            break
        span = high.price - low.price
        newton = _newton(low if low.use - 1.0 < 1.0 - high.use else high)
        if step % 2 == 0 and low.price < newton < high.price:
            price = newton
        if step % 4 == 3:
            if span > 0.1 * width:
                price = math.sqrt(low.price * high.price)
            width = span
        if not low.price < price < high.price:
            price = math.sqrt(low.price * high.price)
        if span < 0.1 * ruled:
            groups = [g for group in groups for g in (group.inside(low.price, high.price) if group.open else [group])]
            ruled = span
        point = _point(groups, price, n, capacity)
        if point.use >= 1.0:
            low = point
        if point.use <= 1.0:
            high = point
    return low, high


def _bracket(
    whole: Callable[[], Iterator[_Columns]], n: int, capacity: float, guess: float, factor: float
) -> tuple[DualPoint, DualPoint]:
    point = first = _point(whole(), guess, n, capacity)
    while True:
        # the shares used fall about as the square root of the price; a little further, to cross
        price = point.price * (point.use**2 * factor if point.use > 1.0 else max(point.use, 0.1) ** 2 / factor)
        other = _point(whole(), min(max(price, LEAST_PRICE), MOST_PRICE), n, capacity)
        if (point.use > 1.0) != (other.use > 1.0):
            return (point, other) if point.use > 1.0 else (other, point)
        if not LEAST_PRICE < price < MOST_PRICE:
            end = first if other.use > 1.0 else other
            return end, end
        point = other
        factor = factor * factor


def _tangents_meet(low: DualPoint, high: DualPoint, capacity: float) -> tuple[float, float]:
    """Return where the tangents at the two ends meet, and their value there."""
    up, down = (low.use - 1.0) * capacity, (high.use - 1.0) * capacity
    if up - down <= 0.0:
        return low.price, max(low.value, high.value)
    span = high.price - low.price
    step = min(max((high.value - low.value - down * span) / (up - down), 0.0), span)
    return low.price + step, low.value + up * step


def _newton(point: DualPoint) -> float:
    """Return where the shares used would cross 1 if no split changed."""
    if not 0.0 < point.use < math.inf or point.elasticity > -1e-3:
        return math.nan
    return point.price * math.exp(min(max(-math.log(point.use) / point.elasticity, -50.0), 50.0))
