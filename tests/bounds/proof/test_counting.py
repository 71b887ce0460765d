"""Proofs of nearly identical nodes: few cases, and a bound that the checker derives anew."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dmcjia_opt import Stop, check_proof, compile_problem, generate, solve
from dmcjia_opt.bounds.certificate import best_lower_bound
from dmcjia_opt.bounds.proof.checking import Unproved
from dmcjia_opt.bounds.proof.counting import by_counts
from dmcjia_opt.bounds.proof.document import Branch, Leaf, Proof, load_proof
from dmcjia_opt.bounds.proof.making import prove_bound
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling


def prices_of(problem):
    return lambda plan: WaterFilling().allocate(problem, plan[None]).prices[0]


@pytest.fixture(scope="module")
def alike():
    scenario = generate("hard", nodes=40, seed=1)
    plan = solve(scenario, stop=Stop(gap=1e-9))
    return scenario, compile_problem(scenario), plan.objective


@pytest.fixture(scope="module")
def proof(alike):
    scenario, problem, best = alike
    return prove_bound(problem, scenario.sha256(), best * (1 - 1e-9), prices_of=prices_of(problem))


def test_a_few_dozen_cases_prove_the_optimum(alike, proof, tmp_path):
    _, problem, best = alike
    assert 2 <= proof.leaves <= 60
    bound = check_proof(problem, proof)
    assert best * (1 - 1e-9) <= proof.bound <= bound <= best
    proof.save(tmp_path / "proof.json")
    assert load_proof(tmp_path / "proof.json") == proof


def test_no_tree_proves_more_than_the_optimum(alike):
    scenario, problem, best = alike
    prices = tuple(best_lower_bound(problem)[1].tolist())
    found = by_counts(problem, best * (1 + 1e-6), prices, prices_of(problem), 5)
    assert found is None or check_proof(problem, Proof(scenario.sha256(), 0.0, *found)) <= best


def test_a_case_that_is_left_out_is_missed(alike, proof):
    _, problem, _ = alike
    with pytest.raises(Unproved, match="cases open"):
        check_proof(problem, replace(proof, tree=proof.tree[:-1]))


def test_a_leaf_without_its_charges_proves_less(alike, proof):
    _, problem, best = alike
    at, leaf = next((i, node) for i, node in enumerate(proof.tree) if isinstance(node, Leaf) and node.charges)
    tree = (*proof.tree[:at], replace(leaf, charges=()), *proof.tree[at + 1 :])
    assert check_proof(problem, replace(proof, tree=tree)) < best * (1 - 1e-6)


def test_groups_with_links_of_their_own_are_counted_apart():
    """Nodes of two links: cases and charges are about the nodes of one menu, and prove the optimum together."""
    scenario = generate("hard", nodes=10, seed=1, links=2)
    problem, plan = compile_problem(scenario), solve(scenario, stop=Stop(gap=1e-9))
    proof = prove_bound(problem, scenario.sha256(), plan.objective * (1 - 1e-9), prices_of=prices_of(problem))
    assert {node.menu for node in proof.tree if isinstance(node, Branch)} == {0, 1}
    assert plan.objective * (1 - 1e-9) <= check_proof(problem, proof) <= plan.objective
    elsewhere = tuple(
        replace(node, charges=tuple(charge._replace(menu=1 - charge.menu) for charge in node.charges))
        if isinstance(node, Leaf)
        else node
        for node in proof.tree
    )
    assert check_proof(problem, replace(proof, tree=elsewhere)) < plan.objective * (1 - 1e-9)


def test_nodes_that_differ_are_not_counted():
    problem = compile_problem(generate("mixed", nodes=20, seed=1))
    bound, prices = best_lower_bound(problem)
    assert by_counts(problem, bound * (1 + 1e-3), tuple(prices.tolist()), prices_of(problem), 100) is None
