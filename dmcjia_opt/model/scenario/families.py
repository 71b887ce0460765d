"""Families of random scenarios."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np

from dmcjia_opt.base.arrays import IntArray
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.handing import check_arguments
from dmcjia_opt.base.suggesting import did_you_mean
from dmcjia_opt.model.networks.profile import LayerProfile
from dmcjia_opt.model.networks.zoo import zoo_profile
from dmcjia_opt.model.queues import MD1
from dmcjia_opt.model.scenario import published
from dmcjia_opt.model.scenario.nodes import Labels, NodeTable
from dmcjia_opt.model.scenario.scenario import PAPER_MHZ_IN_MBPS, Delay, Options, Scenario
from dmcjia_opt.model.scenario.servers import CLOUD_NAME, Link, Server

__all__ = ["FAMILIES", "Family", "FamilyOptions", "generate"]

_TABLE_4_INPUT_BYTES = (784.0, 3072.0, 150528.0)  # 28·28·1, 32·32·3 and 224·224·3 pixels of one byte
_PAPER_OPTIONS = Options(flops_per_mac=1.0)
_NODES_PER_LINK, _NODES_PER_SITE = 20, 10
_SERVERS_OF_A_NODE = 2
_CELLS, _MIB_A_NODE = 10, 0.7  # links of a hard fleet, and what they have for each node
_JOBS, _JOB_GFLOP, _UPLOAD_BYTES = range(50, 101, 2), 0.02, 10_000  # sizes of a knapsack's jobs, and their inputs
_KNAPSACK_LOAD, _KNAPSACK_PART = 0.6, 0.5  # of the cloud by all jobs, and which part of them fits in


#: What makes a hard instance hard.
Hardness = Literal["alike", "knapsack", "cells"]


@dataclass(frozen=True, slots=True)
class FamilyOptions:
    """What may be changed in a family; None is the family's own choice.

    Parameters
    ----------
    tasks
        ``paper``, ``scarce`` and ``fleet``: "imagenet" leaves every node ResNet34's float32 input tensor, "table4"
        gives each node the raw image of one of Table 4's three tasks at random.
    epsilon
        ``near`` and ``hard``: relative spread of compute and uplink.
    cloud_gflops
        Total compute of the cloud, GFLOP/s.
    delay
        Delay curve; service times do not vary unless the scenario's ``service_scv`` is set afterwards.
    links
        ``links``, ``near`` and ``hard``: number of shared links, in place of private uplinks.
    servers
        ``servers``, ``tiers`` and ``measured``: number of servers beside the cloud.
    kind
        ``hard``: "alike" for nearly identical nodes in the tandem (what it draws by itself), "knapsack" for jobs of
        which only some fit into the cloud, "cells" for nodes behind scarce links.

    Raises
    ------
    InputError
        If a value is out of range.

    Examples
    --------
    >>> from dmcjia_opt.model.scenario.families import FamilyOptions
    >>> FamilyOptions(cloud_gflops=6000, delay="tandem").label()
    '-cloud6000-tandem'
    """

    tasks: Literal["imagenet", "table4"] | None = None
    epsilon: float | None = None
    cloud_gflops: float | None = None
    delay: Delay | None = None
    links: int | None = None
    servers: int | None = None
    kind: Hardness | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        if self.delay not in (None, *get_args(Delay)):
            raise InputError(f'delay = "{self.delay}" is unknown; choose {", ".join(get_args(Delay))}')
        if self.tasks not in (None, "imagenet", "table4"):
            raise InputError(f'tasks = "{self.tasks}" is unknown; choose imagenet or table4')
        if self.epsilon is not None and not 0.0 <= self.epsilon < 1.0:
            raise InputError(f"epsilon must lie in [0, 1), got {self.epsilon}")
        if self.cloud_gflops is not None and not 0.0 < self.cloud_gflops < np.inf:
            raise InputError(f"cloud_gflops must be finite and > 0, got {self.cloud_gflops}")
        if self.kind not in (None, *get_args(Hardness)):
            raise InputError(f'kind = "{self.kind}" is unknown; choose {", ".join(get_args(Hardness))}')
        for key in ("links", "servers"):
            number = getattr(self, key)
            if number is not None and number < 1:
                raise InputError(f"{key} must be at least 1, got {number}")

    def label(self) -> str:
        """Return what is changed, as part of a scenario's name."""
        tasks = "" if self.tasks is None else f"-{self.tasks}"
        epsilon = "" if self.epsilon is None else f"-epsilon{self.epsilon:g}"
        cloud = "" if self.cloud_gflops is None else f"-cloud{self.cloud_gflops:g}"
        delay = "" if self.delay is None else f"-{self.delay}"
        links = "" if self.links is None else f"-links{self.links}"
        servers = "" if self.servers is None else f"-servers{self.servers}"
        kind = "" if self.kind is None else f"-{self.kind}"
        return tasks + kind + epsilon + cloud + delay + links + servers


