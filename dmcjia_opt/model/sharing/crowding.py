"""What is pooled: all its users' tasks meet at it, and nobody has a share.

One law covers the kinds there are. A use takes ``own + each·q·φ(ρ)`` seconds, ρ the load of the resource and q the
work that a task meets on average, to which every use adds its part; φ is 1/(1 − ρ), or for batches another function of
the load alone. So the uses cost together, in the weighted mean,

    Σ w·own + p·q·φ(ρ),    p = Σ w·each,    q = empty + Σ ahead,    ρ = Σ λs:

linear in who uses what, but for one product of functions of three sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol, TypeAlias

import numpy as np

from dmcjia_opt.base.arrays import FloatArray

#: How many sums say what the users of a resource cost together: p, q and ρ.
SUMS = 3
#: (ρ, ψ) from ρ = 0 to 1: φ(ρ) = ψ/(1 − ρ), with ψ linear in between.
Points: TypeAlias = tuple[tuple[float, float], ...]
#: φ = 1/(1 − ρ).
STEADY: Points = ((0.0, 1.0), (1.0, 1.0))


class Pooled(Protocol):
    """A kind of sharing without shares. `service` is the service time of a use with the resource to itself, s."""

    @property
    def name(self) -> str:
        """What scenarios call it."""

    @property
    def empty(self) -> float:
        """What q is where nobody else is there, s, or without a unit where `each` has one."""

    @property
    def points(self) -> Points:
        """How much longer q takes as the load grows."""

    def own(self, service: FloatArray) -> FloatArray:
        """Return what of its time a use has to itself, whoever else is there, s."""

    def each(self, service: FloatArray) -> FloatArray:
        """Return how often a use waits for q·φ."""

    def ahead(self, service: FloatArray, rate: FloatArray, scv: FloatArray) -> FloatArray:
        """Return what a use adds to q.

        Parameters
        ----------
        rate
            Arrival rate, 1/s.
        scv
            c_a² + c_s², the squared coefficients of variation of the gaps and of the service times.
        """


@dataclass(frozen=True, slots=True, eq=False)
class Crowding:
    """φ of several resources.

    Parameters
    ----------
    at, value
        (n_points, n_resources) ρ and ψ; where a resource has fewer points its last one is repeated.

    Attributes
    ----------
    cells
        Where ψ is linear: from and to which ρ (n_resources,), and a and b of φ = a/(1 − ρ) + b there.
    """

    at: FloatArray
    value: FloatArray
    cells: tuple[tuple[FloatArray, FloatArray, FloatArray, FloatArray], ...] = field(init=False)

    def __post_init__(self) -> None:
        """Find the cells, once."""
        found = []
        for i in range(len(self.at) - 1):
            low, high = self.at[i], self.at[i + 1]
            slope = (self.value[i + 1] - self.value[i]) / np.where(high > low, high - low, 1.0)
            found.append((low, high, self.value[i] + slope * (1.0 - low), -slope))
        object.__setattr__(self, "cells", tuple(found))

    @staticmethod
    def of(points: Sequence[Points]) -> Crowding:
        """Return that of resources by their points."""
        return _crowding(tuple(points))

    def factor(self, load: FloatArray) -> FloatArray:
        """Return φ of loads (..., n_resources); +inf from 1 on."""
        found = np.zeros(np.shape(load))
        with np.errstate(divide="ignore", invalid="ignore"):
            free = np.where(load < 1.0, 1.0 - load, 0.0)
            for low, high, a, b in self.cells:
                found = np.where((load >= low) & (high > low), a / free + b, found)
        return np.where(free > 0, found, np.inf)

    def least_factor(self, load: FloatArray) -> FloatArray:
        """Return the least φ that there is at any load from some on, which are (..., n_resources)."""
        found = self.factor(load)
        for at, value in zip(self.at, self.value, strict=True):
            there = np.where(at < 1.0, value / np.where(at < 1.0, 1.0 - at, 1.0), np.inf)
            found = np.where(load <= at, np.minimum(found, there), found)
        return found

    def cost(self, sums: FloatArray) -> FloatArray:
        """Return p·q·φ(ρ), s, of sums (..., n_resources, 3); +inf from ρ = 1 on where there are users."""
        p, q = sums[..., 0], sums[..., 1]
        with np.errstate(invalid="ignore"):
            return np.where(p > 0, np.where(sums[..., 2] < 1.0, p * q * self.factor(sums[..., 2]), np.inf), 0.0)

    def slope(self, load: FloatArray) -> FloatArray:
        """Return how φ grows with the load, at loads (..., n_resources) < 1; 0 where it falls."""
        found = np.zeros(np.shape(load))
        for low, high, a, _ in self.cells:
            found = np.where((load >= low) & (high > low), np.maximum(a, 0.0) / (1.0 - load) ** 2, found)
        return found

    def least(self, prices: FloatArray, low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the least of p·q·φ(ρ) − Σ price·sum over a box of the sums.

        Parameters
        ----------
        prices
            (..., n_resources, 3) ≥ 0, s per unit of each sum.
        low, high
            (..., n_resources, 3) the box, from 0; ρ at most 1.

        Returns
        -------
        value, sums, magnitude
            (..., n_resources) the least, s; (..., n_resources, 3) where it is; and (..., n_resources) the sum of
            absolute terms in it, s.

        Notes
        -----
        With ρ given the product is linear in p and in q, so that a corner of the box is best in both; with p and q
        given it is convex in ρ where a is positive, and least where (1 − ρ)² = p·q·a/price, or at an end. An error of
        that place enters in second order only.
        """
        shape = low.shape[:-1]
        value, magnitude = np.full(shape, np.inf), np.zeros(shape)
        sums = np.array(low)
        price = prices[..., 2]
        for start, end, a, b in self.cells:
            nearest = 1.0 - np.minimum(high[..., 2], end)
            farthest = 1.0 - np.maximum(low[..., 2], start)
            there = (nearest <= farthest) & (end > start)
            for p in (low[..., 0], high[..., 0]):
                for q in (low[..., 1], high[..., 1]):
                    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                        best = np.where(price > 0, np.sqrt(p * q * np.maximum(a, 0.0) / price), np.inf)
                    ends = (nearest, farthest) if (a < 0.0).any() else ()
                    for free in (np.minimum(np.maximum(best, nearest), farthest), *ends):
                        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                            near, far = (np.where(p * q > 0, p * q * part, 0.0) for part in (a / free, b))
                        paid = prices[..., 0] * p + prices[..., 1] * q + price
                        total = near + far + price * free - paid
                        lower = there & (total < value)
                        value = np.where(lower, total, value)
                        magnitude = np.where(lower, abs(near) + abs(far) + price * free + paid, magnitude)
                        sums = np.where(lower[..., None], np.stack([p, q, 1.0 - free], axis=-1), sums)
        return value, sums, magnitude


@lru_cache(maxsize=64)
def _crowding(points: tuple[Points, ...]) -> Crowding:
    most = max(map(len, points))
    table = np.array([[*one, *[one[-1]] * (most - len(one))] for one in points])
    return Crowding(table[..., 0].T.copy(), table[..., 1].T.copy())
