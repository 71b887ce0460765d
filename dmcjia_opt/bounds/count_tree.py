"""Branch and bound on counts over groups of similar nodes: for nodes that are nearly identical.

For any prices ν and any charge y of a node's option, every plan costs at least

    Σ_d min_o (cost_do(ν) + y_o) − Σ_o y_o·N_o − Σ ν,     N_o how many nodes use option o,

whatever the nodes are (weak duality). Nodes of one *part* share their charges. A case limits how many nodes of some
set, which is a part or was one before it was halved, use an option up to some one; its bound is such a sum, with
charges for those limits alone. A linear program over counts says which prices and charges (`count_master`), from cuts
at others. Cuts come from counts in whole numbers: the cheapest way to deal nodes to options is a transportation
problem, whose dual is a charge for each option, and the prices are those at which that is dearest. Where counts are
whole and a case is open still, plans of the same counts differ by who does what: a part is halved.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.bounds.count_master import Master, Origin, Suggestion
from dmcjia_opt.bounds.dual import LEAST_PRICE, MOST_PRICE, Columns, columns, rounding_slack
from dmcjia_opt.bounds.transport import transport
from dmcjia_opt.model.problem import Problem

_NONE = np.zeros(0)
_FAR = 2.0**40  # prices beyond so many times those where the dual is largest drown a bound in rounding
_WHOLE = 1e-6  # how near to a whole number is one
_ROUNDS = 12  # linear programs for one case
_STEPS = 12  # prices tried for one vector of counts
_WORTH = 0.1  # of what a case lacks: a cut that raises its bound by less is not followed by another

#: The limits of a case: from … to so many, by the number of the limit.
CaseLimits = dict[int, tuple[int, int]]


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Open nodes with the same menu.

    Parameters
    ----------
    nodes
        (n,) which.
    options
        (k,) options any of them may use, ascending.
    columns
        What those cost.
    """

    nodes: IntArray
    options: IntArray
    columns: Columns


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
class Closed:
    """A case and what it is bounded with: a leaf of the tree, or a node where `bound` was not enough.

    Parameters
    ----------
    bound
        What it proves, s.
    prices
        (n_resources,).
    charges
        Of its limits, by their numbers, s.
    """

    bound: float
    prices: FloatArray
    charges: dict[int, float]


@dataclass(frozen=True, slots=True, eq=False)
class _Cut:
    prices: FloatArray
    constants: FloatArray  # (n_parts + 1,), the last of all nodes that are not open
    charges: list[FloatArray]  # of each part, (k,)


@dataclass(slots=True, eq=False)
class _Part:
    group: int
    rows: IntArray
    charges: FloatArray


class _Stuck(Exception):
    """No transport was found."""


