"""Operators of genetic algorithms that pymoo does not have: mutation of integers, selections, survival."""

from __future__ import annotations

from typing import Any

import numpy as np
from pymoo.algorithms.soo.nonconvex.ga import FitnessSurvival
from pymoo.core.mutation import Mutation
from pymoo.core.population import Population
from pymoo.core.selection import Selection

from dmcjia_opt.base.arrays import FloatArray, IntArray


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


class ByChance(Selection):  # type: ignore[misc]
    """Parents drawn with replacement, each individual with a chance that a subclass gives it."""

    def chances(self, objective: FloatArray, violation: FloatArray) -> FloatArray:
        """Return the chance (n,) of each individual from its objective and constraint violation, (n,) each."""
        raise NotImplementedError

    def _do(
        self,
        _: Any,  # noqa: ANN401 - the pymoo Problem
        pop: Any,  # noqa: ANN401 - a pymoo Population
        n_select: int,
        n_parents: int,
        *args: object,
        random_state: np.random.Generator,
        **kwargs: object,
    ) -> IntArray:
        chances = self.chances(*_merits(pop))
        return random_state.choice(len(pop), size=(n_select, n_parents), p=chances)


class Roulette(ByChance):
    """Chances in proportion to how much better than the worst feasible individual one is.

    An infeasible individual has no chance beside feasible ones; among themselves the violation counts.
    """

    def chances(self, objective: FloatArray, violation: FloatArray) -> FloatArray:
        """Return the chance of each individual (see the base class)."""
        feasible = violation <= 0.0
        value = np.where(feasible, objective, np.inf) if feasible.any() else violation
        worst = value[np.isfinite(value)].max()
        merit = np.where(np.isfinite(value), worst - value, 0.0)
        if merit.sum() <= 0.0:
            merit = np.isfinite(value).astype(np.float64)
        return np.asarray(merit / merit.sum())


class LinearRank(ByChance):
    """Chances fall linearly with the rank; the best has `pressure` times the mean chance, the worst 2 − `pressure`.

    Parameters
    ----------
    pressure
        Between 1 (all alike) and 2 (the worst has no chance).

    Notes
    -----
    Baker 1985, "Adaptive selection methods for genetic algorithms".
    """

    def __init__(self, pressure: float = 1.8) -> None:
        super().__init__()
        self.pressure = pressure

    def chances(self, objective: FloatArray, violation: FloatArray) -> FloatArray:
        """Return the chance of each individual (see the base class)."""
        n = len(objective)
        rank = _ranks(objective, violation)
        return np.asarray((self.pressure - 2.0 * (self.pressure - 1.0) * rank / max(n - 1, 1)) / n)


def fittest(pop: Any, entrants: IntArray, **kwargs: object) -> IntArray:  # noqa: ANN401 - a pymoo Population
    """Return the winner (n, 1) of each tournament among `entrants` (n, size), for pymoo's `TournamentSelection`."""
    rank = _ranks(*_merits(pop))
    winner = rank[entrants].argmin(axis=1)[:, None]
    return np.take_along_axis(entrants, winner, 1)


class Elitism(FitnessSurvival):  # type: ignore[misc]
    """Survival of the fittest among the offspring and a few of the parents.

    Parameters
    ----------
    elite
        How many parents, the best, compete with the offspring: 0 is (μ, λ), the population's size (μ + λ).
    """

    def __init__(self, elite: int) -> None:
        super().__init__()
        self.elite = elite

    def _do(self, problem: Any, pop: Any, *args: object, algorithm: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        parents = len(algorithm.pop)
        best = np.argsort(_ranks(*_merits(pop[:parents])), kind="stable")[: self.elite]
        contest = Population.merge(pop[:parents][best], pop[parents:])
        return super()._do(problem, contest, *args, **kwargs)


def _merits(pop: Any) -> tuple[FloatArray, FloatArray]:  # noqa: ANN401 - a pymoo Population
    objective, violation = pop.get("F", "cv")
    return np.asarray(objective, dtype=np.float64)[:, 0], np.asarray(violation, dtype=np.float64)


def _ranks(objective: FloatArray, violation: FloatArray) -> IntArray:
    """Return the rank (n,) of each individual, 0 the best: feasible ones first, then by violation."""
    rank = np.empty(len(objective), dtype=np.int64)
    rank[np.lexsort([objective, violation])] = np.arange(len(objective))
    return rank
