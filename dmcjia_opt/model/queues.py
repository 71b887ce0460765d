"""One queue in closed form, whatever its arrivals: j/μ + β·λ/(μ(μ − λ)), β = (c_a² + c_s²)/2 of gaps and services.

For Poisson arrivals (c_a² = 1) and j = 1 that is Pollaczek and Khinchine's sojourn time; otherwise the wait is that of
A. O. Allen and J. L. Cunneen (1978), which is exact again where neither gaps nor services vary: then β = 0, nobody
waits, and a queue that is never idle, μ = λ, will do. All terms are positive, so that no digits are lost. j > 1 is
for stages of a tandem that are as slow as each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dmcjia_opt.base.arrays import EPS, BoolArray, FloatArray, iterate, namespace
from dmcjia_opt.base.errors import InputError

_STEPS = 60

#: What is known of gaps: c_a² of each, or 1.0 for all where they are those of Poisson processes.
Scv = FloatArray | float


def delay_of(beta: Scv, excess: FloatArray, rate: FloatArray) -> FloatArray:
    """Return 1/μ + β·λ/(μx), s, at excess service rates x = μ − λ, 1/s; where β = 0, also at x = 0."""
    mu = rate + excess
    return 1.0 / mu + wait_of(beta, excess, rate)


def wait_of(beta: Scv, excess: FloatArray, rate: FloatArray) -> FloatArray:
    """Return the wait β·λ/(μx), s."""
    xp = namespace(beta, excess, rate)
    with np.errstate(divide="ignore", invalid="ignore"):
        return xp.where(beta > 0, beta * (rate / (rate + excess)) / excess, 0.0)


def marginal_of(number: float, beta: Scv, excess: FloatArray, rate: FloatArray) -> FloatArray:
    """Return minus the derivative by μ, s²."""
    xp, mu = namespace(beta, excess, rate), rate + excess
    with np.errstate(divide="ignore", invalid="ignore"):
        waits: FloatArray = xp.where(beta > 0, beta * (rate / mu) * ((mu + excess) / mu) / (excess * excess), 0.0)
    return number / (mu * mu) + waits


def curvature_of(number: float, beta: Scv, excess: FloatArray, rate: FloatArray) -> FloatArray:
    """Return the second derivative by μ, s³; +inf at x = 0, the least there may be."""
    xp, mu = namespace(beta, excess, rate), rate + excess
    part = excess / mu
    with np.errstate(divide="ignore", invalid="ignore"):
        waits = xp.where(beta > 0, beta * (rate / mu) * (1.0 + part + part * part) / (excess * excess * excess), 0.0)
    return xp.where(excess <= 0.0, np.inf, 2.0 * (number / (mu * mu * mu) + waits))


def excess_of(number: float, beta: Scv, marginal: FloatArray, rate: FloatArray) -> FloatArray:
    """Return the excess rate x ≥ 0, 1/s, at which one more unit of rate saves `marginal`, s².

    Newton's method on (marginal)^(−1/2), which grows with x: a mean of two straight lines that bends down where
    β ≤ j, so that the steps stay on the left of the root, and hardly bends at all elsewhere.
    """
    xp = namespace(beta, marginal, rate)
    wanted, share = xp.sqrt(number / marginal), beta / number
    low = xp.maximum(xp.sqrt(xp.minimum(share, 1.0)) * wanted, xp.maximum(wanted - rate, 0.0))
    high = xp.maximum(xp.sqrt(xp.maximum(share, 1.0)) * wanted, low)

    def step(_: int, x: FloatArray, going: BoolArray) -> tuple[FloatArray, BoolArray]:
        with np.errstate(divide="ignore", invalid="ignore"):
            g = 1.0 / xp.sqrt(marginal_of(1.0, share, x, rate))
            slope = 0.5 * g * g * g * curvature_of(1.0, share, x, rate)
            moved = xp.clip(x + (wanted - g) / slope, low, high)
        # an entry that has settled stays put, so that no answer depends on what else is in the batch
        moved = xp.where(going & xp.isfinite(moved), moved, x)
        return moved, going & (xp.abs(moved - x) > 4.0 * EPS * x)

    return iterate(step, (xp.asarray(low), xp.broadcast_to(share > 0.0, np.shape(low))), _STEPS)[0]


def excess_within(beta: Scv, room: FloatArray, rate: FloatArray) -> FloatArray:
    """Return the excess rate, 1/s, at which 1/μ + β·λ/(μx) is `room`, s.

    It is the larger root of r x² + (rλ − 1) x − βλ = 0.
    """
    xp = namespace(beta, room, rate)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        work = xp.multiply(room, rate)
        root = xp.sqrt(1.0 + work * (work + (4.0 * beta - 2.0)))
        more = work - 1.0 + root
        beyond = xp.where(more > 0.0, 2.0 * beta * rate / xp.where(more > 0.0, more, 1.0), 0.0)
        return xp.where(work <= 1.0, (1.0 - work + root) / room / 2.0, beyond)


def service_rate(excess: FloatArray, rate: FloatArray, room: FloatArray) -> FloatArray:
    """Return μ = λ + x, rounded up, so that μ − λ is no less than `excess` and μ > λ; +inf where there is no `room`."""
    xp, mu = namespace(excess, rate, room), rate + excess
    mu = xp.where((mu - rate < excess) | (mu <= rate), xp.nextafter(mu, np.inf), mu)
    return xp.where(xp.greater(room, 0.0), mu, np.inf)


def poisson(scv: FloatArray | float) -> bool:
    """Return whether gaps are said to be those of Poisson processes, for which formulas are shorter."""
    return isinstance(scv, float) and scv == 1.0


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece of a delay curve, ``a/μ + b/(μ − λ) − relief·W``; all three coefficients are dimensionless.

    Examples
    --------
    >>> from dmcjia_opt.model.delay import delay_curve
    >>> delay_curve("md1").pieces()
    (Piece(a=0.5, b=0.5, relief=0.0),)
    """

    a: FloatArray | float
    b: FloatArray | float
    relief: float = 0.0


