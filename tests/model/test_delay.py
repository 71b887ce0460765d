from __future__ import annotations

import pickle

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.model.delay import STATISTICS, TANDEM, TandemCurve, delay_curve, series_excess, tandem
from dmcjia_opt.model.queues import MD1, MM1, OVERLAP, QueueCurve, mg1
from dmcjia_opt.testing.problems import CURVES, QUEUES

TANDEMS = tuple(tandem(statistic) for statistic in STATISTICS)
ALL = (*QUEUES, *TANDEMS)
SCV = (0.0, 0.3, 1.0, 4.0, 100.0)
RATES = np.array([1e-12, 1e-6, 0.5, 1.0, 2.0, 1e6, 1e12])
EXCESSES = np.array([1e-9, 1e-3, 1.0, 7.0, 1e4, 1e12])


def pollaczek_khinchine(scv, excess, rate):
    """Service time plus mean wait, at 60 digits."""
    with mp.workdps(60):
        x, lam = mp.mpf(float(excess)), mp.mpf(float(rate))
        mu = lam + x
        return 1 / mu + (1 + mp.mpf(scv)) / 2 * lam / (mu * (mu - lam))


def grid(a, b):
    return (array.ravel() for array in np.meshgrid(a, b))


@pytest.mark.parametrize("scv", SCV)
def test_delay_is_service_plus_wait(scv):
    excess, rate = grid(EXCESSES, RATES)
    got = mg1(scv).delay(excess, rate)
    want = np.array([float(pollaczek_khinchine(scv, x, lam)) for x, lam in zip(excess, rate, strict=True)])
    np.testing.assert_allclose(got, want, rtol=2e-15)


def test_paper_formula():
    lam, mu = 2.0, 5.0
    assert MD1.delay(mu - lam, lam) == pytest.approx(lam / (2 * mu * (mu - lam)) + 1 / mu, rel=1e-15)
    assert MM1.delay(mu - lam, lam) == pytest.approx(1 / (mu - lam), rel=1e-15)


@pytest.mark.parametrize("curve", QUEUES, ids=str)
def test_coefficients_describe_the_delay(curve):
    excess, rate = np.array([0.5, 1.0, 3.0]), np.array([1.0, 2.0, 0.5])
    assert curve.a + curve.b == pytest.approx(1.0, rel=1e-15)
    np.testing.assert_allclose(curve.delay(excess, rate), curve.a / (rate + excess) + curve.b / excess, rtol=1e-13)


@pytest.mark.parametrize("scv", SCV)
def test_marginal_and_curvature_are_the_derivatives(scv):
    excess, rate = grid(EXCESSES, RATES)
    curve = mg1(scv)
    first, second = curve.marginal(excess, rate), curve.curvature(excess, rate)
    with mp.workdps(50):
        a, b = mp.mpf(curve.a), mp.mpf(curve.b)
        for x, lam, f, g in zip(excess, rate, first, second, strict=True):
            mu = mp.mpf(float(lam)) + mp.mpf(float(x))
            assert f == pytest.approx(float(a / mu**2 + b / mp.mpf(float(x)) ** 2), rel=2e-15)
            assert g == pytest.approx(float(2 * (a / mu**3 + b / mp.mpf(float(x)) ** 3)), rel=2e-15)


@pytest.mark.parametrize("scv", SCV)
def test_price_response_inverts_the_marginal_at_every_scale(scv):
    price, rate = grid(10.0 ** np.arange(-24, 25, 4), 10.0 ** np.arange(-15, 16, 3))
    curve = mg1(scv)
    excess = curve.excess_at(price, rate)
    assert (excess > 0).all()
    np.testing.assert_allclose(curve.marginal(excess, rate), price, rtol=4e-15)


