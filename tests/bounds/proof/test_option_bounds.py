"""Bounds of options with several uses: against numbers of fifty digits, and never above what shares attain."""

from __future__ import annotations

from functools import partial

import mpmath
import numpy as np
import pytest

from dmcjia_opt.bounds.dual import priced
from dmcjia_opt.bounds.proof import option_bounds as room
from dmcjia_opt.bounds.proof.option_bounds import option_bounds, wait_parts
from dmcjia_opt.model.delay import TANDEM
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.queues import MD1, OVERLAP
from dmcjia_opt.testing.problems import ORDERINGS, random_shared_problem


def drawn(seed: int, **how) -> tuple[Problem, tuple[float, ...]]:
    rng = np.random.default_rng(seed)
    problem = random_shared_problem(rng, 3, 3, 4, 3, ordering=ORDERINGS[seed % 2], **how)[0]
    prices = np.exp(rng.normal(size=4) * 2.0) * float(problem.fixed_delay[np.isfinite(problem.fixed_delay)].mean())
    return problem, tuple(prices.tolist())


def least(cost, low: mpmath.mpf, high: mpmath.mpf) -> mpmath.mpf:
    """Return the least value of a function that is convex in exp(log x), by golden section."""
    golden = (mpmath.sqrt(5) - 1) / 2
    for _ in range(160):
        one, two = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, two) if cost(one) < cost(two) else (one, high)
    return cost((low + high) / 2)


def true_cost(problem: Problem, prices: tuple[float, ...], d: int, o: int) -> mpmath.mpf:
    """Return what option o of node d costs at its best shares, the stages of its tandem by their longest service."""
    w, rate = mpmath.mpf(float(problem.weight[d])), mpmath.mpf(float(problem.arrival_rate[d]))
    wait = mpmath.mpf(float(problem.wait[d, o]))
    total = w * mpmath.mpf(float(problem.fixed_delay[d, o]))
    stages = []
    for k, curve in enumerate(problem.use_curves):
        s = mpmath.mpf(float(problem.service[d, o, k]))
        if s == 0:
            continue
        paid = s * mpmath.mpf(prices[problem.resource[d, o, k]])
        floor = max(mpmath.mpf(float(problem.least_rate[d, o, k])), rate)
        if curve == TANDEM:
            stages.append((paid, 1 / floor))
            continue

        pieces = curve.pieces()

        def cost(log_x, paid=paid, floor=floor, pieces=pieces):
            x = max(mpmath.exp(log_x), floor - rate)
            if pieces[0].b == 0:
                return w / (rate + x) + paid * (rate + x)
            return w * (pieces[0].a / (rate + x) + pieces[0].b / x) + paid * (rate + x)

        total += least(cost, mpmath.mpf(-40), mpmath.mpf(40))
    if stages:

        def joint(log_x):
            m = 1 / (rate + mpmath.exp(log_x))
            services = [min(m, mpmath.sqrt(paid / w), most) for paid, most in stages]
            longest = max(services)
            queued = rate * longest**2 / (2 * (1 - rate * longest)) - wait if rate * longest < 1 else mpmath.inf
            return sum(w * x + paid / x for x, (paid, _) in zip(services, stages, strict=True)) + w * max(queued, 0)

        total += least(joint, mpmath.mpf(-40), mpmath.mpf(40))
    return total


@pytest.mark.parametrize("seed", [*range(12), *(pytest.param(k, marks=pytest.mark.slow) for k in range(12, 36))])
def test_against_fifty_digits(seed):
    problem, prices = drawn(seed)
    got = option_bounds(problem, np.arange(3), prices)
    with mpmath.workdps(50):
        for d, o in np.argwhere(np.isfinite(problem.fixed_delay)):
            true = true_cost(problem, prices, d, o)
            assert got[d, o] <= true
            assert got[d, o] >= true * (1 - mpmath.mpf(1e-12))
    assert np.isposinf(got[np.isinf(problem.fixed_delay)]).all()


