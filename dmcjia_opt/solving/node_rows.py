"""Rows of nodes in Parquet: what a plan says of every node, in a file beside the plan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dmcjia_opt.base.arrays import BoolArray, IntArray
from dmcjia_opt.base.call import reading
from dmcjia_opt.base.errors import BackendMissing, InputError
from dmcjia_opt.base.files import whole_file
from dmcjia_opt.base.machine import installing
from dmcjia_opt.model.uplinks import Stages
from dmcjia_opt.solving.choices import Choices

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

STAGES = ("edge_s", "upload_s", "cloud_s", "total_s")
#: Columns of every file of rows, and those that are there where there are two cuts, or several resources.
COLUMNS = ("name", "model", "split", "server", "share", *STAGES)
OPTIONAL = ("cuts", "shares")


def require_arrow(what: str) -> None:
    """Refuse what needs Parquet where nothing reads or writes it."""
    from importlib.util import find_spec

    if find_spec("pyarrow") is None:
        raise BackendMissing(f"{what} needs pyarrow; {installing('fleet')}")


def table_of(names: Any, networks: Sequence[str], choices: Choices, delays: Stages) -> pa.Table:  # noqa: ANN401
    """Return the rows of some nodes.

    Parameters
    ----------
    names
        (n_nodes,) as an array of Arrow's, or texts.
    networks
        What each of the choices' networks is called.
    choices, delays
        What the nodes do, and their delays.
    """
    import pyarrow as pa

    several = len(choices.resources) > 1
    columns: dict[str, Any] = {
        "name": pa.array(names, pa.string()) if isinstance(names, list | tuple) else names,
        "model": _coded(choices.network, networks),
        "split": pa.array(choices.splits.astype(np.int32)),
        "server": _coded(choices.server, choices.servers),
        "share": pa.array(choices.server_shares),
        "edge_s": pa.array(delays.edge),
        "upload_s": pa.array(delays.upload),
        "cloud_s": pa.array(delays.cloud),
        "total_s": pa.array(delays.total),
    }
    if choices.cuts.shape[1] > 1 or several:
        there = choices.cuts >= 0
        cuts = pa.array(choices.cuts[there].astype(np.int32))
        columns["cuts"] = pa.ListArray.from_arrays(_offsets(there), cuts)
    if several:
        there = choices.resource >= 0
        on = _coded(choices.resource[there], [resource.name for resource in choices.resources])
        entries = pa.StructArray.from_arrays([on, pa.array(choices.shares[there])], ["resource", "share"])
        columns["shares"] = pa.ListArray.from_arrays(_offsets(there), entries)
    return pa.table(columns)


def _coded(index: IntArray, values: Sequence[str]) -> pa.DictionaryArray:
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(
        pa.array(index.astype(np.int32), mask=index < 0), pa.array(values, pa.string())
    )


def _offsets(there: BoolArray) -> pa.Array:
    import pyarrow as pa

    return pa.array(np.concatenate([[0], np.cumsum(there.sum(axis=1))]).astype(np.int32))


def write_rows(path: Path, tables: Iterator[pa.Table]) -> None:
    """Write rows, each table as a group of them; the file appears whole or not at all.

    Examples
    --------
    >>> from pathlib import Path
    >>> from dmcjia_opt.solving.node_rows import claims_in, write_rows
    >>> from dmcjia_opt.solving.parts.crews import Foreman, in_process
    >>> from dmcjia_opt.solving.parts.solve_parts import solve_parts
    >>> from dmcjia_opt.testing.small_parts import small_parts
    >>> fleet, path = small_parts("folder"), Path("plan.parquet")
    >>> plan = solve_parts(Foreman(fleet, in_process(fleet)), keep=lambda tables: write_rows(path, tables))
    >>> len(claims_in(path, most=1000)["nodes"])
    300
    """
    from pyarrow import parquet

    with whole_file(path) as temporary:
        first = next(tables)
        with parquet.ParquetWriter(temporary, first.schema) as writer:
            writer.write_table(first, row_group_size=len(first))
            for table in tables:
                writer.write_table(table.cast(first.schema), row_group_size=len(table))


@contextmanager
def rows_in(path: Path) -> Iterator[ParquetFile]:
    """Return a file of rows to read.

    Raises
    ------
    InputError
        If it is missing, unreadable, or lacks a column.
    """
    require_arrow(f"reading {path}")
    import pyarrow as pa
    from pyarrow import parquet

    if not path.is_file():
        raise InputError(f"{path}: cannot read the rows of the plan (no such file); put it beside the plan")
    reading(path, "the rows of the plan")
    try:
        with parquet.ParquetFile(path, read_dictionary=["model", "server"]) as file:
            if missing := [key for key in COLUMNS if key not in file.schema_arrow.names]:
                raise InputError(
                    f"{path}: column {missing[0]} is missing; it is no file of rows that dmcjia solve wrote"
                )
            yield file
    except (pa.ArrowException, OSError, OverflowError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(f"{path}: not a readable file of rows: {reason}") from None


def claims_in(path: Path, most: int) -> dict[str, Any]:
    """Return the lists of a plan file that its rows stand for, if there are no more than `most`.

    Raises
    ------
    InputError
        If it cannot be read, or has more rows.
    """
    with rows_in(path) as file:
        if file.metadata.num_rows > most:
            raise InputError(
                f"{path}: {file.metadata.num_rows:,} rows are refused; the most is {most:,}: plan the fleet in parts"
            )
        rows = file.read().to_pylist()
    for row in rows:
        if row.get("cuts") is None and "cuts" in row:
            del row["cuts"]
        if "shares" in row:
            row["shares"] = by_name(row["shares"] or [])
    return {
        "splits": [row["split"] for row in rows],
        "shares": [row["share"] for row in rows],
        "nodes": rows,
    }


def by_name(entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return shares by resource: a list, in order, of one that is there twice."""
    found: dict[str, Any] = {}
    for entry in entries:
        name, share = entry["resource"], entry["share"]
        before = found.get(name, [])
        found[name] = [*(before if isinstance(before, list) else [before]), share] if name in found else share
    return found
