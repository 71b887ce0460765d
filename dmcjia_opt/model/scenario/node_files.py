"""Node tables of large fleets: CSV, Parquet and frames of pandas, read and written by columns."""

from __future__ import annotations

import csv
import io
import re
import warnings
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.base.csv_table import CsvTable, check_header
from dmcjia_opt.base.errors import BackendMissing, Doubt, InputError, shortened
from dmcjia_opt.base.fields import number
from dmcjia_opt.base.files import check_readable, write_bytes
from dmcjia_opt.base.limits import MOST_LAYERS, MOST_NODES, require_memory
from dmcjia_opt.base.machine import installing
from dmcjia_opt.base.showing import described
from dmcjia_opt.base.suggesting import did_you_mean
from dmcjia_opt.model.scenario.nodes import ARRIVALS, LABELS, OPTIONAL, ZERO, Labels, Node, NodeTable

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_NUMBERS = ("compute_gflops", "uplink_mbps", "arrival_rate", "input_bytes", *OPTIONAL)
_CODED = ("model", "device", *LABELS)
_TEXTS = ("name", *_CODED)
#: Columns that hold lists, and what separates their entries.
_LISTS, _BETWEEN = ("servers", "tiers", "splits"), "|"
_OPTIONAL = ("uplink_mbps", "input_bytes", "device", *LABELS, *OPTIONAL)
_Coded = tuple[IntArray, Sequence[str]]  # the index of each row's value, −1 where there is none, and the values
_INDEX = re.compile(r"__index_level_\d+__")  # pandas puts the index of a frame there, if it has one
_COLUMNS = tuple(Node.model_fields)
_FRAME = "the frame"


