import numpy as np
import pytest

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.studies.simulation.serving import FifoQueue, Variability


def one_by_one(arrivals, services):
    left, free = [], -np.inf
    for arrival, service in zip(arrivals, services, strict=True):
        free = max(arrival, free) + service
        left.append(free)
    return np.array(left)


@pytest.mark.parametrize("load", [0.1, 0.9, 2.0])
@pytest.mark.parametrize("varies", [False, True])
def test_departures_in_blocks_are_those_of_the_recursion(load, varies):
    rng = np.random.default_rng(1)
    gaps = rng.exponential(1.0, 3000)
    factors = rng.exponential(1.0, 3000) if varies else None
    times = np.cumsum(gaps)
    queue, found, origin = FifoQueue(), [], 0.0
    for part in (slice(0, 1), slice(1, 700), slice(700, 2999), slice(2999, 3000)):
        arrivals = np.cumsum(gaps[part])
        found.append(origin + queue.departures(arrivals, load, None if factors is None else factors[part]))
        queue.move_origin(arrivals[-1])
        origin += arrivals[-1]
    expected = one_by_one(times, np.full(3000, load) if factors is None else load * factors)
    np.testing.assert_allclose(np.concatenate(found), expected, rtol=1e-12)


def test_no_digits_are_lost_in_long_runs():
    # arrivals just too fast for a wait to end: it grows by exactly 2⁻²⁰ a task
    queue, n = FifoQueue(), 1 << 16
    arrivals = np.arange(1, n + 1) * 1.0
    for _ in range(50):
        left = queue.departures(arrivals, 1.0 + 2.0**-20)
        queue.move_origin(arrivals[-1])
    assert left[-1] - arrivals[-1] == pytest.approx(1.0 + 50 * n * 2.0**-20, rel=1e-12)


@pytest.mark.parametrize("family", ["gamma", "lognormal"])
@pytest.mark.parametrize("cv", [0.3, 1.0, 2.0])
def test_service_times_vary_as_asked(family, cv):
    factors = Variability(cv, family).draw(1_000_000, np.random.default_rng(1))
    assert factors.mean() == pytest.approx(1.0, abs=5 * cv / 1000)
    assert factors.std() == pytest.approx(cv, rel=0.05)
    assert factors.min() > 0


def test_without_variability_nothing_is_drawn():
    rng = np.random.default_rng(1)
    assert Variability().draw(5, rng) is None
    assert rng.random() == np.random.default_rng(1).random()


def test_exponential_service_is_the_gamma_family_at_1():
    factors = Variability(1.0).draw(100_000, np.random.default_rng(1))
    assert np.quantile(factors, (0.5, 0.9)) == pytest.approx(np.log([2, 10]), rel=0.02)


@pytest.mark.parametrize("cv", [-1.0, np.nan, np.inf])
def test_impossible_variability_is_refused(cv):
    with pytest.raises(InputError, match="must be finite and >= 0"):
        Variability(cv)
