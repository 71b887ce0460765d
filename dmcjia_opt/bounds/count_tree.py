"""Branch and bound on counts over groups of similar nodes: for nodes that are nearly identical.

For any prices ν and any charge y of a node's option, every plan costs at least

    Σ_d min_o (cost_do(ν) + y_o) − Σ_o y_o·N_o − Σ ν,     N_o how many nodes use option o,

whatever the nodes are (weak duality). Nodes of one *part* share their charges. A case limits how many nodes of some
set, which is a part or was one before it was halved, use an option up to some one; its bound is such a sum, with
charges for those limits alone. A linear program over counts says which prices and charges (`count_program`), from cuts
at others. Cuts come from counts in whole numbers: the cheapest way to deal nodes to options is a transportation
problem, whose dual is a charge for each option, and the prices are those at which that is dearest. Where counts are
whole and a case is open still, plans of the same counts differ by who does what: a part is halved.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.bounds.columns import columns
from dmcjia_opt.bounds.count_program import CountProgram, Limits, Origin, Suggestion
from dmcjia_opt.bounds.dual import LEAST_PRICE, MOST_PRICE, rounding_slack
from dmcjia_opt.bounds.similar import Group, reach
from dmcjia_opt.bounds.transport import transport
from dmcjia_opt.model.problem import Problem

_NONE = np.zeros(0)
_FAR = 2.0**40  # prices beyond so many times those where the dual is largest drown a bound in rounding
_WHOLE = 1e-6  # how near to a whole number is one
_AROUND = 9  # prices of the first cuts
_LITTLE = 1e-9  # of the best prices: what a plan does not use costs nothing, and any small price is as good
_WORTH = 0.1  # of what a case lacks: cuts that raise its bound by less are not followed by more
_IDLE = 40  # linear programs without use, after which a cut is left out
_ANEW = 0.03  # of what was open when the linear program was made: then a new one pays
_BROKEN = 10.0  # of the delay: what a node too many costs
_SMALLEST = 1e-6  # unit of a linear program, of the delay: its tolerances in that are rounding
_COARSER = 1e3
_TRIES, _DEARER = 6, 16.0  # how often the price of what counts overload is raised, and by what factor


@dataclass(frozen=True, slots=True)
class Limit:
    """What a limit counts: those of the first nodes of a set that use an option up to some one.

    Parameters
    ----------
    group
        Number of the group.
    rows
        Which of its nodes.
    width
        How many of its options count.
    """

    group: int
    rows: tuple[int, ...]
    width: int


@dataclass(frozen=True, slots=True, eq=False)
class CountedCase:
    """A case of the tree.

    Parameters
    ----------
    bound
        What is proved of it, s; +inf where it holds one plan that nothing can carry.
    prices, charges
        (n_resources,) and by the limits' numbers, s: what proves that.
    limit, most
        The two cases it is halved into: at most `most` of what the limit of this number counts, or more; None where
        it is not.
    """

    bound: float
    prices: FloatArray
    charges: Mapping[int, float]
    limit: int | None = None
    most: int = 0


class Dealer(Protocol):
    """Who looks for plans while the tree is searched."""

    @property
    def target(self) -> float:
        """The bound that is enough, s."""

    def prices_of(self, plan: IntArray) -> FloatArray:
        """Return the prices (n_resources,) at which a plan that can be carried has its best bound."""

    def proved(self, bound: float) -> None:
        """Hear the bound of what is left, s, from time to time."""


@dataclass(slots=True, eq=False)
class _Cut:
    prices: FloatArray
    constants: FloatArray  # (n_parts + 1,), the last of all nodes that are not open
    charges: list[FloatArray]  # of each part, (k,)
    idle: int = 0  # for how many linear programs it has been of no use


@dataclass(slots=True, eq=False)
class _Part:
    group: int
    rows: IntArray
    charges: FloatArray


class CountTree:
    """A search over counts of the options of open nodes, all other nodes at one option each.

    Parameters
    ----------
    problem
        The problem.
    groups
        The open nodes.
    rest
        (n_nodes,) the option of every other node.
    prices
        (n_resources,) where the dual is large.
    base
        A lower bound on everything, s.

    Attributes
    ----------
    limits
        What cases limit, by numbers.
    nodes
        The cases looked at, by numbers: 1 is all plans, 2·i and 2·i + 1 are those of case i.
    """

    def __init__(
        self, problem: Problem, groups: Sequence[Group], rest: IntArray, prices: FloatArray, base: float
    ) -> None:
        self.problem, self.groups, self.rest, self.base = problem, groups, rest, base
        self.prices = np.maximum(prices, _LITTLE * max(float(prices.max()), abs(base)))
        opened = np.concatenate([group.nodes for group in groups])
        closed = np.setdiff1d(np.arange(problem.n_nodes), opened)
        keep = np.zeros((len(closed), problem.n_options), dtype=bool)
        keep[np.arange(len(closed)), rest[closed]] = True
        self._fixed = columns(problem, closed).kept(keep) if len(closed) else None
        self._parts = [
            _Part(g, np.arange(len(group.nodes)), np.zeros(len(group.options))) for g, group in enumerate(groups)
        ]
        self._sets = [(0, part.group, tuple(part.rows.tolist())) for part in self._parts]
        self.limits: list[Limit] = []
        self.nodes: dict[int, CountedCase] = {}
        self._numbers: dict[Limit, int] = {}
        self._cuts: list[_Cut] = []
        self._seen: set[bytes] = set()
        self._dealt: dict[bytes, int] = {}
        self._warm: CountProgram | None = None
        self._many = 2 * _IDLE
        self._unit, self._last = 1.0, self.prices
        self._smallest = _SMALLEST * abs(base)

    def close(self, dealer: Dealer, start: IntArray | None, most_cases: int) -> float | None:
        """Search all counts; return the least bound of the cases when all are closed, None where it gives up.

        Parameters
        ----------
        dealer
            Who says what is enough, and evaluates plans.
        start
            (n_nodes,) a plan near which to begin.
        most_cases
            Give up after so many.
        """
        self._unit = max(dealer.target - self.base, 1e-13 * abs(self.base))
        self._begin(dealer, start)
        heap: list[tuple[float, int, Limits]] = [(self.base, 1, {})]
        least = math.inf
        while heap:
            bound, number, case = heapq.heappop(heap)
            dealer.proved(min(bound, least))
            if len(self.nodes) >= most_cases:
                return None
            if dealer.target - bound < _ANEW * self._unit > self._smallest:
                self._unit, self._warm = max(dealer.target - bound, self._smallest), None
                self.prices = np.maximum(self._last, _LITTLE * float(self.prices.max()))
            node = self._case(case, bound, dealer)
            if node is None:
                return None
            self.nodes[number] = node
            if node.limit is None:
                least = min(least, node.bound)
                continue
            low, high = case.get(node.limit, (0, len(self.limits[node.limit].rows)))
            heapq.heappush(heap, (node.bound, 2 * number, {**case, node.limit: (low, node.most)}))
            heapq.heappush(heap, (node.bound, 2 * number + 1, {**case, node.limit: (node.most + 1, high)}))
        return least

    def _begin(self, dealer: Dealer, start: IntArray | None) -> None:
        """Add the cuts of prices around the best ones, and those at the counts of a plan."""
        width = reach(self._unit, self.prices)
        for factor in np.exp(np.linspace(-width, width, _AROUND)).tolist():
            self._add(factor * self.prices, [np.zeros(len(part.charges)) for part in self._parts])
        counts = None if start is None else self._counts_of(start)
        if counts is not None:
            self._deal(counts, self.prices, dealer)

    def _case(self, case: Limits, bound: float, dealer: Dealer) -> CountedCase | None:
        """Return a case with its bound, and what to branch on; None where it does not get on."""
        before, turn = bound, 0
        prices, charges, node_bound = self.prices, dict[int, float](), -math.inf
        while True:
            at = self._program().solve(case) or self._coarser(case)
            if at is None:
                return None
            self._forget(at)
            asked = self._last = np.clip(at.prices, LEAST_PRICE, MOST_PRICE)
            charged = {number: float(at.charges[number]) for number in case if at.charges[number] != 0.0}
            value = self.bound_at(asked, charged, case)
            if value > node_bound:
                prices, charges, node_bound = asked, charged, value
            bound = max(bound, value)
            if bound >= dealer.target:
                return CountedCase(bound, prices, charges)
            counts = self._split(at.count)
            whole = all(np.abs(counted - np.rint(counted)).max() < _WHOLE for counted in counts)
            rounded = [_rounded(counted) for counted in counts]
            key = b"".join(counted.tobytes() for counted in rounded)
            gained, before = bound - before, bound
            stale = gained < _WORTH * (dealer.target - bound)
            if not whole and turn > 0 and (stale or key in self._dealt):
                chosen = self._branch(counts, case)
                return (
                    None if chosen is None else CountedCase(bound, prices, charges, self._number(chosen[0]), chosen[1])
                )
            if whole and stale and self._dealt.get(key, 0) > 1:
                if self._halve(rounded):
                    continue
                if self._dealt[key] > _TRIES:
                    return self._apart(rounded, case, bound, prices, charges, dealer)
            self._deal(rounded, at.prices, dealer)
            turn += 1

    def _priced(self, prices: FloatArray) -> tuple[list[FloatArray], list[list[FloatArray]], float, FloatArray]:
        """Return costs and shares of each group's options, and what all other nodes cost and use."""
        costs, shares = [], []
        for group in self.groups:
            cost, share = group.columns.priced(prices)
            costs.append(cost)
            shares.append(share)
        if self._fixed is None:
            return costs, shares, 0.0, np.zeros(len(prices))
        cost, used, choice = self._fixed.at(prices)
        return costs, shares, math.fsum(cost), self._fixed.used(choice, used, len(prices))

    def _constant(self, costs: list[FloatArray], charged: list[FloatArray], rest: float, paid: float) -> float:
        """Return Σ_d min_o (cost_do + y_do) + what the rest costs − what is paid for capacity, less rounding."""
        terms, size = [rest, -paid], abs(rest) + abs(paid)
        for cost, charge in zip(costs, charged, strict=True):
            least = (cost + charge).min(axis=1)
            terms += least.tolist()
            size += float(np.abs(least).sum()) + 2.0 * len(least) * float(np.abs(charge).max(initial=0.0))
        return math.fsum(terms) - 2.0 * rounding_slack(self.problem.n_nodes, size)

    def _apart(
        self,
        counts: list[IntArray],
        case: Limits,
        bound: float,
        prices: FloatArray,
        charges: Mapping[int, float],
        dealer: Dealer,
    ) -> CountedCase | None:
        """Return a branch between counts whose plans are all the same one and others; that plan alone closed."""
        for part, counted in zip(self._parts, counts, strict=True):
            rows = tuple(part.rows.tolist())
            for j, before in enumerate(np.cumsum(counted)[:-1].tolist()):
                number = self._number(Limit(part.group, rows, j + 1))
                low, high = case.get(number, (0, len(rows)))
                if low < high:
                    return CountedCase(bound, prices, charges, number, before if before < high else before - 1)
        plan = self.rest.copy()
        for part, counted in zip(self._parts, counts, strict=True):
            group = self.groups[part.group]
            plan[group.nodes[part.rows]] = np.repeat(group.options, counted)
        if np.isposinf(self._prices_of(plan, dealer)).any():
            return CountedCase(math.inf, prices, charges)
        return None

    def bound_at(self, prices: FloatArray, charges: Mapping[int, float], case: Limits) -> float:
        """Return the lower bound that prices, and charges for a case's limits, prove of it, s."""
        costs, _, rest, _ = self._priced(prices)
        return self._bound(costs, rest, prices, charges, case)

    def _bound(
        self, costs: list[FloatArray], rest: float, prices: FloatArray, charges: Mapping[int, float], case: Limits
    ) -> float:
        charged = [np.zeros(cost.shape) for cost in costs]
        paid = float(prices.sum())
        for number, charge in charges.items():
            limit, (least, most) = self.limits[number], case[number]
            charged[limit.group][list(limit.rows), : limit.width] += charge
            paid += charge * (most if charge > 0 else least)
        return self._constant(costs, charged, rest, paid)

    def _add(self, prices: FloatArray, charges: list[FloatArray]) -> None:
        costs, _, rest, _ = self._priced(prices)
        least = [
            float((costs[part.group][part.rows] + charge).min(axis=1).sum())
            for part, charge in zip(self._parts, charges, strict=True)
        ]
        cut = _Cut(prices, np.array([*least, rest]), charges)
        self._cuts.append(cut)
        if self._warm is not None:
            self._warm.cut(cut.prices, cut.constants, [*cut.charges, _NONE])

    def _deal(self, counts: list[IntArray], prices: FloatArray, dealer: Dealer) -> None:
        """Add cuts at given counts of each part: at prices, and at those of the plans that are the best there."""
        key = b"".join(counted.tobytes() for counted in counts)
        times = self._dealt[key] = self._dealt.get(key, 0) + 1
        plan = self._dealt_at(counts, prices)
        for _ in range(2):
            if plan is None or (plan.tobytes() in self._seen and times == 1):
                return
            self._seen.add(plan.tobytes())
            own = self._prices_of(plan, dealer)
            if np.isnan(own).any():
                return
            own = np.where(
                own > _FAR * self.prices, _DEARER ** min(times, _TRIES) * np.maximum(prices, self.prices), own
            )
            plan = self._dealt_at(counts, np.maximum(own, _LITTLE * self.prices))

    def _prices_of(self, plan: IntArray, dealer: Dealer) -> FloatArray:
        """Return a plan's own prices; +inf where it overloads the resource, NaN where they are not known."""
        problem = self.problem
        if problem.overload(plan[None]).item() == 0:
            return dealer.prices_of(plan)
        load = problem.by_resource(plan, problem.least_share(plan))
        return np.where(load >= 1.0, math.inf, math.nan if not (load >= 1.0).any() else 0.0)

    def _dealt_at(self, counts: list[IntArray], prices: FloatArray) -> IntArray | None:
        """Add the cut of the best plan of given counts at prices; return that plan."""
        prices = np.clip(prices, LEAST_PRICE, MOST_PRICE)
        costs, _, _, _ = self._priced(prices)
        plan = self.rest.copy()
        for part, counted in zip(self._parts, counts, strict=True):
            cost = costs[part.group][part.rows]
            fine = np.isfinite(cost)
            far = float(cost.max(where=fine, initial=0.0)) + 1e3 * self._unit  # for what is not allowed
            found = transport(np.where(fine, cost, far), counted, part.charges)
            if found is None:
                return None
            choice, part.charges = found
            group = self.groups[part.group]
            plan[group.nodes[part.rows]] = group.options[choice]
        self._add(prices, [part.charges for part in self._parts])
        return plan

    def _counts_of(self, plan: IntArray) -> list[IntArray] | None:
        """Return how many nodes of each part use each option in a plan; None where one uses none of them."""
        found = []
        for part in self._parts:
            group = self.groups[part.group]
            counted = (plan[group.nodes[part.rows]][:, None] == group.options).sum(axis=0)
            if counted.sum() != len(part.rows):
                return None
            found.append(counted)
        return found

    def _program(self) -> CountProgram:
        if self._warm is None:
            sizes = [len(part.rows) for part in self._parts]
            widths = [len(part.charges) for part in self._parts]
            self._warm = CountProgram([*sizes, 0], [*widths, 0], self._origin())
            for limit in self.limits:
                self._warm.limit(self._columns_of(limit))
            for cut in self._cuts:
                self._warm.cut(cut.prices, cut.constants, [*cut.charges, _NONE])
        return self._warm

    def _coarser(self, case: Limits) -> Suggestion | None:
        """Return what a linear program says whose entries are smaller, where HiGHS fails."""
        self._unit = self._smallest = _COARSER * self._unit
        self._warm = None
        return self._program().solve(case)

    def _forget(self, at: Suggestion) -> None:
        """Leave out the cuts that have long been of no use, where there are many."""
        for cut, active in zip(self._cuts, at.active.tolist(), strict=True):
            cut.idle = 0 if active else cut.idle + 1
        if len(self._cuts) > self._many:
            self._cuts = [cut for cut in self._cuts if cut.idle <= _IDLE]
            self._many, self._warm = 2 * len(self._cuts) + _IDLE, None
            self._dealt.clear()

    def _origin(self) -> Origin:
        costs, shares, rest, fixed = self._priced(self.prices)
        n = len(self.prices)
        used, users, constants = [], [], []
        for part in self._parts:
            columns = self.groups[part.group].columns
            cost = costs[part.group]
            at = cost.argmin(axis=1)[:, None]
            inside = np.isin(np.arange(len(cost)), part.rows)
            taken = [np.where(inside, np.take_along_axis(s, at, 1)[:, 0], 0.0) for s in shares[part.group]]
            used.append(columns.used(at, taken, n))
            users.append(columns.used_by_any(n))
            constants.append(float(cost[part.rows].min(axis=1).sum()))
        every = np.ones(n, dtype=bool)
        constant, use, user = np.array([*constants, rest]), np.stack([*used, fixed]), np.stack([*users, every])
        broken = max(_BROKEN * abs(self.base), 1e3 * self._unit)
        return Origin(self.prices, constant, use, user, self._unit, broken)

    def _columns_of(self, limit: Limit) -> IntArray:
        rows, start, found = set(limit.rows), 0, []
        for part in self._parts:
            width = len(self.groups[part.group].options)
            if part.group == limit.group and int(part.rows[0]) in rows:
                found.append(np.arange(start, start + limit.width))
            start += width
        return np.concatenate(found)

    def _number(self, limit: Limit) -> int:
        if limit not in self._numbers:
            self._numbers[limit] = len(self.limits)
            self.limits.append(limit)
            self._program().limit(self._columns_of(limit))
        return self._numbers[limit]

    def _split(self, flat: FloatArray) -> list[FloatArray]:
        widths = [len(part.charges) for part in self._parts]
        return np.split(flat, np.cumsum(widths)[:-1])

    def _branch(self, counts: list[FloatArray], case: Limits) -> tuple[Limit, int] | None:
        """Return the limit whose count is the furthest from a whole number, in the sets that were halved least."""
        best: tuple[float, Limit, int] | None = None
        level = 0
        for depth, group, rows in self._sets:
            if best is not None and depth > level:
                break
            level, inside = depth, set(rows)
            total = sum(
                counted
                for part, counted in zip(self._parts, counts, strict=True)
                if part.group == group and int(part.rows[0]) in inside
            )
            before = np.cumsum(total)[:-1]
            torn = np.abs(before - np.rint(before))
            for j in np.flatnonzero(torn > _WHOLE).tolist():
                limit, most = Limit(group, rows, j + 1), math.floor(before[j])
                low, high = case.get(self._numbers.get(limit, -1), (0, len(rows)))
                if low <= most < high and (best is None or torn[j] > best[0]):
                    best = float(torn[j]), limit, most
        return None if best is None else best[1:]

    def _halve(self, counts: list[IntArray]) -> bool:
        """Halve the part whose nodes could swap options most; return False where none can."""
        mixed = [
            (len(part.rows) if (counted > 0).sum() > 1 else 0)
            for part, counted in zip(self._parts, counts, strict=True)
        ]
        p = int(np.argmax(mixed))
        if mixed[p] < 2:
            return False
        part = self._parts[p]
        cost, _ = self.groups[part.group].columns.priced(self._cuts[-1].prices)
        cost = cost[part.rows][:, counts[p] > 0]
        fine = np.isfinite(cost)
        cost = np.where(fine, cost, 2.0 * cost.max(where=fine, initial=0.0))  # what is not allowed sets nodes apart
        cost = cost - cost.mean(axis=1, keepdims=True)
        cost = cost - cost.mean(axis=0)
        order = np.argsort(cost @ np.linalg.svd(cost, full_matrices=False)[2][0], kind="stable")
        half = len(order) // 2
        pieces = [_Part(part.group, np.sort(part.rows[rows]), part.charges) for rows in (order[:half], order[half:])]
        self._parts[p : p + 1] = pieces
        depth = next(
            level for level, group, rows in self._sets if (group, rows) == (part.group, tuple(part.rows.tolist()))
        )
        self._sets += [(depth + 1, piece.group, tuple(piece.rows.tolist())) for piece in pieces]
        self._sets.sort(key=lambda one: one[0])
        cuts, self._cuts, self._warm = self._cuts, [], None
        for cut in cuts:
            self._add(cut.prices, [*cut.charges[:p], cut.charges[p], *cut.charges[p:]])
        self._dealt.clear()
        return True


def _rounded(count: FloatArray) -> IntArray:
    """Return whole numbers of the same sum, whose sums from the first on are near those of `count`."""
    upto = np.rint(np.cumsum(count)).astype(np.int64)
    return np.diff(np.maximum.accumulate(np.maximum(upto, 0)), prepend=0)
