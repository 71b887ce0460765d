"""Time per plan of every allocator, and the ratio to CVXPY + Clarabel, in one run.

    python benchmarks/allocators.py [--nodes 20] [--plans 50] [--repeats 5] [--delay md1]

All see the same feasible plans of the same Table 5 scenario. Methods are interleaved, repeat by repeat; the median
is quoted. The error is the worst relative difference of the recomputed objective from 'waterfilling'.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from dmcjia_opt import build_allocator, compile_problem, generate
from dmcjia_opt.base.arrays import IntArray
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.contract import Status

METHODS = ("waterfilling", "alm", "cvxpy:CLARABEL", "cvxpy:SCS", "ipopt")
PEER = "cvxpy:CLARABEL"


def feasible_plans(problem: Problem, number: int, rng: np.random.Generator) -> IntArray:
    """Return random plans (number, n_nodes) for which shares exist."""
    allowed = [np.flatnonzero(np.isfinite(row)) for row in problem.fixed_delay]
    found: list[IntArray] = []
    while sum(map(len, found)) < number:
        plans = np.stack([rng.choice(splits, number) for splits in allowed], axis=1)
        found.append(plans[problem.overload(plans) == 0])
    return np.concatenate(found)[:number]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=20)
    parser.add_argument("--plans", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--delay", choices=("md1", "mm1", "tandem"), default="md1")
    options = parser.parse_args()
    problem = compile_problem(generate("paper", nodes=options.nodes, seed=1, delay=options.delay))
    plans = feasible_plans(problem, options.plans, np.random.default_rng(1))
    allocators = {name: build_allocator(name) for name in METHODS}
    exact = problem.objective(plans, allocators["waterfilling"].allocate(problem, plans).shares)
    seconds: dict[str, list[float]] = {name: [] for name in METHODS}
    error, converged = {}, {}
    for name, allocator in allocators.items():  # warm-up: compiles, imports, and the accuracy
        allocation = allocator.allocate(problem, plans)
        error[name] = float(np.max(np.abs(problem.objective(plans, allocation.shares) / exact - 1)))
        converged[name] = int((allocation.status == Status.OPTIMAL).sum())
    for _ in range(options.repeats):
        for name, allocator in allocators.items():
            inner = 200 if name == "waterfilling" else 20 if name == "alm" else 1
            start = time.perf_counter()
            for _ in range(inner):
                allocator.allocate(problem, plans)
            seconds[name].append((time.perf_counter() - start) / inner / len(plans))
    peer = float(np.median(seconds[PEER]))
    print(f"{options.delay}, {options.nodes} nodes, batches of {options.plans} plans, median of {options.repeats}")
    header = ("allocator", "µs a plan", f"times faster than {PEER}", "worst error", "converged")
    print("{:16s} {:>10s} {:>32s} {:>12s} {:>10s}".format(*header))
    for name in METHODS:
        median = float(np.median(seconds[name]))
        done = f"{converged[name]}/{len(plans)}"
        print(f"{name:16s} {median * 1e6:10.1f} {peer / median:32.1f} {error[name]:12.1e} {done:>10s}")


if __name__ == "__main__":
    main()
