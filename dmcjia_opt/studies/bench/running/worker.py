"""The parent's side of a child: starts it, hands it runs, watches its time and memory, and kills it when it must.

The memory limit is kept by watching the resident memory, not by RLIMIT_AS: solvers and BLAS reserve address space
that they never touch, and fail in their own ways when they cannot. A child may overstep the limit by what it can
touch between two looks, a tenth of a second apart.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, Any

from dmcjia_opt.base.errors import BackendFailed
from dmcjia_opt.base.machine import THREAD_VARIABLES, load, machine
from dmcjia_opt.studies.bench.rows import Outcome
from dmcjia_opt.studies.bench.running.child import HEADER, Phase, Reply, Task

_LOOK_SECONDS = 0.1
_CHILDREN_SECONDS = 2.0
_LOG_BYTES = 1 << 24
_TAIL_BYTES = 400
_START = "start"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When a child is killed.

    Parameters
    ----------
    wall_seconds
        Set-up and solve of one run.
    prepare_seconds
        What comes before: starting the process, generating the instance, imports and the warm-up of a method.
    memory_mb
        Resident memory of the child and of the programs it runs.
    """

    wall_seconds: float
    prepare_seconds: float = 180.0
    memory_mb: float = 4096.0


@dataclass(frozen=True, slots=True, eq=False)
class Ran:
    """A run as seen from outside: the child's reply, or how it failed to give one.

    Parameters
    ----------
    reply
        None where the child had to be killed or died.
    outcome, message
        Why there is no reply.
    started, machine, load
        When and where it ran.
    wall_seconds, peak_mb
        Seen from outside, where there is no reply; memory as far as it rose in set-up and solve.
    """

    reply: Reply | None
    outcome: Outcome
    message: str
    started: str
    machine: str
    load: float | None
    wall_seconds: float | None = None
    peak_mb: float | None = None


class Stopped(Exception):
    """The run was ended because the benchmark is being ended."""


class _Dead(Exception):
    pass


class Worker:
    """Runs tasks in one child process at a time, which is kept warm and replaced when it had to be killed.

    Parameters
    ----------
    core
        The core the child is bound to, or None to let the system choose.
    """

    def __init__(self, core: int | None = None) -> None:
        self._core = core
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self._stopped = False
        self._busy = threading.Lock()

    def run(self, task: Task, limits: Limits) -> Ran:
        """Return what came of a task.

        Raises
        ------
        Stopped
            If `stop` was called.
        BackendFailed
            If no child can be started.
        """
        with self._busy:
            return self._run(task, limits)

    def _run(self, task: Task, limits: Limits) -> Ran:
        if self._stopped:
            raise Stopped
        when = datetime.now(UTC).isoformat(timespec="milliseconds")
        busy = load()
        watch = _Watch(limits)
        reply, outcome, message = None, Outcome.ANSWER, ""
        try:
            reply = self._exchange(task, watch)
        except _Dead as death:
            outcome, message = watch.verdict or Outcome.CRASH, f"{death} in {watch.phase}{self._last_words()}"
        wall, peak = watch.solve_seconds, watch.peak_mb - watch.before_mb
        if reply is None or watch.memory_mb() > limits.memory_mb / 2:
            self.kill()  # a child that keeps so much memory would pass the limit by another method's fault
        if self._stopped:
            raise Stopped
        if reply is not None:
            return Ran(reply, outcome, message, when, machine(), busy)
        return Ran(None, outcome, message, when, machine(), busy, wall, peak if wall and peak > 0 else None)

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped

    def stop(self) -> None:
        """End the child, the run under way, and whatever is asked for later; from any thread."""
        self._stopped = True
        if (process := self._process) is not None:
            _end(process)
        with self._busy:
            self.close()

    def kill(self) -> None:
        """End the child and what it has started, if there is one."""
        process, self._process = self._process, None
        if process is not None:
            _end(process)
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()

    def close(self) -> None:
        """End the child and drop its log."""
        self.kill()
        if self._log is not None:
            self._log.close()
            self._log = None

    def _start(self) -> subprocess.Popen[bytes]:
        self.close()
        self._log = tempfile.TemporaryFile("w+b", buffering=0)  # noqa: SIM115 - lives as long as the child
        environment = os.environ | dict.fromkeys(THREAD_VARIABLES, "1")
        environment |= {"PYTHONPATH": os.pathsep.join(os.path.abspath(p) for p in sys.path), "PYTHONUNBUFFERED": "1"}
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "dmcjia_opt.studies.bench.running.child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                env=environment,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            raise BackendFailed(f"a child process cannot be started: {error.strerror}") from None
        if self._core is not None and hasattr(os, "sched_setaffinity"):
            with contextlib.suppress(OSError):
                os.sched_setaffinity(process.pid, {self._core})
        assert process.stdout is not None
        self._readable = select.poll()
        self._readable.register(process.stdout, select.POLLIN)
        self._process = process
        return process

    def _exchange(self, task: Task, watch: _Watch) -> Reply:
        process = self._process
        if process is None or process.poll() is not None:
            process = self._start()
        watch.begin(process.pid)
        self._trim_log(0)
        frame = pickle.dumps(task, protocol=pickle.HIGHEST_PROTOCOL)
        try:
            assert process.stdin is not None
            for start in range(0, len(frame) + HEADER.size, 1 << 16):
                process.stdin.write((HEADER.pack(len(frame)) + frame)[start : start + (1 << 16)])
        except OSError:
            raise _Dead(self._death(process)) from None
        while True:
            message = self._receive(process, watch)
            if isinstance(message, Phase):
                watch.enter(message.name)
            elif isinstance(message, Reply):
                return message
            else:
                raise _Dead("its process sent something that is no answer")

    def _receive(self, process: subprocess.Popen[bytes], watch: _Watch) -> object:
        (size,) = HEADER.unpack(self._read(process, HEADER.size, watch))
        try:
            return pickle.loads(self._read(process, size, watch))
        except (pickle.UnpicklingError, AttributeError, ImportError, EOFError, IndexError, TypeError, ValueError):
            return None

    def _read(self, process: subprocess.Popen[bytes], size: int, watch: _Watch) -> bytes:
        assert process.stdout is not None
        parts: list[bytes] = []
        while size > 0:
            if not self._readable.poll(1000 * _LOOK_SECONDS):
                if self._stopped:
                    raise _Dead("stopped")
                self._trim_log(_LOG_BYTES)
                if why := watch.look():
                    raise _Dead(why)
                continue
            part = os.read(process.stdout.fileno(), min(size, 1 << 20))
            if not part:
                raise _Dead(self._death(process))
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _death(self, process: subprocess.Popen[bytes]) -> str:
        try:
            code = process.wait(timeout=5.0)
        except subprocess.TimeoutExpired:
            return "its process closed the pipe"
        if code >= 0:
            return f"its process ended with exit code {code}"
        name = signal.Signals(-code).name if -code in {s.value for s in signal.Signals} else str(-code)
        more = ", as the system does when memory runs out" if code == -signal.SIGKILL else ""
        return f"its process was ended by {name}{more}"

    def _trim_log(self, size: int) -> None:
        if self._log is not None and os.fstat(self._log.fileno()).st_size > size:
            os.ftruncate(self._log.fileno(), 0)
            os.lseek(self._log.fileno(), 0, os.SEEK_SET)  # the child shares the position

    def _last_words(self) -> str:
        """Return the end of what the child printed."""
        if self._log is None:
            return ""
        size = os.fstat(self._log.fileno()).st_size
        tail = os.pread(self._log.fileno(), _TAIL_BYTES, max(0, size - _TAIL_BYTES)).decode(errors="replace")
        text = " ".join("".join(c if c.isprintable() else " " for c in tail).split())
        return f"; it printed: {text}" if text else ""


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)  # it leads a group of its own, with whatever it has started


