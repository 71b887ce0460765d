"""The report of one plan: how good it is, where its delay comes from, what more capacity would buy, how it was made.

The page stays small whatever the fleet: nodes beyond a cap are counted, not listed. What it says is in
``plan.html.j2``; this module computes the numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dmcjia_opt.base.showing import percent
from dmcjia_opt.solving.contract import Placement, Status
from dmcjia_opt.studies.look.page import Cell, render
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
)
from dmcjia_opt.studies.plan import figures
from dmcjia_opt.studies.plan.instead import BURSTS, Way, instead, simulated
from dmcjia_opt.studies.plan.promised import by_mean, deadline_section, deadlines_of, worst_section
from dmcjia_opt.studies.plan.provenance import UNKNOWN, command, foreign, provenance
from dmcjia_opt.studies.plan.subject import Subject
from dmcjia_opt.studies.plan.today import rows as today_rows
from dmcjia_opt.studies.plan.today import today
from dmcjia_opt.studies.plan.what_if import (
    MOST_RESOURCES,
    SEARCH_SECONDS,
    WhatIf,
    WhatIfs,
    dearest,
    delay_cell,
    saving_cell,
    what_ifs,
)

#: Rows of a table of nodes, at most.
MOST_ROWS = figures.MOST_BARS
#: Bars of a plot of cuts, at most; models with a plot of their own, at most.
MOST_CUTS, MOST_MODELS = 30, 12
#: Tensors that are named at a cut, at most.
MOST_TENSORS = 12
#: Resources with a plot of their own, at most: those with the highest prices.
MOST_PANELS = 12
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
        Wall time limit, s, of each of the searches for what a changed fleet would reach.
    progress
        Called with the part of the work that is done.
    """
    promised = subject.worst or bool(np.isfinite(subject.problem.deadline).any())
    if progress is None:
        found = what_ifs(subject, search_seconds)
    else:  # promises are planned anew after all else
        said, part = progress, 0.6 if promised else 1.0
        found = what_ifs(subject, search_seconds, lambda done: said(part * done))
    deadlines, least_mean = deadlines_of(subject, search_seconds), by_mean(subject, search_seconds)
    if found.unchanged is not None:
        subject = subject.with_bound(found.unchanged.least.bound, found.unchanged.least.bound_from)
    page = render(
        "plan/plan.html.j2",
        subject=subject,
        models=sorted({profile.name for profile in subject.scenario.profiles.values()}),
        in_plain_words=in_plain_words(subject),
        today=_today(subject),
        glance=_glance(subject),
        delays=_delays(subject),
        deadlines=deadline_section(subject, found, deadlines, MOST_ROWS, _change),
        worst=worst_section(subject, found, least_mean),
        shares=_shares(subject),
        **_cuts(subject),
        changes=_changes(subject, found),
        instead=_instead(subject),
        search_seconds=search_seconds,
        busy=_busy(subject),
        close=CLOSE,
        search=figures.search(subject.provenance.trace, subject.called),
        search_legend=list(figures.SEARCH.values()),
        provenance=provenance(subject),
        command=command(subject),
        foreign=foreign(subject),
    )
    if progress is not None:
        progress(1.0)
    return page


def _today(subject: Subject) -> dict[str, Any]:
    """Return what the fleet does where nobody plans it together, beside the plan."""
    ways, without = today(subject)
    stages = list(ways[-1].stages)
    drawn = [stage for stage in stages if any(way.stages[stage] for way in ways)]
    means = {stage: np.array([way.stages[stage] for way in ways]) for stage in stages}
    return {
        "bars": figures.stacked_delays([way.name for way in ways], means, np.full(len(ways), np.inf)),
        "legend": [figures.STAGES[stage] for stage in drawn],
        "head": ["way", subject.called, "more than this plan", *stages, "slowest node"],
        "rows": today_rows(subject, ways),
        "without": without,
    }


def _glance(subject: Subject) -> list[tuple[str, str]]:
    made, scenario, total = subject.provenance, subject.scenario, subject.delays.total
    slowest = int(total.argmax())
    source = source_of_bound(subject.bound_from, len(subject.prices))
    pairs = [
        (subject.called + ("" if subject.worst else f" over {scenario.options.average}"), seconds(subject.objective)),
        ("proved lower bound", f"{seconds(subject.lower_bound)}, from {source}"),
        ("gap", percent(subject.gap)),
        ("status", subject.status.in_words(subject.gap_tolerance)),
        ("method", " + ".join(filter(None, (made.placer, made.allocator))) or UNKNOWN),
        ("time", seconds(made.wall_s) if made.wall_s is not None else UNKNOWN),
        ("nodes", f"{scenario.n_nodes:,}"),
        _scarcest(subject),
        ("slowest node", f"{scenario.nodes.names[slowest]}, {seconds(float(total[slowest]))}"),
    ]
    if kept := deadlines_kept(scenario.nodes.names, total, subject.problem.deadline):
        pairs.append(("deadlines", kept))
    if scenario.n_nodes > MOST_ROWS:
        within = np.quantile(total, [0.5, 0.95, 0.99], method="inverted_cdf").tolist()
        of = "" if scenario.options.statistic == "mean" else f" have a {scenario.options.statistic}"
        pairs.append((f"50, 95, 99 % of the nodes{of} within", ", ".join(map(seconds, within))))
    return pairs


