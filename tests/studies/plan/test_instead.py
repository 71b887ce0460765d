from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.model.scenario.scenario import Options
from dmcjia_opt.solving.contract import Placement
from dmcjia_opt.solving.solve import solve
from dmcjia_opt.studies.look.words import seconds
from dmcjia_opt.studies.plan.instead import in_words, instead, one_queue, pooled_scenario, simulated
from dmcjia_opt.testing.problems import all_plans

PAPER = generate("paper", nodes=10, seed=1)


def planned(scenario):
    plan, problem = solve(scenario), compile_problem(scenario)
    return plan, problem, instead(problem, plan.options, plan.shares_by_use)


def test_one_queue_for_the_fleet_of_the_paper():
    plan, _, found = planned(PAPER)
    queue = compile_problem(pooled_scenario(PAPER))
    nothing = np.zeros_like(plan.shares_by_use)
    assert found.same == pytest.approx(float(queue.objective(plan.options, nothing)), rel=1e-12)
    assert found.anew == pytest.approx(float(queue.objective(found.options, nothing)), rel=1e-12)
    assert found.anew == pytest.approx(solve(pooled_scenario(PAPER)).objective, rel=1e-9)
    assert found.anew <= found.same < plan.objective


def test_no_node_alone_can_make_the_queue_faster():
    scenario = generate("hosts", nodes=6, seed=2)
    _, problem, found = planned(scenario)
    queue = one_queue(problem)
    nothing = np.zeros((problem.n_nodes, problem.n_uses))
    for d in range(problem.n_nodes):
        for option in range(problem.last[d] + 1):
            other = found.options.copy()
            other[d] = option
            assert queue.objective(other, nothing) >= found.anew * (1 - 1e-9)


def test_it_is_the_least_of_all_plans_of_a_small_fleet():
    scenario = replace(generate("paper", nodes=2, seed=3), cloud_gflops=100.0)
    _, problem, found = planned(scenario)
    plans = all_plans(problem)
    least = one_queue(problem).objective(plans, np.zeros((*plans.shape, 1))).min()
    assert found.anew == pytest.approx(least, rel=1e-12)


@pytest.mark.parametrize(
    "scenario",
    [
        replace(PAPER, cloud_sharing="ps"),
        replace(PAPER, options=Options(objective="worst")),
        replace(PAPER, options=Options(delay="tandem", statistic="p95")),
        replace(PAPER, nodes=replace(PAPER.nodes, deadline_ms=np.array(9000.0))),
        generate("paper", nodes=1, seed=1),
    ],
    ids=["pooled", "worst", "percentile", "deadline", "alone"],
)
def test_where_it_is_no_question_nothing_is_said(scenario):
    plan, problem, found = planned(scenario)
    assert found is None
    assert not in_words(scenario, problem, Placement(plan.options, plan.shares_by_use), plan.objective)


def test_bursts_leave_reserved_shares_alone_and_lengthen_the_queue():
    plan, problem, found = planned(PAPER)
    placement = Placement(plan.options, plan.shares_by_use)
    reserved, same, anew = simulated(PAPER, problem, placement, plan.objective, found, tasks=20_000)
    assert reserved.quiet == reserved.beside_burst
    assert anew.beside_burst > anew.quiet * 1.005
    for row in (reserved, same, anew):
        assert row.mean == pytest.approx(row.model, rel=0.03)
    words = in_words(PAPER, problem, placement, plan.objective)
    assert words.startswith("One queue for all instead of reserved shares: ")
    assert "What reserving protects from: should " in words


def test_a_node_that_hardly_ever_sends_is_not_waited_for():
    rate = np.where(np.arange(10) == 3, 1e-6, PAPER.nodes.arrival_rate)
    scenario = replace(PAPER, nodes=replace(PAPER.nodes, arrival_rate=rate))
    plan, problem, found = planned(scenario)
    placement = Placement(plan.options, plan.shares_by_use)
    assert simulated(scenario, problem, placement, plan.objective, found, tasks=1000) is None
    assert in_words(scenario, problem, placement, plan.objective).endswith(f"against {seconds(plan.objective)}.")
