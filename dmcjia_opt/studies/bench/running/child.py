"""The process that runs methods, kept warm from run to run: ``python -m dmcjia_opt.studies.bench.running.child``.

Tasks come in and answers go out over a connection whose file descriptor is the argument. Whatever a solver prints goes
to a log that the parent keeps. When the parent dies, its end of the connection closes, and so does this process.
"""

from __future__ import annotations

import ctypes
import gc
import os
import queue
import random
import resource
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from dmcjia_opt.base.errors import BackendMissing, InputError, in_one_line
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.scenario import Scenario
from dmcjia_opt.solving.contract import Allocation, Allocator, Stop
from dmcjia_opt.solving.infeasible import why_no_plan
from dmcjia_opt.solving.running import at_the_edge, place
from dmcjia_opt.solving.search import Placer
from dmcjia_opt.studies.bench.instances import generated
from dmcjia_opt.studies.bench.lineup import build
from dmcjia_opt.studies.bench.replaying import replayed
from dmcjia_opt.studies.bench.runs import Phase, Reply, Task
from dmcjia_opt.studies.bench.sampling import feasible_plans
from dmcjia_opt.studies.online.conditions import links_of

_WARM_UP = "paper-n3-s0"
_TIMED_SECONDS = 0.1
_MOST_PASSES = 100


def _answer(
    task: Task, warm: set[tuple[str, str]], send: Callable[[object], None], restore: Callable[[], None]
) -> Reply:
    """Run one task with a method and a problem of its own; `restore` undoes what a method may have done to the process.

    What is in `warm`, pairs of kind and method, has been run here before.
    """
    try:
        scenario = task.instance.load()
        if (task.kind, task.method) not in warm:
            send(Phase("warm-up"))
            restore()
            _warm_up(task)
            warm.add((task.kind, task.method))
        restore()
        send(Phase("solve"))
        return _measured(task, scenario)
    except KeyboardInterrupt:
        return Reply("KeyboardInterrupt")
    except (BackendMissing, _Refusal) as error:
        return Reply(str(error), refused=True)
    except BaseException as error:  # noqa: BLE001 - a method may raise anything, SystemExit too: it costs one row
        return Reply(_sentence(error))


def _warm_up(task: Task) -> None:
    """Import what the method imports, and solve a tiny instance; a failure is left for the run to show."""
    small = replace(task, stop=Stop(seconds=2.0, evaluations=20, gap=task.stop.gap), plans=min(task.plans, 2))
    with suppress(Exception):
        _measured(small, generated(_WARM_UP))


class _Refusal(Exception):
    pass


@dataclass(slots=True)
class _Clock:
    wall: float = 0.0
    cpu: float = 0.0


def _measured(task: Task, scenario: Scenario) -> Reply:
    # methods take their randomness from the generator they are handed; one that does not still repeats
    random.seed(task.seed)
    np.random.seed(task.seed % 2**32)  # noqa: NPY002
    gc.collect()
    before = _forget_peak()
    setup, solve = _Clock(), _Clock()
    if task.kind == "policy":
        with _timed(setup):
            links = links_of(task.trace, scenario, task.seed)
        with _timed(solve):
            try:
                reply = replayed(task, scenario, links)
            except InputError as error:  # a policy says so of what it cannot plan for
                raise _Refusal(str(error)) from None
        peak = max(0.0, _peak_mb() - before)
        return replace(reply, setup_seconds=setup.wall, cpu_seconds=solve.cpu, peak_mb=peak)
    with _timed(setup):
        placer, allocator = build(task.kind, task.method)
        problem = compile_problem(scenario)
        for method in (placer, allocator):
            if method is not None and (why := method.supports(problem)):
                raise _Refusal(why)
    if placer is None:
        if why := why_no_plan(scenario, problem):
            raise _Refusal(f"{why}; so there are no shares to compute")
        reply = _allocated(task, problem, allocator, setup, solve)
    else:
        reply = _placed(task, problem, placer, allocator, solve)
    peak = max(0.0, _peak_mb() - before)
    return replace(reply, setup_seconds=setup.wall, wall_seconds=solve.wall, cpu_seconds=solve.cpu, peak_mb=peak)


