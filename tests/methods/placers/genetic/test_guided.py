from dataclasses import replace

import numpy as np
import pytest
from pymoo.algorithms.soo.nonconvex.ga import GA
from pymoo.operators.crossover.ux import UX
from pymoo.optimize import minimize

from dmcjia_opt.bounds.dual import dual_point
from dmcjia_opt.bounds.maximise import between
from dmcjia_opt.methods.placers.genetic.coding import BinaryPlacementProblem, GrayCode
from dmcjia_opt.methods.placers.genetic.guided import DualSampling, ReducedCostMutation, ToFeasible, draw, reduced_costs
from dmcjia_opt.methods.placers.genetic.pymoo_ import PlacementProblem
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.queues import MD1, OVERLAP
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.testing.problems import (
    all_plans,
    brute_force,
    impossible,
    only_way_out,
    random_problem,
    random_shared_problem,
)


@pytest.fixture
def twenty():
    return compile_problem(generate("scarce", nodes=20, seed=3))


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("seed", range(5))
def test_no_plan_is_better_than_the_dual_plus_its_reduced_costs(seed):
    problem, _ = random_problem(rng(seed), 4, 5)
    costs = reduced_costs(problem)
    value = dual_point(problem, costs.prices).value
    assert value == max(point.value for point in between(problem))
    plans = all_plans(problem)
    seen = PlacementProblem(problem)
    objective = seen.search.evaluate(plans)
    bound = value + costs.table[np.arange(4), plans].sum(axis=1)
    assert (objective >= bound * (1 - 1e-12))[np.isfinite(objective)].all()
    assert np.isinf(costs.table[np.isinf(problem.fixed_delay)]).all()
    assert (costs.table.min(axis=1) == 0).all()


@pytest.mark.parametrize("moves", [0.1, 1.0, 5.0])
def test_the_temperature_moves_as_many_nodes_as_asked(twenty, moves):
    costs = reduced_costs(twenty)
    p = costs.probabilities(moves)
    np.testing.assert_allclose(p.sum(axis=1), 1.0)
    assert p[costs.table > 0].sum() == pytest.approx(moves, rel=1e-6)
    order = np.argsort(costs.table, axis=1)
    assert (np.diff(np.take_along_axis(p, order, 1), axis=1) <= 0).all()


def test_ties_are_not_counted_as_moves():
    problem = compile_problem(generate("homogeneous", nodes=20, seed=0))
    costs = reduced_costs(problem)
    assert (costs.low != costs.high).any()
    p = costs.probabilities(1.0)
    assert 0.9 < p[costs.table > 1e-12].sum() < 1.1


def test_draws_follow_their_probabilities():
    p = np.array([[0.5, 0.0, 0.5, 0.0], [0.1, 0.2, 0.3, 0.4]])
    drawn = draw(p, rng().random((20000, 2)))
    for d in range(2):
        np.testing.assert_allclose(np.bincount(drawn[:, d], minlength=4) / 20000, p[d], atol=0.015)
    assert draw(p, np.full((1, 2), np.nextafter(1.0, 0.0))).tolist() == [[2, 3]]
    assert draw(p, np.zeros((1, 2))).tolist() == [[0, 0]]


def test_samples_begin_with_the_duals_plans_and_are_distinct(twenty):
    high = between(twenty)[1]
    plans = DualSampling(twenty).plans(200, rng())
    assert plans.shape == (200, 20)
    assert plans[0].tolist() == high.options.tolist()
    assert len(np.unique(plans, axis=0)) == 200
    assert np.isfinite(twenty.at(twenty.fixed_delay, plans)).all()
    np.testing.assert_array_equal(plans, DualSampling(twenty).plans(200, rng()))
    assert DualSampling(twenty).plans(1, rng()).tolist() == [high.options.tolist()]


def test_the_second_sample_is_the_dual_on_the_other_side_and_further_ones_mix_them():
    problem = compile_problem(generate("homogeneous", nodes=20, seed=0))
    low, high = between(problem)
    plans = DualSampling(problem, moves=0.1).plans(40, rng())
    assert plans[:2].tolist() == [high.options.tolist(), low.options.tolist()]
    counts = (plans == low.options).sum(axis=1)
    assert len(set(counts.tolist())) > 10


