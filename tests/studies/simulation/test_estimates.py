import numpy as np
import pytest
from scipy import stats

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.studies.simulation.estimates import N_BATCHES, BatchSums, Histogram, correlated, half_width


@pytest.mark.parametrize("size", [1, 7, 100])
def test_batch_means_do_not_depend_on_the_blocks(size):
    rng = np.random.default_rng(1)
    values = rng.exponential(1.0, size * N_BATCHES)
    batches, start = BatchSums(size), 0
    while start < len(values):
        step = int(rng.integers(0, 3 * size))
        batches.add(values[start : start + step])
        start += step
    assert batches.means == pytest.approx(values.reshape(N_BATCHES, size).mean(axis=1), rel=1e-12)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e5])
def test_quantiles_are_within_their_tolerance(scale):
    values = scale * np.random.default_rng(1).lognormal(0.0, 1.0, 100_000)
    histogram = Histogram()
    for part in np.array_split(values, 7):
        histogram.add(part)
    levels = (0.01, 0.5, 0.95, 0.99, 0.999)
    assert histogram.quantiles(levels) == pytest.approx(np.quantile(values, levels), rel=0.004)


def test_a_constant_is_all_its_quantiles():
    histogram = Histogram()
    histogram.add(np.full(1000, 0.3))
    assert histogram.quantiles((0.0, 0.5, 1.0)) == pytest.approx(0.3, rel=0.004)


def test_what_is_out_of_range_counts_as_the_end_of_it():
    histogram = Histogram()
    histogram.add(np.array([-1.0, 0.0, 1.0, 1e30]))
    assert histogram.quantiles((0.25, 0.6, 1.0)) == pytest.approx([2.0**-40, 1.0, 2.0**40], rel=0.004)


def test_mixtures_are_weighted():
    fast, slow, mixed = Histogram(), Histogram(), Histogram()
    fast.add(np.full(10, 1.0))
    slow.add(np.full(1000, 5.0))
    mixed.mix(fast, 0.9 / 10)
    mixed.mix(slow, 0.1 / 1000)
    assert mixed.quantiles((0.5, 0.89, 0.91)) == pytest.approx([1.0, 1.0, 5.0], rel=0.004)


@pytest.mark.parametrize("confidence", [0.8, 0.99])
def test_intervals_are_students(confidence):
    values = np.random.default_rng(1).normal(size=(2, N_BATCHES))
    low, high = stats.t.interval(confidence, N_BATCHES - 1, values.mean(axis=1), stats.sem(values, axis=1))
    assert half_width(values, confidence) == pytest.approx((high - low) / 2)


@pytest.mark.parametrize("confidence", [0.0, 1.0, np.nan])
def test_impossible_confidence_is_refused(confidence):
    with pytest.raises(InputError, match="confidence must lie between 0 and 1"):
        half_width(np.ones(4), confidence)


def test_independent_batches_are_not_called_correlated():
    rng = np.random.default_rng(1)
    alarms = [correlated(1.0 + 0.1 * rng.normal(size=(20, N_BATCHES))).any() for _ in range(500)]
    assert np.mean(alarms) <= 0.03


def test_drifting_batches_are_called_correlated():
    noise = 0.1 * np.random.default_rng(1).normal(size=(5, N_BATCHES))
    assert correlated(100.0 + noise + np.linspace(0.0, 1.0, N_BATCHES)).all()


def test_rounding_is_no_correlation():
    assert not correlated(np.vstack([np.ones(N_BATCHES), 1 + 1e-13 * np.arange(N_BATCHES)])).any()
