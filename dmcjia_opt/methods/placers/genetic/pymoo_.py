"""pymoo: the placement problem as a plain pymoo integer Problem, and any of pymoo's single-objective algorithms."""

from __future__ import annotations

import importlib
import time
import warnings
from abc import ABC, abstractmethod
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pymoo.core.problem import Problem as PymooProblem
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.operators.sampling.rnd import IntegerRandomSampling
from pymoo.termination.max_gen import MaximumGenerationTermination

from dmcjia_opt.base.arrays import BoolArray, FloatArray, IntArray
from dmcjia_opt.base.errors import InfeasibleError, InputError
from dmcjia_opt.base.handing import check_arguments
from dmcjia_opt.base.showing import described
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.scenario.scenario import Scenario
from dmcjia_opt.solving.contract import Allocator, AnyChoice
from dmcjia_opt.solving.evaluating import GIVEN, certified
from dmcjia_opt.solving.options import Count, OneOf, method
from dmcjia_opt.solving.plan import Plan
from dmcjia_opt.solving.search import Search
from dmcjia_opt.solving.target import Target

_UNLIMITED = 10**9
DEFAULT_GENERATIONS = 100


class PlacementProblem(PymooProblem):  # type: ignore[misc]
    """Options as integer variables, mean delay as objective, overload as the one constraint.

    Works with `pymoo.optimize.minimize` and nothing else of this package. Variables that are not integers are
    rounded, so that continuous algorithms and operators, such as those of a plain ``GA()``, run on it too. An
    infeasible plan has a large finite objective and a positive constraint value: the overload of what is shared plus
    the number of nodes whose edge queue is unstable.

    Parameters
    ----------
    problem
        What to plan: a problem, a scenario or the path of its file.
    allocator
        Chooses the shares of each plan; water-filling by default.
    search
        Keeps budget, cache and incumbent; by default a new one that nothing ends.

    Raises
    ------
    InputError
        If a node has only one option, which pymoo's operators divide by.

    Examples
    --------
    >>> from pymoo.algorithms.soo.nonconvex.ga import GA
    >>> from pymoo.optimize import minimize
    >>> from dmcjia_opt import PlacementProblem, generate
    >>> placement = PlacementProblem(generate("paper", nodes=8, seed=1))
    >>> plan = placement.plan(minimize(placement, GA(pop_size=30), ("n_gen", 20), seed=1))
    >>> plan.placer, plan.gap < 0.1
    ('GA of pymoo', True)
    """

    def __init__(
        self,
        problem: Problem | Scenario | str | Path,
        allocator: Allocator | None = None,
        *,
        search: Search | None = None,
    ) -> None:
        check_arguments(PlacementProblem.__init__, locals(), "problem")
        self.target = Target.of(problem)
        problem = self.target.problem
        if (problem.last == 0).any():
            raise InputError("pymoo needs at least two options at every node")
        self.search = search or Search(problem, allocator or WaterFilling())
        super().__init__(
            n_var=problem.n_nodes, n_obj=1, n_ieq_constr=1, xl=np.zeros(problem.n_nodes), xu=problem.last, vtype=int
        )

    def plan(self, result: Any) -> Plan:  # noqa: ANN401 - a pymoo Result, which is untyped
        """Return what pymoo found as a plan, its delay recomputed and its gap proved.

        Parameters
        ----------
        result
            What ``minimize`` returned for this problem, or the variables (n_var,) of one plan.

        Raises
        ------
        InputError
            If it holds several plans, or is none.
        InfeasibleError
            If pymoo found no plan.
        """
        began, x = datetime.now(UTC), getattr(result, "X", result)
        if x is None and hasattr(result, "X"):
            raise InfeasibleError("pymoo found no feasible plan; raise its budget, or start from other plans")
        try:
            variables: FloatArray = np.asarray(x, dtype=np.float64)
        except (TypeError, ValueError):
            variables = np.zeros(0)
        if variables.shape != (self.n_var,):
            raise InputError(
                f"plan needs what minimize returned for this problem, or {self.n_var} variables, got {described(x)}"
            )
        algorithm = getattr(result, "algorithm", None)
        options = self.decode(variables[None])[0]
        allocator = self.search.allocator
        found = allocator.allocate(self.target.problem, options[None]).shares[0]
        return certified(
            self.target,
            options,
            found,
            began=began,
            started=time.perf_counter() - float(getattr(result, "exec_time", None) or 0.0),
            allocator="waterfilling" if isinstance(allocator, WaterFilling) else type(allocator).__name__,
            placer=GIVEN if algorithm is None else f"{type(algorithm).__name__} of pymoo",
            evaluations=1 if algorithm is None else int(algorithm.evaluator.n_eval),
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
