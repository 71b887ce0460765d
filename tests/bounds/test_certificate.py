from __future__ import annotations

import math
from dataclasses import replace

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.bounds.certificate import (
    best_lower_bound,
    certify,
    judge,
    lower_bound,
    options_lower_bound,
    relative_gap,
    rounding_slack,
)
from dmcjia_opt.bounds.maximise import between
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.queues import MD1, OVERLAP, mg1
from dmcjia_opt.model.resources import Resource
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.testing.problems import AVERAGES, CURVES, ORDERINGS, all_plans, brute_force, random_problem
from dmcjia_opt.testing.strategies import problems

NONSENSE = [math.nan, -1.0, -1e-300, math.inf, -math.inf]


def best_shares(problem, splits):
    return WaterFilling().allocate(problem, np.array([splits])).shares[0]


def overloaded():
    return Problem([[0.1, np.inf]] * 3, [[0.2, 0.0]] * 3, [2.0] * 3, [1 / 3] * 3)


def scaled(problem, factor):
    return replace(problem, service=problem.service[..., 0] * factor)


def exact_dual(problem, price):
    """L(ν) at 40 digits, from the tables as they are in float64."""
    with mp.workdps(40):
        first = problem.curve.pieces()[0]
        a, b, nu = mp.mpf(first.a), mp.mpf(first.b), mp.mpf(price)
        total = -nu
        for d in range(problem.n_nodes):
            rate, weight = mp.mpf(float(problem.arrival_rate[d])), mp.mpf(float(problem.weight[d]))
            costs = []
            waits = problem.service[..., 0][d] * 0 if not problem.kinked else problem.wait[d]
            for local, time, wait in zip(problem.fixed_delay[d], problem.service[..., 0][d], waits, strict=True):
                if np.isinf(local):
                    continue
                s = mp.mpf(float(time))
                cost = weight * mp.mpf(float(local))
                if s > 0:
                    k = nu * s / weight
                    x = mp.sqrt(min(b, 1) / k)
                    for _ in range(60):
                        slope = a / (rate + x) ** 2 + b / x**2 - k
                        step = slope / (2 * (a / (rate + x) ** 3 + b / x**3))
                        x += step
                        if abs(step) < mp.mpf(10) ** -30 * x:
                            break
                    upstream = mp.mpf(float(wait))
                    if upstream > 0:
                        kink = (mp.sqrt(rate**2 + 2 * rate / upstream) - rate) / 2
                        x = max(min(x, kink), 1 / mp.sqrt(k) - rate)
                    delay = a / (rate + x) + b / x
                    if upstream > 0:
                        delay = max(delay - upstream, 1 / (rate + x))
                    cost += weight * delay + nu * s * (rate + x)
                costs.append(cost)
            total += min(costs)
        return total


def small_problem(seed):
    """One of 2,000 problems, every curve, ordering, average, load and spread among them."""
    rng = np.random.default_rng(seed)
    shape = ((1, 4), (2, 4), (3, 3), (4, 2))[rng.integers(4)]
    return random_problem(
        rng,
        *shape,
        utilisation=float(rng.choice([0.05, 0.5, 0.9, 0.999])),
        spread=float(rng.choice([1.0, 10.0, 1e4])),
        curve=CURVES[rng.integers(len(CURVES))],
        ordering=ORDERINGS[rng.integers(2)],
        average=AVERAGES[rng.integers(2)],
    )


@pytest.mark.parametrize("block", [0, *(pytest.param(k, marks=pytest.mark.slow) for k in range(1, 8))])
def test_the_bound_is_below_the_optimum_of_brute_force(block):
    closed = 0
    for seed in range(100 * block, 100 * (block + 1)):
        problem, _ = small_problem(seed)
        value, splits, shares = brute_force(problem)
        certificate = certify(problem, splits, shares)
        assert certificate.feasible, seed
        assert certificate.objective == value
        assert certificate.lower_bound <= value, seed
        assert certificate.lower_bound > 0, seed
        closed += certificate.gap < 1e-9
    assert closed > 8