Family = Callable[[int, np.random.Generator, FamilyOptions], Scenario]


def paper(nodes: int, rng: np.random.Generator, options: FamilyOptions) -> Scenario:
    """Draw Table 5: ResNet34, 5 to 9 GFLOPS, 1 to 5 "MHz" (MiB/s), λ one of 0.5, 1, 2 per second, cloud 400 GFLOPS."""
    _refuse(options, "paper", "epsilon", "links", "servers")
    return _paper(nodes, rng, options, 400.0)


def scarce(nodes: int, rng: np.random.Generator, options: FamilyOptions) -> Scenario:
    """Draw Table 5 with 1 to 5 GFLOPS of cloud a node; a fleet of one or two nodes may come out overloaded."""
    _refuse(options, "scarce", "epsilon", "links", "servers")
    return _paper(nodes, rng, options, nodes * float(rng.uniform(1.0, 5.0)))


def fleet(nodes: int, rng: np.random.Generator, options: FamilyOptions) -> Scenario:
    """Draw Table 5 with 20 GFLOPS of cloud a node, the paper's own ratio at 20 nodes, for any number of nodes."""
    _refuse(options, "fleet", "epsilon", "links", "servers")
    return _paper(nodes, rng, options, 20.0 * nodes)


def homogeneous(nodes: int, rng: np.random.Generator, options: FamilyOptions) -> Scenario:
    """Return identical nodes (5 GFLOPS, λ = 1/s, 1 MiB/s) with 1 GFLOPS of cloud a node: symmetry at its worst."""
    _refuse(options, "homogeneous", "tasks", "epsilon", "links", "servers")
    return _similar(nodes, rng, 0.0, options.cloud_gflops or 1.0 * nodes)


def near(nodes: int, rng: np.random.Generator, options: FamilyOptions) -> Scenario:
    """Draw almost identical nodes with 2 GFLOPS of cloud a node: symmetry that no grouping of equals removes."""
    _refuse(options, "near", "tasks", "servers")
    epsilon = 1e-3 if options.epsilon is None else options.epsilon
    scenario = _similar(nodes, rng, epsilon, options.cloud_gflops or 2.0 * nodes)
    return scenario if options.links is None else _behind_links(scenario, options.links, rng)


def mixed(nodes: int, rng: np.random.Generator, options: FamilyOptions) -> Scenario:
    """Draw nodes with three networks of different depth and their own load, averaged over tasks.

    ResNet34 and two made-up chains of 6 and 16 layers, 2 FLOPs per MAC. Alone, a node would be loaded 0.2 to 1.4, so
    that some cannot do without the cloud; its 8 GFLOPS a node always leave a plan.
    """
    _refuse(options, "mixed", "tasks", "epsilon", "links", "servers")
    settings = Options(average="tasks")
    chains = (_chain("chain-6", 6, 0.6e9), _chain("chain-16", 16, 7e9))
    profiles = {"resnet34": zoo_profile("resnet34")} | {f"{chain.name}.json": chain for chain in chains}
    references = list(profiles)
    drawn = rng.integers(len(references), size=nodes)
    first = list(dict.fromkeys(drawn.tolist()))
    work = np.array([profile.total_macs for profile in profiles.values()])[drawn] * settings.flops_per_mac
    compute = rng.uniform(5.0, 9.0, nodes)
    table = NodeTable(
        names=_names(nodes),
        networks=tuple(references[k] for k in first),
        network_index=np.argsort(first)[np.searchsorted(np.sort(first), drawn)],
        compute_gflops=compute,
        uplink_mbps=PAPER_MHZ_IN_MBPS * rng.uniform(1.0, 5.0, nodes),
        arrival_rate=rng.uniform(0.2, 1.4, nodes) * compute * 1e9 / work,
    )
    return Scenario(options.cloud_gflops or 8.0 * nodes, table, settings, profiles)


def links(nodes: int, rng: np.random.Generator, options: FamilyOptions) -> Scenario:
    """Draw Table 5 behind shared links, one for 20 nodes, of 1 MiB/s a node; 5 GFLOPS of cloud a node."""
    _refuse(options, "links", "epsilon", "servers")
    scenario = _paper(nodes, rng, options, 5.0 * nodes)
    number = options.links or max(1, round(nodes / _NODES_PER_LINK))
    return _behind_links(scenario, number, rng)


