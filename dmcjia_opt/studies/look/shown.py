"""A plan in Python: as text, as a frame of pandas, as figures, and as a notebook shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dmcjia_opt.base.arrays import IntArray
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.showing import counted, frame_of, html_table, percent
from dmcjia_opt.solving.plan import Plan
from dmcjia_opt.studies.look.words import (
    deadlines_kept,
    delay_called,
    in_percent,
    in_plain_words,
    seconds,
    share_of,
    source_of_bound,
    unit_of,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Nodes of a table, and bars of a figure, at most: the slowest.
MOST_ROWS, MOST_BARS = 20, 40
_LONGEST_NAME, _MOST_TICKS, _MOST_NAMED = 24, 6, 9
_BAR_INCHES, _FRAME_INCHES, _LEGEND_INCHES = 0.22, 2.1, 0.42
_MARKS = "osD^v*P"


def summary(plan: Plan) -> str:
    """Return a table of the slowest nodes, and how good the plan is, as text."""
    head, rows = _table(plan)
    widths = [max(len(row[k]) for row in (head, *rows)) for k in range(len(head))]
    texts = sum(name in ("node", "model", "server", "shares") for name in head)
    lines = [_title(plan, len(rows))]
    for row in (head, *rows):
        cells = [
            cell.ljust(w) if k < texts else cell.rjust(w) for k, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    facts = _facts(plan)
    width = max(len(name) for name, _ in facts)
    lines += ["", *(f"{name.ljust(width)}  {text}" for name, text in facts)]
    notes = [f"Note: {note}." for note in plan.notes] + [f"Caution: {caution}." for caution in plan.cautions]
    return "\n".join([*lines, *notes, in_plain_words(plan)])


def html(plan: Plan) -> str:
    """Return the same as a notebook shows it."""
    head, rows = _table(plan)
    facts = "; ".join(f"{name} {text}" for name, text in _facts(plan))
    return html_table(head, rows, _title(plan, len(rows)), [facts, in_plain_words(plan)])


def frame(plan: Plan) -> pd.DataFrame:
    """Return a frame of a row a node (see `Plan.to_frame`)."""
    choices, delays = plan.choices, plan.delays
    columns: dict[str, Any] = {"name": plan.names, "model": plan.networks, "split": plan.splits}
    if choices.cuts.shape[1] > 1:
        columns["second_cut"] = np.where(choices.cuts[:, 1] < 0, np.nan, choices.cuts[:, 1])
    columns["server"] = np.array([*choices.servers, None], dtype=object)[choices.server]
    columns["share"] = plan.shares
    if len(choices.resources) > 1:
        shares = np.zeros((len(plan.names), len(choices.resources)))
        nodes, used, values = choices.by_node()
        shares[nodes, used] = values
        columns |= {f"share of {one.name}": shares[:, r] for r, one in enumerate(choices.resources)}
    columns |= {"edge_s": delays.edge, "upload_s": delays.upload, "cloud_s": delays.cloud, "total_s": delays.total}
    if np.isfinite(plan.deadlines).any():
        columns["deadline_s"] = plan.deadlines
    made = frame_of(columns)
    return made.astype({"second_cut": "Int64"}) if "second_cut" in columns else made


def figure(plan: Plan) -> Figure:
    """Return delays by stage, cuts and shares of the slowest nodes (see `Plan.plot`)."""
    from dmcjia_opt.studies.look.colours import STAGES
    from dmcjia_opt.studies.look.pictures import new_figure, tidy

    order = _slowest(plan, MOST_BARS)
    drawn = new_figure(10.0, _FRAME_INCHES + _BAR_INCHES * len(order))
    delay, cut, share = drawn.subplots(1, 3, sharey=True, width_ratios=(2.2, 1.0, 1.4))
    unit, size = unit_of(float(plan.delays.total[order].max()))
    of = "" if plan.statistic == "mean" else f"{plan.statistic} "
    drawn.suptitle(_title(plan, len(order)), fontsize=11, x=0.01, ha="left")
    tidy(delay, "Delay by stage", f"{of}delay, {unit}", "")
    stages = {"edge": plan.delays.edge, "upload": plan.delays.upload, "cloud": plan.delays.cloud}
    _stack(delay, {name: values[order] / size for name, values in stages.items()}, STAGES)
    late = plan.deadlines[order] / size
    if (dated := np.isfinite(late)).any():
        at = np.flatnonzero(dated)
        delay.plot(late[at], at, "|", color=STAGES["deadline"], markersize=11, markeredgewidth=2.5, label="deadline")
    delay.set_yticks(range(len(order)), [_short(plan.names[d]) for d in order.tolist()])
    delay.set_ylim(len(order) - 0.5, -0.5)
    tidy(cut, "Where it is cut", "layers before the cut", "")
    _cuts(cut, plan, order)
    tidy(share, "What it has of what is shared", "share, %", "")
    _shares(share, plan, order)
    cut.set_xlim(-1, int(plan.choices.cuts[order].max()) + 1)
    share.set_xlim(left=0.0)
    for axes in (delay, cut, share):
        axes.grid(visible=False, axis="y")
        below = (0.5, -_LEGEND_INCHES / (_BAR_INCHES * len(order) + _FRAME_INCHES - 1.3))
        axes.legend(fontsize=7, frameon=False, loc="upper center", bbox_to_anchor=below, ncols=4, columnspacing=1.0)
    return drawn


def trace_figure(plan: Plan) -> Figure:
    """Return the best plan and the bound as the search went on (see `Plan.plot_trace`)."""
    from dmcjia_opt.studies.look.colours import COLOURS
    from dmcjia_opt.studies.look.pictures import new_figure, tidy

    found = [point for point in plan.trace if np.isfinite(point.objective)]
    if not found:
        raise InputError("the plan has no trace: nobody recorded how it was found")
    unit, size = unit_of(max(point.objective for point in found))
    at, clock = unit_of(found[-1].seconds)
    drawn = new_figure(7.0, 4.0)
    axes = drawn.subplots()
    tidy(axes, f"{plan.placer} + {plan.allocator}, gap {percent(plan.gap)}", f"wall time, {at}", f"delay, {unit}")
    times = [point.seconds / clock for point in found]
    for name, colour, values in (
        ("best plan", "blue", [point.objective / size for point in found]),
        ("lower bound", "red", [point.lower_bound / size for point in found]),
    ):
        dash = "-" if name == "best plan" else "--"
        known = np.where(np.isfinite(values), values, np.nan)
        axes.step(times, known, dash, where="post", color=COLOURS[colour], label=name)
    axes.plot(times, [point.objective / size for point in found], "o", color=COLOURS["blue"], markersize=3)
    axes.axhline(plan.lower_bound / size, color=COLOURS["grey"], linewidth=0.8, label="what is proved in the end")
    told = np.linspace(0, len(found) - 1, min(len(found), _MOST_TICKS)).astype(int)
    above = axes.secondary_xaxis("top", functions=(lambda x: x, lambda x: x))
    above.set_xticks([times[k] for k in told], [f"{found[k].evaluations:,}" for k in told], fontsize=7)
    above.set_xlabel("plans evaluated", fontsize=8)
    axes.legend(fontsize=8, frameon=False)
    return drawn


def _title(plan: Plan, shown: int) -> str:
    networks = sorted({network for network in plan.networks if network})
    running = f" running {', '.join(networks)}" if networks else ""
    name = f"{plan.scenario_name}: " if plan.scenario_name else ""
    more = f", the {shown} slowest" if shown < len(plan.names) else ""
    return f"{name}{counted(len(plan.names), 'node')}{running}{more}"


def _slowest(plan: Plan, most: int) -> IntArray:
    """Return the nodes that are shown: all in their order, or the slowest of many."""
    n = len(plan.names)
    return np.arange(n) if n <= most else np.argsort(-plan.delays.total, kind="stable")[:most]


def _table(plan: Plan) -> tuple[list[str], list[list[str]]]:
    choices, delays = plan.choices, plan.delays
    stages = delays.edge, delays.upload, delays.cloud, delays.total
    several, tiered = len(choices.resources) > 1, choices.cuts.shape[1] > 1
    mixed = len(set(plan.networks)) > 1
    texts = ["node", *(["model"] if mixed else []), *(["shares"] if several else [])]
    numbers = ["cuts" if tiered else "split", *([] if several else ["share"]), "edge", "upload", "cloud", "total"]
    rows = []
    for d in _slowest(plan, MOST_ROWS).tolist():
        used = choices.used_by(d)
        rows.append(
            [
                _short(plan.names[d]),
                *([plan.networks[d]] if mixed else []),
                *([", ".join(share_of(*one) for one in used.items()) or "–"] if several else []),
                " | ".join(map(str, choices.cuts_of(d))),
                *([] if several else [in_percent(plan.shares[d]) if plan.shares[d] else "–"]),
                *(seconds(float(stage[d])) if stage[d] else "–" for stage in stages),
            ]
        )
    return [*texts, *numbers], rows


def _facts(plan: Plan) -> list[tuple[str, str]]:
    pairs = [
        (delay_called(plan.statistic, worst=plan.worst), seconds(plan.objective)),
        (delay_called(plan.statistic, worst=False) if plan.worst else "", seconds(plan.mean_delay)),
        ("deadlines", deadlines_kept(plan.names, plan.delays.total, plan.deadlines)),
        ("lower bound", f"{seconds(plan.lower_bound)}, from {source_of_bound(plan.bound_from, len(plan.prices))}"),
        ("gap", percent(plan.gap)),
        ("status", plan.status.in_words(plan.gap_tolerance)),
        ("made by", f"{plan.placer} + {plan.allocator}, in {seconds(plan.wall_seconds)}"),
    ]
    return [(name, text) for name, text in pairs if name and text]


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def _stack(axes: Axes, parts: Any, colours: Any) -> None:  # noqa: ANN401 - values and colours by name
    """Draw bars beside each other, one row a node, in their colours."""
    left: Any = 0.0
    for name, values in parts.items():
        if np.any(values):
            axes.barh(range(len(values)), values, left=left, color=colours[name], label=name, height=0.75)
        left = left + values


def _cuts(axes: Axes, plan: Plan, order: IntArray) -> None:
    """Draw a mark at each cut of every node, by network."""
    from dmcjia_opt.studies.look.colours import COLOURS

    networks = list(dict.fromkeys(plan.networks))
    for k, network in enumerate(networks):
        rows = [i for i, d in enumerate(order.tolist()) if plan.networks[d] == network]
        points = [(cut, i) for i in rows for cut in plan.choices.cuts_of(int(order[i]))]
        if points:
            ink = COLOURS[("green", "pink", "grey", "red")[k % 4]]
            axes.plot(*zip(*points, strict=True), _MARKS[k % 7], color=ink, markersize=5, label=network or "option")


def _shares(axes: Axes, plan: Plan, order: IntArray) -> None:
    """Draw what each node has of every resource that it has a share of: of one as bars, of several as marks."""
    from dmcjia_opt.studies.look.colours import STAGES

    inks = {"server": STAGES["cloud"], "link": STAGES["upload"], "host": STAGES["edge"]}
    choices = plan.choices
    shares = np.zeros((len(plan.names), len(choices.resources)))
    nodes, used, values = choices.by_node()
    shares[nodes, used] = 100 * values
    if len(choices.resources) == 1:
        axes.barh(
            range(len(order)), shares[order, 0], color=inks[choices.resources[0].kind], label="share", height=0.75
        )
    for r, one in enumerate(choices.resources if len(choices.resources) > 1 else ()):
        on = np.flatnonzero(shares[order, r])
        label = one.name if r < _MOST_NAMED else None
        axes.plot(shares[order[on], r], on, _MARKS[r % 7], color=inks[one.kind], markersize=5, alpha=0.8, label=label)
