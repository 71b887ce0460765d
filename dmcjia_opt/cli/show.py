"""What the command line shows: progress while a search runs, and tables afterwards."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from dmcjia_opt.bounds.certificate import relative_gap
from dmcjia_opt.bounds.proof.document import Proof
from dmcjia_opt.model.scenario.scenario import Scenario
from dmcjia_opt.solving.contract import Spec, Status, Stop, TracePoint
from dmcjia_opt.solving.plan import Plan
from dmcjia_opt.solving.registry import KINDS, options, variants, why_not
from dmcjia_opt.solving.verifying import Check
from dmcjia_opt.studies.look.progress import Live
from dmcjia_opt.studies.look.words import in_plain_words, percent, seconds, source_of_bound, unit_of
from dmcjia_opt.studies.simulation import Simulation, compare

#: Nodes shown one by one; of larger fleets the slowest are shown.
MAX_ROWS = 40

_STATUS = {
    Status.OPTIMAL: "optimal, proved",
    Status.FEASIBLE: "feasible, not proved optimal",
    Status.LIMIT: "limit: the best when the budget was spent",
}


class SearchProgress(Live):
    """A live line on standard error: plans evaluated, incumbent, proved gap.

    Parameters
    ----------
    stop
        The budget; it sets the length of the bar.
    title
        What is running.
    """

    def __init__(self, stop: Stop, title: str) -> None:
        self._stop = stop
        super().__init__(
            title,
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
            total=1.0 if stop.seconds is not None or stop.evaluations is not None else None,
        )

    def update(self, point: TracePoint) -> None:
        """Show a point of the search's trace."""
        done = [0.0]
        if self._stop.seconds:
            done.append(point.seconds / self._stop.seconds)
        if self._stop.evaluations:
            done.append(point.evaluations / self._stop.evaluations)
        gap = relative_gap(point.objective, point.lower_bound)
        best = f"best {seconds(point.objective)}, gap {percent(gap)}" if math.isfinite(gap) else "no feasible plan yet"
        self.show(max(done), f"{point.evaluations:,} plans, {best}")


class Spinner(Live):
    """A line on standard error that shows that work goes on, and for how long.

    Parameters
    ----------
    title
        What is running.
    """

    def __init__(self, title: str) -> None:
        super().__init__(title, SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), total=None)


def say(text: str) -> None:
    """Print a line as it is."""
    print(text)  # noqa: T201


def warn(sentence: str) -> None:
    """Print a sentence on standard error that does not end the command."""
    print(f"dmcjia: warning: {sentence}", file=sys.stderr)  # noqa: T201


