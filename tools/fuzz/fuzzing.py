"""A long run: problem after problem of a series, every invariant on each, and each failure kept as a small file."""

from __future__ import annotations

import json
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from dmcjia_opt.base.errors import BackendFailed, DmcjiaError, InputError
from dmcjia_opt.base.files import lock, read_bytes
from dmcjia_opt.base.machine import installed_versions
from dmcjia_opt.base.processes import process_pool
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.registry import LIBRARIES
from tools.fuzz.drawn import draw
from tools.fuzz.invariants import INVARIANTS, Invariant
from tools.fuzz.regression import Regression, shrink
from tools.fuzz.subject import Subject

#: Where a run's progress is written, beneath its folder.
BLOCKS = "blocks.jsonl"
FAILURES = "failures"
_BLOCK = 100


@dataclass(frozen=True, slots=True)
class Failure:
    """An invariant that did not hold."""

    invariant: str
    number: int
    message: str


@dataclass(slots=True)
class Tally:
    """What a run has seen.

    Parameters
    ----------
    instances, refused
        Problems drawn, and those of them that no problem may be, such as numbers beyond the range.
    without_plan
        Problems for which no plan was found.
    checked
        How often each invariant was looked at.
    failures
        Where one did not hold.
    """

    instances: int = 0
    refused: int = 0
    without_plan: int = 0
    checked: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)

    def content(self) -> dict[str, Any]:
        """Return this as JSON has it."""
        failures = [asdict(failure) for failure in self.failures]
        return {key: getattr(self, key) for key in ("instances", "refused", "without_plan")} | {
            "checked": dict(self.checked),
            "failures": failures,
        }

    def add(self, other: Tally) -> None:
        """Add what another run has seen."""
        self.instances += other.instances
        self.refused += other.refused
        self.without_plan += other.without_plan
        self.checked += other.checked
        self.failures += other.failures


class _Block(BaseModel):
    """A line of `BLOCKS`."""

    model_config = ConfigDict(extra="forbid", strict=True)
    seed: int
    invariants: list[str]
    versions: dict[str, str]
    block: int
    tally: Tally


def broken(problem: Problem, invariant: Invariant, seed: int, number: int) -> list[str]:
    """Return a sentence for each way in which an invariant does not hold; a crash and a warning are ones, too."""
    subject = Subject(problem, np.random.default_rng((seed, number, 1)))
    return _broken(subject, invariant)


