"""The exact placers against every plan of small instances, and against each other on larger ones."""

from __future__ import annotations

import dataclasses
import math
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from dmcjia_opt import compile_problem, generate
from dmcjia_opt.bounds.certificate import certify
from dmcjia_opt.bounds.loads import least_load
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.methods.placers.exact import branch_and_bound
from dmcjia_opt.methods.placers.exact.benders import Benders, Master
from dmcjia_opt.methods.placers.exact.branch_and_bound import BranchAndBound, BranchingRoom, node_classes
from dmcjia_opt.methods.placers.exact.exact import Exact
from dmcjia_opt.methods.placers.exact.exhaustive import Exhaustive
from dmcjia_opt.methods.placers.exact.lagrangian import Lagrangian, left_open, recover
from dmcjia_opt.model.delay import TANDEM, DelayCurve
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.queues import MD1
from dmcjia_opt.model.scenario.scenario import Options
from dmcjia_opt.solving.contract import Status, Stop
from dmcjia_opt.solving.search import Placer, Search
from dmcjia_opt.testing.problems import AVERAGES, ORDERINGS, QUEUES, brute_force, random_problem
from tests.methods.placers.searches import place
from tests.waiting import PATIENCE

CHUNKS, PER_CHUNK = 8, 150
FAMILIES = ("paper", "homogeneous", "near", "scarce", "mixed")


