"""What capacity costs, and what a fleet takes of it at given multipliers.

Capacity that is for sale has a price π and no limit; of the rest there is as much as there is. With multipliers ν ≥ 0
of what is not for sale and y ≥ 0 of the mean delay, M the most that it may be, weak duality gives

    Σ_d min_o [ y·w·delay + Σ (π + ν)·δ ] − Σ ν − y·M   ≤   Σ π·δ   of any plan that keeps everything,

deadlines kept inside of the minimum. At y = 0 that is `promises.keeping`, at y > 0 it is y times what nodes pay in the
dual of the mean at prices (π + ν)/y. Where nothing but deadlines is asked and all is for sale there is no multiplier:
then each node's least is the answer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dmcjia_opt.base.arrays import EPS, FloatArray, IntArray, blocks, frozen
from dmcjia_opt.bounds.columns import columns
from dmcjia_opt.bounds.promises import Needs, keeping, only
from dmcjia_opt.model.problem import TABLES, Problem

_BLOCK = 1 << 17


@dataclass(frozen=True, slots=True, eq=False)
class Offer:
    """What a fleet takes at some multipliers.

    Parameters
    ----------
    x
        (n_kept [+ 1],) the multipliers of what is not for sale, and of the mean delay where that has a target.
    value
        A lower bound on the least cost, less what rounding may have added.
    slope
        Of it along `x`: what is taken beyond what there is, and by how much the mean delay exceeds its target, s.
    cost
        What is bought costs.
    mean
        Weighted mean delay, s; NaN where it has no target.
    use
        (n_resources,) sums of the shares.
    options
        (n_nodes,) the options that cost no more than any other.
    """

    x: FloatArray
    value: float
    slope: FloatArray
    cost: float
    mean: float
    use: FloatArray
    options: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Market:
    """A fleet, and what capacity costs.

    Parameters
    ----------
    problem
        The compiled problem. Where the mean delay has a target its deadlines are those that are to be kept.
    deadline
        (n_nodes,) the longest delay that each node may have, s.
    prices
        (n_resources,) of a unit share; 0 where capacity is not for sale.
    kept
        Indices of the resources that are used and not for sale.
    stock
        Of each of those, how much there is, in shares.
    mean
        The most that the weighted mean delay may be, s; +inf where it has no target.
    """

    problem: Problem
    deadline: FloatArray
    prices: FloatArray
    kept: IntArray
    stock: FloatArray
    mean: float = math.inf

    @property
    def free(self) -> bool:
        """Whether nothing ties the nodes to each other."""
        return not self.kept.size and math.isinf(self.mean)

    @property
    def targeted(self) -> bool:
        """Whether the mean delay has a target."""
        return math.isfinite(self.mean)

    def only(self, options: IntArray) -> Market:
        """Return the market of a fleet that has these options (n_nodes,) and no others."""
        return replace(self, problem=only(self.problem, options))

    def sample(self, n: int) -> Market:
        """Return a market of `n` of the nodes, spread over the fleet, in which as much is there for each."""
        rows = np.linspace(0, self.problem.n_nodes - 1, n).astype(np.int64)
        tables: dict[str, Any] = {key: getattr(self.problem, key)[rows] for key in TABLES}
        tables["weight"] = tables["weight"] / tables["weight"].sum()
        tables = {key: t if key in ("resource", "last") else frozen(t) for key, t in tables.items()}
        some = replace(self.problem, **tables, uplinks=None)
        part = n / self.problem.n_nodes
        return replace(
            self, problem=some, deadline=self.deadline[rows], prices=self.prices / part, stock=self.stock * part
        )

    def _at(self, x: FloatArray) -> tuple[FloatArray, float]:
        prices = np.array(self.prices)
        prices[self.kept] += x[: len(self.kept)]
        return prices, float(x[-1]) if self.targeted else 0.0

    def ask(self, x: FloatArray) -> Offer:
        """Return what the fleet takes at multipliers (n_kept [+ 1],) > 0."""
        prices, y = self._at(x)
        problem = self.problem
        if y:
            cost, use = np.empty(problem.n_nodes), np.zeros(problem.n_resources)
            options = np.empty(problem.n_nodes, dtype=np.int64)
            for rows in blocks(problem.n_nodes, problem.n_options * problem.n_uses, _BLOCK):
                these = columns(problem, rows)
                cost[rows], shares, choice = these.at(prices / y)
                options[rows] = choice[:, 0]
                use += these.used(choice, shares, problem.n_resources)
            total = y * math.fsum(cost)
        else:
            found = keeping(problem, self.deadline, prices)
            total, use, options = found.total, found.use, found.options
        paid = float(prices @ np.where(prices > 0, use, 0.0))
        mean = (total - paid) / y if y else math.nan
        given = self.given(x)
        slope = np.append(use[self.kept] - self.stock, [mean - self.mean] if self.targeted else [])
        slack = (64.0 + math.log2(problem.n_nodes + 1)) * EPS * (total + given)
        bought = float(self.prices @ np.where(self.prices > 0, use, 0.0))
        return Offer(x, total - given - slack, slope, bought, mean, use, options)

    def gratis(self) -> Market:
        """Return the market in which what is for sale costs nothing, so that its uses take no time.

        Of all plans its value is a lower bound on 0 then, at any multipliers: where it is more, there is no plan.
        """
        return replace(self, prices=np.zeros(len(self.prices)))

    def shares(self, x: FloatArray, options: IntArray) -> FloatArray:
        """Return the shares (n_nodes, n_uses) that `options` (n_nodes,) take at multipliers > 0."""
        prices, y = self._at(x)
        problem = only(self.problem, options) if y else self.problem
        found = np.empty((problem.n_nodes, problem.n_uses))
        for rows in blocks(problem.n_nodes, problem.n_uses, _BLOCK):
            if y:
                found[rows] = np.stack(columns(problem, rows).at(prices / y)[1], axis=-1)
            else:
                group = Needs.of(problem, rows, options[rows, None])
                found[rows] = group.cost(self.deadline[rows, None], prices)[1][:, 0]
        return found

    def over(self, options: IntArray, shares: FloatArray) -> float:
        """Return by how much a plan exceeds what there is, or its target, relative; 0 or less where it does not.

        Deadlines are not looked at.
        """
        use = self.problem.by_resource(options, shares)[self.kept]
        most = float((use / self.stock - 1.0).max(initial=-math.inf))
        if self.targeted:
            mean = float(self.problem.weight @ self.problem.node_delay(options, shares))
            most = max(most, mean / self.mean - 1.0)
        return most

    def costs(self, x: FloatArray, rows: slice) -> FloatArray:
        """Return what each option (n, n_options) of some nodes costs at multipliers > 0."""
        prices, y = self._at(x)
        if y:
            return np.asarray(y * columns(self.problem, rows).priced(prices / y)[0])
        return Needs.of(self.problem, rows).cost(self.deadline[rows, None], prices)[0]

    def given(self, x: FloatArray) -> float:
        """Return what is there at multipliers: what the value is less than what the nodes pay."""
        k = len(self.kept)
        return float(x[:k] @ self.stock) + (float(x[-1]) * self.mean if self.targeted else 0.0)
