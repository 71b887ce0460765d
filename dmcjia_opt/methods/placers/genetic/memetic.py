"""A memetic genetic algorithm: recombination on the large scale, and a descent that asks the prices what to try.

The descent rests on weak duality. A plan's shares come with prices ν of the resources; with c_do(ν) the cost of option
o of node d at those prices, its mean delay is Σ c_d,od(ν) − Σ ν, and that of any other plan o' is at least
Σ c_d,o'd(ν) − Σ ν. So only plans whose options cost less at the plan's own prices can be better: other moves need not
be tried, and where no option of any node costs less the plan is optimal. What a plan leaves alone of several resources
has the price 0, at which all would seem to gain by using it; there the dual's price says better what to try.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from pydantic import Field
from pymoo.algorithms.soo.nonconvex.ga import GA
from pymoo.core.duplicate import DefaultDuplicateElimination
from pymoo.operators.crossover.ux import UniformCrossover
from pymoo.operators.sampling.rnd import IntegerRandomSampling

from dmcjia_opt.base.arrays import BoolArray, FloatArray, IntArray
from dmcjia_opt.bounds.dual import priced
from dmcjia_opt.methods.placers.genetic.guided import (
    DualSampling,
    ReducedCostMutation,
    ReducedCosts,
    ToFeasible,
    reduced_costs,
)
from dmcjia_opt.methods.placers.genetic.pymoo_ import EvolutionaryPlacer, PlacementProblem
from dmcjia_opt.solving.options import AtLeastOne, Count, Factor, Probability, method
from dmcjia_opt.solving.search import Search


class Descent:
    """Moves from a plan to a better one for as long as one of the tried is, or one around the best of them.

    Tried are the moves of one node that cost least at the plan's prices, and several nodes at once: the first 2, 4, 8 …
    of those that would rather have another option, in the order of what it would save them. Every plan tried counts as
    an evaluation; plans that overload a resource are not tried.

    Parameters
    ----------
    search
        Evaluates the plans.
    costs
        Whose prices stand in where the allocator returns none.
    tries
        How many moves of one node are tried in a step.
    """

    def __init__(self, search: Search, costs: ReducedCosts, tries: int) -> None:
        self.search, self.costs, self.tries = search, costs, tries
        self._ends: set[bytes] = set()

    def __call__(self, plan: IntArray) -> IntArray:
        """Return where the descent from `plan` (n_nodes,) ends; `plan` itself if it is infeasible.

        Raises
        ------
        BudgetSpent
            When the budget is.
        """
        values, prices = self.search.with_prices(plan[None, :])
        value, at = float(values[0]), prices[0]
        while np.isfinite(value) and plan.tobytes() not in self._ends:
            step = self._best(plan, at)
            if step is not None and not step[1] < value:
                step = self._best(step[0], step[2])  # a node moves up only where another moves down
            if step is None or not step[1] < value:
                break
            plan, value, at = step
        self._ends.add(plan.tobytes())
        return plan

    def _best(self, plan: IntArray, prices: FloatArray) -> tuple[IntArray, float, FloatArray] | None:
        """Return the best plan tried around `plan`, its mean delay and prices; None if nothing was."""
        near = self.neighbours(plan, prices)
        if len(near) == 0:
            return None
        values, found = self.search.with_prices(near)
        best = int(values.argmin())
        return near[best], float(values[best]), found[best]

    def neighbours(self, plan: IntArray, prices: FloatArray) -> IntArray:
        """Return the plans (n_plans, n_nodes) that are tried around `plan` (n_nodes,) at its prices (n_resources,)."""
        problem = self.search.problem
        if problem.n_resources > 1:
            prices = np.where(prices > 0.0, prices, self.costs.prices)
        cost, _ = priced(problem.relaxed, prices if np.isfinite(prices).all() else self.costs.prices)
        nodes = np.arange(problem.n_nodes)
        saving = np.where(np.isfinite(cost), cost[nodes, plan][:, None] - cost, 0.0)
        # identical nodes save the same, and trying one of them is enough
        amount, order = np.unique(-saving, return_index=True)
        rows, options = np.unravel_index(order[amount < 0.0][: self.tries], saving.shape)
        single = np.repeat(plan[None, :], len(rows), axis=0)
        single[np.arange(len(rows)), rows] = options
        wish, gain = saving.argmax(axis=1), saving.max(axis=1)
        eager = np.argsort(-gain, kind="stable")[: int((gain > 0.0).sum())]
        counts = [2**k for k in range(1, 63) if 2**k < len(eager)] + [len(eager)] * (len(eager) > 1)
        many = np.repeat(plan[None, :], len(counts), axis=0)
        for row, count in zip(many, counts, strict=True):
            row[eager[:count]] = wish[eager[:count]]
        near = np.concatenate([single, many])
        possible: IntArray = near[problem.overload(near) == 0]
        return possible


class NeverTwice(DefaultDuplicateElimination):  # type: ignore[misc]
    """Refuses individuals that are in the population, and plans that were ever evaluated.

    Parameters
    ----------
    search
        Knows those plans.
    """

    def __init__(self, search: Search) -> None:
        super().__init__()
        self.search = search

    def _do(self, pop: Any, other: Any, is_duplicate: BoolArray) -> BoolArray:  # noqa: ANN401 - pymoo Populations
        duplicate: BoolArray = super()._do(pop, other, is_duplicate)
        return duplicate | self.search.knows(pop.get("X"))


class DescendingGA(GA):  # type: ignore[misc]
    """pymoo's genetic algorithm with the best of each generation's new individuals replaced by where they descend to.

    Parameters
    ----------
    descent
        The local search.
    descents
        How many individuals of a generation.
    **options
        pymoo's own.
    """

    def __init__(self, descent: Descent, descents: int, **options: Any) -> None:  # noqa: ANN401 - handed on to pymoo
        super().__init__(**options)
        self.descent, self.descents = descent, descents

    def _initialize_infill(self) -> Any:  # noqa: ANN401 - a pymoo Population
        return self._descended(super()._initialize_infill())

    def _infill(self) -> Any:  # noqa: ANN401 - a pymoo Population, or None
        off = super()._infill()
        return None if off is None else self._descended(off)

    def _descended(self, pop: Any) -> Any:  # noqa: ANN401 - a pymoo Population
        plans = np.array(pop.get("X"), dtype=np.int64)
        order = np.argsort(self.descent.search.evaluate(plans), kind="stable")
        for i in order[: self.descents]:
            plans[i] = self.descent(plans[i])
        pop.set("X", plans)
        return pop


@method
class Memetic(EvolutionaryPlacer):
    """Genetic algorithm on integers that knows the prices of what is shared, and searches around its best individuals.

    Parents win a binary tournament and exchange options node by node; a mutation moves a node or two, likelier to
    options of low reduced cost; overloaded offspring are repaired; and the best new individuals of each generation
    descend (`Descent`). It ends when its plan meets the dual bound, which proves it optimal.

    Parameters
    ----------
    population
        Individuals kept.
    offspring
        New individuals a generation.
    generations
        Generations when no budget of evaluations or seconds is given.
    crossover_rate
        Probability that two parents exchange options.
    mutation_rate
        Expected number of nodes that move in one offspring, at least 1.
    moves
        Temperature of the first population and of mutation: how many nodes leave their cheapest option, on average.
    descents
        How many individuals of a generation descend; 0 for none.
    tries
        How many moves of one node each step of a descent tries.
    start_from_dual
        Draw the first population around the Lagrangian solution rather than at random.
    """

    population: Annotated[int, Field(ge=2)] = 20
    offspring: Count = 20
    generations: Count = 50
    crossover_rate: Probability = 0.9
    mutation_rate: AtLeastOne = 1.5
    moves: Factor = 2.0
    descents: Annotated[int, Field(ge=0)] = 2
    tries: Count = 16
    start_from_dual: bool = True

    def start(self, search: Search) -> tuple[Any, PlacementProblem, int]:
        """Return the algorithm with these operators (see the base class); it ends when the gap is closed."""
        search.end_when_closed()
        problem, costs = search.problem, reduced_costs(search.problem, search.dual)
        algorithm = DescendingGA(
            Descent(search, costs, self.tries),
            self.descents,
            pop_size=self.population,
            n_offsprings=self.offspring,
            sampling=DualSampling(problem, moves=self.moves, costs=costs)
            if self.start_from_dual
            else IntegerRandomSampling(),
            crossover=UniformCrossover(prob=self.crossover_rate),
            mutation=ReducedCostMutation(costs, rate=self.mutation_rate, moves=self.moves),
            repair=ToFeasible(problem, costs),
            eliminate_duplicates=NeverTwice(search),
        )
        return algorithm, PlacementProblem(problem, search=search), self.generations
