"""Percentiles of a tandem beside simulated tasks, none of which knows a formula."""

import numpy as np
import pytest

from benchmarks.promises import a_plan, is_inside, parts_within, percentiles, quantiles_of
from dmcjia_opt.model.quantiles import PERCENTILES


def test_random_plans_are_inside_their_intervals():
    """30 intervals of 99 %; their seed is fixed, and one of them may miss."""
    inside = percentiles(6, 300_000, seed=1)
    assert min(inside.values()) >= 5
    assert sum(inside.values()) >= 29


@pytest.mark.slow
def test_many_random_plans_are_inside_their_intervals():
    inside = percentiles(40, 2_000_000, seed=2)
    assert min(inside.values()) >= 38
    assert sum(inside.values()) >= 194


def test_a_percentile_that_is_wrong_is_found():
    """Off by 5 % of the wait, where most tasks wait."""
    rng = np.random.default_rng(3)
    services, rate = np.array([0.02, 0.01, 0.08]), 10.0
    wait = quantiles_of(services, rate) - services.sum()
    for factor in (0.95, 1.05):
        parts = parts_within(services, rate, services.sum() + factor * wait, 1_000_000, rng)
        wrong = [not is_inside(p, part, part) for p, part in zip(PERCENTILES.values(), parts, strict=True)]
        assert all(wrong[:3])  # the others are rare


def test_where_most_tasks_do_not_wait_the_median_is_the_time_of_the_stages():
    services, rate = np.array([0.02, 0.01, 0.03]), 10.0
    expected = quantiles_of(services, rate)
    assert expected[0] == pytest.approx(services.sum(), rel=1e-15)
    limits = expected[0] * np.array([1 - 1e-9, 1 + 1e-9])
    below, upto = parts_within(services, rate, limits, 100_000, np.random.default_rng(4))
    assert (below == 0).all()
    assert upto.mean() == pytest.approx(1.0 - 0.3, abs=0.01)
    assert is_inside(0.5, below, upto)


def test_plans_are_of_every_load():
    rng = np.random.default_rng(5)
    loads = [rate * services.max() for services, rate in (a_plan(rng) for _ in range(200))]
    assert min(loads) < 0.1
    assert max(loads) > 0.9
