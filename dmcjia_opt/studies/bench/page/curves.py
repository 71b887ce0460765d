"""The plots of a benchmark, each from the table of runs; None where there is nothing to draw."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.studies.bench.frames import sizes, slopes
from dmcjia_opt.studies.bench.results import Unit, bound_curve, by_instance, common, methods, runtimes, spent
from dmcjia_opt.studies.bench.statistics import (
    CLOSE,
    GAP_FLOOR,
    Spread,
    Steps,
    attainment,
    distribution,
    performance_profile,
    spread,
    virtual_best,
)
from dmcjia_opt.studies.look.plots import (
    MOST_BANDS,
    Style,
    add_band,
    add_marks,
    add_steps,
    log_axis,
    new_figure,
    share_axis,
)

Looks = Mapping[str, Style]

#: Targets of the runtime distribution: five a decade.
ECDF_TARGETS = 10.0 ** -np.arange(1.0, -math.log10(CLOSE) + 0.01, 0.2)
_UNIT_TITLES = {"seconds": "wall time", "evaluations": "plans evaluated"}
_TICKS = {"seconds": "s", "evaluations": "count"}


def floored(gaps: FloatArray) -> FloatArray:
    """Return gaps as drawn: none below the floor, no answer as 1."""
    return np.clip(np.nan_to_num(gaps, nan=1.0, posinf=1.0), GAP_FLOOR, 1.0)


def profile(frame: pd.DataFrame, target: float, looks: Looks) -> go.Figure | None:
    """Draw Dolan–Moré performance profiles on the instances that all methods were run on."""
    shared = common(frame)
    if shared.empty:
        return None
    times = by_instance(shared, runtimes(shared, [target])[:, 0])
    profiles = performance_profile(times)
    ends = [steps.at[-1] for steps in profiles.values() if len(steps.at)]
    if not ends:
        return None
    end = max(*ends, 2.0) * 1.15
    figure = new_figure()
    for method, steps in profiles.items():
        hover = "within %{x:.3g} times the best: %{y:.0%}"
        add_distribution(figure, looks[method], steps, 1.0, end, hover, band=len(profiles) <= MOST_BANDS)
    axis = log_axis("time over the time of the best method", [1.0, end], unit="count")
    figure.update_layout(xaxis=axis | {"range": [-0.01, math.log10(end)]}, yaxis=share_axis("share of instances"))
    return figure


def runtime_distribution(frame: pd.DataFrame, unit: Unit, looks: Looks) -> go.Figure | None:
    """Draw the share of all (run, target) pairs reached against what was spent, and that of the virtual best."""
    reached = runtimes(frame, ECDF_TARGETS, unit)
    if not np.isfinite(reached).any():
        return None
    curves: dict[str, Steps] = {}
    for method in methods(frame):
        mine = (frame["method"] == method).to_numpy()
        curves[method] = distribution(reached[mine], runs=int(mine.sum()))
    if len(curves) > 1:
        tables = [virtual_best(by_instance(frame, reached[:, k])) for k in range(reached.shape[1])]
        best = np.array([np.asarray(table, dtype=np.float64) for table in tables])
        curves["virtual best"] = distribution(best, runs=best.shape[1])
    finite = reached[np.isfinite(reached)]
    end = max(float(spent(frame, unit).max()), float(finite.max()))
    axis = log_axis(_UNIT_TITLES[unit], [float(finite.min()), end], unit=_TICKS[unit])
    start = 10.0 ** axis["range"][0]
    figure = new_figure()
    for name, steps in curves.items():
        hover = "%{y:.0%} of runs and targets by %{x:.3g}" + (" s" if unit == "seconds" else " plans")
        band = len(curves) <= MOST_BANDS + 1 and name != "virtual best"
        add_distribution(figure, looks[name], steps, start, 10.0 ** axis["range"][1], hover, band=band)
    figure.update_layout(xaxis=axis, yaxis=share_axis("runs × targets reached"))
    return figure


def anytime(frame: pd.DataFrame, unit: Unit, looks: Looks) -> go.Figure | None:
    """Draw the median gap of the incumbent over time with its quartiles, and the median of the methods' own bounds."""
    column = 1 if unit == "seconds" else 0
    if not any(len(points) > 1 for points in frame["curve"]):
        return None
    starts = [points[0, column] for points in frame["curve"] if len(points)]
    end = max(float(spent(frame, unit).max()), *starts)
    axis = log_axis(_UNIT_TITLES[unit], [min(starts), end], unit=_TICKS[unit])
    first, last = 10.0 ** axis["range"][0], 10.0 ** axis["range"][1]
    known = frame.groupby("instance")["objective_s"].min()
    figure = new_figure(460)
    lowest = 1.0
    present = methods(frame)
    for method in present:
        runs = frame[frame["method"] == method]
        paths = [np.vstack([[first, 1.0], points[:, [column, 2]]]) for points in runs["curve"]]
        quartiles = attainment(paths)
        if len(present) <= MOST_BANDS:
            _quartile_band(figure, looks[method], quartiles[75.0], quartiles[25.0], last)
        corners = _until(quartiles[50.0], last)
        lowest = min(lowest, float(corners[:, 1].min()))
        add_steps(figure, looks[method], corners[:, 0], corners[:, 1], _hover("median gap", unit))
        bounds = [bound_curve(row, known[row["instance"]])[:, [column, 2]] for _, row in runs.iterrows()]
        if sum(len(bound) > 1 for bound in bounds) > len(bounds) / 2:
            paths = [np.vstack([[first, 1.0], bound]) for bound in bounds]
            corners = _until(attainment(paths, [50.0])[50.0], last)
            lowest = min(lowest, float(corners[:, 1].min()))
            hover = _hover("own bound, below the best known by", unit)
            add_steps(figure, looks[method], corners[:, 0], corners[:, 1], hover, width=1.4, dash="dot")
    figure.update_layout(xaxis=axis, yaxis=log_axis("gap", [lowest, 1.0]))
    return figure


