"""A scenario: the cloud, the options and a columnar table of edge nodes, read from and written to TOML."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tomli_w
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from dmcjia_opt.errors import InputError
from dmcjia_opt.model.files import explain, write_text
from dmcjia_opt.model.node_files import read_nodes, write_nodes
from dmcjia_opt.model.nodes import STRICT, Node, NodeTable, NonNegative, Positive, node_table
from dmcjia_opt.model.profile import LayerProfile, load_profile
from dmcjia_opt.model.zoo import ZOO, zoo_profile

GIGA = 1e9
BYTE_PER_S_PER_MBPS = 1e6 / 8
#: The paper's "1 MHz" of bandwidth, read as 1 MiB/s and expressed in Mbit/s (see the errata in the docs).
PAPER_MHZ_IN_MBPS = 2**20 * 8 / 1e6

Ordering = Literal["stability", "cloud-faster"]
Average = Literal["nodes", "tasks"]
Delay = Literal["md1", "mm1", "mg1", "tandem"]
Uplink = Literal["delay", "queue"]


class Cloud(BaseModel):
    """The ``[cloud]`` table: total compute in GFLOP/s."""

    model_config = STRICT
    compute_gflops: Positive


class Options(BaseModel):
    """The ``[options]`` table: what delay is, which constraints hold and how nodes are averaged.

    ``service_scv`` is the squared coefficient of variation of the cloud's service times; only ``mg1`` reads it.
    ``uplink`` says whether tasks overlap on the link (``"delay"``) or it serves one at a time (``"queue"``), which
    only ``tandem`` knows of.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    delay: Delay = "md1"
    uplink: Uplink = "delay"
    service_scv: NonNegative = 0.0
    ordering: Ordering = "stability"
    average: Average = "nodes"
    flops_per_mac: Positive = 2.0

    @model_validator(mode="after")
    def _only_a_tandem_has_a_queue_at_the_uplink(self) -> Options:
        if self.uplink == "queue" and self.delay != "tandem":
            raise PydanticCustomError(
                "uplink", 'uplink = "queue" needs delay = "tandem", not "{delay}"', {"delay": self.delay}
            )
        return self


class _File(BaseModel):
    model_config = STRICT
    name: str = ""
    cloud: Cloud
    options: Options = Options()
    nodes: list[Node] | None = None
    nodes_file: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Scenario:
    """Everything that defines one placement problem, in the units of its file.

    Parameters
    ----------
    cloud_gflops
        Total compute of the cloud, GFLOP/s.
    nodes
        The fleet.
    options
        Delay curve, ordering constraint, average and FLOPs per MAC.
    profiles
        One profile for every entry of ``nodes.models``.
    name
        A label for reports.
    """

    cloud_gflops: float
    nodes: NodeTable
    options: Options = field(default_factory=Options)
    profiles: Mapping[str, LayerProfile] = field(default_factory=dict)
    name: str = ""

    def __post_init__(self) -> None:
        """Resolve zoo models that no profile was given for."""
        if not (np.isfinite(self.cloud_gflops) and self.cloud_gflops > 0):
            raise InputError(f"cloud.compute_gflops must be finite and > 0, got {self.cloud_gflops}")
        profiles = {m: self.profiles[m] if m in self.profiles else zoo_profile(m) for m in self.nodes.models}
        object.__setattr__(self, "profiles", profiles)

    @property
    def n_nodes(self) -> int:
        """Number of edge nodes."""
        return len(self.nodes)

    def sha256(self) -> str:
        """Return the hash of the content: columns, options, cloud and profiles; not of the file's layout."""
        options = self.options.model_dump()
        if self.options.delay != "tandem":
            del options["uplink"]  # the other curves do not read it
        head = {
            "cloud_gflops": float(self.cloud_gflops),
            "options": options,
            "names": self.nodes.names,
            "models": [self.profiles[m].fingerprint() for m in self.nodes.models],
        }
        digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
        digest.update(self.nodes.model_index.astype("<i8").tobytes())
        for key in ("compute_gflops", "uplink_mbps", "arrival_rate", "input_bytes"):
            digest.update(getattr(self.nodes, key).astype("<f8").tobytes())
        return digest.hexdigest()

    def save(self, path: str | Path, *, nodes_file: str | None = None) -> None:
        """Write the scenario as TOML, its nodes inline or in `nodes_file` (``.csv`` or ``.parquet``) beside it.

        Profiles that are not the zoo's are written beside it too, as JSON under their reference's name.
        """
        path = Path(path)
        options = self.options.model_dump(exclude_defaults=True)
        options["flops_per_mac"] = self.options.flops_per_mac
        content: dict[str, Any] = {"name": self.name} if self.name else {}
        if nodes_file is not None:
            write_nodes(path.parent / nodes_file, self.nodes)
            content["nodes_file"] = nodes_file
        content |= {"cloud": {"compute_gflops": float(self.cloud_gflops)}, "options": options}
        if nodes_file is None:
            content["nodes"] = [self._node(d) for d in range(self.n_nodes)]
        for model, profile in self.profiles.items():
            if model not in ZOO:
                profile.save(path.parent / model)
        write_text(path, tomli_w.dumps(content))

    def _node(self, d: int) -> dict[str, Any]:
        table = self.nodes
        row: dict[str, Any] = {
            "name": table.names[d],
            "model": table.model_of(d),
            "compute_gflops": float(table.compute_gflops[d]),
            "uplink_mbps": float(table.uplink_mbps[d]),
            "arrival_rate": float(table.arrival_rate[d]),
        }
        if np.isfinite(table.input_bytes[d]):
            row["input_bytes"] = float(table.input_bytes[d])
        return row


def load_scenario(path: str | Path) -> Scenario:
    """Read a scenario from a TOML file and whatever it refers to.

    Raises
    ------
    InputError
        If a file is missing or malformed; the message names the file, the field and the remedy.
    """
    path = Path(path)
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot read the scenario ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid TOML: {error}") from None
    try:
        parsed = _File.model_validate(raw)
    except ValidationError as error:
        raise InputError(f"{path}: {explain(error)}") from None
    if (parsed.nodes is None) == (parsed.nodes_file is None):
        raise InputError(f"{path}: give the nodes either inline as [[nodes]] or by nodes_file, one of the two")
    try:
        if parsed.nodes_file is not None:
            nodes = read_nodes(path.parent / parsed.nodes_file)
        else:
            nodes = node_table(parsed.nodes or [])
        profiles = {model: _resolve(model, path.parent) for model in nodes.models}
        return Scenario(parsed.cloud.compute_gflops, nodes, parsed.options, profiles, parsed.name or path.stem)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _resolve(model: str, folder: Path) -> LayerProfile:
    if model in ZOO:
        return zoo_profile(model)
    if Path(model).suffix == ".json":
        return load_profile(folder / model)
    raise InputError(
        f'unknown model "{model}"; use one of the zoo ({", ".join(sorted(ZOO))}) or the path of a profile .json file'
    )
