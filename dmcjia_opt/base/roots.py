"""Where falling functions cross 0, many at once, each between two ends that stay on their sides of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dmcjia_opt.base.arrays import EPS, FloatArray

_STEPS = 200


def falling_root(
    function: Callable[[FloatArray], FloatArray], low: FloatArray, high: FloatArray, *, close: float = 0.0
) -> tuple[FloatArray, FloatArray]:
    """Close in on where falling functions cross 0.

    Parameters
    ----------
    function
        Returns values (...) at points (...); each depends on its own point alone, and may be +inf.
    low, high
        (...) ends between which the roots are looked for.
    close
        How near to 0 a value ≤ 0 is near enough.

    Returns
    -------
    low, high
        (...) the function is > 0 at the first and ≤ 0 at the second, as near to each other as rounding lets them be,
        or with a value there that is close to 0. Where it is ≤ 0 at `low` already, or > 0 at `high` still, both are
        that end.
    """
    low, high = np.array(low, dtype=np.float64), np.array(high, dtype=np.float64)
    at_low, at_high = function(low), function(high)
    high = np.where(at_low > 0, high, low)
    low = np.where(at_high > 0, high, low)
    weight_low, weight_high = np.array(at_low), np.array(at_high)
    for step in range(_STEPS):
        wide = (high - low) > 2.0 * EPS * np.maximum(np.abs(low), np.abs(high))
        going = wide & (at_high < -close)
        if not going.any():
            break
        middle = 0.5 * (low + high)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            secant = low + weight_low / (weight_low - weight_high) * (high - low)
        inside = (secant > low) & (secant < high) & (step % 4 != 3)
        x = np.where(going, np.where(inside, secant, middle), high)
        x = np.where(going & ((x <= low) | (x >= high)), middle, x)
        value = function(x)
        above, below = going & (value > 0), going & ~(value > 0)
        # Illinois: an end that stays counts half, so that the other one moves as well
        weight_high = np.where(above, 0.5 * weight_high, np.where(below, value, weight_high))
        weight_low = np.where(below, 0.5 * weight_low, np.where(above, value, weight_low))
        low, high = np.where(above, x, low), np.where(below, x, high)
        at_high = np.where(below, value, at_high)
    return low, high
