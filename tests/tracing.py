"""Formulas under JAX: what is traced agrees with what NumPy computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np


@contextmanager
def float64() -> Iterator[None]:
    """Let JAX's arrays be of 64 bits for as long as this lasts."""
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


def agrees(function: Callable[..., Any], *arguments: Any, rtol: float = 1e-12) -> None:
    """Check that a function's arrays are the same, up to `rtol`, whether NumPy computes them or JAX, when traced."""
    with np.errstate(all="ignore"):
        expected = jax.tree.leaves(function(*arguments))
    traced = jax.jit(lambda *given: function(*given)).lower(*arguments)  # a function of its own: no other's trace
    found = jax.tree.leaves(traced.compile({"xla_backend_optimization_level": 0})(*arguments))
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert isinstance(one, jax.Array)
        assert one.dtype == np.asarray(other).dtype
        np.testing.assert_allclose(np.asarray(one), other, rtol=rtol, atol=0.0)
