"""What is pooled: all its users' tasks meet at it, and nobody has a share.

One law covers the kinds there are. A use takes ``own + each·q/(1 − ρ)`` seconds, ρ the load of the resource and q the
work that a task meets on average, to which every use adds its part. So the uses cost together, in the weighted mean,

    Σ w·own + p·q/(1 − ρ),    p = Σ w·each,    q = empty + Σ ahead,    ρ = Σ λs:

linear in who uses what, but for one product of three sums. It grows in each of them.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from dmcjia_opt.base.arrays import FloatArray

#: How many sums say what the users of a resource cost together: p, q and ρ.
SUMS = 3


class Pooled(Protocol):
    """A kind of sharing without shares. `service` is the service time of a use with the resource to itself, s."""

    @property
    def name(self) -> str:
        """What scenarios call it."""

    @property
    def empty(self) -> float:
        """What q is where nobody else is there, s, or without a unit where `each` has one."""

    def own(self, service: FloatArray) -> FloatArray:
        """Return what of its time a use has to itself, whoever else is there, s."""

    def each(self, service: FloatArray) -> FloatArray:
        """Return how often a use waits for q/(1 − ρ)."""

    def ahead(self, service: FloatArray, rate: FloatArray, scv: FloatArray) -> FloatArray:
        """Return what a use adds to q.

        Parameters
        ----------
        rate
            Arrival rate, 1/s.
        scv
            c_a² + c_s², the squared coefficients of variation of the gaps and of the service times.
        """


def cost(sums: FloatArray) -> FloatArray:
    """Return p·q/(1 − ρ), s, of sums (..., 3); +inf from ρ = 1 on where there are users."""
    p, q, load = sums[..., 0], sums[..., 1], sums[..., 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(p > 0, np.where(load < 1.0, p * q / (1.0 - load), np.inf), 0.0)


def least(prices: FloatArray, low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the least of p·q/(1 − ρ) − Σ price·sum over a box of the sums.

    Parameters
    ----------
    prices
        (..., 3) ≥ 0, s per unit of each sum.
    low, high
        (..., 3) the box, from 0; ρ at most 1.

    Returns
    -------
    value, sums, magnitude
        (...,) the least, s; (..., 3) where it is; and (...,) the sum of absolute terms in it, s.

    Notes
    -----
    With ρ given the product is linear in p and in q, so that a corner of the box is best in both; with p and q given
    it is convex in ρ, and least where (1 − ρ)² = p·q/price. An error of that place enters in second order only.
    """
    shape = low.shape[:-1]
    value, magnitude = np.full(shape, np.inf), np.zeros(shape)
    sums = np.array(low)
    nearest, farthest, price = 1.0 - high[..., 2], 1.0 - low[..., 2], prices[..., 2]
    for p in (low[..., 0], high[..., 0]):
        for q in (low[..., 1], high[..., 1]):
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                best = np.sqrt(p * q / price)
                free = np.clip(np.where(price > 0, best, np.inf), nearest, farthest)
                crowded = np.where(p * q > 0, p * q / free, 0.0)
            paid = prices[..., 0] * p + prices[..., 1] * q + price
            total = crowded + price * free - paid
            lower = total < value
            value = np.where(lower, total, value)
            magnitude = np.where(lower, crowded + price * free + paid, magnitude)
            sums = np.where(lower[..., None], np.stack([p, q, 1.0 - free], axis=-1), sums)
    return value, sums, magnitude
