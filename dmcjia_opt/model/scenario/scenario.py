"""A scenario: servers, links, the options and a columnar table of edge nodes, written to TOML (`loading` reads it)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import tomli_w
from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError

from dmcjia_opt.base.arrays import FloatArray, frozen
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.fields import RANGE, NonNegative, Positive
from dmcjia_opt.base.files import is_beneath, write_text
from dmcjia_opt.base.limits import FILES, MOST
from dmcjia_opt.model.networks.measured import MeasuredTimes, Timed
from dmcjia_opt.model.networks.profile import LayerProfile
from dmcjia_opt.model.networks.zoo import ZOO, zoo_profile
from dmcjia_opt.model.resources import Sharing
from dmcjia_opt.model.scenario.node_files import write_nodes
from dmcjia_opt.model.scenario.node_limits import check_limits
from dmcjia_opt.model.scenario.nodes import ARRIVALS, LABELS, OPTIONAL, QUANTITIES, WHOLE, NodeTable
from dmcjia_opt.model.scenario.servers import (
    CLOUD_NAME,
    COSTS,
    Host,
    Link,
    Server,
    batches_of_cloud,
    check_hosts,
    check_names_of_resources,
)
from dmcjia_opt.model.scenario.streams import arrivals_rule, check_streams, sharing_rule

if TYPE_CHECKING:
    from dmcjia_opt.model.scenario.menus import Menus, Route

GIGA = 1e9
BYTE_PER_S_PER_MBPS = 1e6 / 8
#: The paper's "1 MHz" of bandwidth, read as 1 MiB/s and expressed in Mbit/s (see the errata in the docs).
PAPER_MHZ_IN_MBPS = 2**20 * 8 / 1e6

Ordering = Literal["stability", "cloud-faster"]
Average = Literal["nodes", "tasks"]
Delay = Literal["md1", "mm1", "mg1", "tandem"]
Uplink = Literal["delay", "queue"]
Statistic = Literal["mean", "p50", "p90", "p95", "p99", "p99.9"]
Objective = Literal["mean", "worst"]

_DELAYS = {"md1": "M/D/1", "mm1": "M/M/1", "mg1": "M/G/1", "tandem": "tandem"}


class Options(BaseModel):
    """The ``[options]`` table: what delay is, which constraints hold and how nodes are averaged.

    ``service_scv`` is the squared coefficient of variation of the cloud's service times; only ``mg1`` reads it.
    ``uplink`` says whether tasks overlap on a link (``"delay"``) or it serves one at a time (``"queue"``).
    ``statistic`` is what is meant by a node's delay, its mean or a percentile; ``objective`` is what is minimised, the
    mean of the nodes' delays or the largest.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    delay: Delay = "md1"
    uplink: Uplink = "delay"
    service_scv: NonNegative = 0.0
    ordering: Ordering = "stability"
    average: Average = "nodes"
    flops_per_mac: Positive = 2.0
    statistic: Statistic = "mean"
    objective: Objective = "mean"

    @model_validator(mode="after")
    def _of_this_delay(self) -> Options:
        if self.statistic != "mean" and self.delay != "tandem":
            raise PydanticCustomError(
                "statistic",
                'statistic = "{statistic}" needs delay = "tandem": percentiles of the {delay} delays of edge and cloud '
                'do not add up to one of their sum; write delay = "tandem", or statistic = "mean"',
                {"statistic": self.statistic, "delay": _DELAYS[self.delay]},
            )
        if self.service_scv and self.delay != "mg1":
            raise PydanticCustomError(
                "service_scv", 'service_scv needs delay = "mg1", not "{delay}"', {"delay": self.delay}
            )
        return self


