"""Shares without an optimisation: what stability needs, and the rest in equal parts."""

from dataclasses import dataclass

import numpy as np

from dmcjia_opt import Allocation, Problem, Status


@dataclass(frozen=True)
class Even:
    """The least share that keeps each queue stable, and the rest of the cloud in equal parts.

    Parameters
    ----------
    reserve
        Part of the rest that is given to nobody.
    """

    reserve: float = 0.0

    def supports(self, problem: Problem) -> str | None:
        """Every problem is supported."""
        return None

    def allocate(self, problem: Problem, splits: np.ndarray) -> Allocation:
        """Return shares for `splits` (n_plans, n_nodes)."""
        least = problem.least_share(splits)[..., 0]  # of the one resource that is shared
        busy = problem.at(problem.service, splits)[..., 0] > 0
        rest = (1 - least.sum(-1, keepdims=True)) * (1 - self.reserve) * (1 - 1e-12)
        shares = least + rest * busy / np.maximum(busy.sum(-1, keepdims=True), 1)
        possible = problem.overload(splits) == 0
        shares = np.where(possible[:, None], shares, np.nan)
        status = np.where(possible, Status.FEASIBLE, Status.INFEASIBLE).astype(np.int8)
        return Allocation(shares, np.full(len(splits), np.nan), status)
