"""Random small problems over all kinds of resources and limits: `exact` against every plan there is.

    python benchmarks/agreement.py [--problems 3000] [--seed 0]

For each the optimum of `exact` is that of exhaustive enumeration within 1e-9, its bound is not above it, nor is that of
any prices drawn at random. What disagrees is printed, and the exit status says whether anything did.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

import numpy as np

from dmcjia_opt import build_allocator, build_placer
from dmcjia_opt.bounds.certificate import lower_bound
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.contract import Status
from dmcjia_opt.solving.running import place
from dmcjia_opt.testing.problems import brute_force, random_shared_problem

_TOLERANCE = 1e-9
_ROUNDING = 1e-13


def drawn(rng: np.random.Generator) -> Problem:
    """Return a random problem small enough to enumerate."""
    n_nodes, n_options = (int(x) for x in rng.integers((1, 2), (6, 6)))
    n_resources = int(rng.integers(1, 5))
    return random_shared_problem(
        rng,
        n_nodes,
        n_options,
        n_resources,
        int(rng.integers(1, 4)),
        utilisation=float(rng.choice([0.1, 0.5, 0.8, 0.95])),
        spread=float(rng.choice([1.0, 10.0, 100.0])),
        ordering="cloud-faster" if rng.random() < 0.3 else "stability",
        average="tasks" if rng.random() < 0.5 else "nodes",
    )[0]


def disagreement(problem: Problem, rng: np.random.Generator) -> str:
    """Return what is wrong with what `exact` says of a problem, in words; empty where nothing is."""
    best, _, _ = brute_force(problem)
    found = place(build_placer("exact"), problem, build_allocator("waterfilling"))
    reached = found.trace[-1].objective if found.shares is not None else np.inf
    if not np.isfinite(best):
        return "" if found.status == Status.INFEASIBLE else f"there is no plan, and exact says {found.status}"
    if abs(reached - best) > _TOLERANCE * best:
        return f"exact {reached!r}, exhaustive {best!r}"
    if found.lower_bound > best * (1.0 + _ROUNDING):
        return f"the bound {found.lower_bound!r} is above the optimum {best!r}"
    if best - found.lower_bound > _TOLERANCE * best:
        return f"a gap of {(best - found.lower_bound) / best:.1e} is left"
    for _ in range(5):
        prices = np.exp(rng.normal(0.0, 3.0, problem.n_resources)) * best * (rng.random(problem.n_resources) > 0.1)
        if (bound := lower_bound(problem, prices)) > best * (1.0 + _ROUNDING):
            return f"prices {prices.tolist()} prove {bound!r}, above the optimum {best!r}"
    return ""


def main() -> int:
    """Compare, print what disagrees and how many of each kind there were."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=3000, help="how many (default 3000)")
    parser.add_argument("--seed", type=int, default=0, help="of the generator (default 0)")
    options = parser.parse_args()
    kinds: Counter[str] = Counter()
    wrong = 0
    began = time.perf_counter()
    for number in range(options.problems):
        rng = np.random.default_rng([options.seed, number])
        problem = drawn(rng)
        what = "one resource" if problem.n_resources == 1 else "several resources"
        what += ", coupled stages" if problem.coupled else ""
        kinds[what + (", least rates" if problem.ordered else "")] += 1
        if sentence := disagreement(problem, rng):
            wrong += 1
            print(f"problem {number}: {sentence}", flush=True)
    for kind, count in sorted(kinds.items()):
        print(f"{count:6d}  {kind}")
    print(f"{options.problems} problems, {wrong} disagree, {time.perf_counter() - began:.0f} s")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
