"""Nodes whose tasks do not arrive as Poisson processes: optima against every plan, other allocators and proofs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dmcjia_opt.bounds.certificate import judge
from dmcjia_opt.bounds.proof.checking import check_proof
from dmcjia_opt.bounds.proof.making import prove_bound
from dmcjia_opt.model.delay import TANDEM, tandem
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.queues import MD1, MM1, OVERLAP, mg1
from dmcjia_opt.solving.registry import build_allocator, build_placer
from dmcjia_opt.solving.running import place
from dmcjia_opt.testing.problems import random_problem, random_shared_problem

QUEUES = MD1, MM1, mg1(0.3)


def drawn(seed: int) -> Problem:
    """Draw a small problem, a fourth of them of periodic nodes alone."""
    rng = np.random.default_rng(seed)
    n, m, kind = int(rng.integers(2, 5)), int(rng.integers(2, 4)), seed % 6
    ordering = "cloud-faster" if seed % 5 == 0 else "stability"
    if kind < 2:
        problem, _ = random_problem(rng, n, m, curve=TANDEM if kind else QUEUES[seed % 3], ordering=ordering)
    elif kind < 5:
        curves = ((TANDEM, TANDEM), (OVERLAP, MD1), (MD1, MD1))[kind - 2]
        problem, _ = random_shared_problem(rng, n, m, 3, 2, curves=curves, ordering=ordering)
    else:
        problem, _ = random_problem(rng, n, m, curve=tandem("p95"))
    scv = np.where(rng.random(n) < 0.4, 0.0, rng.uniform(0.0, 3.0, n))
    scv = rng.integers(0, 2, n).astype(float) if kind == 5 else scv
    scv = np.zeros(n) if seed % 4 == 0 else scv
    # what arrives periodically has not waited upstream either
    wait = np.where(scv[:, None] == 0.0, 0.0, problem.wait)
    fixed = np.where(np.isfinite(problem.fixed_delay), problem.fixed_delay - problem.wait + wait, np.inf)
    return replace(problem, arrival_scv=scv, wait=wait, fixed_delay=np.maximum(fixed, wait))


def _check(seed: int) -> None:
    problem, filling = drawn(seed), build_allocator("waterfilling")
    every, best = (place(build_placer(name), problem, filling) for name in ("exhaustive", "exact"))
    values = [judge(problem, found.options, found.shares).objective for found in (every, best)]
    assert values[0] == pytest.approx(values[1], rel=1e-9), seed
    assert values[1] * (1 - 1e-9) <= best.lower_bound <= values[1], seed
    other = build_allocator("alm").allocate(problem, best.options[None])
    assert float(problem.objective(best.options[None], other.shares)[0]) == pytest.approx(values[1], rel=1e-8), seed
    if not problem.kinked:
        proof = prove_bound(problem, "", values[1] * (1 - 1e-9))
        assert values[1] * (1 - 1e-8) <= check_proof(problem, proof) <= values[1], seed


def test_optima_equal_the_best_of_all_plans():
    for seed in range(12):
        _check(seed)


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, 1000, 100))
def test_optima_equal_the_best_of_all_plans_a_thousand_times(start):
    for seed in range(start, start + 100):
        _check(seed)


def test_methods_without_a_form_for_other_arrivals_say_so():
    problem = drawn(1)
    assert problem.renewal
    assert problem.kinked
    assert "Poisson" in str(build_allocator("cvxpy").supports(problem))
    assert build_allocator("waterfilling").supports(problem) is None
