from dataclasses import FrozenInstanceError
from itertools import pairwise

import numpy as np
import pytest

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.bounds.certificate import lower_bound, relative_gap
from dmcjia_opt.methods.allocators.augmented_lagrangian import AugmentedLagrangian, _on_budget, _split_floors
from dmcjia_opt.methods.allocators.normal_form import normal_form
from dmcjia_opt.methods.allocators.penalised import LagrangianFunction
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.model.delay import TANDEM, DelayCurve
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.queues import MD1, MM1, mg1
from dmcjia_opt.solving.contract import Allocator, Status
from dmcjia_opt.testing.problems import waits

SMOOTH = (MD1, MM1, mg1(0.3), mg1(3.0))
CURVES = (*SMOOTH, TANDEM)


def wide_problem(
    rng: np.random.Generator,
    curve: DelayCurve,
    *,
    floors: bool,
    n: int | None = None,
    n_splits: int = 1,
    use: float | None = None,
    filled: float | None = None,
) -> Problem:
    """Cloud times and weights spread over 10⁶; `use` of the cloud is load, floors take `filled` of the rest."""
    n = int(rng.integers(5, 21)) if n is None else n
    s = 10 ** rng.uniform(-6, 0, n)
    load = rng.dirichlet(np.ones(n)) * (1 - 10 ** rng.uniform(-3, -0.05) if use is None else use)
    weight = 10 ** rng.uniform(-6, 0, n)
    least = None
    if floors:
        above = rng.dirichlet(np.ones(n)) * (rng.uniform(0.1, 0.999) if filled is None else filled)
        above *= rng.random(n) < rng.uniform(0.3, 1.0)
        least = np.where(above > 0, (load + above * (1 - load.sum())) / s, 0.0)[:, None].repeat(n_splits, axis=1)
    table = s[:, None] * np.linspace(1.0, 0.0 if n_splits > 1 else 1.0, n_splits)
    wait = None
    if len(curve.pieces()) > 1:
        wait = waits(rng, load / s, weight, s[:, None], s).repeat(n_splits, axis=1)
    local = np.zeros((n, n_splits)) if wait is None else wait
    return Problem(local, table, load / s, weight / weight.sum(), curve, least, wait)


def only_split(problem: Problem) -> np.ndarray:
    return np.zeros((1, problem.n_nodes), dtype=np.int64)


def errors(problem: Problem, method: AugmentedLagrangian) -> tuple[float, float]:
    """Return the relative errors of objective and price, after checking the claim and the constraints."""
    splits = only_split(problem)
    found, exact = method.allocate(problem, splits), WaterFilling().allocate(problem, splits)
    assert found.status[0] == Status.OPTIMAL
    assert found.shares[..., 0].sum() <= 1.0
    assert problem.residuals(splits, found.shares[..., 0]).feasible[0]
    best = problem.objective(splits, exact.shares[..., 0])[0]
    objective = problem.objective(splits, found.shares[..., 0])[0]
    return abs(objective / best - 1.0), abs(found.prices[:, 0][0] / exact.prices[:, 0][0] - 1.0)


@pytest.mark.parametrize("floors", [False, True])
@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: f"{curve.name}-{curve.pieces()[0].b:g}")
def test_random_problems_reach_the_closed_form(curve, floors):
    rng = np.random.default_rng(11)
    for _ in range(64):
        problem = wide_problem(rng, curve, floors=floors)
        objective, price = errors(problem, AugmentedLagrangian())
        assert objective <= 1e-8
        assert price <= 1e-7


@pytest.mark.parametrize("floors", [False, True])
@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: f"{curve.name}-{curve.pieces()[0].b:g}")
def test_the_multiplier_proves_the_plan_for_fixed_splits(curve, floors):
    rng = np.random.default_rng(12)
    for _ in range(16):
        problem = wide_problem(rng, curve, floors=floors)
        splits = only_split(problem)
        found = AugmentedLagrangian().allocate(problem, splits)
        objective = problem.objective(splits, found.shares[..., 0])[0]
        assert relative_gap(objective, lower_bound(problem, found.prices[:, 0][0])) <= 1e-8