def _placed(task: Task, problem: Problem, placer: Placer, allocator: Allocator, clock: _Clock) -> Reply:
    """Run a placer unsupervised, as the parent watches this process, with its claims as it makes them."""
    with _timed(clock):
        found = place(placer, problem, allocator, stop=task.stop, rng=np.random.default_rng(task.seed))
        found = at_the_edge(found, problem, allocator)
    return Reply(
        options=found.options,
        shares=found.shares,
        prices=found.prices,
        status=str(found.status),
        lower_bound=found.lower_bound if found.claimed_bound is None else found.claimed_bound,
        evaluations=found.evaluations,
        trace=tuple((p.evaluations, p.seconds, p.objective, p.lower_bound) for p in found.trace),
    )


def _allocated(task: Task, problem: Problem, allocator: Allocator, setup: _Clock, clock: _Clock) -> Reply:
    """Allocate the batch once, in which models are compiled, then again for as long as timing needs."""
    plans = feasible_plans(problem, task.plans, np.random.default_rng(task.seed))
    if plans is None:
        raise _Refusal("no plan exists for this instance, so there are no shares to compute")
    plans.setflags(write=False)
    with _timed(setup):
        found = allocator.allocate(problem, plans)
    if not isinstance(found, Allocation):
        raise TypeError(f"allocate returned {type(found).__name__} instead of an Allocation")
    passes = 0
    while passes == 0 or (clock.wall < _TIMED_SECONDS and passes < _MOST_PASSES):
        with _timed(clock):
            allocator.allocate(problem, plans)
        passes += 1
    clock.wall /= passes
    clock.cpu /= passes
    return Reply(
        shares=_numbers(found.shares, "shares"),
        prices=_numbers(found.prices, "prices"),
        status=_numbers(found.status, "status"),
        evaluations=task.plans,
    )


def _numbers(values: Any, what: str) -> Any:  # noqa: ANN401 - whatever a method returns
    if values is None:
        return None
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{what} must be an array of numbers, got {type(values).__name__} of {array.dtype}")
    return array


@contextmanager
def _timed(clock: _Clock) -> Iterator[None]:
    wall, cpu = time.perf_counter(), _cpu_seconds()
    try:
        yield
    finally:
        clock.wall += time.perf_counter() - wall
        clock.cpu += _cpu_seconds() - cpu


def _cpu_seconds() -> float:
    """Return the CPU time of this process, all threads, and of the programs it has run."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def _forget_peak() -> float:
    """Give freed memory back to the system and return what is left, MB: from here on the peak is counted anew."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except (OSError, AttributeError):
        pass  # another system: what it held at its highest counts as held before
    return _peak_mb()


def _peak_mb() -> float:
    """Return the peak memory since `_forget_peak`, MB; where the system cannot forget, since the process began."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
        return int(kilobytes) * 1024 / 1e6
    except (OSError, StopIteration):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _sentence(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return in_one_line(error) + where


def _receive(channel: Connection[object, Task], found: queue.SimpleQueue[Task]) -> None:
    """Hand on what the parent sends; when it is gone, end at once, even in the middle of a run."""
    try:
        while True:
            found.put(channel.recv())
    except (EOFError, OSError):
        os._exit(0)


def _restore(log: int, folder: Path) -> None:
    """Undo what an earlier method may have done to the process: closed or redirected its output, changed folder."""
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    sys.stdout = os.fdopen(1, "w", closefd=False, errors="replace")
    sys.stderr = os.fdopen(2, "w", closefd=False, errors="replace")
    os.chdir(folder)


def main() -> None:
    """Serve until the parent closes its end of the connection."""
    channel: Connection[object, Task] = Connection(int(sys.argv[1]))
    os.set_inheritable(channel.fileno(), False)
    found: queue.SimpleQueue[Task] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(channel, found), daemon=True).start()
    restore, warm = partial(_restore, os.dup(2), Path.cwd()), set[tuple[str, str]]()
    while True:
        channel.send(_answer(found.get(), warm, channel.send, restore))


if __name__ == "__main__":
    main()
