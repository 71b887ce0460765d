"""A search that starts from a plan for a fleet like this one: as good a bound, from fewer passes."""

from dataclasses import replace

import numpy as np
import pytest

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.bounds import crowds
from dmcjia_opt.bounds.best import BestPrice
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.solving.contract import Placement, Status, Stop
from dmcjia_opt.solving.plan import load_plan
from dmcjia_opt.solving.solve import solve


def moved(scenario, rng, part=0.1):
    """Return a scenario in which the uplinks of some nodes have changed."""
    up = np.broadcast_to(scenario.nodes.uplink_mbps, (scenario.n_nodes,)).copy()
    few = rng.choice(len(up), max(1, int(part * len(up))), replace=False)
    up[few] *= rng.uniform(0.5, 2.0, len(few))
    return replace(scenario, nodes=replace(scenario.nodes, uplink_mbps=up))


@pytest.mark.parametrize("family", ["paper", "mixed", "near", "scarce", "links", "servers"])
def test_the_bound_is_as_good_and_the_plan_too(family):
    rng, scenario = np.random.default_rng(0), generate(family, nodes=12, seed=1)
    before = solve(scenario)
    for _ in range(4):
        scenario = moved(scenario, rng, 0.3)
        anew, warm = solve(scenario), solve(scenario, start=before)
        assert warm.lower_bound == pytest.approx(anew.lower_bound, rel=1e-6)
        assert warm.objective == pytest.approx(anew.objective, rel=1e-6)
        assert warm.objective >= anew.lower_bound * (1.0 - 1e-12)
        before = warm


def test_prices_that_are_near_save_passes(monkeypatch):
    passes = []

    def counted(groups, *rest):
        groups = list(groups)
        passes.append(sum(group.option.size for group in groups))
        return point_of(groups, *rest)

    point_of = crowds.point_of
    monkeypatch.setattr(crowds, "point_of", counted)
    scenario = generate("paper", nodes=1000, seed=1)
    before = BestPrice(compile_problem(scenario)).point.prices
    problem = compile_problem(moved(scenario, np.random.default_rng(0)))
    passes.clear()
    anew, looked_at = BestPrice(problem).bound, sum(passes)
    passes.clear()
    near, less = BestPrice(problem, before).bound, sum(passes)
    assert near == pytest.approx(anew, rel=1e-13)
    assert less < looked_at / 10  # entries of tables


@pytest.mark.parametrize("factor", [1e-9, 1e-2, 1.0, 1e2, 1e9, np.nan])
def test_no_price_to_start_from_makes_a_bound_worse(factor):
    problem = compile_problem(generate("mixed", nodes=30, seed=2))
    best = BestPrice(problem)
    assert BestPrice(problem, factor * best.point.prices).bound == pytest.approx(best.bound, rel=1e-12)


def test_methods_without_a_proof_evaluate_it_first():
    scenario = generate("paper", nodes=6, seed=1)
    best = solve(scenario)
    again = solve(scenario, "cloud-only", start=best)
    assert again.objective == pytest.approx(best.objective)
    assert solve(scenario, "genetic", start=best, stop=Stop(evaluations=1)).objective == pytest.approx(best.objective)


def test_a_plan_file_will_do(tmp_path):
    scenario = generate("servers", nodes=6, seed=1)
    solve(scenario).save(tmp_path / "plan.json")
    again = solve(scenario, "cloud-only", start=load_plan(tmp_path / "plan.json"))
    assert again.objective == pytest.approx(solve(scenario).objective, rel=1e-6)


@pytest.mark.parametrize("options", [np.zeros(5, dtype=np.int64), np.full(6, 99), np.zeros((2, 6), dtype=np.int64)])
def test_a_plan_for_other_nodes_is_refused(options):
    start = Placement(options, None, status=Status.FEASIBLE)
    with pytest.raises(InputError, match="start: "):
        solve(generate("paper", nodes=6, seed=1), start=start)
