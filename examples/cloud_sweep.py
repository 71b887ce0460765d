"""How much cloud does a fleet need? The optimum over cloud capacity, as a plot and a table."""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from dmcjia_opt import generate, sweep

out = Path(*sys.argv[1:] or ["out"])
out.mkdir(parents=True, exist_ok=True)

scenario = generate("paper", nodes=20, seed=1)
gflops = np.geomspace(20, 1000, 25)
found = sweep(scenario, cloud_gflops=gflops.tolist())
delays = 1e3 * found["delay_s"]

found.to_csv(out / "cloud_sweep.csv", index=False)
figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
axes.semilogx(gflops, delays, marker="o")
axes.set(xlabel="cloud compute, GFLOP/s", ylabel="proved optimal mean delay, ms", title="20 nodes of Table 5")
axes.grid(visible=True, which="both", alpha=0.3)
figure.savefig(out / "cloud_sweep.png", dpi=150)

for value, delay, gap in list(zip(gflops, delays, found["gap"], strict=True))[::6]:
    print(f"{value:5.0f} GFLOP/s: {delay:5.0f} ms, proved to {gap:.0e}")
