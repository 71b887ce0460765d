from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given

from dmcjia_opt.methods.allocators.normal_form import normal_form
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling, fill
from dmcjia_opt.model.delay import TANDEM
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.contract import Allocator, Status
from dmcjia_opt.testing.problems import AVERAGES, CURVES, ORDERINGS, QUEUES, all_plans, random_problem
from dmcjia_opt.testing.strategies import problems

curves = pytest.mark.parametrize("curve", CURVES, ids=str)
queues = pytest.mark.parametrize("curve", QUEUES, ids=str)
orderings = pytest.mark.parametrize("ordering", ORDERINGS)


class Reference:
    """The inner problem of one plan at 50 digits, from the tables as they are in float64."""

    def __init__(self, problem, splits):
        busy = np.flatnonzero(problem.at(problem.service[..., 0], splits) > 0)

        def column(values):
            return [mp.mpf(float(values[d])) for d in busy]

        self.busy = busy
        self.s = column(problem.at(problem.service[..., 0], splits))
        self.rate, self.weight = column(problem.arrival_rate), column(problem.weight)
        least = np.zeros(problem.n_nodes) if not problem.ordered else problem.at(problem.least_rate[..., 0], splits)
        self.floor = [max(m - rate, mp.mpf(0)) for m, rate in zip(column(least), self.rate, strict=True)]
        self.wait = column(problem.wait_at(splits)[:, 0])
        self.kinked = problem.kinked
        first = problem.curve.pieces()[0]
        self.a, self.b = mp.mpf(first.a), mp.mpf(first.b)
        self.local = sum(
            mp.mpf(float(w)) * mp.mpf(float(t))
            for w, t in zip(problem.weight, problem.at(problem.fixed_delay, splits), strict=True)
        )

    def response(self, k, rate, wait):
        """Return x and −dx/dk at marginal k: of the queue, or where that waits less than upstream, of its service."""
        x, fall = self.queue_response(k, rate)
        kink = (mp.sqrt(rate**2 + 2 * rate / wait) - rate) / 2 if wait > 0 else mp.inf
        if x <= kink:
            return x, fall
        x = 1 / mp.sqrt(k) - rate
        return (x, 1 / (2 * k * mp.sqrt(k))) if x >= kink else (kink, mp.mpf(0))

    def queue_response(self, k, rate):
        """Return x and −dx/dk where a/(λ+x)² + b/x² = k; Newton from the left of a convex function."""
        x = mp.sqrt(min(self.b, 1) / k)
        while True:
            slope = 2 * (self.a / (rate + x) ** 3 + self.b / x**3)
            step = (self.a / (rate + x) ** 2 + self.b / x**2 - k) / slope
            x += step
            if abs(step) < mp.mpf(10) ** -40 * x:
                return x, 1 / slope

    def at(self, price):
        excess, use, slope = [], mp.mpf(0), mp.mpf(0)
        for s, rate, weight, floor, wait in zip(self.s, self.rate, self.weight, self.floor, self.wait, strict=True):
            x, fall = self.response(price * s / weight, rate, wait)
            if x < floor:
                x, fall = floor, mp.mpf(0)
            excess.append(x)
            use += s * (rate + x)
            slope -= s * fall * s / weight
        return excess, use, slope

    def optimum(self):
        """Return the least Σ w·delay and its price, by Newton's method: the use falls with the price.

        It is convex there, so that all steps come from the left; with kinks it is not, and a bracket keeps them in.
        """
        total = sum(mp.sqrt(w * s) for w, s in zip(self.weight, self.s, strict=True))
        price = (total / (1 - sum(r * s for r, s in zip(self.rate, self.s, strict=True)))) ** 2
        low, high = mp.mpf(0), mp.inf
        for _ in range(400):
            _, use, slope = self.at(price)
            low, high = (price, high) if use > 1 else (low, price)
            step = -(use - 1) / slope if slope else -price / 2
            moved = max(price + step, price / 8)
            if self.kinked and not low < moved < high:
                moved = (low + high) / 2 if high < mp.inf else 2 * price
            step, price = moved - price, moved
            if abs(step) < mp.mpf(10) ** -42 * price:
                break
        excess, use, _ = self.at(price)
        assert abs(use - 1) < mp.mpf(10) ** -35
        return self.value(excess), price

    def value(self, excess):
        delays = (
            max(self.a / (r + x) + self.b / x - wait, 1 / (r + x) if wait else 0)
            for r, x, wait in zip(self.rate, excess, self.wait, strict=True)
        )
        return self.local + sum(w * delay for w, delay in zip(self.weight, delays, strict=True))

    def objective(self, shares):
        """Return Σ w·delay of given shares."""
        pairs = zip(shares[self.busy], self.s, self.rate, strict=True)
        return self.value([mp.mpf(float(share)) / s - rate for share, s, rate in pairs])


