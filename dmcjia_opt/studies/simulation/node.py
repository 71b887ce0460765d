"""One node's run: edge queue, uplink and cloud queue in series, a block of tasks at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.studies.simulation.estimates import N_BATCHES, BatchSums, Histogram
from dmcjia_opt.studies.simulation.queues import FifoQueue, Variability


@dataclass(frozen=True, slots=True, eq=False)
class NodeRun:
    """What is kept of a node's run, warm-up left out.

    Parameters
    ----------
    batch_means
        (N_BATCHES,) mean delay of each batch, s; (1,) where the tasks that count are not a multiple of that.
    delays
        (3,) mean delay at the edge, on the uplink and in the cloud, s.
    histogram
        Of the delays, s.
    busy
        (3,) seconds that the edge, the uplink and the cloud worked, warm-up included.
    span
        Time of the last arrival, s.
    """

    batch_means: FloatArray
    delays: FloatArray
    histogram: Histogram
    busy: FloatArray
    span: float


def run_node(
    services: Sequence[float],
    uplink_queues: bool,
    gaps: Iterable[FloatArray],
    measured: int,
    warm_up: int,
    scatter: Sequence[Variability],
    rngs: Sequence[np.random.Generator],
) -> NodeRun:
    """Send tasks through a node that starts empty.

    Parameters
    ----------
    services
        (3,) mean service times, s, at the edge, on the uplink and in the cloud at the node's share; 0 for a stage
        that is not there.
    uplink_queues
        Whether the uplink sends one task at a time; otherwise it is a pure delay.
    gaps
        Times between arrivals, s, in blocks; `warm_up` + `measured` in all.
    measured
        Tasks that count, at least one.
    warm_up
        Tasks before them that do not.
    scatter, rngs
        (2,) how the edge's and the cloud's service times scatter, and from which source; uploads all take the mean.
    """
    queues = FifoQueue(), FifoQueue(), FifoQueue()
    number = 1 if measured % N_BATCHES else N_BATCHES
    batches, histogram = BatchSums(measured // number, number), Histogram()
    sums, busy = np.zeros(3), np.zeros(3)
    span, seen = 0.0, 0
    for block in gaps:
        at = arrivals = np.cumsum(block)
        n, skip = len(arrivals), min(max(warm_up - seen, 0), len(arrivals))
        edge, cloud = (how.draw(n, rng) for how, rng in zip(scatter, rngs, strict=True))
        for k, (queue, service, factors) in enumerate(zip(queues, services, (edge, None, cloud), strict=True)):
            if not service:
                continue
            before = at
            busy[k] += service * (n if factors is None else factors.sum())
            if k == 1 and not uplink_queues:
                at = at + service
                sums[k] += service * (n - skip)
            else:
                at = queue.departures(at, service, factors)
                sums[k] += (at[skip:] - before[skip:]).sum() if k < 2 else 0.0
        delays = (at - arrivals)[skip:]
        sums[2] += delays.sum()
        batches.add(delays)
        histogram.add(delays)
        last = float(arrivals[-1])
        for queue in queues:
            queue.move_origin(last)
        span += last
        seen += n
    sums[2] -= sums[0] + sums[1]  # so that the stages sum to the whole
    return NodeRun(batches.means, sums / measured, histogram, busy, span)
