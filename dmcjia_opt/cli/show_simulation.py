"""What `dmcjia simulate` shows."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from rich.markup import escape

from dmcjia_opt.base.showing import percent
from dmcjia_opt.cli.show import MAX_ROWS, console, facts, show_table, slowest, table_of
from dmcjia_opt.studies.look.words import delay_called, seconds, unit_of
from dmcjia_opt.studies.simulation.result import Simulation, compare


def show_simulation(found: Simulation, title: str, confidence: float, *, by_node: bool) -> None:
    """Print simulated delays beside the model's: the slowest nodes if `by_node`, and the fleet's mean."""
    out = console()
    if by_node:
        _show_nodes(found, title, confidence)
        if len(found.passage.resources) > 1:
            _show_resources(found)
    else:
        out.print(f"[italic]{escape(title)}[/italic]")
    half, short = found.mean_half_width(confidence), found.too_short
    quantiles, statistic = found.mean_quantiles, found.settings.statistic
    of = "" if statistic == "mean" else f" of the {delay_called(statistic, worst=False)}"
    summary = (
        ("simulated", f"[bold]{_interval(found.mean_delay, half)}[/bold], {100 * confidence:g} % interval{of}"),
        ("model", f"{seconds(found.mean_model)}, {_signed(found.mean_model / found.mean_delay - 1)} off"
         f"{', at the rates of the scenario' if found.other_rates.any() else ''}"),
        ("worst node", _worst(found, confidence)),
        ("deadlines", _deadlines(found, confidence)),
        ("of all tasks", f"half within {seconds(quantiles[0])}, 95 % within {seconds(quantiles[1])}, 99 % within "
         f"{seconds(quantiles[2])}"),
        ("arrivals", f"{escape(found.settings.arrivals)}, seed {found.settings.seed}"),
        ("cost", f"{found.measured.sum():,} tasks after a warm-up of {found.warm_up.sum():,}, "
         f"{seconds(found.wall_seconds)}"),
    )  # fmt: skip
    out.print(facts(summary))
    if short.any():
        nodes = [f'"{found.names[d]}"' for d in np.flatnonzero(short[:-1])[:3]]
        beyond = "" if found.bounded.all() else ", or too few tasks lie beyond the percentile"
        which = f" of {', '.join(map(escape, nodes))}{' …' if short[:-1].sum() > 3 else ''}" if nodes else ""
        out.print(
            f"[yellow]The run is too short: batches{which} still depend on each other{beyond}, and true intervals are "
            "wider. Raise --tasks.[/yellow]"
        )


def _worst(found: Simulation, confidence: float) -> str:
    """Return who is slowest, and between what its delay lies; empty where it is not what the plan is about."""
    if found.settings.objective != "worst":
        return ""
    d, least, most = found.worst(confidence)
    slowest = f"the slowest takes {seconds(least)} to {seconds(most)}, by the model {seconds(found.worst_model)}"
    return f"{escape(found.names[d])}, {seconds(float(found.delay[d]))}; {slowest}"


def _deadlines(found: Simulation, confidence: float) -> str:
    """Return whether deadlines are kept, which is nearest, and how many tasks are late; empty without deadlines."""
    dated = np.isfinite(found.deadline) & ~found.quiet
    if not dated.any():
        return ""
    half, delay = found.half_width(confidence), found.delay
    missed = int((delay - half > found.deadline)[dated].sum())
    d = int(np.where(dated, delay / found.deadline, -np.inf).argmax())
    number = "1" if dated.sum() == 1 else f"{dated.sum():,}"
    kept = f"{missed:,} of {number} clearly missed" if missed else f"{number}, none clearly missed"
    nearest = f"{_interval(float(delay[d]), float(half[d]))} of {seconds(float(found.deadline[d]))}"
    part = float(np.average(found.late[dated], weights=found.weight[dated]))
    late = f"{percent(part)} of their tasks are late" if part else "none of their tasks is late"
    return f"{kept}; the tightest is that of {escape(found.names[d])}, {nearest}; {late}"


def _show_nodes(found: Simulation, title: str, confidence: float) -> None:
    delay, half = found.delay, found.half_width(confidence)
    if len(delay) > MAX_ROWS:
        title += f": the {MAX_ROWS} slowest of {len(delay):,} nodes"
    unit, size = unit_of(float(np.nanmax(delay)))
    statistic = found.settings.statistic
    title += f"; {'' if statistic == 'mean' else f'{statistic} '}delays in {unit}, loads in %"
    further = {"mean": found.task_mean, "p95": found.quantiles[:, 1], "p99": found.quantiles[:, 2]}
    further.pop(statistic, None)
    dated = bool(np.isfinite(found.deadline).any())
    numbers = ("simulated", "±", "model", "off %", *(("late %",) if dated else ()), "edge", "link", "cloud", *further)
    table = table_of("node", numbers=numbers)
    for d in slowest(delay):
        loads = (found.load.edge[d], found.load.upload[d], found.load.cloud[d])
        model, cells = found.model[d], ((delay[d], ".4g"), (half[d], ".2g"))
        off = f"{100 * (model / delay[d] - 1):+.2f}" if np.isfinite(model) else "∞"
        table.add_row(
            escape(found.names[d]),
            *(f"{value / size:{form}}" if np.isfinite(value) else "–" for value, form in cells),
            f"{model / size:.4g}" if np.isfinite(model) else "∞",
            "–" if np.isnan(delay[d]) else off,
            *([f"{100 * found.late[d]:.3g}" if np.isfinite(found.late[d]) else "–"] if dated else []),
            *(f"{100 * load:.2f}" if load > 0 else "–" for load in loads),
            *(f"{values[d] / size:.4g}" if np.isfinite(values[d]) else "–" for values in further.values()),
        )
    show_table(table, title)


def _show_resources(found: Simulation) -> None:
    """Print what tasks take at each resource, and where a share of it is busiest: the busiest of many resources."""
    passage, counted = found.passage, ~found.quiet
    rows = []
    for r, resource in enumerate(passage.resources):
        on = passage.resource == r
        users = on.any(axis=1) & counted
        if users.any():
            spent = np.where(on, found.stage_delays, 0.0).sum(axis=1)[users]
            loads = np.where(on, found.stage_load, 0.0).max(axis=1, where=users[:, None], initial=0.0)
            fullest = found.names[int(loads.argmax())]
            if resource.pooled is not None:
                loads, fullest = loads.sum(keepdims=True), "all together"
            mean = float(np.average(spent, weights=found.weight[users]))
            rows.append((resource, int(users.sum()), mean, float(loads.max()), fullest))
    if not rows:
        return
    title = "" if len(rows) <= MAX_ROWS else f"the {MAX_ROWS} busiest of {len(rows):,} resources; "
    unit, size = unit_of(max(row[2] for row in rows))
    table = table_of("shared", "kind", "busiest share", numbers=("load", "nodes", "simulated"))
    busiest = sorted(rows, key=lambda row: -row[3])[:MAX_ROWS] if title else rows
    for resource, users, mean, load, node in busiest:
        cells = (f"{100 * load:.2f}", f"{users:,}", f"{mean / size:.4g}")
        table.add_row(escape(resource.name), resource.kind, escape(node), *cells)
    show_table(table, f"{title}mean delays of the nodes that use it in {unit}, loads in %")


def show_differences(found: Mapping[str, Simulation], confidence: float) -> None:
    """Print how every plan but the first compares with the first, on the same arrivals and services."""
    (first, base), *others = found.items()
    out, called = console(), delay_called(base.settings.statistic, worst=False)
    for name, other in others:
        difference = compare(base, other)
        interval = _interval(abs(difference.mean), difference.half_width(confidence))
        if difference.is_clear(confidence):
            faster = "faster" if difference.mean < 0 else "slower"
            faster += "" if base.settings.statistic == "mean" else f" in the {called}"
            part = percent(abs(difference.mean) / base.mean_delay)
            out.print(f"{escape(name)} is {faster} than {escape(first)} by {interval} ({part})")
        else:
            out.print(f"{escape(name)} and {escape(first)} do not differ clearly: by {interval}; try more --tasks")


def _interval(value: float, half: float) -> str:
    """Return an interval with one unit for both of its numbers, and as many digits as it pins down, at most 7."""
    unit, size = unit_of(max(value, half))
    finest = max(half, 1e-6 * value, 1e-300) / size
    digits = min(max(1 - math.floor(math.log10(finest)), 0), 9)
    return f"{value / size:.{digits}f} ± {half / size:.{digits}f} {unit}"


def _signed(part: float) -> str:
    """Return a relative difference as a percentage with its sign."""
    if not math.isfinite(part):
        return "∞"
    return "0 %" if abs(part) < 5e-7 else f"{100 * part:+.3g} %"
