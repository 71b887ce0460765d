"""A placer of your own: anything with ask and tell, here simulated annealing, on the same budget as a genetic one."""

import sys
from pathlib import Path

import numpy as np

from dmcjia_opt import AskTell, Stop, generate, solve

out = Path(*sys.argv[1:] or ["out"])
out.mkdir(parents=True, exist_ok=True)


class Annealing:
    """Moves one node at a time, and accepts what is worse the less readily the longer it runs."""

    def __init__(self, problem, stop, rng):
        self.upper, self.rng, self.steps = problem.last, rng, 0
        self.now = (np.inf, rng.integers(0, problem.last + 1))

    def ask(self):
        plan, node = self.now[1].copy(), self.rng.integers(len(self.upper))
        plan[node] = np.clip(plan[node] + self.rng.integers(-8, 9), 0, self.upper[node])
        return plan

    def tell(self, plan, delay):
        self.steps += 1
        temperature = 0.05 * 0.99**self.steps
        if self.rng.random() < np.exp(min(0.0, (self.now[0] - delay) / temperature)):
            self.now = (delay, plan)


scenario = generate("paper", nodes=10, seed=1)
for placer in (AskTell(Annealing), "genetic", "exact"):
    plan = solve(scenario, placer, stop=Stop(evaluations=600), seed=1)
    plan.save(out / f"own_placer_{plan.placer}.json")
    print(
        f"{plan.placer:8s} {1e3 * plan.objective:.1f} ms after {plan.evaluations:3d} plans, proved gap {plan.gap:.1e}"
    )
