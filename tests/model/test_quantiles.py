from __future__ import annotations

import pickle

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmcjia_opt.model.quantiles import (
    LOWERED,
    PERCENTILES,
    WaitQuantile,
    in_system,
    long_wait,
    table_of,
    wait_quantile,
    wait_within,
)

_DIGITS = 150
NAMES = tuple(PERCENTILES)


def beyond(y, idle):
    """P(wait > y services), y > 0, to 80 digits: the exact sum, which alternates, or what is left of a long tail."""
    load = 1 - idle
    if y < 100:
        scale, total = mp.e ** (load * y), mp.mpf(0)
        for j in range(int(mp.floor(y)) + 1):
            total += scale * (load * (j - y)) ** j / mp.factorial(j)
            scale /= mp.e**load
        return 1 - idle * total
    theta = 2 * idle
    for _ in range(60):
        tilted = load * (mp.e**theta - 1) - theta
        theta, last = theta - tilted / (load * mp.e**theta - 1), theta
        if abs(theta / last - 1) < mp.mpf(10) ** -100:
            break
    return idle / (theta - idle) * mp.e ** (-theta * y)


def check_table(name, t):
    """The table is at most the exact quantile, and at least that less 1.1 times what it is lowered by."""
    p, wait = PERCENTILES[name], WaitQuantile(name)
    excess = 1.0 / np.expm1(t)
    found = wait.waited(excess, np.ones(len(t)))
    with mp.workdps(_DIGITS):
        for x, h in zip(excess, found, strict=True):
            x, h = mp.mpf(float(x)), mp.mpf(float(h))
            idle = x / (1 + x)
            y = h / (1 - idle)
            assert beyond(y, idle) > 1 - mp.mpf(p)
            assert beyond(y * (1 + 1.1 * LOWERED), idle) < 1 - mp.mpf(p)


