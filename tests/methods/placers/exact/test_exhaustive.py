import math

import numpy as np
import pytest
from hypothesis import given, settings

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.bounds.certificate import best_lower_bound
from dmcjia_opt.methods.allocators.cvxpy_ import CvxpyAllocator
from dmcjia_opt.methods.placers.exact.exhaustive import Exhaustive
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.solving.contract import Status, Stop
from dmcjia_opt.testing.doubles import Counting, Even, Failing
from dmcjia_opt.testing.known_answers import known_answers
from dmcjia_opt.testing.problems import brute_force, impossible, only_way_out, random_problem
from dmcjia_opt.testing.strategies import problems
from tests.methods.placers.searches import place


def search(problem, allocator=None, stop=None, **options):
    return place(Exhaustive(**options), problem, stop, allocator=allocator)


def objective(problem, placement):
    return float(problem.objective(placement.options, placement.shares))


@settings(max_examples=40)
@given(problems(max_nodes=4, max_splits=4))
def test_brute_force_agrees_with_and_without_the_filter(drawn):
    problem, _ = drawn
    best, _, _ = brute_force(problem)
    for placement in (search(problem), search(problem, pareto=False)):
        assert objective(problem, placement) == best
        assert placement.status == Status.OPTIMAL
        assert placement.lower_bound <= best <= placement.lower_bound * (1 + 1e-9)


@pytest.mark.parametrize("known", known_answers(), ids=lambda known: known.name)
def test_known_answers(known):
    placement = search(known.problem)
    assert objective(known.problem, placement) == pytest.approx(known.objective, rel=1e-12)
    assert placement.lower_bound == pytest.approx(known.objective, rel=1e-9)
    assert placement.lower_bound <= known.objective * (1 + 1e-14)


@pytest.mark.parametrize("family", ["paper", "mixed", "homogeneous"])
def test_scenarios_with_models_of_different_depth(family):
    problem = compile_problem(generate(family, nodes=2, seed=3))
    with_filter, without = search(problem), search(problem, pareto=False)
    assert objective(problem, with_filter) == objective(problem, without)
    assert without.evaluations == math.prod((problem.last + 1).tolist())
    assert with_filter.evaluations < without.evaluations


@pytest.mark.parametrize("batch", [1, 7, 10_000])
def test_the_batch_changes_nothing(batch):
    problem, _ = random_problem(np.random.default_rng(2), 4, 4)
    placement, whole = search(problem, counting := Counting(), batch=batch), search(problem)
    np.testing.assert_array_equal(placement.options, whole.options)
    np.testing.assert_array_equal(placement.shares, whole.shares)
    assert placement.lower_bound == whole.lower_bound
    assert len(counting.plans) == len(set(counting.plans))


def test_it_closes_a_gap_that_the_dual_leaves():
    problem = next(known.problem for known in known_answers() if known.name == "symmetry broken")
    placement = search(problem)
    dual, _ = best_lower_bound(problem)
    assert dual < placement.lower_bound * (1 - 1e-3)
    assert placement.trace[-1].lower_bound == placement.lower_bound


def test_refusal_says_how_many_plans_there_are():
    problem, _ = random_problem(np.random.default_rng(2), 4, 4)
    assert Exhaustive(pareto=False, max_plans=256).supports(problem) is None
    few = Exhaustive(pareto=False, max_plans=255)
    assert few.supports(problem) == (
        "there are 256 plans, more than exhaustive search can try (max_plans = 255); use another placer"
    )
    with pytest.raises(InputError, match="256 plans"):
        place(few, problem)
    large = compile_problem(generate("paper", nodes=300))
    assert "there are 1,838,265,625 plans, more" in Exhaustive(pareto=False).supports(
        compile_problem(generate("paper", nodes=6))
    )
    assert "there are 1.7e463 plans, more" in Exhaustive(pareto=False).supports(large)
    assert "plans after the Pareto filter, more" in Exhaustive().supports(large)


@pytest.mark.parametrize("budget", [1, 5, 80])
def test_a_budget_is_kept_and_leaves_the_optimum_unproved(budget):
    problem, _ = random_problem(np.random.default_rng(0), 4, 4)
    best, _, _ = brute_force(problem)
    placement = search(problem, counting := Counting(), Stop(evaluations=budget), pareto=False)
    assert placement.evaluations == budget
    assert len(counting.plans) <= budget
    assert placement.status == Status.LIMIT
    assert placement.lower_bound <= best


def test_a_budget_that_is_just_enough_proves_the_optimum():
    problem, _ = random_problem(np.random.default_rng(0), 3, 3)
    assert search(problem, stop=Stop(evaluations=27), pareto=False).status == Status.OPTIMAL
    assert search(problem, stop=Stop(evaluations=26), pareto=False).status == Status.LIMIT


def test_the_gap_ends_the_search_early():
    problem = compile_problem(generate("paper", nodes=3, seed=1))
    loose = search(problem, stop=Stop(gap=0.5), pareto=False, batch=64)
    assert loose.status == Status.OPTIMAL
    assert loose.evaluations < 35**3


def test_without_any_feasible_plan_that_is_what_it_proves():
    placement = search(impossible())
    assert placement.status == Status.INFEASIBLE
    assert placement.lower_bound == math.inf
    assert placement.shares is None


def test_only_one_feasible_plan():
    placement = search(only_way_out(), pareto=False)
    assert placement.options.tolist() == [3, 3, 3]
    assert placement.status == Status.OPTIMAL


@pytest.mark.parametrize("allocator", [Even(), CvxpyAllocator("SCS")], ids=["even", "scs"])
@pytest.mark.parametrize("seed", range(3))
def test_the_bound_holds_whatever_the_allocator(allocator, seed):
    problem, _ = random_problem(np.random.default_rng(seed), 3, 3)
    best, _, _ = brute_force(problem)
    placement = search(problem, allocator)
    assert placement.lower_bound <= best <= objective(problem, placement) * (1 + 1e-12)


def test_an_allocator_that_always_fails_proves_nothing():
    problem, _ = random_problem(np.random.default_rng(0), 3, 3)
    placement = search(problem, Failing())
    assert placement.shares is None
    assert placement.lower_bound <= brute_force(problem)[0]


def test_an_interrupt_returns_the_incumbent_if_there_is_one():
    problem, _ = random_problem(np.random.default_rng(0), 3, 3)

    class Interrupted(Counting):
        def allocate(self, problem, splits):
            if len(self.plans) >= self.patience:
                raise KeyboardInterrupt
            return super().allocate(problem, splits)

    later, at_once = Interrupted(), Interrupted()
    later.patience, at_once.patience = 8, 0
    placement = search(problem, later, batch=2, pareto=False)
    assert placement.status == Status.LIMIT
    assert problem.residuals(placement.options, placement.shares).feasible
    with pytest.raises(KeyboardInterrupt):
        search(problem, at_once)