@dataclass(frozen=True, slots=True)
class QueueCurve:
    """Mean sojourn time in a queue with deterministic, exponential or general service.

    Parameters
    ----------
    name
        ``"md1"``, ``"mm1"`` or ``"mg1"``.
    a, b
        Coefficients of 1/μ and 1/(μ − λ), dimensionless, where arrivals are Poisson; ``a + b == 1``, ``b >= 1/2``.

    Notes
    -----
    Pollaczek–Khinchine: with squared coefficient of variation c² of the service time the mean wait is
    ``(1 + c²)/2 · λ/(μ(μ − λ))``; since ``λ/(μ(μ − λ)) = 1/(μ − λ) − 1/μ``, b = (1 + c²)/2 and a = 1 − b.
    The paper's (3-5) is c² = 0.

    Computed, for Poisson arrivals, as ``T = (1 − a·λ/μ)/(μ − λ)``, which a + b = 1 makes the same: when a is large
    and negative the two terms of the other form cancel, and a bound would lose more digits than its slack allows for.
    """

    name: str
    a: float
    b: float

    def beta(self, scv: Scv) -> Scv:
        """Return (c_a² + c_s²)/2."""
        return self.b + 0.5 * (scv - 1.0)

    def pieces(self, scv: Scv = 1.0) -> tuple[Piece, ...]:
        """Return the only one."""
        beta = self.beta(scv)
        return (Piece(1.0 - beta, beta),)

    def is_dcp(self, scv: Scv = 1.0) -> bool:
        """Return whether T is a sum of convex terms with non-negative weights."""
        return bool(np.max(self.beta(scv)) <= 1.0)

    def waits(self, scv: Scv = 1.0) -> BoolArray | bool:
        """Return that they do, unless neither gaps nor services vary."""
        return namespace(scv).greater(self.beta(scv), 0.0)

    def delay(self, excess: FloatArray, rate: FloatArray, wait: FloatArray | float = 0.0, scv: Scv = 1.0) -> FloatArray:
        """Return the mean delay T, s, whatever the `wait` upstream."""
        if not poisson(scv):
            return delay_of(self.beta(scv), excess, rate)
        if self.a == 0.0:
            return self.b / excess
        return (1.0 - self.a * (rate / (rate + excess))) / excess

    def marginal(
        self, excess: FloatArray, rate: FloatArray, wait: FloatArray | float = 0.0, scv: Scv = 1.0
    ) -> FloatArray:
        """Return −dT/dμ, s²: what one more unit of service rate saves."""
        if not poisson(scv):
            return marginal_of(1.0, self.beta(scv), excess, rate)
        if self.a == 0.0:
            return self.b / (excess * excess)
        part = rate / (rate + excess)
        return (1.0 - self.a * part * (2.0 - part)) / (excess * excess)

    def curvature(
        self, excess: FloatArray, rate: FloatArray, wait: FloatArray | float = 0.0, scv: Scv = 1.0
    ) -> FloatArray:
        """Return d²T/dμ², s³."""
        if not poisson(scv):
            return curvature_of(1.0, self.beta(scv), excess, rate)
        if self.a == 0.0:
            return 2.0 * self.b / (excess * excess * excess)
        part = rate / (rate + excess)
        return 2.0 * (1.0 - self.a * part * (3.0 - part * (3.0 - part))) / (excess * excess * excess)

    def excess_at(
        self, marginal: FloatArray, rate: FloatArray, wait: FloatArray | float = 0.0, scv: Scv = 1.0
    ) -> FloatArray:
        """Return the excess rate (1/s) at which one more unit of service rate saves exactly `marginal` (s²).

        Closed form for M/D/1 (``h = λ/2``, ``z = (1 + √(1 + 8kh²))/2k``, ``x = z/(h + √(h² + z))``) and M/M/1;
        otherwise Newton's method.
        """
        xp = namespace(marginal, rate)
        if poisson(scv) and self.a == 0.0:
            return xp.broadcast_to(xp.sqrt(self.b / marginal), np.broadcast_shapes(np.shape(marginal), np.shape(rate)))
        if poisson(scv) and self.a == self.b:
            h = 0.5 * rate
            z = 1.0 + xp.sqrt(1.0 + 8.0 * marginal * h * h)
            z /= 2.0 * marginal
            found: FloatArray = z / (h + xp.sqrt(h * h + z))
            return found
        return excess_of(1.0, self.beta(scv), marginal, rate)

    def excess_within(self, room: FloatArray, rate: FloatArray, scv: Scv = 1.0) -> FloatArray:
        """Return the excess rate (1/s) at which T is `room`, s."""
        return excess_within(self.beta(scv), room, rate)

    def rate_within(
        self, room: FloatArray, rate: FloatArray, wait: FloatArray | float = 0.0, scv: Scv = 1.0
    ) -> FloatArray:
        """Return the least service rate μ (1/s) at which T is at most `room` (s); +inf where none is."""
        return service_rate(self.excess_within(room, rate, scv), rate, room)


