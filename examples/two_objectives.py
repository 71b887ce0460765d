"""Two objectives: the mean delay and the worst node's, as NSGA-II's front, every point computed anew."""

import csv
import sys
from pathlib import Path

from dmcjia_opt import certify, compile_problem, generate
from dmcjia_opt.methods.placers.genetic.two_objectives import trade_offs

out = Path(*sys.argv[1:] or ["out"])
out.mkdir(parents=True, exist_ok=True)

problem = compile_problem(generate("paper", nodes=10, seed=1))
front = trade_offs(problem, population=40, generations=60, seed=1)
rows = [(1e3 * plan.mean, 1e3 * plan.worst, " ".join(map(str, plan.options))) for plan in front]
with (out / "two_objectives.csv").open("w", newline="", encoding="utf-8") as stream:
    csv.writer(stream).writerows([("mean_ms", "worst_ms", "splits"), *rows])

for mean, worst, splits in rows[:: max(1, len(rows) // 5)]:
    print(f"mean {mean:.1f} ms, worst node {worst:.1f} ms, splits {splits}")
first = certify(problem, front[0].options, front[0].shares)
print(f"{len(rows)} plans; the first is within {first.gap:.0e} of the least mean delay")
