import logging
import subprocess
import sys

import pytest
from pyomo.opt import TerminationCondition

from dmcjia_opt.base.errors import BackendFailed
from dmcjia_opt.methods.allocators.nl_bridge import NlSolution
from dmcjia_opt.methods.placers.solvers import mindtpy_
from dmcjia_opt.methods.placers.solvers.mindtpy_ import MindtPy
from dmcjia_opt.solving.contract import Status, Stop
from tests.methods.placers.searches import place
from tests.methods.placers.solvers.test_general_solvers import SMALL, agrees


def test_no_program_is_looked_for(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    agrees("mindtpy", SMALL[0])


def test_loggers_are_left_as_they_were():
    before = logging.getLogger("pyomo").handlers[:], logging.getLogger("pyomo.contrib.mindtpy").handlers[:]
    place(MindtPy(), SMALL[3])
    assert before == (logging.getLogger("pyomo").handlers, logging.getLogger("pyomo.contrib.mindtpy").handlers)


@pytest.mark.parametrize("answer", [None, NlSolution("Invalid_Number_Detected", (), ())])
def test_an_nlp_without_answer_is_a_failure(monkeypatch, answer):
    monkeypatch.setattr(mindtpy_, "solve_with_casadi", lambda *_: answer)
    with pytest.raises(BackendFailed, match=r"^MindtPy crashed: MindtPy unable to handle relaxed NLP .*error"):
        place(MindtPy(), SMALL[0])


def test_an_nlp_at_its_time_limit_ends_the_search(monkeypatch):
    monkeypatch.setattr(mindtpy_, "solve_with_casadi", lambda *_: NlSolution("Maximum_CpuTime_Exceeded", (), ()))
    placement = place(MindtPy(), SMALL[0], Stop(seconds=0.0))
    assert placement.status == Status.LIMIT
    assert placement.shares is None


@pytest.mark.parametrize(
    ("ended", "outcome"), [("infeasible", "no plan exists, and there is one"), ("unbounded", 'status "unbounded"')]
)
def test_nonsense_is_a_failure(monkeypatch, ended, outcome):
    def solve(self, program, **_):
        self.dual_bound = 0.0
        self.results.solver.termination_condition = TerminationCondition(ended)
        return self.results

    monkeypatch.setattr(mindtpy_.MindtPy_OA_Solver, "solve", solve)
    with pytest.raises(BackendFailed, match=outcome):
        place(MindtPy(), SMALL[0])


def test_a_search_that_goes_in_a_cycle_is_inaccurate(monkeypatch):
    solve = mindtpy_.MindtPy_OA_Solver.solve

    def cycle(self, program, **options):
        results = solve(self, program, **options)
        results.solver.termination_condition = TerminationCondition.feasible
        return results

    monkeypatch.setattr(mindtpy_.MindtPy_OA_Solver, "solve", cycle)
    placement = place(MindtPy(), SMALL[0])
    assert placement.status == Status.INACCURATE
    assert SMALL[0].residuals(placement.options, placement.shares).feasible


AFTER_THE_DUAL = """
import numpy as np
from dmcjia_opt.bounds.best import BestPrice
from dmcjia_opt.methods.placers.solvers.mindtpy_ import MindtPy
from dmcjia_opt.model.queues import MD1, OVERLAP
from dmcjia_opt.testing.placers import place, value_of
from dmcjia_opt.testing.problems import brute_force, random_shared_problem

problem, _ = random_shared_problem(np.random.default_rng(0), 3, 4, 3, 2, curves=(OVERLAP, MD1))
assert BestPrice(problem).point.value > 0.0
value = value_of(problem, place(MindtPy(), problem))
assert abs(value / brute_force(problem)[0] - 1.0) < 1e-5
print("agrees")
"""


def test_highs_has_the_same_number_of_threads_for_all():
    """In a process of its own, in which the dual of several prices is the first to call HiGHS."""
    done = subprocess.run([sys.executable, "-c", AFTER_THE_DUAL], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "agrees"
