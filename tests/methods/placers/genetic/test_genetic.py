import numpy as np
import pytest

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.bounds.maximise import between
from dmcjia_opt.methods.allocators.cvxpy_ import CvxpyAllocator
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.methods.placers.genetic.dmcjia import Dmcjia
from dmcjia_opt.methods.placers.genetic.genetic import CROSSOVERS, ENCODINGS, MUTATIONS, SELECTIONS, Genetic
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.solving.contract import Stop
from dmcjia_opt.testing.doubles import Counting
from dmcjia_opt.testing.placers import trace_of
from dmcjia_opt.testing.problems import brute_force, only_way_out, random_problem
from tests.methods.placers.searches import place


def search(problem, allocator=None, seed=0, stop=None, **options):
    return place(Genetic(**options), problem, stop, seed, allocator)


def test_cvxpy_and_water_filling_lead_to_the_same_splits():
    problem = compile_problem(generate("paper", nodes=6, seed=2))
    stop = Stop(evaluations=150)
    closed_form, cones = (search(problem, allocator, 7, stop) for allocator in (WaterFilling(), CvxpyAllocator()))
    np.testing.assert_array_equal(closed_form.options, cones.options)
    np.testing.assert_allclose(closed_form.shares, cones.shares, atol=1e-5)
    assert [p.evaluations for p in closed_form.trace] == [p.evaluations for p in cones.trace]


def test_ten_nodes_of_table_5_end_near_the_optimum():
    problem = compile_problem(generate("paper", nodes=10, seed=1))
    placement = search(problem, stop=Stop(evaluations=3000))
    last = placement.trace[-1]
    assert last.objective <= 1.02 * last.lower_bound


@pytest.mark.parametrize("budget", [1, 19, 20, 21, 137])
def test_budgets_are_kept_exactly_and_no_plan_is_solved_twice(budget):
    problem = compile_problem(generate("paper", nodes=6))
    counting = Counting()
    placement = search(problem, counting, stop=Stop(evaluations=budget))
    assert placement.evaluations == budget
    assert len(counting.plans) == len(set(counting.plans)) <= budget


def test_started_from_the_dual_the_first_plan_is_the_duals():
    problem = compile_problem(generate("scarce", nodes=20, seed=3))
    counting = Counting()
    placement = search(problem, counting, stop=Stop(evaluations=20), start_from_dual=True)
    dual = between(problem)[1].options
    assert counting.plans[0] == tuple(dual.tolist())
    assert len(set(counting.plans)) == len(counting.plans)
    bound = placement.trace[-1].lower_bound
    assert placement.trace[-1].objective <= 1.01 * bound
    assert search(problem, stop=Stop(evaluations=20)).trace[-1].objective > 1.2 * bound


def test_small_problems_are_solved():
    for seed in range(3):
        problem, _ = random_problem(np.random.default_rng(seed), 3, 4)
        best, _, _ = brute_force(problem)
        assert search(problem, population=20).trace[-1].objective == pytest.approx(best, rel=1e-12)


def test_the_one_feasible_plan_is_found_from_infeasible_ones():
    placement = search(only_way_out(5, 6), generations=100)
    assert placement.options.tolist() == [5] * 5
    assert placement.trace[0].objective == np.inf


def every_variant():
    """Every encoding with all that suits it, and every other option away from its default once."""
    for encoding in ENCODINGS:
        for crossover in (name for name, fits in CROSSOVERS.items() if encoding in fits):
            yield {"encoding": encoding, "crossover": crossover}
        for mutation in (name for name, fits in MUTATIONS.items() if encoding in fits):
            yield {"encoding": encoding, "mutation": mutation}
        yield {"encoding": encoding, "repair": "to-feasible"}
        yield {"encoding": encoding, "start_from_dual": True}
    for selection in SELECTIONS:
        yield {"selection": selection}
    for tournament in (1, 2, 5):
        yield {"tournament": tournament}
    for elitism in (0, 1, 10):
        yield {"elitism": elitism}
    yield {"duplicates": True}
    yield {"population": 2, "offspring": 1}
    yield {"crossover_rate": 0.0, "mutation_rate": 5.0, "reset": 1.0}


