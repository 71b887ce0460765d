import math
from itertools import pairwise

import numpy as np
import pytest

from dmcjia_opt.base.errors import BackendFailed
from dmcjia_opt.bounds import best, maximise
from dmcjia_opt.bounds.best import BestPrice
from dmcjia_opt.bounds.certificate import best_lower_bound, lower_bound
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.solving import search as module
from dmcjia_opt.solving.contract import Allocation, Status, Stop
from dmcjia_opt.solving.ending import BudgetSpent
from dmcjia_opt.solving.search import Search
from dmcjia_opt.solving.solve import solve
from dmcjia_opt.testing.doubles import Counting, Even, Failing
from dmcjia_opt.testing.problems import all_plans, brute_force, impossible, only_way_out, random_problem


@pytest.fixture
def problem():
    return random_problem(np.random.default_rng(5), 4, 4)[0]


def test_values_are_the_problems_own(problem):
    plans = all_plans(problem)
    allocation = WaterFilling().allocate(problem, plans)
    expected = np.where(problem.overload(plans) == 0, problem.objective(plans, allocation.shares), np.inf)
    got = Search(problem, WaterFilling()).evaluate(plans)
    np.testing.assert_array_equal(got, expected)
    assert np.isinf(got).any()
    assert np.isfinite(got).any()


def test_the_incumbent_is_the_best_plan(problem):
    best, splits, shares = brute_force(problem)
    search = Search(problem, WaterFilling(), Stop())
    search.solve_in_budget(all_plans(problem))
    got = search.placement(limited=True)
    assert search.objective == best
    np.testing.assert_array_equal(got.options, splits)
    np.testing.assert_array_equal(got.shares, shares)
    assert got.prices.tolist() == WaterFilling().allocate(problem, splits[None]).prices[0].tolist()
    assert got.lower_bound == best_lower_bound(problem)[0] <= best
    assert got.status == Status.LIMIT
    assert got.evaluations == 4**4


@pytest.mark.parametrize("placer", ["exact", "memetic", "lagrangian", "cpsat", "greedy+"])
def test_the_best_price_is_sought_once_a_solve(placer, monkeypatch):
    sought = []
    monkeypatch.setattr(best, "between", lambda problem, near: sought.append(problem) or maximise.between(problem))
    solve(generate("homogeneous", nodes=4, seed=1), placer, stop=Stop(evaluations=50))
    assert len(sought) == 1


def test_anybody_raises_the_bound_by_a_price(problem):
    search = Search(problem, WaterFilling(), Stop())
    prices, bound = search.dual.point.prices, search.lower_bound
    for other in (0.0, 2.0 * prices, -1.0, np.nan, np.inf, prices):
        search.raise_bound(other)
        assert search.lower_bound == bound
    assert search.placement().prices.tolist() == prices.tolist()
    search.dual = BestPrice(problem)
    search.dual.bound = -np.inf
    weak = Search(problem, WaterFilling(), Stop(), dual=search.dual)
    weak.raise_bound(2.0 * prices)
    assert weak.placement().lower_bound == lower_bound(problem, 2.0 * prices)


def test_a_price_is_bound_enough_where_no_better_one_is_to_be_sought(problem):
    search = Search(problem, WaterFilling(), Stop())
    low = 2.0 * BestPrice(problem).point.prices
    search.raise_bound(low, seek=False)
    assert "points" not in vars(search.dual)
    assert search.lower_bound == lower_bound(problem, low)
    search.raise_bound(search.dual.point.prices)
    assert search.lower_bound == search.dual.bound > lower_bound(problem, low)


@pytest.mark.parametrize("proves", [True, False])
def test_a_derived_bound_is_a_claim_unless_the_registry_says_otherwise(problem, proves):
    search = Search(problem, WaterFilling(), Stop(), proves=proves)
    search.prove(0.0, "nobody")
    dual = search.lower_bound
    search.prove(1.01 * dual, "exact")
    search.tick()
    got = search.placement()
    assert search.lower_bound == 1.01 * dual
    assert (got.lower_bound, got.bound_from) == ((1.01 * dual, "exact") if proves else (dual, ""))
    assert got.claimed_bound == (None if proves else 1.01 * dual)
    assert got.trace[-1].lower_bound == got.lower_bound


