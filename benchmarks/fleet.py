"""The exact placer on fleets of a thousand to a million nodes: time, memory, and passes over the table.

    python benchmarks/fleet.py [--nodes 1000 10000 100000 1000000]
    python benchmarks/fleet.py --links 200 --nodes 20000 --gap 1e-6       behind links that nodes share

Each size runs in a process of its own, so that the peak memory is its own. "passes" is the time of the whole search
divided by that of one vectorised pass over the table (the dual at one vector of prices), measured in the same process.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time


def measure(nodes: int, links: int, gap: float | None) -> str:
    """Return one row of the table."""
    import numpy as np

    from dmcjia_opt import Stop, build_allocator, build_placer, compile_problem, generate
    from dmcjia_opt.bounds.dual import dual_point
    from dmcjia_opt.solving.running import place

    start = time.perf_counter()
    further = {"links": links} if links else {}
    problem = compile_problem(generate("links" if links else "fleet", nodes=nodes, seed=1, **further))
    built = time.perf_counter() - start
    passes = []
    for _ in range(3):
        start = time.perf_counter()
        dual_point(problem, np.full(problem.n_resources, 0.3 / problem.n_resources))
        passes.append(time.perf_counter() - start)
    placer, allocator = build_placer("exact"), build_allocator("waterfilling")
    start = time.perf_counter()
    found = place(placer, problem, allocator, stop=Stop(gap=gap))
    took = time.perf_counter() - start
    objective = float(problem.objective(found.options, found.shares))
    open_gap = (objective - found.lower_bound) / objective
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    single = min(passes)
    return (
        f"{nodes:9,d} {problem.n_resources:9,d} {built:9.2f} {single:9.3f} {took:9.3f} {took / single:7.1f} "
        f"{open_gap:9.1e} {memory:8,.0f}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", nargs="+", type=int, default=[1000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--links", type=int, default=0, help="how many links the nodes share, beside the cloud")
    parser.add_argument("--gap", type=float, help="relative gap that is enough (default: that of an optimum)")
    options = parser.parse_args()
    names = f"{'nodes':>9s} {'resources':>9s} {'build s':>9s} {'pass s':>9s} {'exact s':>9s} {'passes':>7s}"
    print(f"{names} {'gap':>9s} {'MB':>8s}")
    for nodes in options.nodes:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            print(pool.apply(measure, (nodes, options.links, options.gap)), flush=True)


if __name__ == "__main__":
    main()
