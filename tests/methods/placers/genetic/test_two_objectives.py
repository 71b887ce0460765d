import itertools

import numpy as np
import pytest
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.operators.sampling.rnd import IntegerRandomSampling
from pymoo.optimize import minimize

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.bounds.certificate import certify
from dmcjia_opt.methods.allocators.cvxpy_ import CvxpyAllocator
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.methods.placers.genetic.two_objectives import TwoObjectiveProblem, trade_offs, verified
from dmcjia_opt.model.queues import MD1, OVERLAP
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.testing.doubles import Failing
from dmcjia_opt.testing.problems import (
    all_plans,
    brute_force,
    impossible,
    only_way_out,
    random_problem,
    random_shared_problem,
)


@pytest.fixture(scope="module")
def paper():
    return compile_problem(generate("paper", nodes=10, seed=1))


@pytest.fixture(scope="module")
def front(paper):
    return trade_offs(paper, population=40, generations=40, seed=3)


def test_the_front_holds_trade_offs_only(front):
    assert len(front) >= 10
    for better, worse in itertools.pairwise(front):
        assert better.mean < worse.mean
        assert better.worst > worse.worst


def test_the_first_objectives_end_is_the_proved_optimum(paper, front):
    certificate = certify(paper, front[0].options, front[0].shares)
    assert certificate.feasible
    assert certificate.gap < 1e-3


def test_every_point_is_what_our_evaluator_says(paper, front):
    for plan in front:
        assert paper.residuals(plan.options, plan.shares).feasible
        assert plan.mean == paper.objective(plan.options, plan.shares)
        assert plan.worst == paper.breakdown(plan.options, plan.shares).total.max()
        best = WaterFilling().allocate(paper, plan.options[None]).shares[0]
        np.testing.assert_array_equal(plan.shares, best)


def test_the_seed_decides(paper, front):
    again = trade_offs(paper, population=40, generations=40, seed=3)
    assert [p.mean for p in again] == [p.mean for p in front]
    np.testing.assert_array_equal([p.shares for p in again], [p.shares for p in front])
    other = trade_offs(paper, population=40, generations=40, seed=4)
    assert [p.mean for p in other] != [p.mean for p in front]


def test_from_the_dual_the_front_begins_where_a_random_start_does_not_reach(paper, front):
    random = trade_offs(paper, population=40, generations=10, seed=3, start_from_dual=False)
    assert random[0].mean > 1.01 * front[0].mean


def test_the_whole_front_of_a_small_problem():
    problem, _ = random_problem(np.random.default_rng(3), 4, 5)
    exact = verified(TwoObjectiveProblem(problem), all_plans(problem))
    assert exact[0].mean == brute_force(problem)[0]
    found = trade_offs(problem, population=60, generations=30)
    assert [(p.mean, p.worst) for p in found] == [(p.mean, p.worst) for p in exact]
    assert len(exact) > 2


def test_plans_of_several_resources_have_a_share_for_each_use():
    problem, _ = random_shared_problem(np.random.default_rng(2), 3, 4, 3, 2, curves=(OVERLAP, MD1))
    front = verified(TwoObjectiveProblem(problem), all_plans(problem))
    assert front[0].mean == brute_force(problem)[0]
    for plan in front:
        assert plan.shares.shape == (3, 2)
        assert plan.mean == problem.objective(plan.options, plan.shares)


def test_pymoo_alone(paper):
    seen = TwoObjectiveProblem(paper, WaterFilling())
    assert (seen.n_var, seen.n_obj, seen.n_ieq_constr) == (10, 2, 1)
    result = minimize(seen, NSGA2(pop_size=20, sampling=IntegerRandomSampling()), ("n_gen", 8), seed=1)
    front = verified(seen, result.X)
    assert {p.mean for p in front} <= set(result.F[:, 0])
    assert {p.worst for p in front} <= set(result.F[:, 1])


def test_infeasible_plans_have_finite_values_and_say_by_how_much():
    problem = only_way_out()
    seen = TwoObjectiveProblem(problem)
    plans = all_plans(problem)
    out = seen.evaluate(plans, return_as_dictionary=True)
    feasible = problem.overload(plans) == 0
    assert out["F"].shape == (64, 2)
    assert np.isfinite(out["F"]).all()
    assert out["F"][~feasible].min() > 100 * out["F"][feasible].max()
    np.testing.assert_array_equal(out["G"][:, 0] > 0, ~feasible)
    assert [p.options.tolist() for p in verified(seen, plans)] == [[3, 3, 3]]


def test_where_no_plan_is_found_the_front_is_empty():
    assert trade_offs(impossible(), population=4, generations=2) == ()
    problem, _ = random_problem(np.random.default_rng(1), 3, 4)
    assert trade_offs(problem, Failing(), population=4, generations=2) == ()


def test_another_allocator_gives_the_same_delays(paper, front):
    options = np.stack([plan.options for plan in front[:3]])
    _, values = TwoObjectiveProblem(paper, CvxpyAllocator()).delays(options)
    np.testing.assert_allclose(values[:, 0], [p.mean for p in front[:3]], rtol=1e-9)
    np.testing.assert_allclose(values[:, 1], [p.worst for p in front[:3]], rtol=1e-4)


def test_nonsense_is_refused(paper):
    for options in ({"population": 1}, {"generations": 0}):
        with pytest.raises(InputError, match="population of at least 2"):
            trade_offs(paper, **options)
    single, _ = random_problem(np.random.default_rng(0), 3, 1)
    with pytest.raises(InputError, match="two options"):
        TwoObjectiveProblem(single)
