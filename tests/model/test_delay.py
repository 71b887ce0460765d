from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmcjia_opt.errors import InputError
from dmcjia_opt.model.delay import MD1, MM1, DelayCurve, delay_curve, mg1
from tests.strategies import CURVES

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


@pytest.mark.parametrize("curve", CURVES, ids=str)
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


@pytest.mark.parametrize("curve", CURVES, ids=str)
@given(excess=st.floats(1e-60, 1e60), rate=st.floats(1e-60, 1e60))
def test_price_response_undoes_the_marginal(curve, excess, rate):
    price = curve.marginal(np.array([excess]), np.array([rate]))
    np.testing.assert_allclose(curve.excess_at(price, np.array([rate])), excess, rtol=1e-14)


@pytest.mark.parametrize("curve", CURVES, ids=str)
def test_price_response_of_one_entry_does_not_depend_on_the_batch(curve):
    rng = np.random.default_rng(5)
    price, rate = 10.0 ** rng.uniform(-9, 9, 200), 10.0 ** rng.uniform(-9, 9, 200)
    together = curve.excess_at(price, rate)
    alone = [curve.excess_at(price[i : i + 1], rate[i : i + 1])[0] for i in range(200)]
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("curve", CURVES, ids=str)
def test_price_response_takes_rows_of_prices(curve):
    price, rate = np.array([[0.1], [10.0], [1e5]]), np.array([0.0, 1.0, 30.0, 4.0])
    excess = curve.excess_at(price, rate)
    assert excess.shape == (3, 4)
    np.testing.assert_allclose(curve.marginal(excess, rate), np.broadcast_to(price, (3, 4)), rtol=4e-15)


@pytest.mark.parametrize("near", [MD1, MM1])
def test_general_curve_meets_the_special_ones(near):
    scv = 2.0 * near.b - 1.0
    other = mg1(scv + 1e-9)
    price, rate = grid(10.0 ** np.arange(-6, 7, 2), 10.0 ** np.arange(-6, 7, 2))
    assert mg1(scv) == DelayCurve("mg1", near.a, near.b)
    np.testing.assert_allclose(other.excess_at(price, rate), near.excess_at(price, rate), rtol=2e-9)


@pytest.mark.parametrize("curve", CURVES, ids=str)
def test_delay_falls_and_is_convex(curve):
    excess = np.linspace(0.01, 50.0, 4000)
    delay = curve.delay(excess, 2.0)
    assert (np.diff(delay) < 0).all()
    assert (np.diff(delay, 2) > -1e-13).all()


def test_which_curves_are_disciplined():
    assert [mg1(scv).is_dcp for scv in (0.0, 0.5, 1.0, 1.5)] == [True, True, True, False]


def test_curves_by_name():
    assert delay_curve("md1") is MD1
    assert delay_curve("mm1") is MM1
    assert delay_curve("mg1", 0.4) == mg1(0.4)
    assert delay_curve("md1", 0.4) is MD1


def test_an_unknown_curve_is_refused_with_the_choices():
    with pytest.raises(InputError, match=r'delay = "md2".*md1, mm1 or mg1'):
        delay_curve("md2")


@pytest.mark.parametrize("scv", [-0.1, np.nan, np.inf])
def test_an_impossible_variation_is_refused(scv):
    with pytest.raises(InputError, match="service_scv"):
        mg1(scv)
