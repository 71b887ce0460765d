"""Options that no node of a kind can use: left out before there are tables.

Option a is in the way of option b if, for every node of the kind, its fixed delay is no longer and it asks no
resource for more service. Whatever the shares of b, a with the same shares is then no slower. Fixed delays
are compared at the corners of what the nodes of the kind have, the one that is worst for a. Where a computes more than
b, that is the slowest node with the most tasks; what it uploads less counts least on the fastest uplink. As every part
has its own corner, the sum is at least the largest difference over the nodes, and nothing is left out that one needs.
That two waits of services x differ most there needs no more than that a wait is x·q(λx), growing and convex in x: the
mean is, and so is every percentile. With the variation of the arrivals it grows in proportion. As a is no slower at any
shares, it keeps what deadline b keeps, and no node is worse off with it. Where nobody has a share, what asks for less
service makes the loads of all smaller, and their waits with them.

In a tandem a node's delay is its services and the wait of the longest stage, W_up upstream and W of what follows:
f + max(W_up, W), f the services. That grows with f and with f + W_up, the fixed delay; both are compared. The waits
are of the statistic that is planned with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from dmcjia_opt.base.arrays import BoolArray, FloatArray, IntArray
from dmcjia_opt.model.delay import TANDEM, TandemCurve, delay_curve

if TYPE_CHECKING:
    from dmcjia_opt.model.scenario.menus import Menu
    from dmcjia_opt.model.scenario.scenario import Scenario

#: How much faster than any of them a node or an uplink may become, for what-if questions, and keep its menu.
ROOM = 1.25
_FLOP_PER_GFLOP, _BYTE_PER_S_PER_MBPS = 1e9, 1e6 / 8
_Wait: TypeAlias = Callable[[FloatArray, FloatArray, FloatArray], FloatArray]


def needed(scenario: Scenario, kinds: Sequence[Menu], index: IntArray) -> list[Menu]:
    """Return the menus without the options that no node of their kind can use.

    Parameters
    ----------
    scenario
        Whose nodes.
    kinds
        Menus with every option.
    index
        (n_nodes,) the kind of each node.
    """
    devices = [server.device for server in scenario.all_servers]
    links = [server.link is not None for server in scenario.all_servers]
    groups: dict[tuple[object, ...], list[int]] = {}
    for k, menu in enumerate(kinds):
        # alike but for which servers of no measured times they are: these compare by work alone
        _, place = np.unique(menu.first, return_inverse=True)
        behind = [*map(int, np.unique(menu.first[menu.away])), *(menu.tiers or ())]
        facts = (menu.network, menu.tiers is None, menu.linked, menu.uplinked, menu.hosted, menu.distant)
        tables = (place.tobytes(), menu.allowed.tobytes(), menu.trip.tobytes())
        groups.setdefault((*facts, *tables, *((devices[j], links[j]) for j in behind)), []).append(k)
    found = list(kinds)
    for group in groups.values():
        rows = np.flatnonzero(index == group[0]) if len(group) == 1 else np.flatnonzero(np.isin(index, group))
        keep = _kept(scenario, kinds[group[0]], _Box.of(scenario, rows, kinds[group[0]]))
        for k in group:
            found[k] = kinds[k].only(keep)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Box:
    """The least and the most that the nodes of a kind have; edge service times by class, at the slowest and fastest."""

    rate: tuple[float, float]
    scv: tuple[float, float]
    bandwidth: tuple[float, float]
    raw: tuple[float, float]
    edges: Sequence[tuple[FloatArray, FloatArray]]
    memory: bool
    energy: bool

    @classmethod
    def of(cls, scenario: Scenario, rows: IntArray, menu: Menu) -> _Box:
        nodes = scenario.nodes
        network = nodes.networks[menu.network]
        device, raw = nodes.device_index[rows], nodes.input_bytes[rows]
        raw = np.where(np.isnan(raw), float(scenario.profiles[network].input_bytes), raw)
        edges = []
        if (device < 0).any():
            compute = nodes.compute_gflops[rows][device < 0] * _FLOP_PER_GFLOP
            edges.append((menu.work / compute.min(), menu.work / (ROOM * compute.max())))
        for k in np.unique(device[device >= 0]):
            seconds = np.append(0.0, np.cumsum(scenario.seconds(nodes.devices[k], network)))[menu.cuts[:, 0]]
            edges.append((seconds, seconds / ROOM))
        scv = nodes.arrival_scv[rows]
        rate, uplink = nodes.arrival_rate[rows], nodes.uplink_mbps[rows] * _BYTE_PER_S_PER_MBPS
        return cls(
            rate=(float(rate.min()), float(rate.max())),
            scv=(float(scv.min()), float(scv.max())),
            bandwidth=(float(uplink.min()), ROOM * float(uplink.max())),
            raw=(float(raw.min()), float(raw.max())),
            edges=edges,
            memory=bool(np.isfinite(nodes.memory_mb[rows]).any()),
            energy=bool(np.isfinite(nodes.energy_j[rows]).any()),
        )


def _kept(scenario: Scenario, menu: Menu, box: _Box) -> IntArray:
    """Return the options that are left; the last, all at the edge, is one whatever it is like."""
    alive = menu.allowed.copy()
    if not (box.memory or box.energy):  # else what is said of a limit that leaves nothing would not be of all options
        alive &= _stable(scenario, menu, box)
    alive[-1] = True
    options = np.flatnonzero(alive)
    better = _in_the_way(scenario, menu.only(options), _of_options(box, options))
    better[~menu.allowed[options]] = False  # the last one, where it is kept though it is not allowed
    left = np.ones(len(options), dtype=np.bool_)
    for b in range(len(options) - 1):  # one by one, so that of two that are alike one stays
        left[b] = False
        left[b] = not (better[:, b] & left).any()
    return options[left]


def _of_options(box: _Box, options: IntArray) -> _Box:
    edges = [(slow[options], fast[options]) for slow, fast in box.edges]
    return replace(box, edges=edges)


def _stable(scenario: Scenario, menu: Menu, box: _Box) -> BoolArray:
    """Return which options some node of the kind may be stable at, the fastest with the fewest tasks."""
    stable = np.ones(len(menu), dtype=np.bool_)
    if not menu.hosted:
        stable = np.any([_is_stable(box.rate[0] * fast, box.scv[0]) for _, fast in box.edges], axis=0)
    if menu.uplinked and scenario.options.uplink == "queue":
        least = np.where(menu.cuts[:, 0] == 0, box.raw[0], menu.sent)
        stable &= _is_stable(box.rate[0] * least / box.bandwidth[1], box.scv[0] + _varies(scenario))
    return stable


def _is_stable(load: FloatArray, scv: float) -> BoolArray:
    """Return at which loads a queue is stable; where nothing varies it may be busy all the time."""
    return load < 1.0 if scv else load <= 1.0


def _in_the_way(scenario: Scenario, menu: Menu, box: _Box) -> BoolArray:
    """Return (n_options, n_options) whether the first option is in the way of the second."""
    cut, second = menu.cuts[:, 0], menu.cuts[:, -1]
    later = cut[:, None] >= cut[None, :]
    sent = _more_sent(cut, menu.sent, box)
    onward = _more_sent(second, menu.onward, box) if menu.tiers else np.zeros_like(sent)
    away = menu.away
    better = ((menu.first[:, None] == menu.first[None, :]) | ~away[:, None]) & (onward <= 0.0)
    for served in menu.served.T:
        better &= served[:, None] <= served[None, :]
    queue, tandem, wait_of = scenario.options.uplink == "queue", scenario.options.delay == "tandem", _wait(scenario)
    service = menu.trip[:, None] - menu.trip[None, :]
    waits: list[FloatArray] = []
    if menu.uplinked:
        service = service + np.where(sent > 0.0, sent / box.bandwidth[0], sent / box.bandwidth[1])
        if queue:
            waits.append(_more_wait_at_uplink(cut, menu.sent, sent, box, wait_of, _varies(scenario)))
    if menu.hosted:
        better &= ~later | (menu.work[:, None] <= menu.work[None, :])
        better &= _shorter(service, waits, tandem=tandem)
    else:
        for edge, wait in _more_at_edge(later, box, wait_of):
            better &= _shorter(service + edge, [*waits, wait], tandem=tandem)
    servers = [server.link for j, server in enumerate(scenario.all_servers) if (menu.first == j).any()]
    if menu.linked or any(servers) or box.energy:
        better &= sent <= 0.0
    if box.memory:
        low, high = (np.where(cut == 0, raw, menu.memory) for raw in box.raw)
        better &= (high[:, None] <= low[None, :]) | (cut[:, None] == cut[None, :])
    if box.energy:
        better &= menu.work[:, None] <= menu.work[None, :]
    if scenario.options.ordering == "cloud-faster":  # a least rate, lower the more is computed: compare like with like
        better &= (menu.work[:, None] == menu.work[None, :]) | (menu.work[:, None] == 0.0) | ~away[:, None]
    return np.asarray(better, dtype=np.bool_)


def _shorter(service: FloatArray, waits: Sequence[FloatArray], *, tandem: bool) -> BoolArray:
    if not tandem:
        return np.asarray(np.add.reduce([service, *waits]) <= 0.0, dtype=np.bool_)
    # max(a, b) − max(c, d) ≤ max(a − c, b − d)
    longest = np.maximum.reduce(waits) if waits else np.zeros_like(service)
    return np.asarray((service <= 0.0) & (service + longest <= 0.0))


def _more_sent(cut: IntArray, sent: FloatArray, box: _Box) -> FloatArray:
    """Return by how many bytes the first option sends more at most."""
    low, high = (np.where(cut == 0, raw, sent) for raw in box.raw)
    return np.where(cut[:, None] == cut[None, :], 0.0, high[:, None] - low[None, :])


def _more_at_edge(later: BoolArray, box: _Box, wait_of: _Wait) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Yield by how much service and wait at the edge are longer at most, by class; NaN where both are +inf."""
    for slow, fast in box.edges:
        worst, best = (
            wait_of(np.full(1, rate), x, np.full(1, scv))
            for rate, x, scv in zip(box.rate[::-1], (slow, fast), box.scv[::-1], strict=True)
        )
        with np.errstate(invalid="ignore"):
            yield (
                np.where(later, slow[:, None] - slow[None, :], fast[:, None] - fast[None, :]),
                np.where(later, worst[:, None] - worst[None, :], best[:, None] - best[None, :]),
            )


