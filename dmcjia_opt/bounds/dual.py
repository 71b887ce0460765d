"""The Lagrangian dual: a price for each resource, one small minimum a node.

For any prices ν ≥ 0 of the resources (s per unit share), weak duality gives

    L(ν) = Σ_d min_o [ w·fixed + Σ_k min_x ( w·T(x) + ν_r·s·(λ + x) ) ] − Σ_r ν_r   ≤   optimum,

k the uses of option o, r what use k uses, x its excess service rate. In a tandem the minimum is over the rates of all
its stages at once (`delay.series_excess`). L is concave, and its supergradient is Σ shares − 1 of each resource.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from dmcjia_opt.base.arrays import EPS, BoolArray, FloatArray, IntArray, blocks, constant, over_uses
from dmcjia_opt.base.limits import FARTHEST
from dmcjia_opt.bounds.responses import Asked, best_rates
from dmcjia_opt.model.delay import DelayCurve, TandemCurve
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.queues import Scv

#: Prices, s per unit share, between which the dual is evaluated; the best price of any sensible problem is.
LEAST_PRICE, MOST_PRICE = 1.0 / FARTHEST, FARTHEST
_BLOCK = 1 << 16  # table entries priced at a time: temporaries stay in cache, and memory small on large fleets
_TOGETHER = 256  # up to so many nodes, those with one option left are not worth a group of their own
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
class _Use:
    """One use of the candidate options of some nodes, (n, k) each."""

    curve: DelayCurve
    s: FloatArray
    ratio: FloatArray  # s/w, 1 where nothing is used
    busy: FloatArray  # w where something is used, else 0
    floor: FloatArray  # least excess rate
    resource: IntArray | None  # None where there is only one

    def price(self, prices: FloatArray) -> FloatArray | float:
        return float(prices[0]) if self.resource is None else prices[self.resource]


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Candidate options of some nodes, padded with cost +inf.

    Parameters
    ----------
    rows
        (n,) which nodes.
    option
        (n, k) which options.
    local
        (n, k) weighted fixed delay, s.
    rate
        (n, 1) arrival rates, 1/s.
    wait
        (n, k) paid upstream, s.
    scv
        (n, 1) c_a² of the gaps, or 1.0 for all.
    uses
        What they use.
    coupled
        Whether stages of one tandem are shared together.
    weight, deadline
        (n, 1) weights, and deadlines that the uses of an option keep together, s; +inf where there are none.
    promised
        Whether there are any.
    """

    rows: IntArray
    option: IntArray
    local: FloatArray
    rate: FloatArray
    wait: FloatArray
    scv: Scv
    uses: tuple[_Use, ...]
    coupled: bool
    weight: FloatArray
    deadline: FloatArray
    promised: bool

    @property
    def open(self) -> bool:
        """Whether some node has more than one option left."""
        return bool(self.option.shape[1] > 1)

    def priced(self, prices: FloatArray) -> tuple[FloatArray, list[FloatArray]]:
        """Return cost (n, k), and the shares (n, k) of each use."""
        free = bool((prices <= 0.0).any())
        if free and len(prices) == 1:
            return self.local, [np.where(use.s > 0, np.inf, 0.0) for use in self.uses]
        shares: list[FloatArray] = []
        wait, cost, total = self.wait, self.local, constant(0.0, self.local.shape)
        for use, excess in zip(self.uses, self._excess(prices), strict=True):
            price = use.price(prices)
            share = use.s * (self.rate + excess)
            delay = use.busy * use.curve.delay(excess, self.rate, wait, self.scv)
            paid = price * share
            if free:
                gratis = (np.asarray(price) <= 0.0) & (use.s > 0)
                share, paid = np.where(gratis, np.inf, share), np.where(gratis, 0.0, paid)
                delay = np.where(gratis, 0.0, delay)
            if self.coupled and isinstance(use.curve, TandemCurve):
                wait = np.where(use.s > 0, np.maximum(wait, use.curve.waited(excess, self.rate, self.scv)), wait)
            if self.promised:
                total = total + delay
            delay += cost
            delay += paid
            cost = delay
            shares.append(share)
        if self.promised:
            self._keep_deadlines(prices, total, cost, shares)
        return cost, shares

    def _keep_deadlines(
        self, prices: FloatArray, delay: FloatArray, cost: FloatArray, shares: list[FloatArray]
    ) -> None:
        """Give what is late, with the weighted delay of its uses, the shares and cost that keep the deadline."""
        at = late_of(self.local + delay, self.weight * self.deadline, [use.s for use in self.uses])
        if at[0].size:
            asked = self.asked(prices, at)
            weight = self.weight[at[0], 0]
            _, cost[at], kept = kept_within(asked, self.local[at] / weight, self.deadline[at[0], 0], weight)
            for share, one in zip(shares, kept, strict=True):
                share[at] = one

    def asked(self, prices: FloatArray, at: tuple[IntArray, IntArray]) -> Asked:
        """Return the uses of the entries `at`, (e,) each, at prices."""
        curves, services = tuple(use.curve for use in self.uses), tuple(use.s for use in self.uses)
        paid = tuple(np.asarray(use.price(prices)) for use in self.uses)
        floors = tuple(use.floor for use in self.uses)
        every = Asked(curves, services, paid, floors, self.rate, self.wait, self.scv, self.coupled)
        return every.only(at, self.local.shape)

    def _excess(self, prices: FloatArray) -> list[FloatArray]:
        """Return the best excess rate of every use; any number where nothing is used or the price is 0."""
        marginals = [use.price(prices) * use.ratio for use in self.uses]
        busy: list[BoolArray] = []
        if bool((prices <= 0.0).any()):
            marginals = [np.where(marginal > 0.0, marginal, 1.0) for marginal in marginals]
        if self.coupled:
            busy = [(use.s > 0) & (np.asarray(use.price(prices)) > 0.0) for use in self.uses]
        curves, floors = [use.curve for use in self.uses], [use.floor for use in self.uses]
        return best_rates(curves, marginals, busy, floors, self.rate, self.wait, self.scv, coupled=self.coupled)

    def at(self, prices: FloatArray) -> tuple[FloatArray, list[FloatArray], IntArray]:
        """Return least cost (n,), the shares (n,) of each use and index (n, 1) of the minimiser of each node."""
        cost, shares = self.priced(prices)
        choice = cost.argmin(axis=1)[:, None]
        used = [np.take_along_axis(share, choice, 1)[:, 0] for share in shares]
        return np.take_along_axis(cost, choice, 1)[:, 0], used, choice

    def response(self, prices: FloatArray, choice: IntArray) -> FloatArray:
        """Return Σ −∂δ/∂ν (n_resources,) of the chosen options at prices > 0; 0 where uses are tied together."""
        total = np.zeros(len(prices))
        if self.promised:
            return total
        index = np.arange(len(choice))[:, None], choice
        wait = _at(self.wait, index)
        for use in self.uses:
            if self.coupled and isinstance(use.curve, TandemCurve):
                continue
            s, ratio, floor = use.s[index], use.ratio[index], _at(use.floor, index)
            price = float(prices[0]) if use.resource is None else prices[use.resource[index]]
            excess = use.curve.excess_at(price * ratio, self.rate, wait, self.scv)
            on = (s > 0) & (excess > floor * (1 + 1e-9))
            with np.errstate(over="ignore", divide="ignore"):
                response = np.where(on, s * ratio / use.curve.curvature(excess, self.rate, wait, self.scv), 0.0)
            total += _by_resource(use, choice, response[:, 0], len(prices))
        return total

    def used(self, choice: IntArray, shares: list[FloatArray], n_resources: int) -> FloatArray:
        """Return the sums (n_resources,) of the shares (n,) that each use of the chosen options takes."""
        return np.asarray(
            sum(_by_resource(use, choice, share, n_resources) for use, share in zip(self.uses, shares, strict=True))
        )

    def used_by_any(self, n_resources: int) -> BoolArray:
        """Return which resources (n_resources,) some option of some node uses."""
        found = np.zeros(n_resources, dtype=bool)
        for use in self.uses:
            on = (use.s > 0) & np.isfinite(self.local)
            found[0 if use.resource is None else use.resource[on]] |= True if use.resource is not None else on.any()
        return found

    def inside(self, low: FloatArray, high: FloatArray) -> list[Columns]:
        """Return what may be chosen at some prices between two, in two groups: one option left, or more.

        Costs are concave in one price, so on the bracket each lies above its chord; the two minimisers at its ends
        lie below their tangents there. An option whose chord is above both tangents where they meet, and at both
        ends, is never chosen inside. In several prices costs only grow: one that is dearer at the lower prices than
        the cheapest at the higher ones is never chosen between them.
        """
        (cost_l, shares_l), (cost_h, shares_h) = self.priced(low), self.priced(high)
        index = np.arange(len(self.rows))
        at_l, at_h = cost_l.argmin(axis=1), cost_h.argmin(axis=1)
        best_l, best_h = cost_l[index, at_l], cost_h[index, at_h]
        slack = 64 * EPS * (np.abs(best_l) + np.abs(best_h))[:, None]
        if len(low) > 1:
            keep = cost_l <= best_h[:, None] + slack
        else:
            span = float(high[0] - low[0])
            share_l, share_h = (over_uses(np.stack(shares, -1)) for shares in (shares_l, shares_h))
            up, down = share_l[index, at_l], share_h[index, at_h]
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                meet = np.where(up - down > 0, (best_h - best_l - down * span) / ((up - down) * span), 0.0)
                part = np.nan_to_num(np.clip(meet, 0.0, 1.0), nan=0.0)[:, None]
                chord = cost_l + part * (cost_h - cost_l)
            ceiling = np.minimum(
                best_l[:, None] + up[:, None] * span * part, best_h[:, None] - down[:, None] * span * (1 - part)
            )
            keep = ~(
                (chord > ceiling + slack) & (cost_l > best_l[:, None] + slack) & (cost_h > best_h[:, None] + slack)
            )
        keep &= np.isfinite(cost_l)
        keep[index, at_l] = keep[index, at_h] = True
        count = keep.sum(axis=1)
        groups = (count == 1, count > 1) if len(count) > _TOGETHER else (count > 0,)
        return [self._kept(keep, np.flatnonzero(few), int(count[few].max())) for few in groups if few.any()]

    def kept(self, keep: BoolArray) -> Columns:
        """Return only what to `keep` (n, k), at least one option of each node."""
        return self._kept(keep, np.arange(len(keep)), int(keep.sum(axis=1).max()))

    def _kept(self, keep: BoolArray, rows: IntArray, k: int) -> Columns:
        keep = keep[rows]
        order = np.argsort(~keep, axis=1, kind="stable")[:, :k]
        at = rows[:, None], order
        local = self.local[at]
        local[~np.take_along_axis(keep, order, 1)] = np.inf
        uses = tuple(
            _Use(
                use.curve,
                use.s[at],
                use.ratio[at],
                use.busy[at],
                _at(use.floor, at, order.shape),
                None if use.resource is None else use.resource[at],
            )
            for use in self.uses
        )
        wait = _at(self.wait, at, order.shape)
        scv = self.scv if isinstance(self.scv, float) else self.scv[rows]
        whose = self.rate[rows], wait, scv, uses, self.coupled, self.weight[rows], self.deadline[rows]
        return Columns(self.rows[rows], self.option[at], local, *whose, self.promised)


