import subprocess
import sys

import numpy as np
import pytest
from ortools.sat.python import cp_model

from dmcjia_opt.base.errors import BackendFailed, InputError
from dmcjia_opt.bounds.candidates import pareto_options
from dmcjia_opt.bounds.certificate import best_lower_bound
from dmcjia_opt.bounds.maximise import between
from dmcjia_opt.methods.placers.exact.branch_and_bound import BranchAndBound
from dmcjia_opt.methods.placers.solvers import ortools_
from dmcjia_opt.methods.placers.solvers.ortools_ import CpSat, least_load_plan, menu
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.solving.contract import Status, Stop
from dmcjia_opt.testing.problems import ORDERINGS, brute_force, only_way_out, random_problem
from tests.methods.placers.searches import five_nodes, objective, optimum, place
from tests.methods.placers.solvers.test_general_solvers import SHARED

CAPACITY = ortools_._CAPACITY


@pytest.fixture
def solved(monkeypatch):
    """What CP-SAT was asked, and how it ended."""
    seen = []
    original = cp_model.CpSolver.solve

    def solve(self, model, callback=None):
        status = original(self, model, callback)
        seen.append((self, status))
        return status

    monkeypatch.setattr(cp_model.CpSolver, "solve", solve)
    return seen


@pytest.mark.parametrize("family", ["paper", "scarce", "mixed"])
def test_the_optimum_of_small_fleets(family):
    problem = compile_problem(generate(family, nodes=5, seed=2))
    found = place(CpSat(), problem)
    assert objective(problem, found) == pytest.approx(optimum(problem), rel=1e-6)


@pytest.mark.parametrize("ordering", ORDERINGS)
@pytest.mark.parametrize("seed", range(4))
def test_it_comes_close_to_every_optimum(seed, ordering):
    problem, _ = random_problem(np.random.default_rng(seed), 4, 5, ordering=ordering, utilisation=0.95)
    found = place(CpSat(), problem)
    assert brute_force(problem)[0] * (1 - 1e-12) <= objective(problem, found) <= brute_force(problem)[0] * 1.01


@pytest.mark.parametrize("k", range(len(SHARED)))
def test_it_comes_close_to_every_optimum_of_several_resources(k):
    best = brute_force(SHARED[k])[0]
    assert best * (1 - 1e-12) <= objective(SHARED[k], place(CpSat(), SHARED[k])) <= best * 1.01


def test_of_many_options_of_several_resources_the_cheapest_are_looked_at(monkeypatch):
    problem = compile_problem(generate("links", nodes=4, seed=1))
    seen = []
    original = menu

    def recorded(problem, keep, *rest):
        seen.append(keep)
        return original(problem, keep, *rest)

    monkeypatch.setattr(ortools_, "menu", recorded)
    found = place(CpSat(), problem)
    assert pareto_options(problem).sum(axis=1).max() > 9
    assert seen
    assert all(keep.sum(axis=1).max() <= 9 for keep in seen)
    best = place(BranchAndBound(), problem)
    assert objective(problem, found) <= objective(problem, best) * 1.01


def test_every_resource_has_a_row_of_its_own():
    """Either server has room for one of the two nodes, and the cheaper one for no more."""
    service, resource = np.array([[[0.6], [0.6], [0.0]]] * 2), np.array([[[0], [1], [0]]] * 2)
    fixed = np.array([[0.0, 0.1, 900.0]] * 2)
    problem = Problem(fixed, service, np.ones(2), np.full(2, 0.5), resource=resource)
    found = place(CpSat(), problem)
    assert sorted(found.options.tolist()) == [0, 1]
    np.testing.assert_allclose(found.shares[:, 0], 1.0, rtol=1e-12)


def test_a_menu_of_several_resources_holds_nothing_that_another_entry_beats():
    problem = SHARED[0]
    bound, prices = best_lower_bound(problem)
    entries = menu(problem, pareto_options(problem), prices * np.array([[0.5], [1.0], [2.0]]), bound)
    assert entries.share.shape == (len(entries.node), 2)
    used = problem.service[entries.node, entries.option] > 0
    np.testing.assert_array_equal(entries.share > 0, used)
    where = problem.resource[entries.node, entries.option]
    for i in range(len(entries.node)):
        for j in np.flatnonzero(entries.node == entries.node[i]):
            there = (entries.share[j] == 0) | ((where[i] == where[j]) & (entries.share[j] <= entries.share[i]))
            assert j == i or not (entries.cost[j] < entries.cost[i] and there.all())


def test_a_plan_that_the_dual_proves_is_optimal():
    problem = five_nodes()
    found = place(CpSat(), problem)
    assert found.status == Status.OPTIMAL
    assert found.lower_bound == best_lower_bound(problem)[0]
    assert objective(problem, found) <= found.lower_bound * (1 + 2e-9)


def test_what_no_dual_proves_is_only_feasible():
    problem, _ = random_problem(np.random.default_rng(3), 3, 4)
    best = brute_force(problem)[0]
    found = place(CpSat(), problem)
    assert found.lower_bound < best * (1 - 1e-6)  # an instance with a duality gap
    assert found.status == Status.FEASIBLE


def test_it_is_cp_sat_and_held_to_one_thread_a_seed_and_a_limit(solved):
    problem = compile_problem(generate("scarce", nodes=5, seed=1))
    place(CpSat(effort=0.7), problem, stop=Stop(seconds=50))
    parameters = [solver.parameters for solver, _ in solved]
    assert all(p.num_workers == 1 and p.max_deterministic_time == 0.7 for p in parameters)
    assert all(0 < p.max_time_in_seconds <= 50 for p in parameters)
    assert len({p.random_seed for p in parameters}) == 1
    assert all(status in (cp_model.OPTIMAL, cp_model.FEASIBLE) for _, status in solved)
    place(CpSat(), problem)
    assert solved[-1][0].parameters.max_time_in_seconds == np.inf