@given(problems(), st.floats(1e-12, 1e12))
def test_no_price_gives_a_bound_above_the_optimum(drawn, price):
    problem, _ = drawn
    value, _, _ = brute_force(problem)
    best, at = best_lower_bound(problem)
    assert lower_bound(problem, price) <= value
    assert lower_bound(problem, price) <= best + 1e-9 * abs(best)
    assert lower_bound(problem, 0.0) <= best <= value
    assert lower_bound(problem, at) == best


@pytest.mark.parametrize("curve", [*CURVES, mg1(1e4)], ids=str)
def test_rounding_never_lifts_a_bound_above_the_exact_dual(curve):
    """At 40 digits; of the tandem's prices many lie at a kink, where the rounding of the crossing counts in full."""
    rng = np.random.default_rng(8)
    for _ in range(12 if len(curve.pieces()) == 1 else 40):
        problem, _ = random_problem(rng, 3, 2, curve=curve, spread=1e6, utilisation=float(rng.choice([0.1, 0.999])))
        for factor in (1e-6, 1.0, 1e3):
            price = factor * (between(problem)[1].price or 1.0)
            exact = exact_dual(problem, price)
            bound = lower_bound(problem, price)
            assert mp.mpf(bound) <= exact
            assert float(exact - mp.mpf(bound)) <= 2 * rounding_slack(3, abs(float(exact)) + 2 * price)


@pytest.mark.parametrize("price", NONSENSE)
def test_a_price_that_is_nonsense_proves_nothing(price):
    problem, splits = random_problem(np.random.default_rng(0), 3, 3)
    assert lower_bound(problem, price) == -math.inf
    certificate = certify(problem, splits, best_shares(problem, splits), prices=price)
    assert certificate.lower_bound == -math.inf
    assert certificate.gap == math.inf


def test_price_zero_proves_the_least_local_delay():
    problem, _ = random_problem(np.random.default_rng(0), 3, 3)
    least = problem.weight @ problem.fixed_delay.min(axis=1)
    assert lower_bound(problem, 0.0) == pytest.approx(least, rel=1e-14)
    assert lower_bound(problem, 0.0) < least


def test_a_fleet_that_cannot_be_served_has_an_infinite_bound():
    problem = overloaded()
    bound, prices = best_lower_bound(problem)
    assert bound == math.inf
    assert np.isnan(prices).all()
    certificate = certify(problem, np.zeros(3, dtype=int), np.full(3, 1 / 3))
    assert certificate.lower_bound == math.inf
    assert not certificate.feasible
    assert certificate.gap == math.inf
    assert certificate.objective == math.inf


def test_a_node_without_any_split_cannot_be_served():
    problem = Problem([[np.inf, np.inf], [0.1, 0.1]], [[0.1, 0.0]] * 2, [1.0, 1.0], [0.5, 0.5])
    assert best_lower_bound(problem)[0] == math.inf
    assert lower_bound(problem, 1.0) == -math.inf


@pytest.mark.parametrize("excess", [-3e-16, 0.0, 3e-16])
def test_a_fleet_at_the_very_limit_is_not_called_impossible(excess):
    problem = Problem([[1.0], [1.0]], [[0.5], [0.5 + excess]], [1.0, 1.0], [0.5, 0.5])
    bound, _ = best_lower_bound(problem)
    assert 1.0 < bound < math.inf


@pytest.mark.parametrize("curve", CURVES, ids=str)
def test_more_cloud_never_raises_the_bound(curve):
    problem, _ = random_problem(np.random.default_rng(6), 6, 4, curve=curve, utilisation=0.5)
    bounds = [best_lower_bound(scaled(problem, factor))[0] for factor in (0.01, 0.1, 0.5, 0.9, 1.0, 1.1, 1.5)]
    assert (np.diff(bounds) >= 0).all()
    assert bounds[-1] > bounds[0]


