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
