import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.methods.allocators.one_by_one import OnePlan, Term
from dmcjia_opt.methods.allocators.pyomo_ import IpoptAllocator
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
    {"curve": mg1(1.0)},
    {"curve": mg1(3.0), "floors": True},
]

# An AMPL solver as Pyomo expects one: reads the .nl file, takes key=value options, writes the .sol file.
PROGRAM = """#!{python}
import pathlib
import sys

if sys.argv[1:] == ["-v"]:
    sys.exit(print("Ipopt 3.14.0"))
path, mark, *options = sys.argv[1:]
options = dict(option.split("=", 1) for option in options)
assert mark == "-AMPL"
{start}
import casadi

builder = casadi.NlpBuilder()
builder.import_nl(path)
solve = casadi.nlpsol(
    "program",
    "ipopt",
    {{"x": casadi.vertcat(*builder.x), "f": builder.f, "g": casadi.vertcat(*builder.g)}},
    {{
        "print_time": False,
        "ipopt": {{
            "tol": float(options["tol"]),
            "max_iter": int(options["max_iter"]),
            "bound_relax_factor": float(options["bound_relax_factor"]),
            "print_level": int(options["print_level"]),
            "sb": options["sb"],
        }},
    }},
)
found = solve(x0=builder.x_init, lbx=builder.x_lb, ubx=builder.x_ub, lbg=builder.g_lb, ubg=builder.g_ub)
code = {{"Solve_Succeeded": 0, "Maximum_Iterations_Exceeded": 400}}[solve.stats()["return_status"]]
x, duals = found["x"].full().ravel().tolist(), (-found["lam_g"]).full().ravel().tolist()
head = ["Ipopt", "", "Options", 3, 1, 1, 0, len(duals), len(duals), len(x), len(x)]
lines = head + [repr(value) for value in duals + x] + ["objno 0 " + str(code)]
pathlib.Path(path).with_suffix(".sol").write_text("\\n".join(map(str, lines)) + "\\n")
"""


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """No program on PATH, and a scratch folder of our own that must be left empty."""
    scratch, programs = tmp_path / "scratch", tmp_path / "programs"
    scratch.mkdir()
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    yield programs
    assert list(scratch.iterdir()) == []


@pytest.fixture
def install(folders):
    def write(start: str = "") -> None:
        path = folders / "ipopt"
        path.write_text(PROGRAM.format(python=sys.executable, start=start))
        path.chmod(0o755)

    return write


def label(family):
    curve = family.get("curve", MD1)
    return f"{curve.name}-{curve.pieces[0].b}-{'floors' if 'floors' in family else 'free'}-{family.get('idle', 0)}"


@pytest.mark.parametrize("family", FAMILIES, ids=label)
def test_agrees_with_water_filling(agrees, family):
    agrees(IpoptAllocator(), error=1e-8, price_error=1e-6, rows=20, **family)


def test_rows_with_nothing_to_solve_and_silence(mixed_batch, capfd):
    problem, splits = mixed_batch
    allocator = IpoptAllocator()
    assert isinstance(allocator, Allocator)
    assert allocator.supports(problem) is None
    got = allocator.allocate(problem, splits)
    assert [Status(s).name for s in got.status] == ["OPTIMAL", "OPTIMAL", "OPTIMAL", "INFEASIBLE", "OPTIMAL", "OPTIMAL"]
    assert (got.shares[..., 0][2] == 0).all()
    assert got.prices[:, 0][2] == 0.0
    assert np.isnan(got.shares[..., 0][3]).all()
    assert (got.shares[..., 0][1, 2:4] == 0).all()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("n", [1, 2, 100])
def test_one_and_many_nodes(random_problem, n):
    problem = random_problem(np.random.default_rng(0), n, 0.7)
    splits = np.zeros((1, n), dtype=np.int64)
    got, best = IpoptAllocator().allocate(problem, splits), WaterFilling().allocate(problem, splits)
    assert got.status[0] == Status.OPTIMAL
    np.testing.assert_allclose(
        problem.objective(splits, got.shares[..., 0]), problem.objective(splits, best.shares[..., 0]), 1e-9
    )


def test_a_batch_is_the_same_as_a_loop_and_as_itself_reversed(mixed_batch):
    problem, splits = mixed_batch
    allocator = IpoptAllocator()
    batch, back = allocator.allocate(problem, splits), allocator.allocate(problem, splits[::-1])
    for row in range(len(splits)):
        alone = IpoptAllocator().allocate(problem, splits[row : row + 1])
        for key in ("shares", "prices", "status"):
            np.testing.assert_array_equal(getattr(batch, key)[row], getattr(alone, key)[0])
            np.testing.assert_array_equal(getattr(batch, key)[row], getattr(back, key)[-1 - row])


