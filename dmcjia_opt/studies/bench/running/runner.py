"""Runs a benchmark: workers take runs in order, answers are verified here, rows are written as they come.

A worker's thread verifies what its child answered before the child gets its next run, so that verification takes the
core that the child leaves idle and disturbs no other measurement.
"""

from __future__ import annotations

import os
import queue
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dmcjia_opt.base.errors import BackendMissing, DmcjiaError
from dmcjia_opt.base.machine import commit, cores, installing, machine, revision
from dmcjia_opt.solving.registry import versions
from dmcjia_opt.studies.bench.certificates import Certificates
from dmcjia_opt.studies.bench.claims import Verifier, finite, trace
from dmcjia_opt.studies.bench.folder import open_folder
from dmcjia_opt.studies.bench.instances import Instance, named
from dmcjia_opt.studies.bench.library import Library, find_library
from dmcjia_opt.studies.bench.planning import Run, changed, plan_runs, suite_called
from dmcjia_opt.studies.bench.rows import Outcome, Row
from dmcjia_opt.studies.bench.running.worker import Worker
from dmcjia_opt.studies.bench.runs import Checked, Ran
from dmcjia_opt.studies.bench.suites import Suite

#: Called with what is done, all there is, both in runs, and the fraction of the expected time.
Progress = Callable[[int, int, float], None]


_MEASURED = ("evaluations", "setup_seconds", "wall_seconds", "cpu_seconds", "peak_mb")


class Interrupted(DmcjiaError):
    """The user stopped the benchmark; it can be resumed."""

    exit_code = 130


def bench(
    suite: str,
    out: Path,
    *,
    methods: Sequence[str] | None = None,
    instances: Sequence[str] | None = None,
    seeds: int | None = None,
    seconds: float | None = None,
    workers: int | None = None,
    dask: str | None = None,
    resume: bool = False,
    outside: bool = False,
    progress: Progress | None = None,
) -> list[Row]:
    """Run a suite and return its rows, in the order of the suite.

    Parameters
    ----------
    suite
        A key of `SUITES`.
    out
        The folder for rows; see `open_folder`.
    methods, instances, seeds, seconds
        What is put in the place of the suite's own; see `changed`. Instances are names, files or folders.
    workers
        Child processes; by default one a core.
    dask
        Address of a Dask scheduler whose workers run the children instead.
    resume
        Go on in a folder that has rows; runs whose key is there are not made again.
    outside
        Whether scenarios among `instances` may refer to files outside their folder.
    progress
        Called as runs end.

    Raises
    ------
    InputError, BackendMissing, BackendFailed, Interrupted
        If an argument is malformed, what a benchmark needs is not installed, the scheduler is lost, or Ctrl-C.
    """
    require()
    spec = suite_called(suite)
    own = None if instances is None else named(instances, _hashes(find_library()), outside=outside)
    names = None if own is None else [each.name for each in own]
    spec = changed(spec, methods=methods, instances=names, seeds=seeds, seconds=seconds)
    return run_suite(spec, out, own=own or (), workers=workers, dask=dask, resume=resume, progress=progress)


def run_suite(
    suite: Suite,
    out: Path,
    *,
    own: Sequence[Instance] = (),
    workers: int | None = None,
    dask: str | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> list[Row]:
    """Run a suite of one's own; parameters and errors as of `bench`, and `own` the instances that it made."""
    require()
    library = find_library()
    runs = plan_runs(suite, own, _hashes(library))
    with open_folder(out, suite.name, resume=resume) as folder:
        folder.describe(_description(suite, runs, workers, dask))
        left = [run for run in runs if run.key not in folder.rows]
        total = sum(run.cost for run in runs) or 1.0
        done = total - sum(run.cost for run in left)
        verifier = Verifier({} if library is None else library.best_by_hash)
        try:
            certificates = Certificates(out)
            with _rows(left, verifier, workers, dask) as rows:
                for number, (run, ran, row) in enumerate(rows, len(runs) - len(left) + 1):
                    folder.append(row)
                    certificates.take(row, ran.reply, verifier.reference(run.task.instance).problem)
                    done += run.cost
                    if progress is not None:
                        progress(number, len(runs), done / total)
        except KeyboardInterrupt:
            kept = sum(run.key in folder.rows for run in runs)
            raise Interrupted(f"interrupted; {kept} of {len(runs)} runs are kept, go on with --resume") from None
        folder.finish([run.key for run in runs])
        return [folder.rows[run.key] for run in runs]


def _hashes(library: Library | None) -> dict[str, str]:
    return {} if library is None else library.hashes


def require() -> None:
    """Raise BackendMissing unless what a benchmark needs is installed."""
    for module in ("psutil", "pandas", "pyarrow"):
        if find_spec(module) is None:
            raise BackendMissing(f"a benchmark needs {module}; {installing('bench')}")


def row_of(run: Run, ran: Ran, verifier: Verifier) -> Row:
    """Return the row of a run, its answer verified."""
    task, stop, reply = run.task, run.task.stop, ran.reply
    if ran.outcome is not None:
        checked = Checked(ran.outcome, ran.message)
    elif reply.error:
        checked = Checked(Outcome.REFUSED if reply.refused else Outcome.ERROR, reply.error)
    else:
        checked = verifier.check(task, reply)
    values: dict[str, Any] = asdict(checked)
    if values["lower_bound_s"] is None and task.kind == "placer":
        values["lower_bound_s"] = finite(verifier.reference(task.instance).bound)
    return Row(
        key=run.key,
        suite=run.suite,
        instance=task.where,
        instance_sha256=task.instance.sha256,
        family=task.instance.family,
        n_nodes=task.instance.n_nodes,
        n_splits=verifier.reference(task.instance).problem.n_options,
        method=task.method,
        kind=task.kind,
        seed=task.seed,
        limit_seconds=stop.seconds,
        limit_evaluations=stop.evaluations,
        limit_gap=stop.gap,
        **{name: getattr(reply, name) for name in _MEASURED},
        trace=trace(reply),
        started=ran.started,
        machine=ran.machine,
        load=ran.load,
        versions=run.versions,
        revision=revision(),
        **values,
    )


@contextmanager
def _rows(
    runs: Sequence[Run], verifier: Verifier, workers: int | None, dask: str | None
) -> Iterator[Iterable[tuple[Run, Ran, Row]]]:
    if dask is not None:
        from dmcjia_opt.studies.bench.running.dask_ import on_dask

        with on_dask(dask, runs) as found:
            yield ((run, ran, row_of(run, ran, verifier)) for run, ran in found)
        return
    number = min(cores() if workers is None else workers, max(len(runs), 1))
    available = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    own_core = number <= len(available)  # with more workers than cores the system had better choose
    team = [Worker(available[i] if own_core else None) for i in range(number)]
    idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
    for worker in team:
        idle.put(worker)

    def made(run: Run) -> tuple[Run, Ran, Row]:
        worker = idle.get()
        try:
            ran = worker.run(run.task, run.limits)
            return run, ran, row_of(run, ran, verifier)
        finally:
            idle.put(worker)

    with ThreadPoolExecutor(number) as threads:
        try:
            yield (future.result() for future in as_completed([threads.submit(made, run) for run in runs]))
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
            for worker in team:
                worker.stop()


def _description(suite: Suite, runs: Sequence[Run], workers: int | None, dask: str | None) -> dict[str, Any]:
    return {
        "spec": asdict(suite),
        "runs": len(runs),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": ["dmcjia", *sys.argv[1:]],
        "workers": dask or (cores() if workers is None else workers),
        "machine": machine(),
        "versions": versions(),
        "revision": revision(),
        "commit": commit(),
    }
