"""How far a plan oversteps each constraint, and how far it may by rounding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dmcjia_opt.base.arrays import EPS, BoolArray, FloatArray

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
    """

    budget: FloatArray
    stability: FloatArray
    ordering: FloatArray
    lateness: FloatArray

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