def test_shares_and_price_meet_the_kkt_conditions_of_the_original_problem():
    rng = np.random.default_rng(13)
    at_floor = 0
    for _ in range(30):
        problem = wide_problem(rng, MD1, floors=True, use=0.6, filled=0.9)
        splits = only_split(problem)
        found = AugmentedLagrangian().allocate(problem, splits)
        s, share = problem.service[..., 0][:, 0], found.shares[..., 0][0]
        saved = problem.weight / s * MD1.marginal(share / s - problem.arrival_rate, problem.arrival_rate)
        least = problem.least_share(splits)[0, :, 0]
        held = share - least <= 1e-8 * (share - problem.arrival_rate * s)
        at_floor += held.sum()
        np.testing.assert_allclose(saved[~held], found.prices[:, 0][0], rtol=1e-7)
        assert (saved[held] <= found.prices[:, 0][0] * (1 + 1e-7)).all()
        assert share.sum() == pytest.approx(1.0, abs=1e-12)
    assert at_floor > 30


@pytest.mark.parametrize("use", [1e-6, 0.999, 1 - 1e-6])
def test_light_load_and_near_saturation(use):
    rng = np.random.default_rng(14)
    for floors in (False, True):
        for _ in range(10):
            objective, price = errors(wide_problem(rng, MD1, floors=floors, use=use), AugmentedLagrangian())
            assert objective <= 1e-8
            assert price <= 1e-7


@pytest.mark.parametrize("left", [1e-4, 1e-8, 1e-12])
def test_floors_that_leave_next_to_nothing(left):
    rng = np.random.default_rng(15)
    for _ in range(20):
        problem = wide_problem(rng, MD1, floors=False, n=12, use=0.3)
        s = problem.service[..., 0][:, 0]
        above = rng.dirichlet(np.ones(12)) * 0.7 * (1 - left)
        floored = Problem(
            problem.fixed_delay,
            problem.service[..., 0],
            problem.arrival_rate,
            problem.weight,
            MD1,
            (problem.arrival_rate + above / s)[:, None],
        )
        objective, price = errors(floored, AugmentedLagrangian())
        assert objective <= 1e-8
        assert price <= 1e-7


def test_floors_that_leave_nothing():
    n = 4
    quarter = np.full(n, 0.25)
    problem = Problem(np.zeros((n, 1)), np.ones((n, 1)), quarter / 2, quarter, MD1, quarter[:, None])
    found = AugmentedLagrangian().allocate(problem, only_split(problem))
    np.testing.assert_allclose(found.shares[..., 0], [quarter], rtol=1e-12)
    assert found.status[0] == Status.OPTIMAL


@pytest.mark.parametrize("penalty", [1e-3, 1.0, 1e5])
def test_any_first_penalty_will_do(penalty):
    rng = np.random.default_rng(16)
    for floors in (False, True):
        for _ in range(10):
            objective, price = errors(wide_problem(rng, MD1, floors=floors), AugmentedLagrangian(penalty=penalty))
            assert objective <= 1e-8
            assert price <= 1e-7


@pytest.mark.parametrize("floors", [False, True])
@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: f"{curve.name}-{curve.pieces()[0].b:g}")
def test_a_batch_equals_its_plans_one_by_one(curve, floors):
    rng = np.random.default_rng(17)
    problem = wide_problem(rng, curve, floors=floors, n=11, n_splits=6, use=0.9, filled=0.8)
    splits = rng.integers(0, 6, (40, 11))
    splits[7] = 5
    method = AugmentedLagrangian()
    batch = method.allocate(problem, splits)
    for layout in (splits, np.asfortranarray(splits)):
        np.testing.assert_array_equal(method.allocate(problem, layout).shares[..., 0], batch.shares[..., 0])
    for row, plan in enumerate(splits):
        alone = method.allocate(problem, plan[None])
        np.testing.assert_array_equal(alone.shares[..., 0][0], batch.shares[..., 0][row])
        np.testing.assert_array_equal(alone.prices[:, 0][0], batch.prices[:, 0][row])
        assert alone.status[0] == batch.status[row]
    assert (batch.shares[..., 0].sum(-1) <= 1.0).all()
    assert (batch.status == Status.OPTIMAL).all()
    exact = WaterFilling().allocate(problem, splits)
    np.testing.assert_allclose(
        problem.objective(splits, batch.shares[..., 0]), problem.objective(splits, exact.shares[..., 0]), rtol=1e-8
    )