def _at(table: FloatArray, index: tuple[IntArray, IntArray], shape: tuple[int, ...] = ()) -> FloatArray:
    """Return a table at an index; one entry, or a table of `shape`, of one that is a constant."""
    if table.strides[0]:
        return np.asarray(table[index])
    return np.broadcast_to(table[:1, :1], shape) if shape else table[:1, :1]


def _by_resource(use: _Use, choice: IntArray, values: FloatArray, n_resources: int) -> FloatArray:
    if use.resource is None:
        return np.array([float(values.sum())])
    chosen = np.take_along_axis(use.resource, choice, 1)[:, 0]
    total: FloatArray = np.bincount(chosen, values, n_resources).astype(np.float64, copy=False)
    return total


def columns(problem: Problem, rows: slice | IntArray) -> Columns:
    """Return all options of some nodes."""
    weight = problem.weight[rows, None]
    rate = problem.arrival_rate[rows, None]
    one = problem.n_resources == 1
    uses = []
    for k, curve in enumerate(problem.use_curves):
        s = problem.service[rows, :, k]
        on = s > 0
        floor = problem.least_rate[rows, :, k] - rate if problem.ordered else constant(-np.inf, s.shape)
        resource = None if one else problem.resource[rows, :, k]
        uses.append(_Use(curve, s, np.where(on, s / weight, 1.0), np.where(on, weight, 0.0), floor, resource))
    option = np.broadcast_to(np.arange(problem.n_options), uses[0].s.shape)
    fixed = weight * problem.fixed_delay[rows]
    index = np.arange(problem.n_nodes)[rows]
    most = problem.deadline[rows, None]
    return Columns(
        index,
        option,
        fixed,
        rate,
        problem.wait[rows],
        problem.arrival_scv[rows, None] if problem.renewal else 1.0,
        tuple(uses),
        problem.coupled,
        weight,
        most,
        problem.promised,
    )