@pytest.mark.parametrize("curve", ALL, ids=str)
@given(excess=st.floats(1e-60, 1e60), rate=st.floats(1e-60, 1e60))
def test_price_response_undoes_the_marginal(curve, excess, rate):
    price = curve.marginal(np.array([excess]), np.array([rate]))
    np.testing.assert_allclose(curve.excess_at(price, np.array([rate])), excess, rtol=1e-14)


@pytest.mark.parametrize("curve", ALL, ids=str)
def test_price_response_of_one_entry_does_not_depend_on_the_batch(curve):
    rng = np.random.default_rng(5)
    price, rate = 10.0 ** rng.uniform(-9, 9, 200), 10.0 ** rng.uniform(-9, 9, 200)
    together = curve.excess_at(price, rate)
    alone = [curve.excess_at(price[i : i + 1], rate[i : i + 1])[0] for i in range(200)]
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("curve", ALL, ids=str)
def test_price_response_takes_rows_of_prices(curve):
    price, rate = np.array([[0.1], [10.0], [1e5]]), np.array([0.0, 1.0, 30.0, 4.0])
    excess = curve.excess_at(price, rate)
    assert excess.shape == (3, 4)
    np.testing.assert_allclose(
        curve.marginal(excess, rate), np.broadcast_to(price, (3, 4)), rtol=4e-15 if curve.pieces() else 8e-15
    )


@pytest.mark.parametrize("near", [MD1, MM1])
def test_general_curve_meets_the_special_ones(near):
    scv = 2.0 * near.b - 1.0
    other = mg1(scv + 1e-9)
    price, rate = grid(10.0 ** np.arange(-6, 7, 2), 10.0 ** np.arange(-6, 7, 2))
    assert mg1(scv) == QueueCurve("mg1", near.a, near.b)
    np.testing.assert_allclose(other.excess_at(price, rate), near.excess_at(price, rate), rtol=2e-9)


@pytest.mark.parametrize("curve", ALL, ids=str)
def test_delay_falls_and_is_convex(curve):
    excess = np.linspace(0.01, 50.0, 4000)
    delay = curve.delay(excess, 2.0)
    assert (np.diff(delay) < 0).all()
    assert (np.diff(delay, 2) > -1e-13).all()


def test_which_curves_are_disciplined():
    assert [mg1(scv).is_dcp() for scv in (0.0, 0.5, 1.0, 1.5)] == [True, True, True, False]


def test_curves_by_name():
    assert delay_curve("md1") is MD1
    assert delay_curve("mm1") is MM1
    assert delay_curve("mg1", 0.4) == mg1(0.4)
    assert delay_curve("md1", 0.4) is MD1
    assert delay_curve("tandem") is TANDEM
    assert delay_curve("tandem", statistic="p95") == tandem("p95") != tandem("p99")
    assert [curve.name for curve in TANDEMS] == [
        "tandem",
        *(f"tandem {statistic}" for statistic in ("p50", "p90", "p95", "p99", "p99.9")),
    ]
    assert [curve.statistic for curve in TANDEMS] == list(STATISTICS)
    assert all(pickle.loads(pickle.dumps(curve)) == curve for curve in TANDEMS)
    assert len(set(TANDEMS)) == 6


def test_percentiles_have_no_pieces_and_only_tandems_are_in_series():
    assert [(curve.pieces(), curve.is_dcp()) for curve in TANDEMS[1:]] == 5 * [((), False)]
    assert all(isinstance(curve, TandemCurve) and curve.waits() for curve in TANDEMS)
    assert not any(isinstance(curve, TandemCurve) for curve in (*QUEUES, OVERLAP))


@pytest.mark.parametrize("name", ["md1", "mm1", "mg1"])
def test_percentiles_of_independent_queues_are_refused_with_the_remedy(name):
    with pytest.raises(InputError, match=r'statistic = "p95" needs delay = "tandem".*do not add up'):
        delay_curve(name, statistic="p95")


