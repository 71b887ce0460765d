"""A pool of processes that Ctrl-C and errors end at once, with nothing left behind."""

from __future__ import annotations

import multiprocessing
import signal
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
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _ignore_interrupts) as pool:
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


def _ignore_interrupts() -> None:
    # the parent is interrupted too and ends its workers
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
