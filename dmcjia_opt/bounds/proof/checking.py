"""Is a proof right? Its bound derived anew, in arithmetic that rounds outward; no solver, no placer, no square root.

What one node of a class adds to any plan at given prices ν is bounded in `option_bounds`. A case of the tree limits
how many nodes of a class use an option, from … to; its bound is the sum over the classes of the cheapest way to fill
them, less Σ ν (weak duality). A limit on how many of all nodes, or of those with the same menu, use an option up to
some one is a charge y on each of them, less y times the limit (weak duality again). A case has no plan if, for some
weights y ≥ 0 of the resources, even the cheapest way to fill it by Σ y·(least share) takes all of Σ y. The cases are
halves of halves of all plans, so together they are all plans.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray, blocks
from dmcjia_opt.base.errors import ClaimFalse, InputError
from dmcjia_opt.base.handing import check_arguments
from dmcjia_opt.base.limits import FARTHEST
from dmcjia_opt.bounds.proof.document import Branch, Charge, Leaf, Prices, Proof
from dmcjia_opt.bounds.proof.option_bounds import option_bounds
from dmcjia_opt.bounds.proof.outward import below
from dmcjia_opt.model.problem import Problem

_BLOCK_ENTRIES = 1 << 18


class Unproved(ClaimFalse):
    """The proof does not prove what it says.

    Examples
    --------
    >>> from dmcjia_opt import ClaimFalse
    >>> from dmcjia_opt.bounds.proof.checking import Unproved
    >>> issubclass(Unproved, ClaimFalse)
    True
    """


def node_classes(problem: Problem) -> tuple[IntArray, IntArray]:
    """Return the first node and the size of each group of nodes with exactly the same tables, by their first node."""
    groups: dict[bytes, list[int]] = {}
    for d in range(problem.n_nodes):
        groups.setdefault(problem.signature(d) + problem.last[d].tobytes(), []).append(d)
    first, size = zip(*((nodes[0], len(nodes)) for nodes in groups.values()), strict=True)
    return np.array(first, dtype=np.int64), np.array(size, dtype=np.int64)


def menu_numbers(problem: Problem, nodes: Iterable[int]) -> list[int]:
    """Return the number of each node's menu; menus are numbered by the first of the nodes that has one."""
    numbers: dict[bytes, int] = {}
    return [numbers.setdefault(problem.menu(d), len(numbers)) for d in nodes]