def test_rounds_end_it(solved):
    problem, _ = random_problem(np.random.default_rng(3), 3, 4)
    place(CpSat(rounds=1), problem)
    assert len(solved) == 1


def test_its_seed_decides():
    problem, _ = random_problem(np.random.default_rng(3), 3, 4)
    first, second = (place(CpSat(), problem, seed=5) for _ in range(2))
    np.testing.assert_array_equal(first.options, second.options)
    assert [(p.evaluations, p.objective) for p in first.trace] == [(p.evaluations, p.objective) for p in second.trace]


@pytest.mark.parametrize("ordering", ORDERINGS)
def test_a_menu_holds_what_each_option_wants_and_nothing_beaten(ordering):
    problem, _ = random_problem(np.random.default_rng(4), 5, 6, ordering=ordering)
    bound, _ = best_lower_bound(problem)
    price = between(problem)[0].price
    keep = pareto_options(problem)
    entries = menu(problem, keep, price * np.array([[0.5], [1.0], [2.0]]), bound)
    assert keep[entries.node, entries.option].all()
    assert (np.diff(entries.node) >= 0).all()
    for d in range(5):
        here = entries.node == d
        assert here.any()
        share, cost = entries.share[here, 0], entries.cost[here]
        assert (np.diff(share) > 0).all()
        assert (np.diff(cost) <= 0).all()
        assert cost.min() == 0
        shares = share / CAPACITY
        splits = np.tile(0, (here.sum(), 5))
        splits[:, d] = entries.option[here]
        delay = problem.weight[d] * (
            problem.fixed_delay[d, splits[:, d]]
            + problem.use_delay(splits, np.where(np.arange(5) == d, shares[:, None], 1.0)[..., None])[:, d, 0]
        )
        np.testing.assert_allclose((delay - delay.min()) / bound, cost * 1e-9, atol=1e-5)


def test_free_capacity_leaves_nothing_to_choose(solved):
    problem = Problem(np.array([[0.2, 0.1], [0.3, 0.1]]), np.array([[0.1, 0.0]] * 2), np.ones(2), np.full(2, 0.5))
    found = place(CpSat(), problem)
    assert found.options.tolist() == [1, 1]
    assert solved == []


def test_a_grid_too_coarse_is_widened_and_in_the_end_the_least_load_taken(monkeypatch):
    problem, _ = random_problem(np.random.default_rng(5), 4, 4, utilisation=0.999)
    monkeypatch.setattr(ortools_, "_SPAN", 1.0 + 1e-9)
    found = place(CpSat(levels=2), problem)
    assert np.isfinite(objective(problem, found))
    monkeypatch.setattr(CpSat, "_choose", lambda *_: (np.zeros((0, 4), dtype=np.int64), False))
    last = place(CpSat(), problem)
    assert last.options.tolist() == least_load_plan(problem).tolist()
    assert last.evaluations == 1


def test_the_least_load_is_the_least_load():
    assert least_load_plan(only_way_out()).tolist() == [3, 3, 3]
    problem, _ = random_problem(np.random.default_rng(6), 4, 4, ordering="cloud-faster")
    plan = least_load_plan(problem)
    for d in range(4):
        for split in np.flatnonzero(np.isfinite(problem.fixed_delay[d])):
            other = plan.copy()
            other[d] = split
            assert problem.least_share(plan).sum() <= problem.least_share(other).sum()


INTERRUPTED = """
import os, signal
from ortools.sat.python import cp_model
from dmcjia_opt.methods.placers.solvers.ortools_ import CpSat
from tests.methods.placers.searches import five_nodes, objective, place

original = cp_model.CpSolver.solve

def solve(self, model, callback=None):
    status = original(self, model, callback)
    os.kill(os.getpid(), signal.SIGINT)
    return status

cp_model.CpSolver.solve = solve
problem = five_nodes()
found = place(CpSat(), problem)
print(found.status, objective(problem, found))
"""


def test_ctrl_c_returns_what_was_found():
    """In a process of its own: some solvers leave a handler of theirs in place of Python's."""
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, check=True)
    status, value = done.stdout.split()
    assert status == "limit"
    assert float(value) >= optimum(five_nodes()) * (1 - 1e-12)


def test_a_model_that_cp_sat_refuses_is_a_failure(monkeypatch):
    monkeypatch.setattr(cp_model.CpSolver, "solve", lambda *_: cp_model.MODEL_INVALID)
    with pytest.raises(BackendFailed, match="CP-SAT refuses its model"):
        place(CpSat(), five_nodes())


def test_large_fleets_are_refused_with_a_sentence():
    problem = compile_problem(generate("paper", nodes=6, seed=1))
    placer = CpSat(max_nodes=5)
    assert placer.supports(problem) == "6 nodes are more than CP-SAT is given (max_nodes = 5); use exact"
    with pytest.raises(InputError, match="more than CP-SAT is given"):
        place(placer, problem)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"levels": 1}, "CpSat: levels must be int >= 2, got 1"),
        ({"rounds": 0}, "rounds must be int >= 1, got 0"),
        ({"effort": 0.0}, "effort must be finite float > 0, got 0.0"),
        ({"effort": float("nan")}, "effort must be finite float > 0, got nan"),
        ({"max_nodes": 0}, "max_nodes must be int >= 1, got 0"),
    ],
)
def test_nonsense_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        CpSat(**options)
