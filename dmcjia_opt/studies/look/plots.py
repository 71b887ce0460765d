"""What every plot shares: who has which colour, axes of time, gap and size, and steps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

import plotly.graph_objects as go

from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.studies.look.colours import COLOURS

#: In the order in which methods get them: told apart on white and on black.
_INKS = tuple(COLOURS[name] for name in ("blue", "red", "green", "pink", "orange", "sky", "grey"))
_DASHES = ("solid", "dash", "dot", "dashdot")
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "pentagon", "star", "hexagon")
_BAND_OPACITY = 0.13
#: Up to so many curves have bands; more would hide each other.
MOST_BANDS = 5
_PREFIXES = {0: "s", -3: "ms", -6: "µs"}


@dataclass(frozen=True, slots=True)
class Style:
    """How one method looks in every plot."""

    name: str
    colour: str
    dash: str
    symbol: str

    @property
    def band(self) -> str:
        """Its colour, mostly transparent."""
        red, green, blue = (int(self.colour[k : k + 2], 16) for k in (1, 3, 5))
        return f"rgba({red},{green},{blue},{_BAND_OPACITY})"

    @property
    def label(self) -> str:
        """Its name for plotly, which reads tags in names."""
        return escape(self.name)


def styles(names: Sequence[str]) -> Mapping[str, Style]:
    """Return a look for each name: colours first, then dashes; no two alike among 28."""
    n = len(_INKS)
    return {
        name: Style(name, _INKS[k % n], _DASHES[k // n % len(_DASHES)], _SYMBOLS[(k + k // n) % len(_SYMBOLS)])
        for k, name in enumerate(names)
    }


def new_figure(height: int = 420) -> go.Figure:
    """Return an empty figure of `height` pixels."""
    figure = go.Figure()
    figure.update_layout(template=None, height=height, hovermode="closest")
    return figure


def log_axis(title: str, values: Sequence[float], unit: str = "", most_ticks: int = 8) -> dict[str, Any]:
    """Return a logarithmic axis around finite `values` > 0, with a tick at whole powers of ten only.

    Parameters
    ----------
    title
        What is drawn, with its unit.
    values
        What has to be seen.
    unit
        ``"s"`` sets ticks as 1 ms, 10 s and so on; otherwise as powers.
    most_ticks
        Decades are left out until no more remain.
    """
    finite = [value for value in values if 0 < value < math.inf]
    low, high = (math.log10(min(finite)), math.log10(max(finite))) if finite else (0.0, 1.0)
    margin = max(0.04 * (high - low), 0.08)
    low, high = low - margin, high + margin
    decades = range(math.ceil(low), math.floor(high) + 1)
    if len(decades) < 2:
        decades = range(math.floor(low), math.ceil(high) + 1)
        low, high = float(decades[0]), float(decades[-1])
    step = math.ceil(len(decades) / most_ticks)
    shown = [power for power in decades if power % step == 0]
    return {
        "title": {"text": title},
        "type": "log",
        "range": [low, high],
        "tickvals": [10.0**power for power in shown],
        "ticktext": [_tick(power, unit) for power in shown],
    }


def share_axis(title: str) -> dict[str, Any]:
    """Return an axis from 0 to 100 %."""
    return {"title": {"text": title}, "range": [-0.02, 1.03], "tickformat": ".0%", "dtick": 0.25}


def add_steps(
    figure: go.Figure,
    style: Style,
    x: FloatArray,
    y: FloatArray,
    hover: str,
    *,
    width: float = 2.2,
    dash: str | None = None,
    shape: Literal["hv", "linear"] = "hv",
) -> None:
    """Draw a step function that keeps its value until the next corner, or a line with `shape` linear."""
    figure.add_scatter(
        x=x,
        y=y,
        mode="lines",
        line={"shape": shape, "color": style.colour, "width": width, "dash": dash or style.dash},
        name=style.label,
        legendgroup=style.name,
        hovertemplate=hover + "<extra>%{fullData.name}</extra>",
    )


def add_marks(figure: go.Figure, style: Style, hover: str, marker: Mapping[str, Any], **points: Any) -> None:  # noqa: ANN401
    """Draw marks of one method at `points`: what plotly's ``add_scatter`` takes."""
    figure.add_scatter(
        mode="markers",
        marker={"color": style.colour, "symbol": style.symbol, **marker},
        name=style.label,
        legendgroup=style.name,
        hovertemplate=hover + "<extra>%{fullData.name}</extra>",
        **points,
    )


def add_band(figure: go.Figure, style: Style, x: FloatArray, low: FloatArray, high: FloatArray) -> None:
    """Shade between two step functions."""
    for y, fill in ((low, None), (high, "tonexty")):
        figure.add_scatter(
            x=x,
            y=y,
            mode="lines",
            line={"shape": "hv", "width": 0},
            fill=fill,
            fillcolor=style.band,
            legendgroup=style.name,
            hoverinfo="skip",
        )


def _tick(power: int, unit: str) -> str:
    if unit == "s":
        base = min(3 * (power // 3), 0)
        if base in _PREFIXES:
            return f"{10 ** (power - base):,} {_PREFIXES[base]}"
    if unit == "count" and 0 <= power <= 6:
        return f"{10**power:,}"
    return f"10<sup>{power}</sup>".replace("-", "−")
