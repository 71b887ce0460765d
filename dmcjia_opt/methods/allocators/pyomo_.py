"""Shares by IPOPT on a Pyomo model of the inner problem; a tandem's kinks in epigraph form.

With an ``ipopt`` program on PATH Pyomo runs it. Without one Pyomo writes the same model to an .nl file, and CasADi,
whose wheel carries IPOPT, reads and solves that: nothing but wheels is needed. Either way values and duals return to
the Pyomo model, and the answer is read from there.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import field
from typing import Any

import numpy as np

from dmcjia_opt.methods.allocators.nl_bridge import solve_with_casadi
from dmcjia_opt.methods.allocators.one_by_one import Answer, Models, OneByOne, OnePlan
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.contract import Status, of_the_mean
from dmcjia_opt.solving.options import Count, Factor, method

_Model = Any  # a Pyomo ConcreteModel; Pyomo is untyped
_PROGRAM_STATUS = {
    "optimal": Status.OPTIMAL,
    "locallyOptimal": Status.OPTIMAL,
    "maxIterations": Status.LIMIT,
    "maxTimeLimit": Status.LIMIT,
}
_CASADI_STATUS = {
    "Solve_Succeeded": Status.OPTIMAL,
    "Solved_To_Acceptable_Level": Status.INACCURATE,
    "Search_Direction_Becomes_Too_Small": Status.INACCURATE,
    "Maximum_Iterations_Exceeded": Status.LIMIT,
    "Maximum_CpuTime_Exceeded": Status.LIMIT,
    "Maximum_WallTime_Exceeded": Status.LIMIT,
}


@method
class IpoptAllocator(OneByOne):
    """Optimal shares by an interior-point method for nonlinear programs.

    Parameters
    ----------
    tolerance
        IPOPT's ``tol``, > 0; the objective it sees is 1 at the even allocation.
    max_iterations
        Iterations after which a row ends with `Status.LIMIT`, at least 1.

    Notes
    -----
    Pyomo is not thread-safe: use processes. Models are kept by shape and are not pickled. Solves start from the even
    allocation, so that a plan's shares do not depend on the plans before it.
    """

    tolerance: Factor = 1e-10
    max_iterations: Count = 200
    _models: Models = field(default_factory=lambda: Models(_build), init=False, repr=False, compare=False)

    def supports(self, problem: Problem) -> str | None:
        """Return why not; the inner problem is convex whatever the sign of a."""
        return of_the_mean(problem, "waterfilling", percentiles=False, renewal=not problem.kinked)

    def solve_one(self, plan: OnePlan) -> Answer | None:
        """Return IPOPT's answer; None when it crashes or ends without a solution."""
        model = self._models.get(len(plan.t), len(plan.terms), plan.factors, *plan.shared)
        _fill(model, plan)
        options = {
            "tol": self.tolerance,
            "max_iter": self.max_iterations,
            "acceptable_iter": 0,
            "bound_relax_factor": 0.0,
            "nlp_scaling_method": "none",
            "print_level": 0,
            "sb": "yes",
        }
        program = shutil.which("ipopt")
        status = _by_casadi(model, options) if program is None else _by_program(model, program, options)
        if status is None:
            return None
        y = np.array([v.value for v in model.y.values()], dtype=np.float64)
        # A dual in Pyomo is the objective's change per unit of the right-hand side: negative for a budget.
        multipliers = [-float(model.dual.get(budget, np.nan)) for budget in model.budget.values()]
        return Answer(y, multipliers[0] if plan.rows is None else np.array(multipliers), status)


