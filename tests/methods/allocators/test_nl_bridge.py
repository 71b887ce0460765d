import tempfile

import casadi
import pyomo.environ as pyo
import pytest

from dmcjia_opt.methods.allocators.nl_bridge import solve_with_casadi

QUIET = {"print_level": 0, "sb": "yes", "tol": 1e-10}


@pytest.fixture
def model():
    """Least 1/x + 4/y on x + y ≤ 3: x = 1, y = 2, where one more unit of budget saves 1."""
    model = pyo.ConcreteModel()
    model.x = pyo.Var(bounds=(0.0, None), initialize=0.5)
    model.y = pyo.Var(bounds=(0.0, None), initialize=0.5)
    model.fixed = pyo.Var(initialize=4.0)
    model.fixed.fix()
    model.budget = pyo.Constraint(expr=model.x + model.y <= 3.0)
    model.cost = pyo.Objective(expr=1.0 / model.x + model.fixed / model.y)
    return model


def test_values_and_duals_in_pyomos_sense(model, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    solution = solve_with_casadi(model, QUIET)
    assert solution.status == "Solve_Succeeded"
    assert model.x.value == 0.5
    solution.load()
    assert pyo.value(model.x) == pytest.approx(1.0, abs=1e-6)
    assert pyo.value(model.y) == pytest.approx(2.0, abs=1e-6)
    assert {variable.name for variable, _ in solution.values} == {"x", "y"}
    ((constraint, dual),) = solution.duals
    assert constraint is model.budget
    assert dual == pytest.approx(-1.0, abs=1e-6)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_options_are_passed_on(model):
    assert solve_with_casadi(model, QUIET | {"max_iter": 1}).status == "Maximum_Iterations_Exceeded"


def test_infeasible_is_a_status(model):
    model.more = pyo.Constraint(expr=model.x + model.y >= 4.0)
    assert solve_with_casadi(model, QUIET).status == "Infeasible_Problem_Detected"


def test_a_crash_is_none(model, monkeypatch):
    def crash(*_):
        raise RuntimeError("no")

    monkeypatch.setattr(casadi, "nlpsol", crash)
    assert solve_with_casadi(model, QUIET) is None
