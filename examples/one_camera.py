"""One camera: its delay at every split, and the best one, proved."""

import csv
import sys
from pathlib import Path

import numpy as np

from dmcjia_opt import compile_problem, load_scenario, solve

out = Path(*sys.argv[1:] or ["out"])
out.mkdir(parents=True, exist_ok=True)

scenario = load_scenario(Path(__file__).with_name("one_camera.toml"))
problem = compile_problem(scenario)
plan = solve(scenario)

splits = np.arange(problem.n_options)[:, None]  # one plan a row; the camera has the whole cloud
delays = problem.objective(splits, np.ones_like(splits, dtype=float))
with (out / "one_camera.csv").open("w", newline="", encoding="utf-8") as stream:
    csv.writer(stream).writerows([("split", "delay_s"), *enumerate(delays.tolist())])

print(f"everything in the cloud: {1e3 * delays[0]:.0f} ms, everything at the edge: {1e3 * delays[-1]:.0f} ms")
print(f"best split {plan.splits[0]} of {problem.last[0]}: {1e3 * plan.objective:.0f} ms, {plan.status}")
