"""The worst node beside IAO, and percentiles beside simulation.

    python benchmarks/promises.py worst [--nodes 20 1000 100000] [--units 100 1000] [--most 1000]
    python benchmarks/promises.py percentiles [--plans 200] [--tasks 10000000]

IAO (`peers/iao.py`) deals out a server in equal units of compute, and moves them one by one to the worst node. Here
both are given the same fleets (family ``fleet``), and IAO's delays are this package's.

A plan of percentiles is a device, an own uplink and a part of a cloud: stages in series, drawn with loads of 5 to 95 %.
Nodes do not meet, so that a plan of one node says as much as one of a fleet. T is the p-quantile of the delay if p of
the tasks take no longer, and no more than p less long; both parts are measured with Student's intervals over 32
batches, whose tasks follow each other, and a plan counts as inside where p is not outside of either.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from dmcjia_opt import build_allocator, build_placer, compile_problem, generate
from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.bounds.certificate import judge
from dmcjia_opt.model.delay import tandem
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.quantiles import PERCENTILES
from dmcjia_opt.solving.running import place
from dmcjia_opt.studies.simulation.arrivals import Poisson
from dmcjia_opt.studies.simulation.estimates import N_BATCHES, BatchSums, half_width
from dmcjia_opt.studies.simulation.serving import FifoQueue

CONFIDENCE = 0.99
IAO = f"{Path(__file__).parent / 'peers' / 'iao.py'}:Iao"
_HAIR = 1e-9  # relative: times that many tasks share, where none waits, count as the same


def iao(problem: Problem, units: int) -> float:
    """Return the delay of the worst node, s, of the plan of IAO; +inf where it has none."""
    found = place(build_placer(f"{IAO}:units={units}"), problem, build_allocator("waterfilling"))
    return math.inf if found.shares is None else judge(problem, found.options, found.shares).objective


def worst(nodes: Iterable[int], units: Iterable[int], most: int) -> None:
    """Print time and bracket of the least delay of the worst node, and IAO's beside it up to `most` nodes."""
    print(f"{'nodes':>8s} {'method':14s} {'seconds':>9s} {'× exact':>8s} {'worst, s':>20s} {'above':>9s}  bracket")
    for n in nodes:
        warm, problem = (replace(compile_problem(generate("fleet", nodes=k, seed=1)), worst=True) for k in (5, n))
        place(build_placer("exact"), warm, build_allocator("waterfilling"))
        start = time.perf_counter()
        found = place(build_placer("exact"), problem, build_allocator("waterfilling"))
        own = time.perf_counter() - start
        assert found.shares is not None
        best = judge(problem, found.options, found.shares).objective
        bracket = f"{found.lower_bound!r} … {best!r}, {(best - found.lower_bound) / best:.1e}"
        print(f"{n:8,d} {'exact':14s} {own:9.4f} {1:8.0f} {best:20.16f} {'':>9s}  {bracket}", flush=True)
        for number in units if n <= most else ():
            start = time.perf_counter()
            value = iao(problem, number)
            seconds = time.perf_counter() - start
            above = f"{100 * (value / best - 1):+.2f} %" if math.isfinite(value) else "no plan"
            name = f"IAO, {number:,}"
            print(f"{n:8,d} {name:14s} {seconds:9.4f} {seconds / own:8.1f} {value:20.16f} {above:>9s}", flush=True)


def parts_within(
    services: FloatArray, rate: float, limits: FloatArray, tasks: int, rng: np.random.Generator
) -> FloatArray:
    """Return what parts of the tasks of each batch take less than `limits`, s: (n_limits, N_BATCHES).

    Tasks arrive at `rate`, 1/s, and pass deterministic stages, each one at a time; a tenth of them before the batches.
    """
    size = int(0.9 * tasks) // N_BATCHES
    warm_up = tasks - size * N_BATCHES
    queues = [FifoQueue() for _ in services]
    counts, seen = [BatchSums(size) for _ in limits], 0
    for block in Poisson().gaps("node", rate, tasks, rng):
        at = arrivals = np.cumsum(block)
        for queue, service in zip(queues, services, strict=True):
            at = queue.departures(at, float(service))
        delays = (at - arrivals)[max(warm_up - seen, 0) :]
        for count, limit in zip(counts, limits, strict=True):
            count.add((delays < limit).astype(np.float64))
        for queue in queues:
            queue.move_origin(float(arrivals[-1]))
        seen += len(block)
    return np.stack([count.means for count in counts])


def is_inside(p: float, below: FloatArray, upto: FloatArray) -> bool:
    """Return whether p is neither clearly less than the part below the quantile nor more than the part up to it."""
    least = float(below.mean() - half_width(below, CONFIDENCE))
    return least <= p <= float(upto.mean() + half_width(upto, CONFIDENCE))


def a_plan(rng: np.random.Generator) -> tuple[FloatArray, float]:
    """Return service times, s, of device, uplink and cloud, and the arrival rate, 1/s; the longest loads 5 to 95 %."""
    rate = 10.0 ** rng.uniform(-1.0, 2.0)
    part = rng.uniform(0.05, 1.0, 3)
    return rng.uniform(0.05, 0.95) / rate * part / part.max(), rate


def quantiles_of(services: FloatArray, rate: float) -> FloatArray:
    """Return the percentiles (n_percentiles,), s, of a plan by the package: a problem of one node with one option."""
    before = services[:-1].max()
    found = []
    for name in PERCENTILES:
        curve = tandem(name)
        wait = float(curve.wait_of(np.array(rate), np.array(before)))
        fixed = services[:-1].sum() + wait
        problem = Problem([[fixed]], [[services[-1]]], [rate], [1.0], curve, wait=[[wait]])
        found.append(float(problem.node_delay(np.array([0]), np.ones((1, 1)))[0]))
    return np.array(found)


def percentiles(plans: int, tasks: int, seed: int = 1) -> dict[str, int]:
    """Return in how many plans each percentile is inside of its interval; print what is outside."""
    inside = dict.fromkeys(PERCENTILES, 0)
    for k in range(plans):
        rng = np.random.default_rng([seed, k])
        services, rate = a_plan(rng)
        expected = quantiles_of(services, rate)
        limits = np.concatenate([expected * (1 - _HAIR), expected * (1 + _HAIR)])
        parts = parts_within(services, rate, limits, tasks, rng)
        for i, (name, p) in enumerate(PERCENTILES.items()):
            below, upto = parts[i], parts[i + len(PERCENTILES)]
            if is_inside(p, below, upto):
                inside[name] += 1
            else:
                print(f"plan {k}, {name}: {below.mean():.6f} … {upto.mean():.6f}, load {rate * services.max():.3f}")
    return inside


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    of_worst = commands.add_parser("worst", help="the worst node beside IAO")
    of_worst.add_argument("--nodes", type=int, nargs="+", default=[20, 1000, 100_000])
    of_worst.add_argument("--units", type=int, nargs="+", default=[100, 1000])
    of_worst.add_argument("--most", type=int, default=1000, help="nodes up to which IAO is run")
    of_percentiles = commands.add_parser("percentiles", help="percentiles beside simulation")
    of_percentiles.add_argument("--plans", type=int, default=200)
    of_percentiles.add_argument("--tasks", type=int, default=10_000_000)
    options = parser.parse_args()
    if options.command == "worst":
        worst(options.nodes, options.units, options.most)
        return
    start = time.perf_counter()
    for name, number in percentiles(options.plans, options.tasks).items():
        print(f"{name:6s} inside the {100 * CONFIDENCE:g} % interval in {number} of {options.plans} plans")
    print(f"{options.tasks:,} tasks a plan, {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
