import numpy as np
import pytest
from pymoo.core.problem import Problem as PymooProblem

from dmcjia_opt.allocators.cvxpy_ import CvxpyAllocator
from dmcjia_opt.allocators.waterfilling import WaterFilling
from dmcjia_opt.dual import maximise
from dmcjia_opt.errors import InputError
from dmcjia_opt.model.instances import generate
from dmcjia_opt.model.problem import compile_problem
from dmcjia_opt.placers.genetic import Genetic, ResetOrCreep
from dmcjia_opt.protocols import Stop
from tests.doubles import Counting, only_way_out
from tests.strategies import brute_force, random_problem


def place(problem, allocator=None, seed=0, stop=None, **options):
    rng = np.random.default_rng(seed)
    return Genetic(**options).place(problem, allocator or WaterFilling(), stop=stop or Stop(), rng=rng)


def mutate(x, *, rate=0.3, reset=0.3, stay=0.4, high=9, seed=0):
    problem = PymooProblem(n_var=x.shape[1], n_obj=1, xl=np.zeros(x.shape[1]), xu=np.full(x.shape[1], high), vtype=int)
    return ResetOrCreep(rate, reset, stay)._do(problem, x, random_state=np.random.default_rng(seed))


def test_mutants_stay_within_their_bounds():
    x = np.random.default_rng(0).integers(0, 10, (2000, 6))
    got = mutate(x, rate=6.0)
    assert got.dtype == np.int64
    assert got.shape == x.shape
    assert got.min() == 0
    assert got.max() == 9


def test_one_gene_always_changes_and_the_rate_adds_more():
    x = np.full((4000, 20), 50)
    touched = [(mutate(x, rate=rate, reset=0.0, high=100) != x).sum(axis=1) for rate in (0.0, 3.0)]
    assert (touched[0] == 1).all()
    assert touched[1].min() == 1
    assert 3.5 < touched[1].mean() < 4.0


def test_creeping_moves_by_a_few_layers_and_resetting_anywhere():
    x = np.full((4000, 1), 500)
    creep = np.abs(mutate(x, reset=0.0, high=1000) - x)
    assert creep.min() == 1
    assert 2.3 < creep.mean() < 2.7
    drawn = mutate(x, reset=1.0, high=1000)
    assert drawn.min() < 10
    assert drawn.max() > 990
    assert 450 < drawn.mean() < 550


def test_the_seed_decides():
    x = np.random.default_rng(0).integers(0, 10, (50, 6))
    np.testing.assert_array_equal(mutate(x, seed=1), mutate(x, seed=1))
    assert (mutate(x, seed=1) != mutate(x, seed=2)).any()


def test_cvxpy_and_water_filling_lead_to_the_same_splits():
    problem = compile_problem(generate("paper", nodes=6, seed=2))
    stop = Stop(evaluations=150)
    closed_form, cones = (place(problem, allocator, 7, stop) for allocator in (WaterFilling(), CvxpyAllocator()))
    np.testing.assert_array_equal(closed_form.splits, cones.splits)
    np.testing.assert_allclose(closed_form.shares, cones.shares, atol=1e-5)
    assert [p.evaluations for p in closed_form.trace] == [p.evaluations for p in cones.trace]


def test_ten_nodes_of_table_5_end_near_the_optimum():
    problem = compile_problem(generate("paper", nodes=10, seed=1))
    placement = place(problem, stop=Stop(evaluations=3000))
    last = placement.trace[-1]
    assert last.objective <= 1.02 * last.lower_bound


@pytest.mark.parametrize("budget", [1, 19, 20, 21, 137])
def test_budgets_are_kept_exactly_and_no_plan_is_solved_twice(budget):
    problem = compile_problem(generate("paper", nodes=6))
    counting = Counting()
    placement = place(problem, counting, stop=Stop(evaluations=budget))
    assert placement.evaluations == budget
    assert len(counting.plans) == len(set(counting.plans)) <= budget


def test_started_from_the_dual_the_first_plan_is_the_duals():
    problem = compile_problem(generate("scarce", nodes=20, seed=3))
    counting = Counting()
    placement = place(problem, counting, stop=Stop(evaluations=20), start_from_dual=True)
    dual = maximise(problem)[1].splits
    assert counting.plans[0] == tuple(dual.tolist())
    assert len(set(counting.plans)) == len(counting.plans)
    bound = placement.trace[-1].lower_bound
    assert placement.trace[-1].objective <= 1.01 * bound
    assert place(problem, stop=Stop(evaluations=20)).trace[-1].objective > 1.2 * bound


def test_small_problems_are_solved():
    for seed in range(5):
        problem, _ = random_problem(np.random.default_rng(seed), 3, 4)
        best, _, _ = brute_force(problem)
        assert place(problem).trace[-1].objective == pytest.approx(best, rel=1e-12)


def test_the_one_feasible_plan_is_found_from_infeasible_ones():
    placement = place(only_way_out(5, 6), generations=100)
    assert placement.splits.tolist() == [5] * 5
    assert placement.trace[0].objective == np.inf


@pytest.mark.parametrize(
    "options",
    [
        {"population": 1},
        {"offspring": 0},
        {"generations": 0},
        {"crossover": 1.5},
        {"reset": -1.0},
        {"mutation": -0.1},
        {"mutation": float("nan")},
    ],
)
def test_nonsense_is_refused(options):
    with pytest.raises(InputError):
        Genetic(**options)


def test_a_node_with_one_split_is_refused_with_a_sentence():
    problem, _ = random_problem(np.random.default_rng(0), 3, 1)
    assert Genetic().supports(problem) == "a node has only one split"
