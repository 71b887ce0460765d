"""A proof proves what exhaustive search finds and no more, and does not survive being tampered with."""

from __future__ import annotations

import math
from dataclasses import replace

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmcjia_opt.base.arrays import EPS
from dmcjia_opt.bounds.proof.checking import Unproved, check_proof, node_classes, price_bound
from dmcjia_opt.bounds.proof.document import Branch, Charge, Leaf, Proof
from dmcjia_opt.bounds.proof.making import prove_bound
from dmcjia_opt.bounds.proof.option_bounds import option_bounds
from dmcjia_opt.methods.placers.exact.exact import Exact
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.queues import MD1, OVERLAP
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.testing.problems import CURVES, ORDERINGS, brute_force, random_problem, random_shared_problem
from dmcjia_opt.testing.strategies import problems
from tests.methods.placers.searches import place

#: What computing the delay of the best plan may err by, relative.
ROUNDING = 64 * EPS


def proof_of(problem: Problem, gap: float = 1e-9) -> tuple[Proof, float]:
    optimum = brute_force(problem)[0]
    return prove_bound(problem, "hash", optimum * (1 - gap)), optimum


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: f"{curve.name} {curve.pieces()[0].a}")
def test_bounds_of_splits_against_fifty_digits(curve):
    """The minimum over the service rate by golden section, in numbers of fifty digits."""
    problem = random_problem(np.random.default_rng(2), 4, 5, curve=curve)[0]
    price = 3.7 * float(problem.weight[0])
    got = option_bounds(problem, np.arange(4), (price,))
    golden = (mpmath.sqrt(5) - 1) / 2
    for d in range(4):
        for g in range(5):
            if math.isinf(problem.fixed_delay[d, g]):
                assert got[d, g] == math.inf
                continue
            with mpmath.workdps(50):
                s, w, rate, local = (
                    mpmath.mpf(float(x))
                    for x in (
                        problem.service[..., 0][d, g],
                        problem.weight[d],
                        problem.arrival_rate[d],
                        problem.fixed_delay[d, g],
                    )
                )
                wait = mpmath.mpf(float(problem.wait[d, g]))

                def cost(log_x, s=s, w=w, rate=rate, wait=wait):
                    x = mpmath.exp(log_x)
                    delay = max(p.a / (rate + x) + p.b / x - p.relief * wait for p in curve.pieces())
                    return w * delay + mpmath.mpf(price) * s * (rate + x)

                true = w * local
                if s > 0:
                    low, high = mpmath.mpf(-15), mpmath.mpf(15)
                    for _ in range(140):
                        one, two = high - golden * (high - low), low + golden * (high - low)
                        low, high = (low, two) if cost(one) < cost(two) else (one, high)
                    true += cost((low + high) / 2)
                assert got[d, g] <= true
                assert got[d, g] >= true * (1 - mpmath.mpf(1e-13))


@pytest.mark.parametrize("seed", range(40))
def test_small_problems_are_proved_to_their_optimum(seed):
    rng = np.random.default_rng(seed)
    problem = random_problem(
        rng,
        int(rng.integers(1, 5)),
        4,
        curve=CURVES[seed % len(CURVES)],
        ordering=("stability", "cloud-faster")[seed % 2],
    )[0]
    proof, optimum = proof_of(problem)
    bound = check_proof(problem, proof)
    assert bound * (1 - 1.1e-14) <= proof.bound <= bound
    assert optimum * (1 - 1.1e-9) <= bound <= optimum * (1 + ROUNDING)


def test_identical_nodes_need_few_cases():
    problem = compile_problem(generate("homogeneous", nodes=20, seed=0))
    first, sizes = node_classes(problem)
    assert (first.tolist(), sizes.tolist()) == ([0], [20])
    proof = prove_bound(problem, "hash", _optimum(problem) * (1 - 1e-9))
    assert 1 < proof.leaves < 100
    assert check_proof(problem, proof) >= _optimum(problem) * (1 - 1.1e-9)


def _optimum(problem: Problem) -> float:
    found = place(Exact(), problem)
    assert found.shares is not None
    return float(problem.objective(found.options, found.shares))


