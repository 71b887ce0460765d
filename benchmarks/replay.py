"""Links that change: what each way to plan again takes, over traces and costs of switching.

    python benchmarks/replay.py [--nodes 20] [--family mixed] [--seconds 1452] [--trace FILE ...] [--jobs 2]
    python benchmarks/replay.py --scale [--nodes 1000] [--seconds 3600] [--jobs 2]

The first prints policies by traces and costs: the mean delay over that of the bound, in %. Traces are files, beside two
drawn ones. ``--scale`` replays an hour of a large fleet, of which a tenth of the links changes every second, and sets
planning anew beside planning from the last plan.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from dmcjia_opt import build_allocator, build_placer, generate
from dmcjia_opt.bounds.best import BestPrice
from dmcjia_opt.model.scenario.scenario import Scenario
from dmcjia_opt.solving.running import place
from dmcjia_opt.studies.online.conditions import Conditions, links_of
from dmcjia_opt.studies.online.replay import Switching, replay
from dmcjia_opt.studies.online.traces import LinkTrace

POLICIES = (
    "static",
    "static:harmonic",
    "static:0.1",
    "robust",
    "periodic:10",
    "periodic:60",
    "change:0.1",
    "change:0.3",
    "oracle",
)
COSTS = (0.0, 0.1, 1.0)


def table(scenario: Scenario, traces: list[str], seconds: float, jobs: int) -> None:
    """Print how far each policy is from the bound, in %, by trace and by what a switch costs, s."""
    for name in traces:
        trace = links_of(name, scenario)
        trace = trace.until(min(seconds, trace.end))
        found = {cost: replay(scenario, trace, POLICIES, switching=Switching(cost), jobs=jobs) for cost in COSTS}
        free = found[0.0]
        print(f"{name}: bound {1e3 * free.lower_bound:.1f} ms; % above it, by seconds a switch costs; plans, switches")
        for k, run in enumerate(free.runs):
            over = "  ".join(f"{cost:g} s {100 * found[cost].regret(found[cost].runs[k]):8.2f}" for cost in COSTS)
            print(f"  {run.policy:16s} {over}  {int(run.planned.sum()):6d} {int(run.switched.sum()):7d}", flush=True)


def wandering(scenario: Scenario, seconds: int, part: float, rng: np.random.Generator) -> LinkTrace:
    """Return a trace in which a part of the links changes every second."""
    n = scenario.n_nodes
    base = np.broadcast_to(scenario.nodes.uplink_mbps, n)
    moves = rng.random((seconds, n)) < part
    factor = np.empty((seconds, n))
    now = np.ones(n)
    for k in range(seconds):
        now = np.where(moves[k], rng.uniform(0.5, 2.0, n), now)
        factor[k] = now
    return LinkTrace(np.arange(float(seconds)), float(seconds), scenario.nodes.names, factor * base)


def scale(scenario: Scenario, seconds: int, jobs: int) -> None:
    """Print how long an hour takes, and what planning from the last plan saves."""
    trace = wandering(scenario, seconds, 0.1, np.random.default_rng(0))
    conditions = Conditions(scenario, trace)
    placer, allocator = build_placer("exact"), build_allocator("waterfilling")
    near, anew, warm, off = None, [], [], 0.0
    for k in range(50):
        started = time.process_time()
        problem = conditions.problem(trace.values[k])
        compiled = time.process_time() - started
        duals = BestPrice(problem), BestPrice(problem, near)
        for dual, took in zip(duals, (anew, warm), strict=True):
            started = time.process_time()
            place(placer, problem, allocator, dual=dual)
            took.append(compiled + time.process_time() - started)
        off = max(off, abs(duals[1].bound / duals[0].bound - 1.0))
        near = duals[1].point.prices
    print(
        f"{scenario.n_nodes:,} nodes, a tenth of the links moved: {1e3 * np.median(anew):.2f} ms of CPU anew, "
        f"{1e3 * np.median(warm[1:]):.2f} ms from the last plan; bounds differ by at most {off:.1e}"
    )
    started = time.perf_counter()
    found = replay(scenario, trace, ("static", "change:0.3", "oracle"), jobs=jobs)
    print(f"{trace.end:,.0f} s replayed in {time.perf_counter() - started:.1f} s with {jobs} processes")
    for run in found.runs:
        over = 100 * found.regret(run)
        print(f"  {run.policy:12s} {1e3 * run.mean_delay(trace.spans):9.2f} ms, {over:.2f} % above the bound")


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", default="mixed")
    parser.add_argument("--nodes", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--trace", action="append", default=[])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--scale", action="store_true")
    given = parser.parse_args()
    if given.scale:
        scale(generate("mixed", nodes=given.nodes or 1000, seed=1), int(given.seconds or 3600), given.jobs)
        return
    traces = [*given.trace, "markov:1200", "onoff:1200"]
    table(generate(given.family, nodes=given.nodes or 20, seed=1), traces, given.seconds or 1e7, given.jobs)


if __name__ == "__main__":
    main()
