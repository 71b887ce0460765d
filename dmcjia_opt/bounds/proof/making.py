"""How a proof is found: branch and bound, every case closed at a price and charges of its own where it can be.

Nodes that are nearly identical are counted first (`counting`). Otherwise branches are on how many nodes of a class use
an option; or with one cloud on how many of all nodes do, where nodes of several classes could take each other's place.
The search may use any arithmetic; each leaf counts only once `checking` has derived its bound anew.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.bounds.certificate import best_lower_bound
from dmcjia_opt.bounds.proof.case_dual import CaseDual, Multipliers, Peak, overload_weights
from dmcjia_opt.bounds.proof.checking import (
    Case,
    CostTables,
    case_bound,
    check_proof,
    node_classes,
    price_bound,
    require_provable,
)
from dmcjia_opt.bounds.proof.counting import PricesOf, by_counts
from dmcjia_opt.bounds.proof.document import Branch, Leaf, Prices, Proof
from dmcjia_opt.model.problem import Problem

#: Cases beyond which a proof is given up as too large.
MOST_LEAVES = 1_000
#: Fleets beyond which only the proof by one price is tried.
MOST_NODES = 20_000
_RECENT = 8
_HAIR = 1e-14
_WHOLE = 1e-6


def prove_bound(
    problem: Problem,
    scenario_sha256: str,
    target: float,
    *,
    prices_of: PricesOf | None = None,
    most_leaves: int = MOST_LEAVES,
) -> Proof:
    """Return a proof that no feasible plan has a mean delay below `target`, or of the best bound one price gives.

    Parameters
    ----------
    problem
        The problem.
    scenario_sha256
        Hash of the scenario it was compiled from.
    target
        The bound wanted, s.
    prices_of
        Returns the prices at which a plan that can be carried has its best bound, as an allocator does; without it
        similar nodes are not counted together.
    most_leaves
        Give up beyond so many cases, and prove what a single price proves; with several resources, which take longer a
        case, beyond as many divided by the number of resources.

    Returns
    -------
    A proof whose `bound` is no more than `checking.check_proof` derives from it; it may be below `target`.

    Raises
    ------
    InputError
        If the problem is none that proofs are about (`checking.require_provable`).
    """
    require_provable(problem)
    bound, best = best_lower_bound(problem)
    if math.isinf(bound):
        tables = CostTables(problem, *node_classes(problem))
        weights = overload_weights(Case.everything(tables), tables) or (1.0,) * problem.n_resources
        return Proof(scenario_sha256, math.inf, (), (_overload(weights),))
    start = tuple(best.tolist())
    single = price_bound(problem, start)
    if single < target and problem.n_nodes <= MOST_NODES:
        most = most_leaves // problem.n_resources
        counted = None if prices_of is None else by_counts(problem, target, start, prices_of, most)
        if counted is not None:
            proof = Proof(scenario_sha256, -math.inf, *counted)
            if (bound := check_proof(problem, proof)) >= target:
                return replace(proof, bound=_stated(bound))
        found = _Prover(problem, target, start, most).search()
        if found is not None:
            prices, tree, bound = found
            return Proof(scenario_sha256, _stated(bound), prices, tree)
    return Proof(scenario_sha256, _stated(single), (start,), (Leaf(0),))


def _stated(bound: float) -> float:
    """Return the bound a proof states: a hair lower, since another machine may put the tangents elsewhere."""
    return bound - _HAIR * abs(bound)


def _overload(weights: Prices) -> Leaf:
    return Leaf(None, weights=weights if len(weights) > 1 else ())


class _Prover:
    """A depth-first search for cases that close at `target`."""

    def __init__(self, problem: Problem, target: float, start: Prices, most_leaves: int) -> None:
        self.problem, self.target, self.start, self.most_leaves = problem, target, start, most_leaves
        self.tables = CostTables(problem, *node_classes(problem))
        self.dual = CaseDual(problem, self.tables.first, self.tables.sizes)
        self.prices: dict[Prices, int] = {}

    def search(self) -> tuple[tuple[Prices, ...], tuple[Branch | Leaf, ...], float] | None:
        """Return prices, tree and what it proves; None if it is too large, or a plan below the target exists."""
        tree: list[Branch | Leaf] = []
        bound, leaves = math.inf, 0
        stack = [(Case.everything(self.tables), Multipliers(self.start))]
        while stack:
            case, near = stack.pop()
            leaf = self._leaf(case, near)
            if isinstance(leaf, Peak):
                branch = self._branch(case, leaf)
                if branch is None:
                    return None
                tree.append(branch)
                few, many = case.halves(branch)
                stack += [(many, leaf.at), (few, leaf.at)]
            else:
                tree.append(leaf[0])
                bound, leaves = min(bound, leaf[1]), leaves + 1
            if leaves + len(stack) > self.most_leaves:
                return None
        return tuple(self.prices), tuple(tree), bound

    def _leaf(self, case: Case, near: Multipliers) -> tuple[Leaf, float] | Peak:
        """Return a leaf and the bound it proves, or else where the dual of the case is largest."""
        for known in (near, *(Multipliers(prices) for prices in list(self.prices)[-_RECENT:])):
            if (closed := self._closed(case, known)) is not None:
                return closed
        if (weights := overload_weights(case, self.tables)) is not None:
            return _overload(weights), math.inf
        peak = self.dual.peak(case, near, self.target)
        return peak if peak.value < self.target else self._closed(case, peak.at) or peak

    def _closed(self, case: Case, at: Multipliers) -> tuple[Leaf, float] | None:
        charges = tuple(charge for charge in at.charges if charge.amount != 0.0)
        value = case_bound(case, self.tables, at.prices, charges)
        if value < self.target:
            return None
        return Leaf(self.prices.setdefault(at.prices, len(self.prices)), charges), value

    def _branch(self, case: Case, peak: Peak) -> Branch | None:
        """Return what to branch on: a count that the mixture of plans at the peak does not hold whole."""
        mixture = peak.mixture
        fraction = np.abs(mixture - np.rint(mixture))
        if fraction.max() < _WHOLE:
            return None
        before = np.cumsum(mixture.sum(axis=0))
        torn = np.abs(before - np.rint(before)) > _WHOLE
        torn &= case.most_up_to[-1] > case.least_up_to[-1]
        ordered = self.problem.single and len(self.tables.sizes) > 1
        if ordered and torn.any() and self._exchangeable(case, peak, mixture):
            # in the middle of the splits between which the mixture is torn, so that their neighbours count as they do
            option = int(np.flatnonzero(torn)[torn.sum() // 2])
            least, most = int(case.least_up_to[-1, option]), int(case.most_up_to[-1, option])
            return Branch(None, option, min(max(math.floor(before[option]), least), most - 1))
        open_ = case.most > case.least  # what rounding makes of a count that is settled is no fraction
        index, option = divmod(int(np.argmax(fraction * peak.share * open_)), self.problem.n_options)
        least, most = int(case.least[index, option]), int(case.most[index, option])
        few = min(max(math.floor(mixture[index, option]), least), most - 1)
        return Branch(index, option, few) if most > least else None

    def _exchangeable(self, case: Case, peak: Peak, mixture: FloatArray) -> bool:
        """Return whether nodes outside the mixture could change their options for less than what the case lacks."""
        cheapest, next_best = np.partition(peak.cost, 1, axis=1)[:, :2].T
        near = next_best - cheapest <= max(self.target - peak.value, 0.0)
        whole = (np.abs(mixture - np.rint(mixture)) < _WHOLE).all(axis=1)
        free = (case.most > case.least).sum(axis=1) > 1
        return bool((near & whole & free).any())
