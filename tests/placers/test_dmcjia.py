import numpy as np
import pytest

from dmcjia_opt.allocators.waterfilling import WaterFilling
from dmcjia_opt.errors import InputError
from dmcjia_opt.model.instances import generate
from dmcjia_opt.model.problem import compile_problem
from dmcjia_opt.placers import dmcjia
from dmcjia_opt.placers.dmcjia import BinaryCode, BinaryPlacementProblem, Dmcjia
from dmcjia_opt.placers.evaluation import Evaluation
from dmcjia_opt.protocols import Status, Stop
from tests.doubles import Counting, only_way_out
from tests.strategies import brute_force, random_problem


def place(problem, allocator=None, seed=0, stop=None, **options):
    rng = np.random.default_rng(seed)
    return Dmcjia(**options).place(problem, allocator or WaterFilling(), stop=stop or Stop(), rng=rng)


def every_code(bits):
    return (np.arange(2**bits)[:, None] >> np.arange(bits)[::-1]) & 1 == 1


@pytest.mark.parametrize(
    ("layers", "bits"), [(1, 1), (2, 2), (3, 2), (4, 3), (7, 3), (8, 4), (31, 5), (32, 6), (34, 6), (63, 6), (64, 7)]
)
def test_codes_are_monotone_onto_and_even(layers, bits):
    """All 2^6 codes of ResNet34's 34 layers among them: 29 splits are coded twice, 6 once."""
    code = BinaryCode(np.array([layers]))
    assert code.length == bits
    splits = code.decode(every_code(bits))[:, 0]
    assert splits[0] == 0
    assert splits[-1] == layers
    assert set(np.diff(splits)) <= {0, 1}
    assert set(splits) == set(range(layers + 1))
    counts = np.bincount(splits)
    assert counts.max() - counts.min() <= 1
    assert splits.tolist() == [k * (layers + 1) // 2**bits for k in range(2**bits)]


def test_nodes_are_decoded_side_by_side():
    layers = np.array([34, 6, 1, 16])
    code = BinaryCode(layers)
    assert code.bits.tolist() == [6, 3, 1, 5]
    rng = np.random.default_rng(0)
    chromosomes = rng.random((50, code.length)) < 0.5
    parts = np.split(chromosomes, np.cumsum(code.bits)[:-1], axis=1)
    alone = [BinaryCode(layers[d : d + 1]).decode(part)[:, 0] for d, part in enumerate(parts)]
    np.testing.assert_array_equal(code.decode(chromosomes), np.stack(alone, axis=1))


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
    placement = place(compile_problem(generate("paper", nodes=6)))
    assert [x.shape for x in asked] == [(50, 36)] * 32
    assert min(len(np.unique(x, axis=0)) for x in asked) < 50  # twins are allowed, as in the paper
    assert placement.status == Status.FEASIBLE
    assert 50 <= placement.evaluations <= 50 * 32


def test_survivors_are_the_fittest_of_parents_and_offspring():
    placement = place(compile_problem(generate("paper", nodes=6)))
    objectives = [point.objective for point in placement.trace]
    assert objectives == sorted(objectives, reverse=True)
    assert objectives[-1] < objectives[0]


def test_a_budget_replaces_the_generations():
    problem = compile_problem(generate("paper", nodes=6))
    counting = Counting()
    placement = place(problem, counting, stop=Stop(evaluations=300), generations=2)
    assert placement.evaluations == 300
    assert placement.status == Status.LIMIT
    assert len(counting.plans) == len(set(counting.plans)) <= 300


def test_small_problems_are_solved():
    for seed in range(5):
        problem, _ = random_problem(np.random.default_rng(seed), 3, 4)
        best, _, _ = brute_force(problem)
        assert place(problem).trace[-1].objective == pytest.approx(best, rel=1e-12)


def test_the_one_feasible_plan_is_found_from_infeasible_ones():
    placement = place(only_way_out(4, 4), seed=1, population=6, generations=300)
    assert placement.splits.tolist() == [3, 3, 3, 3]
    assert placement.trace[0].objective == np.inf


def test_another_seed_searches_elsewhere():
    problem = compile_problem(generate("paper", nodes=6))
    first, second = (place(problem, seed=seed, stop=Stop(evaluations=60)) for seed in (1, 2))
    assert first.trace[0].objective != second.trace[0].objective


def test_the_clock_and_global_seeds_have_no_say():
    problem = compile_problem(generate("paper", nodes=6))
    np.random.seed(1)  # noqa: NPY002 - that it has no effect is the point
    first = place(problem, seed=3)
    np.random.seed(2)  # noqa: NPY002
    second = place(problem, seed=3)
    np.testing.assert_array_equal(first.splits, second.splits)
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


def test_a_node_with_one_split_is_refused_with_a_sentence():
    problem, _ = random_problem(np.random.default_rng(0), 3, 1)
    assert Dmcjia().supports(problem) == "a node has only one split"
    with pytest.raises(InputError, match="two splits"):
        place(problem)


def test_bits_are_read_as_booleans_whatever_pymoo_hands_over():
    problem = compile_problem(generate("paper", nodes=2))
    seen = BinaryPlacementProblem(Evaluation(problem, WaterFilling(), None))
    bits = np.random.default_rng(0).random((5, 12)) < 0.5
    for form in (bits, bits.astype(object), bits.astype(float), bits.astype(int)):
        np.testing.assert_array_equal(seen.decode(form), seen.code.decode(bits))
