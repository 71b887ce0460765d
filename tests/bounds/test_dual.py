from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given

from dmcjia_opt.bounds.best import BestPrice
from dmcjia_opt.bounds.dual import dual_point, fixed_dual, option_costs, priced
from dmcjia_opt.bounds.loads import least_load
from dmcjia_opt.bounds.maximise import between, polished, several
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.queues import MM1
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.testing.problems import CURVES, ORDERINGS, random_problem
from dmcjia_opt.testing.strategies import problems

PRICES = 10.0 ** np.linspace(-6, 6, 25)


def grid_cost(problem, d, split, price):
    """Least w·(local + T) + ν·share of one split over a fine grid of shares that the constraints allow."""
    s, rate, weight = problem.service[..., 0][d, split], problem.arrival_rate[d], problem.weight[d]
    local = problem.fixed_delay[d, split]
    if s == 0 or np.isinf(local):
        return weight * local
    floor = 0.0 if not problem.ordered else max(0.0, problem.least_rate[..., 0][d, split] - rate)
    excess = np.geomspace(1e-8, 1e8, 200_001)
    excess = np.append(excess[excess >= floor], floor if floor > 0 else [])
    wait = problem.wait[d, split]
    if wait:
        kink = problem.curve.crossing(rate, wait)
        excess = np.append(excess, kink if kink >= floor else [])
    delay = problem.curve.delay(excess, rate, wait)
    return (weight * (local + delay) + price * s * (rate + excess)).min()


@pytest.mark.parametrize("curve", CURVES, ids=str)
@pytest.mark.parametrize("ordering", ORDERINGS)
def test_priced_cost_is_the_least_over_all_shares(curve, ordering):
    problem, _ = random_problem(np.random.default_rng(1), 3, 3, curve=curve, ordering=ordering)
    for price in (0.01, 1.0, 100.0):
        cost, share = priced(problem, price)
        share = share[..., 0]
        want = [[grid_cost(problem, d, split, price) for split in range(3)] for d in range(3)]
        np.testing.assert_allclose(cost, want, rtol=1e-7)
        assert (cost <= np.array(want) * (1 + 1e-14)).all()
        np.testing.assert_array_equal(share[problem.service[..., 0] == 0], 0.0)
        assert (share >= problem.arrival_rate[:, None] * problem.service[..., 0]).all()


def test_priced_rows_are_rows_of_the_whole():
    problem, _ = random_problem(np.random.default_rng(2), 9, 5, ordering="cloud-faster")
    cost, share = priced(problem, 0.7)
    part_cost, part_share = priced(problem, 0.7, slice(3, 6))
    np.testing.assert_array_equal(part_cost, cost[3:6])
    np.testing.assert_array_equal(part_share, share[3:6])


def test_splits_that_are_not_allowed_cost_infinity():
    problem, _ = random_problem(np.random.default_rng(3), 20, 6)
    cost, _ = priced(problem, 1.0)
    np.testing.assert_array_equal(np.isinf(cost), np.isinf(problem.fixed_delay))


@given(problems(max_spread=1e3))
def test_the_dual_is_the_sum_of_least_costs_minus_the_price(drawn):
    problem, _ = drawn
    for price in (1e-3, 0.5, 30.0):
        cost, share = priced(problem, price)
        point = dual_point(problem, price)
        assert point.price == price
        assert point.value == pytest.approx(cost.min(axis=1).sum() - price, rel=1e-12, abs=1e-12 * point.magnitude)
        np.testing.assert_allclose(cost[np.arange(problem.n_nodes), point.options], cost.min(axis=1))
        assert point.use == pytest.approx(share[np.arange(problem.n_nodes), point.options].sum())
        assert point.magnitude == pytest.approx(cost.min(axis=1).sum() + price)


@given(problems(max_spread=1e3))
def test_the_cost_of_given_splits_is_that_of_the_table(drawn):
    problem, splits = drawn
    nodes = np.arange(problem.n_nodes)
    for price in (1e-3, 0.5, 30.0):
        cost, _ = priced(problem, price)
        got = option_costs(problem, nodes[:, None], np.arange(problem.n_options), np.array([price]))
        np.testing.assert_allclose(got, cost, rtol=1e-13)
        one = fixed_dual(problem, splits[None], np.array([[price]]))
        assert one.shape == (1,)
        assert one[0] == pytest.approx(cost[nodes, splits].sum() - price, rel=1e-12, abs=1e-13 * price)


@given(problems(max_spread=1e3))
def test_the_dual_is_concave_with_the_use_for_slope(drawn):
    problem, _ = drawn
    points = [dual_point(problem, float(price)) for price in PRICES]
    for here in points:
        for there in points:
            tangent = here.value + (here.use - 1.0) * (there.price - here.price)
            slack = 1e-12 * (here.magnitude + there.magnitude + (here.use + 1) * (here.price + there.price))
            assert there.value <= tangent + slack


@given(problems(max_spread=1e3))
def test_the_shares_chosen_fall_as_the_price_rises(drawn):
    problem, _ = drawn
    use = np.array([dual_point(problem, float(price)).use[0] for price in PRICES])
    assert (np.diff(use) <= 1e-12 * use[:-1]).all()


def test_at_price_zero_every_node_takes_its_least_local_delay():
    problem, _ = random_problem(np.random.default_rng(4), 6, 4)
    point = dual_point(problem, 0.0)
    np.testing.assert_array_equal(point.options, problem.fixed_delay.argmin(axis=1))
    assert point.value == pytest.approx(problem.weight @ problem.fixed_delay.min(axis=1), rel=1e-15)
    assert point.use == np.inf


