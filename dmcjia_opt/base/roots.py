"""Where falling functions cross 0, many at once, each between two ends that stay on their sides of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dmcjia_opt.base.arrays import EPS, FloatArray

_STEPS, _LOOK, _LEAST = 200, 6, 1e-6
_HAIRS = (256.0 * EPS, 32.0 * EPS, 4.0 * EPS)  # relative, so far below the upper end the lower one is looked for


def falling_root(
    function: Callable[[FloatArray], FloatArray],
    low: FloatArray,
    high: FloatArray,
    *,
    close: float = 0.0,
    both: bool = False,
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
    both
        Bring the lower end near to the other one too.

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
    value_low, value_high, side = np.array(at_low), np.array(at_high), np.zeros(low.shape)
    before, crept = high - low, np.zeros(low.shape, dtype=np.bool_)
    for step in range(_STEPS):
        going = ((high - low) > 2.0 * EPS * np.maximum(np.abs(low), np.abs(high))) & (at_high < -close)
        if not going.any():
            break
        middle = 0.5 * (low + high)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            x = low + value_low / (value_low - value_high) * (high - low)
        # where an end is the root up to rounding, the other one comes next to it
        hair = np.minimum(4.0 * EPS * np.maximum(np.abs(low), np.abs(high)), 0.25 * (high - low))
        next_to = ~((x > low + hair) & (x < high - hair))
        x = np.clip(x, low + hair, high - hair)
        halved = ~((x > low) & (x < high)) | (next_to & crept)
        crept = next_to & ~halved
        if step % _LOOK == _LOOK - 1:  # where the bracket is still wide it is halved
            halved, before = halved | (high - low > 0.1 * before), high - low
        x = np.where(going, np.where(halved, middle, x), high)
        value = function(x)
        above, below = going & (value > 0), going & ~(value > 0)
        # an end that stays twice counts less (N. Anderson and A. Björck 1973, doi:10.1007/BF01951936)
        with np.errstate(divide="ignore", invalid="ignore"):
            less_high, less_low = 1.0 - value / value_low, 1.0 - value / value_high
        less_high = np.where(less_high > 0, np.maximum(less_high, _LEAST), 0.5)
        less_low = np.where(less_low > 0, np.maximum(less_low, _LEAST), 0.5)
        value_high = np.where(above & (side > 0), less_high * value_high, np.where(below, value, value_high))
        value_low = np.where(below & (side < 0), less_low * value_low, np.where(above, value, value_low))
        side = np.where(above, 1.0, np.where(below, -1.0, side))
        low, high = np.where(above, x, low), np.where(below, x, high)
        at_high = np.where(below, value, at_high)
    for near in _HAIRS if both else ():
        x = np.maximum(low, high - max(near, near * close / EPS) * np.abs(high))
        if (x == low).all():
            continue
        low = np.where(function(x) > 0, x, low)
    return low, high
