"""Shares without an optimisation: what stability needs, and the rest in equal parts."""

from dataclasses import dataclass

import numpy as np

from dmcjia_opt import Allocation, Problem, Status


@dataclass(frozen=True)
class Even:
    """The least share that keeps each queue stable, and the rest of each resource in equal parts.

    Parameters
    ----------
    reserve
        Part of the rest that is given to nobody.
    """

    reserve: float = 0.0

    def supports(self, problem: Problem) -> str | None:
        """Every problem is supported."""
        return None

    def allocate(self, problem: Problem, options: np.ndarray) -> Allocation:
        """Return shares for `options` (n_plans, n_nodes)."""
        least = problem.least_share(options)  # (n_plans, n_nodes, n_uses)
        busy = problem.at(problem.service, options) > 0
        rest = (1 - problem.by_resource(options, least)) * (1 - self.reserve) * (1 - 1e-12)  # (n_plans, n_resources)
        part = rest / np.maximum(problem.by_resource(options, busy * 1.0), 1)
        shares = least + busy * np.take_along_axis(part[:, None], problem.at(problem.resource, options), axis=-1)
        possible = problem.overload(options) == 0
        shares[~possible] = np.nan
        status = np.where(possible, Status.FEASIBLE, Status.INFEASIBLE).astype(np.int8)
        return Allocation(shares, np.full_like(rest, np.nan), status)
