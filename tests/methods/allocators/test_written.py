"""The choice of shares in the words of cvxpy and Pyomo has the same optimum, whatever the delay is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dmcjia_opt import InfeasibleError, InputError, Options, compile_problem, evaluate, generate
from dmcjia_opt.methods.allocators.nl_bridge import solve_with_casadi
from tests.sites import ACCESS_POINT, TIERS, TWICE, site

PAPER = generate("paper", nodes=4, seed=1)
SPLITS = [0, 16, 8, 0]


def with_options(scenario, **said):
    return replace(scenario, options=Options(**scenario.options.model_dump(exclude_unset=True) | said))


def deadlines(scenario, milliseconds):
    return replace(scenario, nodes=replace(scenario.nodes, deadline_ms=np.full(scenario.n_nodes, milliseconds)))


CASES = {
    "md1": PAPER,
    "mm1": with_options(PAPER, delay="mm1"),
    "mg1": with_options(PAPER, delay="mg1", service_scv=0.5),
    "tandem": with_options(PAPER, delay="tandem"),
    "worst": with_options(PAPER, objective="worst"),
    "cloud-faster": with_options(PAPER, ordering="cloud-faster"),
    "periodic": replace(PAPER, nodes=replace(PAPER.nodes, arrivals=np.zeros(4))),
}
SITES = {
    "several": (ACCESS_POINT, {}),
    "tiers": (TIERS, {}),
    "tandem of several": (TIERS, {"delay": "tandem"}),
    "tandem with queues": (TWICE, {"delay": "tandem", "uplink": "queue"}),
    "worst of several": (TIERS, {"objective": "worst"}),
}


@pytest.fixture(scope="module", params=[*CASES, *SITES, "deadlines"])
def planned(request, tmp_path_factory):
    """A problem, and a plan of it whose shares are the best of its options."""
    if request.param in CASES:
        scenario = CASES[request.param]
        return compile_problem(scenario), evaluate(scenario, SPLITS)
    content, said = SITES.get(request.param, (TIERS, {}))
    scenario = with_options(site(tmp_path_factory.mktemp("site"), content), **said)
    last = scenario.menus.last()
    options = np.array([k % (n + 1) for k, n in zip((0, 3, 5), last, strict=True)])
    plan = evaluate(scenario, options=options)
    if request.param == "deadlines":
        scenario = deadlines(scenario, 1e3 * float(plan.delays.total.max()) * 0.97)
        chosen = [scenario.option_of(d, plan.choices.cuts_of(d), plan.choices.server_of(d)) for d in range(3)]
        plan = evaluate(scenario, options=chosen)
    return compile_problem(scenario), plan


def test_cvxpy_finds_the_best_shares(planned):
    problem, plan = planned
    model = problem.to_cvxpy(plan.options)
    assert model.is_dcp()
    assert model.solve(solver="CLARABEL") == pytest.approx(plan.objective, rel=1e-6)
    shares = model.var_dict["shares"].value
    assert shares.shape == plan.shares_by_use.shape
    np.testing.assert_allclose(shares, plan.shares_by_use, atol=2e-3)


def test_pyomo_finds_the_best_shares(planned):
    pytest.importorskip("casadi")
    import pyomo.environ as pyo

    problem, plan = planned
    model = problem.to_pyomo(plan.options)
    begun = pyo.value(model.delay)
    assert begun >= plan.objective * (1 - 1e-9)  # it starts at a plan
    solve_with_casadi(model, {"print_level": 0, "sb": "yes"}).load()
    assert pyo.value(model.delay) == pytest.approx(plan.objective, rel=1e-6)
    used = {problem.resources[r].name for r in np.unique(plan.choices.resource) if r >= 0}
    assert {constraint.index() for constraint in model.budget.values()} == used


def test_the_gradient_is_that_of_the_objective(planned):
    problem, plan = planned
    shares = plan.shares_by_use * np.linspace(0.96, 0.99, plan.shares_by_use.size).reshape(plan.shares_by_use.shape)
    found = problem.gradient(plan.options, shares)
    for at in zip(*np.nonzero(shares), strict=True):
        step = np.zeros_like(shares)
        step[at] = 1e-6 * shares[at]
        ahead, behind = (problem.objective(plan.options, shares + sign * step) for sign in (1, -1))
        assert found[at] == pytest.approx((ahead - behind) / (2 * step[at]), rel=1e-4, abs=1e-9)
    assert (found[shares == 0] == 0).all()


def test_the_gradient_of_batches_and_of_unstable_queues():
    problem = compile_problem(PAPER)
    options, shares = np.array([SPLITS, SPLITS]), np.array([[0.3, 0.3, 0.2, 0.1], [0.3, 1e-9, 0.3, 0.1]])
    found = problem.gradient(options, shares)
    assert found.shape == shares.shape
    np.testing.assert_array_equal(found[0], problem.gradient(options[0], shares[0]))
    np.testing.assert_array_equal(np.isnan(found[1]), [False, True, False, False])
    periodic = compile_problem(with_options(PAPER, delay="tandem", statistic="p95"))
    assert (periodic.gradient(options[0], shares[0]) < 0).all()


def test_what_has_no_form_is_refused():
    problem = compile_problem(PAPER)
    with pytest.raises(InputError, match=r"options must have shape \(4,\)"):
        problem.to_cvxpy([SPLITS, SPLITS])
    with pytest.raises(InputError, match="is tabulated and has no form"):
        compile_problem(with_options(PAPER, delay="tandem", statistic="p95")).to_pyomo(SPLITS)
    with pytest.raises(InputError, match="a delay curve has a negative term"):
        compile_problem(with_options(PAPER, delay="mg1", service_scv=3.0)).to_cvxpy(SPLITS)
    crowded = replace(PAPER, nodes=replace(PAPER.nodes, arrival_rate=np.full(4, 400.0)))
    with pytest.raises(InfeasibleError, match="no shares make a plan of these options"):
        compile_problem(crowded).to_cvxpy([0] * 4)
