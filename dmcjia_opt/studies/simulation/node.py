"""One node's run: its stages in series, a block of tasks at a time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.studies.simulation.clock import Clock, Schedule
from dmcjia_opt.studies.simulation.estimates import N_BATCHES, BatchSums, Histogram
from dmcjia_opt.studies.simulation.serving import FifoQueue, Variability

_ROUNDING = 1e-8  # relative: what is left of a delay's digits late in a block


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """One stage of a node.

    Parameters
    ----------
    service
        Mean service time, s; 0 for a stage that is not there.
    waits
        Whether it serves one task at a time; otherwise it is a pure delay, the same for every task.
    scatter, rng
        How service times scatter where tasks wait, and from which source; all take the mean when omitted.
    clock
        How fast it is over time; as planned when omitted.
    schedule
        Service times that change; `service` when omitted.
    """

    service: float
    waits: bool = True
    scatter: Variability | None = None
    rng: np.random.Generator | None = None
    clock: Clock | None = None
    schedule: Schedule | None = None

    @property
    def constant(self) -> bool:
        """Whether every task takes as long."""
        return not self.waits and self.clock is None and self.schedule is None

    def passed(
        self, queue: FifoQueue, at: FloatArray, arrivals: FloatArray, origin: float
    ) -> tuple[FloatArray, FloatArray | float]:
        """Return when tasks leave, s, and for how long they were served.

        Parameters
        ----------
        queue
            Of this stage; it counts times of its clock where it has one.
        at, arrivals
            (n,) when they come here, and when they came to the node, s.
        origin
            What these count from, s.
        """
        factors = self.factors(len(at)) if self.waits else None
        service: FloatArray | float = self.service
        if self.schedule is not None:
            services = self.schedule.at(origin + arrivals)
            service = services if factors is None else services * factors
            factors = service / self.service
        elif factors is not None:
            service = self.service * factors
        if self.clock is None:
            return (queue.departures(at, self.service, factors) if self.waits else at + service), service
        start = self.clock.passed(np.array([origin]))
        shown = self.clock.passed(origin + at)
        left = start + queue.departures(shown - start, self.service, factors) if self.waits else shown + service
        return self.clock.reached(left) - origin, service

    def move_origin(self, queue: FifoQueue, origin: float, by: float) -> None:
        """Count times of its queue from `by` seconds later on; they counted from `origin`, s."""
        if self.clock is None:
            queue.move_origin(by)
        else:
            shown = self.clock.passed(np.array([origin, origin + by]))
            queue.move_origin(float(shown[1] - shown[0]))

    def factors(self, n: int) -> FloatArray | None:
        """Return (n,) service times over their mean, or None if all take the mean."""
        return None if self.scatter is None or self.rng is None else self.scatter.draw(n, self.rng)


@dataclass(frozen=True, slots=True, eq=False)
class NodeRun:
    """What is kept of a node's run, warm-up left out.

    Parameters
    ----------
    batch_values
        (N_BATCHES,) mean delay of each batch, s, or the value of each whose mean is a percentile (see `Histogram`);
        (1,) where the tasks that count are not a multiple of that.
    bounded
        Whether the tasks are enough for an interval around the percentile.
    delays
        (n_stages,) mean delay at each stage, s.
    histogram
        Of the delays, s.
    late
        Part of the tasks that take longer than the deadline.
    busy
        (n_stages,) seconds that each stage worked, warm-up included; where tasks overlap, those of all tasks.
    span
        Time of the last arrival, s.
    """

    batch_values: FloatArray
    bounded: bool
    delays: FloatArray
    histogram: Histogram
    late: float
    busy: FloatArray
    span: float


class Tally:
    """What is kept of the delays of a node's tasks.

    Parameters
    ----------
    measured
        Tasks that count, at least one.
    level
        Of the percentile that is asked for, in (0, 1); None for the mean.
    deadline
        From when on a task is late, s.
    """

    __slots__ = ("_batches", "_histogram", "_late", "_latest", "_level", "_measured", "total")

    def __init__(self, measured: int, level: float | None, deadline: float) -> None:
        number = 1 if measured % N_BATCHES else N_BATCHES
        size = measured // number
        self._batches = BatchSums(size, number)
        self._histogram = Histogram(size if level is not None and number > 1 else 0)
        self._measured, self._level, self._latest, self._late = measured, level, deadline * (1.0 + _ROUNDING), 0
        self.total = 0.0

    def add(self, delays: FloatArray) -> None:
        """Take in the delays of the next tasks, s."""
        self.total += delays.sum()
        self._batches.add(delays)
        self._histogram.add(delays)
        self._late += int((delays > self._latest).sum())

    def run(self, stage_sums: FloatArray, busy: FloatArray, span: float) -> NodeRun:
        """Return what is kept of the run.

        Parameters
        ----------
        stage_sums
            (n_stages,) delays of all tasks that count at each stage, s.
        busy, span
            As of a `NodeRun`.
        """
        values, bounded = _values(self._batches, self._histogram, self._level)
        late = self._late / self._measured
        return NodeRun(values, bounded, stage_sums / self._measured, self._histogram, late, busy, span)


def run_node(
    stages: Sequence[Stage],
    gaps: Iterable[FloatArray],
    measured: int,
    warm_up: int,
    level: float | None = None,
    deadline: float = math.inf,
) -> NodeRun:
    """Send tasks through a node that starts empty.

    Parameters
    ----------
    stages
        (n_stages,) in the order in which tasks pass them.
    gaps
        Times between arrivals, s, in blocks; `warm_up` + `measured` in all.
    measured
        Tasks that count, at least one.
    warm_up
        Tasks before them that do not.
    level
        Of the percentile that is asked for, in (0, 1); the mean when omitted.
    deadline
        From when on a task is late, s.
    """
    queues = [FifoQueue() for _ in stages]
    tally = Tally(measured, level, deadline)
    sums, busy = np.zeros(len(stages)), np.zeros(len(stages))
    last = max((k for k, stage in enumerate(stages) if stage.waits), default=0)
    span, seen = 0.0, 0
    for block in gaps:
        at = arrivals = np.cumsum(block)
        n, skip = len(arrivals), min(max(warm_up - seen, 0), len(arrivals))
        for k, (queue, stage) in enumerate(zip(queues, stages, strict=True)):
            if not stage.service:
                continue
            before = at
            at, services = stage.passed(queue, at, arrivals, span)
            busy[k] += services * n if isinstance(services, float) else services.sum()
            if stage.constant:
                sums[k] += stage.service * (n - skip)
            elif k != last:
                sums[k] += (at[skip:] - before[skip:]).sum()
        tally.add((at - arrivals)[skip:])
        end = float(arrivals[-1])
        for queue, stage in zip(queues, stages, strict=True):
            stage.move_origin(queue, span, end)
        span += end
        seen += n
    sums[last] += tally.total - sums.sum()  # so that the stages sum to the whole
    return tally.run(sums, busy, span)


def _values(batches: BatchSums, histogram: Histogram, level: float | None) -> tuple[FloatArray, bool]:
    """Return the value of each batch, s, and whether an interval around their mean is bounded."""
    if level is None:
        return batches.means, True
    return histogram.batch_values(level) if len(batches.means) > 1 else (histogram.quantiles((level,)), True)
