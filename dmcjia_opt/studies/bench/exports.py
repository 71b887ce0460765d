"""Runs in the formats of IOHprofiler, and summary tables as CSV.

In their terms a family is a function, the number of nodes a dimension, an instance of the family and size an instance,
and the value that is minimised the relative gap, 1 before the first answer. See iohinspector
(https://github.com/IOHprofiler/IOHinspector) and IOHprofiler (doi:10.1145/3510426).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from dmcjia_opt.base.arrays import IntArray
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.files import write_text
from dmcjia_opt.studies.bench.results import Results
from dmcjia_opt.studies.bench.statistics import GAP_FLOOR

#: The format holds dimensions, functions and instances in 16 bits.
_MOST = 2**16 - 1
_NO_ANSWER = 1.0


def trajectories(frame: pd.DataFrame) -> pd.DataFrame:
    """Return every run's improvements in the columns of iohinspector, one row an improvement.

    Parameters
    ----------
    frame
        Rows as `results.table` returns them.

    Returns
    -------
    pandas.DataFrame
        data_id (of the run), algorithm_name, function_id, function_name, dimension, instance, run_id (from 1, of the
        method on the instance), seed, evaluations, seconds, raw_y (the gap, floored at 1e-12; 1 at the first
        evaluation until there is an answer).
    """
    function = frame["family"].factorize()[0] + 1
    instance = frame.groupby(["family", "n_nodes"], sort=False)["instance"].transform(_numbered)
    run = frame.groupby(["method", "instance"], sort=False).cumcount() + 1
    records = []
    for data_id, ((_, row), *which) in enumerate(zip(frame.iterrows(), function, instance, run, strict=True), 1):
        f, i, r = (int(number) for number in which)
        facts = (data_id, row["method"], f, row["family"], min(int(row["n_nodes"]), _MOST), min(i, _MOST), r)
        records += [(*facts, int(row["seed"]), *point) for point in _improvements(row)]
    columns = ["data_id", "algorithm_name", "function_id", "function_name", "dimension", "instance", "run_id", "seed"]
    return pd.DataFrame(records, columns=[*columns, "evaluations", "seconds", "raw_y"])


def write_iohprofiler(frame: pd.DataFrame, folder: Path, suite: str) -> None:
    """Write the runs as iohinspector's ``DataManager.add_folder`` reads them: a JSON file a method and family.

    Every run has a data file of its own, because the loader drops a value that equals the one before it, and would
    drop the start of a run that follows a failed one.

    Raises
    ------
    InputError
        If the folder cannot be written.
    """
    long = trajectories(frame)
    for (method, family), runs in long.groupby(["algorithm_name", "function_name"], sort=False):
        stem = f"{_safe(str(method))}_{int(runs['data_id'].iloc[0])}_{_safe(str(family))}"
        _make(folder / stem)
        scenarios = []
        for data_id, run in runs.groupby("data_id", sort=False):
            path = f"{stem}/run_{data_id}.dat"
            points = zip(run["evaluations"], run["raw_y"], strict=True)
            write_text(folder / path, "evaluations raw_y\n" + "".join(f"{n} {gap!r}\n" for n, gap in points))
            last = run.iloc[-1]
            best = {"evals": int(last["evaluations"]), "y": float(last["raw_y"]), "x": []}
            entry = {"instance": int(last["instance"]), "evals": int(last["evaluations"]), "best": best}
            scenarios.append({"dimension": int(last["dimension"]), "path": path, "runs": [entry]})
        head: dict[str, Any] = {
            "version": "0.3.5",
            "suite": suite,
            "function_id": int(runs["function_id"].iloc[0]),
            "function_name": family,
            "maximization": False,
            "algorithm": {"name": method, "info": ""},
            "attributes": ["evaluations", "raw_y"],
            "scenarios": scenarios,
        }
        write_text(folder / f"IOHprofiler_{stem}.json", json.dumps(head, indent=1) + "\n")


def write_exports(results: Results, folder: str | Path) -> None:
    """Write ``trajectories.csv``, the IOHprofiler folder ``ioh/`` and ``rows.csv``, whose traces are left out.

    Raises
    ------
    InputError
        If the folder cannot be written.
    """
    folder = Path(folder)
    _make(folder)
    write_text(folder / "trajectories.csv", trajectories(results.rows).to_csv(index=False, lineterminator="\n"))
    rows = results.rows.drop(columns=["trace", "versions", "curve"])
    write_text(folder / "rows.csv", rows.to_csv(index=False, lineterminator="\n"))
    write_iohprofiler(results.rows, folder / "ioh", str(results.rows["suite"].iloc[0]))


def _improvements(row: pd.Series[Any]) -> Iterator[tuple[int, float, float]]:
    """Yield evaluations, seconds and gap of every improvement; a run starts at evaluation 1, as the format asks."""
    points = row["curve"]
    if not len(points) or points[0, 0] > 1:
        yield 1, 0.0, _NO_ANSWER
    last, best = 0, float("inf")
    for position, (evaluations, seconds, gap) in enumerate(points):
        following = points[position + 1, 0] if position + 1 < len(points) else float("inf")
        if evaluations < following and gap < best and int(evaluations) > last:
            last, best = int(evaluations), gap
            yield last, float(seconds), max(float(gap), GAP_FLOOR)


def _numbered(names: pd.Series[str]) -> IntArray:
    return names.factorize()[0] + 1


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "-", name).strip("-.") or "method"


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot make the folder ({error.strerror}); choose another") from None