def branched() -> tuple[Problem, Proof, float]:
    """Return a problem that one price cannot prove, its proof, and its optimum."""
    for seed in range(100):
        problem = random_problem(np.random.default_rng(seed), 4, 4)[0]
        proof, optimum = proof_of(problem)
        if proof.leaves >= 4:
            return problem, proof, optimum
    raise AssertionError("no random problem needs a branch")


def test_a_tree_must_be_whole():
    problem, proof, _ = branched()
    for tree, why in (
        (proof.tree[:-1], "cases open"),
        ((*proof.tree, Leaf(0)), "every case is closed already"),
        ((), "cases open"),
        ((Branch(99, 0, 0), *proof.tree), "there is no class 99"),
        ((Branch(0, 99, 0), *proof.tree), "there is no option 99"),
        ((Branch(0, 0, 1), *proof.tree), "class 0 has 1 nodes"),
        ((Branch(None, 0, 4), *proof.tree), "the scenario has 4 nodes"),
        ((Branch(0, 0, 0), Leaf(0, (Charge(99, 1.0),)), Leaf(0)), "there is no option 99"),
        ((Branch(0, 0, 0), Leaf(0, (Charge(0, 1.0, 99),)), Leaf(0)), "there is no menu 99"),
        ((Branch(None, 0, 0, 99), Leaf(0), Leaf(0)), "there is no menu 99"),
        ((Branch(None, 0, 4, 0), Leaf(0), Leaf(0)), "menu 0 has [1-4] nodes"),
        ((Branch(0, 0, 0), Leaf(77), Leaf(0)), "there is no price 77"),
        ((Branch(0, 0, 0), Leaf(None), Leaf(0)), "the cloud can carry a plan of this case"),
    ):
        with pytest.raises(Unproved, match=why):
            check_proof(problem, replace(proof, tree=tree))


def test_another_price_proves_less():
    problem, proof, optimum = branched()
    bounds = []
    for k in range(len(proof.prices)):
        prices = tuple((price * (0.3 if i == k else 1.0),) for i, (price,) in enumerate(proof.prices))
        bounds.append(check_proof(problem, replace(proof, prices=prices)))
    assert max(bounds) <= check_proof(problem, proof)
    assert min(bounds) < optimum * (1 - 1e-3)


@settings(max_examples=150, deadline=None)
@given(problems(max_nodes=3), st.integers(0, 2**32 - 1))
def test_whatever_is_changed_nothing_false_is_proved(drawn, seed):
    """Prices and branches of a proof are changed at random: it is refused, or what it proves is still true."""
    problem = drawn[0]
    optimum = brute_force(problem)[0]
    proof = prove_bound(problem, "hash", optimum * (1 - 1e-6), most_leaves=50)
    assert check_proof(problem, proof) <= optimum * (1 + ROUNDING)
    rng = np.random.default_rng(seed)
    tree = list(proof.tree)
    sizes = node_classes(problem)[1]
    for _ in range(3):
        at = int(rng.integers(len(tree)))
        if rng.random() < 0.5:
            index = int(rng.integers(len(sizes))) if rng.random() < 0.6 else None
            size = int(sizes.sum() if index is None else sizes[index])
            split = int(rng.integers(problem.n_options))
            tree[at : at + 1] = [
                Branch(index, split, int(rng.integers(size))),
                *rng.permutation([tree[at], Leaf(0)]),
            ]
        else:
            charges = random_charges(problem, rng)
            tree[at] = Leaf(None) if rng.random() < 0.2 else Leaf(int(rng.integers(max(1, len(proof.prices)))), charges)
    prices = tuple((float(p * np.exp(rng.normal())),) for (p,) in proof.prices)
    try:
        bound = check_proof(problem, replace(proof, tree=tuple(tree), prices=prices))
    except Unproved:
        return
    assert bound <= optimum * (1 + ROUNDING)


def random_charges(problem: Problem, rng: np.random.Generator) -> tuple[Charge, ...]:
    """Return up to two charges of any option, of all nodes or of one menu."""
    menus = len({problem.menu(d) for d in range(problem.n_nodes)})
    return tuple(
        Charge(int(rng.integers(problem.n_options)), float(rng.normal()), menu)
        for menu in rng.choice([None, *range(menus)], rng.integers(3))
    )


