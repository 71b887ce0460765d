"""The report of a plan of a fleet in parts: how good it is, how its delays are spread, where networks are cut."""

from __future__ import annotations

import numpy as np

from dmcjia_opt.base.errors import ClaimFalse
from dmcjia_opt.base.showing import percent
from dmcjia_opt.bounds.certificate import relative_gap
from dmcjia_opt.solving.contract import Status, proved
from dmcjia_opt.solving.parts.auditing import Audit
from dmcjia_opt.solving.parts.totals import EDGES, Totals
from dmcjia_opt.solving.plan import PlanHeadFile
from dmcjia_opt.studies.look.page import Cell, render
from dmcjia_opt.studies.look.words import (
    budget,
    dearness,
    delay_called,
    in_percent,
    in_plain_words,
    seconds,
    source_of_bound,
)
from dmcjia_opt.studies.plan import figures
from dmcjia_opt.studies.plan.provenance import UNKNOWN

_MOST_CUTS, _MOST_RESOURCES = 30, 60


class _Said:
    """What a page says in plain words of a plan whose every claim holds."""

    worst = False

    def __init__(self, claims: PlanHeadFile, found: Audit) -> None:
        self.objective, self.lower_bound = found.objective, min(found.lower_bound, found.objective)
        self.bound_holds_for = found.surveyed.example.rule
        self.tolerance = claims.gap_tolerance

    @property
    def gap(self) -> float:
        return relative_gap(self.objective, self.lower_bound)

    @property
    def status(self) -> Status:
        return proved(self.gap, self.tolerance)


def parts_report(claims: PlanHeadFile, found: Audit, scenario_file: str) -> str:
    """Return the report of a plan of a fleet in parts as one HTML file.

    Parameters
    ----------
    claims, found
        What the plan file says, and what is true of it.
    scenario_file
        The scenario's file as whoever reads the report finds it.

    Raises
    ------
    ClaimFalse
        If a claim of the plan is false.
    """
    if false := [check.what for check in found.checks if not check.true]:
        raise ClaimFalse(f"false: {', '.join(false)}; dmcjia verify shows what is true")
    said, parted, total = _Said(claims, found), found.surveyed.parted, found.total
    options = parted.first.options
    prices = np.array([row.price_s for row in claims.resources or ()])
    within = ", ".join(seconds(total.quantile(part)) for part in (0.5, 0.95, 0.99))
    limits = UNKNOWN if claims.limits is None else ", ".join(budget(**claims.limits.model_dump())) or "none"
    dearest = np.argsort(-prices, kind="stable")[:_MOST_RESOURCES].tolist()
    return render(
        "plan/parts.html.j2",
        name=parted.first.name,
        n=parted.n_nodes,
        parts=len(parted.files),
        made=claims,
        in_plain_words=in_plain_words(said),
        glance=[
            (f"{delay_called(options.statistic, worst=False)} over {options.average}", seconds(said.objective)),
            ("proved lower bound", f"{seconds(said.lower_bound)}, from {source_of_bound('dual', len(prices))}"),
            ("gap", percent(said.gap)),
            ("status", said.status.in_words(said.tolerance)),
            ("method", f"{claims.placer} + {claims.allocator}"),
            ("time", seconds(claims.wall_s) if claims.wall_s is not None else UNKNOWN),
            ("nodes", f"{parted.n_nodes:,}"),
            ("50, 95, 99 % of the nodes within", within),
            ("slowest node", seconds(total.worst_delay)),
        ],
        spread=figures.delay_counts(EDGES, total.counts),
        resources=[
            [
                total.resources[r].name,
                total.resources[r].kind,
                Cell(in_percent(total.used[r]), float(total.used[r])),
                Cell(in_percent(total.load[r]), float(total.load[r])),
                Cell(dearness(float(prices[r]), prices, worst=False), float(prices[r])),
            ]
            for r in dearest
        ],
        left=len(prices) - len(dearest),
        cuts=_cuts(total),
        search=figures.search(claims.trace, delay_called(options.statistic, worst=False)),
        search_legend=list(figures.SEARCH.values()),
        provenance=[
            ("scenario", parted.first.name or "without a name"),
            ("file", scenario_file),
            ("hash of its content", found.surveyed.sha256()),
            ("delay model", f"{options.delay}, ordering {options.ordering}, mean over {options.average}"),
            ("placer", claims.placer or UNKNOWN),
            ("allocator", claims.allocator or UNKNOWN),
            ("limits", limits),
            ("passes", f"{claims.evaluations:,}" if claims.evaluations is not None else UNKNOWN),
            ("started", claims.started or UNKNOWN),
            ("machine", claims.machine or UNKNOWN),
            ("versions", ", ".join(f"{name} {version}" for name, version in claims.versions.items()) or UNKNOWN),
        ],
    )


def _cuts(total: Totals) -> list[tuple[str, dict[str, object]]]:
    """Return, for every network, where and on how many nodes it is cut."""
    panels = []
    for network in sorted({network for network, _, _ in total.cuts}):
        counts: dict[int, int] = {}
        for (of, split, _), count in total.cuts.items():
            if of == network:
                counts[split] = counts.get(split, 0) + count
        shown = sorted(sorted(counts, key=lambda split: -counts[split])[:_MOST_CUTS])
        labels = ["0: input sent" if split == 0 else str(split) for split in shown]
        panel = {
            "network": network,
            "nodes": sum(counts.values()),
            "shown": len(shown),
            "others": len(counts) - len(shown),
            "rest": sum(counts.values()) - sum(counts[split] for split in shown),
            "bars": figures.cuts(labels, np.array([counts[split] for split in shown], dtype=np.int64)),
        }
        panels.append((network, panel))
    return panels
