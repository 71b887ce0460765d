"""Runs jobs on several processes; results are the same, and in the same order, whatever their number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from typing import TypeVar

from dmcjia_opt.processes import process_pool
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
    with process_pool(workers) as pool:
        running = {pool.submit(jobs[i].work): i for i in order}
        for future in as_completed(running):
            results[running[future]] = future.result()
            done(jobs[running[future]].cost)
    return [results[i] for i in range(len(jobs))]
