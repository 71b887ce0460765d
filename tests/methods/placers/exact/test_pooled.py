"""The proved optimum where something is pooled is that of all plans, and no bound is above it."""

from dataclasses import replace

import numpy as np
import pytest

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.bounds.certificate import best_lower_bound, lower_bound, options_lower_bound
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.methods.placers.exact import pooled as by_boxes
from dmcjia_opt.methods.placers.exact.exact import Exact
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.solving.contract import Status, Stop
from dmcjia_opt.solving.registry import build_placer
from dmcjia_opt.solving.running import place
from dmcjia_opt.testing.problems import (
    CURVES,
    all_plans,
    brute_force,
    impossible,
    pooled,
    random_problem,
    random_shared_problem,
)

KINDS = ("reserved", "fifo", "ps", "batches")


def drawn(seed):
    """Return a small problem: one server, or several resources, all of them pooled or some."""
    rng = np.random.default_rng(seed)
    how = {"utilisation": float(rng.choice([0.3, 0.7, 0.9, 0.99])), "average": ("nodes", "tasks")[seed % 2]}
    kind = seed % 5
    if kind < 3:
        problem, _ = random_problem(
            rng, int(rng.integers(1, 6)), int(rng.integers(2, 5)), curve=CURVES[seed % 6], **how
        )
        return pooled(problem, KINDS[1 + kind])
    ordering = ("stability", "cloud-faster")[seed % 3 == 0]
    problem, _ = random_shared_problem(rng, int(rng.integers(1, 5)), 3, 3, 2, ordering=ordering, **how)
    return pooled(problem, *(KINDS[i] for i in rng.integers(4 - kind, 4, 3)))


def check(problem):
    best, _, _ = brute_force(problem)
    found = place(Exact(), problem, WaterFilling())
    assert best_lower_bound(problem)[0] <= best * (1 + 1e-13)
    if np.isinf(best):
        assert found.shares is None
        return
    value = problem.objective(found.options, found.shares)
    assert problem.residuals(found.options, found.shares).feasible
    assert value == pytest.approx(best, rel=1e-9)
    assert best * (1 - 1e-9) <= found.lower_bound <= best * (1 + 1e-13)


@pytest.mark.parametrize("seed", range(20))
def test_the_plan_is_the_best_of_all_and_proved(seed):
    check(drawn(seed))


@pytest.mark.parametrize("seed", range(60, 75))
def test_boxes_alone_prove_it(seed, monkeypatch):
    monkeypatch.setattr(by_boxes, "_FEW", 1)
    check(drawn(seed))


@pytest.mark.slow
@pytest.mark.parametrize("start", [0, *range(1000, 3000, 100)])
def test_two_thousand_more(start, monkeypatch):
    for seed in range(start, start + 100):
        monkeypatch.setattr(by_boxes, "_FEW", (1, 16, 2048)[seed % 3])
        check(drawn(seed))


@pytest.mark.parametrize(("family", "nodes"), [("paper", 10), ("paper", 30), ("homogeneous", 10), ("scarce", 10)])
@pytest.mark.parametrize("sharing", KINDS[1:])
def test_fleets_are_closed(family, nodes, sharing):
    problem = pooled(compile_problem(generate(family, nodes=nodes, seed=1)), sharing)
    found = place(Exact(), problem, WaterFilling())
    value = float(problem.objective(found.options, found.shares))
    assert (found.status, found.bound_from) == (Status.OPTIMAL, "exact")
    assert value * (1 - 1e-9) <= found.lower_bound <= value
    reserved = place(
        Exact(), compile_problem(generate(family, nodes=nodes, seed=1)), WaterFilling(), stop=Stop(gap=1e-4)
    )
    assert value < reserved.lower_bound


@pytest.mark.parametrize("seed", range(10))
def test_a_search_that_is_cut_short_says_a_true_bound(seed, monkeypatch):
    monkeypatch.setattr(by_boxes, "_FEW", 1)
    monkeypatch.setattr(by_boxes, "_AT_ONCE", 2)
    problem, _ = random_shared_problem(np.random.default_rng(seed), 4, 4, 3, 2, utilisation=0.9)
    problem = pooled(problem, "fifo")
    best, _, _ = brute_force(problem)
    found = place(Exact(room=replace(Exact().room, boxes=2)), problem, WaterFilling())
    assert found.lower_bound <= best * (1 + 1e-13)
    assert problem.objective(found.options, found.shares) >= best * (1 - 1e-12)


@pytest.mark.parametrize("seed", range(12))
def test_bounds_of_plans_are_below_what_they_take(seed):
    problem = drawn(seed)
    plans = all_plans(problem)
    plans = plans[problem.overload(plans) == 0]
    allocation = WaterFilling().allocate(problem, plans)
    value = problem.objective(plans, allocation.shares)
    bound = options_lower_bound(problem, plans, allocation.prices)
    assert (bound <= value * (1 + 1e-14)).all()
    if problem.pooled.all():
        assert bound == pytest.approx(value, rel=1e-11)
    worst = replace(problem, worst=True)
    assert (options_lower_bound(worst, plans, allocation.prices) <= worst.objective(plans, allocation.shares)).all()


def test_prices_of_what_is_pooled_prove_nothing_too_high():
    problem = drawn(4)
    best, _, _ = brute_force(problem)
    for price in (0.0, 1e-3, 1.0, 1e3):
        assert lower_bound(problem, np.full(problem.n_resources, price)) <= best


def test_overloaded_fleets_have_no_plan():
    found = place(Exact(), pooled(impossible(), "fifo"), WaterFilling())
    assert (found.shares, found.status) == (None, Status.INFEASIBLE)


@pytest.mark.parametrize("name", ["lagrangian", "branch-and-bound", "benders"])
def test_methods_that_know_shares_only_say_so(name):
    problem = pooled(drawn(1), "fifo")
    with pytest.raises(InputError, match="is pooled, and it knows reserved shares only; use exact"):
        place(build_placer(name), problem, WaterFilling(), name=name)


def test_exact_says_what_it_does_not_prove():
    problem = drawn(0)
    late = replace(problem, deadline=np.full(problem.n_nodes, 1e6))
    assert "does not prove deadlines" in Exact().supports(late)
    assert "does not prove the worst node" in Exact().supports(replace(problem, worst=True))


@pytest.mark.parametrize(
    "name", ["genetic", "memetic", "exhaustive", "scipy", "cloud-only", "edge-only", "neurosurgeon+"]
)
def test_placers_that_take_any_evaluator_take_it(name):
    problem = pooled(compile_problem(generate("paper", nodes=4, seed=1)), "fifo")
    exact = place(Exact(), problem, WaterFilling())
    found = place(build_placer(name), problem, WaterFilling(), stop=Stop(evaluations=600))
    assert found.shares is not None
    assert not found.shares.any()
    value = problem.objective(found.options, found.shares)
    assert value >= exact.lower_bound
    if name in ("exhaustive", "memetic"):
        assert value == pytest.approx(exact.lower_bound, rel=1e-9)


@pytest.mark.parametrize("seed", [1639])
def test_what_was_found_by_drawing(seed, monkeypatch):
    monkeypatch.setattr(by_boxes, "_FEW", 16)  # 1639: a fleet in which no node has a second option
    check(drawn(seed))
