"""Time in tests: a clock that only moves when somebody sleeps, and patience that runs out when something is broken."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: After so many seconds what a test waits for will not come; no test that passes comes near it.
PATIENCE = 300.0


class Clock:
    """Stands still, whatever happens, until somebody sleeps or `tick` seconds a look have passed.

    Parameters
    ----------
    tick
        What each look at it takes, s.
    """

    def __init__(self, tick: float = 0.0) -> None:
        self.now, self.tick, self.looks = 0.0, tick, 0

    def look(self) -> float:
        self.looks += 1
        self.now += self.tick
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def until(happened: Callable[[], object]) -> None:
    """Wait until something has happened."""
    gives_up = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < gives_up, "it has not happened and will not"
        time.sleep(0.01)


@contextmanager
def ends() -> Iterator[None]:
    """Fail if what is done inside does not come to an end."""

    def ring(*_: object) -> None:
        raise AssertionError("it does not end")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(int(PATIENCE))
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
