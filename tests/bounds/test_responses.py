"""What options do at prices: the weight at which a deadline is kept, and the bound that any weight gives."""

from itertools import pairwise

import numpy as np
import pytest

from dmcjia_opt.bounds.responses import Asked
from dmcjia_opt.model.delay import TANDEM, tandem
from dmcjia_opt.model.queues import MD1, MM1, OVERLAP
from tests.tracing import agrees, float64

SETS = [
    (MD1,),
    (MD1, MD1),
    (OVERLAP, MM1),
    (OVERLAP, MD1, MD1),
    (TANDEM, TANDEM),
    (tandem("p50"), tandem("p50"), tandem("p50")),
    (OVERLAP, tandem("p99"), tandem("p99")),
]
sets = pytest.mark.parametrize("curves", SETS, ids=lambda curves: "-".join(curve.name for curve in curves))


def asked(rng, curves, n=40):
    """Return n options whose uses cost something; about a quarter of them are not there, but one in each."""
    s = 10.0 ** rng.uniform(-2.0, 0.0, (len(curves), n))
    s[1:][rng.random((len(curves) - 1, n)) < 0.25] = 0.0
    price, rate = 10.0 ** rng.uniform(-3.0, 3.0, (len(curves), n)), 10.0 ** rng.uniform(-1.0, 1.0, n)
    floor = np.where(rng.random(s.shape) < 0.2, rate * rng.uniform(0.0, 2.0, s.shape), -np.inf)
    wait = rng.uniform(0.0, 0.3, n) / rate * (rng.random(n) < 0.5)
    stages = sum(curve.name.startswith("tandem") for curve in curves)
    return Asked(curves, tuple(s), tuple(price), tuple(floor), rate, wait, 1.0, stages > 1)


def total(parts):
    return np.sum(np.stack(parts), axis=0)


@sets
def test_the_least_weight_that_keeps_the_room(curves):
    rng = np.random.default_rng(1)
    for _ in range(5):
        one = asked(rng, curves)
        floored = total(one.at(np.full(40, 1e-200))[1])  # what least rates take, and no more
        room = np.where(np.isfinite(floored), np.minimum(floored, 1e3), 1e3) * 10.0 ** rng.uniform(-3.0, 0.0, 40)
        weight = one.within(room, np.zeros(40))
        assert (total(one.at(weight)[1]) <= room * (1 + 1e-14)).all()
        less = total(one.at(weight * (1 - 1e-6))[1])
        assert ((less > room * (1 - 1e-12)) | (total(one.at(weight)[1]) >= room * (1 - 1e-5))).all()
        given = 10.0 * weight
        np.testing.assert_array_equal(one.within(room, given), given)  # more than is needed stays


@sets
def test_a_delay_that_counts_more_is_shorter_and_takes_more(curves):
    rng = np.random.default_rng(2)
    one = asked(rng, curves)
    shares, delays = zip(*(one.at(np.full(40, weight)) for weight in (0.01, 0.1, 1.0, 10.0)), strict=True)
    for before, after in pairwise(delays):
        assert (total(after) <= total(before) * (1 + 1e-12)).all()
    for before, after in pairwise(shares):
        assert (np.stack(after) >= np.stack(before) * (1 - 1e-12)).all()


@sets
def test_nothing_costs_less_than_the_best_rates(curves):
    """w·Σ T + Σ ν·δ is least there: no other rates, drawn around them, cost less."""
    rng = np.random.default_rng(3)
    one, weight = asked(rng, curves), 10.0 ** rng.uniform(-1.0, 1.0, 40)
    shares, delays = one.at(weight)
    paid = [price * share for price, share in zip(one.price, shares, strict=True)]
    least = weight * total(delays) + total(paid)
    for scale in (1e-4, 0.01, 0.3):
        for _ in range(20):
            wait, cost = one.wait, np.zeros(40)
            for curve, s, price, floor, share in zip(one.curves, one.s, one.price, one.floor, shares, strict=True):
                on = s > 0
                load = one.rate * s
                moved = load + (share - load) * np.exp(scale * rng.normal(size=40))
                moved = np.maximum(moved, load + np.maximum(floor, 0.0) * s)
                excess = np.where(on, moved / np.where(on, s, 1.0) - one.rate, 1.0)
                excess = np.where(excess > 0, excess, 1e-9) if curve.waits() else np.maximum(excess, 0.0)
                cost += np.where(
                    on, weight * curve.delay(excess, one.rate, wait) + price * s * (one.rate + excess), 0.0
                )
                if one.coupled and curve.name.startswith("tandem"):
                    wait = np.where(on, np.maximum(wait, curve.waited(excess, one.rate)), wait)
            assert (cost >= least * (1 - 1e-12)).all()


def test_what_is_free_takes_no_time():
    uses = (np.array([0.2]), np.array([0.3])), (np.array([0.0]), np.array([1.0])), (np.array([-np.inf]),) * 2
    one = Asked((MD1, MM1), *uses, np.ones(1), np.zeros(1), 1.0, coupled=False)
    shares, delays = one.at(np.ones(1))
    assert (shares[0][0], delays[0][0]) == (np.inf, 0.0)
    assert delays[1][0] == pytest.approx(np.sqrt(0.3), rel=1e-14)  # 1/x where x = √(w/(ν s))
    weight = one.within(np.array([0.1]), np.zeros(1))
    assert weight[0] == pytest.approx(0.3 / 0.1**2, rel=1e-12)


def traced(curves, n=40):
    """Return options with all that is traced of them in one tuple, and how to make them of it again."""
    one = asked(np.random.default_rng(3), curves, n)
    scv = np.where(np.random.default_rng(4).random(n) < 0.3, 0.0, 1.0) if one.coupled else 1.0
    free = tuple(np.where(np.arange(n) % 7 == k, 0.0, price) for k, price in enumerate(one.price))
    given = (one.s, free, (np.broadcast_to(-np.inf, n), *one.floor[1:]), one.rate, one.wait)
    return given, lambda given: Asked(curves, *given, scv, one.coupled)


@pytest.mark.parametrize(
    "curves",
    [(OVERLAP, MD1), (TANDEM, TANDEM), (OVERLAP, tandem("p99"), tandem("p99"))],
    ids=lambda curves: "-".join(curve.name for curve in curves),
)
def test_what_is_traced_answers_as_numpy_does(curves):
    given, options = traced(curves)
    weight = 10.0 ** np.random.default_rng(5).uniform(-3.0, 3.0, 40)
    with float64():
        agrees(lambda weight, given: options(given).at(weight), weight, given)


@pytest.mark.parametrize(
    "curves", [(MD1,), (TANDEM, TANDEM)], ids=lambda curves: "-".join(curve.name for curve in curves)
)
def test_weights_that_keep_rooms_are_traced_too(curves):
    given, options = traced(curves)
    rng = np.random.default_rng(6)
    weight = 10.0 ** rng.uniform(-3.0, 3.0, 40) * (rng.random(40) < 0.5)
    room = 10.0 ** rng.uniform(-3.0, 1.0, 40)
    with float64():
        agrees(lambda room, weight, given: options(given).within(room, weight), room, weight, given)
