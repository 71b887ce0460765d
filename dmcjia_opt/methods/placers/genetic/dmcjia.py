"""The outer algorithm of DMCJIA (Algorithm 1): a binary genetic algorithm over the nodes' split points."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from pymoo.algorithms.soo.nonconvex.ga import GA
from pymoo.operators.crossover.pntx import SinglePointCrossover
from pymoo.operators.mutation.bitflip import BitflipMutation
from pymoo.operators.sampling.rnd import BinaryRandomSampling

from dmcjia_opt.methods.placers.genetic.coding import BinaryPlacementProblem
from dmcjia_opt.methods.placers.genetic.pymoo_ import EvolutionaryPlacer, PlacementProblem
from dmcjia_opt.solving.options import Count, Probability, method
from dmcjia_opt.solving.search import Search


@method
class Dmcjia(EvolutionaryPlacer):
    """The paper's outer algorithm at its published settings (Table 5).

    Random population; in each generation parents win a binary tournament, cross at one point, flip bits, and of
    parents and offspring together the fit are kept and the rest discarded.

    Parameters
    ----------
    population
        K, individuals kept.
    generations
        N, when no budget of evaluations or seconds is given; such a budget replaces it.
    crossover
        P2, probability that a pair of parents crosses.
    mutation
        P1, probability that a bit flips.
    """

    population: Annotated[int, Field(ge=2)] = 50
    generations: Count = 32
    crossover: Probability = 0.1
    mutation: Probability = 0.01

    def start(self, search: Search) -> tuple[Any, PlacementProblem, int]:
        """Return pymoo's genetic algorithm with these operators (see the base class)."""
        algorithm = GA(
            pop_size=self.population,
            sampling=BinaryRandomSampling(),
            crossover=SinglePointCrossover(prob=self.crossover),
            mutation=BitflipMutation(prob=1.0, prob_var=self.mutation),
            eliminate_duplicates=False,
        )
        return algorithm, BinaryPlacementProblem(search), self.generations
