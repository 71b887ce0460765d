"""What the allocators that ask a general solver owe: water-filling's plans, row by row, whatever happens to a row."""

import copy
import pickle
import pkgutil

import cvxpy
import numpy as np
import pytest

from dmcjia_opt.methods.allocators import cvxpy_
from dmcjia_opt.methods.allocators.cvxpy_ import CvxpyAllocator
from dmcjia_opt.methods.allocators.pyomo_ import IpoptAllocator
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.model.delay import TANDEM
from dmcjia_opt.model.queues import MD1, MM1, mg1
from dmcjia_opt.solving.contract import Allocator, Status

CLARABEL, SCS, IPOPT = CvxpyAllocator("CLARABEL"), CvxpyAllocator("SCS"), IpoptAllocator()
every_solver = pytest.mark.parametrize("allocator", [CLARABEL, SCS, IPOPT], ids=str)
#: Curves that every one of them takes, and those that only one does.
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
    {"curve": mg1(1.0)},
]
CONES, NONLINEAR = {"curve": mg1(0.99)}, {"curve": mg1(3.0), "floors": True}


def label(value):
    if not isinstance(value, dict):
        return str(value)
    curve = value.get("curve", MD1)
    return f"{curve.name}-{curve.pieces()[0].b}-{'floors' if 'floors' in value else 'free'}-{value.get('idle', 0)}"


@pytest.mark.parametrize(
    ("allocator", "price_error", "family"),
    [
        (allocator, error, family)
        for allocator, error, own in ((CLARABEL, 1e-4, CONES), (SCS, 1e-6, CONES), (IPOPT, 1e-6, NONLINEAR))
        for family in (*FAMILIES, own)
    ],
    ids=label,
)
def test_agrees_with_water_filling(agrees, allocator, price_error, family):
    agrees(allocator, error=1e-8, price_error=price_error, rows=10, **family)


@pytest.mark.parametrize(
    ("allocator", "sizes", "error"),
    [(CLARABEL, (1, 2, 300), 1e-8), (SCS, (1, 2, 300), 1e-8), (IPOPT, (1, 2, 100), 1e-9)],
    ids=str,
)
def test_one_and_many_nodes(random_problem, allocator, sizes, error):
    for n in sizes:
        problem = random_problem(np.random.default_rng(n), n, 0.7)
        splits = np.zeros((1, n), dtype=np.int64)
        got, best = allocator.allocate(problem, splits), WaterFilling().allocate(problem, splits)
        assert got.status[0] == Status.OPTIMAL
        np.testing.assert_allclose(
            problem.objective(splits, got.shares[..., 0]), problem.objective(splits, best.shares[..., 0]), error
        )


@every_solver
def test_rows_with_nothing_to_solve_and_silence(mixed_batch, capfd, allocator):
    problem, splits = mixed_batch
    assert isinstance(allocator, Allocator)
    assert allocator.supports(problem) is None
    got = allocator.allocate(problem, splits)
    assert [Status(s).name for s in got.status] == ["OPTIMAL", "OPTIMAL", "OPTIMAL", "INFEASIBLE", "OPTIMAL", "OPTIMAL"]
    assert (got.shares[..., 0][2] == 0).all()
    assert got.prices[:, 0][2] == 0.0
    assert np.isnan(got.shares[..., 0][3]).all()
    assert np.isnan(got.prices[:, 0][3])
    assert (got.shares[..., 0][1, 2:4] == 0).all()
    assert capfd.readouterr() == ("", "")


@every_solver
def test_a_batch_is_the_same_as_a_loop_and_as_itself_reversed(mixed_batch, allocator):
    problem, splits = mixed_batch
    batch, back = allocator.allocate(problem, splits), allocator.allocate(problem, splits[::-1])
    for row in range(len(splits)):
        alone = pickle.loads(pickle.dumps(allocator)).allocate(problem, splits[row : row + 1])
        for key in ("shares", "prices", "status"):
            np.testing.assert_array_equal(getattr(batch, key)[row], getattr(alone, key)[0])
            np.testing.assert_array_equal(getattr(batch, key)[row], getattr(back, key)[-1 - row])


@pytest.mark.parametrize(
    ("allocator", "shown"),
    [
        (CvxpyAllocator("SCS"), "CvxpyAllocator(solver='SCS')"),
        (IpoptAllocator(max_iterations=100), "IpoptAllocator(tolerance=1e-10, max_iterations=100)"),
    ],
    ids=["cvxpy", "ipopt"],
)
def test_a_used_allocator_can_be_sent_elsewhere(mixed_batch, allocator, shown):
    before = allocator.allocate(*mixed_batch)
    sent = pickle.dumps(allocator)
    assert len(sent) < 1000
    for twin in (pickle.loads(sent), copy.deepcopy(allocator)):
        assert twin == allocator
        assert hash(twin) == hash(allocator)
        assert repr(twin) == shown
        np.testing.assert_array_equal(twin.allocate(*mixed_batch).shares[..., 0], before.shares[..., 0])


@pytest.mark.parametrize("allocator", [SCS, IpoptAllocator(tolerance=1e-2)], ids=str)
def test_a_loose_claim_is_called_inaccurate(mixed_batch, monkeypatch, allocator):
    monkeypatch.setitem(cvxpy_._OPTIONS, "SCS", {"eps_abs": 1e-2, "eps_rel": 1e-2})
    assert allocator.allocate(*mixed_batch).status[0] == Status.INACCURATE


@pytest.mark.parametrize(
    ("allocator", "where", "crash"),
    [
        *(
            (CvxpyAllocator(), "cvxpy.reductions.solvers.conic_solvers.clarabel_conif.CLARABEL.solve_via_data", crash)
            for crash in (cvxpy.SolverError, ValueError, ZeroDivisionError)
        ),
        (IPOPT, "casadi.nlpsol", RuntimeError),
    ],
    ids=str,
)
def test_a_crash_costs_one_row(mixed_batch, monkeypatch, allocator, where, crash):
    owner, _, name = where.rpartition(".")
    owner = pkgutil.resolve_name(owner)
    solve, calls = getattr(owner, name), []

    def second_crashes(*args, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            raise crash("no")
        return solve(*args, **kwargs)

    monkeypatch.setattr(owner, name, second_crashes)
    got = allocator.allocate(*mixed_batch)
    assert [Status(s).name for s in got.status] == ["OPTIMAL", "FAILED", "OPTIMAL", "INFEASIBLE", "OPTIMAL", "OPTIMAL"]
    assert np.isnan(got.shares[..., 0][1]).all()
