"""What users of one queue cost together, and how little it can be in a box of their sums."""

import numpy as np
import pytest

from dmcjia_opt.model.resources import CLOUD, POOLED, Resource
from dmcjia_opt.model.sharing.batches import Batches
from dmcjia_opt.model.sharing.crowding import STEADY, Crowding

BATCHES = Batches(((1, 0.004), (8, 0.011)))


def test_a_resource_is_the_same_however_it_is_shared():
    assert Resource("cloud", sharing="fifo") == CLOUD
    assert (CLOUD.pooled, Resource("cloud", sharing="ps").pooled) == (None, POOLED["ps"])


def test_the_cost_is_a_product_over_what_is_free():
    sums = np.array([[2.0, 3.0, 0.5], [2.0, 3.0, 1.0], [0.0, 3.0, 1.0], [2.0, 0.0, 0.9]])
    assert Crowding.of([STEADY]).cost(sums[:, None])[:, 0].tolist() == [12.0, np.inf, 0.0, 0.0]


@pytest.mark.parametrize("seed", range(30))
def test_no_point_of_a_box_is_below_its_least(seed):
    rng = np.random.default_rng(seed)
    odd = tuple(zip([0.0, *np.sort(rng.random(4)), 1.0], [1.0, *10.0 ** rng.uniform(-1, 1, 5)], strict=True))
    crowding = Crowding.of([STEADY, odd, BATCHES.points])
    ends = np.sort(rng.uniform(0.0, 1.0, (2, 50, 3, 3)), axis=0)
    low, high = ends[0] * (rng.random((50, 3, 1)) < 0.8), ends[1]
    prices = 10.0 ** rng.uniform(-2.0, 2.0, (50, 3, 3)) * (rng.random((50, 3, 3)) < 0.8)
    value, at, magnitude = crowding.least(prices, low, high)
    assert ((at >= low - 1e-15) & (at <= high + 1e-15)).all()
    assert value == pytest.approx(crowding.cost(at) - (prices * at).sum(-1), rel=1e-9, abs=1e-12 * magnitude.max())
    points = low + rng.random((1000, 50, 3, 3)) * (high - low)
    points = np.concatenate([points, np.where(rng.random((300, 50, 3, 3)) < 0.5, low, high)])
    found = crowding.cost(points) - (prices * points).sum(-1)
    assert (found >= value - 1e-13 * magnitude).all()


def test_the_factor_of_each_is_its_own():
    crowding = Crowding.of([STEADY, ((0.0, 1.0), (0.5, 0.25), (1.0, 0.5))])
    assert crowding.factor(np.array([[0.0, 0.0], [0.5, 0.5], [0.75, 0.75], [1.0, 1.0]])).tolist() == [
        [1.0, 1.0],
        [2.0, 0.5],
        [4.0, 1.5],
        [np.inf, np.inf],
    ]
    assert crowding.least_factor(np.array([[0.0, 0.0], [0.5, 0.25], [0.75, 0.75]])).tolist() == [
        [1.0, 0.5],
        [2.0, 0.5],
        [4.0, 1.5],
    ]
    step = 1e-7
    for load in (0.3, 0.6, 0.9):
        rise = (crowding.factor(np.full(2, load + step)) - crowding.factor(np.full(2, load))) / step
        assert crowding.slope(np.full(2, load)) == pytest.approx(np.maximum(rise, 0.0), rel=1e-5)
