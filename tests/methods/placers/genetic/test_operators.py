from types import SimpleNamespace

import numpy as np
import pytest
from pymoo.core.population import Population
from pymoo.core.problem import Problem as PymooProblem

from dmcjia_opt.methods.placers.genetic.operators import Elitism, LinearRank, ResetOrCreep, Roulette, fittest

INF = np.inf


def mutate(x, *, rate=0.3, reset=0.3, stay=0.4, high=9, seed=0):
    problem = PymooProblem(n_var=x.shape[1], n_obj=1, xl=np.zeros(x.shape[1]), xu=np.full(x.shape[1], high), vtype=int)
    return ResetOrCreep(rate, reset, stay)._do(problem, x, random_state=np.random.default_rng(seed))


def population(objective, violation=None):
    n = len(objective)
    pop = Population.new(
        X=np.arange(n)[:, None],
        F=np.array(objective, dtype=float)[:, None],
        G=np.array(violation if violation is not None else np.zeros(n), dtype=float)[:, None],
        H=np.zeros((n, 0)),
    )
    for individual in pop:
        individual.evaluated = {"F", "G", "H"}
    return pop


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


@pytest.mark.parametrize(
    ("objective", "violation", "chances"),
    [
        ([1.0, 2.0, 4.0], [0, 0, 0], [0.6, 0.4, 0.0]),
        ([1.0, 9.0, 2.0], [0, 3.0, 0], [1.0, 0.0, 0.0]),
        ([9.0, 9.0, 9.0], [1.0, 2.0, 4.0], [0.6, 0.4, 0.0]),
        ([2.0, 2.0, 5.0], [0, 0, 1.0], [0.5, 0.5, 0.0]),
        ([3.0], [0], [1.0]),
    ],
)
def test_roulette_goes_by_the_distance_from_the_worst(objective, violation, chances):
    got = Roulette().chances(np.array(objective), np.array(violation, dtype=float))
    np.testing.assert_allclose(got, chances)


def test_linear_ranks():
    got = LinearRank(1.8).chances(np.array([5.0, 1.0, 2.0, 0.0, 3.0]), np.array([0, 0, 0, 2.0, 0]))
    np.testing.assert_allclose(got, np.array([0.6, 1.8, 1.4, 0.2, 1.0]) / 5)
    assert LinearRank().chances(np.zeros(7), np.zeros(7)).sum() == pytest.approx(1.0)
    np.testing.assert_allclose(LinearRank(1.0).chances(np.arange(3.0), np.zeros(3)), 1 / 3)
    assert LinearRank(1.0).chances(np.zeros(1), np.zeros(1)).tolist() == [1.0]


@pytest.mark.parametrize("selection", [Roulette(), LinearRank()])
def test_parents_are_drawn_by_their_chances(selection):
    pop = population([4.0, 1.0, 2.0])
    parents = selection._do(None, pop, 3000, 2, random_state=np.random.default_rng(0))
    assert parents.shape == (3000, 2)
    expected = selection.chances(np.array([4.0, 1.0, 2.0]), np.zeros(3))
    np.testing.assert_allclose(np.bincount(parents.ravel(), minlength=3) / 6000, expected, atol=0.02)


def test_the_fittest_of_a_tournament():
    pop = population([4.0, 1.0, 2.0, 0.5], [0, 0, 0, 1.0])
    assert fittest(pop, np.array([[0, 1, 2], [0, 3, 3], [2, 2, 0], [3, 3, 3]])).tolist() == [[1], [0], [2], [3]]


@pytest.mark.parametrize(
    ("elite", "left"), [(0, [4.0, 5.0, 6.0]), (1, [1.0, 4.0, 5.0]), (2, [1.0, 2.0, 4.0]), (3, [1.0, 2.0, 3.0])]
)
def test_so_many_parents_compete_with_the_offspring(elite, left):
    parents, offspring = population([3.0, 1.0, 2.0]), population([6.0, 4.0, 7.0, 5.0])
    everyone = Population.merge(parents, offspring)
    survival = Elitism(elite)
    problem = PymooProblem(n_var=1, n_obj=1)
    survivors = survival.do(problem, everyone, n_survive=3, algorithm=SimpleNamespace(pop=parents))
    assert survivors.get("F")[:, 0].tolist() == left
