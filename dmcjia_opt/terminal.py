"""What the command line shows: progress while a search runs, and tables afterwards."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from types import TracebackType

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from dmcjia_opt.certificate import relative_gap
from dmcjia_opt.model.scenario import Scenario
from dmcjia_opt.plan import Plan
from dmcjia_opt.protocols import Status, Stop, TracePoint
from dmcjia_opt.registry import KINDS, options, variants, why_not
from dmcjia_opt.spec import Spec
from dmcjia_opt.verification import Check

#: Nodes shown one by one; of larger fleets the slowest are shown.
MAX_ROWS = 40

_UNITS = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6))
_BOUND = {"dual": "the price of cloud capacity", "benders": "Benders cuts; it rests on HiGHS"}
_STATUS = {
    Status.OPTIMAL: "optimal, proved",
    Status.FEASIBLE: "feasible, not proved optimal",
    Status.LIMIT: "limit: the best when the budget was spent",
}


class SearchProgress:
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
        console = Console(stderr=True)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        total = 1.0 if stop.seconds is not None or stop.evaluations is not None else None
        self._task = self._progress.add_task(escape(title), total=total, state="starting")

    def __enter__(self) -> SearchProgress:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def update(self, point: TracePoint) -> None:
        """Show a point of the search's trace."""
        done = [0.0]
        if self._stop.seconds:
            done.append(point.seconds / self._stop.seconds)
        if self._stop.evaluations:
            done.append(point.evaluations / self._stop.evaluations)
        gap = relative_gap(point.objective, point.lower_bound)
        best = f"best {seconds(point.objective)}, gap {percent(gap)}" if math.isfinite(gap) else "no feasible plan yet"
        self._progress.update(self._task, completed=max(done), state=f"{point.evaluations:,} plans, {best}")


def seconds(value: float) -> str:
    """Return a duration with a unit that suits its size."""
    if not math.isfinite(value):
        return "∞"
    for unit, size in _UNITS:
        if abs(value) >= size:
            return f"{value / size:.4g} {unit}"
    return f"{value:.3g} s"


def percent(gap: float) -> str:
    """Return a relative gap as a percentage that never reads as zero unless it is."""
    return f"{100 * gap:.2f} %" if gap >= 1e-4 else f"{gap:.1e}" if gap > 0 else "0"


def in_plain_words(plan: Plan) -> str:
    """Return one sentence on how good the plan is."""
    if plan.status == Status.OPTIMAL:
        return f"Proved: no plan is faster by more than {percent(plan.gap)} of this delay."
    return (
        f"Proved: no plan is faster than {seconds(plan.lower_bound)}. "
        f"This one is at most {percent(plan.objective / plan.lower_bound - 1)} slower than the best there is."
    )


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
    slowest = float(plan.delays.total.max())
    unit, size = next(((u, s) for u, s in _UNITS if slowest >= s), _UNITS[-1])
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
        ("lower bound", f"{seconds(plan.lower_bound)}, from {_BOUND.get(plan.bound_from, escape(plan.bound_from))}"),
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


def show_checks(checks: Iterable[Check]) -> None:
    """Print claims beside their recomputation."""
    table = Table()
    for name in ("claim", "says", "recomputed", ""):
        table.add_column(name)
    for check in checks:
        mark = "[green]true[/green]" if check.true else "[red bold]FALSE[/red bold]"
        table.add_row(check.what, escape(check.claimed), escape(check.recomputed), mark)
    Console().print(table)


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
