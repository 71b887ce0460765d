"""The page of a replay: what each policy took, over time and in the mean, beside the best that could have been."""

from __future__ import annotations

import math

import numpy as np
import plotly.graph_objects as go

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.base.showing import percent
from dmcjia_opt.studies.look.page import Cell, render
from dmcjia_opt.studies.look.plots import Style, add_steps, log_axis, new_figure, styles
from dmcjia_opt.studies.look.words import seconds
from dmcjia_opt.studies.online.replay import PolicyRun, Replay
from dmcjia_opt.studies.online.telling import lead, spell

_MOST_STEPS = 1500  # that are drawn
_BOUND = "lower bound"


def replay_page(replay: Replay) -> str:
    """Return the page of a replay as one HTML file."""
    trace, looks = replay.trace, _styles(replay)
    return render(
        "online/replay.html.j2",
        scenario=replay.scenario,
        trace=trace,
        spell=spell(trace.end),
        lead=lead(replay),
        glance=_glance(replay),
        costs=_costs(replay),
        head=["policy", "mean delay", "over the bound", "95 % of the time within", "plans", "switches", "unserved"],
        rows=[_row(replay, run) for run in replay.runs],
        speeds=_speeds(replay),
        drawing=_drawing(replay, looks),
        legend=list(looks.values()),
        step=float(np.median(trace.spans)),
        bound=replay.lower_bound,
    )


def _glance(replay: Replay) -> list[tuple[str, str]]:
    trace, mbps = replay.trace, replay.trace.values
    low, middle, high = np.quantile(mbps, [0.05, 0.5, 0.95]).tolist()
    took = np.concatenate([run.plan_seconds for run in replay.runs])
    return [
        ("nodes", f"{replay.scenario.n_nodes:,}"),
        ("time", f"{spell(trace.end)}, {len(trace.times):,} steps"),
        ("links that change", "every node's own, alike" if trace.names == ("",) else f"{len(trace.names):,}"),
        ("speeds", f"{low:.3g} to {high:.3g} Mbit/s for 90 % of the time, {middle:.3g} in the middle"),
        ("lower bound", f"{seconds(replay.lower_bound)}, the mean of every step's"),
        ("a plan took", f"{seconds(float(np.median(took)))} in the middle"),
    ]


def _costs(replay: Replay) -> str:
    paid = replay.switching
    if not paid.seconds and math.isinf(paid.load_mbps):
        return "Switching costs nothing here."
    loads = "" if math.isinf(paid.load_mbps) else f" and until its weights are loaded at {paid.load_mbps:g} Mbit/s"
    return f"A node that changes its option serves nobody for {seconds(paid.seconds)}{loads}; its tasks wait."


def _row(replay: Replay, run: PolicyRun) -> list[Cell | str]:
    spans = replay.trace.spans
    mean, high, regret = run.mean_delay(spans), run.quantile(spans, 0.95), replay.regret(run)
    unserved = run.unserved(spans)
    return [
        Cell(run.policy),
        Cell(seconds(mean), mean),
        Cell(percent(max(regret, 0.0)), regret),
        Cell(seconds(high), high),
        Cell(f"{int(run.planned.sum()):,}", float(run.planned.sum())),
        Cell(f"{int(run.switched.sum()):,}", float(run.switched.sum())),
        Cell(seconds(unserved) if unserved else "–", unserved),
    ]


def _styles(replay: Replay) -> dict[str, Style]:
    found = dict(styles([run.policy for run in replay.runs]))
    found[_BOUND] = Style(_BOUND, "#8a8f98", "dot", "circle")
    return found


def _together(replay: Replay) -> tuple[FloatArray, IntArray]:
    """Return when what is drawn together begins, s, and the first step of each."""
    n = len(replay.trace.times)
    first = np.unique(np.linspace(0, n, min(n, _MOST_STEPS) + 1)[:-1].astype(np.int64))
    return replay.trace.times[first], first


def _mean(values: FloatArray, spans: FloatArray, first: IntArray) -> FloatArray:
    known = np.isfinite(values)
    weight = np.where(known, spans, 0.0)
    total = np.add.reduceat(weight, first)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.add.reduceat(np.where(known, values, 0.0) * weight, first) / total)


def _drawing(replay: Replay, looks: dict[str, Style]) -> go.Figure:
    times, first = _together(replay)
    figure, shown = new_figure(), []
    lines = {_BOUND: replay.bound} | {run.policy: run.delay for run in replay.runs}
    for name, values in lines.items():
        mean = _mean(values, replay.trace.spans, first)
        shown += mean[np.isfinite(mean)].tolist()
        x, y = _closed(replay, times, mean)
        add_steps(figure, looks[name], x, y, "%{x:.4g} s: %{y:.4g} s", width=1.4)
    figure.update_layout(xaxis={"title": {"text": "time, s"}}, yaxis=log_axis("mean delay", shown, "s"))
    return figure


def _speeds(replay: Replay) -> go.Figure:
    trace = replay.trace
    times, first = _together(replay)
    figure = new_figure(240)
    levels = {"": 0.5} if len(trace.names) == 1 else {"slowest": 0.0, "middle": 0.5, "fastest": 1.0}
    shown: list[float] = []
    for style, (name, level) in zip(styles([name or "speed" for name in levels]).values(), levels.items(), strict=True):
        mean = _mean(np.quantile(trace.values, level, axis=1), trace.spans, first)
        shown += mean.tolist()
        x, y = _closed(replay, times, mean)
        add_steps(figure, style, x, y, f"%{{x:.4g}} s: %{{y:.4g}} Mbit/s {name}", width=1.4)
    figure.update_layout(xaxis={"title": {"text": "time, s"}}, yaxis=log_axis("Mbit/s", shown))
    return figure


def _closed(replay: Replay, times: FloatArray, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return a step function up to its end."""
    return np.append(times, replay.trace.end), np.append(values, values[-1])
