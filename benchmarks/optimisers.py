"""How far each search ends from the proved optimum when all may evaluate equally many plans.

    python benchmarks/optimisers.py [--nodes 20] [--evaluations 1600] [--seeds 1 2 3] [--seconds 8]

Each search gets the same instances of Table 5, as many distinct plans, and a wall time limit that only the slowest
meet; a row's "plans" says how many it came to. Its plan is recomputed by this package, and compared with the optimum
that `exact` proves. Seconds are wall time with shares by water-filling, so nearly all of it is the optimiser's own.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from dmcjia_opt import Stop, build_allocator, build_placer, compile_problem, generate
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.registry import spec_of, why_not
from dmcjia_opt.solving.running import place

METHODS = (
    "dmcjia",
    "genetic",
    "pymoo:GA",
    "pymoo:DE",
    "pymoo:PSO",
    "pymoo:CMAES",
    "pymoo:BRKGA",
    "nevergrad:NGOpt",
    "nevergrad:DiscreteLenglerOnePlusOne",
    "nevergrad:TwoPointsDE",
    "cma",
    "optuna:TPE",
    "optuna:NSGAII",
    "scipy:differential_evolution",
    "scipy:dual_annealing",
    "cpsat",
)


def run(name: str, problem: Problem, stop: Stop, seed: int) -> tuple[float, float, int]:
    """Return the mean delay (s) of the plan found, wall seconds and plans evaluated."""
    placer, allocator = build_placer(name), build_allocator("waterfilling")
    start = time.perf_counter()
    found = place(placer, problem, allocator, stop=stop, rng=np.random.default_rng(seed))
    wall = time.perf_counter() - start
    if found.shares is None:
        return np.inf, wall, found.evaluations
    return float(problem.objective(found.options, found.shares)), wall, found.evaluations


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=20)
    parser.add_argument("--evaluations", type=int, default=1600)
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--seconds", type=float, default=8.0)
    options = parser.parse_args()
    problems = {seed: compile_problem(generate("paper", nodes=options.nodes, seed=seed)) for seed in options.seeds}
    best = {seed: run("exact", problem, Stop(), 0)[0] for seed, problem in problems.items()}
    stop = Stop(evaluations=options.evaluations, seconds=options.seconds)
    print(f"{options.nodes} nodes of Table 5, {options.evaluations} plans, seeds {options.seeds}")
    print(f"{'placer':37s} {'median above optimum':>20s} {'worst':>8s} {'plans':>6s} {'seconds':>8s}")
    warm = compile_problem(generate("paper", nodes=3, seed=0))
    for name in options.methods:
        if why := why_not(spec_of("placer", name)):
            print(f"{name:37s} {why}")
            continue
        run(name, warm, Stop(evaluations=20), 0)  # the library's import is not its search
        results = [run(name, problem, stop, seed) for seed, problem in problems.items()]
        above = np.array([value / best[seed] - 1 for (value, _, _), seed in zip(results, problems, strict=True)])
        seconds, plans = (float(np.median([result[i] for result in results])) for i in (1, 2))
        print(
            f"{name:37s} {100 * np.median(above):18.2f} % {100 * above.max():6.2f} % {plans:6.0f} {seconds:8.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
