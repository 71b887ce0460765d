"""Delay curves: time that one use of a shared resource takes, as a function of its service rate.

Each of a mean is the largest of one or two pieces ``a/μ + b/(μ − λ) − relief·W``, convex and decreasing in μ > λ;
those of a percentile, which only a tandem has, are tabulated (`quantiles`) and have no pieces. The argument is the
*excess rate* ``x = μ − λ`` rather than μ, because near saturation μ − λ loses all its digits. W is the wait a task has
behind it when it reaches the cloud: a queue fed by the departures of another one is relieved of it. With Poisson
arrivals at the cloud, as in the paper, it plays no part.
Five methods are all that allocators and bounds need; those that model a solver's problem read the pieces.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from dmcjia_opt.base.arrays import EPS, FloatArray, IntArray
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.model.quantiles import PERCENTILES, LongestWait, WaitQuantile

#: What of the delay may be asked for.
STATISTICS = ("mean", *PERCENTILES)

_NEWTON_STEPS = 40


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece of a delay curve, ``a/μ + b/(μ − λ) − relief·W``; all three coefficients are dimensionless."""

    a: float
    b: float
    relief: float = 0.0


class DelayCurve(Protocol):
    """Time in the cloud, the mean or a percentile, at excess service rate `excess` (1/s) and arrival rate `rate` (1/s).

    `wait` is W in s, the wait paid upstream. The arguments broadcast against each other.
    """

    @property
    def name(self) -> str:
        """What scenarios call the curve."""

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """The pieces whose maximum the curve is; none where it is tabulated."""

    @property
    def is_dcp(self) -> bool:
        """Whether there are pieces, each a sum of convex terms, as disciplined convex programming asks."""

    @property
    def waits(self) -> bool:
        """Whether tasks wait for each other, for ever as μ falls to λ; where they overlap, μ = λ will do."""

    def delay(self, excess: FloatArray, rate: FloatArray, wait: FloatArray | float = 0.0) -> FloatArray:
        """Return the delay T, s."""

    def marginal(self, excess: FloatArray, rate: FloatArray, wait: FloatArray | float = 0.0) -> FloatArray:
        """Return −dT/dμ, s²: what one more unit of service rate saves; at a kink, the smaller of the two."""

    def curvature(self, excess: FloatArray, rate: FloatArray, wait: FloatArray | float = 0.0) -> FloatArray:
        """Return d²T/dμ², s³; +inf at a kink."""

    def excess_at(self, marginal: FloatArray, rate: FloatArray, wait: FloatArray | float = 0.0) -> FloatArray:
        """Return the excess rate (1/s) at which one more unit of service rate saves `marginal` (s²)."""

    def rate_within(self, room: FloatArray, rate: FloatArray, wait: FloatArray | float = 0.0) -> FloatArray:
        """Return the least service rate μ (1/s) at which T is at most `room` (s); +inf where none is."""


def _service_rate(excess: FloatArray, rate: FloatArray, room: FloatArray) -> FloatArray:
    """Return μ = λ + x, rounded up, above λ; +inf where there is no `room`."""
    mu = rate + excess
    mu = np.where((mu - rate < excess) | (mu <= rate), np.nextafter(mu, np.inf), mu)
    return np.where(np.greater(room, 0.0), mu, np.inf)


