"""Is a proof right? Its bound derived anew, in arithmetic that rounds outward; no solver, no placer, no square root.

For one price ν, class c and split γ, a lower bound on what one node of the class adds to any plan is

    w·local + min over x of g(x),   g(x) = w·T(x) + ν·s·(λ + x),   x = μ − λ the excess service rate.

g is convex. Its tangents at two points x₁ < x₂ on either side of the minimiser lie below it, so the height where they
meet is below its minimum. The points come from the closed form; should they be wrong, the slopes have the wrong sign
and the case counts as unproved. A case of the tree limits how many nodes of a class use a split, from … to; its bound
is the sum over the classes of the cheapest way to fill them, less ν (weak duality). A limit on how many of all nodes
use a split up to some γ is a charge y on each of them, less y times the limit (weak duality again). The cases are
halves of halves of all plans, so together they are all plans.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray, blocks, over_uses
from dmcjia_opt.base.errors import ClaimFalse
from dmcjia_opt.base.limits import FARTHEST
from dmcjia_opt.bounds.proof.document import Branch, Leaf, Prices, Proof
from dmcjia_opt.bounds.proof.outward import Interval, below
from dmcjia_opt.model.delay import DelayCurve, Piece
from dmcjia_opt.model.problem import Problem

_APART = 2.0**-24  # distance of the two tangents' points from the minimiser, relative
_BLOCK_ENTRIES = 1 << 18


class Unproved(ClaimFalse):
    """The proof does not prove what it says."""


def node_classes(problem: Problem) -> tuple[IntArray, IntArray]:
    """Return the first node and the size of each group of nodes with exactly the same tables, by their first node."""
    groups: dict[bytes, list[int]] = {}
    for d in range(problem.n_nodes):
        groups.setdefault(problem.signature(d) + problem.last[d].tobytes(), []).append(d)
    first, size = zip(*((nodes[0], len(nodes)) for nodes in groups.values()), strict=True)
    return np.array(first, dtype=np.int64), np.array(size, dtype=np.int64)


def split_bounds(problem: Problem, nodes: IntArray, prices: Prices) -> FloatArray:
    """Return lower bounds on what each split of some nodes adds to any plan, s, at prices.

    Parameters
    ----------
    nodes
        (n,) which.
    prices
        (n_resources,) ν ≥ 0, s per unit share.

    Returns
    -------
    (n, n_options); +inf where the split is not allowed, −inf where nothing could be proved.
    """
    out = np.empty((len(nodes), problem.n_options))
    for rows in blocks(len(nodes), problem.n_options, _BLOCK_ENTRIES):
        with np.errstate(all="ignore"):
            out[rows] = _split_bounds(problem, nodes[rows], prices[0])
    return out


def _split_bounds(problem: Problem, nodes: IntArray, price: float) -> FloatArray:
    local, s = problem.fixed_delay[nodes], over_uses(problem.service[nodes])
    weight, rate = problem.weight[nodes, None], problem.arrival_rate[nodes, None]
    fixed = (Interval.exactly(weight) * Interval.exactly(local)).low
    if price > 0.0:
        busy = s > 0
        least = np.maximum(below(over_uses(problem.least_rate[nodes]) - rate), 0.0)
        cloud = _cloud(problem.curve, weight, rate, np.where(busy, s, 1.0), problem.wait[nodes], least, price)
        bound = below(fixed + np.where(busy, np.where(np.isnan(cloud), -np.inf, cloud), 0.0))
    else:
        bound = fixed  # no delay is negative
    return np.where(np.isinf(local), np.inf, bound)


def _cloud(
    curve: DelayCurve,
    weight: FloatArray,
    rate: FloatArray,
    s: FloatArray,
    wait: FloatArray,
    floor: FloatArray,
    price: float,
) -> FloatArray:
    """Return a lower bound on min g (see the module), the excess rate being at least `floor` ≥ 0."""
    hint = np.asarray(curve.excess_at(price * s / weight, rate, wait))
    first = np.maximum(hint * (1.0 - _APART), floor)
    last = np.maximum(hint, floor) * (1.0 + _APART)
    fixed = (Interval.exactly(weight), Interval.exactly(rate), Interval.exactly(price) * Interval.exactly(s))
    a, slope_a = _value_and_slope(curve, *fixed, Interval.exactly(wait), Interval.exactly(first))
    b, slope_b = _value_and_slope(curve, *fixed, Interval.exactly(wait), Interval.exactly(last))
    apart = Interval.exactly(last) - Interval.exactly(first)
    down = Interval.exactly(0.0) - slope_a
    # the tangents meet at first + t, t = (A − B + q·h)/(p + q) with slopes −p < 0 < q
    t = (a - b + slope_b * apart).over(down + slope_b)
    met = below(a.low - (down * t).high)
    risen = slope_a.low >= 0  # already where the range begins
    between = (slope_a.high < 0) & (slope_b.low > 0)
    # at the edge of the range, where rounding hides the sign of the slope
    edge = np.minimum(below(a.low - (down * apart).high), b.low)
    at_edge = (first == floor) & (slope_b.low > 0) & (floor > 0)
    bound = np.where(between, met, np.where(at_edge, edge, -np.inf))
    return np.asarray(np.where(risen & (first == floor) & (floor > 0), a.low, bound))


def _value_and_slope(
    curve: DelayCurve, weight: Interval, rate: Interval, paid: Interval, wait: Interval, excess: Interval
) -> tuple[Interval, Interval]:
    """Return value and derivative at `excess` of what g is where T is its largest piece there; g is nowhere below."""
    mu = rate + excess
    largest, slope = _piece(curve.pieces[0], rate, wait, excess, mu)
    for piece in curve.pieces[1:]:
        value, falls = _piece(piece, rate, wait, excess, mu)
        larger = value.low > largest.low
        largest, slope = value.where(larger, largest), falls.where(larger, slope)
    return weight * largest + paid * mu, paid - weight * slope


def _piece(piece: Piece, rate: Interval, wait: Interval, x: Interval, mu: Interval) -> tuple[Interval, Interval]:
    """Return T = a/μ + b/x − relief·W with a + b = 1, and −dT/dx, from sums of terms of one sign."""
    one, relief = Interval.exactly(1.0), Interval.exactly(piece.relief) * wait
    if piece.a >= 0.0:
        first, second = Interval.exactly(piece.a).over(mu), Interval.exactly(piece.b).over(x)
        return first + second - relief, first.over(mu) + second.over(x)
    part, c = rate.over(mu), Interval.exactly(-piece.a)
    value = (one + c * part).over(x)
    return value - relief, (one + c * part * (Interval.exactly(2.0) - part)).over(x).over(x)


def price_bound(problem: Problem, prices: Prices) -> float:
    """Return a lower bound on the mean delay of every feasible plan, s, from prices alone (weak duality)."""
    least: list[float] = []
    for rows in blocks(problem.n_nodes, problem.n_options, _BLOCK_ENTRIES):
        least += split_bounds(problem, np.arange(rows.start, rows.stop), prices).min(axis=1).tolist()
    if -math.inf in least:
        return -math.inf
    total = math.fsum([*least, *(-price for price in prices)])
    return math.inf if math.inf in least else math.nextafter(total, -math.inf)


@dataclass(slots=True, eq=False)
class CostTables:
    """Lower bounds of classes at prices, each computed once.

    Parameters
    ----------
    problem
        What is bounded.
    first, sizes
        (n_classes,) one node of each class, and how many there are (`node_classes`).
    """

    problem: Problem
    first: IntArray
    sizes: IntArray
    _known: dict[Prices, tuple[FloatArray, IntArray]] = field(init=False, default_factory=dict)

    def at(self, prices: Prices) -> tuple[FloatArray, IntArray]:
        """Return (n_classes, n_splits) bounds and the order of each row, cheapest first."""
        if prices not in self._known:
            table = split_bounds(self.problem, self.first, prices)
            self._known[prices] = table, np.argsort(table, axis=1, kind="stable")
        return self._known[prices]

    def loads(self) -> tuple[FloatArray, IntArray]:
        """Return (n_classes, n_splits) lower bounds on the share each split needs, and the order of each row."""
        problem = self.problem
        rates = np.maximum(problem.arrival_rate[self.first, None, None], problem.least_rate[self.first])
        load = np.maximum(over_uses(below(rates * problem.service[self.first])), 0.0)
        load = np.where(np.isinf(problem.fixed_delay[self.first]), np.inf, load)
        return load, np.argsort(load, axis=1, kind="stable")


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """Plans in which from … to so many nodes use each split.

    Parameters
    ----------
    least, most
        (n_classes, n_splits) of each class.
    least_in_all, most_in_all
        (n_splits,) of all nodes, use it or one before it.
    """

    least: IntArray
    most: IntArray
    least_in_all: IntArray
    most_in_all: IntArray

    @classmethod
    def everything(cls, tables: CostTables) -> Case:
        """Return the case of all plans."""
        shape = (len(tables.sizes), tables.problem.n_options)
        none, every = np.zeros(shape, dtype=np.int64), np.broadcast_to(tables.sizes[:, None], shape)
        return cls(none, every, none[0], np.full(shape[1], tables.sizes.sum()))

    def halves(self, branch: Branch) -> tuple[Case, Case]:
        """Return the two cases of a branch."""
        if branch.index is None:
            at: tuple[int, ...] | int = branch.split
            few, many = self.most_in_all.copy(), self.least_in_all.copy()
        else:
            at = (branch.index, branch.split)
            few, many = self.most.copy(), self.least.copy()
        few[at], many[at] = min(branch.most, few[at]), max(branch.most + 1, many[at])
        if branch.index is None:
            return replace(self, most_in_all=few), replace(self, least_in_all=many)
        return replace(self, most=few), replace(self, least=many)

    def cheapest(self, sizes: IntArray, order: IntArray) -> IntArray | None:
        """Return the cheapest counts by the `order` of each row; None if there is no plan of this case."""
        rest = sizes - self.least.sum(axis=1)
        room = np.take_along_axis(self.most - self.least, order, 1)
        if (rest < 0).any() or (room < 0).any() or (room.sum(axis=1) < rest).any():
            return None
        taken = np.minimum(room, np.maximum(rest[:, None] - (np.cumsum(room, axis=1) - room), 0))
        count = self.least.copy()
        np.put_along_axis(count, order, np.take_along_axis(count, order, 1) + taken, 1)
        return count


def case_bound(case: Case, tables: CostTables, prices: Prices, charges: tuple[tuple[int, float], ...] = ()) -> float:
    """Return a lower bound on the mean delay of every plan of a case, s, from prices and charges; +inf if none is."""
    cost, order = tables.at(prices)
    given = [-price for price in prices]
    if charges:
        cost = cost.copy()
        for split, charge in charges:
            cost[:, : split + 1] = below(cost[:, : split + 1] + charge)
            limit = case.most_in_all[split] if charge > 0 else case.least_in_all[split]
            given.append(-math.nextafter(charge * float(limit), math.inf))
        order = np.argsort(cost, axis=1, kind="stable")
    count = case.cheapest(tables.sizes, order)
    return math.inf if count is None else _total(count, cost, given)


def case_load(case: Case, tables: CostTables) -> float:
    """Return a lower bound on the share of the cloud that every plan of a case needs."""
    load, order = tables.loads()
    count = case.cheapest(tables.sizes, order)
    return math.inf if count is None else _total(count, load, [])


def _total(count: IntArray, cost: FloatArray, given: list[float]) -> float:
    used = count > 0
    terms = cost[used]
    if np.isneginf(terms).any():
        return -math.inf
    if np.isposinf(terms).any():
        return math.inf
    number = count[used]
    products = np.where(number == 1, terms, below(number * terms))
    return math.nextafter(math.fsum([*products.tolist(), *given]), -math.inf)


def check_proof(problem: Problem, proof: Proof) -> float:
    """Return the lower bound on the mean delay of every feasible plan that a proof proves, s, derived anew.

    Parameters
    ----------
    problem
        The problem the proof is about.
    proof
        Its prices and its tree; the bound it states is not used.

    Raises
    ------
    Unproved
        If the tree is not one: it ends early or late, or names a class, a split or a price that does not exist.
    """
    only = proof.tree[0] if len(proof.tree) == 1 else None
    if isinstance(only, Leaf) and only.price is not None and not only.charges:
        return price_bound(problem, _prices(proof, only.price, 0, problem.n_resources))
    tables = CostTables(problem, *node_classes(problem))
    open_cases = [Case.everything(tables)]
    bound = math.inf
    for number, node in enumerate(proof.tree):
        if not open_cases:
            raise Unproved(f"tree[{number}]: every case is closed already; the proof must end here")
        case = open_cases.pop()
        if isinstance(node, Branch):
            _check_branch(problem, tables, node, number)
            few, many = case.halves(node)
            open_cases += [many, few]
        else:
            bound = min(bound, _leaf(case, tables, proof, node, number))
    if open_cases:
        raise Unproved(f"the tree ends with {len(open_cases)} cases open; they may hold better plans")
    return bound


def _check_branch(problem: Problem, tables: CostTables, branch: Branch, number: int) -> None:
    if branch.index is not None and branch.index >= len(tables.sizes):
        raise Unproved(f"tree[{number}]: there is no class {branch.index}; the scenario has {len(tables.sizes)}")
    _check_split(problem, branch.split, number)
    whose = "the scenario" if branch.index is None else f"class {branch.index}"
    size = int(tables.sizes.sum() if branch.index is None else tables.sizes[branch.index])
    if branch.most >= size:
        raise Unproved(f"tree[{number}]: {whose} has {size} nodes, so that more than {branch.most} of them is no case")


def _check_split(problem: Problem, split: int, number: int) -> None:
    if split >= problem.n_options:
        raise Unproved(f"tree[{number}]: there is no split {split}; the last is {problem.n_options - 1}")


def _leaf(case: Case, tables: CostTables, proof: Proof, leaf: Leaf, number: int) -> float:
    if leaf.price is None:
        load = case_load(case, tables)
        if load < 1.0:
            raise Unproved(f"tree[{number}]: the cloud can carry a plan of this case, its least load is {load:.6g}")
        return math.inf
    prices = _prices(proof, leaf.price, number, tables.problem.n_resources)
    for split, charge in leaf.charges:
        _check_split(tables.problem, split, number)
        if not abs(charge) <= FARTHEST:
            raise Unproved(f"tree[{number}]: a charge of {charge:g} s is beyond {FARTHEST:g}")
    return case_bound(case, tables, prices, leaf.charges)


def _prices(proof: Proof, index: int, number: int, n_resources: int) -> Prices:
    if index >= len(proof.prices):
        raise Unproved(f"tree[{number}]: there is no price {index}; the proof has {len(proof.prices)}")
    prices = proof.prices[index]
    if len(prices) != n_resources:
        raise Unproved(f"prices_s[{index}] holds {len(prices)} prices; the scenario shares {n_resources} resources")
    if not all(0.0 <= price <= FARTHEST for price in prices):
        raise Unproved(f"prices_s[{index}] must lie between 0 and {FARTHEST:g}")
    return prices
