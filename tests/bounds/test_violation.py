import numpy as np
import pytest

from dmcjia_opt.bounds.violation import violation
from dmcjia_opt.model.problem import Problem

PROBLEM = Problem(
    local_delay=np.array([[0.1, np.inf], [0.1, 0.2]]),
    cloud_time=np.array([[0.2, 0.0], [0.2, 0.0]]),
    arrival_rate=np.ones(2),
    weight=np.full(2, 0.5),
    least_rate=np.array([[0.0, 0.0], [2.0, 0.0]]),
)


@pytest.mark.parametrize(
    ("splits", "shares", "why"),
    [
        ([0, 0], [0.5, 0.5], None),
        ([0, 1], [1.0, 0.0], None),
        ([0, 0], None, None),
        ([1, 0], [0.5, 0.5], "the edge queue of node 0 is unstable at split 1"),
        ([0, 0], [np.nan, 0.5], "the share of node 0 is nan"),
        ([0, 0], [0.5, -0.5], "the share of node 1 is -0.5"),
        ([0, 0], [0.5, 0.75], "its shares exceed the cloud by 0.25"),
        ([0, 0], [0.1, 0.5], "the share of node 0, 0.1, leaves its cloud queue unstable at split 0"),
        ([0, 0], [0.5, 0.3], "the share of node 1, 0.3, leaves its cloud slower than its edge at split 0"),
    ],
)
def test_the_first_constraint_that_breaks_is_named(splits, shares, why):
    shares = None if shares is None else np.array(shares)
    assert violation(PROBLEM, np.array(splits), shares) == why
    named = violation(PROBLEM, np.array(splits), shares, ("a", "b"))
    assert named == (why and why.replace("node 0", '"a"').replace("node 1", '"b"'))
    if shares is not None:
        assert bool(PROBLEM.residuals(np.array(splits), shares).feasible) == (why is None)


def test_an_overloaded_cloud_has_no_shares():
    full = Problem(PROBLEM.local_delay, PROBLEM.cloud_time * 3, PROBLEM.arrival_rate, PROBLEM.weight)
    assert violation(full, np.zeros(2, dtype=np.int64), None) == "its splits load the cloud to 120 %"