def all_columns(problem: Problem) -> Iterator[Columns]:
    """Yield all options of all nodes, some nodes at a time."""
    for rows in blocks(problem.n_nodes, problem.n_options, _BLOCK):
        yield columns(problem, rows)


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


def point_of(groups: Iterable[Columns], prices: FloatArray, n: int, capacity: float = 1.0) -> DualPoint:
    """Return the dual of the `n` nodes in some columns, where every resource has only so much capacity."""
    options = np.empty(n, dtype=np.int64)
    best, used, response = np.empty(n), np.zeros(len(prices)), np.zeros(len(prices))
    for group in groups:
        cost, shares, choice = group.at(prices)
        best[group.rows] = cost
        used += group.used(choice, shares, len(prices))
        options[group.rows] = np.take_along_axis(group.option, choice, 1)[:, 0]
        if prices.min() > 0.0:
            response += group.response(prices, choice)
    paid = float(prices.sum()) * capacity
    total = math.fsum(best) if n <= _EXACT_SUM else float(best.sum())
    known = (used > 0.0) & (used < np.inf) & (response < np.inf)
    elasticity = np.where(known, -prices * response / np.where(known, used, 1.0), 0.0)
    magnitude = float(np.abs(best).sum()) + paid
    return DualPoint(prices, total - paid, used / capacity, magnitude, elasticity, options)


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
    late = late_of(whole[3], whole[1] * whole[2], [np.broadcast_to(s, shape) for s in asked.s])
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


