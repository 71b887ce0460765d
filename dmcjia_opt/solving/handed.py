"""What another method hands over, as arrays; or the sentence that says what is wrong with it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.base.errors import BackendFailed, InputError
from dmcjia_opt.model.problem import Problem


def numbers(values: object, what: str, shape: tuple[int, ...]) -> FloatArray:
    """Return what another method gave as an array of floats, or raise BackendFailed, which begins with `what`."""
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "iuf":
            raise TypeError(f"numbers of type {array.dtype}")
    except (ValueError, TypeError) as error:
        raise BackendFailed(f"{what} that are no array of real numbers: {error}") from None
    if array.shape != shape:
        raise BackendFailed(f"{what} of shape {array.shape}; it must be {shape}")
    return array.astype(np.float64, copy=False)


def plans_of(problem: Problem, options: ArrayLike, who: str) -> IntArray:
    """Return what another method asked for as options (n_plans, n_nodes), or raise BackendFailed, which names `who`."""
    try:
        plans = problem.check_options(np.asarray(options))
    except (InputError, ValueError, TypeError) as error:
        raise BackendFailed(f"{who} asked for a plan that is none: {error}") from None
    if plans.ndim != 2:
        raise BackendFailed(f"{who} asked for options of shape {plans.shape}; it must be (n_plans, n_nodes)")
    return np.ascontiguousarray(plans)
