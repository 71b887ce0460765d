"""Node tables of large fleets: CSV and Parquet, read and written by columns."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np

from dmcjia_opt.base.csv_table import CsvTable
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.files import write_bytes
from dmcjia_opt.base.limits import MOST_NODES
from dmcjia_opt.model.scenario.node_columns import (
    BETWEEN,
    CODED,
    COLUMNS,
    FREE,
    LISTS,
    NUMBERS,
    Coded,
    made_of,
    require_uplink,
)
from dmcjia_opt.model.scenario.nodes import ARRIVALS, LABELS, ZERO, Labels, NodeTable
from dmcjia_opt.model.scenario.parquet_nodes import described, read_parquet, require_parquet, write_parquet


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
    return _from_csv(path) if path.suffix == ".csv" else read_parquet([described(path)])


def write_nodes(path: Path, nodes: NodeTable) -> None:
    """Write a node table as CSV or Parquet, by the file's suffix."""
    _require(path)
    if path.suffix == ".parquet":
        write_parquet(path, nodes)
        return
    columns: dict[str, list[Any]] = {
        "name": list(nodes.names),
        "model": [nodes.networks[k] for k in nodes.network_index],
    }
    for key in NUMBERS:
        values = getattr(nodes, key)
        if key not in FREE or not np.isnan(values).all():
            columns[key] = [None if np.isnan(value) else value for value in values.tolist()]
    labels = {"device": Labels(nodes.devices, nodes.device_index)} | {key: getattr(nodes, key) for key in LABELS}
    for key, column in labels.items():
        if column.values:
            cells = [BETWEEN.join(map(str, value)) if key in LISTS else value for value in column.values]
            columns[key] = [cells[k] if k >= 0 else None for k in column.index]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([columns, *zip(*columns.values(), strict=True)])
    write_bytes(path, text.getvalue().encode())


def _from_csv(path: Path) -> NodeTable:
    table = CsvTable(path, "the nodes", COLUMNS, FREE)
    names: list[str] = []
    require_uplink(path, table.header)
    codes: dict[str, dict[str, int]] = {key: {} for key in CODED if key in table.columns}
    parts: dict[str, list[Any]] = {key: [] for key in table.columns if key != "name"}
    for rows in table:
        names += table.texts(rows, "name", strip=False)
        if len(names) > MOST_NODES:
            raise InputError(f"{path}: more than {MOST_NODES:,} nodes are refused; split the fleet")
        for key, code in codes.items():
            known = [code.setdefault(cell, len(code)) if cell else -1 for cell in table.texts(rows, key)]
            parts[key].append(np.array(known, dtype=np.int64))
        for key in (key for key in NUMBERS if key in parts):
            words = ARRIVALS if key == "arrivals" else None
            parts[key].append(table.numbers(rows, key, zero=key in ZERO, words=words))
    none = {key: np.zeros(0, dtype=np.int64 if key in codes else np.float64) for key in parts}
    columns = {key: np.concatenate(part or [none[key]]) for key, part in parts.items()}
    coded: dict[str, Coded] = {key: (columns.pop(key), tuple(code)) for key, code in codes.items()}
    return made_of(path, tuple(names), coded, columns)


def _require(path: Path) -> None:
    if path.suffix not in (".csv", ".parquet"):
        raise InputError(f"{path}: a node table is a .csv or .parquet file")
    if path.suffix == ".parquet":
        require_parquet(path)
