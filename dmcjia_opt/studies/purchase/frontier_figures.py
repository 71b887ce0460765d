"""Pictures of a frontier: points, the line that no plan is below, and where the fleet is today."""

from __future__ import annotations

import math
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.studies.look.plots import Style, add_marks, add_steps, new_figure, styles
from dmcjia_opt.studies.look.words import unit_of
from dmcjia_opt.studies.purchase.frontier import Frontier

if TYPE_CHECKING:
    import plotly.graph_objects as go

_STYLES = styles(("proved lower envelope", "today", "in whole steps", "cheapest plan"))
_FINE = 400
_WIDE = 30.0  # costs or delays further apart than this are drawn on a logarithmic axis
#: For matplotlib, for plotly, and in pixels.
_MARKS = {"cheapest plan": ("o", "circle", 8), "in whole steps": ("D", "diamond-open", 9), "today": ("s", "square", 13)}
_TICKS = (1.0, 2.0, 5.0)


def legend(frontier: Frontier) -> list[Style]:
    """Return who has which colour."""
    shown = {"cheapest plan": True, "proved lower envelope": True, "in whole steps": frontier.stepped}
    shown["today"] = math.isfinite(frontier.today.delay_s)
    return [_STYLES[name] for name, there in shown.items() if there]


def envelope_of(frontier: Frontier) -> tuple[FloatArray, FloatArray]:
    """Return delays, s, and the envelope there, from the shortest to the longest of the points."""
    low, high = frontier.points[0].delay_s, frontier.points[-1].delay_s
    delay = np.unique(np.concatenate([np.geomspace(low, high, _FINE), [p.delay_s for p in frontier.points]]))
    return delay, np.array([frontier.envelope(float(value)) for value in delay])


def _series(frontier: Frontier) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Return delays, s, and costs of what is marked."""
    points, today = frontier.points, frontier.today
    found = {"cheapest plan": [(p.delay_s, p.cost) for p in points]}
    if frontier.stepped:
        found["in whole steps"] = [(p.whole_delay_s, p.whole_cost) for p in points]
    if math.isfinite(today.delay_s):
        found["today"] = [(today.delay_s, today.cost)]
    return {name: (np.array(pairs)[:, 0], np.array(pairs)[:, 1]) for name, pairs in found.items()}


def _scale(values: FloatArray) -> bool:
    """Return whether values need a logarithmic axis."""
    positive = values[values > 0]
    return bool(positive.size and positive.max() > _WIDE * positive.min())


def _ticks(values: FloatArray) -> tuple[list[float], list[str]]:
    """Return places on a logarithmic axis and what is written there: 1, 2, 5 where few, else powers of ten."""
    low, high = float(values.min()), float(values.max())
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = _TICKS if len(decades) <= 4 else (1.0,)
    at = [part * 10.0**power for power in decades for part in steps if low / 1.5 <= part * 10.0**power <= 1.5 * high]
    return at, [f"{value:,.0f}" if value >= 1.0 else f"{value:g}" for value in at]


def _axes(frontier: Frontier) -> tuple[str, float, str, bool, FloatArray, bool, FloatArray]:
    """Return the unit of delay and its size, s, the titles' rest, and which axis is logarithmic, with what it shows."""
    series = _series(frontier)
    delays = np.concatenate([delay for delay, _ in series.values()])
    bound = envelope_of(frontier)[1]
    costs = np.concatenate([cost for _, cost in series.values()])
    unit, size = unit_of(float(np.median(delays)))
    called = frontier.called if not frontier.by_deadline else f"deadline of every node on the {frontier.of}"
    return unit, size, f"{called}, {unit}", _scale(delays), delays / size, _scale(costs), np.append(costs, bound)


def page_figure(frontier: Frontier) -> go.Figure:
    """Draw the frontier for its page."""
    unit, size, title, wide, delays, tall, costs = _axes(frontier)
    figure = new_figure(480)
    delay, bound = envelope_of(frontier)
    drawn = bound > 0 if tall else np.ones(len(bound), dtype=np.bool_)
    style = _STYLES["proved lower envelope"]
    shape: Any = "vh" if frontier.by_deadline else "linear"
    hover = f"no plan of %{{x:.4g}} {unit} costs less than %{{y:.6g}}"
    add_steps(figure, style, delay[drawn] / size, bound[drawn], hover, shape=shape)
    for name, (at, cost) in _series(frontier).items():
        there = cost > 0 if tall else np.ones(len(cost), dtype=np.bool_)
        symbol, points = _MARKS[name][1:]
        marker = {"size": points, "symbol": symbol}
        hover = f"%{{x:.4g}} {unit} for %{{y:.6g}}"
        add_marks(figure, _STYLES[name], hover, marker, x=at[there] / size, y=cost[there])
    figure.update_layout(
        xaxis=_axis(title, delays, logarithmic=wide), yaxis=_axis(frontier.cost_called, costs, logarithmic=tall)
    )
    return figure


def _axis(title: str, values: FloatArray, *, logarithmic: bool) -> dict[str, Any]:
    axis: dict[str, Any] = {"title": {"text": escape(title, quote=False)}}
    if not logarithmic:
        return axis | {"rangemode": "tozero"}
    at, text = _ticks(values[values > 0])
    return axis | {"type": "log", "tickvals": at, "ticktext": text}


def draw_frontier(frontier: Frontier, path: Path) -> None:
    """Draw the frontier in a PNG or SVG file."""
    if path.suffix not in (".png", ".svg"):
        raise InputError(f"{path}: a picture is a .png or .svg file")
    from dmcjia_opt.studies.look import pictures

    _, size, title, wide, delays, tall, costs = _axes(frontier)
    figure = pictures.new_figure(8.0, 4.8)
    axes = figure.subplots()
    named = frontier.scenario.name
    pictures.tidy(axes, f"What a shorter delay costs{f': {named}' if named else ''}", title, frontier.cost_called)
    delay, bound = envelope_of(frontier)
    style = _STYLES["proved lower envelope"]
    drawn = bound > 0 if tall else np.ones(len(bound), dtype=np.bool_)
    kind: Any = "steps-pre" if frontier.by_deadline else "default"
    axes.plot(delay[drawn] / size, bound[drawn], color=style.colour, label=style.name, drawstyle=kind, linewidth=1.6)
    for name, (at, cost) in _series(frontier).items():
        there = cost > 0 if tall else np.ones(len(cost), dtype=np.bool_)
        mark, symbol, points = _MARKS[name]
        hollow: Any = "none" if symbol.endswith("open") else "full"
        axes.plot(
            at[there] / size,
            cost[there],
            mark,
            color=_STYLES[name].colour,
            label=name,
            markersize=0.7 * points,
            fillstyle=hollow,
            zorder=3,
        )
    for which, logarithmic, values in (("x", wide, delays), ("y", tall, costs)):
        if logarithmic:
            getattr(axes, f"set_{which}scale")("log")
            at_ticks, text = _ticks(values[values > 0])
            getattr(axes, f"set_{which}ticks")(at_ticks, text, minor=False)
            getattr(axes, f"set_{which}ticks")([], minor=True)
        else:
            getattr(axes, f"set_{which}lim")(0.0)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    pictures.save_as(figure, path)
