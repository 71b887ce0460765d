"""How long one task keeps each stage of its node busy, by option: the service times behind every delay model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np

from dmcjia_opt.base.arrays import AnyArray, BoolArray, FloatArray, IntArray, blocks, namespace, same
from dmcjia_opt.base.showing import brief
from dmcjia_opt.model.resources import Resource
from dmcjia_opt.model.scenario.menus import Menu, Menus
from dmcjia_opt.model.scenario.node_limits import NodeLimits
from dmcjia_opt.model.scenario.scenario import BYTE_PER_S_PER_MBPS, GIGA, Scenario
from dmcjia_opt.model.scenario.servers import hosts_in_common
from dmcjia_opt.model.sharing.batches import Batches

#: Entries of a fleet's table that are worked on at a time.
BLOCK_ENTRIES = 1 << 19
#: The columns of `StageTimes` that have a row for each node.
COLUMNS = ("link", "host", "compute", "bandwidth", "rate", "scv", "input_bytes", "latency", "device_index")

#: What an option may use, in the order of the path a task takes: each is a use of its own, with its own delay curve.
Slot = Literal["host", "link", "first link", "first server", "second link", "second server"]
Rows: TypeAlias = slice | IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Services:
    """Service times of each node at the option it has.

    Parameters
    ----------
    edge, upload
        (n_nodes,) of the node's own compute and of its own uplink, s; 0 where it has a host or a shared link instead.
    constant
        (n_nodes,) round trips and the download of the result, s: nobody waits for each other there.
    used
        (n_nodes, n_uses) service time of each use at full share, s; 0 where there is none.
    resource
        (n_nodes, n_uses) which resource that is.

    Examples
    --------
    >>> import numpy as np
    >>> from dmcjia_opt import generate
    >>> from dmcjia_opt.model.scenario.services import stage_times
    >>> services = stage_times(generate("paper", nodes=3, seed=1)).at(np.array([0, 16, 34]))
    >>> services.edge.round(3)
    array([0.   , 0.198, 0.586])
    """

    edge: FloatArray
    upload: FloatArray
    constant: FloatArray
    used: FloatArray
    resource: IntArray

    __repr__ = brief


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """The same for some nodes at several options each, (n_rows, n_options) or what broadcasts to it.

    Examples
    --------
    >>> from dmcjia_opt import generate
    >>> from dmcjia_opt.model.scenario.services import stage_times
    >>> times = stage_times(generate("paper", nodes=3, seed=1))
    >>> (_, menu, rows), *_ = times.blocks()
    >>> times.of(menu, rows).edge.shape
    (3, 35)
    """

    edge: FloatArray
    computing: FloatArray
    sent: FloatArray
    upload: FloatArray
    constant: FloatArray
    used: Mapping[Slot, tuple[FloatArray, IntArray]]

    __repr__ = brief


@dataclass(frozen=True, slots=True, eq=False)
class StageTimes:
    """Service times of a fleet in factored form: what a menu asks for, over what a node and its resources have.

    Parameters
    ----------
    menus
        What the options ask for.
    resources, slots
        What is shared, and the uses that options have.
    speed
        (n_resources,) byte/s of a link; of a server or a host, 1: the menus have their service
        times, which full batches divide.
    server, server_link
        (n_servers,) the resource that a server is, and the link in front of it; −1 for none.
    link, host
        (n_nodes,) the node's shared link and its host; −1 for none.
    compute, bandwidth, rate, scv
        (n_nodes,) FLOP/s; byte/s, +inf without an uplink of its own; arrivals, 1/s, and c_a² of their gaps.
    input_bytes, latency
        (n_nodes,) raw input of the node; its own round trip and the download of the result, s.
    own_input, remote, renewal
        Whether some node's raw input is not the profile's, whether anything takes a round trip, and whether some
        arrivals are not Poisson.
    device_index
        (n_nodes,) device of the node in `measured`; −1 where its layers were not measured.
    measured
        (n_splits,) edge service times, s, of a device and a network, that were measured.
    limits
        What limits of memory and energy there are, or None.

    Examples
    --------
    >>> from dmcjia_opt import generate
    >>> from dmcjia_opt.model.scenario.services import stage_times
    >>> stage_times(generate("paper", nodes=3, seed=1)).slots
    ('first server',)
    """

    menus: Menus
    resources: tuple[Resource, ...]
    slots: tuple[Slot, ...]
    speed: FloatArray
    server: IntArray
    server_link: IntArray
    link: IntArray
    host: IntArray
    compute: FloatArray
    bandwidth: FloatArray
    rate: FloatArray
    scv: FloatArray
    input_bytes: FloatArray
    latency: FloatArray
    own_input: bool
    remote: bool
    renewal: bool
    device_index: IntArray
    measured: Mapping[tuple[int, int], FloatArray]
    limits: NodeLimits | None

    __repr__ = brief

    @property
    def has_choices(self) -> bool:
        """Whether some node may use one server or another, so that it depends on the option which resource a use is."""
        return any(len(set(menu.first[menu.away].tolist())) > 1 for menu in self.menus.kinds)

    def with_more(self, resource: int, factor: float) -> StageTimes:
        """Return the same where one resource has `factor` times its capacity."""
        speed = self.speed.copy()
        speed[resource] *= factor
        return replace(self, speed=speed)

    def only(self, rows: IntArray) -> StageTimes:
        """Return the same of some nodes."""
        columns: dict[str, Any] = {key: np.asarray(getattr(self, key)[rows]) for key in COLUMNS}  # of JAX, too
        limits = None if self.limits is None else self.limits.only(rows)
        menus = replace(self.menus, index=self.menus.index[rows])
        return replace(self, **columns, limits=limits, menus=menus)

    def slim(self) -> StageTimes:
        """Return the same, where a column of one value takes no memory for each node."""
        columns: dict[str, Any] = {key: same(getattr(self, key)) for key in COLUMNS}
        return replace(self, **columns, menus=replace(self.menus, index=same(self.menus.index)))

    def blocks(self) -> Iterator[tuple[int, Menu, Rows]]:
        """Yield the nodes of every kind, some at a time, with their kind and its menu."""
        kinds = self.menus.kinds
        for k, menu in enumerate(kinds):
            own = None if len(kinds) == 1 else self.menus.rows(k)
            for part in blocks(len(self.rate) if own is None else len(own), len(menu), BLOCK_ENTRIES):
                yield k, menu, part if own is None else own[part]

    def of(self, menu: Menu, rows: Rows, pick: slice | IntArray = slice(None)) -> Parts:
        """Return what options of some nodes ask for.

        Parameters
        ----------
        menu, rows
            Nodes of one kind, and their menu.
        pick
            Which options: all, or (n_rows, 1) one for each node.
        """
        xp = namespace(self.compute, pick)

        def at(table: AnyArray) -> AnyArray:  # what JAX traces picks from its own arrays only
            return xp.asarray(table)[pick]

        work = at(menu.work)
        computing = work / self.compute[rows, None]
        for (device, network), seconds in self.measured.items():
            if network == menu.network:
                on = self.device_index[rows, None] == device
                computing = xp.where(on, xp.asarray(seconds)[at(menu.cuts[:, 0])], computing)
        sent, raw = at(menu.sent), at(menu.cuts[:, 0] == 0)
        if self.own_input:
            sent = xp.where(raw, self.input_bytes[rows, None], sent)
        upload = sent / self.bandwidth[rows, None]
        constant = at(menu.trip) + xp.where(at(menu.away), self.latency[rows, None], 0.0) if self.remote else 0.0
        speed = xp.asarray(self.speed)
        used: dict[Slot, tuple[FloatArray, IntArray]] = {}
        if menu.hosted:
            host = self.host[rows, None]
            used["host"] = computing / speed[host], host
        if menu.linked:
            link = self.link[rows, None]
            used["link"] = sent / speed[link], link
        served = at(menu.served)
        first = at(menu.first)
        server = xp.maximum(xp.asarray(self.server)[xp.where(first >= 0, first, menu.first[0])], 0)
        used["first server"] = served[..., 0] / speed[server], server
        if "first link" in self.slots:
            link = xp.where(first >= 0, xp.asarray(self.server_link)[first], -1)
            crossed = (link >= 0) & (link != self.link[rows, None])  # a link is crossed once, whoever names it
            used["first link"] = (
                xp.where(crossed, sent / speed[link], 0.0),
                xp.where(link >= 0, link, self._link_of(menu)),
            )
        if menu.tiers:
            second = menu.tiers[1]
            used["second server"] = served[..., 1] / self.speed[self.server[second]], self.server[second : second + 1]
            if self.server_link[second] >= 0:
                onward = at(menu.onward)
                if self.own_input:
                    raw = at(menu.cuts[:, 1] == 0) & (onward > 0)
                    onward = xp.where(raw, self.input_bytes[rows, None], onward)
                link = self.server_link[second : second + 1]
                used["second link"] = onward / self.speed[link], link
        edge = xp.zeros_like(computing) if menu.hosted else computing
        return Parts(edge, computing, sent, upload, xp.asarray(constant), used)

    def _link_of(self, menu: Menu) -> int:
        """Return the first link in front of a server of the menu; 0 if there is none."""
        links = self.server_link[menu.first[menu.away]]
        return int(links[links >= 0][0]) if (links >= 0).any() else 0

    def at(self, options: IntArray) -> Services:
        """Return the service times, s, of every node at `options` (n_nodes,); those of resources at full share."""
        n, n_uses = len(options), len(self.slots)
        edge, upload, constant = np.empty(n), np.empty(n), np.zeros(n)
        used, resource = np.zeros((n, n_uses)), np.zeros((n, n_uses), dtype=np.int64)
        for _, menu, rows in self.blocks():
            parts = self.of(menu, rows, options[rows][:, None])
            for values, table in ((edge, parts.edge), (upload, parts.upload)):
                values[rows] = table[:, 0]
            constant[rows] = np.broadcast_to(parts.constant, (len(parts.edge), 1))[:, 0]
            for k, slot in enumerate(self.slots):
                if slot in parts.used:
                    service, which = (np.broadcast_to(table, (len(parts.edge), 1)) for table in parts.used[slot])
                    used[rows, k], resource[rows, k] = service[:, 0], which[:, 0]
        return Services(edge, upload, constant, used, resource)


def stage_times(scenario: Scenario, also: Iterable[str] = ()) -> StageTimes:
    """Return the service times of a scenario; every unit is SI from here on.

    Servers and links of the names `also` are among the resources even where none of its nodes uses them.
    """
    nodes, menus = scenario.nodes, scenario.menus
    used, crossed = (names.union(also) for names in used_and_crossed(scenario))
    servers = scenario.all_servers
    hosts = hosts_in_common(nodes)
    of_hosts = {host.name: host.sharing for host in scenario.hosts}
    resources = [
        *(Resource(server.name, "server", server.sharing, server.batches) for server in servers if server.name in used),
        *(Resource(link.name, "link", link.sharing) for link in scenario.links if link.name in crossed),
        *(Resource(host, "host", of_hosts.get(host, "reserved")) for host in hosts.values()),
    ]
    place = {resource.name: r for r, resource in enumerate(resources)}
    mbps = {link.name: link.mbps for link in scenario.links}
    server_link = np.array([place[s.link] if s.link and s.name in used else -1 for s in servers], dtype=np.int64)
    measured = {}
    for device, network in nodes.measured():
        service = np.concatenate([[0.0], np.cumsum(scenario.seconds(device, network))])
        measured[nodes.devices.index(device), nodes.networks.index(network)] = service
    inputs = np.array([float(scenario.profiles[network].input_bytes) for network in nodes.networks])
    own = np.isfinite(nodes.input_bytes)
    with np.errstate(invalid="ignore"):
        result = np.nan_to_num(nodes.result_bytes / (nodes.downlink_mbps * BYTE_PER_S_PER_MBPS))
    latency = np.nan_to_num(nodes.rtt_ms) * 1e-3 + result
    return StageTimes(
        menus=menus,
        resources=tuple(resources),
        slots=_slots(menus, server_link),
        speed=np.array([mbps[r.name] * BYTE_PER_S_PER_MBPS if r.kind == "link" else _batched(r) for r in resources]),
        server=np.array([place.get(server.name, -1) for server in servers], dtype=np.int64),
        server_link=server_link,
        link=_coded(nodes.link.values, nodes.link.index, place),
        host=_coded([host if k in hosts else "" for k, host in enumerate(nodes.host.values)], nodes.host.index, place),
        compute=nodes.compute_gflops * GIGA,
        bandwidth=np.where(np.isnan(nodes.uplink_mbps), np.inf, nodes.uplink_mbps * BYTE_PER_S_PER_MBPS),
        rate=nodes.arrival_rate,
        scv=nodes.arrival_scv,
        input_bytes=np.where(own, nodes.input_bytes, inputs[nodes.network_index]),
        latency=latency,
        own_input=bool(own.any()),
        remote=bool(latency.any() or any(menu.trip.any() for menu in menus.kinds)),
        renewal=nodes.has("arrivals"),
        device_index=nodes.device_index,
        measured=measured,
        limits=NodeLimits.of(nodes),
    )


def used_and_crossed(scenario: Scenario) -> tuple[set[str], set[str]]:
    """Return the names of the servers that some node may use, and of the links that may be crossed."""
    used = set[str]().union(*scenario.servers_of_networks().values())
    servers = scenario.all_servers
    return used, {*scenario.nodes.link.values, *(s.link for s in servers if s.link and s.name in used)}


def _batched(resource: Resource) -> float:
    """Return how many times as fast full batches are as one task after the other."""
    return resource.pooled.most if isinstance(resource.pooled, Batches) else 1.0


def _slots(menus: Menus, server_link: IntArray) -> tuple[Slot, ...]:
    kinds = menus.kinds
    there: dict[Slot, bool] = {
        "host": any(menu.hosted for menu in kinds),
        "link": any(menu.linked for menu in kinds),
        "first link": any((server_link[menu.first[menu.away]] >= 0).any() for menu in kinds),
        "first server": True,
        "second link": any(menu.tiers is not None and server_link[menu.tiers[1]] >= 0 for menu in kinds),
        "second server": any(menu.tiers is not None for menu in kinds),
    }
    return tuple(slot for slot, is_there in there.items() if is_there)


def _coded(names: tuple[str, ...] | list[str], index: IntArray, place: Mapping[str, int]) -> IntArray:
    """Return the resource of each node by name; −1 for none."""
    return np.array([*(place.get(name, -1) for name in names), -1], dtype=np.int64)[index]


def allowed(
    times: StageTimes, menu: Menu, rows: Rows, parts: Parts, pick: slice | IntArray = slice(None)
) -> BoolArray | None:
    """Return which options the nodes' limits leave, (n_rows, n_options); None where they have none.

    `rows` and `pick` are those that `StageTimes.of` gave the `parts` for.
    """
    xp, limits, found = namespace(times.compute, pick), times.limits, None
    if not menu.allowed.all():
        found = xp.atleast_2d(xp.asarray(menu.allowed)[pick])
    if limits is None:
        return found
    memory, work, first = (xp.asarray(table)[pick] for table in (menu.memory, menu.work, menu.cuts[:, 0]))
    held = xp.where(memory == 0, xp.where(first == 0, times.input_bytes[rows, None], 0.0), memory)
    spent = limits.spent(rows, work, parts.upload)
    with np.errstate(invalid="ignore"):
        fine = ~(held > limits.memory[rows, None]) & ~(spent > limits.energy[rows, None])
        if not menu.uplinked:
            fine &= xp.isfinite(limits.least_rate(rows, work, parts.sent))
    return fine if found is None else fine & found
