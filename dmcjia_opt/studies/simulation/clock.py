"""Speeds that change while tasks are on their way."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray, frozen


@dataclass(frozen=True, slots=True, eq=False)
class Clock:
    """How much a link does over time: a link twice as fast has a clock that runs twice as fast.

    On its clock all services are as planned. What is under way when the speed changes sees the change. After its end
    it begins anew.

    Parameters
    ----------
    edges
        (n_steps + 1,) when each step begins, s, and when the last one ends; the first at 0.
    speed
        (n_steps,) speed in each over the planned one, > 0.
    """

    edges: FloatArray
    speed: FloatArray
    _passed: FloatArray = field(init=False)

    def __post_init__(self) -> None:
        """Add up."""
        passed = np.concatenate([[0.0], np.cumsum(np.diff(self.edges) * self.speed)])
        object.__setattr__(self, "_passed", frozen(passed))

    @property
    def mean(self) -> float:
        """The mean speed over the planned one."""
        return float(self._passed[-1] / self.edges[-1])

    def passed(self, at: FloatArray) -> FloatArray:
        """Return what the clock shows at some times, s."""
        return self._through(at, self.edges, self._passed)

    def reached(self, shown: FloatArray) -> FloatArray:
        """Return when the clock shows that, s."""
        return self._through(shown, self._passed, self.edges)

    @staticmethod
    def _through(at: FloatArray, source: FloatArray, target: FloatArray) -> FloatArray:
        rounds = np.floor(at / source[-1])
        return np.asarray(rounds * target[-1] + np.interp(at - rounds * source[-1], source, target))


@dataclass(frozen=True, slots=True, eq=False)
class Schedule:
    """Service times that change from one task to a later one.

    Parameters
    ----------
    times
        (n_changes,) from when on each holds, s; the first at 0.
    services
        (n_changes,) mean service time of tasks that arrive at their node from then on, s.

    period
        After which they begin anew, s.
    """

    times: FloatArray
    services: FloatArray
    period: float = math.inf

    def at(self, arrivals: FloatArray) -> FloatArray:
        """Return the service times of tasks by their arrival at the node, s."""
        row: IntArray = np.searchsorted(self.times, np.mod(arrivals, self.period), side="right") - 1
        return np.asarray(self.services[np.maximum(row, 0)])