def show_plan(plan: Plan, scenario: Scenario) -> None:
    """Print a plan as a table of nodes and a summary."""
    console = Console()
    order = np.arange(len(plan.splits))
    models = sorted(set(plan.models))
    title = f"{scenario.name}: {len(order):,} node{'s' if len(order) > 1 else ''}"
    if len(models) == 1:
        title += f" running {models[0]}"
    if len(order) > MAX_ROWS:
        order = np.argsort(-plan.delays.total, kind="stable")[:MAX_ROWS]
        title += f", the {MAX_ROWS} slowest shown"
    stages = (plan.delays.edge, plan.delays.upload, plan.delays.cloud, plan.delays.total)
    unit, size = unit_of(float(plan.delays.total.max()))
    table = Table(title=escape(title), title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("node", overflow="fold")
    if len(models) > 1:
        table.add_column("model", overflow="fold")
    for name in ("split", "share %", *(f"{stage} {unit}" for stage in ("edge", "upload", "cloud", "total"))):
        table.add_column(name, justify="right", no_wrap=True)
    for d in order:
        layers = scenario.profiles[scenario.nodes.model_of(int(d))].n_layers
        table.add_row(
            escape(plan.names[d]),
            *([escape(plan.models[d])] if len(models) > 1 else []),
            f"{plan.splits[d]}/{layers}",
            f"{100 * plan.shares[d]:.3g}",
            *(f"{stage[d] / size:.4g}" if stage[d] else "–" for stage in stages),
        )
    console.print(table)
    summary = Table.grid(padding=(0, 2))
    times = "once" if plan.evaluations == 1 else f"{plan.evaluations:,} times"
    for key, value in (
        ("mean delay", f"[bold]{seconds(plan.objective)}[/bold]"),
        ("lower bound", f"{seconds(plan.lower_bound)}, from {escape(source_of_bound(plan.bound_from))}"),
        ("gap", percent(plan.gap)),
        ("status", _STATUS.get(plan.status, str(plan.status))),
        ("made by", escape(f"{plan.placer} + {plan.allocator}, seed {plan.seed}")),
        ("cost", f"shares computed {times}, {seconds(plan.wall_seconds)}"),
    ):
        summary.add_row(key, value)
    console.print(summary)
    for note in plan.notes:
        console.print(f"[yellow]Note:[/yellow] {escape(note)}.")
    console.print(in_plain_words(plan))


def show_proof(proof: Proof, plan: Plan) -> None:
    """Print what a proof proves about a plan, and on what the rest of the plan's bound rests, if there is one."""
    console = Console()
    gap = relative_gap(plan.objective, proof.bound)
    cases = "one price" if proof.leaves == 1 else f"{proof.leaves:,} cases at {len(proof.prices):,} prices"
    console.print(f"Proof: {cases}; no plan is faster than {seconds(proof.bound)}, gap {percent(gap)}.")
    if gap > max(plan.gap, plan.gap_tolerance) * (1 + 1e-6):
        console.print(
            f"A proof of the plan's own bound is too large; it rests on the search of {escape(plan.bound_from)}."
        )


def show_checks(checks: Iterable[Check]) -> None:
    """Print claims beside their recomputation."""
    table = Table()
    for name in ("claim", "says", "recomputed", ""):
        table.add_column(name)
    for check in checks:
        mark = "[green]true[/green]" if check.true else "[red bold]FALSE[/red bold]"
        table.add_row(check.what, escape(check.claimed), escape(check.recomputed), mark)
    Console().print(table)


def show_simulation(found: Simulation, title: str, confidence: float, *, by_node: bool) -> None:
    """Print simulated delays beside the model's: the slowest nodes if `by_node`, and the fleet's mean."""
    console = Console()
    if by_node:
        console.print(_simulated_nodes(found, title, confidence))
    else:
        console.print(f"[italic]{escape(title)}[/italic]")
    half, short = found.mean_half_width(confidence), found.too_short
    quantiles = found.mean_quantiles
    summary = Table.grid(padding=(0, 2))
    for key, value in (
        ("simulated", f"[bold]{_interval(found.mean_delay, half)}[/bold], {100 * confidence:g} % interval"),
        ("model", f"{seconds(found.mean_model)}, {_signed(found.mean_model / found.mean_delay - 1)} off"),
        ("of all tasks", f"half within {seconds(quantiles[0])}, 95 % within {seconds(quantiles[1])}, 99 % within "
         f"{seconds(quantiles[2])}"),
        ("arrivals", f"{escape(found.settings.arrivals)}, seed {found.settings.seed}"),
        ("cost", f"{found.measured.sum():,} tasks after a warm-up of {found.warm_up.sum():,}, "
         f"{seconds(found.wall_seconds)}"),
    ):  # fmt: skip
        summary.add_row(key, value)
    console.print(summary)
    if short.any():
        nodes = [f'"{found.names[d]}"' for d in np.flatnonzero(short[:-1])[:3]]
        which = f" of {', '.join(map(escape, nodes))}{' …' if short[:-1].sum() > 3 else ''}" if nodes else ""
        console.print(
            f"[yellow]The run is too short: batches{which} still depend on each other, and true intervals are wider. "
            "Raise --tasks.[/yellow]"
        )


def _simulated_nodes(found: Simulation, title: str, confidence: float) -> Table:
    delay, half = found.delay, found.half_width(confidence)
    order = np.arange(len(delay))
    if len(order) > MAX_ROWS:
        order = np.argsort(-delay, kind="stable")[:MAX_ROWS]
        title += f": the {MAX_ROWS} slowest of {len(delay):,} nodes"
    unit, size = unit_of(float(delay.max()))
    title += f"; delays in {unit}, loads in %"
    table = Table(title=escape(title), title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("node", overflow="fold", min_width=9)
    for name in ("simulated", "±", "model", "off %", "edge", "link", "cloud", "p95", "p99"):
        table.add_column(name, justify="right", no_wrap=True)
    for d in order:
        loads = (found.load.edge[d], found.load.upload[d], found.load.cloud[d])
        model = found.model[d]
        table.add_row(
            escape(found.names[d]),
            f"{delay[d] / size:.4g}",
            f"{half[d] / size:.2g}",
            f"{model / size:.4g}" if np.isfinite(model) else "∞",
            f"{100 * (model / delay[d] - 1):+.2f}" if np.isfinite(model) else "∞",
            *(f"{100 * load:.2f}" if load else "–" for load in loads),
            *(f"{quantile / size:.4g}" for quantile in found.quantiles[d, 1:]),
        )
    return table


def show_differences(found: Mapping[str, Simulation], confidence: float) -> None:
    """Print how every plan but the first compares with the first, on the same arrivals and services."""
    (first, base), *others = found.items()
    console = Console()
    for name, other in others:
        difference = compare(base, other)
        interval = _interval(abs(difference.mean), difference.half_width(confidence))
        if difference.is_clear(confidence):
            faster = "faster" if difference.mean < 0 else "slower"
            part = percent(abs(difference.mean) / base.mean_delay)
            console.print(f"{escape(name)} is {faster} than {escape(first)} by {interval} ({part})")
        else:
            console.print(f"{escape(name)} and {escape(first)} do not differ clearly: by {interval}; try more --tasks")


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


def show_methods(found: Sequence[Spec]) -> None:
    """Print methods, whether they can run here, and what may follow a colon in their names."""
    console = Console()
    for kind in reversed(KINDS):
        table = Table(title=f"{kind}s", title_justify="left", expand=True)
        for name in ("name", "exact", "here", "what it is"):
            table.add_column(name, no_wrap=name != "what it is", overflow="fold")
        for spec in (spec for spec in found if spec.kind == kind):
            why = why_not(spec)
            here = "[green]yes[/green]" if why is None else "[red]no[/red]"
            text = escape(spec.summary if why is None else f"{spec.summary} ({why})" if spec.summary else why)
            if spec.origin:
                text += f"\n[dim]plug-in: {escape(spec.origin)}[/dim]"
            if names := variants(spec):
                text += f"\n[dim]{escape(spec.name)}:… {escape(', '.join(names))}[/dim]"
            table.add_row(escape(spec.name), "yes" if spec.exact else "–", here, text)
        console.print(table)
    console.print("Options of a method: dmcjia methods NAME", highlight=False)


def show_method(spec: Spec) -> None:
    """Print all there is to know of one method: what it is and needs, its variants and its options."""
    console = Console()
    why = why_not(spec)
    facts = Table.grid(padding=(0, 2))
    facts.add_column(no_wrap=True)
    for key, value in (
        (spec.kind, f"{spec.name}: {spec.summary}"),
        ("exact", "yes" if spec.exact else "no"),
        ("requires", ", ".join(spec.requires) or "nothing beyond NumPy" if not spec.origin else ""),
        ("plug-in", f"{spec.target}, from {spec.origin}" if spec.origin else ""),
        ("here", "yes" if why is None else f"no: {why}"),
        ("variants", ", ".join(f"{spec.name}:{name}" for name in variants(spec))),
    ):
        if value:
            facts.add_row(key, escape(value))
    console.print(facts)
    if why is not None:
        return
    if not (known := options(spec)):
        console.print("It has no options.\n")
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("option", "type", "default", "what it is"):
        table.add_column(name, no_wrap=name == "option", overflow="fold")
    for option in known:
        table.add_row(*(escape(text) for text in (option.name, option.type, option.default or "–", option.doc)))
    console.print(table)
    first = known[0]
    console.print(
        f"As in: --{spec.kind} {escape(spec.name)}:{first.name}={escape(first.default or '…')}\n", highlight=False
    )


def method_row(spec: Spec, *, with_options: bool) -> dict[str, object]:
    """Return what `dmcjia methods --json` says of a method."""
    why = why_not(spec)
    row: dict[str, object] = {
        "name": spec.name,
        "kind": spec.kind,
        "summary": spec.summary,
        "exact": spec.exact,
        "baseline": spec.baseline,
        "available": why is None,
        "why_not": why,
        "requires": list(spec.requires),
        "variants": list(variants(spec)),
        "plugin": spec.origin or None,
    }
    if with_options:
        keys = ("name", "type", "default", "doc")
        row["options"] = [{key: getattr(option, key) for key in keys} for option in options(spec)]
    return row
