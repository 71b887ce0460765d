import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.solving.solve import solve
from dmcjia_opt.studies.look.words import seconds
from dmcjia_opt.studies.simulation.arrivals import build_arrivals
from dmcjia_opt.studies.simulation.fleet import simulate
from tests.command_line import fails, misused

SCENARIO = generate("paper", nodes=3, seed=1, cloud_gflops=12.0)


@pytest.fixture(scope="module")
def plans():
    return {placer: solve(SCENARIO, placer, seed=1) for placer in ("exact", "dmcjia")}


@pytest.fixture(autouse=True)
def files(dmcjia, plans):
    """Put a scenario, `s.toml`, and two plans for it into the folder."""
    SCENARIO.save("s.toml")
    for name, plan in plans.items():
        plan.save(f"{name}.json")


def test_one_plan_by_node(dmcjia, plans):
    ended = dmcjia("simulate", "s.toml", "exact.json", "--tasks", 5000, "--seed", 4)
    assert (ended.code, ended.err) == (0, "")
    found = simulate(SCENARIO, plans["exact"], tasks=5000, seed=4)
    assert "delays in ms, loads in %" in ended.out
    for d, name in enumerate(found.names):
        (line,) = [line for line in ended.out.splitlines() if line.startswith(f" {name}")]
        cells = line.split()
        assert cells[1] == f"{1e3 * found.delay[d]:.4g}"
        assert cells[3] == f"{1e3 * found.model[d]:.4g}"
        assert cells[-1] == f"{1e3 * found.quantiles[d, 2]:.4g}"
    assert "95 % interval" in ended.out
    assert "arrivals      poisson, seed 4" in ended.out
    assert f"{found.measured.sum():,} tasks after a warm-up of {found.warm_up.sum():,}" in ended.out


@pytest.fixture
def promised(tmp_path):
    """Put `p.toml` into the folder: p95 delays, two deadlines that are kept; `p.json` and `mean.json` are plans."""
    options = SCENARIO.options.model_copy(update={"delay": "tandem", "statistic": "p95"})
    free = replace(SCENARIO, options=options)
    delay = solve(free).delays.total
    nodes = replace(SCENARIO.nodes, deadline_ms=np.array([np.nan, 1e3 * delay[1], 0.95e3 * delay[2]]))
    scenario = replace(free, nodes=nodes)
    plan = solve(scenario)
    scenario.save("p.toml")
    plan.save("p.json")
    solve(replace(SCENARIO, options=options.model_copy(update={"statistic": "mean"}))).save("mean.json")
    return simulate(scenario, plan, tasks=20_000)


def test_a_percentile_and_its_deadlines_are_said(dmcjia, promised):
    ended = dmcjia("simulate", "p.toml", "p.json", "--tasks", 20_000)
    assert (ended.code, ended.err) == (0, "")
    assert "; p95 delays in" in ended.out
    assert "95 % interval of the mean p95 delay" in ended.out
    assert "deadlines     2, none clearly missed; the tightest is that of " in ended.out
    assert "worst node" not in ended.out
    head, *_ = (line.split() for line in ended.out.splitlines() if line.startswith(" node "))
    assert head[-2:] == ["mean", "p99"]
    for d, name in enumerate(promised.names):
        (cells,) = (line.split() for line in ended.out.splitlines() if line.startswith(f" {name}"))
        assert cells[1] == f"{promised.delay[d]:.4g}"
        assert cells[5] == ("–" if d == 0 else f"{100 * promised.late[d]:.3g}")
        assert cells[-2:] == [f"{promised.task_mean[d]:.4g}", f"{promised.quantiles[d, 2]:.4g}"]


def test_a_plan_for_the_mean_misses_deadlines_of_a_percentile(dmcjia, promised):
    ended = dmcjia("simulate", "p.toml", "mean.json", "--tasks", 20_000)
    assert "mean.json was made when p.toml said something else" in ended.err
    assert re.search(r"deadlines     [12] of 2 clearly missed; the tightest is that of ", ended.out)
    regular = dmcjia("simulate", "p.toml", "p.json", "--tasks", 1000, "--arrivals", "deterministic")
    assert "none of their tasks is late" in regular.out
    both = dmcjia("simulate", "p.toml", "p.json", "mean.json", "--tasks", 20_000)
    assert re.search("mean.json (is (slower|faster) in the mean p95 delay than|and) p.json", both.out)


