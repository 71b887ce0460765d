"""Tasks a second of one simulated node, beside ciw, an event-by-event simulator in Python.

    python benchmarks/simulation.py [--tasks 10000000] [--peer-tasks 20000] [--repeats 3]

Both simulate the same node in the same run: Poisson arrivals, a deterministic edge queue, an upload of fixed length, a
deterministic cloud queue. "off" is how far the mean delay is from the exact one, (Friedman 1965), "±" half of the
99 % interval. ciw gets fewer tasks, since its time grows in proportion. The last row draws service times too.
"""

from __future__ import annotations

import argparse
import resource
import time

import ciw
import numpy as np

from dmcjia_opt import simulate
from dmcjia_opt.model.scenario.nodes import NodeTable
from dmcjia_opt.model.scenario.scenario import Scenario
from dmcjia_opt.model.scenario.services import stage_times
from dmcjia_opt.solving.contract import Placement

RATE = 1.0
PLAN = Placement(np.array([16]), np.array([1.0]))


def node() -> Scenario:
    """Return ResNet34 on one node of 10 GFLOP/s with 6 GFLOP/s of cloud."""
    table = NodeTable(
        names=("node",),
        networks=("resnet34",),
        compute_gflops=np.array([10.0]),
        uplink_mbps=np.array([20.0]),
        arrival_rate=np.array([RATE]),
    )
    return Scenario(6.0, table)


def by_ciw(services: tuple[float, float, float], tasks: int) -> float:
    """Return the mean delay, s, of `tasks` tasks in ciw."""
    edge, upload, cloud = (ciw.dists.Deterministic(s) for s in services)
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Exponential(RATE), None, None],
        service_distributions=[edge, upload, cloud],
        routing=[[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]],
        number_of_servers=[1, float("inf"), 1],
    )
    ciw.seed(1)
    run = ciw.Simulation(network)
    run.simulate_until_max_customers(tasks)
    records = run.get_all_records()
    spent = sum(record.exit_date - record.arrival_date for record in records)
    return spent / tasks


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=10_000_000)
    parser.add_argument("--peer-tasks", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    scenario = node()
    found = stage_times(scenario).at(PLAN.options)
    services = float(found.edge[0]), float(found.upload[0]), float(found.used[0, 0])
    slowest = max(services[0], services[2])
    exact = sum(services) + RATE * slowest**2 / (2 * (1 - RATE * slowest))
    seconds: dict[str, list[float]] = {"ciw": [], "dmcjia_opt": [], "dmcjia_opt, service cv 0.5": []}
    notes = dict.fromkeys(seconds, "")
    for _ in range(options.repeats):
        for name, times in seconds.items():
            start = time.perf_counter()
            if name == "ciw":
                mean = by_ciw(services, options.peer_tasks)
                notes[name] = f"{mean / exact - 1:+.4%} off"
            else:
                run = simulate(scenario, PLAN, tasks=options.tasks, seed=1, service_cv=0.5 if "cv" in name else None)
                if "cv" not in name:
                    half = run.mean_half_width(0.99)
                    notes[name] = f"{run.mean_delay / exact - 1:+.4%} off ± {half / exact:.4%}"
            times.append(time.perf_counter() - start)
    tasks = {name: options.peer_tasks if name == "ciw" else options.tasks for name in seconds}
    speed = {name: tasks[name] / float(np.median(times)) for name, times in seconds.items()}
    loads = ", ".join(f"{RATE * s:.2f}" for s in services)
    print(f"one node, loads of edge, uplink, cloud {loads}; median of {options.repeats}")
    print(f"{'simulator':28s} {'tasks':>10s} {'seconds':>8s} {'tasks/s':>12s} {'times ciw':>9s}  mean delay")
    for name, times in seconds.items():
        print(
            f"{name:28s} {tasks[name]:10,d} {float(np.median(times)):8.3f} {speed[name]:12,.0f} "
            f"{speed[name] / speed['ciw']:9,.0f}  {notes[name]}"
        )
    print(f"peak memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB")


if __name__ == "__main__":
    main()
