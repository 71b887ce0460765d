"""The least cost of capacity: the multipliers of what ties nodes together, and plans near them.

What is found at the best multipliers bounds the cost. With the options of a plan given, its shares are a convex
program, whose optimum mixes the shares at a few multipliers. Plans are tried in the order of what they cost at least,
the bound and their reduced costs; one that costs at least as much as the best found ends the search, with a proof.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dmcjia_opt.base.arrays import EPS, BoolArray, FloatArray, IntArray, blocks
from dmcjia_opt.base.errors import InfeasibleError
from dmcjia_opt.base.suggesting import listed
from dmcjia_opt.bounds.bundle import climb, peak_of_planes
from dmcjia_opt.studies.purchase.market import Market, Offer

_BLOCK = 1 << 17
_SAMPLE = 2_000  # nodes on which multipliers are looked for first
_FEW = 3  # plans around the best multipliers that are tried
_TRIED_ENTRIES = 40_000  # nodes in all plans between two of them
_CUTS = 12  # multipliers at which plans are bounded first
_MOST_OPEN, _MOST_TRIED, _MOST_LOOKS = 256, 300, 6_000  # nodes, plans and beginnings of plans that are looked at
_MOST_FAILED = 12  # plans that are tried as long as none is one
_TOLD, _STEPS = 3, 60
_REPAIRS, _DEARER = 30, 1.5
_NONE = 1e-9  # part of what there is that makes sure that there is too little
_KEPT = 1e-12  # a plan may exceed what there is by that much, relative: rounding
_BLENDS = (0.0, 1e-14, 1e-13, 1e-12, 1e-11, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0)
_MORE = 64  # plans between two that are tried, at most


@dataclass(frozen=True, slots=True, eq=False)
class Bought:
    """A plan of capacity to be bought.

    Parameters
    ----------
    options, shares
        (n_nodes,) and (n_nodes, n_uses), of the capacity that was declared.
    use
        (n_resources,) sums of the shares.
    cost
        What is bought costs.
    bound
        A proved lower bound on the cost of any plan.
    """

    options: IntArray
    shares: FloatArray
    use: FloatArray
    cost: float
    bound: float


def cheapest(market: Market) -> Bought:
    """Return the cheapest plan that was found, with a lower bound.

    Raises
    ------
    InfeasibleError
        If none was found.
    """
    if market.free:
        return _alone(market)
    if market.targeted:
        relaxed = _untargeted(market)
        if relaxed is not None and market.over(relaxed.options, relaxed.shares) <= 0.0:
            return relaxed
    summit = climb(market.ask, [first := start(market)], first.x, np.zeros(len(first.x)))
    best = summit.best
    if market.kept.size and not _enough(market, best.x):
        raise InfeasibleError(_without_plan(market, "no plan keeps"))
    found = _Found(market, best)
    for point in sorted(summit.points, key=lambda point: -point.value)[: 1 + _FEW]:
        found.attempt(point.options)
    if found.plan is None:
        _repair(found, best)
    sides = [
        max((p for p in summit.points if (p.slope > 0).any() == short), key=lambda p: p.value, default=best)
        for short in (True, False)
    ]
    _between(found, sides[0].options, sides[1].options)
    bound = _closed(found, sorted(summit.points, key=lambda point: -point.value)[:_CUTS])
    if found.plan is None:
        raise InfeasibleError(_without_plan(market, "no plan was found that keeps"))
    return replace(found.plan, bound=min(bound, found.plan.cost))


def _enough(market: Market, x: FloatArray) -> bool:
    """Return whether there may be a plan with as much as there is of what is not for sale; sought around `x`."""
    gratis = market.gratis()
    point = gratis.ask(x)
    if point.value > 0.0 or not np.isfinite(point.slope).all():
        return point.value <= 0.0
    # the value grows with the multipliers where it is > 0 at all: a little is enough
    return (
        climb(gratis.ask, [point], x, np.zeros(len(x)), target=_NONE * market.given(x), steps=_STEPS).best.value <= 0.0
    )


def _without_plan(market: Market, no_plan: str) -> str:
    names = [market.problem.resources[r] for r in market.kept.tolist()]
    told = listed([str(name) for name in names[:_TOLD]], len(names) - len(names[:_TOLD]), "resource")
    return (
        f"{no_plan} what is asked with {told} as large as the scenario says, however much of the "
        "rest is bought; raise what is too small, give it a price, or ask for less"
    )


def _alone(market: Market) -> Bought:
    offer = market.ask(np.empty(0))
    shares = market.shares(np.empty(0), offer.options)
    use = market.problem.by_resource(offer.options, shares)
    return Bought(offer.options, shares, use, offer.cost, offer.value)


def _untargeted(market: Market) -> Bought | None:
    """Return the cheapest plan without the target; None where nothing is kept without it.

    That plan still keeps what the target says of each node alone: no delay is longer than the mean divided by a weight.
    """
    deadline = np.minimum(market.deadline, market.mean / market.problem.weight)
    try:
        return cheapest(replace(market, mean=math.inf, deadline=deadline))
    except InfeasibleError:
        return None


def start(market: Market) -> Offer:
    """Return what a fleet takes at multipliers that are good for a sample of its nodes."""
    n = market.problem.n_nodes
    if n > 2 * _SAMPLE:
        some = market.sample(_SAMPLE)
        first = start(some)
        return market.ask(climb(some.ask, [first], first.x, np.zeros(len(first.x)), tolerance=1e-6).best.x)
    scale = float(market.prices.max()) / len(market.prices)
    x = np.full(len(market.kept), scale)
    return market.ask(np.append(x, [scale / market.mean] if market.targeted else []))


class _Found:
    """The best plan so far, and what options that were tried cost at least."""

    def __init__(self, market: Market, best: Offer) -> None:
        self.market, self.best = market, best
        self.plan: Bought | None = None
        self.tried: dict[bytes, Offer] = {}

    @property
    def cost(self) -> float:
        """What it costs; +inf where there is none."""
        return math.inf if self.plan is None else self.plan.cost

    def attempt(self, options: IntArray) -> Offer:
        """Look for the best shares of options (n_nodes,), and return what bounds their cost best."""
        key = options.astype(np.int32).tobytes()
        if key not in self.tried:
            plan, self.tried[key] = with_options(self.market, options, self.best.x, self.cost)
            if plan is not None and plan.cost < self.cost:
                self.plan = plan
        return self.tried[key]


def with_options(market: Market, options: IntArray, x: FloatArray, below: float) -> tuple[Bought | None, Offer]:
    """Return the cheapest shares with which options (n_nodes,) keep everything, and their best bound.

    None if that is not below a cost. Multipliers are looked for around `x`. Delays are convex in shares, so what
    several multipliers take may be mixed: the mixture keeps what they keep in the mean.
    """
    market = market.only(options)
    none = np.zeros(len(options), dtype=np.int64)
    floor = np.zeros(len(x))
    summit = climb(market.ask, [market.ask(x)], x, floor, target=below, steps=_STEPS)
    if summit.best.value < below < math.inf:  # it ended as soon as that was known
        summit = climb(market.ask, summit.points, summit.best.x, floor)
    points = [point for point in summit.points if np.isfinite(point.slope).all() and np.isfinite(point.value)]
    if not points or summit.best.value >= below:
        return None, summit.best
    slopes, costs = np.stack([point.slope for point in points]), np.array([point.cost for point in points])
    scale = np.append(market.stock, [market.mean] if market.targeted else [])
    unit = max(float(costs.max()), 1e-300)
    found = peak_of_planes(slopes / scale, costs / unit, np.zeros(len(x)), np.full(len(x), 1e9))
    if found is None or (found[1] >= 1e8).any():
        return None, summit.best
    parts = found[2]
    at = np.flatnonzero(parts > 1e-15)
    each = [market.shares(points[i].x, none) for i in at]
    mixed = np.asarray(sum(parts[i] * shares for i, shares in zip(at, each, strict=True))) / parts[at].sum()
    safest = points[int((slopes / scale).max(axis=1).argmin())]
    safe = market.shares(safest.x, none)
    for part in _BLENDS:
        shares = (1.0 - part) * mixed + part * safe
        if market.over(none, shares) <= _KEPT:
            use = market.problem.by_resource(none, shares)
            return Bought(options, shares, use, float(market.prices @ use), -math.inf), summit.best
    return None, summit.best


def _repair(found: _Found, offer: Offer) -> None:
    """Look for a plan where those around the best multipliers take too much: ever dearer where they do."""
    x = offer.x
    for _ in range(_REPAIRS):
        x = np.where(offer.slope > 0, _DEARER * x, x)
        offer = found.market.ask(x)
        if not np.isfinite(offer.value):
            return
        found.attempt(offer.options)
        if found.plan is not None:
            return


def _between(found: _Found, low: IntArray, high: IntArray) -> None:
    """Try plans between two: the first k of the nodes where they differ as in one, the rest as in the other."""
    differ = np.flatnonzero(low != high)
    first, last = 0, len(differ)
    width = int(min(_MORE, max(2, _TRIED_ENTRIES // len(low))))
    while last - first > 1:
        counts = np.unique(np.linspace(first, last, min(last - first + 1, width + 2)).astype(np.int64))[1:-1]
        best = -1
        for count in counts.tolist():
            before = found.cost
            plan = high.copy()
            plan[differ[:count]] = low[differ[:count]]
            found.attempt(plan)
            best = count if found.cost < before else best
        step = int(np.diff(np.concatenate([[first], counts, [last]])).max())
        if step <= 1 or width <= 2 or best < 0:
            return
        first, last = max(0, best - step), min(len(differ), best + step)


def _closed(found: _Found, points: Sequence[Offer]) -> float:
    """Go through the plans that may be cheaper, and return the bound that this proves.

    A plan costs at least what its options cost at any multipliers, so at those of several `points`; those at which the
    plans tried are bounded best join them. What begins a plan costs at least that with the cheapest rest.
    """
    market, best = found.market, found.best
    nodes, choice = _open(market, best, found.cost - best.value)
    if not nodes.size:
        return found.attempt(best.options).value  # every other option of any node makes a plan too dear
    if len(nodes) > _MOST_OPEN:
        return best.value
    rest = np.ones(market.problem.n_nodes, dtype=np.bool_)
    rest[nodes] = False
    cuts = _Cuts(market, nodes, choice, rest, best.options)
    for point in points:
        cuts.add(point.x)
    heap: list[tuple[float, int, tuple[int, ...]]] = [(best.value, 0, ())]
    tried, known = 0, math.inf
    for _ in range(_MOST_LOOKS):
        if not heap or heap[0][0] >= found.cost:
            return known
        least, _, begun = heapq.heappop(heap)
        now = max(least, float(cuts.least(begun)))
        if now > least * (1.0 + 64.0 * EPS):
            heapq.heappush(heap, (now, -len(begun), begun))
            continue
        if len(begun) < len(nodes):
            for k, bound in enumerate(cuts.next(begun).tolist()):
                if max(bound, least) < found.cost:
                    heapq.heappush(heap, (max(bound, least), -len(begun) - 1, (*begun, k)))
            continue
        tried += 1
        if tried > (_MOST_TRIED if found.plan else _MOST_FAILED):
            return min(least, known)
        plan = best.options.copy()
        plan[nodes] = choice[np.arange(len(nodes)), list(begun)]
        point = found.attempt(plan)
        known = min(known, point.value)  # its shares may not be the best to the last digit
        cuts.add(point.x)
    return min(heap[0][0] if heap else math.inf, known)


def _open(market: Market, best: Offer, room: float) -> tuple[IntArray, IntArray]:
    """Return the nodes that may have several options in a better plan, and these options, cheapest first.

    The lists are as long as the longest: what is too dear for a better plan follows.
    """
    nodes: list[IntArray] = []
    lists: list[IntArray] = []
    second: list[FloatArray] = []
    problem, width = market.problem, 0
    for rows in blocks(problem.n_nodes, problem.n_options * problem.n_uses, _BLOCK):
        cost = market.costs(best.x, rows)
        reduced = cost - cost.min(axis=1, keepdims=True)
        near = ((reduced <= room) & np.isfinite(reduced)).sum(axis=1)
        on = np.flatnonzero(near > 1)
        order = np.argsort(reduced[on], axis=1, kind="stable")
        nodes.append(rows.start + on)
        lists.append(order)
        second.append(reduced[on, order[:, 1]] if on.size else np.empty(0))
        width = max(width, int(near.max()))
    order = np.argsort(-np.concatenate(second), kind="stable")
    return np.concatenate(nodes)[order], np.concatenate(lists)[order, :width]


class _Cuts:
    """What plans cost at least, at several multipliers: sums over the open nodes of what their options cost there."""

    def __init__(self, market: Market, nodes: IntArray, choice: IntArray, rest: BoolArray, options: IntArray) -> None:
        self.market, self.nodes, self.choice, self.rest, self.options = market, nodes, choice, rest, options
        self.tables: FloatArray = np.empty((0, *choice.shape))
        self.ends: FloatArray = np.empty((0, len(nodes) + 1))  # the cheapest rest, from each node on

    def add(self, x: FloatArray) -> None:
        """Look at the multipliers `x` too."""
        cost = np.concatenate([self.market.costs(x, rows) for rows in self._blocks()])
        mine = np.take_along_axis(cost[self.nodes], self.choice, 1)
        others = float(cost[np.arange(len(cost)), self.options][self.rest].sum()) - self.market.given(x)
        end = np.append(np.cumsum(mine.min(axis=1)[::-1])[::-1], 0.0) + others
        slack = 64.0 * EPS * (np.abs(end[0] - others) + abs(others) + 2.0 * self.market.given(x))
        self.tables = np.concatenate([self.tables, mine[None]])
        self.ends = np.concatenate([self.ends, (end - slack)[None]])

    def _blocks(self) -> Iterator[slice]:
        problem = self.market.problem
        return blocks(problem.n_nodes, problem.n_options * problem.n_uses, _BLOCK)

    def _begun(self, begun: tuple[int, ...]) -> FloatArray:
        k = len(begun)
        return np.asarray(self.tables[:, np.arange(k), list(begun)].sum(axis=1)) if k else np.zeros(len(self.tables))

    def least(self, begun: tuple[int, ...]) -> float:
        """Return what plans cost at least that begin with these places in the lists of options."""
        return float((self._begun(begun) + self.ends[:, len(begun)]).max())

    def next(self, begun: tuple[int, ...]) -> FloatArray:
        """Return that for each option of the next node."""
        k = len(begun)
        sums = self._begun(begun)[:, None] + self.tables[:, k] + self.ends[:, k + 1, None]
        return np.asarray(sums.max(axis=0))
