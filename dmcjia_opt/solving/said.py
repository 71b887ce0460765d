"""What a plan file says of nodes and resources, and of how the plan was made, as read: claims."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, FailFast, Field

from dmcjia_opt.base.fields import Number
from dmcjia_opt.model.resources import ResourceKind, Sharing

_Finite = Annotated[float, Field(allow_inf_nan=False)]
Split = Annotated[int, Field(ge=0, le=2**31 - 1)]


class NodeClaim(BaseModel):
    """What a plan file says about one node; what comes after its times may be missing."""

    model_config = ConfigDict(extra="forbid", strict=True)
    name: str
    model: str
    split: Split
    share: Number
    edge_s: Number
    upload_s: Number
    cloud_s: Number
    total_s: Number
    server: str | None = None
    cuts: Annotated[list[Split], Field(min_length=1, max_length=2)] | None = None
    cut_tensors: list[list[str] | None] | None = None
    shares: dict[str, Number | list[Number]] | None = None
    stages: dict[str, Number] | None = None
    deadline_s: Number | None = None


class ResourceClaim(BaseModel):
    """What a plan file says about one resource: how it is shared, how much of it is given out and busy, its price.

    What is pooled has no shares to give out; tasks wait there for those of all nodes.
    """

    model_config = ConfigDict(extra="forbid", strict=True)
    name: str
    kind: ResourceKind
    sharing: Sharing = "reserved"
    used: Number
    load: Number | None = None
    wait_s: Number | None = None
    price_s: Number


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
    cautions: list[str] = []
    versions: dict[str, str] = {}
    limits: Limits | None = None
    started: str = ""
    machine: str = ""
    scenario: str = ""
    scenario_file: str = ""
    trace: Annotated[list[Moment], FailFast()] = []
