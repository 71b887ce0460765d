"""What users of one queue cost together, and how little it can be in a box of their sums."""

import numpy as np
import pytest

from dmcjia_opt.model.resources import CLOUD, POOLED, Resource
from dmcjia_opt.model.sharing.crowding import cost, least


def test_a_resource_is_the_same_however_it_is_shared():
    assert Resource("cloud", sharing="fifo") == CLOUD
    assert (CLOUD.pooled, Resource("cloud", sharing="ps").pooled) == (None, POOLED["ps"])


def test_the_cost_is_a_product_over_what_is_free():
    sums = np.array([[2.0, 3.0, 0.5], [2.0, 3.0, 1.0], [0.0, 3.0, 1.0], [2.0, 0.0, 0.9]])
    assert cost(sums).tolist() == [12.0, np.inf, 0.0, 0.0]


@pytest.mark.parametrize("seed", range(30))
def test_no_point_of_a_box_is_below_its_least(seed):
    rng = np.random.default_rng(seed)
    ends = np.sort(rng.uniform(0.0, 1.0, (2, 50, 3)), axis=0)
    low, high = ends[0] * (rng.random((50, 1)) < 0.8), ends[1]
    prices = 10.0 ** rng.uniform(-2.0, 2.0, (50, 3)) * (rng.random((50, 3)) < 0.8)
    value, at, magnitude = least(prices, low, high)
    assert ((at >= low - 1e-15) & (at <= high + 1e-15)).all()
    assert value == pytest.approx(cost(at) - (prices * at).sum(-1), rel=1e-9, abs=1e-12 * magnitude.max())
    points = low + rng.random((2000, 50, 3)) * (high - low)
    points = np.concatenate([points, np.where(rng.random((500, 50, 3)) < 0.5, low, high)])
    found = cost(points) - (prices * points).sum(-1)
    assert (found >= value - 1e-14 * magnitude).all()
