"""Bonmin through CasADi, whose wheel carries it: outer approximation or branch and bound on the smooth form."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.base.errors import BackendFailed
from dmcjia_opt.methods.placers.solvers.cone_model import SMOOTHING, ConeModel
from dmcjia_opt.methods.placers.solvers.cone_placer import MAX_NODES, ConePlacer, SolverAnswer, SolverLimits
from dmcjia_opt.solving.contract import Status
from dmcjia_opt.solving.options import Count, OneOf, method

ALGORITHMS = ("B-OA", "B-Hyb", "B-BB")
_STATUS: Mapping[str, Status] = MappingProxyType(
    {"SUCCESS": Status.OPTIMAL, "LIMIT_EXCEEDED": Status.LIMIT, "INFEASIBLE": Status.INFEASIBLE}
)
_NO_LIMIT = 1e10
_SILENT = MappingProxyType(
    {
        "print_level": 0,
        "sb": "yes",
        "bb_log_level": 0,
        "nlp_log_level": 0,
        "nlp_log_at_root": 0,
        "oa_log_level": 0,
        "lp_log_level": 0,
        "milp_log_level": 0,
        "fp_log_level": 0,
    }
)


@method
class Bonmin(ConePlacer):
    """The optimum by Bonmin.

    Parameters
    ----------
    algorithm
        "B-OA", outer approximation; "B-Hyb", LP-based branch and cut; "B-BB", NLP-based branch and bound.
    max_nodes
        Refuse problems of more nodes.

    Notes
    -----
    B-Hyb has been seen to claim optimality for plans 30 % off. When B-OA meets a time limit it often has no plan yet:
    its plans come from mixed-integer programs that it solves to the end. Bonmin tells CasADi of no bound; that of an
    optimal answer follows from the gap it was allowed.
    """

    algorithm: Annotated[str, OneOf(ALGORITHMS)] = "B-OA"
    max_nodes: Count = MAX_NODES

    @property
    def solver_name(self) -> str:
        """Bonmin."""
        return "Bonmin"

    def solve(self, model: ConeModel, limits: SolverLimits) -> SolverAnswer:
        """Return Bonmin's solution, and the bound that its claim of optimality amounts to."""
        import casadi

        program, start, bounds = _program(model)
        options: dict[str, Any] = {
            **_SILENT,
            "algorithm": self.algorithm,
            "time_limit": min(limits.seconds, _NO_LIMIT),
            "allowable_fraction_gap": limits.gap,
            "allowable_gap": 0.0,
            "heuristic_dive_MIP_fractional": "no",  # takes no notice of the time limit
        }
        k = len(model.node)
        discrete = [True] * k + [False] * (program["x"].numel() - k)
        try:
            solve = casadi.nlpsol(
                "placement",
                "bonmin",
                program,
                {
                    "discrete": discrete,
                    "print_time": False,
                    "show_eval_warnings": False,
                    "error_on_fail": False,
                    "bonmin": options,
                },
            )
            found = solve(x0=start, **bounds)
        except RuntimeError as error:
            raise BackendFailed(f"Bonmin crashed: {str(error).strip().splitlines()[-1]}") from None
        ended = solve.stats()["return_status"]
        status = _STATUS.get(ended)
        if status is None:
            raise BackendFailed(f'Bonmin ended with status "{ended}"; use another placer')
        z = found["x"].full().ravel()[:k]
        if status == Status.OPTIMAL:
            return SolverAnswer(status, z, float(found["f"]) * (1.0 - limits.gap))
        return SolverAnswer(status, z if model.is_choice(z) else None)


def _program(model: ConeModel) -> tuple[dict[str, Any], FloatArray, dict[str, FloatArray]]:
    """Return the smooth form, where it starts, and its bounds."""
    import casadi

    n, k, n_uses = model.n_nodes, len(model.node), len(model.user)

    def times(row: IntArray, column: IntArray, values: FloatArray, x: Any, n_rows: int) -> Any:  # noqa: ANN401
        matrix = casadi.DM.triplet(row.tolist(), column.tolist(), casadi.DM(values), n_rows, x.numel())
        return casadi.densify(casadi.mtimes(matrix, x))

    def per_use(values: FloatArray) -> Any:  # noqa: ANN401 - a casadi expression
        return times(model.use, model.candidate, values, z, n_uses)

    z = casadi.SX.sym("z", k)
    spare, root = casadi.SX.sym("spare", n_uses), casadi.SX.sym("root", n_uses)
    share, idle = spare + per_use(model.load), per_use(model.idle)
    variables = [z, spare, root]
    total = times(model.resource, np.arange(n_uses), np.ones(n_uses), share, model.n_resources)
    rows: list[tuple[Any, float, float]] = [
        (times(model.node, np.arange(k), np.ones(k), z, n), 1.0, 1.0),
        (root - per_use(model.root), 0.0, 0.0),
        (total, -np.inf, float(n)),
    ]
    cost, table = casadi.dot(model.cost, z), model.rows
    pieces = -times(*table.relief, z, len(table.most))
    for which, own, of_pieces, rate in (
        (model.with_spare, model.on_spare, table.on_spare, spare),
        (model.with_share, model.on_share, table.on_share, share),
    ):
        if which:
            delay = casadi.SX.sym("delay", len(which))
            variables.append(delay)
            rows.append((root[which] ** 2 / (rate[which] + SMOOTHING * idle[which]) - delay, -np.inf, 0.0))
            cost += casadi.dot((model.weight[model.user] * own)[which], delay)
            place = np.searchsorted(which, of_pieces.column)
            pieces += times(of_pieces.row, place, of_pieces.value, delay, len(table.most))
    if model.most:
        most = casadi.SX.sym("most", len(model.most))
        variables.append(most)
        n_rows = len(table.most)
        rows.append((pieces - times(np.arange(n_rows), table.most, np.ones(n_rows), most, n_rows), -np.inf, 0.0))
        cost += casadi.dot(model.weight[[tandem.node for tandem in model.most]], most)
    if model.least is not None:
        rows.append((share - per_use(model.least), 0.0, np.inf))
    x = casadi.vertcat(*variables)
    program = {"x": x, "f": cost, "g": casadi.vertcat(*(row for row, _, _ in rows))}
    one_a_node = np.array([1.0 / len(mine) for mine in model.candidates])[model.node]
    n_delays = x.numel() - k - 2 * n_uses
    bounds = {
        "lbx": np.concatenate([np.zeros(k + n_uses), np.full(n_uses, -np.inf), np.zeros(n_delays)]),
        "ubx": np.concatenate([np.ones(k), np.full(n_uses, float(n)), np.full(n_uses + n_delays, np.inf)]),
        "lbg": np.concatenate([np.full(row.numel(), low) for row, low, _ in rows]),
        "ubg": np.concatenate([np.full(row.numel(), high) for row, _, high in rows]),
    }
    return program, np.concatenate([one_a_node, np.full(n_uses, 0.5), np.ones(n_uses + n_delays)]), bounds
