"""The proved optimum: the Lagrangian search, then whatever closes what it leaves open most cheaply.

In turn, until the gap is closed: one node's or two nodes' splits exchanged around the best price; branch and bound
on class counts; the same with nearly equal partial plans merged, which near-identical nodes need; and generalised
Benders. The first three are proofs of this package's own; Benders rests on HiGHS.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dmcjia_opt.model.problem import Problem
from dmcjia_opt.placers import benders, branch_and_bound
from dmcjia_opt.placers.evaluation import BudgetSpent
from dmcjia_opt.placers.lagrangian import Search
from dmcjia_opt.protocols import Allocator, Callback, Placement, Stop


@dataclass(frozen=True, slots=True)
class Exact:
    """Optimal splits with a proof, from one node to a million.

    Parameters
    ----------
    quick_plans, max_plans
        Partial plans that the first and the merging branch and bound may have open at once.
    bucket
        Relative width within which the latter merges partial plans.
    """

    quick_plans: int = 20_000
    max_plans: int = 400_000
    bucket: float = 1e-6

    def supports(self, problem: Problem) -> str | None:
        """Every problem is supported."""
        return None

    def place(
        self,
        problem: Problem,
        allocator: Allocator,
        *,
        stop: Stop,
        rng: np.random.Generator,
        callback: Callback | None = None,
    ) -> Placement:
        """Return the optimum; at a limit or an interrupt, the best plan and the bound so far."""
        search = Search(problem, allocator, stop, callback)
        try:
            if not (search.closed or search.spent or branch_and_bound.close(search, max_plans=self.quick_plans)):
                search.improve(pairs=True)
                branch_and_bound.close(search, max_plans=self.max_plans, bucket=self.bucket)
            if not (search.closed or search.spent):
                benders.close(search)
        except (BudgetSpent, KeyboardInterrupt):
            search.spent = True
        return search.placement()
