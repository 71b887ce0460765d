"""One queue that is served in batches: all tasks that wait, up to a number; a batch takes longer than one task."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, frozen
from dmcjia_opt.model.sharing.crowding import Points

#: The largest batch.
MOST_TASKS = 256
_LOADS = (*(0.1 * k for k in range(1, 10)), 0.95)  # of full batches, at which the wait is computed
_LADDER = tuple(0.1 * 1.4**k for k in range(20))  # and, below 0.3, at these of a server without batches
_BEYOND = 40, 16.0  # so many more tasks than two batches may wait, and so many over the part of time that is free


@dataclass(frozen=True, slots=True)
class Batches:
    """First come first served, all that wait at a time.

    A batch of k tasks takes as long as one task, the mean of its own, times ``seconds[k]/seconds[1]``; between the
    sizes that are given it is linear. Service times of a use are those in full batches, the time of a batch over its
    size: so ρ is the part of what the server can do. One task alone takes `most` times as long.

    Parameters
    ----------
    seconds
        (batch, seconds) by size, that of 1 the first and the largest the last.

    Notes
    -----
    How long equal tasks of Poisson arrivals wait follows from the Markov chain of the number that a batch leaves behind
    (N. T. J. Bailey 1954, doi:10.1111/j.2517-6161.1954.tb00149.x); it is computed at some loads, and interpolated
    between them. Where tasks differ, the wait counts as longer by as much as in a queue without batches. That is an
    approximation.
    """

    seconds: tuple[tuple[int, float], ...]

    @property
    def name(self) -> str:
        """``"fifo"``: it is one queue."""
        return "fifo"

    @property
    def most(self) -> float:
        """How many times as many tasks full batches serve as batches of one."""
        return self.seconds[-1][0] / float(self.factors()[-1])

    @property
    def empty(self) -> float:
        """Nothing is waited for where nobody else is there."""
        return 0.0

    @property
    def points(self) -> Points:
        """The wait by the load, over what it would be without batches while the server is nearly free."""
        return _points(self)

    def factors(self) -> FloatArray:
        """Return how long batches of 0 … the largest take, over that of one task; 0 for none."""
        return _factors(self)

    def own(self, service: FloatArray) -> FloatArray:
        """Return the service time of a task alone, s."""
        return self.most * service

    def each(self, service: FloatArray) -> FloatArray:
        """Return 1, for every use waits alike; 0 where nothing is used."""
        return np.where(service > 0, 1.0, 0.0)

    def ahead(self, service: FloatArray, rate: FloatArray, scv: FloatArray) -> FloatArray:
        """Return λ(c_a² + c_s²)s²/2, s, of the service time alone."""
        return 0.5 * rate * scv * self.own(service) ** 2


@lru_cache(maxsize=64)
def _factors(kind: Batches) -> FloatArray:
    sizes, seconds = zip(*kind.seconds, strict=True)
    found = np.interp(np.arange(sizes[-1] + 1), sizes, seconds) / seconds[0]
    found[0] = 0.0
    return frozen(found)


@lru_cache(maxsize=64)
def _points(kind: Batches) -> Points:
    factors, most = kind.factors(), kind.most
    loads = sorted({*_LOADS, *(load / most for load in _LADDER if load / most < _LOADS[2])})
    return (
        (0.0, 1.0),
        *((load, (1.0 - load) * 2.0 * (delay_over_service(factors, load) - 1.0) / (load * most)) for load in loads),
        (1.0, most**-2.0),  # J. F. C. Kingman 1961, doi:10.1017/S0305004100036094, of tasks that come during a batch
    )


def delay_over_service(factors: FloatArray, load: float) -> float:
    """Return the mean delay of equal tasks at Poisson arrivals, over the time of one task alone.

    Parameters
    ----------
    factors
        (largest + 1,) how long batches take over that of one task.
    load
        In (0, 1): the part of what full batches can serve.
    """
    largest = len(factors) - 1
    rate = load * largest / float(factors[-1])
    n = 2 * largest + _BEYOND[0] + int(_BEYOND[1] / (1.0 - load))
    waiting = np.arange(n + 1)  # when a batch ends
    batch = np.clip(waiting, 1, largest)
    staying = np.maximum(waiting - largest, 0)
    coming = np.array([_poisson(rate * factor, n) for factor in factors])
    chain = np.zeros((n + 1, n + 1))
    for k in waiting.tolist():
        chain[k, staying[k] :] = coming[batch[k], : n + 1 - staying[k]]
    chain[:, -1] += 1.0 - chain.sum(axis=1)
    equations = chain.T - np.eye(n + 1)
    equations[-1] = 1.0
    often = np.linalg.solve(equations, np.append(np.zeros(n), 1.0))
    busy = factors[batch]
    idle = np.where(waiting == 0, 1.0 / rate, 0.0)
    there = np.maximum(waiting, 1) * busy + 0.5 * rate * busy * busy  # tasks, integrated over the batch
    return float(often @ there / (often @ (busy + idle)) / rate)


def _poisson(mean: float, most: int) -> FloatArray:
    """Return the probabilities of 0 … `most`."""
    k = np.arange(most + 1)
    log = np.array([math.lgamma(i + 1.0) for i in k.tolist()])
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.exp(k * math.log(mean) - mean - log) if mean > 0 else np.where(k == 0, 1.0, 0.0))
