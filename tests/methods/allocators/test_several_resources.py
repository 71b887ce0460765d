"""Every allocator shares several resources: water-filling's plans and prices, whether resources separate or not."""

import numpy as np
import pytest

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.bounds.dual import fixed_dual
from dmcjia_opt.methods.allocators import cvxpy_, jointly, one_by_one
from dmcjia_opt.methods.allocators.augmented_lagrangian import AugmentedLagrangian
from dmcjia_opt.methods.allocators.cvxpy_ import CvxpyAllocator
from dmcjia_opt.methods.allocators.pyomo_ import IpoptAllocator
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.model.delay import TANDEM
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.queues import MD1, MM1, OVERLAP, mg1
from dmcjia_opt.solving.contract import Status
from dmcjia_opt.testing.problems import ORDERINGS, random_shared_problem

ALM, CLARABEL, SCS, IPOPT = AugmentedLagrangian(), CvxpyAllocator("CLARABEL"), CvxpyAllocator("SCS"), IpoptAllocator()
#: Method, the largest relative errors of objective and prices, and the part of plans it may call unsolved.
METHODS = [(ALM, 1e-9, 1e-7, 0.0), (CLARABEL, 1e-7, 1e-3, 0.05), (SCS, 1e-7, 1e-3, 0.25), (IPOPT, 1e-7, 1e-5, 0.05)]
SEPARATE = [(MD1, MD1), (OVERLAP, MM1), (OVERLAP, TANDEM), (MD1, mg1(0.3), TANDEM), (OVERLAP, OVERLAP, MD1)]
COUPLED = [(TANDEM, TANDEM), (OVERLAP, TANDEM, TANDEM), (MD1, TANDEM, TANDEM, TANDEM)]
every_method = pytest.mark.parametrize(
    "allocator", [ALM, CLARABEL, SCS, IPOPT], ids=["alm", "clarabel", "scs", "ipopt"]
)