def test_plans_with_shares_of_their_own(problem):
    search = Search(problem, WaterFilling(), Stop(evaluations=3))
    worst = search.offer(brute_force(problem)[1], np.full(4, 2.0))
    assert worst == math.inf
    assert search.placement().status == Status.INFEASIBLE
    assert search.placement().shares.tolist() == [[2.0]] * 4
    value, splits, shares = brute_force(problem)
    shares = shares[:, 0]
    assert search.offer(splits, 0.999 * shares) == problem.objective(splits, 0.999 * shares) > value
    assert search.placement().shares[:, 0].tolist() == (0.999 * shares).tolist()
    assert search.offer(splits) == value == search.objective
    assert search.evaluations == 3
    with pytest.raises(BudgetSpent):
        search.offer(splits)


def test_a_plan_is_solved_once_however_often_it_is_asked_for(problem):
    counting = Counting()
    search = Search(problem, counting, Stop())
    plans = all_plans(problem)[:20]
    batch = np.concatenate([plans, plans[::-1], plans])
    first = search.evaluate(batch)
    again = search.evaluate(plans[:7])
    np.testing.assert_array_equal(first[:20], first[20:40][::-1])
    np.testing.assert_array_equal(again, first[:7])
    assert len(counting.plans) == len(set(counting.plans))
    assert search.evaluations == 20


def test_equal_plans_of_another_type_are_the_same_plan(problem):
    search = Search(problem, counting := Counting(), Stop())
    plan = brute_force(problem)[1][None]
    search.evaluate(plan)
    search.evaluate(plan.astype(np.int32))
    search.evaluate(np.asfortranarray(np.repeat(plan, 3, axis=0)))
    assert len(counting.plans) == search.evaluations == 1


def test_overloaded_plans_never_reach_the_allocator():
    problem = only_way_out()
    search = Search(problem, counting := Counting(), Stop())
    values, prices = search.solve_in_budget(all_plans(problem))
    assert counting.plans == [(3, 3, 3)]
    assert np.isfinite(values).sum() == 1
    assert np.isnan(prices).sum() == 63
    assert search.evaluations == 64


@pytest.mark.parametrize("budget", [1, 2, 19, 20])
def test_the_budget_of_evaluations_is_kept_exactly(problem, budget):
    counting = Counting()
    search = Search(problem, counting, Stop(evaluations=budget))
    with pytest.raises(BudgetSpent):
        search.evaluate(all_plans(problem)[:20])
    assert search.evaluations == budget
    assert len(counting.plans) <= budget
    with pytest.raises(BudgetSpent):
        search.evaluate(all_plans(problem)[20:21])
    assert search.evaluations == budget


def test_a_time_limit_is_kept_within_a_batch(clock):
    problem, _ = random_problem(np.random.default_rng(0), 4, 8)
    plans = all_plans(problem)
    search = Search(problem, Counting(seconds_a_plan=0.005), Stop(seconds=0.1))
    with pytest.raises(BudgetSpent):
        search.solve_in_budget(plans)
    assert search.seconds == pytest.approx(0.1, abs=0.02)
    assert 0 < search.evaluations < len(plans)


def test_plans_that_cost_nothing_do_not_make_the_next_ones_late(clock):
    """A batch starts with overloaded plans, which are free; then each of the others takes 10 ms."""
    problem, fine = random_problem(np.random.default_rng(0), 4, 4)
    plans = all_plans(problem)
    overloaded = plans[problem.overload(plans) > 0]
    batch = np.concatenate([overloaded, np.repeat(fine[None], 2000, axis=0)])
    search = Search(problem, Counting(seconds_a_plan=0.01), Stop(seconds=0.1))
    with pytest.raises(BudgetSpent):
        search.solve_in_budget(batch)
    assert search.seconds == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("seconds", [0.0, 1e-9])
def test_however_short_the_time_one_plan_is_evaluated(problem, seconds):
    search = Search(problem, counting := Counting(), Stop(seconds=seconds))
    best = brute_force(problem)[1]
    with pytest.raises(BudgetSpent):
        search.evaluate(np.concatenate([best[None], all_plans(problem)]))
    assert counting.plans == [tuple(best)]
    assert search.placement(limited=True).shares is not None


def test_a_reached_gap_ends_the_search_within_it(problem):
    best, splits, _ = brute_force(problem)
    gap = 1.0 - best_lower_bound(problem)[0] / best
    search = Search(problem, WaterFilling(), Stop(gap=gap + 1e-12))
    with pytest.raises(BudgetSpent):
        search.evaluate(splits[None])
    assert search.placement(limited=True).status == (Status.OPTIMAL if gap + 1e-12 <= 1e-9 else Status.WITHIN)


