"""Draws opening.svg: what rules, the paper's algorithm, selfish nodes and the optimum make of examples/warehouse.toml.

Run it after a change of the example or of the drawing: ``python docs/draw_opening.py``.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

from dmcjia_opt import Plan, Scenario, load_scenario, solve
from dmcjia_opt.studies.look.colours import STAGES

HERE = Path(__file__).parent
WIDTH, TOP, ROW, BAR, LEFT, RIGHT = 760, 74, 52, 24, 214, 168
#: What each bar is called, the placer and allocator that make its plan, and the seed.
PLANS = (
    ("all at the edge", "edge-only", "waterfilling", 0),
    ("all on the server", "cloud-only+", "waterfilling", 0),
    ("each for itself", "neurosurgeon+", "waterfilling", 0),
    ("the paper's algorithm", "dmcjia", "alm", 1),
    ("the optimum, proved", "exact", "waterfilling", 0),
)
#: In light and in dark, whatever the reader's system has.
STYLE = """<style>
 .page { fill: #ffffff } .ink { fill: #1f2937 } .grey { fill: #5b6472 } .bound { stroke: #1f2937 }
 @media (prefers-color-scheme: dark) {
  .page { fill: #131416 } .ink { fill: #e5e7eb } .grey { fill: #9ca3af } .bound { stroke: #e5e7eb }
 }
</style>"""


def plans() -> tuple[Scenario, list[tuple[str, Plan]]]:
    """Return the example, and the plan of each bar beside its name."""
    scenario = load_scenario(HERE.parent / "examples" / "warehouse.toml")
    return scenario, [(name, solve(scenario, placer, allocator, seed=seed)) for name, placer, allocator, seed in PLANS]


def text(x: float, y: float, words: str, look: str = "ink", size: int = 14, anchor: str = "start") -> str:
    """Return a line of text; a `look` that ends in "bold" is bold."""
    weight = ' font-weight="600"' if look.endswith("bold") else ""
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} class="{look.split(maxsplit=1)[0]}" font-size="{size}"{weight}>{escape(words)}</text>'


def bar(x: float, y: float, width: float, stage: str) -> str:
    """Return a stage of a delay."""
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{BAR}" fill="{STAGES[stage]}"/>'


def draw() -> str:
    """Return the picture as SVG."""
    scenario, made = plans()
    best = made[-1][1]
    wide = (WIDTH - LEFT - RIGHT) / max(plan.mean_delay for _, plan in made)
    parts = [text(16, 28, f"Mean delay of {scenario.n_nodes} cameras that share a server", "ink bold", 17)]
    x = float(LEFT)
    for stage, said in (("edge", "at the camera"), ("upload", "on the link"), ("cloud", "on the server")):
        parts += [
            f'<rect x="{x:.1f}" y="44" width="12" height="12" fill="{STAGES[stage]}"/>',
            text(x + 18, 55, said, "grey", 13),
        ]
        x += 140
    for k, (name, plan) in enumerate(made):
        y, x = TOP + ROW * k, float(LEFT)
        parts.append(text(16, y + 13, name, "ink bold" if plan is best else "ink", 15))
        parts.append(text(16, y + 30, "splits " + ", ".join(map(str, plan.splits)), "grey", 12))
        for stage in ("edge", "upload", "cloud"):
            width = wide * float(getattr(plan.delays, stage).mean())
            parts.append(bar(x, y, width, stage))
            x += width
        more = plan.mean_delay / best.mean_delay - 1
        parts.append(text(x + 8, y + 17, f"{1e3 * plan.mean_delay:,.0f} ms", "ink bold", 15))
        if plan is not best:
            parts.append(text(x + 92, y + 17, f"+{100 * more:.0f} %", "grey", 13))
    bottom, bound = TOP + ROW * len(made), LEFT + wide * best.lower_bound
    line = f'x1="{bound:.1f}" y1="{TOP - 8}" x2="{bound:.1f}" y2="{bottom - 8}" stroke-dasharray="3 3"'
    parts += [
        f'<line {line} class="bound"/>',
        text(bound, bottom + 10, "no plan is faster than this: proved", "ink", 13, "middle"),
    ]
    height = bottom + 28
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            'font-family="system-ui, sans-serif" role="img">',
            STYLE,
            f'<rect width="{WIDTH}" height="{height}" rx="12" class="page"/>',
            *parts,
            "</svg>\n",
        ]
    )


if __name__ == "__main__":
    (HERE / "opening.svg").write_text(draw(), encoding="utf-8")
