"""Any mixed-integer cone solver that cvxpy reaches, on the cone model as a mixed-integer second-order cone program."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.base.errors import BackendFailed, BackendMissing, InputError
from dmcjia_opt.base.machine import installing
from dmcjia_opt.methods.placers.solvers.cone_model import ConeModel
from dmcjia_opt.methods.placers.solvers.cone_placer import MAX_NODES, ConePlacer, SolverAnswer, SolverLimits
from dmcjia_opt.methods.placers.solvers.scip_ import scip_bound, scip_settings, scip_status
from dmcjia_opt.solving.contract import Status
from dmcjia_opt.solving.options import Count, OneOf, method

_STATUS: Mapping[str, Status] = MappingProxyType(
    {
        "optimal": Status.OPTIMAL,
        "optimal_inaccurate": Status.INACCURATE,
        "user_limit": Status.LIMIT,
        "infeasible": Status.INFEASIBLE,
    }
)
_ECOS_STATUS: Mapping[int, Status] = MappingProxyType(
    {0: Status.OPTIMAL, 1: Status.INFEASIBLE, 10: Status.LIMIT, 11: Status.LIMIT}
)
#: Factor on both sides of every cone for SCIP, whose tolerance is absolute: at 1 its "optimal" has been 2e-5 off.
_SCIP_SCALE = 100.0
_FIRST_ITERATIONS, _MORE_ITERATIONS = 64, 4
_OF_THE_TIME = 0.6  # later iterations take longer than the first
_MOST_BYTES = 1 << 30  # ECOS_BB allocates a byte for every iteration and binary before it starts


def installed_solvers() -> tuple[str, ...]:
    """Return cvxpy's names of the solvers that are installed here and take integers and second-order cones."""
    import cvxpy as cp
    from cvxpy.reductions.solvers.defines import MI_SOCP_SOLVERS

    return tuple(name for name in cp.installed_solvers() if name in MI_SOCP_SOLVERS)


@method
class CvxpyPlacer(ConePlacer):
    """The optimum by a mixed-integer cone solver.

    Parameters
    ----------
    solver
        cvxpy's name of an installed solver that takes integers and second-order cones, such as ``"SCIP"`` or
        ``"ECOS_BB"``.
    max_nodes
        Refuse problems of more nodes.

    Notes
    -----
    ECOS_BB knows no time limit, only one of iterations; it is started again with more of them while there is time.
    Its bound is not passed on either; that of an optimal answer follows from the gap it was allowed. Solvers other than
    ECOS_BB and SCIP run at their own gap, claim no bound, and cannot be given a time limit.
    """

    solver: Annotated[str, OneOf(installed_solvers)] = "SCIP"
    max_nodes: Count = MAX_NODES

    @property
    def solver_name(self) -> str:
        """The solver, as cvxpy's."""
        return f"cvxpy's {self.solver}"

    def solve(self, model: ConeModel, limits: SolverLimits) -> SolverAnswer:
        """Return the solver's answer (see the base class).

        Raises
        ------
        BackendMissing
            If the solver is not installed or does not take such problems.
        InputError
            If there is a time limit that cannot be passed on.
        BackendFailed
            If the solver crashes.
        """
        name = self.solver.upper()
        if name not in (able := installed_solvers()):
            raise BackendMissing(
                f"cvxpy has no solver called {name} here that takes integers and second-order cones; "
                + (f"install it or choose one of {', '.join(able)}" if able else f"SCIP does: {installing('scip')}")
            )
        program = _compile(name, model)
        if name == "ECOS_BB":
            return _ecos_bb(program, limits)
        if name == "SCIP":
            raw, solution = program.run({"scip_params": scip_settings(limits)})
            return SolverAnswer(scip_status(raw["scip_status"]), program.z_of(solution), scip_bound(raw["model"]))
        if math.isfinite(limits.deadline):
            raise InputError(f"cvxpy's {name} cannot be given a time limit from here; leave it out, or use cvxpy:SCIP")
        _, solution = program.run({})
        status = _STATUS.get(solution.status)
        if status is None:
            raise BackendFailed(f'cvxpy\'s {name} ended with status "{solution.status}"; use another placer')
        return SolverAnswer(status, program.z_of(solution))