@pytest.mark.parametrize("ordering", ORDERINGS)
@pytest.mark.parametrize("curves", [(OVERLAP, MD1), (TANDEM, OVERLAP, TANDEM), (TANDEM, TANDEM, TANDEM)], ids=str)
def test_near_saturation_and_far_apart_nothing_is_lost(curves, ordering):
    for seed in range(40):
        rng = np.random.default_rng(seed)
        how = {"spread": 1e6, "utilisation": 1 - 1e-6, "curves": curves, "ordering": ordering}
        problem, _ = random_shared_problem(rng, 4, 4, 3, len(curves), **how)
        prices = np.exp(rng.normal(size=3) * 3.0)
        cost, got = priced(problem, prices)[0], option_bounds(problem, np.arange(4), tuple(prices.tolist()))
        finite = np.isfinite(cost)
        assert (got[finite] <= cost[finite] * (1 + 1e-14)).all()
        assert (got[finite] >= cost[finite] * (1 - 1e-12)).all()


def coupled(seed: int) -> tuple[Problem, tuple[float, ...]]:
    return drawn(seed, curves=(TANDEM, TANDEM, TANDEM))


def test_whatever_the_parts_no_bound_is_too_high(monkeypatch):
    """Parts of the wait that are drawn at random, too large and negative ones among them, prove less or nothing."""
    rng = np.random.default_rng(0)

    def spoilt(factor, *args):
        theta, excess = wait_parts(*args)
        part, rate = rng.uniform(1 - factor, 1 + factor, (2, *theta.shape))
        return theta * part, excess * np.abs(rate)

    for seed in range(30):
        problem, prices = coupled(seed)
        best = option_bounds(problem, np.arange(3), prices)
        cost = priced(problem, np.array(prices))[0]
        finite = np.isfinite(cost)
        for factor in (1e-9, 1e-3, 1.0, 3.0):
            monkeypatch.setattr(room, "wait_parts", partial(spoilt, factor))
            bound = option_bounds(problem, np.arange(3), prices)
            assert (bound[finite] <= cost[finite] * (1 + 1e-14)).all()
            assert (bound[finite] <= best[finite] * (1 + 1e-12)).all()
        monkeypatch.undo()


def test_parts_add_up_to_one_where_the_wait_counts_and_to_less_at_the_kink():
    kinds = set()
    for seed in range(60):
        problem, prices = coupled(seed)
        for d, o in np.argwhere((problem.service > 0).sum(-1) > 1):
            paid = np.array(prices)[problem.resource[d, o]] * problem.service[d, o]
            floor = np.maximum(problem.least_rate[d, o] - problem.arrival_rate[d], 0.0)
            one = (problem.weight[[d]], problem.arrival_rate[[d]], problem.wait[[d], [o]], paid[None], floor[None])
            theta, excess = (found[0] for found in wait_parts(*one))
            assert (theta >= 0).all()
            assert theta.sum() <= 1.0
            slowest = excess.min()
            assert (theta[excess > slowest * 1.001] == 0).all()
            crossing = TANDEM.crossing(one[1], one[2])[0]
            kind = "none" if slowest > crossing else "kink" if slowest == crossing else "all"
            kinds.add(kind)
            held = (floor >= slowest * (1 - 1e-7)).any()
            assert kind != "none" or theta.sum() == 0
            assert kind != "all" or held or theta.sum() == pytest.approx(1.0)
    assert kinds == {"none", "kink", "all"}


def test_a_use_without_a_price_costs_nothing():
    problem, prices = drawn(3, curves=(OVERLAP, TANDEM, TANDEM))
    free = option_bounds(problem, np.arange(3), (0.0,) * 4)
    np.testing.assert_allclose(free, problem.weight[:, None] * problem.fixed_delay, rtol=1e-15)
    some = option_bounds(problem, np.arange(3), (0.0, *prices[1:]))
    assert (some <= option_bounds(problem, np.arange(3), prices)).all()
    assert (some >= free * (1 - 1e-15)).all()
