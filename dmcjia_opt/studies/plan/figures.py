"""The plots of a plan report; none grows with the fleet beyond its caps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.solving.said import Moment
from dmcjia_opt.studies.look.colours import STAGES as STAGE_COLOURS
from dmcjia_opt.studies.look.plots import Style, add_steps, log_axis, new_figure, share_axis, styles
from dmcjia_opt.studies.look.words import unit_of

#: Bars in one plot, at most.
MOST_BARS = 60
_QUANTILES = 401
_MOST_MOMENTS = 1000
_WIDE = 30.0  # delays further apart than this are drawn on a logarithmic axis
_LONGEST_LABEL = 22
_FAR = 3.0  # times the longest delay
_BAR_PIXELS = 19
_FRAME_PIXELS, _LEAST_PIXELS = 80, 160

_BESIDE = ("total", "deadline")
STAGES = {
    stage: replace(style, colour=STAGE_COLOURS[stage])
    for three in (("edge", "upload", "cloud"), ("device", "network", "servers"))
    for stage, style in styles((*three, *_BESIDE)).items()
}
SHARE = styles(("to keep up", "to spare"))
SEARCH = styles(("best plan", "lower bound"))


def stacked_delays(
    names: Sequence[str], stages: Mapping[str, FloatArray], deadlines: FloatArray, of: str = ""
) -> go.Figure:
    """Draw each node's delay, s, as a bar of its stages, the first node at the top, and a mark at its deadline, s.

    `of` says which percentile it is. A deadline so far off that it would leave no room for the bars is not drawn.
    """
    longest = float(sum(stages.values(), np.zeros(1)).max())
    unit, size = unit_of(longest)
    parts = {stage: delay / size for stage, delay in stages.items()}
    figure = _stacked(names, parts, STAGES, f"%{{x:.4g}} {unit}")
    drawn = np.flatnonzero(deadlines <= _FAR * longest)
    if drawn.size:
        figure.add_scatter(
            x=(deadlines[drawn] / size).tolist(),
            y=drawn.tolist(),
            mode="markers",
            name="deadline",
            legendgroup="deadline",
            marker={
                "symbol": "line-ns",
                "size": _BAR_PIXELS - 3,
                "line": {"width": 3, "color": STAGES["deadline"].colour},
            },
            customdata=[escape(names[d]) for d in drawn.tolist()],
            hovertemplate=f"%{{customdata}}<br>deadline %{{x:.4g}} {unit}<extra></extra>",
        )
    figure.update_layout(xaxis=_linear_axis(f"{of}delay, {unit}"))
    return figure


def stacked_shares(names: Sequence[str], least: FloatArray, spare: FloatArray, of: str) -> go.Figure:
    """Draw each node's share of a resource as a bar: what it needs to keep up, and what it has beyond that."""
    parts = {"to keep up": 100 * least, "to spare": 100 * spare}
    figure = _stacked(names, parts, SHARE, "%{x:.4g} %")
    figure.update_layout(xaxis=_linear_axis(f"share of {escape(of, quote=False)}, %"))
    return figure


def delay_distribution(stages: Mapping[str, FloatArray], of: str = "") -> go.Figure:
    """Draw, by stage and in total, on which part of the nodes the delay, s, is at most so much; `of` as above."""
    figure, seen = new_figure(), []
    part = np.linspace(0.0, 1.0, _QUANTILES)
    for stage, delay in stages.items():
        at = np.quantile(delay, part, method="inverted_cdf")
        positive = at > 0
        if not positive.any():
            continue
        seen += [float(at[positive][0]), float(at[-1])]
        add_steps(figure, STAGES[stage], at[positive], part[positive], "at most %{x:.4g} s on %{y:.1%} of the nodes")
    figure.update_layout(xaxis=log_axis(f"{of}delay", seen, unit="s"), yaxis=share_axis("part of the nodes"))
    return figure


def delay_counts(edges: FloatArray, counts: IntArray) -> go.Figure:
    """Draw the part of the nodes whose delay is at most so much, from counts between edges, s, and beyond them."""
    figure = new_figure()
    used = np.flatnonzero(counts[:-1])
    at, part = edges[used], np.cumsum(counts)[used] / counts.sum()
    add_steps(figure, STAGES["total"], at, part, "at most %{x:.4g} s on %{y:.1%} of the nodes")
    figure.update_layout(xaxis=log_axis("delay", at.tolist(), unit="s"), yaxis=share_axis("part of the nodes"))
    return figure