def small_problem(seed: int, curves: Sequence[DelayCurve]) -> Problem:
    """Return a random instance of at most about 1,000 plans; half of them have nodes that are alike."""
    rng = np.random.default_rng(seed)
    n_splits = int(rng.integers(2, 6))
    n_nodes = int(rng.integers(1, 1 + int(math.log(1100) / math.log(n_splits))))
    problem, _ = random_problem(
        rng,
        n_nodes,
        n_splits,
        utilisation=float(rng.choice([0.05, 0.5, 0.9, 0.99])),
        spread=float(rng.choice([1.0, 3.0, 1e3, 1e6])),
        curve=curves[rng.integers(len(curves))],
        ordering=ORDERINGS[rng.integers(len(ORDERINGS))],
        average=AVERAGES[rng.integers(len(AVERAGES))],
    )
    if n_nodes > 1 and rng.random() < 0.5:
        alike = np.sort(rng.integers(0, max(1, n_nodes // 2), n_nodes))
        weight = problem.weight[alike] / problem.weight[alike].sum()
        problem = dataclasses.replace(
            problem,
            fixed_delay=problem.fixed_delay[alike],
            service=problem.service[..., 0][alike],
            arrival_rate=problem.arrival_rate[alike],
            weight=weight,
            least_rate=() if not problem.ordered else problem.least_rate[..., 0][alike],
            wait=() if not problem.kinked else problem.wait[alike],
        )
    return problem


def search(placer: Placer, problem: Problem, **stop: float):
    found = place(placer, problem, Stop(**stop))
    objective = float(problem.objective(found.options, found.shares))
    assert problem.residuals(found.options, found.shares).feasible
    return found, objective


@pytest.mark.parametrize("curves", [QUEUES, (TANDEM,)], ids=["queues", "tandem"])
@pytest.mark.parametrize("chunk", [0, *(pytest.param(k, marks=pytest.mark.slow) for k in range(1, CHUNKS))])
def test_exact_equals_every_plan_tried(chunk, curves):
    compared = 0
    for seed in range(chunk * PER_CHUNK, (chunk + 1) * PER_CHUNK)[:: 1 if curves is QUEUES else 4]:
        problem = small_problem(seed, curves)
        best, _, _ = brute_force(problem)
        if not math.isfinite(best) or least_load(problem) >= 1:
            continue
        found, objective = search(Exact(), problem)
        assert objective <= best * (1 + 1e-9), seed
        assert objective >= best * (1 - 1e-9), seed
        assert found.lower_bound <= best, seed
        assert found.status == Status.OPTIMAL, seed
        assert objective - found.lower_bound <= 1e-9 * objective, seed
        compared += 1
    assert compared > PER_CHUNK // (2 if curves is QUEUES else 5)


#: The last stages of `exact`, which most small instances never reach, and the other exact placers.
STAGES = {
    "merging": Exact(BranchingRoom(quick_plans=0, bucket=1e-3)),
    "benders after nothing": Exact(BranchingRoom(quick_plans=0, max_plans=0)),
    "branch-and-bound": BranchAndBound(),
    "benders": Benders(),
}


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_ends_at_the_optimum(stage, monkeypatch):
    monkeypatch.setattr(branch_and_bound, "_MERGE_ABOVE", 1)
    for curves, seed in [(QUEUES, 10_000 + k) for k in range(20)] + [((TANDEM,), 10_000 + k) for k in range(6)]:
        problem = small_problem(seed, curves)
        best, _, _ = brute_force(problem)
        if not math.isfinite(best):
            continue
        found, objective = search(STAGES[stage], problem)
        assert found.lower_bound <= best * (1 + 1e-12), seed
        assert objective <= best * (1 + 1e-8), seed


@pytest.mark.parametrize("ordering", ORDERINGS)
@pytest.mark.parametrize("delay", ["md1", "mm1", "mg1", "tandem"])
@pytest.mark.parametrize("family", FAMILIES)
def test_families_equal_exhaustive_search(family, delay, ordering):
    for seed in range(2):
        scenario = generate(family, nodes=3, seed=seed)
        changed = {"delay": delay, "ordering": ordering, "average": AVERAGES[seed % 2]}
        options = Options(
            **(scenario.options.model_dump() | changed | ({"service_scv": 2.0} if delay == "mg1" else {}))
        )
        problem = compile_problem(dataclasses.replace(scenario, options=options))
        if least_load(problem) >= 1:
            continue
        found, objective = search(Exact(), problem)
        oracle, best = search(Exhaustive(), problem)
        assert objective == pytest.approx(best, rel=1e-9)
        assert found.lower_bound <= best
        assert oracle.lower_bound <= objective


@pytest.mark.parametrize("nodes", [5, 10, 20])
def test_paper_instances_are_closed(nodes):
    for seed in range(40):
        found, objective = search(Exact(), compile_problem(generate("paper", nodes=nodes, seed=seed)))
        assert objective - found.lower_bound <= 1e-9 * objective, seed


@pytest.mark.parametrize("epsilon", [0.0, 1e-3, 1e-2, 1e-1])
@pytest.mark.parametrize("nodes", [10, 20, 50])
def test_alike_and_nearly_alike_nodes_are_closed(nodes, epsilon):
    for cloud in (20.0, 50.0, 100.0):
        family = {"family": "near", "epsilon": epsilon} if epsilon else {"family": "homogeneous"}
        problem = compile_problem(generate(**family, nodes=nodes, seed=1, cloud_gflops=cloud))
        found, objective = search(Exact(), problem)
        assert objective - found.lower_bound <= 1e-6 * objective, cloud


def test_identical_nodes_are_one_class():
    problem = compile_problem(generate("homogeneous", nodes=20, seed=1))
    search = Search(problem, WaterFilling(), Stop())
    recover(search)
    classes = node_classes(problem, left_open(search))
    assert [len(c.nodes) for c in classes] == [20]


def test_a_large_fleet_is_closed_by_the_price_alone():
    problem = compile_problem(generate("fleet", nodes=20_000, seed=3))
    found, objective = search(Lagrangian(), problem)
    assert found.status == Status.OPTIMAL
    assert objective - found.lower_bound <= 1e-9 * objective
    assert certify(problem, found.options, found.shares, prices=found.prices).gap <= 1e-9


def test_a_time_limit_returns_incumbent_and_bound(clock, monkeypatch):
    """Time is up after three of the master problems that it would take."""
    solve, times = Master.solve, iter((0.0, 0.0, PATIENCE))

    def timed(self, gap, seconds):
        found = solve(self, gap, seconds)
        clock.sleep(next(times))
        return found

    monkeypatch.setattr(Master, "solve", timed)
    problem = compile_problem(generate("near", nodes=100, seed=1, epsilon=1e-3, cloud_gflops=50.0))
    found, objective = search(Benders(), problem, seconds=PATIENCE)
    assert found.status == Status.LIMIT
    assert 0 < found.lower_bound < objective
    assert certify(problem, found.options, found.shares).gap < 1e-2


def test_an_interrupt_returns_incumbent_and_bound():
    command = [sys.executable, "-m", "tests.methods.placers.exact.interrupted"]
    child = subprocess.Popen(command, cwd=Path(__file__).parents[4], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "begun\n"
    child.send_signal(signal.SIGINT)
    printed, _ = child.communicate(timeout=PATIENCE)
    status, objective, bound = printed.split()[-3:]
    assert child.returncode == 0
    assert status == "limit"
    assert 0 < float(bound) < float(objective)


def test_few_plans_around_prices_that_are_about_the_best_are_all_evaluated():
    for links in (1, 2):
        problem = compile_problem(generate("links", nodes=3, seed=1, links=links))
        search = Search(problem, WaterFilling(), Stop(gap=1e-9), proves=True)
        Exact().search(search, np.random.default_rng(0))
        assert "points" not in vars(search.dual)
        found = search.placement()
        assert found.status == Status.OPTIMAL
        assert found.lower_bound <= search.objective <= found.lower_bound * (1 + 1e-12)
        assert search.objective == pytest.approx(place(Exhaustive(), problem).trace[-1].objective, rel=1e-12)


def test_a_looser_gap_is_enough_when_asked_for():
    problem = compile_problem(generate("near", nodes=20, seed=1, epsilon=1e-3, cloud_gflops=50.0))
    loose, objective = search(Exact(), problem, gap=1e-2)
    tight, _ = search(Exact(), problem)
    assert (loose.status, tight.status) == (Status.WITHIN, Status.OPTIMAL)
    assert 1e-9 * objective < objective - loose.lower_bound <= 1e-2 * objective
    assert loose.evaluations < tight.evaluations


def at_the_edge(n, full, *, local=(24282.45874346, 74712.25529528), service=499.99999999999994, curve=MD1):
    """Return `n` equal nodes of which `full` fill the cloud to within rounding; at option 1 all is done at the edge."""
    tables = np.tile(local, (n, 1)), np.tile([service * 2 / full, 0.0], (n, 1))
    return Problem(*tables, np.full(n, 1e-3), np.full(n, 1 / n), curves=curve)


@pytest.mark.parametrize("curve", QUEUES, ids=str)
@pytest.mark.parametrize("placer", [Exact(), BranchAndBound(), Benders(), Exhaustive()], ids=lambda p: type(p).__name__)
def test_plans_whose_delay_is_finite_only_by_rounding_are_bounded(placer, curve):
    for problem in (at_the_edge(5, 2, curve=curve), at_the_edge(6, 3, local=(1.0, 1e5), service=500.0, curve=curve)):
        best, _, _ = brute_force(problem)
        found, objective = search(placer, problem)
        assert objective == pytest.approx(best, rel=1e-12)
        assert found.lower_bound <= best
        gap = (objective - found.lower_bound) / objective
        # the tolerances of HiGHS leave Benders a few 1e-9
        assert (found.status, gap <= 1e-9) in ((Status.OPTIMAL, True), (Status.ROUNDED, False))
        assert gap <= (1e-8 if isinstance(placer, Benders) else 1e-9)


@pytest.mark.parametrize("placer", [Exact(), BranchAndBound(), Benders(), Exhaustive()], ids=lambda p: type(p).__name__)
def test_random_fleets_at_the_edge_of_stability_are_closed(placer):
    closed = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        n, rate = int(rng.integers(2, 6)), 10.0 ** rng.uniform(-4, 4)
        local = np.sort(rng.uniform(0.5, 2.0, (n, 2)), axis=1) * 10.0 ** rng.uniform(-1, 6) / rate
        service = np.nextafter(1.0 / (rate * rng.integers(1, n + 1)), 0.0)
        problem = Problem(local, np.tile([service, 0.0], (n, 1)), np.full(n, rate), np.full(n, 1 / n))
        best, _, _ = brute_force(problem)
        found, objective = search(placer, problem)
        assert objective == pytest.approx(best, rel=1e-9), seed
        assert found.lower_bound <= best * (1 + 1e-12), seed
        assert found.status in (Status.OPTIMAL, Status.ROUNDED), seed
        assert found.lower_bound >= best * (1 - 1e-8), seed
        closed += found.status == Status.OPTIMAL
    assert closed >= 15


@pytest.mark.parametrize("n", [2, 3, 4, 7])
@pytest.mark.parametrize("below", [0, 1, 2])
def test_a_fleet_that_only_rounding_lets_run_ends_at_no_limit(n, below):
    service = 1.0 / n
    for _ in range(below):
        service = np.nextafter(service, 0.0)
    full = Problem(np.ones((n, 1)), np.full((n, 1), service), np.ones(n), np.full(n, 1 / n))
    for placer in (Exact(), Benders(), Exhaustive()):
        found = place(placer, full)
        assert found.status == (Status.INFEASIBLE if found.shares is None else Status.ROUNDED)
        assert found.lower_bound <= brute_force(full)[0]


def test_a_smaller_gap_than_that_of_an_optimum_is_sought_when_asked_for():
    problem = compile_problem(generate("near", nodes=8, seed=2))
    found, objective = search(Exact(), problem, gap=1e-12)
    assert found.status == Status.OPTIMAL
    assert objective - found.lower_bound <= 1e-12 * objective
    none, _ = search(Exact(), problem, gap=0.0)
    assert none.status == Status.ROUNDED
