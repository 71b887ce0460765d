"""How far a plan oversteps each constraint, and how far it may by rounding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dmcjia_opt.base.arrays import EPS, BoolArray, FloatArray, IntArray, constant, distinct
from dmcjia_opt.base.showing import brief
from dmcjia_opt.model import pooling

if TYPE_CHECKING:
    from dmcjia_opt.model.problem import Problem

#: How far Σ shares may exceed 1 by rounding. Near saturation the optimum is steep in the budget: no more than this.
BUDGET_TOLERANCE = 64 * EPS
#: How far, relative to the least rate asked for, the ordering constraint may be overstepped by rounding.
ORDERING_TOLERANCE = 1e-12
#: How far, relative to itself, a deadline may be: delays are steeper than the rates that keep it.
DEADLINE_TOLERANCE = 1e-10


@dataclass(frozen=True, slots=True, eq=False)
class Residuals:
    """How far a plan oversteps each constraint; > 0 is a violation.

    Parameters
    ----------
    budget
        (..., n_resources) Σδ − 1.
    stability
        (..., n_nodes, n_uses) λ − μ relative to μ where there is work, must be < 0; +inf where the edge queue is
        unstable. Where tasks overlap μ may be λ, and what rounding lacks of that counts as −1.
    ordering
        (..., n_nodes, n_uses) least allowed rate minus μ, relative to the former; −inf where none is asked.
    lateness
        (..., n_nodes) delay minus deadline, relative to the latter; −inf where there is none.

    Examples
    --------
    >>> import numpy as np
    >>> from dmcjia_opt import compile_problem, generate
    >>> problem = compile_problem(generate("paper", nodes=3, seed=1))
    >>> found = problem.residuals(np.array([0, 16, 0]), np.array([0.3, 0.3, 0.8]))
    >>> bool(found.feasible), found.budget.round(2)
    (False, array([0.4]))
    """

    budget: FloatArray
    stability: FloatArray
    ordering: FloatArray
    lateness: FloatArray

    __repr__ = brief

    @property
    def feasible(self) -> BoolArray:
        """(...,) whether every constraint is met, up to rounding."""
        ok: BoolArray = np.asarray(
            (self.budget <= BUDGET_TOLERANCE).all(-1)
            & (self.stability < 0).all((-2, -1))
            & (self.ordering <= ORDERING_TOLERANCE).all((-2, -1))
            & (self.lateness <= DEADLINE_TOLERANCE).all(-1)
        )
        return ok


def residuals_of(problem: Problem, options: IntArray, shares: FloatArray) -> Residuals:
    """Return how far each plan oversteps its constraints (see `Problem.residuals`)."""
    s, shares = problem.at(problem.service, options), problem.by_use(options, shares)
    busy = s > 0
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        stability = np.where(busy, -problem.spare(s, shares) / shares, -1.0)
    for k, curve in enumerate(problem.use_curves):
        if not np.all(waits := curve.waits(problem.gaps())):
            enough = ~np.asarray(waits) & (stability[..., k] <= ORDERING_TOLERANCE)
            stability[..., k] = np.where(enough, -1.0, stability[..., k])
    negative = ~(shares >= 0) | (busy & (shares == 0))
    unstable = np.isinf(problem.at(problem.fixed_delay, options))[..., None]
    stability = np.where(negative | unstable, np.inf, stability)
    ordering = np.full(stability.shape, -np.inf)
    if problem.ordered:
        floor = problem.at(problem.least_rate, options)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            ordering = np.where(busy & (floor > 0), 1.0 - shares / (s * floor), -np.inf)
    budget = problem.by_resource(options, shares) - 1.0
    if problem.pooled.any():
        stability = pooling.stability(problem, options, shares, stability)
    lateness = constant(-np.inf, stability.shape[:-1])
    if np.isfinite(distinct(problem.deadline)).any():
        delay, promised = problem.node_delay(options, shares), np.isfinite(problem.deadline)
        lateness = np.where(promised, delay / np.where(promised, problem.deadline, 1.0) - 1.0, -np.inf)
    return Residuals(np.where(np.isnan(budget), np.inf, budget), stability, ordering, lateness)
