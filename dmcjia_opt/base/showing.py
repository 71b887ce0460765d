"""How objects show themselves: a repr in one short line whatever their size, and tables for notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from html import escape
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from dmcjia_opt.base.errors import BackendMissing, InputError, shortened
from dmcjia_opt.base.machine import installing

if TYPE_CHECKING:
    import pandas as pd

#: No repr of what is public is longer.
LONGEST = 199
_LONGEST_FIELD, _LONGEST_VALUE, _MOST_SHOWN = 40, 60, 8
Kind = TypeVar("Kind")


def brief(self: object) -> str:
    """Return the fields of a dataclass in one short line, of arrays and long lists their size: as its ``__repr__``."""
    said = (f"{one.name}={_brief(getattr(self, one.name))}" for one in fields(self) if one.repr)  # type: ignore[arg-type]
    return called(type(self).__name__, *said)


def called(name: str, *said: str) -> str:
    """Return ``name(…)`` with what is said of it, cut where it would be too long."""
    text = f"{name}({', '.join(filter(None, said))})"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 2]}…)"


def described(value: object) -> str:
    """Return what somebody handed over, in a few words: its type, and its value where that is short."""
    kind = type(value).__name__
    if value is None:
        return "None"
    if isinstance(value, str | bool | int | float | np.generic):
        return shortened(repr(value), _LONGEST_VALUE)
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} of shape {value.shape}"
    return f"{'an' if kind[0].lower() in 'aeiou' else 'a'} {kind}"


def required(kind: type[Kind], given: object, what: str, remedy: str) -> Kind:
    """Return what is given, or refuse what is of another kind, with a remedy.

    Raises
    ------
    InputError
        If it is not of that kind.
    """
    if not isinstance(given, kind):
        raise InputError(f"{what} must be a {kind.__name__}, got {described(given)}; {remedy}")
    return given


def counted(number: int, what: str) -> str:
    """Return a number of things, "1 plan" or "2,000 plans"; empty where there are none."""
    return f"{number:,} {what}{'' if number == 1 else 's'}" if number else ""


def percent(gap: float) -> str:
    """Return a relative gap as a percentage, a small one as a power of ten; it never reads as zero unless it is."""
    return f"{100 * gap:.2f} %" if abs(gap) >= 1e-4 else power_of_ten(gap) if gap else "0"


def power_of_ten(value: float) -> str:
    """Return a number by two digits and its power of ten: ``"7.2e-15"``, ``"1e-6"``."""
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}" if exponent else mantissa


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
