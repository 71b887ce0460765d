"""What it takes to keep the 95th percentile of twenty cameras below 200 ms, and what other delays cost."""

import sys
from pathlib import Path

from dmcjia_opt import frontier, load_scenario, size

out = Path(*sys.argv[1:] or ["out"])
out.mkdir(parents=True, exist_ok=True)

office = load_scenario(Path(__file__).with_name("office.toml"))
wanted = size(office, deadline_ms=200)
wanted.save(out / "office_size.json")
bought = ", ".join(f"{name} {capacity:g}" for name, capacity in wanted.resources.items())
print(f"p95 below 200 ms: {bought} for {wanted.cost:.0f} a month; the worst has {1e3 * wanted.worst_delay:.0f} ms")
print(f"in any amount it would be {wanted.cost_exact:.2f}; less than {wanted.lower_bound:.2f} is not enough")

found = frontier(office)
found.to_csv(out / "office_frontier.csv")
found.draw(out / "office_frontier.png")
found.save_page(out / "office_frontier.html")
today = found.today
least = found.envelope(today.delay_s)
print(f"today {today.cost:.0f} for a mean p95 of {1e3 * today.delay_s:.0f} ms, which costs at least {least:.0f}")
for point in found.points[::4]:
    print(f"{1e3 * point.delay_s:4.0f} ms: {point.cost:8.2f}, at least {point.lower_bound:8.2f}")
