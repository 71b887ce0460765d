"""Branch and bound on class counts: what the Lagrangian search leaves open, closed without a solver.

Nodes that are identical are one *class*; only how many of them use each option matters, which removes the symmetry
that defeats general solvers. Classes are branched on one after another, breadth first. A partial plan carries its
cost at a set of prices around ν*, and the cost at each price of the cheapest way to finish it is a lower bound by
weak duality; so is the largest of them. A partial plan is dropped once a price proves it no better than the
incumbent: those prices, and the plans that are left and evaluated, are the proof.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.bounds.certificate import options_lower_bound
from dmcjia_opt.bounds.dual import option_costs, rounding_slack
from dmcjia_opt.bounds.similar import reach
from dmcjia_opt.methods.placers.exact import counts, price_tree
from dmcjia_opt.methods.placers.exact.lagrangian import LagrangianPlacer, Survivors, improve, left_open, moderate
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.contract import Status
from dmcjia_opt.solving.options import method
from dmcjia_opt.solving.search import Search

_MARGIN = 1e-13  # relative: plans better by less than this are not looked for
_FIRST_LEAVES = 32
_MERGE_ABOVE = 1000


@dataclass(frozen=True, slots=True, eq=False)
class NodeClass:
    """Identical open nodes.

    Parameters
    ----------
    nodes
        (size,) which.
    options
        (k,) options they may use, dearest first.
    """

    nodes: IntArray
    options: IntArray


def node_classes(problem: Problem, left: Survivors) -> list[NodeClass]:
    """Return the open nodes in classes whose tables are the same at the options that are left."""
    groups: dict[bytes, list[int]] = {}
    for i, (d, options) in enumerate(zip(left.nodes, left.options, strict=True)):
        groups.setdefault(problem.signature(d, options) + options.tobytes(), []).append(i)
    return [NodeClass(left.nodes[members], left.options[members[0]][::-1]) for members in groups.values()]


#: Costs of longer partial plans, which they extend, and by which counts.
_Grown = tuple[FloatArray, IntArray, IntArray]


@dataclass(slots=True, eq=False)
class _Tree:
    """The partial plans of one depth, and how they came about.

    Parameters
    ----------
    cost
        (n_plans, n_rows) what each has spent of every row's limit: cost at each vector of prices, share of
        each resource.
    choices
        One entry a level: parents, and counts of the options chosen there (n_plans, k).
    """

    cost: FloatArray
    choices: list[tuple[IntArray, IntArray]]

    def counts(self) -> list[IntArray]:
        """Return, for each level, the counts of every plan of the last depth."""
        at = np.arange(len(self.cost))
        found = []
        for parent, count in reversed(self.choices):
            found.append(count[at])
            at = parent[at]
        return found[::-1]


def _whole_class(
    cost: FloatArray, split: FloatArray, tail: FloatArray, limit: FloatArray, size: int, cap: int
) -> _Grown | None:
    """Extend partial plans by all counts of one class that stay within every limit; None beyond `cap` plans."""
    parent, rest = np.arange(len(cost)), np.full(len(cost), size)
    k = len(split)
    chosen = np.zeros((len(cost), 0), dtype=np.int64)
    for j in range(k - 1):
        least = split[j + 1 :].min(axis=0)
        room = limit - (cost + rest[:, None] * least + tail)
        slope = split[j] - least
        with np.errstate(divide="ignore", invalid="ignore"):
            bound = room / slope
        most = np.floor(np.where(slope > 0, bound, np.inf).min(axis=1) + 1e-9)
        least_count = np.ceil(np.where(slope < 0, bound, -np.inf).max(axis=1) - 1e-9)
        possible = ((slope != 0) | (room >= 0)).all(axis=1)
        low = np.maximum(least_count, 0)
        number = np.where(possible, np.maximum(np.minimum(most, rest) - low + 1, 0), 0).astype(np.int64)
        total = int(number.sum())
        if total > cap:
            return None
        at = np.repeat(np.arange(len(cost)), number)
        first = np.repeat(np.cumsum(number) - number, number)
        count = low[at].astype(np.int64) + np.arange(total) - first
        cost = cost[at] + count[:, None] * split[j]
        parent, rest = parent[at], rest[at] - count
        chosen = np.column_stack([chosen[at], count])
    cost = cost + rest[:, None] * split[-1]
    keep = (cost + tail <= limit).all(axis=1)
    return cost[keep], parent[keep], np.column_stack([chosen, rest])[keep]


def _one_node(cost: FloatArray, split: FloatArray, tail: FloatArray, limit: FloatArray, cap: int) -> _Grown | None:
    """Extend partial plans by the splits of a single node (see `_whole_class`)."""
    if len(cost) * len(split) > 4 * cap:
        return None
    longer = cost[:, None, :] + split[None, :, :]
    parent, choice = np.nonzero((longer + tail <= limit).all(axis=2))
    if len(parent) > cap:
        return None
    return longer[parent, choice], parent, np.eye(len(split), dtype=np.int64)[choice]


def close(search: Search, *, prices: int = 17, max_plans: int = 200_000, bucket: float = 0.0) -> bool:
    """Search everything that a Lagrangian search has left open.

    Parameters
    ----------
    search
        Holds the incumbent, which may improve, and the bound, which rises to it.
    prices
        How many prices bound each partial plan.
    max_plans
        Give up when so many partial plans are open at once.
    bucket
        Merge partial plans that cost the same at every price within this fraction of the incumbent, where there are
        many: the bound is then that much weaker, and nodes that are nearly identical no longer multiply the plans.

    Returns
    -------
    Whether the search was completed; if not, nothing but perhaps the incumbent has changed.
    """
    problem, tolerance = search.problem, search.stop.tolerance
    left = left_open(search)
    margin = max(_MARGIN, 0.5 * tolerance if tolerance > 1e-8 else 0.0)
    classes = sorted(node_classes(problem, left), key=lambda c: (len(c.nodes) > 1, len(c.nodes)))
    at = _around(search, left, prices // 2)
    rows = [class_rows(problem, c, at) for c in classes]
    fixed = np.setdiff1d(np.arange(problem.n_nodes), left.nodes, assume_unique=True)
    root = fixed_row(problem, fixed, left.cheapest, at)
    least = [row.min(axis=0) * len(c.nodes) for row, c in zip(rows, classes, strict=True)]
    tails = np.cumsum([np.zeros(root.shape[1]), *least[::-1]], axis=0)[::-1]
    magnitude = float(np.abs(root[0]).max() + np.abs(tails[0]).max() + at.sum(axis=1).max())
    slack = rounding_slack(problem.n_nodes, 2 * magnitude)

    def limit() -> FloatArray:
        return np.append(np.full(len(at), search.objective * (1.0 - margin)), np.full(problem.n_resources, 1.0 + 1e-12))

    tree, merged = _Tree(root, []), False
    for c, split, tail in zip(classes, rows, tails[1:], strict=True):
        size = len(c.nodes)
        if size == 1:
            grown = _one_node(tree.cost, split, tail, limit(), max_plans)
        else:
            grown = _whole_class(tree.cost, split, tail, limit(), size, max_plans)
        if grown is None:
            return False
        cost, parent, count = grown
        if bucket > 0.0 and len(cost) > _MERGE_ABOVE:
            cost, parent, count = _merged(cost, parent, count, bucket * search.objective, len(at))
            merged = True
        tree = _Tree(cost, [*tree.choices, (parent, count)])
    bound = _leaves(search, tree, classes, left.cheapest, margin, merged=merged)
    search.prove(min(bound, search.objective * (1.0 - margin)) - slack, "branch-and-bound")
    return True


def _merged(
    cost: FloatArray, parent: IntArray, count: IntArray, width: float, n_prices: int
) -> tuple[FloatArray, IntArray, IntArray]:
    """Merge partial plans that cost nearly the same at every price, keeping the least cost at each.

    The merged plan is a relaxation of all it stands for, so bounds stay bounds; the history kept is that of the plan
    that is cheapest at the middle price.
    """
    middle = (n_prices - 1) // 2
    key = np.zeros(len(cost), dtype=np.int64)
    for column in (0, middle, 2 * middle):
        digit = np.floor((cost[:, column] - cost[:, column].min()) / width).astype(np.int64)
        key = key * (int(digit.max()) + 1) + digit
    order = np.lexsort((cost[:, middle], key))
    start = np.flatnonzero(np.diff(key[order], prepend=-1))
    first = order[start]
    return np.minimum.reduceat(cost[order], start, axis=0), parent[first], count[first]


def _around(search: Search, left: Survivors, each_side: int) -> FloatArray:
    """Return prices (n_prices, n_resources) around ν*, and ν* itself in the middle of an odd number.

    They are as far apart as plans in the gap can have theirs (`reach`). For several resources all move together, and
    the points the dual went through are added, where plans of its other kinks have their bounds.
    """
    width = reach(max(search.objective - left.bound, 1e-15 * search.objective), left.prices)
    found = [left.prices * factor for factor in np.exp(np.linspace(-width, width, 2 * each_side + 1))]
    if search.problem.n_resources > 1:
        found += [point.prices for point in search.dual.points[1:]]
    if moderate(search.prices, left.prices):
        found.append(search.prices)  # where plans like the incumbent have their best bound
    return np.array(found)


def class_rows(problem: Problem, c: NodeClass, prices: FloatArray) -> FloatArray:
    """Return what one node of a class costs and needs, for each of its options.

    That is (k, n_prices + n_resources): what it costs at each of `prices` (n_prices, n_resources), s, and its least
    share of each resource.
    """
    node = c.nodes[:1]
    cost = option_costs(problem, node, c.options[:, None], prices)
    return np.column_stack([cost, _least_loads(problem, np.repeat(node, len(c.options)), c.options)])


def fixed_row(problem: Problem, nodes: IntArray, options: IntArray, prices: FloatArray) -> FloatArray:
    """Return (1, n_prices + n_resources) what `nodes` cost and need together at `options` (of all nodes).

    The prices of the resources themselves are taken off.
    """
    total = np.zeros(len(prices) + problem.n_resources)
    for start in range(0, len(nodes), 4096):
        d = nodes[start : start + 4096]
        total[: len(prices)] += option_costs(problem, d[:, None], options[d][:, None], prices).sum(axis=0)
        total[len(prices) :] += _least_loads(problem, d, options[d]).sum(axis=0)
    total[: len(prices)] -= prices.sum(axis=1)
    return total[None, :]


def _least_loads(problem: Problem, nodes: IntArray, options: IntArray) -> FloatArray:
    """Return the least shares (n, n_resources) that options of nodes, (n,) each, ask for."""
    rate = np.maximum(problem.arrival_rate[nodes, None], problem.least_rate[nodes, options])
    return over_resources(problem, nodes, options, rate * problem.service[nodes, options])


def over_resources(problem: Problem, nodes: IntArray, options: IntArray, values: FloatArray) -> FloatArray:
    """Return the sums (n, n_resources) of values (n, n_uses) of what options of nodes, (n,) each, use."""
    found = np.zeros((len(nodes), problem.n_resources))
    np.add.at(found, (np.arange(len(nodes))[:, None], problem.resource[nodes, options]), values)
    return found


def _leaves(
    search: Search, tree: _Tree, classes: list[NodeClass], base: IntArray, margin: float, *, merged: bool
) -> float:
    """Evaluate the plans that are left, most promising first; return the least of their own lower bounds."""
    problem = search.problem
    promise = tree.cost[:, : -problem.n_resources].max(axis=1)
    order = np.argsort(promise, kind="stable")
    counts = tree.counts()
    least, start, number = np.inf, 0, _FIRST_LEAVES
    while start < len(order) and promise[order[start]] <= search.objective * (1.0 - margin):
        rows = order[start : start + number]
        plans = np.repeat(base[None, :], len(rows), axis=0)
        for c, count in zip(classes, counts, strict=True):
            plans[:, c.nodes] = spread(c.options, count[rows])
        _, price = search.solve_in_budget(plans)
        possible = problem.overload(plans) == 0
        bounds = promise[rows] if merged else options_lower_bound(problem, plans[possible], price[possible])
        least = min(least, float(np.min(bounds, initial=np.inf)))
        start += number
        number = min(4 * number, max(1, (1 << 20) // problem.n_nodes))
    return least


def spread(options: IntArray, count: IntArray) -> IntArray:
    """Return each row's options with their multiplicities, (n_plans, class size)."""
    ends = np.cumsum(count, axis=1)
    position = np.arange(int(ends[0, -1]))
    spread_out: IntArray = options[(position[None, :, None] >= ends[:, None, :]).sum(axis=2)]
    return spread_out