def _scarcest(subject: Subject) -> tuple[str, str]:
    """Return how much of the cloud is in use; of several resources, of the one whose price is the highest."""
    (r,) = dearest(subject.prices, 1)
    choices, resource = subject.choices, subject.choices.resources[r]
    if resource.pooled:
        said = pooled_in_words(resource, float(choices.load[r]), float(choices.wait[r]))
        return ("pooled", f"{resource.name}, {said}") if subject.several else ("cloud", said)
    busy, given = subject.loads().resources[r], subject.choices.used[r]
    used = f"{percent(busy)} busy, {percent(given)} given out"
    return ("scarcest", f"{subject.choices.resources[r].name}, {used}") if subject.several else ("cloud", used)


def _delays(subject: Subject) -> dict[str, Any]:
    delays, weight, names = subject.delays, subject.problem.weight, subject.scenario.nodes.names
    called = ("device", "network", "servers") if subject.several else ("edge", "upload", "cloud")
    stages = dict(zip(called, (delays.edge, delays.upload, delays.cloud), strict=True))
    every = {**stages, "total": delays.total}
    order = np.argsort(-delays.total, kind="stable")[:MOST_ROWS]
    mean = float((weight * delays.total).sum())
    parts = {stage: float((weight * d).sum()) / mean for stage, d in stages.items() if d.any()}
    whole = len(order) == len(names)
    limits = subject.problem.deadline
    dated = bool(np.isfinite(limits).any())
    statistic = subject.scenario.options.statistic
    of = "" if statistic == "mean" else f"{statistic} "
    return {
        "called": delay_called(statistic, worst=False),
        "of": of,
        "whole": whole,
        "parts": [f"{percent(part)} {stage}" for stage, part in parts.items()],
        "bars": figures.stacked_delays(
            [names[d] for d in order], {key: each[order] for key, each in stages.items()}, limits[order], of
        ),
        "legend": [figures.STAGES[key] for key in (*stages, *(["deadline"] if dated else []))],
        "spread": None if whole else figures.delay_distribution(every, of),
        "spread_legend": [figures.STAGES[stage] for stage, values in every.items() if values.max() > 0],
        "head": [
            "node",
            "model",
            *(("cuts", "shares") if subject.several else ("split", "share")),
            *called,
            "total" if not of else f"total {statistic}",
            *(["of its deadline"] if dated else []),
        ],
        "rows": [_node_row(subject, d) for d in order.tolist()],
    }


def _node_row(subject: Subject, d: int) -> list[Cell | str]:
    scenario, delays = subject.scenario, subject.delays
    profile = scenario.profiles[scenario.nodes.network_of(d)]
    split, share = int(subject.choices.splits[d]), float(subject.choices.server_shares[d])
    stages = [float(stage[d]) for stage in (delays.edge, delays.upload, delays.cloud, delays.total)]
    held = in_percent(share) if share else ""
    if subject.several:
        held = ", ".join(share_of(name, shares) for name, shares in subject.choices.shares_of(d).items())
    return [
        scenario.nodes.names[d],
        profile.name,
        Cell(cuts_of(subject.choices.cuts_of(d), profile.n_layers), split),
        Cell(held or "–", share),
        *(Cell(seconds(value) if value else "–", value) for value in stages),
        *_kept(subject, d),
    ]


def _kept(subject: Subject, d: int) -> list[Cell]:
    """Return which part of its deadline a node takes; nothing where no node has one."""
    deadlines = subject.problem.deadline
    if not np.isfinite(deadlines).any():
        return []
    part = float(subject.delays.total[d] / deadlines[d])
    return [Cell(f"{in_percent(part)} of {seconds(float(deadlines[d]))}" if part else "–", part)]


def _shares(subject: Subject) -> dict[str, Any]:
    choices = subject.choices
    reserved = [r for r in dearest(subject.prices, len(subject.prices)) if not choices.resources[r].pooled]
    order = reserved[:MOST_PANELS]
    return {
        "panels": [(choices.resources[r].name, _share_panel(subject, r)) for r in order],
        "others": len(reserved) - len(order),
        "pooled": bool(subject.problem.pooled.any()),
        "rows": _resources(subject) if subject.several or subject.problem.pooled.any() else [],
    }


def _share_panel(subject: Subject, r: int) -> dict[str, Any]:
    """Return who has how much of a resource."""
    choices, names = subject.choices, subject.scenario.nodes.names
    on = choices.resource == r
    shares = np.where(on, choices.shares, 0.0).sum(-1)
    least = subject.problem.arrival_rate * np.where(on, subject.services.used, 0.0).sum(-1)
    using = int((shares > 0).sum())
    order = np.argsort(-shares, kind="stable")[: min(using, MOST_ROWS)]
    spare = np.maximum(shares[order] - least[order], 0.0)
    called = str(choices.resources[r]) if subject.several else "the cloud"
    return {
        "name": called,
        "using": using,
        "shown": len(order),
        "held": float(shares[order].sum()),
        "bars": figures.stacked_shares([names[d] for d in order], least[order], spare, called) if using else None,
        "legend": list(figures.SHARE.values()),
        "waits": choices.resources[r].kind != "link" or subject.scenario.options.uplink == "queue",
    }


