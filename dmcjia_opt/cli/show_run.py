"""Runs of deployments on the terminal."""

from __future__ import annotations

import math

from rich.markup import escape

from dmcjia_opt.cli.show import console, facts, show_table, table_of
from dmcjia_opt.studies.deploy.run_result import Figures, RunResult
from dmcjia_opt.studies.look.words import in_percent, unit_of


def show_run(result: RunResult) -> None:
    """Print what was measured of every stage beside what was predicted, and how far apart they are."""
    records = result.records
    unit, size = unit_of(min(node.delay.measured_s for node in result.nodes))
    table = table_of(
        "node", "stage", numbers=("planned", "predicted", "measured", "off", "p95 predicted", "p95 measured", "cv")
    )
    for node in result.nodes:
        for stage in node.stages:
            table.add_row(escape(node.name), escape(stage.stage), *_cells(stage.delay, size), f"{stage.service_cv:.2g}")
        table.add_row(escape(node.name), "[bold]total[/bold]", *_cells(node.delay, size), "", end_section=True)
    how = "every stage stretched to its planned time" if records.paced else "as fast as this machine is"
    tasks = result.nodes[0].tasks
    show_table(table, f"{records.manifest.scenario}: {tasks:,} tasks a node, {how}; delays in {unit}")
    rows = [("measured beside predicted", _off(result)), ("planned", escape(result.plan()))]
    before, after = records.load
    if before is not None and after is not None:
        rows.append(("load of this machine", f"{before:.2f} before, {after:.2f} after"))
    console().print(facts(rows))


def _off(result: RunResult) -> str:
    if (off := result.off()) is None:
        return "nothing could be predicted"
    median, most, name = off
    return f"{in_percent(median)} off, the median node; at most {in_percent(most)}, {escape(name)}"


def _cells(delay: Figures, size: float) -> list[str]:
    shown = [delay.planned_s, delay.predicted_s, delay.measured_s]
    tails = [delay.predicted_p95_s, delay.measured_p95_s]
    return [
        *(_number(value / size) for value in shown),
        "–" if math.isnan(delay.error) else f"{100 * delay.error:+.1f} %",
        *(_number(value / size) for value in tails),
    ]


def _number(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "∞"
