"""Processes and their manners: pools that end with this process, Ctrl-C that is heard, output that is kept back."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Generic, TypeVar

R = TypeVar("R")

_PATIENCE = 2.0  # s, for a process that is inside a solver
_asked = threading.Event()


@dataclass(frozen=True, slots=True)
class Job(Generic[R]):
    """One piece of work that another process can do.

    Parameters
    ----------
    work
        A module-level function with its arguments bound by `functools.partial`, so that it can be pickled.
    cost
        About how many seconds it takes; costly jobs go first.
    """

    work: Callable[[], R]
    cost: float = 0.1


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
    else:
        with process_pool(workers) as pool:
            running = {pool.submit(jobs[i].work): i for i in order}
            for future in as_completed(running):
                results[running[future]] = future.result()
                done(jobs[running[future]].cost)
    return [results[i] for i in range(len(jobs))]


@contextmanager
def process_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Return a pool of so many fresh processes; an error inside ends them whatever they are doing."""
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin) as pool:
        try:
            # a Ctrl-C meant for this process must not reach the others while they still import
            _hear_interrupts(False)
            try:
                pool.submit(int)  # starts them all
            finally:
                _hear_interrupts(True)
            yield pool
        except BaseException:
            _end(set(multiprocessing.active_children()) - others)
            raise


@contextmanager
def companions(bodies: Sequence[Callable[[], None]]) -> Iterator[list[multiprocessing.process.BaseProcess]]:
    """Return a fresh process for each of some functions that can be pickled; they end with what is done inside.

    A Ctrl-C is this process's to hear, and if it is killed they end by themselves.
    """
    context = multiprocessing.get_context("spawn")
    children: list[multiprocessing.process.BaseProcess] = [
        context.Process(target=_accompany, args=(body,), daemon=True) for body in bodies
    ]
    started: set[multiprocessing.process.BaseProcess] = set()
    try:
        _hear_interrupts(False)
        try:
            for child in children:
                child.start()
                started.add(child)
        finally:
            _hear_interrupts(True)
        yield children
    finally:
        _end(started)


def _accompany(body: Callable[[], None]) -> None:
    _begin()
    body()


def _end(children: set[multiprocessing.process.BaseProcess]) -> None:
    for child in children:
        child.terminate()
    patience = time.monotonic() + _PATIENCE
    for child in children:
        child.join(max(patience - time.monotonic(), 0.0))
        child.kill()


def _begin() -> None:
    signal.signal(signal.SIGTERM, _leave)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # the parent is interrupted too and ends its workers
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _hear_interrupts(True)


def _hear_interrupts(heard: bool) -> None:
    if hasattr(signal, "pthread_sigmask"):  # not on Windows
        signal.pthread_sigmask(signal.SIG_UNBLOCK if heard else signal.SIG_BLOCK, {signal.SIGINT})


def _leave(number: int, frame: FrameType | None) -> None:
    atexit._run_exitfuncs()  # semaphores of libraries would be told of as leaked
    os._exit(1)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None  # this is a child
    parent.join()
    os._exit(1)


@contextmanager
def interrupts_remembered() -> Iterator[None]:
    """Remember a Ctrl-C inside, so that `raise_if_interrupted` raises it again wherever it got lost."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, _ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        _asked.clear()


def raise_if_interrupted() -> None:
    """Raise KeyboardInterrupt if there was a Ctrl-C since `interrupts_remembered`."""
    if _asked.is_set():
        raise KeyboardInterrupt


def _ask(number: int, frame: FrameType | None) -> None:
    _asked.set()
    raise KeyboardInterrupt


@contextmanager
def silenced() -> Iterator[None]:
    """Send the process's standard output, at the level of the operating system, nowhere for a while.

    Not for use by several threads at once: the descriptor belongs to the process.
    """
    sys.stdout.flush()
    kept = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(nowhere)
        os.close(kept)
