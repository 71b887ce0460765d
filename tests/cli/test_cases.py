"""Fleets that one cloud cannot describe, solved, verified and simulated: a board in common, a line, a round trip."""

import json

import numpy as np
import pytest

from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.loading import load_scenario
from dmcjia_opt.solving.registry import build_allocator
from tests.cli.scenarios import node


def profile(name, input_bytes, macs):
    return json.dumps(
        {
            "name": name,
            "input_bytes": input_bytes,
            "layers": [{"name": "task", "macs": macs, "output_bytes": 0}],
        }
    )


@pytest.fixture
def carried_out(dmcjia, tmp_path):
    """Solve, verify and simulate a scenario file; return its plan and what was simulated."""

    def run(text, **files):
        (tmp_path / "case.toml").write_text(text)
        for name, content in files.items():
            (tmp_path / f"{name}.json").write_text(content)
        ended = dmcjia("solve", "case.toml", "--out", "plan.json")
        assert (ended.code, "optimal, proved" in ended.out) == (0, True), ended
        ended = dmcjia("verify", "case.toml", "plan.json")
        assert (ended.code, "Every claim holds." in ended.out) == (0, True), ended
        ended = dmcjia("simulate", "case.toml", "plan.json", "--tasks", 300_000, "--out", "sim.json")
        assert (ended.code, ended.err) == (0, "")
        plan, found = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("plan", "sim"))
        return plan, found["plans"][0]

    return run


def evaluate(problem, options):
    """Return the mean delay, s, of options at their best shares."""
    options = np.array(options)
    shares = build_allocator("waterfilling").allocate(problem, options[None]).shares[0]
    return float(problem.objective(options, shares))


def boards(host):
    text = "[cloud]\ncompute_gflops = 100\n"
    for name, rate in (("a", 2.3), ("b", 2.2)):
        text += node(f"board-{name}", f"{name}.json", compute=20, uplink=20, rate=rate, more=host)
    return text


APPS = {"a": profile("app-a", 3_000_000, 2e9), "b": profile("app-b", 3_500_000, 2e9)}


def test_two_networks_on_one_board(carried_out):
    apart, _ = carried_out(boards(""), **APPS)
    plan, found = carried_out(boards('host = "board"\n'), **APPS)
    # each with the board to itself would stay there; together they fill nine tenths of it, and one of them leaves
    assert (apart["splits"], plan["splits"]) == ([1, 1], [0, 1])
    assert (plan["nodes"][0]["server"], plan["nodes"][1]["server"]) == ("cloud", None)
    problem = compile_problem(load_scenario("case.toml"))
    together = evaluate(problem, [1, 1])
    assert together > plan["objective_s"] > 2 * apart["objective_s"]
    assert plan["nodes"][1]["shares"] == {"board": pytest.approx(1.0)}
    for row, seen in zip(plan["nodes"], found["nodes"], strict=True):
        # one M/D/1 queue each, of which the model is exact
        assert abs(seen["mean_s"] - row["total_s"]) < 2.5 * seen["half_width_s"] < 0.1 * row["total_s"]
    assert [set(seen["stages"]) for seen in found["nodes"]] == [{"uplink", "cloud"}, {"board"}]


DEVICES = [("health", 1, 0.3), ("ar", 4, 0.2), ("heavy", 2, 0.05), ("info", 2, 0.14)] * 3
KINDS = {
    "health": profile("health", 1_250_000, 2e8),
    "ar": profile("ar", 1_500_000, 1e9),
    "heavy": profile("heavy", 2_500_000, 1.5e9),
    "info": profile("info", 25_000, 3.75e8),
}


def devices(line):
    text = "[cloud]\ncompute_gflops = 32.0\n" + ('[[links]]\nname = "line"\nmbps = 3\n' if line else "")
    for d, (kind, gflops, rate) in enumerate(DEVICES):
        more = 'link = "line"\n' if line else ""
        one = node(f"d{d}", f"{kind}.json", compute=gflops, uplink=3, rate=rate, more=more)
        text += one.replace("uplink_mbps = 3\n", "") if line else one
    return text


def test_devices_behind_one_line(carried_out, tmp_path):
    apart, _ = carried_out(devices(line=False), **KINDS)
    plan, found = carried_out(devices(line=True), **KINDS)
    sent = {kind: json.loads(KINDS[kind])["input_bytes"] for kind in KINDS}

    def load(splits):
        return sum(
            8 * rate * sent[kind] / 3e6 for (kind, _, rate), split in zip(DEVICES, splits, strict=True) if split == 0
        )

    assert load(plan["splits"]) < 1.0
    assert load(apart["splits"]) > load(plan["splits"])
    line = next(row for row in plan["resources"] if row["kind"] == "link")
    assert (line["name"], line["used"]) == ("line", pytest.approx(1.0))
    assert plan["objective_s"] > apart["objective_s"]
    assert found["mean_s"] == pytest.approx(plan["objective_s"], rel=0.03)


def far(rate, more=""):
    return "[cloud]\ncompute_gflops = 100\n" + node("far", compute=5, uplink=40, rate=rate, more=more)


def test_a_round_trip(carried_out):
    near, _ = carried_out(far(1))
    plan, found = carried_out(far(1, "rtt_ms = 60\n"))
    assert near["splits"] == plan["splits"] == [0]
    assert plan["objective_s"] == pytest.approx(near["objective_s"] + 0.06)
    row = found["nodes"][0]
    assert abs(row["mean_s"] - plan["objective_s"]) < 2.5 * row["half_width_s"]
    assert row["stages"]["round trip"] == pytest.approx(0.06)
    # a cloud so far away is no use
    away, found = carried_out(far(0.2, "rtt_ms = 3000\n"))
    assert away["nodes"][0]["server"] is None
    assert set(found["nodes"][0]["stages"]) == {"device", "uplink"}  # what comes out is sent
