"""Array types, the one way to freeze an array, tables of which every row is the same, and formulas for two libraries.

A formula asks `namespace` whose functions its arguments need, NumPy's or those of jax.numpy, and calls them by the
names that both have; Python's numbers and NumPy's constants may be mixed in.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar, cast

import numpy as np
import numpy.typing as npt

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.showing import described

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
AnyArray = npt.NDArray[Any]

Scalar = TypeVar("Scalar", bound=np.generic)

#: Unit roundoff of float64.
EPS = float(np.finfo(np.float64).eps)


class Namespace(Protocol):
    """What NumPy and jax.numpy both have: functions of whole arrays."""

    def __getattr__(self, name: str, /) -> Callable[..., AnyArray]:
        """Return the function of that name."""


#: NumPy, as `namespace` returns it.
NUMPY = cast(Namespace, np)

_OURS = frozenset({np.ndarray, np.float64, np.bool_, float, int, bool})


def namespace(*arrays: object) -> Namespace:
    """Return jax.numpy where one of these is an array of JAX's, or is traced as one, and NumPy otherwise."""
    jax = sys.modules.get("jax")  # whoever has an array of JAX's has imported it
    if jax is None:
        return NUMPY
    for array in arrays:
        if type(array) not in _OURS and isinstance(array, jax.Array):
            return cast(Namespace, jax.numpy)
    return NUMPY


def iterate(step: Callable[..., tuple[AnyArray, ...]], state: tuple[AnyArray, ...], most: int) -> tuple[AnyArray, ...]:
    """Return the state after as many steps as its last array asks for.

    Parameters
    ----------
    step
        Returns the next state from the number of the step, from 0, which JAX traces, and the arrays of the state.
    state
        Arrays whose shapes and types stay; the last says where there is something left to do.
    most
        At most so many steps.
    """
    if namespace(*state) is NUMPY:
        for k in range(most):
            if not state[-1].any():
                break
            state = step(k, *state)
        return state

    def goes_on(carried: Any) -> Any:  # noqa: ANN401 - what JAX traces
        return (carried[0] < most) & carried[1][-1].any()

    def goes(carried: Any) -> Any:  # noqa: ANN401
        return carried[0] + 1, step(carried[0], *carried[1])

    found: tuple[AnyArray, ...] = sys.modules["jax"].lax.while_loop(goes_on, goes, (0, state))[1]
    return found


def frozen(values: npt.ArrayLike) -> FloatArray:
    """Return a read-only float64 copy of `values`.

    Raises
    ------
    InputError
        If they are no numbers.
    """
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"an array of numbers is needed, got {described(values)}") from None
    array.setflags(write=False)
    return array


def frozen_int(values: npt.ArrayLike) -> IntArray:
    """Return a read-only int64 copy of `values`."""
    array = np.array(values, dtype=np.int64)
    array.setflags(write=False)
    return array


def absent() -> FloatArray:
    """Return what stands for a table that was not given."""
    return np.empty(0)


def constant(value: float, shape: tuple[int, ...]) -> FloatArray:
    """Return a read-only table of one value that takes no memory: all its strides are 0."""
    return np.broadcast_to(np.float64(value), shape)


def same(column: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
    """Return a column (n,) as one that takes no memory if all its values are the same."""
    return np.broadcast_to(column[:1].copy(), column.shape) if (column == column[:1]).all() else column


def distinct(table: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
    """Return the rows of a table that may differ: one where all nodes share it."""
    return table[:1] if table.strides[0] == 0 else table


def blocks(n: int, width: int, entries: int) -> Iterator[slice]:
    """Yield slices that cover `n` rows of `width` entries, about `entries` at a time and at least one row."""
    step = max(1, entries // width)
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))


def over_uses(values: FloatArray) -> FloatArray:
    """Return the sum over the last axis, the uses; a view where there is one."""
    return values[..., 0] if values.shape[-1] == 1 else np.asarray(values.sum(-1))


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