def _resources(subject: Subject) -> list[list[Cell | str]]:
    """Return a row for each of the resources with the highest prices."""
    choices, prices, names = subject.choices, subject.prices, subject.scenario.nodes.names
    used, busy, most = choices.used, subject.loads().resources, choices.largest()
    users = choices.users()
    rows: list[list[Cell | str]] = []
    for r in dearest(prices, MOST_ROWS):
        node, share = most[r]
        resource, wait, price = choices.resources[r], float(choices.wait[r]), float(prices[r])
        none = Cell("–", 0.0)
        row: list[Cell | str] = [
            resource.name,
            resource.kind,
            Cell(f"{users[r]:,}", float(users[r])),
            none if resource.pooled else Cell(in_percent(used[r]), float(used[r])),
            Cell(in_percent(busy[r]), float(busy[r])),
            none if resource.pooled else Cell(dearness(price, prices, worst=subject.worst), price),
            Cell(f"{names[node]} {in_percent(share)}" if share else "–", share),
        ]
        if subject.problem.pooled.any():
            row[2:2] = [sharing_of(resource)]
            row.append(Cell(seconds(wait), wait) if resource.pooled else none)
        rows.append(row)
    return rows


def _cuts(subject: Subject) -> dict[str, Any]:
    nodes = subject.scenario.nodes
    counts = np.bincount(nodes.network_index, minlength=len(nodes.networks))
    order = [int(m) for m in np.argsort(-counts, kind="stable") if counts[m]]
    panels: dict[str, dict[str, Any]] = {}
    every = subject.choices.cuts
    for m in order[:MOST_MODELS]:
        profile = subject.scenario.profiles[nodes.networks[m]]
        chosen = np.bincount(subject.choices.splits[nodes.network_index == m], minlength=profile.n_layers + 1)
        used = np.flatnonzero(chosen)
        shown = np.sort(used[np.argsort(-chosen[used], kind="stable")[:MOST_CUTS]])
        places = np.unique(every[nodes.network_index == m]).tolist()
        tensors = [(cut, tensors_at(profile, cut, MOST_TENSORS)) for cut in places if 0 < cut < profile.n_layers]
        label = nodes.networks[m] if nodes.networks[m] not in panels else f"{nodes.networks[m]} ({m + 1})"
        panels[label] = {
            "profile": profile,
            "nodes": int(counts[m]),
            "shown": len(shown),
            "others": len(used) - len(shown),
            "rest": int(chosen.sum() - chosen[shown].sum()),
            "sent": [[Cell(str(cut), cut), said] for cut, said in tensors[:MOST_CUTS] if said],
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
    left = max(len(subject.prices) - MOST_RESOURCES, 0)
    return {
        "anew": anew,
        "left": left,
        "rows": [_change(subject.objective, change) for change in (*anew, *found.changes)],
    }


def _change(objective: float, change: WhatIf) -> list[Cell | str]:
    row: list[Cell | str] = [change.name]
    for low, high in ((change.least.bound, change.least.reached), (change.held, change.held)):
        row += [delay_cell(low, high), saving_cell(objective, low, high)]
    return row


def _instead(subject: Subject) -> dict[str, Any] | None:
    """Return what one queue for everybody would give, simulated; None where that is no question."""
    problem, choices = subject.problem, subject.choices
    found = instead(problem, choices.options, choices.shares)
    if found is None:
        return None
    called = "options" if subject.several else "splits"
    plan = Placement(choices.options, choices.shares)
    rows = simulated(subject.scenario, problem, plan, subject.objective, found, called=called)
    if rows is None:
        return None
    return {
        "neighbour": subject.scenario.nodes.names[found.neighbour],
        "burst": BURSTS.size,
        "head": ["how", "by the model", "simulated", "other nodes", "other nodes beside bursts"],
        "rows": [_way(row) for row in rows],
    }


def _way(row: Way) -> list[Cell | str]:
    more = f"{100 * (row.beside_burst / row.quiet - 1):+.3g} %"
    return [
        row.name,
        Cell(seconds(row.model), row.model),
        Cell(f"{seconds(row.mean)} ± {seconds(row.half_width)}", row.mean),
        Cell(seconds(row.quiet), row.quiet),
        Cell(f"{seconds(row.beside_burst)} ({more})", row.beside_burst),
    ]


def _busy(subject: Subject) -> dict[str, Any]:
    loads, names = subject.loads(), subject.scenario.nodes.names
    busiest = loads.busiest
    close = int((busiest >= CLOSE).sum())
    order = np.argsort(-busiest, kind="stable")[: min(MOST_ROWS, max(close, 10))]
    stages = {stage: load for stage, load in loads.stages.items() if not np.isnan(load).all()}
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
