"""Every operator's interval holds the exact result, computed in fractions."""

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dmcjia_opt.bounds.proof.outward import Interval

numbers = st.floats(-1e100, 1e100, allow_subnormal=False).filter(lambda x: x == 0 or abs(x) > 1e-100)
positive = st.floats(1e-100, 1e100)


def holds(interval: Interval, exact: Fraction) -> bool:
    return Fraction(float(interval.low)) <= exact <= Fraction(float(interval.high))


@st.composite
def intervals(draw, ends=numbers):
    """Return an interval of two floats, and a fraction inside it."""
    low, high = sorted((draw(ends), draw(ends)))
    part = Fraction(draw(st.integers(0, 7)), 7)
    return Interval(np.float64(low), np.float64(high)), Fraction(low) + part * (Fraction(high) - Fraction(low))


@given(intervals(), intervals())
def test_sums_differences_and_products(first, second):
    (a, x), (b, y) = first, second
    assert holds(a + b, x + y)
    assert holds(a - b, x - y)
    assert holds(a * b, x * y)


@given(intervals(), intervals(positive))
def test_quotients(first, second):
    (a, x), (b, y) = first, second
    assert holds(a.over(b), x / y)


def test_a_quotient_by_what_may_be_zero_is_nothing():
    one = Interval.exactly(1.0)
    with np.errstate(divide="ignore"):
        for divisor in (Interval.exactly(0.0), Interval(np.float64(-1.0), np.float64(1.0))):
            assert np.isnan(one.over(divisor).low)


def test_intervals_are_no_wider_than_two_neighbours():
    third = Interval.exactly(1.0).over(Interval.exactly(3.0))
    assert third.high - third.low <= 2 * np.spacing(1 / 3)
