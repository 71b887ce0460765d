"""The page of a frontier: what each delay costs, what it costs at least, and where the fleet is today."""

from __future__ import annotations

import math

import numpy as np

from dmcjia_opt.base.showing import percent
from dmcjia_opt.studies.look.page import Cell, render
from dmcjia_opt.studies.look.words import scientific, seconds
from dmcjia_opt.studies.purchase.frontier import Frontier, Point
from dmcjia_opt.studies.purchase.frontier_figures import legend, page_figure


def frontier_page(frontier: Frontier) -> str:
    """Return the page of a frontier as one HTML file."""
    sale = frontier.sale
    bought = np.flatnonzero(sale.prices > 0).tolist()
    units = [f"{sale.resources[r].name}, {sale.units[r]}" for r in bought]
    steps = ["cost in steps", "delay in steps", *(f"{name} in steps" for name in units)] if frontier.stepped else []
    return render(
        "purchase/frontier.html.j2",
        frontier=frontier,
        lead=_lead(frontier),
        glance=_glance(frontier),
        drawing=page_figure(frontier),
        legend=legend(frontier),
        free=next((p for p in frontier.points if p.cost == 0.0), None),
        head=["deadline" if frontier.by_deadline else frontier.called, "cost", "lower bound", "gap", *units, *steps],
        rows=[_row(frontier, point, bought) for point in frontier.points],
    )


def amount(value: float) -> str:
    """Return a cost or a capacity in four digits, whole numbers whole."""
    return f"{value:,.0f}" if value >= 1000.0 or value == int(value) else f"{value:.4g}"


def _lead(frontier: Frontier) -> str:
    """Return what today's money buys at best, or what today's delay costs at least."""
    today = frontier.today
    if math.isinf(today.delay_s):
        return f"Today's capacity, {amount(today.cost)}, carries no plan that keeps what is asked."
    least = frontier.envelope(today.delay_s)
    what = "capacity" if frontier.sale.least else "cost"
    said = (
        f"Today's {what} is {amount(today.cost)}, and the {frontier.called} {seconds(today.delay_s)}. "
        f"Proved: nothing that costs less than {amount(least)} is as fast."
    )
    point = max((p for p in frontier.points if p.delay_s <= today.delay_s), key=lambda p: p.delay_s, default=None)
    if point is not None and point.cost < today.cost:
        said += f" {seconds(point.delay_s)} can be had for {amount(point.cost)}."
    return said


def _glance(frontier: Frontier) -> list[tuple[str, str]]:
    sale, today = frontier.sale, frontier.today
    bought = np.flatnonzero(sale.prices > 0).tolist()
    first, last = frontier.points[0], frontier.points[-1]
    gap = max(_gap(p) for p in frontier.points)
    pairs = [
        ("delay", frontier.called),
        ("nodes", f"{frontier.scenario.n_nodes:,}"),
        ("today", f"{amount(today.cost)} for {seconds(today.delay_s)}"),
        ("shortest delay here", f"{seconds(first.delay_s)} for {amount(first.cost)}"),
        ("longest delay here", f"{seconds(last.delay_s)} for {amount(last.cost)}"),
        ("largest gap of a point", percent(gap)),
    ]
    for r in bought:
        unit = sale.units[r]
        price = "to be least" if sale.least else f"{amount(float(sale.prices[r]))} a {unit}"
        step = f", in steps of {amount(float(sale.steps[r]))}" if sale.steps[r] else ""
        pairs.append((f"{sale.resources[r].name}, today {amount(float(sale.declared[r]))} {unit}", price + step))
    return pairs


def _gap(point: Point) -> float:
    return (point.cost - point.lower_bound) / point.cost if point.cost > 0 else 0.0


def _row(frontier: Frontier, point: Point, bought: list[int]) -> list[Cell | str]:
    def number(value: float) -> Cell:
        return Cell(amount(value), value)

    gap = _gap(point)
    row = [
        Cell(seconds(point.delay_s), point.delay_s),
        number(point.cost),
        number(point.lower_bound),
        Cell(scientific(gap), gap),
        *(number(value) for value in point.capacity[bought].tolist()),
    ]
    if frontier.stepped:
        row += [number(point.whole_cost), Cell(seconds(point.whole_delay_s), point.whole_delay_s)]
        row += [number(value) for value in point.whole_capacity[bought].tolist()]
    return list(row)
