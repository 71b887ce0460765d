"""Fleets of a million to a billion nodes on one GPU: prices, the plan, its gap, and how long each takes.

    python benchmarks/gpu.py [--nodes 1000000 100000000 1000000000]
    python benchmarks/gpu.py --out FOLDER                             plans are written there, as Parquet
    python benchmarks/gpu.py --anywhere --nodes 1000000               on a CPU too

Nodes are drawn on the device from Table 5 of the paper, in float32: 5 to 9 GFLOP/s, 1 to 5 MiB/s, 0.5, 1 or 2 tasks a
second, and 20 GFLOP/s of cloud a node; everything is computed in float64. "first" is a pass of the whole menu with what
JAX needs to compile it; "plan" is from the columns to the proved plan on the device, without that. Where JAX finds no
GPU the script says so, and ends.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from dmcjia_opt.bounds.crowds import PartedCrowd
    from dmcjia_opt.bounds.dual import DualPoint
    from dmcjia_opt.bounds.jax_part import JaxPart
    from dmcjia_opt.model.scenario.as_columns import Fleet
    from dmcjia_opt.solving.fleets import Passes


def drawn(nodes: int) -> Fleet:
    """Return a fleet whose columns are on the device."""
    import jax
    import jax.numpy as jnp

    from dmcjia_opt import generate
    from dmcjia_opt.base.arrays import constant
    from dmcjia_opt.model.scenario.as_columns import Fleet

    template = generate("fleet", nodes=1000, seed=0)
    fleet = Fleet.of(replace(template, cloud_gflops=20.0 * nodes))
    keys = jax.random.split(jax.random.key(0), 3)
    uniform = [jax.random.uniform(key, (nodes,), dtype=jnp.float32) for key in keys]
    columns: dict[str, Any] = {
        "compute": (1e9 * (5.0 + 4.0 * uniform[0])).astype(jnp.float32),
        "bandwidth": (2.0**20 * (1.0 + 4.0 * uniform[1])).astype(jnp.float32),
        "rate": (2.0 ** jnp.floor(3.0 * uniform[2] - 1.0)).astype(jnp.float32),
    }
    same = {
        key: np.broadcast_to(getattr(fleet.times, key)[0], nodes)
        for key in ("scv", "input_bytes", "latency", "link", "host", "device_index")
    }
    weight = constant(1.0 / nodes, (nodes,))
    menus = replace(fleet.menus, index=np.broadcast_to(0, nodes))
    return replace(fleet, times=replace(fleet.times, **columns, **same, menus=menus), weight=weight)


def measure(nodes: int, out: Path | None) -> str:
    """Return one row of the table."""
    import jax

    from dmcjia_opt.bounds.jax_part import JaxPart
    from dmcjia_opt.solving.contract import Stop
    from dmcjia_opt.solving.fleets import beginning, chosen, filled, passes_over

    start = time.perf_counter()
    fleet = drawn(nodes)
    jax.block_until_ready(fleet.times.rate)
    made = time.perf_counter() - start
    part = JaxPart(fleet)

    def planned() -> tuple[Passes, PartedCrowd, DualPoint]:
        passes = passes_over(part, Stop())
        (crowd,) = chosen(passes, near)
        assert passes.best is not None
        return passes, crowd, filled(crowd, passes.best.prices)

    start = time.perf_counter()
    near = beginning([fleet])
    part.ask((), near)
    first = time.perf_counter() - start
    start = time.perf_counter()
    part.ask((), near)
    one = time.perf_counter() - start
    planned()  # compiles what prices one option a node
    start = time.perf_counter()
    passes, crowd, point = planned()
    took = time.perf_counter() - start
    delay = point.value + float((point.prices * (1.0 - point.use)).sum())
    delay += 2.0 * part.lowered * point.magnitude  # a bound's sums are lowered; a delay's are to be raised
    gap = (delay - passes.bound) / delay
    start = time.perf_counter()
    if out is not None:
        write(part, crowd, point, out / f"plan-{nodes}.parquet")
    wrote = time.perf_counter() - start
    return (
        f"{nodes:13,d} {made:8.2f} {first:8.2f} {1e3 * one:9.1f} {passes.count:7d} {took:8.3f} {delay:.12f} {gap:9.1e} "
        f"{float(point.use[0]) - 1.0:9.1e} {wrote if out else float('nan'):8.2f}"
    )


def write(part: JaxPart, crowd: PartedCrowd, point: DualPoint, path: Path) -> None:
    """Write the split and the share of every node, some at a time."""
    import jax.numpy as jnp
    import pyarrow as pa
    from pyarrow import parquet

    part.ask(crowd.steps, point.prices)
    schema = pa.schema([("split", pa.int16()), ("share", pa.float64())])
    with parquet.ParquetWriter(path, schema, compression="none", use_dictionary=["split"]) as writer:
        for kind in part.kinds:
            for _, option, shares in kind.chosen(jnp.asarray(point.prices)):
                columns = [pa.array(option.astype(np.int16)), pa.array(np.ascontiguousarray(shares[:, 0]))]
                writer.write_table(pa.table(columns, schema=schema))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", nargs="+", type=int, default=[1_000_000, 100_000_000, 1_000_000_000])
    parser.add_argument("--out", type=Path, help="write the plans into this folder")
    parser.add_argument("--anywhere", action="store_true", help="do without a GPU")
    arguments = parser.parse_args()
    try:
        import jax
    except ImportError:
        print("JAX is not installed, so there is nothing to measure: pip install 'dmcjia-opt[jax]'")
        return
    if jax.default_backend() == "cpu" and not arguments.anywhere:
        print("JAX finds no GPU here, so there is nothing to measure; --anywhere takes the CPU")
        return
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
    device = jax.devices()[0]
    print(f"{device.device_kind}, JAX {jax.__version__}, float64; times in s, a pass in ms")
    print(
        f"{'nodes':>13} {'columns':>8} {'first':>8} {'pass':>9} {'passes':>7} {'plan':>8} {'mean delay, s':>14} "
        f"{'gap':>9} {'use - 1':>9} {'written':>8}"
    )
    for nodes in arguments.nodes:
        print(measure(nodes, arguments.out), flush=True)


if __name__ == "__main__":
    main()
