"""Arithmetic on intervals that certainly hold the true value: float64, every result rounded outward.

IEEE 754 rounds the sum, difference, product and quotient of two numbers to the nearest float, so the true value lies
between that float's two neighbours. Nothing else is assumed: no square root, no library's elementary functions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dmcjia_opt.base.arrays import BoolArray, FloatArray


def below(values: FloatArray) -> FloatArray:
    """Return the next floats towards −inf."""
    return np.nextafter(values, -np.inf)


def above(values: FloatArray) -> FloatArray:
    """Return the next floats towards +inf."""
    return np.nextafter(values, np.inf)


@dataclass(frozen=True, slots=True, eq=False)
class Interval:
    """Arrays of lower and upper ends; operators give intervals that hold every true result.

    Parameters
    ----------
    low, high
        Arrays that broadcast against each other, ``low <= high``.
    """

    low: FloatArray
    high: FloatArray

    @classmethod
    def exactly(cls, values: FloatArray | float) -> Interval:
        """Return the interval that holds `values` and nothing else."""
        array = np.asarray(values, dtype=np.float64)
        return cls(array, array)

    def __add__(self, other: Interval) -> Interval:
        return Interval(below(self.low + other.low), above(self.high + other.high))

    def __sub__(self, other: Interval) -> Interval:
        return Interval(below(self.low - other.high), above(self.high - other.low))

    def __mul__(self, other: Interval) -> Interval:
        corners = [a * b for a in (self.low, self.high) for b in (other.low, other.high)]
        return Interval(below(np.minimum.reduce(corners)), above(np.maximum.reduce(corners)))

    def over(self, positive: Interval) -> Interval:
        """Return the quotient by an interval of positive numbers; NaN ends where it is not one."""
        corners = [a / b for a in (self.low, self.high) for b in (positive.low, positive.high)]
        fine = positive.low > 0
        low, high = below(np.minimum.reduce(corners)), above(np.maximum.reduce(corners))
        return Interval(np.where(fine, low, np.nan), np.where(fine, high, np.nan))

    def where(self, condition: BoolArray, other: Interval) -> Interval:
        """Return this interval where `condition` holds, and `other` elsewhere."""
        return Interval(np.where(condition, self.low, other.low), np.where(condition, self.high, other.high))
