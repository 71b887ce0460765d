"""The root of an increasing function for each row of a batch, by Newton's method kept inside a bracket."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dmcjia_opt.base.arrays import EPS, BoolArray, FloatArray

_MAX_STEPS = 200
_BISECT_EVERY = 8


def increasing_root(
    function: Callable[[FloatArray], tuple[FloatArray, FloatArray]],
    start: FloatArray,
    low: FloatArray,
    high: FloatArray,
    rows: BoolArray,
) -> FloatArray:
    """Return where an increasing, piecewise smooth function crosses 0.

    Parameters
    ----------
    function
        Returns value and slope, (n_rows,) each, at points (n_rows,); a row's result depends on that row alone. Slopes
        may jump and may be 0; values are exact up to rounding where they are about 1.
    start, low, high
        (n_rows,) points; 0 ≤ low ≤ root ≤ high, and start > 0.
    rows
        (n_rows,) which rows to solve; the others stay at their start.

    Returns
    -------
    (n_rows,) roots, to two units of rounding or to where the function itself is lost in rounding.
    """
    q = np.asarray(start)
    for step in range(1, _MAX_STEPS):
        value, slope = function(q)
        high, low = np.where(value >= 0, q, high), np.where(value <= 0, q, low)
        with np.errstate(divide="ignore", invalid="ignore"):
            moved = q - value / slope
        middle = np.where(low > 0.0, np.sqrt(low * high), 0.5 * high)
        inside = (moved > low) & (moved < high)
        if step % _BISECT_EVERY == 0:  # a kink on either side of the root can hold Newton's method up
            inside &= np.abs(moved - q) < 0.1 * (high - low)
        moved = np.where(inside, moved, middle)
        rows = rows & (np.abs(moved - q) > 2 * EPS * q) & (np.abs(value) > EPS)
        if not rows.any():
            break
        q = np.where(rows, moved, q)
    return q
