"""What the command line shows of plans, proofs and claims; and how its tables look."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.bounds.certificate import relative_gap
from dmcjia_opt.bounds.proof.document import Proof
from dmcjia_opt.model.scenario.scenario import Scenario
from dmcjia_opt.solving.plan import Plan
from dmcjia_opt.solving.verifying import Check
from dmcjia_opt.studies.look.words import in_plain_words, percent, seconds, source_of_bound, unit_of

#: Nodes shown one by one; of larger fleets the slowest are shown.
MAX_ROWS = 40


def warn(sentence: str) -> None:
    """Print a sentence on standard error that does not end the command."""
    typer.echo(f"dmcjia: warning: {sentence}", err=True)


def table_of(title: str | None = None) -> Table:
    """Return an empty table that is as narrow as its content allows."""
    return Table(
        title=title and escape(title), title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0)
    )


def facts(rows: Iterable[tuple[str, str]]) -> Table:
    """Return names beside what there is to say of them, in rich's markup; what is empty is left out."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    for name, text in rows:
        if text:
            table.add_row(name, text)
    return table


def slowest(delays: FloatArray) -> IntArray:
    """Return the nodes that are shown one by one: all in their order, or the slowest of many."""
    if len(delays) <= MAX_ROWS:
        return np.arange(len(delays))
    return np.argsort(-delays, kind="stable")[:MAX_ROWS]


def show_plan(plan: Plan, scenario: Scenario) -> None:
    """Print a plan as a table of nodes and a summary."""
    console = Console()
    n_nodes, models = len(plan.splits), sorted(set(plan.networks))
    title = f"{scenario.name}: {n_nodes:,} node{'s' if n_nodes > 1 else ''}"
    if len(models) == 1:
        title += f" running {models[0]}"
    if n_nodes > MAX_ROWS:
        title += f", the {MAX_ROWS} slowest shown"
    stages = (plan.delays.edge, plan.delays.upload, plan.delays.cloud, plan.delays.total)
    unit, size = unit_of(float(plan.delays.total.max()))
    table = table_of(title)
    table.add_column("node", overflow="fold")
    if len(models) > 1:
        table.add_column("model", overflow="fold")
    for name in ("split", "share %", *(f"{stage} {unit}" for stage in ("edge", "upload", "cloud", "total"))):
        table.add_column(name, justify="right", no_wrap=True)
    for d in slowest(plan.delays.total):
        layers = scenario.profiles[scenario.nodes.network_of(int(d))].n_layers
        table.add_row(
            escape(plan.names[d]),
            *([escape(plan.networks[d])] if len(models) > 1 else []),
            f"{plan.splits[d]}/{layers}",
            f"{100 * plan.shares[d]:.3g}",
            *(f"{stage[d] / size:.4g}" if stage[d] else "–" for stage in stages),
        )
    console.print(table)
    times = "once" if plan.evaluations == 1 else f"{plan.evaluations:,} times"
    summary = (
        ("mean delay", f"[bold]{seconds(plan.objective)}[/bold]"),
        ("lower bound", f"{seconds(plan.lower_bound)}, from {escape(source_of_bound(plan.bound_from))}"),
        ("gap", percent(plan.gap)),
        ("status", plan.status.in_words(plan.gap_tolerance)),
        ("made by", escape(f"{plan.placer} + {plan.allocator}, seed {plan.seed}")),
        ("cost", f"shares computed {times}, {seconds(plan.wall_seconds)}"),
    )
    console.print(facts(summary))
    for note in plan.notes:
        console.print(f"[yellow]Note:[/yellow] {escape(note)}.")
    console.print(in_plain_words(plan))


def show_proof(proof: Proof, plan: Plan) -> None:
    """Print what a proof proves about a plan, and on what the rest of the plan's bound rests, if there is one."""
    console = Console()
    gap = relative_gap(plan.objective, proof.bound)
    cases = "one price" if proof.leaves == 1 else f"{proof.leaves:,} cases at {len(proof.prices):,} prices"
    console.print(f"Proof: {cases}; no such plan is faster than {seconds(proof.bound)}, gap {percent(gap)}.")
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