def test_plans_with_nothing_to_share_or_no_shares():
    table = np.array([[2.0, 0.3, 0.0], [2.0, 0.2, 0.0]])
    problem = Problem(np.zeros((2, 3)), table, np.ones(2), np.full(2, 0.5))
    splits = np.array([[2, 2], [0, 0], [1, 2], [1, 1]])
    found = AugmentedLagrangian().allocate(problem, splits)
    assert found.status.tolist() == [Status.OPTIMAL, Status.INFEASIBLE, Status.OPTIMAL, Status.OPTIMAL]
    np.testing.assert_array_equal(found.shares[..., 0][0], 0.0)
    assert found.prices[:, 0][0] == 0.0
    assert np.isnan(found.shares[..., 0][1]).all()
    assert np.isnan(found.prices[:, 0][1])
    np.testing.assert_allclose(found.shares[..., 0][2], [1.0, 0.0], rtol=1e-12)
    assert found.shares[..., 0][3].sum() == pytest.approx(1.0, abs=1e-12)
    assert AugmentedLagrangian().trace(problem, splits[0]) == ()
    assert AugmentedLagrangian().trace(problem, splits[1]) == ()
    assert AugmentedLagrangian().allocate(problem, splits[:0]).shares[..., 0].shape == (0, 2)


def test_a_short_run_says_so_and_keeps_to_the_constraints():
    rng = np.random.default_rng(18)
    method = AugmentedLagrangian(max_outer=1, max_inner=1)
    for _ in range(30):
        problem = wide_problem(rng, MD1, floors=True)
        splits = only_split(problem)
        found = method.allocate(problem, splits)
        assert found.status[0] == Status.LIMIT
        assert found.shares[..., 0].sum() <= 1.0
        assert problem.residuals(splits, found.shares[..., 0]).feasible[0]


def test_trace_tells_how_the_method_got_there():
    rng = np.random.default_rng(19)
    problem = wide_problem(rng, MD1, floors=True, use=0.5, filled=0.9)
    splits = only_split(problem)
    for method in (AugmentedLagrangian(), AugmentedLagrangian(penalty=0.1)):
        steps = method.trace(problem, splits[0])
        found = method.allocate(problem, splits)
        assert [step.iteration for step in steps] == list(range(1, len(steps) + 1))
        residuals = [step.kkt_residual for step in steps]
        assert len(steps) >= 3
        assert residuals[-3] > residuals[-2] > residuals[-1]
        assert residuals[-1] <= method.tolerance < residuals[-2]
        assert steps[-1].beta == pytest.approx(found.prices[:, 0][0], rel=1e-12)
        assert steps[-1].objective == pytest.approx(problem.objective(splits, found.shares[..., 0])[0], rel=1e-8)
        assert abs(steps[-1].budget_violation) <= 1e-9


def with_slacks(lagrangian: LagrangianFunction, x: np.ndarray) -> np.ndarray:
    """P5 as printed, at the slacks where it is least."""

    def term(constraint, multiplier, penalty):
        slack = np.maximum(0.0, -constraint - multiplier / penalty)
        return multiplier * (constraint + slack) + 0.5 * penalty * (constraint + slack) ** 2

    delay = lagrangian.curve.delay(lagrangian.base + x, lagrangian.rho)
    per_node = delay + term(-x, lagrangian.alpha, lagrangian.rho_x[:, None])
    t = lagrangian.t
    return (t * per_node).sum(-1) + term((t * x).sum(-1) - 1.0, lagrangian.beta, lagrangian.rho_y)


