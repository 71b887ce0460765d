"""Why a plan is none: the first constraint it breaks, and where, in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dmcjia_opt.base.arrays import BoolArray, FloatArray, IntArray
from dmcjia_opt.model.problem import BUDGET_TOLERANCE, ORDERING_TOLERANCE, Problem


def violation(problem: Problem, splits: IntArray, shares: FloatArray | None, names: Sequence[str] = ()) -> str | None:
    """Return which constraint a plan breaks, and at which node first; None if it keeps them all.

    Parameters
    ----------
    problem
        What is solved.
    splits, shares
        (n_nodes,) split points and cloud shares; without shares, whether any exist.
    names
        (n_nodes,) names of the nodes; they are counted from 0 where there are none.
    """

    def first(broken: BoolArray) -> tuple[int, str]:
        d = int(np.flatnonzero(broken)[0])
        return d, f'"{names[d]}"' if len(names) else f"node {d}"

    unstable = np.isinf(problem.at(problem.local_delay, splits))
    if unstable.any():
        d, node = first(unstable)
        return f"the edge queue of {node} is unstable at split {splits[d]}"
    if shares is None:
        load = 100 * problem.least_share(splits).sum()
        return f"its splits load the cloud to {load:.4g} %" if problem.overload(splits) > 0 else None
    if not (shares >= 0).all():
        d, node = first(~(shares >= 0))
        return f"the share of {node} is {shares[d]:.3g}"
    residuals = problem.residuals(splits, shares)
    if residuals.budget > BUDGET_TOLERANCE:
        return f"its shares exceed the cloud by {float(residuals.budget):.3g}"
    for broken, what in (
        (residuals.stability >= 0, "leaves its cloud queue unstable"),
        (residuals.ordering > ORDERING_TOLERANCE, "leaves its cloud slower than its edge"),
    ):
        if broken.any():
            d, node = first(broken)
            return f"the share of {node}, {shares[d]:.3g}, {what} at split {splits[d]}"
    return None
