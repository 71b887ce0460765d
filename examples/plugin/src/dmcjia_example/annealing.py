"""Simulated annealing on the splits (Kirkpatrick et al. 1983, doi:10.1126/science.220.4598.671)."""

from dataclasses import dataclass

import numpy as np

from dmcjia_opt import Problem, Search


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

    def search(self, search: Search, rng: np.random.Generator) -> None:
        """Move one node at a time, and accept what is worse the less readily the longer it runs."""
        layers = search.problem.last
        splits = rng.integers(0, layers + 1)
        value = search.evaluate(splits[None])[0]
        for step in range(self.steps):
            moved = splits.copy()
            node = rng.integers(len(layers))
            moved[node] = rng.integers(0, layers[node] + 1)
            new = search.evaluate(moved[None])[0]
            warmth = self.heat * 0.001 ** (step / self.steps)
            if new <= value or (value > 0 and rng.random() < np.exp((1 - new / value) / warmth)):
                splits, value = moved, new
