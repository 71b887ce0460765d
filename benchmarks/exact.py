"""Time to a proved gap of 1e-6: `exact` beside general solvers, in one run.

    python benchmarks/exact.py [--families paper homogeneous scarce] [--nodes 5 10 20 50 100 200] [--seconds 30]
    python benchmarks/exact.py --hard [--seconds 20]

Each method gets the same instance and the same wall time limit. Its plan is recomputed by this package; the best
plan of all methods and the bound proved by `exact` are the reference. "off" is how far the method's plan is above
that best, "claim" says what is wrong with what it claimed: a bound above a plan that exists, or "optimal" for a plan
that is more than 1e-5 off. A method that has met its limit on a family is not tried on its larger instances.

With `--hard`, what is open of hard instances after so many seconds of `exact` alone, when it ended, and how long a
proof file of its plan takes, with its cases and what is open there.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import numpy as np

from dmcjia_opt import Stop, build_allocator, build_placer, compile_problem, generate, prove, solve
from dmcjia_opt.base.errors import DmcjiaError
from dmcjia_opt.bounds.certificate import best_lower_bound
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.contract import Placement, Status
from dmcjia_opt.solving.registry import spec_of, why_not
from dmcjia_opt.solving.running import place
from dmcjia_opt.studies.bench.instances import generated

METHODS = ("exact", "scip", "bonmin", "mindtpy", "cvxpy:SCIP", "cvxpy:ECOS_BB")
GAP = 1e-6


def run(name: str, problem: Problem, seconds: float) -> tuple[float, Placement | None, float, str]:
    """Return wall seconds, placement, recomputed objective (s) and why there is none."""
    start = time.perf_counter()
    try:
        placer = build_placer(name)
        if why := placer.supports(problem):
            return 0.0, None, np.inf, why
        start = time.perf_counter()
        stop = Stop(seconds=seconds, gap=GAP)
        found = place(placer, problem, build_allocator("waterfilling"), stop=stop)
        wall = time.perf_counter() - start
    except DmcjiaError as error:
        return time.perf_counter() - start, None, np.inf, str(error)
    shares = build_allocator("waterfilling").allocate(problem, found.options[None, :]).shares[0]
    value = float(problem.objective(found.options, shares))
    return wall, found, value if np.isfinite(value) else np.inf, ""


def compare(family: str, nodes: int, seed: int, methods: Sequence[str], seconds: float) -> set[str]:
    """Print one row a method; return those that met their limit."""
    problem = compile_problem(generate(family, nodes=nodes, seed=seed))
    results = {name: run(name, problem, seconds) for name in methods}
    best = min(value for _, _, value, _ in results.values())
    proved = max(
        [best_lower_bound(problem)[0]] + [f.lower_bound for n, (_, f, _, _) in results.items() if f and n == "exact"]
    )
    own = results["exact"][0]
    late = set()
    for name, (wall, found, value, why) in results.items():
        if found is None:
            print(f"{family:12s} {nodes:5d} {name:15s} {'–':>9s} {why[:60]}")
            continue
        limited = wall >= seconds
        late |= {name} if limited else set()
        wrong = []
        if found.lower_bound > best * (1 + 1e-9):
            wrong.append(f"bound {found.lower_bound / best - 1:.1e} too high")
        if found.status == Status.OPTIMAL and value > best * (1 + 1e-5):
            wrong.append("not optimal")
        off, gap = value / best - 1, 1 - found.lower_bound / value
        took = f"> {seconds:.0f}" if limited else f"{wall:.4f}"
        print(
            f"{family:12s} {nodes:5d} {name:15s} {took:>9s} {wall / own:9.1f} {off:9.1e} {gap:9.1e} "
            f"{'; '.join(wrong) or 'fits'} (bound proved here: {(best - proved) / best:.0e} below)",
            flush=True,
        )
    return late


#: Hard instances, by name.
HARD = (
    *("hard-cloud20-n20-s1", "hard-epsilon0.0001-cloud40-n40-s1", "hard-n100-s1", "hard-n200-s1", "hard-n500-s1"),
    *("hard-links1-n40-s1", "hard-links2-n40-s1"),
    *("hard-knapsack-n20-s1", "hard-knapsack-n60-s1", "hard-knapsack-n100-s1"),
    *("hard-cells-links5-n100-s1", "hard-cells-n200-s1"),
)
AFTER = (0.5, 1.0, 5.0, 20.0)


def over_time(names: Sequence[str], seconds: float) -> None:
    """Print what is open of instances after some seconds."""
    print(
        f"{'instance':36s}" + "".join(f"{f'{t:g} s':>9s}" for t in AFTER) + f"{'ended':>9s}{'proof':>9s} cases     open"
    )
    for name in names:
        scenario = generated(name)
        start = time.perf_counter()
        found = solve(scenario, stop=Stop(seconds=seconds, gap=1e-9))
        wall = time.perf_counter() - start
        gaps = []
        for t in AFTER:
            so_far = [point for point in found.trace if point.seconds <= t]
            last = so_far[-1] if so_far else None
            gaps.append("–" if last is None else f"{max(1.0 - last.lower_bound / last.objective, 0.0):.0e}")
        start = time.perf_counter()
        proof = prove(scenario, found)
        took, left = time.perf_counter() - start, 1.0 - proof.bound / found.objective
        print(
            f"{name:36s}"
            + "".join(f"{gap:>9s}" for gap in gaps)
            + f"{wall:9.2f}{took:9.2f} {proof.leaves:5d} {left:8.0e}",
            flush=True,
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", nargs="+", default=["paper", "homogeneous", "scarce"])
    parser.add_argument("--nodes", nargs="+", type=int, default=[5, 10, 20, 50, 100, 200])
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--hard", action="store_true", help="what is open of hard instances over time")
    options = parser.parse_args()
    if options.hard:
        place(build_placer("exact"), compile_problem(generated("hard-n10-s1")), build_allocator("waterfilling"))
        over_time(HARD, options.seconds)
        return
    available = [name for name in options.methods if why_not(spec_of("placer", name)) is None]
    warm = compile_problem(generate("paper", nodes=3, seed=0))
    for name in available:
        run(name, warm, 10.0)
    header = ("family", "nodes", "method", "seconds", "/ exact", "off", "its gap", "claim")
    print("{:12s} {:>5s} {:15s} {:>9s} {:>9s} {:>9s} {:>9s} {}".format(*header))
    for family in options.families:
        late: set[str] = set()
        for nodes in options.nodes:
            for seed in options.seeds:
                methods = [name for name in available if name == "exact" or name not in late]
                late |= compare(family, nodes, seed, methods, options.seconds)


if __name__ == "__main__":
    main()
