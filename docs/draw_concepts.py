"""Draws concepts.svg: the optimal plan of examples/three_cameras.toml as nodes, uplinks, and shares of the cloud.

Run it after a change of the example or of the drawing: ``python docs/draw_concepts.py``.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

from dmcjia_opt import load_scenario, solve
from dmcjia_opt.studies.look.colours import STAGES

HERE = Path(__file__).parent
EDGE, LINK, CLOUD = STAGES["edge"], STAGES["upload"], STAGES["cloud"]
EDGE_PALE, CLOUD_PALE, INK, GREY = "#dcebf5", "#e6f4fc", "#1f2937", "#5b6472"
WIDTH, ROW, TOP, LAYER = 760, 138, 62, 7.4
EDGE_X, EDGE_W, CLOUD_X, CLOUD_W = 14, 320, 506, 240


def text(
    x: float, y: float, words: str, colour: str = INK, size: int = 15, anchor: str = "start", bold: bool = False
) -> str:
    """Return a line of text."""
    weight = ' font-weight="600"' if bold else ""
    place = f'x="{x:g}" y="{y:g}" text-anchor="{anchor}"'
    return f'<text {place} fill="{colour}" font-size="{size}"{weight}>{escape(words)}</text>'


def box(x: float, y: float, width: float, height: float, fill: str, stroke: str = "none", radius: float = 8) -> str:
    """Return a rectangle."""
    place = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"'
    return f'<rect {place} rx="{radius:g}" fill="{fill}" stroke="{stroke}"/>'


def layers(x: float, y: float, first: int, last: int, count: int, colour: str) -> list[str]:
    """Return a network as a row of bars, those from `first` to before `last` filled."""
    fills = [colour if first <= layer < last else "#ffffff" for layer in range(count)]
    return [box(x + layer * LAYER, y, LAYER - 1.6, 22, fill, GREY, 1) for layer, fill in enumerate(fills)]


def queue(x: float, y: float, colour: str) -> list[str]:
    """Return a queue of three tasks that ends at `x`."""
    return [box(x - 11 * k, y + 6, 8, 10, colour, "none", 2) for k in (3, 2, 1)]


def arrow(x: float, y: float, x_end: float, y_end: float) -> str:
    """Return an arrow."""
    return f'<path d="M{x:g} {y:g} L{x_end:g} {y_end:g}" stroke="{LINK}" stroke-width="3" marker-end="url(#head)"/>'


def draw() -> str:
    """Return the picture as SVG."""
    scenario = load_scenario(HERE.parent / "examples" / "three_cameras.toml")
    plan, nodes = solve(scenario), scenario.nodes
    bottom = TOP + ROW * scenario.n_nodes
    parts = [
        box(0, 0, WIDTH, bottom + 52, "#ffffff", "none", 12),
        text(EDGE_X, 32, "Edge nodes", EDGE, 18, bold=True),
        text((EDGE_X + EDGE_W + CLOUD_X) / 2, 32, "Uplinks", INK, 18, "middle", bold=True),
        text(CLOUD_X, 32, f"Cloud, {scenario.cloud_gflops:g} GFLOP/s", INK, 18, bold=True),
    ]
    height, lane_y = ROW * scenario.n_nodes - 16 - 34, TOP
    for d, name in enumerate(nodes.names):
        profile = scenario.profiles[nodes.network_of(d)]
        split, share, count, y = int(plan.splits[d]), float(plan.shares[d]), profile.n_layers, TOP + ROW * d
        strip = EDGE_X + EDGE_W - 12 - count * LAYER
        parts += [
            box(EDGE_X, y, EDGE_W, ROW - 16, EDGE_PALE),
            text(EDGE_X + 12, y + 24, name, EDGE, 16, bold=True),
            text(
                EDGE_X + EDGE_W - 12,
                y + 24,
                f"{nodes.compute_gflops[d]:g} GFLOP/s, λ = {nodes.arrival_rate[d]:g}/s",
                anchor="end",
            ),
            *(queue(strip - 4, y + 42, EDGE) if split else []),
            *layers(strip, y + 42, 0, split, count, EDGE),
            text(EDGE_X + 12, y + 88, f"split γ = {split} of {count}", bold=True),
            text(
                EDGE_X + 12,
                y + 109,
                f"edge {1e3 * plan.delays.edge[d]:.0f} ms" if split else "nothing computed here",
                GREY,
            ),
        ]
        lane = max(height * share, 34.0)
        middle_x = (EDGE_X + EDGE_W + CLOUD_X) / 2
        start, end = y + 53, lane_y + min(lane / 2, 74)
        sent, rate = profile.upload_bytes[split] / 1e3, nodes.uplink_mbps[d]
        parts += [
            arrow(EDGE_X + EDGE_W + 6, start, CLOUD_X - 10, end),
            text(middle_x, y + 18, f"{sent:.0f} kB, {rate:g} Mbit/s", GREY, 14, "middle"),
            text(middle_x, y + 38, f"upload {1e3 * plan.delays.upload[d]:.0f} ms", INK, 15, "middle"),
            box(CLOUD_X, lane_y, CLOUD_W, lane - 6, CLOUD_PALE if share else "#f3f4f6"),
        ]
        if share:
            inner = lane_y + max((lane - 112) / 2, 4)
            parts += [
                text(CLOUD_X + 12, inner + 20, f"share δ = {share:.1%}".replace("%", " %"), INK, 16, bold=True),
                *queue(CLOUD_X + 44, inner + 32, CLOUD),
                *rest(CLOUD_X + 48, inner + 32, split, count),
                text(CLOUD_X + 12, inner + 78, f"layers {split + 1} to {count} of {name}"),
                text(CLOUD_X + 12, inner + 99, f"cloud {1e3 * plan.delays.cloud[d]:.0f} ms", GREY),
            ]
        else:
            parts.append(text(CLOUD_X + 12, lane_y + 19, f"{name}: the result only", GREY))
        lane_y += lane
    total = f"Mean delay of the three: {1e3 * plan.objective:.1f} ms, and no plan is faster."
    parts.append(text(WIDTH / 2, bottom + 26, total, INK, 17, "middle", bold=True))
    head = '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="5" markerHeight="5" orient="auto">'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + 52}" '
            'font-family="system-ui, sans-serif" role="img">',
            f'{head}<path d="M0 0 L8 4 L0 8 z" fill="{LINK}"/></marker></defs>',
            *parts,
            "</svg>\n",
        ]
    )


def rest(x: float, y: float, split: int, count: int) -> list[str]:
    """Return the layers that the cloud computes, narrower than at the edge so that they fit."""
    width = (CLOUD_W - 60) / count
    return [box(x + k * width, y, width - 1.2, 22, CLOUD, "none", 1) for k in range(count - split)]


if __name__ == "__main__":
    (HERE / "concepts.svg").write_text(draw(), encoding="utf-8")
