"""Nodes in a frame of pandas, a row a node."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.base.csv_table import check_header
from dmcjia_opt.base.errors import Doubt, InputError
from dmcjia_opt.base.showing import described
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
from dmcjia_opt.model.scenario.nodes import NodeTable

if TYPE_CHECKING:
    import pandas as pd

_FRAME = "the frame"


def nodes_of_frame(frame: pd.DataFrame) -> NodeTable:
    """Return the nodes of a pandas frame, a row a node, with the columns of a node table; NaN where one has nothing.

    Raises
    ------
    InputError
        If it is none, lacks a column, or has one of another type.
    """
    if not (hasattr(frame, "columns") and hasattr(frame, "iloc")):
        must = ", ".join(key for key in COLUMNS if key not in FREE)
        raise InputError(f"from_frame needs a pandas DataFrame with columns {must} and more, got {described(frame)}")
    header = [str(column) for column in frame.columns]
    for sentence in check_header(_FRAME, header, COLUMNS, FREE):
        warnings.warn(sentence, Doubt, stacklevel=3)
    require_uplink(_FRAME, header)
    coded = {key: _coded_cells(key, frame[key]) for key in CODED if key in header}
    names = tuple(map(_text, frame["name"]))
    for key, cells in (("name", [*names]), ("model", coded["model"][0].tolist())):
        if (first := next((d for d, cell in enumerate(cells) if cell in ("", -1)), -1)) >= 0:
            raise InputError(f"{_FRAME}: row {first + 1} has no {key}; fill it in")
    numbers = {key: _numbers(key, frame[key]) for key in NUMBERS if key in header}
    return made_of(_FRAME, names, coded, numbers)


def _coded_cells(key: str, cells: Iterable[object]) -> Coded:
    place: dict[str, int] = {}
    texts = (
        BETWEEN.join(map(_text, cell)) if key in LISTS and isinstance(cell, list | tuple | np.ndarray) else _text(cell)
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
        return gaps_of(_FRAME, *_coded_cells(key, column))
    try:
        if column.dtype.kind in "bmM":
            raise TypeError
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        raise InputError(f"{_FRAME}: column {key} must hold numbers, not {column.dtype}") from None
