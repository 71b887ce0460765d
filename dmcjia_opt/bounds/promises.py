"""What it takes to keep deadlines, at a price for each resource; and the least delay that all nodes can keep.

At prices ν every node keeps its deadline by the option that costs least, Σ ν·δ: of one use δ is the least share in
closed form, of several the one at the weight that keeps it (`responses`). Nothing couples the nodes. So deadlines
cannot all be kept where that costs more than Σ ν, all there is, whatever the prices are: the worst node of any plan
takes longer than each t at which keeping t costs more than Σ ν. For one resource the least t at which it does not is
the optimum itself; for several the prices that make it largest are sought, which is a concave maximum again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from dmcjia_opt.base.arrays import EPS, BoolArray, FloatArray, IntArray, blocks
from dmcjia_opt.base.roots import falling_root
from dmcjia_opt.bounds.bundle import climb
from dmcjia_opt.bounds.responses import Asked
from dmcjia_opt.model.delay import DelayCurve
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.queues import Scv

_BLOCK = 1 << 17
_ROUGHLY, _LARGE = 1e-5, 1 << 14  # the same for a first look; and entries of tables from which ruling out pays
_HAIR = 1e-13  # relative: nearer to what no share changes no root is looked for
_CLOSE = 1e-12  # how exactly keeping a delay uses up all there is, where weights are sought for it
_FILTERED = 0.1  # a bracket that much narrower than at the last time rules more options out
_MOST_POLISHED = 64
_LONGEST = 1e15  # of the least delay: what takes longer is never kept
_SHORTEST = 1e-9  # s, what counts as the least delay where that is 0
_PASSES, _LITTLE, _STALLED = 60, 1e-7, 4  # in which all prices move, and relative gains after which no more
_ROUNDS, _CLIMBS = 12, 60
_STILL = 1e-11  # gain in t, relative to t, that ends the search for prices


@dataclass(frozen=True, slots=True, eq=False)
class Needs:
    """Options of some nodes, with what their uses need.

    Parameters
    ----------
    rows, option
        (n,) which nodes, and (n, k) which options.
    fixed, wait
        (n, k) delay that no share changes, s, +inf where the option is not allowed; and the wait upstream, s.
    service, least, resource
        (n, k, n_uses) service time at full share, s; least rate, 1/s; index of the resource.
    rate, scv, deadline
        (n, 1) arrival rate, 1/s, c_a² of the gaps, and the deadline that holds whatever is asked, s.
    curves, coupled
        Of the problem.
    """

    rows: IntArray
    option: IntArray
    fixed: FloatArray
    wait: FloatArray
    service: FloatArray
    least: FloatArray
    resource: IntArray
    rate: FloatArray
    scv: Scv
    deadline: FloatArray
    curves: tuple[DelayCurve, ...]
    coupled: bool

    @classmethod
    def of(cls, problem: Problem, rows: slice | IntArray, options: IntArray | None = None) -> Needs:
        """Return options (n, k) of some nodes; all of them when omitted."""
        index = np.arange(problem.n_nodes)[rows]
        option = np.broadcast_to(np.arange(problem.n_options), (len(index), problem.n_options))
        at: tuple[slice | IntArray, ...] = (rows,)
        if options is not None:
            option, at = options, (index[:, None], options)
        tables = problem.fixed_delay[at], problem.wait[at], problem.service[at], problem.least_rate[at]
        rate, deadline = problem.arrival_rate[rows, None], problem.deadline[rows, None]
        scv = problem.arrival_scv[rows, None] if problem.renewal else 1.0
        return cls(
            index, option, *tables, problem.resource[at], rate, scv, deadline, problem.use_curves, problem.coupled
        )

    def kept(self, keep: BoolArray) -> Needs:
        """Return only what to `keep` (n, k), at least one option of each node."""
        k = int(keep.sum(axis=1).max())
        order = np.argsort(~keep, axis=1, kind="stable")[:, :k]
        names = "option", "fixed", "wait", "service", "least", "resource"
        rows = np.arange(len(keep))[:, None]
        picked = {name: getattr(self, name)[rows, order] for name in names}
        picked["fixed"] = np.where(np.take_along_axis(keep, order, 1), picked["fixed"], np.inf)
        return replace(self, **picked)

    def cost(self, deadline: FloatArray, prices: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return what keeping a deadline (n, 1), s, costs at prices (n_resources,), and the shares it takes.

        The first is (n, k), +inf where nothing keeps it; the second (n, k, n_uses), what it takes where it does.
        """
        busy = self.service > 0
        with np.errstate(invalid="ignore"):
            room = np.minimum(deadline, self.deadline) - self.fixed
        possible = (room > 0) | ((room == 0) & ~busy.any(-1))
        alone = np.where(possible & (busy.sum(-1) == 1), room, 0.0)
        shares = np.zeros(self.service.shape)
        for k, curve in enumerate(self.curves):
            mine = busy[..., k] & (alone > 0)
            rates = np.maximum(
                curve.rate_within(np.where(mine, alone, 1.0), self.rate, self.wait, self.scv), self.least[..., k]
            )
            shares[..., k] = np.where(mine, self.service[..., k] * rates, 0.0)
        price = prices[self.resource]
        cost = (price * shares).sum(-1)
        several = np.nonzero(possible & (busy.sum(-1) > 1))
        if several[0].size:
            cost[several], shares[several] = self._together(several, room[several], price[several])
        return np.where(possible, cost, np.inf), shares

    def _together(self, at: tuple[IntArray, ...], room: FloatArray, price: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the least cost (e,) and the shares (e, n_uses) at which the uses of entries take no more than `room`.

        The cost is a lower bound, by weak duality, however exact the weight is.
        """
        rate = self.rate[at[0], 0]
        asked = Asked(
            self.curves,
            tuple(self.service[at].T),
            tuple(price.T),
            tuple(self.least[at].T - rate),
            rate,
            self.wait[at],
            self.scv if isinstance(self.scv, float) else self.scv[at[0], 0],
            self.coupled,
        )
        weight = asked.within(room, np.zeros_like(room))
        shares, delays = (np.stack(each, axis=-1) for each in asked.at(weight))
        paid = np.where(price > 0, price * np.where(price > 0, shares, 0.0), 0.0).sum(-1)
        return np.asarray(paid + weight * (delays.sum(-1) - room)), shares


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """How a fleet keeps deadlines at prices.

    Parameters
    ----------
    cost
        (n_nodes,) Σ ν·δ of each node, in units of the prices; +inf where no option keeps the deadline.
    options
        (n_nodes,) the options that cost no more than any other.
    use
        (n_resources,) the shares they take together.
    prices
        (n_resources,) where that is.
    """

    cost: FloatArray
    options: IntArray
    use: FloatArray
    prices: FloatArray

    @property
    def total(self) -> float:
        """What all nodes pay together, as computed."""
        return math.fsum(self.cost)

    @property
    def x(self) -> FloatArray:
        """The prices, as what `bundle.climb` moves along."""
        return self.prices

    @property
    def value(self) -> float:
        """C(ν) − ½(Σν)², largest in the direction in which C(ν)/Σν is."""
        return self.total - 0.5 * float(self.prices.sum()) ** 2

    @property
    def slope(self) -> FloatArray:
        """A supergradient of that."""
        return np.asarray(self.use - self.prices.sum())

    @property
    def ratio(self) -> float:
        """C(ν)/Σν: above 1 the deadlines cannot all be kept."""
        return self.total / float(self.prices.sum())


def keeping(
    problem: Problem,
    deadline: FloatArray | float,
    prices: FloatArray,
    groups: Iterable[Needs] | None = None,
) -> Kept:
    """Return how each node keeps a deadline at least cost, whatever the others do (capacity is not limited).

    Parameters
    ----------
    problem
        The compiled problem; its own deadlines and least rates hold besides.
    deadline
        (n_nodes,) s, or one for all.
    prices
        (n_resources,) ≥ 0, per unit share, in any unit.
    groups
        What may be chosen; everything when omitted.
    """
    n = problem.n_nodes
    most = np.broadcast_to(np.asarray(deadline, dtype=np.float64), (n,))
    cost, options, use = np.full(n, np.inf), np.zeros(n, dtype=np.int64), np.zeros(problem.n_resources)
    for group in _all(problem) if groups is None else groups:
        each, shares = group.cost(most[group.rows, None], prices)
        index = np.arange(len(group.rows))
        best = each.argmin(axis=1)
        cost[group.rows], options[group.rows] = each[index, best], group.option[index, best]
        taken = np.where(np.isfinite(cost[group.rows])[:, None], shares[index, best], 0.0)
        use += np.bincount(group.resource[index, best].ravel(), taken.ravel(), problem.n_resources)
    return Kept(cost, options, use, prices)


def _all(problem: Problem) -> Iterable[Needs]:
    for rows in blocks(problem.n_nodes, problem.n_options * problem.n_uses, _BLOCK):
        yield Needs.of(problem, rows)


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """The least delay that every node may keep, as far as it is known.

    Parameters
    ----------
    low
        A proved lower bound on the delay of the worst node of any plan, s; +inf if no plan exists.
    high
        Where one resource is shared, a delay, s, that the options at `points[0]` keep; +inf where it is not known.
    prices
        (n_resources,) the prices that prove `low`.
    points
        How the fleet keeps delays near to it; the first at `high` where that is known.
    """

    low: float
    high: float
    prices: FloatArray
    points: tuple[Kept, ...]


def _slack(n: int) -> float:
    """Return by how much, relative to itself, what nodes pay together may be wrong by rounding."""
    return (64.0 + math.log2(n + 1)) * EPS


def level_at(problem: Problem, prices: FloatArray, near: float = 0.0, *, rough: bool = False) -> Level:
    """Return the lower bound on the delay of the worst node that prices (n_resources,) ≥ 0 prove, and how it is kept.

    Prices that are all 0 prove no more than what no share changes. The answer is looked for around `near`, s, where
    that is given, and not to the last digits where a `rough` one will do: a bound is what it is in any case.
    """
    prices = np.asarray(prices, dtype=np.float64)
    total, slack = float(prices.sum()), _slack(problem.n_nodes)
    least = low = _least_fixed(problem)
    if math.isinf(low) or not total > 0.0:
        return Level(low, math.inf, prices, ())

    finite = problem.deadline[np.isfinite(problem.deadline)]
    longest = float(finite.max()) if len(finite) == problem.n_nodes else math.inf
    probe = _Probe(problem, prices, total * (1.0 + slack), low)
    high = min(near if near > low else max(2.0 * low, _SHORTEST), longest)
    factor = 1.001 if near > low else 4.0
    while probe(high) > 0.0:
        if high >= min(longest, _LONGEST * max(low, _SHORTEST)):
            return Level(math.inf, math.inf, prices, (probe.point,))
        high, factor = min(high * factor, longest), min(factor**4, 16.0)
    while near > 0.0 and probe.low == low and high / factor > low and probe(high / factor) <= 0.0:
        high, factor = high / factor, min(factor**4, 16.0)
    if probe(least) > 0.0:
        # one node may need ever more as t nears what no share changes: on log axes that is a straight line
        first = max(probe.low, least * (1.0 + _HAIR), least + 1e-3 * _HAIR * high)
        ends = np.log(np.array(first) - least), np.log(np.array(probe.high) - least)
        close = _ROUGHLY if rough else _CLOSE if problem.joint else 0.0
        falling_root(lambda z: np.asarray(probe(least + math.exp(float(z)))), *ends, close=close)
        if not rough:
            _beneath(probe)
    return Level(probe.low * (1.0 - 16.0 * EPS), probe.high, prices, (probe.point,))


def _beneath(probe: _Probe) -> None:
    """Bring the delay that is out of reach to a few units of rounding below the one that is not."""
    hair = _CLOSE
    while probe.low < (t := probe.high * (1.0 - hair)) and probe(t) <= 0.0:
        hair *= 8.0  # what is close enough to all there is may be further off in t
    for hair in (64.0 * EPS, 8.0 * EPS):
        if probe.low < probe.high * (1.0 - hair):
            probe(probe.high * (1.0 - hair))


class _Probe:
    """How much keeping a delay costs of all there is, as a logarithm, at one delay after another.

    Parameters
    ----------
    problem, prices
        The compiled problem, and (n_resources,) prices.
    all
        What all there is costs, and what rounding may add.
    low
        A delay, s, that cannot be kept.

    Attributes
    ----------
    low, high, point
        The longest delay that was found out of reach, s, the shortest that was not, and how that is kept.
    """

    def __init__(self, problem: Problem, prices: FloatArray, all_: float, low: float) -> None:
        self.problem, self.prices, self._all = problem, prices, all_
        self.low, self.high = low, math.inf
        self.point: Kept = _nothing(problem, prices)
        self._groups: list[Needs] | None = None
        self._ruled, self._large = math.inf, problem.n_nodes * problem.n_options > _LARGE
        self._known: dict[float, float] = {}

    def __call__(self, t: float) -> float:
        if t not in self._known:
            inside = self.low < t < self.high
            width = self.high - self.low
            if inside and self._large and width < _FILTERED * min(self._ruled, self.high):
                self._groups = _inside(self.problem, self.low, self.high, self.prices, self._groups)
                self._ruled = width
            point = keeping(self.problem, t, self.prices, self._groups if inside else None)
            with np.errstate(divide="ignore"):
                value = self._known[t] = float(np.log(point.total / self._all))
            if value > 0.0:
                self.low = max(self.low, t)
                self.point = point if math.isinf(self.high) else self.point
            elif t < self.high:
                self.high, self.point = t, point
        return self._known[t]


def _nothing(problem: Problem, prices: FloatArray) -> Kept:
    nobody = np.zeros(problem.n_nodes)
    return Kept(nobody, nobody.astype(np.int64), np.zeros(problem.n_resources), prices)


def _least_fixed(problem: Problem) -> float:
    """Return the largest of the delays, s, that no share can save a node; +inf if one has no option."""
    found = 0.0
    for rows in blocks(problem.n_nodes, problem.n_options, _BLOCK):
        found = max(found, float(problem.fixed_delay[rows].min(axis=1).max()))
    return found


def _inside(problem: Problem, low: float, high: float, prices: FloatArray, groups: list[Needs] | None) -> list[Needs]:
    """Return what may cost least at a deadline between two: what costs no more at the later than the best at the other.

    What keeping a deadline costs only falls as it moves away.
    """
    left = []
    for group in _all(problem) if groups is None else groups:
        dear, _ = group.cost(np.full((len(group.rows), 1), low), prices)
        cheap, _ = group.cost(np.full((len(group.rows), 1), high), prices)
        keep = cheap <= dear.min(axis=1, keepdims=True) * (1.0 + 64.0 * EPS)
        keep[np.arange(len(keep)), cheap.argmin(axis=1)] = True
        left.append(group.kept(keep))
    return left


def best_level(problem: Problem) -> Level:
    """Return the best lower bound that prices prove on the delay of the worst node, and how the fleet keeps it.

    For several resources prices move by their use until that gains little; a few are then polished by cutting planes
    at the delay reached, which any prices that make keeping it dearer than all there is put further up.
    """
    n = problem.n_resources
    best = level_at(problem, np.full(n, 1.0 / n))
    if n == 1 or not best.points or math.isinf(best.low):
        return best
    points, level, damp, last, stalled = [best.points[0]], best, np.ones(n), np.zeros(n), 0
    for _ in range(_PASSES):
        use = level.points[0].use
        move = np.clip(np.log(np.maximum(use, 1e-9)), -1.5, 1.5)
        damp = np.where(move * last < 0.0, 0.5 * damp, np.minimum(1.1 * damp, 1.0))
        last = move
        prices = level.prices * np.exp(move * damp)
        level = level_at(problem, prices / prices.sum(), level.high, rough=True)
        if math.isinf(level.low):
            return level
        points.append(level.points[0])
        stalled = stalled + 1 if level.low <= best.low * (1.0 + _LITTLE) else 0
        best = level if level.low > best.low else best
        if stalled >= _STALLED:
            break
    for _ in range(_ROUNDS if n <= _MOST_POLISHED else 0):
        t = best.low

        def ask(prices: FloatArray, t: float = t) -> Kept:
            return keeping(problem, t, prices)

        summit = climb(ask, [ask(best.prices)], 0.1 * best.prices, np.zeros(n), steps=_CLIMBS)
        points.extend(summit.points)
        found = max(summit.points, key=lambda point: point.ratio)
        if not 1.0 < found.ratio < math.inf:
            break
        level = level_at(problem, found.prices / found.prices.sum(), best.high)
        gained = level.low - best.low
        best = level if gained > 0.0 else best
        if gained <= _STILL * best.low:
            break
    best = level_at(problem, best.prices, best.high)
    return replace(best, high=math.inf, points=(best.points[0], *points[::-1]))


def needed(problem: Problem, options: IntArray, most: FloatArray) -> FloatArray:
    """Return the least shares (n_plans, n_nodes, n_uses) with which uses take no more than `most`, s.

    `most` broadcasts to (n_plans, n_nodes, n_uses) and counts from the task's beginning; +inf where nothing will do.
    Where an option has several uses each has all of the time to itself.
    """
    service = problem.at(problem.service, options)
    busy, rate, wait = service > 0, problem.arrival_rate, problem.at(problem.wait, options)
    limit = np.minimum(most, problem.deadline[:, None])
    with np.errstate(invalid="ignore"):
        room = np.broadcast_to(limit - problem.at(problem.fixed_delay, options)[..., None], service.shape)
    least, shares = problem.at(problem.least_rate, options), np.zeros(service.shape)
    for k, curve in enumerate(problem.use_curves):
        rates = curve.rate_within(np.where(room[..., k] > 0, room[..., k], 0.0), rate, wait, problem.gaps())
        rates = np.maximum(rates, least[..., k])
        shares[..., k] = np.where(busy[..., k], np.where(busy[..., k], service[..., k], 1.0) * rates, 0.0)
    return shares


def levels_of(problem: Problem, options: IntArray, prices: FloatArray) -> FloatArray:
    """Return lower bounds, s, on the delay of the worst node of given options, whatever the shares.

    Parameters
    ----------
    options
        (n_plans, n_nodes).
    prices
        (n_plans, n_resources) any prices ≥ 0; other numbers prove no more than what no share changes.
    """
    usable = (np.isfinite(prices) & (prices >= 0.0)).all(-1, keepdims=True)
    at = np.where(usable, prices, 0.0)
    fixed = problem.at(problem.fixed_delay, options)
    least: FloatArray = np.asarray(fixed.max(-1))
    possible = np.isfinite(least) & (at.sum(-1) > 0.0)
    if problem.joint:
        rows = np.flatnonzero(possible)
        each = [level_at(only(problem, options[i]), at[i]).low for i in rows]
        least[rows] = np.maximum(least[rows], each)
        return least
    used, slack = problem.at(problem.resource, options), _slack(problem.n_nodes)
    total = np.where(possible, at.sum(-1), 1.0)
    mine = np.take_along_axis(at[:, None, :], used, -1) if problem.n_resources > 1 else at[:, None, :]

    def over(t: FloatArray) -> FloatArray:
        shares = needed(problem, options, t[:, None, None])
        with np.errstate(invalid="ignore"):
            paid = np.where(mine > 0, mine * shares, 0.0).sum((-2, -1))
        return np.where(possible, paid / total - 1.0 - slack, -1.0)

    low, high = widened(over, np.where(possible, least, 1.0))
    found, end = falling_root(over, low, high, both=True)
    found = np.where(over(end) > 0, np.inf, found) * (1.0 - 16.0 * EPS)
    return np.asarray(np.where(possible, np.maximum(found, least), least))


def widened(over: Callable[[FloatArray], FloatArray], low: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return `low` (n,) > 0 and points beyond it at which a falling function is no more than 0, if it ever is."""
    low, longest = np.maximum(low, np.finfo(np.float64).tiny), _LONGEST * np.maximum(low, _SHORTEST)
    high = np.maximum(2.0 * low, _SHORTEST)
    value = over(high)
    while (going := (value > 0) & (high < longest)).any():
        high = np.where(going, 4.0 * high, high)
        value = over(high)
    return low, high


def only(problem: Problem, plan: IntArray) -> Problem:
    """Return the problem in which every node has one option, that of a plan (n_nodes,)."""
    d = np.arange(problem.n_nodes)
    tables = {
        key: getattr(problem, key)[d, plan][:, None]
        for key in ("fixed_delay", "service", "least_rate", "wait", "resource")
    }
    return replace(problem, **tables, last=np.zeros(problem.n_nodes, dtype=np.int64), uplinks=None)
