"""The best prices of a problem: sought once, when they are first asked for, and shared by all that a solve does."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np

from dmcjia_opt.base.arrays import EPS, FloatArray
from dmcjia_opt.base.showing import required
from dmcjia_opt.bounds.dual import DualPoint, dual_point, rounding_slack
from dmcjia_opt.bounds.loads import least_load
from dmcjia_opt.bounds.maximise import between, polished, several
from dmcjia_opt.bounds.promises import Level, best_level
from dmcjia_opt.model.problem import Problem

#: What to do where a problem is needed and something else is there.
COMPILE = "compile_problem(scenario) makes one"


class BestPrice:
    """Where the dual is largest, and the bound it proves there.

    Parameters
    ----------
    problem
        The compiled problem.
    near
        (n_resources,) prices that are not far off, as those of a problem that differs a little.

    Examples
    --------
    >>> from dmcjia_opt import compile_problem, generate
    >>> from dmcjia_opt.bounds.best import BestPrice
    >>> best = BestPrice(compile_problem(generate("paper", nodes=3, seed=1)))
    >>> round(best.load, 3), round(best.bound, 4)
    (0.003, 0.2161)
    """

    def __init__(self, problem: Problem, near: FloatArray | None = None) -> None:
        self.problem = required(Problem, problem, "problem", COMPILE)
        fine = near is not None and np.shape(near) == (problem.n_resources,) and bool((near > 0).all())
        self._near = near if fine else None

    @cached_property
    def _relaxed(self) -> Problem:
        return self.problem.relaxed

    @cached_property
    def load(self) -> float:
        """A load that some resource has in every plan; a plan exists only if it is below 1."""
        return least_load(self.problem)

    @property
    def full(self) -> bool:
        """Whether every plan fills a resource, up to rounding, so that what delay there is would be rounding too."""
        return self.load >= 1.0 - 4.0 * self.problem.n_nodes * EPS

    @property
    def _impossible(self) -> bool:
        """Whether even the least shares of any options are too much."""
        return self.load >= 1.0 + 4.0 * self.problem.n_nodes * EPS

    @cached_property
    def points(self) -> tuple[DualPoint, ...]:
        """The best points that were met, the best first; at prices 0 if no plan exists.

        For one resource the dual just below and just above the best price, or one of them where they are the same.
        """
        if self._impossible:
            return (dual_point(self._relaxed, np.zeros(self.problem.n_resources)),)
        if self.problem.n_resources > 1:
            return tuple(polished(self._relaxed, self.rough))
        low, high = between(self._relaxed, near=None if self._near is None else float(self._near[0]))
        return (low,) if low is high else (high, low) if high.value > low.value else (low, high)

    @cached_property
    def rough(self) -> tuple[DualPoint, ...]:
        """Points that are about the best, the best first; with several resources they take a part of the time."""
        if self._impossible or self.problem.n_resources == 1:
            return self.points
        return tuple(several(self._relaxed, near=self._near))

    @property
    def low(self) -> DualPoint:
        """For one resource, the end that asks for as much of it as there is, or more."""
        return max(self.points, key=lambda point: float(point.use[0]))

    @property
    def high(self) -> DualPoint:
        """For one resource, the end that asks for no more of it than there is."""
        return min(self.points, key=lambda point: float(point.use[0]))

    @property
    def point(self) -> DualPoint:
        """The point where the dual is largest."""
        return self.points[0]

    @cached_property
    def level(self) -> Level:
        """The least delay that every node may keep, as far as prices prove it."""
        return best_level(self._relaxed)

    def _proved(self, point: DualPoint) -> float:
        return point.value - rounding_slack(self.problem.n_nodes, point.magnitude)

    def known_at(self, prices: FloatArray) -> float | None:
        """Return what prices prove, s, where they are among the best and that is known without another pass."""
        if self.problem.worst or self._impossible or "points" not in self.__dict__:
            return None
        found = next((self._proved(point) for point in self.points if np.array_equal(point.prices, prices)), None)
        return found if found is not None and math.isfinite(found) else None

    @cached_property
    def bound(self) -> float:
        """The best lower bound that prices prove, s; +inf if it is proved that no plan exists."""
        if self._impossible:
            return math.inf
        if self.problem.worst:
            return self.level.low
        bound = max(map(self._proved, self.points))
        return bound if math.isfinite(bound) else -math.inf
