import copy
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import cvxpy
import numpy as np
import pytest

from dmcjia_opt.base.errors import BackendMissing, InputError
from dmcjia_opt.methods.allocators import cvxpy_
from dmcjia_opt.methods.allocators.cvxpy_ import CvxpyAllocator, installed_solvers
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.model.delay import MD1, MM1, TANDEM, mg1
from dmcjia_opt.solving.contract import Allocator, Status

FAMILIES = [
    {},
    {"idle": 0.5},
    {"floors": True},
    {"curve": MM1},
    {"curve": MM1, "floors": True},
    {"curve": TANDEM},
    {"curve": TANDEM, "idle": 0.5},
    {"curve": TANDEM, "floors": True},
    {"curve": mg1(0.3), "floors": True},
    {"curve": mg1(0.99)},
    {"curve": mg1(1.0)},
]


def label(family):
    curve = family.get("curve", MD1)
    return f"{curve.name}-{curve.pieces[0].b}-{'floors' if 'floors' in family else 'free'}-{family.get('idle', 0)}"


@pytest.mark.parametrize("family", FAMILIES, ids=label)
@pytest.mark.parametrize(("solver", "price_error"), [("CLARABEL", 1e-4), ("SCS", 1e-6)])
def test_agrees_with_water_filling(agrees, solver, price_error, family):
    agrees(CvxpyAllocator(solver), error=1e-8, price_error=price_error, rows=20, **family)


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


@pytest.mark.parametrize("solver", ["CLARABEL", "SCS"])
def test_one_and_many_nodes(random_problem, solver):
    rng = np.random.default_rng(0)
    allocator = CvxpyAllocator(solver)
    for n in (1, 2, 300):
        problem = random_problem(rng, n, 0.7)
        splits = np.zeros((1, n), dtype=np.int64)
        got, best = allocator.allocate(problem, splits), WaterFilling().allocate(problem, splits)
        assert got.status[0] == Status.OPTIMAL
        np.testing.assert_allclose(
            problem.objective(splits, got.shares[..., 0]), problem.objective(splits, best.shares[..., 0]), 1e-8
        )


def test_rows_with_nothing_to_solve(mixed_batch):
    problem, splits = mixed_batch
    got = CvxpyAllocator().allocate(problem, splits)
    assert [Status(s).name for s in got.status] == ["OPTIMAL", "OPTIMAL", "OPTIMAL", "INFEASIBLE", "OPTIMAL", "OPTIMAL"]
    assert (got.shares[..., 0][2] == 0).all()
    assert got.prices[:, 0][2] == 0.0
    assert np.isnan(got.shares[..., 0][3]).all()
    assert np.isnan(got.prices[:, 0][3])
    assert (got.shares[..., 0][1, 2:4] == 0).all()


@pytest.mark.parametrize("solver", ["CLARABEL", "SCS"])
def test_a_batch_is_the_same_as_a_loop_and_as_itself_reversed(mixed_batch, solver):
    problem, splits = mixed_batch
    allocator = CvxpyAllocator(solver)
    batch, back = allocator.allocate(problem, splits), allocator.allocate(problem, splits[::-1])
    for row in range(len(splits)):
        alone = CvxpyAllocator(solver).allocate(problem, splits[row : row + 1])
        for key in ("shares", "prices", "status"):
            np.testing.assert_array_equal(getattr(batch, key)[row], getattr(alone, key)[0])
            np.testing.assert_array_equal(getattr(batch, key)[row], getattr(back, key)[-1 - row])


@pytest.mark.parametrize("duplicate", [lambda a: pickle.loads(pickle.dumps(a)), copy.deepcopy], ids=["pickle", "copy"])
def test_used_allocator_can_be_sent_elsewhere(mixed_batch, duplicate):
    allocator = CvxpyAllocator("SCS")
    before = allocator.allocate(*mixed_batch)
    twin = duplicate(allocator)
    assert twin == allocator
    assert hash(twin) == hash(allocator)
    assert repr(twin) == "CvxpyAllocator(solver='SCS')"
    assert len(pickle.dumps(allocator)) < 1000
    np.testing.assert_array_equal(twin.allocate(*mixed_batch).shares[..., 0], before.shares[..., 0])


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


def test_module_imports_no_solver():
    code = "import sys, dmcjia_opt.methods.allocators.cvxpy_; sys.exit('cvxpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


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


def test_a_loose_claim_is_called_inaccurate(mixed_batch, monkeypatch):
    monkeypatch.setitem(cvxpy_._OPTIONS, "SCS", {"eps_abs": 1e-2, "eps_rel": 1e-2})
    assert CvxpyAllocator("SCS").allocate(*mixed_batch).status[0] == Status.INACCURATE


@pytest.mark.parametrize("crash", [cvxpy.SolverError, ValueError, ZeroDivisionError])
def test_a_crash_costs_one_row(mixed_batch, monkeypatch, crash):
    from cvxpy.reductions.solvers.conic_solvers.clarabel_conif import CLARABEL

    solve, calls = CLARABEL.solve_via_data, []

    def second_crashes(self, *args, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            raise crash("no")
        return solve(self, *args, **kwargs)

    monkeypatch.setattr(CLARABEL, "solve_via_data", second_crashes)
    got = CvxpyAllocator().allocate(*mixed_batch)
    assert [Status(s).name for s in got.status] == ["OPTIMAL", "FAILED", "OPTIMAL", "INFEASIBLE", "OPTIMAL", "OPTIMAL"]
    assert np.isnan(got.shares[..., 0][1]).all()


def test_a_solver_that_gives_up_costs_one_row(mixed_batch, monkeypatch):
    monkeypatch.setitem(cvxpy_._OPTIONS, "CLARABEL", {"max_step_fraction": 1e-9, "min_terminate_step_length": 0.5})
    assert CvxpyAllocator().allocate(*mixed_batch).status[0] == Status.FAILED
