"""Every statistic against a value worked by hand, or the formula of the paper that defines it."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dmcjia_opt.studies.bench.statistics import (
    attainment,
    compare,
    distribution,
    expected_running_time,
    median,
    penalised_average,
    performance_profile,
    proportion,
    scaling,
    shifted_geometric_mean,
    spread,
    virtual_best,
)


def test_wilsons_interval():
    """Eight of ten: centre (0.8 + z²/20)/(1 + z²/10), half-width z·√(0.8·0.2/10 + z²/400)/(1 + z²/10), z = 1.96."""
    z = stats.norm.ppf(0.975)
    centre, half = (0.8 + z * z / 20) / (1 + z * z / 10), z * math.sqrt(0.016 + z * z / 400) / (1 + z * z / 10)
    found = proportion(8, 10)
    assert (found.low, found.high) == pytest.approx((centre - half, centre + half), rel=1e-12)
    assert (found.low, found.high) == pytest.approx((0.4902, 0.9433), abs=5e-5)
    assert found.rate == 0.8


def test_wilsons_interval_where_all_or_none_succeed():
    none, every = proportion(0, 20), proportion(20, 20)
    assert (none.low, every.high) == pytest.approx((0.0, 1.0), abs=1e-12)
    assert none.high == pytest.approx(1 - every.low, rel=1e-12)
    assert 0.1 < none.high < 0.2
    nothing = proportion(0, 0)
    assert (nothing.low, nothing.high) == (0.0, 1.0)
    assert math.isnan(nothing.rate)


def test_the_shifted_geometric_mean():
    """With a shift of 1: √((1 + 1)(7 + 1)) − 1 = 3."""
    assert shifted_geometric_mean([1.0, 7.0], shift=1.0) == pytest.approx(3.0, rel=1e-14)
    assert shifted_geometric_mean([0.25], shift=1e-3) == pytest.approx(0.25, rel=1e-12)
    assert math.isnan(shifted_geometric_mean([]))


def test_the_shift_keeps_microseconds_from_deciding():
    fast, faster = shifted_geometric_mean([1e-6, 1.0]), shifted_geometric_mean([1e-8, 1.0])
    assert fast == pytest.approx(faster, rel=1e-2)
    assert stats.gmean([1e-6, 1.0]) / stats.gmean([1e-8, 1.0]) == pytest.approx(10.0)


def test_par10():
    """Two runs of 1 and 3 s and a failure at a limit of 5 s: (1 + 3 + 50)/3 = 18."""
    assert penalised_average([1.0, 3.0, math.inf], 5.0) == 18.0
    assert penalised_average([1.0, math.inf], [2.0, 4.0]) == 20.5
    assert math.isnan(penalised_average([], 1.0))


def test_the_expected_running_time():
    """Successes after 10 and 20, failures that spent 100 and 50: (10 + 20 + 100 + 50)/2 = 90."""
    assert expected_running_time([10.0, math.inf, 20.0, math.inf], [11.0, 100.0, 999.0, 50.0]) == 90.0
    assert expected_running_time([math.inf], [1.0]) == math.inf
    assert expected_running_time([4.0], [4.0]) == 4.0


def test_quartiles_are_values_that_were_observed():
    found = spread([4.0, 1.0, math.inf, 2.0, 3.0])
    assert (found.low, found.median, found.high) == (2.0, 3.0, 4.0)
    assert spread([1.0, math.inf, math.inf]).median == math.inf
    assert median([2.0, 1.0]) == 1.0
    assert math.isnan(spread([]).median)


TIMES = pd.DataFrame({"a": [1.0, 4.0, math.inf], "b": [2.0, 2.0, math.inf]}, index=["p", "q", "r"])


def test_the_virtual_best():
    assert virtual_best(TIMES).tolist() == [1.0, 2.0, math.inf]


def test_a_performance_profile_by_hand():
    """Ratios of a: 1 and 2, of b: 2 and 1; the third problem nobody solved, so neither profile passes 2/3."""
    profiles = performance_profile(TIMES)
    for method in "ab":
        steps = profiles[method]
        assert steps.at.tolist() == [1.0, 2.0]
        assert steps.share.tolist() == pytest.approx([1 / 3, 2 / 3])
        assert steps.n == 3
        assert (steps.low <= steps.share).all()
        assert (steps.share <= steps.high).all()


def test_a_method_that_fails_everywhere_has_no_profile():
    steps = performance_profile(pd.DataFrame({"a": [1.0, 2.0], "b": [math.inf, math.inf]}))["b"]
    assert (len(steps.at), steps.n) == (0, 2)


def test_a_distribution_counts_what_was_never_reached():
    steps = distribution([3.0, 1.0, 1.0, math.inf])
    assert steps.at.tolist() == [1.0, 3.0]
    assert steps.share.tolist() == [0.5, 0.75]
    assert [proportion(2, 4).low, proportion(3, 4).low] == pytest.approx(steps.low.tolist())
    fewer = distribution([3.0, 1.0, 1.0, math.inf], runs=2)
    assert (fewer.high - fewer.low > steps.high - steps.low).all()


def test_wilcoxon_and_holm_by_hand():
    """a is better on all six problems: p = 2/2⁶; b and c tie everywhere. Holm multiplies the smallest p by 3."""
    scores = pd.DataFrame({"a": [1.0, 2, 3, 4, 5, 6], "b": [2.0, 4, 6, 8, 10, 12], "c": [2.0, 4, 6, 8, 10, 12]})
    found = compare(scores).set_index(["first", "second"])
    assert found.loc[("a", "b"), ["better", "worse", "ties"]].tolist() == [6, 0, 0]
    assert found.loc[("a", "b"), "p"] == pytest.approx(2 / 64)
    assert found.loc[("a", "b"), "p_holm"] == pytest.approx(3 * 2 / 64)
    assert found.loc[("b", "c"), ["better", "worse", "ties", "p", "p_holm"]].tolist() == [0, 0, 6, 1.0, 1.0]


def test_differences_of_rounding_are_ties_and_one_method_has_no_pair():
    found = compare(pd.DataFrame({"a": [1.0, 2.0], "b": [1.0 + 1e-12, 2.0]}))
    assert found["ties"].tolist() == [2]
    alone = compare(pd.DataFrame({"a": [1.0]}))
    assert (len(alone), "p_holm" in alone) == (0, True)


def test_attainment_of_two_runs():
    """One run is at 0.5 after 1 and at 0.1 after 4; the other at 0.2 after 2: half of them, and both."""
    runs = [np.array([[1.0, 0.5], [4.0, 0.1]]), np.array([[2.0, 0.2]])]
    curves = attainment(runs, percentiles=(50.0, 100.0))
    assert curves[50.0].tolist() == [[1.0, 0.5], [2.0, 0.2], [4.0, 0.1]]
    assert curves[100.0].tolist() == [[2.0, 0.5], [4.0, 0.2]]
    assert attainment([], percentiles=(50.0,))[50.0].shape == (0, 2)


def test_the_exponent_of_a_power_law():
    sizes = np.array([10.0, 100.0, 1000.0, 1e4])
    fit = scaling(sizes, 3e-4 * sizes**1.5)
    assert (fit.exponent, fit.constant, fit.points) == pytest.approx((1.5, 3e-4, 4), rel=1e-9)
    noisy = scaling(sizes, 3e-4 * sizes**1.5 * np.array([1.1, 0.9, 1.1, 0.9]))
    assert noisy.low < 1.5 < noisy.high
    assert scaling([1.0, 2.0, 3.0], [1.0, 2.0, math.inf]) is None
