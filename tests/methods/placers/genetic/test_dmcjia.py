import numpy as np
import pytest

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.methods.placers.genetic import dmcjia
from dmcjia_opt.methods.placers.genetic.coding import BinaryPlacementProblem
from dmcjia_opt.methods.placers.genetic.dmcjia import Dmcjia
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.solving.contract import Status, Stop
from dmcjia_opt.testing.doubles import Counting
from dmcjia_opt.testing.problems import brute_force, only_way_out, random_problem
from tests.methods.placers.searches import place


def search(problem, allocator=None, seed=0, stop=None, **options):
    return place(Dmcjia(**options), problem, stop, seed, allocator)


def test_the_published_settings_are_the_defaults():
    options = Dmcjia()
    assert (options.population, options.generations, options.crossover, options.mutation) == (50, 32, 0.1, 0.01)


def test_every_generation_asks_for_one_population(monkeypatch):
    asked = []

    class Watched(BinaryPlacementProblem):
        def _evaluate(self, x, out, *args, **kwargs):
            asked.append(np.array(x, dtype=bool))
            super()._evaluate(x, out, *args, **kwargs)

    monkeypatch.setattr(dmcjia, "BinaryPlacementProblem", Watched)
    placement = search(compile_problem(generate("paper", nodes=6)))
    assert [x.shape for x in asked] == [(50, 36)] * 32
    assert min(len(np.unique(x, axis=0)) for x in asked) < 50  # twins are allowed, as in the paper
    assert placement.status == Status.FEASIBLE
    assert 50 <= placement.evaluations <= 50 * 32


def test_survivors_are_the_fittest_of_parents_and_offspring():
    placement = search(compile_problem(generate("paper", nodes=6)))
    objectives = [point.objective for point in placement.trace]
    assert objectives == sorted(objectives, reverse=True)
    assert objectives[-1] < objectives[0]


def test_a_budget_replaces_the_generations():
    problem = compile_problem(generate("paper", nodes=6))
    counting = Counting()
    placement = search(problem, counting, stop=Stop(evaluations=300), generations=2)
    assert placement.evaluations == 300
    assert placement.status == Status.LIMIT
    assert len(counting.plans) == len(set(counting.plans)) <= 300


def test_small_problems_are_solved():
    for seed in range(5):
        problem, _ = random_problem(np.random.default_rng(seed), 3, 4)
        best, _, _ = brute_force(problem)
        assert search(problem).trace[-1].objective == pytest.approx(best, rel=1e-12)


def test_the_one_feasible_plan_is_found_from_infeasible_ones():
    placement = search(only_way_out(4, 4), seed=1, population=6, generations=300)
    assert placement.options.tolist() == [3, 3, 3, 3]
    assert placement.trace[0].objective == np.inf


def test_another_seed_searches_elsewhere():
    problem = compile_problem(generate("paper", nodes=6))
    first, second = (search(problem, seed=seed, stop=Stop(evaluations=60)) for seed in (1, 2))
    assert first.trace[0].objective != second.trace[0].objective


def test_the_clock_and_global_seeds_have_no_say():
    problem = compile_problem(generate("paper", nodes=6))
    np.random.seed(1)  # noqa: NPY002 - that it has no effect is the point
    first = search(problem, seed=3)
    np.random.seed(2)  # noqa: NPY002
    second = search(problem, seed=3)
    np.testing.assert_array_equal(first.options, second.options)
    assert first.evaluations == second.evaluations


@pytest.mark.parametrize(
    "options",
    [
        {"population": 1},
        {"generations": 0},
        {"crossover": -0.1},
        {"crossover": 1.1},
        {"mutation": float("nan")},
        {"mutation": 2.0},
    ],
)
def test_nonsense_is_refused(options):
    with pytest.raises(InputError):
        Dmcjia(**options)
