"""SCIP through PySCIPOpt: spatial branch and cut on the cone model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any

import numpy as np

from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.base.errors import BackendFailed
from dmcjia_opt.methods.placers.solvers.cone_model import ConeModel, Most
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

    Its presolver may not aggregate: that breaks the cones of nodes with two options left. At its default
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
        "aggregated": one pair of cones for each use of a node. "perspective": one for each option too, which is slower
        but for identical nodes.
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
        for resource in sorted({resource for resource, _ in shares}):
            scip.addCons(quicksum(share for r, share in shares if r == resource) <= float(model.n_nodes))
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


def _aggregated(scip: Any, model: ConeModel, z: list[Any]) -> list[tuple[int, Any]]:  # noqa: ANN401 - a pyscipopt Model
    """Add one pair of cones for each use of a node; return resources and shares."""
    n = float(model.n_nodes)
    shares = []
    for uses, most, weight in zip(model.uses, _by_node(model), model.weight.tolist(), strict=True):
        parts: dict[int, _Part] = {}
        for use in uses:
            rows = model.entries[use]
            largest = float(model.root[rows].max())
            if largest == 0.0:
                continue
            share, spare, root = (scip.addVar(lb=0.0, ub=most_of) for most_of in (n, n, largest))
            scip.addCons(root == _dot(model, model.root, z, rows))
            scip.addCons(share == spare + _dot(model, model.load, z, rows))
            if model.least is not None:
                scip.addCons(share >= _dot(model, model.least, z, rows))
            parts[use] = _Part(root * root, spare, share)
            shares.append((int(model.resource[use]), share))
        relief = None
        if most and model.wait is not None:
            relief = _sum([float(model.wait[i]) * z[i] for i in model.candidates[most[0].node]])
        _add_delays(scip, model, parts, most, weight, relief)
    return shares


def _perspective(scip: Any, model: ConeModel, z: list[Any]) -> list[tuple[int, Any]]:  # noqa: ANN401 - a pyscipopt Model
    """Add one pair of cones for each use of each option; return resources and shares."""
    n = float(model.n_nodes)
    shares = []
    most = _by_node(model)
    order = np.lexsort((model.use, model.candidate))
    busy = order[model.root[order] > 0.0]
    for j in np.unique(model.candidate[busy]).tolist():
        parts = {}
        for i in busy[model.candidate[busy] == j].tolist():
            share, spare = scip.addVar(lb=0.0, ub=n), scip.addVar(lb=0.0, ub=n)
            scip.addCons(share == spare + float(model.load[i]) * z[j])
            scip.addCons(share <= n * z[j])
            if model.least is not None:
                scip.addCons(share >= float(model.least[i]) * z[j])
            use = int(model.use[i])
            parts[use] = _Part(float(model.root[i] ** 2) * z[j] * z[j], spare, share)
            shares.append((int(model.resource[use]), share))
        d = int(model.node[j])
        relief = None if model.wait is None else float(model.wait[j]) * z[j]
        _add_delays(scip, model, parts, most[d], float(model.weight[d]), relief)
    return shares


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """A use: r², spare and share, pyscipopt expressions and variables."""

    square: Any
    spare: Any
    share: Any


def _by_node(model: ConeModel) -> list[list[Most]]:
    found: list[list[Most]] = [[] for _ in range(model.n_nodes)]
    for most in model.most:
        found[most.node].append(most)
    return found


def _add_delays(
    scip: Any,  # noqa: ANN401 - a pyscipopt Model
    model: ConeModel,
    parts: Mapping[int, _Part],
    most: list[Most],
    weight: float,
    relief: Any,  # noqa: ANN401 - a pyscipopt expression, or None
) -> None:
    """Add the cones of some uses and what they cost: their sum, or the largest of several pieces."""
    spare, share = set(model.with_spare), set(model.with_share)
    t: dict[int, Any] = {}
    u: dict[int, Any] = {}
    for use, part in parts.items():
        for delays, on, cost, rate in (
            (t, spare, model.on_spare[use], part.spare),
            (u, share, model.on_share[use], part.share),
        ):
            if use in on:
                delays[use] = scip.addVar(lb=0.0, obj=float(cost) * weight)
                scip.addCons(part.square <= delays[use] * rate)
    for one in most:
        if not any(use in parts for use in one.uses):
            continue
        largest = scip.addVar(lb=0.0, obj=weight)
        for piece in one.pieces:
            terms = [c * t[use] for use, c in piece.on_spare if use in t]
            terms += [c * u[use] for use, c in piece.on_share if use in u]
            if piece.relieved and relief is not None:
                terms.append(-relief)
            scip.addCons(_sum(terms) <= largest)


def _dot(model: ConeModel, table: FloatArray, z: list[Any], rows: range) -> Any:  # noqa: ANN401 - a pyscipopt expression
    return _sum([float(table[i]) * z[int(model.candidate[i])] for i in rows if table[i] != 0.0])


def _sum(terms: list[Any]) -> Any:  # noqa: ANN401 - a pyscipopt expression
    from pyscipopt import quicksum

    return quicksum(terms)
