"""MindtPy's outer approximation on a Pyomo model of the smooth form: HiGHS for its MILPs, CasADi's IPOPT for its NLPs.

MindtPy wants an ``ipopt`` program on PATH; here it is given an object that passes its subproblems to CasADi instead.
"""

from __future__ import annotations

import io
import logging
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import pyomo.environ as pyo
from pyomo.common.log import LoggingIntercept
from pyomo.contrib.mindtpy.outer_approximation import MindtPy_OA_Solver
from pyomo.opt import SolverResults, TerminationCondition

from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.base.errors import BackendFailed
from dmcjia_opt.methods.allocators.nl_bridge import solve_with_casadi
from dmcjia_opt.methods.placers.solvers.cone_model import SMOOTHING, ConeModel
from dmcjia_opt.methods.placers.solvers.cone_placer import MAX_NODES, ConePlacer, SolverAnswer, SolverLimits
from dmcjia_opt.solving.contract import Status
from dmcjia_opt.solving.options import Count, method

_NO_LIMIT = 10**9
_SILENT = logging.CRITICAL + 1
_TERMINATION: Mapping[str, TerminationCondition] = MappingProxyType(
    {
        "Solve_Succeeded": TerminationCondition.optimal,
        "Solved_To_Acceptable_Level": TerminationCondition.optimal,
        "Search_Direction_Becomes_Too_Small": TerminationCondition.feasible,
        "Infeasible_Problem_Detected": TerminationCondition.infeasible,
        "Maximum_Iterations_Exceeded": TerminationCondition.maxIterations,
        "Maximum_CpuTime_Exceeded": TerminationCondition.maxTimeLimit,
        "Maximum_WallTime_Exceeded": TerminationCondition.maxTimeLimit,
    }
)
_STATUS: Mapping[TerminationCondition, Status] = MappingProxyType(
    {
        TerminationCondition.optimal: Status.OPTIMAL,
        TerminationCondition.feasible: Status.INACCURATE,  # it went in a cycle
        TerminationCondition.maxTimeLimit: Status.LIMIT,
        TerminationCondition.infeasible: Status.INFEASIBLE,
    }
)


@method
class MindtPy(ConePlacer):
    """The optimum by Pyomo's outer approximation.

    Parameters
    ----------
    max_nodes
        Refuse problems of more nodes.

    Notes
    -----
    The time limit is kept to within one MILP, whose own limit is in whole seconds. One bound in 300 has been seen 4e-5
    above the optimum of a small tandem; with IPOPT at 1e-9 instead of 1e-11 it is one in 50.
    """

    max_nodes: Count = MAX_NODES

    @property
    def solver_name(self) -> str:
        """MindtPy."""
        return "MindtPy"

    def solve(self, model: ConeModel, limits: SolverLimits) -> SolverAnswer:
        """Return MindtPy's best plan and dual bound."""
        solver = _OuterApproximation()
        seconds = math.ceil(max(limits.seconds, 1.0)) if math.isfinite(limits.deadline) else _NO_LIMIT
        with LoggingIntercept(io.StringIO(), "pyomo", _SILENT):
            program = _build(model)
            try:
                results = solver.solve(
                    program,
                    mip_solver="appsi_highs",
                    mip_solver_mipgap=1e-8,
                    threads=1,
                    time_limit=seconds,
                    relative_bound_tolerance=max(limits.gap, 1e-12),
                    absolute_bound_tolerance=1e-12,
                    zero_tolerance=1e-4,
                    iteration_limit=_NO_LIMIT,
                    stalling_limit=_NO_LIMIT,
                    logger=logging.Logger("mindtpy"),
                    logging_level=_SILENT,
                )
            except (ValueError, RuntimeError, ArithmeticError, TypeError, AttributeError) as error:
                raise BackendFailed(f"MindtPy crashed: {' '.join(str(error).split())}") from None
        bound = float(solver.dual_bound)
        ended = results.solver.termination_condition
        status = _STATUS.get(ended)
        if ended == TerminationCondition.noSolution and limits.seconds == 0.0:
            status = Status.LIMIT
        if status is None:
            raise BackendFailed(f'MindtPy ended with status "{ended}"; use another placer')
        if solver.best_solution_found is None:
            return SolverAnswer(status, None, bound)
        z = np.array([variable.value for variable in program.z.values()], dtype=np.float64)
        return SolverAnswer(status, z, bound)


