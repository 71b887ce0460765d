"""The parent's side of a child: starts it, hands it runs, watches its time and memory, and kills it when it must.

The memory limit is kept by watching the resident memory, not by RLIMIT_AS: solvers and BLAS reserve address space
that they never touch, and fail in their own ways when they cannot. A child may overstep the limit by what it can
touch between two looks, a tenth of a second apart.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import IO, Any

from dmcjia_opt.base.errors import BackendFailed
from dmcjia_opt.base.machine import THREAD_VARIABLES, load, machine
from dmcjia_opt.studies.bench.rows import Outcome
from dmcjia_opt.studies.bench.runs import Phase, Ran, Reply, RunLimits, Task

_LOOK_SECONDS = 0.1
_CHILDREN_SECONDS = 2.0
_LOG_BYTES = 1 << 24
_TAIL_BYTES = 400


class Stopped(Exception):
    """The run was ended because the benchmark is being ended."""


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
        self._channel: Connection[Task, object]
        self._log: IO[bytes] | None = None
        self._stopped = False
        self._busy = threading.Lock()

    def run(self, task: Task, limits: RunLimits) -> Ran:
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

    def _run(self, task: Task, limits: RunLimits) -> Ran:
        if self._stopped:
            raise Stopped
        when, busy = datetime.now(UTC).isoformat(timespec="milliseconds"), load()
        process = self._process
        if process is None or process.poll() is not None:
            process = self._start()
        watch, over = _Watch(limits, process.pid), threading.Event()
        guard = threading.Thread(target=self._guard, args=(watch, process, over), daemon=True)
        guard.start()
        why = ""
        try:
            reply = self._exchange(task, watch)
            if reply is None:
                why = "its process sent something that is no answer"
        except (OSError, EOFError):
            reply, why = None, watch.why or self._death(process)
        finally:
            over.set()
            guard.join()
        outcome, message = None, ""
        if reply is None:
            outcome, message = watch.verdict or Outcome.CRASH, f"{why} in {watch.phase}{self._last_words()}"
            reply = watch.reply()
        if outcome is not None or watch.memory_mb() > limits.memory_mb / 2:
            self.kill()  # a child that keeps so much memory would pass the limit by another method's fault
        if self._stopped:
            raise Stopped
        return Ran(reply, outcome, message, when, machine(), busy)

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
            self._channel.close()

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
        self._channel, end = Pipe()
        try:
            process = subprocess.Popen(  # -P: not whatever the working folder holds under our names
                [sys.executable, "-P", "-m", "dmcjia_opt.studies.bench.running.child", str(end.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                env=environment,
                pass_fds=[end.fileno()],
                start_new_session=True,
            )
        except OSError as error:
            self._channel.close()
            raise BackendFailed(f"a child process cannot be started: {error.strerror}") from None
        finally:
            end.close()
        if self._core is not None and hasattr(os, "sched_setaffinity"):
            with contextlib.suppress(OSError):
                os.sched_setaffinity(process.pid, {self._core})
        self._process = process
        return process

    def _exchange(self, task: Task, watch: _Watch) -> Reply | None:
        self._trim_log(0)
        self._channel.send(task)
        while isinstance(message := self._received(), Phase):
            watch.enter(message.name)
        return message if isinstance(message, Reply) else None

    def _received(self) -> object:
        try:
            return self._channel.recv()
        except (pickle.UnpicklingError, AttributeError, ImportError, IndexError, TypeError, ValueError):
            return None

    def _guard(self, watch: _Watch, process: subprocess.Popen[bytes], over: threading.Event) -> None:
        """Kill the child when it passes a limit, so that whoever waits for its answer is told that it is gone."""
        while not over.wait(_LOOK_SECONDS):
            self._trim_log(_LOG_BYTES)
            if self._stopped or watch.look():
                _end(process)
                return

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

    def __init__(self, limits: RunLimits, pid: int) -> None:
        import psutil

        self._limits, self._process, self._gone = limits, psutil.Process(pid), psutil.Error
        self._others: list[Any] = []
        self._ask_again = time.monotonic() + _CHILDREN_SECONDS
        self._deadline = time.monotonic() + limits.prepare_seconds
        self._solving: float | None = None
        self.phase, self.before_mb, self.peak_mb = "start", 0.0, 0.0
        self.verdict: Outcome | None = None
        self.why = ""

    def enter(self, phase: str) -> None:
        self.phase = phase
        if phase == "solve":
            self.before_mb = self.memory_mb()
            self._solving = time.monotonic()
            self._deadline = self._solving + self._limits.wall_seconds

    def reply(self) -> Reply:
        """Return what was seen from outside of a run that gave no answer itself."""
        if self._solving is None:
            return Reply()
        rise = self.peak_mb - self.before_mb
        return Reply(wall_seconds=time.monotonic() - self._solving, peak_mb=rise if rise > 0 else None)

    def memory_mb(self) -> float:
        """Return the resident memory of the child and what it has started, MB; 0 where it is ending."""
        try:
            if (now := time.monotonic()) >= self._ask_again:  # it means reading the table of processes
                self._others, self._ask_again = self._process.children(recursive=True), now + _CHILDREN_SECONDS
            memory = sum(process.memory_info().rss for process in (self._process, *self._others)) / 1e6
        except self._gone:
            memory, self._others = 0.0, []  # one is ending; if it is the child, the connection will say so
        self.peak_mb = max(self.peak_mb, memory)
        return float(memory)

    def look(self) -> str:
        """Return why the child must be killed, or an empty string."""
        limits, memory = self._limits, self.memory_mb()
        if memory > limits.memory_mb:
            self.verdict = Outcome.MEMORY
            self.why = f"killed at {memory:.0f} MB, above the limit of {limits.memory_mb:.0f} MB,"
        elif time.monotonic() > self._deadline:
            self.verdict = Outcome.TIMEOUT
            seconds = limits.prepare_seconds if self._solving is None else limits.wall_seconds
            self.why = f"killed after the hard limit of {seconds:g} s"
        return self.why