def groups_of(problem: Problem, nodes: IntArray, options: list[IntArray]) -> list[Group]:
    """Return nodes, with the options each may use, in groups of the same menu."""
    members: dict[bytes, list[int]] = {}
    for i, d in enumerate(nodes.tolist()):
        key = int(problem.last[d]).to_bytes(8, "little")
        key += problem.resource[d].tobytes() if problem.n_resources > 1 else b""
        members.setdefault(key, []).append(i)
    found = []
    for rows in members.values():
        usable = np.unique(np.concatenate([options[i] for i in rows]))
        keep = np.zeros((len(rows), problem.n_options), dtype=bool)
        keep[:, usable] = True
        found.append(Group(nodes[rows], usable, columns(problem, nodes[rows]).kept(keep)))
    return found


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
    """

    def __init__(self, problem: Problem, groups: list[Group], rest: IntArray) -> None:
        self.problem, self.groups, self.rest = problem, groups, rest
        opened = np.concatenate([group.nodes for group in groups])
        closed = np.setdiff1d(np.arange(problem.n_nodes), opened)
        keep = np.zeros((len(closed), problem.n_options), dtype=bool)
        keep[np.arange(len(closed)), rest[closed]] = True
        self.fixed = columns(problem, closed).kept(keep) if len(closed) else None
        self.parts = [
            _Part(g, np.arange(len(group.nodes)), np.zeros(len(group.options))) for g, group in enumerate(groups)
        ]
        self.sets = [(part.group, tuple(part.rows.tolist())) for part in self.parts]  # coarse ones first
        self.limits: list[Limit] = []
        self.known: dict[Limit, int] = {}
        self.cuts: list[_Cut] = []
        self.seen: set[bytes] = set()
        self.dealt: dict[bytes, float] = {}
        self.master: Master | None = None
        self.prices, self.unit = np.ones(problem.n_resources), 1.0
        self.n_programs = self.n_cases = self.n_dealt = 0

    # ------------------------------------------------------------------ what things cost

    def _priced(self, prices: FloatArray) -> tuple[list[FloatArray], list[list[FloatArray]], float, FloatArray]:
        """Return costs and shares of each group's options, and what all other nodes cost and use."""
        costs, shares = [], []
        for group in self.groups:
            cost, share = group.columns.priced(prices)
            costs.append(cost)
            shares.append(share)
        if self.fixed is None:
            return costs, shares, 0.0, np.zeros(len(prices))
        cost, used, choice = self.fixed.at(prices)
        return costs, shares, math.fsum(cost), self.fixed.used(choice, used, len(prices))

    def _constant(self, costs: list[FloatArray], charged: list[FloatArray], rest: float, paid: float) -> float:
        """Return Σ_d min_o (cost_do + y_do) + what the rest costs − what is paid for capacity, less rounding."""
        terms, size = [rest, -paid], abs(rest) + abs(paid)
        for cost, charge in zip(costs, charged, strict=True):
            least = (cost + charge).min(axis=1)
            terms += least.tolist()
            size += float(np.abs(least).sum()) + 2.0 * len(least) * float(np.abs(charge).max(initial=0.0))
        return math.fsum(terms) - 2.0 * rounding_slack(self.problem.n_nodes, size)

    def bound_at(self, prices: FloatArray, charges: dict[int, float], case: CaseLimits) -> float:
        """Return the lower bound that prices, and charges for a case's limits, prove of it, s."""
        costs, _, rest, _ = self._priced(prices)
        return self._bound(costs, rest, prices, charges, case)

    def _bound(
        self, costs: list[FloatArray], rest: float, prices: FloatArray, charges: dict[int, float], case: CaseLimits
    ) -> float:
        charged = [np.zeros(cost.shape) for cost in costs]
        paid = float(prices.sum())
        for number, charge in charges.items():
            limit, (least, most) = self.limits[number], case[number]
            charged[limit.group][list(limit.rows), : limit.width] += charge
            paid += charge * (most if charge > 0 else least)
        return self._constant(costs, charged, rest, paid)

    # ------------------------------------------------------------------ cuts

    def add_prices(self, prices: FloatArray) -> None:
        """Add the cut of prices alone."""
        self._add(prices, [np.zeros(len(part.charges)) for part in self.parts])

    def _add(self, prices: FloatArray, charges: list[FloatArray]) -> None:
        costs, _, rest, _ = self._priced(prices)
        least = [
            float((costs[part.group][part.rows] + charge).min(axis=1).sum())
            for part, charge in zip(self.parts, charges, strict=True)
        ]
        cut = _Cut(prices, np.array([*least, rest]), charges)
        self.cuts.append(cut)
        if self.master is not None:
            self.master.cut(cut.prices, cut.constants, [*cut.charges, _NONE])

    def deal(self, counts: list[IntArray], prices: FloatArray, evaluate: Callable[[IntArray], FloatArray]) -> bool:
        """Add cuts at given counts of each part: at prices, and at those of the plan that is the best there.

        Returns whether there is one.
        """
        self.n_dealt += 1
        plan = self._deal(counts, prices)
        for _ in range(2):
            if plan is None:
                return False
            if plan.tobytes() in self.seen:
                return True
            self.seen.add(plan.tobytes())
            own = evaluate(plan)
            if not bool(((own > 0.0) & (own <= _FAR * self.prices)).all()):
                return True
            plan = self._deal(counts, own)
        return True

    def _deal(self, counts: list[IntArray], prices: FloatArray) -> IntArray | None:
        prices = np.clip(prices, LEAST_PRICE, MOST_PRICE)
        costs, _, _, _ = self._priced(prices)
        plan = self.rest.copy()
        for part, counted in zip(self.parts, counts, strict=True):
            found = transport(costs[part.group][part.rows], counted, part.charges)
            if found is None:
                return None
            choice, part.charges = found
            group = self.groups[part.group]
            plan[group.nodes[part.rows]] = group.options[choice]
        self._add(prices, [part.charges for part in self.parts])
        return plan

    def counts_of(self, plan: IntArray) -> list[IntArray] | None:
        """Return how many nodes of each part use each option in a plan; None where one uses none of them."""
        found = []
        for part in self.parts:
            group = self.groups[part.group]
            counted = (plan[group.nodes[part.rows]][:, None] == group.options).sum(axis=0)
            if counted.sum() != len(part.rows):
                return None
            found.append(counted)
        return found

    # ------------------------------------------------------------------ the tree

    def _program(self) -> Master:
        if self.master is None:
            sizes = [len(part.rows) for part in self.parts]
            widths = [len(part.charges) for part in self.parts]
            self.master = Master([*sizes, 0], [*widths, 0], self._origin())
            for limit in self.limits:
                self.master.limit(self._columns_of(limit))
            for cut in self.cuts:
                self.master.cut(cut.prices, cut.constants, [*cut.charges, _NONE])
        return self.master

    def _origin(self) -> Origin:
        costs, shares, rest, fixed = self._priced(self.prices)
        n = len(self.prices)
        used, users, constants = [], [], []
        for part in self.parts:
            columns = self.groups[part.group].columns
            cost = costs[part.group]
            at = cost.argmin(axis=1)[:, None]
            inside = np.isin(np.arange(len(cost)), part.rows)
            taken = [np.where(inside, np.take_along_axis(s, at, 1)[:, 0], 0.0) for s in shares[part.group]]
            used.append(columns.used(at, taken, n))
            users.append(columns.used_by_any(n))
            constants.append(float(cost[part.rows].min(axis=1).sum()))
        every = np.ones(n, dtype=bool)
        return Origin(
            self.prices, np.array([*constants, rest]), np.stack([*used, fixed]), np.stack([*users, every]), self.unit
        )

    def _columns_of(self, limit: Limit) -> IntArray:
        rows, start, found = set(limit.rows), 0, []
        for part in self.parts:
            width = len(self.groups[part.group].options)
            if part.group == limit.group and int(part.rows[0]) in rows:
                found.append(np.arange(start, start + limit.width))
            start += width
        return np.concatenate(found)

    def _number(self, limit: Limit) -> int:
        if limit not in self.known:
            self.known[limit] = len(self.limits)
            self.limits.append(limit)
            self._program().limit(self._columns_of(limit))
        return self.known[limit]

    def close(
        self,
        base: float,
        prices: FloatArray,
        target: Callable[[], float],
        evaluate: Callable[[IntArray], FloatArray],
        proved: Callable[[float], None],
        most_cases: int,
    ) -> float | None:
        """Search all counts; return the least bound of the cases when all are closed, None where it gives up.

        Parameters
        ----------
        base, prices
            A lower bound of everything, s, and the prices (n_resources,) that prove it.
        target
            Returns what is enough, s.
        evaluate
            Is shown a plan that was met, and returns its own prices.
        proved
            Is told the bound of what is left from time to time.
        most_cases
            Give up after so many.
        """
        self.prices, self.unit = prices, max(target() - base, 1e-13 * abs(base))
        number = count()
        heap: list[tuple[float, int, CaseLimits]] = [(base, next(number), {})]
        least = math.inf
        while heap:
            bound, _, case = heapq.heappop(heap)
            proved(min(bound, least))
            if bound >= target():
                least = min(least, bound)
                break
            if self.n_cases >= most_cases:
                return None
            self.n_cases += 1
            closed, limit, cut_at = self._process(case, bound, target, evaluate)
            if limit is None:
                least = min(least, closed)
                continue
            low, high = self._range(limit, case)
            index = self._number(limit)
            heapq.heappush(heap, (closed, next(number), case | {index: (low, cut_at)}))
            heapq.heappush(heap, (closed, next(number), case | {index: (cut_at + 1, high)}))
        return least

    def _range(self, limit: Limit, case: CaseLimits) -> tuple[int, int]:
        index = self.known.get(limit)
        return (0, len(limit.rows)) if index is None else case.get(index, (0, len(limit.rows)))

    def _process(
        self, case: CaseLimits, bound: float, target: Callable[[], float], evaluate: Callable[[IntArray], FloatArray]
    ) -> tuple[float, Limit | None, int]:
        """Return the bound of a case, and what to branch on: which limit, at how many; None where it is done with."""
        last = bound
        for turn in range(4 * _ROUNDS):
            self.n_programs += 1
            at = self._program().solve(case)
            if at is None:
                raise ArithmeticError("no linear program")
            charges = {number: float(at.charges[number]) for number in case if at.charges[number] != 0.0}
            value = self.bound_at(np.clip(at.prices, LEAST_PRICE, MOST_PRICE), charges, case)
            bound = max(bound, value)
            if bound >= target():
                return bound, None, 0
            counts = self._split(at.count)
            whole = all(np.abs(counted - np.rint(counted)).max() < _WHOLE for counted in counts)
            rounded = [_rounded(counted) for counted in counts]
            key = b"".join(counted.tobytes() for counted in rounded)
            gained, last = bound - last, bound
            fresh = key not in self.dealt
            if not whole and turn > 0 and (not fresh or gained < _WORTH * (target() - bound)):
                break
            if whole and not fresh and gained < _WORTH * (target() - bound):
                if not self._halve(rounded):
                    return bound, None, 0
                continue
            self.dealt[key] = bound
            self.deal(rounded, at.prices, evaluate)
        limit, cut_at = self._branch(counts, case)
        return bound, limit, cut_at

    def _split(self, flat: FloatArray) -> list[FloatArray]:
        widths = [len(part.charges) for part in self.parts]
        return np.split(flat, np.cumsum(widths)[:-1])

    def _branch(self, counts: list[FloatArray], case: CaseLimits) -> tuple[Limit, int]:
        best: tuple[float, Limit, int] | None = None
        for group, rows in self.sets:
            inside = set(rows)
            total = sum(
                counted
                for part, counted in zip(self.parts, counts, strict=True)
                if part.group == group and int(part.rows[0]) in inside
            )
            before = np.cumsum(total)[:-1]
            torn = np.abs(before - np.rint(before))
            for j in np.flatnonzero(torn > _WHOLE).tolist():
                if best is None or torn[j] > best[0]:
                    best = float(torn[j]), Limit(group, rows, j + 1), math.floor(before[j])
            if best is not None:
                break
        assert best is not None
        return best[1], best[2]

    def _halve(self, counts: list[IntArray]) -> bool:
        """Halve the part whose nodes could swap options most; return False where none can."""
        mixed = [(len(part.rows) if (counted > 0).sum() > 1 else 0) for part, counted in zip(self.parts, counts, strict=True)]
        p = int(np.argmax(mixed))
        if mixed[p] < 2:
            return False
        part = self.parts[p]
        cost, _ = self.groups[part.group].columns.priced(self.cuts[-1].prices)
        cost = cost[part.rows][:, counts[p] > 0]
        cost = cost - cost.mean(axis=1, keepdims=True)
        cost = cost - cost.mean(axis=0)
        order = np.argsort(cost @ np.linalg.svd(cost, full_matrices=False)[2][0], kind="stable")
        half = len(order) // 2
        pieces = [_Part(part.group, np.sort(part.rows[rows]), part.charges) for rows in (order[:half], order[half:])]
        self.parts[p : p + 1] = pieces
        self.sets += [(piece.group, tuple(piece.rows.tolist())) for piece in pieces]
        cuts, self.cuts, self.master = self.cuts, [], None
        for cut in cuts:
            self._add(cut.prices, [*cut.charges[:p], cut.charges[p], *cut.charges[p:]])
        self.dealt.clear()
        return True


def _rounded(count: FloatArray) -> IntArray:
    """Return whole numbers of the same sum, whose sums from the first on are near those of `count`."""
    upto = np.rint(np.cumsum(count)).astype(np.int64)
    return np.diff(np.maximum.accumulate(np.maximum(upto, 0)), prepend=0)
