"""What a reply says is not believed; most ways of being wrong are in `test_failures`."""

import math
from dataclasses import replace

import numpy as np
import pytest

from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.solving.contract import Stop
from dmcjia_opt.solving.infeasible import why_no_plan
from dmcjia_opt.solving.solve import solve
from dmcjia_opt.studies.bench.claims import Verifier, trace
from dmcjia_opt.studies.bench.instances import OWN, Instance, instance
from dmcjia_opt.studies.bench.library import find_library
from dmcjia_opt.studies.bench.rows import Outcome
from dmcjia_opt.studies.bench.runs import Reply, Task
from dmcjia_opt.studies.bench.sampling import feasible_plans
from dmcjia_opt.testing.problems import impossible, only_way_out, random_problem

NAME = "homogeneous-n5-s0"
DUAL, OPTIMUM = 1.6198888510376848, 1.6201268956344934


@pytest.fixture(scope="module")
def good():
    plan = solve(generate("homogeneous", nodes=5))
    prices = np.array([plan.price])
    return Reply(options=plan.splits, shares=plan.shares, prices=prices, status="feasible", evaluations=1)


def found(reply, method="genetic + waterfilling", *, gap=None, library=None):
    task = Task(instance(NAME, {}), "placer", method, 0, Stop(gap=gap))
    return Verifier(library or {}).check(task, reply)


def test_what_nobody_claimed_is_computed(good):
    finding = found(good)
    assert finding.outcome == Outcome.ANSWER
    assert finding.objective_s == pytest.approx(OPTIMUM, rel=1e-12)
    assert finding.lower_bound_s == finding.own_bound_s == pytest.approx(DUAL, rel=1e-9)
    assert finding.gap == pytest.approx(1 - DUAL / OPTIMUM, rel=1e-6)
    assert finding.correct is None


def test_the_librarys_bound_is_used_where_it_is_larger(good):
    finding = found(good, library=find_library().best_by_hash)
    assert finding.gap < 1e-12
    assert finding.own_bound_s == pytest.approx(DUAL, rel=1e-9)


def test_the_bound_of_a_search_of_this_package_counts_and_of_others_does_not(good):
    claims = replace(good, lower_bound=1.6201)
    assert found(claims, "benders + waterfilling").own_bound_s == 1.6201
    assert found(claims, "benders + waterfilling").lower_bound_s == 1.6201
    assert found(claims, "scip + waterfilling").own_bound_s == pytest.approx(DUAL, rel=1e-9)
    assert found(claims, "scip + waterfilling").claimed_lower_bound_s == 1.6201
    assert found(claims, "scip + waterfilling").correct is True
    above = replace(good, lower_bound=1.7)
    assert found(above, "benders + waterfilling").lower_bound_s <= OPTIMUM * (1 + 1e-12)
    assert found(above, "benders + waterfilling").correct is False


@pytest.mark.parametrize(("factor", "gap", "correct"), [(1.0, None, True), (1.01, None, False), (1.01, 0.1, True)])
@pytest.mark.parametrize("status", ["optimal", "within"])
def test_a_claim_to_be_optimal(good, status, factor, gap, correct):
    """Shares a little smaller than they could be make the plan worse by about as much."""
    reply = replace(good, shares=good.shares / factor, status=status)
    assert found(reply, gap=gap, library=find_library().best_by_hash).correct is correct


@pytest.mark.parametrize("price", [[math.nan], [math.inf], [-1.0], [0.1, 0.1], None, "much"])
def test_a_price_that_is_none_proves_nothing(good, price):
    finding = found(replace(good, prices=price))
    assert finding.own_bound_s is None
    assert finding.lower_bound_s == pytest.approx(DUAL, rel=1e-9)


def test_an_instance_without_any_plan():
    scenario = replace(generate("homogeneous", nodes=3), cloud_gflops=1e-3)
    scenario = replace(scenario, nodes=replace(scenario.nodes, arrival_rate=np.full(3, 50.0)))
    own = Instance("x", OWN, 3, scenario.sha256(), scenario)
    nothing = Reply(options=np.zeros(3, dtype=int), status="infeasible", lower_bound=math.inf)
    finding = Verifier({}).check(Task(own, "placer", "exact + waterfilling", 0, Stop()), nothing)
    assert (finding.outcome, finding.message) == (Outcome.NO_PLAN, why_no_plan(scenario))
    assert finding.correct is True
    assert (finding.lower_bound_s, finding.own_bound_s, finding.gap) == (None, None, None)


def test_traces_have_numbers_that_json_has():
    reply = Reply(trace=((1, 0.1, math.inf, -math.inf), (2, 0.2, 1.0, math.nan)))
    assert trace(reply) == ((1, 0.1, None, None), (2, 0.2, 1.0, None))


@pytest.mark.parametrize("family", ["paper", "homogeneous", "scarce", "mixed", "near"])
@pytest.mark.parametrize("nodes", [1, 5, 60])
def test_random_plans_have_shares(family, nodes):
    problem = compile_problem(generate(family, nodes=nodes, seed=3))
    plans = feasible_plans(problem, 20, np.random.default_rng(1))
    if plans is None:
        assert family == "scarce"
        assert nodes == 1
        return
    assert plans.shape == (20, nodes)
    assert (problem.overload(plans) == 0).all()
    shares = WaterFilling().allocate(problem, plans).shares
    assert problem.residuals(plans, shares).feasible.all()
    np.testing.assert_array_equal(plans, feasible_plans(problem, 20, np.random.default_rng(1)))
    assert nodes == 1 or len(np.unique(plans, axis=0)) > 10


def test_random_plans_where_there_are_few_or_none():
    assert feasible_plans(only_way_out(), 3, np.random.default_rng(0)).tolist() == [[3, 3, 3]] * 3
    assert feasible_plans(impossible(), 3, np.random.default_rng(0)) is None
    literal = random_problem(np.random.default_rng(4), 6, 5, ordering="cloud-faster")[0]
    assert (literal.overload(feasible_plans(literal, 9, np.random.default_rng(0))) == 0).all()
