"""SCIP through PySCIPOpt: spatial branch and cut on the cone model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any

import numpy as np

from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.base.errors import BackendFailed
from dmcjia_opt.methods.placers.solvers.cone_model import ConeModel
from dmcjia_opt.methods.placers.solvers.cone_placer import MAX_NODES, ConePlacer, SolverAnswer, SolverLimits
from dmcjia_opt.solving.contract import Status
from dmcjia_opt.solving.options import Count, OneOf, method

FORMULATIONS = ("aggregated", "perspective")
_STATUS: Mapping[str, Status] = MappingProxyType(
    {
        "optimal": Status.OPTIMAL,
        "gaplimit": Status.OPTIMAL,
        "infeasible": Status.INFEASIBLE,
        "timelimit": Status.LIMIT,
        "memlimit": Status.LIMIT,
        "userinterrupt": Status.LIMIT,
    }
)
_NO_LIMIT = 1e20


def scip_settings(limits: SolverLimits) -> dict[str, Any]:
    """Return SCIP's parameters for this model.

    Its presolver may not aggregate: that breaks the cones of nodes with two splits left. At its default
    ``numerics/feastol`` of 1e-6 its bounds have been 2e-5 off; below 1e-7 its LP solver protests.
    """
    return {
        "limits/time": min(limits.seconds, _NO_LIMIT),
        "limits/gap": limits.gap,
        "presolving/donotaggr": True,
        "presolving/donotmultaggr": True,
        "numerics/feastol": 1e-7,
    }


@method
class Scip(ConePlacer):
    """The optimum by SCIP.

    Parameters
    ----------
    formulation
        "aggregated": one pair of cones a node. "perspective": one for each split, which is slower but for identical
        nodes.
    max_nodes
        Refuse problems of more nodes.
    """

    formulation: Annotated[str, OneOf(FORMULATIONS)] = "aggregated"
    max_nodes: Count = MAX_NODES

    @property
    def solver_name(self) -> str:
        """SCIP."""
        return "SCIP"

    def solve(self, model: ConeModel, limits: SolverLimits) -> SolverAnswer:
        """Return SCIP's solution and dual bound."""
        from pyscipopt import Model, quicksum

        scip = Model()
        scip.hideOutput()
        z = [scip.addVar(vtype="B", obj=cost) for cost in model.cost.tolist()]
        for rows in model.candidates:
            scip.addCons(quicksum(z[i] for i in rows) == 1)
        shares = (_aggregated if self.formulation == "aggregated" else _perspective)(scip, model, z)
        if shares:
            scip.addCons(quicksum(shares) <= float(model.n_nodes))
        scip.setParams(scip_settings(limits))
        scip.optimize()
        status = scip_status(scip.getStatus())
        best = scip.getBestSol() if scip.getNSols() > 0 else None
        chosen = None if best is None else np.array([scip.getSolVal(best, variable) for variable in z])
        return SolverAnswer(status, chosen, scip_bound(scip))


def scip_status(ended: str) -> Status:
    """Return what SCIP's status means.

    Raises
    ------
    BackendFailed
        If it means nothing that `Status` knows.
    """
    status = _STATUS.get(ended)
    if status is None:
        raise BackendFailed(f'SCIP ended with status "{ended}"; use another placer')
    return status


def scip_bound(scip: Any) -> float:  # noqa: ANN401 - a pyscipopt Model
    """Return the dual bound of a finished SCIP model; −inf if it has none."""
    bound = float(scip.getDualbound())
    return -math.inf if scip.isInfinity(abs(bound)) else bound


def _aggregated(scip: Any, model: ConeModel, z: list[Any]) -> list[Any]:  # noqa: ANN401 - a pyscipopt Model
    """Add one pair of cones a node; return the shares."""
    n = float(model.n_nodes)
    shares = []
    for rows, weight in zip(model.candidates, model.weight.tolist(), strict=True):
        most = float(model.root[rows].max())
        if most == 0.0:
            continue
        share, spare, root = (scip.addVar(lb=0.0, ub=most_of) for most_of in (n, n, most))
        scip.addCons(root == _dot(model.root, z, rows))
        scip.addCons(share == spare + _dot(model.load, z, rows))
        if model.least is not None:
            scip.addCons(share >= _dot(model.least, z, rows))
        reliefs = [None if relief is None else _dot(relief, z, rows) for relief in model.reliefs]
        _add_delay(scip, root * root, model, reliefs, weight, spare, share)
        shares.append(share)
    return shares


def _perspective(scip: Any, model: ConeModel, z: list[Any]) -> list[Any]:  # noqa: ANN401 - a pyscipopt Model
    """Add one pair of cones for each split with cloud work; return the shares."""
    n = float(model.n_nodes)
    shares = []
    for j in np.flatnonzero(model.root).tolist():
        share, spare = scip.addVar(lb=0.0, ub=n), scip.addVar(lb=0.0, ub=n)
        scip.addCons(share == spare + float(model.load[j]) * z[j])
        scip.addCons(share <= n * z[j])
        if model.least is not None:
            scip.addCons(share >= float(model.least[j]) * z[j])
        square = float(model.root[j] ** 2) * z[j] * z[j]
        reliefs = [None if relief is None else float(relief[j]) * z[j] for relief in model.reliefs]
        _add_delay(scip, square, model, reliefs, float(model.weight[model.node[j]]), spare, share)
        shares.append(share)
    return shares


def _add_delay(
    scip: Any,  # noqa: ANN401 - a pyscipopt Model
    square: Any,  # noqa: ANN401 - a pyscipopt expression
    model: ConeModel,
    reliefs: list[Any],
    weight: float,
    spare: Any,  # noqa: ANN401 - a pyscipopt Variable
    share: Any,  # noqa: ANN401 - a pyscipopt Variable
) -> None:
    """Add the cones and what they cost: their sum, or the largest of several pieces."""
    single = len(model.pieces) == 1
    pieces: list[Any] = [0.0 if relief is None else -relief for relief in reliefs]
    for on, rate in ((model.on_spare, spare), (model.on_share, share)):
        if any(on):
            delay = scip.addVar(lb=0.0, obj=on[0] * weight if single else 0.0)
            scip.addCons(square <= delay * rate)
            pieces = [piece + coefficient * delay for piece, coefficient in zip(pieces, on, strict=True)]
    if not single:
        most = scip.addVar(lb=0.0, obj=weight)
        for piece in pieces:
            scip.addCons(piece <= most)


def _dot(table: FloatArray, z: list[Any], rows: range) -> Any:  # noqa: ANN401 - a pyscipopt expression
    from pyscipopt import quicksum

    return quicksum(float(table[i]) * z[i] for i in rows)