def _build(
    n: int,
    n_terms: int,
    factors: tuple[tuple[float, ...], ...],
    n_budgets: int = 1,
    n_tandems: int = 0,
    n_stages: int = 1,
) -> _Model:
    import pyomo.environ as pyo

    model = pyo.ConcreteModel()
    model.nodes = pyo.RangeSet(0, n - 1)
    model.parts = pyo.RangeSet(0, n_terms - 1)
    model.t = pyo.Param(range(n_budgets), model.nodes, mutable=True)
    model.weight = pyo.Param(model.parts, model.nodes, mutable=True)
    model.slope = pyo.Param(model.parts, model.nodes, mutable=True)
    model.rest = pyo.Param(model.parts, model.nodes, mutable=True)
    model.y = pyo.Var(model.nodes, bounds=(0.0, None))

    def term(k: int, d: int) -> Any:  # noqa: ANN401 - a Pyomo expression
        return model.weight[k, d] / (model.slope[k, d] * model.y[d] + model.rest[k, d])

    def part(i: int, d: int) -> Any:  # noqa: ANN401 - a Pyomo expression
        return sum(f * term(k, d) for k, f in enumerate(factors[i]) if f != 0.0) - model.relief[i, d]

    if factors:
        model.relief = pyo.Param(range(len(factors)), model.nodes, mutable=True)
        # one for each tandem, and for every other use
        model.most = pyo.Var(range(n_tandems + n - n_tandems * n_stages))
        model.pieces = pyo.ConstraintList()
        for i in range(len(factors)):
            for d in range(n_tandems * n_stages, n):
                model.pieces.add(part(i, d) - model.most[n_tandems + d - n_tandems * n_stages] <= 0.0)
        for tandem in range(n_tandems):
            # of its stages at most one is waited for
            stages = range(tandem * n_stages, (tandem + 1) * n_stages)
            model.pieces.add(sum(part(1, d) for d in stages) - model.most[tandem] <= 0.0)
            for waited in stages:
                piece = sum(part(0 if d == waited else 1, d) for d in stages)
                model.pieces.add(piece - model.most[tandem] <= 0.0)
        cost = sum(model.most.values())
    else:
        cost = sum(term(k, d) for k in model.parts for d in model.nodes)
    model.delay = pyo.Objective(expr=cost)
    model.budget = pyo.ConstraintList()
    for r in range(n_budgets):
        model.budget.add(sum(model.t[r, d] * model.y[d] for d in model.nodes) <= 1.0)
    model.dual = pyo.Suffix(direction=pyo.Suffix.IMPORT)
    return model


def _fill(model: _Model, plan: OnePlan) -> None:
    for (r, d), t in np.ndenumerate(plan.budgets):
        model.t[r, d] = float(t)
    for d in model.nodes:
        model.y[d] = 1.0
    model.dual.clear()
    for k, term in enumerate(plan.terms):
        for parameter, values in ((model.weight, term.weight), (model.slope, term.slope), (model.rest, term.rest)):
            for d, value in enumerate(values.tolist()):
                parameter[k, d] = value
    if plan.parts:
        at_even = np.array([term.weight for term in plan.terms])
        costs = np.array([np.array(part.factors) @ at_even - part.relief for part in plan.parts])
        n_series = plan.n_tandems * plan.n_stages
        last, longest = (
            each[:n_series].reshape(plan.n_tandems, plan.n_stages) for each in (costs[-1], costs.max(axis=0))
        )
        series = last.sum(axis=1) + (longest - last).max(axis=1, initial=0.0)
        for i, value in enumerate([*series.tolist(), *costs.max(axis=0)[n_series:].tolist()]):
            model.most[i] = value
        for i, part in enumerate(plan.parts):
            for d, value in enumerate(part.relief.tolist()):
                model.relief[i, d] = value


def _by_program(model: _Model, program: str, options: Mapping[str, Any]) -> Status | None:
    import pyomo.environ as pyo
    from pyomo.common.errors import ApplicationError
    from pyomo.common.tempfiles import TempfileManager
    from pyomo.opt import SolverStatus

    solver = pyo.SolverFactory("ipopt", executable=program)
    solver.options.update(options)
    outer = TempfileManager.tempdir
    with tempfile.TemporaryDirectory(prefix="dmcjia-") as folder:
        TempfileManager.tempdir = folder  # Pyomo leaves its files behind when the program crashes
        try:
            with TempfileManager:
                results = solver.solve(model, load_solutions=False)
        except (ApplicationError, OSError, ValueError):
            return None
        finally:
            TempfileManager.tempdir = outer
    status = _PROGRAM_STATUS.get(str(results.solver.termination_condition))
    if status is None or len(results.solution) == 0:
        return None
    results.solver.status = SolverStatus.ok  # Pyomo logs a warning when it loads a limit's values otherwise
    model.solutions.load_from(results)
    return status


def _by_casadi(model: _Model, options: Mapping[str, Any]) -> Status | None:
    solution = solve_with_casadi(model, options)
    status = None if solution is None else _CASADI_STATUS.get(solution.status)
    if solution is None or status is None:
        return None
    solution.load()
    for constraint, dual in solution.duals:
        model.dual[constraint] = dual
    return status