class _CasadiIpopt:
    """What MindtPy needs of an NLP solver."""

    def __init__(self) -> None:
        self.options: dict[str, Any] = {}

    def solve(self, model: Any, **_: object) -> SolverResults:  # noqa: ANN401 - a Pyomo model
        solution = solve_with_casadi(
            model,
            {
                "tol": 1e-11,
                "acceptable_iter": 0,
                "bound_relax_factor": 0.0,
                "nlp_scaling_method": "none",
                "max_cpu_time": float(self.options["max_cpu_time"]),
                "print_level": 0,
                "sb": "yes",
            },
        )
        results = SolverResults()
        ended = TerminationCondition.error if solution is None else _TERMINATION.get(solution.status)
        results.solver.termination_condition = ended or TerminationCondition.error
        if solution is not None and ended in (TerminationCondition.optimal, TerminationCondition.feasible):
            solution.load()
        return results


class _OuterApproximation(MindtPy_OA_Solver):  # type: ignore[misc]
    def check_subsolver_validity(self) -> None:
        """Put our NLP solver in the place of the one that would be looked for on PATH."""
        self.nlp_opt, self.feasibility_nlp_opt = _CasadiIpopt(), _CasadiIpopt()


def _build(model: ConeModel) -> Any:  # noqa: ANN401 - a Pyomo model
    """Return the smooth form.

    The variables that equations determine have no bounds: between an equation and a bound IPOPT has no interior, and
    loses digits.
    """
    program = pyo.ConcreteModel()
    uses = range(len(model.user))
    program.z = pyo.Var(range(len(model.node)), domain=pyo.Binary, initialize=0)
    program.spare = pyo.Var(uses, bounds=(0.0, float(model.n_nodes)), initialize=0.5)
    program.root, program.share, program.idle = (pyo.Var(uses, initialize=1.0) for _ in range(3))
    z = list(program.z.values())

    def per_use(values: FloatArray) -> list[Any]:
        return [
            sum(float(values[j]) * z[int(model.candidate[j])] for j in rows if values[j] != 0.0)
            for rows in model.entries
        ]

    program.rows = pyo.ConstraintList()
    for rows in model.candidates:
        program.rows.add(sum(z[j] for j in rows) == 1.0)
    for i, (root, load, idle) in enumerate(zip(*map(per_use, (model.root, model.load, model.idle)), strict=True)):
        program.rows.add(program.root[i] == root)
        program.rows.add(program.share[i] == program.spare[i] + load)
        program.rows.add(program.idle[i] == idle)
    if model.least is not None:
        for i, least in enumerate(per_use(model.least)):
            program.rows.add(program.share[i] >= least)
    for resource in np.unique(model.resource):
        shares = [program.share[int(i)] for i in np.flatnonzero(model.resource == resource)]
        program.rows.add(sum(shares) <= float(model.n_nodes))
    cost = sum(c * v for c, v in zip(model.cost.tolist(), z, strict=True))
    table = model.rows
    pieces: list[Any] = [0.0] * len(table.most)
    for row, i, wait in zip(*table.relief, strict=True):
        pieces[row] -= float(wait) * z[int(i)]
    used = (
        (model.with_spare, model.on_spare, table.on_spare, program.spare),
        (model.with_share, model.on_share, table.on_share, program.share),
    )
    pairs = [(k, i) for k, (which, *_) in enumerate(used) for i in which]
    program.delay = pyo.Var(pairs, bounds=(0.0, None), initialize=1.0)
    for k, (which, own, of_pieces, rate) in enumerate(used):
        for i in which:
            delay = program.delay[k, i]
            program.rows.add(program.root[i] ** 2 / (rate[i] + SMOOTHING * program.idle[i]) - delay <= 0.0)
            cost += float(model.weight[model.user[i]] * own[i]) * delay
        for row, i, coefficient in zip(*of_pieces, strict=True):
            pieces[row] += float(coefficient) * program.delay[k, int(i)]
    program.most = pyo.Var(range(len(model.most)), bounds=(0.0, None), initialize=1.0)
    for row, k in enumerate(table.most.tolist()):
        program.rows.add(pieces[row] - program.most[k] <= 0.0)
    cost += sum(float(model.weight[tandem.node]) * program.most[k] for k, tandem in enumerate(model.most))
    program.objective = pyo.Objective(expr=cost)
    return program
