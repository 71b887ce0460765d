from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.model.scenario.loading import load_scenario
from dmcjia_opt.model.scenario.nodes import Labels, Node, NodeTable
from dmcjia_opt.model.scenario.scenario import Options, Scenario
from dmcjia_opt.model.scenario.servers import Host, Link, Server
from dmcjia_opt.model.scenario.services import stage_times
from dmcjia_opt.model.scenario.streams import cautions

NODES = NodeTable(("a", "b", "c"), ("resnet34",), 5.0, 8.0, 1.0)
VARIED = replace(NODES, arrivals=np.array([0.0, np.nan, 0.3]))
HOSTED = replace(NODES, host=Labels.of(["board", "board", "board"]))
SITE = Server(name="site", compute_gflops=9.0)
TANDEM = Options(delay="tandem")


def on_links(sharing):
    return replace(NODES, link=Labels.of(["cell"] * 3)), (Link(name="cell", mbps=30.0, sharing=sharing),)


def shared(kind, sharing="fifo"):
    """Return a scenario with a cloud, of which a resource of a kind is pooled."""
    if kind == "link":
        nodes, links = on_links(sharing)
        return Scenario(400.0, nodes, links=links)
    if kind == "host":
        return Scenario(400.0, HOSTED, hosts=(Host(name="board", sharing=sharing),))
    if kind == "server":
        return Scenario(400.0, NODES, servers=(SITE.model_copy(update={"sharing": sharing}),))
    return Scenario(400.0, NODES, cloud_sharing=sharing)


@pytest.mark.parametrize("nodes_file", [None, "n.csv", "n.parquet"])
def test_arrivals_survive_saving(nodes_file, tmp_path):
    scenario = Scenario(3.0, VARIED)
    scenario.save(tmp_path / "s.toml", nodes_file=nodes_file)
    again = load_scenario(tmp_path / "s.toml")
    np.testing.assert_array_equal(again.nodes.arrivals, VARIED.arrivals)
    assert again.sha256() == scenario.sha256() != Scenario(3.0, NODES).sha256()
    if nodes_file is None:
        assert 'arrivals = "periodic"' in (tmp_path / "s.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(("said", "scv"), [("periodic", 0.0), ("poisson", None), (0.3, 0.3), (0, 0.0)])
def test_arrivals_of_a_node_are_a_word_or_a_number(said, scv):
    node = Node(name="a", model="resnet34", compute_gflops=5.0, uplink_mbps=8.0, arrival_rate=1.0, arrivals=said)
    assert node.arrivals == scv


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ('"perodic"', r'must be "poisson", "periodic" or .* \(did you mean "periodic"\?\)'),
        ("-1.0", "greater than or equal to 0"),
        ("true", "arrivals"),
    ],
)
def test_arrivals_that_mean_nothing_are_refused(said, sentence, tmp_path):
    numbers = {"compute_gflops": 5.0, "uplink_mbps": 8, "arrival_rate": 1}
    node = {"name": '"a"', "model": '"resnet34"', **numbers, "arrivals": said}
    lines = "".join(f"{key} = {value}\n" for key, value in node.items())
    (tmp_path / "s.toml").write_text(f"[cloud]\ncompute_gflops = 40.0\n[[nodes]]\n{lines}", encoding="utf-8")
    with pytest.raises(InputError, match=sentence):
        load_scenario(tmp_path / "s.toml")


@pytest.mark.parametrize("sharing", ["fifo", "ps"])
@pytest.mark.parametrize("kind", ["cloud", "server", "link", "host"])
def test_sharing_survives_saving_and_is_what_the_resource_has(kind, sharing, tmp_path):
    scenario = shared(kind, sharing)
    scenario.save(tmp_path / "s.toml")
    again = load_scenario(tmp_path / "s.toml")
    assert again.sha256() == scenario.sha256() != shared(kind, "reserved").sha256()
    found = {resource.name: resource.sharing for resource in stage_times(again).resources}
    name = {"cloud": "cloud", "server": "site", "link": "cell", "host": "board"}[kind]
    assert found.pop(name) == sharing
    assert set(found.values()) <= {"reserved"}


def test_what_is_reserved_has_the_hash_it_always_had():
    assert shared("host", "reserved").sha256() == Scenario(400.0, HOSTED).sha256()


@pytest.mark.parametrize(
    ("hosts", "sentence"),
    [
        ((Host(name="bord"),), r'no node has the host "bord" \(did you mean "board"\?\)'),
        ((Host(name="board"), Host(name="board")), "there twice"),
    ],
)
def test_hosts_that_are_none_are_refused(hosts, sentence):
    with pytest.raises(InputError, match=sentence):
        Scenario(400.0, HOSTED, hosts=hosts)


