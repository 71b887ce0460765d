"""Array types and the one way to freeze an array."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

#: Unit roundoff of float64.
EPS = float(np.finfo(np.float64).eps)


def frozen(values: npt.ArrayLike) -> FloatArray:
    """Return a read-only float64 copy of `values`."""
    array = np.array(values, dtype=np.float64)
    array.setflags(write=False)
    return array


def frozen_int(values: npt.ArrayLike) -> IntArray:
    """Return a read-only int64 copy of `values`."""
    array = np.array(values, dtype=np.int64)
    array.setflags(write=False)
    return array


def difference(a: FloatArray, b: FloatArray, c: FloatArray) -> FloatArray:
    """Return a − b·c to nearly full relative precision where a and b·c are within a factor of two.

    The rounding error of the product is computed too (T. J. Dekker 1971, doi:10.1007/BF01397083).
    """
    product = b * c
    split = 134217729.0  # 2²⁷ + 1
    b_high, c_high = split * b, split * c
    b_high, c_high = b_high - (b_high - b), c_high - (c_high - c)
    b_low, c_low = b - b_high, c - c_high
    error = ((b_high * c_high - product) + b_high * c_low + b_low * c_high) + b_low * c_low
    return np.asarray((a - product) - error)
