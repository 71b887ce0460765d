"""Nodes in Parquet: one file, or a folder of parts with the same columns."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dmcjia_opt.base.arrays import IntArray
from dmcjia_opt.base.csv_table import check_header
from dmcjia_opt.base.errors import BackendMissing, Doubt, InputError
from dmcjia_opt.base.files import check_readable
from dmcjia_opt.base.limits import MOST_CHARACTERS, MOST_NODES, require_memory
from dmcjia_opt.base.machine import installing
from dmcjia_opt.base.showing import brief
from dmcjia_opt.model.scenario.node_columns import (
    BETWEEN,
    CODED,
    COLUMNS,
    FREE,
    LISTS,
    NUMBERS,
    Coded,
    gaps_of,
    made_of,
    require_uplink,
)
from dmcjia_opt.model.scenario.nodes import LABELS, Labels, Names, NodeTable, Unnamed

if TYPE_CHECKING:
    import pyarrow as pa

_TEXTS = ("name", *CODED)
_INDEX = re.compile(r"__index_level_\d+__")  # pandas puts the index of a frame there, if it has one
_UNSHOWABLE = r"[\x00-\x1f\x7f-\x{9f}\x{2028}\x{2029}\x{202a}-\x{202e}\x{2066}-\x{2069}]"  # as in `base.fields`
_NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class NodeFile:
    """A Parquet file of nodes, as its last bytes describe it.

    Parameters
    ----------
    path
        The file.
    n_nodes
        Its rows.
    kinds
        What each of its columns holds.

    Examples
    --------
    >>> from dmcjia_opt.testing.small_parts import small_parts
    >>> part = small_parts("folder").files[0]
    >>> part.path.name, part.n_nodes, part.kinds["arrival_rate"]
    ('part-0.parquet', 100, 'numbers')
    """

    path: Path
    n_nodes: int
    kinds: Mapping[str, str]

    __repr__ = brief


def require_parquet(path: Path) -> None:
    """Refuse to read or write Parquet where nothing can."""
    if find_spec("pyarrow") is None:
        raise BackendMissing(f"reading {path} needs pyarrow; {installing('fleet')}")


def described(path: Path) -> NodeFile:
    """Return what a file of nodes says of itself.

    Raises
    ------
    InputError
        If it is missing, too large, or has columns that are none of a node.
    BackendMissing
        If pyarrow is not installed.
    """
    require_parquet(path)
    import pyarrow as pa
    from pyarrow import parquet

    check_readable(path, "the nodes")
    with _readable(path):
        facts = parquet.read_metadata(path)
        schema = facts.schema.to_arrow_schema()
        schema = pa.schema([field for field in schema if not _INDEX.fullmatch(field.name)])
        if facts.num_rows > MOST_NODES:
            raise InputError(f"{path}: {facts.num_rows:,} nodes are refused; the most is {MOST_NODES:,}")
        for sentence in check_header(path, schema.names, COLUMNS, FREE):
            warnings.warn(sentence, Doubt, stacklevel=2)
        require_uplink(path, schema.names)
        schema = pa.schema([field for field in schema if field.name in COLUMNS])
        _check_types(path, schema)
        unpacked = sum(facts.row_group(k).total_byte_size for k in range(facts.num_row_groups))
        require_memory(unpacked, f"{path}: a node table, unpacked,", "split the fleet")
        return NodeFile(path, facts.num_rows, {field.name: _kind(field.type) for field in schema})


def parts_in(folder: Path) -> tuple[NodeFile, ...]:
    """Return the parts of a fleet, in the order of their names.

    Raises
    ------
    InputError
        If the folder has no parts, other files, or parts whose columns differ.
    """
    paths = sorted(path for path in folder.iterdir() if not path.name.startswith((".", "_")))
    for path in paths:
        if path.suffix != ".parquet" or not path.is_file():
            raise InputError(f"{path}: a folder of nodes has .parquet files alone; put this elsewhere")
    if not paths:
        raise InputError(f"{folder}: a folder of nodes needs at least one .parquet file; this one has none")
    found: list[NodeFile] = []
    for path in paths:
        with warnings.catch_warnings():
            if found:  # what is to say of the first part is so of all
                warnings.simplefilter("ignore", Doubt)
            part = described(path)
        found.append(part)
        _check_alike(part, found[0])
    if not sum(part.n_nodes for part in found):
        raise InputError(f"{folder}: its files have no rows; a scenario needs at least one node")
    return tuple(part for part in found if part.n_nodes)


def _check_alike(part: NodeFile, first: NodeFile) -> None:
    for key in {**first.kinds, **part.kinds}:
        mine, its = part.kinds.get(key), first.kinds.get(key)
        if mine is None or its is None:
            has, lacks = (part, first) if its is None else (first, part)
            raise InputError(
                f"{part.path}: all parts have the same columns, and {key} is in {has.path.name} and not in "
                f"{lacks.path.name}; write both alike"
            )
        if mine != its and _NOTHING not in (mine, its):
            raise InputError(
                f"{part.path}: column {key} holds {mine}, and {its} in {first.path.name}; write both alike"
            )


def read_parquet(parts: Sequence[NodeFile], *, named: bool = True, rows: Sequence[IntArray] | None = None) -> NodeTable:
    """Return the nodes of some files as one table.

    Parameters
    ----------
    parts
        Files with the same columns.
    named
        Whether to read names; else nodes are called by their rows.
    rows
        Of each file, which rows; None for all.

    Raises
    ------
    InputError
        If one is missing, has changed or holds what is no node.
    """
    import pyarrow as pa
    from pyarrow import compute

    first = parts[0]
    keys = [key for key in first.kinds if named or key != "name"]
    with _readable(first.path):
        each: Sequence[IntArray | None] = [None] * len(parts) if rows is None else rows
        tables = [_read(part, keys, some) for part, some in zip(parts, each, strict=True)]
        whole = tables[0] if len(tables) == 1 else pa.concat_tables(tables, promote_options="permissive")
        columns = {key: whole.unify_dictionaries().column(key).combine_chunks() for key in keys}
        for column in ("name", "model"):
            if column not in columns:
                continue
            if (empty := compute.index(compute.is_null(columns[column], nan_is_null=True), True).as_py()) >= 0:
                path, row = _place(parts, empty)
                raise InputError(f"{path}: row {row + 1} has no {column}; fill it in")
        names: Names = Unnamed(len(whole))
        if named:
            index, values = _coded(columns["name"])
            if len(values) < len(index):  # or they would be written out in full before that is noticed
                twice = np.flatnonzero(np.bincount(index, minlength=len(values)) > 1)[0]
                raise _used_twice(values[twice])
            names = tuple([values[k] for k in index])
        numbers = {
            key: gaps_of(first.path, *_coded(columns[key]))
            if key == "arrivals" and _is_text(columns[key].type)
            else columns[key].cast(pa.float64()).to_numpy(zero_copy_only=False)
            for key in NUMBERS
            if key in columns
        }
        given = [key for key in CODED if key in columns and not pa.types.is_null(columns[key].type)]
        return made_of(first.path, names, {key: _coded(columns[key]) for key in given}, numbers)


def check_names_in(part: NodeFile) -> str:
    """Refuse names of one part that are no names, or are there twice; return a hash of them.

    Raises
    ------
    InputError
        With the first.
    """
    from pyarrow import compute

    with _readable(part.path):
        names = compute.cast(_read(part, ["name"], coded=()).column("name").combine_chunks(), "large_string")
        for wrong, what in (
            (compute.is_null(names), "has no name; fill it in"),
            (compute.equal(compute.utf8_length(compute.utf8_trim_whitespace(names)), 0), "has no name; fill it in"),
            (
                compute.greater(compute.utf8_length(names), MOST_CHARACTERS),
                f"has a name of more than {MOST_CHARACTERS:,} characters; shorten it",
            ),
            (compute.match_substring_regex(names, _UNSHOWABLE), "has a name that cannot be shown; choose another one"),
        ):
            if (row := compute.index(wrong, True).as_py()) >= 0:
                raise InputError(f"{part.path}: row {row + 1} {what}")
        ordered = compute.all(compute.greater(names[1:], names[:-1])).as_py()  # quicker than counting them
        if not ordered and compute.count_distinct(names).as_py() < len(names):
            counts = compute.value_counts(names)
            raise _used_twice(counts.filter(compute.greater(counts.field("counts"), 1))[0]["values"].as_py())
        digest = hashlib.sha256()
        for buffer in names.buffers()[1:]:
            digest.update(buffer)
        return digest.hexdigest()


def names_in(part: NodeFile) -> Any:  # noqa: ANN401 - a pyarrow array
    """Return the names of a part as an array of Arrow's."""
    with _readable(part.path):
        return _read(part, ["name"], coded=()).column("name").combine_chunks().cast("string")


