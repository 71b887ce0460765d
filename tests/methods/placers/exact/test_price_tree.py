"""Cases with prices of their own, and cuts of each resource alone, close what one vector of prices does not."""

from __future__ import annotations

import numpy as np
import pytest

from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.methods.placers.exact import price_tree
from dmcjia_opt.methods.placers.exact.lagrangian import recover
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.solving.contract import Status, Stop
from dmcjia_opt.solving.ending import BudgetSpent
from dmcjia_opt.solving.registry import build_placer
from dmcjia_opt.solving.running import place
from dmcjia_opt.solving.search import Search
from dmcjia_opt.testing.problems import brute_force, random_shared_problem


def begun(problem, stop=None):
    search = Search(problem, WaterFilling(), stop or Stop(), proves=True)
    search.raise_bound(search.dual.point.prices)
    recover(search)
    return search


@pytest.mark.parametrize("seed", range(6))
def test_the_tree_ends_with_the_optimum_and_no_bound_above_it(seed):
    problem, _ = random_shared_problem(np.random.default_rng(seed), 4, 4, 3, 2, utilisation=0.9)
    best, _, _ = brute_force(problem)
    search = begun(problem)
    assert search.objective >= best * (1 - 1e-12)
    assert price_tree.close(search, most_cases=2000)
    assert search.objective == pytest.approx(best, rel=1e-9)
    assert best * (1 - 1e-9) <= search.placement().lower_bound <= best * (1 + 1e-13)


def test_a_tree_without_room_keeps_the_bound_it_has():
    problem = compile_problem(generate("servers", nodes=12, seed=1))
    whole = place(build_placer("exact"), problem, WaterFilling())
    search = begun(problem)
    before = search.lower_bound
    assert not price_tree.close(search, most_cases=2)
    assert before <= search.lower_bound <= whole.lower_bound * (1 + 1e-9)


def test_a_budget_ends_the_tree():
    problem = compile_problem(generate("servers", nodes=12, seed=1))
    search = begun(problem)
    limited = begun(problem, Stop(evaluations=search.evaluations + 1))
    with pytest.raises(BudgetSpent):
        price_tree.close(limited, most_cases=2000)


@pytest.mark.parametrize(("family", "nodes"), [("servers", 8), ("hosts", 6), ("tiers", 8), ("links", 20)])
@pytest.mark.parametrize("placer", ["benders", "exact"])
def test_what_few_nodes_share_at_a_time_is_closed(family, nodes, placer):
    problem = compile_problem(generate(family, nodes=nodes, seed=0))
    found = place(build_placer(placer), problem, WaterFilling())
    assert found.status == Status.OPTIMAL
    reached = problem.objective(found.options, found.shares)
    assert 0.0 <= reached - found.lower_bound <= 1e-9 * reached