@dataclass(frozen=True, eq=False)
class Scenario:
    """Everything that defines one placement problem, in the units of its file.

    Parameters
    ----------
    cloud_gflops
        Total compute of the cloud, GFLOP/s; None where there are only `servers`.
    nodes
        The fleet.
    options
        Delay curve, ordering constraint, average and FLOPs per MAC.
    profiles
        One profile for every entry of ``nodes.networks``.
    name
        A label for reports.
    times
        Measured seconds of each layer, for nodes with a device and for the cloud if it has one.
    cloud_device
        The device whose measured times, at full share, replace `cloud_gflops`; empty for none.
    cloud_rtt_ms, cloud_link
        The cloud's default round trip, and the link that everything sent to it crosses; empty for none.
    cloud_price_per_gflops, cloud_step_gflops
        What more of the cloud costs, and in which steps it is sold; None where nobody said.
    servers, links
        What else the nodes may use and share.
    hosts
        How nodes share the hosts that are not reserved for them in shares.
    cloud_sharing, cloud_seconds_by_batch
        How they share the cloud: ``reserved``, ``fifo`` or ``ps``; and how long batches take there, s, by the number of
        their tasks, where it serves in batches.

    Raises
    ------
    InputError
        If quantities or names are impossible, or measured times are missing.
    """

    cloud_gflops: float | None
    nodes: NodeTable
    options: Options = field(default_factory=Options)
    profiles: Mapping[str, LayerProfile] = field(default_factory=dict)
    name: str = ""
    times: MeasuredTimes = field(default_factory=MeasuredTimes)
    cloud_device: str = ""
    cloud_rtt_ms: float = 0.0
    cloud_link: str = ""
    servers: tuple[Server, ...] = ()
    links: tuple[Link, ...] = ()
    cloud_price_per_gflops: float | None = None
    cloud_step_gflops: float | None = None
    hosts: tuple[Host, ...] = ()
    cloud_sharing: Sharing = "reserved"
    cloud_seconds_by_batch: Mapping[int, float] | Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Resolve zoo networks that no profile was given for, and look every name and measured time up."""
        if self.cloud_gflops is None:
            if not self.servers:
                raise InputError('"cloud" is missing; add [cloud] with compute_gflops, or [[servers]]')
        elif not (np.isfinite(self.cloud_gflops) and self.cloud_gflops > 0):
            raise InputError(f"cloud.compute_gflops must be finite and > 0, got {self.cloud_gflops}")
        elif not 1 / MOST <= self.cloud_gflops <= MOST:
            raise InputError(f"cloud.compute_gflops must lie {RANGE}, got {self.cloud_gflops}")
        for key in ("price_per_gflops", "step_gflops"):
            value = getattr(self, f"cloud_{key}")
            if value is not None and not 1 / MOST <= value <= MOST:
                raise InputError(f"cloud.{key} must be > 0 and lie {RANGE}, got {value}")
        if self.cloud_seconds_by_batch:
            object.__setattr__(self, "cloud_seconds_by_batch", batches_of_cloud(self.cloud_seconds_by_batch))
        object.__setattr__(self, "servers", tuple(self.servers))
        object.__setattr__(self, "links", tuple(self.links))
        object.__setattr__(self, "hosts", tuple(self.hosts))
        check_names_of_resources(self.all_servers, self.links, self.nodes)
        check_hosts(self.nodes, self.hosts)
        profiles = {m: self.profiles[m] if m in self.profiles else zoo_profile(m) for m in self.nodes.networks}
        object.__setattr__(self, "profiles", profiles)
        taken: dict[Timed, str] = {}
        for device, network in self.measured():
            self.times.of(device, profiles[network])
            other = taken.setdefault(self.times.key(device, profiles[network]), network)
            if not np.array_equal(profiles[network].macs, profiles[other].macs):
                raise InputError(
                    f'{self.times.source}: the times of "{profiles[network].name}" on device "{device}" would be taken '
                    f'for two networks of that name, "{other}" and "{network}"; measure each of them: '
                    f"dmcjia profile MODEL.onnx --measure {device} --out-times FILE"
                )
        check_limits(self.nodes, profiles)
        check_streams(self)

    @property
    def n_nodes(self) -> int:
        """Number of edge nodes."""
        return len(self.nodes)

    @property
    def all_servers(self) -> tuple[Server, ...]:
        """The cloud, if there is one, and the other servers."""
        if self.cloud_gflops is None:
            return self.servers
        cloud = Server.model_construct(
            name=CLOUD_NAME,
            compute_gflops=float(self.cloud_gflops),
            device=self.cloud_device or None,
            rtt_ms=float(self.cloud_rtt_ms),
            link=self.cloud_link or None,
            price_per_gflops=self.cloud_price_per_gflops,
            step_gflops=self.cloud_step_gflops,
            sharing=self.cloud_sharing,
            seconds_by_batch={str(size): seconds for size, seconds in self.cloud_seconds_by_batch.items()} or None,
        )
        return (cloud, *self.servers)

    def without_deadlines(self) -> Scenario:
        """Return the same, where no node has a deadline."""
        if not self.nodes.has("deadline_ms"):
            return self
        return replace(self, nodes=replace(self.nodes, deadline_ms=frozen(np.nan)))

    @property
    def rule(self) -> str:
        """What the plans have in common that a bound is about, in a few words."""
        options = self.options
        parts = [*sharing_rule(self), "these cuts"]
        if options.ordering == "cloud-faster":
            parts.append("a cloud faster than its edges")
        whose = " of the worst node" if options.objective == "worst" else ""
        percentile = "" if options.statistic == "mean" else f" at its {options.statistic[1:]}th percentile"
        parts.append(f"the {_DELAYS[options.delay]} delay{whose}{percentile}")
        parts += arrivals_rule(self)
        if self.nodes.has("deadline_ms"):
            parts.append("every deadline kept")
        return f"{', '.join(parts[:-1])} and {parts[-1]}"

    @cached_property
    def menus(self) -> Menus:
        """The options of every node, where its network is cut, and which server runs what."""
        from dmcjia_opt.model.scenario.menus import make_menus

        return make_menus(self)

    def route(self, node: int, option: int) -> Route:
        """Return what an option of a node says: its cuts, and where each part of the network runs.

        Raises
        ------
        InputError
            If the node has no such option.
        """
        return self.menus.route(self, node, option)

    def option_of(self, node: int, cuts: int | Sequence[int], server: str | None = None) -> int:
        """Return the option of a node that has these cuts and whose last part runs on `server`.

        Parameters
        ----------
        node
            Its index.
        cuts
            The split, or with tiers both cuts in order.
        server
            None where all runs at the edge, or where the cuts leave one choice.

        Raises
        ------
        InputError
            If there is none: a limit forbids it, or another option is better whatever the shares.
        """
        return self.menus.option_of(self, node, cuts, server)

    def seconds(self, device: str, network: str) -> FloatArray:
        """Return the measured seconds of each layer of the network called `network` by nodes, (n_layers,)."""
        return self.times.of(device, self.profiles[network])

    def network_names(self) -> tuple[str, ...]:
        """Return the name of each node's network, (n_nodes,)."""
        names = [self.profiles[network].name for network in self.nodes.networks]
        return tuple(names[k] for k in self.nodes.network_index)

    def network_cautions(self) -> tuple[str, ...]:
        """Return what is not counted of the networks, or was taken for granted, a sentence each."""
        profiles = [self.profiles[network] for network in self.nodes.networks]
        return tuple(dict.fromkeys(f'model "{p.name}": {caution}' for p in profiles for caution in p.cautions))

    def measured(self) -> list[tuple[str, str]]:
        """Return every pair of device and network reference whose times matter."""
        pairs = list(self.nodes.measured())
        timed = [server for server in self.all_servers if server.device]
        if timed:
            used = self.servers_of_networks()
            pairs += [
                (str(s.device), network) for s in timed for network in self.nodes.networks if s.name in used[network]
            ]
        return list(dict.fromkeys(pairs))

    def servers_of_networks(self) -> dict[str, set[str]]:
        """Return which servers some node may use, by its network's reference."""
        nodes, everywhere = self.nodes, {server.name for server in self.all_servers}
        key = nodes.network_index * (len(nodes.servers.values) + 1) + nodes.servers.index + 1
        key = key * (len(nodes.tiers.values) + 1) + nodes.tiers.index + 1
        used: dict[str, set[str]] = {network: set() for network in nodes.networks}
        for d in np.unique(key, return_index=True)[1]:
            used[nodes.network_of(d)].update(nodes.tiers.at(d) or nodes.servers.at(d) or everywhere)
        return used

    def sha256(self) -> str:
        """Return the hash of the content: columns, options, cloud, profiles and times; not of the file's layout.

        Prices are left out: no plan depends on them.
        """
        options = self.options.model_dump()
        for key in ("statistic", "objective"):  # as it was when there was nothing but the mean
            if options[key] == "mean":
                del options[key]
        if self.options.delay != "tandem" and self.options.uplink == "delay":
            del options["uplink"]  # as it was when the other curves did not read it
        head = {
            "cloud_gflops": None if self.cloud_gflops is None else float(self.cloud_gflops),
            "options": options,
            "names": self.nodes.names if isinstance(self.nodes.names, tuple) else self.nodes.names.digest,
            "models": [self.profiles[m].fingerprint() for m in self.nodes.networks],
        }
        digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
        digest.update(self.nodes.network_index.astype("<i8").tobytes())
        for key in QUANTITIES:
            digest.update(getattr(self.nodes, key).astype("<f8").tobytes())
        for part in self._further():
            digest.update(part)
        measured = self.measured()
        if measured:
            on = [self.nodes.devices, self.cloud_device, measured]
            digest.update(json.dumps(on).encode() + self.nodes.device_index.astype("<i8").tobytes())
            for device, network in measured:
                digest.update(self.seconds(device, network).astype("<f8").tobytes())
        return digest.hexdigest()

    def _further(self) -> Iterator[bytes]:
        """Yield what a scenario has beside one cloud and private links, for its hash."""
        nodes = self.nodes
        shared = [[_content(entry) for entry in entries] for entries in (self.servers, self.links)]
        cloud = [float(self.cloud_rtt_ms), self.cloud_link]
        if any(shared) or any(cloud):
            yield json.dumps([*shared, *cloud]).encode()
        pooled = {host.name: host.sharing for host in self.hosts if host.sharing != "reserved"}
        if pooled or self.cloud_sharing != "reserved":
            yield json.dumps([self.cloud_sharing, sorted(pooled.items())]).encode()
        if self.cloud_seconds_by_batch:
            yield json.dumps([*self.cloud_seconds_by_batch.items()]).encode()
        for key in LABELS:
            labels = getattr(nodes, key)
            if labels.values:
                yield json.dumps([key, labels.values]).encode() + labels.index.astype("<i8").tobytes()
        for key in filter(nodes.has, OPTIONAL):
            yield key.encode() + getattr(nodes, key).astype("<f8").tobytes()
        if nodes.has("memory_mb"):
            for network in nodes.networks:
                weights = self.profiles[network].weight_bytes
                yield b"" if weights is None else weights.astype("<f8").tobytes()

    def save(self, path: str | Path, *, nodes_file: str | None = None) -> None:
        """Write the scenario as TOML, its nodes inline or in `nodes_file` (``.csv`` or ``.parquet``) beside it.

        A `nodes_file` that is a folder already has the nodes in parts.

        Profiles that are not the zoo's are written beside it too, as JSON under their reference's name (with
        ``.json`` added where it ends otherwise), and so are the measured times.

        Raises
        ------
        InputError
            If the folder cannot be written, a file would lie outside of it, or too many nodes are to be inline.
        """
        path = Path(path)
        options = self.options.model_dump(exclude_defaults=True)
        options["flops_per_mac"] = self.options.flops_per_mac
        content: dict[str, Any] = {"name": self.name} if self.name else {}
        table = replace(self.nodes, networks=tuple(self._saved_as(network) for network in self.nodes.networks))
        written = [reference for reference in table.networks if reference not in ZOO]
        for reference in [*written, *([] if nodes_file is None else [nodes_file])]:
            if not is_beneath(path.parent, reference):
                raise InputError(f'"{reference}" would be written outside the folder of {path}; choose another name')
        if nodes_file is not None:
            if not (path.parent / nodes_file).is_dir():
                write_nodes(path.parent / nodes_file, table)
            content["nodes_file"] = nodes_file
        if self.cloud_gflops is not None:
            cloud = {
                "device": self.cloud_device,
                "rtt_ms": float(self.cloud_rtt_ms),
                "link": self.cloud_link,
                "price_per_gflops": self.cloud_price_per_gflops,
                "step_gflops": self.cloud_step_gflops,
                "sharing": "" if self.cloud_sharing == "reserved" else self.cloud_sharing,
                "seconds_by_batch": dict(self.cloud_seconds_by_batch),
            }
            content["cloud"] = {"compute_gflops": float(self.cloud_gflops)} | {k: v for k, v in cloud.items() if v}
        content["options"] = options
        measured = [self.times.key(device, self.profiles[network]) for device, network in self.measured()]
        if measured:
            content["profiles"] = {"times_file": times_beside(path).name}
            self.times.only(measured).save(times_beside(path))
        for key in ("servers", "links", "hosts"):
            if entries := getattr(self, key):
                content[key] = [entry.model_dump(exclude_defaults=True) for entry in entries]
        if nodes_file is None:
            content["nodes"] = [_node(table, d) for d in range(self.n_nodes)]
        for network, reference in zip(self.nodes.networks, table.networks, strict=True):
            if reference not in ZOO:
                self.profiles[network].save(path.parent / reference)
        text = tomli_w.dumps(content)
        most, remedy = FILES["the scenario"]
        if len(text) > most:
            raise InputError(f"{path}: {len(text):,} bytes could not be read again; the most is {most:,}: {remedy}")
        write_text(path, text)

    def _saved_as(self, network: str) -> str:
        """Return the reference of a network's profile once it is written; an ONNX file is never written over."""
        if Path(network).suffix == ".json":
            return network
        zoo = network in ZOO and self.profiles[network].fingerprint() == zoo_profile(network).fingerprint()
        return network if zoo else f"{network}.json"


def times_beside(path: Path) -> Path:
    """Return where the measured times of a scenario are written that is written to `path`."""
    return path.with_name(f"{path.stem}-times.csv")


def _content(entry: Server | Link) -> dict[str, Any]:
    """Return what of a server or a link plans depend on."""
    unsaid = {"sharing": entry.sharing == "reserved", "seconds_by_batch": not getattr(entry, "seconds_by_batch", None)}
    return entry.model_dump(exclude={*COSTS, *(key for key, is_so in unsaid.items() if is_so)})


def _node(table: NodeTable, d: int) -> dict[str, Any]:
    numbers = {key: float(getattr(table, key)[d]) for key in (*QUANTITIES, *filter(table.has, OPTIONAL))}
    row: dict[str, Any] = {"name": table.names[d], "model": table.network_of(d)}
    row |= {key: int(value) if key in WHOLE else value for key, value in numbers.items() if not np.isnan(value)}
    if row.get("arrivals") == ARRIVALS["periodic"]:
        row["arrivals"] = "periodic"
    labels = {key: getattr(table, key).at(d) for key in LABELS if getattr(table, key).values} | {
        "device": table.device_of(d)
    }
    return row | {key: value for key, value in labels.items() if value is not None}
