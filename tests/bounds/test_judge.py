import numpy as np
import pytest

from dmcjia_opt.bounds.certificate import judge, overload_of
from dmcjia_opt.model.problem import Problem

PROBLEM = Problem(
    fixed_delay=np.array([[0.1, np.inf], [0.1, 0.2]]),
    service=np.array([[0.2, 0.0], [0.2, 0.0]]),
    arrival_rate=np.ones(2),
    weight=np.full(2, 0.5),
    least_rate=np.array([[0.0, 0.0], [2.0, 0.0]]),
)


FULL = Problem(PROBLEM.fixed_delay, PROBLEM.service[..., 0] * 3, PROBLEM.arrival_rate, PROBLEM.weight)


@pytest.mark.parametrize(
    ("splits", "shares", "why"),
    [
        ([0, 0], [0.5, 0.5], ""),
        ([0, 1], [1.0, 0.0], ""),
        ([1, 0], [0.5, 0.5], "the edge queue of node 0 is unstable at split 1"),
        ([0, 0], [np.nan, 0.5], "the share of node 0 is nan"),
        ([0, 0], [0.5, -0.5], "the share of node 1 is -0.5"),
        ([0, 0], [0.5, 0.75], "its shares exceed the cloud by 0.25"),
        ([0, 0], [0.1, 0.5], "the share of node 0, 0.1, leaves its cloud queue unstable at split 0"),
        ([0, 0], [0.5, 0.3], "the share of node 1, 0.3, leaves its cloud slower than its edge at split 0"),
    ],
)
def test_the_first_constraint_that_breaks_is_named(splits, shares, why):
    splits, shares = np.array(splits), np.array(shares)
    verdict = judge(PROBLEM, splits, shares)
    assert (verdict.violation, verdict.feasible) == (why, why == "")
    assert judge(PROBLEM, splits, shares, ("a", "b")).violation == why.replace("node 0", '"a"').replace("node 1", '"b"')
    assert bool(PROBLEM.residuals(splits, shares).feasible) == (why == "")
    assert verdict.objective == (np.inf if why else PROBLEM.objective(splits, shares))


@pytest.mark.parametrize(
    ("problem", "splits", "why"),
    [
        (PROBLEM, [0, 0], ""),
        (PROBLEM, [1, 0], 'the edge queue of "a" is unstable at split 1'),
        (FULL, [0, 0], "its splits load the cloud to 120 %"),
    ],
)
def test_whether_shares_exist(problem, splits, why):
    assert overload_of(problem, np.array(splits), ("a", "b")) == why
    assert (problem.overload(np.array(splits)) == 0) == (why == "")
