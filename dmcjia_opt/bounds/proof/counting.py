"""A proof by counts of similar nodes: the tree of cases that `count_tree` finds, as a proof writes it down.

Its cases limit how many nodes of one menu use an option up to some one, its leaves are a price and charges for those
limits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray, blocks
from dmcjia_opt.bounds.count_tree import CountedCase, CountTree
from dmcjia_opt.bounds.dual import dual_point, priced
from dmcjia_opt.bounds.proof.checking import menu_numbers
from dmcjia_opt.bounds.proof.document import Branch, Charge, Leaf, Prices
from dmcjia_opt.bounds.similar import apart, groups_of
from dmcjia_opt.model.problem import Problem

_BLOCK = 1 << 16
_NEAR = 15.0  # times what is open: options that cost no more than that above the least are counted from the first
_FEW = 3  # menus
_TRIES = 6  # trees, each of which counts what a case of the last one lacked besides
_ALIKE = 1.0  # part of what is open that nodes may differ by
_MARGIN = 1e-12  # of the delay: what rounding outward may take from a leaf

#: The prices (n_resources,) at which a plan (n_nodes,) that can be carried has its best bound.
PricesOf = Callable[[IntArray], FloatArray]


@dataclass(frozen=True, slots=True)
class _Dealer:
    """Asks for a bound, and knows the prices of plans."""

    target: float
    prices_of: PricesOf

    def proved(self, bound: float) -> None:
        """Hear a bound, which is of no use before all are."""


def by_counts(
    problem: Problem, target: float, start: Prices, prices_of: PricesOf, most_leaves: int
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
    prices_of
        Returns the prices at which a plan that can be carried has its best bound.
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
    dealer = _Dealer(target * (1.0 + _MARGIN), prices_of)
    for _ in range(_TRIES):
        groups = groups_of(problem, np.arange(problem.n_nodes), options)
        if len(groups) > _FEW or apart(groups, prices, room) > _ALIKE:
            return None
        tree = CountTree(problem, groups, point.options, prices, point.value)
        if tree.close(dealer, None, 2 * most_leaves) is None:
            return None
        lacking = _lacking(tree, target)
        if not any(missing.size for missing in lacking):
            return _written(tree)
        for group, missing in zip(groups, lacking, strict=True):
            options[group.nodes[0]] = np.union1d(options[group.nodes[0]], missing)
    return None


def _lacking(tree: CountTree, target: float) -> list[IntArray]:
    """Return options of each group that a tree does not count, though they are so cheap that a case opens again."""
    found: list[list[IntArray]] = [[group.options] for group in tree.groups]
    for node in tree.nodes.values():
        if node.limit is not None:
            continue
        cost, _ = priced(tree.problem, node.prices)
        for limit, charge in node.charges.items():
            counted = tree.limits[limit]
            group = tree.groups[counted.group]
            cost[group.nodes[list(counted.rows)], : group.options[counted.width - 1] + 1] += charge
        cheapest = cost.argmin(axis=1)
        less = sum(
            float((cost[group.nodes][:, group.options].min(axis=1) - cost[group.nodes].min(axis=1)).sum())
            for group in tree.groups
        )
        if node.bound - less < target:
            for group, some in zip(tree.groups, found, strict=True):
                some.append(np.unique(cheapest[group.nodes]))
    return [np.setdiff1d(np.concatenate(some), group.options) for group, some in zip(tree.groups, found, strict=True)]


def _written(tree: CountTree) -> tuple[tuple[Prices, ...], tuple[Branch | Leaf, ...]] | None:
    """Return a tree's prices and its cases in preorder; None where it counts what a proof does not."""
    found: dict[Prices, int] = {}
    cases: list[Branch | Leaf] = []
    menus = _menus(tree)

    def parted(number: int) -> bool:
        """Return whether a limit counts not all nodes of its group."""
        return len(tree.limits[number].rows) < len(tree.groups[tree.limits[number].group].nodes)

    def place(number: int) -> tuple[int, int | None]:
        """Return the last option that a limit counts, and the menu."""
        limit = tree.limits[number]
        return int(tree.groups[limit.group].options[limit.width - 1]), menus[limit.group]

    stack = [1]
    while stack:
        number = stack.pop()
        node: CountedCase = tree.nodes[number]
        if any(map(parted, node.charges)):
            return None
        if node.limit is None:
            prices = tuple(node.prices.tolist())
            charges = []
            for limit, amount in node.charges.items():
                option, menu = place(limit)
                charges.append(Charge(option, amount, menu))
            cases.append(Leaf(found.setdefault(prices, len(found)), tuple(charges)))
            continue
        if parted(node.limit):
            return None
        option, menu = place(node.limit)
        cases.append(Branch(None, option, node.most, menu))
        stack += [2 * number + 1, 2 * number]
    return tuple(found), tuple(cases)


def _menus(tree: CountTree) -> list[int | None]:
    """Return the menu of each group, as a proof numbers them; None where all nodes are one group."""
    if len(tree.groups) == 1:
        return [None]
    numbers = menu_numbers(tree.problem, range(tree.problem.n_nodes))
    return [numbers[int(group.nodes[0])] for group in tree.groups]