@dataclass(frozen=True, slots=True)
class QueueCurve:
    """Mean sojourn time of an M/G/1 queue with deterministic, exponential or general service.

    Parameters
    ----------
    name
        ``"md1"``, ``"mm1"`` or ``"mg1"``.
    a, b
        Coefficients of 1/μ and 1/(μ − λ), dimensionless; ``a + b == 1`` and ``b >= 1/2``.

    Notes
    -----
    Pollaczek–Khinchine: with squared coefficient of variation c² of the service time the mean wait is
    ``(1 + c²)/2 · λ/(μ(μ − λ))``; since ``λ/(μ(μ − λ)) = 1/(μ − λ) − 1/μ``, b = (1 + c²)/2 and a = 1 − b.
    The paper's (3-5) is c² = 0.

    Computed as ``T = (1 − a·λ/μ)/(μ − λ)``, which a + b = 1 makes the same: when a is large and negative the two
    terms of the other form cancel, and a bound would lose more digits than its slack allows for.
    """

    name: str
    a: float
    b: float

    def delay(self, excess: FloatArray, rate: FloatArray, wait: FloatArray | float = 0.0) -> FloatArray:
        """Return the mean delay T, s; arrivals are Poisson whatever the `wait` upstream."""
        if self.a == 0.0:
            return self.b / excess
        return (1.0 - self.a * (rate / (rate + excess))) / excess

    def marginal(self, excess: FloatArray, rate: FloatArray, wait: FloatArray | float = 0.0) -> FloatArray:
        """Return −dT/dμ, s²: what one more unit of service rate saves."""
        if self.a == 0.0:
            return self.b / (excess * excess)
        part = rate / (rate + excess)
        return (1.0 - self.a * part * (2.0 - part)) / (excess * excess)

    def curvature(self, excess: FloatArray, rate: FloatArray, wait: FloatArray | float = 0.0) -> FloatArray:
        """Return d²T/dμ², s³."""
        if self.a == 0.0:
            return 2.0 * self.b / (excess * excess * excess)
        part = rate / (rate + excess)
        return 2.0 * (1.0 - self.a * part * (3.0 - part * (3.0 - part))) / (excess * excess * excess)

    def excess_at(self, marginal: FloatArray, rate: FloatArray, wait: FloatArray | float = 0.0) -> FloatArray:
        """Return the excess rate (1/s) at which one more unit of service rate saves exactly `marginal` (s²).

        Closed form for M/D/1 (``h = λ/2``, ``z = (1 + √(1 + 8kh²))/2k``, ``x = z/(h + √(h² + z))``) and M/M/1;
        otherwise Newton's method on log–log axes, where the slope of ``marginal`` stays between −3 and −1.7.
        """
        if self.a == 0.0:
            return np.broadcast_to(np.sqrt(self.b / marginal), np.broadcast(marginal, rate).shape)
        if self.a == self.b:
            h = 0.5 * rate
            z = 1.0 + np.sqrt(1.0 + 8.0 * marginal * h * h)
            z /= 2.0 * marginal
            return z / (h + np.sqrt(h * h + z))
        low = np.sqrt(min(self.b, 1.0) / marginal)
        high = np.sqrt(max(self.b, 1.0) / marginal)
        x: FloatArray = np.sqrt(low * high) * np.ones_like(rate)
        settled = np.zeros(x.shape, dtype=np.bool_)
        for _ in range(_NEWTON_STEPS):
            f = self.marginal(x, rate)
            slope = -x * self.curvature(x, rate) / f
            step = np.exp(-np.log(f / marginal) / slope)
            # an entry that has settled stays put, so that no answer depends on what else is in the batch
            moved = np.where(settled, x, np.clip(x * step, low, high))
            settled |= np.abs(moved - x) <= 4.0 * EPS * x
            x = moved
            if settled.all():
                break
        return x

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """The only one."""
        return (Piece(self.a, self.b),)

    @property
    def is_dcp(self) -> bool:
        """Whether T is a sum of convex terms with non-negative weights, as disciplined convex programming asks."""
        return self.a >= 0.0

    @property
    def waits(self) -> bool:
        """They do."""
        return True

    def excess_within(self, room: FloatArray, rate: FloatArray) -> FloatArray:
        """Return the excess rate (1/s) at which T is `room`, s: the larger root of r x² + (rλ − 1) x − bλ = 0."""
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            work = np.multiply(room, rate)
            root = np.sqrt(1.0 + work * (work + (4.0 * self.b - 2.0)))
            return np.where(work <= 1.0, (1.0 - work + root) / room / 2.0, 2.0 * self.b * rate / (work - 1.0 + root))

    def rate_within(self, room: FloatArray, rate: FloatArray, wait: FloatArray | float = 0.0) -> FloatArray:
        """Return the least service rate μ (1/s) at which T is at most `room` (s); +inf where none is."""
        return _service_rate(self.excess_within(room, rate), rate, room)


