"""pymoo: the placement problem as a plain pymoo integer Problem, and any of pymoo's single-objective algorithms."""

from __future__ import annotations

import importlib
import warnings
from abc import ABC, abstractmethod
from typing import Annotated, Any

import numpy as np
from pymoo.core.problem import Problem as PymooProblem
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.operators.sampling.rnd import IntegerRandomSampling
from pymoo.termination.max_gen import MaximumGenerationTermination

from dmcjia_opt.base.arrays import BoolArray, FloatArray, IntArray
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.contract import Allocator, AnyChoice
from dmcjia_opt.solving.options import Count, OneOf, method
from dmcjia_opt.solving.search import Search

_UNLIMITED = 10**9
DEFAULT_GENERATIONS = 100


class PlacementProblem(PymooProblem):  # type: ignore[misc]
    """Options as integer variables, mean delay as objective, overload as the one constraint.

    Works with `pymoo.optimize.minimize` and nothing else of this package. Variables that are not integers are
    rounded, so that continuous algorithms run on it too. An infeasible plan has a large finite objective and a
    positive constraint value: the overload of what is shared plus the number of nodes whose edge queue is unstable.

    Parameters
    ----------
    problem
        The compiled problem.
    allocator
        Chooses the shares of each plan; water-filling by default.
    search
        Keeps budget, cache and incumbent; by default a new one that nothing ends.

    Raises
    ------
    InputError
        If a node has only one option, which pymoo's operators divide by.
    """

    def __init__(self, problem: Problem, allocator: Allocator | None = None, *, search: Search | None = None) -> None:
        if (problem.last == 0).any():
            raise InputError("pymoo needs at least two options at every node")
        self.search = search or Search(problem, allocator or WaterFilling())
        super().__init__(
            n_var=problem.n_nodes, n_obj=1, n_ieq_constr=1, xl=np.zeros(problem.n_nodes), xu=problem.last, vtype=int
        )

    def decode(self, x: FloatArray) -> IntArray:
        """Return the options (n_plans, n_nodes) that the variables `x` stand for."""
        return np.clip(np.rint(x), self.xl, self.xu).astype(np.int64)

    def encode(self, options: IntArray) -> IntArray | BoolArray:
        """Return the variables (n_plans, n_var) that stand for `options` (n_plans, n_nodes)."""
        return options

    def _evaluate(self, x: FloatArray, out: dict[str, Any], *args: object, **kwargs: object) -> None:
        options = self.decode(np.atleast_2d(x))
        out["F"] = self.search.finite(options)[:, None]
        out["G"] = self.search.problem.overload(options)[:, None]


class EvolutionaryPlacer(AnyChoice, ABC):
    """A placer that runs a pymoo algorithm until its generations or the budget are spent."""

    __slots__ = ()

    def search(self, search: Search, rng: np.random.Generator) -> None:
        """Run the algorithm; a budget of evaluations or seconds replaces its generations."""
        algorithm, seen, generations = self.start(search)
        limit = MaximumGenerationTermination(_UNLIMITED if search.budgeted else generations)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pymoo's advice on compiled modules and operators
            algorithm.setup(seen, termination=limit, seed=int(rng.integers(2**31 - 1)))
            while algorithm.has_next():
                algorithm.next()
                search.tick()

    @abstractmethod
    def start(self, search: Search) -> tuple[Any, PlacementProblem, int]:
        """Return a fresh pymoo algorithm, the problem it sees, and its generations when there is no budget."""


#: Name → (module, whether it takes integer sampling, whether it takes a rounding repair). pymoo's NicheGA,
#: PatternSearch and DIRECT are left out: they draw from generators of their own, so that no seed repeats a plan.
ALGORITHMS: dict[str, tuple[str, bool, bool]] = {
    "GA": ("ga", True, True),
    "DE": ("de", True, False),
    "PSO": ("pso", False, True),
    "BRKGA": ("brkga", False, False),
    "ES": ("es", False, False),
    "SRES": ("sres", False, False),
    "ISRES": ("isres", False, False),
    "CMAES": ("cmaes", False, False),
    "G3PCX": ("g3pcx", False, False),
    "EPPSO": ("pso_ep", False, False),
    "NRBO": ("nrbo", False, True),
    "RandomSearch": ("random_search", True, False),
    "NelderMead": ("nelder", False, False),
}


@method
class PymooPlacer(EvolutionaryPlacer):
    """Any single-objective pymoo algorithm that suits an integer problem.

    Parameters
    ----------
    algorithm
        One of `ALGORITHMS`.
    generations
        Generations when no budget is given.
    """

    algorithm: Annotated[str, OneOf(ALGORITHMS)] = "GA"
    generations: Count = DEFAULT_GENERATIONS

    def start(self, search: Search) -> tuple[Any, PlacementProblem, int]:
        """Return the algorithm with pymoo's own settings (see the base class)."""
        return _build(self.algorithm), PlacementProblem(search.problem, search=search), self.generations


def _build(name: str) -> Any:  # noqa: ANN401 - a pymoo Algorithm
    module, integer, repaired = ALGORITHMS[name]
    options: dict[str, Any] = {}
    if integer:
        options["sampling"] = IntegerRandomSampling()
    if repaired:
        options["repair"] = RoundingRepair()
    if name == "GA":
        from pymoo.operators.crossover.sbx import SBX
        from pymoo.operators.mutation.pm import PM

        options["crossover"] = SBX(vtype=float, repair=RoundingRepair())
        options["mutation"] = PM(vtype=float, repair=RoundingRepair())
        options["eliminate_duplicates"] = True
    return getattr(importlib.import_module(f"pymoo.algorithms.soo.nonconvex.{module}"), name)(**options)