def test_more_moves_lead_further_from_the_dual(twenty):
    cold, hot = (DualSampling(twenty, moves=moves).plans(300, rng()) for moves in (0.5, 8.0))
    costs = reduced_costs(twenty)
    away = [((p != costs.low) & (p != costs.high)).sum(axis=1).mean() for p in (cold, hot)]
    assert away[0] < 0.5 * away[1]


def test_a_small_space_is_filled_up_with_any_plans():
    problem = Problem(np.array([[0.2, 0.25]]), np.array([[0.1, 0.0]]), np.ones(1), np.ones(1))
    plans = DualSampling(problem).plans(9, rng())
    assert plans.shape == (9, 1)
    assert set(plans.ravel()) == {0, 1}


@pytest.mark.parametrize("problem", [impossible(), only_way_out()])
def test_problems_with_few_plans_or_none(problem):
    plans = DualSampling(problem).plans(30, rng())
    assert plans.min() >= 0
    assert (plans <= problem.last).all()
    fixed = ToFeasible(problem).repaired(plans)
    assert (fixed <= problem.last).all()


def test_a_node_without_a_stable_split():
    problem = Problem(
        np.array([[0.1, 0.2], [np.inf, np.inf]]), np.array([[0.1, 0.0], [0.1, 0.0]]), np.ones(2), np.full(2, 0.5)
    )
    plans = DualSampling(problem).plans(4, rng())
    assert ToFeasible(problem).repaired(plans).shape == (4, 2)


def test_mutants_move_to_cheap_splits_and_never_stay():
    problem = compile_problem(generate("mixed", nodes=12, seed=1))
    costs = reduced_costs(problem)
    seen = PlacementProblem(problem)
    x = np.tile(costs.high, (3000, 1))
    mutation = ReducedCostMutation(costs, rate=1.0, moves=2.0, anywhere=0.0)
    got = mutation._do(seen, x, random_state=rng())
    assert ((got != x).sum(axis=1) == 1).all()
    assert (got <= problem.last).all()
    paid = np.take_along_axis(costs.table, got.T, 1).T[got != x]
    free = np.where(np.isfinite(costs.table), costs.table, np.nan)
    assert np.mean(paid) < 0.3 * np.nanmean(free)
    more = ReducedCostMutation(costs, rate=4.0)._do(seen, x, random_state=rng())
    assert 3.5 < (more != x).sum(axis=1).mean() < 4.1


def test_a_share_of_the_mutations_does_not_look_at_costs():
    problem = compile_problem(generate("paper", nodes=3, seed=1))
    costs = reduced_costs(problem)
    x = np.tile(costs.high, (6000, 1))
    anywhere = ReducedCostMutation(costs, rate=1.0, anywhere=1.0)._do(PlacementProblem(problem), x, random_state=rng())
    allowed = np.isfinite(problem.fixed_delay).sum(axis=1)
    assert [len(np.unique(column)) for column in anywhere.T] == allowed.tolist()


@pytest.mark.parametrize("seed", range(4))
def test_repair_makes_every_plan_feasible_and_leaves_feasible_ones(seed):
    problem, _ = random_problem(rng(seed), 6, 5, utilisation=0.95, ordering="cloud-faster" if seed % 2 else "stability")
    plans = rng(seed).integers(0, 5, (400, 6))
    fixed = ToFeasible(problem).repaired(plans)
    before = problem.overload(plans) == 0
    assert 0 < before.sum() < 400
    assert (problem.overload(fixed) == 0).all()
    np.testing.assert_array_equal(fixed[before], plans[before])


