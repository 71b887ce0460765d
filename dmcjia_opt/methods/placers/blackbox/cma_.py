"""pycma: CMA-ES with integer handling, restarted with a larger population when it has converged."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.methods.placers.blackbox.asktell import DEFAULT_EVALUATIONS, DEFAULT_PATIENCE
from dmcjia_opt.methods.placers.blackbox.library_search import LibrarySearch
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.contract import Stop
from dmcjia_opt.solving.options import AtLeastOne, Count, method

_MOST = 1000  # individuals, however often it restarts


@method
class Cma(LibrarySearch):
    """CMA-ES by pycma with `integer_variables` (https://doi.org/10.48550/arXiv.1604.00772).

    Parameters
    ----------
    population
        Individuals of the first run; 0 for pycma's choice, 4 + 3 ln n.
    step
        First standard deviation, as a fraction of each node's number of layers.
    growth
        Factor of the population at a restart (IPOP, https://doi.org/10.1109/CEC.2005.1554902).
    evaluations
        Distinct plans, when no budget of evaluations or seconds is given.
    patience
        Plans it may propose again, beyond one for each new plan, before the search is taken to have ended.
    """

    library: ClassVar[str] = "pycma"
    population: Literal[0] | Annotated[int, Field(ge=3)] = 0
    step: Annotated[float, Field(gt=0, le=1)] = 0.3
    growth: AtLeastOne = 2.0
    evaluations: Count = DEFAULT_EVALUATIONS
    patience: Count = DEFAULT_PATIENCE
    repair: bool = True
    finite: bool = True

    def start(self, problem: Problem, stop: Stop, rng: np.random.Generator) -> CmaSearcher:
        """Return the first run (see the base class)."""
        return CmaSearcher(problem.last.astype(float), self, rng)


class CmaSearcher:
    """CMA-ES over a box of integers, from a random start, again and again.

    Parameters
    ----------
    upper
        (n_nodes,) last option of each node, > 0.
    options
        The placer.
    rng
        Draws where each run begins.
    """

    def __init__(self, upper: FloatArray, options: Cma, rng: np.random.Generator) -> None:
        # pycma needs two variables: one node gets a second that does not matter
        self._upper = upper if len(upper) > 1 else np.append(upper, 1.0)
        self._n = len(upper)
        self._options = options
        self._rng = rng
        self.strategy = self._run(options.population)
        self._asked: list[FloatArray] = []
        self._alike = False

    def ask(self) -> FloatArray:
        """Return a population (n_plans, n_nodes), not rounded."""
        if self._alike or self.strategy.stop():
            self.strategy = self._run(min(int(self.strategy.popsize * self._options.growth), _MOST))
        self._asked = self.strategy.ask()
        proposed = np.array(self._asked)[:, : self._n]
        self._alike = not np.ptp(np.rint(proposed), axis=0).any()  # pycma goes on, and would repeat one plan
        return proposed

    def tell(self, candidates: FloatArray, values: FloatArray) -> None:
        """Tell the mean delays (n_plans,), s, of the population proposed last."""
        self.strategy.tell(self._asked, values.tolist())

    def _run(self, population: int) -> Any:  # noqa: ANN401 - a cma.CMAEvolutionStrategy
        import cma

        settings = {
            "bounds": [np.zeros_like(self._upper), self._upper],
            "integer_variables": list(range(len(self._upper))),
            "CMA_stds": self._upper,
            "seed": np.nan,  # the generator it draws from is seeded by `Manners`
            "verbose": -10,  # silent, and reads no settings from the working directory
            "verb_log": 0,
        }
        if population:
            settings["popsize"] = population
        return cma.CMAEvolutionStrategy(self._rng.uniform(0.0, self._upper), self._options.step, settings)
