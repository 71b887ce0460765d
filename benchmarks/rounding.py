"""How much rounding may lift a bound, and how much it does: certificates of large fleets against exact arithmetic.

    python benchmarks/rounding.py [--nodes 1000,1000000] [--sample 200]

The dual at the best price is summed exactly (`math.fsum`), its terms are computed anew in 50 digits on a sample of
nodes, and the whole bound once more in outward-rounded intervals by the checker of proofs.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass

import mpmath
import numpy as np

from dmcjia_opt import compile_problem, generate
from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.bounds.certificate import best_lower_bound
from dmcjia_opt.bounds.dual import dual_point, priced, rounding_slack
from dmcjia_opt.bounds.proof.checking import price_bound
from dmcjia_opt.model.problem import Problem

_BLOCK = 10_000


@dataclass(frozen=True, slots=True)
class Rounding:
    """What rounding does to the bound of one fleet; all but `n_nodes` and `seconds` are relative to the bound.

    Parameters
    ----------
    n_nodes
        Nodes.
    slack
        What is subtracted for it.
    sum_error
        What pairwise summation adds to or takes from the exact sum of the computed terms.
    term_error
        The largest error of a node's term in the sample, relative to that term.
    below_exact
        How far the bound is below the exact sum less what the terms may be off by; never negative.
    outward
        How far the outward-rounded bound of a proof is below this one; negative where it is above.
    seconds
        What the certificate took, and the proof's bound.
    """

    n_nodes: int
    slack: float
    sum_error: float
    term_error: float
    below_exact: float
    outward: float
    seconds: tuple[float, float]


def node_terms(problem: Problem, price: float) -> FloatArray:
    """Return (n_nodes,) the least cost of each node at a price, s."""
    parts = []
    for start in range(0, problem.n_nodes, _BLOCK):
        cost, _ = priced(problem, price, slice(start, min(start + _BLOCK, problem.n_nodes)))
        parts.append(cost.min(axis=1))
    return np.concatenate(parts)


def exact_term(problem: Problem, node: int, price: float) -> mpmath.mpf:
    """Return the least cost of one node of an M/D/1 cloud at a price in 50 digits, s."""
    with mpmath.workdps(50):
        weight, rate, nu = (mpmath.mpf(float(v)) for v in (problem.weight[node], problem.arrival_rate[node], price))
        best = mpmath.inf
        for local, s in zip(problem.fixed_delay[node].tolist(), problem.service[node, :, 0].tolist(), strict=True):
            if math.isinf(local):
                continue
            cost = weight * mpmath.mpf(local)
            if s > 0:
                # −dT/dμ = ½/μ² + ½/x² = νs/w, x = μ − λ: z = (1 + √(1 + 2kλ²))/2k, x = z/(λ/2 + √(λ²/4 + z))
                k = nu * mpmath.mpf(s) / weight
                z = (1 + mpmath.sqrt(1 + 2 * k * rate * rate)) / (2 * k)
                x = z / (rate / 2 + mpmath.sqrt(rate * rate / 4 + z))
                cost += weight * (1 / (rate + x) + 1 / x) / 2 + nu * mpmath.mpf(s) * (rate + x)
            best = min(best, cost)
        return +best


def measure(nodes: int, sample: int, seed: int = 1) -> Rounding:
    """Return what rounding does to the bound of a fleet of the paper's nodes."""
    problem = compile_problem(generate("paper", nodes=nodes, seed=seed, cloud_gflops=100.0 * nodes))
    began = time.perf_counter()
    bound, prices = best_lower_bound(problem)
    price = float(prices[0])
    certified = time.perf_counter() - began
    point = dual_point(problem, price)
    terms = node_terms(problem, price)
    exact = math.fsum([*terms.tolist(), -price])
    chosen: IntArray = np.random.default_rng(seed).choice(nodes, min(sample, nodes), replace=False)
    errors = [abs(float(exact_term(problem, int(d), price) / mpmath.mpf(float(terms[d])) - 1)) for d in chosen]
    off = max(errors) * float(np.abs(terms).sum())
    began = time.perf_counter()
    outward = price_bound(problem, (price,))
    proved = time.perf_counter() - began
    return Rounding(
        nodes,
        rounding_slack(nodes, point.magnitude) / bound,
        abs(point.value - exact) / bound,
        max(errors),
        (exact - off - bound) / bound,
        (bound - outward) / bound,
        (certified, proved),
    )


def main() -> None:
    """Print a line for each number of nodes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", default="1000,10000,100000,1000000")
    parser.add_argument("--sample", type=int, default=200)
    asked = parser.parse_args()
    print("nodes      slack    summation  terms    below exact  above outward  seconds: ours, outward")
    for nodes in map(int, asked.nodes.split(",")):
        r = measure(nodes, asked.sample)
        print(
            f"{r.n_nodes:<10,} {r.slack:.1e}  {r.sum_error:.1e}    {r.term_error:.1e}  {r.below_exact:.1e}      "
            f"{r.outward:.1e}        {r.seconds[0]:.2f}, {r.seconds[1]:.2f}"
        )


if __name__ == "__main__":
    main()
