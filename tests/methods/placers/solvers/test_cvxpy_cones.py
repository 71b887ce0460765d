import math
from types import SimpleNamespace

import numpy as np
import pytest

from dmcjia_opt.base.errors import BackendFailed, BackendMissing, InputError
from dmcjia_opt.methods.placers.exact.branch_and_bound import BranchAndBound
from dmcjia_opt.methods.placers.solvers import cvxpy_cones as cvxpy_
from dmcjia_opt.methods.placers.solvers.cone_model import cone_model
from dmcjia_opt.methods.placers.solvers.cvxpy_cones import CvxpyPlacer, installed_solvers
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.solving.contract import Status, Stop
from dmcjia_opt.solving.registry import build_placer, spec_of, variants
from tests.methods.placers.searches import place
from tests.methods.placers.solvers.test_general_solvers import SMALL, agrees


@pytest.mark.parametrize("seed", [0, 2])
def test_what_scip_calls_optimal_is_so_to_the_gap_it_was_asked_for(seed):
    """Almost identical nodes: at a scale of 1 the first plan is 2.1e-5 off, and the bound of the other 2.6e-5 low."""
    problem = compile_problem(generate("near", nodes=5, seed=seed))
    best = place(BranchAndBound(), problem)
    found = place(CvxpyPlacer("SCIP"), problem)
    assert found.status == Status.OPTIMAL
    assert problem.objective(found.options, found.shares) == pytest.approx(best.lower_bound, rel=1e-8)
    assert found.claimed_bound == pytest.approx(best.lower_bound, rel=2e-6)


def test_names_lead_to_solvers():
    assert "SCIP" in installed_solvers()
    assert variants(spec_of("placer", "cvxpy")) == installed_solvers()
    assert build_placer("cvxpy:ECOS_BB") == CvxpyPlacer("ECOS_BB")
    assert build_placer("cvxpy") == CvxpyPlacer("SCIP")
    agrees("cvxpy:scip", SMALL[0])


@pytest.mark.parametrize("solver", ["CLARABEL", "HIGHS", "nope"])
def test_solvers_without_integers_or_cones_are_refused(solver):
    with pytest.raises(BackendMissing, match=rf"{solver.upper()} here that takes integers and .*choose one of .*SCIP"):
        place(CvxpyPlacer(solver), SMALL[0])


class Program:
    """Stands for a compiled program whose runs end as told; an ECOS_BB run takes a second for every 100 iterations."""

    def __init__(self, k, status="optimal", flags=(0,), clock=None):
        self.z = SimpleNamespace(size=k, id=1)
        self.status, self.flags, self.clock, self.options = status, list(flags), clock, []

    def run(self, options):
        self.options.append(options)
        if self.clock is not None:
            self.clock.now += options["mi_max_iters"] / 100
        flag = self.flags.pop(0) if len(self.flags) > 1 else self.flags[0]
        return {"info": {"exitFlag": flag}}, SimpleNamespace(status=self.status, opt_val=1.0, primal_vars={})

    z_of = cvxpy_._Program.z_of
    answer = cvxpy_._Program.answer


@pytest.fixture
def pretend(monkeypatch):
    """Pretend that a solver is installed, and ends as told."""

    def install(solver, **options):
        program = Program(len(cone_model(SMALL[0]).node), **options)
        monkeypatch.setattr(cvxpy_, "installed_solvers", lambda: (solver,))
        monkeypatch.setattr(cvxpy_, "_compile", lambda *_: program)
        return program

    return install


def test_other_solvers_run_without_limits_and_claim_nothing(pretend):
    program = pretend("MOSEK", status="user_limit")
    placement = place(CvxpyPlacer("MOSEK"), SMALL[0])
    assert placement.status == Status.LIMIT
    assert placement.claimed_bound == -math.inf
    assert program.options == [{}]
    with pytest.raises(InputError, match="MOSEK cannot be given a time limit"):
        place(CvxpyPlacer("MOSEK"), SMALL[0], Stop(seconds=1.0))


@pytest.mark.parametrize(("solver", "options"), [("MOSEK", {"status": "solver_error"}), ("ECOS_BB", {"flags": [-2]})])
def test_an_end_of_its_own_is_a_failure(pretend, solver, options):
    pretend(solver, **options)
    with pytest.raises(BackendFailed, match=rf"{solver} ended with .*(solver_error|-2)"):
        place(CvxpyPlacer(solver), SMALL[0])


def test_ecos_gets_ever_more_iterations_until_it_is_done(pretend):
    program = pretend("ECOS_BB", flags=[10, 11, 10, 1])
    with pytest.raises(BackendFailed, match="no plan exists"):
        place(CvxpyPlacer("ECOS_BB"), SMALL[0], Stop(gap=1e-3))
    assert [options["mi_max_iters"] for options in program.options] == [64, 256, 1024, 4096]
    assert all(options["mi_rel_eps"] == 1e-3 for options in program.options)


def test_ecos_gets_no_more_iterations_than_time_allows(pretend, clock):
    program = pretend("ECOS_BB", flags=[10], clock=clock)
    placement = place(CvxpyPlacer("ECOS_BB"), SMALL[0], Stop(seconds=10.0))
    assert placement.status == Status.LIMIT
    iterations = [options["mi_max_iters"] for options in program.options]
    assert iterations[:2] == [64, 256]
    assert 256 < iterations[2] < 600
    assert len(iterations) == 3
    assert clock.now <= 10.0


def test_ecos_gets_no_more_iterations_than_memory_allows(pretend, monkeypatch):
    monkeypatch.setattr(cvxpy_, "_MOST_BYTES", 2000 * len(cone_model(SMALL[0]).node))
    program = pretend("ECOS_BB", flags=[11])
    assert place(CvxpyPlacer("ECOS_BB"), SMALL[0]).status == Status.LIMIT
    assert [options["mi_max_iters"] for options in program.options] == [64, 256, 1024, 2000]


def test_a_crash_is_a_failure(monkeypatch):
    def crash(*_, **__):
        raise ZeroDivisionError("no")

    program = cvxpy_._compile("SCIP", cone_model(SMALL[0]))
    monkeypatch.setattr(type(program.chain), "solve_via_data", crash)
    with pytest.raises(BackendFailed, match=r"^cvxpy's SCIP crashed: ZeroDivisionError: no$"):
        place(CvxpyPlacer(), SMALL[0])
    assert np.isfinite(cone_model(SMALL[0]).unit)
