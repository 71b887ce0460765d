from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.model.delay import TANDEM
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.queues import MD1, MM1, OVERLAP
from dmcjia_opt.model.residuals import ORDERING_TOLERANCE
from dmcjia_opt.testing.problems import CURVES, random_problem

TABLES = {
    "fixed_delay": [[0.1, 0.2], [0.3, 0.4]],
    "service": [[0.2, 0.0], [0.1, 0.0]],
    "arrival_rate": [1.0, 2.0],
    "weight": [0.5, 0.5],
}


def small(**changes):
    return Problem(**(TABLES | changes))


def test_objective_of_a_batch_is_that_of_each_plan():
    problem, _ = random_problem(np.random.default_rng(1), 5, 4)
    rng = np.random.default_rng(2)
    splits, shares = rng.integers(0, 4, (9, 5)), rng.dirichlet(np.ones(5), 9)
    batch = problem.objective(splits, shares)
    assert batch.shape == (9,)
    np.testing.assert_array_equal(batch, [problem.objective(g, x) for g, x in zip(splits, shares, strict=True)])
    residuals = problem.residuals(splits, shares)
    assert (residuals.budget.shape, residuals.feasible.shape) == ((9, 1), (9,))
    assert residuals.stability.shape == residuals.ordering.shape == (9, 5, 1)


def test_a_wait_upstream_is_for_a_tandem_and_a_part_of_the_delay_there():
    tables = {"curves": TANDEM, "wait": [[0.1, 0.1], [0.0, 0.2]]}
    problem = small(**tables)
    np.testing.assert_array_equal(problem.wait_at(np.array([1, 0])), [[0.1], [0.0]])
    np.testing.assert_array_equal(small().wait_at(np.array([1, 0])), [[0.0], [0.0]])
    both, shares = np.array([0, 0]), np.array([0.5, 0.5])
    md1 = small().use_delay(both, shares)  # 0.4 s of service and 4/15 s of waiting; 0.2 s and 1/15 s
    np.testing.assert_allclose(md1[:, 0], [0.4 + 2 / 15, 0.2 + 1 / 15])
    np.testing.assert_allclose(problem.use_delay(both, shares)[:, 0], [0.4 + 2 / 15 - 0.1, 0.2 + 1 / 15])


def test_a_problem_without_uplinks_has_no_upload_stage():
    stages = small().breakdown(np.array([0, 1]), np.array([0.9, 0.0]))
    np.testing.assert_array_equal(stages.upload, 0.0)
    np.testing.assert_array_equal(stages.edge, [0.1, 0.4])


def test_nodes_without_cloud_work_have_no_cloud_delay():
    problem = small()
    np.testing.assert_array_equal(problem.use_delay(np.array([1, 1]), np.zeros(2)), 0.0)
    assert problem.objective(np.array([1, 1]), np.zeros(2)) == pytest.approx(0.3)


@pytest.mark.parametrize("share", [0.2, 0.1, 0.0, -0.5, np.nan])
def test_an_unstable_cloud_queue_is_infinite(share):
    delay = small().use_delay(np.array([0, 1]), np.array([share, 0.0]))
    assert delay[0] == np.inf


@pytest.mark.parametrize("curve", CURVES, ids=str)
def test_a_feasible_plan_has_no_positive_residual(curve):
    problem, splits = random_problem(np.random.default_rng(3), 6, 3, curve=curve, ordering="cloud-faster")
    shares = WaterFilling().allocate(problem, splits[None]).shares[0]
    residuals = problem.residuals(splits, shares)
    assert residuals.feasible
    assert residuals.budget <= 0
    assert (residuals.stability < 0).all()
    assert (residuals.ordering <= ORDERING_TOLERANCE).all()


def test_residuals_measure_each_violation():
    problem = small(least_rate=[[4.0, 0.0], [0.0, 0.0]])
    both = np.array([0, 0])

    fine = problem.residuals(both, np.array([0.8, 0.25]))
    assert fine.budget == pytest.approx(0.05)
    assert not fine.feasible
    np.testing.assert_allclose(fine.stability[:, 0], [0.2 / 0.8 - 1, 0.2 / 0.25 - 1])
    np.testing.assert_allclose(fine.ordering[:, 0], [0.0, -np.inf], atol=1e-15)

    slow = problem.residuals(both, np.array([0.4, 0.1]))
    assert slow.budget == pytest.approx(-0.5)
    np.testing.assert_allclose(slow.stability[:, 0], [-0.5, 1.0])
    np.testing.assert_allclose(slow.ordering[:, 0], [0.5, -np.inf])
    assert not slow.feasible

    edge = problem.residuals(np.array([1, 1]), np.zeros(2))
    np.testing.assert_array_equal(edge.stability, -1.0)
    np.testing.assert_array_equal(edge.ordering, -np.inf)
    assert edge.feasible


@pytest.mark.parametrize(
    ("splits", "shares"),
    [
        ([0, 0], [0.5, 0.5 + 1e-9]),
        ([0, 0], [0.2, 0.5]),
        ([0, 0], [0.5, 0.0]),
        ([0, 0], [0.5, -0.1]),
        ([1, 0], [-1e-9, 0.5]),
        ([1, 0], [np.nan, 0.5]),
        ([0, 0], [np.inf, 0.5]),
        ([2, 0], [0.0, 0.5]),
    ],
)
def test_no_violation_counts_as_feasible(splits, shares):
    problem = small(fixed_delay=[[0.1, 0.2, np.inf], [0.3, 0.4, 0.5]], service=[[0.2, 0.0, 0.0], [0.1, 0.0, 0.0]])
    assert problem.residuals(np.array([0, 0]), np.array([0.5, 0.5])).feasible
    assert not problem.residuals(np.array(splits), np.array(shares)).feasible


