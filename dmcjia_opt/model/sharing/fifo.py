"""One queue for all, first come first served: an M/G/1 queue whose tasks are those of all users."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.model.sharing.crowding import STEADY, Points


@dataclass(frozen=True, slots=True)
class Fifo:
    """Every task waits for the work it finds, whosever it is.

    Notes
    -----
    Pollaczek–Khinchine: W = Σ λ(1 + c_s²)s²/(2(1 − ρ)). Where gaps vary otherwise than a Poisson stream's c_a² stands
    for the 1, node by node. That is an approximation: many periodic streams meet as if they were one random stream.
    """

    @property
    def name(self) -> str:
        """``"fifo"``."""
        return "fifo"

    @property
    def empty(self) -> float:
        """Nothing is waited for where nobody else is there."""
        return 0.0

    @property
    def points(self) -> Points:
        """The wait is q/(1 − ρ)."""
        return STEADY

    def own(self, service: FloatArray) -> FloatArray:
        """Return the service time, s: at full speed once its turn has come."""
        return service

    def each(self, service: FloatArray) -> FloatArray:
        """Return 1, for every use waits alike; 0 where nothing is used."""
        return np.where(service > 0, 1.0, 0.0)

    def ahead(self, service: FloatArray, rate: FloatArray, scv: FloatArray) -> FloatArray:
        """Return λ(c_a² + c_s²)s²/2, s."""
        return 0.5 * rate * scv * service * service