def test_the_worst_node_is_simulated_beside_the_models(dmcjia):
    worst = replace(SCENARIO, options=SCENARIO.options.model_copy(update={"objective": "worst"}))
    plan = solve(worst)
    worst.save("w.toml")
    plan.save("w.json")
    ended = dmcjia("simulate", "w.toml", "w.json", "--tasks", 20_000)
    found = simulate(worst, plan, tasks=20_000)
    d, least, most = found.worst()
    said = f"worst node    {found.names[d]}, {seconds(found.delay[d])}; the slowest takes {seconds(least)} to "
    assert f"{said}{seconds(most)}, by the model {seconds(plan.worst_delay)}" in ended.out


def test_plans_are_compared_on_the_same_arrivals(dmcjia):
    ended = dmcjia("simulate", "s.toml", "exact.json", "dmcjia.json", "--tasks", 20_000)
    assert ended.code == 0
    assert "dmcjia.json is slower than exact.json by " in ended.out
    assert "node-0001" not in ended.out
    turned = dmcjia("simulate", "s.toml", "dmcjia.json", "exact.json", "--tasks", 20_000)
    assert "exact.json is faster than dmcjia.json by " in turned.out


def test_plans_that_are_the_same_do_not_differ(dmcjia, tmp_path):
    (tmp_path / "copy.json").write_bytes((tmp_path / "exact.json").read_bytes())
    ended = dmcjia("simulate", "s.toml", "exact.json", "copy.json", "--tasks", 1000)
    assert "copy.json and exact.json do not differ clearly" in ended.out
    fails(dmcjia("simulate", "s.toml", "copy.json", "copy.json"), 2, "copy.json is given twice")


def test_json_on_standard_output_and_in_a_file(dmcjia, tmp_path, plans):
    options = ("--tasks", 1000, "--confidence", 0.99, "--arrivals", "erlang:2", "--uplink", "queue")
    ended = dmcjia("simulate", "s.toml", "exact.json", *options, "--json", "--out", "sim.json")
    printed, written = json.loads(ended.out), json.loads((tmp_path / "sim.json").read_text())
    assert printed == written
    found = simulate(SCENARIO, plans["exact"], tasks=1000, arrivals=build_arrivals("erlang:2"), uplink="queue")
    assert printed["plans"][0]["delay_s"] == found.mean_delay
    assert printed["plans"][0]["mean_s"] == pytest.approx(found.mean_delay, rel=1e-12)
    assert printed["plans"][0]["half_width_s"] == found.mean_half_width(0.99)
    assert printed["settings"]["arrivals"] == "erlang:2"
    ended = dmcjia("simulate", "s.toml", "exact.json", "--tasks", 1000, "--out", "sim.json")
    assert "Simulation written to sim.json" in ended.out


def test_a_trace(dmcjia, tmp_path):
    times = np.cumsum(np.random.default_rng(1).exponential(1.0, 2000))
    (tmp_path / "times.csv").write_text("\n".join(map(str, times)))
    ended = dmcjia("simulate", "s.toml", "exact.json", "--arrivals", "times.csv", "--service-cv", 0.3)
    assert ended.code == 0
    assert "arrivals      times.csv, seed 0" in ended.out
    (tmp_path / "times.csv").write_text("3\n1\n")
    fails(dmcjia("simulate", "s.toml", "exact.json", "--arrivals", "times.csv"), 2, "times.csv: arrival 2, at 1 s")


