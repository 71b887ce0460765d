"""Pyomo models solved by CasADi's IPOPT: Pyomo writes an .nl file, CasADi reads it. Nothing but wheels is needed."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, eq=False)
class NlSolution:
    """What IPOPT says of a Pyomo model.

    Parameters
    ----------
    status
        CasADi's ``return_status``, such as ``"Solve_Succeeded"``.
    values
        Each Pyomo variable of the model that is neither fixed nor unused, and its value.
    duals
        Each active Pyomo constraint and its dual in Pyomo's sense: the objective's change per unit of the right-hand
        side.
    """

    status: str
    values: tuple[tuple[Any, float], ...]
    duals: tuple[tuple[Any, float], ...]

    def load(self) -> None:
        """Set the variables of the Pyomo model to their values."""
        for variable, value in self.values:
            variable.set_value(value, skip_validation=True)


def solve_with_casadi(
    model: Any,  # noqa: ANN401 - a Pyomo model; Pyomo is untyped
    options: Mapping[str, Any],
) -> NlSolution | None:
    """Return IPOPT's answer for a continuous Pyomo model; None when it crashes.

    Parameters
    ----------
    model
        The model, which is not changed; solves start from its variables' values.
    options
        Of IPOPT.
    """
    import casadi
    from pyomo.repn.plugins.nl_writer import NLWriter

    builder = casadi.NlpBuilder()
    with tempfile.TemporaryDirectory(prefix="dmcjia-") as folder:
        path = Path(folder, "model.nl")
        with path.open("w", encoding="utf-8") as stream:
            # the writer's own presolve and scaling would have to be undone on the way back
            info = NLWriter().write(model, stream, linear_presolve=False, scale_model=False)
        builder.import_nl(str(path))
    try:
        solve = casadi.nlpsol(
            "model",
            "ipopt",
            {"x": casadi.vertcat(*builder.x), "f": builder.f, "g": casadi.vertcat(*builder.g)},
            {"print_time": False, "show_eval_warnings": False, "error_on_fail": False, "ipopt": dict(options)},
        )
        found = solve(x0=builder.x_init, lbx=builder.x_lb, ubx=builder.x_ub, lbg=builder.g_lb, ubg=builder.g_ub)
    except RuntimeError:
        return None
    return NlSolution(
        solve.stats()["return_status"],
        tuple(zip(info.variables, found["x"].full().ravel().tolist(), strict=True)),
        tuple(zip(info.constraints, (-found["lam_g"]).full().ravel().tolist(), strict=True)),
    )
