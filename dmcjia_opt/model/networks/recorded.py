"""Times of layers that other tools recorded: TensorRT's trtexec, onnxruntime, and CSV files as people publish them."""

from __future__ import annotations

import codecs
import math
import re
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic_core import from_json

from dmcjia_opt.base.csv_table import CsvTable
from dmcjia_opt.base.errors import InputError, in_one_line, shortened
from dmcjia_opt.base.files import read_bytes
from dmcjia_opt.base.suggesting import did_you_mean
from dmcjia_opt.model.networks.measured import MOST_SECONDS

_WHAT = "the recorded times"
_SHOWN = 40
#: Seconds in a unit of time.
UNITS: Mapping[str, float] = MappingProxyType({"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9})
_WRITTEN = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("ms", "msec", "msecs", "millis", "millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(("us", "µs", "usec", "usecs", "micros", "microsecond", "microseconds"), "us"),
    **dict.fromkeys(("ns", "nsec", "nsecs", "nanos", "nanosecond", "nanoseconds"), "ns"),
}
#: Names of a column of layers, the likeliest first.
_NAMES = ("layer", "layer name", "name", "node", "node name", "operator", "op", "op name", "operation", "module")
_NAMES_OF_DEVICES, _NAMES_OF_NETWORKS = ("device", "hardware", "platform"), ("model", "network", "model name", "dnn")
_TIMES = frozenset({"time", "times", "latency", "latencies", "duration", "runtime", "elapsed"})
_OTHER_TIMES = """
accumulated begin communication cumulated cumulative cv download end max maximum min minimum network p50 p90 p95 p99
percent percentage start std stddev stdev stop sum timestamp total transfer transmission upload uplink var
"""
#: What makes a column of times not the one that is meant.
_NOT_MEANT = frozenset(_OTHER_TIMES.split())


@dataclass(frozen=True, slots=True)
class RecordedRow:
    """How long something took.

    Parameters
    ----------
    name
        What the tool calls it: a layer, several that it fused, or a copy that it added.
    seconds
        For one task.
    kind
        The operator that ran, as ONNX calls it; empty where nobody said.
    """

    name: str
    seconds: float
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Recorded:
    """Times that were recorded of one network on one device.

    Parameters
    ----------
    rows
        In the order of the file, each name once.
    by
        In words, who recorded them.
    """

    rows: tuple[RecordedRow, ...]
    by: str


def read_recorded(
    path: str | Path, device: str = "", network: str = "", *, column: str = "", unit: str = ""
) -> Recorded:
    """Read times that another tool recorded.

    Parameters
    ----------
    path
        What ``trtexec --exportProfile`` wrote, a profile of onnxruntime, both ``.json``, or a ``.csv`` file with a
        column of layers and one of times.
    device, network
        Whose rows of a CSV file are meant, where it has a column of devices or models with several.
    column
        Which column of a CSV file has the times, where several could.
    unit
        The unit of that column, a key of `UNITS`, where its name does not say.

    Raises
    ------
    InputError
        If the file cannot be read or understood; the message says what is missing.
    """
    path = Path(path)
    if unit and unit not in UNITS:
        raise InputError(f'{path}: unknown unit "{unit}"{did_you_mean(unit, UNITS)}; choose one of {", ".join(UNITS)}')
    if path.suffix.lower() == ".csv":
        return _of_csv(path, device, network, column, unit)
    if path.suffix.lower() != ".json":
        raise InputError(f"{path}: recorded times are a .json file of trtexec or onnxruntime, or a .csv file")
    if column or unit:
        raise InputError(f"{path}: only a .csv file needs to be told its column and unit")
    try:
        content = from_json(read_bytes(path, _WHAT).removeprefix(codecs.BOM_UTF8))
    except ValueError as error:
        raise InputError(f"{path}: invalid JSON: {in_one_line(error)}; record the times anew") from None
    entries = content.get("traceEvents", []) if isinstance(content, dict) else content
    entries = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    if any("averageMs" in entry or "timeMs" in entry for entry in entries):
        rows, by = _of_trtexec(path, entries), "trtexec"
    elif any(entry.get("cat") == "Node" for entry in entries):
        rows, by = _of_onnxruntime(path, entries), "onnxruntime"
    else:
        raise InputError(
            f"{path}: no times of layers in it; needed is what trtexec --exportProfile writes, or onnxruntime with "
            "enable_profiling"
        )
    if not rows:
        raise InputError(f"{path}: no operator ran in it; record a run")
    return Recorded(tuple(RecordedRow(name, seconds, kind) for (name, kind), seconds in rows.items()), by)


def _number(path: Path, value: object, what: str, scale: float) -> float:
    """Return a time in seconds."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST_SECONDS / scale:
        shown = shortened(repr(value), _SHOWN)
        raise InputError(
            f"{path}: {shortened(what, 2 * _SHOWN)} must be a number from 0 to {MOST_SECONDS / scale:g}, not {shown}"
        )
    return float(value) * scale


def _of_trtexec(path: Path, entries: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], float]:
    """Return seconds by name; trtexec gives the mean of its runs, and how many those were."""
    found: dict[tuple[str, str], float] = {}
    runs = next((_number(path, entry["count"], '"count"', 1.0) for entry in entries if "count" in entry), 0.0)
    for k, entry in enumerate(entries):
        if "averageMs" not in entry and "timeMs" not in entry:
            continue
        name = _name(entry)
        if not name:
            raise InputError(f"{path}: entry {k + 1} has times and no name; export the profile anew")
        if "averageMs" in entry:
            seconds = _number(path, entry["averageMs"], f'"averageMs" of "{name}"', UNITS["ms"])
        elif runs:
            seconds = _number(path, entry["timeMs"], f'"timeMs" of "{name}"', UNITS["ms"]) / runs
        else:
            raise InputError(f"{path}: entry {k + 1} has no averageMs, and none says the count of runs; export it anew")
        found[name, ""] = found.get((name, ""), 0.0) + seconds
    return found


def _of_onnxruntime(path: Path, entries: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], float]:
    """Return the median seconds of a run by name and operator."""
    runs = sum(entry.get("cat") == "Session" and entry.get("name") == "model_run" for entry in entries)
    taken: dict[tuple[str, str], list[float]] = {}
    for name, kind, seconds in _kernels(path, entries):
        taken.setdefault((name, kind), []).append(seconds)
    found = {}
    for key, times in taken.items():
        each = max(1, len(times) // runs) if runs else 1  # in a run, of one name
        found[key] = statistics.median(sum(times[k : k + each]) for k in range(0, len(times) - each + 1, each))
    return found


def _kernels(path: Path, entries: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str, float]]:
    """Yield name, operator and seconds of each operator that ran, but for those that ran within another."""
    kernels = []
    for entry in entries:
        name, inside = _name(entry), entry.get("args")
        if entry.get("cat") == "Node" and name.endswith("_kernel_time"):
            name = name.removesuffix("_kernel_time")
            start, lasted = (_number(path, entry.get(key), f'"{key}" of "{name}"', 1.0) for key in ("ts", "dur"))
            kind = str(inside.get("op_name", "")) if isinstance(inside, dict) else ""
            kernels.append((start, lasted, str(entry.get("tid")), name, kind))
    ended: dict[str, float] = {}  # by thread
    for start, lasted, thread, name, kind in sorted(kernels, key=lambda kernel: (kernel[0], kernel[1] > 0, -kernel[1])):
        before = ended.get(thread, 0.0)
        if start >= before or start + lasted > before:
            ended[thread] = start + lasted
            yield name, kind, lasted * UNITS["us"]


def _name(entry: Mapping[str, Any]) -> str:
    """Return what an entry names, in one line; empty if that is no text."""
    name = entry.get("name")
    return "".join(c if c.isprintable() else " " for c in name).strip() if isinstance(name, str) else ""


def _of_csv(path: Path, device: str, network: str, column: str, unit: str) -> Recorded:
    table = CsvTable(path, _WHAT, ())
    header = table.columns
    layers = next((name for wanted in _NAMES for name in header if " ".join(_words(name)) == wanted), None)
    if layers is None:
        raise InputError(f"{path}: no column names the layers; call it layer (the columns are {', '.join(header)})")
    times = _column_of_times(path, header, column)
    units = [_WRITTEN[word] for word in _words(times) if word in _WRITTEN]
    if not unit and not units:
        raise InputError(f'{path}: is "{times}" in s, ms or us? Say so with --unit, or in the name of the column')
    chosen: dict[str, str] = {}  # the value that is meant, by column
    for wanted, value in ((_NAMES_OF_DEVICES, device), (_NAMES_OF_NETWORKS, network)):
        chosen |= {name: value for name in header if " ".join(_words(name)) in wanted and name != layers}
    rows: list[tuple[str, float, dict[str, str]]] = []
    for part in table:
        names, seconds = table.texts(part, layers), table.numbers(part, times, zero=True).tolist()
        said = {name: table.texts(part, name) for name in chosen}
        for k, (line, name, value) in enumerate(zip(part.lines, names, seconds, strict=True)):
            if not name or math.isnan(value):
                table.wrong(line, f"no {times if name else layers}; fill it in, or remove the row")
            rows.append((name, value, {of: cells[k] for of, cells in said.items()}))
    for of, value in chosen.items():
        rows = _only(path, rows, of, value)
    if not rows:
        raise InputError(f"{path}: the file has no times; add a row for every layer")
    scale = UNITS[unit or units[-1]]
    for name, seconds, _ in rows:
        _number(path, seconds, f'{times} of "{name}"', scale)
    return Recorded(_once(path, [(name, seconds * scale) for name, seconds, _ in rows]), path.name)


def _only(
    path: Path, rows: list[tuple[str, float, dict[str, str]]], column: str, value: str
) -> list[tuple[str, float, dict[str, str]]]:
    """Return the rows with a value in a column, all if there is one value only."""
    values = list(dict.fromkeys(said[column] for _, _, said in rows))
    if len(values) < 2:
        return rows
    if value not in values:
        shown = ", ".join(shortened(one, _SHOWN) for one in values[:12])
        raise InputError(f'{path}: no row has "{value}" in column {column}; it has {shown}: rename it, or keep one')
    return [row for row in rows if row[2][column] == value]


def _once(path: Path, rows: Sequence[tuple[str, float]]) -> tuple[RecordedRow, ...]:
    """Return each layer once, with the median of its rows where every layer has as many."""
    counts = Counter(name for name, _ in rows)
    least, most = min(counts.values()), max(counts.values())
    if least != most:
        often, seldom = (next(name for name, n in counts.items() if n == count) for count in (most, least))
        raise InputError(
            f'{path}: layer "{often}" has {most} rows and "{seldom}" {least}; leave one row of each, or as many'
        )
    taken: dict[str, list[float]] = {}
    for name, seconds in rows:
        taken.setdefault(name, []).append(seconds)
    return tuple(RecordedRow(name, statistics.median(times)) for name, times in taken.items())


def _column_of_times(path: Path, header: Sequence[str], column: str) -> str:
    """Return the name of the column with the times."""
    if column:
        if column not in header:
            raise InputError(f'{path}: no column "{column}"{did_you_mean(column, header)}; it has {", ".join(header)}')
        return column
    words = {name: _words(name) for name in header}
    found = [name for name, said in words.items() if said and not _NOT_MEANT & set(said)]
    sure = [name for name in found if _WRITTEN.keys() & set(words[name])]
    for kept in (sure, [name for name in found if _TIMES & set(words[name])]):
        middle = [name for name in kept if "median" in words[name]]
        if len(kept) == 1 or len(middle) == 1:
            return (middle or kept)[0]
        if kept:
            raise InputError(f"{path}: the times may be in {' or '.join(kept)}; choose one with --column")
    raise InputError(
        f"{path}: no column has times; choose it with --column, or call it time_ms or seconds (the columns are "
        f"{', '.join(header)})"
    )


def _words(name: str) -> list[str]:
    """Return the words of a column's name, in lower case: of ``averageMs``, ``Latency (ms)``, ``time_us``."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name.strip())
    return re.sub(r"[^\w%µμ]+|_", " ", apart).casefold().replace("μ", "µ").split()
