"""Where falling functions cross 0, many at once, each between two ends that stay on their sides of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dmcjia_opt.base.arrays import EPS, NUMPY, AnyArray, BoolArray, FloatArray, iterate, namespace

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
    xp = namespace(low, high)
    low, high = xp.asarray(low, dtype=np.float64), xp.asarray(high, dtype=np.float64)
    at_low, at_high = function(low), function(high)
    xp = namespace(low, high, at_low)
    high = xp.where(at_low > 0, high, low)
    low = xp.where(at_high > 0, high, low)

    def apart(low: FloatArray, high: FloatArray, at_high: FloatArray) -> BoolArray:
        return ((high - low) > 2.0 * EPS * xp.maximum(xp.abs(low), xp.abs(high))) & (at_high < -close)

    def step(number: int, *state: AnyArray) -> tuple[AnyArray, ...]:
        low, high, value_low, value_high, at_high, side, before, crept, going = state
        width, middle = high - low, 0.5 * (low + high)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            x = low + value_low / (value_low - value_high) * width
        # where an end is the root up to rounding, the other one comes next to it
        hair = xp.minimum(4.0 * EPS * xp.maximum(xp.abs(low), xp.abs(high)), 0.25 * width)
        next_to = ~((x > low + hair) & (x < high - hair))
        x = xp.clip(x, low + hair, high - hair)
        halved = ~((x > low) & (x < high)) | (next_to & crept)
        crept = next_to & ~halved
        look = number % _LOOK == _LOOK - 1
        if look is not False:  # where the bracket is still wide it is halved; a number that is traced may be any
            halved, before = halved | (look & (width > 0.1 * before)), xp.where(look, width, before)
        x = xp.where(going, xp.where(halved, middle, x), high)
        value = function(x)
        above, below = going & (value > 0), going & ~(value > 0)
        # an end that stays twice counts less (N. Anderson and A. Björck 1973, doi:10.1007/BF01951936)
        with np.errstate(divide="ignore", invalid="ignore"):
            less_high, less_low = 1.0 - value / value_low, 1.0 - value / value_high
        less_high = xp.where(less_high > 0, xp.maximum(less_high, _LEAST), 0.5)
        less_low = xp.where(less_low > 0, xp.maximum(less_low, _LEAST), 0.5)
        value_high = xp.where(above & (side > 0), less_high * value_high, xp.where(below, value, value_high))
        value_low = xp.where(below & (side < 0), less_low * value_low, xp.where(above, value, value_low))
        side = xp.where(above, 1.0, xp.where(below, -1.0, side))
        low, high = xp.where(above, x, low), xp.where(below, x, high)
        at_high = xp.where(below, value, at_high)
        return low, high, value_low, value_high, at_high, side, before, crept, apart(low, high, at_high)

    none, fresh = xp.zeros(low.shape, dtype=np.bool_), xp.zeros(low.shape)
    start = (low, high, at_low, at_high, at_high, fresh, high - low, none, apart(low, high, at_high))
    low, high, *_ = iterate(step, start, _STEPS)
    for near in _HAIRS if both else ():
        x = xp.maximum(low, high - max(near, near * close / EPS) * xp.abs(high))
        if xp is NUMPY and (x == low).all():
            continue
        low = xp.where(function(x) > 0, x, low)
    return low, high