@dataclass(frozen=True, slots=True, eq=False)
class _Program:
    solver: str
    problem: Any
    z: Any
    data: Any
    chain: Any
    inverse: Any

    def run(self, options: Mapping[str, Any]) -> tuple[Any, Any]:
        """Return what the solver returns, and that as a cvxpy Solution."""
        # Problem.solve would turn a limit into a process-wide warning and failure into an exception.
        try:
            raw = self.chain.solve_via_data(self.problem, self.data, solver_opts=dict(options))
            return raw, self.chain.invert(raw, self.inverse)
        except Exception as error:  # noqa: BLE001  backends raise anything
            raise BackendFailed(f"cvxpy's {self.solver} crashed: {type(error).__name__}: {error}") from None

    def z_of(self, solution: Any) -> FloatArray | None:  # noqa: ANN401 - a cvxpy Solution
        z = (solution.primal_vars or {}).get(self.z.id)
        return None if z is None else np.asarray(z, dtype=np.float64)

    def answer(self, solution: Any, status: Status, gap: float) -> SolverAnswer:  # noqa: ANN401 - a cvxpy Solution
        bound = float(solution.opt_val) * (1.0 - gap) if status == Status.OPTIMAL else -math.inf
        return SolverAnswer(status, self.z_of(solution), bound)


def _ecos_bb(program: _Program, limits: SolverLimits) -> SolverAnswer:
    """Run ECOS_BB with ever more iterations until it ends by itself, or there is no time for as many again."""
    iterations = _FIRST_ITERATIONS
    most = _MOST_BYTES // program.z.size
    while True:
        started = time.perf_counter()
        options = {"mi_max_iters": iterations, "mi_rel_eps": limits.gap, "mi_abs_eps": 1e-12}
        raw, solution = program.run(options)
        ended = int(raw["info"]["exitFlag"])
        status = _ECOS_STATUS.get(ended)
        if status is None:
            raise BackendFailed(f"cvxpy's ECOS_BB ended with exit flag {ended}; use another placer")
        if status != Status.LIMIT:
            return program.answer(solution, status, limits.gap)
        in_time = limits.seconds / (time.perf_counter() - started) * iterations
        more = int(min(_MORE_ITERATIONS * iterations, _OF_THE_TIME * in_time, most))
        if more <= iterations:
            return program.answer(solution, status, limits.gap)
        iterations = more


def _compile(solver: str, model: ConeModel) -> _Program:
    import cvxpy as cp
    from scipy.sparse import csr_array

    n, k, n_uses = model.n_nodes, len(model.node), len(model.user)

    def matrix(entries: tuple[IntArray, IntArray, FloatArray], n_rows: int, n_columns: int) -> Any:  # noqa: ANN401
        row, column, value = entries
        return csr_array((value, (row, column)), shape=(n_rows, n_columns))

    def per_use(values: FloatArray) -> Any:  # noqa: ANN401 - a cvxpy expression
        return matrix((model.use, model.candidate, values), n_uses, k) @ z

    scale = _SCIP_SCALE if solver == "SCIP" else 1.0
    z, spare = cp.Variable(k, boolean=True), cp.Variable(n_uses)
    root, share = per_use(model.root), spare + per_use(model.load)
    one = matrix((model.node, np.arange(k), np.ones(k)), n, k) @ z
    total = matrix((model.resource, np.arange(n_uses), np.ones(n_uses)), model.n_resources, n_uses) @ share
    constraints = [one == 1, spare >= 0, total <= n]
    cost, rows = model.cost @ z, model.rows
    pieces = [] if model.wait is None else [-matrix(rows.relief, len(rows.most), k) @ z]
    for which, own, of_pieces, rate in (
        (model.with_spare, model.on_spare, rows.on_spare, spare),
        (model.with_share, model.on_share, rows.on_share, share),
    ):
        if which:
            delay = cp.Variable(len(which))
            both = scale * (delay + rate[which]), scale * cp.vstack([2.0 * root[which], delay - rate[which]])
            constraints.append(cp.SOC(*both))
            cost = cost + (model.weight[model.user] * own)[which] @ delay
            pieces.append(matrix(of_pieces, len(rows.most), n_uses)[:, which] @ delay)
    if model.most:
        most = cp.Variable(len(model.most))
        constraints.append(sum(pieces) <= most[rows.most])
        cost = cost + model.weight[[tandem.node for tandem in model.most]] @ most
    if model.least is not None:
        constraints.append(share >= per_use(model.least))
    problem = cp.Problem(cp.Minimize(cost), constraints)
    data, chain, inverse = problem.get_problem_data(solver)
    return _Program(solver, problem, z, data, chain, inverse)
