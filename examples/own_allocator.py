"""An allocator of your own: shares in proportion to what each node needs, and what that costs."""

import sys
from pathlib import Path

import numpy as np

from dmcjia_opt import Allocation, Status, generate, solve

out = Path(*sys.argv[1:] or ["out"])
out.mkdir(parents=True, exist_ok=True)


class Proportional:
    """Every node is loaded alike in the cloud."""

    def supports(self, problem):
        return None if problem.single else "it knows one cloud, and here nodes share several resources"

    def allocate(self, problem, options):
        load = problem.at(problem.service, options)[..., 0] * problem.arrival_rate  # (n_plans, n_nodes)
        possible = problem.overload(options) == 0
        shares = load / np.maximum(load.sum(-1, keepdims=True), 1e-300) * (1 - 1e-12)
        shares[~possible] = np.nan
        status = np.where(possible, Status.FEASIBLE, Status.INFEASIBLE).astype(np.int8)
        return Allocation(shares, np.full(len(options), np.nan), status)


scenario = generate("paper", nodes=10, seed=1)
for allocator in (Proportional(), "waterfilling"):
    plan = solve(scenario, "neurosurgeon+", allocator)
    plan.save(out / f"own_allocator_{plan.allocator}.json")
    print(f"{plan.allocator:12s} {1e3 * plan.objective:.1f} ms, proved gap {plan.gap:.1%}")
