"""Delay curves: time that one use of a shared resource takes, as a function of its service rate.

Each of a mean is the largest of one or two pieces ``a/μ + b/(μ − λ) − relief·W``, convex and decreasing in μ > λ;
those of a percentile, which only a tandem has, are tabulated (`quantiles`) and have no pieces. The argument is the
*excess rate* ``x = μ − λ`` rather than μ, because near saturation μ − λ loses all its digits. W is the wait a task has
behind it when it reaches the cloud: a queue fed by the departures of another one is relieved of it. With Poisson
arrivals at the cloud, as in the paper, it plays no part.
Five methods are all that allocators and bounds need; those that model a solver's problem read the pieces.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

import numpy as np

from dmcjia_opt.base.arrays import BoolArray, FloatArray, IntArray, namespace
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.model.quantiles import PERCENTILES, LongestWait, WaitQuantile
from dmcjia_opt.model.queues import (
    MD1,
    MM1,
    Piece,
    QueueCurve,
    Scv,
    alone,
    curvature_of,
    excess_of,
    excess_within,
    marginal_of,
    mg1,
    poisson,
    service_rate,
)

#: What of the delay may be asked for.
STATISTICS = ("mean", *PERCENTILES)


class DelayCurve(Protocol):
    """Time in the cloud, the mean or a percentile, at excess service rate `excess` (1/s) and arrival rate `rate` (1/s).

    `wait` is W in s, the wait paid upstream, and `scv` c_a², the squared coefficient of variation of the gaps between
    arrivals; 1.0 says that all are Poisson. The arguments broadcast against each other.

    Examples
    --------
    >>> import numpy as np
    >>> from dmcjia_opt.model.delay import delay_curve
    >>> curve = delay_curve("md1")
    >>> round(float(curve.delay(np.array(4.0), np.array(1.0))), 4)
    0.225
    """

    @property
    def name(self) -> str:
        """What scenarios call the curve."""

    def pieces(self, scv: Scv = 1.0) -> tuple[Piece, ...]:
        """Return the pieces whose maximum the curve is; none where it is tabulated."""

    def is_dcp(self, scv: Scv = 1.0) -> bool:
        """Return whether there are pieces, each a sum of convex terms, as disciplined convex programming asks."""

    def waits(self, scv: Scv = 1.0) -> BoolArray | bool:
        """Return whether tasks wait for each other, for ever as μ falls to λ; where they do not, μ = λ will do."""

    def delay(self, excess: FloatArray, rate: FloatArray, wait: FloatArray | float = 0.0, scv: Scv = 1.0) -> FloatArray:
        """Return the delay T, s."""

    def marginal(
        self, excess: FloatArray, rate: FloatArray, wait: FloatArray | float = 0.0, scv: Scv = 1.0
    ) -> FloatArray:
        """Return −dT/dμ, s²: what one more unit of service rate saves; at a kink, the smaller of the two."""

    def curvature(
        self, excess: FloatArray, rate: FloatArray, wait: FloatArray | float = 0.0, scv: Scv = 1.0
    ) -> FloatArray:
        """Return d²T/dμ², s³; +inf at a kink."""

    def excess_at(
        self, marginal: FloatArray, rate: FloatArray, wait: FloatArray | float = 0.0, scv: Scv = 1.0
    ) -> FloatArray:
        """Return the excess rate (1/s) at which one more unit of service rate saves `marginal` (s²)."""

    def rate_within(
        self, room: FloatArray, rate: FloatArray, wait: FloatArray | float = 0.0, scv: Scv = 1.0
    ) -> FloatArray:
        """Return the least service rate μ (1/s) at which T is at most `room` (s); +inf where none is."""


@dataclass(frozen=True, slots=True)
class MeanWait:
    """The mean wait V = λ/(2μ(μ − λ)) of an M/D/1 queue; `number`/μ + V is `number` times an M/G/1 queue's delay."""

    @property
    def statistic(self) -> str:
        """``"mean"``."""
        return "mean"

    def waited(self, excess: FloatArray, rate: FloatArray) -> FloatArray:
        """Return V, s."""
        return 0.5 * (rate * (1.0 / (rate + excess))) / excess

    def wait_of(self, rate: FloatArray, service: FloatArray) -> FloatArray:
        """Return V, s, for a service time, s; +inf where the queue is unstable."""
        xp, load = namespace(rate, service), rate * service
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return xp.where(load < 1.0, load * service / (2.0 * (1.0 - load)), np.inf)

    def crossing(self, rate: FloatArray, wait: FloatArray | float) -> FloatArray:
        """Return the excess rate from which V is no more than `wait`, s; +inf where W = 0.

        The positive root of x² + λx = λ/(2W), in a form that loses no digits.
        """
        xp = namespace(rate, wait)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            return xp.where(xp.greater(wait, 0.0), 1.0 / (wait + xp.sqrt(wait * (wait + 2.0 / rate))), np.inf)

    def side(self, excess: FloatArray, rate: FloatArray, wait: FloatArray | float) -> IntArray:
        """Return −1 below the crossing, 0 there and 1 beyond."""
        xp, crossing = namespace(excess, rate, wait), self.crossing(rate, wait)
        return xp.where(excess < crossing, -1, xp.where(excess == crossing, 0, 1))

    def marginal_together(self, number: int, excess: FloatArray, rate: FloatArray) -> FloatArray:
        """Return minus the derivative, s², of `number`/μ + V."""
        return number * self._queue(number).marginal(excess, rate)

    def curvature_together(self, number: int, excess: FloatArray, rate: FloatArray) -> FloatArray:
        """Return the second derivative, s³, of `number`/μ + V."""
        return number * self._queue(number).curvature(excess, rate)

    def excess_together(self, number: int, marginal: FloatArray, rate: FloatArray) -> FloatArray:
        """Return the excess rate at which one more unit of rate saves `marginal` (s²) of `number`/μ + V."""
        return self._queue(number).excess_at(marginal / number, rate)

    def excess_within(self, total: FloatArray, rate: FloatArray) -> FloatArray:
        """Return the excess rate at which 1/μ + V is `total`, s."""
        return MD1.excess_within(total, rate)

    def _queue(self, number: int) -> QueueCurve:
        b = 0.5 / number
        return QueueCurve("mg1", 1.0 - b, b)


