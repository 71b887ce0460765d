"""What the terminal shows of scenarios in which something is pooled, or tasks do not arrive at random."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from dmcjia_opt.model.scenario.families import generate
from tests.cli.test_widths import columns


@pytest.fixture
def solved(dmcjia, tmp_path, monkeypatch):
    """Solve a scenario; return what is shown and the plan."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(scenario):
        scenario.save("s.toml")
        ended = dmcjia("solve", "s.toml", "--out", "plan.json")
        assert (ended.code, ended.err) == (0, "")
        return ended.out, json.loads((tmp_path / "plan.json").read_text(encoding="utf-8"))

    return run


@pytest.mark.parametrize(("sharing", "called"), [("fifo", "one queue for all"), ("ps", "all at once")])
def test_a_pooled_cloud_has_no_shares(solved, dmcjia, sharing, called):
    out, plan = solved(replace(generate("paper", nodes=4, seed=1), cloud_sharing=sharing))
    (nodes,) = columns(out)
    assert nodes == ["node", "split", "edge ms", "upload ms", "cloud ms", "total ms"]
    assert f"cloud        {called}, " in out
    assert "One queue for all instead" not in out
    (resource,) = plan["resources"]
    assert (resource["sharing"], resource["used"]) == (sharing, 0.0)
    assert 0.0 < resource["load"] < 1.0
    assert resource["wait_s"] > 0.0
    assert not any(plan["shares"])
    assert not any(row["shares"] for row in plan["nodes"])
    assert dmcjia("verify", "s.toml", "plan.json").code == 0
    shown = dmcjia("simulate", "s.toml", "plan.json", "--tasks", 5000)
    assert (shown.code, shown.err) == (0, "")
    assert dmcjia("report", "plan.json", "--out", "page.html").code == 0


@pytest.mark.parametrize("key", ["load", "wait_s", "sharing"])
def test_what_is_not_true_of_it_is_found_out(solved, dmcjia, tmp_path, key):
    _, plan = solved(replace(generate("paper", nodes=3, seed=1), cloud_sharing="fifo"))
    plan["resources"][0][key] = "reserved" if key == "sharing" else 0.123
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    ended = dmcjia("verify", "s.toml", "plan.json")
    assert ended.code == 1
    assert "plan.json: false: resources" in ended.err


def test_a_pooled_link_stands_beside_a_reserved_cloud(solved):
    scenario = generate("links", nodes=6, seed=1)
    pooled = tuple(link.model_copy(update={"sharing": "fifo"}) for link in scenario.links)
    out, plan = solved(replace(scenario, links=pooled))
    _, shared = columns(out)
    assert shared == ["shared", "kind", "how", "given out", "1 % more saves", "busy", "wait", "most to"]
    assert {row["name"]: row["sharing"] for row in plan["resources"]}["cloud"] == "reserved"
    (line,) = (line for line in out.splitlines() if line.startswith(f" {pooled[0].name} "))
    assert "one queue for all" in line
    assert "reserved shares, one queue for all at the link" in plan["bound_holds_for"]


def test_approximations_are_said_and_the_queue_of_all(solved, dmcjia):
    scenario = generate("paper", nodes=4, seed=1)
    out, plan = solved(replace(scenario, nodes=replace(scenario.nodes, arrivals=np.array([0.0, 0.3, 1.0, np.nan]))))
    said = "approximation: waits of nodes whose gaps have cv² 0.3 by (c_a² + c_s²)/2"
    assert plan["notes"] == [said]
    assert f"Note: {said}." in out
    assert "One queue for all instead of reserved shares: " in out
    shown = dmcjia("simulate", "s.toml", "plan.json", "--tasks", 5000)
    assert "arrivals      of each node, seed 0" in shown.out


def test_seeds_have_no_effect_on_periodic_nodes(solved, dmcjia):
    scenario = generate("paper", nodes=2, seed=1)
    solved(replace(scenario, nodes=replace(scenario.nodes, arrivals=np.array(0.0))))
    named = dmcjia("simulate", "s.toml", "plan.json", "--tasks", 1000, "--seed", 3)
    assert "--seed 3 has no effect: neither arrivals nor services are random" in named.err