@given(problems(max_spread=1e3))
def test_the_maximum_is_bracketed_and_not_below_any_other_price(drawn):
    problem, _ = drawn
    low, high = between(problem)
    best = max(low.value, high.value)
    assert high.use <= 1.0 or high.price == low.price
    assert low.use >= 1.0 or low.price == 0.0
    assert low.price <= high.price
    for price in [0.0, *PRICES, low.price * 0.9, high.price * 1.1, math.sqrt(low.price * high.price)]:
        point = dual_point(problem, float(price))
        assert point.value <= best + 1e-13 * max(point.magnitude, low.magnitude)


@pytest.mark.parametrize("family", ["paper", "scarce", "mixed", "near", "homogeneous", "fleet"])
@pytest.mark.parametrize("nodes", [1, 10, 300])
def test_the_maximum_of_real_instances_is_tight(family, nodes):
    problem = compile_problem(generate(family, nodes=nodes, seed=0))
    low, high = between(problem)
    best = max(low.value, high.value)
    for price in np.geomspace(max(low.price, 1e-9) * 0.5, max(high.price, 1e-9) * 2, 40):
        assert dual_point(problem, float(price)).value <= best * (1 + 1e-13)


def test_large_fleets_agree_with_the_table_priced_at_once():
    problem = compile_problem(generate("fleet", nodes=9000, seed=3))
    low, high = between(problem)
    for point in (low, high):
        cost, share = priced(problem, point.price)
        share = share[..., 0]
        choice = cost.argmin(axis=1)
        assert point.value == pytest.approx(cost.min(axis=1).sum() - point.price, rel=1e-12)
        assert point.use == pytest.approx(share[np.arange(9000), choice].sum(), rel=1e-9)
    assert high.use <= 1 <= low.use
    best = max(low.value, high.value)
    for factor in (0.5, 0.99, 1.01, 2.0):
        assert dual_point(problem, low.price * factor).value < best


def test_free_capacity_has_price_zero():
    problem = Problem([[0.5, 0.1], [0.9, 0.2]], [[0.1, 0.0], [0.1, 0.0]], [1.0, 1.0], [0.5, 0.5])
    low, high = between(problem)
    assert low is high
    assert (low.price, low.use) == (0.0, 0.0)
    assert low.value == pytest.approx(0.15, rel=1e-15)


def test_a_tie_at_price_zero_is_still_maximised():
    problem = Problem([[1.0, 1.0]], [[0.1, 0.0]], [1.0], [1.0])
    low, high = between(problem)
    assert max(low.value, high.value) == pytest.approx(1.0, rel=1e-12)


def test_a_node_better_off_alone_at_the_first_guess_is_bracketed():
    problem = Problem([[0.1, 1.0]] * 2, [[0.25, 0.0]] * 2, [1.0] * 2, [0.5] * 2, MM1)
    low, high = between(problem)
    assert 0 < low.price <= high.price < 10
    assert max(low.value, high.value) == pytest.approx(0.7136, abs=1e-4)


@pytest.mark.parametrize("excess", [-3e-16, 0.0, 3e-16, 1e-15])
def test_loads_that_only_rounding_tells_from_one_end_quietly(excess):
    problem = Problem([[1.0], [1.0]], [[0.5], [0.5 + excess]], [1.0, 1.0], [0.5, 0.5])
    values = [point.value for point in between(problem)]
    assert np.isfinite(values).all()
    assert max(values) > 1.0


def test_least_load_is_the_least_of_each_node():
    problem = Problem(
        [[0.1, 0.2, np.inf], [0.1, 0.2, 0.3]],
        [[0.4, 0.2, 0.0], [0.3, 0.1, 0.0]],
        [2.0, 3.0],
        [0.5, 0.5],
    )
    assert least_load(problem) == pytest.approx(0.4)


def test_least_load_counts_floors():
    problem = Problem(
        [[0.1, np.inf], [0.1, np.inf]],
        [[0.1, 0.0], [0.1, 0.0]],
        [2.0, 3.0],
        [0.5, 0.5],
        least_rate=[[5.0, 0.0], [1.0, 0.0]],
    )
    assert least_load(problem) == pytest.approx(0.5 + 0.3)


def test_least_load_is_infinite_where_a_node_has_no_split():
    problem = Problem([[np.inf, np.inf], [0.1, 0.1]], [[0.1, 0.0]] * 2, [1.0, 1.0], [0.5, 0.5])
    assert least_load(problem) == np.inf


@pytest.mark.parametrize("seed", [1, 2])
def test_several_prices_are_found_to_the_last_digit_where_no_options_change(seed):
    problem = compile_problem(generate("links", nodes=20, seed=1, links=seed))
    best, *_ = several(problem)
    away = polished(problem, [dual_point(problem, 0.7 * best.prices)])[0]
    assert away.value == pytest.approx(best.value, rel=2e-12)
    assert best.value >= away.value * (1 - 1e-14)


def test_prices_that_are_about_the_best_prove_nearly_as_much():
    for family in ("links", "servers", "tiers"):
        dual = BestPrice(compile_problem(generate(family, nodes=10, seed=1)))
        about = dual.rough[0].value
        assert "points" not in vars(dual)
        assert about <= dual.point.value <= about * (1 + 1.1e-5)
