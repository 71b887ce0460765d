"""Runs a deployment on this machine, and says how far what it measures is from what was predicted.

    python benchmarks/deploy.py [--tasks 300] [--seeds 3] [--load 0.15] [--paced]

Three nodes of a network of matrix products are planned with the times that this machine takes, deployed and run as
processes. Without --paced the predictions use the service times measured in the run; with it devices and servers are
planned four times as slow, so that this machine keeps the pace. The noise of the machine is
stated: how its service times scatter (their coefficients of variation), how late sleeping processes wake up, and the
load average before and after.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from dmcjia_opt import load_plan, load_scenario, solve
from dmcjia_opt.base.machine import machine
from dmcjia_opt.model.networks.measured import MeasuredTimes
from dmcjia_opt.model.networks.measuring import Measurement, measure
from dmcjia_opt.model.networks.onnx_ import read_onnx
from dmcjia_opt.model.scenario.loading import load_graphs
from dmcjia_opt.studies.deploy.deploying import deploy
from dmcjia_opt.studies.deploy.run_here import run
from dmcjia_opt.studies.deploy.run_result import RunResult, result_of

_WIDTH, _LAYERS, _ROWS = 1024, 8, 96
_SLOWER = 4.0
_NODE = """
[[nodes]]
name = "{name}"
device = "here"
model = "net.onnx"
compute_gflops = 1.0
uplink_mbps = {mbps}
arrival_rate = {rate}
splits = [{split}]
"""


def network(path: Path) -> None:
    """Write a network of equal matrix products."""
    rng, nodes, weights, name = np.random.default_rng(0), [], [], "x"
    for k in range(_LAYERS):
        weight = (rng.normal(size=(_WIDTH, _WIDTH)) / np.sqrt(_WIDTH)).astype(np.float32)
        weights.append(numpy_helper.from_array(weight, f"w{k}"))
        nodes += [
            helper.make_node("MatMul", [name, f"w{k}"], [f"m{k}"]),
            helper.make_node("Relu", [f"m{k}"], [f"r{k}"]),
        ]
        name = f"r{k}"
    ends = [helper.make_tensor_value_info(end, TensorProto.FLOAT, [_ROWS, _WIDTH]) for end in ("x", name)]
    graph = helper.make_graph(nodes, "net", ends[:1], ends[1:], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), path)


def deployed(folder: Path, load: float, slower: float) -> float:
    """Plan three nodes, each a load of one core, with this machine's times; return the seconds of the whole network.

    What is planned with is `slower` times as slow as this machine.
    """
    network(folder / "net.onnx")
    times = measure(read_onnx(folder / "net.onnx"), "here", "layers", Measurement(threads=1))
    ((timed, layers),) = times.seconds.items()
    seconds = {layer: slower * taken for layer, taken in layers.items()}
    MeasuredTimes({timed: seconds}).save(folder / "times.csv")
    whole = sum(seconds.values())
    rate, n_bytes = load / whole, 4 * _ROWS * _WIDTH
    nodes = []
    for name, part, split in (("gate", 0.5, 4), ("yard", 0.7, 5), ("dock", 0.4, 6)):
        mbps = 8e-6 * n_bytes / (part * whole)
        nodes.append(_NODE.format(name=name, mbps=round(mbps, 3), rate=round(rate, 3), split=split))
    head = '[profiles]\ntimes_file = "times.csv"\n[cloud]\ncompute_gflops = 1.0\ndevice = "here"\n'
    (folder / "s.toml").write_text(f'{head}[options]\ndelay = "tandem"\n{"".join(nodes)}', encoding="utf-8")
    scenario = load_scenario(folder / "s.toml")
    solve(scenario).save(folder / "plan.json")
    graphs = load_graphs(folder / "s.toml", scenario.nodes.networks)
    deploy(scenario, load_plan(folder / "plan.json"), graphs).save(folder / "dep")
    return whole


def lateness() -> str:
    """Return how late a sleeping process wakes up here, in words."""
    late = []
    for _ in range(200):
        due = time.monotonic() + 0.002
        time.sleep(0.002)
        late.append(1e3 * (time.monotonic() - due))
    return f"median {np.median(late):.2f} ms, 95th percentile {np.quantile(late, 0.95):.2f} ms, most {max(late):.2f} ms"


def show(result: RunResult, seed: int) -> None:
    """Print a line a node."""
    for node in result.nodes:
        delay, cvs = node.delay, [stage.service_cv for stage in node.stages]
        print(
            f"{seed:>4} {node.name:<6} {1e3 * delay.planned_s:8.2f} {1e3 * delay.predicted_s:9.2f} "
            f"{1e3 * node.replayed_s:8.2f} {1e3 * delay.measured_s:8.2f} {100 * delay.error:+7.1f} "
            f"{1e3 * delay.predicted_p95_s:8.2f} {1e3 * delay.measured_p95_s:8.2f}   "
            f"{' '.join(f'{cv:.2f}' for cv in cvs)}"
        )
    before, after = result.records.load
    off = result.off()
    print(f"     load {before} before, {after} after; {f'median node {100 * off[0]:.1f} % off' if off else ''}")
    for note in result.notes():
        print(f"     {note}")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--load", type=float, default=0.15, help="of one core, by each node")
    parser.add_argument("--paced", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        whole = deployed(folder, options.load, _SLOWER if options.paced else 1.0)
        print(f"{machine()}\nthe network is planned to take {1e3 * whole:.2f} ms; sleepers wake up late: {lateness()}")
        print("seed node    planned predicted replayed measured   off %  p95 pred p95 meas   cv by stage   (ms)")
        errors: list[float] = []
        for seed in range(options.seeds):
            result = result_of(run(folder / "dep", tasks=options.tasks, paced=options.paced, seed=seed))
            show(result, seed)
            errors += result.errors.tolist()
        off = 100 * np.abs(errors)
        print(f"all: median {np.nanmedian(off):.1f} % off, worst {np.nanmax(off):.1f} %")


if __name__ == "__main__":
    main()
