"""Runs jobs on several processes; results are the same, and in the same order, whatever their number."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TypeVar

from dmcjia_opt.reproduce.item import Job

R = TypeVar("R")


def run_jobs(jobs: Sequence[Job[R]], workers: int, done: Callable[[float], None]) -> list[R]:
    """Return the jobs' results in the order of the jobs.

    Parameters
    ----------
    jobs
        What to run, the costliest first.
    workers
        Processes; with 1 everything runs in this one.
    done
        Called with the cost of each job as it ends.
    """
    order = sorted(range(len(jobs)), key=lambda i: -jobs[i].cost)
    results: dict[int, R] = {}
    if min(workers, len(jobs)) <= 1:
        for i in order:
            results[i] = jobs[i].work()
            done(jobs[i].cost)
        return [results[i] for i in range(len(jobs))]
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _ignore_interrupts) as pool:
        try:
            running = {pool.submit(jobs[i].work): i for i in order}
            for future in as_completed(running):
                results[running[future]] = future.result()
                done(jobs[running[future]].cost)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in set(multiprocessing.active_children()) - others:
                child.terminate()
            raise
    return [results[i] for i in range(len(jobs))]


def _ignore_interrupts() -> None:
    # the parent is interrupted too and ends its workers
    signal.signal(signal.SIGINT, signal.SIG_IGN)
