import numpy as np
import pytest
import scipy.optimize

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.methods.placers.blackbox.scipy_ import METHODS, Scipy
from dmcjia_opt.solving.contract import Status, Stop
from dmcjia_opt.solving.registry import spec_of, variants
from dmcjia_opt.testing.problems import brute_force, random_problem
from tests.methods.placers.searches import (
    assert_it_gets_somewhere,
    assert_its_seed_alone_decides,
    five_nodes,
    objective,
    place,
)


def test_differential_evolution_gets_somewhere():
    assert_it_gets_somewhere(Scipy(), 600)


@pytest.mark.parametrize("name", METHODS)
def test_small_problems_are_solved(name):
    problem, _ = random_problem(np.random.default_rng(2), 3, 4)
    assert objective(problem, place(Scipy(name), problem)) == pytest.approx(brute_force(problem)[0], rel=1e-12)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_runs_within_its_budget_and_by_its_seed(name):
    problem = five_nodes()
    assert_its_seed_alone_decides(Scipy(name), problem, Stop(evaluations=150))
    assert place(Scipy(name), problem, stop=Stop(evaluations=150)).evaluations == 150


def test_differential_evolution_is_scipys_and_sees_integers_a_generation_at_once(monkeypatch):
    calls, batches = [], []
    original = scipy.optimize.differential_evolution

    def watched(function, *arguments, **options):
        calls.append(options)
        return original(function, *arguments, **options)

    class Watching(WaterFilling):
        def allocate(self, problem, splits):
            batches.append(len(splits))
            return super().allocate(problem, splits)

    monkeypatch.setattr(scipy.optimize, "differential_evolution", watched)
    place(Scipy(population=33), five_nodes(), Watching(), stop=Stop(evaluations=200))
    assert calls[0]["integrality"].all()
    assert max(batches) > 20


def test_it_begins_anew_when_the_population_is_all_alike(monkeypatch):
    calls = []
    original = scipy.optimize.differential_evolution

    def watched(*arguments, **options):
        calls.append(options["init"])
        return original(*arguments, **options)

    monkeypatch.setattr(scipy.optimize, "differential_evolution", watched)
    place(Scipy(population=5), five_nodes(), stop=Stop(evaluations=500))
    assert len(calls) > 1
    assert not np.array_equal(calls[0], calls[1])


def test_annealing_reaches_first_and_last_splits_as_often_as_others(monkeypatch):
    boxes = []
    monkeypatch.setattr(scipy.optimize, "dual_annealing", lambda f, bounds, **_: boxes.append(bounds) or f(bounds.lb))
    problem = five_nodes()
    found = place(Scipy("dual_annealing"), problem)
    assert found.status == Status.FEASIBLE
    assert found.splits.tolist() == [0] * 5
    np.testing.assert_allclose(boxes[0].ub - boxes[0].lb, problem.layers + 1, atol=0.01)


def test_its_options_end_it():
    found = place(Scipy(evaluations=30), five_nodes())
    assert (found.evaluations, found.status) == (30, Status.FEASIBLE)


def test_a_node_with_one_split_is_refused_with_a_sentence():
    problem, _ = random_problem(np.random.default_rng(0), 3, 1)
    assert Scipy().supports(problem) == "a node has only one split"


def test_the_names_are_the_tables():
    assert variants(spec_of("placer", "scipy")) == tuple(METHODS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "shgo"}, r'Scipy: method must be "differential_evolution" or "dual_annealing", got "shgo"'),
        ({"population": 4}, "population must be int >= 5, got 4"),
        ({"evaluations": 0}, "evaluations must be int >= 1"),
    ],
)
def test_nonsense_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        Scipy(**options)
