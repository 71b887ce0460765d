"""A pool of processes that Ctrl-C, errors and the death of this process end at once, with nothing left behind."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from types import FrameType

_PATIENCE = 2.0  # s, for a process that is inside a solver


@contextmanager
def process_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Return a pool of fresh processes; an error inside ends them whatever they are doing.

    Parameters
    ----------
    workers
        How many.
    """
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin) as pool:
        try:
            # a Ctrl-C meant for this process must not reach the others while they still import
            signals = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                pool.submit(int)  # starts them all
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, signals)
            yield pool
        except BaseException:
            _end(set(multiprocessing.active_children()) - others)
            raise


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
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _leave(number: int, frame: FrameType | None) -> None:
    atexit._run_exitfuncs()  # semaphores of libraries would be told of as leaked
    os._exit(1)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None  # this is a child
    parent.join()
    os._exit(1)