def test_an_unknown_statistic_is_refused_with_the_choices():
    with pytest.raises(InputError, match=r'statistic = "p97".*choose mean, p50, p90, p95, p99 or p99\.9'):
        delay_curve("tandem", statistic="p97")


def test_an_unknown_curve_is_refused_with_the_choices():
    with pytest.raises(InputError, match=r'delay = "md2".*md1, mm1, mg1 or tandem'):
        delay_curve("md2")


@pytest.mark.parametrize("scv", [-0.1, np.nan, np.inf])
def test_an_impossible_variation_is_refused(scv):
    with pytest.raises(InputError, match="service_scv"):
        mg1(scv)


#: Longest service times upstream, s, beside arrivals of 1/s and of 1e-6/s.
SLOWEST = np.array([1e-6, 1e-3, 0.2, 0.9, 0.999])


def tandem_cases():
    """Yield arrival rate, longest service upstream and the wait there, at 60 digits, and those of float64."""
    with mp.workdps(60):
        for rate in (1.0, 1e-6, 1e6):
            for slowest in SLOWEST:
                lam = mp.mpf(rate)
                m = mp.mpf(float(slowest)) / lam
                yield lam, m, lam * m**2 / (2 * (1 - lam * m))


def test_a_tandem_waits_for_its_slowest_stage_alone():
    for lam, m, wait in tandem_cases():
        with mp.workdps(60):
            w = mp.mpf(float(wait))
            m = 2 / (lam + mp.sqrt(lam**2 + 2 * lam / w))  # that of the wait as rounded
            for factor in (1e-6, 0.5, 0.99, 1 - 1e-9, 1 + 1e-9, 1.01, 2, 1e6):
                x = float((1 / m - lam) * mp.mpf(factor))
                service = 1 / (lam + mp.mpf(x))
                last = max(m, service)
                want = service + lam * last**2 / (2 * (1 - lam * last))
                got = TANDEM.delay(np.array(x), np.array(float(lam)), np.array(float(wait))) + mp.mpf(float(wait))
                assert abs(got / want - 1) < 2e-15


@pytest.mark.parametrize("wait", [0.0, np.zeros(1)])
def test_without_a_wait_upstream_a_tandem_is_an_md1_queue(wait):
    excess, rate = grid(EXCESSES, RATES)
    price, other = grid(10.0 ** np.arange(-24, 25, 4), RATES)
    for name in ("delay", "marginal", "curvature"):
        got, want = getattr(TANDEM, name)(excess, rate, wait), getattr(MD1, name)(excess, rate)
        np.testing.assert_allclose(got, want, rtol=4e-15)
    np.testing.assert_array_equal(TANDEM.excess_at(price, other, wait), MD1.excess_at(price, other))


def test_the_kink_is_where_the_cloud_is_as_fast_as_the_slowest_stage():
    for lam, m, wait in tandem_cases():
        with mp.workdps(60):
            w = mp.mpf(float(wait))
            exact = (mp.sqrt(lam**2 + 2 * lam / w) - lam) / 2
            assert abs(exact / (1 / m - lam) - 1) < 1e-12  # the rest is the rounding of the wait
            got = TANDEM.crossing(np.array(float(lam)), np.array(float(wait)))
            assert abs(mp.mpf(float(got)) / exact - 1) < 1e-15


def test_derivatives_on_both_sides_of_the_kink():
    rate, wait = np.array(2.0), np.array(0.3)
    kink = TANDEM.crossing(rate, wait)
    for side, piece in ((1 - 1e-3, MD1), (1 + 1e-3, None)):
        x = kink * side
        mu = rate + x
        first = MD1.marginal(x, rate) if piece else 1 / mu**2
        second = MD1.curvature(x, rate) if piece else 2 / mu**3
        assert TANDEM.marginal(x, rate, wait) == pytest.approx(first, rel=1e-15)
        assert TANDEM.curvature(x, rate, wait) == pytest.approx(second, rel=1e-15)
        step = 1e-5 * x
        higher, lower = TANDEM.delay(x + step, rate, wait), TANDEM.delay(x - step, rate, wait)
        assert (lower - higher) / (2 * step) == pytest.approx(first, rel=1e-8)
    assert TANDEM.marginal(kink, rate, wait) == pytest.approx(1 / (rate + kink) ** 2, rel=1e-15)
    assert TANDEM.curvature(kink, rate, wait) == np.inf


