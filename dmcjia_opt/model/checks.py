"""What the tables of a problem must be like."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, distinct, frozen_int
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.model.delay import DelayCurve
from dmcjia_opt.model.resources import CLOUD, Resource

if TYPE_CHECKING:
    from dmcjia_opt.model.problem import Problem


#: No number of a problem but 0 may be smaller or larger: then no product or quotient that a bound is made of
#: underflows or overflows, at any price between the two of `dual`.
SMALLEST, LARGEST = 1e-80, 1e80


def within_range(table: FloatArray) -> bool:
    """Return whether every finite entry > 0 may be computed with; what is not a number ≥ 0 is for others to refuse."""
    table = distinct(table)
    real = (table > 0) & (table < np.inf)
    least, most = table.min(where=real, initial=1.0), table.max(where=real, initial=1.0)
    return bool(least >= SMALLEST and most <= LARGEST)


def check_values(problem: Problem) -> None:
    """Refuse numbers that cannot be."""
    curves = problem.use_curves
    if not problem.fixed_delay.min() >= 0.0:
        raise InputError("fixed_delay must be >= 0, or +inf where an option is not allowed")
    for key in ("service", "least_rate", "wait", "arrival_scv"):
        value = distinct(getattr(problem, key))
        if not (value.min() >= 0.0 and value.max() < np.inf):
            raise InputError(f"{key} must be finite and >= 0")
    if distinct(problem.wait).any():
        if not problem.kinked:
            raise InputError(f'wait means nothing to the curve "{curves[0].name}"; leave it out')
        if not (problem.wait <= problem.fixed_delay).all():
            raise InputError("wait must not exceed fixed_delay, of which it is a part")
    if not (np.isfinite(problem.arrival_rate).all() and (problem.arrival_rate > 0).all()):
        raise InputError("arrival_rate must be finite and > 0")
    least = (0.0 if problem.partial else 1.0) - 1e-9
    if not ((problem.weight > 0).all() and least < problem.weight.sum() < 1.0 + 1e-9):
        raise InputError("weight must be > 0 and sum to 1")
    if not (problem.deadline > 0).all():
        raise InputError("deadline must be > 0, or +inf where there is none")
    if (
        problem.renewal
        and not all(curve.pieces() for curve in curves)
        and not np.isin(problem.arrival_scv, (0, 1)).all()
    ):
        raise InputError("arrival_scv must be 0 or 1 where the curve is of a percentile")


def check_indices(problem: Problem, n: int, m: int, n_uses: int) -> None:
    """Complete the tables of indices of a problem of `n` nodes, `m` options and `n_uses` uses, and check them."""
    last = problem.last if np.size(problem.last) else np.full(n, m - 1)
    object.__setattr__(problem, "last", frozen_int(last))
    if problem.last.shape != (n,) or problem.last.min() < 0 or problem.last.max() >= m:
        raise InputError(f"last must hold one of 0 … {m - 1} for each of the {n} nodes")
    for most in range(int(problem.last.min()), m - 1):
        if np.isfinite(problem.fixed_delay[problem.last == most, most + 1 :]).any():
            raise InputError(f"fixed_delay must be +inf at options beyond a node's last ({most})")
    if np.size(problem.resource) == 0:
        object.__setattr__(problem, "resource", np.broadcast_to(np.int64(0), (n, m, n_uses)))
    resource = np.asarray(problem.resource)
    if resource.shape != (n, m, n_uses) or not np.issubdtype(resource.dtype, np.integer):
        raise InputError(f"resource must hold integers of shape {(n, m, n_uses)}")
    object.__setattr__(problem, "resource", resource)
    least, most = int(distinct(problem.resource).min()), int(distinct(problem.resource).max())
    if least < 0:
        raise InputError(f"resource must hold indices >= 0, got {least}")
    if not problem.resources:
        named = (CLOUD,) if most == 0 else tuple(Resource(f"resource-{r}") for r in range(most + 1))
        object.__setattr__(problem, "resources", named)
    elif most >= len(problem.resources):
        raise InputError(f"resource holds index {most}, and there are {len(problem.resources)} resources")
    curve_of: dict[int, DelayCurve] = {}
    for k, curve in enumerate(problem.use_curves if len(set(problem.use_curves)) > 1 else ()):
        used = np.bincount(resource[..., k].ravel(), problem.service[..., k].ravel() > 0, len(problem.resources))
        for r in np.flatnonzero(used).tolist():
            if curve_of.setdefault(r, curve) != curve:
                raise InputError(f"uses of {problem.resources[r]} must have one delay curve; it has two")
