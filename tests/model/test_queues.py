"""One queue in closed form, whatever its arrivals."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from dmcjia_opt.model.delay import TANDEM, tandem
from dmcjia_opt.model.queues import (
    MD1,
    MM1,
    OVERLAP,
    curvature_of,
    delay_of,
    excess_of,
    excess_within,
    marginal_of,
    mg1,
)


def _drawn(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    beta = np.where(rng.random(n) < 0.2, 0.0, 10.0 ** rng.uniform(-4, 1, n))
    return rng.choice([1e-3, 1.0, 1e3], n) * rng.uniform(0.5, 2.0, n), beta, 10.0 ** rng.uniform(-6, 6, n)


def test_delays_and_slopes_have_all_their_digits():
    rate, beta, ratio = _drawn(60, 1)
    excess = ratio * rate
    with mpmath.workdps(50):
        for i in range(60):
            lam, b, x = (mpmath.mpf(float(v[i])) for v in (rate, beta, excess))
            for n in (1, 3):

                def delay(x, lam=lam, b=b, n=n):
                    return n / (lam + x) + b * lam / ((lam + x) * x)

                exact = delay(x), -mpmath.diff(delay, x), mpmath.diff(delay, x, 2)
                found = marginal_of(n, beta[i], excess[i], rate[i]), curvature_of(n, beta[i], excess[i], rate[i])
                assert [float(value) for value in found] == pytest.approx([float(v) for v in exact[1:]], rel=1e-14)
            assert float(delay_of(beta[i], excess[i], rate[i])) == pytest.approx(float(exact_of(lam, b, x)), rel=1e-15)


def exact_of(lam, b, x):
    return 1 / (lam + x) + b * lam / ((lam + x) * x)


@pytest.mark.parametrize("number", [1.0, 2.0, 3.0])
def test_the_rate_at_a_price_saves_exactly_that(number):
    rate, beta, ratio = _drawn(5000, 2)
    price = ratio / rate**2
    excess = excess_of(number, beta, price, rate)
    saved = marginal_of(number, beta, excess, rate)
    enough = (beta == 0) & (excess == 0)
    assert enough.any()
    assert (saved[enough] <= price[enough] * (1 + 1e-12)).all()
    np.testing.assert_allclose(saved[~enough], price[~enough], rtol=1e-12)


def test_a_rate_does_not_depend_on_what_else_is_in_the_batch():
    rate, beta, ratio = _drawn(200, 3)
    whole = excess_of(1.0, beta, ratio / rate**2, rate)
    for i in range(0, 200, 17):
        one = slice(i, i + 1)
        assert excess_of(1.0, beta[one], ratio[one] / rate[one] ** 2, rate[one])[0] == whole[i]


def test_the_rate_within_a_delay_takes_just_that_long():
    rate, beta, ratio = _drawn(5000, 4)
    room = ratio / rate
    delay = delay_of(beta, excess_within(beta, room, rate), rate)
    loose = (beta == 0) & (delay < room * (1 - 1e-11))
    np.testing.assert_allclose(delay[~loose], room[~loose], rtol=1e-11)
    assert (room[loose] * rate[loose] >= 1.0).all()  # nobody waits, however slow


@pytest.mark.parametrize("curve", [MD1, MM1, mg1(0.3), mg1(2.0), OVERLAP, TANDEM, tandem("p95")], ids=lambda c: c.name)
def test_gaps_of_poisson_arrivals_are_those_that_need_no_saying(curve):
    rng = np.random.default_rng(5)
    rate, one = rng.uniform(0.1, 10.0, 500), np.ones(500)
    excess, price, room = rate * 10.0 ** rng.uniform(-3, 2, (3, 500))
    price, room, wait = price**-2, 1.0 / room, 0.0 if curve in (MD1, MM1) else rng.uniform(0.0, 1.0, 500) / rate
    for name, at in (("delay", excess), ("marginal", excess), ("excess_at", price), ("rate_within", room)):
        said, unsaid = (getattr(curve, name)(at, rate, wait, *scv) for scv in ((one,), ()))
        np.testing.assert_allclose(said, unsaid, rtol=1e-10, err_msg=name)


@pytest.mark.parametrize("curve", [MD1, TANDEM, tandem("p99")], ids=lambda curve: curve.name)
def test_periodic_tasks_never_wait(curve):
    rate, none = np.array([2.0, 2.0]), np.zeros(2)
    excess = np.array([0.0, 3.0])
    assert curve.delay(excess, rate, 0.0, none).tolist() == [0.5, 0.2]
    assert curve.marginal(excess, rate, 0.0, none).tolist() == pytest.approx([0.25, 0.04])
    assert curve.excess_at(np.array([1.0, 0.04]), rate, 0.0, none).tolist() == pytest.approx([0.0, 3.0])
    assert curve.rate_within(np.array([9.0, 0.2]), rate, 0.0, none).tolist() == pytest.approx([2.0, 5.0])
    assert not np.any(curve.waits(none))


def test_a_tandem_waits_as_much_as_its_gaps_vary():
    rate, excess, scv = np.full(3, 2.0), np.full(3, 3.0), np.array([0.0, 0.5, 2.0])
    wait = TANDEM.waited(excess, rate)
    np.testing.assert_allclose(TANDEM.waited(excess, rate, scv), scv * wait)
    crossing = TANDEM.crossing(rate, scv * wait, scv)
    np.testing.assert_allclose(crossing[1:], 3.0)
    assert TANDEM.wait_of(rate, np.full(3, 0.5), scv).tolist() == [0.0, np.inf, np.inf]
