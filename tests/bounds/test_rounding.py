"""Bounds of large fleets against exact arithmetic, by the script that measures it for the documentation."""

import pytest

from benchmarks.rounding import measure
from dmcjia_opt.base.arrays import EPS


@pytest.mark.parametrize("nodes", [10, 5_000])
def test_a_bound_is_a_hair_too_low_and_never_too_high(nodes):
    found = measure(nodes, sample=20)
    assert found.term_error <= 16 * EPS
    assert found.sum_error <= found.slack
    assert 0.0 <= found.below_exact <= 2 * found.slack
    assert abs(found.outward) <= 4 * found.slack
