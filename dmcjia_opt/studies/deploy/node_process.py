"""The process of a node: tasks come by the clock, its half runs, and what crosses the cut goes to a server."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection

import numpy as np

from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.studies.deploy.tensors import Array, TensorEntry, drawn, packed
from dmcjia_opt.studies.deploy.wire import LinkJob, Sender, connect, receive, sleep_until
from dmcjia_opt.studies.deploy.working import Finished, HalfJob, HalfRunner, Log, Passing, Ready, Reporter, trials


@dataclass(frozen=True, slots=True)
class HopJob:
    """What crosses a cut: the tensors, how many bytes they count, over which links, to which server."""

    tensors: tuple[TensorEntry, ...]
    n_bytes: int
    links: tuple[LinkJob, ...]
    server: str


@dataclass(frozen=True, slots=True, eq=False)
class NodeJob:
    """What a node does.

    Parameters
    ----------
    node
        Its index.
    inputs
        What a task comes with.
    half
        What it runs itself, None where that is nothing.
    hop
        Where tasks go then, None where they end here.
    trip
        Stage and seconds of the way back, None without one.
    arrivals
        When tasks come, s after the start.
    halves
        All of its network, to be timed here where that is asked for.
    paced
        Whether stages take their planned times.
    """

    node: int
    inputs: tuple[TensorEntry, ...]
    half: HalfJob | None
    hop: HopJob | None
    trip: tuple[int, float] | None
    arrivals: FloatArray
    halves: tuple[HalfJob, ...]
    paced: bool


def node_process(job: NodeJob, line: Connection) -> None:
    """Run a node; on its line it hears whether to time halves, the ports and the start, and says what it saw."""
    reporter = Reporter(line)
    reporter.guarded(partial(_run, job, reporter))


def _run(job: NodeJob, reporter: Reporter) -> None:
    worker = None if job.half is None else HalfRunner(job.half, paced=job.paced)
    known = drawn(job.inputs, seed=job.node)
    reporter.line.send(Ready())
    if reporter.line.recv():
        reporter.line.send(trials(job.halves))
    ports: dict[str, int] = reporter.line.recv()
    log, back = Log(), _Back(job, len(job.arrivals), reporter)
    sender = None
    if job.hop is not None:
        connection = connect(ports[job.hop.server], job.node)
        sender = Sender(connection, job.hop.links, reporter.failed)
        threading.Thread(target=reporter.guarded, args=(partial(receive, connection, back.take),), daemon=True).start()
    reporter.line.send(Ready())
    start: float = reporter.line.recv()
    for task, arrival in enumerate((start + job.arrivals).tolist()):
        sleep_until(arrival)
        at, made = arrival, dict[str, Array]()
        if worker is not None:
            made, moment = worker.serve(job.node, task, at, known)
            log.moments.append(moment)
            at = moment.at
        if sender is not None and job.hop is not None:
            content = packed(job.hop.tensors, known | made, job.hop.n_bytes)
            for link, begin, end in sender.send(task, content, at):
                log.moments.append(Passing(job.node, link.stage, task, begin, end, np.nan, np.nan))
    if job.hop is not None:
        reporter.over.wait()
    if not reporter.went_wrong:
        reporter.line.send(Finished(np.concatenate([log.table(), back.log.table()])))


class _Back:
    """Takes what comes back, and says when all has."""

    def __init__(self, job: NodeJob, tasks: int, reporter: Reporter) -> None:
        self._job, self._left, self._reporter = job, tasks, reporter
        self.log = Log()

    def take(self, task: int, content: bytearray, at: float) -> None:
        """Note that a task is back, `at` by the schedule; a way back of so many seconds is added to it."""
        if self._job.trip is not None:
            stage, seconds = self._job.trip
            done = time.monotonic() + seconds
            self.log.moments.append(
                Passing(self._job.node, stage, task, at, at + seconds if self._job.paced else done, done)
            )
        self._left -= 1
        if not self._left:
            self._reporter.over.set()
