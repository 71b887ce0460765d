import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.methods.allocators.one_by_one import OnePlan, Term
from dmcjia_opt.methods.allocators.pyomo_ import IpoptAllocator
from dmcjia_opt.solving.contract import Status

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


def test_limit_is_said_and_the_budget_kept(mixed_batch):
    problem, splits = mixed_batch
    got = IpoptAllocator(max_iterations=2).allocate(problem, splits)
    rows = [0, 1, 4, 5]
    assert (got.status[rows] == Status.LIMIT).all()
    assert problem.residuals(splits[rows], got.shares[..., 0][rows]).feasible.all()


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
