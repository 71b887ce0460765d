"""Node tables of large fleets: CSV and Parquet, read and written by columns."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.base.errors import BackendMissing, InputError
from dmcjia_opt.base.fields import number
from dmcjia_opt.base.files import check_readable, read_bytes, write_bytes
from dmcjia_opt.base.limits import MOST_NODES, require_memory
from dmcjia_opt.model.scenario.nodes import NodeTable

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_TEXTS = ("name", "model", "device")
_NUMBERS = ("compute_gflops", "uplink_mbps", "arrival_rate", "input_bytes")
_OPTIONAL = ("input_bytes", "device")
_Coded = tuple[IntArray, Sequence[str]]  # the index of each row's value, −1 where there is none, and the values
_INDEX = re.compile(r"__index_level_\d+__")  # pandas puts the index of a frame there, if it has one
_FIRST_LINE, _LONGEST_HEADER = re.compile(rb"[^\r\n]+"), 10_000
_COLUMNS = ("name", "model", *_NUMBERS, "device")


def read_nodes(path: Path) -> NodeTable:
    """Read a node table from a ``.csv`` or ``.parquet`` file; ``input_bytes`` and ``device`` may be absent or empty.

    Raises
    ------
    InputError
        If the file is missing, too large or malformed.
    BackendMissing
        If pandas or pyarrow is not installed.
    """
    _require(path)
    return _from_csv(path) if path.suffix == ".csv" else _from_parquet(path)


def write_nodes(path: Path, nodes: NodeTable) -> None:
    """Write a node table as CSV or Parquet, by the file's suffix."""
    _require(path)
    import pandas

    columns: dict[str, Any] = {"name": nodes.names, "model": np.array(nodes.networks)[nodes.network_index]}
    columns |= {key: getattr(nodes, key) for key in _NUMBERS if key not in _OPTIONAL}
    if np.isfinite(nodes.input_bytes).any():
        columns["input_bytes"] = nodes.input_bytes
    if nodes.devices:
        columns["device"] = np.array([*nodes.devices, ""])[nodes.device_index]
    frame = pandas.DataFrame(columns)
    buffer = io.BytesIO()
    if path.suffix == ".csv":
        frame.to_csv(buffer, index=False)
    else:
        frame.to_parquet(buffer, index=False)
    write_bytes(path, buffer.getvalue())


def _from_csv(path: Path) -> NodeTable:
    import pandas

    content = read_bytes(path, "the nodes")
    _check_columns(path, _header(path, content))  # first, because pandas takes very long over very many columns
    texts: Any = dict.fromkeys(_TEXTS, object)
    try:
        frame = pandas.read_csv(
            io.BytesIO(content),
            dtype=texts,
            keep_default_na=False,
            na_values=[""],
            low_memory=False,
            nrows=MOST_NODES + 1,
        )
    except (ValueError, OverflowError, pandas.errors.ParserError) as error:
        raise InputError(f"{path}: not a readable node table: {next(iter(str(error).splitlines()), '')}") from None
    if not isinstance(frame.index, pandas.RangeIndex):
        raise InputError(f"{path}: not a readable node table: the rows have more cells than the header")
    for column in ("name", "model"):
        _check_filled(path, column, np.asarray(frame[column].isna()))
    networks = _factorized(frame["model"])
    devices = _factorized(frame["device"]) if "device" in frame else _no_devices(len(frame))
    numbers = {key: _numbers(path, frame[key]) for key in _NUMBERS if key in frame}
    return _table(list(frame["name"]), networks, devices, numbers)