def _broken(subject: Subject, invariant: Invariant) -> list[str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            return list(invariant.check(subject))
    except Exception as error:  # noqa: BLE001  whatever it is, it is a failure
        where = traceback.extract_tb(error.__traceback__)[-1]
        return [f"{type(error).__name__}: {error} ({Path(where.filename).name}, line {where.lineno})"]


def check_block(seed: int, block: int, chosen: tuple[str, ...]) -> Tally:
    """Check one block of a series."""
    tally = Tally()
    for number in range(block * _BLOCK, (block + 1) * _BLOCK):
        tally.instances += 1
        try:
            problem = draw(seed, number)
        except InputError:
            tally.refused += 1
            continue
        subject = Subject(problem, np.random.default_rng((seed, number, 1)))
        for invariant in INVARIANTS:
            if invariant.name in chosen and number % invariant.every == 0:
                tally.checked[invariant.name] += 1
                messages = _broken(subject, invariant)
                tally.failures += [Failure(invariant.name, number, message) for message in messages[:1]]
        tally.without_plan += not subject.plans and subject.best is None
    return tally


def fuzz(
    folder: Path,
    *,
    instances: int | None,
    seconds: float | None,
    seed: int,
    workers: int,
    chosen: Sequence[str],
    progress: Callable[[float, Tally], None],
) -> Tally:
    """Check a series of problems, and keep what fails in `folder`.

    Parameters
    ----------
    folder
        Blocks that it holds of the same series, by the same versions, are not checked again.
    instances, seconds
        When to end: after so many problems, or so much time, s; with neither, never.
    seed
        Which series.
    workers
        Processes.
    chosen
        Names of the invariants.
    progress
        Called with the part that is done, and what has been seen.

    Raises
    ------
    InputError
        If the folder cannot be written, or an invariant has another name.
    BackendFailed
        If a process dies.
    """
    for name in chosen:
        if name not in {invariant.name for invariant in INVARIANTS}:
            raise InputError(f'no invariant is called "{name}"; choose from {", ".join(i.name for i in INVARIANTS)}')
    log = folder / BLOCKS
    try:
        (folder / FAILURES).mkdir(parents=True, exist_ok=True)
        held = lock(folder)
    except OSError as error:
        raise InputError(f"--out {folder}: cannot write ({error.strerror}); choose a folder that is writable") from None
    series = {"seed": seed, "invariants": sorted(chosen), "versions": installed_versions(LIBRARIES)}
    tally, done = _recorded(log, series)
    ends = np.inf if seconds is None else time.monotonic() + seconds
    blocks = count() if instances is None else range(-(-instances // _BLOCK))
    wanted = np.inf if instances is None else float(instances)
    began = time.monotonic()

    todo = (block for block in blocks if block not in done)
    with held:
        for block, found in _in_turn(todo, seed, tuple(chosen), workers, ends):
            for failure in found.failures:
                keep(folder, seed, failure)
            _record(log, {**series, "block": block, "tally": found.content()})
            tally.add(found)
            spent = 0.0 if seconds is None else (time.monotonic() - began) / seconds
            progress(min(max(tally.instances / wanted, spent), 1.0), tally)
    return tally


def _in_turn(
    blocks: Iterator[int], seed: int, chosen: tuple[str, ...], workers: int, ends: float
) -> Iterator[tuple[int, Tally]]:
    running: dict[Future[Tally], int] = {}
    try:
        with process_pool(workers) as pool:
            while True:
                while len(running) < 2 * workers and time.monotonic() < ends:
                    if (block := next(blocks, None)) is None:
                        break
                    running[pool.submit(check_block, seed, block, chosen)] = block
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    found = future.result()
                    yield running.pop(future), found
    except BrokenProcessPool:
        first, last = min(running.values()) * _BLOCK, (max(running.values()) + 1) * _BLOCK - 1
        raise BackendFailed(
            f"a process died on one of the problems {first} to {last} of series {seed}; what is done is kept"
        ) from None


def _record(log: Path, row: dict[str, object]) -> None:
    try:
        with log.open("a") as stream:
            stream.write(f"\n{json.dumps(row)}\n")  # whatever a full disk or a crash has left of the line before
    except OSError as error:
        raise InputError(f"{log}: cannot write ({error.strerror}); make room and start it again") from None


def _recorded(log: Path, series: dict[str, object]) -> tuple[Tally, set[int]]:
    tally, done = Tally(), set()
    for line in read_bytes(log, "the rows").splitlines() if log.exists() else ():
        try:
            row = _Block.model_validate_json(line)
        except ValidationError:
            continue  # a line that was cut off is run again
        if row.block not in done and row.model_dump(include=set(series)) == series:
            tally.add(row.tally)
            done.add(row.block)
    return tally, done


def keep(folder: Path, seed: int, failure: Failure) -> None:
    """Write a failure, made small, as a file of its own."""
    (invariant,) = (i for i in INVARIANTS if i.name == failure.invariant)
    try:
        problem = shrink(draw(seed, failure.number), lambda other: bool(broken(other, invariant, seed, failure.number)))
    except DmcjiaError:
        return
    message = next(iter(broken(problem, invariant, seed, failure.number)), failure.message)
    path = folder / FAILURES / f"{failure.invariant}-{seed}-{failure.number}.json"
    Regression(problem, failure.invariant, message, seed, failure.number).save(path)
