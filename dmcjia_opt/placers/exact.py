"""The proved optimum: the Lagrangian search, then whatever closes what it leaves open most cheaply.

In turn, until the gap is closed: one node's or two nodes' splits exchanged around the best price; branch and bound
on class counts; the same with nearly equal partial plans merged, which near-identical nodes need; and generalised
Benders. The first three are proofs of this package's own; Benders rests on HiGHS.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from dmcjia_opt.model.problem import Problem
from dmcjia_opt.placers import benders
from dmcjia_opt.placers.branch_and_bound import Limits, close_in_turn
from dmcjia_opt.placers.lagrangian import Search
from dmcjia_opt.protocols import Allocator, Callback, Placement, Stop


@dataclass(frozen=True, slots=True)
class Exact:
    """Optimal splits with a proof, from one node to a million.

    Parameters
    ----------
    limits
        Room for the branch and bound, after which Benders takes over.
    """

    limits: Limits = field(default_factory=Limits)

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
        with search.to_the_end():
            close_in_turn(search, self.limits)
            benders.close(search)
        return search.placement()
