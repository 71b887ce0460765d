"""Nearly identical nodes are closed by counts of similar ones."""

from __future__ import annotations

import numpy as np
import pytest

from dmcjia_opt.bounds.similar import groups_of
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.methods.placers.exact import counts
from dmcjia_opt.methods.placers.exact.lagrangian import left_open, recover
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.solving.contract import Status, Stop
from dmcjia_opt.solving.registry import build_placer
from dmcjia_opt.solving.running import place
from dmcjia_opt.solving.search import BudgetSpent, Search


def begun(problem, **stop):
    search = Search(problem, WaterFilling(), Stop(**stop), proves=True)
    search.raise_bound(search.dual.point.prices)
    recover(search)
    return search


@pytest.mark.parametrize(
    "options",
    [
        {"nodes": 20, "cloud_gflops": 20.0},
        {"nodes": 40, "epsilon": 1e-4, "cloud_gflops": 40.0},
        {"nodes": 200},
        {"nodes": 40, "links": 1},
    ],
    ids=str,
)
def test_few_cases_close_what_is_alike(options):
    search = begun(compile_problem(generate("hard", seed=1, **options)))
    before = search.objective - search.lower_bound
    assert before > 1e-5 * search.objective
    assert counts.close(search, most_cases=200)
    assert 0.0 <= search.objective - search.lower_bound <= 1e-9 * search.objective
    assert search.placement().bound_from == "branch-and-bound"


def test_plan_and_bound_are_those_of_branch_and_bound_and_benders():
    problem = compile_problem(generate("near", nodes=20, seed=2, epsilon=1e-3))
    search = begun(problem)
    assert counts.close(search, most_cases=200)
    other = place(build_placer("benders"), problem, WaterFilling())
    assert search.objective == pytest.approx(float(problem.objective(other.options, other.shares)), rel=1e-9)
    assert search.lower_bound == pytest.approx(other.lower_bound, rel=2e-9)


def test_without_room_it_keeps_the_bound_it_has():
    search = begun(compile_problem(generate("hard", nodes=100, seed=1)))
    before = search.lower_bound
    assert not counts.close(search, most_cases=3)
    assert before < search.lower_bound < search.objective


def test_a_budget_ends_it():
    problem = compile_problem(generate("hard", nodes=100, seed=1))
    spent = begun(problem).evaluations
    with pytest.raises(BudgetSpent):
        counts.close(begun(problem, evaluations=spent + 1), most_cases=200)


@pytest.mark.parametrize(
    ("family", "options", "tried"),
    [
        ("hard", {"nodes": 40}, True),
        ("hard", {"nodes": 30, "kind": "knapsack"}, False),
        ("hard", {"nodes": 40, "links": 2}, True),
        ("servers", {"nodes": 20}, False),
    ],
    ids=str,
)
def test_it_is_tried_where_nodes_are_alike(family, options, tried):
    search = begun(compile_problem(generate(family, seed=1, **options)))
    left = left_open(search)
    groups = groups_of(search.problem, left.nodes, left.options)
    assert counts.similar(search, left, groups) is tried


@pytest.mark.parametrize("options", [{"nodes": 12}, {"nodes": 12, "links": 2}, {"nodes": 12, "kind": "cells"}], ids=str)
def test_exact_closes_every_kind(options):
    problem = compile_problem(generate("hard", seed=3, **options))
    found = place(build_placer("exact"), problem, WaterFilling())
    assert found.status == Status.OPTIMAL
    value = float(problem.objective(found.options, found.shares))
    assert 0.0 <= value - found.lower_bound <= 1e-9 * value
    assert np.isfinite(value)
