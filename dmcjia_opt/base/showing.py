"""How objects show themselves: a repr in one short line whatever their size, and tables for notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from dmcjia_opt.base.errors import BackendMissing, shortened
from dmcjia_opt.base.machine import installing

if TYPE_CHECKING:
    import pandas as pd

#: No repr of what is public is longer.
LONGEST = 199
_LONGEST_FIELD, _MOST_SHOWN = 40, 8


class Brief:
    """A dataclass whose repr says its fields in one short line: of arrays and long lists their size."""

    __slots__ = ()

    def __repr__(self) -> str:
        said = (f"{one.name}={_brief(getattr(self, one.name))}" for one in fields(self) if one.repr)  # type: ignore[arg-type]
        return called(type(self).__name__, *said)


def called(name: str, *said: str) -> str:
    """Return ``name(…)`` with what is said of it, cut where it would be too long."""
    text = f"{name}({', '.join(filter(None, said))})"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 2]}…)"


def counted(number: int, what: str) -> str:
    """Return a number of things, "1 plan" or "2,000 plans"; empty where there are none."""
    return f"{number:,} {what}{'' if number == 1 else 's'}" if number else ""


def _brief(value: object) -> str:
    if isinstance(value, np.ndarray):
        if value.size == 1:
            return f"{value.dtype.type(value.ravel()[0]):.6g}" if value.dtype.kind in "iuf" else str(value.ravel()[0])
        return f"<{' × '.join(map(str, value.shape))} {value.dtype}>"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping | tuple | list) and (len(value) > _MOST_SHOWN or len(repr(value)) > _LONGEST_FIELD):
        return f"<{len(value):,}>"
    return shortened(repr(value), _LONGEST_FIELD)


def frame_of(columns: Mapping[str, Any]) -> pd.DataFrame:
    """Return a pandas frame of these columns.

    Raises
    ------
    BackendMissing
        If pandas is not installed.
    """
    try:
        import pandas as pd
    except ModuleNotFoundError:
        raise BackendMissing(f"a frame needs pandas; {installing('frame')}") from None
    return pd.DataFrame(columns)


def html_table(head: Sequence[str], rows: Iterable[Sequence[str]], caption: str, notes: Iterable[str] = ()) -> str:
    """Return a table as a notebook shows it, numbers to the right, and sentences below it."""
    cells = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
    below = "".join(f"<p>{escape(note)}</p>" for note in notes)
    table = f"<caption>{escape(caption)}</caption><thead><tr>{cells}</tr></thead><tbody>{body}</tbody>"
    return f"<table>{table}</table>{below}"


def _cell(text: str) -> str:
    right = ' style="text-align:right"' if text[:1].isdigit() or text[:1] in "–−" else ""
    return f"<td{right}>{escape(text)}</td>"
