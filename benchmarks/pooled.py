"""One queue for all instead of reserved shares: how good its best plan is, and how soon that is proved.

    python benchmarks/pooled.py [--families paper homogeneous scarce] [--nodes 10 20 50] [--seconds 20]

For each fleet the proved optimum with reserved shares, and that with one queue ("fifo") and processor sharing ("ps"):
delay, proved gap, plans evaluated and seconds. "same splits" is what the plan with reserved shares would take there.
With `--check N` the bounds of N random small problems are compared with all of their plans first.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from dmcjia_opt import Stop, build_allocator, build_placer, compile_problem, generate
from dmcjia_opt.model.resources import Sharing
from dmcjia_opt.solving.running import place
from dmcjia_opt.testing.problems import brute_force, pooled, random_shared_problem

KINDS: tuple[Sharing, ...] = ("reserved", "fifo", "ps")


def check(number: int) -> None:
    """Print how far the bounds of random small problems are from the best of all plans, relative to it."""
    above, below, plans = -np.inf, -np.inf, 0
    for seed in range(number):
        rng = np.random.default_rng(seed)
        utilisation = float(rng.choice([0.3, 0.7, 0.9]))
        problem, _ = random_shared_problem(rng, int(rng.integers(1, 6)), 4, 3, 2, utilisation=utilisation)
        problem = pooled(problem, *(KINDS[i] for i in rng.integers(seed % 2, 3, 3)))
        best, _, _ = brute_force(problem)
        if np.isfinite(best):
            found = place(build_placer("exact"), problem, build_allocator("waterfilling"))
            off = found.lower_bound / best - 1.0
            above, below, plans = max(above, off), max(below, -off), plans + 1
    print(
        f"{plans} small problems: the bound is at most {below:.1e} below the best of all plans, {-above:.1e} at least"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", nargs="+", default=["paper", "homogeneous", "scarce"])
    parser.add_argument("--nodes", nargs="+", type=int, default=[10, 20, 50])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--check", type=int, default=0)
    options = parser.parse_args()
    if options.check:
        check(options.check)
    row = "{:12s} {:>5s} {:>5s} {:9s} {:>10s} {:>12s} {:>9s} {:>7s} {:>8s}"
    print(row.format("family", "nodes", "seed", "sharing", "delay, ms", "same splits", "gap", "plans", "seconds"))
    allocator = build_allocator("waterfilling")
    for family in options.families:
        for nodes in options.nodes:
            for seed in options.seeds:
                problem, splits = compile_problem(generate(family, nodes=nodes, seed=seed)), None
                for sharing in KINDS:
                    shared, began = pooled(problem, sharing), time.perf_counter()
                    found = place(build_placer("exact"), shared, allocator, stop=Stop(seconds=options.seconds))
                    wall = time.perf_counter() - began
                    if found.shares is None:
                        print(row.format(family, str(nodes), str(seed), sharing, "no plan", "", "", "", f"{wall:.2f}"))
                        continue
                    value = float(shared.objective(found.options, found.shares))
                    splits = found.options if splits is None else splits
                    same = float(shared.objective(splits, found.shares)) if sharing != "reserved" else value
                    gap = (value - found.lower_bound) / value
                    told = (f"{1e3 * value:.3f}", f"{1e3 * same:.3f}", f"{gap:.1e}", str(found.evaluations))
                    print(row.format(family, str(nodes), str(seed), sharing, *told, f"{wall:.2f}"), flush=True)


if __name__ == "__main__":
    main()
