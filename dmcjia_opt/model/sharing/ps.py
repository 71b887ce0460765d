"""Processor sharing: all tasks that are there are served at once, each at an equal part of the speed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.model.sharing.crowding import STEADY, Points


@dataclass(frozen=True, slots=True)
class ProcessorSharing:
    """A use takes s/(1 − ρ), whatever the distribution of service times (M/G/1-PS).

    Notes
    -----
    L. Kleinrock 1967, doi:10.1145/321386.321388. The arrivals of all users together count as Poisson.
    """

    @property
    def name(self) -> str:
        """``"ps"``."""
        return "ps"

    @property
    def empty(self) -> float:
        """Alone a use takes its service time once, but for its own other tasks."""
        return 1.0

    @property
    def points(self) -> Points:
        """A task takes s/(1 − ρ)."""
        return STEADY

    def own(self, service: FloatArray) -> FloatArray:
        """Return 0: all of the time stretches."""
        return np.zeros_like(service)

    def each(self, service: FloatArray) -> FloatArray:
        """Return the service time, s."""
        return service

    def ahead(self, service: FloatArray, rate: FloatArray, scv: FloatArray) -> FloatArray:
        """Return 0: only the load counts."""
        return np.zeros(np.broadcast_shapes(np.shape(service), np.shape(rate)))
