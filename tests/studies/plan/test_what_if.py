"""What more capacity would buy: the same as solving a scenario that has it, and never less than what is proved."""

from dataclasses import replace

import numpy as np
import pytest

from dmcjia_opt.model.networks.measured import MeasuredTimes, Timed
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.solving.contract import Stop
from dmcjia_opt.solving.solve import solve
from dmcjia_opt.studies.plan.subject import subject_of_plan
from dmcjia_opt.studies.plan.what_if import best_shares, delay_cell, saving_cell, what_ifs


def with_more(scenario, what):
    nodes = scenario.nodes
    if what == "cloud":
        return replace(scenario, cloud_gflops=1.1 * scenario.cloud_gflops)
    column = {"bandwidth": "uplink_mbps", "compute": "compute_gflops"}[what]
    return replace(scenario, nodes=replace(nodes, **{column: 1.1 * getattr(nodes, column)}))


@pytest.mark.parametrize("family", ["paper", "scarce", "mixed"])
def test_a_change_is_the_changed_scenario_solved(family):
    scenario = generate(family, nodes=12, seed=3)
    plan = solve(scenario, "greedy+")
    found = what_ifs(subject_of_plan(scenario, plan))
    assert found.unchanged.least.reached == pytest.approx(solve(scenario).objective, rel=1e-9)
    for change, what in zip(found.changes, ("cloud", "bandwidth", "compute"), strict=True):
        assert what in change.name
        changed = with_more(scenario, what)
        assert change.least.closed
        assert change.least.reached == pytest.approx(solve(changed).objective, rel=1e-9)
        assert change.held == pytest.approx(best_shares(compile_problem(changed), plan.splits), rel=1e-9)
        assert change.least.bound <= change.least.reached <= change.held


def test_what_is_measured_gets_faster_too():
    scenario = generate("paper", nodes=4, seed=1)
    profile = scenario.profiles["resnet34"]
    slow = dict(zip(profile.layer_names, np.linspace(1e-3, 2e-2, profile.n_layers).tolist(), strict=True))
    fast = {layer: seconds / 1.1 for layer, seconds in slow.items()}

    def measured(node, cloud):
        times = MeasuredTimes({Timed("board", "resnet34"): node, Timed("rack", "resnet34"): cloud})
        nodes = replace(scenario.nodes, devices=("board",), device_index=np.array([0, 0, -1, -1]))
        return replace(scenario, nodes=nodes, times=times, cloud_device="rack")

    base = measured(slow, slow)
    plan = solve(base)
    cloud, _, compute = what_ifs(subject_of_plan(base, plan)).changes
    assert cloud.least.reached == pytest.approx(solve(measured(slow, fast)).objective, rel=1e-9)
    assert compute.least.reached == pytest.approx(solve(with_more(measured(fast, slow), "compute")).objective, rel=1e-9)


def test_the_price_bounds_what_more_cloud_can_buy():
    for seed in range(5):
        scenario = generate("scarce", nodes=8, seed=seed)
        subject = subject_of_plan(scenario, solve(scenario))
        cloud = what_ifs(subject).changes[0]
        saved = subject.objective - cloud.least.bound
        assert 0 < saved <= 0.1 * subject.price + subject.objective - subject.lower_bound + 1e-12


def test_an_optimal_plan_is_not_searched_for_again():
    scenario = generate("paper", nodes=5, seed=1)
    assert what_ifs(subject_of_plan(scenario, solve(scenario))).unchanged is None


def test_a_search_cut_short_leaves_an_interval_around_the_truth():
    scenario = generate("near", nodes=20, seed=1)
    subject = subject_of_plan(scenario, solve(scenario, "neurosurgeon", stop=Stop(seconds=1)))
    short, whole = what_ifs(subject, 0.0), what_ifs(subject, 20.0)
    for cut, full in zip((short.unchanged, *short.changes), (whole.unchanged, *whole.changes), strict=True):
        assert cut.least.bound <= full.least.reached * (1 + 1e-9)
        assert full.least.bound <= cut.least.reached
    least = short.unchanged.least
    assert not least.closed
    assert "at most" in saving_cell(subject.objective, least.bound, least.reached).text
    assert " to " in delay_cell(least.bound, least.reached).text


def test_a_search_cut_short_is_never_worse_than_the_splits_held():
    scenario = generate("near", nodes=20, seed=1)
    subject = subject_of_plan(scenario, solve(scenario))
    for change in what_ifs(subject, 0.0).changes:
        assert change.least.bound <= change.least.reached <= change.held


def test_savings_in_words():
    assert saving_cell(1.0, 0.9, 0.9).text == "100 ms (10.00 %)"
    assert saving_cell(1.0, 0.8, 0.9).text == "at least 100 ms (10.00 %), at most 200 ms (20.00 %)"
    assert saving_cell(1.0, 0.8, 0.800001).text == "200 ms (20.00 %)"
    assert saving_cell(1.0, 0.8, 1.0).text == "at most 200 ms (20.00 %)"
    assert saving_cell(1.0, 1.0, 1.0).text == "nothing"
    assert saving_cell(1.0, 1.25, 1.25).text == "slower by 250 ms (25.00 %)"
    assert saving_cell(1.0, np.inf, np.inf).text == "–"
    assert delay_cell(np.inf, np.inf).text == "no plan"


def test_splits_that_overload_the_cloud_have_no_shares():
    problem = compile_problem(generate("scarce", nodes=8, seed=1, cloud_gflops=0.1))
    assert best_shares(problem, np.zeros(8, dtype=np.int64)) == np.inf
