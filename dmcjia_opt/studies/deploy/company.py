"""The processes of a run, and what they say: one that dies or fails ends them all with one sentence."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, NoReturn

from dmcjia_opt.base.errors import BackendFailed
from dmcjia_opt.base.processes import companions
from dmcjia_opt.studies.deploy.working import Failed

_LOOK_SECONDS = 0.2


class Company:
    """Processes by what they are called, and a line to each."""

    def __init__(self, processes: Mapping[str, BaseProcess], lines: Mapping[str, Connection]) -> None:
        self._processes, self._lines = processes, lines

    def tell(self, name: str, message: object) -> None:
        """Say something to a process."""
        try:
            self._lines[name].send(message)
        except OSError:
            self._received(name)

    def hear(self, *names: str, meanwhile: Callable[[], None] | None = None) -> dict[str, Any]:
        """Return the next word of some processes.

        Raises
        ------
        BackendFailed
            If any process fails or dies before.
        """
        said: dict[str, Any] = {}
        while len(said) < len(names):
            waited: dict[object, str] = {self._lines[name]: name for name in names if name not in said}
            ends = {self._processes[name].sentinel: name for name in waited.values()}
            found = wait([*(self._lines[name] for name in waited.values()), *ends], _LOOK_SECONDS)
            for line in found:
                if isinstance(line, Connection):
                    said[waited[line]] = self._received(waited[line])
            for end in found:
                if isinstance(end, int) and ends[end] not in said and not self._lines[ends[end]].poll():
                    self._died(ends[end])
            if meanwhile is not None:
                meanwhile()
        return said

    def _received(self, name: str) -> object:
        try:
            message = self._lines[name].recv()
        except (EOFError, OSError):
            self._died(name)
        if isinstance(message, Failed):
            raise BackendFailed(f"the process of {name} failed: {message.sentence}")
        return message

    def _died(self, name: str) -> NoReturn:
        process = self._processes[name]
        process.join(_LOOK_SECONDS)
        code = process.exitcode
        names = {s.value: s.name for s in signal.Signals}
        how = "" if code is None else f" with exit code {code}" if code >= 0 else f" by {names.get(-code, -code)}"
        raise BackendFailed(f"the process of {name} was ended{how} in the middle of the run; run it again")


@contextmanager
def company(bodies: Mapping[str, Callable[[Connection], None]]) -> Iterator[Company]:
    """Start a process for each of some functions, by what it is called; all end with what is done inside."""
    lines, others = {}, {}
    for name in bodies:
        lines[name], others[name] = Pipe()
    try:
        with companions([partial(body, others[name]) for name, body in bodies.items()]) as processes:
            for other in others.values():
                other.close()
            yield Company(dict(zip(bodies, processes, strict=True)), lines)
    finally:
        for line in (*lines.values(), *others.values()):
            line.close()
