"""Twenty nodes whose links change: one plan for the mean, plans made again, and the best that could have been."""

import sys
from pathlib import Path

from dmcjia_opt import generate, replay

out = Path(*sys.argv[1:] or ["out"])
out.mkdir(parents=True, exist_ok=True)

fleet = generate("mixed", nodes=20, seed=1)
found = replay(fleet, "onoff:60", ["static", "static:harmonic", "periodic:30", "change:0.3", "oracle"], seed=1)
found.save(out / "changing_links.json")
found.to_csv(out / "changing_links.csv")
found.save_page(out / "changing_links.html")

spans = found.trace.spans
print(f"no policy is faster than {1e3 * found.lower_bound:.0f} ms in the mean")
for run in found.runs:
    print(f"{run.policy:16s} {1e3 * run.mean_delay(spans):6.0f} ms, {found.regret(run):6.1%} more;", end=" ")
    print(f"{run.planned.sum():3d} plans, {run.switched.sum():4d} switches")
