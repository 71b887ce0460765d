"""How fast links are over time: as files say, and as drawn."""

from pathlib import Path

import numpy as np
import pytest

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.studies.online.conditions import Conditions, links_of
from dmcjia_opt.studies.online.traces import LEAST, LinkTrace, draw_links, load_links

RECORDED = Path(__file__).resolve().parents[3].parent / "shared" / "traces"
recorded = pytest.mark.skipif(not RECORDED.exists(), reason="the recorded traces are not part of the package")


def written(tmp_path, text):
    (tmp_path / "t.csv").write_text(text)
    return tmp_path / "t.csv"


def test_a_table_holds_until_the_next_row_of_a_link(tmp_path):
    found = load_links(written(tmp_path, "time_s,node,uplink_mbps\n10,a,4\n10,b,1\n12,b,2\n15,a,8\n"))
    assert found.names == ("a", "b")
    assert found.times.tolist() == [0.0, 2.0, 5.0]
    assert found.values.tolist() == [[4.0, 1.0], [4.0, 2.0], [8.0, 2.0]]
    assert found.end == 5.0 + 2.5


def test_a_table_of_a_shared_link(tmp_path):
    found = load_links(written(tmp_path, "time_s;link;uplink_mbps\n0;cell;4,5\n1;cell;0\n"))
    assert (found.names, found.values.ravel().tolist()) == (("cell",), [4.5, LEAST])


def test_one_number_a_second_with_or_without_a_unit(tmp_path):
    found = load_links(written(tmp_path, "4.5,Mbits/sec\n850,Kbits/sec\n0,bits/sec\n2\n"))
    assert found.names == ("",)
    assert found.values.ravel() == pytest.approx([4.5, 0.85, LEAST, 2.0])
    assert found.spans.tolist() == [1.0] * 4


def test_milliseconds_of_packets(tmp_path):
    packets = [*range(0, 1000, 2), *range(1000, 2000, 10), 2400]
    found = load_links(written(tmp_path, "\n".join(map(str, packets))))
    assert found.values.ravel() == pytest.approx([500 * 0.012, 100 * 0.012])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no speeds"),
        ("3\nx\n", 'line 2: "x" is no number'),
        ("3\n-2\n", "line 2: -2 Mbit/s; a speed must be >= 0"),
        ("3,furlongs\n", '"furlongs" is no unit of speed'),
        ("1\n2\n1e30\n", "1e\\+30 ms is too long"),
        ("-2\n1000\n2000\n", "line 1: -2 Mbit/s"),
        ("nan\n3\n", "no unit|is no number|lacks column"),
        ("time_s,uplink_mbps\n", "holds no speeds"),
        ("time_s,uplink_mbps\n1,2\n", "all rows are at 1 s"),
        ("time_s,uplink_mbps\n1,2\n1,3\n2,3\n", "1 s comes after 1 s; sort the rows"),
        ("time_s,node,uplink_mbps\n1,a,2\n0,a,3\n", 'of "a"; sort the rows'),
        ("time_s,node,link,uplink_mbps\n1,a,b,2\n2,a,b,3\n", "keep one of node and link"),
        ("time_s,uplink_mbps,arrival_rate\n1,2,3\n2,2,3\n", "uplink_mbps, or arrival_rate, and not both"),
        ("time_s,node,uplink_mbps\n1,,2\n2,a,2\n", "no node; fill it in"),
        ("time_s,node,uplink_mbps\n1,a,-2\n2,a,2\n", "uplink_mbps"),
        ("node,uplink_mbps\na,2\n", "lacks column time_s"),
    ],
)
def test_what_is_no_trace(tmp_path, text, said):
    with pytest.raises(InputError, match=said):
        load_links(written(tmp_path, text))


def test_speeds_and_times_that_cannot_be():
    for times, end, mbps in (
        ([0.0, 1.0], 1.0, [[1.0], [1.0]]),
        ([1.0, 2.0], 3.0, [[1.0], [1.0]]),
        ([0.0, 0.0], 3.0, [[1.0], [1.0]]),
        ([0.0], 1.0, [[np.nan]]),
        ([0.0], 1.0, [[-1.0]]),
        ([0.0], 1.0, [[1.0, 2.0]]),
    ):
        with pytest.raises(InputError):
            LinkTrace(np.array(times), end, ("",), np.array(mbps))


