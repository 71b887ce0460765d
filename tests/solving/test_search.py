import math
from itertools import pairwise

import numpy as np
import pytest

from dmcjia_opt.base.errors import BackendFailed
from dmcjia_opt.bounds.certificate import best_lower_bound
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.solving import search as module
from dmcjia_opt.solving.contract import Allocation, Status, Stop
from dmcjia_opt.solving.search import BudgetSpent, Evaluation
from dmcjia_opt.testing.doubles import Counting, Even, Failing
from dmcjia_opt.testing.problems import all_plans, brute_force, impossible, only_way_out, random_problem


@pytest.fixture
def problem():
    return random_problem(np.random.default_rng(5), 4, 4)[0]


def test_values_are_the_problems_own(problem):
    plans = all_plans(problem)
    allocation = WaterFilling().allocate(problem, plans)
    expected = np.where(problem.overload(plans) == 0, problem.objective(plans, allocation.shares), np.inf)
    got = Evaluation(problem, WaterFilling(), None)(plans)
    np.testing.assert_array_equal(got, expected)
    assert np.isinf(got).any()
    assert np.isfinite(got).any()


def test_the_incumbent_is_the_best_plan(problem):
    best, splits, shares = brute_force(problem)
    evaluation = Evaluation(problem, WaterFilling(), Stop())
    evaluation.solve_in_budget(all_plans(problem))
    got = evaluation.placement(Status.LIMIT)
    assert evaluation.objective == best
    np.testing.assert_array_equal(got.splits, splits)
    np.testing.assert_array_equal(got.shares, shares)
    assert got.price == WaterFilling().allocate(problem, splits[None]).price[0]
    assert got.lower_bound == best_lower_bound(problem)[0] <= best
    assert got.status == Status.LIMIT
    assert got.evaluations == 4**4


def test_a_given_lower_bound_is_kept(problem):
    assert Evaluation(problem, WaterFilling(), Stop(), lower_bound=0.25).lower_bound == 0.25


def test_a_plan_is_solved_once_however_often_it_is_asked_for(problem):
    counting = Counting()
    evaluation = Evaluation(problem, counting, Stop())
    plans = all_plans(problem)[:20]
    batch = np.concatenate([plans, plans[::-1], plans])
    first = evaluation(batch)
    again = evaluation(plans[:7])
    np.testing.assert_array_equal(first[:20], first[20:40][::-1])
    np.testing.assert_array_equal(again, first[:7])
    assert len(counting.plans) == len(set(counting.plans))
    assert evaluation.evaluations == 20


def test_equal_plans_of_another_type_are_the_same_plan(problem):
    evaluation = Evaluation(problem, counting := Counting(), Stop())
    plan = brute_force(problem)[1][None]
    evaluation(plan)
    evaluation(plan.astype(np.int32))
    evaluation(np.asfortranarray(np.repeat(plan, 3, axis=0)))
    assert len(counting.plans) == evaluation.evaluations == 1


def test_overloaded_plans_never_reach_the_allocator():
    problem = only_way_out()
    evaluation = Evaluation(problem, counting := Counting(), Stop())
    values, prices = evaluation.solve_in_budget(all_plans(problem))
    assert counting.plans == [(3, 3, 3)]
    assert np.isfinite(values).sum() == 1
    assert np.isnan(prices).sum() == 63
    assert evaluation.evaluations == 64


@pytest.mark.parametrize("budget", [1, 2, 19, 20])
def test_the_budget_of_evaluations_is_kept_exactly(problem, budget):
    counting = Counting()
    evaluation = Evaluation(problem, counting, Stop(evaluations=budget))
    with pytest.raises(BudgetSpent):
        evaluation(all_plans(problem)[:20])
    assert evaluation.evaluations == budget
    assert len(counting.plans) <= budget
    with pytest.raises(BudgetSpent):
        evaluation(all_plans(problem)[20:21])
    assert evaluation.evaluations == budget


def test_a_time_limit_is_kept_within_a_batch(clock):
    problem, _ = random_problem(np.random.default_rng(0), 4, 8)
    plans = all_plans(problem)
    evaluation = Evaluation(problem, Counting(seconds_a_plan=0.005), Stop(seconds=0.1))
    with pytest.raises(BudgetSpent):
        evaluation.solve_in_budget(plans)
    assert evaluation.seconds == pytest.approx(0.1, abs=0.02)
    assert 0 < evaluation.evaluations < len(plans)


def test_plans_that_cost_nothing_do_not_make_the_next_ones_late(clock):
    """A batch starts with overloaded plans, which are free; then each of the others takes 10 ms."""
    problem, fine = random_problem(np.random.default_rng(0), 4, 4)
    plans = all_plans(problem)
    overloaded = plans[problem.overload(plans) > 0]
    batch = np.concatenate([overloaded, np.repeat(fine[None], 2000, axis=0)])
    evaluation = Evaluation(problem, Counting(seconds_a_plan=0.01), Stop(seconds=0.1))
    with pytest.raises(BudgetSpent):
        evaluation.solve_in_budget(batch)
    assert evaluation.seconds == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("seconds", [0.0, 1e-9])
