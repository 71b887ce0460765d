"""Operators for pymoo that know the prices of what is shared: sampling, mutation and repair by reduced costs.

At the prices ν* where the Lagrangian dual is largest every node has a cheapest option; what another option costs more
is its *reduced cost* r, and no plan is better than L(ν*) plus the sum of its reduced costs. So a plan is drawn like a
state of a gas: node d takes option o with probability ∝ exp(−r/τ), and the temperature τ says how many nodes leave
their cheapest option.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pymoo.core.mutation import Mutation
from pymoo.core.repair import Repair
from pymoo.core.sampling import Sampling

from dmcjia_opt.base.arrays import FloatArray, IntArray, over_uses
from dmcjia_opt.bounds.best import BestPrice
from dmcjia_opt.bounds.dual import DualPoint, priced
from dmcjia_opt.methods.placers.genetic.pymoo_ import PlacementProblem
from dmcjia_opt.model.problem import Problem

_HALVINGS = 60
_TIE = 1e-12  # reduced costs below it, relative to the largest, are rounding
_MORE_DRAWS = 8
_ROOM = 0.9  # the load at which one of several resources that the dual's plan leaves alone is no longer too full
_SHARPNESS = 8.0  # how much more load counts of a resource that is fuller


@dataclass(frozen=True, slots=True, eq=False)
class ReducedCosts:
    """What the dual says of every option.

    Parameters
    ----------
    prices
        (n_resources,) ν*, s per unit share.
    low, high
        (n_nodes,) cheapest options at two of the best prices. For one resource they are just below and just above ν*:
        `low` asks for more of it than there is, or as much, `high` for no more. Of several, `low` asks for more of the
        fullest.
    use
        (n_resources,) sum of the shares that `high` asks for.
    table
        (n_nodes, n_options) reduced costs, s; +inf where the option is not allowed.
    """

    prices: FloatArray
    low: IntArray
    high: IntArray
    use: FloatArray
    table: FloatArray

    def probabilities(self, moves: float) -> FloatArray:
        """Return p (n_nodes, n_options) ∝ exp(−r/τ), with τ such that about `moves` nodes pay a reduced cost.

        Moves between options that tie at ν* are free, and not counted. Uniform draws may move fewer nodes than asked
        for; τ then is at its end.
        """
        paid = np.isfinite(self.table) & (self.table > _TIE * self.table[np.isfinite(self.table)].max())
        if not paid.any():
            return self._boltzmann(1.0)
        low, high = np.log(self.table[paid].min()) - 5.0, np.log(self.table[paid].max()) + 5.0
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            moved = float(self._boltzmann(np.exp(middle))[paid].sum())
            low, high = (low, middle) if moved > moves else (middle, high)
        return self._boltzmann(np.exp(low))

    def _boltzmann(self, temperature: float) -> FloatArray:
        weight = np.exp(-self.table / temperature)
        return np.asarray(weight / weight.sum(axis=1, keepdims=True))


def reduced_costs(problem: Problem, dual: BestPrice | None = None) -> ReducedCosts:
    """Return the reduced costs at the best prices; at prices 0, where they are fixed delays, if no plan exists."""
    dual = dual or BestPrice(problem)
    cost, _ = priced(problem.relaxed, dual.point.prices)
    cost[~np.isfinite(cost).any(axis=1), 0] = 0.0  # a node without any stable option makes every plan infeasible
    table = cost - cost.min(axis=1, keepdims=True)
    table.setflags(write=False)
    ends = dual.points[:2]
    low, high = max(ends, key=_fullest), min(ends, key=_fullest)
    return ReducedCosts(dual.point.prices, low.options, high.options, high.use, table)


def _fullest(point: DualPoint) -> float:
    return float(point.use.max())


class DualSampling(Sampling):  # type: ignore[misc]
    """A first population around the Lagrangian solution, for any pymoo algorithm on a `PlacementProblem`.

    The first individual is the dual's plan that asks for less of what is shared, the second the other one where they
    differ. Each further one takes every node's option from either at a chance of its own, and moves nodes by their
    reduced costs. All are distinct where there are so many plans.

    Parameters
    ----------
    problem
        The compiled problem.
    moves
        How many nodes leave their cheapest option, on average.
    costs
        Its reduced costs, computed when not given.
    """

    def __init__(self, problem: Problem, *, moves: float = 2.0, costs: ReducedCosts | None = None) -> None:
        super().__init__()
        self.last = problem.last
        self.costs = costs or reduced_costs(problem)
        self.moves = moves

    def plans(self, number: int, rng: np.random.Generator) -> IntArray:
        """Return options (number, n_nodes)."""
        found = dict.fromkeys([tuple(self.costs.high.tolist()), tuple(self.costs.low.tolist())])
        moves = self.moves
        for _ in range(_MORE_DRAWS):
            if len(found) >= number:
                break
            found.update(dict.fromkeys(map(tuple, self._draw(number, moves, rng).tolist())))
            moves *= 2.0
        rest = max(0, number - len(found))
        anywhere = rng.integers(0, self.last + 1, size=(rest, len(self.last)))
        return np.concatenate([np.array(list(found), dtype=np.int64), anywhere])[:number]

    def _draw(self, number: int, moves: float, rng: np.random.Generator) -> IntArray:
        costs = self.costs
        chosen = draw(costs.probabilities(moves), rng.random((number, len(self.last))))
        side = rng.random(chosen.shape) < rng.random((number, 1))
        tied = (chosen == costs.low) | (chosen == costs.high)
        return np.where(tied, np.where(side, costs.low, costs.high), chosen)

    def _do(
        self,
        problem: Any,  # noqa: ANN401 - a pymoo Problem
        n_samples: int,
        *args: object,
        random_state: np.random.Generator,
        **kwargs: object,
    ) -> Any:  # noqa: ANN401 - integers, or what the problem encodes them as
        options = self.plans(n_samples, random_state)
        return problem.encode(options) if isinstance(problem, PlacementProblem) else options


class ReducedCostMutation(Mutation):  # type: ignore[misc]
    """Integer mutation: one node, and perhaps more, takes another option, likelier the less it costs at ν*.

    Parameters
    ----------
    costs
        The reduced costs.
    rate
        Expected number of nodes that move, at least 1.
    moves
        The temperature, as `ReducedCosts.probabilities` takes it.
    anywhere
        Share of the moves that do not look at costs.
    """

    def __init__(self, costs: ReducedCosts, *, rate: float = 1.5, moves: float = 2.0, anywhere: float = 0.1) -> None:
        super().__init__(prob=1.0)
        self.rate = rate
        allowed = np.isfinite(costs.table)
        guided = costs.probabilities(moves)
        self.probability = (1.0 - anywhere) * guided + anywhere * allowed / allowed.sum(axis=1, keepdims=True)

    def _do(
        self,
        problem: Any,  # noqa: ANN401 - a pymoo Problem
        x: IntArray,
        *args: object,
        random_state: np.random.Generator,
        **kwargs: object,
    ) -> IntArray:
        n, m = x.shape
        change = random_state.random((n, m)) < (self.rate - 1.0) / m
        change[np.arange(n), random_state.integers(m, size=n)] = True
        rows, nodes = np.nonzero(change)
        options = x[rows, nodes].astype(np.int64)
        weight = self.probability[nodes] + np.finfo(np.float64).tiny  # a node may have one likely option only
        weight[np.arange(weight.shape[1]) > problem.xu[nodes, None]] = 0.0
        weight[np.arange(len(options)), options] = 0.0
        moved = x.astype(np.int64)
        moved[rows, nodes] = draw(weight / weight.sum(axis=1, keepdims=True), random_state.random((1, len(options))))[0]
        return moved


class ToFeasible(Repair):  # type: ignore[misc]
    """Repair of plans that overload a resource or an edge: the prices say which nodes to move.

    A node whose edge queue is unstable takes its cheapest option at ν*. If a resource is overloaded then, nodes move
    until its load is no more than in the dual's own plan, since one that is barely feasible has endless queues: each
    time the node whose move costs least, in reduced cost, for each unit of load that it takes off what is too full.
    With several resources load counts the more the fuller the resource, and no node goes back to an option it left.

    Parameters
    ----------
    problem
        The compiled problem.
    costs
        Its reduced costs, computed when not given.

    Attributes
    ----------
    enough
        (n_resources,) the load at which a resource is no longer too full.
    """

    def __init__(self, problem: Problem, costs: ReducedCosts | None = None) -> None:
        super().__init__()
        self.problem = problem
        self.costs = costs or reduced_costs(problem)
        grid = np.broadcast_to(np.arange(problem.n_options)[:, None], (problem.n_options, problem.n_nodes))
        self.load = np.swapaxes(problem.least_share(grid), 0, 1)
        load = self._loads(self.costs.high)
        use = np.where(np.isfinite(self.costs.use), self.costs.use, 1.0)
        room = 0.0 if problem.n_resources == 1 else _ROOM
        self.enough = np.where(load > 0.0, load / np.maximum(use, 1.0), room)

    def repaired(self, options: IntArray) -> IntArray:
        """Return options (n_plans, n_nodes); those of plans that no move helps stay infeasible."""
        fixed = options.copy()
        for row in np.flatnonzero(self.problem.overload(options) > 0):
            fixed[row] = self._repair(fixed[row])
        return fixed

    def _loads(self, plan: IntArray) -> FloatArray:
        """Return the least load (n_resources,) of each resource in a plan."""
        return self.problem.by_resource(plan, self.load[np.arange(len(plan)), plan])

    def _repair(self, plan: IntArray) -> IntArray:
        table, nodes = self.costs.table, np.arange(len(plan))
        plan = np.where(np.isfinite(table[nodes, plan]), plan, self.costs.high)
        if self.problem.overload(plan) == 0:
            return plan
        mended = np.zeros(len(self.enough), dtype=bool)
        open_ = np.isfinite(table)
        while True:
            loads = self._loads(plan)
            mended |= loads >= 1.0
            if not (mended & (loads > self.enough)).any():
                return plan
            load = self._counted(loads)
            saved = load[nodes, plan][:, None] - load
            useful = (saved > 0) & open_
            if not useful.any():
                return plan
            dearer = table - table[nodes, plan][:, None]
            # a move that also saves cost goes first: the most cost for its load
            rate = np.where(useful, dearer / np.where(useful, saved, 1.0), np.inf)
            node, option = np.unravel_index(int(rate.argmin()), rate.shape)
            open_[node, plan[node]] = False
            plan[node] = option

    def _counted(self, loads: FloatArray) -> FloatArray:
        """Return what the load of each option (n_nodes, n_options) counts for."""
        if self.problem.n_resources == 1:
            return over_uses(self.load)
        full = loads / self.enough
        worth = (full / full.max()) ** _SHARPNESS
        return over_uses(worth[self.problem.resource] * self.load)

    def _do(self, problem: Any, x: Any, **kwargs: object) -> Any:  # noqa: ANN401 - pymoo's types
        options = problem.decode(x)
        fixed = self.repaired(options)
        changed = (fixed != options).any(axis=1)
        repaired = np.array(x)
        if changed.any():
            repaired[changed] = problem.encode(fixed[changed])
        return repaired


def draw(probability: FloatArray, uniform: FloatArray) -> IntArray:
    """Return options (n_plans, n_nodes) by their `probability` (n_nodes, n_options), from `uniform` numbers below 1."""
    ladder = np.cumsum(probability, axis=1)
    ladder /= ladder[:, -1:]  # so that it ends at 1, not short of it by rounding
    return np.asarray((uniform[:, :, None] >= ladder[None]).sum(axis=2))
