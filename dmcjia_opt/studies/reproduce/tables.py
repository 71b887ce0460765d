"""Tables as CSV always, as Parquet where pyarrow is installed, and as Markdown on the page."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from dmcjia_opt.base.files import write_bytes, write_text
from dmcjia_opt.studies.reproduce.item import Table


def by_column(names: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """Return the table whose columns are called `names`."""
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))


def save_table(table: Table, stem: Path) -> None:
    """Write `table` beside `stem` with the suffixes of its formats; what is not finite is left empty."""
    columns = {name: [_plain(value) for value in values] for name, values in table.items()}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    write_text(stem.with_suffix(".csv"), text.getvalue())
    if find_spec("pyarrow") is not None:
        import pyarrow
        from pyarrow import parquet

        buffer = io.BytesIO()
        parquet.write_table(pyarrow.table(columns), buffer)
        write_bytes(stem.with_suffix(".parquet"), buffer.getvalue())


def markdown(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table; every column but the first is set flush right."""
    lines = [head, [":--", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def percent(value: float) -> str:
    """Return a ratio as a percentage with two digits or more; below 1e-9, which is rounding, as 0."""
    if not math.isfinite(value):
        return "∞"
    if abs(value) < 1e-9:
        return "0 %"
    digits = ".0f" if abs(value) >= 0.0995 else ".1f" if abs(value) >= 0.00995 else ".2g"
    return f"{100 * value:{digits}} %"


def _plain(value: object) -> Any:  # noqa: ANN401 - what csv and pyarrow take
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
