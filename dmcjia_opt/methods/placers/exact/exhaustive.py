"""Every plan, in batches: the oracle on small instances."""

from __future__ import annotations

import math

import numpy as np

from dmcjia_opt.bounds.candidates import pareto_options
from dmcjia_opt.bounds.certificate import options_lower_bound
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.contract import Status
from dmcjia_opt.solving.options import Count, method
from dmcjia_opt.solving.search import Search


@method
class Exhaustive:
    """Tries all plans, or all that the Pareto filter leaves.

    Parameters
    ----------
    pareto
        Leave out splits that another split of the same node dominates.
    max_plans
        Refuse instances with more plans than this.
    batch
        Plans handed to the allocator at once.
    """

    pareto: bool = True
    max_plans: Count = 20_000_000
    batch: Count = 4096

    def supports(self, problem: Problem) -> str | None:
        """Return how many plans there are, if they are too many."""
        digits = float(np.log10(np.maximum(self._keep(problem).sum(axis=1), 1)).sum())
        if digits <= math.log10(self.max_plans):
            return None
        left = " after the Pareto filter" if self.pareto else ""
        plans = f"{round(10**digits):,}" if digits < 12 else f"{10 ** (digits % 1):.1f}e{int(digits)}"
        return (
            f"there are {plans} plans{left}, more than exhaustive search can try "
            f"(max_plans = {self.max_plans}); use another placer"
        )

    def search(self, search: Search, rng: np.random.Generator) -> None:
        """Try all plans; the least of their own lower bounds, each at the price of its allocator, is then proved."""
        problem = search.problem
        candidates = [np.flatnonzero(row) for row in self._keep(problem)]
        sizes = [len(c) for c in candidates]
        bound = np.inf
        for start in range(0, math.prod(sizes), self.batch):
            flat = np.arange(start, min(start + self.batch, math.prod(sizes)))
            digits = np.unravel_index(flat, sizes)
            plans = np.stack([c[i] for c, i in zip(candidates, digits, strict=True)], axis=1)
            _, price = search.solve_in_budget(plans)
            possible = problem.overload(plans) == 0
            bound = min(
                bound, float(np.min(options_lower_bound(problem, plans[possible], price[possible]), initial=np.inf))
            )
            search.tick()
        search.prove(max(bound, search.lower_bound), "exhaustive")
        search.claim(search.proved(Status.ROUNDED))

    def _keep(self, problem: Problem) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        if self.pareto:
            keep = pareto_options(problem)
            keep[~keep.any(axis=1), 0] = True  # a node without any stable split makes every plan infeasible
            return keep
        return np.arange(problem.n_options)[None, :] <= problem.last[:, None]