def price_bound(problem: Problem, prices: Prices) -> float:
    """Return a lower bound on the mean delay of every feasible plan, s, from prices alone (weak duality)."""
    least: list[float] = []
    for rows in blocks(problem.n_nodes, problem.n_options, _BLOCK_ENTRIES):
        least += option_bounds(problem, np.arange(rows.start, rows.stop), prices).min(axis=1).tolist()
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

    Attributes
    ----------
    menus
        (n_classes,) which menu the nodes of each class have.
    """

    problem: Problem
    first: IntArray
    sizes: IntArray
    menus: IntArray = field(init=False)
    _known: dict[Prices, tuple[FloatArray, IntArray]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Give menus their numbers, for which the first node of each class is enough."""
        self.menus = np.array(menu_numbers(self.problem, self.first.tolist()), dtype=np.int64)

    def at(self, prices: Prices) -> tuple[FloatArray, IntArray]:
        """Return (n_classes, n_options) bounds and the order of each row, cheapest first."""
        if prices not in self._known:
            table = option_bounds(self.problem, self.first, prices)
            self._known[prices] = table, np.argsort(table, axis=1, kind="stable")
        return self._known[prices]

    def loads(self, weights: Prices) -> tuple[FloatArray, IntArray]:
        """Return (n_classes, n_options) lower bounds on the shares each option needs, and the order of each row.

        `weights` (n_resources,) ≥ 0 are those of the resources in the sum of an option's shares.
        """
        problem = self.problem
        rates = np.maximum(problem.arrival_rate[self.first, None, None], problem.least_rate[self.first])
        each = np.maximum(below(rates * problem.service[self.first]), 0.0)
        if weights != (1.0,):
            each = np.maximum(below(each * np.array(weights)[problem.resource[self.first]]), 0.0)
        load = each[..., 0]
        for k in range(1, problem.n_uses):
            load = np.maximum(below(load + each[..., k]), 0.0)
        load = np.where(np.isinf(problem.fixed_delay[self.first]), np.inf, load)
        return load, np.argsort(load, axis=1, kind="stable")


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """Plans in which from … to so many nodes use each option.

    Parameters
    ----------
    least, most
        (n_classes, n_options) of each class.
    least_up_to, most_up_to
        (n_menus + 1, n_options) of each menu, the last of all nodes, use it or one before it.
    """

    least: IntArray
    most: IntArray
    least_up_to: IntArray
    most_up_to: IntArray

    @classmethod
    def everything(cls, tables: CostTables) -> Case:
        """Return the case of all plans."""
        shape = (len(tables.sizes), tables.problem.n_options)
        none, every = np.zeros(shape, dtype=np.int64), np.broadcast_to(tables.sizes[:, None], shape)
        in_menu = np.append(np.bincount(tables.menus, tables.sizes).astype(np.int64), tables.sizes.sum())
        wide = (len(in_menu), shape[1])
        return cls(none, every, np.zeros(wide, dtype=np.int64), np.broadcast_to(in_menu[:, None], wide))

    def halves(self, branch: Branch) -> tuple[Case, Case]:
        """Return the two cases of a branch."""
        if branch.index is None:
            at = (_row(branch.menu), branch.option)
            few, many = self.most_up_to.copy(), self.least_up_to.copy()
        else:
            at = (branch.index, branch.option)
            few, many = self.most.copy(), self.least.copy()
        few[at], many[at] = min(branch.most, few[at]), max(branch.most + 1, many[at])
        if branch.index is None:
            return replace(self, most_up_to=few), replace(self, least_up_to=many)
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


def _row(menu: int | None) -> int:
    """Return the row of a menu's limits; the last is that of all nodes."""
    return -1 if menu is None else menu


def case_bound(case: Case, tables: CostTables, prices: Prices, charges: tuple[Charge, ...] = ()) -> float:
    """Return a lower bound on the mean delay of every plan of a case, s, from prices and charges; +inf if none is."""
    cost, order = tables.at(prices)
    given = [-price for price in prices]
    if charges:
        cost = cost.copy()
        for option, charge, menu in charges:
            rows = slice(None) if menu is None else np.flatnonzero(tables.menus == menu)
            cost[rows, : option + 1] = below(cost[rows, : option + 1] + charge)
            limit = (case.most_up_to if charge > 0 else case.least_up_to)[_row(menu), option]
            given.append(-math.nextafter(charge * float(limit), math.inf))
        order = np.argsort(cost, axis=1, kind="stable")
    count = case.cheapest(tables.sizes, order)
    return math.inf if count is None else _total(count, cost, given)


def case_load(case: Case, tables: CostTables, weights: Prices = (1.0,)) -> float:
    """Return a lower bound on the shares that every plan of a case needs, summed with weights of the resources.

    The weights are those of `overloaded`; +inf if there is no plan of this case.
    """
    load, order = tables.loads(weights)
    count = case.cheapest(tables.sizes, order)
    return math.inf if count is None else _total(count, load, [])


def overloaded(case: Case, tables: CostTables, weights: Prices = (1.0,)) -> bool:
    """Return whether weights (n_resources,) ≥ 0 show that every plan of a case needs more than there is."""
    whole = math.fsum(weights)
    whole = whole if len(weights) == 1 else math.nextafter(whole, math.inf)
    return whole > 0.0 and case_load(case, tables, weights) >= whole


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