@pytest.mark.parametrize("options", list(every_variant()), ids=str)
def test_every_variant_keeps_its_budget_improves_and_follows_its_seed(options):
    problem = compile_problem(generate("mixed", nodes=5, seed=2))
    first, second = (search(problem, stop=Stop(evaluations=150), seed=4, **options) for _ in range(2))
    assert trace_of(first) == trace_of(second)
    np.testing.assert_array_equal(first.options, second.options)
    assert first.evaluations == 150
    assert problem.residuals(first.options, first.shares).feasible
    assert first.trace[-1].objective == problem.objective(first.options, first.shares)
    started_at_the_end = options.get("start_from_dual", False)
    assert started_at_the_end or first.trace[-1].objective < first.trace[0].objective


def test_the_papers_algorithm_is_one_of_the_variants():
    problem = compile_problem(generate("mixed", nodes=8, seed=1))
    bits = int(np.ceil(np.log2(problem.last + 1)).sum())
    paper = place(Dmcjia(), problem, seed=5)
    same = search(
        problem,
        seed=5,
        population=50,
        offspring=50,
        generations=32,
        encoding="binary",
        crossover="one-point",
        crossover_rate=0.1,
        mutation_rate=0.01 * bits,
        duplicates=True,
    )
    assert trace_of(same) == trace_of(paper)
    np.testing.assert_array_equal(same.options, paper.options)


def test_without_elitism_the_best_may_be_lost_and_the_incumbent_is_not():
    problem = compile_problem(generate("paper", nodes=8, seed=1))
    comma = search(problem, stop=Stop(evaluations=600), elitism=0)
    objectives = [point.objective for point in comma.trace]
    assert objectives == sorted(objectives, reverse=True)
    plus = search(problem, stop=Stop(evaluations=600), elitism=10)
    assert trace_of(plus) == trace_of(search(problem, stop=Stop(evaluations=600)))
    assert trace_of(plus) != trace_of(comma)


def test_repair_finds_plans_where_nearly_all_are_overloaded():
    problem = only_way_out(8, 6)
    assert search(problem, stop=Stop(evaluations=5)).shares is None
    mended = search(problem, stop=Stop(evaluations=5), repair="to-feasible")
    assert mended.options.tolist() == [5] * 8


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_started_from_the_dual_in_any_encoding(encoding):
    problem = compile_problem(generate("scarce", nodes=20, seed=3))
    counting = Counting()
    search(problem, counting, stop=Stop(evaluations=10), start_from_dual=True, encoding=encoding)
    assert counting.plans[0] == tuple(between(problem)[1].options.tolist())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"population": 1}, "Genetic: population must be int >= 2, got 1"),
        ({"offspring": 0}, "offspring must be int >= 1, got 0"),
        ({"generations": 0}, "generations must be int >= 1, got 0"),
        ({"crossover_rate": 1.5}, "crossover_rate must be float >= 0 and <= 1, got 1.5"),
        ({"reset": -1.0}, "reset must be float >= 0 and <= 1, got -1.0"),
        ({"mutation_rate": 0.9}, "Genetic: mutation_rate must be at least 1 with reset-or-creep"),
        ({"mutation_rate": float("nan")}, "mutation_rate must be finite float >= 0, got nan"),
        ({"mutation_rate": -1.0, "encoding": "gray"}, "mutation_rate must be finite float >= 0, got -1.0"),
        ({"encoding": "ternary"}, 'must be "integer", "binary" or "gray", got "ternary"'),
        ({"selection": "best"}, 'must be "tournament", "roulette", "rank" or "random", got "best"'),
        ({"crossover": "three-point"}, '"uniform", "half-uniform", "one-point", "two-point" or "sbx", got'),
        ({"mutation": "flip"}, '"auto", "reset-or-creep", "bit-flip" or "polynomial", got "flip"'),
        ({"repair": "yes"}, 'repair must be "none" or "to-feasible", got "yes"'),
        ({"encoding": "gray", "crossover": "sbx"}, 'needs encoding integer; with encoding "gray" choose uniform'),
        ({"mutation": "bit-flip"}, 'needs encoding binary or gray; with encoding "integer" choose reset-or-creep'),
        ({"encoding": "binary", "mutation": "polynomial"}, "choose bit-flip"),
        ({"tournament": 0}, "tournament must be int >= 1, got 0"),
        ({"tournament": 11}, "tournament must be at most population, 10"),
        ({"elitism": 11}, "elitism must be at most population, 10"),
        ({"elitism": -2}, "elitism must be int >= -1, got -2"),
        ({"elitism": 2, "offspring": 7}, "raise offspring to at least 8"),
    ],
)
def test_nonsense_is_refused_with_a_remedy(options, sentence):
    with pytest.raises(InputError, match=sentence):
        Genetic(**options)
