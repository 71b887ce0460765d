"""The three comparisons of the README, in one run: the answer, its proof, the shares.

    python benchmarks/headline.py [--nodes 20] [--instances 5] [--seconds 60]

All on the paper's Table 5. (1) The plans of the paper's algorithm and of two genetic algorithms at its number of plans,
above the proved optimum: the median of the instances. (2) Seconds to a proof that a plan is within 1e-6 of the optimum:
`exact` beside SCIP on its mixed-integer cone model; an instance that SCIP has not proved by the limit counts with it.
(3) Microseconds for the best shares of a plan: the closed form beside CVXPY with Clarabel, which is compiled once.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time

import numpy as np
from allocators import feasible_plans

from dmcjia_opt import Stop, __version__, build_allocator, compile_problem, generate, solve
from dmcjia_opt.base.machine import computer
from dmcjia_opt.model.problem import Problem

_GAP, _PLANS, _REPEATS = 1e-6, 50, 3


def answers(problems: list[Problem]) -> None:
    """Print how far above the optimum searches end that may try as many plans as the paper's."""
    over: dict[str, list[float]] = {"the paper's": [], "genetic": [], "memetic": []}
    for seed, problem in enumerate(problems):
        best = solve(problem).objective
        paper = solve(problem, "dmcjia", "alm", seed=seed)
        over["the paper's"].append(paper.objective / best - 1)
        for name in ("genetic", "memetic"):
            plan = solve(problem, name, stop=Stop(evaluations=paper.evaluations), seed=seed)
            over[name].append(plan.objective / best - 1)
    said = ", ".join(f"{name} {100 * statistics.median(values):.1f} %" for name, values in over.items())
    print(f"answer  above the proved optimum: {said}")


def proofs(problems: list[Problem], seconds: float) -> None:
    """Print how long a proof takes by `exact` and by SCIP."""
    took: dict[str, list[float]] = {"exact": [], "scip": []}
    proved = 0
    for problem in problems:
        for name, times in took.items():
            solve(problem, name, stop=Stop(evaluations=1))  # what is imported and compiled is no part of it
            start = time.perf_counter()
            plan = solve(problem, name, stop=Stop(seconds=seconds, gap=_GAP))
            times.append(min(time.perf_counter() - start, seconds))
            proved += name == "scip" and plan.gap <= _GAP
    exact, scip = (statistics.median(times) for times in took.values())
    print(
        f"proof   exact {1e3 * exact:.1f} ms, SCIP {scip:.2f} s, which proves {proved} of {len(problems)}: "
        f"{scip / exact:.0f} times"
    )


def shares(problem: Problem) -> None:
    """Print how long the best shares of a plan take in closed form and by a cone solver."""
    plans = feasible_plans(problem, _PLANS, np.random.default_rng(1))
    took: dict[str, list[float]] = {"waterfilling": [], "cvxpy:CLARABEL": []}
    allocators = {name: build_allocator(name) for name in took}
    for allocator in allocators.values():
        allocator.allocate(problem, plans)
    for _ in range(_REPEATS):
        for name, inner in (("waterfilling", 200), ("cvxpy:CLARABEL", 1)):
            start = time.perf_counter()
            for _ in range(inner):
                allocators[name].allocate(problem, plans)
            took[name].append((time.perf_counter() - start) / inner / len(plans))
    closed, cone = (1e6 * statistics.median(times) for times in took.values())
    print(f"shares  closed form {closed:.1f} µs, CVXPY with Clarabel {cone:,.0f} µs: {cone / closed:.0f} times")


def main() -> None:
    """Print the three lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=20)
    parser.add_argument("--instances", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    problems = [compile_problem(generate("paper", nodes=options.nodes, seed=seed)) for seed in range(options.instances)]
    print(f"dmcjia_opt {__version__}, Python {platform.python_version()}, {computer()}")
    print(f"Table 5, {options.nodes} nodes, {options.instances} instances, medians")
    answers(problems)
    proofs(problems, options.seconds)
    shares(problems[0])


if __name__ == "__main__":
    main()
