"""10,000 nodes in Parquet, planned to the proved optimum."""

import sys
import time
from pathlib import Path

import numpy as np

from dmcjia_opt import generate, load_scenario, solve

out = Path(*sys.argv[1:] or ["out"])
out.mkdir(parents=True, exist_ok=True)

generate("fleet", nodes=10_000, seed=1).save(out / "fleet.toml", nodes_file="fleet.parquet")
started = time.perf_counter()
scenario = load_scenario(out / "fleet.toml")
loaded = time.perf_counter()
plan = solve(scenario)
plan.save(out / "fleet_plan.json")
print(f"{scenario.n_nodes:,} nodes read in {loaded - started:.2f} s, planned in {plan.wall_seconds:.2f} s")
print(f"mean delay {1e3 * plan.objective:.2f} ms, gap {plan.gap:.0e}, {plan.status}")
for split, count in zip(*np.unique(plan.splits, return_counts=True), strict=True):
    print(f"split {split:2d}: {count:5,} nodes")
