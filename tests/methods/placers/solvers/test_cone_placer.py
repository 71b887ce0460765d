import math
import os
import sys
from dataclasses import dataclass

import numpy as np
import pytest

from dmcjia_opt.base.errors import BackendFailed, InputError
from dmcjia_opt.bounds.certificate import best_lower_bound
from dmcjia_opt.methods.placers.solvers.cone_placer import ConePlacer, SolverAnswer, SolverLimits
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.queues import mg1
from dmcjia_opt.model.resources import Resource
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.solving.contract import Status, Stop
from dmcjia_opt.solving.registry import spec_of
from dmcjia_opt.solving.solve import solve
from dmcjia_opt.testing.problems import brute_force, impossible, random_problem
from tests.methods.placers.searches import place
from tests.methods.placers.solvers.test_general_solvers import SMALL


@dataclass(frozen=True)
class Says(ConePlacer):
    """A solver that says what it is told to; "first" picks each node's first candidate, "last" its last."""

    status: Status = Status.OPTIMAL
    picks: str | float | None = "last"
    bound: float = -math.inf
    max_nodes: int = 10
    limits: tuple = ()

    @property
    def solver_name(self):
        return "Oracle"

    def solve(self, model, limits):
        sys.stdout.write("a banner\n")
        os.write(1, b"another\n")
        object.__setattr__(self, "limits", (*self.limits, limits))
        z = np.zeros(len(model.node))
        if self.picks is None:
            return SolverAnswer(self.status, None, self.bound)
        if isinstance(self.picks, float):
            return SolverAnswer(self.status, z + self.picks, self.bound)
        z[[rows[0] if self.picks == "first" else rows[-1] for rows in model.candidates]] = 1.0
        return SolverAnswer(self.status, z, self.bound)


def test_the_plan_is_the_solvers_and_its_shares_the_allocators():
    placement = place(Says(), SMALL[0])
    assert placement.options.tolist() == [3, 3, 3, 3]
    assert placement.shares.tolist() == [[0.0]] * 4
    assert placement.status == Status.OPTIMAL
    assert placement.evaluations == 1


def test_a_claim_is_recorded_in_seconds_and_not_believed():
    placement = place(Says(bound=1e9), SMALL[0])
    assert placement.claimed_bound > 1e8 * brute_force(SMALL[0])[0]
    assert placement.lower_bound == placement.trace[-1].lower_bound == best_lower_bound(SMALL[0])[0]
    scenario = generate("paper", nodes=3, seed=0)
    plan = solve(scenario, Says(bound=1e9))
    assert plan.lower_bound <= plan.objective
    assert plan.bound_from == "dual"


@pytest.mark.parametrize("bound", [math.nan, math.inf, -math.inf])
def test_a_bound_that_is_no_number_is_none(bound):
    assert place(Says(bound=bound), SMALL[0]).claimed_bound == -math.inf


def test_at_a_limit_there_may_be_no_plan():
    placement = place(Says(Status.LIMIT, None, 0.5), SMALL[0])
    assert placement.status == Status.LIMIT
    assert placement.shares is None
    assert placement.evaluations == 0
    assert 0 < placement.claimed_bound < math.inf


def test_limits_are_what_stop_says(clock):
    says = Says()
    place(says, SMALL[0], Stop())
    place(says, SMALL[0], Stop(seconds=5.0, gap=0.25))
    place(says, SMALL[0], Stop(seconds=0.0, gap=0.0))
    free, bounded, none = says.limits
    assert (free.gap, free.seconds) == (1e-6, math.inf)
    assert bounded.gap == 0.25
    assert (bounded.deadline, bounded.seconds) == (clock.now + 5.0, 5.0)
    assert (none.gap, none.seconds) == (0.0, 0.0)
    assert SolverLimits(0.1, clock.now - 1.0).seconds == 0.0


def test_solvers_are_silenced(capfd):
    place(Says(), SMALL[0])
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("picks", [0.0, 0.5, 1.0, math.nan])
def test_a_solution_that_is_none_is_a_failure(picks):
    with pytest.raises(BackendFailed, match="Oracle returned a solution that is not integral"):
        place(Says(picks=picks), SMALL[0])


def test_a_plan_that_overloads_the_cloud_is_a_failure():
    problem = Problem(np.array([[0.1, 0.9]]), np.array([[2.0, 0.0]]), np.ones(1), np.ones(1))
    assert place(Says(picks="last"), problem).shares.tolist() == [[0.0]]
    with pytest.raises(BackendFailed, match="Oracle returned a plan that overloads the cloud"):
        place(Says(picks="first"), problem)


def test_the_resource_that_is_overloaded_is_named():
    service, where = np.array([[[0.1, 2.0], [0.0, 0.0]]]), np.array([[[0, 1], [0, 1]]])
    resources = (Resource("cloud"), Resource("cell-3", "link"))
    problem = Problem(np.array([[0.1, 0.9]]), service, np.ones(1), np.ones(1), resource=where, resources=resources)
    with pytest.raises(BackendFailed, match='Oracle returned a plan that overloads the link "cell-3"'):
        place(Says(picks="first"), problem)


def test_infeasible_where_there_is_a_plan_is_a_failure():
    with pytest.raises(BackendFailed, match="Oracle says that no plan exists, and there is one"):
        place(Says(Status.INFEASIBLE, None), SMALL[0])


def test_where_there_is_none_no_solver_is_asked():
    unstable = Problem(np.full((1, 2), np.inf), np.ones((1, 2)), np.ones(1), np.ones(1))
    for problem in (impossible(), unstable):
        says = Says()
        placement = place(says, problem)
        assert placement.status == Status.INFEASIBLE
        assert placement.shares is None
        assert placement.lower_bound == math.inf
        assert says.limits == ()


def test_what_is_refused_is_not_placed():
    problem, _ = random_problem(np.random.default_rng(0), 11, 3)
    with pytest.raises(InputError, match="11 nodes, more than a general solver is given"):
        place(Says(), problem)
    problem, _ = random_problem(np.random.default_rng(0), 3, 3, curve=mg1(4.0))
    assert "no cone" in Says().supports(problem)
    assert Says().supports(SMALL[0]) is None


@pytest.mark.parametrize("name", ["scip", "bonmin", "cvxpy", "mindtpy"])
def test_none_of_them_proves_anything(name):
    assert not spec_of("placer", name).proves
