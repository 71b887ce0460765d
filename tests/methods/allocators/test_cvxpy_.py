from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from dmcjia_opt.base.errors import BackendMissing, InputError
from dmcjia_opt.methods.allocators import cvxpy_
from dmcjia_opt.methods.allocators.cvxpy_ import CvxpyAllocator, installed_solvers
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.model.queues import mg1
from dmcjia_opt.solving.contract import Allocator, Status


@pytest.mark.parametrize("solver", installed_solvers())
def test_every_listed_solver_gives_a_near_optimal_plan(mixed_batch, solver):
    problem, splits = mixed_batch
    got, best = CvxpyAllocator(solver).allocate(problem, splits), WaterFilling().allocate(problem, splits)
    rows = best.status == Status.OPTIMAL
    assert not (got.status[rows] == Status.FAILED).any()
    np.testing.assert_allclose(
        problem.objective(splits[rows], got.shares[..., 0][rows]),
        problem.objective(splits[rows], best.shares[..., 0][rows]),
        rtol=1e-5,
    )
    assert problem.residuals(splits[rows], got.shares[..., 0][rows]).feasible.all()


def test_threads_share_an_allocator(mixed_batch):
    allocator = CvxpyAllocator()
    alone = allocator.allocate(*mixed_batch)
    with ThreadPoolExecutor(2) as pool:
        for got in pool.map(lambda _: allocator.allocate(*mixed_batch), range(8)):
            np.testing.assert_array_equal(got.shares[..., 0], alone.shares[..., 0])


def test_compiled_once_for_each_shape(mixed_batch, monkeypatch):
    shapes = []

    def counted(*shape):
        shapes.append(shape)
        return build(*shape)

    build = cvxpy_._compile
    monkeypatch.setattr(cvxpy_, "_compile", counted)
    allocator = CvxpyAllocator("clarabel")
    allocator.allocate(*mixed_batch)
    allocator.allocate(*mixed_batch)
    assert shapes == [("CLARABEL", 6, 2, False, ()), ("CLARABEL", 4, 2, False, ())]


@pytest.mark.parametrize("solver", ["NOT_A_SOLVER", "OSQP"])
def test_missing_solver_is_named_with_those_that_are_there(mixed_batch, solver):
    with pytest.raises(BackendMissing, match=rf"{solver} .*CLARABEL.*SCS"):
        CvxpyAllocator(solver).allocate(*mixed_batch)


def test_curve_that_is_not_dcp_is_refused(random_problem):
    problem = random_problem(np.random.default_rng(0), 5, 0.5, curve=mg1(3.0))
    allocator = CvxpyAllocator()
    assert isinstance(allocator, Allocator)
    assert "negative term (a = -1)" in str(allocator.supports(problem))
    with pytest.raises(InputError, match="disciplined convex"):
        allocator.allocate(problem, np.zeros((1, 5), dtype=np.int64))
    assert allocator.supports(random_problem(np.random.default_rng(0), 5, 0.5)) is None


@pytest.mark.parametrize(
    ("solver", "options", "status"),
    [("CLARABEL", {"max_iter": 2}, Status.LIMIT), ("SCS", {"max_iters": 10}, Status.INACCURATE)],
)
def test_unfinished_solves_say_so_and_keep_the_budget(mixed_batch, monkeypatch, solver, options, status):
    monkeypatch.setitem(cvxpy_._OPTIONS, solver, options)
    problem, splits = mixed_batch
    got = CvxpyAllocator(solver).allocate(problem, splits)
    assert list(got.status) == [status, status, Status.OPTIMAL, Status.INFEASIBLE, status, status]
    rows = [0, 1, 4, 5]
    assert problem.residuals(splits[rows], got.shares[..., 0][rows]).feasible.all()


def test_a_solver_that_gives_up_costs_one_row(mixed_batch, monkeypatch):
    monkeypatch.setitem(cvxpy_._OPTIONS, "CLARABEL", {"max_step_fraction": 1e-9, "min_terminate_step_length": 0.5})
    assert CvxpyAllocator().allocate(*mixed_batch).status[0] == Status.FAILED
