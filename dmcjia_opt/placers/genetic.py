"""A modern integer genetic algorithm: uniform crossover, and a mutation that resets or creeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pymoo.algorithms.soo.nonconvex.ga import GA
from pymoo.core.mutation import Mutation
from pymoo.operators.crossover.ux import UniformCrossover
from pymoo.operators.sampling.rnd import IntegerRandomSampling

from dmcjia_opt.dual import maximise
from dmcjia_opt.errors import InputError
from dmcjia_opt.model.arrays import IntArray
from dmcjia_opt.placers.evaluation import Evaluation
from dmcjia_opt.placers.pymoo_ import EvolutionaryPlacer, PlacementProblem


class ResetOrCreep(Mutation):  # type: ignore[misc]
    """Integer mutation: a gene is drawn anew, or moves by a geometric number of steps.

    Parameters
    ----------
    rate
        Expected number of genes that change in one individual, besides the one that always does.
    reset
        Probability that a changing gene is drawn anew rather than moved.
    stay
        Parameter p of the geometric step length: mean 1/p.
    """

    def __init__(self, rate: float, reset: float, stay: float) -> None:
        super().__init__(prob=1.0)
        self.rate, self.reset, self.stay = rate, reset, stay

    def _do(self, problem: Any, x: IntArray, *, random_state: np.random.Generator, **kwargs: object) -> IntArray:  # noqa: ANN401
        n, m = x.shape
        change = random_state.random((n, m)) < min(1.0, self.rate / m)
        change[np.arange(n), random_state.integers(m, size=n)] = True
        low, high = problem.xl.astype(np.int64), problem.xu.astype(np.int64)
        drawn = random_state.integers(low, high + 1, size=(n, m))
        step = random_state.geometric(self.stay, (n, m)) * random_state.choice([-1, 1], (n, m))
        moved = np.clip(x + step, low, high)
        mutated = np.where(random_state.random((n, m)) < self.reset, drawn, moved)
        return np.where(change, mutated, x).astype(np.int64)


class StartWith(IntegerRandomSampling):  # type: ignore[misc]
    """A random population whose first individual is given.

    Parameters
    ----------
    splits
        (n_nodes,) that individual.
    """

    def __init__(self, splits: IntArray) -> None:
        super().__init__()
        self.splits = splits

    def _do(self, problem: Any, n_samples: int, *args: object, **kwargs: object) -> IntArray:  # noqa: ANN401
        drawn: IntArray = super()._do(problem, n_samples, *args, **kwargs)
        drawn[0] = self.splits
        return drawn


@dataclass(frozen=True, slots=True)
class Genetic(EvolutionaryPlacer):
    """Integer genetic algorithm on `PlacementProblem`.

    Parameters
    ----------
    population
        Individuals kept.
    offspring
        New individuals a generation.
    generations
        Generations when no budget of evaluations or seconds is given.
    crossover
        Probability that two parents exchange genes.
    mutation
        Expected number of genes that change in one offspring, besides the one that always does.
    reset
        Share of the changes that draw a new split; the others move by a few layers.
    start_from_dual
        Put into the first population the plan that the Lagrangian dual chooses at its best price; of the two where it
        changes there, the one that asks for less of the cloud.
    """

    population: int = 20
    offspring: int = 20
    generations: int = 500
    crossover: float = 0.9
    mutation: float = 0.3
    reset: float = 0.3
    start_from_dual: bool = False

    def __post_init__(self) -> None:
        """Check the options."""
        if self.population < 2 or self.offspring < 1 or self.generations < 1:
            raise InputError("genetic needs a population of at least 2, and 1 offspring and generation")
        if not (0 <= self.crossover <= 1 and 0 <= self.reset <= 1 and self.mutation >= 0):
            raise InputError("crossover and reset are probabilities, and mutation is >= 0")

    def start(self, evaluation: Evaluation) -> tuple[Any, PlacementProblem, int]:
        """Return pymoo's genetic algorithm with these operators (see the base class)."""
        start = StartWith(maximise(evaluation.problem)[1].splits) if self.start_from_dual else IntegerRandomSampling()
        algorithm = GA(
            pop_size=self.population,
            n_offsprings=self.offspring,
            sampling=start,
            crossover=UniformCrossover(prob=self.crossover),
            mutation=ResetOrCreep(self.mutation, self.reset, 0.4),
            eliminate_duplicates=True,
        )
        return algorithm, PlacementProblem(evaluation.problem, evaluation=evaluation), self.generations
