"""Ctrl-C that is heard even where a library catches everything, as some do while they are imported."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_asked = threading.Event()


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