def servers(nodes: int, rng: np.random.Generator, options: FamilyOptions) -> Scenario:
    """Draw Table 5 with edge servers 2 ms away, three for 20 nodes, of which each node may use two, and the cloud.

    The servers have 5 to 15 GFLOPS for each of their nodes, the cloud, 30 ms away, 5 GFLOPS a node.
    """
    _refuse(options, "servers", "epsilon", "links")
    scenario = _paper(nodes, rng, options, 5.0 * nodes)
    number = options.servers or max(1, round(3 * nodes / _NODES_PER_LINK))
    names = [f"edge-{j + 1}" for j in range(number)]
    gflops = (rng.uniform(5.0, 15.0, number) * nodes / number).tolist()
    near = np.argsort(rng.random((nodes, number)), axis=1)[:, :_SERVERS_OF_A_NODE]
    usable = [(*(names[j] for j in sorted(row)), CLOUD_NAME) for row in near.tolist()]
    return replace(
        scenario,
        nodes=replace(scenario.nodes, servers=Labels.of(usable)),
        servers=tuple(Server(name=name, compute_gflops=gflops[j], rtt_ms=2.0) for j, name in enumerate(names)),
        cloud_rtt_ms=30.0,
    )


def tiers(nodes: int, rng: np.random.Generator, options: FamilyOptions) -> Scenario:
    """Draw Table 5 with a site server for 10 nodes, and the cloud behind it over one line that all sites share.

    A site has 2 GFLOPS a node, the cloud 5 GFLOPS a node, 30 ms further; the line has 0.5 MiB/s a node.
    """
    _refuse(options, "tiers", "epsilon", "links")
    scenario = _paper(nodes, rng, options, 5.0 * nodes)
    number = options.servers or max(1, round(nodes / _NODES_PER_SITE))
    site = _dealt(nodes, number, rng)
    on = np.bincount(site, minlength=number).tolist()
    sites = [Server(name=f"site-{j + 1}", compute_gflops=2.0 * max(on[j], 1), rtt_ms=2.0) for j in range(number)]
    return replace(
        scenario,
        nodes=replace(scenario.nodes, tiers=Labels.of((sites[j].name, CLOUD_NAME) for j in site.tolist())),
        servers=tuple(sites),
        links=(Link(name="backhaul", mbps=0.5 * PAPER_MHZ_IN_MBPS * nodes),),
        cloud_link="backhaul",
        cloud_rtt_ms=30.0,
    )


def hosts(nodes: int, rng: np.random.Generator, options: FamilyOptions) -> Scenario:
    """Draw Table 5 where two nodes in a row share a board, ResNet34 and MobileNetV2; 5 GFLOPS of cloud a node."""
    _refuse(options, "hosts", "epsilon", "links", "servers")
    scenario = _paper(nodes, rng, options, 5.0 * nodes)
    table = scenario.nodes
    board, place = np.arange(nodes) // 2, np.arange(nodes) % 2
    return replace(
        scenario,
        nodes=replace(
            table,
            networks=("resnet34", "mobilenet_v2")[: min(nodes, 2)],
            network_index=place,
            compute_gflops=table.compute_gflops[2 * board],
            host=Labels.of(f"board-{b + 1}" if 2 * b + 1 < nodes else None for b in board.tolist()),
        ),
    )


def measured(nodes: int, rng: np.random.Generator, options: FamilyOptions) -> Scenario:
    """Draw nodes with four networks whose times on a Raspberry Pi 4 and on a cloud's GPU were published (`published`).

    Alone, a node would be loaded 0.2 to 0.9. Uplinks have 5 to 50 Mbit/s, the cloud is 45 ms away; with servers, each
    node may use one of them, 20 ms away, too. GFLOPS count for nothing beside measured times, and are 1.
    """
    _refuse(options, "measured", "tasks", "epsilon", "cloud_gflops", "links")
    known, seconds = published.profiles(), published.times()
    device, edge, cloud = published.DEVICES
    drawn = rng.integers(len(known), size=nodes)
    first = list(dict.fromkeys(drawn.tolist()))
    alone = np.array([seconds.of(device, profile).sum() for profile in known.values()])[drawn]
    number = options.servers or 0
    names = [f"edge-{j + 1}" for j in range(number)]
    table = NodeTable(
        names=_names(nodes),
        networks=tuple(list(known)[k] for k in first),
        network_index=np.argsort(first)[np.searchsorted(np.sort(first), drawn)],
        compute_gflops=np.ones(nodes),
        uplink_mbps=rng.uniform(5.0, 50.0, nodes),
        arrival_rate=rng.uniform(0.2, 0.9, nodes) / alone,
        devices=(device,),
        device_index=np.zeros(nodes, dtype=np.int64),
        servers=Labels.of((names[j], CLOUD_NAME) for j in _dealt(nodes, number, rng)) if number else Labels(),
    )
    return Scenario(
        1.0,
        table,
        Options(average="tasks"),
        {reference: known[reference] for reference in table.networks},
        times=seconds,
        cloud_device=cloud,
        cloud_rtt_ms=45.0,
        servers=tuple(Server(name=name, compute_gflops=1.0, device=edge, rtt_ms=20.0) for name in names),
    )


