"""Nodes dealt to options: as cheap as the assignment that SciPy finds, and charges that prove it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from dmcjia_opt.bounds.transport import transport


def cheapest(cost, count):
    columns = np.repeat(np.arange(len(count)), count)
    rows, taken = linear_sum_assignment(cost[:, columns])
    return float(cost[rows, columns[taken]].sum())


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e3])
@pytest.mark.parametrize("digits", [1, 16])
def test_plan_and_charges_are_the_best(scale, digits):
    for seed in range(40):
        rng = np.random.default_rng(seed)
        n, k = int(rng.integers(1, 60)), int(rng.integers(1, 7))
        cost = scale * np.round(rng.random((n, k)), digits)
        count = np.bincount(rng.integers(0, k, n), minlength=k)
        found = transport(cost, count, scale * rng.random(k))
        assert found is not None
        choice, charges = found
        best = cheapest(cost, count)
        assert np.bincount(choice, minlength=k).tolist() == count.tolist()
        assert cost[np.arange(n), choice].sum() == pytest.approx(best, rel=1e-9, abs=1e-12 * scale)
        assert (cost + charges).min(axis=1).sum() - charges @ count == pytest.approx(best, rel=1e-9, abs=1e-12 * scale)


def test_what_is_not_allowed_is_not_used():
    cost = np.array([[1.0, np.inf], [1.0, 5.0], [1.0, 3.0]])
    found = transport(cost, np.array([2, 1]), np.zeros(2))
    assert found is not None
    assert found[0].tolist() == [0, 0, 1]
    assert transport(np.array([[1.0, np.inf]] * 2), np.array([1, 1]), np.zeros(2)) is None


def test_many_nodes_are_dealt_by_some_of_them_first():
    rng = np.random.default_rng(1)
    cost = rng.random((1, 5)) + 1e-3 * rng.random((2000, 5))
    count = rng.multinomial(2000, np.full(5, 0.2))
    found = transport(cost, count, np.zeros(5))
    assert found is not None
    choice, charges = found
    value = cost[np.arange(2000), choice].sum()
    assert (cost + charges).min(axis=1).sum() - charges @ count == pytest.approx(value, rel=1e-12)