def test_another_constraint_never_lowers_the_bound():
    problem, splits = random_problem(np.random.default_rng(7), 6, 4, ordering="cloud-faster")
    free = replace(problem, least_rate=())
    assert best_lower_bound(problem)[0] >= best_lower_bound(free)[0] * (1 - 1e-13)
    fixed = np.full(problem.fixed_delay.shape, np.inf)
    fixed[np.arange(6), splits] = problem.at(problem.fixed_delay, splits)
    assert best_lower_bound(replace(problem, fixed_delay=fixed))[0] >= best_lower_bound(problem)[0] * (1 - 1e-13)


def test_more_local_delay_lifts_the_bound_by_as_much():
    problem, _ = random_problem(np.random.default_rng(9), 6, 4)
    later = replace(problem, fixed_delay=problem.fixed_delay + 2.5)
    assert best_lower_bound(later)[0] == pytest.approx(best_lower_bound(problem)[0] + 2.5, rel=1e-13)


@pytest.mark.parametrize("curve", CURVES, ids=str)
@pytest.mark.parametrize("ordering", ORDERINGS)
@pytest.mark.parametrize("utilisation", [0.01, 0.7, 0.999])
def test_there_is_no_gap_where_there_is_no_choice(curve, ordering, utilisation):
    problem, splits = random_problem(
        np.random.default_rng(3), 12, 1, curve=curve, ordering=ordering, utilisation=utilisation, spread=1e6
    )
    certificate = certify(problem, splits, best_shares(problem, splits))
    assert certificate.feasible
    assert 0 < certificate.gap < 1e-13 / (1 - utilisation) * 10


@pytest.mark.parametrize(("nodes", "gap"), [(10, 0.1), (200, 1e-2), (3000, 1e-3)])
@pytest.mark.parametrize("family", ["paper", "fleet", "mixed"])
def test_the_gap_of_the_splits_at_the_best_price_falls_with_the_fleet(family, nodes, gap):
    problem = compile_problem(generate(family, nodes=nodes, seed=1, cloud_gflops=20.0 * nodes))
    splits = between(problem)[1].options
    certificate = certify(problem, splits, best_shares(problem, splits))
    assert certificate.feasible
    assert certificate.gap < gap


def test_a_worse_plan_has_a_larger_gap_to_the_same_bound():
    problem, _ = random_problem(np.random.default_rng(5), 4, 3)
    _, splits, shares = brute_force(problem)
    best = certify(problem, splits, shares)
    least = problem.least_share(splits)
    half = certify(problem, splits, least + 0.5 * (shares - least))
    assert half.feasible
    assert half.objective > best.objective
    assert half.lower_bound == best.lower_bound
    assert half.gap == pytest.approx((half.objective - best.lower_bound) / half.objective)
    assert half.gap > best.gap


def test_a_price_from_elsewhere_only_chooses_where_the_bound_is_computed():
    problem, _ = random_problem(np.random.default_rng(5), 4, 3)
    _, splits, shares = brute_force(problem)
    best = certify(problem, splits, shares)
    assert certify(problem, splits, shares, prices=best.prices).lower_bound == best.lower_bound
    other = certify(problem, splits, shares, prices=3 * best.prices)
    np.testing.assert_array_equal(other.prices, 3 * best.prices)
    assert other.lower_bound == lower_bound(problem, 3 * best.prices) < best.lower_bound


@pytest.mark.parametrize("factor", [1.001, 0.1, 0.0, -1.0, math.nan])
def test_a_plan_that_breaks_a_constraint_has_no_gap(factor):
    problem, splits = random_problem(np.random.default_rng(2), 4, 3)
    shares = best_shares(problem, splits)
    assert certify(problem, splits, shares).feasible
    certificate = certify(problem, splits, shares * factor)
    assert not certificate.feasible
    assert certificate.gap == math.inf
    assert math.isfinite(certificate.lower_bound)


