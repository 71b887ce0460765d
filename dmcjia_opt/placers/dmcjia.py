"""The outer algorithm of DMCJIA (Algorithm 1): a binary genetic algorithm over the nodes' split points.

Coding. A node with L layers has L + 1 splits and takes b = ⌈log2(L + 1)⌉ bits (6 for the 34 layers of ResNet34), most
significant first. Read as an integer k, they stand for split ⌊k·(L + 1)/2^b⌋: the usual linear mapping of a binary
code onto an interval. No code is past the last layer and no split is coded twice as often as it must be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pymoo.algorithms.soo.nonconvex.ga import GA
from pymoo.operators.crossover.pntx import SinglePointCrossover
from pymoo.operators.mutation.bitflip import BitflipMutation
from pymoo.operators.sampling.rnd import BinaryRandomSampling

from dmcjia_opt.errors import InputError
from dmcjia_opt.model.arrays import BoolArray, IntArray
from dmcjia_opt.placers.evaluation import Evaluation
from dmcjia_opt.placers.pymoo_ import EvolutionaryPlacer, PlacementProblem


class BinaryCode:
    """Fixed-length binary code of the splits of a fleet.

    Parameters
    ----------
    layers
        (n_nodes,) number of layers of each node's model.
    """

    def __init__(self, layers: IntArray) -> None:
        self.n_splits = layers + 1
        self.bits = np.maximum(1, np.ceil(np.log2(self.n_splits)).astype(np.int64))
        self._ends = np.cumsum(self.bits)
        self._starts = self._ends - self.bits
        self._place = 1 << (np.repeat(self._ends, self.bits) - 1 - np.arange(self._ends[-1]))

    @property
    def length(self) -> int:
        """Bits of one chromosome."""
        return int(self._ends[-1])

    def decode(self, chromosomes: BoolArray) -> IntArray:
        """Return splits (n_plans, n_nodes) of `chromosomes` (n_plans, length)."""
        codes = np.add.reduceat(chromosomes * self._place, self._starts, axis=1)
        return codes * self.n_splits >> self.bits


class BinaryPlacementProblem(PlacementProblem):
    """The placement problem with one boolean variable a bit."""

    def __init__(self, evaluation: Evaluation) -> None:
        super().__init__(evaluation.problem, evaluation=evaluation)
        self.code = BinaryCode(evaluation.problem.layers)
        self.n_var = self.code.length
        self.vtype = bool
        self.xl, self.xu = np.zeros(self.n_var), np.ones(self.n_var)

    def decode(self, x: Any) -> IntArray:  # noqa: ANN401 - pymoo hands over bools or objects
        """Return the splits (n_plans, n_nodes) that the bits `x` stand for."""
        return self.code.decode(np.asarray(x, dtype=bool))


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

    def start(self, evaluation: Evaluation) -> tuple[Any, PlacementProblem, int]:
        """Return pymoo's genetic algorithm with these operators (see the base class)."""
        algorithm = GA(
            pop_size=self.population,
            sampling=BinaryRandomSampling(),
            crossover=SinglePointCrossover(prob=self.crossover),
            mutation=BitflipMutation(prob=1.0, prob_var=self.mutation),
            eliminate_duplicates=False,
        )
        return algorithm, BinaryPlacementProblem(evaluation), self.generations
