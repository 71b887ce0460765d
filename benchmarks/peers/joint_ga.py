"""A genetic algorithm as papers run it: options and shares in one chromosome, pymoo's operators at their defaults.

Source: J. Blank and K. Deb, "pymoo: multi-objective optimization in Python", IEEE Access 8, 2020,
doi:10.1109/ACCESS.2020.2990567; simulated binary crossover with probability 0.9 and index 15, polynomial mutation with
index 20 and a population of 100 are its defaults, and what most papers on offloading say of theirs.

A gene a node for its option, rounded, and a gene for each share: the shares of a resource are its genes over their sum,
so that no budget is broken. What is unstable has a large delay that grows with the overload.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pymoo.algorithms.soo.nonconvex.ga import GA
from pymoo.core.problem import Problem as PymooProblem
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.mutation.pm import PM

from dmcjia_opt import Search
from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.methods.placers.genetic.pymoo_ import EvolutionaryPlacer
from dmcjia_opt.solving.options import Count, method


class OptionsAndShares(PymooProblem):
    """Options and weights of shares as real variables, the objective as the one to minimise."""

    def __init__(self, search: Search) -> None:
        problem = search.problem
        most = np.concatenate([problem.last.astype(np.float64), np.ones(problem.n_nodes * problem.n_uses)])
        self.search = search
        super().__init__(n_var=len(most), n_obj=1, xl=np.zeros(len(most)), xu=most, vtype=float)

    def _evaluate(self, x: FloatArray, out: dict[str, Any], *args: object, **kwargs: object) -> None:
        problem = self.search.problem
        n = problem.n_nodes
        values = []
        for row in np.atleast_2d(x):
            options = np.clip(np.rint(row[:n]), 0, problem.last).astype(np.int64)
            reserved = ~problem.pooled[problem.at(problem.resource, options)]
            used = (problem.at(problem.service, options) > 0) & reserved
            weight = np.where(used, np.maximum(row[n:].reshape(n, -1), 1e-6), 0.0)
            total = problem.by_resource(options, weight)[problem.at(problem.resource, options)]
            value = self.search.offer(options, np.where(used, weight / np.where(total > 0, total, 1.0), 0.0))
            worse = self.search.penalty * (1.0 + float(problem.overload(options)))
            values.append(value if np.isfinite(value) else worse)
        out["F"] = np.array(values)[:, None]


@method
class JointGa(EvolutionaryPlacer):
    """pymoo's GA on options and shares at once, at the settings that papers report.

    Parameters
    ----------
    population
        Individuals.
    generations
        Generations when no budget is given.
    """

    population: Count = 100
    generations: Count = 200

    def start(self, search: Search) -> tuple[Any, Any, int]:
        """Return the algorithm, what it sees, and its generations."""
        operators = {"crossover": SBX(prob=0.9, eta=15), "mutation": PM(eta=20)}
        return GA(pop_size=self.population, **operators), OptionsAndShares(search), self.generations
