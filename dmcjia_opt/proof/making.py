"""How a proof is found: branch and bound on class counts, every case closed at a price of its own where it can be.

The search may use any arithmetic; each leaf counts only once `checking` has derived its bound anew.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dmcjia_opt.certificate import best_lower_bound
from dmcjia_opt.dual import priced
from dmcjia_opt.errors import InputError
from dmcjia_opt.model.arrays import IntArray
from dmcjia_opt.model.problem import Problem, compile_problem
from dmcjia_opt.model.scenario import Scenario
from dmcjia_opt.plan import Plan
from dmcjia_opt.proof.checking import Case, CostTables, case_bound, case_load, node_classes, price_bound
from dmcjia_opt.proof.document import Branch, Leaf, Proof

#: Cases beyond which a proof is given up as too large.
MOST_LEAVES = 1_000
#: Fleets beyond which only the proof by one price is tried.
MOST_NODES = 20_000
_RECENT = 8
_HAIR = 1e-14
_STEPS = 60


@dataclass(frozen=True, slots=True, eq=False)
class _Point:
    """The dual of a case at one price: its value as computed, the shares used, and the counts that attain it."""

    price: float
    value: float
    use: float
    count: IntArray


def prove(scenario: Scenario, plan: Plan, *, most_leaves: int = MOST_LEAVES) -> Proof:
    """Return a proof of how good a plan is, which anyone can check without a solver (`checking.check_proof`).

    Parameters
    ----------
    scenario, plan
        The plan must be one of this scenario.
    most_leaves
        Give up beyond so many cases, and prove what a single price proves.

    Returns
    -------
    A proof of the plan's lower bound up to half the gap at which it counts as optimal; where that would take too
    many cases, of the best bound one price gives.

    Raises
    ------
    InputError
        If the plan was made for another scenario.
    """
    if plan.scenario_sha256 != (digest := scenario.sha256()):
        raise InputError("the plan was made for another scenario; prove it with its own")
    wanted = min(plan.lower_bound, plan.objective * (1.0 - 0.5 * plan.gap_tolerance))
    return prove_bound(compile_problem(scenario), digest, wanted, most_leaves=most_leaves)


def prove_bound(problem: Problem, scenario_sha256: str, target: float, *, most_leaves: int = MOST_LEAVES) -> Proof:
    """Return a proof that no feasible plan has a mean delay below `target`, or of the best bound one price gives.

    Parameters
    ----------
    problem
        The problem.
    scenario_sha256
        Hash of the scenario it was compiled from.
    target
        The bound wanted, s.
    most_leaves
        Give up beyond so many cases, and prove what a single price proves.

    Returns
    -------
    A proof whose `bound` is no more than `checking.check_proof` derives from it; it may be below `target`.
    """
    _, price = best_lower_bound(problem)
    if math.isnan(price):
        return Proof(scenario_sha256, math.inf, (), (Leaf(None),))
    single = price_bound(problem, price)
    if single < target and problem.n_nodes <= MOST_NODES:
        found = _Prover(problem, target, price, most_leaves).search()
        if found is not None:
            prices, tree, bound = found
            return Proof(scenario_sha256, _stated(bound), prices, tree)
    return Proof(scenario_sha256, _stated(single), (price,), (Leaf(0),))


def _stated(bound: float) -> float:
    """Return the bound a proof states: a hair lower, since another machine may put the tangents elsewhere."""
    return bound - _HAIR * abs(bound)


class _Prover:
    """A depth-first search for cases that close at `target`."""

    def __init__(self, problem: Problem, target: float, price: float, most_leaves: int) -> None:
        self.problem, self.target, self.start, self.most_leaves = problem, target, price, most_leaves
        self.tables = CostTables(problem, *node_classes(problem))
        self.prices: dict[float, int] = {}

    def search(self) -> tuple[tuple[float, ...], tuple[Branch | Leaf, ...], float] | None:
        """Return prices, tree and what it proves; None if it is too large, or a plan below the target exists."""
        tree: list[Branch | Leaf] = []
        bound, leaves = math.inf, 0
        stack = [(Case.everything(self.tables), self.start)]
        while stack:
            case, price = stack.pop()
            closed = self._close(case, price)
            if closed is None:
                return None
            node, value, at = closed
            tree.append(node)
            if isinstance(node, Branch):
                few, many = case.halves(node)
                stack += [(many, at), (few, at)]
            else:
                bound, leaves = min(bound, value), leaves + 1
            if leaves > self.most_leaves:
                return None
        return tuple(self.prices), tuple(tree), bound

    def _close(self, case: Case, price: float) -> tuple[Branch | Leaf, float, float] | None:
        """Return a leaf and its bound, or a branch, and the price where the case's dual is largest."""
        for known in list(self.prices)[-_RECENT:]:
            if (value := self._proved(case, known)) is not None:
                return Leaf(self.prices[known]), value, known
        if case_load(case, self.tables) >= 1.0:
            return Leaf(None), math.inf, price
        low = high = best = None
        for point in self._climb(case, price):
            if best is None or point.value > best.value:
                best = point
            low, high = (point, high) if point.use >= 1.0 else (low, point)
            if best.value >= self.target and (value := self._proved(case, best.price)) is not None:
                return Leaf(self.prices[best.price]), value, best.price
        if best is None or low is None or high is None or (low.count == high.count).all():
            return None
        return self._branch(low, high), math.nan, best.price

    def _proved(self, case: Case, price: float) -> float | None:
        value = case_bound(case, self.tables, price)
        if value < self.target:
            return None
        self.prices.setdefault(price, len(self.prices))
        return value

    def _climb(self, case: Case, price: float) -> Iterator[_Point]:
        """Yield points of the case's dual that close in on its maximum from both sides."""
        low = high = None
        factor = 1.05
        for _ in range(_STEPS):
            point = self._point(case, price)
            if point is None:
                return
            yield point
            if point.use >= 1.0:
                low = point
            else:
                high = point
            if low is None or high is None:
                price *= factor if high is None else 1.0 / factor
                factor = min(factor**2, 1e6)
                continue
            slope = low.use - high.use
            span = high.price - low.price
            step = (high.value - low.value - (high.use - 1.0) * span) / slope if slope > 0 else 0.5 * span
            ceiling = low.value + (low.use - 1.0) * step
            best = max(low.value, high.value)
            if span <= 1e-14 * high.price or ceiling < self.target or ceiling - best <= 1e-15 * best:
                return
            price = low.price + step
            if not low.price + 1e-3 * span < price < high.price - 1e-3 * span:
                price = low.price + 0.5 * span

    def _point(self, case: Case, price: float) -> _Point | None:
        cost, share = priced(self.problem, price, self.tables.first)
        count = case.cheapest(self.tables.sizes, np.argsort(cost, axis=1, kind="stable"))
        if count is None:
            return None
        used = count > 0
        number = count[used]
        value = math.fsum(number * cost[used]) - price
        return _Point(price, value, float((number * share[used]).sum()), count)

    def _branch(self, low: _Point, high: _Point) -> Branch:
        """Return the count to branch on: of those that change at the best price, the one that moves most shares."""
        _, share = priced(self.problem, high.price, self.tables.first)
        moved = np.where(low.count != high.count, (low.count - high.count) * share, 0.0)
        index, split = divmod(int(np.argmax(moved)), self.problem.n_splits)
        few, many = sorted((int(high.count[index, split]), int(low.count[index, split])))
        part = (1.0 - high.use) / (low.use - high.use)
        most = few + math.floor(part * (many - few))
        return Branch(index, split, min(max(most, few), many - 1))