def test_used_allocator_can_be_pickled(mixed_batch):
    allocator = IpoptAllocator(max_iterations=100)
    before = allocator.allocate(*mixed_batch)
    sent = pickle.dumps(allocator)
    assert len(sent) < 1000
    twin = pickle.loads(sent)
    assert twin == allocator
    assert repr(twin) == "IpoptAllocator(tolerance=1e-10, max_iterations=100)"
    np.testing.assert_array_equal(twin.allocate(*mixed_batch).shares[..., 0], before.shares[..., 0])


def test_module_imports_no_solver():
    code = "import sys, dmcjia_opt.methods.allocators.pyomo_; sys.exit(bool({'pyomo', 'casadi'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_limit_is_said_and_the_budget_kept(mixed_batch):
    problem, splits = mixed_batch
    got = IpoptAllocator(max_iterations=2).allocate(problem, splits)
    rows = [0, 1, 4, 5]
    assert (got.status[rows] == Status.LIMIT).all()
    assert problem.residuals(splits[rows], got.shares[..., 0][rows]).feasible.all()


def test_a_loose_claim_is_called_inaccurate(mixed_batch):
    assert IpoptAllocator(tolerance=1e-2).allocate(*mixed_batch).status[0] == Status.INACCURATE


def test_a_crash_costs_one_row(mixed_batch, monkeypatch):
    import casadi

    nlpsol, calls = casadi.nlpsol, []

    def second_crashes(*args):
        calls.append(args)
        if len(calls) == 2:
            raise RuntimeError("no")
        return nlpsol(*args)

    monkeypatch.setattr(casadi, "nlpsol", second_crashes)
    got = IpoptAllocator().allocate(*mixed_batch)
    assert [Status(s).name for s in got.status] == ["OPTIMAL", "FAILED", "OPTIMAL", "INFEASIBLE", "OPTIMAL", "OPTIMAL"]
    assert np.isnan(got.shares[..., 0][1]).all()


def test_no_answer_where_the_start_cannot_be_evaluated():
    pole = Term(np.full(2, 0.5), np.full(2, -1.0), np.ones(2))
    assert IpoptAllocator().solve_one(OnePlan(np.full(2, 0.5), (pole,))) is None


@pytest.mark.parametrize("option", [{"tolerance": 0.0}, {"tolerance": np.nan}, {"max_iterations": 0}])
def test_options_out_of_range(option):
    with pytest.raises(InputError, match=next(iter(option))):
        IpoptAllocator(**option)


@pytest.mark.parametrize("floors", [False, True])
def test_program_on_path_agrees_with_the_wheel(random_problem, install, floors, capfd):
    problem = random_problem(np.random.default_rng(1), 8, 0.9, floors=floors)
    splits = np.zeros((1, 8), dtype=np.int64)
    wheel = IpoptAllocator().allocate(problem, splits)
    install("open({!r}, 'a').close()".format(str(Path(os.environ["PATH"], "ran"))))
    program = IpoptAllocator().allocate(problem, splits)
    assert Path(os.environ["PATH"], "ran").exists()
    assert program.status[0] == wheel.status[0] == Status.OPTIMAL
    np.testing.assert_allclose(program.shares[..., 0], wheel.shares[..., 0], rtol=1e-6)
    np.testing.assert_allclose(program.prices[:, 0], wheel.prices[:, 0], rtol=1e-6)
    assert capfd.readouterr() == ("", "")


def test_program_that_reaches_its_limit_says_so_silently(mixed_batch, install, capfd):
    install()
    problem, splits = mixed_batch
    got = IpoptAllocator(max_iterations=2).allocate(problem, splits[:1])
    assert got.status[0] == Status.LIMIT
    assert problem.residuals(splits[:1], got.shares[..., 0]).feasible.all()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "start",
    ["sys.exit(3)", "sys.exit(0)", "sys.exit(pathlib.Path(path).with_suffix('.sol').write_text('nonsense') * 0)"],
    ids=["error code", "no solution file", "nonsense"],
)
def test_program_that_crashes_costs_its_rows(mixed_batch, install, start):
    install(start)
    problem, splits = mixed_batch
    got = IpoptAllocator().allocate(problem, splits[1:4])
    assert list(got.status) == [Status.FAILED, Status.OPTIMAL, Status.INFEASIBLE]
    assert np.isnan(got.shares[..., 0][0]).all()
