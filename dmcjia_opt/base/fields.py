"""Types of the fields that files have in common: names that can be shown, and quantities of a sensible size."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import AfterValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from dmcjia_opt.base.arrays import BoolArray, FloatArray
from dmcjia_opt.base.errors import InputError, shortened
from dmcjia_opt.base.limits import FARTHEST, MOST, MOST_CHARACTERS

RANGE = f"between {1 / MOST:g} and {MOST:g}; check its unit"
_SHOWN = 60
# controls, line and paragraph separators, marks that turn the direction of what follows, halves of characters
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
_UNSHOWABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def _sensible(value: float) -> float:
    if value and not 1 / MOST <= value <= MOST:
        raise PydanticCustomError("range", f"must lie {RANGE}")
    return value


def computable(value: float) -> float:
    """Return a number that can be computed with, or raise ValueError."""
    if not abs(value) <= FARTHEST:
        raise PydanticCustomError("range", f"must lie between {-FARTHEST:g} and {FARTHEST:g}")
    return value


def why_not_a_name(name: str) -> str | None:
    """Return why a name cannot be shown, or None."""
    if len(name) > MOST_CHARACTERS:
        return f"must have at most {MOST_CHARACTERS:,} characters, not {len(name):,}"
    return "must not hold control characters" if _UNSHOWABLE.search(name) else None


def _showable(name: str) -> str:
    if why := why_not_a_name(name):
        raise PydanticCustomError("name", "{why}", {"why": why})
    return name


#: A quantity that must be a finite number above 0, and a sensible one.
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False), AfterValidator(_sensible)]
#: The same, or 0.
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False), AfterValidator(_sensible)]
#: A number that somebody claims: a delay, a bound, a share.
Number = Annotated[float, Field(allow_inf_nan=False), AfterValidator(computable)]
#: The same, not below 0.
Amount = Annotated[Number, Field(ge=0)]
#: A name, or a path beside the file that has it.
Name = Annotated[str, Field(min_length=1), AfterValidator(_showable)]
#: How every table of a file is read: unknown keys and wrong types are errors.
STRICT = ConfigDict(extra="forbid", strict=True, str_strip_whitespace=True)


def out_of_range(values: FloatArray, *, zero: bool) -> list[tuple[BoolArray, str]]:
    """Return which of some quantities are refused and what they must be, rule by rule; NaN is none and passes.

    Whether they may be 0 is `zero`.
    """
    low = values < 0 if zero else values <= 0
    beyond = np.isinf(values) & ~low
    absurd = ~(low | beyond) & (values > 0) & ((values < 1 / MOST) | (values > MOST))
    return [(low | beyond, f"finite and {'>= 0' if zero else '> 0'}"), (absurd, f"{'0 or ' if zero else ''}{RANGE}")]


def check_names(what: str, names: Sequence[str]) -> None:
    """Refuse names that cannot be shown.

    Raises
    ------
    InputError
        If one is too long or holds control characters; the message names the first.
    """
    if max(map(len, names), default=0) <= MOST_CHARACTERS and not _UNSHOWABLE.search("".join(names)):
        return
    for name in names:
        if why := why_not_a_name(name):
            raise InputError(f'{what} "{shortened(name, _SHOWN)}" {why}; choose another one')


def number(cell: str) -> float:
    """Return the number that a cell of a table holds, as every program writes it: digits, a point, an exponent.

    Raises
    ------
    ValueError
        If it holds anything else; ``1_000``, ``nan`` and digits of other scripts, which `float` takes, among it.
    """
    if not _NUMBER.fullmatch(cell):
        raise ValueError("not a number")
    return float(cell)
