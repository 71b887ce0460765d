"""What the tests of every adapter of a general solver share: problems, and what it owes on them."""

from __future__ import annotations

import time
from functools import cache

import numpy as np

from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.methods.placers.exact.branch_and_bound import BranchAndBound
from dmcjia_opt.methods.placers.solvers.cone_placer import ConePlacer
from dmcjia_opt.model.delay import MD1, MM1, TANDEM, mg1
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.solving.contract import Placement, Status, Stop
from dmcjia_opt.testing.problems import brute_force, random_problem

SMALL = tuple(
    random_problem(
        np.random.default_rng(seed), 4, 4, curve=curve, ordering=ordering, average=average, utilisation=load
    )[0]
    for seed, (curve, ordering, average, load) in enumerate(
        (
            (MD1, "stability", "nodes", 0.7),
            (MM1, "stability", "tasks", 0.95),
            (mg1(0.3), "stability", "nodes", 0.3),
            (MD1, "cloud-faster", "tasks", 0.7),
            (MM1, "cloud-faster", "nodes", 0.3),
            (mg1(1.0), "cloud-faster", "nodes", 0.95),
            (TANDEM, "stability", "nodes", 0.7),
            (TANDEM, "stability", "tasks", 0.95),
            (TANDEM, "cloud-faster", "nodes", 0.7),
        )
    )
)
FAMILIES = (("paper", 8), ("homogeneous", 4), ("scarce", 8))


def place(placer: ConePlacer, problem: Problem, stop: Stop | None = None) -> Placement:
    return placer.place(problem, WaterFilling(), stop=stop or Stop(), rng=np.random.default_rng(0))


@cache
def family(name: str, nodes: int) -> tuple[Problem, float]:
    """Return a problem and its optimum by our own branch and bound."""
    problem = compile_problem(generate(name, nodes=nodes, seed=3))
    best = BranchAndBound().place(problem, WaterFilling(), stop=Stop(), rng=np.random.default_rng(0))
    assert best.status == Status.OPTIMAL
    return problem, best.lower_bound


def agrees_with_brute_force(placer: ConePlacer, k: int) -> None:
    best, _, _ = brute_force(SMALL[k])
    agrees(placer, SMALL[k], best)


def agrees(placer: ConePlacer, problem: Problem, best: float) -> None:
    """Check plan, claim and trace against the optimum `best`."""
    placement = place(placer, problem)
    assert placement.status == Status.OPTIMAL
    assert placement.shares is not None
    assert problem.residuals(placement.splits, placement.shares).feasible
    value = float(problem.objective(placement.splits, placement.shares))
    assert best * (1 - 1e-9) <= value <= best * (1 + 1e-5)
    assert best * (1 - 1e-4) <= placement.lower_bound <= best * (1 + 1e-5)
    assert placement.evaluations == 1
    assert placement.trace[-1].objective == value
    assert placement.trace[-1].lower_bound <= best * (1 + 1e-9)


def keeps_its_time(placer: ConePlacer, seconds: float, within: float) -> Placement:
    """Check that a problem that takes minutes ends soon after `seconds`; return what there is by then."""
    problem = compile_problem(generate("homogeneous", nodes=30, seed=0))
    started = time.perf_counter()
    placement = place(placer, problem, Stop(seconds=seconds))
    assert time.perf_counter() - started < within
    assert placement.status == Status.LIMIT
    if placement.shares is not None:
        assert problem.residuals(placement.splits, placement.shares).feasible
    return placement


def stops_at_a_gap(placer: ConePlacer) -> None:
    """Check that a gap wide enough is passed on: a problem that takes minutes takes none."""
    problem = compile_problem(generate("homogeneous", nodes=12, seed=0))
    placement = place(placer, problem, Stop(gap=0.3, seconds=20.0))
    assert placement.status == Status.OPTIMAL
    value = float(problem.objective(placement.splits, placement.shares))
    assert placement.trace[-1].lower_bound <= value <= placement.trace[-1].lower_bound / 0.6
