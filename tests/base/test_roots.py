"""Roots of falling functions: both ends stay on their sides, whatever the function's shape."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dmcjia_opt.base.arrays import EPS, namespace
from dmcjia_opt.base.roots import falling_root
from tests.tracing import agrees, float64

#: Falling functions of x > 0 that are 0 at r: smooth, steep, flat, kinked, infinite below a half of r, and a jump.
SHAPES = (
    lambda x, r: np.log(r / x),
    lambda x, r: (r / x) ** 40 - 1.0,
    lambda x, r: (r / x) ** 0.01 - 1.0,
    lambda x, r: np.where(x < r, 1e6 * (1.0 - x / r), 1e-6 * (1.0 - x / r)),
    lambda x, r: np.where(x < 0.5 * r, np.inf, 1.0 - x / r),
    lambda x, r: np.where(x < r, 1.0, -1.0),
    lambda x, r: np.where(x < r, 1.0 - x / r, -1e9),
)
shapes = st.sampled_from(range(len(SHAPES)))
ratios = st.floats(1.0 + 1e-12, 1e6)


@given(st.lists(st.tuples(shapes, st.floats(1e-9, 1e9), ratios, ratios), min_size=1, max_size=6), st.booleans())
def test_ends_close_in_from_their_sides(drawn, both):
    kinds, roots, below, above = (np.array(column) for column in zip(*drawn, strict=True))

    def function(x):
        return np.array([SHAPES[k](at, r) for k, at, r in zip(kinds, x, roots, strict=True)])

    first = roots / below, roots * above
    low, high = falling_root(function, *first, both=both)
    start, end = function(first[0]) > 0, function(first[1]) <= 0
    inside = start & end
    np.testing.assert_array_equal(low[~start], first[0][~start])
    np.testing.assert_array_equal(high[~start], first[0][~start])
    np.testing.assert_array_equal(low[start & ~end], first[1][start & ~end])
    assert (function(low)[inside] > 0).all()
    value = function(high)[inside]
    assert (value <= 0).all()
    assert ((first[0] <= low) & (low <= high) & (high <= first[1])).all()
    exact = high - low <= 2.0 * EPS * np.abs(high)
    assert (exact[inside] | (value == 0)).all()
    if both:
        near = high - low <= 256.0 * EPS * high
        flat = kinds == 2  # a value that rounds to 0 far from the root is one that no end can be told from
        assert (near | flat)[inside].all()


@given(shapes, ratios, ratios, st.floats(1e-12, 1e-2))
def test_a_value_that_is_close_ends_the_search(k, below, above, close):
    calls = []

    def function(x):
        calls.append(x)
        return SHAPES[k](x, 1.0)

    low, high = falling_root(function, np.array([1.0 / below]), np.array([above]), close=close)
    found = SHAPES[k](high, 1.0)
    assert low[0] == high[0] or -close <= found[0] <= 0 or high[0] - low[0] <= 2.0 * EPS
    falling_root(function, np.array([1.0 / below]), np.array([above]))
    assert len(calls) <= 2 * (2 + 200)


def test_what_is_in_a_batch_does_not_matter():
    roots = np.array([1.0, 1e-3, 7.0, 40.0])
    together = falling_root(lambda x: roots / x - 1.0, 0.01 * roots, np.full(4, 100.0), both=True)
    for i, r in enumerate(roots):
        alone = falling_root(lambda x, r=r: r / x - 1.0, np.array([0.01 * r]), np.array([100.0]), both=True)
        assert (alone[0][0], alone[1][0]) == (together[0][i], together[1][i])
    np.testing.assert_allclose(together[1], roots, rtol=1e-15)


def test_few_steps_are_enough_for_what_is_smooth():
    calls = []

    def function(x):
        calls.append(x)
        return np.sqrt(1e3 / x) + 1.0 / (x - 1.0) - 3.0

    low, high = falling_root(function, np.array([1.0 + 1e-9]), np.array([1e12]))
    assert function(high)[0] <= 0 < function(low)[0]
    assert len(calls) < 60


def test_roots_are_found_when_traced():
    rng = np.random.default_rng(1)
    root, power = 10.0 ** rng.uniform(-9.0, 9.0, 40), rng.choice([0.5, 1.0, 8.0], 40)
    low, high = root / 10.0 ** rng.uniform(-1.0, 6.0, 40), root * 10.0 ** rng.uniform(-1.0, 6.0, 40)

    def ends(root, low, high):
        return falling_root(lambda x: namespace(x).power(root / x, power) - 1.0, low, high, both=True)

    with float64():
        agrees(ends, root, low, high)