@pytest.mark.parametrize(
    ("splits", "shares", "message"),
    [
        ([0, 0], [0.5, 0.5], "one entry a node"),
        ([0, 0, 9], [0.1] * 3, "split of node 2"),
        ([0.0, 0.0, 0.0], [0.1] * 3, "integers"),
        ([0, 0, 0], [0.5, 0.5], "one share a use"),
        ([0, 0, 0], 0.3, "one share a use"),
        ([[0, 0, 0]], [[0.3] * 3], "one share a use"),
    ],
)
def test_what_is_no_plan_is_refused(splits, shares, message):
    problem, _ = random_problem(np.random.default_rng(2), 3, 3)
    with pytest.raises(InputError, match=message):
        certify(problem, np.array(splits), np.array(shares))


@given(problems(max_spread=1e4))
def test_bounds_of_given_splits_are_below_their_best_delay_and_close_at_the_price(drawn):
    problem, _ = drawn
    plans = all_plans(problem)
    allocation = WaterFilling().allocate(problem, plans)
    fine = problem.residuals(plans, allocation.shares).feasible
    value = problem.objective(plans, allocation.shares)
    for factor in (0.1, 1.0, 10.0):
        bound = options_lower_bound(problem, plans, factor * allocation.prices)
        assert (bound[fine] <= value[fine]).all()
        assert np.isfinite(bound[fine]).all()
        assert (bound[np.isinf(problem.at(problem.fixed_delay, plans)).any(axis=1)] == np.inf).all()
        if factor == 1.0:
            np.testing.assert_allclose(bound[fine], value[fine], rtol=1e-9)


@pytest.mark.parametrize("price", [*NONSENSE, 0.0])
def test_bounds_of_given_splits_fall_back_on_the_local_delay(price):
    problem, splits = random_problem(np.random.default_rng(2), 3, 3)
    local = problem.weight @ problem.at(problem.fixed_delay, splits)
    bound = options_lower_bound(problem, splits[None], np.array([price]))
    assert bound[0] == pytest.approx(local, rel=1e-13)
    assert bound[0] < local


@pytest.mark.parametrize(
    ("objective", "bound", "gap"),
    [
        (2.0, 1.5, 0.25),
        (2.0, 2.0, 0.0),
        (2.0, 2.0 + 1e-15, 0.0),
        (2.0, -math.inf, math.inf),
        (math.inf, 1.0, math.inf),
        (math.nan, 1.0, math.inf),
        (0.0, 0.0, 0.0),
        (0.0, -1.0, math.inf),
    ],
)
def test_relative_gap(objective, bound, gap):
    assert relative_gap(objective, bound) == gap


def test_the_sentence_about_a_broken_plan_names_what_its_option_uses():
    resources = (Resource("wifi", "link"), Resource("site-a"))
    problem = Problem(
        fixed_delay=[[0.1, np.inf]],
        service=[[[0.1, 0.2], [0.0, 0.0]]],
        arrival_rate=[2.0],
        weight=[1.0],
        curves=(OVERLAP, MD1),
        resource=[[[0, 1], [0, 1]]],
        resources=resources,
    )
    unstable = judge(problem, np.array([1]), np.zeros((1, 2)), ["gate"])
    assert unstable.violation.endswith('of "gate" is unstable at option 1, of nothing that is shared')
    over = judge(problem, np.array([0]), np.array([[1.1, 0.9]]), ["gate"])
    assert over.violation.startswith('its shares exceed the link "wifi" by 0.1')
    slow = judge(problem, np.array([0]), np.array([[0.9, 0.3]]), ["gate"])
    assert 'of "gate" of the server "site-a", 0.3, leaves its use of the server "site-a" unstable' in slow.violation
    assert 'at option 0, of the link "wifi" and the server "site-a"' in slow.violation
    assert judge(problem, np.array([0]), np.array([[0.2, 0.9]])).feasible  # tasks overlap on a link: μ may be λ
