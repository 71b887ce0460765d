"""What options do at given prices: the best rates of their uses, and the weight at which a deadline is kept.

At prices ν an option of weight w takes the rates where one more unit of rate saves as much as it costs. A stage of a
tandem looks at the other stages too. With a deadline over several uses the same rates are right for a larger weight,
the least at which the delay keeps it: w plus the multiplier η ≥ 0 of the deadline. Whatever η is, by weak duality

    (w + η)·(fixed + Σ T) + Σ ν·δ − η·deadline   ≤   the least of w·(fixed + Σ T) + Σ ν·δ that keeps the deadline.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dmcjia_opt.base.arrays import AnyArray, BoolArray, FloatArray, iterate, namespace
from dmcjia_opt.base.roots import falling_root
from dmcjia_opt.model.delay import DelayCurve, TandemCurve, series_excess
from dmcjia_opt.model.queues import Scv

_FARTHEST = 690.0  # natural logarithm of how far a weight may be from its first guess, in whole
_WIDER = 8.0  # by how much more of that logarithm is looked at next
_CLOSE = 1e-13  # of the room: by how much less than that a delay may be


def best_rates(
    curves: Sequence[DelayCurve],
    marginals: Sequence[FloatArray],
    busy: Sequence[BoolArray],
    floors: Sequence[FloatArray],
    rate: FloatArray,
    wait: FloatArray,
    scv: Scv,
    *,
    coupled: bool,
) -> list[FloatArray]:
    """Return the excess rates, 1/s, that uses take where a unit of rate costs `marginals`, s², per unit of weight.

    All arrays broadcast against each other. `marginals` are > 0, `floors` least excess rates, and only where a use is
    `busy` does its answer mean anything.
    """
    found: list[FloatArray] = []
    stages = [k for k, curve in enumerate(curves) if isinstance(curve, TandemCurve)] if coupled else []
    for k, (curve, marginal, floor) in enumerate(zip(curves, marginals, floors, strict=True)):
        if k in stages:
            found.append(rate)
            continue
        excess = curve.excess_at(marginal, rate, wait, scv)
        none = isinstance(floor, np.ndarray) and floor.ndim and floor.strides[0] == 0
        found.append(excess if none else namespace(excess, floor).maximum(excess, floor))
    if stages:
        xp = namespace(rate, wait, scv, *marginals, *busy, *floors)
        shape = np.broadcast_shapes(np.shape(rate), np.shape(wait), *(np.shape(marginals[k]) for k in stages))
        on = xp.stack([xp.broadcast_to(busy[k], shape) for k in stages])
        c = xp.where(on, xp.stack([xp.broadcast_to(marginals[k], shape) for k in stages]), 0.0)
        least = xp.where(on, xp.stack([xp.broadcast_to(floors[k], shape) for k in stages]), -np.inf)
        (curve,) = {curve for curve in curves if isinstance(curve, TandemCurve)}
        series = series_excess(c, least, rate, wait, curve, scv)
        for k, excess, used in zip(stages, series, on, strict=True):
            found[k] = xp.where(used, excess, 1.0)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """Uses of some options, and what they cost; arrays of all uses broadcast against each other.

    Parameters
    ----------
    curves
        Delay curve of each use.
    s, price, floor
        For each use its service time at full share, s, 0 where there is none; ν, s per unit share; and the least
        excess rate, −inf where there is none.
    rate, wait, scv
        Arrival rate, 1/s, the wait upstream, s, and c_a² of the gaps.
    coupled
        Whether stages of one tandem are shared together.
    """

    curves: tuple[DelayCurve, ...]
    s: tuple[FloatArray, ...]
    price: tuple[FloatArray, ...]
    floor: tuple[FloatArray, ...]
    rate: FloatArray
    wait: FloatArray
    scv: Scv
    coupled: bool

    def only(self, index: Any, shape: tuple[int, ...] | None = None) -> Asked:  # noqa: ANN401 - any index of an array
        """Return the uses at an index of arrays that are broadcast to `shape` before."""

        def part(values: FloatArray) -> FloatArray:
            return np.asarray((values if shape is None else np.broadcast_to(values, shape))[index])

        scv = self.scv if isinstance(self.scv, float) else part(self.scv)
        s, price, floor = (tuple(map(part, tables)) for tables in (self.s, self.price, self.floor))
        return Asked(self.curves, s, price, floor, part(self.rate), part(self.wait), scv, self.coupled)

    def at(self, weight: FloatArray) -> tuple[list[FloatArray], list[FloatArray]]:
        """Return shares and delays, s, of each use where the delay counts `weight`.

        What is free is used without limit and takes no time; what is not used has share and delay 0.
        """
        xp = namespace(weight, self.rate, self.wait, self.scv, *self.s, *self.price, *self.floor)
        uses = list(zip(self.curves, self.s, self.price, strict=True))
        busy = [(s > 0) & (price > 0) for _, s, price in uses]
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            marginals = [xp.where(on, price * s / weight, 1.0) for on, (_, s, price) in zip(busy, uses, strict=True)]
            excess = best_rates(
                self.curves, marginals, busy, self.floor, self.rate, self.wait, self.scv, coupled=self.coupled
            )
            shares, delays, wait = [], [], self.wait
            for (curve, s, _), on, x in zip(uses, busy, excess, strict=True):
                delays.append(xp.where(on, curve.delay(x, self.rate, wait, self.scv), 0.0))
                shares.append(xp.where(on, s * (self.rate + x), xp.where(s > 0, np.inf, 0.0)))
                if self.coupled and isinstance(curve, TandemCurve):
                    wait = xp.where(on, xp.maximum(wait, curve.waited(x, self.rate, self.scv)), wait)
        return shares, delays

    def within(self, room: FloatArray, weight: FloatArray) -> FloatArray:
        """Return the least weights, at least `weight` ≥ 0, at which the delay is no more than `room` > 0, s.

        All are (n,). The delay falls about as the square root of the weight, so that on log axes the root is quickly
        found; where it is not exact, the weight is a hair larger.
        """
        xp = namespace(room, weight, self.rate, self.wait, self.scv, *self.s, *self.price, *self.floor)
        scale = sum(xp.where(s > 0, price * s, 0.0) for s, price in zip(self.s, self.price, strict=True)) / room**2
        first = xp.log(xp.maximum(scale, np.finfo(np.float64).tiny))
        low = xp.where(weight > 0, xp.log(xp.where(weight > 0, weight, 1.0)), first - _FARTHEST / 2)
        high = xp.maximum(first, low) + 2.0

        def over(x: FloatArray) -> FloatArray:
            delay: FloatArray = xp.asarray(sum(self.at(xp.exp(x))[1]))
            with np.errstate(divide="ignore"):
                return xp.asarray(xp.log(delay / room))

        def judged(high: FloatArray) -> tuple[AnyArray, ...]:
            beyond = over(high) > 0
            return high, beyond, beyond & (high < first + _FARTHEST / 2)

        def farther(_: int, high: FloatArray, beyond: BoolArray, _going: BoolArray) -> tuple[AnyArray, ...]:
            return judged(xp.where(beyond, high + _WIDER, high))

        high, *_ = iterate(farther, judged(high), int(_FARTHEST / 2 / _WIDER) + 1)
        at_low, found = falling_root(over, low, high, close=_CLOSE)
        enough = at_low == found  # the weight given, or none, keeps the room
        return xp.where(enough & (weight > 0), weight, xp.exp(found))
