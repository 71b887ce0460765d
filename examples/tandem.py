"""Is the model true? Plans made with the paper's delay and with the exact tandem, both simulated on the same tasks."""

import sys
from pathlib import Path

from dmcjia_opt import compare, generate, simulate, solve

out = Path(*sys.argv[1:] or ["out"])
out.mkdir(parents=True, exist_ok=True)

plans, found = {}, {}
for delay in ("md1", "tandem"):
    scenario = generate("paper", nodes=10, seed=5, cloud_gflops=40.0, delay=delay)
    plans[delay] = solve(scenario)
    plans[delay].save(out / f"tandem_{delay}.json")
for delay, plan in plans.items():  # both in the same, exact, world
    found[delay] = simulate(scenario, plan, tasks=200_000, seed=1)
    truth, half = 1e3 * found[delay].mean_delay, 1e3 * found[delay].mean_half_width()
    said = 1e3 * plan.objective
    print(f"{delay:6s} says {said:.1f} ms, simulated {truth:.1f} ± {half:.1f}, {said / truth - 1:+.2%} off")

saved = compare(found["tandem"], found["md1"])
changed = int((plans["md1"].splits != plans["tandem"].splits).sum())
print(f"the exact model changes {changed} splits of 10", end=" ")
print(f"and saves {1e3 * saved.mean:.1f} ± {1e3 * saved.half_width():.1f} ms")
