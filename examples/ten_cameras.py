"""Ten cameras from Table 5 of the paper: its own algorithm beside the proved optimum."""

import sys
from pathlib import Path

from dmcjia_opt import generate, solve

out = Path(*sys.argv[1:] or ["out"])
out.mkdir(parents=True, exist_ok=True)

scenario = generate("paper", nodes=10, seed=1)
scenario.save(out / "ten_cameras.toml")
best = solve(scenario)
paper = solve(scenario, placer="dmcjia", allocator="alm", seed=1)
best.save(out / "ten_cameras_plan.json")

for d, name in enumerate(best.names):
    print(f"{name}: split {best.splits[d]:2d}, share {best.shares[d]:6.1%}, {1e3 * best.delays.total[d]:4.0f} ms")
print(f"optimum {1e3 * best.objective:.1f} ms, proved to a gap of {best.gap:.0e}")
print(f"the paper's algorithm {1e3 * paper.objective:.1f} ms, {paper.objective / best.objective - 1:.1%} above it")