@dataclass(frozen=True, slots=True)
class TandemCurve:
    """Time in the last of several deterministic stages in series, the exact model of the cloud behind the edge.

    Parameters
    ----------
    longest
        What is known of the wait V(μ) at the longest stage.

    Notes
    -----
    A task that passes deterministic stages fed by Poisson arrivals waits, in all, as long as in one M/D/1 queue with
    the longest service time m (H. D. Friedman 1965, doi:10.1287/opre.13.1.121): λm²/(2(1 − λm)) in the mean. The first
    stages are such a series themselves, so what the cloud adds is its service and the wait beyond theirs, in the mean

        T(μ) = 1/μ + max(0, λ/(2μ(μ − λ)) − W) = max(1/μ, ½/μ + ½/(μ − λ) − W),

    and 1/μ + max(0, V(μ) − W) in general. V is convex in μ, and falls. The two pieces cross where the cloud is exactly
    as fast as the slowest stage before it. There T has a kink: for any price between the slopes of the pieces the best
    rate is the crossing. Percentiles have more of them, at fixed loads: where tasks begin to wait, and where they wait
    one service.
    """

    longest: LongestWait

    @property
    def name(self) -> str:
        """``"tandem"``, and the percentile if it is one, ``"tandem p95"``."""
        return "tandem" if self.statistic == "mean" else f"tandem {self.statistic}"

    @property
    def statistic(self) -> str:
        """What of the delay the curve is, one of `STATISTICS`."""
        return self.longest.statistic

    def pieces(self, scv: Scv = 1.0) -> tuple[Piece, ...]:
        """Return the cloud as the slowest stage, and as one that no task waits for; none of a percentile."""
        beta = 0.5 * scv
        return (Piece(1.0 - beta, beta, 1.0), Piece(1.0, 0.0)) if self.statistic == "mean" else ()

    def is_dcp(self, scv: Scv = 1.0) -> bool:
        """Return whether both pieces are; a percentile has none."""
        return self.statistic == "mean" and bool(np.max(scv) <= 2.0)

    def waits(self, scv: Scv = 1.0) -> BoolArray | bool:
        """Return that they do, unless gaps do not vary."""
        return namespace(scv).greater(scv, 0.0)

    def waited(self, excess: FloatArray, rate: FloatArray, scv: Scv = 1.0) -> FloatArray:
        """Return V, s, what is waited in all where this is the slowest stage."""
        if poisson(scv):
            return self.longest.waited(excess, rate)
        xp = namespace(excess, rate, scv)
        with np.errstate(divide="ignore", invalid="ignore"):
            return xp.where(xp.greater(scv, 0.0), scv * self.longest.waited(excess, rate), 0.0)

    def wait_of(self, rate: FloatArray, service: FloatArray, scv: Scv = 1.0) -> FloatArray:
        """Return V, s, where the longest service takes `service` (s); +inf where the queue is unstable.

        Without a wait a queue may be busy all the time.
        """
        if poisson(scv):
            return self.longest.wait_of(rate, service)
        xp = namespace(rate, service, scv)
        with np.errstate(invalid="ignore"):
            waited = scv * self.longest.wait_of(rate, service)
        busy = xp.where(rate * service <= 1.0, 0.0, np.inf)
        return xp.where(xp.greater(scv, 0.0), waited, busy)

    def crossing(self, rate: FloatArray, wait: FloatArray | float, scv: Scv = 1.0) -> FloatArray:
        """Return the excess rate (1/s) beyond which nothing waits at the cloud; +inf for the mean where W = 0."""
        if poisson(scv):
            return self.longest.crossing(rate, wait)
        xp = namespace(rate, wait, scv)
        varies = xp.greater(scv, 0.0)
        return xp.where(varies, self.longest.crossing(rate, wait / xp.where(varies, scv, 1.0)), 0.0)

    def delay(self, excess: FloatArray, rate: FloatArray, wait: FloatArray | float = 0.0, scv: Scv = 1.0) -> FloatArray:
        """Return the delay T, s."""
        xp = namespace(excess, rate, wait, scv)
        beyond: FloatArray = xp.maximum(self.waited(excess, rate, scv) - wait, 0.0)
        return 1.0 / (rate + excess) + beyond

    def marginal(
        self, excess: FloatArray, rate: FloatArray, wait: FloatArray | float = 0.0, scv: Scv = 1.0
    ) -> FloatArray:
        """Return −dT/dμ, s²; at the crossing, what one more unit of service rate saves beyond it."""
        xp, service = namespace(excess, rate, wait, scv), 1.0 / (rate + excess)
        slowest = self._together(1, scv, self.longest.marginal_together, marginal_of, excess, rate)
        return xp.where(self._side(excess, rate, wait, scv) < 0, slowest, service * service)

    def curvature(
        self, excess: FloatArray, rate: FloatArray, wait: FloatArray | float = 0.0, scv: Scv = 1.0
    ) -> FloatArray:
        """Return d²T/dμ², s³; +inf at the crossing."""
        xp = namespace(excess, rate, wait, scv)
        slowest = self._together(1, scv, self.longest.curvature_together, curvature_of, excess, rate)
        service = 1.0 / (rate + excess)
        side = self._side(excess, rate, wait, scv)
        beyond = xp.where(side == 0, np.inf, 2.0 * service * service * service)
        return xp.where(side < 0, slowest, beyond)

    def curvature_together(self, number: IntArray, excess: FloatArray, rate: FloatArray, scv: Scv = 1.0) -> FloatArray:
        """Return the second derivative, s³, of what `number` stages that are as slow as each other delay.

        For NumPy only: nothing that prices asks for it.
        """
        found = np.ones_like(excess)
        for j in np.unique(number):
            at = number == j
            own = scv if poisson(scv) else np.broadcast_to(scv, excess.shape)[at]
            each = self.longest.curvature_together
            found[at] = self._together(int(j), own, each, curvature_of, excess[at], rate[at])
        return found

    def excess_together(self, number: int, marginal: FloatArray, rate: FloatArray, scv: Scv = 1.0) -> FloatArray:
        """Return the excess rate at which one more unit of rate saves `marginal` (s²) of `number`/μ + V."""
        return self._together(number, scv, self.longest.excess_together, excess_of, marginal, rate)

    def excess_at(
        self, marginal: FloatArray, rate: FloatArray, wait: FloatArray | float = 0.0, scv: Scv = 1.0
    ) -> FloatArray:
        """Return the excess rate (1/s) at which one more unit of service rate saves `marginal` (s²), or the crossing.

        Each piece has its own answer, x = 1/√k − λ for the one without a wait. As its slope is the lesser one, so is
        its answer; between the two answers lies that of the maximum.
        """
        xp, slowest = namespace(marginal, rate, wait, scv), self.excess_together(1, marginal, rate, scv)
        return xp.maximum(xp.minimum(slowest, self.crossing(rate, wait, scv)), 1.0 / xp.sqrt(marginal) - rate)

    def rate_within(
        self, room: FloatArray, rate: FloatArray, wait: FloatArray | float = 0.0, scv: Scv = 1.0
    ) -> FloatArray:
        """Return the least service rate μ (1/s) at which T is at most `room` (s): enough for each of its two parts."""
        xp = namespace(room, rate, wait, scv)
        total = xp.maximum(room, 0.0) + wait
        if poisson(scv):
            slowest = self.longest.excess_within(total, rate)
        else:
            slowest = excess_within(0.5 * scv, total, rate)
            if self.statistic != "mean":
                slowest = xp.where(xp.greater(scv, 0.0), self.longest.excess_within(total, rate), slowest)
        return xp.maximum(alone(room), service_rate(slowest, rate, room))

    def _side(self, excess: FloatArray, rate: FloatArray, wait: FloatArray | float, scv: Scv) -> IntArray:
        """Return −1 below the crossing, 0 there and 1 beyond."""
        if poisson(scv):
            return self.longest.side(excess, rate, wait)
        xp = namespace(excess, rate, wait, scv)
        varies = xp.greater(scv, 0.0)
        side = self.longest.side(excess, rate, wait / xp.where(varies, scv, 1.0))
        return xp.where(varies, side, xp.where(xp.greater(excess, 0.0), 1, 0))

    def _together(
        self,
        number: int,
        scv: Scv,
        known: Callable[[int, FloatArray, FloatArray], FloatArray],
        formula: Callable[[float, Scv, FloatArray, FloatArray], FloatArray],
        at: FloatArray,
        rate: FloatArray,
    ) -> FloatArray:
        """Return what is `known` for Poisson arrivals; else by `formula`, which percentiles ask of 0 variation only."""
        if poisson(scv):
            return known(number, at, rate)
        found = formula(float(number), 0.5 * scv, at, rate)
        if self.statistic == "mean":
            return found
        xp = namespace(scv, at, rate)
        varies = xp.greater(scv, 0.0)
        return xp.where(varies, known(number, xp.where(varies, at, 1.0), rate), found)