def cuts(labels: Sequence[str], counts: IntArray) -> go.Figure:
    """Draw how many nodes cut their network where, input at the top."""
    style = STAGES["edge"]
    figure = new_figure(max(_FRAME_PIXELS + (_BAR_PIXELS + 7) * len(labels), _LEAST_PIXELS))
    figure.add_bar(
        x=counts.tolist(),
        y=list(range(len(labels))),
        orientation="h",
        marker={"color": style.colour},
        customdata=[escape(label) for label in labels],
        text=[f"{count:,}" for count in counts.tolist()],
        textposition="auto",
        hovertemplate="%{customdata}: %{x:,} nodes<extra></extra>",
    )
    figure.update_layout(
        xaxis=_linear_axis("nodes") | {"tickformat": ",d"} | ({"dtick": 1} if counts.max() < 6 else {"nticks": 6}),
        yaxis=_names_axis(labels),
    )
    return figure


def search(trace: Sequence[Moment], called: str) -> go.Figure | None:
    """Draw the incumbent and the bound over the search; None where there are not two moments with a plan.

    `called` is what was minimised.
    """
    found = [moment for moment in trace if moment.objective_s is not None]
    if len(found) < 2:
        return None
    at = [0, *(k for k in range(1, len(found) - 1) if _changed(found[k - 1], found[k])), len(found) - 1]
    if len(at) > _MOST_MOMENTS:
        at = [at[k] for k in np.linspace(0, len(at) - 1, _MOST_MOMENTS).astype(int)]
    kept = [found[k] for k in at]
    seen = [value for m in kept for value in (m.objective_s, m.lower_bound_s) if value is not None and value > 0]
    wide = bool(seen) and max(seen) > _WIDE * min(seen)
    unit, size = ("s", 1.0) if wide else unit_of(max(seen, default=1.0))
    wall, wall_size = unit_of(kept[-1].seconds)
    figure = new_figure()
    for name, values in (
        ("best plan", [moment.objective_s for moment in kept]),
        ("lower bound", [moment.lower_bound_s for moment in kept]),
    ):
        known = [k for k, value in enumerate(values) if value is not None]
        x = np.array([kept[k].seconds for k in known]) / wall_size
        y = np.array([values[k] for k in known], dtype=np.float64) / size
        if known:
            hover = f"%{{y:.5g}} {unit} after %{{x:.3g}} {wall}, %{{customdata:,}} plans evaluated"
            add_steps(figure, SEARCH[name], x, y, hover)
            figure.data[-1].customdata = [kept[k].evaluations for k in known]
    figure.update_layout(
        xaxis=_linear_axis(f"wall time, {wall}"),
        yaxis=log_axis(called, seen, unit="s") if wide else {"title": {"text": f"{called}, {unit}"}},
    )
    return figure


def _changed(before: Moment, after: Moment) -> bool:
    return (before.objective_s, before.lower_bound_s) != (after.objective_s, after.lower_bound_s)


def _stacked(
    names: Sequence[str], parts: Mapping[str, FloatArray], looks: Mapping[str, Style], value: str
) -> go.Figure:
    figure = new_figure(max(_FRAME_PIXELS + _BAR_PIXELS * len(names), _LEAST_PIXELS))
    for part, values in parts.items():
        figure.add_bar(
            x=values.tolist(),
            y=list(range(len(names))),
            orientation="h",
            name=looks[part].label,
            legendgroup=part,
            marker={"color": looks[part].colour},
            customdata=[escape(name) for name in names],
            hovertemplate=f"%{{customdata}}<br>{part} {value}<extra></extra>",
        )
    figure.update_layout(barmode="stack", bargap=0.25, yaxis=_names_axis(names))
    return figure


def _linear_axis(title: str) -> dict[str, Any]:
    return {"title": {"text": title}, "rangemode": "tozero", "exponentformat": "power"}


def _names_axis(names: Sequence[str]) -> dict[str, Any]:
    short = [name if len(name) <= _LONGEST_LABEL else f"{name[: _LONGEST_LABEL - 1]}…" for name in names]
    return {
        "tickvals": list(range(len(names))),
        "ticktext": [escape(name) for name in short],
        "range": [len(names) - 0.4, -0.6],
        "showgrid": False,
        "zeroline": False,
    }