def test_what_a_trace_and_the_scenario_do_not_share_comes_first(dmcjia, tmp_path):
    times = np.arange(2000) * 5.0
    rows = [f"{t},node-0001" for t in times] + [f"{t},elsewhere" for t in times[:2]] + ["7,node-0002"]
    (tmp_path / "times.csv").write_text("time_s,node\n" + "\n".join(rows))
    options = ("--arrivals", "times.csv", "--uplink", "delay")
    ended = dmcjia("simulate", "s.toml", "exact.json", *options)
    assert ended.code == 0
    warnings = ended.err.splitlines()
    assert warnings == [
        'dmcjia: warning: times.csv has arrivals of nodes that the scenario does not have, left out: "elsewhere"',
        'dmcjia: warning: times.csv has too few arrivals for an interval of "node-0002" (1), "node-0003" (none); the '
        "means are of the other 1 of 3 nodes",
        "dmcjia: warning: times.csv has other arrival rates than the scenario, for which the plan and the model's "
        'delays are: "node-0001" 0.2/s, not 1/s; set arrival_rate to the recorded ones, and solve again',
    ]
    assert "off, at the rates of the scenario" in ended.out
    (quiet,) = [line for line in ended.out.splitlines() if line.startswith(" node-0003")]
    assert quiet.split()[1:] == ["–", "–", *quiet.split()[3:4], *6 * ["–"]]
    several = dmcjia("simulate", "s.toml", "exact.json", "dmcjia.json", *options)
    assert several.err.splitlines() == warnings
    printed = dmcjia("simulate", "s.toml", "exact.json", *options, "--json")
    assert printed.err.splitlines() == warnings
    assert ["dmcjia: warning: " + note for note in json.loads(printed.out)["notes"]] == warnings


def test_options_without_effect_are_named(dmcjia):
    usual = ("simulate", "s.toml", "exact.json", "--tasks", 1000)
    named = dmcjia(*usual, "--service-family", "lognormal", "--seed", 3, "--arrivals", "deterministic")
    assert named.err.splitlines() == [
        "dmcjia: warning: --service-family lognormal has no effect: no service varies; add --service-cv",
        "dmcjia: warning: --seed 3 has no effect: neither arrivals nor services are random; add --service-cv",
    ]
    varied = dmcjia(*usual, "--service-family", "lognormal", "--seed", 3, "--service-cv", 0.5)
    assert varied.err == dmcjia(*usual, "--seed", 3).err == ""


def test_short_runs_are_called_short(dmcjia, tmp_path):
    text = (tmp_path / "s.toml").read_text()
    (tmp_path / "s.toml").write_text(text.replace("arrival_rate = 2.0", "arrival_rate = 2.42"))
    ended = dmcjia("simulate", "s.toml", "exact.json", "--tasks", 3000, "--arrivals", "hyperexponential:30")
    assert ended.code == 0
    assert "exact.json was made when s.toml said something else; it is simulated as it stands" in ended.err
    assert "The run is too short: batches of" in ended.out


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (("--tasks", 10), ["exact.json: 10 tasks are too few"]),
        (("--warm-up", 1.5), ["warm_up must be at least 0 and below 1"]),
        (("--confidence", 95), ["--confidence must lie between 0 and 1, got 95"]),
        (("--arrivals", "often"), ['arrivals "often" are unknown']),
        (("--service-cv", -1), ["coefficient of variation"]),
        (("--out", "none/sim.json"), ["the folder none does not exist"]),
    ],
)
def test_nonsense_is_refused(dmcjia, options, parts):
    fails(dmcjia("simulate", "s.toml", "exact.json", *options), 2, *parts)


def test_what_the_parser_refuses(dmcjia):
    misused(dmcjia("simulate", "s.toml"), "Missing argument")
    misused(dmcjia("simulate", "s.toml", "exact.json", "--uplink", "wire"), "--uplink")
    misused(dmcjia("simulate", "s.toml", "exact.json", "--seed", -1), "--seed")


def test_plans_that_cannot_be_simulated(dmcjia, tmp_path):
    fails(dmcjia("simulate", "s.toml", "none.json"), 2, "none.json: cannot read the plan")
    generate("paper", nodes=2, seed=1).save("two.toml")
    fails(dmcjia("simulate", "two.toml", "exact.json"), 2, "exact.json: the plan has 3 nodes, the scenario 2")
    plan = json.loads((tmp_path / "exact.json").read_text())
    plan["splits"][0], plan["shares"] = 20, [0.0, 0.5, 0.5]
    (tmp_path / "bad.json").write_text(json.dumps(plan))
    fails(dmcjia("simulate", "s.toml", "bad.json"), 3, 'bad.json: the cloud of "node-0001" has work and no share')


def test_the_python_in_the_docs_runs(capsys):
    page = (Path(__file__).parents[2] / "docs" / "simulation.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    exec(compile(code, "simulation.md", "exec"), {})  # noqa: S102 - our own page
    difference, plus_minus, half, unit = capsys.readouterr().out.split()
    assert float(difference) > 3 * float(half) > 0
    assert (plus_minus, unit) == ("±", "s")
