"""The report of one plan: how good it is, where its delay comes from, what more capacity would buy, how it was made.

The page stays small whatever the fleet: nodes beyond a cap are counted, not listed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from dmcjia_opt.base.arrays import IntArray
from dmcjia_opt.solving.contract import Status
from dmcjia_opt.studies.look.page import Cell, Html, Section, bullets, choice, facts, figure, lead, page, table, text
from dmcjia_opt.studies.look.words import in_plain_words, percent, seconds, source_of_bound
from dmcjia_opt.studies.plan import figures
from dmcjia_opt.studies.plan.provenance import provenance
from dmcjia_opt.studies.plan.subject import Subject
from dmcjia_opt.studies.plan.what_if import SEARCH_SECONDS, WhatIf, WhatIfs, what_ifs
from dmcjia_opt.studies.plan.what_if_words import delay_cell, saving_cell

#: Rows of a table of nodes, at most.
MOST_ROWS = figures.MOST_BARS
#: Bars of a plot of cuts, at most; models with a plot of their own, at most.
MOST_CUTS, MOST_MODELS = 30, 12
#: A queue that is busy for this part of the time or more is close to instability.
CLOSE = 0.8


def plan_report(
    subject: Subject, search_seconds: float = SEARCH_SECONDS, progress: Callable[[float], None] | None = None
) -> Html:
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
    sections = [
        Section("At a glance", _glance(subject)),
        Section("Delay of the nodes", _delays(subject)),
        Section("Shares of the cloud", _shares(subject)),
        Section("Where the networks are cut", _cuts(subject)),
        Section("What more capacity would buy", _capacity(subject, found, search_seconds)),
        Section("Close to instability", _instability(subject)),
    ]
    drawn = figures.search(subject.provenance.trace)
    if drawn is not None:
        how = "The best plan and the proved lower bound as the search went on; the gap is what lies between them."
        plot = figure(
            drawn, "Best plan and bound", how, [figures.SEARCH[name].key for name in ("best plan", "lower bound")]
        )
        sections.append(Section("How the search went", (plot,)))
    sections.append(Section("How it was made", provenance(subject)))
    if progress is not None:
        progress(1.0)
    return page(f"Plan: {subject.scenario.name}", _subtitle(subject), sections)


def _subtitle(subject: Subject) -> str:
    models = {profile.name for profile in subject.scenario.profiles.values()}
    running = f" running {next(iter(models))}" if len(models) == 1 else f" running {len(models)} models"
    return f"{_nodes(subject.scenario.n_nodes)}{running}, every number recomputed from the scenario."


def _nodes(count: int) -> str:
    return f"{count:,} node{'' if count == 1 else 's'}"


def _glance(subject: Subject) -> tuple[Html, ...]:
    made, scenario = subject.provenance, subject.scenario
    total = subject.delays.total
    loads = subject.loads()
    over = "tasks" if scenario.options.average == "tasks" else "nodes"
    slowest = int(total.argmax())
    pairs = [
        (f"mean delay over {over}", seconds(subject.objective)),
        ("proved lower bound", f"{seconds(subject.lower_bound)}, from {source_of_bound(subject.bound_from)}"),
        ("gap", percent(subject.gap)),
        ("method", " + ".join(filter(None, (made.placer, made.allocator))) or "not recorded"),
        ("time", seconds(made.wall_s) if made.wall_s is not None else "not recorded"),
        ("nodes", f"{scenario.n_nodes:,}"),
        ("cloud", f"{percent(loads.cloud_total)} busy, {percent(float(subject.shares.sum()))} given out"),
        ("slowest node", f"{scenario.nodes.names[slowest]}, {seconds(float(total[slowest]))}"),
    ]
    if scenario.n_nodes > MOST_ROWS:
        half, most, nearly = np.quantile(total, [0.5, 0.95, 0.99], method="inverted_cdf")
        spread = f"{seconds(float(half))}, {seconds(float(most))}, {seconds(float(nearly))}"
        pairs.append(("50, 95, 99 % of the nodes within", spread))
    blocks = [lead(in_plain_words(subject)), facts(pairs)]
    if subject.claimed_bound > subject.lower_bound * (1.0 + subject.gap_tolerance):
        blocks.append(
            text(
                f"The plan file claims a lower bound of {seconds(subject.claimed_bound)}, gap "
                f"{percent(1.0 - subject.claimed_bound / subject.objective)}. This report proves again only what is "
                "said above; dmcjia verify takes the time that the whole claim needs."
            )
        )
    if made.notes:
        blocks.append(bullets([f"{note}." for note in made.notes]))
    return tuple(blocks)


def _delays(subject: Subject) -> tuple[Html, ...]:
    delays, weight, names = subject.delays, subject.problem.weight, subject.scenario.nodes.names
    stages = {"edge": delays.edge, "upload": delays.upload, "cloud": delays.cloud}
    parts = [
        f"{percent(float((weight * d).sum()) / subject.objective)} {stage}" for stage, d in stages.items() if d.any()
    ]
    order = np.argsort(-delays.total, kind="stable")[:MOST_ROWS]
    whole = len(order) == len(names)
    bars = figures.stacked_delays([names[d] for d in order], {stage: values[order] for stage, values in stages.items()})
    which = "Every node" if whole else f"The {len(order)} slowest of {len(names):,} nodes"
    keys = [figures.STAGES[stage].key for stage in stages]
    blocks = [
        text(f"Of the mean delay {', '.join(parts)}; waiting counts where it happens."),
        figure(bars, "Delay by stage", f"{which}, the slowest at the top. A click in the legend hides a stage.", keys),
    ]
    if not whole:
        how = "A curve at height y above x says: on a part y of all nodes this stage takes at most x."
        spread = {**stages, "total": delays.total}
        shown = [figures.STAGES[stage].key for stage, values in spread.items() if values.max() > 0]
        blocks.append(figure(figures.delay_distribution(spread), "Delay over the whole fleet", how, shown))
    blocks.append(_node_table(subject, order, f"{which}; a click on a heading sorts."))
    return tuple(blocks)


def _node_table(subject: Subject, order: IntArray, caption: str) -> Html:
    scenario, delays = subject.scenario, subject.delays
    rows: list[list[Cell | str]] = []
    for d in order.tolist():
        profile = scenario.profiles[scenario.nodes.network_of(d)]
        split, share = int(subject.splits[d]), float(subject.shares[d])
        stages = [float(stage[d]) for stage in (delays.edge, delays.upload, delays.cloud, delays.total)]
        rows.append(
            [
                scenario.nodes.names[d],
                profile.name,
                Cell(f"{split}/{profile.n_layers}", split),
                Cell(f"{100 * share:.3g} %" if share else "–", share),
                *(Cell(seconds(value) if value else "–", value) for value in stages),
            ]
        )
    return table(["node", "model", "split", "share", "edge", "upload", "cloud", "total"], rows, caption, tall=True)


def _shares(subject: Subject) -> tuple[Html, ...]:
    shares, names = subject.shares, subject.scenario.nodes.names
    using = int((shares > 0).sum())
    if not using:
        return (text("No node uses the cloud: every network runs at the edge."),)
    least = subject.problem.arrival_rate * subject.services.cloud
    order = np.argsort(-shares, kind="stable")[: min(using, MOST_ROWS)]
    whole = len(order) == using
    which = "Every node that uses the cloud" if whole else f"The {len(order)} largest shares of {using:,}"
    part = "" if whole else f" Together they hold {percent(float(shares[order].sum()))} of the cloud."
    spare = np.maximum(shares[order] - least[order], 0.0)
    bars = figures.stacked_shares([names[d] for d in order], least[order], spare)
    how = (
        f"{which}.{part} With only what it needs to keep up a node's tasks would wait for ever; what it has to spare "
        "keeps the wait short."
    )
    return (
        text(f"{using:,} of {_nodes(len(names))} {'uses' if using == 1 else 'use'} the cloud."),
        figure(bars, "Share of each node", how, [style.key for style in figures.SHARE.values()]),
    )


def _cuts(subject: Subject) -> tuple[Html, ...]:
    nodes = subject.scenario.nodes
    counts = np.bincount(nodes.network_index, minlength=len(nodes.networks))
    order = [int(m) for m in np.argsort(-counts, kind="stable") if counts[m]]
    panels = {}
    for m in order[:MOST_MODELS]:
        profile = subject.scenario.profiles[nodes.networks[m]]
        chosen = np.bincount(subject.splits[nodes.network_index == m], minlength=profile.n_layers + 1)
        used = np.flatnonzero(chosen)
        shown = np.sort(used[np.argsort(-chosen[used], kind="stable")[:MOST_CUTS]])
        labels = [_cut(split, profile.layer_names) for split in shown.tolist()]
        how = f"The last layer at the edge on its {_nodes(int(counts[m]))}; the input is at the top."
        if len(shown) < len(used):
            rest = int(chosen.sum() - chosen[shown].sum())
            how += f" The {len(shown)} most frequent cuts; {_nodes(rest)} have {len(used) - len(shown)} others."
        title = f"{profile.name}, {profile.n_layers} layers"
        label = nodes.networks[m] if nodes.networks[m] not in panels else f"{nodes.networks[m]} ({m + 1})"
        panels[label] = figure(figures.cuts(labels, chosen[shown]), title, how)
    blocks = [choice("Model:", panels)]
    if len(order) > MOST_MODELS:
        rest = int(counts[order[MOST_MODELS:]].sum())
        blocks.append(
            text(f"The {MOST_MODELS} most frequent of {len(order)} models are shown; {_nodes(rest)} run the others.")
        )
    return tuple(blocks)


def _cut(split: int, layers: Sequence[str]) -> str:
    if split == 0:
        return "0: input sent"
    return f"{split}: {layers[split - 1]}" + (" (all)" if split == len(layers) else "")


def _capacity(subject: Subject, found: WhatIfs, search_seconds: float) -> tuple[Html, ...]:
    rows = [_change(subject, change) for change in found.changes]
    anew = ""
    if found.unchanged is not None and subject.status != Status.OPTIMAL:
        rows.insert(0, _change(subject, found.unchanged))
        anew = (
            "The plan is not proved optimal: the first row is what planning anew gains without any change, and is "
            "part of every other row. "
        )
    caption = (
        f"{anew}All anew: splits and shares of the changed fleet searched for at most {search_seconds:g} s; where the "
        "search leaves a gap, the saving is at least what it found and at most what its lower bound allows. Splits "
        f"held: only the shares are computed anew. Savings are against this plan's {seconds(subject.objective)}."
    )
    head = ["change", "mean delay, all anew", "saves", "mean delay, splits held", "saves"]
    return text(_price(subject.price)), table(head, rows, caption)


def _price(price: float) -> str:
    if not price > 0.0:
        return "The price of cloud capacity is 0: there is more of it than the best plan uses."
    return (
        f"The price of cloud capacity is {price:.4g} s of mean delay per unit share, the multiplier at which the dual "
        "is largest: close to the optimum, one more hundredth of the cloud saves about "
        f"{seconds(0.01 * price)}."
    )


def _change(subject: Subject, change: WhatIf) -> list[Cell | str]:
    least = change.least
    return [
        change.name,
        delay_cell(least.bound, least.reached),
        saving_cell(subject.objective, least.bound, least.reached),
        delay_cell(change.held, change.held),
        saving_cell(subject.objective, change.held, change.held),
    ]


def _instability(subject: Subject) -> tuple[Html, ...]:
    loads, names = subject.loads(), subject.scenario.nodes.names
    busiest = loads.busiest
    close = int((busiest >= CLOSE).sum())
    order = np.argsort(-busiest, kind="stable")[: min(MOST_ROWS, max(close, 10))]
    said = (
        f"{close:,} of {_nodes(len(names))} {'has' if close == 1 else 'have'} a queue that is busy for "
        f"{100 * CLOSE:g} % of the time or more."
        if close
        else f"No queue is busy for {100 * CLOSE:g} % of the time or more."
    )
    stages = {"edge": loads.edge, "uplink": loads.upload, "cloud": loads.cloud}
    stages = {stage: load for stage, load in stages.items() if not np.isnan(load).all()}
    rows: list[list[Cell | str]] = []
    for d in order.tolist():
        room = 1.0 / busiest[d] - 1.0 if busiest[d] > 0 else np.inf
        more = f"+{100 * room:{',.0f' if room >= 1.0 else '.3g'}} %" if np.isfinite(room) else "any"
        cells = [_load(float(load[d])) for load in stages.values()]
        rows.append([names[d], *cells, Cell(more, float(room))])
    caption = (
        f"The busiest queues, on {len(order)} of {_nodes(len(names))}: the part of the time that each is busy, and how "
        "many more tasks the node could take, with this plan, before one of them grows without end."
    )
    return text(said), table(["node", *stages, "room for tasks"], rows, caption, tall=True)


def _load(load: float) -> Cell:
    if np.isnan(load) or load == 0.0:
        return Cell("–", 0.0)
    shown = f"{100 * load:.3g} %" if load < 0.999 else f"{100 * load:.7g} %"
    return Cell(shown, load, "bad" if load >= CLOSE else "")