@curves
@orderings
@pytest.mark.parametrize(("utilisation", "cases"), [(0.01, (0, 3)), (0.6, (1, 2)), (0.95, (0, 3)), (0.999, (1, 2))])
def test_shares_are_optimal_to_twelve_digits(curve, ordering, utilisation, cases):
    rng = np.random.default_rng(17)
    for case in range(4):
        problem, splits = random_problem(
            rng,
            int(rng.integers(5, 21)),
            3,
            utilisation=utilisation,
            spread=(1.0, 1e6)[case % 2],
            curve=curve,
            ordering=ordering,
            average=AVERAGES[case // 2],
        )
        if case not in cases:
            continue
        allocation = WaterFilling().allocate(problem, splits[None])
        shares = allocation.shares[..., 0][0]
        with mp.workdps(50):
            reference = Reference(problem, splits)
            value, price = reference.optimum()
            assert abs(reference.objective(shares) / value - 1) < 1e-12
            assert abs(mp.mpf(float(problem.objective(splits, shares))) / value - 1) < 1e-12
            assert abs(mp.mpf(float(allocation.prices[:, 0][0])) / price - 1) < 1e-14 / (1 - utilisation)
        assert shares.sum() <= 1.0
        assert problem.residuals(splits, shares).feasible


@curves
@orderings
def test_a_batch_is_a_loop(curve, ordering):
    rng = np.random.default_rng(23)
    problem, _ = random_problem(rng, 7, 5, curve=curve, ordering=ordering, utilisation=0.9, spread=1e3)
    plans = rng.integers(0, 5, (60, 7))
    batch = WaterFilling().allocate(problem, plans)
    assert batch.shares[..., 0].shape == (60, 7)
    assert len(set(batch.status.tolist())) > 1
    for row, splits in enumerate(plans):
        alone = WaterFilling().allocate(problem, splits[None])
        np.testing.assert_array_equal(alone.shares[..., 0][0], batch.shares[..., 0][row])
        np.testing.assert_array_equal(alone.prices[:, 0][0], batch.prices[:, 0][row])
        assert alone.status[0] == batch.status[row]


@given(problems())
def test_shares_keep_every_constraint(drawn):
    problem, _ = drawn
    plans = all_plans(problem)
    allocation = WaterFilling().allocate(problem, plans)
    solved = allocation.status == Status.OPTIMAL
    shares = allocation.shares[..., 0][solved]
    assert (shares.sum(axis=1) <= 1.0).all()
    assert problem.residuals(plans[solved], shares).feasible.all()
    assert np.isfinite(problem.objective(plans[solved], shares)).all()
    np.testing.assert_array_equal(problem.overload(plans[solved]), 0.0)
    assert set(allocation.status.tolist()) <= {Status.OPTIMAL, Status.INFEASIBLE}


@given(problems(max_spread=1e3))
def test_rows_without_shares_are_the_overloaded_ones(drawn):
    problem, splits = drawn
    plans = all_plans(problem)
    allocation = WaterFilling().allocate(problem, plans)
    lost = allocation.status == Status.INFEASIBLE
    np.testing.assert_array_equal(lost, problem.overload(plans) > 0)
    assert np.isnan(allocation.shares[..., 0][lost]).all()
    assert np.isnan(allocation.prices[:, 0][lost]).all()
    assert np.isfinite(allocation.shares[..., 0][~lost]).all()
    assert not lost[(plans == splits).all(axis=1)].any()


@pytest.mark.parametrize("n_nodes", [1, 2, 9, 100, 5000])
@pytest.mark.parametrize("utilisation", [0.5, 0.999, 1 - 1e-6, 1 - 1e-9])
def test_the_budget_is_used_up_and_never_overstepped(n_nodes, utilisation):
    rng = np.random.default_rng(n_nodes)
    for _ in range(20 if n_nodes < 1000 else 2):
        problem, splits = random_problem(rng, n_nodes, 2, utilisation=utilisation, spread=100.0)
        shares = WaterFilling().allocate(problem, splits[None]).shares[..., 0][0]
        assert 1.0 - 1e-12 <= shares.sum() <= 1.0
        assert np.isfinite(problem.objective(splits, shares))


@queues
def test_every_node_saves_the_same_with_its_last_unit(curve):
    problem, splits = random_problem(np.random.default_rng(4), 30, 2, curve=curve, spread=1e4)
    allocation = WaterFilling().allocate(problem, splits[None])
    s = problem.at(problem.service[..., 0], splits)
    on = s > 0
    excess = allocation.shares[..., 0][0][on] / s[on] - problem.arrival_rate[on]
    saves = problem.weight[on] * curve.marginal(excess, problem.arrival_rate[on]) / s[on]
    np.testing.assert_allclose(saves, allocation.prices[:, 0][0], rtol=1e-11)
    np.testing.assert_array_equal(allocation.shares[..., 0][0][~on], 0.0)


@queues
def test_a_node_at_its_floor_saves_less_than_the_others(curve):
    problem, splits = random_problem(np.random.default_rng(4), 12, 2, curve=curve, ordering="cloud-faster")
    allocation = WaterFilling().allocate(problem, splits[None])
    s, shares = problem.at(problem.service[..., 0], splits), allocation.shares[..., 0][0]
    on = s > 0
    at_floor = on & np.isclose(shares, problem.at(problem.least_rate[..., 0], splits) * s, rtol=1e-12)
    free = on & ~at_floor
    assert at_floor.any()
    assert free.any()
    saves = np.zeros(12)
    saves[on] = problem.weight[on] * curve.marginal(
        shares[on] / s[on] - problem.arrival_rate[on], problem.arrival_rate[on]
    )
    saves[on] /= s[on]
    np.testing.assert_allclose(saves[free], allocation.prices[:, 0][0], rtol=1e-11)
    assert (saves[at_floor] <= allocation.prices[:, 0][0] * (1 + 1e-11)).all()


@orderings
def test_a_tandem_saves_the_same_with_every_last_unit_but_at_kinks_and_floors(ordering):
    """The price lies between what a node's last unit of share saved and what the next one saves."""
    at_kink = relieved = waiting = 0
    for seed in range(20):
        problem, splits = random_problem(np.random.default_rng(seed), 30, 2, curve=TANDEM, ordering=ordering)
        allocation = WaterFilling().allocate(problem, splits[None])
        s, shares, rate = (
            problem.at(problem.service[..., 0], splits),
            allocation.shares[..., 0][0],
            problem.arrival_rate,
        )
        on = s > 0
        free = on & (shares > problem.least_share(splits)[:, 0] * (1 + 1e-12))
        excess, wait = shares[free] / s[free] - rate[free], problem.wait_at(splits)[free, 0]
        worth = problem.weight[free] / s[free]
        saved = worth * TANDEM.marginal(excess * (1 - 1e-9), rate[free], wait)
        saves = worth * TANDEM.marginal(excess * (1 + 1e-9), rate[free], wait)
        assert (saves <= allocation.prices[:, 0][0] * (1 + 1e-8)).all()
        assert (saved >= allocation.prices[:, 0][0] * (1 - 1e-8)).all()
        kink = TANDEM.crossing(rate[free], wait)
        np.testing.assert_allclose(excess[saved > 1.001 * saves], kink[saved > 1.001 * saves], rtol=1e-12)
        at_kink += (saved > 1.001 * saves).sum()
        relieved += (excess > 1.001 * kink).sum()
        waiting += (excess < 0.999 * kink).sum()
    assert min(at_kink, relieved, waiting) > 5


def test_all_nodes_at_their_kinks_is_no_trap():
    """Identical nodes with exactly the rate of their edges: any price between the two slopes will do."""
    n = 4
    wait = np.full((n, 1), 0.25)  # λ = 1 and a longest service upstream of 1/2 s
    problem = Problem(wait, np.full((n, 1), 0.125), np.ones(n), np.full(n, 0.25), TANDEM, wait=wait)
    allocation = WaterFilling().allocate(problem, np.zeros((1, n), dtype=np.int64))
    np.testing.assert_allclose(allocation.shares[..., 0][0], 0.25, rtol=1e-14)
    assert problem.objective(np.zeros(n, dtype=int), allocation.shares[..., 0][0]) == pytest.approx(0.75, rel=1e-14)
    assert 0.25 * 2 * (1 - 1e-9) <= allocation.prices[:, 0][0] <= 0.625 * 2 * (1 + 1e-9)


def test_one_node_gets_the_whole_cloud():
    problem = Problem([[0.1]], [[0.3]], [2.0], [1.0])
    allocation = WaterFilling().allocate(problem, np.array([[0]]))
    assert allocation.shares[..., 0][0, 0] == 1.0
    mu = 1 / 0.3
    assert allocation.prices[:, 0][0] == pytest.approx((0.5 / mu**2 + 0.5 / (mu - 2) ** 2) / 0.3, rel=1e-14)


def test_nothing_to_share_costs_nothing():
    problem = Problem([[0.1, 0.2]] * 2, [[0.3, 0.0]] * 2, [1.0] * 2, [0.5] * 2)
    allocation = WaterFilling().allocate(problem, np.array([[1, 1], [0, 1]]))
    np.testing.assert_array_equal(allocation.shares[..., 0], [[0.0, 0.0], [1.0, 0.0]])
    assert allocation.prices[:, 0][0] == 0.0
    assert allocation.prices[:, 0][1] > 0.0
    np.testing.assert_array_equal(allocation.status, [Status.OPTIMAL, Status.OPTIMAL])


@pytest.mark.parametrize(
    ("changes", "infeasible"),
    [
        ({}, False),
        ({"service": [[0.5], [0.5]]}, True),
        ({"service": [[0.9], [0.9]]}, True),
        ({"fixed_delay": [[0.1], [np.inf]]}, True),
        ({"least_rate": [[2.5], [1.5]]}, False),
        ({"least_rate": [[2.5], [1.6]]}, True),
    ],
)
def test_plans_that_no_shares_can_serve(changes, infeasible):
    tables = {
        "fixed_delay": [[0.1], [0.1]],
        "service": [[0.25], [0.25]],
        "arrival_rate": [1, 1],
        "weight": [0.5, 0.5],
    }
    allocation = WaterFilling().allocate(Problem(**(tables | changes)), np.array([[0, 0]]))
    assert (allocation.status[0] == Status.INFEASIBLE) == infeasible
    assert np.isnan(allocation.shares[..., 0]).all() == infeasible
    assert np.isnan(allocation.prices[:, 0][0]) == infeasible


def test_floors_that_take_the_whole_cloud_leave_no_choice():
    problem = Problem([[0.1]] * 2, [[0.25]] * 2, [1.0] * 2, [0.5] * 2, least_rate=[[2.5], [1.5]])
    allocation = WaterFilling().allocate(problem, np.array([[0, 0]]))
    np.testing.assert_allclose(allocation.shares[..., 0], [[0.625, 0.375]], rtol=1e-14)
    assert problem.residuals(np.array([0, 0]), allocation.shares[..., 0][0]).feasible


@curves
@orderings
def test_the_solution_in_normal_form_has_order_one(curve, ordering):
    problem, splits = random_problem(
        np.random.default_rng(7), 15, 2, curve=curve, ordering=ordering, utilisation=0.999, spread=1e6
    )
    form = normal_form(problem, splits[None])
    v, kappa = fill(form)
    assert v.shape == (1, 15)
    assert (form.t * v).sum() == pytest.approx(1.0, abs=1e-14)
    first = curve.pieces()[0]
    least = min(first.b, 1.0) if curve is not TANDEM else 1.0 / (1.0 + form.rho.max()) ** 2
    assert kappa[0] >= least * (1 - 1e-12)
    if ordering == "stability":
        assert kappa[0] <= max(first.b, 1.0) * (1 + 1e-12)
    assert (form.scale * form.value(v))[0] == pytest.approx(
        problem.weight @ problem.use_delay(splits, form.allocation(v, kappa, form.status).shares[..., 0][0]), rel=1e-9
    )


def test_an_empty_batch_is_answered():
    problem, _ = random_problem(np.random.default_rng(0), 4, 3)
    allocation = WaterFilling().allocate(problem, np.empty((0, 4), dtype=np.int64))
    assert allocation.shares[..., 0].shape == (0, 4)
    assert allocation.prices[:, 0].shape == allocation.status.shape == (0,)


def test_it_is_an_allocator_that_takes_every_problem():
    problem, _ = random_problem(np.random.default_rng(0), 4, 3, curve=CURVES[-1], ordering="cloud-faster")
    assert isinstance(WaterFilling(), Allocator)
    assert WaterFilling().supports(problem) is None
