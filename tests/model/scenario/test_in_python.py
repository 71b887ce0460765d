"""Scenarios written in Python: nodes one by one, frames of pandas, parsed TOML; mistakes are told in one sentence."""

from __future__ import annotations

import pickle
import tomllib
from dataclasses import replace

import numpy as np
import pytest

from dmcjia_opt import Doubt, Host, InputError, LayerProfile, Link, Node, Options, Scenario, Server, load_scenario
from dmcjia_opt.model.scenario.nodes import NodeTable
from tests.sites import SITES, site

GATE = Node("gate", "resnet34", compute_gflops=5, uplink_mbps=25, arrival_rate=1)
YARD = Node("yard", "alexnet", compute_gflops=10, link="cell-3", arrival_rate=2, splits=(0, 8), arrivals="periodic")
CELL = Link("cell-3", mbps=50)


def columns(nodes):
    return {
        "name": [node.name for node in nodes],
        "model": [node.model for node in nodes],
        "compute_gflops": [node.compute_gflops for node in nodes],
        "uplink_mbps": [node.uplink_mbps for node in nodes],
        "arrival_rate": [node.arrival_rate for node in nodes],
        "link": [node.link for node in nodes],
        "splits": [node.splits for node in nodes],
        "arrivals": [None if node.arrivals is None else "periodic" for node in nodes],
    }


@pytest.fixture
def frame():
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame(columns([GATE, YARD]))


@pytest.fixture
def fleet():
    return Scenario(cloud_gflops=60, nodes=[GATE, YARD], links=[CELL])


def test_nodes_become_the_columns_of_a_file(tmp_path, fleet):
    fleet.save(tmp_path / "fleet.toml")
    read = load_scenario(tmp_path / "fleet.toml")
    assert isinstance(fleet.nodes, NodeTable)
    assert read.sha256() == fleet.sha256()
    assert fleet.nodes.splits.at(1) == (0, 8)
    assert fleet.nodes.arrivals[1] == 0.0


def test_replaced_and_pickled_they_stay(fleet):
    assert replace(fleet, cloud_gflops=30).nodes is fleet.nodes
    assert pickle.loads(pickle.dumps(fleet)).sha256() == fleet.sha256()
    assert replace(fleet, nodes=[GATE]).n_nodes == 1


@pytest.mark.parametrize("content", SITES.values(), ids=SITES)
def test_a_parsed_file_is_that_of_the_file(tmp_path, content):
    scenario = site(tmp_path, content)
    assert Scenario.from_dict(tomllib.loads(content)).sha256() == scenario.sha256()


def test_files_that_a_parsed_one_refers_to_are_in_its_folder(tmp_path):
    LayerProfile("two", 1000, ("a", "b"), [5e6, 1e6], [200, 40]).save(tmp_path / "two.json")
    node = {"name": "a", "model": "two.json", "compute_gflops": 1, "uplink_mbps": 1, "arrival_rate": 1}
    content = {"cloud": {"compute_gflops": 9}, "nodes": [node]}
    assert Scenario.from_dict(content, tmp_path).profiles["two.json"].n_layers == 2
    with pytest.raises(InputError, match="cannot read the profile"):
        Scenario.from_dict(content, tmp_path / "elsewhere")


