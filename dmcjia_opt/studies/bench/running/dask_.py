"""Runs on the workers of a Dask cluster, each in a child process there, so that killing one costs no worker.

A run whose worker is lost is made again elsewhere. Start the workers with one thread a core (``--nthreads 1``) and
the same version of this package.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from dmcjia_opt.base.clusters import client_of
from dmcjia_opt.base.errors import BackendFailed, DmcjiaError
from dmcjia_opt.studies.bench.planning import Run
from dmcjia_opt.studies.bench.running.worker import Worker
from dmcjia_opt.studies.bench.runs import Ran, RunLimits, Task

_CONNECT_SECONDS = 10.0
_LOOK_SECONDS = 0.05
_SILENT_SECONDS = 10.0
_MOST_LOSSES = 3
_local = threading.local()
_here: list[Worker] = []


def run_here(task: Task, limits: RunLimits) -> Ran:
    """Run a task in this thread's own child process, which is kept for the next; called on a Dask worker."""
    worker: Worker | None = getattr(_local, "worker", None)
    if worker is None or worker.stopped:
        worker = _local.worker = Worker()
        _here.append(worker)
    return worker.run(task, limits)


def end_here() -> None:
    """End the child processes of this process, and the runs under way; called on a Dask worker."""
    while _here:
        _here.pop().stop()


@contextmanager
def on_dask(address: str, runs: Sequence[Run]) -> Iterator[Iterator[tuple[Run, Ran]]]:
    """Send runs to a scheduler; inside, iterate over them as they end.

    Raises
    ------
    BackendMissing, BackendFailed, InputError
        If distributed is not installed, the scheduler cannot be reached or is lost, or a worker has other code.
    """
    waiting: dict[Any, Run] = {}
    with client_of(address, "use --workers", "bench") as client:
        try:
            waiting |= {_submit(client, run): run for run in runs}
            yield _results(client, address, waiting)
        finally:
            if client.status == "running":
                with contextlib.suppress(Exception):  # a worker that is gone has taken its children with it
                    client.cancel(list(waiting), force=True)
                    client.run(end_here, on_error="ignore")


def _results(client: Any, address: str, waiting: dict[Any, Run]) -> Iterator[tuple[Run, Ran]]:  # noqa: ANN401
    losses: Counter[int] = Counter()
    heard = time.monotonic()
    while waiting:
        ended = [future for future in waiting if future.status in ("finished", "error")]
        if client.status == "running" and not any(future.status == "cancelled" for future in waiting):
            heard = time.monotonic()
        elif not ended and time.monotonic() - heard > _SILENT_SECONDS:
            raise BackendFailed(f"the Dask scheduler at {address} is lost; the rows are kept, go on with --resume")
        for future in ended:
            run = waiting.pop(future)
            try:
                found = future.result(timeout=_CONNECT_SECONDS)
            except DmcjiaError:
                raise
            except Exception as error:  # noqa: BLE001 - a lost worker shows in many ways
                losses[run.number] += 1
                if losses[run.number] > _MOST_LOSSES:
                    raise BackendFailed(
                        f"{run.task.method} on {run.task.instance.name} failed on the Dask cluster {_MOST_LOSSES + 1} "
                        f"times ({type(error).__name__}: {error}); the rows are kept, go on with --resume"
                    ) from None
                waiting[_submit(client, run)] = run
            else:
                future.release()
                yield run, found
        if not ended:
            time.sleep(_LOOK_SECONDS)


def _submit(client: Any, run: Run) -> Any:  # noqa: ANN401 - a distributed.Future
    return client.submit(run_here, run.task, run.limits, pure=False, priority=-run.number)