@dataclass(frozen=True, slots=True)
class OverlapCurve:
    """Mean time on a link on which tasks overlap: 1/μ, as long as no more arrives than it carries, μ ≥ λ."""

    @property
    def name(self) -> str:
        """``"delay"``."""
        return "delay"

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """The only one."""
        return (Piece(1.0, 0.0),)

    @property
    def is_dcp(self) -> bool:
        """It is."""
        return True

    @property
    def waits(self) -> bool:
        """No."""
        return False

    def delay(self, excess: FloatArray, rate: FloatArray, wait: FloatArray | float = 0.0) -> FloatArray:
        """Return the delay T, s."""
        return 1.0 / (rate + excess)

    def marginal(self, excess: FloatArray, rate: FloatArray, wait: FloatArray | float = 0.0) -> FloatArray:
        """Return −dT/dμ, s²."""
        service = 1.0 / (rate + excess)
        return service * service

    def curvature(self, excess: FloatArray, rate: FloatArray, wait: FloatArray | float = 0.0) -> FloatArray:
        """Return d²T/dμ², s³; +inf at μ = λ, the least there may be."""
        service = 1.0 / (rate + excess)
        return np.where(excess <= 0.0, np.inf, 2.0 * service * service * service)

    def excess_at(self, marginal: FloatArray, rate: FloatArray, wait: FloatArray | float = 0.0) -> FloatArray:
        """Return the excess rate (1/s) at which one more unit of service rate saves `marginal` (s²), at least 0."""
        return np.maximum(1.0 / np.sqrt(marginal) - rate, 0.0)

    def rate_within(self, room: FloatArray, rate: FloatArray, wait: FloatArray | float = 0.0) -> FloatArray:
        """Return the least service rate μ (1/s) at which T is at most `room` (s); +inf where none is."""
        return np.maximum(rate, _alone(room))


MD1 = QueueCurve("md1", 0.5, 0.5)
MM1 = QueueCurve("mm1", 0.0, 1.0)


