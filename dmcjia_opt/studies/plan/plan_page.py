"""The report of one plan: how good it is, where its delay comes from, what more capacity would buy, how it was made.

The page stays small whatever the fleet: nodes beyond a cap are counted, not listed. What it says is in
``plan.html.j2``; this module computes the numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dmcjia_opt.solving.contract import Status
from dmcjia_opt.studies.look.page import Cell, render
from dmcjia_opt.studies.look.words import in_plain_words, percent, seconds, source_of_bound
from dmcjia_opt.studies.plan import figures
from dmcjia_opt.studies.plan.provenance import UNKNOWN, command, foreign, provenance
from dmcjia_opt.studies.plan.subject import Subject
from dmcjia_opt.studies.plan.what_if import SEARCH_SECONDS, WhatIf, WhatIfs, delay_cell, saving_cell, what_ifs

#: Rows of a table of nodes, at most.
MOST_ROWS = figures.MOST_BARS
#: Bars of a plot of cuts, at most; models with a plot of their own, at most.
MOST_CUTS, MOST_MODELS = 30, 12
#: A queue that is busy for this part of the time or more is close to instability.
CLOSE = 0.8


def plan_report(
    subject: Subject, search_seconds: float = SEARCH_SECONDS, progress: Callable[[float], None] | None = None
) -> str:
    """Return the report of a plan as one HTML file.

    Parameters
    ----------
    subject
        The plan and its scenario.
    search_seconds
        Wall time limit, s, of each of the three or four searches for what a changed fleet would reach.
    progress
        Called with the part of the work that is done.
    """
    found = what_ifs(subject, search_seconds, progress)
    if found.unchanged is not None:
        subject = subject.with_bound(found.unchanged.least.bound, found.unchanged.least.bound_from)
    page = render(
        "plan/plan.html.j2",
        subject=subject,
        models=sorted({profile.name for profile in subject.scenario.profiles.values()}),
        in_plain_words=in_plain_words(subject),
        glance=_glance(subject),
        delays=_delays(subject),
        shares=_shares(subject),
        **_cuts(subject),
        changes=_changes(subject, found),
        search_seconds=search_seconds,
        busy=_busy(subject),
        close=CLOSE,
        search=figures.search(subject.provenance.trace),
        search_legend=list(figures.SEARCH.values()),
        provenance=provenance(subject),
        command=command(subject),
        foreign=foreign(subject),
    )
    if progress is not None:
        progress(1.0)
    return page


def _glance(subject: Subject) -> list[tuple[str, str]]:
    made, scenario, total = subject.provenance, subject.scenario, subject.delays.total
    slowest = int(total.argmax())
    given, busy = float(subject.shares.sum()), subject.loads().cloud_total
    pairs = [
        (f"mean delay over {scenario.options.average}", seconds(subject.objective)),
        ("proved lower bound", f"{seconds(subject.lower_bound)}, from {source_of_bound(subject.bound_from)}"),
        ("gap", percent(subject.gap)),
        ("status", subject.status.in_words(subject.gap_tolerance)),
        ("method", " + ".join(filter(None, (made.placer, made.allocator))) or UNKNOWN),
        ("time", seconds(made.wall_s) if made.wall_s is not None else UNKNOWN),
        ("nodes", f"{scenario.n_nodes:,}"),
        ("cloud", f"{percent(busy)} busy, {percent(given)} given out"),
        ("slowest node", f"{scenario.nodes.names[slowest]}, {seconds(float(total[slowest]))}"),
    ]
    if scenario.n_nodes > MOST_ROWS:
        within = np.quantile(total, [0.5, 0.95, 0.99], method="inverted_cdf").tolist()
        pairs.append(("50, 95, 99 % of the nodes within", ", ".join(map(seconds, within))))
    return pairs


def _delays(subject: Subject) -> dict[str, Any]:
    delays, weight, names = subject.delays, subject.problem.weight, subject.scenario.nodes.names
    stages = {"edge": delays.edge, "upload": delays.upload, "cloud": delays.cloud}
    every = {**stages, "total": delays.total}
    order = np.argsort(-delays.total, kind="stable")[:MOST_ROWS]
    parts = {stage: float((weight * d).sum()) / subject.objective for stage, d in stages.items() if d.any()}
    whole = len(order) == len(names)
    return {
        "whole": whole,
        "parts": [f"{percent(part)} {stage}" for stage, part in parts.items()],
        "bars": figures.stacked_delays([names[d] for d in order], {key: each[order] for key, each in stages.items()}),
        "legend": [figures.STAGES[stage] for stage in stages],
        "spread": None if whole else figures.delay_distribution(every),
        "spread_legend": [figures.STAGES[stage] for stage, values in every.items() if values.max() > 0],
        "rows": [_node_row(subject, d) for d in order.tolist()],
    }


def _node_row(subject: Subject, d: int) -> list[Cell | str]:
    scenario, delays = subject.scenario, subject.delays
    profile = scenario.profiles[scenario.nodes.network_of(d)]
    split, share = int(subject.splits[d]), float(subject.shares[d])
    stages = [float(stage[d]) for stage in (delays.edge, delays.upload, delays.cloud, delays.total)]
    return [
        scenario.nodes.names[d],
        profile.name,
        Cell(f"{split}/{profile.n_layers}", split),
        Cell(f"{100 * share:.3g} %" if share else "–", share),
        *(Cell(seconds(value) if value else "–", value) for value in stages),
    ]


def _shares(subject: Subject) -> dict[str, Any]:
    shares, names = subject.shares, subject.scenario.nodes.names
    using = int((shares > 0).sum())
    least = subject.problem.arrival_rate * subject.services.used[:, -1]
    order = np.argsort(-shares, kind="stable")[: min(using, MOST_ROWS)]
    spare = np.maximum(shares[order] - least[order], 0.0)
    return {
        "using": using,
        "shown": len(order),
        "held": float(shares[order].sum()),
        "bars": figures.stacked_shares([names[d] for d in order], least[order], spare),
        "legend": list(figures.SHARE.values()),
    }


def _cuts(subject: Subject) -> dict[str, Any]:
    nodes = subject.scenario.nodes
    counts = np.bincount(nodes.network_index, minlength=len(nodes.networks))
    order = [int(m) for m in np.argsort(-counts, kind="stable") if counts[m]]
    panels: dict[str, dict[str, Any]] = {}
    for m in order[:MOST_MODELS]:
        profile = subject.scenario.profiles[nodes.networks[m]]
        chosen = np.bincount(subject.splits[nodes.network_index == m], minlength=profile.n_layers + 1)
        used = np.flatnonzero(chosen)
        shown = np.sort(used[np.argsort(-chosen[used], kind="stable")[:MOST_CUTS]])
        label = nodes.networks[m] if nodes.networks[m] not in panels else f"{nodes.networks[m]} ({m + 1})"
        panels[label] = {
            "profile": profile,
            "nodes": int(counts[m]),
            "shown": len(shown),
            "others": len(used) - len(shown),
            "rest": int(chosen.sum() - chosen[shown].sum()),
            "bars": figures.cuts([_cut(split, profile.layer_names) for split in shown.tolist()], chosen[shown]),
        }
    left = order[MOST_MODELS:]
    return {"cuts": list(panels.items()), "models_left": len(left), "nodes_left": int(counts[left].sum())}


def _cut(split: int, layers: Sequence[str]) -> str:
    if split == 0:
        return "0: input sent"
    return f"{split}: {layers[split - 1]}" + (" (all)" if split == len(layers) else "")


def _changes(subject: Subject, found: WhatIfs) -> dict[str, Any]:
    anew = [found.unchanged] if found.unchanged is not None and subject.status != Status.OPTIMAL else []
    return {"anew": anew, "rows": [_change(subject.objective, change) for change in (*anew, *found.changes)]}


def _change(objective: float, change: WhatIf) -> list[Cell | str]:
    row: list[Cell | str] = [change.name]
    for low, high in ((change.least.bound, change.least.reached), (change.held, change.held)):
        row += [delay_cell(low, high), saving_cell(objective, low, high)]
    return row


def _busy(subject: Subject) -> dict[str, Any]:
    loads, names = subject.loads(), subject.scenario.nodes.names
    busiest = loads.busiest
    close = int((busiest >= CLOSE).sum())
    order = np.argsort(-busiest, kind="stable")[: min(MOST_ROWS, max(close, 10))]
    stages = {"edge": loads.edge, "uplink": loads.upload, "cloud": loads.cloud}
    stages = {stage: load for stage, load in stages.items() if not np.isnan(load).all()}
    rows = []
    for d in order.tolist():
        room = 1.0 / busiest[d] - 1.0 if busiest[d] > 0 else np.inf
        more = f"+{100 * room:{',.0f' if room >= 1.0 else '.3g'}} %" if np.isfinite(room) else "any"
        rows.append([names[d], *(_load(float(load[d])) for load in stages.values()), Cell(more, float(room))])
    return {"close": close, "stages": list(stages), "rows": rows}


def _load(load: float) -> Cell:
    if np.isnan(load) or load == 0.0:
        return Cell("–", 0.0)
    shown = f"{100 * load:.3g} %" if load < 0.999 else f"{100 * load:.7g} %"
    return Cell(shown, load, "bad" if load >= CLOSE else "")
