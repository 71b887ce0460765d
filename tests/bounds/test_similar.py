"""Groups of nodes with the same menu, and how much alike they are."""

from __future__ import annotations

import numpy as np
import pytest

from dmcjia_opt.bounds.best import BestPrice
from dmcjia_opt.bounds.similar import apart, groups_of, reach
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.families import generate


def grouped(problem):
    every = [np.arange(problem.n_options)] * problem.n_nodes
    return groups_of(problem, np.arange(problem.n_nodes), every)


def test_nodes_behind_one_link_are_a_group():
    problem = compile_problem(generate("near", nodes=12, seed=1, links=3))
    groups = grouped(problem)
    assert len(groups) == 3
    assert sorted(np.concatenate([group.nodes for group in groups])) == list(range(12))
    for group in groups:
        assert len(np.unique(problem.resource[group.nodes], axis=0)) == 1
        assert group.columns.local.shape == (4, problem.n_options)


def test_options_of_a_group_are_those_of_any_of_its_nodes():
    problem = compile_problem(generate("near", nodes=3, seed=1))
    (group,) = groups_of(problem, np.array([0, 2]), [np.array([4, 2]), np.array([4, 7])])
    assert group.nodes.tolist() == [0, 2]
    assert group.options.tolist() == [2, 4, 7]


def test_nodes_are_further_apart_the_more_they_differ():
    found = []
    for epsilon in (0.0, 1e-4, 1e-2):
        problem = compile_problem(generate("near", nodes=20, seed=1, epsilon=epsilon))
        found.append(apart(grouped(problem), BestPrice(problem).point.prices, 1e-3))
    assert found[0] == 0.0
    assert 0.0 < 50 * found[1] < found[2] < 200 * found[1]


@pytest.mark.parametrize(("room", "far"), [(1e-4, 0.04), (1.0, 2.0)])
def test_prices_of_plans_are_the_nearer_the_less_is_open(room, far):
    assert reach(room, np.array([0.25, 0.75])) == pytest.approx(far)
