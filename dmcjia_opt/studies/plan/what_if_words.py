"""What a change would buy in words: one number where it is proved, "at least" and "at most" where a gap is open.

A gap that the digits shown do not tell apart counts as none.
"""

from __future__ import annotations

import math

from dmcjia_opt.bounds.certificate import relative_gap
from dmcjia_opt.solving.contract import OPTIMALITY_GAP
from dmcjia_opt.studies.look.page import Cell
from dmcjia_opt.studies.look.words import percent, seconds

#: Relative to the plan's delay, what is closer to nothing than this is rounding.
_NOTHING = 1e-11


def delay_cell(low: float, high: float) -> Cell:
    """Return a mean delay known to lie between `low` and `high`, s."""
    if math.isinf(low):
        return Cell("no plan", math.inf)
    if _closed(low, high) or seconds(low) == seconds(high):
        return Cell(seconds(high), high)
    return Cell(f"{seconds(low)} to {seconds(high)}", high)


def saving_cell(objective: float, low: float, high: float) -> Cell:
    """Return what a mean delay between `low` and `high`, s, saves against `objective`."""
    if math.isinf(low):
        return Cell("–", -math.inf)
    least, most = objective - high, objective - low
    said = _saving(least, objective), _saving(most, objective)
    if _closed(low, high) or said[0] == said[1]:
        return Cell(said[0], least)
    if least <= _NOTHING * objective:
        return Cell(f"at most {said[1]}", least)
    return Cell(f"at least {said[0]}, at most {said[1]}", least)


def _closed(low: float, high: float) -> bool:
    return relative_gap(high, low) <= OPTIMALITY_GAP


def _saving(saved: float, objective: float) -> str:
    if abs(saved) <= _NOTHING * objective:
        return "nothing"
    if saved < 0:
        return f"slower by {seconds(-saved)} ({percent(-saved / objective)})"
    return f"{seconds(saved)} ({percent(saved / objective)})"
