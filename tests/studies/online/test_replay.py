"""Policies over traces: none is faster than what is proved, and what they take is what tasks meet."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dmcjia_opt.base.errors import InfeasibleError, InputError
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.model.scenario.scenario import Options
from dmcjia_opt.solving.contract import Placement
from dmcjia_opt.solving.solve import solve
from dmcjia_opt.studies.online.conditions import Conditions, links_of
from dmcjia_opt.studies.online.planner import Planner
from dmcjia_opt.studies.online.policies import Now, build_forecast, build_policy, last, smoothed
from dmcjia_opt.studies.online.replay import Switching, replay
from dmcjia_opt.studies.online.telling import lead, spell
from dmcjia_opt.studies.online.traces import LinkTrace, load_links
from dmcjia_opt.studies.simulation.fleet import simulate

RECORDED = Path(__file__).resolve().parents[3].parent / "shared" / "traces"
recorded = pytest.mark.skipif(not RECORDED.exists(), reason="the recorded traces are not part of the package")
ALL = ("static", "static:harmonic", "static:0.1", "robust", "robust:0.5", "periodic:5", "change:0.3", "oracle")


def stepped(scenario, steps, seconds, seed=0):
    """Return a trace in which every node's uplink is at another speed in each step."""
    n = scenario.n_nodes
    factor = np.random.default_rng(seed).choice([0.25, 0.5, 1.0, 2.0], (steps, n))
    base = np.broadcast_to(scenario.nodes.uplink_mbps, n)
    return LinkTrace(seconds * np.arange(steps), steps * seconds, scenario.nodes.names, factor * base)


@pytest.fixture(scope="module")
def small():
    scenario = generate("mixed", nodes=8, seed=1)
    return replay(scenario, links_of("markov:60", scenario, 1), ALL)


def test_no_policy_is_below_the_bound_of_any_step(small):
    spans = small.trace.spans
    for run in small.runs:
        assert (run.delay >= small.bound * (1.0 - 1e-12)).all()
        assert run.mean_delay(spans) >= small.lower_bound
        assert small.regret(run) >= -1e-12


def test_the_oracle_meets_the_bound_and_every_bound_is_that_of_its_step(small):
    run = small.runs[-1]
    assert run.delay == pytest.approx(small.bound, rel=1e-9)
    conditions = Conditions(small.scenario, small.trace)
    for k in (0, 17, 59):
        assert small.bound[k] == pytest.approx(solve(conditions.at(small.trace.values[k])).lower_bound, rel=1e-9)


def test_what_changes_is_counted(small):
    runs = {run.policy: run for run in small.runs}
    assert runs["static"].planned.sum() == 1
    assert not runs["static"].switched.any()
    assert runs["periodic:5"].planned.sum() == 12
    assert runs["oracle"].planned.all()
    moved = (np.diff(runs["oracle"].options, axis=0) != 0).sum(axis=1)
    assert runs["oracle"].switched[1:].tolist() == moved.tolist()


def test_one_plan_for_all_speeds_is_the_best_of_those_that_stay():
    scenario = generate("paper", nodes=4, seed=1)
    trace = stepped(scenario, 12, 1.0)
    found = replay(scenario, trace, ("robust", "static", "static:harmonic", "static:0.2", "static:0.8"))
    mean = [run.mean_delay(trace.spans) for run in found.runs]
    assert mean[0] <= min(mean) * (1.0 + 1e-9)
    planned = Planner(Conditions(scenario, trace)).for_all(trace.values, trace.spans)
    assert planned.lower_bound == pytest.approx(mean[0], rel=1e-9)  # its own certificate
    queue = replace(scenario, options=Options(delay="tandem", uplink="queue"))
    with pytest.raises(InputError, match="only nodes' own uplinks change"):
        replay(queue, trace, ("robust",))


def test_processes_change_nothing():
    scenario = generate("paper", nodes=3, seed=2)
    trace = stepped(scenario, 70, 1.0)
    one, two = (replay(scenario, trace, ("oracle", "change:0.5"), jobs=jobs) for jobs in (1, 2))
    for a, b in zip(one.runs, two.runs, strict=True):
        assert (a.options == b.options).all()
        assert (a.shares == b.shares).all()
    assert (one.bound == two.bound).all()


def test_switching_costs_what_tasks_wait():
    scenario = generate("paper", nodes=3, seed=1)
    trace = stepped(scenario, 20, 10.0)
    free, dear = (replay(scenario, trace, ("oracle",), switching=Switching(s)) for s in (0.0, 2.0))
    switched = free.runs[0].switched.sum()
    assert switched > 0
    more = dear.runs[0].mean_delay(trace.spans) - free.runs[0].mean_delay(trace.spans)
    assert more == pytest.approx(switched / 3 * 0.5 * 2.0**2 / trace.end)


def test_weights_are_loaded_where_memory_holds_one_option():
    scenario = generate("paper", nodes=3, seed=1)
    trace = stepped(scenario, 20, 10.0)
    found = replay(scenario, trace, ("oracle",), switching=Switching(0.0, load_mbps=100.0)).runs[0]
    profile = scenario.profiles[scenario.nodes.networks[0]]
    expected = 0.0
    for before, after in zip(found.options[:-1], found.options[1:], strict=True):
        for cut in after[before != after]:
            expected += 0.5 / 3 * (8e-6 * profile.weight_bytes[:cut].sum() / 100.0) ** 2
    assert found.paid.sum() == pytest.approx(expected)


