"""The Lagrangian dual: a price for each resource, one small minimum a node.

For any prices ν ≥ 0 of the resources (s per unit share), weak duality gives

    L(ν) = Σ_d min_o [ w·fixed + Σ_k min_x ( w·T(x) + ν_r·s·(λ + x) ) ] − Σ_r ν_r   ≤   optimum,

k the uses of option o, r what use k uses, x its excess service rate. In a tandem the minimum is over the rates of all
its stages at once (`delay.series_excess`). L is concave, and its supergradient is Σ shares − 1 of each resource.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from dmcjia_opt.base.arrays import EPS, FloatArray, IntArray, constant
from dmcjia_opt.base.limits import FARTHEST
from dmcjia_opt.bounds.columns import Columns, all_columns, columns, kept_within, late_of
from dmcjia_opt.bounds.responses import Asked
from dmcjia_opt.model.problem import Problem

#: Prices, s per unit share, between which the dual is evaluated; the best price of any sensible problem is.
LEAST_PRICE, MOST_PRICE = 1.0 / FARTHEST, FARTHEST
_EXACT_SUM = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class DualPoint:
    """The dual function at one vector of prices.

    Parameters
    ----------
    prices
        (n_resources,) ν, s per unit share.
    value
        L(ν), s, as computed; `certificate.lower_bound` subtracts what rounding may have added.
    use
        (n_resources,) sum of the shares that the nodes choose; the supergradient of L is ``use − 1``.
    magnitude
        Sum of absolute terms in `value`, the scale of its rounding error.
    elasticity
        (n_resources,) ∂ log use / ∂ log ν where the minimising options stay the same, between −1 and 0; 0 where it is
        not known.
    options
        (n_nodes,) minimising options.
    """

    prices: FloatArray
    value: float
    use: FloatArray
    magnitude: float
    elasticity: FloatArray
    options: IntArray

    @property
    def price(self) -> float:
        """The price where there is one resource."""
        return float(self.prices[0])

    @property
    def x(self) -> FloatArray:
        """Where the dual was asked for: its prices."""
        return self.prices

    @property
    def slope(self) -> FloatArray:
        """A supergradient of the dual, ``use − 1``."""
        return self.use - 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """What nodes do at some prices, all in all; sums of parts of a fleet add up.

    Parameters
    ----------
    cost, magnitude
        What their cheapest options cost, s, and the sum of its absolute terms.
    use, response
        (n_resources,) the shares that those take, and Σ −∂δ/∂ν where it is known.
    """

    cost: float
    magnitude: float
    use: FloatArray
    response: FloatArray

    @classmethod
    def all(cls, parts: Sequence[Sums]) -> Sums:
        """Return the sums over parts, in their order."""
        cost, magnitude = (math.fsum(getattr(part, key) for part in parts) for key in ("cost", "magnitude"))
        use, response = (np.sum([getattr(part, key) for part in parts], axis=0) for key in ("use", "response"))
        return cls(cost, magnitude, use, response)

    def point(self, prices: FloatArray, capacity: float, options: IntArray) -> DualPoint:
        """Return the dual at these prices, where every resource has so much capacity."""
        paid = float(prices.sum()) * capacity
        known = (self.use > 0.0) & (self.use < np.inf) & (self.response < np.inf)
        elasticity = np.where(known, -prices * self.response / np.where(known, self.use, 1.0), 0.0)
        return DualPoint(prices, self.cost - paid, self.use / capacity, self.magnitude + paid, elasticity, options)


def priced(problem: Problem, prices: FloatArray, rows: slice | IntArray = slice(None)) -> tuple[FloatArray, FloatArray]:
    """Return cost and shares of every option at prices.

    Parameters
    ----------
    problem
        The compiled problem.
    prices
        (n_resources,) ν ≥ 0, s per unit share; a number where there is one resource.
    rows
        Which nodes.

    Returns
    -------
    cost, shares
        (n_rows, n_options) w·(fixed + T) + ν·δ in s, and (n_rows, n_options, n_uses) the shares δ that attain it;
        cost is +inf where the option is not allowed.
    """
    cost, shares = columns(problem, rows).priced(np.atleast_1d(np.asarray(prices, dtype=np.float64)))
    return cost, shares[0][..., None] if len(shares) == 1 else np.stack(shares, axis=-1)


def dual_point(problem: Problem, prices: FloatArray | float) -> DualPoint:
    """Return the dual function at `prices` (n_resources,) ≥ 0; at 0 every node takes its least local delay.

    A number will do where there is one resource.
    """
    at = np.atleast_1d(np.asarray(prices, dtype=np.float64))
    return point_of(all_columns(problem), at, problem.n_nodes)


def point_of(
    groups: Iterable[Columns], prices: FloatArray, n: int, capacity: float = 1.0, *, elastic: bool = True
) -> DualPoint:
    """Return the dual of the `n` nodes in some columns, where every resource has only so much capacity.

    Without `elastic` its elasticity is left out, which takes a third of the time.
    """
    options = np.empty(n, dtype=np.int64)
    return sums_of(groups, prices, n, options, elastic=elastic).point(prices, capacity, options)


def sums_of(
    groups: Iterable[Columns], prices: FloatArray, n: int, options: IntArray | None = None, *, elastic: bool = True
) -> Sums:
    """Return what the `n` nodes in some columns cost and use at prices; their `options` (n,) are filled in if given."""
    tally = PriceTally(prices, n, elastic=elastic)
    for group in groups:
        found = group.at(prices)
        tally.add(group, *found)
        if options is not None:
            options[group.rows] = group.option[np.arange(len(group.rows)), found[2][:, 0]]
    return tally.sums()


class PriceTally:
    """Adds up what nodes do at some prices, some nodes at a time.

    Parameters
    ----------
    prices
        (n_resources,) s per unit share.
    n
        How many nodes there are.
    elastic
        Whether to add up too how their use responds to prices > 0.
    """

    def __init__(self, prices: FloatArray, n: int, *, elastic: bool = True) -> None:
        self._elastic = elastic and prices.min() > 0.0
        self._prices, self._best = prices, np.empty(n)
        self._use, self._response = np.zeros(len(prices)), np.zeros(len(prices))

    def add(self, group: Columns, cost: FloatArray, shares: list[FloatArray], choice: IntArray) -> None:
        """Count some nodes, given what `Columns.at` says of them."""
        self._best[group.rows] = cost
        self._use += group.used(choice, shares, len(self._prices))
        if self._elastic:
            self._response += group.response(self._prices, choice)

    def sums(self) -> Sums:
        """Return the sums over all nodes."""
        return Sums(added(self._best), float(np.abs(self._best).sum()), self._use, self._response)


def added(values: FloatArray) -> float:
    """Return the sum of costs (n,), with no rounding where there are few, or what `rounding_slack` allows for."""
    return math.fsum(values) if len(values) <= _EXACT_SUM else float(values.sum())


def rounding_slack(n_nodes: int, magnitude: float) -> float:
    """Return by how much a computed dual value of `n_nodes` terms may exceed the true one (see `certificate`)."""
    return (16.0 + math.log2(n_nodes + 1)) * EPS * magnitude


def option_costs(problem: Problem, nodes: IntArray, options: IntArray, prices: FloatArray) -> FloatArray:
    """Return what given options of given nodes cost at given prices, s: w·(fixed + T) + Σ ν·δ at the best shares δ.

    `nodes`, `options` and `prices` (..., n_resources) (> 0, s per unit share; without the last axis) broadcast
    against each other; so does the result.
    """
    asked, weight, delays, parts = _costs(problem, nodes, options, prices)
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    fixed = weight * problem.fixed_delay[nodes, options]
    if not problem.promised:
        return np.asarray(fixed + total)
    shape = np.shape(total)
    delay = weight * sum(delays)
    whole = [np.broadcast_to(table, shape) for table in (fixed, weight, problem.deadline[nodes], fixed + delay)]
    late = np.nonzero(late_of(whole[3], whole[1] * whole[2], [np.broadcast_to(s, shape) for s in asked.s]))
    cost = np.array(fixed + total)
    if late[0].size:
        own = whole[1][late]
        cost[late] = kept_within(asked.only(late, shape), whole[0][late] / own, whole[2][late], own)[1]
    return cost


def use_costs(problem: Problem, nodes: IntArray, options: IntArray, prices: FloatArray) -> list[FloatArray]:
    """Return what each use of given options costs, s: w·T + ν·δ (see `option_costs`); 0 where it uses nothing."""
    return _costs(problem, nodes, options, prices)[3]


def _costs(
    problem: Problem, nodes: IntArray, options: IntArray, prices: FloatArray
) -> tuple[Asked, FloatArray, list[FloatArray], list[FloatArray]]:
    """Return what options use, their nodes' weights, and delay and cost of each use, without regard to deadlines."""
    shape = np.broadcast_shapes(np.shape(nodes), np.shape(options), prices.shape[:-1])
    weight, rate = problem.weight[nodes], problem.arrival_rate[nodes]
    own = []
    for k in range(problem.n_uses):
        if problem.n_resources == 1:
            own.append(prices[..., 0])
            continue
        resource = np.broadcast_to(problem.resource[nodes, options, k], shape)
        flat = np.broadcast_to(prices, (*shape, prices.shape[-1]))
        own.append(np.take_along_axis(flat, resource[..., None].astype(np.intp), -1)[..., 0])
    floors = [
        problem.least_rate[nodes, options, k] - rate if problem.ordered else constant(-np.inf, np.shape(rate))
        for k in range(problem.n_uses)
    ]
    service = tuple(problem.service[nodes, options, k] for k in range(problem.n_uses))
    wait, scv = problem.wait[nodes, options], problem.gaps(nodes)
    asked = Asked(problem.use_curves, service, tuple(own), tuple(floors), rate, wait, scv, problem.coupled)
    shares, delays = asked.at(weight)
    parts = [
        np.where(s > 0, weight * delay + np.where(price > 0, price * share, 0.0), 0.0)
        for s, price, share, delay in zip(service, own, shares, delays, strict=True)
    ]
    return asked, weight, delays, parts


def fixed_dual(problem: Problem, options: IntArray, prices: FloatArray) -> FloatArray:
    """Return a lower bound, s, on the mean delay of given options whatever the shares, as computed.

    Parameters
    ----------
    options
        (n_plans, n_nodes).
    prices
        (n_plans, n_resources) > 0, any prices, s per unit share.
    """
    costs = option_costs(problem, np.arange(problem.n_nodes), options, prices[:, None, :])
    return np.asarray(costs.sum(-1) - prices.sum(-1))