@dataclass(frozen=True, slots=True)
class BranchingRoom:
    """How much room the search may take.

    Parameters
    ----------
    quick_plans
        Partial plans that may be open at once in the first attempt, which merges none.
    max_plans
        The same in the second, which merges those that are nearly equal.
    bucket
        Relative width within which it does.
    cases
        Cases with prices of their own, where there are several resources.
    boxes
        Boxes of what the users of pooled resources are in all.
    counts
        Cases of counts of similar nodes.
    """

    quick_plans: int = 20_000
    max_plans: int = 400_000
    bucket: float = 1e-6
    cases: int = 2_000
    boxes: int = 50_000
    counts: int = 500


def close_in_turn(search: Search, room: BranchingRoom) -> Status:
    """Close a Lagrangian search: at once, or by counts of similar nodes, or with nearly equal partial plans merged.

    The last is tried after two-node exchanges, and not with several resources.
    """
    if close(search, max_plans=room.quick_plans) or counts.close(search, most_cases=room.counts):
        return Status.ROUNDED
    improve(search, pairs=True)
    if search.closed:
        return Status.LIMIT
    if search.problem.n_resources == 1:
        close(search, max_plans=room.max_plans, bucket=room.bucket)
    return Status.LIMIT


def close_by_cases(search: Search, room: BranchingRoom, left: Status) -> Status:
    """Close what is left open where there are several resources, each case at prices of its own."""
    if search.closed or left == Status.ROUNDED or search.problem.n_resources == 1:
        return left
    return Status.ROUNDED if price_tree.close(search, most_cases=room.cases) else Status.LIMIT


@method
class BranchAndBound(LagrangianPlacer):
    """The proved optimum by price, reduced costs and branch and bound on counts of identical or similar nodes.

    Parameters
    ----------
    room
        When to give up, with the incumbent and its bound.
    """

    room: BranchingRoom = field(default_factory=BranchingRoom)

    def close(self, search: Search) -> Status:
        """Branch and bound, at once or with merging; with several resources, prices for each case."""
        return close_by_cases(search, self.room, close_in_turn(search, self.room))
