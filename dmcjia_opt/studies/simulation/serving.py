"""One stage of a node: a queue with one server, task times in and task times out, a block at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, frozen
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.studies.simulation.arrivals import BLOCK

ServiceFamily = Literal["gamma", "lognormal"]
_STEPS = frozen(np.arange(BLOCK))


@dataclass(frozen=True, slots=True)
class Variability:
    """How service times scatter around their mean; independent from task to task and from stage to stage.

    Parameters
    ----------
    cv
        Coefficient of variation; 0 is deterministic, and 1 of the gamma family exponential.
    family
        ``gamma`` or ``lognormal``.

    Raises
    ------
    InputError
        If `cv` is negative or not finite, or the family unknown.
    """

    cv: float = 0.0
    family: ServiceFamily = "gamma"

    def __post_init__(self) -> None:
        """Check the values."""
        if not (math.isfinite(self.cv) and self.cv >= 0.0):
            raise InputError(f"the coefficient of variation of service must be finite and >= 0, got {self.cv:g}")
        if self.family not in ("gamma", "lognormal"):
            raise InputError(f'service family "{self.family}" is unknown; choose gamma or lognormal')

    def draw(self, n: int, rng: np.random.Generator) -> FloatArray | None:
        """Return (n,) factors of mean 1, or None if every task takes the mean."""
        if self.cv == 0.0:
            return None
        if self.family == "lognormal":
            variance = math.log1p(self.cv * self.cv)
            return np.exp(rng.normal(-0.5 * variance, math.sqrt(variance), n))
        if self.cv == 1.0:
            return rng.standard_exponential(n)
        shape = self.cv**-2
        return rng.standard_gamma(shape, n) / shape


class FifoQueue:
    """One server, first come first served, starting empty; it remembers when it is free from block to block.

    Notes
    -----
    Lindley's recursion D_k = max(A_k, D_{k−1}) + S_k unrolls to D_k = C_k + max_{j ≤ k} (A_j − C_{j−1}), C the
    cumulative sum of S: two cumulative operations on arrays (D. V. Lindley 1952, doi:10.1017/S0305004100027638).
    Times count from the block's origin, so that no digits are lost however long the run is.
    """

    __slots__ = ("_free",)

    def __init__(self) -> None:
        self._free = -math.inf

    def departures(self, arrivals: FloatArray, service: float, factors: FloatArray | None = None) -> FloatArray:
        """Return when each task leaves, s, in the order of arrival.

        Parameters
        ----------
        arrivals
            (n,) times, s, in order; at most `BLOCK` of them.
        service
            Mean service time, s.
        factors
            (n,) each task's service time over the mean; all 1 when omitted.
        """
        if factors is None:
            done_before = _STEPS[: len(arrivals)] * service
            own: float | FloatArray = service
        else:
            own = factors * service
            done_before = np.cumsum(own) - own
        times = arrivals - done_before
        times[0] = max(times[0], self._free)
        np.maximum.accumulate(times, out=times)
        times += done_before
        times += own
        self._free = float(times[-1])
        return times

    def move_origin(self, by: float) -> None:
        """Count times from `by` seconds later on."""
        self._free -= by