def read_nodes(path: Path) -> NodeTable:
    """Read a node table from a ``.csv`` or ``.parquet`` file; what a node may do without may be absent or empty.

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
    for key in _NUMBERS:
        values = getattr(nodes, key)
        if key not in _OPTIONAL or not np.isnan(values).all():
            columns[key] = [None if np.isnan(value) else value for value in values.tolist()]
    labels = {"device": Labels(nodes.devices, nodes.device_index)} | {key: getattr(nodes, key) for key in LABELS}
    for key, column in labels.items():
        if column.values:
            cells = [_BETWEEN.join(map(str, value)) if key in _LISTS else value for value in column.values]
            columns[key] = [cells[k] if k >= 0 else None for k in column.index]
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
    _require_uplink(path, table.header)
    codes: dict[str, dict[str, int]] = {key: {} for key in _CODED if key in table.columns}
    parts: dict[str, list[Any]] = {key: [] for key in table.columns if key != "name"}
    for rows in table:
        names += table.texts(rows, "name", strip=False)
        if len(names) > MOST_NODES:
            raise InputError(f"{path}: more than {MOST_NODES:,} nodes are refused; split the fleet")
        for key, code in codes.items():
            known = [code.setdefault(cell, len(code)) if cell else -1 for cell in table.texts(rows, key)]
            parts[key].append(np.array(known, dtype=np.int64))
        for key in (key for key in _NUMBERS if key in parts):
            words = ARRIVALS if key == "arrivals" else None
            parts[key].append(table.numbers(rows, key, zero=key in ZERO, words=words))
    columns = {key: np.concatenate(part or [np.zeros(0)]) for key, part in parts.items()}
    coded: dict[str, _Coded] = {key: (columns.pop(key), tuple(code)) for key, code in codes.items()}
    return _table(path, names, coded, columns)


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
        _require_uplink(path, schema.names)
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
            key: _scv(path, *_coded(columns[key]))
            if key == "arrivals" and _is_text(columns[key].type)
            else columns[key].cast(pa.float64()).to_numpy(zero_copy_only=False)
            for key in _NUMBERS
            if key in columns
        }
        given = [key for key in _CODED if key in columns and not pa.types.is_null(schema.field(key).type)]
        return _table(path, [names[k] for k in index], {key: _coded(columns[key]) for key in given}, numbers)
    except (pa.ArrowException, OSError, OverflowError, MemoryError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(f"{path}: not a readable node table: {reason}") from None


def _check_types(path: Path, schema: pa.Schema) -> None:
    import pyarrow as pa

    is_number = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    for field in schema:
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        text, what = (True, "text") if field.name in _TEXTS else (False, "numbers")
        fine = _is_text(field.type) if text else any(test(kind) for test in is_number)
        either = field.name == "arrivals" and _is_text(field.type)
        if not (fine or either or (field.name in _OPTIONAL and pa.types.is_null(kind))):
            raise InputError(f"{path}: column {field.name} must hold {what}, not {field.type}")


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def nodes_of_frame(frame: pd.DataFrame) -> NodeTable:
    """Return the nodes of a pandas frame, a row a node, with the columns of a node table; NaN where one has nothing.

    Raises
    ------
    InputError
        If it is none, lacks a column, or has one of another type.
    """
    if not (hasattr(frame, "columns") and hasattr(frame, "iloc")):
        must = ", ".join(key for key in _COLUMNS if key not in _OPTIONAL)
        raise InputError(f"from_frame needs a pandas DataFrame with columns {must} and more, got {described(frame)}")
    header = [str(column) for column in frame.columns]
    for sentence in check_header(_FRAME, header, _COLUMNS, _OPTIONAL):
        warnings.warn(sentence, Doubt, stacklevel=3)
    _require_uplink(_FRAME, header)
    coded = {key: _coded_cells(key, frame[key]) for key in _CODED if key in header}
    for key, cells in (("name", [*map(_text, frame["name"])]), ("model", coded["model"][0].tolist())):
        if (first := next((d for d, cell in enumerate(cells) if cell in ("", -1)), -1)) >= 0:
            raise InputError(f"{_FRAME}: row {first + 1} has no {key}; fill it in")
    numbers = {key: _numbers(key, frame[key]) for key in _NUMBERS if key in header}
    return _table(_FRAME, [*map(_text, frame["name"])], coded, numbers)


def _coded_cells(key: str, cells: Iterable[object]) -> _Coded:
    place: dict[str, int] = {}
    texts = (
        _BETWEEN.join(map(_text, cell))
        if key in _LISTS and isinstance(cell, list | tuple | np.ndarray)
        else _text(cell)
        for cell in cells
    )
    index = [place.setdefault(text, len(place)) if text else -1 for text in texts]
    return np.array(index, dtype=np.int64), tuple(place)


def _text(cell: object) -> str:
    """Return what a cell says; nothing where it is None, NaN or what pandas has for either."""
    if isinstance(cell, str):
        return cell
    return str(cell) if isinstance(cell, int | np.integer) else "" if cell is None or cell != cell else str(cell)


def _numbers(key: str, column: pd.Series[Any]) -> FloatArray:
    if key == "arrivals" and column.dtype.kind not in "iuf":
        return _scv(_FRAME, *_coded_cells(key, column))
    try:
        if column.dtype.kind in "bmM":
            raise TypeError
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        raise InputError(f"{_FRAME}: column {key} must hold numbers, not {column.dtype}") from None


def _scv(path: Path | str, index: IntArray, cells: Sequence[str]) -> FloatArray:
    """Return squared coefficients of variation, (n_nodes,), from words and numbers as text; NaN where empty."""
    values = []
    for cell in cells:
        try:
            values.append(ARRIVALS[cell] if cell in ARRIVALS else number(cell) if cell.strip() else np.nan)
        except ValueError:
            hint = did_you_mean(cell, ARRIVALS)
            raise InputError(
                f'{path}: arrivals must hold {" or ".join(ARRIVALS)} or numbers, not "{shortened(cell, 40)}"{hint}'
            ) from None
    return np.array([*values, np.nan])[index]


def _coded(column: Any) -> _Coded:  # noqa: ANN401 - a pyarrow array
    import pyarrow as pa

    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    index = column.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    place: dict[str, int] = {}
    values: list[str | None] = column.dictionary.to_pylist()
    code = np.array([*(-1 if value is None else place.setdefault(value, len(place)) for value in values), -1])
    return code[index], list(place)


def _table(
    path: Path | str, names: Sequence[str], coded: dict[str, _Coded], numbers: dict[str, FloatArray]
) -> NodeTable:
    network_index, references = coded["model"]
    columns: dict[str, Any] = {key: _labels(path, key, *coded[key]) for key in LABELS if key in coded}
    devices: Labels[str] = _labels(path, "device", *coded["device"]) if "device" in coded else Labels()
    return NodeTable(
        names=tuple(names),
        networks=tuple(references),
        network_index=network_index,
        devices=devices.values,
        device_index=devices.index,
        **{"uplink_mbps": np.array(np.nan), **columns, **numbers},
    )


def _labels(path: Path | str, key: str, index: IntArray, cells: Sequence[str]) -> Labels[Any]:
    """Return a column of labels; those that hold lists taken apart, empty ones none."""
    values: list[Any] = [cell if key not in _LISTS else _taken_apart(path, key, cell) for cell in cells]
    place: dict[Any, int] = {}
    code = np.array([*(place.setdefault(value, len(place)) if value else -1 for value in values), -1])
    return Labels(tuple(place), code[index])


def _taken_apart(path: Path | str, key: str, cell: str) -> tuple[str | int, ...]:
    entries = tuple(entry.strip() for entry in cell.split(_BETWEEN)) if cell.strip() else ()
    if "" in entries:
        raise InputError(f'{path}: {key} must have no empty entry between {_BETWEEN}, not "{shortened(cell, 40)}"')
    if key != "splits":
        return entries
    if not all(entry.isascii() and entry.isdigit() and int(entry) <= MOST_LAYERS for entry in entries):
        raise InputError(
            f'{path}: splits must hold whole numbers with {_BETWEEN} between them, not "{shortened(cell, 40)}"'
        )
    return tuple(map(int, entries))


def _require_uplink(path: Path | str, header: Sequence[str]) -> None:
    """Refuse a table with neither uplinks nor links."""
    if "link" not in header:
        check_header(path, header, _COLUMNS, [column for column in _OPTIONAL if column != "uplink_mbps"])


def _require(path: Path) -> None:
    if path.suffix not in (".csv", ".parquet"):
        raise InputError(f"{path}: a node table is a .csv or .parquet file")
    if path.suffix == ".parquet" and find_spec("pyarrow") is None:
        raise BackendMissing(f"reading {path} needs pyarrow; {installing('fleet')}")