@given(rate=st.floats(1e-9, 1e9), load=st.floats(1e-6, 0.999999), k=st.floats(1e-6, 1e6))
def test_the_price_response_of_a_tandem_is_optimal(rate, load, k):
    """At the answer the price lies between what the last unit of rate saved and what the next one saves."""
    slowest = load / rate
    rate, wait = np.array(rate), np.array(rate * slowest**2 / (2 * (1 - load)))
    kink = TANDEM.crossing(rate, wait)
    price = k / (rate + kink) ** 2
    x = TANDEM.excess_at(price, rate, wait)
    wide = 4e-15 * (1 + rate / x)
    assert TANDEM.marginal(x * (1 + wide), rate, wait) <= price * (1 + 1e-14)
    assert TANDEM.marginal(x * (1 - wide), rate, wait) >= price * (1 - 1e-14)
    if 1 / (rate + kink) ** 2 < price * (1 - 1e-12) and price * (1 + 1e-12) < MD1.marginal(kink, rate):
        assert x == kink


def test_the_price_response_of_a_tandem_meets_each_of_its_pieces():
    rate, wait = np.array(1.0), np.array(0.25)  # the kink is at μ = 2, its slopes are 5/8 and 1/4
    price = np.array([10.0, 0.7, 0.6, 0.3, 0.2, 0.01])
    got = TANDEM.excess_at(price, rate, wait)
    np.testing.assert_allclose(got[:2], MD1.excess_at(price[:2], rate), rtol=1e-15)
    np.testing.assert_array_equal(got[2:4], 1.0)
    np.testing.assert_allclose(got[4:], 1 / np.sqrt(price[4:]) - 1, rtol=1e-14)


def test_pieces_make_the_curve():
    excess, rate, wait = np.geomspace(0.01, 100.0, 50), np.array(2.0), np.array(0.3)
    for curve in CURVES:
        given_wait = wait if curve is TANDEM else 0.0
        pieces = [p.a / (rate + excess) + p.b / excess - p.relief * wait for p in curve.pieces()]
        np.testing.assert_allclose(curve.delay(excess, rate, given_wait), np.max(pieces, axis=0), rtol=1e-13)
    assert TANDEM.is_dcp()
    assert TANDEM.name == "tandem"


def test_a_tandem_falls_and_is_convex_across_its_kink():
    excess = np.linspace(0.01, 50.0, 4000)
    delay = TANDEM.delay(excess, 2.0, np.array(0.01))
    assert (np.diff(delay) < 0).all()
    assert (np.diff(delay, 2) > -1e-13).all()


@pytest.mark.parametrize("curve", [*ALL, OVERLAP], ids=str)
@pytest.mark.parametrize("upstream", [0.0, 1.0])
def test_least_rates_keep_the_room_and_no_lower_ones_do(curve, upstream):
    rng = np.random.default_rng(6)
    rate, room = 10.0 ** rng.uniform(-9, 9, 2000), 10.0 ** rng.uniform(-12, 12, 2000)
    wait = upstream * 10.0 ** rng.uniform(-3, 3, 2000) * room if isinstance(curve, TandemCurve) else 0.0
    mu = curve.rate_within(room, rate, wait)
    spare = mu - rate
    assert (mu > rate).all() if curve.waits() else (mu >= rate).all()
    assert ((curve.delay(spare, rate, wait) - room) / (room + wait) < 16 * np.finfo(float).eps).all()
    if curve is OVERLAP:
        np.testing.assert_array_equal(mu, np.maximum(rate, 1.0 / room))
        return
    # unless rates as close to saturation as float64 has are enough, a little less is not
    some = spare > 1e-4 * rate
    less = np.where(some, spare - 1e-10 * mu, spare)
    assert some.sum() > 900
    assert (curve.delay(less, rate, wait) > room)[some].all()