def hard(nodes: int, rng: np.random.Generator, options: FamilyOptions) -> Scenario:
    """Draw what is hard to close: by default nearly identical nodes in the tandem, 3 GFLOPS of cloud a node.

    A "knapsack" has jobs of one layer, all as well off at the edge as in the cloud at one price, of which half fit
    in. "cells" are Table 5 behind ten links of 0.7 MiB/s a node, with 3 GFLOPS of cloud a node.
    """
    _refuse(options, "hard", "tasks", "servers")
    if options.kind == "knapsack":
        _refuse(options, "hard", "epsilon", "links", "cloud_gflops")
        return _knapsack(nodes, rng)
    if options.kind == "cells":
        _refuse(options, "hard", "epsilon")
        scenario = _paper(nodes, rng, options, 3.0 * nodes)
        return _behind_links(scenario, min(options.links or _CELLS, nodes), rng, _MIB_A_NODE)
    epsilon = 1e-3 if options.epsilon is None else options.epsilon
    scenario = _similar(nodes, rng, epsilon, options.cloud_gflops or 3.0 * nodes)
    scenario = replace(scenario, options=scenario.options.model_copy(update={"delay": "tandem"}))
    return scenario if options.links is None else _behind_links(scenario, options.links, rng)


FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        draw.__name__: draw
        for draw in (paper, homogeneous, near, scarce, mixed, fleet, links, servers, tiers, hosts, measured, hard)
    }
)


def generate(
    family: str,
    *,
    nodes: int,
    seed: int = 0,
    tasks: Literal["imagenet", "table4"] | None = None,
    epsilon: float | None = None,
    cloud_gflops: float | None = None,
    delay: Delay | None = None,
    links: int | None = None,
    servers: int | None = None,
    kind: Hardness | None = None,
) -> Scenario:
    """Draw a scenario from a family; the same arguments always give the same scenario.

    Parameters
    ----------
    family
        A key of `FAMILIES`.
    nodes
        Number of edge nodes, at least 1.
    seed
        Seed of ``numpy.random.default_rng``, at least 0.
    tasks, epsilon, cloud_gflops, delay, links, servers, kind
        See `FamilyOptions`.

    Raises
    ------
    InputError
        If the family is unknown, a value is out of range, or an option does not apply to the family.

    Examples
    --------
    >>> from dmcjia_opt import generate
    >>> generate("paper", nodes=20, seed=1)
    Scenario("paper-n20-s1", 20 nodes running resnet34, cloud 400 GFLOP/s, flops_per_mac=1.0)
    """
    check_arguments(generate, locals(), "tasks", "delay")
    if family not in FAMILIES:
        raise InputError(
            f'unknown family "{family}"{did_you_mean(family, FAMILIES)}; choose one of {", ".join(FAMILIES)}'
        )
    if nodes < 1:
        raise InputError(f"nodes must be at least 1, got {nodes}")
    if seed < 0:
        raise InputError(f"seed must be at least 0, got {seed}")
    options = FamilyOptions(tasks, epsilon, cloud_gflops, delay, links, servers, kind)
    if FAMILIES[family] is not hard:
        _refuse(options, family, "kind")
    scenario = FAMILIES[family](nodes, np.random.default_rng(seed), options)
    if delay is not None:
        scenario = replace(scenario, options=scenario.options.model_copy(update={"delay": delay}))
    return replace(scenario, name=f"{family}{options.label()}-n{nodes}-s{seed}")


def _refuse(options: FamilyOptions, family: str, *names: str) -> None:
    for name in names:
        if getattr(options, name) is not None:
            raise InputError(f'option {name} does not apply to the family "{family}"; leave it out')


def _names(nodes: int) -> tuple[str, ...]:
    width = max(4, len(str(nodes)))
    return tuple(f"node-{d:0{width}d}" for d in range(1, nodes + 1))


