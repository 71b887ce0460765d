"""Simulated annealing on the splits (Kirkpatrick et al. 1983, doi:10.1126/science.220.4598.671)."""

from dataclasses import dataclass

import numpy as np

from dmcjia_opt import Allocator, BudgetSpent, Callback, Evaluation, Placement, Problem, Status, Stop


@dataclass(frozen=True)
class Annealing:
    """Simulated annealing that moves one node's split at a time.

    Parameters
    ----------
    steps
        Moves tried, when no budget ends the search before.
    heat
        Relative loss accepted with probability 1/e at the start; it cools to a thousandth of that.
    """

    steps: int = 2000
    heat: float = 0.1

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
        """Return the best plan met."""
        search = Evaluation(problem, allocator, stop, callback)
        try:
            splits = rng.integers(0, problem.layers + 1)
            value = search(splits[None])[0]
            for step in range(self.steps):
                moved = splits.copy()
                node = rng.integers(problem.n_nodes)
                moved[node] = rng.integers(0, problem.layers[node] + 1)
                new = search(moved[None])[0]
                warmth = self.heat * 0.001 ** (step / self.steps)
                if new <= value or (value > 0 and rng.random() < np.exp((1 - new / value) / warmth)):
                    splits, value = moved, new
        except BudgetSpent:
            return search.placement(Status.LIMIT)
        return search.placement(Status.FEASIBLE)
