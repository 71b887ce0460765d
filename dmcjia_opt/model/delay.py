"""Delay curves: mean time in the cloud queue as a function of its service rate.

Every curve here is ``T(μ) = a/μ + b/(μ − λ)`` with ``a + b = 1``, convex and decreasing in μ > λ. The argument is
the *excess rate* ``x = μ − λ`` rather than μ, because near saturation μ − λ loses all its digits.

The price response ``excess_at`` and the conjugate ``priced`` are all that allocators and bounds need, so a curve of
another shape (the exact tandem of deterministic stages is the maximum of two such pieces) is one more class with
the same four methods.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dmcjia_opt.errors import InputError
from dmcjia_opt.model.arrays import EPS, FloatArray

_NEWTON_STEPS = 40


@dataclass(frozen=True, slots=True)
class DelayCurve:
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

    def delay(self, excess: FloatArray, rate: FloatArray) -> FloatArray:
        """Return the mean delay, s, at excess service rate `excess` (1/s) and arrival rate `rate` (1/s)."""
        if self.a == 0.0:
            return self.b / excess
        return (1.0 - self.a * (rate / (rate + excess))) / excess

    def marginal(self, excess: FloatArray, rate: FloatArray) -> FloatArray:
        """Return −dT/dμ, s²: what one more unit of service rate saves."""
        if self.a == 0.0:
            return self.b / (excess * excess)
        part = rate / (rate + excess)
        return (1.0 - self.a * part * (2.0 - part)) / (excess * excess)

    def curvature(self, excess: FloatArray, rate: FloatArray) -> FloatArray:
        """Return d²T/dμ², s³."""
        if self.a == 0.0:
            return 2.0 * self.b / (excess * excess * excess)
        part = rate / (rate + excess)
        return 2.0 * (1.0 - self.a * part * (3.0 - part * (3.0 - part))) / (excess * excess * excess)

    def excess_at(self, marginal: FloatArray, rate: FloatArray) -> FloatArray:
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
    def is_dcp(self) -> bool:
        """Whether T is a sum of convex terms with non-negative weights, as disciplined convex programming asks."""
        return self.a >= 0.0


MD1 = DelayCurve("md1", 0.5, 0.5)
MM1 = DelayCurve("mm1", 0.0, 1.0)


def mg1(scv: float) -> DelayCurve:
    """Return the M/G/1 curve for a squared coefficient of variation `scv` of the service time."""
    if not (np.isfinite(scv) and scv >= 0.0):
        raise InputError(f"service_scv must be a finite number >= 0, got {scv}")
    b = (1.0 + scv) / 2.0
    return DelayCurve("mg1", 1.0 - b, b)


def delay_curve(name: str, service_scv: float = 0.0) -> DelayCurve:
    """Return the curve called `name`: ``md1``, ``mm1``, or ``mg1`` with `service_scv`.

    Raises
    ------
    InputError
        If the name is not a known curve.
    """
    if name == "md1":
        return MD1
    if name == "mm1":
        return MM1
    if name == "mg1":
        return mg1(service_scv)
    raise InputError(f'delay = "{name}" is not a known curve; choose md1, mm1 or mg1')