def test_an_unstable_edge_is_a_residual():
    problem = small(fixed_delay=[[0.1, np.inf], [0.3, 0.4]])
    residuals = problem.residuals(np.array([1, 1]), np.zeros(2))
    np.testing.assert_array_equal(residuals.stability[:, 0], [np.inf, -1.0])


def test_overload_counts_load_and_unstable_edges():
    problem = small(service=[[0.75, 0.0], [0.375, 0.0]], fixed_delay=[[0.1, 0.2], [0.3, np.inf]])
    plans = np.array([[0, 0], [1, 0], [0, 1], [1, 1]])
    np.testing.assert_allclose(problem.overload(plans), [0.5, 0.0, 1.0, 1.0], atol=1e-11)
    full = small(service=[[0.5, 0.0], [0.25, 0.0]])
    assert full.overload(np.array([0, 0])) > 0


def test_overload_counts_floors():
    problem = small(least_rate=[[4.0, 0.0], [5.0, 0.0]])
    np.testing.assert_allclose(problem.least_share(np.array([[0, 0], [1, 0]]))[..., 0], [[0.8, 0.5], [0.0, 0.5]])
    np.testing.assert_allclose(problem.overload(np.array([[0, 0], [1, 0]])), [0.3, 0.0])


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (np.array([0.0, 1.0]), "integers"),
        (np.array([True, False]), "integers"),
        (np.array([0]), r"one entry a node \(2\)"),
        (np.array(0), "one entry a node"),
        (np.array([[0, 1, 1]]), "one entry a node"),
        (np.array([0, 2]), "split of node 1"),
        (np.array([[0, 1], [-1, 0]]), "split of node 0"),
    ],
)
def test_what_are_no_splits_is_refused(splits, message):
    with pytest.raises(InputError, match=message):
        small().check_options(splits)


def test_splits_of_any_integer_type_are_taken():
    checked = small().check_options(np.array([[1, 0]], dtype=np.uint8))
    assert checked.dtype == np.int64
    np.testing.assert_array_equal(checked, [[1, 0]])
    np.testing.assert_array_equal(small().check_options([0, 1]), [0, 1])


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"fixed_delay": []}, "fixed_delay"),
        ({"fixed_delay": [1.0, 2.0]}, "fixed_delay"),
        ({"fixed_delay": [[0.1, np.nan], [0.3, 0.4]]}, "fixed_delay"),
        ({"fixed_delay": [[0.1, -0.1], [0.3, 0.4]]}, "fixed_delay"),
        ({"service": [[0.1], [0.2]]}, "service"),
        ({"service": [[0.1, 0.0], [0.2, -1e-9]]}, "service"),
        ({"service": [[0.1, 0.0], [0.2, np.nan]]}, "service"),
        ({"service": [[0.1, 0.0], [np.inf, 0.0]]}, "service"),
        ({"least_rate": [[0.1, 0.0]]}, "least_rate"),
        ({"least_rate": [[0.1, 0.0], [0.0, np.nan]]}, "least_rate"),
        ({"wait": [[0.0, 0.1], [0.0, 0.0]]}, 'wait means nothing to the curve "md1"'),
        ({"wait": [[0.0, 0.0]], "curves": TANDEM}, "wait has shape"),
        ({"wait": [[0.0, 0.3], [0.0, 0.0]], "curves": TANDEM}, "wait must not exceed fixed_delay"),
        ({"wait": [[0.0, -0.1], [0.0, 0.0]], "curves": TANDEM}, "wait must be finite"),
        ({"wait": [[0.0, np.nan], [0.0, 0.0]], "curves": TANDEM}, "wait must be finite"),
        ({"arrival_rate": [1.0]}, "arrival_rate"),
        ({"arrival_rate": [1.0, 0.0]}, "arrival_rate"),
        ({"arrival_rate": [1.0, np.nan]}, "arrival_rate"),
        ({"weight": [0.5, 0.6]}, "weight"),
        ({"weight": [1.0, 0.0]}, "weight"),
        ({"weight": [np.nan, 1.0]}, "weight"),
        ({"weight": [1.0]}, "weight"),
        ({"last": [1]}, "last"),
        ({"last": [1, 2]}, "last"),
        ({"last": [1, -1]}, "last"),
    ],
)
def test_impossible_tables_are_refused_by_name(changes, field):
    with pytest.raises(InputError, match=field):
        small(**changes)


def test_tables_are_read_only_and_frozen_ones_are_not_copied():
    local = np.array(TABLES["fixed_delay"])
    problem = small(fixed_delay=local)
    local[0, 0] = 99.0
    assert problem.fixed_delay[0, 0] == 0.1
    with pytest.raises(ValueError, match="read-only"):
        problem.fixed_delay[0, 0] = 1.0
    assert replace(problem, curves=MM1).fixed_delay is problem.fixed_delay


def test_what_resources_are_must_make_sense():
    tables = {"fixed_delay": [[0.1, 0.2]], "arrival_rate": [1.0], "weight": [1.0]}
    two = {"service": [[[0.1, 0.2], [0.0, 0.1]]], **tables}
    listed = Problem(**two, resource=[[[0, 1], [0, 1]]], curves=(OVERLAP, MD1))
    assert [resource.name for resource in listed.resources] == ["resource-0", "resource-1"]
    with pytest.raises(InputError, match="uses of the cloud must have one delay curve"):
        Problem(**two, resource=[[[0, 0], [0, 0]]], curves=(OVERLAP, MD1))
    with pytest.raises(InputError, match="resource must hold indices >= 0"):
        Problem(**two, resource=[[[0, -1], [0, 0]]])
    with pytest.raises(InputError, match="curves has 1 delay curves, expected one for each of 2 uses"):
        Problem(**two, curves=(MD1,))