def _alone(room: FloatArray) -> FloatArray:
    """Return 1/room, the rate (1/s) of a stage that nobody waits for; +inf where there is no room."""
    with np.errstate(divide="ignore", over="ignore"):
        return np.where(np.greater(room, 0.0), np.divide(1.0, room), np.inf)


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
        load = rate * service
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return np.where(load < 1.0, load * service / (2.0 * (1.0 - load)), np.inf)

    def crossing(self, rate: FloatArray, wait: FloatArray | float) -> FloatArray:
        """Return the excess rate from which V is no more than `wait`, s; +inf where W = 0.

        The positive root of x² + λx = λ/(2W), in a form that loses no digits.
        """
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            return np.where(np.greater(wait, 0.0), 1.0 / (wait + np.sqrt(wait * (wait + 2.0 / rate))), np.inf)

    def side(self, excess: FloatArray, rate: FloatArray, wait: FloatArray | float) -> IntArray:
        """Return −1 below the crossing, 0 there and 1 beyond."""
        crossing = self.crossing(rate, wait)
        return np.where(excess < crossing, -1, np.where(excess == crossing, 0, 1))

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

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """The cloud as the slowest stage, and as one that no task waits for; none of a percentile."""
        return (Piece(0.5, 0.5, 1.0), Piece(1.0, 0.0)) if self.statistic == "mean" else ()

    @property
    def is_dcp(self) -> bool:
        """Both pieces are; a percentile has none."""
        return self.statistic == "mean"

    @property
    def waits(self) -> bool:
        """They do."""
        return True

    def waited(self, excess: FloatArray, rate: FloatArray) -> FloatArray:
        """Return V, s, what is waited in all where this is the slowest stage."""
        return self.longest.waited(excess, rate)

    def wait_of(self, rate: FloatArray, service: FloatArray) -> FloatArray:
        """Return V, s, where the longest service takes `service` (s); +inf where the queue is unstable."""
        return self.longest.wait_of(rate, service)

    def crossing(self, rate: FloatArray, wait: FloatArray | float) -> FloatArray:
        """Return the excess rate (1/s) beyond which nothing waits at the cloud; +inf for the mean where W = 0."""
        return self.longest.crossing(rate, wait)

    def delay(self, excess: FloatArray, rate: FloatArray, wait: FloatArray | float = 0.0) -> FloatArray:
        """Return the delay T, s."""
        return 1.0 / (rate + excess) + np.maximum(self.longest.waited(excess, rate) - wait, 0.0)

    def marginal(self, excess: FloatArray, rate: FloatArray, wait: FloatArray | float = 0.0) -> FloatArray:
        """Return −dT/dμ, s²; at the crossing, what one more unit of service rate saves beyond it."""
        slowest = self.longest.marginal_together(1, excess, rate)
        service = 1.0 / (rate + excess)
        return np.where(self.longest.side(excess, rate, wait) < 0, slowest, service * service)

    def curvature(self, excess: FloatArray, rate: FloatArray, wait: FloatArray | float = 0.0) -> FloatArray:
        """Return d²T/dμ², s³; +inf at the crossing."""
        slowest = self.longest.curvature_together(1, excess, rate)
        service = 1.0 / (rate + excess)
        side = self.longest.side(excess, rate, wait)
        beyond = np.where(side == 0, np.inf, 2.0 * service * service * service)
        return np.where(side < 0, slowest, beyond)

    def curvature_together(self, number: IntArray, excess: FloatArray, rate: FloatArray) -> FloatArray:
        """Return the second derivative, s³, of what `number` stages that are as slow as each other delay."""
        found = np.ones_like(excess)
        for j in np.unique(number):
            at = number == j
            found[at] = self.longest.curvature_together(int(j), excess[at], rate[at])
        return found

    def excess_at(self, marginal: FloatArray, rate: FloatArray, wait: FloatArray | float = 0.0) -> FloatArray:
        """Return the excess rate (1/s) at which one more unit of service rate saves `marginal` (s²), or the crossing.

        Each piece has its own answer, x = 1/√k − λ for the one without a wait. As its slope is the lesser one, so is
        its answer; between the two answers lies that of the maximum.
        """
        slowest = self.longest.excess_together(1, marginal, rate)
        return np.maximum(np.minimum(slowest, self.crossing(rate, wait)), 1.0 / np.sqrt(marginal) - rate)

    def rate_within(self, room: FloatArray, rate: FloatArray, wait: FloatArray | float = 0.0) -> FloatArray:
        """Return the least service rate μ (1/s) at which T is at most `room` (s): enough for each of its two parts."""
        slowest = self.longest.excess_within(np.maximum(room, 0.0) + wait, rate)
        return np.maximum(_alone(room), _service_rate(slowest, rate, room))


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

    Returns
    -------
    (n_stages, ...); +inf where the marginal is 0.
    """
    with np.errstate(divide="ignore"):
        alone = np.maximum(1.0 / np.sqrt(marginals) - rate, floors)
    order = np.argsort(alone, axis=0, kind="stable")
    slowest = np.take_along_axis(alone, order, 0)
    total = np.cumsum(np.take_along_axis(marginals, order, 0), axis=0)
    least = curve.crossing(rate, wait)
    for j in range(len(marginals)):
        used = np.isfinite(slowest[j])
        together = curve.longest.excess_together(j + 1, np.where(used, total[j], 1.0), rate)
        least = np.where(used, np.minimum(least, np.maximum(together, slowest[j])), least)
    return np.maximum(alone, least)


OVERLAP = OverlapCurve()


def mg1(scv: float) -> QueueCurve:
    """Return the M/G/1 curve for a squared coefficient of variation `scv` of the service time."""
    if not (np.isfinite(scv) and scv >= 0.0):
        raise InputError(f"service_scv must be a finite number >= 0, got {scv}")
    b = (1.0 + scv) / 2.0
    return QueueCurve("mg1", 1.0 - b, b)


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
