import numpy as np
import pytest

from dmcjia_opt.methods.allocators.root import increasing_root


def broken_line(points, slopes):
    """Return an increasing function with a kink at every point (n,), of `slopes` (n + 1,), that starts at −1."""
    heights = np.concatenate([[0.0], np.cumsum(np.diff(points, prepend=0.0) * slopes[:-1])])

    def function(q):
        piece = np.searchsorted(points, q)
        start = np.concatenate([[0.0], points])[piece]
        return heights[piece] + slopes[piece] * (q - start) - 1.0, slopes[piece]

    return function


@pytest.mark.parametrize("start", [1e-3, 0.5, 1.0, 30.0, 99.0])
def test_kinks_and_flats_are_no_trap(start):
    rng = np.random.default_rng(0)
    for _ in range(200):
        points = np.sort(rng.uniform(0.0, 50.0, 12))
        slopes = 10 ** rng.uniform(-4, 1, 13) * (rng.random(13) < 0.6)
        slopes[-1] = 1.0
        function = broken_line(points, slopes)
        one = np.ones(1)
        q = increasing_root(function, start * one, 0 * one, 100 * one, np.array([True]))
        value, _ = function(q)
        above, _ = function(q * (1 + 1e-13))
        below, _ = function(q * (1 - 1e-13))
        assert abs(value[0]) < 1e-13 or below[0] <= 0.0 <= above[0]


def test_rows_are_solved_each_on_its_own_and_others_left_alone():
    root = np.array([2.0, 1e-6, 30.0, 5.0])

    def function(q):
        return (q / root) ** 3 - 1.0, 3 * q**2 / root**3

    start, rows = np.ones(4), np.array([True, True, True, False])
    together = increasing_root(function, start, np.zeros(4), np.full(4, 100.0), rows)
    np.testing.assert_allclose(together, [2.0, 1e-6, 30.0, 1.0], rtol=1e-15)
    for d in range(3):
        only = np.arange(4) == d
        alone = increasing_root(function, start, np.zeros(4), np.full(4, 100.0), only)
        assert alone[d] == together[d]


def test_a_root_at_the_end_of_the_bracket_is_found():
    one = np.ones(1)
    found = increasing_root(lambda q: (q - 1.0, np.ones(1)), 0.3 * one, 0.0 * one, one, np.array([True]))
    assert found[0] == pytest.approx(1.0, rel=1e-15)


def test_no_rows_cost_no_more_than_one_call():
    calls = []

    def function(q):
        calls.append(q)
        return q, np.ones_like(q)

    assert increasing_root(function, np.ones(2), np.zeros(2), np.ones(2), np.zeros(2, dtype=bool)).tolist() == [1, 1]
    assert len(calls) == 1