def write_parquet(path: Path, nodes: NodeTable) -> None:
    """Write nodes to a file; columns that no node has are left out."""
    import pyarrow as pa
    from pyarrow import parquet

    from dmcjia_opt.base.files import whole_file

    columns: dict[str, Any] = {"name": pa.array(nodes.names, pa.string())}
    labels = {"model": Labels(nodes.networks, nodes.network_index), "device": Labels(nodes.devices, nodes.device_index)}
    for key, column in (labels | {key: getattr(nodes, key) for key in LABELS}).items():
        if column.values:
            cells = [BETWEEN.join(map(str, value)) if key in LISTS else value for value in column.values]
            index = pa.array(column.index.astype(np.int32), mask=column.index < 0)
            columns[key] = pa.DictionaryArray.from_arrays(index, pa.array(cells, pa.string())).dictionary_decode()
    for key in NUMBERS:
        values = getattr(nodes, key)
        if key not in FREE or not np.isnan(values).all():
            columns[key] = pa.array(values, mask=np.isnan(values))
    with whole_file(path) as temporary:
        parquet.write_table(pa.table(columns), temporary)


def _read(part: NodeFile, keys: Sequence[str], rows: IntArray | None = None, coded: Sequence[str] = _TEXTS) -> pa.Table:
    """Return columns of a part; texts stay coded, as in the file, so that a few bytes cannot fill the memory."""
    from pyarrow import parquet

    check_readable(part.path, "the nodes")
    with parquet.ParquetFile(part.path, read_dictionary=[key for key in coded if key in keys]) as file:
        missing = [key for key in keys if key not in file.schema_arrow.names]
        if missing or file.metadata.num_rows != part.n_nodes:
            raise InputError(f"{part.path}: it was changed meanwhile; start again")
        table = file.read(columns=list(keys))
    return table if rows is None else table.take(rows)


def _place(parts: Sequence[NodeFile], row: int) -> tuple[Path, int]:
    """Return in which file a row of all is, and which of its rows."""
    for part in parts:
        if row < part.n_nodes:
            break
        row -= part.n_nodes
    return part.path, row


def _used_twice(name: str) -> InputError:
    return InputError(f'nodes: the name "{name}" is used twice; give every node its own')


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
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
        if not (fine or either or (field.name in FREE and pa.types.is_null(kind))):
            raise InputError(f"{path}: column {field.name} must hold {what}, not {field.type}")


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _kind(kind: pa.DataType) -> str:
    """Return what a column holds, in a word."""
    import pyarrow as pa

    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return _NOTHING if pa.types.is_null(kind) else "text" if _is_text(kind) else "numbers"


def _coded(column: Any) -> Coded:  # noqa: ANN401 - a pyarrow array
    import pyarrow as pa

    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    index = column.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    place: dict[str, int] = {}
    values: list[str | None] = column.dictionary.to_pylist()
    code = np.array([*(-1 if value is None else place.setdefault(value, len(place)) for value in values), -1])
    return code[index], list(place)
