"""Menus: what a node may do, where its network is cut and which server runs what.

Nodes of one kind have one menu: the same network, servers or tiers, limits of splits, and the same of a link, an uplink
and a host. With one server and nothing else shared an option is a split. Else options are in the order of their cuts,
then of their servers, and those that no node of the kind can use are left out. The last option of a menu is that all
runs at the edge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from dmcjia_opt.base.arrays import BoolArray, FloatArray, IntArray
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.showing import brief, described
from dmcjia_opt.base.suggesting import did_you_mean
from dmcjia_opt.model.scenario.dominance import needed
from dmcjia_opt.model.scenario.node_limits import allowed_splits, memory_by_split
from dmcjia_opt.model.scenario.servers import hosts_in_common

if TYPE_CHECKING:
    from dmcjia_opt.model.scenario.nodes import NodeTable
    from dmcjia_opt.model.scenario.scenario import Scenario

GIGA = 1e9
_SECOND_PER_MS = 1e-3


@dataclass(frozen=True, slots=True)
class Route:
    """What an option says.

    Parameters
    ----------
    cuts
        The split; with tiers, both cuts.
    server
        The last server that works; None where all runs at the edge.
    parts
        Who runs which layers, in order: the server's name, None for the node itself, and the first and the last
        layer, counted from 1. What runs no layer is left out.

    Examples
    --------
    >>> from dmcjia_opt import generate
    >>> generate("paper", nodes=3, seed=1).route(0, 16)
    Route(cuts=(16,), server='cloud', parts=((None, 1, 16), ('cloud', 17, 34)))
    """

    cuts: tuple[int, ...]
    server: str | None
    parts: tuple[tuple[str | None, int, int], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Menu:
    """The options of nodes of one kind, and what each asks for.

    Parameters
    ----------
    network
        Index of the network.
    cuts, servers
        (n_options, 1 or 2) where the network is cut, and which server runs each part behind the node, −1 where that
        part is empty.
    first
        (n_options,) the server of the first hop; −1 where nothing leaves the node.
    tiers
        The two servers in a row, or None where a node uses one server at a time.
    allowed
        (n_options,) whether the limits of splits leave the option.
    work
        (n_options,) FLOP at the node.
    sent, onward
        (n_options,) bytes that leave the node, and the first server; where the cut is 0 it is the node's raw input.
    served
        (n_options, 2) service times of the first and the second server at full share, s.
    trip
        (n_options,) round trips, s; without the first hop's where the nodes have their own.
    memory
        (n_options,) bytes that the node needs; 0 where it keeps nothing but its raw input.
    linked, uplinked, hosted, distant
        Whether the nodes have a shared link, an uplink, a host in common, and a round trip of their own.

    Examples
    --------
    >>> from dmcjia_opt import generate
    >>> len(generate("paper", nodes=3, seed=1).menus.of(0))
    35
    """

    network: int
    cuts: IntArray
    servers: IntArray
    first: IntArray
    tiers: tuple[int, int] | None
    allowed: BoolArray
    work: FloatArray
    sent: FloatArray
    onward: FloatArray
    served: FloatArray
    trip: FloatArray
    memory: FloatArray
    linked: bool
    uplinked: bool
    hosted: bool
    distant: bool

    __repr__ = brief

    def __len__(self) -> int:
        return len(self.cuts)

    @property
    def away(self) -> BoolArray:
        """(n_options,) whether something leaves the node for a server."""
        return self.first >= 0

    def only(self, keep: IntArray) -> Menu:
        """Return the menu of some of its options."""
        tables = ("cuts", "servers", "first", "allowed", "work", "sent", "onward", "served", "trip", "memory")
        fields = {key: getattr(self, key) for key in self.__slots__}
        return Menu(**fields | {key: fields[key][keep] for key in tables})


@dataclass(frozen=True, slots=True, eq=False)
class Menus:
    """The menus of a fleet.

    Parameters
    ----------
    kinds
        One for each kind of node.
    index
        (n_nodes,) the kind of each.
    splits
        Whether every option is a split, all of them and in order.

    Examples
    --------
    >>> from dmcjia_opt import generate
    >>> generate("paper", nodes=3, seed=1).menus
    Menus(kinds=<1>, index=<3 int64>, splits=True)
    """

    kinds: tuple[Menu, ...]
    index: IntArray
    splits: bool

    __repr__ = brief

    @property
    def n_options(self) -> int:
        """Length of the longest menu."""
        return max(map(len, self.kinds))

    def of(self, node: int) -> Menu:
        """Return the menu of a node."""
        return self.kinds[int(self.index[node])]

    def rows(self, kind: int) -> IntArray:
        """Return the nodes of a kind."""
        return np.flatnonzero(self.index == kind)

    def last(self) -> IntArray:
        """Return (n_nodes,) the last option of each node: all at the edge."""
        return np.array([len(menu) - 1 for menu in self.kinds], dtype=np.int64)[self.index]

    def all_cuts(self, options: IntArray) -> IntArray:
        """Return where the network of each node is cut, (n_nodes, 1 or 2), at `options` (n_nodes,).

        −1 where a node has no second cut, and others have.
        """
        widths = {menu.cuts.shape[1] for menu in self.kinds}
        found = np.full((len(options), max(widths)), -1, dtype=np.int64)
        for k, menu in enumerate(self.kinds):
            on = self.index == k
            found[on, : menu.cuts.shape[1]] = menu.cuts[options[on]]
        return found

    def last_servers(self, options: IntArray) -> IntArray:
        """Return the last server that works for each node at `options` (..., n_nodes); −1 where none does."""
        first = self._padded("servers", 0)[self.index, options]
        second = self._padded("servers", -1)[self.index, options]
        return np.where(second >= 0, second, first)

    def _padded(self, key: str, column: int) -> IntArray:
        table = np.full((len(self.kinds), self.n_options), -1, dtype=np.int64)
        for k, menu in enumerate(self.kinds):
            table[k, : len(menu)] = getattr(menu, key)[:, column]
        return table

    def route(self, scenario: Scenario, node: int, option: int) -> Route:
        """Return what an option of a node says; see `Scenario.route`."""
        menu, servers = self.of(node), scenario.all_servers
        if not 0 <= option < len(menu):
            raise InputError(f'"{scenario.nodes.names[node]}" has the options 0 … {len(menu) - 1}, not {option}')
        cuts = tuple(map(int, menu.cuts[option]))
        n_layers = scenario.profiles[scenario.nodes.networks[menu.network]].n_layers
        who = [None, *(servers[j].name if j >= 0 else None for j in menu.servers[option])]
        ends = pairwise([0, *cuts, n_layers])
        parts = [(name, start + 1, end) for name, (start, end) in zip(who, ends, strict=True) if end > start]
        return Route(cuts, parts[-1][0], tuple(parts))

    def option_of(self, scenario: Scenario, node: int, cuts: int | Sequence[int], server: str | None) -> int:
        """Return the option with these cuts and this last server; see `Scenario.option_of`."""
        menu, name = self.of(node), scenario.nodes.names[node]
        try:
            wanted = (int(cuts),) if isinstance(cuts, int | np.integer) else tuple(map(int, cuts))
        except (TypeError, ValueError):
            raise InputError(f'the cuts of "{name}" must be whole numbers, got {described(cuts)}') from None
        n_layers = scenario.profiles[scenario.nodes.networks[menu.network]].n_layers
        width = menu.cuts.shape[1]
        if len(wanted) != width or list(wanted) != sorted(wanted) or not 0 <= wanted[0] <= wanted[-1] <= n_layers:
            what = "a split" if width == 1 else "two cuts in order, the second no smaller"
            raise InputError(f'"{name}" needs {what} of 0 … {n_layers}, not {", ".join(map(str, wanted))}')
        found = (menu.cuts == wanted).all(axis=1)
        last = np.where(menu.servers[:, -1] >= 0, menu.servers[:, -1], menu.servers[:, 0])
        if server is not None:
            known = [s.name for s in scenario.all_servers]
            if server not in known:
                raise InputError(
                    f'there is no server "{server}"{did_you_mean(server, known)}; there is {", ".join(known)}'
                )
            found &= last == known.index(server)
        options = np.flatnonzero(found)
        if len(options) > 1:
            names = ", ".join(scenario.all_servers[j].name for j in last[options])
            raise InputError(f'"{name}" has a choice at {wanted}: say the server, one of {names}')
        if not options.size:
            said = ", ".join(map(str, wanted)) + (f" on {server}" if server else "")
            raise InputError(
                f'"{name}" has no option with the cuts {said}: a limit forbids it, the node may not use the server, or '
                "another option is no slower and asks for no more"
            )
        return int(options[0])


@dataclass(frozen=True, slots=True, eq=False)
class _Tables:
    """What networks ask for by split, and how long each server takes from there on."""

    work: Sequence[FloatArray]
    sent: Sequence[FloatArray]
    memory: Sequence[FloatArray]
    remaining: Mapping[tuple[int, int], FloatArray]  # by server and network


def make_menus(scenario: Scenario) -> Menus:
    """Return the menus of a scenario."""
    nodes = scenario.nodes
    used = scenario.servers_of_networks()
    tables = _tables(scenario, used)
    servers = scenario.all_servers
    names = {server.name: j for j, server in enumerate(servers)}
    reached = set().union(*used.values())
    links = nodes.link.values or any(s.link for s in servers if s.name in reached)
    hosted = np.isin(nodes.host.index, list(hosts_in_common(nodes)))
    index, examples = _kinds(nodes, hosted)
    plain = len(reached) == 1 and not (nodes.tiers.values or links or hosted.any())
    kinds = []
    everywhere = [j for name, j in names.items() if name in reached]
    for d in examples:
        several = nodes.servers.at(d)
        tiers = nodes.tiers.at(d)
        chosen = everywhere if several is None else sorted(names[name] for name in several)
        row = None if tiers is None else (names[tiers[0]], names[tiers[1]])
        kinds.append(_menu(scenario, tables, d, chosen, row, hosted=bool(hosted[d])))
    if not plain:
        kinds = needed(scenario, kinds, index)
    return Menus(tuple(kinds), index, plain)


def _tables(scenario: Scenario, used: Mapping[str, set[str]]) -> _Tables:
    profiles = [scenario.profiles[network] for network in scenario.nodes.networks]
    work = [profile.work * scenario.options.flops_per_mac for profile in profiles]
    remaining = {}
    for j, server in enumerate(scenario.all_servers):
        for k, network in enumerate(scenario.nodes.networks):
            if server.name not in used[network]:
                continue
            if server.device:
                seconds = scenario.seconds(server.device, network)
                remaining[j, k] = np.append(np.cumsum(seconds[::-1])[::-1], 0.0)
            else:
                remaining[j, k] = (work[k][-1:] - work[k]) / (server.compute_gflops * GIGA)
    return _Tables(work, [p.upload_bytes for p in profiles], [memory_by_split(p) for p in profiles], remaining)


def _kinds(nodes: NodeTable, hosted: BoolArray) -> tuple[IntArray, IntArray]:
    """Return the kind (n_nodes,) of every node, and one node of each."""
    limits = [getattr(nodes, key) for key in ("min_split", "max_split") if nodes.has(key)]
    columns = [
        *(getattr(nodes, key).index for key in ("servers", "tiers", "splits") if getattr(nodes, key).values),
        *(np.nan_to_num(limit, nan=-1.0).astype(np.int64) for limit in limits),
        *([np.isfinite(nodes.rtt_ms).astype(np.int64)] if nodes.has("rtt_ms") else []),
        *([nodes.link.index >= 0, np.isfinite(nodes.uplink_mbps)] if nodes.link.values else []),
        *([hosted] if hosted.any() else []),
    ]
    code = nodes.network_index
    if not columns and np.bincount(code, minlength=len(nodes.networks)).all():
        return code, np.array([np.argmax(code == k) for k in range(len(nodes.networks))])
    for column in columns:
        code = np.unique(code * (int(column.max()) + 2) + column + 1, return_inverse=True)[1]
    _, examples, code = np.unique(code, return_index=True, return_inverse=True)
    return code, examples


def _menu(
    scenario: Scenario,
    tables: _Tables,
    d: int,
    servers: Sequence[int],
    tiers: tuple[int, int] | None,
    *,
    hosted: bool,
) -> Menu:
    """Return every option of node `d` and those like it."""
    nodes, k = scenario.nodes, int(scenario.nodes.network_index[d])
    work, bytes_at = tables.work[k], tables.sent[k]
    last = len(work) - 1
    distant = bool(np.isfinite(nodes.rtt_ms[d]))
    trips = _SECOND_PER_MS * np.array([server.rtt_ms for server in scenario.all_servers])
    if tiers is None:
        cut = np.append(np.repeat(np.arange(last), len(servers)), last)
        first = np.append(np.tile(servers, last), -1).astype(np.int64)
        served = np.zeros((len(cut), 2))
        for j in servers:
            served[first == j, 0] = tables.remaining[j, k][cut[first == j]]
        cuts, chosen, second = cut[:, None], first[:, None], np.full(len(cut), last)
        onward_trip = np.zeros(len(cut))
    else:
        cut, second = np.triu_indices(last + 1)
        one, two = (tables.remaining[j, k] for j in tiers)
        served = np.stack([one[cut] - one[second], two[second]], axis=1)
        first = np.where(cut < last, tiers[0], -1)
        cuts = np.stack([cut, second], axis=1)
        chosen = np.stack([np.where(cut < second, tiers[0], -1), np.where(second < last, tiers[1], -1)], axis=1)
        onward_trip = np.where(second < last, trips[tiers[1]], 0.0)
    own = np.zeros(len(cut)) if distant else np.where(first >= 0, trips[first], 0.0)
    return Menu(
        network=k,
        cuts=cuts,
        servers=chosen,
        first=first,
        tiers=tiers,
        allowed=allowed_splits(nodes, d, cut),
        work=work[cut],
        sent=bytes_at[cut],
        onward=np.where(second < last, bytes_at[second], 0.0),
        served=served,
        trip=own + onward_trip,
        memory=tables.memory[k][cut],
        linked=bool(nodes.link.index[d] >= 0),
        uplinked=bool(np.isfinite(nodes.uplink_mbps[d])),
        hosted=hosted,
        distant=distant,
    )
