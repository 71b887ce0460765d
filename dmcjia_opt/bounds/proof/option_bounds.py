"""What an option adds to any plan at least, in arithmetic that rounds outward.

For prices ν, node d and option o it is

    w·fixed + Σ_k min over x of g_k(x),   g_k(x) = w·T_k(x) + ν·s_k·(λ + x),   x = μ − λ the excess service rate,

k its uses, ν the price of what use k uses. g is convex. Its tangents at two points x₁ < x₂ on either side of the
minimiser lie below it, so the height where they meet is below its minimum. The points come from closed forms; should
they be wrong, the slopes have the wrong sign and nothing is proved.

Several stages of one tandem share a wait, max(0, W_1 − W, W_2 − W, …), which is at least Σ θ_k (W_k − W) for any parts
θ ≥ 0 that sum to at most 1. So stage k may be bounded by itself, with T = (1 − θ/2)/μ + (θ/2)/x − θ·W. Which parts are
good is a matter of the search (`wait_parts`); any prove a bound.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dmcjia_opt.base.arrays import BoolArray, FloatArray, IntArray, blocks
from dmcjia_opt.bounds.proof.document import Prices
from dmcjia_opt.bounds.proof.outward import Interval, above, below
from dmcjia_opt.model.delay import TANDEM, DelayCurve, TandemCurve, series_excess
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.queues import Piece, Scv

_APART = 2.0**-24  # distance of the two tangents' points from the minimiser, relative
_BLOCK_ENTRIES = 1 << 18
_ALIKE = 1e-7
_ONE = Interval.exactly(1.0)
_NONE = Interval.exactly(0.0)

#: Value and derivative of a convex function at a point, or of one that is nowhere above it and meets it there.
_Convex = Callable[[Interval], tuple[Interval, Interval]]


def option_bounds(problem: Problem, nodes: IntArray, prices: Prices) -> FloatArray:
    """Return lower bounds on what each option of some nodes adds to any plan, s, at prices.

    Parameters
    ----------
    nodes
        (n,) which.
    prices
        (n_resources,) ν ≥ 0, s per unit share.

    Returns
    -------
    (n, n_options); +inf where the option is not allowed, −inf where nothing could be proved.
    """
    out = np.empty((len(nodes), problem.n_options))
    for rows in blocks(len(nodes), problem.n_options * problem.n_uses, _BLOCK_ENTRIES):
        with np.errstate(all="ignore"):
            out[rows] = _option_bounds(problem, nodes[rows], np.array(prices))
    return out


def _option_bounds(problem: Problem, nodes: IntArray, prices: FloatArray) -> FloatArray:
    fixed, s, wait = problem.fixed_delay[nodes], problem.service[nodes], problem.wait[nodes]
    weight, rate = problem.weight[nodes, None], problem.arrival_rate[nodes, None]
    price, scv = prices[problem.resource[nodes]], problem.arrival_scv[nodes, None] if problem.renewal else 1.0
    floor = np.maximum(below(problem.least_rate[nodes] - rate[..., None]), 0.0)
    bound = (Interval.exactly(weight) * Interval.exactly(fixed)).low
    series = _in_series(problem, s)
    for k, curve in enumerate(problem.use_curves):
        if not (price[..., k] > 0).any():
            continue  # no delay is negative
        alone = (s[..., k] > 0) & (price[..., k] > 0) & ~(series & isinstance(curve, TandemCurve))
        use = _use(curve, weight, rate, scv, np.where(alone, s[..., k], 1.0), wait, floor[..., k], price[..., k])
        bound = below(bound + np.where(alone, np.where(np.isnan(use), -np.inf, use), 0.0))
    if series.any():
        stages = [k for k, curve in enumerate(problem.use_curves) if isinstance(curve, TandemCurve)]
        row, option = np.nonzero(series)
        whose = (weight[row, 0], rate[row, 0], wait[row, option])
        tables = (table[row, option][:, stages] for table in (s, price, floor))
        bound[row, option] = below(bound[row, option] + _series(*whose, *tables))
    return np.where(np.isinf(fixed), np.inf, bound)


def _in_series(problem: Problem, s: FloatArray) -> BoolArray:
    """Return which options (n, m) have several stages of one tandem."""
    if not problem.coupled:
        return np.zeros(s.shape[:2], dtype=np.bool_)
    stages = [k for k, curve in enumerate(problem.use_curves) if isinstance(curve, TandemCurve)]
    return np.asarray((s[..., stages] > 0).sum(-1) > 1)


def _use(
    curve: DelayCurve,
    weight: FloatArray,
    rate: FloatArray,
    scv: Scv,
    s: FloatArray,
    wait: FloatArray,
    floor: FloatArray,
    price: FloatArray,
) -> FloatArray:
    """Return a lower bound on min g (see the module), the excess rate being at least `floor` ≥ 0."""
    hint = np.asarray(curve.excess_at(np.where(price > 0, price, 1.0) * s / weight, rate, wait, scv))
    waits = curve.waits(scv)
    reach = np.where(waits, 0.0, rate)  # without a wait the rate may be next to λ, and x next to nothing
    first = np.maximum(hint - _APART * (reach + hint), floor)
    last = np.maximum(hint, floor) + _APART * (reach + np.maximum(hint, floor))
    own = (Interval.exactly(weight), Interval.exactly(rate), Interval.exactly(price) * Interval.exactly(s))

    def g(x: Interval) -> tuple[Interval, Interval]:
        return _value_and_slope(curve.pieces(scv), *own, Interval.exactly(wait), x)

    return _minimum(g, first, last, (first == floor) & ((floor > 0) | ~np.asarray(waits)))


def _minimum(g: _Convex, first: FloatArray, last: FloatArray, at_floor: BoolArray) -> FloatArray:
    """Return a lower bound on the least value of a convex g; −inf or NaN where its slopes do not show one.

    `at_floor` says where `first` is the least there may be, so that the minimum may lie there.
    """
    a, slope_a = g(Interval.exactly(first))
    b, slope_b = g(Interval.exactly(last))
    apart = Interval.exactly(last) - Interval.exactly(first)
    down = _NONE - slope_a
    # the tangents meet at first + t, t = (A − B + q·h)/(p + q) with slopes −p < 0 < q
    t = (a - b + slope_b * apart).over(down + slope_b)
    met = below(a.low - (down * t).high)
    risen = slope_a.low >= 0  # already where the range begins
    between = (slope_a.high < 0) & (slope_b.low > 0)
    # at the edge of the range, where rounding hides the sign of the slope
    edge = np.minimum(below(a.low - (down * apart).high), b.low)
    bound = np.where(between, met, np.where(at_floor & (slope_b.low > 0), edge, -np.inf))
    return np.asarray(np.where(risen & at_floor, a.low, bound))


def _value_and_slope(
    pieces: tuple[Piece, ...], weight: Interval, rate: Interval, paid: Interval, wait: Interval, excess: Interval
) -> tuple[Interval, Interval]:
    """Return value and derivative at `excess` of what g is where T is its largest piece there; g is nowhere below."""
    mu = rate + excess
    largest, slope = _piece(pieces[0], rate, wait, excess, mu)
    for piece in pieces[1:]:
        value, falls = _piece(piece, rate, wait, excess, mu)
        larger = value.low > largest.low
        largest, slope = value.where(larger, largest), falls.where(larger, slope)
    return weight * largest + paid * mu, paid - weight * slope


def _piece(piece: Piece, rate: Interval, wait: Interval, x: Interval, mu: Interval) -> tuple[Interval, Interval]:
    """Return T = a/μ + b/x − relief·W with a + b = 1, and −dT/dx, from sums of terms of one sign."""
    relief = Interval.exactly(piece.relief) * wait
    if not isinstance(piece.b, float):  # each its own: 1/μ and the wait b·λ/(μx)
        waits = piece.b > 0.0
        pole, b = x.where(waits, _ONE), Interval.exactly(piece.b)
        first, wait_at = _ONE.over(mu), b * rate.over(mu).over(pole)
        slope = first.over(mu) + wait_at * (first + _ONE.over(pole))
        return first + wait_at - relief, slope
    if piece.a >= 0.0:
        pole = x if piece.b > 0.0 else _ONE  # without a pole x may be 0
        first, second = Interval.exactly(piece.a).over(mu), Interval.exactly(piece.b).over(pole)
        return first + second - relief, first.over(mu) + second.over(pole)
    part, c = rate.over(mu), Interval.exactly(-piece.a)
    value = (_ONE + c * part).over(x)
    return value - relief, (_ONE + c * part * (Interval.exactly(2.0) - part)).over(x).over(x)


def _series(
    weight: FloatArray, rate: FloatArray, wait: FloatArray, s: FloatArray, price: FloatArray, floor: FloatArray
) -> FloatArray:
    """Return a lower bound (n,) on what the stages (n, k) of a tandem delay and pay together."""
    paid = Interval.exactly(price) * Interval.exactly(s)
    theta, hint = wait_parts(weight, rate, wait, price * s, floor)
    whole = np.zeros(len(s))
    for part in theta.T:
        whole = above(whole + part)
    theta = np.where(((theta >= 0.0).all(axis=1) & (whole <= 1.0))[:, None], theta, 0.0)
    weight, rate, wait = weight[:, None], rate[:, None], wait[:, None]
    half = Interval.exactly(0.5 * theta)
    waits, relief = theta > 0, Interval.exactly(theta) * Interval.exactly(wait)

    def g(x: Interval) -> tuple[Interval, Interval]:
        mu = Interval.exactly(rate) + x
        pole = x.where(waits, _ONE)
        first, second = (_ONE - half).over(mu), half.over(pole)
        value, falls = first + second - relief, first.over(mu) + second.over(pole)
        return Interval.exactly(weight) * value + paid * mu, paid - Interval.exactly(weight) * falls

    bound = np.full(s.shape, -np.inf)
    step = _APART * (rate + hint)
    for down, up in ((_APART * hint, _APART * hint), (np.where(waits, np.minimum(step, 0.5 * hint), step), step)):
        first = np.maximum(hint - down, floor)
        found = _minimum(g, first, np.maximum(hint, floor) + up, (first == floor) & ((floor > 0) | ~waits))
        bound = np.fmax(bound, found)
    total = np.zeros(len(s))
    for one, busy in zip(bound.T, ((s > 0) & (price > 0)).T, strict=True):
        total = below(total + np.where(busy, one, 0.0))
    return total


def wait_parts(
    weight: FloatArray, rate: FloatArray, wait: FloatArray, paid: FloatArray, floor: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the parts θ in which the stages of a tandem pay for its wait, and their excess rates, as computed.

    Parameters
    ----------
    weight, rate, wait
        (n,) of the node; the wait upstream of all, s.
    paid
        (n, k) ν·s of each stage; 0 where it costs nothing.
    floor
        (n, k) least excess rates, 1/s.

    Notes
    -----
    The stages that are the longest together, all as fast as the slowest has to be, pay for what the wait exceeds the
    one upstream: each the part that makes its rate its own best one, all of them the whole of it, or less where the
    wait upstream is just not exceeded.
    """
    share = paid / weight[:, None]
    limits = np.where(paid > 0, floor, -np.inf)
    excess = series_excess(share.T, limits.T, rate, wait).T
    x = excess.min(axis=1)
    crossing = np.asarray(TANDEM.crossing(rate, wait))
    service = 1.0 / (rate + x)[:, None]
    longest = (excess <= x[:, None] * (1.0 + _ALIKE)) & (x <= crossing)[:, None]
    theta = 2.0 * (share - service**2) / (1.0 / (x * x)[:, None] - service**2)
    theta = np.where(longest, np.maximum(theta, 0.0), 0.0)
    held = longest & (floor >= x[:, None] * (1.0 - _ALIKE))  # by their floors, so that they pay what is left
    left = np.maximum(1.0 - np.where(held, 0.0, theta).sum(axis=1), 0.0)
    theirs = np.where(held, theta, 0.0).sum(axis=1)
    theta = np.where(held, theta * np.minimum(1.0, left / np.where(theirs > 0, theirs, 1.0))[:, None], theta)
    total = theta.sum(axis=1)
    total = np.where((x < crossing) & (total > 0), total, np.maximum(total, 1.0))
    return np.nan_to_num(theta * ((1.0 - 2.0**-48) / total)[:, None], nan=0.0, posinf=0.0), excess