@pytest.mark.parametrize("seed", range(6))
def test_repair_of_several_resources(seed):
    """Every node may leave all of them alone, so that every plan can be repaired."""
    ordering = "cloud-faster" if seed % 2 else "stability"
    drawn, _ = random_shared_problem(rng(seed), 8, 5, 4, 2, utilisation=0.95, ordering=ordering, curves=(OVERLAP, MD1))
    fixed_delay = np.where(np.isfinite(drawn.fixed_delay), drawn.fixed_delay, drawn.fixed_delay.min())
    problem = replace(drawn, fixed_delay=fixed_delay)
    repair = ToFeasible(problem)
    assert repair.enough.shape == (4,)
    assert (repair.enough < 1.0).all()
    plans = rng(seed).integers(0, 5, (300, 8))
    fixed = repair.repaired(plans)
    before = problem.overload(plans) == 0
    assert 0 < before.sum() < 300
    assert (problem.overload(fixed) == 0).all()
    np.testing.assert_array_equal(fixed[before], plans[before])
    blind = plans[~before]
    for row in blind:
        for d in rng(1).permutation(8):
            if problem.overload(row) > 0:
                row[d] = 4
    seen = PlacementProblem(problem)
    assert np.median(seen.search.evaluate(fixed[~before])) < np.median(seen.search.evaluate(blind))


def test_reduced_costs_of_several_resources_bound_every_plan():
    problem, _ = random_shared_problem(rng(7), 4, 4, 3, 2, utilisation=0.8)
    costs = reduced_costs(problem)
    value = dual_point(problem, costs.prices).value
    plans = all_plans(problem)
    objective = PlacementProblem(problem).search.evaluate(plans)
    bound = value + costs.table[np.arange(4), plans].sum(axis=1)
    assert (objective >= bound * (1 - 1e-12))[np.isfinite(objective)].all()
    two = DualSampling(problem, costs=costs).plans(2, rng())
    assert two[0].tolist() == costs.high.tolist()


def test_repair_chooses_well():
    """What is repaired has no more load than the dual's plan, and costs a fraction of moving any node to the edge."""
    problem = compile_problem(generate("scarce", nodes=20, seed=3))
    plans = rng().integers(0, problem.last + 1, (400, 20))
    plans = plans[problem.overload(plans) >= 1e-9]
    plans = plans[np.isfinite(problem.at(problem.fixed_delay, plans)).all(axis=1)][:60]
    repair, seen = ToFeasible(problem), PlacementProblem(problem)
    fixed = repair.repaired(plans)
    assert (problem.least_share(fixed).sum(axis=1) <= repair.enough).all()
    blind = plans.copy()
    for row in blind:
        for d in rng(1).permutation(20):
            if problem.least_share(row).sum() <= repair.enough:
                break
            row[d] = max(row[d], np.flatnonzero(np.isfinite(problem.fixed_delay[d]))[-1])
    ours, theirs = seen.search.evaluate(fixed), seen.search.evaluate(blind)
    assert np.isfinite(ours).all()
    assert np.median(ours) < 0.95 * np.median(theirs)


def test_in_bits_only_what_was_infeasible_is_coded_anew():
    problem = only_way_out(4, 5)
    seen = BinaryPlacementProblem(PlacementProblem(problem).search, GrayCode(problem.last))
    bits = rng().random((200, seen.n_var)) < 0.5
    bits[0] = seen.encode(np.full((1, 4), 4))
    fixed = ToFeasible(problem)._do(seen, bits)
    assert fixed.dtype == bool
    assert (seen.decode(fixed) == 4).all()
    np.testing.assert_array_equal(fixed[0], bits[0])


def test_anyone_can_use_them_in_pymoo():
    problem, _ = random_problem(rng(5), 5, 5)
    best, _, _ = brute_force(problem)
    costs = reduced_costs(problem)
    algorithm = GA(
        pop_size=10,
        sampling=DualSampling(problem),
        crossover=UX(),
        mutation=ReducedCostMutation(costs),
        repair=ToFeasible(problem, costs),
    )
    result = minimize(PlacementProblem(problem), algorithm, ("n_gen", 40), seed=1)
    assert result.F[0] == pytest.approx(best, rel=1e-12)
    assert DualSampling(problem)(PymooBox(5, 4), 3, random_state=rng(), to_numpy=True).shape == (3, 5)


class PymooBox:
    """A problem of another make: plain integers are what it gets."""

    def __init__(self, n_var, high):
        self.n_var, self.xl, self.xu = n_var, np.zeros(n_var), np.full(n_var, high)
