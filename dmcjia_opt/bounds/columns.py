"""Columns: candidate options of some nodes, and what they cost at prices of what they use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from dmcjia_opt.base.arrays import EPS, NUMPY, BoolArray, FloatArray, IntArray, blocks, constant, namespace, over_uses
from dmcjia_opt.base.limits import FARTHEST
from dmcjia_opt.bounds.responses import Asked, best_rates
from dmcjia_opt.model.deadlines import within
from dmcjia_opt.model.delay import DelayCurve, TandemCurve
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.queues import Scv
from dmcjia_opt.model.scenario.as_columns import Fleet
from dmcjia_opt.model.scenario.services import Slot

_BLOCK = 1 << 16  # table entries priced at a time: temporaries stay in cache, and memory small on large fleets
_TOGETHER = 256  # up to so many nodes, those with one option left are not worth a group of their own

#: What options cost, (n, k), and the shares (n, k) of each use.
Priced: TypeAlias = tuple[FloatArray, list[FloatArray]]


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
        return prices[0] if self.resource is None else prices[self.resource]


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
    slots
        What the uses are, where they were made from a fleet.
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
    slots: tuple[Slot, ...] = ()

    @property
    def open(self) -> bool:
        """Whether some node has more than one option left."""
        return bool(self.option.shape[1] > 1)

    def priced(self, prices: FloatArray) -> Priced:
        """Return cost (n, k), and the shares (n, k) of each use; prices that JAX traces must be > 0."""
        xp = namespace(prices)
        free = xp is NUMPY and bool((prices <= 0.0).any())
        if free and len(prices) == 1:
            return self.local, [np.where(use.s > 0, np.inf, 0.0) for use in self.uses]
        shares: list[FloatArray] = []
        wait, cost, total = self.wait, self.local, constant(0.0, self.local.shape)
        for use, excess in zip(self.uses, self._excess(prices, free=free), strict=True):
            price = use.price(prices)
            share = use.s * (self.rate + excess)
            delay = use.busy * use.curve.delay(excess, self.rate, wait, self.scv)
            paid = price * share
            if free:
                gratis = (np.asarray(price) <= 0.0) & (use.s > 0)
                share, paid = np.where(gratis, np.inf, share), np.where(gratis, 0.0, paid)
                delay = np.where(gratis, 0.0, delay)
            if self.coupled and isinstance(use.curve, TandemCurve):
                wait = xp.where(use.s > 0, xp.maximum(wait, use.curve.waited(excess, self.rate, self.scv)), wait)
            if self.promised:
                total = total + delay
            delay += cost
            delay += paid
            cost = delay
            shares.append(share)
        if self.promised:
            return self._keep_deadlines(prices, total, cost, shares)
        return cost, shares

    def _keep_deadlines(
        self, prices: FloatArray, delay: FloatArray, cost: FloatArray, shares: list[FloatArray]
    ) -> Priced:
        """Return cost and shares where what is late, with the weighted delay of its uses, keeps its deadline."""
        late = late_of(self.local + delay, self.weight * self.deadline, [use.s for use in self.uses])
        xp = namespace(late)
        if xp is NUMPY:
            at = np.nonzero(late)
            if at[0].size:
                asked = self.asked(prices, at)
                weight = self.weight[at[0], 0]
                _, cost[at], kept = kept_within(asked, self.local[at] / weight, self.deadline[at[0], 0], weight)
                for share, one in zip(shares, kept, strict=True):
                    share[at] = one
            return cost, shares
        fixed = xp.where(late, self.local / self.weight, 0.0)  # what is in time has all the time there is
        _, found, kept = kept_within(self._asked(prices), fixed, xp.where(late, self.deadline, FARTHEST), self.weight)
        return xp.where(late, found, cost), [
            xp.where(late, one, share) for one, share in zip(kept, shares, strict=True)
        ]

    def asked(self, prices: FloatArray, at: tuple[IntArray, ...]) -> Asked:
        """Return the uses of the entries `at`, (e,) each, at prices."""
        return self._asked(prices).only(at, self.local.shape)

    def _asked(self, prices: FloatArray) -> Asked:
        curves, services = tuple(use.curve for use in self.uses), tuple(use.s for use in self.uses)
        paid = tuple(namespace(prices).asarray(use.price(prices)) for use in self.uses)
        floors = tuple(use.floor for use in self.uses)
        return Asked(curves, services, paid, floors, self.rate, self.wait, self.scv, self.coupled)

    def _excess(self, prices: FloatArray, *, free: bool) -> list[FloatArray]:
        """Return the best excess rate of every use; any number where nothing is used or the price is 0."""
        marginals = [use.price(prices) * use.ratio for use in self.uses]
        busy: list[BoolArray] = []
        if free:
            marginals = [np.where(marginal > 0.0, marginal, 1.0) for marginal in marginals]
        if self.coupled:
            busy = [(use.s > 0) & (namespace(prices).asarray(use.price(prices)) > 0.0) for use in self.uses]
        curves, floors = [use.curve for use in self.uses], [use.floor for use in self.uses]
        return best_rates(curves, marginals, busy, floors, self.rate, self.wait, self.scv, coupled=self.coupled)

    def at(self, prices: FloatArray) -> tuple[FloatArray, list[FloatArray], IntArray]:
        """Return least cost (n,), the shares (n,) of each use and index (n, 1) of the minimiser of each node."""
        return self.cheapest(*self.priced(prices))

    def cheapest(self, cost: FloatArray, shares: list[FloatArray]) -> tuple[FloatArray, list[FloatArray], IntArray]:
        """Return what `at` does, given what options cost and the shares of each use."""
        xp = namespace(cost)
        choice = cost.argmin(axis=1)
        index = xp.arange(len(cost)), choice  # three times as fast as take_along_axis where there are few
        return cost[index], [xp.asarray(share)[index] for share in shares], choice[:, None]

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
        keep = self.ruled(low, high, self.priced(low), self.priced(high))
        count = keep.sum(axis=1)
        groups = (count == 1, count > 1) if len(count) > _TOGETHER else (count > 0,)
        return [self._kept(keep, np.flatnonzero(few), int(count[few].max())) for few in groups if few.any()]

    def ruled(self, low: FloatArray, high: FloatArray, at_low: Priced, at_high: Priced) -> BoolArray:
        """Return which options (n, k) may be chosen at some prices between two, given what they cost at both.

        See `inside`.
        """
        (cost_l, shares_l), (cost_h, shares_h) = at_low, at_high
        keep: BoolArray
        index = np.arange(len(self.rows))
        first_l, first_h = cost_l.argmin(axis=1), cost_h.argmin(axis=1)
        best_l, best_h = cost_l[index, first_l], cost_h[index, first_h]
        slack = 64 * EPS * (np.abs(best_l) + np.abs(best_h))[:, None]
        if len(low) > 1:
            keep = cost_l <= best_h[:, None] + slack
        else:
            span = float(high[0] - low[0])
            share_l, share_h = (over_uses(np.stack(shares, -1)) for shares in (shares_l, shares_h))
            up, down = share_l[index, first_l], share_h[index, first_h]
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
        keep[index, first_l] = keep[index, first_h] = True
        return keep

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
    chosen = use.resource[np.arange(len(choice)), choice[:, 0]]
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


def made(fleet: Fleet, kind: int, rows: slice | IntArray, pick: slice | IntArray = slice(None)) -> Columns:
    """Return options of some nodes of one kind, made from their columns; `pick` says which (see `StageTimes.of`).

    The same for NumPy and JAX, whose arrays the fleet's columns and `pick` may be.
    """
    times, rules, menu = fleet.times, fleet.rules, fleet.menu_of(kind)
    xp = namespace(times.compute, pick)
    found = rules.entries(times, menu, rows, pick)
    fixed, shape = found.fixed, np.shape(found.fixed)
    rate, weight = times.rate[rows, None], fleet.weight[rows, None]
    scv: Scv = times.scv[rows, None] if times.renewal else 1.0
    wait = found.wait if rules.tandem else constant(0.0, shape)
    slots = [slot for slot in times.slots if slot in found.used]
    curves = [rules.curve_of(slot) for slot in slots]
    services = [xp.broadcast_to(found.used[slot][0], shape) for slot in slots]
    floors = [found.floors.get(slot) for slot in slots]
    deadline: FloatArray = constant(np.inf, (1, 1))
    if fleet.deadline.size:
        deadline = fleet.deadline[rows, None]
        none = constant(0.0, shape)
        given = [none if floor is None else floor for floor in floors]
        late, least = within(curves, fixed, services, given, (rate, wait, scv), deadline)
        fixed, floors = xp.where(late, np.inf, fixed), list(least)
        wait = xp.where(late, 0.0, wait) if rules.tandem else wait
    uses = []
    for slot, curve, s, floor in zip(slots, curves, services, floors, strict=True):
        on = s > 0
        excess = constant(-np.inf, shape) if floor is None else floor - rate
        which = None if len(times.resources) == 1 else xp.broadcast_to(found.used[slot][1], shape)
        uses.append(_Use(curve, s, xp.where(on, s / weight, 1.0), xp.where(on, weight, 0.0), excess, which))
    rows_of = np.arange(len(rate)) if isinstance(rows, slice) else rows
    option = np.broadcast_to(np.arange(len(menu))[pick], shape) if isinstance(pick, slice) else pick
    coupled = sum(isinstance(curve, TandemCurve) for curve in curves) > 1
    promised = len(slots) > 1 and bool(fleet.deadline.size)
    whose = rate, wait, scv, tuple(uses), coupled, weight, deadline
    return Columns(rows_of, option, weight * fixed, *whose, promised, tuple(slots))


def all_columns(problem: Problem) -> Iterator[Columns]:
    """Yield all options of all nodes, some nodes at a time."""
    for rows in blocks(problem.n_nodes, problem.n_options, _BLOCK):
        yield columns(problem, rows)


def late_of(delay: FloatArray, most: FloatArray, services: list[FloatArray]) -> BoolArray:
    """Return which entries with several uses (of the service times `services`) take longer than `most`, s.

    Those with one use keep their deadlines by their least rates.
    """
    several = sum(namespace(delay).where(s > 0, 1, 0) for s in services) > 1
    with np.errstate(invalid="ignore"):
        return several & namespace(delay).isfinite(delay) & (delay > most * (1.0 + 8.0 * EPS))


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
        paid = sum(
            namespace(price).where(price > 0, price * share, 0.0)
            for price, share in zip(asked.price, shares, strict=True)
        )
    cost = weight * delay + paid + (raised - weight) * (delay - deadline)
    return raised, cost, shares
