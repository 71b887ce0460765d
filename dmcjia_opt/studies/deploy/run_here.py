"""Runs a deployment on this machine: a process a node and a server, sockets between them, tasks by the clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.base.errors import BackendMissing, InputError
from dmcjia_opt.base.machine import installing, load
from dmcjia_opt.base.showing import brief
from dmcjia_opt.studies.deploy.company import Company, company
from dmcjia_opt.studies.deploy.jobs import jobs
from dmcjia_opt.studies.deploy.manifest import Manifest, NodeEntry, load_manifest
from dmcjia_opt.studies.deploy.node_process import node_process
from dmcjia_opt.studies.deploy.server_process import server_process
from dmcjia_opt.studies.deploy.working import Passing
from dmcjia_opt.studies.simulation.arrivals import renewal
from dmcjia_opt.studies.simulation.passage import stream

#: Tasks a node, unless told otherwise.
TASKS = 300
_LEAST_TASKS, _MOST_TASKS = 10, 1_000_000
_LEAD_SECONDS = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """What became of the tasks of a node, s after the start of the run.

    Parameters
    ----------
    arrivals
        (n_tasks,) when they came.
    begin, at, done
        (n_tasks, n_stages) when each stage began with them; when it had done with them by the schedule; and by the
        clock. Without pacing those are the same, but for links that are not the last before a server.
    work
        (n_tasks, n_stages) how long the half took; NaN where none runs.

    Examples
    --------
    >>> import numpy as np
    >>> from dmcjia_opt.studies.deploy.run_here import Moments
    >>> stages = np.array([[0.0, 0.2], [1.0, 1.3]])
    >>> moments = Moments(np.array([0.0, 1.0]), stages, stages, np.array([0.2, 1.3]), stages)
    >>> moments.arrivals
    array([0., 1.])
    """

    arrivals: FloatArray
    begin: FloatArray
    at: FloatArray
    done: FloatArray
    work: FloatArray

    __repr__ = brief

    def delays(self, *, scheduled: bool = False) -> FloatArray:
        """Return the delay of every task at each stage, (n_tasks, n_stages), s."""
        return np.diff(self.at if scheduled else self.done, axis=1, prepend=self.arrivals[:, None])


@dataclass(frozen=True, slots=True, eq=False)
class Records:
    """Everything that a run has seen.

    Parameters
    ----------
    manifest
        What was run.
    paced, seed
        How.
    nodes
        The tasks of each node.
    alone
        By ``node_called`` and `server_called`, the seconds of every half that it might run, alone, by file; empty where
        nobody asked.
    started, seconds
        When it began, ISO 8601, and how long the tasks took.
    load
        The machine's load average before and after; None where the system does not tell.

    Examples
    --------
    >>> from dmcjia_opt.studies.deploy.run_here import run
    >>> run("cameras", tasks=60, paced=True).seconds  # doctest: +SKIP
    31.2
    """

    manifest: Manifest
    paced: bool
    seed: int
    nodes: tuple[Moments, ...]
    alone: Mapping[str, Mapping[str, float]]
    started: str
    seconds: float
    load: tuple[float | None, float | None]

    __repr__ = brief


def run(
    folder: str | Path,
    *,
    tasks: int = TASKS,
    paced: bool = False,
    seed: int = 0,
    times: bool = False,
    progress: Callable[[float], None] | None = None,
) -> Records:
    """Run a deployment here, and return what every task met.

    Tasks come as the scenario says, at the same moments as those of `simulate` with the same seed. Links let bytes
    through as their bandwidth says; at a server each node has a queue of its own. Whatever happens, no process is left.

    Parameters
    ----------
    folder
        What `deploy` has written.
    tasks
        Of each node.
    paced
        Stretch every stage to its planned time, so that what is tested is the queueing. Without it devices take what
        this machine takes, and servers that over the node's share.
    seed
        Same seed, same arrivals.
    times
        Time all halves on every device and server beforehand, too.
    progress
        Called with about what fraction is done.

    Raises
    ------
    InputError
        If the folder holds no deployment, or one that cannot be run here.
    BackendMissing
        If onnxruntime is not installed.
    BackendFailed
        If a process fails or dies.

    Examples
    --------
    >>> from dmcjia_opt.studies.deploy.run_here import run
    >>> records = run("cameras", tasks=60, paced=True)  # doctest: +SKIP
    >>> [moments.delays.mean() for moments in records.nodes]  # doctest: +SKIP
    [0.41, 0.38]
    """
    if not _LEAST_TASKS <= tasks <= _MOST_TASKS:
        raise InputError(f"tasks must lie between {_LEAST_TASKS} and {_MOST_TASKS:,}, got {tasks}")
    if seed < 0:
        raise InputError(f"seed must be at least 0, got {seed}")
    folder = Path(folder)
    manifest = load_manifest(folder)
    if find_spec("onnxruntime") is None:
        raise BackendMissing(f"running a network needs onnxruntime; {installing('onnx')}")
    arrivals = [_arrivals(node, tasks, seed, d) for d, node in enumerate(manifest.nodes)]
    of_nodes, of_servers = jobs(manifest, folder, arrivals, paced=paced)
    nodes = {node_called(manifest.nodes[job.node].name): job for job in of_nodes}
    servers = {server_called(name): job for name, job in of_servers.items()}
    bodies = {name: partial(node_process, job) for name, job in nodes.items()} | {
        name: partial(server_process, job) for name, job in servers.items()
    }
    before, started = load(), datetime.now(UTC).isoformat(timespec="seconds")
    with company(bodies) as them:
        ports = {name: word.port for name, word in them.hear(*bodies).items()}
        alone = {
            name: {of.relative_to(folder).as_posix(): taken for of, taken in found.items()}
            for name, found in _alone(them, [*bodies], times)
        }
        for name in bodies:
            them.tell(name, {of: ports[server_called(of)] for of in of_servers})
        them.hear(*bodies)
        start = time.monotonic() + _LEAD_SECONDS
        for name in nodes:
            them.tell(name, start)
        span = max(float(times[-1]) for times in arrivals)
        said = them.hear(*bodies, meanwhile=progress and partial(_report, progress, start, span))
    tables = [said[name].moments for name in bodies]  # those of servers last: they know when something came
    return Records(
        manifest=manifest,
        paced=paced,
        seed=seed,
        nodes=_sorted(manifest, np.concatenate(tables), arrivals, start),
        alone=alone,
        started=started,
        seconds=time.monotonic() - start,
        load=(before, load()),
    )


def _arrivals(node: NodeEntry, tasks: int, seed: int, d: int) -> FloatArray:
    gaps = renewal(node.arrivals_scv).gaps(node.name, node.arrival_rate, tasks, stream(seed, d, 0))
    return np.cumsum(np.concatenate(list(gaps)))


def _alone(them: Company, names: Sequence[str], times: bool) -> Iterator[tuple[str, dict[Path, float]]]:
    """Yield the seconds of halves, measured by one process after the other so that none disturbs another."""
    for name in names:
        them.tell(name, times)
        if times:
            yield name, them.hear(name)[name]


def _report(progress: Callable[[float], None], start: float, span: float) -> None:
    progress(min(max(time.monotonic() - start, 0.0) / span, 1.0))


def _sorted(manifest: Manifest, table: FloatArray, arrivals: Sequence[FloatArray], start: float) -> tuple[Moments, ...]:
    """Return the moments of all processes by node, what was said later over what was said before."""
    found = []
    for d, node in enumerate(manifest.nodes):
        shape = len(arrivals[d]), len(node.stages)
        rows = table[table[:, 0] == d]
        task, stage = rows[:, 2].astype(np.int64), rows[:, 1].astype(np.int64)
        columns = {}
        for key in ("begin", "at", "done", "work"):
            values = columns[key] = np.full(shape, np.nan)
            said = rows[:, Passing._fields.index(key)]
            there = ~np.isnan(said)
            values[task[there], stage[there]] = said[there] - (0.0 if key == "work" else start)
        columns["done"] = np.where(np.isnan(columns["done"]), columns["at"], columns["done"])
        found.append(Moments(arrivals[d], **columns))
    return tuple(found)


def node_called(name: str) -> str:
    """Return what the process of a node is called."""
    return f'node "{name}"'


def server_called(name: str) -> str:
    """Return what the process of a server is called."""
    return f'server "{name}"'