def drawn(name, rng, n):
    """n loads as t, where tasks wait: as many beyond 1 − 1e-2 as below, up to 1 − 1e-13; one exact service included."""
    table = table_of(PERCENTILES[name])
    return np.concatenate(
        [rng.uniform(table.first * (1 + 1e-9), 5.0, n // 2), rng.uniform(5.0, 30.0, n - n // 2 - 2), [table.one, 36.5]]
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_table_is_never_above_the_exact_quantile(name):
    check_table(name, drawn(name, np.random.default_rng(1), 100))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_table_is_never_above_the_exact_quantile_at_many_loads(name):
    check_table(name, drawn(name, np.random.default_rng(2), 10_000))


def test_the_distribution_of_the_wait_is_exact():
    load = np.array([0.05, 0.3, 0.8, 0.99, 1 - 1e-9])
    at_most = in_system(load, 18)
    for y in (0.25, 1.0, 1.5, 7.3, 15.9):
        k = np.full(5, int(y) + 1)
        found = wait_within(k, k - y, load, at_most)
        with mp.workdps(60):
            for u, got in zip(load, found, strict=True):
                assert abs(got / (1 - beyond(mp.mpf(y), 1 - mp.mpf(u))) - 1) < 4e-15
    np.testing.assert_allclose(wait_within(np.full(5, 1), np.ones(5), load, at_most), 1 - load, rtol=1e-14)


@pytest.mark.parametrize("name", NAMES)
def test_long_waits_are_exponential(name):
    p, idle = PERCENTILES[name], np.array([0.02, 1e-3, 1e-6])
    for one, y in zip(idle, long_wait(p, idle), strict=True):
        with mp.workdps(_DIGITS):
            assert abs(beyond(mp.mpf(y), mp.mpf(one)) / (1 - mp.mpf(p)) - 1) < 1e-12
    table = table_of(p)
    t = table.left[np.searchsorted(table.left, 3.0)]
    k = int(long_wait(p, np.exp(-np.array([t])))[0])
    if k < 16:
        exact = wait_quantile(p, -np.expm1(-np.array([t])), np.array([k]))
        np.testing.assert_allclose(long_wait(p, np.exp(-np.array([t]))), exact, rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_the_wait_is_known_where_it_is_less_than_one_service(name):
    p, wait = PERCENTILES[name], WaitQuantile(name)
    load = np.array([1e-9, 0.5 * (1 - p), 1 - p, 1 - 0.99 * p, 1 - 0.98 * p])
    gaps = np.maximum(np.log(p) - np.log1p(-load), 0.0)
    assert (gaps <= load).all()
    for rate in (1.0, 1e-6, 1e6):
        np.testing.assert_allclose(wait.wait_of(np.array(rate), load / rate), gaps / rate, rtol=1e-9, atol=1e-15 / rate)
    assert wait.waited(np.array(2 * p / (1 - p)), np.array(1.0)) == 0.0


@pytest.mark.parametrize("name", NAMES)
def test_the_wait_near_saturation(name):
    """(1 − u) h goes to −ln(1 − p)/2."""
    wait = WaitQuantile(name)
    limit = -0.5 * np.log1p(-PERCENTILES[name])
    excess = np.array([1e-13, 1e-16, 1e-30, 1e-200])
    np.testing.assert_allclose(wait.waited(excess, np.ones(4)) * excess, limit, rtol=2e-10)
    np.testing.assert_allclose(wait.marginal_together(1, excess[:3], np.ones(3)) * excess[:3] ** 2, limit, rtol=2e-10)
    assert wait.waited(np.zeros(1), np.ones(1)) == np.inf
    np.testing.assert_array_equal(wait.wait_of(np.ones(3), np.array([0.0, 1.0, 2.0])), [0.0, np.inf, np.inf])
    np.testing.assert_array_equal(wait.wait_of(np.zeros(2), np.array([0.0, 5.0])), 0.0)


@pytest.mark.parametrize("name", NAMES)
def test_the_tables_cells_meet(name):
    table = table_of(PERCENTILES[name])
    cells = np.arange(1, len(table.left) - 1)
    for coefficients, rtol in ((table.wait, 1e-13), (table.slope, 3e-10)):
        ends = table.at(coefficients, table.right[cells], cells)
        starts = table.at(coefficients, table.left[cells + 1], cells + 1)
        smooth = table.right[cells] != table.one
        np.testing.assert_allclose(starts[smooth], ends[smooth], rtol=rtol)
    # where the wait is one service its density falls, and h bends
    one = int(table.cell(np.array(table.one)))
    assert table.slope[0, one] > 1.05 * table.at(table.slope, np.array([table.one]), np.array([one - 1]))[0]
    assert (np.diff(table.left) > 0).all()


@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_marginal_and_curvature_are_the_derivatives(name, number):
    wait, table = WaitQuantile(name), table_of(PERCENTILES[name])
    t = np.concatenate([np.linspace(0.3 * table.first, 5.0, 301), np.linspace(5.0, 25.0, 21)])
    for rate in (1.0, 1e5):
        x = rate / np.expm1(t)
        step = 1e-5 * x
        kinks = rate / np.expm1([table.first, table.one])
        clear = (np.abs(x - kinks[:, None]) > 2 * step).all(axis=0)
        x, step = x[clear], step[clear]
        lower, upper = x - step, x + step
        delay = [number / (rate + one) + wait.waited(one, rate) for one in (lower, upper)]
        first = wait.marginal_together(number, x, rate)
        np.testing.assert_allclose((delay[0] - delay[1]) / (upper - lower), first, rtol=1e-7)
        saved = [wait.marginal_together(number, one, rate) for one in (lower, upper)]
        second = wait.curvature_together(number, x, rate)
        # at q = 2 the second derivative jumps
        assert np.mean(np.abs((saved[0] - saved[1]) / (upper - lower) / second - 1) < 1e-6) > 0.98
        assert (second > 2.0 * number / (rate + x) ** 3 * (1 - 1e-14)).all()


@pytest.mark.parametrize("name", NAMES)
@given(
    excess=st.floats(1e-12, 1e6),
    rate=st.floats(1e-60, 1e60),
    number=st.integers(1, 4),
)
def test_price_responses_undo_the_marginal(name, excess, rate, number):
    wait = WaitQuantile(name)
    rate, excess = np.array([rate]), np.array([excess * rate])
    if wait.waited(excess, rate)[0] > 0.0:
        price = wait.marginal_together(number, excess, rate)
        np.testing.assert_allclose(wait.excess_together(number, price, rate), excess, rtol=3e-14)
        np.testing.assert_allclose(wait.crossing(rate, wait.waited(excess, rate)), excess, rtol=1e-13)
        total = 1.0 / (rate + excess) + wait.waited(excess, rate)
        np.testing.assert_allclose(wait.excess_within(total, rate), excess, rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_kinks_are_where_the_wait_begins_and_where_it_is_one_service(name):
    p, wait, table = PERCENTILES[name], WaitQuantile(name), table_of(PERCENTILES[name])
    begins, one = 1.0 / np.expm1([table.first, table.one])
    assert begins == pytest.approx(p / (1 - p), rel=1e-12)
    assert wait.waited(np.array(one), np.array(1.0)) == pytest.approx(1.0 / (1.0 + one), rel=1e-9)  # one service
    for rate in (np.array([1.0]), np.array([1e-7])):
        np.testing.assert_allclose(wait.crossing(rate, 0.0), begins * rate, rtol=1e-14)
        for kink in (begins, one):
            slower, faster = (wait.marginal_together(1, rate * kink * (1 + d), rate) for d in (-1e-9, 1e-9))
            at = wait.marginal_together(1, rate * kink, rate)
            np.testing.assert_allclose(at, faster, rtol=1e-6)
            assert slower > 1.01 * at
            for part in (0.1, 0.5, 0.9):
                price = at + part * (slower - at)
                np.testing.assert_allclose(wait.excess_together(1, price, rate), rate * kink, rtol=1e-14)
        assert wait.curvature_together(1, wait.excess_together(1, 1.001 * at, rate), rate) == np.inf


def test_sides_of_the_crossing():
    wait, rate = WaitQuantile("p95"), np.array([1.0, 3.0])
    for upstream in (0.0, 0.2, np.array([0.0, 4.0])):
        crossing = wait.crossing(rate, upstream)
        np.testing.assert_array_equal(wait.side(crossing, rate, upstream), 0)
        np.testing.assert_array_equal(wait.side(crossing * (1 - 1e-9), rate, upstream), -1)
        np.testing.assert_array_equal(wait.side(crossing * (1 + 1e-9), rate, upstream), 1)
    np.testing.assert_array_equal(wait.side(np.zeros(2), rate, 1.0), -1)


def test_many_entries_are_as_each_alone():
    rng, wait = np.random.default_rng(3), WaitQuantile("p90")
    price, rate = 10.0 ** rng.uniform(-6, 6, (20_001, 1)), np.array([1.0, 2.0])
    found = wait.excess_together(1, price, rate)
    assert found.shape == (20_001, 2)
    some = slice(16_300, 16_500)
    np.testing.assert_array_equal(found[some], wait.excess_together(1, price[some], rate))


def test_percentiles_are_equal_by_name_and_travel():
    wait = WaitQuantile("p99")
    assert pickle.loads(pickle.dumps(wait)) == wait
    assert hash(wait) == hash(WaitQuantile("p99"))
    assert wait != WaitQuantile("p95")
