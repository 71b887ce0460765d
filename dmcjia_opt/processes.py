"""A pool of processes that Ctrl-C, errors and the death of this process end at once, with nothing left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager


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
            for child in set(multiprocessing.active_children()) - others:
                child.terminate()
            raise


def _begin() -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # the parent is interrupted too and ends its workers
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None  # this is a child
    parent.join()
    os._exit(1)
