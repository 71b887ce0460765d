"""Cutting planes find the maximum of small concave functions with kinks, and stop when they are told to."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest

from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.bounds.bundle import Summit, climb


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    x: FloatArray
    value: float
    slope: FloatArray


class Asked:
    """The least of some planes less a bowl, and how often it was asked for."""

    def __init__(self, slopes: FloatArray, heights: FloatArray, bowl: float = 0.0, centre: float = 0.0) -> None:
        self.slopes, self.heights, self.bowl, self.centre = slopes, heights, bowl, centre
        self.calls = 0

    def __call__(self, x: FloatArray) -> Point:
        self.calls += 1
        planes = self.heights + self.slopes @ x
        least = int(planes.argmin())
        off = x - self.centre
        return Point(x, float(planes[least] - self.bowl * off @ off), self.slopes[least] - 2.0 * self.bowl * off)


def climbed(asked: Asked, start: FloatArray, **how) -> Summit[Point]:
    n = len(start)
    settings = {"scale": np.ones(n), "floor": np.full(n, -np.inf)} | how
    return climb(asked, [asked(start)], **settings)


def test_the_top_of_a_roof_and_the_mixture_that_balances_there():
    roof = Asked(np.array([[1.0, 0.0], [-3.0, 0.0], [0.0, 2.0], [0.0, -1.0]]), np.array([0.0, 8.0, 1.0, 4.0]))
    done = climbed(roof, np.array([-40.0, 30.0]))
    assert done.best.value == pytest.approx(2.0, rel=1e-13)
    assert done.best.x[0] == pytest.approx(2.0, rel=1e-13)
    assert done.ceiling == pytest.approx(2.0, rel=1e-13)
    assert done.parts.sum() == pytest.approx(1.0)
    assert done.parts @ np.stack([point.slope for point in done.points]) == pytest.approx([0.0, 0.0], abs=1e-12)


@pytest.mark.parametrize("n", [1, 3, 8])
def test_a_bowl_cut_by_planes_against_its_own_ceiling(n):
    rng = np.random.default_rng(n)
    cut = Asked(rng.normal(size=(3 * n, n)), rng.uniform(1.0, 2.0, 3 * n), bowl=0.3, centre=0.5)
    done = climbed(cut, rng.normal(size=n) * 10.0, tolerance=1e-9, steps=400)
    assert done.best.value <= done.ceiling <= done.best.value + 1.01e-9 * abs(done.best.value)
    for _ in range(200):
        assert cut(done.best.x + 1e-3 * rng.normal(size=n)).value <= done.ceiling


def test_units_of_a_coordinate_change_nothing_but_the_coordinate():
    slopes, heights = np.array([[1.0, 1.0], [-1.0, 0.5], [0.25, -2.0]]), np.array([1.0, 2.0, 3.0])
    one = climbed(Asked(slopes, heights), np.zeros(2))
    unit = np.array([1e-9, 1e9])
    other = climbed(Asked(slopes / unit, heights), np.zeros(2), scale=unit)
    assert other.best.x / unit == pytest.approx(one.best.x, rel=1e-12)
    assert other.best.value == pytest.approx(one.best.value, rel=1e-13)


def test_a_coordinate_stays_above_its_floor():
    seen = []
    falling = Asked(np.array([[-1.0]]), np.array([5.0]))

    def ask(x: FloatArray) -> Point:
        seen.append(float(x[0]))
        return falling(x)

    climb(ask, [ask(np.array([8.0]))], np.array([100.0]), np.array([0.0]), steps=10)
    assert min(seen) > 0.0
    assert all(after >= before * 0.1 * (1 - 1e-12) for before, after in itertools.pairwise(seen))


def test_it_ends_at_the_target_and_where_the_target_cannot_be_reached():
    slopes, heights = np.array([[1.0], [-1.0]]), np.array([0.0, 10.0])
    for target, most in ((-20.0, 1), (4.0, 8), (6.0, 12)):
        asked = Asked(slopes, heights)
        done = climbed(asked, np.array([-20.0]), target=target)
        assert asked.calls <= most
        assert (done.best.value >= target) == (target <= 5.0)


def test_the_number_of_steps_and_of_planes_is_bounded():
    bowl = Asked(np.zeros((1, 3)), np.zeros(1), bowl=1.0, centre=0.3)
    start = bowl(np.full(3, 7.0))
    assert len(climb(bowl, [start], np.ones(3), np.full(3, -np.inf), steps=5).points) <= 6
    done = climb(bowl, [start], np.ones(3), np.full(3, -np.inf), tolerance=0.0, steps=150)
    assert len(done.points) == len(done.parts) <= 83
    assert done.best in done.points
    assert abs(done.best.value) < 1e-8


def test_it_begins_at_the_highest_point_that_is_known():
    asked = Asked(np.array([[1.0], [-1.0]]), np.array([0.0, 10.0]))
    known = [asked(np.array([x])) for x in (-100.0, 4.99, 80.0)]
    done = climb(asked, known, np.array([0.1]), np.array([-np.inf]))
    assert asked.calls <= 5
    assert done.best.value == pytest.approx(5.0, rel=1e-13)
