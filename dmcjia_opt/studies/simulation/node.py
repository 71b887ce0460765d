"""One node's run: edge queue, uplink and cloud queue in series, a block of tasks at a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.studies.simulation.estimates import N_BATCHES, BatchSums, Histogram
from dmcjia_opt.studies.simulation.queues import FifoQueue, Variability


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The stages that every task of a node passes through; a time of 0 is a stage that is not there.

    Parameters
    ----------
    edge, upload, cloud
        Mean service times, s; the cloud's at the node's share.
    uplink_queues
        Whether the uplink sends one task at a time; otherwise it is a pure delay.
    edge_variability, cloud_variability
        How the edge's and the cloud's service times scatter; uploads always take their mean.
    """

    edge: float
    upload: float
    cloud: float
    uplink_queues: bool = False
    edge_variability: Variability = Variability()  # noqa: RUF009 - frozen
    cloud_variability: Variability = Variability()  # noqa: RUF009 - frozen


@dataclass(frozen=True, slots=True, eq=False)
class NodeRun:
    """What is kept of a node's run, warm-up left out.

    Parameters
    ----------
    batch_means
        (N_BATCHES,) mean delay of each batch, s.
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
    pipeline: Pipeline,
    gaps: Iterable[FloatArray],
    measured: int,
    warm_up: int,
    edge_rng: np.random.Generator,
    cloud_rng: np.random.Generator,
) -> NodeRun:
    """Send tasks through a node that starts empty.

    Parameters
    ----------
    pipeline
        The node's stages.
    gaps
        Times between arrivals, s, in blocks; `warm_up` + `measured` in all.
    measured
        Tasks that count, a multiple of `N_BATCHES`.
    warm_up
        Tasks before them that do not.
    edge_rng, cloud_rng
        Sources of the edge's and the cloud's service times.
    """
    edge, uplink, cloud = FifoQueue(), FifoQueue(), FifoQueue()
    batches = BatchSums(measured // N_BATCHES)
    histogram = Histogram()
    sums, busy = np.zeros(3), np.zeros(3)
    span, seen = 0.0, 0
    for block in gaps:
        arrivals = np.cumsum(block)
        n, skip = len(arrivals), min(max(warm_up - seen, 0), len(arrivals))
        edge_factors = pipeline.edge_variability.draw(n, edge_rng)
        cloud_factors = pipeline.cloud_variability.draw(n, cloud_rng)
        at = arrivals
        if pipeline.edge:
            at = edge.departures(at, pipeline.edge, edge_factors)
            sums[0] += (at[skip:] - arrivals[skip:]).sum()
            busy[0] += pipeline.edge * _total(edge_factors, n)
        if pipeline.upload:
            before = at
            at = uplink.departures(at, pipeline.upload) if pipeline.uplink_queues else at + pipeline.upload
            sums[1] += (at[skip:] - before[skip:]).sum() if pipeline.uplink_queues else pipeline.upload * (n - skip)
            busy[1] += pipeline.upload * n
        if pipeline.cloud:
            at = cloud.departures(at, pipeline.cloud, cloud_factors)
            busy[2] += pipeline.cloud * _total(cloud_factors, n)
        delays = (at - arrivals)[skip:]
        sums[2] += delays.sum()
        batches.add(delays)
        histogram.add(delays)
        last = float(arrivals[-1])
        for queue in (edge, uplink, cloud):
            queue.move_origin(last)
        span += last
        seen += n
    sums[2] -= sums[0] + sums[1]
    return NodeRun(batches.means, sums / measured, histogram, busy, span)


def _total(factors: FloatArray | None, n: int) -> float:
    return float(n) if factors is None else float(factors.sum())
