"""Node tables of large fleets: CSV and Parquet, read and written by columns."""

from __future__ import annotations

import csv
import io
import re
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.base.csv_table import CsvTable, check_header
from dmcjia_opt.base.errors import BackendMissing, Doubt, InputError
from dmcjia_opt.base.files import check_readable, write_bytes
from dmcjia_opt.base.limits import MOST_NODES, require_memory
from dmcjia_opt.base.machine import installing
from dmcjia_opt.model.scenario.nodes import NodeTable

if TYPE_CHECKING:
    import pyarrow as pa

_TEXTS = ("name", "model", "device")
_NUMBERS = ("compute_gflops", "uplink_mbps", "arrival_rate", "input_bytes")
_OPTIONAL = ("input_bytes", "device")
_Coded = tuple[IntArray, Sequence[str]]  # the index of each row's value, −1 where there is none, and the values
_INDEX = re.compile(r"__index_level_\d+__")  # pandas puts the index of a frame there, if it has one
_COLUMNS = ("name", "model", *_NUMBERS, "device")


def read_nodes(path: Path) -> NodeTable:
    """Read a node table from a ``.csv`` or ``.parquet`` file; ``input_bytes`` and ``device`` may be absent or empty.

    Raises
    ------
    InputError
        If the file is missing, too large or malformed.
    BackendMissing
        If it is Parquet and pyarrow is not installed.
    """
    _require(path)
    return _from_csv(path) if path.suffix == ".csv" else _from_parquet(path)


def write_nodes(path: Path, nodes: NodeTable) -> None:
    """Write a node table as CSV or Parquet, by the file's suffix."""
    _require(path)
    columns: dict[str, list[Any]] = {
        "name": list(nodes.names),
        "model": [nodes.networks[k] for k in nodes.network_index],
    }
    columns |= {key: getattr(nodes, key).tolist() for key in _NUMBERS if key not in _OPTIONAL}
    if np.isfinite(nodes.input_bytes).any():
        columns["input_bytes"] = [None if np.isnan(size) else size for size in nodes.input_bytes.tolist()]
    if nodes.devices:
        columns["device"] = [nodes.devices[k] if k >= 0 else None for k in nodes.device_index]
    if path.suffix == ".csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([columns, *zip(*columns.values(), strict=True)])
        write_bytes(path, text.getvalue().encode())
    else:
        import pyarrow as pa
        from pyarrow import parquet

        buffer = io.BytesIO()
        parquet.write_table(pa.table(columns), buffer)
        write_bytes(path, buffer.getvalue())


def _from_csv(path: Path) -> NodeTable:
    table = CsvTable(path, "the nodes", _COLUMNS, _OPTIONAL)
    names: list[str] = []
    codes: dict[str, dict[str, int]] = {key: {} for key in ("model", "device") if key in table.columns}
    parts: dict[str, list[Any]] = {key: [] for key in table.columns if key != "name"}
    for rows in table:
        names += table.texts(rows, "name", strip=False)
        if len(names) > MOST_NODES:
            raise InputError(f"{path}: more than {MOST_NODES:,} nodes are refused; split the fleet")
        for key, code in codes.items():
            known = [code.setdefault(cell, len(code)) if cell else -1 for cell in table.texts(rows, key)]
            parts[key].append(np.array(known, dtype=np.int64))
        for key in (key for key in _NUMBERS if key in parts):
            parts[key].append(table.numbers(rows, key, zero=key in _OPTIONAL))
    columns = {key: np.concatenate(part or [np.zeros(0)]) for key, part in parts.items()}
    coded = {key: (columns.pop(key), tuple(code)) for key, code in codes.items()}
    return _table(names, coded["model"], coded.get("device") or _no_devices(len(names)), columns)


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
        for sentence in check_header(path, schema.names, _COLUMNS, _OPTIONAL):
            warnings.warn(sentence, Doubt, stacklevel=2)
        schema = pa.schema([field for field in schema if field.name in _COLUMNS])
        _check_types(path, schema)
        unpacked = sum(facts.row_group(k).total_byte_size for k in range(facts.num_row_groups))
        require_memory(unpacked, f"{path}: a node table, unpacked,", "split the fleet")
        # names stay coded, as they are in the file, so that a few bytes of it cannot fill the memory
        with parquet.ParquetFile(path, read_dictionary=[key for key in _TEXTS if key in schema.names]) as file:
            read = file.read(columns=schema.names).unify_dictionaries()
        columns = {key: read.column(key).combine_chunks() for key in read.column_names}
        for column in ("name", "model"):
            if (first := compute.index(compute.is_null(columns[column], nan_is_null=True), True).as_py()) >= 0:
                raise InputError(f"{path}: row {first + 1} has no {column}; fill it in")
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


def _check_types(path: Path, schema: pa.Schema) -> None:
    import pyarrow as pa

    is_number = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    is_text = (pa.types.is_string, pa.types.is_large_string)
    for field in schema:
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        tests, what = (is_text, "text") if field.name in _TEXTS else (is_number, "numbers")
        if not (any(test(kind) for test in tests) or (field.name in _OPTIONAL and pa.types.is_null(kind))):
            raise InputError(f"{path}: column {field.name} must hold {what}, not {field.type}")


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
    if path.suffix == ".parquet" and find_spec("pyarrow") is None:
        raise BackendMissing(f"reading {path} needs pyarrow; {installing('fleet')}")
