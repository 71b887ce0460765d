"""How exact the delays of arrivals and of pooled resources are: random plans against their simulation.

    python benchmarks/streams.py formulas [--plans 200] [--tasks 10000000] [--seed 0] [--sharing fifo]
    python benchmarks/streams.py errors [--tasks 2000000]

``formulas``: nodes that send all they have to one pooled cloud, where the formulas are exact: how many plans have their
mean delay inside the simulation's 99 % interval, for one queue and for processor sharing. Exit status 1 if fewer than
98.5 % have. ``errors``: what the approximations are off by, in tables: waits by (c_a² + c_s²)/2 where gaps vary
otherwise than Poisson's, periodic nodes that meet, and batches of tasks that differ.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from dmcjia_opt import Scenario
from dmcjia_opt.model.scenario.nodes import NodeTable
from dmcjia_opt.model.scenario.scenario import Options
from dmcjia_opt.model.scenario.services import stage_times
from dmcjia_opt.solving.contract import Placement
from dmcjia_opt.studies.simulation.fleet import simulate
from dmcjia_opt.studies.simulation.result import Simulation

NETWORKS = ("alexnet", "mobilenet_v2", "resnet34", "resnet50", "vgg19")
CURVES = (Options(), Options(delay="mm1"), Options(delay="mg1", service_scv=0.5), Options(delay="mg1", service_scv=3.0))
_LEAST_INSIDE = 0.985


def all_sent(
    rates: Sequence[float], networks: Sequence[int], load: float, *, scv: float = 1.0, **changes: object
) -> tuple[Scenario, Placement]:
    """Return nodes that send all they have, on uplinks where nobody waits, to a cloud of a load; and that plan."""
    n = len(rates)
    nodes = NodeTable(
        names=tuple(f"node-{d + 1:02d}" for d in range(n)),
        networks=NETWORKS,
        compute_gflops=5.0,
        uplink_mbps=1000.0,
        arrival_rate=np.array(rates, dtype=np.float64),
        network_index=np.array(networks, dtype=np.int64),
        arrivals=np.array(scv),
    )
    nothing = np.zeros(n, dtype=np.int64)
    one = Scenario(1000.0, nodes, **changes)  # type: ignore[arg-type]
    asked = nodes.arrival_rate * stage_times(one).at(nothing).used[:, 0]
    scenario = replace(one, cloud_gflops=1000.0 * float(asked.sum()) / load)
    shares = np.zeros(n) if scenario.cloud_sharing != "reserved" else asked / asked.sum() * (1.0 - 1e-15)
    return scenario, Placement(nothing, shares)


def drawn(rng: np.random.Generator, sharing: str) -> tuple[Scenario, Placement]:
    """Return a random pooled fleet where the formulas are exact."""
    n = int(rng.integers(2, 21))
    rates = 10.0 ** rng.uniform(-0.5, 0.5, n)
    options = CURVES[int(rng.integers(len(CURVES)))]
    networks = rng.integers(0, len(NETWORKS), n)
    load = float(rng.uniform(0.1, 0.9))
    return all_sent(rates.tolist(), networks.tolist(), load, cloud_sharing=sharing, options=options)


def inside(found: Simulation) -> bool:
    """Return whether the model's mean lies in the simulation's 99 % interval."""
    return abs(found.mean_delay - found.mean_model) <= found.mean_half_width(0.99)


def formulas(plans: int, tasks: int, seed: int, kinds: Sequence[str]) -> bool:
    """Print how many random plans lie inside; return whether they are as many as there should be."""
    fine = True
    for sharing in kinds:
        rng, started, hits, widths, off = np.random.default_rng(seed), time.perf_counter(), 0, [], []
        for k in range(plans):
            scenario, plan = drawn(rng, sharing)
            found = simulate(scenario, plan, tasks=max(tasks // scenario.n_nodes, 1000), seed=seed + k)
            hits += inside(found)
            widths.append(found.mean_half_width(0.99) / found.mean_delay)
            off.append((found.mean_delay - found.mean_model) / found.mean_half_width(0.99))
        took = time.perf_counter() - started
        print(
            f"{sharing}: {hits} of {plans} plans inside the 99 % interval, {tasks:,} tasks each; "
            f"half-widths {100 * np.median(widths):.2g} % in the median, simulated less model "
            f"{np.mean(off):+.3f} ± {np.std(off) / plans**0.5:.3f} of them; {took:.0f} s",
            flush=True,
        )
        fine &= hits >= _LEAST_INSIDE * plans
    return fine


def regular(tasks: int) -> Iterator[tuple[float, float, float, float]]:
    """Yield c_a², load, and the mean delay of one reserved queue by model and by simulation over its service."""
    for scv in (0.1, 0.3, 0.5, 2.0, 4.0):
        for load in (0.3, 0.5, 0.7, 0.9):
            scenario, plan = all_sent([1.0], [2], load, scv=scv)
            found = simulate(scenario, plan, tasks=tasks)
            service = float(stage_times(scenario).at(np.asarray(plan.options)).used[0, 0])
            upload = float(found.delays.upload[0])
            yield scv, load, (found.mean_model - upload) / service, (found.mean_delay - upload) / service


def meeting(tasks: int) -> Iterator[tuple[int, float, float, float, float]]:
    """Yield how many periodic nodes meet, at what load, and mean delays over the service.

    They are by the model, simulated, and what Poisson arrivals would take.
    """
    for n in (2, 5, 10, 20, 50):
        for load in (0.3, 0.5, 0.7, 0.9):
            scenario, plan = all_sent([1.0] * n, [2] * n, load, scv=0.0, cloud_sharing="fifo")
            found = simulate(scenario, plan, tasks=max(tasks // n, 20_000))
            service = float(stage_times(scenario).at(np.asarray(plan.options)).used[0, 0])
            upload = float(found.delays.upload[0])
            poisson = 1.0 + load / (2.0 * (1.0 - load))
            yield n, load, (found.mean_model - upload) / service, (found.mean_delay - upload) / service, poisson


def batched(tasks: int) -> Iterator[tuple[str, str, float, float, float, float]]:
    """Yield seconds by batch, which networks share batches, and the load.

    Then follow mean delays by model and by simulation, s, and by how much the node that is farthest off is, relatively.
    """
    together = {"equal": (2,), "1 : 2.3": (0, 1), "1 : 5": (0, 2), "1 : 60": (0, 1, 2, 3, 4)}
    for seconds in ({"1": 0.004, "8": 0.011}, {"1": 0.004, "32": 0.011}, {"1": 0.010, "4": 0.038}):
        for called, networks in together.items():
            n = 2 * len(networks)
            for load in (0.1, 0.3, 0.5, 0.7, 0.9):
                scenario, plan = all_sent(
                    [1.0] * n, 2 * networks, load, cloud_sharing="fifo", cloud_seconds_by_batch=seconds
                )
                found = simulate(scenario, plan, tasks=tasks // n)
                upload = found.delays.upload
                model, real = found.model - upload, found.delay - upload
                off = model / real - 1.0
                yield str(seconds), called, load, model.mean(), real.mean(), float(off[np.abs(off).argmax()])


def errors(tasks: int) -> None:
    """Print the tables."""
    print("one queue of deterministic service, delay over service: c_a², load, (c_a² + c_s²)/2, simulated, off")
    for scv, load, model, real in regular(tasks):
        print(f"{scv:4g} {load:4g} {model:8.4f} {real:8.4f} {100 * (model / real - 1):+7.2f} %")
    print("periodic nodes in one queue, delay over service: nodes, load, model, simulated, off, if Poisson, off")
    for n, load, model, real, poisson in meeting(tasks):
        off, far = 100 * (model / real - 1), 100 * (poisson / real - 1)
        print(f"{n:4d} {load:4g} {model:8.4f} {real:8.4f} {off:+7.2f} % {poisson:8.4f} {far:+7.2f} %")
    print("batches, mean delays at the server, s: seconds by batch, work of its tasks, load, model, simulated, off")
    for seconds, works, load, model, real, worst in batched(tasks):
        off = 100 * (model / real - 1)
        print(f"{seconds:26s} {works:8s} {load:4g} {model:8.4f} {real:8.4f} {off:+6.1f} %; a node {100 * worst:+.0f} %")


def main() -> int:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("formulas", "errors"))
    parser.add_argument("--sharing", choices=("fifo", "ps"), action="append")
    parser.add_argument("--plans", type=int, default=200)
    parser.add_argument("--tasks", type=int, default=10_000_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.what == "errors":
        errors(arguments.tasks)
        return 0
    kinds = arguments.sharing or ("fifo", "ps")
    return 0 if formulas(arguments.plans, arguments.tasks, arguments.seed, kinds) else 1


if __name__ == "__main__":
    sys.exit(main())
