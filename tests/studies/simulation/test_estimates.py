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
    assert histogram.quantiles(levels) == pytest.approx(np.quantile(values, levels, method="inverted_cdf"), rel=2.5e-4)


def test_a_constant_is_all_its_quantiles():
    histogram = Histogram()
    histogram.add(np.full(1000, 0.3))
    assert histogram.quantiles((0.0, 0.5, 1.0)) == pytest.approx(0.3, rel=1e-13)


def test_what_is_out_of_range_counts_as_the_end_of_it():
    histogram = Histogram()
    histogram.add(np.array([-1.0, 0.0, 1.0, 1e30]))
    assert histogram.quantiles((0.25, 0.6, 1.0)) == pytest.approx([2.0**-40, 1.0, 2.0**40], rel=2.5e-4)


def test_mixtures_are_weighted():
    fast, slow, mixed = Histogram(), Histogram(), Histogram()
    fast.add(np.full(10, 1.0))
    slow.add(np.full(1000, 5.0))
    mixed.mix(fast, 0.9 / 10)
    mixed.mix(slow, 0.1 / 1000)
    assert mixed.quantiles((0.5, 0.89, 0.91)) == pytest.approx([1.0, 1.0, 5.0], rel=2.5e-4)


def batched(values, step):
    histogram = Histogram(len(values) // N_BATCHES)
    for start in range(0, len(values), step):
        histogram.add(values[start : start + step])
    return histogram


def test_values_of_batches_do_not_depend_on_the_blocks():
    values = np.random.default_rng(2).exponential(1.0, 100 * N_BATCHES)
    one, _ = batched(values, 3200).batch_values(0.95)
    for step in (1, 70, 250):
        assert batched(values, step).batch_values(0.95)[0] == pytest.approx(one, rel=1e-12)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.99])
def test_values_of_batches_have_the_quantile_as_mean_and_its_error_as_scatter(level):
    n, ratios = 2000 * N_BATCHES, []
    for seed in range(30):
        values, bounded = batched(np.random.default_rng(seed).exponential(1.0, n), 65_536).batch_values(level)
        assert bounded
        ratios.append(float(half_width(values, 0.99)))
        assert abs(values.mean() + np.log1p(-level)) <= 2.0 * ratios[-1]
    density = 1.0 - level
    expected = stats.t.ppf(0.995, N_BATCHES - 1) * np.sqrt(level * (1.0 - level) / n) / density
    assert 0.97 * expected <= np.mean(ratios) <= 1.2 * expected


def test_batches_in_another_order_have_the_same_quantile_and_their_own_values():
    values = np.concatenate([np.full(100, 1.0 + k) for k in range(N_BATCHES)])
    found, _ = batched(values, 500).batch_values(0.5)
    assert found.mean() == pytest.approx(16.0)
    assert (np.diff(found) >= 0.0).all()
    assert found[0] < 16.0 < found[-1]


def test_what_most_tasks_have_in_common_is_their_quantile():
    values = np.where(np.random.default_rng(3).random(100 * N_BATCHES) < 0.7, 0.3, 0.9)
    found, bounded = batched(values, 1000).batch_values(0.5)
    assert bounded
    assert found.mean() == pytest.approx(0.3, rel=1e-12)
    assert 0.0 < half_width(found, 0.99) < 1e-3
    assert batched(np.full(320, 0.3), 100).batch_values(0.5)[0].tolist() == pytest.approx([0.3] * N_BATCHES, rel=1e-13)


def test_a_quantile_beyond_nearly_all_is_not_bounded():
    values = np.random.default_rng(4).exponential(1.0, 10 * N_BATCHES)
    assert not batched(values, 100).batch_values(0.999)[1]


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