def test_longer_steps_carry_the_same():
    trace = draw_links("markov:100", np.array([2.0, 8.0]), ("a", "b"), np.random.default_rng(0))
    long = trace.every(7.0)
    assert long.spans @ long.values == pytest.approx(trace.spans @ trace.values)
    assert long.spans.tolist()[:3] == [7.0, 7.0, 7.0]
    assert long.end == trace.end == 100.0
    assert trace.every(50.0).values[0] == pytest.approx(trace.values[:50].mean(axis=0))
    assert len(trace.until(10.0).times) == 10


@pytest.mark.parametrize(("name", "levels"), [("markov", [0.25, 0.5, 1.0, 2.0]), ("onoff", [0.02, 1.0])])
def test_drawn_traces_stay_on_their_levels_for_a_while(name, levels):
    trace = draw_links(f"{name}:5000", np.full(20, 4.0), tuple(map(str, range(20))), np.random.default_rng(1))
    assert np.unique(trace.values / 4.0).tolist() == levels
    again = draw_links(f"{name}:5000", np.full(20, 4.0), tuple(map(str, range(20))), np.random.default_rng(1))
    assert (again.values == trace.values).all()
    changes = (np.diff(trace.values, axis=0) != 0).mean()
    expected = {"markov": 1 / 10, "onoff": 2 / 25}[name]  # a cycle of on and off has two changes in 25 s
    assert changes == pytest.approx(expected, rel=0.1)


def test_rates_of_arrivals_change_too(tmp_path):
    trace = load_links(written(tmp_path, "time_s,node,arrival_rate\n0,node-0001,2\n5,node-0001,4\n"))
    paper = generate("paper", nodes=3, seed=1)
    conditions = Conditions(paper, trace)
    before = np.broadcast_to(paper.nodes.arrival_rate, 3)
    assert conditions.at(trace.values[1]).nodes.arrival_rate.tolist() == [4.0, before[1], before[2]]
    with pytest.raises(InputError, match='there is no node "cell"'):
        Conditions(paper, LinkTrace(np.zeros(1), 1.0, ("cell",), np.ones((1, 1)), quantity="arrival_rate"))


@pytest.mark.parametrize("name", ["markov", "onoff:1", "onoff:x", "markov:inf", "sine:100"])
def test_what_cannot_be_drawn(name):
    with pytest.raises(InputError, match="trace"):
        draw_links(name, np.ones(1), ("a",), np.random.default_rng(0))


@recorded
def test_recorded_traces_are_read():
    bus = load_links(RECORDED / "bus62_2.csv")
    assert (len(bus.times), bus.end) == (1452, 1452.0)
    assert float(np.median(bus.values)) == pytest.approx(2.49)
    assert bus.values.min() == LEAST


def test_conditions_change_what_the_trace_names_and_nothing_else():
    scenario = generate("links", nodes=6, seed=1)
    link, node = scenario.links[0].name, None
    names = (link,)
    changed = Conditions(scenario, LinkTrace(np.zeros(1), 1.0, names, np.array([[3.0]]))).at(np.array([3.0]))
    assert [one.mbps for one in changed.links] == [3.0, *(one.mbps for one in scenario.links[1:])]
    assert changed.nodes is scenario.nodes
    paper = generate("paper", nodes=3, seed=1)
    node = paper.nodes.names[1]
    one = Conditions(paper, LinkTrace(np.zeros(1), 1.0, (node,), np.array([[3.0]])))
    before = np.broadcast_to(paper.nodes.uplink_mbps, 3)
    assert one.at(np.array([3.0])).nodes.uplink_mbps.tolist() == [before[0], 3.0, before[2]]
    every = Conditions(paper, LinkTrace(np.zeros(1), 1.0, ("",), np.array([[3.0]])))
    assert every.at(np.array([3.0])).nodes.uplink_mbps.tolist() == [3.0] * 3


def test_names_that_nothing_has():
    paper = generate("paper", nodes=3, seed=1)
    with pytest.raises(InputError, match='no node and no link "node-001"'):
        Conditions(paper, LinkTrace(np.zeros(1), 1.0, ("node-001",), np.ones((1, 1))))


def test_drawn_links_are_those_of_the_scenario():
    found = links_of("markov:20", generate("links", nodes=6, seed=1), 3)
    assert set(found.names) >= {link.name for link in generate("links", nodes=6, seed=1).links}
    assert len(found.times) == 20