def time_against_size(frame: pd.DataFrame, target: float, looks: Looks) -> go.Figure | None:
    """Draw the median time to the target over the instances of each size, of one family, with the fitted power laws."""
    table = sizes(frame, target)
    solved = table[np.isfinite(table["seconds"])]
    if solved.empty:
        return None
    limit = float(frame["limit"].max())
    times = [*solved["seconds"], *([limit] if len(solved) < len(table) else [])]
    figure = new_figure(460)
    for method, mine in table.groupby("method", sort=False):
        style = looks[str(method)]
        good, bad = mine[np.isfinite(mine["seconds"])], mine[~np.isfinite(mine["seconds"])]
        for rows, y, symbol, hover in (
            (good, good["seconds"], style.symbol, "%{x:,} nodes: %{y:.3g} s, %{customdata} instances solved"),
            (bad, np.full(len(bad), limit), "x-thin", "%{x:,} nodes: not reached; %{customdata} instances solved"),
        ):
            part = [f"{a} of {b}" for a, b in zip(rows["solved"], rows["instances"], strict=True)]
            marker = {"symbol": symbol, "size": 10, "line": {"color": style.colour, "width": 2}}
            add_marks(figure, style, hover, marker, x=rows["n_nodes"], y=y, customdata=part)
    ends = np.array([float(frame["n_nodes"].min()), float(frame["n_nodes"].max())])
    for fit in slopes(frame, target).to_dict("records"):
        line = fit["constant"] * ends ** fit["exponent"]
        hover = f"time ∝ nodes^{fit['exponent']:.2f}"
        add_steps(figure, looks[fit["method"]], ends, line, hover, width=1.4, shape="linear")
    figure.update_layout(
        xaxis=log_axis("edge nodes", [float(n) for n in frame["n_nodes"]], unit="count"),
        yaxis=log_axis("time to the target", times, unit="s"),
    )
    return figure


def accuracy_against_time(frame: pd.DataFrame, looks: Looks) -> go.Figure:
    """Draw every run's gap against its wall time, and each method's medians with quartiles; no answer is 1."""
    figure = new_figure(480)
    points = floored(np.asarray(frame["error"], dtype=np.float64))
    for method, mine in frame.groupby("method", sort=False):
        style = looks[str(method)]
        gaps = floored(np.asarray(mine["error"], dtype=np.float64))
        runs = zip(mine["instance"], mine["seed"], mine["outcome"], strict=True)
        said = [escape(f"{name}, seed {seed}: {outcome}") for name, seed, outcome in runs]
        symbols = [style.symbol if answered else "x-thin-open" for answered in mine["answered"]]
        marker = {"size": 6, "opacity": 0.45, "symbol": symbols}
        hover = "%{text}<br>gap %{y:.1e} in %{x:.3g} s"
        add_marks(figure, style, hover, marker, x=mine["spent"], y=gaps, text=said)
        time, gap = spread(mine["spent"]), spread(gaps)
        bars = {"error_x": _whiskers(time, style.colour), "error_y": _whiskers(gap, style.colour)}
        hover = "median gap %{y:.1e} in %{x:.3g} s"
        add_marks(figure, style, hover, {"size": 14}, x=[time.median], y=[gap.median], **bars)
    figure.update_layout(
        xaxis=log_axis("wall time of the run", list(frame["spent"]), unit="s"),
        yaxis=log_axis("gap", [*points, 1.0]),
    )
    return figure


def add_distribution(
    figure: go.Figure, style: Style, steps: Steps, start: float, end: float, hover: str, *, band: bool
) -> None:
    """Draw a distribution function from `start` to `end`; one that reaches nothing lies on the axis."""
    x = np.concatenate([[start], np.maximum(steps.at, start), [end]])
    if band:
        at_none, at_all = np.zeros(1), np.full(1, steps.high[-1] if len(steps.high) else 0.0)
        last_low = np.full(1, steps.low[-1] if len(steps.low) else 0.0)
        low, high = np.concatenate([at_none, steps.low, last_low]), np.concatenate([at_none, steps.high, at_all])
        add_band(figure, style, x, low, high)
    last = steps.share[-1:] if len(steps.share) else np.zeros(1)
    add_steps(figure, style, x, np.concatenate([np.zeros(1), steps.share, last]), hover)


def _hover(what: str, unit: Unit) -> str:
    return what + " %{y:.1e} after %{x:.3g} " + ("s" if unit == "seconds" else "plans")


def _until(corners: FloatArray, end: float) -> FloatArray:
    drawn = np.column_stack([corners[:, 0], floored(corners[:, 1])])
    return np.vstack([drawn, [end, drawn[-1, 1]]])


def _quartile_band(figure: go.Figure, style: Style, worse: FloatArray, better: FloatArray, end: float) -> None:
    """Shade between two curves whose corners differ, on the union of their corners."""
    x = np.unique(np.concatenate([worse[:, 0], better[:, 0], [end]]))
    sides = [curve[np.searchsorted(curve[:, 0], x, side="right") - 1, 1] for curve in (better, worse)]
    add_band(figure, style, x, floored(sides[0]), floored(sides[1]))


def _whiskers(values: Spread, colour: str) -> dict[str, object]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [values.high - values.median],
        "arrayminus": [values.median - values.low],
        "color": colour,
        "thickness": 1.5,
        "width": 4,
    }
