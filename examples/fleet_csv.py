"""A fleet from CSV: three networks, planned over tasks with the exact delay, the plan written back as CSV."""

import csv
import sys
from pathlib import Path

from dmcjia_opt import load_scenario, solve

out = Path(*sys.argv[1:] or ["out"])
out.mkdir(parents=True, exist_ok=True)

scenario = load_scenario(Path(__file__).with_name("fleet_csv.toml"))
plan = solve(scenario)
columns = (plan.names, plan.networks, plan.splits.tolist(), plan.shares.tolist(), (1e3 * plan.delays.total).tolist())
with (out / "fleet_csv_plan.csv").open("w", newline="", encoding="utf-8") as stream:
    csv.writer(stream).writerows([("name", "model", "split", "share", "delay_ms"), *zip(*columns, strict=True)])

for name, model, split, share, delay in zip(*columns, strict=True):
    print(f"{name:7s} {model:13s} split {split:2d}, share {share:6.1%}, {delay:6.1f} ms")
print(f"mean over tasks {1e3 * plan.objective:.1f} ms, {plan.status}")
