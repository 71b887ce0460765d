"""Solvers and optimisers on one problem: what they find, what is proved about it, what it takes."""

import csv
import sys
from pathlib import Path

from dmcjia_opt import Stop, generate, solve

out = Path(*sys.argv[1:] or ["out"])
out.mkdir(parents=True, exist_ok=True)

METHODS = """exact + waterfilling, memetic + waterfilling, genetic + waterfilling, genetic + cvxpy:CLARABEL,
dmcjia + alm, pymoo:DE + waterfilling, scipy + waterfilling, bonmin + waterfilling, neurosurgeon+ + waterfilling"""

scenario = generate("scarce", nodes=10, seed=1)
rows = []
for method in METHODS.replace("\n", " ").split(", "):
    placer, allocator = method.split(" + ")
    plan = solve(scenario, placer, allocator, stop=Stop(evaluations=300), seed=1)
    rows.append((method, 1e3 * plan.objective, plan.gap, plan.evaluations, plan.wall_seconds))

rows.sort(key=lambda row: row[1])
with (out / "compare_backends.csv").open("w", newline="", encoding="utf-8") as stream:
    csv.writer(stream).writerows([("method", "mean_delay_ms", "gap", "plans", "seconds"), *rows])
for name, delay, gap, plans, seconds in rows:
    print(f"{name:28s} {delay:8.1f} ms  gap {gap:7.1e}  {plans:4d} plans  {seconds:6.3f} s")
