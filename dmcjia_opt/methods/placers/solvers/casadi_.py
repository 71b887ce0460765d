"""Bonmin through CasADi, whose wheel carries it: outer approximation or branch and bound on the smooth form."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any

import numpy as np

from dmcjia_opt.base.arrays import FloatArray
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

    n, k = model.n_nodes, len(model.node)
    pattern = casadi.Sparsity.triplet(n, k, model.node.tolist(), list(range(k)))

    def per_node(values: FloatArray) -> Any:  # noqa: ANN401 - a casadi expression
        return casadi.mtimes(casadi.DM(pattern, values), z)

    z = casadi.SX.sym("z", k)
    spare, root = casadi.SX.sym("spare", n), casadi.SX.sym("root", n)
    share, idle = spare + per_node(model.load), per_node(model.idle)
    variables = [z, spare, root]
    rows: list[tuple[Any, float, float]] = [
        (per_node(np.ones(k)), 1.0, 1.0),
        (root - per_node(model.root), 0.0, 0.0),
        (casadi.sum1(share), -np.inf, float(n)),
    ]
    pieces = [casadi.DM.zeros(n) if relief is None else -per_node(relief) for relief in model.reliefs]
    for on, rate in ((model.on_spare, spare), (model.on_share, share)):
        if any(on):
            delay = casadi.SX.sym("delay", n)
            variables.append(delay)
            rows.append((root**2 / (rate + SMOOTHING * idle) - delay, -np.inf, 0.0))
            pieces = [piece + coefficient * delay for piece, coefficient in zip(pieces, on, strict=True)]
    most = pieces[0]
    if len(pieces) > 1:
        most = casadi.SX.sym("most", n)
        variables.append(most)
        rows += [(piece - most, -np.inf, 0.0) for piece in pieces]
    cost = casadi.dot(model.cost, z) + casadi.dot(model.weight, most)
    if model.least is not None:
        rows.append((share - per_node(model.least), 0.0, np.inf))
    x = casadi.vertcat(*variables)
    program = {"x": x, "f": cost, "g": casadi.vertcat(*(row for row, _, _ in rows))}
    one_a_node = np.array([1.0 / len(mine) for mine in model.candidates])[model.node]
    n_delays = x.numel() - k - 2 * n
    bounds = {
        "lbx": np.concatenate([np.zeros(k + n), np.full(n, -np.inf), np.zeros(n_delays)]),
        "ubx": np.concatenate([np.ones(k), np.full(n, float(n)), np.full(n + n_delays, np.inf)]),
        "lbg": np.concatenate([np.full(row.numel(), low) for row, low, _ in rows]),
        "ubg": np.concatenate([np.full(row.numel(), high) for row, _, high in rows]),
    }
    return program, np.concatenate([one_a_node, np.full(n, 0.5), np.ones(n + n_delays)]), bounds
