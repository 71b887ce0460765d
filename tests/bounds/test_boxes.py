"""What prices prove of a box is below what every plan in it costs, and nothing that is left out of it was in."""

from dataclasses import replace

import numpy as np
import pytest

from dmcjia_opt.bounds.boxes import PooledDual, combinations
from dmcjia_opt.testing.problems import all_plans, pooled, random_shared_problem


@pytest.mark.parametrize("seed", [*range(18), *(pytest.param(k, marks=pytest.mark.slow) for k in range(18, 60))])
def test_no_plan_of_a_box_costs_less_than_is_proved(seed):
    rng = np.random.default_rng(seed)
    problem, _ = random_shared_problem(rng, 4, 4, 2, 2)
    problem = pooled(problem, ("fifo", "ps", "batches")[seed % 3], ("fifo", "batches")[seed % 2])
    dual = PooledDual(problem, np.zeros(2))
    menus = dual.menus
    plans = all_plans(problem)
    plans = plans[problem.overload(plans) == 0]
    counts = np.array([menus.counts(plan) for plan in plans])
    own = np.where(counts > 0, menus.cost, 0.0)
    kept = np.isfinite(own).all((1, 2)) & (counts.sum((1, 2)) == 4)  # by the Pareto filter
    counts, value = counts[kept], problem.objective(plans[kept], np.zeros((kept.sum(), 4, 2)))
    assert (np.sort(menus.spread(counts), axis=1) == np.sort(plans[kept], axis=1)).all()
    sums = dual.empty + np.einsum("bck,cks->bs", counts, menus.parts)
    middle = sums[rng.integers(len(sums))]
    cost = dual.cost((counts * own[kept]).sum((1, 2)), sums - dual.empty)
    assert cost == pytest.approx(value)
    whole = dual.whole(dual.marginal(middle - dual.empty))
    box = replace(whole, low=0.7 * middle[None] * (rng.random(6) < 0.5), high=np.minimum(1.4 * middle, whole.high))
    inside = ((sums >= box.low) & (sums <= box.high)).all(1)
    assert inside.any()
    narrow = dual.narrowed(box)
    assert len(narrow) == 1
    assert not (counts[inside] & ~narrow.allowed[0]).any()
    assert ((sums[inside] >= narrow.low) & (sums[inside] <= narrow.high)).all()
    raised, found = dual.raised(narrow, float(value.min()), np.maximum(middle, 1e-9), 40)
    for prices in (raised.prices, 10.0 ** rng.uniform(-2, 2, (1, 6))):
        one = dual.value(narrow, prices)
        assert one.bound[0] <= value[inside].min()
        dearer = np.where(counts > 0, one.reduced[0], 0.0).max((1, 2))
        assert (one.bound[0] + dearer[inside] <= value[inside] * (1 + 1e-12)).all()
    assert raised.bound[0] == found.bound[0] >= dual.value(narrow, narrow.prices).bound[0]


def test_plans_of_a_box_are_counted_by_how_many_use_what():
    size, allowed = np.array([[3, 1, 0]]), np.array([[[True, True, True], [True, True, False], [True, True, True]]])
    assert np.exp(combinations(size, allowed)) == pytest.approx([10 * 2])
