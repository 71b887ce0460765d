"""What the command line shows of plans, proofs and claims; and how its tables look."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable

import numpy as np
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.base.showing import percent
from dmcjia_opt.bounds.certificate import relative_gap
from dmcjia_opt.bounds.proof.document import Proof
from dmcjia_opt.cli.progress import spinner
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.scenario import Scenario
from dmcjia_opt.solving.contract import Placement
from dmcjia_opt.solving.plan import Plan, PlanHead
from dmcjia_opt.solving.verifying import Check
from dmcjia_opt.studies.look.words import (
    cuts_of,
    deadlines_kept,
    dearness,
    delay_called,
    in_percent,
    in_plain_words,
    pooled_in_words,
    seconds,
    share_of,
    sharing_of,
    source_of_bound,
    tensors_at,
    unit_of,
)

#: Nodes shown one by one; of larger fleets the slowest are shown.
MAX_ROWS = 40
#: Cuts whose tensors are named.
MAX_CUTS = 3

#: Width of a pipe, and of what is between two columns.
_UNBROKEN, _BETWEEN = 100_000, 2
_SAME = 1e-9  # relative difference of delays that are the same


def warn(sentence: str) -> None:
    """Print a sentence on standard error that does not end the command."""
    typer.echo(f"dmcjia: warning: {sentence}", err=True)


def console() -> Console:
    """Return standard output, as wide as the terminal; in a pipe no line is broken, unless COLUMNS says where."""
    found = Console()
    if not (found.is_terminal or "COLUMNS" in os.environ):
        found.width = _UNBROKEN
    return found


def table_of(*names: str, numbers: Iterable[str] = (), prose: Iterable[str] = ()) -> Table:
    """Return an empty table with a column for each of names, `numbers` and `prose`; only prose may be broken."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in names:
        table.add_column(name, no_wrap=True)
    for name in numbers:
        table.add_column(name, no_wrap=True, justify="right")
    for name in prose:
        table.add_column(name)
    return table


def show_table(table: Table, title: str = "") -> None:
    """Print a table of which nothing is cut: columns that do not fit follow below, beside the first one again."""
    out = console()
    if title:
        out.print(f"[italic]{escape(title)}[/italic]")
    first, *others = table.columns
    parts = [[first]]
    for column in others:
        if len(parts[-1]) > 1 and _width(out, [*parts[-1], column]) > out.width:
            parts.append([first])
        parts[-1].append(column)
    for part in parts:
        piece = table_of()
        for column in part:
            least = _width(out, [column]) - _BETWEEN
            piece.add_column(column.header, justify=column.justify, no_wrap=column.no_wrap, min_width=least)
        for cells in zip(*(column.cells for column in part), strict=True):
            piece.add_row(*cells)
        out.width = max(out.width, _width(out, part))
        out.print(piece)


def _width(out: Console, columns: Iterable[Column]) -> int:
    """Return how wide a table of columns is if no name, number or word in it is broken."""
    width, endless = 0, out.options.update(width=_UNBROKEN)
    for column in columns:
        sizes = [out.measure(cell, options=endless) for cell in (column.header, *column.cells)]
        width += _BETWEEN + max(size.maximum if column.no_wrap else size.minimum for size in sizes)
    return width