def shared(seed: int) -> Problem:
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(lo, hi)) for lo, hi in ((1, 5), (1, 4), (1, 5), (1, 4)))
    load = (0.3, 0.7, 0.99)[seed % 3]
    return random_shared_problem(rng, *shape, utilisation=load, ordering=ORDERINGS[seed % 2])[0]


@pytest.mark.parametrize("block", [*range(4), *(pytest.param(k, marks=pytest.mark.slow) for k in range(4, 12))])
def test_small_problems_of_several_resources_are_proved_to_their_optimum(block):
    for seed in range(6 * block, 6 * block + 6):
        problem = shared(seed)
        proof, optimum = proof_of(problem)
        bound = check_proof(problem, proof)
        assert bound * (1 - 1.1e-14) <= proof.bound <= bound <= optimum * (1 + ROUNDING)
        assert all(len(prices) == problem.n_resources for prices in proof.prices)
        assert bound >= optimum * (1 - 1.1e-9), seed


def test_whatever_is_changed_with_several_resources_nothing_false_is_proved():
    """Prices, branches and weights of a proof are changed at random: it is refused, or what it proves is true."""
    refused = 0
    for seed in range(20):
        rng, problem = np.random.default_rng(seed), shared(seed)
        proof, optimum = proof_of(problem, 1e-6)
        tree, size = list(proof.tree), int(node_classes(problem)[1][0])
        for _ in range(2):
            at = int(rng.integers(len(tree)))
            weights = tuple(rng.exponential(size=problem.n_resources).tolist())
            case = Branch(0, int(rng.integers(problem.n_options)), int(rng.integers(size)))
            leaf = Leaf(None, weights=weights) if rng.random() < 0.3 else Leaf(0, random_charges(problem, rng))
            if rng.random() < 0.4:
                case = replace(case, index=None, menu=0, most=0)
            tree[at : at + 1] = [case, tree[at], leaf] if rng.random() < 0.5 else [leaf]
        prices = tuple(tuple((np.array(p) * np.exp(rng.normal(size=len(p)))).tolist()) for p in proof.prices)
        try:
            bound = check_proof(problem, replace(proof, tree=tuple(tree), prices=prices))
        except Unproved:
            refused += 1
            continue
        assert bound <= optimum * (1 + ROUNDING)
    assert 5 < refused < 15


def too_much() -> Problem:
    """Return a problem whose nodes must use one of two resources, or both: neither alone is too small, both are."""
    service = np.array([[[0.5, 0.0], [0.0, 0.5], [0.3, 0.3]]] * 3)
    resource = np.array([[[0, 1], [0, 1], [0, 1]]] * 3)
    return Problem(np.full((3, 3), 0.1), service, np.full(3, 1.4), np.full(3, 1 / 3), MD1, resource=resource)


def test_an_overload_of_several_resources_is_proved_by_weights():
    problem = too_much()
    proof = prove_bound(problem, "hash", 1.0)
    (leaf,) = proof.tree
    assert leaf.price is None
    assert check_proof(problem, proof) == math.inf
    for weights in ((1.0, 1.0), (3e99, 3e99)):
        assert check_proof(problem, replace(proof, tree=(Leaf(None, weights=weights),))) == math.inf
    for weights, why in (
        ((1.0, 0.0), "the resources can carry a plan of this case, its least load is 0$"),
        ((0.0, 0.0), "the resources can carry"),
        ((1.0, 0.5), "the resources can carry"),
        ((1.0,), "overload holds 1 numbers; the scenario shares 2 resources"),
        ((), "overload holds 1 numbers; the scenario shares 2 resources"),
        ((1.0, -1.0), r"overload must lie between 0 and 1e\+100"),
    ):
        with pytest.raises(Unproved, match=why):
            check_proof(problem, replace(proof, tree=(Leaf(None, weights=weights),)))
    with pytest.raises(Unproved, match=r"prices_s\[0\] holds 1 numbers"):
        check_proof(problem, Proof("", 0.0, ((1.0,),), (Leaf(0),)))


