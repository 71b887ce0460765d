"""The best price of a problem: sought once, when it is first asked for, and shared by all that a solve does."""

from __future__ import annotations

import math
from functools import cached_property

from dmcjia_opt.base.arrays import EPS
from dmcjia_opt.bounds.certificate import rounding_slack
from dmcjia_opt.bounds.dual import DualPoint, dual_point, least_load, maximise
from dmcjia_opt.model.problem import Problem


class BestPrice:
    """Where the dual is largest, and the bound it proves there.

    Parameters
    ----------
    problem
        The compiled problem.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    @cached_property
    def load(self) -> float:
        """The least total share that any choice of splits needs; a plan exists only if it is below 1."""
        return least_load(self.problem)

    @property
    def full(self) -> bool:
        """Whether every plan fills the cloud, up to rounding, so that what delay there is would be rounding too."""
        return self.load >= 1.0 - 4.0 * self.problem.n_nodes * EPS

    @cached_property
    def ends(self) -> tuple[DualPoint, DualPoint]:
        """The dual just below and just above the best price (see `maximise`); at price 0 if no plan exists."""
        if self.load < 1.0:
            return maximise(self.problem)
        free = dual_point(self.problem, 0.0)
        return free, free

    @property
    def low(self) -> DualPoint:
        """The end that asks for as much of the cloud as there is, or more."""
        return self.ends[0]

    @property
    def high(self) -> DualPoint:
        """The end that asks for no more of the cloud than there is."""
        return self.ends[1]

    @property
    def point(self) -> DualPoint:
        """The end where the dual is larger."""
        return max(self.ends, key=lambda point: point.value)

    @cached_property
    def bound(self) -> float:
        """The best lower bound that a price proves, s; +inf if it is proved that no plan exists."""
        if self.load >= 1.0 + 4.0 * self.problem.n_nodes * EPS:
            return math.inf
        bound = max(point.value - rounding_slack(self.problem.n_nodes, point.magnitude) for point in self.ends)
        return bound if math.isfinite(bound) else -math.inf
