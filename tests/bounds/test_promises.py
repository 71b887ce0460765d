"""What prices prove of deadlines and of the worst node: never more than is true, whatever the prices are."""

from dataclasses import replace

import numpy as np
import pytest

from dmcjia_opt.bounds.certificate import best_lower_bound, lower_bound
from dmcjia_opt.bounds.promises import Needs, best_level, keeping, level_at, levels_of, needed, only
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.model.delay import STATISTICS, tandem
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.queues import MD1, OVERLAP
from dmcjia_opt.testing.doubles import Even
from dmcjia_opt.testing.problems import (
    best_plan,
    brute_force,
    impossible,
    random_problem,
    random_promises,
    random_shared_problem,
)


def prices_of(rng, problem, n):
    """Return random prices over 12 orders of magnitude, some of them 0."""
    prices = 10.0 ** rng.uniform(-6.0, 6.0, (n, problem.n_resources))
    return np.where(rng.random(prices.shape) < 0.1, 0.0, prices)


@pytest.mark.parametrize("seed", [*range(6), *(pytest.param(k, marks=pytest.mark.slow) for k in range(6, 12))])
def test_no_prices_prove_more_than_the_worst_node_of_the_best_plan(seed):
    rng = np.random.default_rng([seed, 5])
    statistic = STATISTICS[seed % len(STATISTICS)]
    if seed % 3:
        problem, options = random_problem(rng, 3, 3, curve=tandem(statistic) if seed % 2 else MD1)
    else:
        problem, options = random_shared_problem(rng, 3, 2, 2, 1, curves=(tandem(statistic),))
    problem = replace(problem, worst=True)
    best, plan, _ = brute_force(problem)
    levels = [level_at(problem, prices).low for prices in prices_of(rng, problem, 20)]
    assert max(levels) <= best * (1 + 1e-12)
    assert best_level(problem).low >= max(levels) * (1 - 1e-12)
    if problem.n_resources == 1:  # a bound without a gap, at any price
        busy = [level_at(problem, np.array([price])) for price in (1e-3, 1.0, 1e3)]
        for level in busy:
            assert level.low == pytest.approx(best, rel=1e-11)
            assert level.low <= best <= level.high * (1 + 1e-12)
    for prices in prices_of(rng, problem, 5):
        of_plan = levels_of(problem, np.stack([plan, options]), np.stack([prices, prices]))
        assert of_plan[0] <= best * (1 + 1e-12)
        values = problem.objective(options, WaterFilling().allocate(problem, options[None]).shares)
        assert of_plan[1] <= values[0] * (1 + 1e-12)


@pytest.mark.parametrize("seed", [0, 1, 2, *(pytest.param(k, marks=pytest.mark.slow) for k in (3, 4, 6))])
def test_no_prices_prove_more_where_deadlines_tie_resources_together(seed):
    rng = np.random.default_rng([seed, 6])
    curves = ((OVERLAP, MD1), (MD1, MD1), (tandem("mean"), tandem("mean")))[seed % 3]
    problem, _ = random_shared_problem(rng, 3, 2, 2, 2, curves=curves)
    fair = replace(problem, worst=True)
    best = best_plan(fair)
    value = float(fair.objective(best.options, best.shares))
    for prices in prices_of(rng, fair, 12):
        assert level_at(fair, prices).low <= value * (1 + 1e-12)
    promised = replace(problem, deadline=np.full(3, 1.2 * value))
    found = best_plan(promised)
    least = float(promised.objective(found.options, found.shares))
    for prices in prices_of(rng, promised, 12):
        assert lower_bound(promised, prices) <= least * (1 + 1e-12)
    assert best_lower_bound(promised)[0] <= least * (1 + 1e-12)


@pytest.mark.parametrize("worst", [False, True])
def test_keeping_a_deadline_costs_no_more_than_in_any_plan_that_does(worst):
    """Plans with random options; each node's deadline is the delay that it has there."""
    compared = sum(in_any_plan(seed, worst=worst) for seed in range(6 if worst else 15))
    assert compared > 300


def in_any_plan(seed, *, worst):
    """Compare what keeping costs with what nodes pay in plans of a problem; return in how many."""
    rng = np.random.default_rng([seed, 7])
    problem = random_promises(rng, worst=worst)
    plans = rng.integers(0, problem.n_options, (60, problem.n_nodes))
    plans = plans[problem.overload(plans) == 0]
    shares = Even().allocate(problem, plans).shares
    feasible = problem.residuals(plans, shares).feasible
    compared = 0
    for plan, share in zip(plans[feasible], shares[feasible], strict=True):
        delay = problem.node_delay(plan, share)
        for prices in 10.0 ** rng.uniform(-3.0, 3.0, (3, problem.n_resources)):
            kept = keeping(problem, delay * (1 + 1e-12), prices)
            paid = (prices[problem.at(problem.resource, plan)] * share).sum(-1)
            assert (kept.cost <= paid * (1 + 1e-9)).all()
            assert (kept.cost[paid == 0] == 0).all()
            compared += 1
            chosen = problem.at(problem.service, kept.options) > 0
            assert (kept.use[problem.by_resource(kept.options, chosen.astype(float)) == 0] == 0).all()
    return compared


