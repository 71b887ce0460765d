"""The dual of one case of a proof: a price for the resource, and a charge for every limit on a split's use in all.

With a price alone it is a function of one variable, and two tangents close in on its maximum. With charges it is
maximised by cutting planes (`bundle`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray, over_uses
from dmcjia_opt.bounds.bundle import climb
from dmcjia_opt.bounds.dual import LEAST_PRICE, MOST_PRICE, priced
from dmcjia_opt.bounds.proof.checking import Case
from dmcjia_opt.bounds.proof.document import Prices
from dmcjia_opt.model.problem import Problem

_STEPS = 60


@dataclass(frozen=True, slots=True)
class Multipliers:
    """Prices, s per unit share, and charges, s, by split."""

    prices: Prices
    charges: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Peak:
    """Where the dual of a case is largest, as far as the search went.

    Parameters
    ----------
    at, value
        The multipliers, and the dual there, s.
    cost, share
        (n_classes, n_splits) what a node pays for each split there, s, and the share it takes.
    mixture
        (n_classes, n_splits) the mean of the minimisers around the peak that uses exactly the whole cloud.
    """

    at: Multipliers
    value: float
    cost: FloatArray
    share: FloatArray
    mixture: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class _Point:
    x: FloatArray  # price, then one charge for each limited split
    value: float
    slope: FloatArray
    count: IntArray
    cost: FloatArray
    share: FloatArray


class CaseDual:
    """Maximises the duals of cases of one problem.

    Parameters
    ----------
    problem
        The problem.
    first, sizes
        (n_classes,) one node of each class, and how many there are.
    """

    def __init__(self, problem: Problem, first: IntArray, sizes: IntArray) -> None:
        self.problem, self.first, self.sizes = problem, first, sizes
        self.n_nodes = int(sizes.sum())

    def peak(self, case: Case, near: Multipliers, target: float) -> Peak:
        """Return the maximum of a case's dual, or the first point at which it reaches `target`.

        Parameters
        ----------
        case
            At least one plan must be of it.
        near
            Where to begin.
        target
            The value wanted, s; the search also ends once it cannot be reached.
        """
        limited = np.flatnonzero((case.least_in_all > 0) | (case.most_in_all < self.n_nodes))
        known = dict(near.charges)
        x = np.array([*near.prices, *(known.get(int(split), 0.0) for split in limited)])
        points, part = self._planes(case, limited, x, target) if limited.size else self._line(case, x, target)
        best = max(points, key=lambda point: point.value)
        charges = tuple(zip(limited.tolist(), best.x[1:].tolist(), strict=True))
        mixture = np.tensordot(part, np.stack([point.count for point in points]), 1)
        return Peak(Multipliers((float(best.x[0]),), charges), best.value, best.cost, best.share, mixture)

    def _point(self, case: Case, limited: IntArray, x: FloatArray) -> _Point:
        cost, shares = priced(self.problem, x[:1], self.first)
        share = over_uses(shares)
        limit = np.where(x[1:] > 0, case.most_in_all[limited], case.least_in_all[limited])
        if limited.size:
            cost = cost.copy()
            for split, charge in zip(limited, x[1:], strict=True):
                cost[:, : split + 1] += charge
        count = case.cheapest(self.sizes, np.argsort(cost, axis=1, kind="stable"))
        if count is None:  # no plan is of this case
            none = np.zeros(cost.shape, dtype=np.int64)
            return _Point(x, math.inf, np.zeros(len(x)), none, cost, share)
        used = count > 0
        value = math.fsum(count[used] * cost[used]) - float(x[0]) - float(x[1:] @ limit)
        in_all = np.cumsum(count.sum(axis=0))[limited]
        free = np.clip(in_all, case.least_in_all[limited], case.most_in_all[limited])
        slope = np.array(
            [float((count[used] * share[used]).sum()) - 1.0, *(in_all - np.where(x[1:] == 0, free, limit))]
        )
        return _Point(x, value, slope, count, cost, share)

    def _line(self, case: Case, x: FloatArray, target: float) -> tuple[list[_Point], FloatArray]:
        """Close in on the maximum over the price from both sides; return the last two sides and their parts."""
        none = np.zeros(0, dtype=np.int64)
        low = high = None
        factor = 1.05
        for _ in range(_STEPS):
            point = self._point(case, none, x)
            if point.value >= target:
                return [point], np.ones(1)
            low, high = (point, high) if point.slope[0] >= 0.0 else (low, point)
            if low is None or high is None:
                x = x * (factor if high is None else 1.0 / factor)
                if not LEAST_PRICE < x[0] < MOST_PRICE:
                    break
                factor = min(factor**2, 1e6)
                continue
            slope = float(low.slope[0] - high.slope[0])
            span = float(high.x[0] - low.x[0])
            step = (high.value - low.value - float(high.slope[0]) * span) / slope if slope > 0 else 0.5 * span
            ceiling = low.value + float(low.slope[0]) * step
            best = max(low.value, high.value)
            if span <= 1e-14 * high.x[0] or ceiling < target or ceiling - best <= 1e-15 * best:
                break
            at = float(low.x[0]) + step
            if not low.x[0] + 1e-3 * span < at < high.x[0] - 1e-3 * span:
                at = float(low.x[0]) + 0.5 * span
            x = np.array([at])
        ends = [point for point in (low, high) if point is not None]
        if low is None or high is None:
            return ends, np.ones(1)
        part = float(-high.slope[0] / (low.slope[0] - high.slope[0]))
        return ends, np.array([part, 1.0 - part])

    def _planes(self, case: Case, limited: IntArray, x: FloatArray, target: float) -> tuple[list[_Point], FloatArray]:
        """Cutting planes over the price and the charges; return the points and their parts in the mixture."""
        scale = np.append(0.2 * x[0], np.full(limited.size, 0.5 * x[0] / self.n_nodes))
        floor = np.append(0.0, np.full(limited.size, -np.inf))
        ask = partial(self._point, case, limited)
        summit = climb(ask, [ask(x)], scale, floor, target=target)
        return summit.points, summit.parts
