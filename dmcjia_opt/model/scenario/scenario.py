"""A scenario: servers, links, the options and a columnar table of edge nodes, written to TOML (`loading` reads it)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import ConfigDict, model_validator
from pydantic_core import PydanticCustomError

from dmcjia_opt.base.arrays import FloatArray, frozen
from dmcjia_opt.base.entries import TableEntry, all_of
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.fields import RANGE, NonNegative, Positive
from dmcjia_opt.base.files import path_of
from dmcjia_opt.base.limits import MOST
from dmcjia_opt.base.showing import called, counted, described, html_table
from dmcjia_opt.model.networks.measured import MeasuredTimes, Timed
from dmcjia_opt.model.networks.profile import LayerProfile
from dmcjia_opt.model.networks.zoo import zoo_profile
from dmcjia_opt.model.resources import Sharing
from dmcjia_opt.model.scenario.node_limits import check_limits
from dmcjia_opt.model.scenario.nodes import AnyNodes
from dmcjia_opt.model.scenario.servers import (
    CLOUD_NAME,
    Host,
    Link,
    Server,
    batches_of_cloud,
    check_hosts,
    check_names_of_resources,
)
from dmcjia_opt.model.scenario.streams import arrivals_rule, check_streams, sharing_rule

if TYPE_CHECKING:
    import pandas as pd

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

_MOST_SHOWN = 10  # nodes in a notebook
_DELAYS = {"md1": "M/D/1", "mm1": "M/M/1", "mg1": "M/G/1", "tandem": "tandem"}


class Options(TableEntry):
    """The ``[options]`` table: what delay is, which constraints hold and how nodes are averaged.

    ``service_scv`` is the squared coefficient of variation of the cloud's service times; only ``mg1`` reads it.
    ``uplink`` says whether tasks overlap on a link (``"delay"``) or it serves one at a time (``"queue"``).
    ``statistic`` is what is meant by a node's delay, its mean or a percentile; ``objective`` is what is minimised, the
    mean of the nodes' delays or the largest.

    Examples
    --------
    >>> from dmcjia_opt import InputError, Options
    >>> Options(delay="tandem", statistic="p95")
    Options(delay='tandem', statistic='p95')
    >>> try:
    ...     Options(delay="median")
    ... except InputError as error:
    ...     print(error)
    ...
    Options: "delay": input should be 'md1', 'mm1', 'mg1' or 'tandem', got 'median'
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


_NUMBER = (int, float, np.integer, np.floating)
#: What fields of a scenario must be, and in words; those that are checked besides are not here.
_KINDS: Mapping[str, tuple[tuple[type, ...], str]] = {
    "options": ((Options,), 'Options(…), such as Options(delay="md1")'),
    "profiles": ((Mapping,), "a mapping from network names to profiles"),
    "times": ((MeasuredTimes,), "MeasuredTimes(…)"),
    **dict.fromkeys(("name", "cloud_device", "cloud_link"), ((str,), "a text")),
    "cloud_rtt_ms": (_NUMBER, "a number, ms"),
    **{f"cloud_{key}gflops": ((*_NUMBER, type(None)), "a number") for key in ("", "price_per_", "step_")},
}


