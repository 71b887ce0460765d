"""The exact placer on fleets of a thousand to a million nodes, from tables and from columns: time, memory, passes.

    python benchmarks/fleet.py [--nodes 1000 10000 100000 1000000]
    python benchmarks/fleet.py --parts 1000000 --nodes 100000 1000000 10000000 [100000000]        in parts, rows written
    python benchmarks/fleet.py --links 200 --nodes 20000 --gap 1e-6       behind links that nodes share

Each row has a process of its own, so that the peak memory, above what the scenario takes, is its own. From tables is
how 0.1 planned every fleet, from columns how large fleets of one resource are planned now. "passes" is the time from
the scenario to the plan divided by that of one vectorised pass over the table (the dual at one vector of prices).
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.queues import Queue
from pathlib import Path


def measure(nodes: int, links: int, gap: float | None, way: str) -> tuple[float, str]:
    """Return the time, s, and one row of the table: a fleet planned from tables, as 0.1 did it, or from its columns."""
    import numpy as np

    from dmcjia_opt import Stop, compile_problem, generate
    from dmcjia_opt.bounds.dual import dual_point
    from dmcjia_opt.solving import fleets
    from dmcjia_opt.solving.solve import solve

    further = {"links": links} if links else {}
    scenario = generate("links" if links else "fleet", nodes=nodes, seed=1, **further)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    fleets.LARGE = 0 if way == "columns" else 1 << 62
    start = time.perf_counter()
    plan = solve(scenario, stop=Stop(gap=gap))
    took = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
    problem = compile_problem(scenario)
    passes = []
    for _ in range(3):
        start = time.perf_counter()
        dual_point(problem, np.full(problem.n_resources, 0.3 / problem.n_resources))
        passes.append(time.perf_counter() - start)
    single = min(passes)
    row = f"{nodes:9,d} {problem.n_resources:9,d} {way:>8s} {single:9.3f} {took:9.3f} {took / single:7.1f}"
    return took, f"{row} {plan.gap:9.1e} {memory:8,.0f}"


def in_parts(folder: Path, nodes: int, part_nodes: int, queue: Queue[tuple[float, str]]) -> None:
    """Draw, plan and write one fleet in parts; put the time a node, s, and one row of the table into a queue."""
    from dmcjia_opt.model.scenario.drawn_parts import generate_parts
    from dmcjia_opt.model.scenario.loading import load_parts
    from dmcjia_opt.model.scenario.parted import PartedScenario
    from dmcjia_opt.solving.node_rows import write_rows
    from dmcjia_opt.solving.parts.crews import Foreman, crew_here
    from dmcjia_opt.solving.parts.solve_parts import solve_parts

    scenario = generate_parts(folder / "nodes", "fleet", nodes=nodes, part_nodes=part_nodes, seed=1)
    scenario.save(folder / "fleet.toml", nodes_file="nodes")
    parted = load_parts(folder / "fleet.toml", most=0)
    assert isinstance(parted, PartedScenario)
    start = time.perf_counter()
    with crew_here(parted) as crew:
        plan = solve_parts(Foreman(parted, crew), keep=lambda tables: write_rows(folder / "plan.parquet", tables))
        took = time.perf_counter() - start
        workers = len(multiprocessing.active_children())
    memory = [resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    most = memory[0] + workers * memory[1]
    parts = f"{nodes:11,d} {len(parted.files):5,d} {max(workers, 1):7,d} {took:9.2f} {1e6 * took / nodes:9.2f}"
    queue.put((took / nodes, f"{parts} {plan.evaluations:6,d} {plan.gap:9.1e} {most:8,.0f}"))


def parts_table(sizes: Sequence[int], part_nodes: int) -> None:
    """Print what fleets in parts take, and how that grows; memory is at most that of this process and all workers."""
    names = f"{'nodes':>11s} {'parts':>5s} {'workers':>7s} {'plan s':>9s} {'µs/node':>9s} {'passes':>6s}"
    print(f"{names} {'gap':>9s} {'MB':>8s}")
    context, each = multiprocessing.get_context("spawn"), []
    for nodes in sizes:
        with tempfile.TemporaryDirectory() as folder:
            queue = context.Queue()
            process = context.Process(target=in_parts, args=(Path(folder), nodes, part_nodes, queue))
            process.start()
            took, row = queue.get()
            process.join()
        each.append(took)
        print(row, flush=True)
    print(f"time a node of the largest over that of the smallest: {each[-1] / each[0]:.2f}")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", nargs="+", type=int, default=[1000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--links", type=int, default=0, help="how many links the nodes share, beside the cloud")
    parser.add_argument("--gap", type=float, help="relative gap that is enough (default: that of an optimum)")
    parser.add_argument("--parts", type=int, help="plan fleets in parts of so many nodes each")
    options = parser.parse_args()
    if options.parts:
        parts_table(options.nodes, options.parts)
        return
    names = f"{'nodes':>9s} {'resources':>9s} {'from':>8s} {'pass s':>9s} {'solve s':>9s} {'passes':>7s}"
    print(f"{names} {'gap':>9s} {'MB':>8s}")
    for nodes in options.nodes:
        took = []
        for way in ("tables",) if options.links else ("tables", "columns"):
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                seconds, row = pool.apply(measure, (nodes, options.links, options.gap, way))
            took.append(seconds)
            print(row, flush=True)
        if len(took) > 1:
            print(f"{nodes:9,d} nodes: tables take {took[0] / took[1]:.1f} times as long as columns")


if __name__ == "__main__":
    main()