def _paper(nodes: int, rng: np.random.Generator, options: FamilyOptions, cloud_gflops: float) -> Scenario:
    rate = rng.choice([0.5, 1.0, 2.0], nodes)
    compute, uplink = rng.uniform(5.0, 9.0, nodes), rng.uniform(1.0, 5.0, nodes)
    sent = rng.choice(_TABLE_4_INPUT_BYTES, nodes) if options.tasks == "table4" else np.full(nodes, np.nan)
    table = NodeTable(_names(nodes), ("resnet34",), compute, PAPER_MHZ_IN_MBPS * uplink, rate, input_bytes=sent)
    return Scenario(options.cloud_gflops or cloud_gflops, table, _PAPER_OPTIONS)


def _similar(nodes: int, rng: np.random.Generator, epsilon: float, cloud_gflops: float) -> Scenario:
    compute, uplink = (1.0 + epsilon * rng.uniform(-1.0, 1.0, nodes) for _ in range(2))
    table = NodeTable(_names(nodes), ("resnet34",), 5.0 * compute, PAPER_MHZ_IN_MBPS * uplink, np.ones(nodes))
    return Scenario(cloud_gflops, table, _PAPER_OPTIONS)


def _knapsack(nodes: int, rng: np.random.Generator) -> Scenario:
    """Return jobs with λ = 1/s that are as quick at the edge as in the cloud, where its price lets half of them in."""
    size = rng.choice(_JOBS, nodes)
    work, rate = _JOB_GFLOP * size, np.ones(nodes)
    cloud = float(work.sum()) / _KNAPSACK_LOAD
    service = work / cloud
    low, high = 1e-9, 1e9
    while high > low * (1.0 + 1e-12):
        price = math.sqrt(low * high)  # of a share, in the delay of one node
        mu = rate + MD1.excess_at(price * service, rate)
        low, high = (price, high) if float((service * mu).sum()) > 1.0 / _KNAPSACK_PART else (low, price)
    in_cloud = MD1.delay(mu - rate, rate) + price * service * mu + 8e-6 * _UPLOAD_BYTES / PAPER_MHZ_IN_MBPS
    alone = 1.0 + rate * in_cloud
    edge = (alone - np.sqrt(alone**2 - 2.0 * rate * in_cloud)) / rate  # service time at which M/D/1 takes as long
    first = list(dict.fromkeys(size.tolist()))
    table = NodeTable(
        names=_names(nodes),
        networks=tuple(f"job-{k}.json" for k in first),
        network_index=np.argsort(first)[np.searchsorted(np.sort(first), size)],
        compute_gflops=np.round(work / edge, 9),
        uplink_mbps=np.full(nodes, PAPER_MHZ_IN_MBPS),
        arrival_rate=rate,
    )
    jobs = {f"job-{k}.json": _job(f"job-{k}", 1e9 * _JOB_GFLOP * k) for k in first}
    return Scenario(cloud, table, _PAPER_OPTIONS, jobs)


def _job(name: str, macs: float) -> LayerProfile:
    return LayerProfile(
        name=name,
        input_bytes=_UPLOAD_BYTES,
        layer_names=("layer1",),
        macs=np.array([macs]),
        output_bytes=np.array([4.0]),
        source="made up for the family of hard instances",
    )


def _dealt(nodes: int, number: int, rng: np.random.Generator) -> IntArray:
    """Return which of some groups, as equal in size as they can be, each node belongs to, at random."""
    return np.asarray(rng.permutation(np.arange(nodes) % number))


def _behind_links(scenario: Scenario, number: int, rng: np.random.Generator, mib: float = 1.0) -> Scenario:
    """Return the same nodes behind shared links of `mib` MiB/s a node, in place of their own uplinks."""
    cell = _dealt(scenario.n_nodes, number, rng)
    on = np.bincount(cell, minlength=number).tolist()
    shared = [Link(name=f"cell-{r + 1}", mbps=mib * PAPER_MHZ_IN_MBPS * max(on[r], 1)) for r in range(number)]
    table = replace(
        scenario.nodes,
        uplink_mbps=np.full(scenario.n_nodes, np.nan),
        link=Labels.of(shared[r].name for r in cell.tolist()),
    )
    return replace(scenario, nodes=table, links=tuple(shared))


def _chain(name: str, n_layers: int, macs: float) -> LayerProfile:
    depth = np.arange(n_layers)
    share = 1.0 + 0.5 * (depth % 2)
    return LayerProfile(
        name=name,
        input_bytes=3 * 96 * 96 * 4,
        layer_names=tuple(f"layer{k + 1}" for k in depth),
        macs=np.round(macs * share / share.sum()),
        output_bytes=4.0 * np.round(65536.0 * 0.001 ** (depth / (n_layers - 1))),
        source="made up for the family of mixed instances",
    )
