"""The manifest of a deployment folder: networks and their halves, and what every node does, stage by stage."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.fields import Amount, Name, NonNegative, Positive
from dmcjia_opt.base.files import check_readable, is_beneath, read_json
from dmcjia_opt.base.limits import MOST_LAYERS, MOST_NODES
from dmcjia_opt.model.resources import Sharing
from dmcjia_opt.model.scenario.scenario import Statistic
from dmcjia_opt.studies.deploy.tensors import TensorEntry

#: What the manifest is called in its folder.
MANIFEST = "manifest.json"
#: What stages are, in the order in which tasks pass them.
Slot = Literal[
    "edge",
    "host",
    "uplink",
    "link",
    "first link",
    "first server",
    "second link",
    "second server",
    "round trip",
]
#: Those at which a part of the network runs.
COMPUTING: tuple[Slot, ...] = ("edge", "host", "first server", "second server")
#: Those at which tensors travel.
LINKS: tuple[Slot, ...] = ("uplink", "link", "first link", "second link")
_Split = Annotated[int, Field(ge=0, le=MOST_LAYERS)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class LayerEntry(_Entry):
    """A layer of a network, as its profile has it."""

    name: str
    macs: NonNegative


class NetworkEntry(_Entry):
    """A network; `model` is what the scenario calls it, `graph_id` which of that name it is."""

    name: Name
    model: Name
    graph_id: str = ""
    layers: Annotated[list[LayerEntry], Field(min_length=1, max_length=MOST_LAYERS)]
    inputs: list[TensorEntry]
    outputs: list[TensorEntry]


class HalfEntry(_Entry):
    """A file with the layers of a network behind split `start` up to split `end`."""

    file: Name
    model: Name
    start: _Split
    end: _Split
    inputs: list[TensorEntry]
    outputs: list[TensorEntry]


class CutEntry(_Entry):
    """What crosses a cut of a node's network, and how many bytes the plan counts for it."""

    split: _Split
    bytes: Amount
    tensors: list[TensorEntry]


class StageEntry(_Entry):
    """One stage of a node: its name in plan files, what it is, and how long it takes.

    ``service_s`` is the time of one task without any wait, at the node's ``share``; ``planned_s`` is that with the wait
    that the plan expects. Where tasks do not wait for each other they overlap. ``sharing`` is how what the
    stage is at is shared. ``half`` is the file that runs there, ``cut`` the split whose tensors cross a link.
    """

    stage: Name
    slot: Slot
    service_s: NonNegative
    planned_s: Amount
    share: Positive = 1.0
    waits: bool
    sharing: Sharing = "reserved"
    half: Name | None = None
    cut: _Split | None = None


class NodeEntry(_Entry):
    """A node: what it runs, how often tasks arrive, where they go."""

    name: Name
    model: Name
    device: str = ""
    arrival_rate: Positive
    arrivals_scv: NonNegative
    planned_s: Amount
    cuts: Annotated[list[CutEntry], Field(max_length=2)]
    stages: Annotated[list[StageEntry], Field(min_length=1, max_length=len(COMPUTING) + 5)]


class ServerEntry(_Entry):
    """A server that some node uses."""

    name: Name
    device: str = ""


class Manifest(_Entry):
    """Everything that runs a plan, beside the halves themselves; ``statistic`` is what it means by planned times."""

    scenario: str
    scenario_sha256: str
    statistic: Statistic
    delay: str
    networks: list[NetworkEntry]
    halves: list[HalfEntry]
    nodes: Annotated[list[NodeEntry], Field(min_length=1, max_length=MOST_NODES)]
    servers: Annotated[list[ServerEntry], Field(min_length=1)]

    def half(self, file: str) -> HalfEntry:
        """Return the half in a file."""
        return next(half for half in self.halves if half.file == file)

    def network(self, model: str) -> NetworkEntry:
        """Return the network that a scenario calls `model`."""
        return next(network for network in self.networks if network.model == model)


def load_manifest(folder: Path) -> Manifest:
    """Read the manifest of a deployment folder.

    Raises
    ------
    InputError
        If there is none, it is malformed, or names what is not there.
    """
    path = folder / MANIFEST
    if folder.is_dir() and not path.exists():
        raise InputError(f"{folder}: holds no {MANIFEST}; name a folder that dmcjia deploy has written")
    manifest = read_json(path, "the manifest", Manifest)
    sizes = {network.model: len(network.layers) for network in manifest.networks}
    servers, owners = {server.name for server in manifest.servers}, dict[str, str]()
    for half in manifest.halves:
        if not is_beneath(folder, half.file):
            raise InputError(f"{path}: the half {half.file} is outside the folder; deploy the plan anew")
        check_readable(folder / half.file, "the model")
        if not half.start < half.end <= sizes.get(half.model, 0) or half.file in owners:
            raise InputError(
                f"{path}: the half {half.file} is there twice, or has layers that no network has; deploy the plan anew"
            )
        owners[half.file] = half.model
    if len({node.name for node in manifest.nodes}) < len(manifest.nodes):
        raise InputError(f"{path}: two nodes have one name; deploy the plan anew")
    for node in manifest.nodes:
        splits = {cut.split for cut in node.cuts}
        for stage in node.stages:
            runs, sends = stage.slot in COMPUTING, stage.slot in LINKS
            wrong = (
                (runs and owners.get(str(stage.half)) != node.model)
                or (sends and stage.cut not in splits)
                or (stage.slot.endswith("server") and stage.stage not in servers)
            )
            if wrong or node.model not in sizes:
                raise InputError(
                    f'{path}: the stage "{stage.stage}" of node "{node.name}" names a half, a cut, a server or a '
                    "network that is not there; deploy the plan anew"
                )
    return manifest