def random_lagrangian(rng: np.random.Generator, curve: DelayCurve) -> tuple[LagrangianFunction, np.ndarray]:
    shape = (20, 6)
    t = rng.dirichlet(np.ones(6), 20)
    base = np.where(rng.random(shape) < 0.5, 0.0, 10 ** rng.uniform(-1, 1, shape))
    x = 10 ** rng.uniform(-1, 1, shape) - 0.9 * np.minimum(base, 0.1)
    alpha = np.where(base > 0, rng.uniform(0.0, 5.0, shape), 0.0)
    beta, rho_x, rho_y = (10 ** rng.uniform(-1, 2, 20) for _ in range(3))
    return LagrangianFunction(curve, t, base, 10 ** rng.uniform(-2, 2, shape), alpha, beta, rho_x, rho_y), x


@pytest.mark.parametrize("curve", SMOOTH, ids=lambda curve: f"{curve.name}-{curve.pieces()[0].b:g}")
def test_gradient_is_that_of_p5_with_its_slacks(curve):
    lagrangian, x = random_lagrangian(np.random.default_rng(23), curve)
    gradient = lagrangian.t * lagrangian.gradient(x)
    for d in range(x.shape[1]):
        h = 1e-6 * (np.arange(x.shape[1]) == d)
        slope = (with_slacks(lagrangian, x + h) - with_slacks(lagrangian, x - h)) / 2e-6
        np.testing.assert_allclose(slope, gradient[:, d], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("curve", SMOOTH, ids=lambda curve: f"{curve.name}-{curve.pieces()[0].b:g}")
def test_every_step_lowers_the_lagrangian_and_stays_in_the_domain(curve):
    lagrangian, x = random_lagrangian(np.random.default_rng(24), curve)
    outside = higher = 0
    rounding = 1e-10
    for _ in range(20):
        direction, slope, residual = lagrangian.newton(x)
        assert (slope <= 0).all()
        before = with_slacks(lagrangian, x)
        whole = x + direction
        inside = (lagrangian.base + whole > 0).all(-1)
        full = with_slacks(lagrangian, np.where(inside[:, None], whole, x))
        outside += (~inside).sum()
        higher += (full > before + rounding).sum()
        x = lagrangian.line_search(x, direction, slope, 0.9)
        assert (lagrangian.base + x > 0).all()
        assert (with_slacks(lagrangian, x) <= before + rounding).all()
    assert (residual < 1e-6).all()
    assert outside > 0
    assert higher > 0


@pytest.mark.parametrize("floors", [False, True])
def test_the_minimiser_with_kinks_is_one(floors):
    """No move of one node, or of all at once, makes L of the tandem less than at the x returned for it."""
    rng = np.random.default_rng(26)
    at_kink = 0
    for _ in range(20):
        problem = wide_problem(rng, TANDEM, floors=floors, n=8, use=0.6)
        lagrangian, _, _ = _split_floors(normal_form(problem, only_split(problem)))
        ones = np.ones_like(lagrangian.t)
        beta = (lagrangian.t * lagrangian.marginal(ones)).sum(-1)
        lagrangian = lagrangian.with_multipliers(lagrangian.alpha, beta, np.array([10.0]), ones)
        x = lagrangian.minimiser(np.array([True]))
        assert (x >= 0).all()
        excess = lagrangian.base + x
        at_kink += np.isclose(excess, TANDEM.crossing(lagrangian.rho, lagrangian.wait), rtol=1e-12).sum()

        def value(x, lagrangian=lagrangian):
            delay = TANDEM.delay(lagrangian.base + x, lagrangian.rho, lagrangian.wait)
            over = np.maximum(lagrangian.beta + lagrangian.rho_y * ((lagrangian.t * x).sum(-1) - 1.0), 0.0)
            return (lagrangian.t * delay).sum(-1) + over**2 / (2.0 * lagrangian.rho_y)

        least = value(x)
        for d in range(8):
            for factor in (0.99, 0.9999, 1.0001, 1.01):
                moved = x.copy()
                moved[0, d] = max((lagrangian.base + x)[0, d] * factor - lagrangian.base[0, d], 0.0)
                if moved[0, d] + lagrangian.base[0, d] > 0:
                    assert value(moved) >= least * (1 - 1e-14)
    assert at_kink > 5


def test_what_is_left_over_is_shared_out():
    t = np.full((3, 2), 0.5)
    x = np.array([[0.5, 0.5], [-0.1, 4.0], [-1.0, 0.0]])
    np.testing.assert_allclose(_on_budget(t, x), [[1.0, 1.0], [0.0, 2.0], [1.0, 1.0]], atol=1e-15)


def test_a_tolerance_below_rounding_ends_at_the_limit_with_the_best_shares():
    rng = np.random.default_rng(25)
    problem = wide_problem(rng, MD1, floors=True)
    splits = only_split(problem)
    found, exact = (
        AugmentedLagrangian(tolerance=1e-30).allocate(problem, splits),
        WaterFilling().allocate(problem, splits),
    )
    assert found.status[0] == Status.LIMIT
    assert problem.residuals(splits, found.shares[..., 0]).feasible[0]
    best = problem.objective(splits, exact.shares[..., 0])
    np.testing.assert_allclose(problem.objective(splits, found.shares[..., 0]), best, rtol=1e-12)


def test_the_trace_is_gradient_ascent_in_units_of_shares():
    rng = np.random.default_rng(20)
    overstepped = 0
    for _ in range(40):
        problem = wide_problem(rng, MD1, floors=True, use=0.5, filled=0.999)
        splits = only_split(problem)
        best = problem.objective(splits, WaterFilling().allocate(problem, splits).shares[..., 0])[0]
        steps = AugmentedLagrangian(penalty=0.1).trace(problem, splits[0])
        for before, after in pairwise(steps):
            risen = after.beta - before.beta
            if after.beta > 0 and abs(risen) > 1e-6 * after.beta:
                assert risen == pytest.approx(after.penalty * after.budget_violation, rel=1e-6)
                overstepped += after.budget_violation > 0
                assert (after.objective < best) == (after.budget_violation > 0)
    assert overstepped > 5


def test_the_penalty_grows_where_the_violation_does_not_shrink():
    problem = wide_problem(np.random.default_rng(21), MD1, floors=False, n=8, use=0.5)
    splits = only_split(problem)[0]
    growing = [step.penalty for step in AugmentedLagrangian(penalty=0.01, growth=10.0).trace(problem, splits)]
    steady = [step.penalty for step in AugmentedLagrangian(penalty=0.01, growth=1.0 + 1e-12).trace(problem, splits)]
    assert growing[-1] >= 50.0 * growing[0]
    assert steady[-1] <= 2.0 * steady[0]
    assert len(growing) < len(steady)


def test_options_and_input_are_checked():
    for options in (
        {"tolerance": 0.0},
        {"penalty": -1.0},
        {"penalty": np.nan},
        {"growth": 1.0},
        {"shrink": 1.0},
        {"boundary": 1.0},
        {"max_outer": 0},
        {"max_inner": 0},
    ):
        with pytest.raises(InputError, match=next(iter(options))):
            AugmentedLagrangian(**options)
    method = AugmentedLagrangian()
    problem = wide_problem(np.random.default_rng(22), MD1, floors=False, n=5)
    with pytest.raises(InputError, match="splits"):
        method.trace(problem, np.zeros(4, dtype=np.int64))
    with pytest.raises(FrozenInstanceError):
        method.penalty = 2.0  # type: ignore[misc]
    assert isinstance(method, Allocator)
    assert method.supports(problem) is None
