"""Every plan, in batches: the oracle on small instances."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.bounds.candidates import pareto_splits
from dmcjia_opt.bounds.certificate import splits_lower_bound
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.contract import Allocator, Callback, Placement, Status, Stop
from dmcjia_opt.solving.search import BudgetSpent, Evaluation, check_positive


@dataclass(frozen=True, slots=True)
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
    max_plans: int = 20_000_000
    batch: int = 4096

    def __post_init__(self) -> None:
        """Check the options."""
        check_positive(self.max_plans, "max_plans")
        check_positive(self.batch, "batch")

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

    def place(
        self,
        problem: Problem,
        allocator: Allocator,
        *,
        stop: Stop,
        rng: np.random.Generator,
        callback: Callback | None = None,
    ) -> Placement:
        """Return the best of all plans; OPTIMAL once every plan was tried.

        The lower bound is then the least of every plan's own, each proved at the price its allocator returned.

        Raises
        ------
        InputError
            If there are more than `max_plans`.
        """
        if why := self.supports(problem):
            raise InputError(why)
        candidates = [np.flatnonzero(row) for row in self._keep(problem)]
        sizes = [len(c) for c in candidates]
        evaluation = Evaluation(problem, allocator, stop, callback)
        status, bound = Status.OPTIMAL, np.inf
        try:
            for start in range(0, math.prod(sizes), self.batch):
                flat = np.arange(start, min(start + self.batch, math.prod(sizes)))
                digits = np.unravel_index(flat, sizes)
                plans = np.stack([c[i] for c, i in zip(candidates, digits, strict=True)], axis=1)
                _, price = evaluation.solve_in_budget(plans)
                possible = problem.overload(plans) == 0
                bound = min(
                    bound, float(np.min(splits_lower_bound(problem, plans[possible], price[possible]), initial=np.inf))
                )
                evaluation.tick()
            evaluation.lower_bound = max(evaluation.lower_bound, bound)
        except BudgetSpent:
            status = Status.LIMIT
        except KeyboardInterrupt:
            if evaluation.splits is None:
                raise
            status = Status.LIMIT
        return evaluation.placement(status)

    def _keep(self, problem: Problem) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        if self.pareto:
            keep = pareto_splits(problem)
            keep[~keep.any(axis=1), 0] = True  # a node without any stable split makes every plan infeasible
            return keep
        return np.arange(problem.n_options)[None, :] <= problem.layers[:, None]