def late_of(delay: FloatArray, most: FloatArray, services: list[FloatArray]) -> tuple[IntArray, IntArray]:
    """Return which entries with several uses (of the service times `services`) take longer than `most`, s.

    Those with one use keep their deadlines by their least rates.
    """
    several = sum((s > 0).astype(np.int8) for s in services) > 1
    with np.errstate(invalid="ignore"):
        return np.nonzero(several & np.isfinite(delay) & (delay > most * (1.0 + 8.0 * EPS)))  # type: ignore[return-value]


def kept_within(
    asked: Asked, fixed: FloatArray, deadline: FloatArray, weight: FloatArray
) -> tuple[FloatArray, FloatArray, list[FloatArray]]:
    """Return the weights at which deadlines are kept, a lower bound on the cost, and the shares of each use, (e,) each.

    `fixed`, `deadline` and the nodes' own `weight` are (e,), s; the bound is weak duality's (see `responses`).
    """
    raised = asked.within(deadline - fixed, weight)
    shares, delays = asked.at(raised)
    delay = fixed + sum(delays)
    with np.errstate(invalid="ignore"):
        paid = sum(np.where(price > 0, price * share, 0.0) for price, share in zip(asked.price, shares, strict=True))
    cost = weight * delay + paid + (raised - weight) * (delay - deadline)
    return raised, np.asarray(cost), shares


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