def require_provable(problem: Problem) -> None:
    """Look whether a problem is one that proof files are about: of the mean, with delays in closed form.

    Raises
    ------
    InputError
        If it is not.
    """
    if problem.worst:
        what = 'objective = "worst"; what proves its bound is the prices in the plan itself'
    elif problem.pooled.any():
        what = "resources that are pooled; the search that proves the bound is run again"
    elif not all(curve.pieces() for curve in problem.use_curves):
        what = (
            "percentiles, whose table no sum of closed forms stands for; the prices in the plan itself prove its bound"
        )
    elif problem.renewal and problem.kinked:
        what = "a tandem whose arrivals are not Poisson; what proves its bound is the prices in the plan itself"
    else:
        return
    raise InputError(f"a proof file cannot be about {what}, which verify looks at; leave --proof out")


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
    InputError
        If the problem is none that proofs are about (`require_provable`).
    Unproved
        If the tree is not one: it ends early or late, or names a class, an option or a price that does not exist.

    Examples
    --------
    >>> from dmcjia_opt import check_proof, compile_problem, generate, prove, solve
    >>> scenario = generate("paper", nodes=3, seed=1)
    >>> proof = prove(scenario, solve(scenario))
    >>> check_proof(compile_problem(scenario), proof) >= proof.bound
    True
    """
    check_arguments(check_proof, locals())
    require_provable(problem)
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
    _check_option(problem, branch.option, number)
    _check_menu(tables, branch.menu, number)
    if branch.index is not None:
        whose, inside = f"class {branch.index}", tables.sizes[branch.index]
    elif branch.menu is not None:
        whose, inside = f"menu {branch.menu}", tables.sizes[tables.menus == branch.menu]
    else:
        whose, inside = "the scenario", tables.sizes
    size = int(inside.sum())
    if branch.most >= size:
        raise Unproved(f"tree[{number}]: {whose} has {size} nodes, so that more than {branch.most} of them is no case")


def _check_option(problem: Problem, option: int, number: int) -> None:
    if option >= problem.n_options:
        raise Unproved(f"tree[{number}]: there is no option {option}; the last is {problem.n_options - 1}")


def _check_menu(tables: CostTables, menu: int | None, number: int) -> None:
    if menu is not None and menu > (last := int(tables.menus.max())):
        raise Unproved(f"tree[{number}]: there is no menu {menu}; the last is {last}")


def _leaf(case: Case, tables: CostTables, proof: Proof, leaf: Leaf, number: int) -> float:
    if leaf.price is None:
        weights = _checked(leaf.weights or (1.0,), "overload", number, tables.problem.n_resources)
        if not overloaded(case, tables, weights):
            load = max(case_load(case, tables, weights), 0.0) / max(math.fsum(weights), sys.float_info.min)
            who = "the cloud" if tables.problem.n_resources == 1 else "the resources"
            raise Unproved(f"tree[{number}]: {who} can carry a plan of this case, its least load is {load:.6g}")
        return math.inf
    prices = _prices(proof, leaf.price, number, tables.problem.n_resources)
    for option, charge, menu in leaf.charges:
        _check_option(tables.problem, option, number)
        _check_menu(tables, menu, number)
        if not abs(charge) <= FARTHEST:
            raise Unproved(f"tree[{number}]: a charge of {charge:g} s is beyond {FARTHEST:g}")
    return case_bound(case, tables, prices, leaf.charges)


def _prices(proof: Proof, index: int, number: int, n_resources: int) -> Prices:
    if index >= len(proof.prices):
        raise Unproved(f"tree[{number}]: there is no price {index}; the proof has {len(proof.prices)}")
    return _checked(proof.prices[index], f"prices_s[{index}]", number, n_resources)


def _checked(values: Prices, what: str, number: int, n_resources: int) -> Prices:
    if len(values) != n_resources:
        raise Unproved(
            f"tree[{number}]: {what} holds {len(values)} numbers; the scenario shares {n_resources} resources"
        )
    if not all(0.0 <= value <= FARTHEST for value in values):
        raise Unproved(f"tree[{number}]: {what} must lie between 0 and {FARTHEST:g}")
    return values
