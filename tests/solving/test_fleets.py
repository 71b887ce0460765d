"""Plans of large fleets, from their columns and prices alone."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from dmcjia_opt import compile_problem, generate, solve
from dmcjia_opt.base.errors import BackendMissing, InfeasibleError, InputError
from dmcjia_opt.bounds.certificate import certify, lower_bound
from dmcjia_opt.model.scenario.scenario import Options
from dmcjia_opt.solving import fleets
from dmcjia_opt.solving.contract import Status, Stop
from dmcjia_opt.solving.plan import load_plan
from dmcjia_opt.solving.verifying import verify


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(fleets, "LARGE", 1)


@pytest.fixture
def untabled(monkeypatch):
    monkeypatch.setattr(fleets, "LARGE", 1)
    monkeypatch.setattr(fleets, "MOST_TABLES", 1)


@pytest.mark.parametrize("family", ["fleet", "homogeneous", "near", "mixed", "scarce"])
def test_a_plan_from_columns_is_as_good_as_one_from_tables(untabled, family):
    scenario = generate(family, nodes=4000, seed=1)
    plan = solve(scenario)
    problem = compile_problem(scenario)
    judged = certify(problem, plan.options, plan.shares_by_use)
    assert judged.feasible
    assert judged.objective == pytest.approx(plan.objective, rel=1e-13)
    assert plan.lower_bound <= judged.lower_bound * (1 + 1e-12)
    assert plan.lower_bound == pytest.approx(lower_bound(problem, plan.prices), rel=1e-12)
    assert plan.gap < 2e-7


def test_what_prices_leave_open_is_closed_by_a_search(small):
    scenario = generate("paper", nodes=30, seed=1)
    plan = solve(scenario)
    assert plan.status == Status.OPTIMAL
    assert plan.objective == pytest.approx(solve(scenario, "branch-and-bound").objective, rel=1e-9)


@pytest.mark.parametrize(("family", "further", "gap"), [("links", {"links": 6}, 5e-4), ("servers", {}, 0.2)])
def test_several_resources_from_columns(untabled, family, further, gap):
    scenario = generate(family, nodes=120, seed=1, **further)
    plan = solve(scenario)
    problem = compile_problem(scenario)
    judged = certify(problem, plan.options, plan.shares_by_use)
    assert judged.feasible
    assert plan.lower_bound == pytest.approx(lower_bound(problem, plan.prices), rel=1e-12)
    assert plan.gap < gap  # the fewer nodes a resource has, the farther prices are from a plan


def test_jax_plans_what_numpy_does():
    for family in ("paper", "scarce"):
        scenario = generate(family, nodes=40, seed=4)
        ours, jax = solve(scenario), solve(scenario, "exact:backend=jax")
        assert jax.status == ours.status == Status.OPTIMAL
        assert jax.objective == pytest.approx(ours.objective, rel=1e-9)
        assert jax.lower_bound == pytest.approx(ours.lower_bound, rel=1e-9)


def test_jax_refuses_what_has_no_prices(monkeypatch):
    scenario = generate("paper", nodes=5, seed=1)
    with pytest.raises(InputError, match="the worst node counts"):
        solve(replace(scenario, options=Options(objective="worst")), "exact:backend=jax")
    with pytest.raises(InputError, match="something is pooled"):
        solve(replace(scenario, cloud_sharing="fifo"), "exact:backend=jax")
    with pytest.raises(InputError, match="waterfilling"):
        solve(scenario, "exact:backend=jax", "alm")
    with pytest.raises(InputError, match="this is a problem"):
        solve(compile_problem(scenario), "exact:backend=jax")
    monkeypatch.setitem(sys.modules, "jax", None)
    monkeypatch.setattr(fleets, "find_spec", lambda name: None)
    with pytest.raises(BackendMissing, match="jax"):
        solve(scenario, "exact:backend=jax")


def test_a_budget_keeps_plan_and_bound(untabled):
    scenario = generate("fleet", nodes=4000, seed=1)
    whole = solve(scenario)
    spent = solve(scenario, stop=Stop(seconds=0.0))
    assert spent.status == Status.LIMIT
    assert whole.objective < spent.objective < 1.2 * whole.objective
    assert spent.lower_bound < whole.lower_bound
    near = solve(scenario, stop=Stop(gap=0.01))
    assert near.status == Status.WITHIN
    assert near.evaluations < whole.evaluations


def test_an_interrupt_keeps_plan_and_bound(untabled, monkeypatch):
    scenario = generate("fleet", nodes=4000, seed=1)
    met = []

    def interrupted(point):
        met.append(point)
        if len(met) == 4:
            raise KeyboardInterrupt

    plan = solve(scenario, callback=interrupted)
    assert plan.status == Status.LIMIT
    assert plan.lower_bound == pytest.approx(met[-1].lower_bound)
    with pytest.raises(KeyboardInterrupt):
        solve(scenario, callback=lambda point: (_ for _ in ()).throw(KeyboardInterrupt))


def test_a_fleet_too_small_for_its_cloud_is_told_why(small):
    scenario = replace(generate("scarce", nodes=200, seed=1), cloud_gflops=1e-3)
    with pytest.raises(InfeasibleError, match="no plan exists"):
        solve(scenario)


def test_a_plan_file_is_verified(untabled, tmp_path):
    scenario = generate("mixed", nodes=500, seed=2)
    solve(scenario).save(tmp_path / "plan.json")
    claims = load_plan(tmp_path / "plan.json")
    assert all(check.true for check in verify(scenario, claims) if check.what != "status")
    assert np.isclose(sum(claims.shares), 1.0)
