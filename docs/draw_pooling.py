"""Draws the figures of reserve-or-pool.md: what pooling gives over the load, and what a neighbour that bursts does.

Run it after a change of a model, a family or of the drawing: ``python docs/draw_pooling.py``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from html import escape
from pathlib import Path

import numpy as np

from dmcjia_opt import Scenario, compile_problem, generate, simulate, solve
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.model.scenario.nodes import NodeTable
from dmcjia_opt.model.scenario.services import stage_times
from dmcjia_opt.solving.contract import Placement
from dmcjia_opt.studies.simulation.arrivals import Bursts, own_arrivals
from dmcjia_opt.studies.simulation.result import Simulation

HERE = Path(__file__).parent
INK, GREY, PALE = "#1f2937", "#6b7280", "#e5e7eb"
RESERVED, FIFO = "#1d4ed8", "#c2410c"
WIDTH, HEIGHT, LEFT, TOP, BOTTOM, GAP = 760, 330, 62, 46, 48, 78
FACTORS = (0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
SIZES = (1, 2, 5, 10, 20, 30)
LEVELS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
TASKS = 60_000

Line = tuple[str, str, Sequence[float], bool]


def text(x: float, y: float, words: str, colour: str = INK, anchor: str = "start", size: int = 13) -> str:
    """Return a line of text."""
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} fill="{colour}" font-size="{size}">{escape(words)}</text>'


def panel(
    left: float,
    width: float,
    title: str,
    below: str,
    ticks: Sequence[str],
    lines: Sequence[Line],
    levels: Sequence[float],
) -> list[str]:
    """Return a plot with a logarithmic axis, and lines by name, colour, a value for each tick, and whether dashed."""
    bottom, low, high = HEIGHT - BOTTOM, math.log(levels[0]), math.log(levels[-1])

    def x(k: int) -> float:
        return left + width * (k + 0.5) / len(ticks)

    def y(value: float) -> float:
        return bottom - (bottom - TOP) * (math.log(value) - low) / (high - low)

    drawn = [text(left, 20, title, size=14)]
    for level in levels:
        at = f'x1="{left:g}" x2="{left + width:g}" y1="{y(level):.1f}" y2="{y(level):.1f}"'
        drawn += [f'<line {at} stroke="{PALE}"/>', text(left - 6, y(level) + 4, f"{level:g}", GREY, "end", 11)]
    drawn += [text(x(k), bottom + 17, tick, GREY, "middle", 11) for k, tick in enumerate(ticks)]
    drawn.append(text(left + width / 2, bottom + 37, below, GREY, "middle", 12))
    for k, (name, colour, _, dashed) in enumerate(lines):
        style = ' stroke-dasharray="5 4"' if dashed else ""
        at = f'x1="{left + 10:g}" x2="{left + 34:g}" y1="{TOP + 10 + 17 * k}" y2="{TOP + 10 + 17 * k}"'
        drawn.append(f'<line {at} stroke="{colour}" stroke-width="2"{style}/>')
        drawn.append(text(left + 40, TOP + 14 + 17 * k, name, size=12))
    for _, colour, values, dashed in lines:
        points = " ".join(f"{x(k):.1f},{y(value):.1f}" for k, value in enumerate(values))
        style = ' stroke-dasharray="5 4"' if dashed else ""
        drawn.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"{style}/>')
        if not dashed:
            drawn += [f'<circle cx="{x(k):.1f}" cy="{y(v):.1f}" r="3" fill="{colour}"/>' for k, v in enumerate(values)]
    return drawn


def picture(label: str, parts: Sequence[str]) -> str:
    """Return an SVG with a white ground."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="Helvetica, Arial, sans-serif" '
        f'role="img" aria-label="{escape(label)}">'
    )
    return "\n".join([head, f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>', *parts, "</svg>", ""])


def over_load() -> str:
    """Return the least mean delay of twenty nodes of the paper, over how many tasks they have."""
    base, names = generate("paper", nodes=20, seed=1), ("reserved", "fifo")
    found: dict[str, list[float]] = {name: [] for name in names}
    for factor in FACTORS:
        nodes = replace(base.nodes, arrival_rate=factor * base.nodes.arrival_rate)
        for name in names:
            found[name].append(solve(replace(base, nodes=nodes, cloud_sharing=name)).objective)
    lines: list[Line] = [
        ("reserved shares", RESERVED, found["reserved"], False),
        ("one queue for all", FIFO, found["fifo"], False),
    ]
    parts = panel(
        LEFT,
        WIDTH - LEFT - 20,
        "Least mean delay, s, of twenty nodes of the paper, each planned anew",
        "tasks, times those of the paper's fleet",
        [f"{factor:g}" for factor in FACTORS],
        lines,
        (0.2, 0.3, 0.5, 1.0, 2.0),
    )
    return picture("Mean delay over the load, reserved and pooled", parts)


def neighbours() -> tuple[Scenario, np.ndarray]:
    """Return six nodes that send all they have to a cloud of load 0.6, half of it the first's, and the best shares."""
    rate, nothing = np.array([5.0, 1.0, 1.0, 1.0, 1.0, 1.0]), np.zeros(6, dtype=np.int64)
    nodes = NodeTable(tuple(f"node-{d + 1}" for d in range(6)), ("resnet34",), 5.0, 1000.0, rate)
    one = Scenario(100.0, nodes)
    asked = float(rate @ stage_times(one).at(nothing).used[:, 0])
    one = replace(one, cloud_gflops=100.0 * asked / 0.6)
    return one, WaterFilling().allocate(compile_problem(one), nothing[None, :]).shares[0]


def beside_bursts() -> str:
    """Return what a neighbour's bursts do to it and to the others, with reserved shares and in one queue."""
    scenario, shares = neighbours()
    ways = {
        "reserved": (scenario, Placement(np.zeros(6, dtype=np.int64), shares)),
        "fifo": (replace(scenario, cloud_sharing="fifo"), Placement(np.zeros(6, dtype=np.int64), np.zeros(6))),
    }
    width = (WIDTH - LEFT - GAP - 20) / 2
    parts = []
    for k, (name, (one, plan)) in enumerate(ways.items()):
        runs: list[Simulation] = [
            simulate(one, plan, tasks=TASKS, seed=3, arrivals=own_arrivals(one.nodes, {"node-1": Bursts(float(size))}))
            for size in SIZES
        ]
        mean = [float(run.delay[1:].mean()) for run in runs]
        tail = [float(run.quantiles[1:, 1].mean()) for run in runs]
        own = [float(run.delay[0]) for run in runs]
        colour = RESERVED if name == "reserved" else FIFO
        lines: list[Line] = [
            ("the others, 95 % within", colour, tail, True),
            ("the others, mean", colour, mean, False),
            ("who bursts, mean", GREY, own, False),
        ]
        title = "Reserved shares: delay, s" if name == "reserved" else "One queue for all: delay, s"
        left, below = LEFT + k * (width + GAP), "tasks of a neighbour's burst"
        parts += panel(left, width, title, below, [str(size) for size in SIZES], lines, LEVELS)
    return picture("A neighbour that bursts, beside reserved shares and in one queue", parts)


def figures() -> dict[str, str]:
    """Return the figures by their files."""
    return {"pooling-load.svg": over_load(), "pooling-bursts.svg": beside_bursts()}


if __name__ == "__main__":
    for name, drawn in figures().items():
        (HERE / name).write_text(drawn, encoding="utf-8")