def problems(families, seed, rows):
    """Yield random problems with options for which shares exist."""
    rng = np.random.default_rng(seed)
    for k in range(rows):
        curves = families[k % len(families)]
        yield random_shared_problem(
            rng,
            int(rng.integers(1, 16)),
            4,
            len(set(curves)) + int(rng.integers(1, 5)),
            len(curves),
            utilisation=float(rng.choice([0.05, 0.5, 0.9, 0.99])),
            spread=float(rng.choice([3.0, 100.0])),
            curves=curves,
            ordering=ORDERINGS[k // len(families) % 2],
        )


@pytest.mark.parametrize(
    ("allocator", "error", "price_error", "unsolved"), METHODS, ids=["alm", "clarabel", "scs", "ipopt"]
)
@pytest.mark.parametrize("families", [SEPARATE, COUPLED], ids=["separate", "coupled"])
@pytest.mark.parametrize("seed", [41, pytest.param(42, marks=pytest.mark.slow)])
def test_agrees_with_water_filling(allocator, error, price_error, unsolved, families, seed):
    rows, not_converged = 12, 0
    for problem, options in problems(families, seed, rows):
        best, got = WaterFilling().allocate(problem, options[None]), allocator.allocate(problem, options[None])
        assert best.status[0] == Status.OPTIMAL
        if got.status[0] != Status.OPTIMAL:
            assert got.status[0] in (Status.INACCURATE, Status.LIMIT, Status.FAILED)
            assert problem.residuals(options[None], got.shares).feasible[0] != np.isnan(got.shares).any()
            not_converged += 1
            continue
        assert problem.residuals(options[None], got.shares).feasible[0]
        value, least = (problem.objective(options[None], a.shares)[0] for a in (got, best))
        assert least * (1 - 1e-11) <= value <= least * (1 + error)
        np.testing.assert_allclose(got.prices, best.prices, rtol=price_error)
        bound = fixed_dual(problem, options[None], got.prices)[0]
        assert value - bound <= max(error, one_by_one.CLAIM_TOLERANCE) * value + 1e-14 * got.prices.sum()
    assert not_converged <= unsolved * rows


@every_method
@pytest.mark.parametrize("curves", [(MD1, OVERLAP), (TANDEM, TANDEM)], ids=["separate", "coupled"])
def test_rows_of_every_kind(allocator, curves, capfd):
    """All work somewhere, some without any, none at all, one resource overloaded, one edge unstable."""
    n, m = 4, 5
    service = np.zeros((n, m, 2))
    service[:, 0], service[:, 1], service[:, 2] = [0.1, 0.2], [0.2, 0.0], [2.0, 0.1]
    fixed = np.full((n, m), 1.0)
    fixed[:, 4] = np.inf
    resource = np.broadcast_to([0, 1], (n, m, 2)).copy()
    problem = Problem(fixed, service, np.ones(n), np.full(n, 0.25), curves, resource=resource)
    plans = np.array([[0, 0, 0, 0], [0, 1, 3, 0], [3, 3, 3, 3], [2, 0, 0, 0], [0, 4, 0, 0], [1, 1, 1, 3]])
    got, best = allocator.allocate(problem, plans), WaterFilling().allocate(problem, plans)
    good = [0, 1, 2, 5]
    expected = ["OPTIMAL", "OPTIMAL", "OPTIMAL", "INFEASIBLE", "INFEASIBLE", "OPTIMAL"]
    assert [Status(s).name for s in got.status] == [Status(s).name for s in best.status] == expected
    assert np.isnan(got.shares[3:5]).all()
    assert np.isnan(got.prices[3:5]).all()
    np.testing.assert_allclose(got.shares[good], best.shares[good], atol=1e-6)
    np.testing.assert_array_equal(got.shares[2], 0.0)
    np.testing.assert_array_equal(got.prices[2], 0.0)
    np.testing.assert_array_equal(got.shares[1, [1, 2], [1, 0]], 0.0)
    assert got.prices[5, 1] == 0.0
    assert got.prices[5, 0] == pytest.approx(best.prices[5, 0], rel=1e-5)
    assert capfd.readouterr() == ("", "")


@every_method
@pytest.mark.parametrize("servers", [0, 1])
def test_links_on_which_some_nodes_have_no_more_than_their_load(allocator, servers):
    """The light ones count so little that μ = λ is best for them; every other node's share follows in closed form."""
    n = 5
    weight = np.array([1.0, 1.0, 1.0, 1e-4, 1e-4])
    rate, service = np.full(n, 1.0), np.array([0.05, 0.1, 0.15, 0.2, 0.1])
    curves: tuple = (OVERLAP,) + (MD1,) * servers
    tables = np.stack([service] + [np.full(n, 0.05)] * servers, axis=-1)[:, None]
    resource = np.broadcast_to(np.arange(1 + servers), tables.shape).copy()
    problem = Problem(np.ones((n, 1)), tables, rate, weight / weight.sum(), curves, resource=resource)
    options = np.zeros((1, n), dtype=np.int64)
    got = allocator.allocate(problem, options)
    assert got.status[0] == Status.OPTIMAL
    assert problem.residuals(options, got.shares).feasible[0]
    root = np.sqrt(service[:3])
    np.testing.assert_allclose(got.shares[0, 3:, 0], service[3:], rtol=1e-7)
    np.testing.assert_allclose(got.shares[0, :3, 0], 0.7 * root / root.sum(), rtol=1e-4)
    assert got.prices[0, 0] == pytest.approx((root.sum() / 0.7) ** 2 / weight.sum(), rel=1e-4)


@every_method
@pytest.mark.parametrize("curve", [MD1, TANDEM], ids=["separate", "coupled"])
def test_floors_that_leave_nothing_of_one_resource(allocator, curve):
    n = 2
    resource = np.broadcast_to([0, 1], (n, 1, 2)).copy()
    least = np.array([[[2.0, 0.0]], [[2.0, 1.5]]])
    problem = Problem(
        np.ones((n, 1)), np.full((n, 1, 2), 0.25), np.ones(n), np.full(n, 0.5), curve, least, resource=resource
    )
    options = np.zeros((1, n), dtype=np.int64)
    got, best = allocator.allocate(problem, options), WaterFilling().allocate(problem, options)
    assert got.status[0] == Status.OPTIMAL
    np.testing.assert_allclose(got.shares[0, :, 0], 0.5, rtol=1e-12)
    np.testing.assert_allclose(got.shares, best.shares, rtol=1e-6)
    value = problem.objective(options, got.shares)[0]
    assert value - fixed_dual(problem, options, got.prices)[0] <= 1e-8 * value


def test_a_plan_is_called_the_worst_of_its_resources():
    """One outer step is enough for M/M/1 queues, whose start is the optimum, and not for the others."""
    n = 4
    rng = np.random.default_rng(43)
    service = rng.uniform(0.05, 0.1, (n, 1, 2))
    resource = np.broadcast_to([0, 1], service.shape).copy()
    method = AugmentedLagrangian(max_outer=1)
    options = np.zeros((1, n), dtype=np.int64)
    for curves, status in (((MM1, MM1), Status.OPTIMAL), ((MM1, MD1), Status.LIMIT), ((MD1, MM1), Status.LIMIT)):
        problem = Problem(np.ones((n, 1)), service, np.ones(n), np.full(n, 0.25), curves, resource=resource)
        got = method.allocate(problem, options)
        assert got.status[0] == status
        assert problem.residuals(options, got.shares).feasible[0]


@pytest.mark.parametrize("families", [SEPARATE, COUPLED], ids=["separate", "coupled"])
def test_trace_tells_how_all_budgets_were_met(families):
    method = AugmentedLagrangian()
    for problem, options in problems(families, 44, 12):
        steps, found = method.trace(problem, options), method.allocate(problem, options[None])
        assert [step.iteration for step in steps] == list(range(1, len(steps) + 1))
        assert steps[-1].kkt_residual <= method.tolerance
        assert abs(steps[-1].budget_violation) <= method.tolerance
        assert steps[-1].beta == pytest.approx(found.prices.max(), rel=1e-6)
        assert steps[-1].objective == pytest.approx(problem.objective(options[None], found.shares)[0], rel=1e-8)
    idle = np.full(problem.n_nodes, problem.n_options - 1)
    assert method.trace(problem, idle) == ()


def test_the_penalty_grows_where_a_budget_is_still_missed():
    (problem, options), *_ = problems(COUPLED, 45, 1)
    slow, quick = (
        AugmentedLagrangian(penalty=0.01, growth=growth).trace(problem, options) for growth in (1.0 + 1e-12, 10.0)
    )
    assert len(quick) < len(slow)
    assert quick[-1].penalty / quick[-1].beta > 10.0 * quick[0].penalty / quick[0].beta
    short = AugmentedLagrangian(max_outer=1, penalty=0.01).allocate(problem, options[None])
    assert short.status[0] == Status.LIMIT
    assert problem.residuals(options[None], short.shares).feasible[0]


@pytest.mark.parametrize("allocator", [CLARABEL, IPOPT], ids=["clarabel", "ipopt"])
def test_one_model_for_each_shape(allocator, monkeypatch):
    """Which resource is used by whom is data: plans with as many uses and tandems share a compiled model."""
    (problem, options), *_ = problems([(TANDEM, TANDEM)], 46, 1)
    fresh = type(allocator)()
    for _ in range(3):
        fresh.allocate(problem, options[None])
    assert fresh._models.get.cache_info().misses == 1


def test_a_loose_claim_is_called_inaccurate(monkeypatch):
    (problem, options), *_ = problems([(TANDEM, TANDEM)], 47, 1)
    monkeypatch.setitem(cvxpy_._OPTIONS, "SCS", {"eps_abs": 1e-2, "eps_rel": 1e-2})
    got = SCS.allocate(problem, options[None])
    assert got.status[0] == Status.INACCURATE
    assert problem.residuals(options[None], got.shares).feasible[0]
    monkeypatch.setattr(one_by_one, "CLAIM_TOLERANCE", 1.0)
    assert SCS.allocate(problem, options[None]).status[0] == Status.OPTIMAL


def test_answers_that_are_none_cost_their_row(monkeypatch):
    (problem, options), *_ = problems(SEPARATE, 48, 1)
    for spoilt, status in ((None, Status.FAILED), (np.nan, Status.FAILED), (0.0, Status.FAILED)):

        def answer(self, plan, spoilt=spoilt):
            return None if spoilt is None else one_by_one.Answer(np.full_like(plan.t, spoilt), 1.0, Status.OPTIMAL)

        monkeypatch.setattr(IpoptAllocator, "solve_one", answer)
        got = IpoptAllocator().allocate(problem, options[None])
        assert got.status[0] == status
        assert np.isnan(got.shares).all()
        assert np.isnan(got.prices).all()


def test_a_curve_of_any_use_that_is_not_dcp_is_refused():
    (problem, options), *_ = problems([(mg1(3.0), MD1)], 49, 1)
    assert "negative term (a = -1)" in str(CLARABEL.supports(problem))
    with pytest.raises(InputError, match="disciplined convex"):
        CLARABEL.allocate(problem, options[None])
    assert IPOPT.allocate(problem, options[None]).status[0] == Status.OPTIMAL
    assert jointly.fill_jointly(problem, options[None]).status[0] == Status.OPTIMAL