@pytest.mark.parametrize("nodes", [NODES, replace(NODES, arrivals=np.array(0.0))])
def test_percentiles_are_of_poisson_and_of_periodic_arrivals(nodes):
    options = Options(delay="tandem", statistic="p95")
    assert Scenario(400.0, nodes, options=options).options == options
    with pytest.raises(InputError, match=r'arrivals of "c" = 0\.3 has a mean .* write "poisson" or "periodic"'):
        Scenario(400.0, VARIED, options=options)
    with pytest.raises(InputError, match=r'sharing = "ps" of the cloud has a mean .* write sharing = "reserved"'):
        Scenario(400.0, nodes, options=options, cloud_sharing="ps")


@pytest.mark.parametrize(
    ("scenario", "rule"),
    [
        (Scenario(3.0, NODES), "reserved shares, these cuts and the M/D/1 delay"),
        (shared("cloud"), "one queue for all at the cloud, these cuts and the M/D/1 delay"),
        (
            shared("link", "ps"),
            'reserved shares, equal sharing by all tasks there at the link "cell", these cuts and the M/D/1 delay',
        ),
        (
            Scenario(3.0, replace(NODES, arrivals=np.array(0.0))),
            "reserved shares, these cuts, the M/D/1 delay and periodic arrivals",
        ),
        (
            Scenario(3.0, VARIED),
            "reserved shares, these cuts, the M/D/1 delay, the arrivals of each node and waits of nodes whose gaps "
            "have cv² 0.3 by (c_a² + c_s²)/2",
        ),
    ],
)
def test_the_rule_names_how_things_are_shared_and_what_arrives(scenario, rule):
    assert scenario.rule == rule


def test_what_is_approximate_is_said():
    assert not cautions(Scenario(3.0, replace(NODES, arrivals=np.array([0.0, 1.0, 0.0]))))
    one = "approximation: waits of nodes whose gaps have cv² 0.3 by (c_a² + c_s²)/2"
    assert cautions(Scenario(3.0, VARIED)) == cautions(Scenario(3.0, VARIED, options=TANDEM)) == (one,)
    both = "approximation: waits of nodes whose gaps have cv² 0 and 0.3 by (c_a² + c_s²)/2"
    assert cautions(Scenario(3.0, VARIED, options=Options(delay="mm1"))) == (both,)
    for options, words in ((Options(), "what they waited before"), (TANDEM, "nor does what waits before")):
        (caution,) = cautions(replace(shared("cloud"), options=options))
        assert "arrivals at the cloud count as independent" in caution
        assert words in caution
    for sharing, words in (("fifo", "several regular nodes together are less regular"), ("ps", "count as Poisson")):
        *_, caution = cautions(replace(shared("cloud", sharing), nodes=replace(NODES, arrivals=np.array(0.0))))
        assert words in caution


def test_batches_are_the_same_in_python_and_in_a_file(tmp_path):
    one = Scenario(400.0, NODES, cloud_sharing="fifo", cloud_seconds_by_batch={8: 0.011, 1: 0.004})
    other = Scenario(400.0, NODES, cloud_sharing="fifo", cloud_seconds_by_batch={"1": 0.004, "8": 0.011})
    assert one.sha256() == other.sha256() != Scenario(400.0, NODES, cloud_sharing="fifo").sha256()
    one.save(tmp_path / "s.toml")
    again = load_scenario(tmp_path / "s.toml")
    assert again.sha256() == one.sha256()
    assert stage_times(again).resources[0].batches == ((1, 0.004), (8, 0.011))
    site = Server(name="site", compute_gflops=9.0, sharing="fifo", seconds_by_batch={1: 1.0, 2: 1.5})
    assert site.batches == ((1, 1.0), (2, 1.5))


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        ({2: 1.0}, "must have the seconds of 1 task and of larger batches"),
        ({1: 1.0, 2: 0.5}, "must not fall: a batch of 2 takes less than one of 1"),
        ({1: 1.0, 1.5: 2.0}, "whole numbers of tasks as keys, from 1 to 256"),
        ({1: 1.0, 2: -1.0}, "greater than 0"),
    ],
)
def test_batches_that_cannot_be(seconds, said):
    with pytest.raises(InputError, match=said):
        Scenario(400.0, NODES, cloud_sharing="fifo", cloud_seconds_by_batch=seconds)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"cloud_sharing": "ps"}, 'means nothing where sharing is "ps"'),
        ({"cloud_sharing": "fifo", "options": Options(delay="mm1")}, "services that vary"),
        ({"cloud_sharing": "fifo", "options": Options(delay="mg1", service_scv=0.5)}, "services that vary"),
    ],
)
def test_batches_need_one_queue_and_services_that_do_not_vary(more, said):
    with pytest.raises(InputError, match=said):
        Scenario(400.0, NODES, cloud_seconds_by_batch={1: 0.004, 8: 0.011}, **more)


def test_what_is_approximate_of_batches_is_said():
    scenario = Scenario(400.0, NODES, cloud_sharing="fifo", cloud_seconds_by_batch={1: 0.004, 8: 0.011})
    assert any("waits for batches at the cloud" in said for said in cautions(scenario))
    assert "the cloud serving in batches" in scenario.rule