TANDEM = TandemCurve(MeanWait())


def tandem(statistic: str) -> TandemCurve:
    """Return the curve of a tandem's mean delay or of a percentile of it, one of `STATISTICS`."""
    return TANDEM if statistic == "mean" else TandemCurve(WaitQuantile(statistic))


def series_excess(
    marginals: FloatArray,
    floors: FloatArray,
    rate: FloatArray,
    wait: FloatArray | float,
    curve: TandemCurve = TANDEM,
    scv: Scv = 1.0,
) -> FloatArray:
    """Return the excess rates (1/s) at which a tandem's shared stages cost least, each at a price of its own.

    With μ_k their rates, W the wait upstream and c_k what a unit of rate costs, per unit of weight, the cost is
    Σ 1/μ_k + c_k μ_k + max(0, V(μ) − W), μ the least of them. With μ given, each stage is as fast as it would be
    without any wait, 1/√c_k, or as μ if that is faster. What is left is convex in 1/μ: while j stages are slower than
    that by themselves, the best rate is where one more unit of μ saves Σ c_k of j/μ + V; the least over j is right,
    because leaving out a slow stage can only make the others look faster than they are. Without a wait beyond W the
    crossing is the best there is.

    Parameters
    ----------
    marginals
        (n_stages, ...) c_k, s²; 0 where a stage is not used.
    floors
        (n_stages, ...) excess rates that may not be undercut; −inf where there are none.
    rate, wait
        (...) arrival rate, 1/s, and W, s.
    curve
        That of the stages, which has V.
    scv
        (...) c_a² of the gaps.

    Returns
    -------
    (n_stages, ...); +inf where the marginal is 0.
    """
    xp = namespace(marginals, floors, rate, wait, scv)
    with np.errstate(divide="ignore"):
        alone = xp.maximum(1.0 / xp.sqrt(marginals) - rate, floors)
    slowest, total = list(alone), list(marginals)
    for last in range(len(slowest) - 1, 0, -1):  # the fewest passes over few stages; who is as fast stays in order
        for k in range(last):
            turned = slowest[k] > slowest[k + 1]
            for values in (slowest, total):
                one, other = values[k : k + 2]
                values[k : k + 2] = xp.where(turned, other, one), xp.where(turned, one, other)
    total = list(accumulate(total))
    least = curve.crossing(rate, wait, scv)
    for j in range(len(marginals)):
        used = xp.isfinite(slowest[j])
        together = curve.excess_together(j + 1, xp.where(used, total[j], 1.0), rate, scv)
        least = xp.where(used, xp.minimum(least, xp.maximum(together, slowest[j])), least)
    return xp.maximum(alone, least)


def delay_curve(name: str, service_scv: float = 0.0, statistic: str = "mean") -> DelayCurve:
    """Return the curve called `name`: ``md1``, ``mm1``, ``mg1`` with `service_scv`, or ``tandem``.

    Raises
    ------
    InputError
        If the name is not a known curve, or has no such statistic.
    """
    if statistic not in STATISTICS:
        raise InputError(
            f'statistic = "{statistic}" is not known; choose {", ".join(STATISTICS[:-1])} or {STATISTICS[-1]}'
        )
    if name == "tandem":
        return tandem(statistic)
    if name not in ("md1", "mm1", "mg1"):
        raise InputError(f'delay = "{name}" is not a known curve; choose md1, mm1, mg1 or tandem')
    if statistic != "mean":
        raise InputError(
            f'statistic = "{statistic}" needs delay = "tandem": percentiles of the independent queues of '
            f'delay = "{name}" do not add up'
        )
    return MD1 if name == "md1" else MM1 if name == "mm1" else mg1(service_scv)
