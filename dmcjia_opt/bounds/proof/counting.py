"""A proof by counts of similar nodes: the tree of cases that `count_tree` finds, as a proof writes it down.

Its cases limit how many of all nodes use an option up to some one, its leaves are a price and charges for those limits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray, blocks
from dmcjia_opt.bounds.bundle import climb
from dmcjia_opt.bounds.columns import Columns, columns
from dmcjia_opt.bounds.count_tree import CountedCase, CountTree
from dmcjia_opt.bounds.dual import LEAST_PRICE, MOST_PRICE, DualPoint, dual_point, point_of, priced
from dmcjia_opt.bounds.proof.document import Branch, Leaf, Prices
from dmcjia_opt.bounds.similar import apart, groups_of
from dmcjia_opt.model.problem import Problem

_BLOCK = 1 << 16
_NEAR = 3.0  # times what is open: options that cost no more than that above the least are counted from the first
_TRIES = 6  # trees, each of which counts what a case of the last one lacked besides
_ALIKE = 1.0  # part of what is open that nodes may differ by
_STEPS = 30
_MARGIN = 1e-12  # of the delay: what rounding outward may take from a leaf


@dataclass(frozen=True, slots=True)
class _Dealer:
    """Asks for a bound, and knows the prices of plans."""

    problem: Problem
    target: float
    start: FloatArray
    every: Columns

    def evaluate(self, plan: IntArray) -> FloatArray:
        """Return the prices (n_resources,) of a plan; +inf where it overloads the resource."""
        problem = self.problem
        if problem.overload(plan[None]).item() > 0:
            load = problem.by_resource(plan, problem.least_share(plan))
            return np.where(load >= 1.0, math.inf, math.nan if not (load >= 1.0).any() else 0.0)
        inside = self.every.kept(self.every.option == plan[:, None])

        def ask(prices: FloatArray) -> DualPoint:
            return point_of([inside], np.clip(prices, LEAST_PRICE, MOST_PRICE), problem.n_nodes)

        return climb(ask, [ask(self.start)], 0.1 * self.start, np.zeros_like(self.start), steps=_STEPS).best.prices

    def proved(self, bound: float) -> None:
        """Hear a bound, which is of no use before all are."""


def by_counts(
    problem: Problem, target: float, start: Prices, most_leaves: int
) -> tuple[tuple[Prices, ...], tuple[Branch | Leaf, ...]] | None:
    """Return prices and a tree whose cases are bounded by `target`, as computed; None where counts are of no help.

    Parameters
    ----------
    problem
        The problem.
    target
        The bound wanted, s.
    start
        The prices where the dual is largest.
    most_leaves
        Give up beyond so many cases.
    """
    prices = np.array(start)
    point = dual_point(problem, prices)
    room = target * (1.0 + _MARGIN) - point.value
    if not (prices > 0.0).all() or room <= 0.0:
        return None
    options: list[IntArray] = []
    for rows in blocks(problem.n_nodes, problem.n_options, _BLOCK):
        cost, _ = priced(problem, prices, rows)
        near = cost <= cost.min(axis=1, keepdims=True) + _NEAR * room
        options += [np.flatnonzero(row) for row in near]
    dealer = _Dealer(problem, target * (1.0 + _MARGIN), prices, columns(problem, slice(None)))
    for _ in range(_TRIES):
        groups = groups_of(problem, np.arange(problem.n_nodes), options)
        if len(groups) > 1 or apart(groups, prices, room) > _ALIKE:
            return None
        tree = CountTree(problem, groups, point.options, prices, point.value)
        if tree.close(dealer, None, 2 * most_leaves) is None:
            return None
        lacking = _lacking(tree)
        if not lacking.size:
            return _written(tree)
        options[0] = np.union1d(options[0], lacking)
    return None


def _lacking(tree: CountTree) -> IntArray:
    """Return options that a tree does not count, though they are the cheapest at what bounds some case."""
    group, found = tree.groups[0], []
    for node in tree.nodes.values():
        if node.limit is not None:
            continue
        cost, _ = priced(tree.problem, node.prices)
        for limit, charge in node.charges.items():
            counted = tree.limits[limit]
            cost[list(counted.rows), : group.options[counted.width - 1] + 1] += charge
        found.append(np.unique(cost.argmin(axis=1)))
    return np.setdiff1d(np.concatenate(found), group.options)


def _written(tree: CountTree) -> tuple[tuple[Prices, ...], tuple[Branch | Leaf, ...]] | None:
    """Return a tree's prices and its cases in preorder; None where it counts what a proof does not."""
    found: dict[Prices, int] = {}
    cases: list[Branch | Leaf] = []
    whole = tree.problem.n_nodes
    options = tree.groups[0].options

    def option(number: int) -> int:
        return int(options[tree.limits[number].width - 1])

    stack = [1]
    while stack:
        number = stack.pop()
        node: CountedCase = tree.nodes[number]
        if any(len(tree.limits[limit].rows) < whole for limit in node.charges):
            return None
        if node.limit is None:
            prices = tuple(node.prices.tolist())
            charges = tuple((option(limit), charge) for limit, charge in node.charges.items())
            cases.append(Leaf(found.setdefault(prices, len(found)), charges))
            continue
        if len(tree.limits[node.limit].rows) < whole:
            return None
        cases.append(Branch(None, option(node.limit), node.most))
        stack += [2 * number + 1, 2 * number]
    return tuple(found), tuple(cases)