def test_however_short_the_time_one_plan_is_evaluated(problem, seconds):
    evaluation = Evaluation(problem, counting := Counting(), Stop(seconds=seconds))
    best = brute_force(problem)[1]
    with pytest.raises(BudgetSpent):
        evaluation(np.concatenate([best[None], all_plans(problem)]))
    assert counting.plans == [tuple(best)]
    assert evaluation.placement(Status.LIMIT).shares is not None


def test_a_reached_gap_ends_the_search_as_optimal(problem):
    best, splits, _ = brute_force(problem)
    gap = 1.0 - best_lower_bound(problem)[0] / best
    evaluation = Evaluation(problem, WaterFilling(), Stop(gap=gap + 1e-12))
    with pytest.raises(BudgetSpent):
        evaluation(splits[None])
    assert evaluation.placement(Status.LIMIT).status == Status.OPTIMAL


def test_a_searched_space_ends_the_search():
    problem, _ = random_problem(np.random.default_rng(1), 3, 3)
    plans = all_plans(problem)
    evaluation = Evaluation(problem, WaterFilling(), Stop())
    evaluation(plans[:-1])
    with pytest.raises(BudgetSpent):
        evaluation(plans[-1:])
    assert evaluation.evaluations == 27


@pytest.mark.parametrize("n_splits", [3, 5, 6, 7, 11, 35])
def test_the_size_of_the_space_is_exact(n_splits):
    for n_nodes in (1, 2, 3, 5, 7):
        problem, _ = random_problem(np.random.default_rng(1), n_nodes, n_splits)
        assert Evaluation(problem, WaterFilling(), Stop(), lower_bound=0.0)._space == n_splits**n_nodes


def test_a_stalled_search_ends(problem, monkeypatch):
    monkeypatch.setattr(module, "STALLED_AFTER", 10)
    evaluation = Evaluation(problem, WaterFilling(), Stop())
    plans = all_plans(problem)
    evaluation(plans[:5])
    evaluation(plans[:5])
    evaluation(plans[5:6])
    evaluation(plans[:9])
    evaluation(plans[:9])
    with pytest.raises(BudgetSpent):
        evaluation(np.repeat(plans[:1], 10, axis=0))


def test_without_a_budget_nothing_ends_the_search(monkeypatch):
    monkeypatch.setattr(module, "STALLED_AFTER", 1)
    for problem in (only_way_out(), impossible()):
        evaluation = Evaluation(problem, WaterFilling(), None)
        for _ in range(3):
            assert len(evaluation(all_plans(problem))) == 64
    assert np.isinf(evaluation(all_plans(problem))).all()


def test_an_impossible_problem_ends_before_the_first_plan():
    evaluation = Evaluation(impossible(), counting := Counting(), Stop())
    with pytest.raises(BudgetSpent):
        evaluation(all_plans(impossible()))
    got = evaluation.placement(Status.FEASIBLE)
    assert got.status == Status.INFEASIBLE
    assert got.lower_bound == math.inf
    assert got.shares is None
    assert got.evaluations == 0
    assert counting.plans == []


def test_failed_plans_are_worth_nothing(problem):
    evaluation = Evaluation(problem, Failing(), Stop())
    values, prices = evaluation.solve_in_budget(all_plans(problem))
    assert np.isinf(values).all()
    assert np.isnan(prices).all()
    got = evaluation.placement(Status.FEASIBLE)
    assert got.shares is None
    assert got.status == Status.LIMIT
    np.testing.assert_array_equal(got.splits, problem.layers)


def test_shares_that_break_a_constraint_are_not_believed(problem):
    class Greedy(Even):
        def allocate(self, problem, splits):
            good = super().allocate(problem, splits)
            return Allocation(good.shares * 1.01, good.price, good.status)

    assert np.isinf(Evaluation(problem, Greedy(), None)(brute_force(problem)[1][None])).all()


def test_shares_of_another_shape_are_the_backends_fault(problem):
    class Flat(Even):
        def allocate(self, problem, splits):
            good = super().allocate(problem, splits)
            return Allocation(good.shares[0], good.price, good.status)

    with pytest.raises(BackendFailed, match=r"shape \(4,\)"):
        Evaluation(problem, Flat(), None)(brute_force(problem)[1][None])


def test_the_trace_only_gets_better(problem):
    seen = []
    evaluation = Evaluation(problem, WaterFilling(), Stop(), seen.append)
    for plan in all_plans(problem):
        evaluation.solve_in_budget(plan[None])
    placement = evaluation.placement(Status.LIMIT)
    assert len(placement.trace) > 2
    for before, after in pairwise(placement.trace):
        assert after.evaluations > before.evaluations
        assert after.seconds >= before.seconds
        assert after.objective <= before.objective
    assert placement.trace[-1].evaluations == 4**4
    assert placement.trace[-1].objective == evaluation.objective == brute_force(problem)[0]
    assert {point.lower_bound for point in seen} == {evaluation.lower_bound}
    assert set(placement.trace) <= set(seen)


def test_inputs_are_not_modified(problem):
    plans = all_plans(problem)
    plans.setflags(write=False)
    Evaluation(problem, WaterFilling(), Stop(evaluations=300))(plans[:50])
