"""How much cloud does a fleet need? The optimum over cloud capacity, as a plot and a table."""

import csv
import sys
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from dmcjia_opt import generate, solve

out = Path(*sys.argv[1:] or ["out"])
out.mkdir(parents=True, exist_ok=True)

scenario = generate("paper", nodes=20, seed=1)
gflops = np.geomspace(20, 1000, 25)
plans = [solve(replace(scenario, cloud_gflops=float(value))) for value in gflops]
delays = [1e3 * plan.objective for plan in plans]

with (out / "cloud_sweep.csv").open("w", newline="", encoding="utf-8") as stream:
    csv.writer(stream).writerows([("cloud_gflops", "mean_delay_ms"), *zip(gflops.tolist(), delays, strict=True)])
figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
axes.semilogx(gflops, delays, marker="o")
axes.set(xlabel="cloud compute, GFLOP/s", ylabel="proved optimal mean delay, ms", title="20 nodes of Table 5")
axes.grid(visible=True, which="both", alpha=0.3)
figure.savefig(out / "cloud_sweep.png", dpi=150)

for value, plan in list(zip(gflops, plans, strict=True))[::6]:
    print(f"{value:5.0f} GFLOP/s: {1e3 * plan.objective:5.0f} ms; 1 % more saves {10 * plan.price:.2f} ms at most")
