"""What a change would buy in words: one number where it is proved, "at least" and "at most" where a gap is open."""

from __future__ import annotations

import math

from dmcjia_opt.certificate import relative_gap
from dmcjia_opt.protocols import OPTIMALITY_GAP
from dmcjia_opt.report.page import Cell
from dmcjia_opt.words import percent, seconds

#: Relative to the plan's delay, what is closer to nothing than this is rounding.
_NOTHING = 1e-11


def delay_cell(low: float, high: float) -> Cell:
    """Return a mean delay known to lie between `low` and `high`, s."""
    if math.isinf(low):
        return Cell("no plan", math.inf)
    if _closed(low, high):
        return Cell(seconds(high), high)
    return Cell(f"{seconds(low)} to {seconds(high)}", high)


def saving_cell(objective: float, low: float, high: float) -> Cell:
    """Return what a mean delay between `low` and `high`, s, saves against `objective`."""
    if math.isinf(low):
        return Cell("–", -math.inf)
    least, most = objective - high, objective - low
    if _closed(low, high):
        return Cell(_saving(least, objective), least)
    if least <= _NOTHING * objective:
        return Cell(f"at most {_saving(most, objective)}", least)
    return Cell(f"at least {_saving(least, objective)}, at most {_saving(most, objective)}", least)


def _closed(low: float, high: float) -> bool:
    return relative_gap(high, low) <= OPTIMALITY_GAP


def _saving(saved: float, objective: float) -> str:
    if abs(saved) <= _NOTHING * objective:
        return "nothing"
    if saved < 0:
        return f"slower by {seconds(-saved)} ({percent(-saved / objective)})"
    return f"{seconds(saved)} ({percent(saved / objective)})"
