"""How numbers of a benchmark stand in the cells of its tables."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd
from plotly.colors import sample_colorscale, unlabel_rgb

from dmcjia_opt.studies.bench.page.findings import ways_of
from dmcjia_opt.studies.bench.rows import Outcome
from dmcjia_opt.studies.bench.statistics import GAP_FLOOR, TARGETS, spread
from dmcjia_opt.studies.look.page import Cell
from dmcjia_opt.studies.look.words import scientific, seconds

_NO_ANSWER = (178, 58, 28)
Record = Mapping[Hashable, Any]

nothing = Cell("–", math.nan, "muted")
untried = Cell("not run", math.nan, "muted")


def count(number: Any) -> Cell:  # noqa: ANN401 - an integer of pandas or of ours
    """Return a number of something."""
    return Cell(f"{number:,}", number)


def part(some: int, whole: int) -> Cell:
    """Return how many of all."""
    return Cell(f"{some} of {whole}", some / whole if whole else math.nan, "bad" if some == 0 else "")


def interval(some: int, whole: int, low: float, high: float) -> str:
    """Return how many of all, with the interval of the rate."""
    return f"{some} of {whole}  ({100 * low:.0f} to {100 * high:.0f} %)"


def successes(row: Record) -> list[Cell]:
    """Return how often each target was reached."""
    found = []
    for target in TARGETS:
        end = f"_{target:.0e}"
        if "rate" + end not in row:
            continue
        text = interval(row["successes" + end], row["runs"], row["low" + end], row["high" + end])
        found.append(Cell(text, row["rate" + end]))
    return found


def gap(value: float) -> Cell:
    """Return a gap or an error; +inf is no answer."""
    return Cell(scientific(value), value, "bad" if math.isinf(value) else "")


def gaps(row: Record) -> Cell:
    """Return the quartiles of a gap."""
    return Cell(f"{scientific(row['error_low'])} to {scientific(row['error_high'])}", row["error_high"])


def time(value: float) -> Cell:
    """Return a time, s; +inf is never."""
    return Cell(_span(value), value, "muted" if not math.isfinite(value) else "")


def times(row: Record) -> Cell:
    """Return the quartiles of a time."""
    return Cell(f"{_span(row['seconds_low'])} to {_span(row['seconds_high'])}", row["seconds_high"])


def proved(row: Record) -> Cell:
    """Return a time to proofs, and of how many runs where some had none."""
    some, runs = row["proved"], row["runs"]
    text = _span(row["seconds"]) + (f", {some} of {runs}" if some < runs else "")
    return Cell(text, row["seconds"], "bad" if not some else "")


def plans(number: float) -> Cell:
    """Return a number of plans, with a part of one."""
    return Cell("never" if math.isinf(number) else "–" if math.isnan(number) else f"{number:,.1f}", number)


def place(rank: float, before: float | None = None) -> Cell:
    """Return a place in a ranking; it stands out where it is not the one `before`."""
    if math.isnan(rank):
        return nothing
    return Cell(f"{rank:.0f}", rank, "bad" if before is not None and rank != before else "")


def factor(value: float) -> Cell:
    """Return how many times."""
    return nothing if math.isnan(value) else Cell(f"{value:,.0f} ×" if value >= 100 else f"{value:.3g} ×", value)


def heat(runs: pd.DataFrame, measure: str) -> Cell:
    """Return the median gap of some runs, coloured, with what went wrong in words."""
    if runs.empty:
        return untried
    ends = ways_of(runs)
    answers = int(runs["answered"].sum())
    if not answers:
        outcome = str(runs["outcome"].value_counts().index[0])
        refused = outcome == str(Outcome.REFUSED)
        return Cell(outcome, math.inf, "muted" if refused else "", None if refused else _NO_ANSWER, ends)
    median = spread(runs.loc[runs["answered"], "error"]).median
    text = scientific(median) + (f", {answers} of {len(runs)}" if answers < len(runs) else "")
    hint = f"median {measure} {median:.3e}; {ends}"
    return Cell(text, median if answers == len(runs) else 1.0 + median, "", _colour(median), hint)


def _span(value: float) -> str:
    return "–" if math.isnan(value) else "never" if math.isinf(value) else seconds(value)


def _colour(value: float) -> tuple[int, int, int]:
    position = math.log10(min(max(value, GAP_FLOOR), 1.0)) / math.log10(GAP_FLOOR)
    (colour,) = sample_colorscale("Cividis_r", [position])
    red, green, blue = (int(part) for part in unlabel_rgb(colour))
    return red, green, blue