@dataclass(frozen=True, slots=True)
class OverlapCurve:
    """Mean time on a link on which tasks overlap: 1/μ, as long as no more arrives than it carries, μ ≥ λ."""

    @property
    def name(self) -> str:
        """``"delay"``."""
        return "delay"

    def pieces(self, scv: Scv = 1.0) -> tuple[Piece, ...]:
        """Return the only one."""
        return (Piece(1.0, 0.0),)

    def is_dcp(self, scv: Scv = 1.0) -> bool:
        """Return that it is."""
        return True

    def waits(self, scv: Scv = 1.0) -> BoolArray | bool:
        """Return that they do not."""
        return False

    def delay(self, excess: FloatArray, rate: FloatArray, wait: FloatArray | float = 0.0, scv: Scv = 1.0) -> FloatArray:
        """Return the delay T, s."""
        return 1.0 / (rate + excess)

    def marginal(
        self, excess: FloatArray, rate: FloatArray, wait: FloatArray | float = 0.0, scv: Scv = 1.0
    ) -> FloatArray:
        """Return −dT/dμ, s²."""
        service = 1.0 / (rate + excess)
        return service * service

    def curvature(
        self, excess: FloatArray, rate: FloatArray, wait: FloatArray | float = 0.0, scv: Scv = 1.0
    ) -> FloatArray:
        """Return d²T/dμ², s³; +inf at μ = λ, the least there may be."""
        service = 1.0 / (rate + excess)
        xp = namespace(excess, rate)
        return xp.where(excess <= 0.0, np.inf, 2.0 * service * service * service)

    def excess_at(
        self, marginal: FloatArray, rate: FloatArray, wait: FloatArray | float = 0.0, scv: Scv = 1.0
    ) -> FloatArray:
        """Return the excess rate (1/s) at which one more unit of service rate saves `marginal` (s²), at least 0."""
        xp = namespace(marginal, rate)
        return xp.maximum(1.0 / xp.sqrt(marginal) - rate, 0.0)

    def rate_within(
        self, room: FloatArray, rate: FloatArray, wait: FloatArray | float = 0.0, scv: Scv = 1.0
    ) -> FloatArray:
        """Return the least service rate μ (1/s) at which T is at most `room` (s); +inf where none is."""
        return namespace(room, rate).maximum(rate, alone(room))


MD1 = QueueCurve("md1", 0.5, 0.5)
MM1 = QueueCurve("mm1", 0.0, 1.0)
OVERLAP = OverlapCurve()


def alone(room: FloatArray) -> FloatArray:
    """Return 1/room, the rate (1/s) of a stage that nobody waits for; +inf where there is no room."""
    xp = namespace(room)
    with np.errstate(divide="ignore", over="ignore"):
        return xp.where(xp.greater(room, 0.0), xp.divide(1.0, room), np.inf)


def mg1(scv: float) -> QueueCurve:
    """Return the M/G/1 curve for a squared coefficient of variation `scv` of the service time."""
    if not (np.isfinite(scv) and scv >= 0.0):
        raise InputError(f"service_scv must be a finite number >= 0, got {scv}")
    b = (1.0 + scv) / 2.0
    return QueueCurve("mg1", 1.0 - b, b)
