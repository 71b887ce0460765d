"""What a run should measure: the stages of a node in a row, each a queue or a pure delay, with the times it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.studies.simulation.arrivals import BLOCK, renewal
from dmcjia_opt.studies.simulation.serving import FifoQueue

#: Tasks that are sent through the queues to predict their delays.
N_PREDICTED = 200_000


@dataclass(frozen=True, slots=True, eq=False)
class Passed:
    """One stage: the times that tasks take there, s, of which any may come next, and whether they wait for each other.

    One time alone is that of every task.
    """

    times: FloatArray
    waits: bool

    def drawn(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Return the times of n tasks."""
        return self.times[rng.integers(len(self.times), size=n)] if len(self.times) > 1 else np.full(n, self.times[0])


def through(arrivals: FloatArray, times: Sequence[FloatArray], waits: Sequence[bool]) -> FloatArray:
    """Return when tasks that arrive in order leave each stage, (n_tasks, n_stages), s.

    Parameters
    ----------
    arrivals
        (n_tasks,) s.
    times
        For every stage, (n_tasks,) what each task takes there, s.
    waits
        Whether tasks wait for each other there.
    """
    found = np.empty((len(arrivals), len(times)))
    queues = [FifoQueue() for _ in times]
    for first in range(0, len(arrivals), BLOCK):
        rows = slice(first, first + BLOCK)
        at = arrivals[rows]
        for k, (queue, each, one) in enumerate(zip(queues, times, waits, strict=True)):
            at = found[rows, k] = queue.departures(at, 1.0, each[rows]) if one else at + each[rows]
    return found


def expected(stages: Sequence[Passed], rate: float, scv: float, rng: np.random.Generator) -> FloatArray:
    """Return the delay of many tasks at each stage, (N_PREDICTED, n_stages), s.

    Parameters
    ----------
    stages
        In the order in which tasks pass them.
    rate, scv
        Of the arrivals: how many a second, and the squared coefficient of variation of the gaps.
    rng
        Where they are drawn from.
    """
    gaps = renewal(scv).gaps("", rate, N_PREDICTED, rng)
    arrivals = np.cumsum(np.concatenate(list(gaps)))
    times = [stage.drawn(N_PREDICTED, rng) for stage in stages]
    return np.diff(through(arrivals, times, [stage.waits for stage in stages]), axis=1, prepend=arrivals[:, None])
