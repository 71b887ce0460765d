"""The columns that a file of nodes may have, and the table that its cells make."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.base.csv_table import check_header
from dmcjia_opt.base.errors import InputError, shortened
from dmcjia_opt.base.fields import number
from dmcjia_opt.base.limits import MOST_LAYERS
from dmcjia_opt.base.suggesting import did_you_mean
from dmcjia_opt.model.scenario.nodes import ARRIVALS, LABELS, OPTIONAL, Labels, Names, Node, NodeTable

#: Columns of numbers, of few texts, and of lists.
NUMBERS = ("compute_gflops", "uplink_mbps", "arrival_rate", "input_bytes", *OPTIONAL)
CODED = ("model", "device", *LABELS)
LISTS = ("servers", "tiers", "splits")
#: What separates the entries of lists.
BETWEEN = "|"
#: Those that may be left out, and all in order.
FREE = ("uplink_mbps", "input_bytes", "device", *LABELS, *OPTIONAL)
COLUMNS = tuple(Node.model_fields)
#: The index of each row's value, −1 where there is none, and the values.
Coded = tuple[IntArray, Sequence[str]]


def made_of(path: Path | str, names: Names, coded: dict[str, Coded], numbers: dict[str, FloatArray]) -> NodeTable:
    """Return the nodes that the columns of a file make."""
    network_index, references = coded["model"]
    columns: dict[str, Any] = {key: _labels(path, key, *coded[key]) for key in LABELS if key in coded}
    devices: Labels[str] = _labels(path, "device", *coded["device"]) if "device" in coded else Labels()
    return NodeTable(
        names=names,
        networks=tuple(references),
        network_index=network_index,
        devices=devices.values,
        device_index=devices.index,
        **{"uplink_mbps": np.array(np.nan), **columns, **numbers},
    )


def gaps_of(path: Path | str, index: IntArray, cells: Sequence[str]) -> FloatArray:
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


def _labels(path: Path | str, key: str, index: IntArray, cells: Sequence[str]) -> Labels[Any]:
    """Return a column of labels; those that hold lists taken apart, empty ones none."""
    values: list[Any] = [cell if key not in LISTS else _taken_apart(path, key, cell) for cell in cells]
    place: dict[Any, int] = {}
    code = np.array([*(place.setdefault(value, len(place)) if value else -1 for value in values), -1])
    return Labels(tuple(place), code[index])


def _taken_apart(path: Path | str, key: str, cell: str) -> tuple[str | int, ...]:
    entries = tuple(entry.strip() for entry in cell.split(BETWEEN)) if cell.strip() else ()
    if "" in entries:
        raise InputError(f'{path}: {key} must have no empty entry between {BETWEEN}, not "{shortened(cell, 40)}"')
    if key != "splits":
        return entries
    if not all(entry.isascii() and entry.isdigit() and int(entry) <= MOST_LAYERS for entry in entries):
        raise InputError(
            f'{path}: splits must hold whole numbers with {BETWEEN} between them, not "{shortened(cell, 40)}"'
        )
    return tuple(map(int, entries))


def require_uplink(path: Path | str, header: Sequence[str]) -> None:
    """Refuse a table with neither uplinks nor links."""
    if "link" not in header:
        check_header(path, header, COLUMNS, [column for column in FREE if column != "uplink_mbps"])
