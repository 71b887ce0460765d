"""What processes of nodes and servers have in common: a half at work, stretched to its share or its planned time."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.base.errors import DmcjiaError, in_one_line
from dmcjia_opt.studies.deploy.halves import open_session
from dmcjia_opt.studies.deploy.tensors import Array, Arrays, TensorEntry, drawn
from dmcjia_opt.studies.deploy.wire import Lost, sleep_until

_TRIALS = 5


@dataclass(frozen=True, slots=True)
class HalfJob:
    """A half that a process runs.

    Parameters
    ----------
    file
        The ONNX file.
    inputs, outputs
        What it reads and makes.
    stage
        Which stage of the node it is.
    service
        The planned time of a task, s, at the node's share.
    share
        Of what runs it.
    """

    file: Path
    inputs: tuple[TensorEntry, ...]
    outputs: tuple[TensorEntry, ...]
    stage: int
    service: float
    share: float


class Passing(NamedTuple):
    """What is known of a task at a stage of a node, on the monotonic clock, s; NaN is for others to say."""

    node: int
    stage: int
    task: int
    begin: float = math.nan
    at: float = math.nan
    done: float = math.nan
    work: float = math.nan


class Ready(NamedTuple):
    """A process can begin; a server's has a port."""

    port: int = 0


class Failed(NamedTuple):
    """A process cannot go on, and says why."""

    sentence: str


class Finished(NamedTuple):
    """A process has done its part: (n_moments, fields of `Passing`)."""

    moments: FloatArray


@dataclass(slots=True)
class Log:
    """What a process remembers of its tasks; threads may add to it."""

    moments: list[Passing] = field(default_factory=list)

    def table(self) -> FloatArray:
        """Return all of it, (n_moments, fields of `Passing`)."""
        return np.array(self.moments, dtype=np.float64).reshape(len(self.moments), len(Passing._fields))


class HalfRunner:
    """Runs a half for one task after the other.

    Parameters
    ----------
    job
        The half.
    paced
        Whether a task takes as long as planned. It then ends by a schedule in which it begins when it comes or the
        one before ends, whatever this machine's delays, so that those do not add up. Otherwise a task takes what it
        takes here, over the share.
    """

    def __init__(self, job: HalfJob, *, paced: bool) -> None:
        self.job, self._paced, self._free = job, paced, -math.inf
        self._session = open_session(job.file)
        self._names = [tensor.name for tensor in job.outputs]
        self._own = drawn(job.inputs)  # what stays here, and does not come with a task
        self.run({})  # the first run is slower than any other

    def trial(self) -> float:
        """Return the median seconds of one run alone."""
        taken = []
        for _ in range(_TRIALS):
            start = time.perf_counter()
            self.run({})
            taken.append(time.perf_counter() - start)
        return float(np.median(taken))

    def run(self, known: Arrays) -> dict[str, Array]:
        """Return what the half makes of the tensors that it reads."""
        feed = {tensor.name: known.get(tensor.name, self._own[tensor.name]) for tensor in self.job.inputs}
        return dict(zip(self._names, self._session.run(self._names, feed), strict=True))

    def serve(self, node: int, task: int, at: float, known: Arrays) -> tuple[dict[str, Array], Passing]:
        """Return what the half makes for a task that is there `at`, when it is due, and what to remember of it."""
        start = time.monotonic()
        begin = max(at, self._free) if self._paced else start
        made = self.run(known)
        work = time.monotonic() - start
        end = begin + (self.job.service if self._paced else work / self.job.share)
        sleep_until(end)
        done = time.monotonic()
        self._free = at = end if self._paced else done
        return made, Passing(node, self.job.stage, task, begin, at, done, work)


def trials(jobs: Sequence[HalfJob]) -> dict[Path, float]:
    """Return the seconds of halves, each run alone."""
    return {job.file: HalfRunner(job, paced=False).trial() for job in jobs}


class Reporter:
    """A process's line to the one that runs it: the first thing that goes wrong is told, and nothing after it."""

    def __init__(self, line: Connection) -> None:
        self.line, self._lock = line, threading.Lock()
        self.over = threading.Event()
        self.went_wrong = False

    def failed(self, error: BaseException) -> None:
        """Tell what went wrong; where only a connection closed, whoever closed it is the one to tell."""
        with self._lock:
            if not self.went_wrong and not isinstance(error, Lost):
                self.line.send(Failed(str(error) if isinstance(error, DmcjiaError) else in_one_line(error)))
            self.went_wrong = True
            self.over.set()

    def guarded(self, body: Callable[[], None]) -> None:
        """Run a function; what goes wrong is told, and then the process waits for its end."""
        try:
            body()
        except BaseException as error:  # noqa: BLE001 - told, not lost
            self.failed(error)
        if self.went_wrong:
            threading.Event().wait()
