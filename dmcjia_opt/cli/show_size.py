"""What to buy, on the terminal."""

from __future__ import annotations

import math

import numpy as np
from rich.markup import escape

from dmcjia_opt.base.showing import percent
from dmcjia_opt.cli.show import console, facts, show_table, table_of
from dmcjia_opt.studies.look.words import deadlines_kept, delay_called, seconds
from dmcjia_opt.studies.purchase.size import Size


def show_size(found: Size) -> None:
    """Print what to have of every resource, what it costs and what delays it gives."""
    sale, options = found.sale, found.scenario.options
    n = len(found.delays)
    title = f"{found.scenario.name}: what {n:,} node{'s' if n > 1 else ''} need{'' if n > 1 else 's'}"
    priced = not sale.least
    money = ("price", "cost") if priced else ()
    table = table_of("resource", "unit", numbers=("today", "needed", "sold in", "to have", *money))
    columns = sale.resources, sale.units, sale.declared, found.exact, sale.steps, found.capacity, sale.prices
    for one, unit, today, exact, step, capacity, price in zip(*columns, strict=True):
        bought = price > 0
        table.add_row(
            escape(one.name),
            unit,
            f"{today:.6g}",
            f"{exact:.6g}" if bought else "not for sale",
            f"{step:g}" if bought and step else "any" if bought else "–",
            f"{capacity:.6g}",
            *((f"{price:.4g}" if bought else "–", f"{price * capacity:.6g}" if bought else "–") if priced else ()),
        )
    show_table(table, title)
    what = f"least capacity of {sale.least}" if sale.least else "least cost"
    unit = f" {sale.unit}" if sale.unit else ""
    rounded = found.cost > found.cost_exact * (1.0 + 1e-9)
    steps = f"; {found.cost_exact:.6g}{unit} before it is rounded up to steps" if rounded else ""
    loose = ", in any amount rather than in steps" if rounded and found.lower_bound <= found.cost_exact else ""
    target = f", at most {seconds(found.mean_target)} asked" if math.isfinite(found.mean_target) else ""
    kept = deadlines_kept(tuple(found.scenario.nodes.names), found.delays, found.deadlines)
    slowest = found.scenario.nodes.names[int(np.argmax(found.delays))]
    console().print(
        facts(
            (
                (what, f"[bold]{found.cost:.6g}{unit}[/bold]{steps}"),
                ("lower bound", f"{found.lower_bound:.6g}{unit}{loose}"),
                ("gap", percent(found.gap)),
                (delay_called(options.statistic, worst=False), f"{seconds(found.mean_delay)}{target}"),
                (delay_called(options.statistic, worst=True), f"{seconds(found.worst_delay)}, {escape(slowest)}"),
                ("deadlines", escape(kept)),
            )
        )
    )
    least = f"{found.lower_bound:.6g}{unit}"
    less = f"less than {least} of {sale.least} does not keep" if sale.least else f"nothing cheaper than {least} keeps"
    console().print(escape(f"Proved: {less} what is asked. That holds for plans with {found.scenario.rule}."))