def test_what_keeping_takes_is_enough():
    """The shares that cost least keep the deadline, and a hair less does not: of one use and of several."""
    rng = np.random.default_rng(8)
    for curves in ((MD1,), (OVERLAP, MD1), (tandem("p95"), tandem("p95")), (tandem("mean"), tandem("mean"))):
        problem, options = random_shared_problem(rng, 4, 1, 2, len(curves), curves=curves)
        delay = problem.node_delay(options, Even().allocate(problem, options[None]).shares[0])
        choices = Needs.of(problem, slice(None))
        cost, shares = choices.cost(delay[:, None], np.array([1.0, 2.0]))
        taken = problem.node_delay(options, shares[:, 0])
        used = cost[:, 0] > 0
        assert used.any()
        np.testing.assert_allclose(taken[used], delay[used], rtol=1e-9)
        paid = (np.array([1.0, 2.0])[problem.at(problem.resource, options)] * shares[:, 0]).sum(-1)
        np.testing.assert_allclose(cost[:, 0], paid, rtol=1e-9)


def test_a_later_deadline_costs_less_and_dearer_resources_more():
    rng = np.random.default_rng(9)
    for _ in range(20):
        problem, options = random_shared_problem(rng, 5, 3, 3, 2)
        delay = problem.node_delay(options, Even().allocate(problem, options[None]).shares[0])
        prices = 10.0 ** rng.uniform(-2.0, 2.0, 3)
        costs = np.array([keeping(problem, factor * delay, prices).cost for factor in (1.0, 1.1, 2.0, 10.0)])
        assert (np.diff(costs, axis=0) <= 1e-12 * costs[:-1]).all()
        dearer = keeping(problem, delay, 3.0 * prices)
        np.testing.assert_allclose(dearer.cost, 3.0 * costs[0], rtol=1e-9)
        assert (keeping(problem, delay, prices * [1.0, 1.0, 2.0]).cost >= costs[0] * (1 - 1e-12)).all()


def test_one_node_of_one_use_in_closed_form():
    """M/D/1 at 1/s: 0.1 s fixed and a deadline of 0.4 s take the larger root of 0.3 μ² − 1.3 μ + 0.5 = 0."""
    problem = Problem([[0.1, 0.45]], [[0.2, 0.0]], [1.0], [1.0], worst=True)
    mu = np.roots([0.3, -1.3, 0.5]).max()
    kept = keeping(problem, 0.4, np.array([5.0]))
    assert kept.cost[0] == pytest.approx(5.0 * 0.2 * mu, rel=1e-14)
    assert kept.use[0] == pytest.approx(0.2 * mu, rel=1e-14)
    assert (kept.options[0], kept.total, kept.ratio) == (0, kept.cost[0], kept.cost[0] / 5.0)
    assert keeping(problem, 0.45, np.array([5.0])).cost[0] == 0.0
    assert needed(problem, np.array([[0], [1]]), np.full((2, 1, 1), 0.4))[:, 0, 0] == pytest.approx([0.2 * mu, 0.0])
    full = 0.1 + 0.5 * 0.2 + 0.5 / 4.0
    assert level_at(problem, np.ones(1)).low == pytest.approx(full, rel=1e-14)
    assert level_at(problem, np.ones(1)).low <= full


def test_only_has_the_plan_and_nothing_else():
    problem, options = random_shared_problem(np.random.default_rng(10), 4, 3, 2, 2)
    alone = only(problem, options)
    assert alone.n_options == 1
    shares = Even().allocate(problem, options[None]).shares[0]
    np.testing.assert_array_equal(alone.node_delay(np.zeros(4, dtype=int), shares), problem.node_delay(options, shares))


def test_what_no_share_changes_is_a_bound_without_prices():
    problem = Problem([[0.3], [0.9]], [[0.1], [0.0]], [1.0, 1.0], [0.5, 0.5], worst=True)
    assert level_at(problem, np.zeros(1)).low == 0.9
    assert level_at(problem, np.ones(1)).low == pytest.approx(0.9)


def test_where_there_is_no_plan_every_delay_is_out_of_reach():
    problem = replace(impossible(), worst=True)
    assert level_at(problem, np.ones(1)).low == np.inf
    assert best_level(problem).low == np.inf
    late = Problem([[0.3], [0.3]], [[0.1], [0.1]], [1.0, 1.0], [0.5, 0.5], worst=True, deadline=[0.3, 9.0])
    assert level_at(late, np.ones(1)).low == np.inf