def facts(rows: Iterable[tuple[str, str]]) -> Table:
    """Return names beside what there is to say of them, in rich's markup; where either is empty they are left out."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    for name, text in rows:
        if name and text:
            table.add_row(name, text)
    return table


def slowest(delays: FloatArray) -> IntArray:
    """Return the nodes that are shown one by one: all in their order, or the slowest of many."""
    if len(delays) <= MAX_ROWS:
        return np.arange(len(delays))
    return np.argsort(-delays, kind="stable")[:MAX_ROWS]


def show_plan(plan: Plan, scenario: Scenario) -> None:
    """Print a plan as a table of nodes, one of what they share where that is more than a cloud, and a summary."""
    from dmcjia_opt.studies.plan.instead import in_words as instead_in_words

    out = console()
    with spinner("one queue for all, for comparison"):
        placement = Placement(plan.options, plan.shares_by_use)
        other_rule = instead_in_words(scenario, compile_problem(scenario), placement, plan.objective)
    n_nodes, models = len(plan.splits), sorted(set(plan.networks))
    title = f"{scenario.name}: {n_nodes:,} node{'s' if n_nodes > 1 else ''}"
    if len(models) == 1:
        title += f" running {models[0]}"
    if n_nodes > MAX_ROWS:
        title += f", the {MAX_ROWS} slowest shown"
    if scenario.menus.splits:
        show_table(_nodes_of_one_cloud(plan, scenario), title)
    else:
        unit = unit_of(float(plan.delays.total.max()))[0]
        show_table(_nodes(plan, scenario), f"{title}; delays in {unit}")
        _show_resources(plan)
    times = "once" if plan.evaluations == 1 else f"{plan.evaluations:,} times"
    source = source_of_bound(plan.bound_from, len(plan.prices))
    worst = f", {escape(_slowest_of_all(plan))}" if plan.worst else ""
    summary = (
        (delay_called(plan.statistic, worst=plan.worst), f"[bold]{seconds(plan.objective)}[/bold]{worst}"),
        (delay_called(plan.statistic, worst=False) if plan.worst else "", seconds(plan.mean_delay)),
        ("deadlines", escape(deadlines_kept(plan.names, plan.delays.total, plan.deadlines))),
        ("cloud" if scenario.menus.splits else "", _pooled_cloud(plan)),
        ("sent", escape(_sent(plan, scenario))),
        ("lower bound", f"{seconds(plan.lower_bound)}, from {escape(source)}"),
        ("gap", percent(plan.gap)),
        ("status", plan.status.in_words(plan.gap_tolerance)),
        ("made by", escape(f"{plan.placer} + {plan.allocator}, seed {plan.seed}")),
        ("cost", f"shares computed {times}, {seconds(plan.wall_seconds)}"),
    )
    out.print(facts(summary))
    show_remarks(plan)
    if other_rule:
        out.print(escape(other_rule))


def show_remarks(plan: PlanHead) -> None:
    """Print what a reader should know of a plan, and how good it is in a sentence."""
    out = console()
    for note in plan.notes:
        out.print(f"[yellow]Note:[/yellow] {escape(note)}.")
    for caution in plan.cautions:
        out.print(f"[yellow]Caution:[/yellow] {escape(caution)}.")
    out.print(in_plain_words(plan))


def warn_of(plan: PlanHead) -> None:
    """Say on standard error what a reader should know of a plan that is not shown."""
    for sentence in (*plan.notes, *plan.cautions):
        warn(sentence)


def _pooled_cloud(plan: Plan) -> str:
    """Return how the one thing that is shared is pooled; nothing where it is not."""
    choices, resource = plan.choices, plan.choices.resources[0]
    return "" if resource.pooled is None else pooled_in_words(resource, float(choices.load[0]), float(choices.wait[0]))


def _sent(plan: Plan, scenario: Scenario) -> str:
    """Return the tensors that cross the most frequent cuts; nothing where nobody named them."""
    choices, seen = plan.choices, Counter[tuple[int, int]]()
    for cuts in choices.cuts.T:
        seen.update(zip(choices.network.tolist(), cuts.tolist(), strict=True))
    found = []
    for (network, cut), _ in seen.most_common():
        profile = scenario.profiles[scenario.nodes.networks[network]]
        if 0 < cut < profile.n_layers and (tensors := tensors_at(profile, cut)):
            found.append(f"{profile.name} at {cut}: {tensors}")
    others = len(found) - MAX_CUTS
    return "; ".join([*found[:MAX_CUTS], *([f"{others} other cuts"] if others > 0 else [])])


def _slowest_of_all(plan: Plan) -> str:
    """Return the node with the largest delay, and how many others have the same, up to rounding."""
    delays = plan.delays.total
    ties = int((delays >= delays.max() * (1.0 - _SAME)).sum()) - 1
    return plan.names[int(delays.argmax())] + (f" and {ties:,} more" if ties else "")


def _nodes_of_one_cloud(plan: Plan, scenario: Scenario) -> Table:
    stages = (plan.delays.edge, plan.delays.upload, plan.delays.cloud, plan.delays.total)
    unit, size = unit_of(float(plan.delays.total.max()))
    names, shares = _named(plan), plan.shares
    pooled = plan.choices.resources[0].pooled is not None
    numbers = (
        "split",
        *([] if pooled else ["share %"]),
        *(f"{stage} {unit}" for stage in ("edge", "upload", "cloud", "total")),
    )
    table = table_of(*names, numbers=numbers)
    for d in slowest(plan.delays.total):
        layers = scenario.profiles[scenario.nodes.network_of(int(d))].n_layers
        table.add_row(
            escape(plan.names[d]),
            *([escape(plan.networks[d])] if len(names) > 1 else []),
            f"{plan.splits[d]}/{layers}",
            *([] if pooled else [f"{100 * shares[d]:.3g}"]),
            *(f"{stage[d] / size:.4g}" if stage[d] else "–" for stage in stages),
        )
    return table


def _nodes(plan: Plan, scenario: Scenario) -> Table:
    """Return a table with a column for each kind of resource: which of them a node has how much of."""
    choices, stages = plan.choices, (plan.delays.total, plan.delays.edge, plan.delays.upload, plan.delays.cloud)
    size = unit_of(float(plan.delays.total.max()))[1]
    kind_of = {resource.name: resource.kind for resource in choices.resources}
    names, kinds, tiered = _named(plan), sorted(set(kind_of.values())), choices.cuts.shape[1] > 1
    table = table_of(*names)
    table.add_column("cuts" if tiered else "split", no_wrap=True, justify="right")
    for kind in kinds:
        table.add_column(kind, no_wrap=True)
    for stage in ("total", "device", "network", "servers"):
        table.add_column(stage, no_wrap=True, justify="right")
    for d in slowest(plan.delays.total).tolist():
        layers = scenario.profiles[scenario.nodes.network_of(d)].n_layers
        shares = choices.used_by(d)
        of_kind = [", ".join(share_of(on, shares[on]) for on in shares if kind_of[on] == kind) for kind in kinds]
        table.add_row(
            escape(plan.names[d]),
            *([escape(plan.networks[d])] if len(names) > 1 else []),
            cuts_of(choices.cuts_of(d), layers),
            *(escape(some) or "–" for some in of_kind),
            *(f"{stage[d] / size:.4g}" if stage[d] else "–" for stage in stages),
        )
    return table


def _named(plan: Plan) -> tuple[str, ...]:
    return ("node", "model") if len(set(plan.networks)) > 1 else ("node",)


def _show_resources(plan: Plan) -> None:
    """Print what is shared: how much of it is given out, what more of it would save, and who has most of it.

    Of what is pooled nothing is given out: then how busy it is and what tasks wait there is printed.
    """
    choices, used = plan.choices, plan.choices.used
    dearest = np.argsort(-plan.prices, kind="stable")[:MAX_ROWS] if len(used) > MAX_ROWS else np.arange(len(used))
    most = choices.largest()
    pools = any(resource.pooled for resource in choices.resources)
    names = ("shared", "kind", *(["how"] if pools else []))
    table = table_of(*names, numbers=("given out", "scarcity" if plan.worst else "1 % more saves"))
    if pools:
        for name in ("busy", "wait"):
            table.add_column(name, no_wrap=True, justify="right")
    table.add_column("most to", no_wrap=True)
    for r in dearest.tolist():
        node, share = most[r]
        resource, pooled = choices.resources[r], choices.resources[r].pooled is not None
        table.add_row(
            escape(resource.name),
            resource.kind,
            *([sharing_of(resource)] if pools else []),
            "–" if pooled else in_percent(used[r]),
            "–" if pooled else dearness(float(plan.prices[r]), plan.prices, worst=plan.worst),
            *([in_percent(choices.load[r]), seconds(choices.wait[r]) if pooled else "–"] if pools else []),
            escape(f"{plan.names[node]} {in_percent(share)}") if share else "–",
        )
    left = f", the {MAX_ROWS} dearest of {len(used):,}" if len(used) > MAX_ROWS else ""
    show_table(table, f"What they share{left}")


def show_proof(proof: Proof, plan: Plan) -> None:
    """Print what a proof proves about a plan, and on what the rest of the plan's bound rests, if there is one."""
    out = console()
    gap = relative_gap(plan.objective, proof.bound)
    cases = "one price" if proof.leaves == 1 else f"{proof.leaves:,} cases at {len(proof.prices):,} prices"
    out.print(f"Proof: {cases}; no such plan is faster than {seconds(proof.bound)}, gap {percent(gap)}.")
    if gap > max(plan.gap, plan.gap_tolerance) * (1 + 1e-6):
        out.print(f"A proof of the plan's own bound is too large; it rests on the search of {escape(plan.bound_from)}.")


def show_checks(checks: Iterable[Check]) -> None:
    """Print claims beside their recomputation."""
    table = table_of("claim", prose=("says", "recomputed"))
    table.add_column("", no_wrap=True)
    for check in checks:
        mark = "[green]true[/green]" if check.true else "[red bold]FALSE[/red bold]"
        table.add_row(check.what, escape(check.claimed), escape(check.recomputed), mark)
    show_table(table)
