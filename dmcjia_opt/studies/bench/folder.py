"""The folder of a benchmark: rows appended as they come, each on disk before the next, and a lock against two writers.

``rows.jsonl`` is the log; a last line that was torn by a crash is cut off when the folder is opened again.
``rows.parquet`` is written at the end, ``run.json`` at the beginning.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from dmcjia_opt.base.call import claim
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.files import LOCK, check_readable, explain, lock, read_bytes, read_json, write_bytes, write_text
from dmcjia_opt.studies.bench.rows import Row

ROWS, TABLE, RUN = "rows.jsonl", "rows.parquet", "run.json"


class RunFile(BaseModel):
    """What is read of ``run.json``: the suite, the command, the machine and the versions; all may be missing."""

    model_config = ConfigDict(extra="ignore", strict=True)
    suite: str = ""
    command: list[str] | str = ""
    machine: dict[str, str | int | float] | str = ""
    versions: dict[str, str] = {}


class Folder:
    """Where the rows of one benchmark are written; `open_folder` makes it.

    Parameters
    ----------
    path
        The folder.
    suite
        Name of the suite.
    log
        ``rows.jsonl``, open to read and append.
    """

    def __init__(self, path: Path, suite: str, log: IO[bytes]) -> None:
        self.path, self._suite, self._log = path, suite, log
        log.seek(0)
        rows, size = parse_rows(log.read(), path / ROWS)
        self.rows = {row.key: row for row in rows}
        log.truncate(size)
        log.seek(0, os.SEEK_END)

    def append(self, row: Row) -> None:
        """Write a row and see that it is on disk.

        Raises
        ------
        InputError
            If it cannot be written; the rows before it are kept.
        """
        line = json.dumps(row.to_dict(), allow_nan=False).encode() + b"\n"
        before = self._log.tell()
        try:
            rest = memoryview(line)
            while rest:  # a disk that fills up takes a part first
                rest = rest[self._log.write(rest) :]
            os.fsync(self._log.fileno())
        except OSError as error:
            with suppress(OSError):  # a torn last line is cut off when the folder is opened again
                self._log.truncate(before)
            raise InputError(
                f"{self.path / ROWS}: cannot write ({error.strerror}); {len(self.rows)} rows are kept: make room and "
                f"go on with --resume"
            ) from None
        self.rows[row.key] = row

    def describe(self, content: Mapping[str, Any]) -> None:
        """Write ``run.json``."""
        write_text(self.path / RUN, json.dumps({"suite": self._suite, **content}, indent=1) + "\n")

    def finish(self, order: Iterable[str]) -> None:
        """Write ``rows.parquet``: every row, first those of `order` (keys), in that order.

        A row that was made again, with other versions or another revision of the code, replaces the old one.
        """
        import io

        import pandas

        last = {_same_run(row): row for row in self.rows.values()}
        place = {key: number for number, key in enumerate(order)}
        rows = sorted(last.values(), key=lambda row: place.get(row.key, len(place)))
        table = pandas.DataFrame([row.to_dict() | {"versions": json.dumps(dict(row.versions))} for row in rows])
        table["trace"] = [json.dumps(row.trace) for row in rows]
        table["outcome"] = [str(row.outcome) for row in rows]
        buffer = io.BytesIO()
        table.to_parquet(buffer, index=False)
        write_bytes(self.path / TABLE, buffer.getvalue())


@contextmanager
def open_folder(path: Path, suite: str, *, resume: bool) -> Iterator[Folder]:
    """Open a folder for one benchmark, and keep others out of it.

    Parameters
    ----------
    path
        The folder; it is made if it is missing.
    suite
        Name of the suite.
    resume
        Whether the folder may hold rows already.

    Raises
    ------
    InputError
        If the folder cannot be used: it belongs to something else, or to a run that is going on.
    """
    if path.exists() and not path.is_dir():
        raise InputError(f"--out {path}: this is a file; name a folder")
    try:
        path.mkdir(parents=True, exist_ok=True)
        others = sorted(entry.name for entry in path.iterdir() if entry.name != LOCK)
        held = lock(path)
    except OSError as error:
        raise InputError(f"--out {path}: cannot be written ({error.strerror})") from None
    with held:
        for name, what in ((ROWS, "the rows"), (RUN, "the description of the run"), (TABLE, "")):
            claim("--out", path / name, (Path(name).suffix,), updates=what)
        if others and not resume:
            more = "add --resume to go on, or " if ROWS in others else ""
            raise InputError(f"--out {path}: the folder is not empty; {more}choose another one")
        if others and ROWS not in others and RUN not in others:
            raise InputError(f"--out {path}: this is no folder of a benchmark; choose another one")
        earlier = read_json(path / RUN, "the description of the run", RunFile).suite if RUN in others else ""
        if earlier not in ("", suite):
            raise InputError(f'--out {path}: this folder holds the suite "{earlier}"; choose another folder')
        if ROWS in others:
            check_readable(path / ROWS, "the rows")
        with (path / ROWS).open("a+b", buffering=0) as log:
            yield Folder(path, suite, log)


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a benchmark's folder as they were made; a torn last line is left out.

    Raises
    ------
    InputError
        If there is no ``rows.jsonl``, or a line of it is malformed.
    """
    return parse_rows(read_bytes(path / ROWS, "the rows"), path / ROWS)[0]


def parse_rows(content: bytes, path: Path) -> tuple[list[Row], int]:
    """Return the rows that ``rows.jsonl`` holds and the length of what is whole of it, in bytes.

    Raises
    ------
    InputError
        If a line before the last is malformed.
    """
    rows: list[Row] = []
    size = 0
    lines = content.split(b"\n")
    for number, line in enumerate(lines[:-1], 1):
        try:
            if line.strip():
                rows.append(Row.from_json(line))
        except ValidationError as error:
            if number == len(lines) - 1 and not lines[-1]:
                break  # the disk may keep a line's end and lose its middle
            raise InputError(f"{path}: line {number} is not a row: {explain(error)}; remove it and resume") from None
        size += len(line) + 1
    return rows, size


def _same_run(row: Row) -> tuple[object, ...]:
    limits = (row.limit_seconds, row.limit_evaluations, row.limit_gap, row.plans)
    return (row.instance, row.instance_sha256, row.kind, row.method, row.seed, *limits)  # a policy's names its trace
