"""What the command line shows of plans of fleets in parts: no rows, but what they come to."""

from __future__ import annotations

import numpy as np
from rich.markup import escape

from dmcjia_opt.base.showing import percent
from dmcjia_opt.cli.show import MAX_ROWS, console, facts, show_remarks, show_table, table_of
from dmcjia_opt.solving.parts.solve_parts import PartedPlan
from dmcjia_opt.studies.look.words import (
    dearness,
    delay_called,
    in_percent,
    seconds,
    source_of_bound,
)

_QUANTILES = (0.5, 0.9, 0.99)


def show_parted_plan(plan: PartedPlan) -> None:
    """Print where networks are cut, what is shared, and a summary."""
    out, total = console(), plan.total
    table = table_of("model", numbers=("split",))
    table.add_column("server", no_wrap=True)
    table.add_column("nodes", no_wrap=True, justify="right")
    for (network, split, server), count in total.cuts.most_common(MAX_ROWS):
        table.add_row(escape(network), str(split), escape(server) or "–", f"{count:,}")
    others = len(total.cuts) - MAX_ROWS
    left = f", the {MAX_ROWS} most frequent of {len(total.cuts):,} shown" if others > 0 else ""
    show_table(table, f"{plan.scenario_name}: {plan.n_nodes:,} nodes; where their networks are cut{left}")
    if len(plan.resources) > 1:
        _show_resources(plan)
    quantiles = ", ".join(f"{100 * q:g} % within {seconds(total.quantile(q))}" for q in _QUANTILES)
    source = source_of_bound(plan.bound_from, len(plan.prices))
    summary = (
        (delay_called(plan.statistic, worst=False), f"[bold]{seconds(plan.objective)}[/bold]"),
        ("nodes", f"{quantiles}, all within {seconds(plan.worst_delay)}"),
        ("lower bound", f"{seconds(plan.lower_bound)}, from {escape(source)}"),
        ("gap", percent(plan.gap)),
        ("status", plan.status.in_words(plan.gap_tolerance)),
        ("made by", escape(f"{plan.placer} + {plan.allocator}")),
        ("cost", f"{plan.evaluations:,} passes, {seconds(plan.wall_seconds)}"),
    )
    out.print(facts(summary))
    show_remarks(plan)


def _show_resources(plan: PartedPlan) -> None:
    used = plan.total.used
    dearest = np.argsort(-plan.prices, kind="stable")[:MAX_ROWS] if len(used) > MAX_ROWS else np.arange(len(used))
    table = table_of("shared", "kind", numbers=("given out", "busy", "1 % more saves"))
    for r in dearest.tolist():
        resource = plan.resources[r]
        saves = dearness(float(plan.prices[r]), plan.prices, worst=False)
        table.add_row(escape(resource.name), resource.kind, in_percent(used[r]), in_percent(plan.total.load[r]), saves)
    left = f", the {MAX_ROWS} dearest of {len(used):,}" if len(used) > MAX_ROWS else ""
    show_table(table, f"What they share{left}")