@recorded
def test_a_bus_in_town():
    scenario = generate("mixed", nodes=20, seed=1)
    trace = load_links(RECORDED / "bus62_2.csv").every(8.0)
    found = replay(scenario, trace, ("static", "change:0.3", "oracle"))
    static, change, oracle = (run.mean_delay(trace.spans) for run in found.runs)
    assert oracle < change < static
    assert (static - change) / (static - oracle) > 0.7
    assert "of what lies between static" in lead(found)


@recorded
@pytest.mark.slow
def test_recorded_traces_second_by_second():
    scenario = generate("mixed", nodes=20, seed=1)
    for name in ("bus62_2", "QTrain"):
        trace = load_links(RECORDED / f"{name}.csv")
        found = replay(scenario, trace, ALL)
        mean = {run.policy: run.mean_delay(trace.spans) for run in found.runs}
        assert min(mean, key=mean.__getitem__) == "oracle"
        for run in found.runs:
            assert (run.delay >= found.bound * (1.0 - 1e-12)).all()
        assert (mean["static"] - mean["change:0.3"]) / (mean["static"] - mean["oracle"]) >= 0.8


@pytest.mark.parametrize("policy", ["static", "change:0.3", "oracle"])
def test_tasks_meet_the_delays_of_the_replay(policy):
    scenario = generate("paper", nodes=4, seed=3)
    trace = stepped(scenario, 30, 60.0)
    run = replay(scenario, trace, (policy,)).runs[0]
    plans = [Placement(*pair) for pair in zip(run.options, run.shares, strict=True)]
    later = list(zip(trace.times[run.planned][1:].tolist(), plans[1:], strict=True))
    found = simulate(scenario, plans[0], links=trace, later=later, tasks=60_000, seed=1)
    assert found.mean_model == pytest.approx(run.mean_delay(trace.spans), rel=1e-9)
    assert abs(found.mean_delay - found.mean_model) <= found.mean_half_width(0.99)


def test_forecasts():
    seen = np.array([[1.0], [3.0]])
    assert last(seen).tolist() == [3.0]
    assert smoothed(0.5)(seen) == pytest.approx((0.5 * 1.0 + 3.0) / 1.5)
    assert build_forecast("smooth:1")(seen).tolist() == [3.0]
    scenario = generate("paper", nodes=3, seed=1)
    trace = stepped(scenario, 6, 1.0)
    with pytest.raises(InputError, match="the forecast must be 3 speeds > 0"):
        replay(scenario, trace, ("periodic:1",), forecast=lambda seen: seen[-1, :1])
    ahead = replay(scenario, trace, ("periodic:1",), forecast=lambda seen: trace.values[len(seen) % 6])
    assert ahead.runs[0].delay[1:] == pytest.approx(ahead.bound[1:], rel=1e-9)


def test_a_policy_of_ones_own():
    class Once:
        name = "in the third step"

        def plan(self, now: Now):
            return now.planner.at(now.forecast) if now.step in (0, 3) else None

    scenario = generate("paper", nodes=3, seed=1)
    run = replay(scenario, stepped(scenario, 6, 1.0), (Once(),)).runs[0]
    assert (run.policy, np.flatnonzero(run.planned).tolist()) == ("in the third step", [0, 3])


@pytest.mark.parametrize(
    "name", ["", "statik", "static:2", "static:x", "periodic", "periodic:0", "change:-1", "oracle:3", "robust:0"]
)
def test_policies_that_are_none(name):
    with pytest.raises(InputError, match="policy"):
        build_policy(name)


@pytest.mark.parametrize("name", ["first", "smooth", "smooth:0", "smooth:2", "smooth:x"])
def test_forecasts_that_are_none(name):
    with pytest.raises(InputError, match="forecast"):
        build_forecast(name)


def test_costs_that_cannot_be():
    for seconds, load in ((-1.0, 1.0), (np.nan, 1.0), (0.0, 0.0), (0.0, np.nan)):
        with pytest.raises(InputError):
            Switching(seconds, load)


def test_a_fleet_without_a_plan_says_so():
    scenario = replace(generate("paper", nodes=3, seed=1), cloud_gflops=1e-6)
    slow = replace(scenario, nodes=replace(scenario.nodes, compute_gflops=np.full(3, 0.1)))
    with pytest.raises(InfeasibleError, match="static: there is no plan"):
        replay(slow, stepped(slow, 3, 1.0), ("static",))


def test_what_is_written(small, tmp_path):
    small.save(tmp_path / "r.json")
    small.to_csv(tmp_path / "s.csv")
    small.save_page(tmp_path / "p.html")
    found = json.loads((tmp_path / "r.json").read_text())
    assert [row["policy"] for row in found["policies"]] == list(ALL)
    assert found["policies"][-1]["regret"] == pytest.approx(0.0, abs=1e-9)
    rows = (tmp_path / "s.csv").read_text().splitlines()
    assert len(rows) == 61
    assert rows[0].startswith("time_s,lower_bound_s,static (s)")
    page = (tmp_path / "p.html").read_text()
    assert "Over time" in page
    assert all(name in page for name in ALL)


def test_lengths_of_time():
    assert [spell(s) for s in (30.0, 300.0, 7200.0)] == ["30 s", "5 min", "2 h"]