@dataclass(frozen=True, eq=False)
class Scenario:
    """Everything that defines one placement problem, in the units of its file.

    Parameters
    ----------
    cloud_gflops
        Total compute of the cloud, GFLOP/s; None where there are only `servers`.
    nodes
        The fleet: a list of `Node`, or a `NodeTable`, which it is from then on.
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

    Examples
    --------
    >>> from dmcjia_opt import Link, Node, Scenario
    >>> gate = Node("gate", "resnet34", compute_gflops=5, arrival_rate=1, link="cell-3")
    >>> yard = Node("yard", "resnet34", compute_gflops=10, arrival_rate=1, uplink_mbps=6)
    >>> Scenario(cloud_gflops=60, nodes=[gate, yard], links=[Link("cell-3", mbps=50)])
    Scenario(2 nodes running resnet34, cloud 60 GFLOP/s, 1 link)
    """

    cloud_gflops: float | None = None
    nodes: AnyNodes = AnyNodes()  # noqa: RUF009 - a descriptor, not a default
    options: Options = field(default_factory=Options)
    profiles: Mapping[str, LayerProfile] = field(default_factory=dict)
    name: str = ""
    times: MeasuredTimes = field(default_factory=MeasuredTimes)
    cloud_device: str = ""
    cloud_rtt_ms: float = 0.0
    cloud_link: str = ""
    servers: Sequence[Server] = ()
    links: Sequence[Link] = ()
    cloud_price_per_gflops: float | None = None
    cloud_step_gflops: float | None = None
    hosts: Sequence[Host] = ()
    cloud_sharing: Sharing = "reserved"
    cloud_seconds_by_batch: Mapping[int, float] | Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Resolve zoo networks that no profile was given for, and look every name and measured time up."""
        for key, (kind, what) in _KINDS.items():
            if not isinstance(getattr(self, key), kind):
                raise InputError(f"{key} must be {what}, got {described(getattr(self, key))}")
        for network, profile in self.profiles.items():
            if not isinstance(profile, LayerProfile):
                raise InputError(f'profiles["{network}"] must be a LayerProfile, got {described(profile)}')
        for key, entry in (("servers", Server), ("links", Link), ("hosts", Host)):
            object.__setattr__(self, key, all_of(entry, getattr(self, key), key))
        if self.cloud_gflops is None:
            if not self.servers:
                raise InputError(
                    '"cloud" is missing; add [cloud] with compute_gflops, or [[servers]]; in Python, cloud_gflops or '
                    "servers"
                )
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
        if self.cloud_gflops is not None:
            Server(**self.all_servers[0].model_dump())  # it must be one that a file could have
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

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        cloud_gflops: float | None = None,
        *,
        options: Options | None = None,
        servers: Sequence[Server] = (),
        links: Sequence[Link] = (),
        profiles: Mapping[str, LayerProfile] | None = None,
        name: str = "",
    ) -> Scenario:
        """Return the scenario whose nodes are the rows of a pandas frame.

        Parameters
        ----------
        frame
            Has the columns of a node table, ``name``, ``model``, ``compute_gflops``, ``uplink_mbps``, ``arrival_rate``
            and whatever else of them; NaN is as if left out. Lists are lists, or texts with ``|`` between entries.
        cloud_gflops, options, servers, links, profiles, name
            As of a `Scenario`.

        Raises
        ------
        InputError
            If it is no frame, a column is missing or a value impossible.

        Examples
        --------
        >>> import pandas as pd
        >>> from dmcjia_opt import Scenario
        >>> columns = ["name", "model", "compute_gflops", "uplink_mbps", "arrival_rate"]
        >>> frame = pd.DataFrame([("gate", "resnet34", 5, 25, 1), ("yard", "alexnet", 10, 6, 2)], columns=columns)
        >>> Scenario.from_frame(frame, cloud_gflops=60)
        Scenario(2 nodes running alexnet, resnet34, cloud 60 GFLOP/s)
        """
        from dmcjia_opt.model.scenario.frame_nodes import nodes_of_frame

        return cls(
            cloud_gflops=cloud_gflops,
            nodes=nodes_of_frame(frame),
            options=options or Options(),
            profiles=profiles or {},
            name=name,
            servers=servers,
            links=links,
        )

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], folder: str | Path = ".", *, outside: bool = False) -> Scenario:
        """Return the scenario that a parsed scenario file holds.

        Parameters
        ----------
        content
            The keys of the file, as ``tomllib.loads`` returns them.
        folder
            Where the files are that it refers to.
        outside
            Whether it may refer to files outside of it.

        Raises
        ------
        InputError
            If a key is unknown or missing, or a value impossible; the message names it.

        Examples
        --------
        >>> from dmcjia_opt import Scenario
        >>> gate = {"name": "gate", "model": "vgg19", "compute_gflops": 5, "uplink_mbps": 25, "arrival_rate": 0.5}
        >>> Scenario.from_dict({"cloud": {"compute_gflops": 60}, "nodes": [gate]})
        Scenario(1 node running vgg19, cloud 60 GFLOP/s)
        """
        from dmcjia_opt.model.scenario.loading import from_dict

        return from_dict(content, folder, outside=outside)

    def __repr__(self) -> str:
        cloud = "" if self.cloud_gflops is None else f"cloud {self.cloud_gflops:g} GFLOP/s"
        others = (counted(len(self.servers), "server"), counted(len(self.links), "link"))
        options = (f"{key}={getattr(self.options, key)!r}" for key in sorted(self.options.model_fields_set))
        return called("Scenario", *([f'"{self.name}"'] if self.name else []), self._fleet(), cloud, *others, *options)

    def _fleet(self) -> str:
        """Return how many nodes there are, and which networks they run."""
        networks = sorted({profile.name for profile in self.profiles.values()})
        return f"{counted(self.n_nodes, 'node')} running {', '.join(networks)}"

    def _repr_html_(self) -> str:
        """Return the first nodes as a notebook shows them."""
        from dmcjia_opt.model.scenario.saving import row_of

        rows = [row_of(self.nodes, d) for d in range(min(self.n_nodes, _MOST_SHOWN))]
        head = list(dict.fromkeys(key for row in rows for key in row))
        cells = [[_shown(row.get(key, "–")) for key in head] for row in rows]
        more = self.n_nodes - len(rows)
        notes = [f"and {more:,} more nodes"] if more else []
        entries = [*self.all_servers, *self.links]
        return html_table(head, cells, repr(self), [*notes, *map(repr, entries[:_MOST_SHOWN])])

    @property
    def n_nodes(self) -> int:
        """Number of edge nodes."""
        return len(self.nodes)

    @property
    def all_servers(self) -> tuple[Server, ...]:
        """The cloud, if there is one, and the other servers."""
        if self.cloud_gflops is None:
            return tuple(self.servers)
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
        self._check_node(node)
        return self.menus.route(self, node, option)

    def _check_node(self, node: int) -> None:
        if not (isinstance(node, int | np.integer) and 0 <= node < self.n_nodes):
            raise InputError(f"node must be an index of 0 … {self.n_nodes - 1}, got {described(node)}")

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
        self._check_node(node)
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
        from dmcjia_opt.model.scenario.hashing import sha256

        return sha256(self)

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
        from dmcjia_opt.model.scenario.saving import save

        save(self, path_of(path), nodes_file)


def _shown(value: object) -> str:
    return (
        f"{value:.6g}"
        if isinstance(value, float)
        else ", ".join(map(str, value))
        if isinstance(value, tuple)
        else str(value)
    )
