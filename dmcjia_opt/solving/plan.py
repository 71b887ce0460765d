"""A plan: splits and shares for every node, with what is claimed about them; written to and read from JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, FailFast, Field

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.base.fields import Number
from dmcjia_opt.base.files import read_json, write_text
from dmcjia_opt.base.limits import MOST_NODES
from dmcjia_opt.model.problem import Stages
from dmcjia_opt.solving.contract import OPTIMALITY_GAP, Status, Stop, TracePoint

_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Nodes = Field(max_length=MOST_NODES)
_Split = Annotated[int, Field(ge=0, le=2**31 - 1)]


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """An answer, and what is claimed about it.

    Parameters
    ----------
    status
        OPTIMAL or WITHIN only where the gap is proved; ROUNDED, LIMIT or FEASIBLE otherwise.
    objective
        Mean delay, s, recomputed.
    lower_bound
        Lower bound on the optimum, s, proved by this package.
    gap
        (objective − lower bound)/objective.
    gap_tolerance
        The gap that was asked for; a plan is optimal at this or 1e-9, whichever is smaller.
    splits, shares
        (n_nodes,) split points and cloud shares.
    names, networks
        (n_nodes,) of the nodes.
    delays
        Each node's delay by stage, s.
    placer, allocator, seed
        How it was made.
    evaluations, wall_seconds
        What it cost.
    price
        Price of cloud capacity at which the bound was computed, s per unit share.
    bound_from
        What the bound rests on: ``"dual"`` (anyone can recompute it from the price), or the search that proved it.
    scenario_sha256
        Hash of the scenario's content.
    bound_holds_for
        What the plans have in common that the bound is about, in a few words.
    trace
        The incumbent and the bound over time.
    versions
        Of Python, this package and its libraries.
    notes
        What a reader should know of how it was made, a sentence each: where a plug-in was stopped, say.
    limits
        The budget of the search.
    started
        When it began, ISO 8601.
    scenario_name, scenario_file
        What the scenario is called, and where it is from the plan file's folder; empty where it came from no file.
    machine
        What it was made on; empty where nobody said.
    """

    status: Status
    objective: float
    lower_bound: float
    gap: float
    gap_tolerance: float
    splits: IntArray
    shares: FloatArray
    names: tuple[str, ...]
    networks: tuple[str, ...]
    delays: Stages
    placer: str
    allocator: str
    seed: int
    evaluations: int
    wall_seconds: float
    price: float
    bound_from: str
    scenario_sha256: str
    trace: tuple[TracePoint, ...]
    versions: Mapping[str, str]
    bound_holds_for: str = ""
    notes: tuple[str, ...] = ()
    limits: Stop = field(default_factory=Stop)
    started: str = ""
    scenario_name: str = ""
    scenario_file: str = ""
    machine: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the content of a plan file."""
        stages = self.delays
        columns = (self.names, self.networks, self.splits.tolist(), self.shares.tolist())
        times = (stages.edge.tolist(), stages.upload.tolist(), stages.cloud.tolist(), stages.total.tolist())
        keys = ("name", "model", "split", "share", "edge_s", "upload_s", "cloud_s", "total_s")
        return {
            "status": str(self.status),
            "objective_s": self.objective,
            "lower_bound_s": self.lower_bound,
            "gap": self.gap,
            "gap_tolerance": self.gap_tolerance,
            "bound_from": self.bound_from,
            "bound_holds_for": self.bound_holds_for,
            "price_s": self.price,
            "splits": self.splits.tolist(),
            "shares": self.shares.tolist(),
            "nodes": [dict(zip(keys, row, strict=True)) for row in zip(*columns, *times, strict=True)],
            "scenario_sha256": self.scenario_sha256,
            **self.provenance(),
        }

    def provenance(self) -> dict[str, Any]:
        """Return the part of a plan file that says how the plan was made."""
        return {
            "placer": self.placer,
            "allocator": self.allocator,
            "seed": self.seed,
            "evaluations": self.evaluations,
            "wall_s": self.wall_seconds,
            "notes": list(self.notes),
            "versions": dict(self.versions),
            "limits": asdict(self.limits),
            "started": self.started,
            "machine": self.machine,
            "scenario": self.scenario_name,
            "scenario_file": self.scenario_file,
            "trace": [
                {
                    "evaluations": p.evaluations,
                    "seconds": p.seconds,
                    "objective_s": _json(p.objective),
                    "lower_bound_s": _json(p.lower_bound),
                }
                for p in self.trace
            ],
        }

    def save(self, path: str | Path) -> None:
        """Write the plan as JSON; the file appears whole or not at all."""
        write_text(path, json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n")


def _json(value: float) -> float | None:
    return value if np.isfinite(value) else None


class NodeClaim(BaseModel):
    """What a plan file says about one node."""

    model_config = ConfigDict(extra="forbid", strict=True)
    name: str
    model: str
    split: _Split
    share: Number
    edge_s: Number
    upload_s: Number
    cloud_s: Number
    total_s: Number


class Limits(BaseModel):
    """The budget of a search; None is no limit."""

    model_config = ConfigDict(extra="ignore", strict=True)
    seconds: _Finite | None = None
    evaluations: int | None = None
    gap: _Finite | None = None


class Moment(BaseModel):
    """The search at one moment: incumbent and proved lower bound, s; None where there was none."""

    model_config = ConfigDict(extra="ignore", strict=True)
    evaluations: int
    seconds: Number
    objective_s: Number | None = None
    lower_bound_s: Number | None = None


class Provenance(BaseModel):
    """What a plan file says about how the plan was made; what it does not say is empty or None."""

    model_config = ConfigDict(extra="ignore", strict=True)
    placer: str = ""
    allocator: str = ""
    seed: int | None = None
    evaluations: int | None = None
    wall_s: Number | None = None
    notes: list[str] = []
    versions: dict[str, str] = {}
    limits: Limits | None = None
    started: str = ""
    machine: str = ""
    scenario: str = ""
    scenario_file: str = ""
    trace: Annotated[list[Moment], FailFast()] = []


class PlanFile(Provenance):
    """A plan file as read: claims, none of them checked yet."""

    status: str
    objective_s: Number
    lower_bound_s: Number
    gap: Number
    gap_tolerance: Number = OPTIMALITY_GAP
    bound_from: str = "dual"
    bound_holds_for: str = ""
    price_s: Number | None = None
    splits: Annotated[list[_Split], _Nodes, FailFast()]
    shares: Annotated[list[Number], _Nodes, FailFast()]
    nodes: Annotated[list[NodeClaim], _Nodes, FailFast()]
    scenario_sha256: str


def load_plan(path: str | Path) -> PlanFile:
    """Read the claims of a plan file.

    Raises
    ------
    InputError
        If the file is missing, is not JSON or breaks the format; the message names the field.
    """
    return read_json(path, "the plan", PlanFile)
