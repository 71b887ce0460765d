"""The dual of one case of a proof: a price for each resource, and a charge for every limit on an option's use in all.

With one price alone it is a function of one variable, and two tangents close in on its maximum. With several, or with
charges, it is maximised by cutting planes (`bundle`). Whether a case has any plan is a question of the same kind: which
weights of the resources make the least load that its plans can have largest?
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray, over_uses
from dmcjia_opt.bounds.bundle import climb, peak_of_planes
from dmcjia_opt.bounds.dual import LEAST_PRICE, MOST_PRICE, priced
from dmcjia_opt.bounds.proof.checking import Case, CostTables, overloaded
from dmcjia_opt.bounds.proof.document import Charge, Prices
from dmcjia_opt.model.problem import Problem

_STEPS = 60
#: Parts of the sum of all prices: below the first a search begins with no price, and none is taken for smaller than
#: the second when it is said how far a step may go.
_LEAST_PART, _SMALL_PART = 1e-9, 1e-4


@dataclass(frozen=True, slots=True)
class Multipliers:
    """Prices, s per unit share, and charges, s, by option."""

    prices: Prices
    charges: tuple[Charge, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Peak:
    """Where the dual of a case is largest, as far as the search went.

    Parameters
    ----------
    at, value
        The multipliers, and the dual there, s.
    cost, share
        (n_classes, n_options) what a node pays for each option there, s, and the shares it takes, each in the part
        that its resource has in the sum of the prices.
    mixture
        (n_classes, n_options) the mean of the minimisers around the peak that uses no more than there is.
    """

    at: Multipliers
    value: float
    cost: FloatArray
    share: FloatArray
    mixture: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class _Point:
    x: FloatArray  # prices, then one charge for each limited option
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
        self.n_nodes, self.n_prices = int(sizes.sum()), problem.n_resources
        self.resource = problem.resource[first]

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
        limited = np.flatnonzero((case.least_up_to[-1] > 0) | (case.most_up_to[-1] < self.n_nodes))
        known = {charge.option: charge.amount for charge in near.charges}
        x = np.array([*near.prices, *(known.get(int(option), 0.0) for option in limited)])
        alone = len(x) == 1
        points, part = self._line(case, x, target) if alone else self._planes(case, limited, x, target)
        best = max(points, key=lambda point: point.value)
        charges = tuple(map(Charge, limited.tolist(), best.x[self.n_prices :].tolist()))
        mixture = np.tensordot(part, np.stack([point.count for point in points]), 1)
        at = Multipliers(tuple(best.x[: self.n_prices].tolist()), charges)
        return Peak(at, best.value, best.cost, best.share, mixture)

    def _point(self, case: Case, limited: IntArray, x: FloatArray) -> _Point:
        prices, charges = x[: self.n_prices], x[self.n_prices :]
        cost, shares = priced(self.problem, prices, self.first)
        part = prices / max(float(prices.sum()), LEAST_PRICE)
        limit = np.where(charges > 0, case.most_up_to[-1, limited], case.least_up_to[-1, limited])
        if limited.size:
            cost = cost.copy()
            for option, charge in zip(limited, charges, strict=True):
                cost[:, : option + 1] += charge
        count = case.cheapest(self.sizes, np.argsort(cost, axis=1, kind="stable"))
        weighed = over_uses(np.where(part[self.resource] > 0, shares, 0.0) * part[self.resource])
        if count is None:  # no plan is of this case
            none = np.zeros(cost.shape, dtype=np.int64)
            return _Point(x, math.inf, np.zeros(len(x)), none, cost, weighed)
        used = count > 0
        value = math.fsum(count[used] * cost[used]) - math.fsum(prices) - float(charges @ limit)
        in_all = np.cumsum(count.sum(axis=0))[limited]
        free = np.clip(in_all, case.least_up_to[-1, limited], case.most_up_to[-1, limited])
        taken = count[used][:, None] * shares[used]
        if self.n_prices == 1:
            use = np.array([float(over_uses(taken).sum())])
        else:
            use = np.bincount(self.resource[used].ravel(), taken.ravel(), self.n_prices).astype(np.float64)
        slope = np.array([*(use - 1.0), *(in_all - np.where(charges == 0, free, limit))])
        return _Point(x, value, slope, count, cost, weighed)

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
        """Cutting planes over prices and charges; return the points and their parts in the mixture."""
        n = self.n_prices
        x[:n] = np.maximum(x[:n], _LEAST_PART * x[:n].sum())
        prices = np.maximum(x[:n], _SMALL_PART * x[:n].sum())
        scale = np.append(0.2 * prices, np.full(limited.size, 0.5 * prices.sum() / self.n_nodes))
        floor = np.append(np.zeros(n), np.full(limited.size, -np.inf))
        ask = partial(self._point, case, limited)
        summit = climb(ask, [ask(x)], scale, floor, target=target, steps=max(80, 20 * n))
        return summit.points, summit.parts


def overload_weights(case: Case, tables: CostTables) -> Prices | None:
    """Return weights of the resources that show that no plan of a case can be carried; None where none are found.

    Weights with which the least sum of shares is more than what a plan has are sought by cutting planes: every plan
    that is the least at some weights is a row of a linear program.
    """
    problem, first = tables.problem, tables.first
    n, resource = problem.n_resources, problem.resource[first]
    least = np.maximum(problem.arrival_rate[first, None, None], problem.least_rate[first]) * problem.service[first]
    weights = (1.0,) if n == 1 else (1.0 / n,) * n
    rows: list[FloatArray] = []
    for _ in range(_STEPS):
        if overloaded(case, tables, weights):
            return weights
        count = case.cheapest(tables.sizes, tables.loads(weights)[1])
        if count is None:
            return None
        used = count > 0
        taken = (count[used][:, None] * least[used]).ravel()
        rows.append(np.asarray(np.bincount(resource[used].ravel(), taken, n) - 1.0, dtype=np.float64))
        if n == 1 or (rows[-1] <= 0.0).all():
            return None
        found = peak_of_planes(np.stack(rows), np.zeros(len(rows)), np.zeros(n), np.ones(n))
        if found is None or found[0] <= 0.0:
            return None
        weights = tuple(found[1].tolist())
    return None