def _more_wait_at_uplink(
    cut: IntArray, sent: FloatArray, more: FloatArray, box: _Box, wait_of: _Wait, varies: float
) -> FloatArray:
    low, high = (np.where(cut == 0, raw, sent) for raw in box.raw)
    parts = []
    for rate, bandwidth, scv in zip(box.rate[::-1], box.bandwidth, box.scv[::-1], strict=True):
        most, least = (wait_of(np.full(1, rate), size / bandwidth, np.full(1, scv + varies)) for size in (high, low))
        with np.errstate(invalid="ignore"):
            parts.append(np.where(cut[:, None] == cut[None, :], 0.0, most[:, None] - least[None, :]))
    return np.where(more > 0.0, *parts)


def _wait(scenario: Scenario) -> _Wait:
    """Return the wait, s, by rate, 1/s, service, s, and how much both vary, that delays are made of."""
    options = scenario.options
    curve = delay_curve(options.delay, options.service_scv, options.statistic)
    return curve.wait_of if isinstance(curve, TandemCurve) else TANDEM.wait_of


def _varies(scenario: Scenario) -> float:
    """Return the squared coefficient of variation of what an uplink takes."""
    return {"mm1": 1.0, "mg1": scenario.options.service_scv}.get(scenario.options.delay, 0.0)
