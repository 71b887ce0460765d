"""Time to a proved gap of 1e-6: `exact` beside general solvers, in one run.

    python benchmarks/exact.py [--families paper homogeneous scarce] [--nodes 5 10 20 50 100 200] [--seconds 30]

Each method gets the same instance and the same wall time limit. Its plan is recomputed by this package; the best
plan of all methods and the bound proved by `exact` are the reference. "off" is how far the method's plan is above
that best, "claim" says what is wrong with what it claimed: a bound above a plan that exists, or "optimal" for a plan
that is more than 1e-5 off. A method that has met its limit on a family is not tried on its larger instances.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import numpy as np

from dmcjia_opt import Stop, build_allocator, build_placer, compile_problem, generate
from dmcjia_opt.base.errors import DmcjiaError
from dmcjia_opt.bounds.certificate import best_lower_bound
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.contract import Placement, Status
from dmcjia_opt.solving.registry import spec_of, why_not
from dmcjia_opt.solving.running import place

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


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", nargs="+", default=["paper", "homogeneous", "scarce"])
    parser.add_argument("--nodes", nargs="+", type=int, default=[5, 10, 20, 50, 100, 200])
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    options = parser.parse_args()
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
