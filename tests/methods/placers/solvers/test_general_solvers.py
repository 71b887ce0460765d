"""What every adapter of a general solver owes: the optimum of small problems, limits that are heard, silence."""

from __future__ import annotations

from functools import cache

import numpy as np
import pyscipopt
import pytest

from dmcjia_opt.methods.placers.exact.branch_and_bound import BranchAndBound
from dmcjia_opt.methods.placers.solvers.casadi_ import ALGORITHMS
from dmcjia_opt.methods.placers.solvers.cvxpy_cones import installed_solvers
from dmcjia_opt.methods.placers.solvers.scip_ import FORMULATIONS
from dmcjia_opt.model.delay import TANDEM
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.queues import MD1, MM1, OVERLAP, mg1
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.solving.contract import Placement, Status, Stop
from dmcjia_opt.solving.registry import build_placer
from dmcjia_opt.testing.problems import brute_force, random_problem, random_shared_problem
from tests.methods.placers.searches import place
from tests.waiting import PATIENCE

CVXPY = [f"cvxpy:{solver}" for solver in installed_solvers()]
#: Bonmin's B-Hyb is left out: it has been seen to be wrong.
DEPENDABLE = ["bonmin:B-OA", "bonmin:B-BB", *CVXPY, "mindtpy", *(f"scip:{name}" for name in FORMULATIONS)]
every_dependable = pytest.mark.parametrize("name", DEPENDABLE)
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


#: Several resources: a link and a server, servers to choose from, a tandem whose stages are shared together.
SHARED = tuple(
    random_shared_problem(
        np.random.default_rng(seed), 3, 4, 3, len(curves), curves=curves, ordering=ordering, utilisation=load
    )[0]
    for seed, curves, ordering, load in (
        (0, (OVERLAP, MD1), "stability", 0.7),
        (1, (MD1, MM1), "cloud-faster", 0.95),
        (2, (MD1,), "stability", 0.95),
        (3, (TANDEM,), "stability", 0.7),
        (4, (TANDEM, TANDEM), "cloud-faster", 0.3),
        (6, (TANDEM, OVERLAP, TANDEM), "stability", 0.7),
    )
)


@cache
def best_of(problem: Problem) -> float:
    """Return the least mean delay of a problem by brute force."""
    return brute_force(problem)[0]


def dealt(problems: tuple[Problem, ...]) -> pytest.MarkDecorator:
    """Give each solver every other problem, so that each problem goes to every other solver; the rest is slow."""
    pairs = [(i, k) for i in range(len(DEPENDABLE)) for k in range(len(problems))]
    cases = [
        pytest.param(DEPENDABLE[i], problems[k], id=f"{k}-{DEPENDABLE[i]}", marks=[pytest.mark.slow] * ((i + k) % 2))
        for i, k in pairs
    ]
    return pytest.mark.parametrize(("name", "problem"), cases)


@cache
def family(name: str, nodes: int) -> tuple[Problem, float]:
    """Return a problem and its optimum by our own branch and bound."""
    problem = compile_problem(generate(name, nodes=nodes, seed=3))
    best = place(BranchAndBound(), problem)
    assert best.status == Status.OPTIMAL
    return problem, best.lower_bound


def agrees(name: str, problem: Problem, best: float | None = None) -> None:
    """Check plan, claim and trace against the optimum `best`; by brute force if it is not given."""
    best = best_of(problem) if best is None else best
    placement = place(build_placer(name), problem)
    assert placement.status == Status.OPTIMAL
    assert placement.shares is not None
    assert problem.residuals(placement.options, placement.shares).feasible
    value = float(problem.objective(placement.options, placement.shares))
    assert best * (1 - 1e-9) <= value <= best * (1 + 1e-5)
    assert best * (1 - 1e-4) <= placement.claimed_bound <= best * (1 + 1e-5)
    assert placement.evaluations == 1
    assert placement.trace[-1].objective == value
    assert placement.trace[-1].lower_bound <= best * (1 + 1e-9)


def ends_at_its_limit(name: str, seconds: float) -> Placement:
    """Check that a problem that takes minutes is ended, not solved; return what there is by then."""
    problem = compile_problem(generate("homogeneous", nodes=30, seed=0))
    placement = place(build_placer(name), problem, Stop(seconds=seconds))
    assert placement.status == Status.LIMIT
    if placement.shares is not None:
        assert problem.residuals(placement.options, placement.shares).feasible
    return placement


@dealt(SMALL)
def test_agrees_with_brute_force(name, problem):
    agrees(name, problem)


@dealt(SHARED)
def test_agrees_with_brute_force_on_several_resources(name, problem):
    agrees(name, problem)


@every_dependable
@pytest.mark.parametrize("curve", [MD1, TANDEM, OVERLAP], ids=lambda curve: curve.name)
def test_one_node_alone(name, curve):
    problem, _ = random_problem(np.random.default_rng(1), 1, 5, curve=curve)
    agrees(name, problem)


@pytest.mark.parametrize("name", ["bonmin", *CVXPY, "mindtpy", "scip"])
@pytest.mark.parametrize(("kind", "nodes"), [("paper", 6), ("homogeneous", 3), ("scarce", 6)])
def test_agrees_with_branch_and_bound(name, kind, nodes):
    agrees(name, *family(kind, nodes))


@every_dependable
def test_a_limit_of_time_is_heard(name):
    placement = ends_at_its_limit(name, 0.2)
    if name.startswith("bonmin"):
        assert placement.claimed_bound == -np.inf


def test_scip_claims_a_bound_at_a_limit_too(monkeypatch):
    class Short(pyscipopt.Model):
        """Its time is up after the first node."""

        def optimize(self):
            self.setParam("limits/nodes", 1)
            super().optimize()

        def getStatus(self):
            return super().getStatus().replace("node", "time")

    monkeypatch.setattr(pyscipopt, "Model", Short)
    placement = ends_at_its_limit("scip", PATIENCE)
    assert 0.9 * placement.trace[-1].lower_bound < placement.claimed_bound <= placement.trace[-1].objective


def test_scip_has_no_plan_after_no_time_at_all():
    assert ends_at_its_limit("scip", 0.0).shares is None


@every_dependable
def test_a_wide_gap_is_passed_on(name):
    """A problem that takes minutes takes none."""
    problem = compile_problem(generate("homogeneous", nodes=12, seed=0))
    placement = place(build_placer(name), problem, Stop(gap=0.3, seconds=PATIENCE))
    assert placement.status == Status.OPTIMAL
    value = float(problem.objective(placement.options, placement.shares))
    assert placement.trace[-1].lower_bound <= value <= placement.trace[-1].lower_bound / 0.6


@pytest.mark.parametrize("name", [*(f"bonmin:{name}" for name in ALGORITHMS), *CVXPY, "mindtpy", "scip"])
def test_silence(capfd, caplog, name):
    place(build_placer(name), SMALL[3])
    assert capfd.readouterr() == ("", "")
    assert not caplog.records
