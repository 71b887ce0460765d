"""Servers, links and hosts in scenario files: names, doubts, hashes and what is saved."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest

from dmcjia_opt.base.errors import Doubt, InputError
from dmcjia_opt.model.networks.measured import MeasuredTimes, Timed
from dmcjia_opt.model.networks.profile import LayerProfile
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.model.scenario.loading import load_scenario
from dmcjia_opt.model.scenario.nodes import Labels, NodeTable
from dmcjia_opt.model.scenario.scenario import Options, Scenario
from dmcjia_opt.model.scenario.servers import Link, Server
from tests.refusals import refused

SITE = """
nodes_of = 0
[cloud]
compute_gflops = 400.0
rtt_ms = 30.0
link = "backhaul"

[[servers]]
name = "site"
compute_gflops = 60.0
rtt_ms = 2.0

[[links]]
name = "cell"
mbps = 50.0

[[links]]
name = "backhaul"
mbps = 100.0
"""
NODE = """
[[nodes]]
name = "{name}"
model = "resnet34"
compute_gflops = 5.0
arrival_rate = 1.0
link = "cell"
{more}
"""


def write(folder, *nodes, head=SITE):
    path = folder / "s.toml"
    text = head.replace("nodes_of = 0", "") + "".join(
        NODE.format(name=f"n{d}", more="\n".join(more.split("; "))) for d, more in enumerate(nodes)
    )
    path.write_text(text, encoding="utf-8")
    return path


def test_a_site_is_read_as_it_is_written(tmp_path):
    path = write(
        tmp_path,
        'servers = ["site"]; uplink_mbps = 80; min_split = 1; max_split = 20; weight = 2',
        'tiers = ["site", "cloud"]; host = "board"; splits = [0, 16, 34]; rtt_ms = 15; memory_mb = 512',
        'host = "board"; result_bytes = 4000; downlink_mbps = 30',
        "energy_j = 2; joule_per_gflop = 0.3; transmit_watts = 2",
    )
    scenario = load_scenario(path)
    assert [server.name for server in scenario.all_servers] == ["cloud", "site"]
    assert (scenario.all_servers[0].rtt_ms, scenario.all_servers[0].link) == (30.0, "backhaul")
    assert scenario.servers == (Server(name="site", compute_gflops=60.0, rtt_ms=2.0),)
    assert scenario.links == (Link(name="cell", mbps=50.0), Link(name="backhaul", mbps=100.0))
    nodes = scenario.nodes
    assert [nodes.servers.at(d) for d in range(4)] == [("site",), None, None, None]
    assert [nodes.tiers.at(d) for d in range(4)] == [None, ("site", "cloud"), None, None]
    assert [nodes.splits.at(d) for d in range(4)] == [None, (0, 16, 34), None, None]
    assert [nodes.host.at(d) for d in range(4)] == [None, "board", "board", None]
    np.testing.assert_array_equal(nodes.uplink_mbps, [80, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(nodes.min_split, [1, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(nodes.transmit_watts, [np.nan, np.nan, np.nan, 2])
    menu = scenario.menus.of(0)  # split 1 sends four times what 2 does
    assert menu.cuts[menu.allowed, 0].tolist() == list(range(2, 21))


def test_what_more_of_it_costs_survives_saving_and_is_no_part_of_the_hash(tmp_path):
    path = write(tmp_path, 'servers = ["site", "cloud"]')
    plain = load_scenario(path)
    priced = path.read_text(encoding="utf-8")
    for line, more in (
        ("compute_gflops = 400.0", "price_per_gflops = 0.02\nstep_gflops = 100"),
        ("compute_gflops = 60.0", "price_per_gflops = 0.5"),
        ("mbps = 50.0", "price_per_mbps = 1.5\nstep_mbps = 10"),
    ):
        priced = priced.replace(line, f"{line}\n{more}")
    path.write_text(priced, encoding="utf-8")
    scenario = load_scenario(path)
    scenario.save(tmp_path / "again.toml")
    for read in (scenario, load_scenario(tmp_path / "again.toml")):
        assert [(s.price_per_gflops, s.step_gflops) for s in read.all_servers] == [(0.02, 100.0), (0.5, None)]
        assert [(link.price_per_mbps, link.step_mbps) for link in read.links] == [(1.5, 10.0), (None, None)]
        assert read.sha256() == plain.sha256()


@pytest.mark.parametrize("key", ["cloud_price_per_gflops", "cloud_step_gflops"])
@pytest.mark.parametrize("value", [0.0, -1.0, np.inf, np.nan])
def test_prices_of_the_cloud_are_sensible(key, value):
    with pytest.raises(InputError, match=f"cloud.{key.removeprefix('cloud_')} must be > 0"):
        Scenario(400.0, NodeTable(("a",), ("resnet34",), 5.0, 8.0, 1.0), **{key: value})


@pytest.mark.parametrize("nodes_file", [None, "n.csv", "n.parquet"])
@pytest.mark.parametrize("family", ["links", "servers", "tiers", "hosts"])
def test_what_is_saved_loads_with_the_same_hash(family, nodes_file, tmp_path):
    scenario = generate(family, nodes=12, seed=3)
    scenario.save(tmp_path / "s.toml", nodes_file=nodes_file)
    again = load_scenario(tmp_path / "s.toml")
    assert again.sha256() == scenario.sha256()
    assert (again.all_servers, again.links) == (scenario.all_servers, scenario.links)


def test_a_site_survives_saving(tmp_path):
    path = write(
        tmp_path,
        'servers = ["site"]; min_split = 1; weight = 2; energy_j = 9; joule_per_gflop = 0.1',
        'tiers = ["site", "cloud"]; splits = [0, 16, 34]; rtt_ms = 15; memory_mb = 512',
    )
    scenario = load_scenario(path)
    scenario.save(tmp_path / "again.toml")
    assert load_scenario(tmp_path / "again.toml").sha256() == scenario.sha256()
    assert "min_split = 1\n" in (tmp_path / "again.toml").read_text(encoding="utf-8")


def test_servers_may_stand_without_a_cloud(tmp_path):
    only = '[[servers]]\nname = "site"\ncompute_gflops = 60.0\n[[links]]\nname = "cell"\nmbps = 50.0\n'
    scenario = load_scenario(write(tmp_path, "", head=only))
    assert scenario.cloud_gflops is None
    assert [server.name for server in scenario.all_servers] == ["site"]
    scenario.save(tmp_path / "again.toml")
    assert load_scenario(tmp_path / "again.toml").sha256() == scenario.sha256()
    refused(
        load_scenario, write(tmp_path, "", head='[[links]]\nname = "cell"\nmbps = 5\n'), '"cloud" is missing', "add"
    )


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ('name = "site"', 'name = "cloud"', ['"cloud" is used twice, a name in servers']),
        ('name = "site"', 'name = "cell"', ['"cell" is used twice, in servers and in links']),
        (
            'name = "backhaul"',
            'name = "backhaus"',
            ['link of the server "cloud": there is no "backhaul" in [[links]]', "did"],
        ),
        ('name = "cell"', 'name = "cells"', ['link of "n0": there is no "cell" in [[links]] (did you mean "cells"?)']),
        ('["site"]', '["sites"]', ['servers of "n0": there is no "sites" in [[servers]] (did you mean "site"?)']),
        ('["site", "cloud"]', '["site", "fog"]', ['tiers of "n1": there is no "fog" in [[servers]]']),
        ('["site", "cloud"]', '["site", "site"]', ['tiers of "n1" must have each of its entries once, got site, site']),
        ('["site", "cloud"]', '["site"]', ['"nodes[1].tiers"']),
        ('["site"]', "[]", ['"nodes[0].servers"']),
        ('tiers = ["site", "cloud"]', 'tiers = ["site", "cloud"]\nservers = ["site"]', ['"n1" has servers and tiers']),
        ("rtt_ms = 2.0", "rtt_ms = -2.0", ['"servers[0].rtt_ms"']),
        ("mbps = 50.0", "mbps = 0", ['"links[0].mbps"']),
        ("mbps = 50.0", "mbps = 50\nprice_per_mbps = 0", ['"links[0].price_per_mbps"', "greater than 0"]),
        ("mbps = 50.0", "mbps = 50\nstep_mbps = -1", ['"links[0].step_mbps"']),
        (
            "compute_gflops = 60.0",
            "compute_gflops = 60\nprice = 1",
            ['"servers[0].price" (did you mean "price_per_gflops"'],
        ),
        ("compute_gflops = 60.0", "compute_gflops = 60\nstep_gflops = 0", ['"servers[0].step_gflops"']),
        ("weight = 2", "deadline_ms = 0", ['"nodes[0].deadline_ms"', "greater than 0"]),
        ("weight = 2", "deadline = 200", ['"nodes[0].deadline" (did you mean "deadline_ms" (ms)?)']),
        ("weight = 2", "weight = 0", ['"nodes[0].weight"']),
        ("weight = 2", "min_split = 35", ['min_split of "n0" has 35, and resnet34 has 34 layers', "from 0 to 34"]),
        ("weight = 2", "splits = [3, 40]", ['splits of "n0" has 40']),
        ("weight = 2", "splits = []", ['"nodes[0].splits"']),
        ("weight = 2", "splits = [3, 3]", ['splits of "n0" must have each of its entries once, got 3, 3']),
        ("weight = 2", "min_split = 9\nmax_split = 8", ['min_split of "n0" is above its max_split']),
        ("weight = 2", "min_split = 1.5", ['"nodes[0].min_split"']),
        ("weight = 2", "result_bytes = 9", ['"n0" has result_bytes and no downlink_mbps']),
        ("weight = 2", "downlink_mbps = 9", ['"n0" has downlink_mbps and no result_bytes']),
        ("weight = 2", "energy_j = 9", ['"n0" has energy_j; add joule_per_gflop or transmit_watts']),
        ("weight = 2", "transmit_watts = 9", ['"n0" has joule_per_gflop or transmit_watts and no energy_j']),
        ("weight = 2", 'host = "site"', ['"site" is used twice, in servers and in host']),
        ('link = "cell"\n', "", ['uplink_mbps of "n0" must be finite and > 0, or link must name a link']),
    ],
)
def test_a_malformed_site_is_refused_by_field(old, new, parts, tmp_path):
    path = write(tmp_path, 'servers = ["site"]; weight = 2', 'tiers = ["site", "cloud"]')
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    refused(load_scenario, path, *parts)


def test_nodes_of_one_host_agree_on_it():
    nodes = NodeTable(("a", "b"), ("resnet34",), np.array([5.0, 6.0]), 8.0, 1.0, host=Labels.of(["board", "board"]))
    with pytest.raises(InputError, match='"a" and "b" run on the host "board" and have another compute_gflops'):
        Scenario(400.0, nodes)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        (
            ['servers = ["cloud"]'],
            'the server "site" has no effect: no node may use it; name it in servers, or remove it',
        ),
        (['servers = ["site"]', ""], None),
        (['servers = ["site"]'], 'the server "cloud" has no effect'),
        (['host = "board"'], 'the host "board" has no effect: one node runs on it and has it to itself'),
        (['host = "board"', 'host = "board"'], None),
        (["rtt_ms = 2e5"], 'rtt_ms of "n0" is 200,000 ms'),
        (["deadline_ms = 0.2"], 'deadline_ms of "n0" is 0.2 ms, less than 1; did you mean ms, not s?'),
    ],
)
def test_what_has_no_effect_is_doubted(nodes, message, tmp_path):
    path = write(tmp_path, *nodes)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        load_scenario(path)
    told = [str(warning.message) for warning in said if warning.category is Doubt]
    assert bool(told) == (message is not None)
    assert message is None or any(message in sentence for sentence in told)


def test_a_link_that_nothing_crosses_is_doubted(tmp_path):
    path = write(tmp_path, 'servers = ["site"]', 'servers = ["cloud"]')
    text = path.read_text(encoding="utf-8").replace('link = "backhaul"\n', "")
    path.write_text(text, encoding="utf-8")
    with pytest.warns(
        Doubt, match='the link "backhaul" has no effect: nothing crosses it; name it as a link, or remove'
    ):
        load_scenario(path)


def test_the_hash_covers_what_is_shared():
    nodes = NodeTable(("a", "b"), ("tiny.json",), 5.0, 8.0, 1.0)
    tiny = LayerProfile("tiny", 8.0, ("a",), [1e9], [4.0], weight_bytes=np.array([8.0]))
    site, cell = Server(name="site", compute_gflops=60.0), Link(name="cell", mbps=50.0)
    base = Scenario(3.0, nodes, profiles={"tiny.json": tiny}, servers=(site,), links=(cell,))
    linked = replace(nodes, link=Labels.of(["cell", None]))
    limited = replace(nodes, memory_mb=4.0)
    heavier = {"tiny.json": replace(tiny, weight_bytes=np.array([9.0]))}
    others = [
        replace(base, servers=()),
        replace(base, links=()),
        replace(base, servers=(site.model_copy(update={"rtt_ms": 4.0}),)),
        replace(base, links=(cell.model_copy(update={"mbps": 4.0}),)),
        replace(base, cloud_rtt_ms=4.0),
        replace(base, cloud_link="cell"),
        replace(base, options=Options(uplink="queue")),
        replace(base, nodes=linked),
        replace(base, nodes=replace(nodes, link=Labels.of([None, "cell"]))),
        replace(base, nodes=replace(nodes, tiers=Labels.of([("cloud", "site"), None]))),
        replace(base, nodes=replace(nodes, servers=Labels.of([("cloud", "site"), None]))),
        replace(base, nodes=replace(nodes, weight=2.0)),
        replace(base, nodes=replace(nodes, rtt_ms=2.0)),
        replace(base, nodes=limited),
        replace(base, nodes=limited, profiles=heavier),
    ]
    assert len({scenario.sha256() for scenario in [base, *others]}) == len(others) + 1
    assert replace(base, profiles=heavier).sha256() == base.sha256()  # nobody looks at the weights


def test_times_of_a_server_are_only_needed_for_networks_that_it_may_run():
    profiles = {f"{n}.json": LayerProfile(n, 8.0, ("x",), [1e9], [4.0]) for n in ("one", "two")}
    nodes = NodeTable(
        ("a", "b"), tuple(profiles), 5.0, 8.0, 1.0, [0, 1], servers=Labels.of([("box", "cloud"), ("cloud",)])
    )
    times = MeasuredTimes({Timed("gpu", "one"): {"x": 0.25}})
    box = Server(name="box", compute_gflops=1.0, device="gpu")
    scenario = Scenario(3.0, nodes, profiles=profiles, times=times, servers=(box,))
    assert scenario.servers_of_networks() == {"one.json": {"box", "cloud"}, "two.json": {"cloud"}}
    with pytest.raises(InputError, match='no times of model "two" on device "gpu"'):
        replace(scenario, nodes=replace(nodes, servers=Labels()))
