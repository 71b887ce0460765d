"""Plans of somebody's own choice: what they are for, how they are said, and what is proved of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dmcjia_opt import InfeasibleError, InputError, Node, Scenario, compile_problem, evaluate, generate, solve, verify
from dmcjia_opt.solving.contract import Status
from tests.sites import ACCESS_POINT, TIERS, site


@pytest.fixture(scope="module")
def paper():
    return generate("paper", nodes=4, seed=1)


@pytest.fixture(scope="module")
def optimum(paper):
    return solve(paper)


@pytest.fixture(scope="module")
def tiers(tmp_path_factory):
    return site(tmp_path_factory.mktemp("tiers"), TIERS)


def test_splits_in_order_or_by_name_options_and_the_plan_itself_are_the_same(paper, optimum):
    by_name = dict(zip(paper.nodes.names, optimum.splits.tolist(), strict=True))
    found = [
        evaluate(paper, optimum.splits),
        evaluate(paper, by_name, "cloud"),
        evaluate(paper, options=optimum.options),
        evaluate(paper, optimum.splits, shares=optimum.shares),
        evaluate(compile_problem(paper), options=optimum.options),
    ]
    for plan in found:
        assert plan.objective == pytest.approx(optimum.objective, rel=1e-12)
        assert plan.status == Status.OPTIMAL
        np.testing.assert_array_equal(plan.splits, optimum.splits)
    assert all(check.true for check in verify(paper, found[0]))
    assert found[0].placer == "given"
    assert found[3].allocator == "given"


def test_a_worse_plan_has_a_gap_that_the_optimum_proves(paper, optimum):
    mine = evaluate(paper, [34, 16, 0, 0], shares=[0.0, 0.2, 0.4, 0.4])
    assert mine.objective > optimum.objective
    assert mine.gap == pytest.approx(1 - mine.lower_bound / mine.objective)
    assert mine.lower_bound <= optimum.objective


def test_the_bound_of_a_search_is_taken_over(tiers):
    optimum = solve(tiers)
    alone = evaluate(tiers, options=optimum.options)
    beside = evaluate(tiers, options=optimum.options, against=optimum)
    assert optimum.bound_from == beside.bound_from == "branch-and-bound"
    assert alone.gap > 1e-3 > beside.gap
    assert beside.status == Status.OPTIMAL
    with pytest.raises(InputError, match="against must be a Plan of the same scenario"):
        evaluate(tiers, options=optimum.options, against=evaluate(generate("paper", nodes=3), [0, 0, 0]))


def test_cuts_servers_and_shares_by_resource(tmp_path, tiers):
    optimum = solve(tiers)
    choices, nodes = optimum.choices, range(tiers.n_nodes)
    cuts = [choices.cuts_of(d) for d in nodes]
    found = evaluate(tiers, cuts, shares=[choices.shares_of(d) for d in nodes])
    assert found.objective == pytest.approx(optimum.objective, rel=1e-12)
    scenario = site(tmp_path, ACCESS_POINT)
    best = solve(scenario)
    servers = [best.choices.server_of(d) for d in nodes]
    said = evaluate(scenario, best.splits, dict(zip(scenario.nodes.names, servers, strict=True)))
    np.testing.assert_array_equal(said.options, best.options)
    everywhere = evaluate(scenario, [0, 0, scenario.profiles["alexnet"].n_layers], "edge-server")
    assert [everywhere.choices.server_of(d) for d in nodes] == ["edge-server", "edge-server", None]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "evaluate needs splits"),
        ({"splits": [0, 1, 2, 3], "options": [0, 1, 2, 3]}, "evaluate needs splits"),
        ({"splits": [0, 1]}, "splits must have an entry for each of 4 nodes, got 2"),
        ({"splits": "0 0 0 0"}, "splits must have an entry for each of 4 nodes, got '0 0 0 0'"),
        ({"splits": 7}, "splits must have an entry for each of 4 nodes, got 7"),
        ({"splits": [0.5, 0, 0, 0]}, "splits must be whole numbers"),
        ({"splits": [[0, 1], 0, 0, 0]}, "splits must be whole numbers"),
        ({"splits": [0, 0, 0, 99]}, 'the split of "node-0004" must lie in 0 … 34, got 99'),
        ({"splits": {"node-1": 0}}, "there is no node 'node-1' (did you mean \"node-0001\"?)"),
        ({"splits": {"node-0001": 0}}, 'there is nothing for "node-0002"'),
        ({"splits": [0] * 4, "servers": ["moon", None, None, None]}, "\"node-0001\" cannot use 'moon'; there is cloud"),
        ({"splits": [0] * 4, "shares": [1, 0]}, "shares must have an entry for each of 4 nodes, got 2"),
        ({"splits": [0] * 4, "shares": ["a"] * 4}, "shares must be numbers of shape (4, 1)"),
        ({"splits": [0] * 4, "shares": np.ones((4, 2))}, "shares must be numbers of shape (4, 1)"),
        ({"splits": [0] * 4, "shares": [{"clod": 1}, {}, {}, {}]}, 'did you mean "cloud"?'),
        ({"splits": [0] * 4, "shares": [{"cloud": 1}, 0, {}, {}]}, '"node-0002" must have a mapping as the others'),
        ({"splits": [0] * 4, "allocator": "nobody"}, 'unknown allocator "nobody"'),
        ({"options": np.zeros((2, 4), dtype=int)}, "a plan has one option a node, (4,)"),
    ],
)
def test_what_is_no_plan_is_refused_with_what_was_expected(paper, given, told):
    with pytest.raises(InputError) as caught:
        evaluate(paper, **given)
    assert told in str(caught.value)


def test_what_breaks_a_constraint_says_which(paper):
    with pytest.raises(InfeasibleError, match=r"its shares exceed the cloud by 0\.6"):
        evaluate(paper, [0] * 4, shares=[0.4] * 4)
    with pytest.raises(InfeasibleError, match='"node-0001" is unstable at split 34'):
        evaluate(replace(paper, nodes=replace(paper.nodes, arrival_rate=np.full(4, 5.0))), [34] * 4)


def test_a_problem_has_options_and_no_splits(paper):
    with pytest.raises(InputError, match="a problem knows options, no splits"):
        evaluate(compile_problem(paper), [0] * 4)


def test_solve_of_a_problem_is_that_of_its_scenario(paper, optimum, tiers):
    plan = solve(compile_problem(paper))
    np.testing.assert_array_equal(plan.options, optimum.options)
    assert plan.objective == optimum.objective
    assert plan.names[:2] == ("node-1", "node-2")
    assert plan.bound_holds_for == "reserved shares, these options and these delay curves"
    several, of_tiers = solve(compile_problem(tiers)), solve(tiers)
    assert [several.choices.server_of(d) for d in range(3)] == [of_tiers.choices.server_of(d) for d in range(3)]
    assert several.choices.stages_of(0) == of_tiers.choices.stages_of(0)
    assert solve(compile_problem(paper), start=optimum).objective == optimum.objective
    overfull = compile_problem(Scenario(1.0, [Node("a", "vgg19", compute_gflops=1, arrival_rate=9, uplink_mbps=100)]))
    with pytest.raises(InfeasibleError, match=r"what is shared would be used .* times"):
        solve(overfull)
