"""A results folder read back: rows as a table, and the runtime of every run to any target.

Whatever a run said on the way counts only as far as its verified answer bears it out: an incumbent of the trace is
never taken to be better than the answer, and a run without an answer reached nothing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import ValidationError

from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.files import check_readable, explain, read_bytes, read_json
from dmcjia_opt.bounds.certificate import relative_gap
from dmcjia_opt.studies.bench.folder import ROWS, RUN, TABLE, RunFile, parse_rows
from dmcjia_opt.studies.bench.rows import Outcome, Row
from dmcjia_opt.studies.bench.statistics import TARGETS, median

Unit = Literal["seconds", "evaluations"]

_SOON = 1e-6  # seconds at which logarithmic axes start

#: Counts that a table with gaps holds as floats.
_COUNTS = {"limit_evaluations", "evaluations", "plans", "converged"}
_NUMBERS = (
    *("limit_seconds", "limit_evaluations", "limit_gap", "claimed_objective_s", "claimed_lower_bound_s"),
    *("objective_s", "lower_bound_s", "own_bound_s", "gap", "evaluations", "setup_seconds", "wall_seconds"),
    *("cpu_seconds", "peak_mb", "plans", "converged", "worst_error", "load"),
)


@dataclass(frozen=True, slots=True, eq=False)
class Results:
    """What a results folder holds.

    Parameters
    ----------
    rows
        One row a run, with the columns of `Row` and those that `table` adds.
    run
        The content of ``run.json``; empty where there is none.
    notes
        Sentences on what is missing or was left out.
    """

    rows: pd.DataFrame
    run: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    notes: tuple[str, ...] = ()


def load(folder: str | Path) -> Results:
    """Read ``rows.jsonl``, or ``rows.parquet`` where that is all there is, and ``run.json``.

    Raises
    ------
    InputError
        If there are no rows, or a file cannot be read.
    """
    folder = Path(folder)
    lines, parquet = folder / ROWS, folder / TABLE
    notes: list[str] = []
    if lines.is_file():
        rows = _read_lines(lines, notes)
    elif parquet.is_file():
        rows = _read_parquet(parquet)
    else:
        raise InputError(
            f"{folder}: there is no rows.jsonl and no rows.parquet; make them with: dmcjia bench SUITE --out {folder}"
        )
    latest = {row.key: row for row in rows}
    if len(latest) < len(rows):
        notes.append(f"{len(rows) - len(latest)} rows were run again later; the later ones count.")
    if not latest:
        raise InputError(f"{folder}: there are no rows yet; wait for the first run of dmcjia bench to end")
    return Results(table(latest.values()), _read_run(folder / RUN, notes), tuple(notes))


def table(rows: Iterable[Row]) -> pd.DataFrame:
    """Return rows as a table with five columns more.

    ``answered``; ``error``, the gap of a placer or the worst relative error of an allocator whose whole batch
    converged, +inf without an answer; ``limit``, the time limit in s, or the longest run where none was set;
    ``spent``, the wall time in s, or the limit where it is not known; and ``curve``, the incumbents as (n_points, 3)
    of evaluations (from 1), seconds (from 1 µs) and gap, which end at the answer and are empty without one.
    """
    records = [row.to_dict() for row in rows]
    frame = pd.DataFrame(records, columns=[name.name for name in fields(Row)])
    for name in _NUMBERS:
        frame[name] = pd.to_numeric(frame[name]).astype(np.float64)
    frame["outcome"] = frame["outcome"].map(str)
    frame["answered"] = frame["outcome"] == str(Outcome.ANSWER)
    whole = frame["converged"].fillna(frame["plans"]).eq(frame["plans"]) | frame["plans"].isna()
    error = frame["gap"].where(frame["kind"] != "allocator", frame["worst_error"].where(whole)).clip(lower=0.0)
    frame["error"] = error.where(frame["answered"]).fillna(math.inf)
    longest = frame[["limit_seconds", "wall_seconds"]].max().max()
    frame["limit"] = frame["limit_seconds"].fillna(longest if math.isfinite(longest) else 1.0)
    frame["spent"] = frame["wall_seconds"].fillna(frame["limit"])
    curves: Any = [_curve(row) for row in frame.to_dict("records")]
    frame["curve"] = pd.Series(curves, index=frame.index, dtype=object)
    return frame


def bound_curve(row: pd.Series[Any], best: float) -> FloatArray:
    """Return how the run's own bound closed in on `best`, s: (n_points, 3) of evaluations, seconds and gap.

    A row of `table`. The gap is (best − bound)/best, 1 at first; no points if the run has no bound.
    """
    points = [(1.0, _SOON, 1.0)]
    for evaluations, seconds, _, bound in (*row["trace"], (row["evaluations"], row["spent"], None, row["own_bound_s"])):
        if bound is not None and 0 < bound < math.inf and math.isfinite(best):
            points.append((evaluations, seconds, relative_gap(float(best), float(bound))))
    if len(points) == 1:
        return np.empty((0, 3))
    return _corners(points)


def runtimes(frame: pd.DataFrame, targets: Iterable[float], unit: Unit = "seconds") -> FloatArray:
    """Return what each run needed to reach each target, (n_runs, n_targets); +inf where it did not."""
    column = 1 if unit == "seconds" else 0
    wanted = np.array(list(targets))
    result = np.full((len(frame), len(wanted)), np.inf)
    for position, points in enumerate(frame["curve"]):
        if len(points):
            first = np.searchsorted(-points[:, 2], -wanted, side="left")
            reached = first < len(points)
            result[position, reached] = points[first[reached], column]
    return result


def spent(frame: pd.DataFrame, unit: Unit = "seconds") -> FloatArray:
    """Return what each run spent in all, (n_runs,), s or evaluations; at least 1 evaluation."""
    if unit == "seconds":
        return np.asarray(frame["spent"], dtype=np.float64)
    counted = frame["evaluations"].fillna(frame["limit_evaluations"]).fillna(1.0)
    return np.asarray(counted.clip(lower=1.0), dtype=np.float64)


def common(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the runs on instances that every method was run on."""
    ran = frame.groupby("instance")["method"].nunique()
    return frame[frame["instance"].isin(ran.index[ran == frame["method"].nunique()])]


