"""Random problems shared by the tests: the conformance suite's, and hypothesis strategies that draw their shape."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from dmcjia_opt.model.arrays import IntArray
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.testing.problems import (
    AVERAGES,
    CURVES,
    ORDERINGS,
    QUEUES,
    all_plans,
    brute_force,
    random_problem,
    waits,
)

__all__ = [
    "AVERAGES",
    "CURVES",
    "ORDERINGS",
    "QUEUES",
    "all_plans",
    "brute_force",
    "problems",
    "random_problem",
    "waits",
]


@st.composite
def problems(
    draw: st.DrawFn, *, max_nodes: int = 4, max_splits: int = 4, max_spread: float = 1e6
) -> tuple[Problem, IntArray]:
    """Draw what `random_problem` returns, over every curve, ordering and average."""
    return random_problem(
        np.random.default_rng(draw(st.integers(0, 2**32 - 1))),
        draw(st.integers(1, max_nodes)),
        draw(st.integers(1, max_splits)),
        utilisation=draw(st.sampled_from((0.01, 0.3, 0.7, 0.95, 0.999))),
        spread=draw(st.sampled_from((1.0, 10.0, max_spread))),
        curve=draw(st.sampled_from(CURVES)),
        ordering=draw(st.sampled_from(ORDERINGS)),
        average=draw(st.sampled_from(AVERAGES)),
    )