def _header(path: Path, content: bytes) -> list[str]:
    """Return the names in the first line that is not blank."""
    first = _FIRST_LINE.search(content)
    line = first.group() if first else b""
    if len(line) > _LONGEST_HEADER:
        raise InputError(f"{path}: not a readable node table: the first line has {len(line):,} bytes")
    try:
        return next(csv.reader([line.decode("utf-8-sig")], strict=True), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a readable node table: its first line is no CSV in UTF-8 ({error})") from None


def _factorized(column: pd.Series[Any]) -> _Coded:
    index, values = column.factorize()
    return index, [str(value) for value in values]


def _numbers(path: Path, column: pd.Series[Any]) -> FloatArray:
    """Return a column of numbers, or refuse it by the first cell that is none."""
    if column.dtype.kind in "iuf":
        return np.asarray(column, dtype=np.float64)
    values = np.full(len(column), np.nan)
    for row, (cell, filled) in enumerate(zip(column.tolist(), column.notna().tolist(), strict=True)):
        try:
            values[row] = number(str(cell)) if filled else np.nan
        except ValueError:
            raise InputError(
                f'{path}: row {row + 1}: column {column.name} must hold numbers, not "{cell}"; correct it'
            ) from None
    return values


def _from_parquet(path: Path) -> NodeTable:
    import pyarrow as pa
    from pyarrow import compute, parquet

    check_readable(path, "the nodes")
    try:
        facts = parquet.read_metadata(path)
        schema = facts.schema.to_arrow_schema()
        schema = pa.schema([field for field in schema if not _INDEX.fullmatch(field.name)])
        if facts.num_rows > MOST_NODES:
            raise InputError(f"{path}: {facts.num_rows:,} nodes are refused; the most is {MOST_NODES:,}")
        _check_columns(path, schema.names)
        _check_types(path, schema)
        unpacked = sum(facts.row_group(k).total_byte_size for k in range(facts.num_row_groups))
        require_memory(unpacked, f"{path}: a node table, unpacked,", "split the fleet")
        # names stay coded, as they are in the file, so that a few bytes of it cannot fill the memory
        with parquet.ParquetFile(path, read_dictionary=[key for key in _TEXTS if key in schema.names]) as file:
            read = file.read(columns=schema.names).unify_dictionaries()
        columns = {key: read.column(key).combine_chunks() for key in read.column_names}
        for column in ("name", "model"):
            _check_filled(path, column, np.asarray(compute.is_null(columns[column], nan_is_null=True)))
        index, names = _coded(columns["name"])
        if len(names) < len(index):  # or they would be written out in full before that is noticed
            first = np.flatnonzero(np.bincount(index, minlength=len(names)) > 1)[0]
            raise InputError(f'nodes: the name "{names[first]}" is used twice; give every node its own')
        numbers = {
            key: columns[key].cast(pa.float64()).to_numpy(zero_copy_only=False) for key in _NUMBERS if key in columns
        }
        named = "device" in columns and not pa.types.is_null(schema.field("device").type)
        devices = _coded(columns["device"]) if named else _no_devices(read.num_rows)
        return _table([names[k] for k in index], _coded(columns["model"]), devices, numbers)
    except (pa.ArrowException, OSError, OverflowError, MemoryError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(f"{path}: not a readable node table: {reason}") from None


def _check_columns(path: Path, columns: Sequence[str]) -> None:
    missing = [c for c in _COLUMNS if c not in _OPTIONAL and c not in columns]
    unknown = [c for c in columns if c not in _COLUMNS]
    twice = [c for c in _COLUMNS if list(columns).count(c) > 1]
    if missing or unknown or twice:
        what = f"lacks column {missing[0]}" if missing else f'has an unknown column "{(unknown or [""])[0]}"'
        what = f"has column {twice[0]} twice" if twice else what
        raise InputError(f"{path}: the node table {what}; its columns are {', '.join(_COLUMNS)}")


def _check_types(path: Path, schema: pa.Schema) -> None:
    import pyarrow as pa

    is_number = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    is_text = (pa.types.is_string, pa.types.is_large_string)
    for field in schema:
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        tests, what = (is_text, "text") if field.name in _TEXTS else (is_number, "numbers")
        if not (any(test(kind) for test in tests) or (field.name in _OPTIONAL and pa.types.is_null(kind))):
            raise InputError(f"{path}: column {field.name} must hold {what}, not {field.type}")


def _check_filled(path: Path, column: str, empty: np.ndarray[Any, np.dtype[np.bool_]]) -> None:
    if empty.any():
        raise InputError(f"{path}: row {int(np.flatnonzero(empty)[0]) + 1} has no {column}; fill it in")


def _no_devices(n_rows: int) -> _Coded:
    return np.full(n_rows, -1, dtype=np.int64), ()


def _coded(column: Any) -> _Coded:  # noqa: ANN401 - a pyarrow array
    import pyarrow as pa

    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    index = column.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    place: dict[str, int] = {}
    values: list[str | None] = column.dictionary.to_pylist()
    code = np.array([*(-1 if value is None else place.setdefault(value, len(place)) for value in values), -1])
    return code[index], list(place)


def _table(names: Sequence[str], networks: _Coded, devices: _Coded, numbers: dict[str, FloatArray]) -> NodeTable:
    (network_index, references), (device_index, known) = networks, devices
    if "" in known:
        empty = known.index("")
        device_index = np.where(device_index == empty, -1, device_index - (device_index > empty))
        known = [device for device in known if device]
    return NodeTable(
        names=tuple(names),
        networks=tuple(references),
        network_index=network_index,
        input_bytes=numbers.pop("input_bytes", np.full(len(names), np.nan)),
        devices=tuple(known),
        device_index=device_index,
        **numbers,
    )


def _require(path: Path) -> None:
    if path.suffix not in (".csv", ".parquet"):
        raise InputError(f"{path}: a node table is a .csv or .parquet file")
    try:
        import pandas  # noqa: F401
        import pyarrow  # noqa: F401
    except ModuleNotFoundError as error:
        raise BackendMissing(f"reading {path} needs {error.name}; pip install 'dmcjia-opt[fleet]'") from None