def test_weights_of_one_resource_prove_no_more_than_its_load():
    problem = random_problem(np.random.default_rng(0), 3, 3)[0]
    for weight in (1e-300, 0.5, 2.0):
        with pytest.raises(Unproved, match="the cloud can carry a plan"):
            check_proof(problem, Proof("", 0.0, (), (Leaf(None, weights=(weight,)),)))
    full = replace(problem, service=problem.service + 1e3)
    assert check_proof(full, Proof("", 0.0, (), (Leaf(None, weights=(0.5,)),))) == math.inf


def test_a_link_on_which_tasks_overlap_may_be_full():
    """Two tasks a second of half a second each fill the link exactly; that is a plan, and no overload."""
    problem = Problem([[0.1]], [[0.5]], [2.0], [1.0], OVERLAP)
    with pytest.raises(Unproved, match="can carry a plan of this case"):
        check_proof(problem, Proof("", 0.0, (), (Leaf(None),)))
    assert price_bound(problem, (1.0,)) == pytest.approx(0.6, rel=1e-15)
    assert price_bound(problem, (1.0,)) <= 0.1 + 0.5


def test_limits_on_all_nodes_close_what_classes_cannot():
    """Twenty nodes, no two alike, any of which could take another's place: a few cases, with charges."""
    problem = compile_problem(generate("near", nodes=20, seed=1))
    optimum = _optimum(problem)
    proof = prove_bound(problem, "hash", optimum * (1 - 1e-9))
    assert proof.leaves < 20
    assert any(isinstance(node, Branch) and node.index is None for node in proof.tree)
    assert any(isinstance(node, Leaf) and node.charges for node in proof.tree)
    assert check_proof(problem, proof) >= optimum * (1 - 1.1e-9)


def test_a_price_of_zero_proves_the_local_delay():
    problem = random_problem(np.random.default_rng(0), 3, 3)[0]
    floor = (problem.weight[:, None] * problem.fixed_delay).min(axis=1).sum()
    assert price_bound(problem, (0.0,)) == pytest.approx(floor, rel=1e-14)
    assert price_bound(problem, (0.0,)) <= floor


def test_an_impossible_fleet_is_proved_so():
    problem = Problem(np.full((3, 2), 0.1), np.full((3, 2), 1.0), np.full(3, 0.5), np.full(3, 1 / 3))
    proof = prove_bound(problem, "hash", 1.0)
    assert proof.tree == (Leaf(None),)
    assert check_proof(problem, proof) == math.inf
    feasible = random_problem(np.random.default_rng(0), 3, 3)[0]
    with pytest.raises(Unproved, match="the cloud can carry a plan"):
        check_proof(feasible, proof)


def test_a_large_fleet_is_proved_by_one_price():
    problem = compile_problem(generate("fleet", nodes=3000, seed=1))
    optimum = _optimum(problem)
    proof = prove_bound(problem, "hash", optimum * (1 - 1e-9))
    assert check_proof(problem, proof) >= optimum * (1 - 1.1e-9)


def test_too_large_a_proof_is_given_up_for_the_best_price():
    problem, proof, _ = branched()
    small = prove_bound(problem, "hash", proof.bound, most_leaves=1)
    assert small.leaves == 1
    assert small.bound <= check_proof(problem, small) < proof.bound


@pytest.mark.parametrize("number", [-1e308, 1e308, 1.1e100, math.inf, -math.inf, math.nan])
def test_no_number_of_a_proof_made_in_python_overflows_either(number):
    problem = random_problem(np.random.default_rng(0), 3, 3)[0]
    with pytest.raises(Unproved, match="1e\\+100"):
        check_proof(problem, Proof("", 0.0, ((1.0,),), (Leaf(0, (Charge(0, number),)),)))
    with pytest.raises(Unproved, match="1e\\+100"):
        check_proof(problem, Proof("", 0.0, ((number,),), (Leaf(0),)))


def test_numbers_at_the_ends_of_their_range_are_checked_without_a_warning():
    problem = random_problem(np.random.default_rng(0), 3, 3)[0]
    for charge in (-1e100, 1e100, 5e-324):
        for price in (0.0, 5e-324, 1e-100, 1e100):
            bound = check_proof(
                problem, Proof("", 0.0, ((price,),), (Leaf(0, (Charge(0, charge), Charge(1, -charge))),))
            )
            assert bound < 1e101