@pytest.mark.parametrize("curve", [*ALL, OVERLAP], ids=str)
def test_no_rate_keeps_no_room(curve):
    found = curve.rate_within(np.array([-1.0, 0.0, 1e-300, 1e300]), np.ones(4))
    np.testing.assert_array_equal(found[:2], np.inf)
    assert found[2] == pytest.approx(1e300)
    assert found[3] == (np.nextafter(1.0, 2.0) if curve.waits() else 1.0)
    np.testing.assert_allclose(curve.rate_within(np.array([0.5]), np.zeros(1)), 2.0, rtol=1e-15)


def test_a_tandem_in_a_hurry_needs_no_less_than_its_service():
    np.testing.assert_allclose(TANDEM.rate_within(np.array([0.5]), np.ones(1), 1e20), 2.0, rtol=1e-15)


@pytest.mark.parametrize("curve", TANDEMS, ids=lambda curve: curve.name)
def test_percentiles_wait_for_the_slowest_stage_alone(curve):
    """What the last stage adds to the wait before it is what the slowest of all makes tasks wait."""
    rate, first = np.array(2.0), np.array([0.05, 0.2, 0.4])
    last = np.array([[0.1], [0.3], [0.45]])
    added = curve.delay(1.0 / last - rate, rate, curve.wait_of(rate, first))
    want = last + curve.wait_of(rate, np.maximum(first, last)) - curve.wait_of(rate, first)
    np.testing.assert_allclose(added, want, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("curve", TANDEMS, ids=lambda curve: curve.name)
@pytest.mark.parametrize("upstream", [0.0, 0.3])
def test_stages_of_a_tandem_cost_least(curve, upstream):
    """Against rates a little to each side of the answer, for two and three stages, together and one by one."""
    rng = np.random.default_rng(7)
    for stages in (2, 3):
        rate = 10.0 ** rng.uniform(-3, 3, 400)
        wait = upstream / rate
        price = 10.0 ** rng.uniform(-2, 2, (stages, 400)) / rate**2
        floor = np.where(rng.random((stages, 400)) < 0.2, rate, -np.inf)
        found = series_excess(price, floor, rate, wait, curve)

        def cost(excess, rate=rate, wait=wait, price=price):
            longest = np.maximum(curve.waited(excess.min(axis=0), rate) - wait, 0.0)
            return (1.0 / (rate + excess) + price * (rate + excess)).sum(axis=0) + longest

        best = cost(found)
        assert (found >= floor).all()
        for size in (1e-2, 1e-5):
            for kind in range(20):
                moved = found * (1 + size * rng.normal(size=(stages, 1 if kind % 2 else 400)))
                if kind % 3 == 0:
                    moved = np.maximum(moved, moved.min(axis=0) * (1 + size))
                assert (best <= cost(np.maximum(moved, floor)) * (1 + 1e-14)).all()


@pytest.mark.parametrize("curve", TANDEMS, ids=lambda curve: curve.name)
def test_curvature_of_stages_that_move_together(curve):
    rate, excess, number = np.full(4, 2.0), np.array([0.5, 0.7, 0.9, 1.1]), np.array([1, 2, 3, 2])
    step = 1e-6
    saved = [
        curve.delay(excess + sign * step, rate) + (number - 1) / (rate + excess + sign * step) for sign in (-1, 0, 1)
    ]
    want = (saved[0] - 2 * saved[1] + saved[2]) / step**2
    np.testing.assert_allclose(curve.curvature_together(number, excess, rate), want, rtol=1e-3)