def test_a_searched_space_ends_the_search():
    problem, _ = random_problem(np.random.default_rng(1), 3, 3)
    plans = all_plans(problem)
    search = Search(problem, WaterFilling(), Stop())
    search.evaluate(plans[:-1])
    with pytest.raises(BudgetSpent):
        search.evaluate(plans[-1:])
    assert search.evaluations == 27


@pytest.mark.parametrize("n_splits", [3, 5, 6, 7, 11, 35])
def test_the_size_of_the_space_is_exact(n_splits):
    for n_nodes in (1, 2, 3, 5, 7):
        problem, _ = random_problem(np.random.default_rng(1), n_nodes, n_splits)
        assert Search(problem, WaterFilling(), Stop())._space == n_splits**n_nodes


def test_a_stalled_search_ends(problem, monkeypatch):
    monkeypatch.setattr(module, "STALLED_AFTER", 10)
    search = Search(problem, WaterFilling(), Stop())
    plans = all_plans(problem)
    search.evaluate(plans[:5])
    search.evaluate(plans[:5])
    search.evaluate(plans[5:6])
    search.evaluate(plans[:9])
    search.evaluate(plans[:9])
    with pytest.raises(BudgetSpent):
        search.evaluate(np.repeat(plans[:1], 10, axis=0))


def test_without_a_budget_nothing_ends_the_search(monkeypatch):
    monkeypatch.setattr(module, "STALLED_AFTER", 1)
    for problem in (only_way_out(), impossible()):
        search = Search(problem, WaterFilling())
        for _ in range(3):
            assert len(search.evaluate(all_plans(problem))) == 64
    assert np.isinf(search.evaluate(all_plans(problem))).all()


def test_an_impossible_problem_ends_before_the_first_plan():
    search = Search(impossible(), counting := Counting(), Stop())
    with pytest.raises(BudgetSpent):
        search.evaluate(all_plans(impossible()))
    got = search.placement()
    assert got.status == Status.INFEASIBLE
    assert got.lower_bound == math.inf
    assert got.shares is None
    assert got.evaluations == 0
    assert counting.plans == []


def test_failed_plans_are_worth_nothing(problem):
    search = Search(problem, Failing(), Stop())
    values, prices = search.solve_in_budget(all_plans(problem))
    assert np.isinf(values).all()
    assert np.isnan(prices).all()
    got = search.placement()
    assert got.shares is None
    assert got.status == Status.LIMIT
    np.testing.assert_array_equal(got.options, problem.last)


def test_shares_that_break_a_constraint_are_not_believed(problem):
    class Greedy(Even):
        def allocate(self, problem, splits):
            good = super().allocate(problem, splits)
            return Allocation(good.shares * 1.01, good.prices, good.status)

    assert np.isinf(Search(problem, Greedy()).evaluate(brute_force(problem)[1][None])).all()


def test_shares_of_another_shape_are_the_backends_fault(problem):
    class Flat(Even):
        def allocate(self, problem, splits):
            good = super().allocate(problem, splits)
            return Allocation(good.shares[0, :, 0], good.prices, good.status)

    with pytest.raises(BackendFailed, match=r"shape \(4,\)"):
        Search(problem, Flat()).evaluate(brute_force(problem)[1][None])


def test_the_trace_only_gets_better(problem):
    seen = []
    search = Search(problem, WaterFilling(), Stop(), seen.append)
    for plan in all_plans(problem):
        search.solve_in_budget(plan[None])
    placement = search.placement(limited=True)
    assert len(placement.trace) > 2
    for before, after in pairwise(placement.trace):
        assert after.evaluations > before.evaluations
        assert after.seconds >= before.seconds
        assert after.objective <= before.objective
    assert placement.trace[-1].evaluations == 4**4
    assert placement.trace[-1].objective == search.objective == brute_force(problem)[0]
    assert {point.lower_bound for point in seen} == {search.lower_bound}
    assert set(placement.trace) <= set(seen)


def test_inputs_are_not_modified(problem):
    plans = all_plans(problem)
    plans.setflags(write=False)
    Search(problem, WaterFilling(), Stop(evaluations=300)).evaluate(plans[:50])