def by_instance(frame: pd.DataFrame, values: FloatArray) -> pd.DataFrame:
    """Return medians over seeds of (n_runs,) `values`: a row an instance, a column a method, in order of appearance."""
    long = frame[["instance", "method"]].assign(value=values)
    wide = long.groupby(["instance", "method"], sort=False)["value"].agg(median).unstack("method")
    return wide.loc[list(dict.fromkeys(frame["instance"])), methods(frame)]


def asked(frame: pd.DataFrame) -> tuple[float, ...]:
    """Return the targets that no run was told to stop short of, the largest at least."""
    loosest = frame["limit_gap"].max()
    return tuple(target for target in TARGETS if not target < loosest * (1 - 1e-9)) or TARGETS[:1]


def entrants(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the runs of methods that took part: that were not refused everywhere."""
    took_part = set(frame.loc[frame["outcome"] != str(Outcome.REFUSED), "method"])
    return frame[frame["method"].isin(took_part)]


def methods(frame: pd.DataFrame) -> list[str]:
    """Return the methods in order of appearance."""
    return list(dict.fromkeys(frame["method"]))


def _curve(row: Mapping[Hashable, Any]) -> FloatArray:
    if not math.isfinite(row["error"]):
        return np.empty((0, 3))
    bound = row["lower_bound_s"]
    points = [
        (evaluations, seconds, max(relative_gap(float(objective), float(bound)), row["error"]))
        for evaluations, seconds, objective, _ in row["trace"]
        if objective is not None and 0 < objective < math.inf and math.isfinite(bound)
    ]
    evaluations = row["plans"] if row["kind"] == "allocator" else row["evaluations"]
    return _corners([*points, (evaluations, row["spent"], row["error"])])


def _corners(points: Sequence[tuple[float, float, float]]) -> FloatArray:
    """Return evaluations (from 1), seconds (from 1 µs) and the least gap so far."""
    evaluations, seconds, gap = np.array(points, dtype=np.float64).T
    return np.column_stack([np.fmax(evaluations, 1.0), np.maximum(seconds, _SOON), np.minimum.accumulate(gap)])


def _read_lines(path: Path, notes: list[str]) -> list[Row]:
    content = read_bytes(path, "the rows")
    rows, size = parse_rows(content, path)
    if last := content[size:].strip():
        try:
            rows.append(Row.from_json(last))
        except ValidationError:
            notes.append("The last row was cut off while it was written, and is left out.")
    return rows


def _read_parquet(path: Path) -> list[Row]:
    from pyarrow import ArrowException

    check_readable(path, "the rows")
    try:
        records = pd.read_parquet(path).to_dict("records")
        return [
            Row.from_json(json.dumps({str(key): _plain(key, value) for key, value in record.items()}))
            for record in records
        ]
    except ValidationError as error:
        raise InputError(f"{path}: cannot be read as rows of a benchmark: {explain(error)}") from None
    except (ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: cannot be read as rows of a benchmark ({error}); restore or remove it") from None


def _plain(name: object, value: Any) -> Any:  # noqa: ANN401 - whatever the column holds
    if name in ("trace", "versions") and isinstance(value, str):
        return json.loads(value)
    if not isinstance(value, float):
        return value
    if math.isnan(value):
        return None
    return int(value) if name in _COUNTS and value.is_integer() else value


def _read_run(path: Path, notes: list[str]) -> Mapping[str, Any]:
    if not path.is_file():
        notes.append("There is no run.json, so the machine, the versions and the command are those of the rows.")
        return {}
    return read_json(path, "the description of the run", RunFile).model_dump()