class _Watch:
    """Looks at a child's clock and memory."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._deadline = time.monotonic() + limits.prepare_seconds
        self._solving: float | None = None
        self._ask_again = time.monotonic() + _CHILDREN_SECONDS
        self._others: list[Any] = []
        self._process: Any = None
        self.before_mb = 0.0
        self.phase = _START
        self.verdict: Outcome | None = None
        self.peak_mb = 0.0

    def begin(self, pid: int) -> None:
        import psutil

        self._process = psutil.Process(pid)
        self._gone = psutil.Error

    def enter(self, phase: str) -> None:
        self.phase = phase
        if phase == "solve":
            self.before_mb = self.memory_mb()
            self._solving = time.monotonic()
            self._deadline = self._solving + self._limits.wall_seconds

    @property
    def solve_seconds(self) -> float | None:
        return None if self._solving is None else time.monotonic() - self._solving

    def memory_mb(self) -> float:
        """Return the resident memory of the child and what it has started, MB; 0 where it is ending."""
        try:
            if (now := time.monotonic()) >= self._ask_again:  # it means reading the table of processes
                self._others, self._ask_again = self._process.children(recursive=True), now + _CHILDREN_SECONDS
            memory = sum(process.memory_info().rss for process in (self._process, *self._others)) / 1e6
        except self._gone:
            memory, self._others = 0.0, []  # one is ending; if it is the child, the pipe will say so
        self.peak_mb = max(self.peak_mb, memory)
        return float(memory)

    def look(self) -> str:
        """Return why the child must be killed, or an empty string."""
        limits, memory = self._limits, self.memory_mb()
        if memory > limits.memory_mb:
            self.verdict = Outcome.MEMORY
            return f"killed at {memory:.0f} MB, above the limit of {limits.memory_mb:.0f} MB,"
        if time.monotonic() > self._deadline:
            self.verdict = Outcome.TIMEOUT
            seconds = limits.wall_seconds if self._solving is not None else limits.prepare_seconds
            return f"killed after the hard limit of {seconds:g} s"
        return ""
