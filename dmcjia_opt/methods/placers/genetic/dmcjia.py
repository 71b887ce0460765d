"""The outer algorithm of DMCJIA (Algorithm 1): a binary genetic algorithm over the nodes' split points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pymoo.algorithms.soo.nonconvex.ga import GA
from pymoo.operators.crossover.pntx import SinglePointCrossover
from pymoo.operators.mutation.bitflip import BitflipMutation
from pymoo.operators.sampling.rnd import BinaryRandomSampling

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.methods.placers.genetic.coding import BinaryPlacementProblem
from dmcjia_opt.methods.placers.genetic.pymoo_ import EvolutionaryPlacer, PlacementProblem
from dmcjia_opt.solving.search import Search


@dataclass(frozen=True, slots=True)
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

    population: int = 50
    generations: int = 32
    crossover: float = 0.1
    mutation: float = 0.01

    def __post_init__(self) -> None:
        """Check the options."""
        if self.population < 2 or self.generations < 1:
            raise InputError("dmcjia needs a population of at least 2 and at least 1 generation")
        if not (0 <= self.crossover <= 1 and 0 <= self.mutation <= 1):
            raise InputError("crossover and mutation are probabilities, in [0, 1]")

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
