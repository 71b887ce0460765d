"""The page of a run: measured beside predicted, by node and stage."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dmcjia_opt.base.machine import machine
from dmcjia_opt.studies.deploy.run_result import Figures, NodeResult, RunResult
from dmcjia_opt.studies.look.page import Cell, render
from dmcjia_opt.studies.look.plots import Style, add_marks, new_figure, styles
from dmcjia_opt.studies.look.words import in_percent, seconds, unit_of

if TYPE_CHECKING:
    import plotly.graph_objects as go

_STYLES = styles(("measured", "predicted", "planned"))
_HEAD = ["node", "stage", "planned", "predicted", "measured", "off", "p95 predicted", "p95 measured", "service", "cv"]


def run_page(result: RunResult) -> str:
    """Return the page of a run as one HTML file."""
    return render(
        "deploy/run.html.j2",
        result=result,
        lead=_lead(result),
        glance=_glance(result),
        drawing=_figure(result),
        legend=list(_STYLES.values()),
        head=_HEAD,
        rows=[row for node in result.nodes for row in _rows(node)],
        notes=result.notes(),
    )


def _lead(result: RunResult) -> str:
    how = "with every stage stretched to its planned time" if result.records.paced else "as fast as this machine is"
    if (off := result.off()) is None:
        return f"Run {how}, nothing could be predicted: queues grow without end."
    median, most, name = off
    return (
        f"Run {how}, the measured mean delay of the median node is {in_percent(median)} from that predicted, and at "
        f"most {in_percent(most)}, at {name}."
    )


def _glance(result: RunResult) -> list[tuple[str, str]]:
    records = result.records
    before, after = records.load
    load = (
        [] if before is None or after is None else [("load of the machine", f"{before:.2f} before, {after:.2f} after")]
    )
    return [
        ("nodes", f"{len(result.nodes):,}"),
        ("tasks a node that count", f"{result.nodes[0].tasks:,}"),
        ("planned", result.plan()),
        ("seed", str(records.seed)),
        ("tasks took", seconds(records.seconds)),
        ("machine", machine()),
        *load,
        ("started", records.started),
    ]


def _figure(result: RunResult) -> go.Figure:
    """Draw the mean and the 95th percentile of every node."""
    delays = [node.delay for node in result.nodes]
    unit, size = unit_of(min(delay.measured_s for delay in delays))
    names = [node.name for node in result.nodes]
    figure = new_figure(max(260, 60 + 46 * len(names)))

    def marks(style: Style, values: list[float], what: str, symbol: str) -> None:
        marker = {"size": 11, "symbol": symbol}
        at = [value / size for value in values]
        add_marks(figure, style, f"%{{y}}: {what} %{{x:.4g}} {unit}", marker, x=at, y=names)

    marks(_STYLES["planned"], [d.planned_s for d in delays], "planned", "line-ns-open")
    for name, symbol in (("predicted", "circle-open"), ("measured", "diamond")):
        marks(_STYLES[name], [getattr(d, f"{name}_s") for d in delays], "mean", symbol)
        marks(_STYLES[name], [getattr(d, f"{name}_p95_s") for d in delays], "95th percentile", symbol)
    figure.update_layout(
        xaxis={"title": {"text": f"delay, {unit}"}, "rangemode": "tozero"},
        yaxis={"type": "category", "autorange": "reversed"},
    )
    return figure


def _rows(node: NodeResult) -> list[list[Cell | str]]:
    rows: list[list[Cell | str]] = []
    for stage in node.stages:
        service = [Cell(seconds(stage.service_s), stage.service_s), Cell(f"{stage.service_cv:.2g}", stage.service_cv)]
        rows.append([node.name, stage.stage, *_cells(stage.delay), *service])
    rows.append([node.name, "total", *_cells(node.delay), "", ""])
    return rows


def _cells(delay: Figures) -> list[Cell]:
    return [
        Cell(seconds(delay.planned_s), delay.planned_s),
        Cell(seconds(delay.predicted_s), delay.predicted_s),
        Cell(seconds(delay.measured_s), delay.measured_s),
        Cell("–") if math.isnan(delay.error) else Cell(f"{100 * delay.error:+.1f} %", delay.error),
        Cell(seconds(delay.predicted_p95_s), delay.predicted_p95_s),
        Cell(seconds(delay.measured_p95_s), delay.measured_p95_s),
    ]