def test_a_frame_has_the_columns_of_a_node_table(frame, fleet):
    found = Scenario.from_frame(frame, 60, links=[CELL])
    assert found.sha256() == fleet.sha256()
    texts = frame.assign(splits=[None, "0|8"], arrivals=[np.nan, 0.0], compute_gflops=[np.int64(5), np.int64(10)])
    assert Scenario.from_frame(texts, 60, links=[CELL]).sha256() == fleet.sha256()
    shuffled = frame.iloc[::-1].set_index(np.array([7, 7]))
    assert Scenario.from_frame(shuffled, 60, links=[CELL]).nodes.names == ("yard", "gate")
    with pytest.warns(Doubt, match='column "colour" ignored'):
        Scenario.from_frame(frame.assign(colour="red"), 60, links=[CELL])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda f: f.drop(columns="compute_gflops"), "the frame: the table lacks column compute_gflops"),
        (lambda f: f.rename(columns={"arrival_rate": "rate"}), 'rename "rate" to arrival_rate'),
        (lambda f: f.assign(compute_gflops="fast"), "column compute_gflops must hold numbers"),
        (lambda f: f.assign(compute_gflops=True), "column compute_gflops must hold numbers, not bool"),
        (lambda f: f.assign(name=["gate", None]), "row 2 has no name"),
        (lambda f: f.assign(model=[None, "alexnet"]), "row 1 has no model"),
        (lambda f: f.assign(name="gate"), 'the name "gate" is used twice'),
        (lambda f: f.assign(arrivals="often"), "arrivals must hold poisson or periodic or numbers"),
        (lambda f: f.assign(splits="0|x"), "splits must hold whole numbers"),
        (lambda f: f.to_dict(), "from_frame needs a pandas DataFrame with columns name, model"),
        (lambda f: None, "from_frame needs a pandas DataFrame"),
    ],
)
def test_what_is_no_such_frame_is_refused(frame, change, told):
    with pytest.raises(InputError) as caught:
        Scenario.from_frame(change(frame), 60, links=[CELL])
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"nodes": 3}, "nodes must be a list of Node(…), got 3; write nodes=[Node(…)]"),
        ({"nodes": GATE}, "nodes must be a list of Node(…)"),
        ({"nodes": [GATE, {"name": "yard"}]}, "nodes[1] must be a Node(…), got a dict"),
        ({"nodes": ()}, "a scenario needs at least one node"),
        ({"servers": Server("a", compute_gflops=1)}, "servers must be a list of Server(…)"),
        ({"links": ["cell-3"]}, "links[0] must be a Link(…), got 'cell-3'"),
        ({"hosts": [Host("board"), 1]}, "hosts[1] must be a Host(…), got 1"),
        ({"options": {"delay": "md1"}}, 'options must be Options(…), such as Options(delay="md1"), got a dict'),
        ({"cloud_gflops": "60"}, "cloud_gflops must be a number, got '60'"),
        ({"cloud_gflops": None}, "in Python, cloud_gflops or servers"),
        ({"cloud_rtt_ms": -1.0}, 'Server "cloud": "rtt_ms": input should be greater than or equal to 0'),
        ({"cloud_sharing": "never"}, "\"sharing\": input should be 'reserved', 'fifo' or 'ps', got 'never'"),
        ({"profiles": 3}, "profiles must be a mapping from network names to profiles, got 3"),
        ({"profiles": {"resnet34": 3}}, 'profiles["resnet34"] must be a LayerProfile, got 3'),
        ({"times": 3}, "times must be MeasuredTimes(…), got 3"),
        ({"name": 3}, "name must be a text, got 3"),
    ],
)
def test_what_is_no_scenario_is_refused_with_what_was_expected(given, told):
    with pytest.raises(InputError) as caught:
        Scenario(**{"cloud_gflops": 60, "nodes": [GATE], **given})
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (lambda: Node("gate"), 'Node "gate": "model" is missing; add it'),
        (lambda: Node("gate", "resnet34", compute_gflop=5), 'did you mean "compute_gflops" (GFLOP/s)?'),
        (lambda: Link("cell", mbps=-1), 'Link "cell": "mbps": input should be greater than 0, got -1'),
        (lambda: Link("cell", 5, name="other"), "Link: name is given twice, 'cell' and 'other'; keep one"),
        (lambda: Host("a", "fifo", 3), "Host takes 2 values, got 3"),
        (lambda: Options(delay="median"), "\"delay\": input should be 'md1', 'mm1', 'mg1' or 'tandem', got 'median'"),
        (lambda: Options(statistic="p95"), 'statistic = "p95" needs delay = "tandem"'),
    ],
)
def test_what_no_file_could_say_is_refused(made, told):
    with pytest.raises(InputError) as caught:
        made()
    assert told in str(caught.value)


def test_numbers_of_numpy_and_nan_are_those_of_a_file():
    node = Node("a", "resnet34", np.float32(5), np.int64(1), uplink_mbps=np.float64(8), rtt_ms=np.nan)
    assert node == Node("a", "resnet34", compute_gflops=5.0, arrival_rate=1.0, uplink_mbps=8.0, rtt_ms=None)


def test_a_fleet_says_what_it_is_in_one_line(fleet):
    assert repr(fleet) == "Scenario(2 nodes running alexnet, resnet34, cloud 60 GFLOP/s, 1 link)"
    shown = fleet._repr_html_()
    assert shown.count("<tr>") == 3
    assert "cell-3" in shown
    many = [Node(f"<{d}>", "resnet34", compute_gflops=5, uplink_mbps=25, arrival_rate=1) for d in range(30)]
    shown = Scenario(60, many)._repr_html_()
    assert "and 20 more nodes" in shown
    assert "&lt;0&gt;" in shown
