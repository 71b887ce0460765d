"""Menus and their tables against delays computed by hand, from the files' units."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from dmcjia_opt.base.errors import InfeasibleError, InputError
from dmcjia_opt.bounds.dual import priced
from dmcjia_opt.model.networks.measured import MeasuredTimes, Timed
from dmcjia_opt.model.networks.profile import LayerProfile
from dmcjia_opt.model.resources import Resource
from dmcjia_opt.model.scenario import menus as making
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.model.scenario.nodes import Labels, NodeTable
from dmcjia_opt.model.scenario.scenario import Options, Scenario
from dmcjia_opt.model.scenario.servers import Link, Server
from dmcjia_opt.model.scenario.services import stage_times

TINY = LayerProfile(
    "tiny", 9e5, ("a", "b", "c"), [1e9, 2e9, 3e9], [6e5, 1e5, 4e3], weight_bytes=np.array([1e6, 2e6, 40e6])
)
WIDE = LayerProfile("wide", 3e5, ("a", "b"), [2e9, 1e9], [4e5, 2e3], weight_bytes=np.array([5e5, 5e5]))
PROFILES = {"tiny.json": TINY, "wide.json": WIDE}
ONE_FLOP = Options(flops_per_mac=1.0)


def fleet(n=2, networks=("tiny.json",), cloud=40.0, options=ONE_FLOP, behind=(), links=(), **columns):
    given = {"compute_gflops": 10.0, "uplink_mbps": 80.0, "arrival_rate": 0.5} | columns
    lists = ("link", "servers", "tiers", "host", "splits")
    given = {key: Labels.of(cells) if key in lists else cells for key, cells in given.items()}
    names = tuple(f"n{d}" for d in range(n))
    own = {key: given.pop(key) for key in tuple(given) if key.startswith("cloud_")}
    profiles = {network: PROFILES[network] for network in networks}
    nodes = NodeTable(names=names, networks=networks, **given)
    return Scenario(cloud, nodes, options, profiles, servers=behind, links=links, **own)


def wait(rate, x, scv=0.0):
    return math.inf if rate * x >= 1 else rate * x * x * (1 + scv) / (2 * (1 - rate * x))


def by_hand(scenario, d, route, share):
    """The delay of a node at a route, s: what it computes, sends and waits, stage by stage.

    `share` says the node's share of a resource by its name and which use of it in the order of the path it is.
    """
    nodes, options, rate = scenario.nodes, scenario.options, float(scenario.nodes.arrival_rate[d])
    profile = scenario.profiles[nodes.network_of(d)]
    servers = {server.name: server for server in scenario.all_servers}
    mbps = {link.name: link.mbps for link in scenario.links}
    scv = {"mm1": 1.0, "mg1": options.service_scv}.get(options.delay, 0.0)
    flop = np.concatenate([[0.0], np.cumsum(profile.macs)]) * options.flops_per_mac
    sent = [*([nodes.input_bytes[d]] if nodes.input_bytes[d] >= 0 else [profile.input_bytes]), *profile.output_bytes]
    hosted = nodes.host.at(d) is not None and (nodes.host.index == nodes.host.index[d]).sum() > 1
    cut, last = route.cuts[0], profile.n_layers
    fixed, stages = 0.0, []  # stages: service, squared variation of it, whether tasks wait there
    computing = flop[cut] / (nodes.compute_gflops[d] * 1e9)
    if computing:
        stages.append((computing / (share(nodes.host.at(d)) if hosted else 1.0), 0.0, True))
    queue = options.uplink == "queue"
    if not np.isnan(nodes.uplink_mbps[d]):
        stages.append((8 * sent[cut] / (nodes.uplink_mbps[d] * 1e6), scv, queue))
    link = nodes.link.at(d)
    if link is not None and sent[cut]:
        stages.append((8 * sent[cut] / (mbps[link] * 1e6 * share(link)), scv, queue))
    if cut < last:
        chain = nodes.tiers.at(d) or (route.server,)
        first = servers[chain[0]]
        fixed += (first.rtt_ms if np.isnan(nodes.rtt_ms[d]) else nodes.rtt_ms[d]) / 1e3
        if not np.isnan(nodes.result_bytes[d]):
            fixed += 8 * nodes.result_bytes[d] / (nodes.downlink_mbps[d] * 1e6)
        if first.link not in (None, link) and sent[cut]:
            stages.append((8 * sent[cut] / (mbps[first.link] * 1e6 * share(first.link)), scv, queue))
        ends = [*route.cuts, last]
        for k, name in enumerate(chain):
            start, end = ends[k], ends[k + 1]
            if k == 1 and start < last:
                fixed += servers[name].rtt_ms / 1e3
                if servers[name].link and sent[start]:
                    over = 8 * sent[start] / (mbps[servers[name].link] * 1e6)
                    stages.append((over / share(servers[name].link, 1), scv, queue))
            if flop[end] > flop[start]:
                took = (flop[end] - flop[start]) / (servers[name].compute_gflops * 1e9)
                stages.append((took / share(name), scv, True))
    total = fixed + sum(service for service, _, _ in stages)
    if options.delay == "tandem":
        return total + wait(rate, max((service for service, _, waits in stages if waits), default=0.0))
    return total + sum(wait(rate, service, c) for service, c, waits in stages if waits)


CASES = {
    "servers": {"behind": (Server(name="site", compute_gflops=25.0, rtt_ms=3.0),), "cloud_rtt_ms": 40.0},
    "some servers": {
        "n": 3,
        "behind": (Server(name="site", compute_gflops=25.0), Server(name="rack", compute_gflops=30.0, rtt_ms=9.0)),
        "servers": [("rack", "cloud"), ("site",), None],
    },
    "a link": {"links": (Link(name="cell", mbps=60.0),), "link": ["cell", None]},
    "only a link": {"links": (Link(name="cell", mbps=60.0),), "link": ["cell", "cell"], "uplink_mbps": np.nan},
    "links to servers": {
        "behind": (Server(name="site", compute_gflops=25.0, link="lan"),),
        "links": (Link(name="lan", mbps=300.0), Link(name="wan", mbps=90.0)),
        "cloud_link": "wan",
        "link": ["wan", None],
    },
    "tiers": {"behind": (Server(name="site", compute_gflops=25.0, rtt_ms=3.0),), "tiers": [("site", "cloud"), None]},
    "tiers with links": {
        "behind": (Server(name="site", compute_gflops=25.0, rtt_ms=3.0, link="lan"),),
        "links": (Link(name="lan", mbps=300.0), Link(name="wan", mbps=90.0), Link(name="cell", mbps=60.0)),
        "tiers": [("site", "cloud"), ("site", "cloud")],
        "link": ["cell", None],
        "cloud_link": "wan",
        "cloud_rtt_ms": 30.0,
        "input_bytes": [np.nan, 2e5],
        "rtt_ms": [np.nan, 8.0],
    },
    "hosts": {
        "n": 3,
        "networks": ("tiny.json", "wide.json"),
        "network_index": [0, 1, 0],
        "host": ["board", "board", None],
    },
    "results": {
        "result_bytes": [1e5, np.nan],
        "downlink_mbps": [40.0, np.nan],
        "rtt_ms": [12.0, np.nan],
        "cloud_rtt_ms": 5.0,
    },
    "weights": {"weight": [3.0, np.nan]},
}
MODELS = {
    "md1": ONE_FLOP,
    "mm1, queue": Options(delay="mm1", uplink="queue", flops_per_mac=1.0),
    "mg1, queue": Options(delay="mg1", service_scv=0.4, uplink="queue", flops_per_mac=1.0),
    "md1, queue": Options(uplink="queue", flops_per_mac=1.0),
    "tandem": Options(delay="tandem", flops_per_mac=1.0),
    "tandem, queue": Options(delay="tandem", uplink="queue", flops_per_mac=1.0),
    "tasks": Options(average="tasks", flops_per_mac=1.0),
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("case", CASES)
def test_the_objective_is_what_the_stages_take_by_hand(case, model):
    scenario = fleet(**CASES[case], options=MODELS[model])
    problem, rng = compile_problem(scenario), np.random.default_rng(0)
    n = scenario.n_nodes
    weight = np.where(np.isnan(scenario.nodes.weight), 1.0, scenario.nodes.weight)
    weight = weight * scenario.nodes.arrival_rate if model == "tasks" else weight
    finite = 0
    for _ in range(40):
        options = rng.integers(0, problem.last + 1)
        shares = rng.uniform(0.2, 0.9, (n, problem.n_uses))
        names = [[problem.resources[r].name for r in row] for row in problem.at(problem.resource, options)]
        busy = problem.at(problem.service, options) > 0

        def share(name, place=0, d=0, shares=shares, names=names, busy=busy):
            found = [shares[d, k] for k in range(problem.n_uses) if names[d][k] == name and busy[d, k]]
            return found[min(place, len(found) - 1)]

        delays = [
            by_hand(scenario, d, scenario.route(d, int(options[d])), lambda name, place=0, d=d: share(name, place, d))
            for d in range(n)
        ]
        want = float(np.average(delays, weights=weight))
        assert problem.objective(options, shares) == pytest.approx(want, rel=1e-12)
        assert problem.breakdown(options, shares).total @ problem.weight == pytest.approx(want, rel=1e-9)
        stages = [*problem.own_stages(options), problem.use_delay(options, shares).sum(-1)]
        assert np.sum(stages, axis=0) @ problem.weight == pytest.approx(want, rel=1e-9)
        for d, cuts in enumerate(scenario.menus.all_cuts(options).tolist()):
            assert tuple(cut for cut in cuts if cut >= 0) == scenario.route(d, int(options[d])).cuts
        finite += math.isfinite(want)
    assert finite > 10


@pytest.mark.parametrize("case", CASES)
def test_service_times_at_options_are_those_of_the_tables(case):
    scenario = fleet(**CASES[case])
    problem, times = compile_problem(scenario), stage_times(scenario)
    for seed in range(5):
        options = np.random.default_rng(seed).integers(0, problem.last + 1)
        found = times.at(options)
        service = problem.at(problem.service, options)
        np.testing.assert_array_equal(found.used, service)
        np.testing.assert_array_equal(
            np.where(service > 0, found.resource, 0), np.where(service > 0, problem.at(problem.resource, options), 0)
        )
        np.testing.assert_allclose(found.upload + found.constant, problem.uplinks.delay(options), rtol=1e-15)
        np.testing.assert_array_equal(found.upload, problem.uplinks.upload(options))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("case", CASES)
def test_no_price_misses_an_option_that_is_left_out(case, model, monkeypatch):
    """With every option there, no node is any cheaper at any prices."""
    rng = np.random.default_rng(1)
    scenario = fleet(**CASES[case], options=MODELS[model])
    kept = compile_problem(scenario)
    monkeypatch.setattr(making, "needed", lambda scenario, kinds, index: kinds)
    every = compile_problem(replace(scenario))
    assert kept.n_options <= every.n_options
    for _ in range(50):
        prices = 10.0 ** rng.uniform(-6, 2, kept.n_resources)
        cheapest = [priced(problem, prices)[0].min(axis=1) for problem in (kept, every)]
        np.testing.assert_allclose(*cheapest, rtol=1e-13)


def test_an_option_that_sends_more_and_takes_longer_is_left_out():
    """After layer b of "tiny" less is sent than after a; on a fast device and a slow uplink nobody cuts after a."""
    slow = fleet(compute_gflops=1e3, uplink_mbps=1.0, behind=(Server(name="site", compute_gflops=30.0),))
    assert [tuple(cut) for cut in slow.menus.of(0).cuts] == [(3,)]
    one = fleet(compute_gflops=1e3, uplink_mbps=1.0)
    assert one.menus.splits
    assert compile_problem(one).n_options == 4
    mixed = fleet(
        compute_gflops=[1e3, 0.2],
        uplink_mbps=1.0,
        arrival_rate=0.02,
        behind=(Server(name="site", compute_gflops=30.0),),
    )
    assert len(mixed.menus.of(0)) == 7  # the other node of the kind may need them


def test_options_are_in_the_order_of_cuts_then_servers_and_the_edge_is_last():
    scenario = fleet(uplink_mbps=800.0, behind=(Server(name="site", compute_gflops=25.0),))
    menu = scenario.menus.of(0)
    assert menu.cuts[:, 0].tolist() == [0, 0, 1, 1, 2, 2, 3]
    assert menu.servers[:, 0].tolist() == [0, 1, 0, 1, 0, 1, -1]
    tiers = fleet(uplink_mbps=8e4, **dict(CASES["tiers"].items())).menus.of(0)
    assert tiers.cuts.tolist() == [[g, h] for g in range(4) for h in range(g, 4)]
    assert tiers.servers.tolist() == [[1 if g < h else -1, 0 if h < 3 else -1] for g in range(4) for h in range(g, 4)]


@pytest.mark.parametrize("case", CASES)
def test_an_option_is_found_again_by_its_route(case):
    scenario = fleet(**CASES[case])
    for d in range(scenario.n_nodes):
        for option in range(len(scenario.menus.of(d))):
            route = scenario.route(d, option)
            assert scenario.option_of(d, route.cuts, route.server) == option
            ends = [end for _, _, end in route.parts]
            assert [start for _, start, _ in route.parts] == [1, *(end + 1 for end in ends[:-1])]
            assert ends[-1] == scenario.profiles[scenario.nodes.network_of(d)].n_layers
            assert route.parts[-1][0] == route.server
        with pytest.raises(InputError, match=f'"n{d}" has the options 0 … '):
            scenario.route(d, 99)


def test_a_route_names_who_runs_which_layers():
    scenario = fleet(**CASES["tiers with links"])
    route = scenario.route(0, scenario.option_of(0, (1, 2)))
    assert (route.cuts, route.server) == ((1, 2), "cloud")
    assert route.parts == ((None, 1, 1), ("site", 2, 2), ("cloud", 3, 3))
    edge = scenario.route(0, scenario.option_of(0, (3, 3)))
    assert (edge.server, edge.parts) == (None, ((None, 1, 3),))


@pytest.mark.parametrize(
    ("cuts", "server", "message"),
    [
        (4, None, '"n0" needs a split of 0 … 3, not 4'),
        ((1, 2), None, '"n0" needs a split of 0 … 3, not 1, 2'),
        (1, "sight", r'there is no server "sight" \(did you mean "site"\?\)'),
        (1, None, r'"n0" has a choice at \(1,\): say the server, one of cloud, site'),
        (3, "site", '"n0" has no option with the cuts 3 on site'),
    ],
)
def test_what_no_option_says_is_refused(cuts, server, message):
    scenario = fleet(uplink_mbps=800.0, behind=(Server(name="site", compute_gflops=25.0),))
    with pytest.raises(InputError, match=message):
        scenario.option_of(0, cuts, server)


@pytest.mark.parametrize("options", [ONE_FLOP, Options(delay="tandem", uplink="queue"), Options(delay="mm1")])
def test_one_server_is_the_cloud_by_another_name(options):
    cloud = replace(generate("mixed", nodes=9, seed=1), options=options)
    server = replace(cloud, cloud_gflops=None, servers=(Server(name="only", compute_gflops=cloud.cloud_gflops),))
    one, other = compile_problem(cloud), compile_problem(server)
    assert (one.resources, other.resources) == ((Resource("cloud"),), (Resource("only"),))
    for key in ("fixed_delay", "service", "wait", "least_rate", "weight", "last", "arrival_rate", "resource"):
        np.testing.assert_array_equal(getattr(one, key), getattr(other, key))
    assert one.single
    assert other.single


def test_unused_servers_are_no_resources():
    scenario = fleet()
    problem = compile_problem(
        replace(
            scenario,
            servers=(Server(name="site", compute_gflops=25.0),),
            nodes=replace(scenario.nodes, servers=Labels.of([("cloud",), ("cloud",)])),
        )
    )
    assert problem.resources == (Resource("cloud"),)
    assert problem.n_options == 4


def test_splits_that_a_node_may_not_have_are_infinite_or_left_out():
    kept = compile_problem(fleet(min_split=[1, np.nan], max_split=[2, np.nan], splits=[None, (0, 3)]))
    assert np.isfinite(kept.fixed_delay).tolist() == [[False, True, True, False], [True, False, False, True]]
    menu = fleet(
        uplink_mbps=800.0, min_split=1.0, max_split=2.0, behind=(Server(name="site", compute_gflops=25.0),)
    ).menus.of(0)
    assert menu.cuts[:, 0].tolist() == [1, 1, 2, 2, 3]
    assert menu.allowed.tolist() == [True] * 4 + [False]


def test_memory_is_weights_and_the_largest_layer():
    """Splits need 0.9 MB of input, 1 + (0.9 + 0.6), 3 + 1.5 and 43 + 1.5 MB."""
    for limit, fits in ((0.9, 1), (2.49, 1), (2.5, 2), (4.5, 3), (44.49, 3), (44.5, 4)):
        problem = compile_problem(fleet(memory_mb=[limit, np.nan]))
        assert np.isfinite(problem.fixed_delay).sum(axis=1).tolist() == [fits, 4]
    with pytest.raises(
        InfeasibleError,
        match=r'memory_mb = 0\.5 of "n1" leaves no split: the least any split needs is 0\.9 MB, split 0',
    ):
        compile_problem(fleet(memory_mb=[np.nan, 0.5]))


def test_memory_needs_the_weights_of_layers():
    bare = replace(TINY, weight_bytes=None)
    nodes = NodeTable(("x",), ("tiny.json",), 1.0, 8.0, 0.1, memory_mb=5.0)
    with pytest.raises(InputError, match=r'memory_mb of "x" needs the weights of every layer.*write weight_bytes'):
        Scenario(1.0, nodes, profiles={"tiny.json": bare})


def test_energy_leaves_what_a_task_may_take():
    """2 J/GFLOP and 5 W while 80 Mbit/s send: 0.45, 2 + 0.3, 6 + 0.05 and 12 + 0.002 J."""
    power = {"joule_per_gflop": [2.0, np.nan], "transmit_watts": [5.0, np.nan]}
    for limit, fits in ((0.45, 1), (2.2999, 1), (2.3001, 2), (6.0501, 3), (12.0021, 4)):
        problem = compile_problem(fleet(energy_j=[limit, np.nan], **power))
        assert np.isfinite(problem.fixed_delay).sum(axis=1).tolist() == [fits, 4]
    with pytest.raises(
        InfeasibleError, match=r'energy_j = 0\.1 of "n0" leaves no split: the least any .* 0\.45 J, split 0'
    ):
        compile_problem(fleet(energy_j=[0.1, np.nan], **power))


def test_energy_over_a_shared_link_is_a_least_rate():
    scenario = fleet(
        uplink_mbps=np.nan,
        links=(Link(name="cell", mbps=60.0),),
        link=["cell", "cell"],
        energy_j=[6.0, np.nan],
        joule_per_gflop=[2.0, np.nan],
        transmit_watts=[3.0, np.nan],
    )
    problem = compile_problem(scenario)
    floors = {scenario.route(0, o).cuts[0]: problem.least_rate[0, o, 0] for o in range(len(scenario.menus.of(0)))}
    assert floors == {0: 0.5, 1: 0.75, 2: 0.0, 3: 0.0}
    assert np.isfinite(problem.fixed_delay[0]).tolist() == [True, True, False, False]
    assert not problem.least_rate[1].any()
    assert not problem.least_rate[..., 1].any()


def test_limits_that_only_together_leave_nothing_name_the_nearest_split():
    with pytest.raises(
        InfeasibleError,
        match=r'memory_mb = 2\.4 and energy_j = 0\.4 of "n0" leave no split: the nearest, split 1, needs',
    ):
        compile_problem(
            fleet(
                memory_mb=[2.4, np.nan],
                energy_j=[0.4, np.nan],
                transmit_watts=[5.0, np.nan],
                joule_per_gflop=[0.01, np.nan],
            )
        )
    with pytest.raises(InfeasibleError, match='splits, min_split and max_split of "n0" have no split in common'):
        compile_problem(fleet(min_split=[2, np.nan], splits=[(0, 1), None]))


@pytest.mark.parametrize("behind", [(), (Server(name="site", compute_gflops=25.0),)])
def test_the_literal_ordering_holds_for_every_server(behind):
    scenario = fleet(behind=behind, options=Options(ordering="cloud-faster", flops_per_mac=1.0))
    problem = compile_problem(scenario)
    for option in range(len(scenario.menus.of(0))):
        cut = scenario.route(0, option).cuts[0]
        assert problem.least_rate[0, option, 0] == pytest.approx({1: 10.0, 2: 10 / 3}.get(cut, 0.0), rel=1e-14)


def test_measured_servers_take_what_was_measured():
    times = MeasuredTimes(
        {Timed("box", "tiny"): {"a": 0.3, "b": 0.2, "c": 0.1}, Timed("pi", "tiny"): {"a": 1.0, "b": 0.5, "c": 0.2}}
    )
    nodes = NodeTable(
        ("x",), ("tiny.json",), 10.0, 8e3, 0.1, devices=("pi",), device_index=0, tiers=Labels.of([("site", "cloud")])
    )
    site = Server(name="site", compute_gflops=1.0, device="box")
    scenario = Scenario(40.0, nodes, ONE_FLOP, {"tiny.json": TINY}, times=times, servers=(site,))
    problem = compile_problem(scenario)
    o = scenario.option_of(0, (1, 2))
    assert problem.service[0, o] == pytest.approx([0.2, 3 / 40])
    assert stage_times(scenario).at(np.array([o])).edge == pytest.approx([1.0])
    with pytest.raises(InputError, match='no times of model "tiny" on device "rack"'):
        replace(scenario, servers=(Server(name="site", compute_gflops=1.0, device="rack"),))


def test_two_models_on_one_board_wait_for_each_other():
    """2 GMAC a task at 2.3 and 2.2 tasks/s on 20 GFLOP/s: 4 FLOP a MAC-pair of them load 46 % and 44 % of the board."""
    apps = {
        f"{name}.json": LayerProfile(name, size, ("task",), [2e9], [0.0]) for name, size in (("a", 3e6), ("b", 3.5e6))
    }
    nodes = NodeTable(
        ("board-a", "board-b"),
        tuple(apps),
        20.0,
        20.0,
        np.array([2.3, 2.2]),
        [0, 1],
        host=Labels.of(["board", "board"]),
    )
    scenario = Scenario(100.0, nodes, profiles=apps)
    problem = compile_problem(scenario)
    assert problem.resources == (Resource("cloud"), Resource("board", "host"))
    edge = problem.last
    assert problem.at(problem.service, edge)[:, 0] == pytest.approx([0.2, 0.2])
    mu = np.array([0.52, 0.48]) / 0.2
    want = np.mean([1 / m + wait(r, 1 / m) for m, r in zip(mu, (2.3, 2.2), strict=True)])
    assert problem.objective(edge, np.array([[0.52, 1.0], [0.48, 1.0]])) == pytest.approx(want)
    alone = compile_problem(replace(scenario, nodes=replace(nodes, host=Labels())))
    assert alone.objective(edge, np.ones((2, 1))) < 0.4 * want


def test_a_wan_in_common_carries_no_more_than_it_has():
    """Sixty devices that each send 0.15 MB 0.3 times a second ask for 1.44 of 15 Mbit/s."""
    profile = LayerProfile("health", 1.5e5, ("task",), [1e8], [8.0])
    nodes = NodeTable(tuple(f"d{k}" for k in range(60)), ("h.json",), 1.0, np.nan, 0.3, link=Labels.of(["wan"] * 60))
    scenario = Scenario(160.0, nodes, profiles={"h.json": profile}, links=(Link(name="wan", mbps=15.0),))
    problem = compile_problem(scenario)
    away = np.zeros(60, dtype=np.int64)
    load = problem.by_resource(away, problem.arrival_rate[:, None] * problem.at(problem.service, away))
    assert dict(zip((r.name for r in problem.resources), load, strict=True)) == pytest.approx(
        {"cloud": 60 * 0.3 * 0.2 / 160, "wan": 1.44}
    )
    assert problem.overload(away) == pytest.approx(0.44)


def test_a_round_trip_is_paid_by_what_leaves():
    near = compile_problem(generate("homogeneous", nodes=1, seed=0))
    far_away = generate("homogeneous", nodes=1, seed=0)
    far = compile_problem(replace(far_away, nodes=replace(far_away.nodes, rtt_ms=60.0)))
    more = far.fixed_delay[0] - near.fixed_delay[0]
    np.testing.assert_allclose(more[:-1], 0.06, rtol=1e-9)
    assert more[-1] == 0.0
    np.testing.assert_array_equal(far.service, near.service)
