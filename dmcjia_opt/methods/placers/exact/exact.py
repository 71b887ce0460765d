"""The proved optimum: the Lagrangian search, then whatever closes what it leaves open most cheaply.

In turn, until the gap is closed: one node's splits exchanged around the best price; branch and bound on class counts;
counts of similar nodes, where nodes are nearly identical; two nodes' splits exchanged; branch and bound with nearly
equal partial plans merged; and generalised Benders. All but the last are proofs of this package's own, which rests on
HiGHS.
"""

from __future__ import annotations

from dataclasses import field

import numpy as np

from dmcjia_opt.methods.placers.exact import benders
from dmcjia_opt.methods.placers.exact.branch_and_bound import BranchingRoom, close_by_cases, close_in_turn
from dmcjia_opt.methods.placers.exact.fairest import search_fairest
from dmcjia_opt.methods.placers.exact.lagrangian import LagrangianPlacer
from dmcjia_opt.methods.placers.exact.pooled import search_pooled
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.contract import Placement, Status, Stop
from dmcjia_opt.solving.fleets import Backend
from dmcjia_opt.solving.options import method
from dmcjia_opt.solving.running import place
from dmcjia_opt.solving.search import Search


@method
class Exact(LagrangianPlacer):
    """Optimal splits with a proof, from one node to a million.

    Parameters
    ----------
    room
        Room for the branch and bound, after which Benders takes over.
    backend
        What prices the fleet first: NumPy, or JAX on a CPU or a GPU as it finds. What that leaves open is closed by
        NumPy.
    """

    room: BranchingRoom = field(default_factory=BranchingRoom)
    backend: Backend = "numpy"

    def supports(self, problem: Problem) -> str | None:
        """Return that where something is pooled it proves means without deadlines."""
        if problem.pooled.any() and (problem.worst or np.isfinite(problem.deadline).any()):
            name = problem.resources[int(problem.pooled.argmax())]
            what = "the worst node" if problem.worst else "deadlines"
            return f"{name} is pooled, where it does not prove {what}; use genetic or exhaustive, or reserved shares"
        return None

    def search(self, search: Search, rng: np.random.Generator) -> None:
        """Search around the best price and close what that leaves open; or for the quickest worst node."""
        if search.problem.pooled.any():
            search_pooled(search, self.room.boxes)
            return
        if not search.problem.worst:
            LagrangianPlacer.search(self, search, rng)  # a class with slots has no super() of no arguments
            return

        def by_mean(problem: Problem, stop: Stop) -> Placement:
            return place(self, problem, search.allocator, stop=stop, rng=rng)

        search_fairest(search, by_mean)

    def close(self, search: Search) -> Status:
        """Branch and bound, then Benders for what that has no room for."""
        left = close_in_turn(search, self.room)
        if not (search.closed or left == Status.ROUNDED):
            left = benders.close(search)
        return close_by_cases(search, self.room, left)
