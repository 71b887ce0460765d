"""Time to a proved gap of 1e-6 where many resources are shared: `exact` beside general solvers, in one run.

    python benchmarks/many_resources.py [--rows "links 20+1" …] [--methods scip bonmin] [--seconds 60] [--quick]

Each method solves each row in a process of its own, after a small problem to warm up, with the same wall time limit; a
process that does not keep it is ended. Each plan is recomputed by this package. A cell holds the seconds, and how many
times as long as `exact` that is. "> 60" met the limit; "1e-03 off" ended without a plan that is within 1e-5 of the best
plan of all methods; "failed" says nothing, and its sentence stands below the table. For `exact` the gap is the proved
one. "20 + 1" is the number of nodes and of what is shared beside the cloud.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dmcjia_opt import Scenario, Stop, build_allocator, build_placer, compile_problem, generate
from dmcjia_opt.base.errors import DmcjiaError
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.contract import Status
from dmcjia_opt.solving.registry import spec_of, why_not
from dmcjia_opt.solving.running import place

METHODS = ("exact", "scip", "bonmin", "mindtpy", "cvxpy:SCIP")
GAP = 1e-6
_OFF = 1e-5
_PATIENCE = 15.0  # seconds beyond the limit, for starting, warming up and ending

#: Row → (family, nodes, further options of the family).
ROWS: Mapping[str, tuple[str, int, Mapping[str, Any]]] = {
    "links 20+1": ("links", 20, {"links": 1}),
    "links 100+5": ("links", 100, {"links": 5}),
    "links 200+10 scarce": ("links", 200, {"links": 10, "cloud_gflops": 600.0}),
    "servers 20+3": ("servers", 20, {"servers": 3}),
    "servers 100+5": ("servers", 100, {"servers": 5}),
    "tiers 10": ("tiers", 10, {}),
    "tiers 50": ("tiers", 50, {}),
    "near 20+1": ("near", 20, {"links": 1}),
}
QUICK: Mapping[str, tuple[str, int, Mapping[str, Any]]] = {
    "links 8+1": ("links", 8, {"links": 1}),
    "servers 6+2": ("servers", 6, {"servers": 2}),
    "tiers 4": ("tiers", 4, {}),
    "near 6+1": ("near", 6, {"links": 1}),
}
_SCARCE = 0.7  # of the capacity of every link


def instance(row: str, seed: int) -> Scenario:
    """Return the scenario of a row."""
    family, nodes, options = (ROWS | QUICK)[row]
    scenario = generate(family, nodes=nodes, seed=seed, **options)
    if row.endswith("scarce"):
        links = tuple(link.model_copy(update={"mbps": _SCARCE * link.mbps}) for link in scenario.links)
        scenario = replace(scenario, links=links)
    return scenario


def measure(name: str, problem: Problem, seconds: float) -> dict[str, Any]:
    """Return how long a method took, what its plan is worth and what is proved or claimed of it."""
    placer = build_placer(name)
    if why := placer.supports(problem):
        return {"why": why}
    start = time.perf_counter()
    try:
        found = place(placer, problem, build_allocator("waterfilling"), stop=Stop(seconds=seconds, gap=GAP))
    except DmcjiaError as error:
        return {"why": str(error), "seconds": time.perf_counter() - start}
    wall = time.perf_counter() - start
    value = math.inf
    if found.shares is not None and problem.residuals(found.options, found.shares).feasible:
        value = float(problem.objective(found.options, found.shares))
    done = found.status in (Status.OPTIMAL, Status.WITHIN)
    return {"seconds": wall, "value": value, "bound": found.lower_bound, "done": done, "status": str(found.status)}


def in_a_process(row: str, name: str, seed: int, seconds: float) -> dict[str, Any]:
    """Return what `measure` does, from a process of its own."""
    command = [
        sys.executable,
        __file__,
        "--one",
        row,
        "--methods",
        name,
        "--seed",
        str(seed),
        "--seconds",
        str(seconds),
    ]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=seconds + _PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        return {"seconds": math.inf, "why": "it did not end, and was ended"}
    if ran.returncode != 0:
        return {"why": (ran.stderr.strip().splitlines() or ["no reason given"])[-1]}
    found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return found


def one(row: str, name: str, seed: int, seconds: float) -> None:
    """Measure a method on a row, and print what was found as a line of JSON."""
    warm = compile_problem(generate("links", nodes=3, seed=0))
    measure(name, warm, 10.0)
    print(json.dumps(measure(name, compile_problem(instance(row, seed)), seconds)))


def cell(found: Mapping[str, Any], best: float, own: float, seconds: float) -> str:
    """Return the words of one method on one row."""
    if "value" not in found:
        return "failed" if math.isfinite(found.get("seconds", 0.0)) else f"> {seconds:.0f}"
    wall, off = found["seconds"], found["value"] / best - 1.0
    if wall >= seconds:
        return f"> {seconds:.0f} (> {seconds / own:.0f} ×)"
    if not found["done"]:
        return f"{wall:.2f}, {found['status']}"
    if off > _OFF:
        return f"{wall:.2f}, {off:.0e} off"
    return f"{wall:.2f} ({wall / own:.0f} ×)"


def compare(row: str, methods: Sequence[str], seed: int, seconds: float) -> list[str]:
    """Print one row; return sentences of what failed."""
    problem = compile_problem(instance(row, seed))
    results = {name: in_a_process(row, name, seed, seconds) for name in methods}
    best = min((found["value"] for found in results.values() if "value" in found), default=math.inf)
    exact = results["exact"]
    own = exact.get("seconds", math.nan)
    gap = 1.0 - exact.get("bound", -math.inf) / exact.get("value", math.inf)
    size = f"{problem.n_nodes} × {problem.n_resources}"
    late = not exact.get("done", False)
    words = [f"{row:20s} {size:>9s} {f'> {seconds:.0f}' if late else f'{own:.3f}':>8s} {gap:8.0e}"]
    words += [f"{cell(results[name], best, own, seconds):>22s}" for name in methods if name != "exact"]
    peers = [
        found["seconds"]
        for name, found in results.items()
        if name != "exact" and found.get("done") and found["value"] <= best * (1 + _OFF) and found["seconds"] < seconds
    ]
    least = min(peers, default=math.inf)
    ratio = f"{least / own:.0f} ×" if math.isfinite(least) else f"> {seconds / own:.0f} ×"
    words.append(f"{'–' if late else ratio:>12s}")
    print("".join(words), flush=True)
    return [f"{row}, {name}: {found['why']}" for name, found in results.items() if "why" in found]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", choices=[*ROWS, *QUICK], metavar="ROW")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), metavar="METHOD")
    parser.add_argument("--seconds", type=float, help="limit of one method on one row; 60, and 10 with --quick")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="small rows, for a look")
    parser.add_argument("--one", choices=[*ROWS, *QUICK], help=argparse.SUPPRESS)
    options = parser.parse_args()
    seconds = options.seconds or (10.0 if options.quick else 60.0)
    if options.one:
        one(options.one, options.methods[0], options.seed, seconds)
        return
    methods = [
        "exact",
        *(
            name
            for name in options.methods
            if name != "exact" and why_not(spec_of("placer", name.split(":")[0])) is None
        ),
    ]
    header = f"{'row':20s} {'size':>9s} {'exact':>8s} {'gap':>8s}" + "".join(f"{name:>22s}" for name in methods[1:])
    print(f"{header}{'fastest':>10s} ×")
    failed: list[str] = []
    for row in options.rows or (QUICK if options.quick else ROWS):
        failed += compare(row, methods, options.seed, seconds)
    print("\n".join(failed))


if __name__ == "__main__":
    main()
