"""The report of a benchmark: which method won, how reliable it is, and everything that this rests on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from dmcjia_opt.studies.bench.frames import VIRTUAL_BEST
from dmcjia_opt.studies.bench.page import curves as figures
from dmcjia_opt.studies.bench.page import result_tables as tables
from dmcjia_opt.studies.bench.page.reading import limitations, provenance, short_names, summary
from dmcjia_opt.studies.bench.results import Results, Unit, entrants, methods
from dmcjia_opt.studies.bench.statistics import SHIFT_SECONDS, TARGETS
from dmcjia_opt.studies.look.page import Html, Key, Section, bullets, choice, empty, figure, heading, lead, page, text
from dmcjia_opt.studies.look.plots import Style, styles
from dmcjia_opt.studies.look.words import scientific, seconds

#: The target of what is shown for one target only.
HEADLINE = 1e-4
_UNITS: tuple[Unit, ...] = ("seconds", "evaluations")


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """The runs of one kind of method, and how they are spoken of."""

    rows: pd.DataFrame
    compared: pd.DataFrame  # without methods that were refused everywhere
    kind: str
    gap: str
    looks: dict[str, Style]

    def legend(self, *more: str) -> list[Key]:
        return [self.looks[name].key for name in (*methods(self.compared), *more)]


def benchmark_report(results: Results) -> Html:
    """Return the report of a results folder as one HTML file.

    Parameters
    ----------
    results
        As `dmcjia_opt.studies.bench.results.load` returns them.
    """
    rows, shortened = short_names(results.rows)
    sections = []
    kinds = [kind for kind in ("placer", "allocator") if (rows["kind"] == kind).any()]
    parts = [_part(rows[rows["kind"] == kind], kind) for kind in kinds]
    blocks = []
    for part in parts:
        if len(parts) > 1:
            blocks.append(heading(f"{part.kind.capitalize()}s"))
        first, *rest = summary(part.rows, part.kind)
        blocks += [lead(first), bullets(rest)]
    blocks += [text(sentence) for sentence in (*shortened, *results.notes)]
    sections.append(Section("In short", tuple(blocks)))
    for part in parts:
        suffix = f", {part.kind}s" if len(parts) > 1 else ""
        for title, build in _SECTIONS:
            sections.append(Section(title + suffix, build(part)))
    sections.append(Section("Limitations and fairness", limitations(rows)))
    sections.append(Section("How to reproduce", provenance(results)))
    names = ", ".join(dict.fromkeys(rows["suite"]))
    return page(f"Benchmark: {names}", _subtitle(results), sections)


def _part(rows: pd.DataFrame, kind: str) -> _Part:
    compared = entrants(rows)
    looks = dict(styles(methods(compared)))
    looks[VIRTUAL_BEST] = Style(VIRTUAL_BEST, "#8C8C8C", "dot", "circle-open")
    return _Part(rows, compared, kind, "gap" if kind == "placer" else "relative error", looks)


def _subtitle(results: Results) -> str:
    rows = results.rows
    started = min((text for text in rows["started"] if text), default="")
    when = f", started {started}" if started else ""
    return f"{len(rows):,} runs of {rows['method'].nunique()} methods on {rows['instance'].nunique()} instances{when}."


def _reliability(part: _Part) -> tuple[Html, ...]:
    blocks = [tables.reliability(part.compared, part.gap)] if len(part.compared) else []
    blocks += [tables.claims(part.compared)] if len(part.compared) else []
    return (*blocks, tables.outcomes(part.rows), tables.failures(part.rows))


def _speed(part: _Part) -> tuple[Html, ...]:
    if part.compared.empty:
        return (empty("No method could run here, so there is nothing to time."),)
    panels = {}
    for target in sorted(TARGETS):
        drawn = figures.profile(part.compared, target, part.looks)
        why = (
            f"No performance profile: there is no instance that all methods were run on, or none of them reached a "
            f"{part.gap} of {scientific(target)} on one."
        )
        how = (
            "A curve at height y above x says: on a share y of the instances this method took at most x times as long "
            "as the fastest one. Left end: how often it is the fastest. Right end: how often it succeeds at all. "
            "Higher is better; bands are 95 % intervals."
        )
        plot = figure(drawn, "Performance profiles", how, part.legend()) if drawn else empty(why)
        panels[f"{part.gap} ≤ {scientific(target)}"] = Html(tables.speed(part.compared, target) + plot)
    intro = (
        f"What counts is the time until a run held an answer within the target, whether or not it could prove so. The "
        f"geometric mean is shifted by {seconds(SHIFT_SECONDS)}."
    )
    return text(intro), choice("Target:", panels, f"{part.gap} ≤ {scientific(HEADLINE)}")


def _distribution(part: _Part) -> tuple[Html, ...]:
    blocks = []
    for unit, title in zip(_UNITS, ("By wall time", "By plans evaluated"), strict=True):
        drawn = figures.runtime_distribution(part.compared, unit, part.looks) if len(part.compared) else None
        if drawn is None:
            blocks.append(empty(f"{title}: no run reached any target, so there is no distribution to draw."))
            continue
        how = (
            f"Each run is asked when it reached {len(figures.ECDF_TARGETS)} targets from 1e-1 to 1e-6; the curve is "
            "the share reached so far, over all runs. Further left is faster, higher is more reliable; what is "
            "missing at the right end was never reached."
        )
        more = [VIRTUAL_BEST] if part.compared["method"].nunique() > 1 else []
        blocks.append(figure(drawn, title, how, part.legend(*more)))
    return tuple(blocks)


def _anytime(part: _Part) -> tuple[Html, ...]:
    blocks = []
    for unit, title in zip(_UNITS, ("Gap over wall time", "Gap over plans evaluated"), strict=True):
        panels = {}
        for name, rows in _families(part.compared):
            drawn = figures.anytime(rows, unit, part.looks)
            if drawn is not None:
                how = (
                    "The median run holds a plan this close to the best proved bound by then; the gap counts as 1 "
                    "until there is a plan, and bands hold the middle half of the runs. Thin dotted lines: the "
                    "method's own lower bound closing in on the best known delay from below."
                )
                present = set(rows["method"])
                panels[name] = figure(drawn, title, how, [key for key in part.legend() if key.name in present])
        if panels:
            blocks.append(choice("Family:", panels))
    if not blocks:
        blocks.append(empty(f"None of these runs recorded how its answer improved, as {_who(part)}."))
    return tuple(blocks)


def _size(part: _Part) -> tuple[Html, ...]:
    panels = {}
    for name, rows in _families(part.compared)[-part.compared["family"].nunique() :]:
        drawn = figures.time_against_size(rows, HEADLINE, part.looks)
        how = (
            f"Median time to a {part.gap} of {scientific(HEADLINE)} on instances of each size; crosses at the limit "
            "are sizes at which the median run failed. Straight lines are power laws fitted to the runs that "
            "succeeded; one of slope 1 doubles when the fleet does."
        )
        present = set(rows["method"])
        keys = [key for key in part.legend() if key.name in present]
        why = f"No run on the family {name} reached a {part.gap} of {scientific(HEADLINE)}."
        panels[name] = figure(drawn, "Time against size", how, keys) if drawn else empty(why)
    if not panels:
        return (empty("No method could run here."),)
    return choice("Family:", panels), tables.slopes(part.compared, HEADLINE)


def _accuracy(part: _Part) -> tuple[Html, ...]:
    if part.compared.empty:
        return (empty("No method could run here."),)
    how = (
        f"Small marks are runs, large marks each method's median with quartiles; bottom left is best. Runs without an "
        f"answer are crosses at a {part.gap} of 1; what is below 1e-12 is rounding, and drawn at 1e-12."
    )
    drawn = figures.accuracy_against_time(part.compared, part.looks)
    return (figure(drawn, f"{part.gap.capitalize()} against time", how, part.legend()),)


def _instances(part: _Part) -> tuple[Html, ...]:
    return tables.heat_map(part.rows, part.gap), tables.detail(part.rows, HEADLINE, part.gap)


def _pairs(part: _Part) -> tuple[Html, ...]:
    return (tables.pairs(part.compared, part.gap),)


_SECTIONS: tuple[tuple[str, Callable[[_Part], tuple[Html, ...]]], ...] = (
    ("Reliability", _reliability),
    ("Speed", _speed),
    ("Runtime distributions", _distribution),
    ("Anytime behaviour", _anytime),
    ("Time against size", _size),
    ("Accuracy against time", _accuracy),
    ("Instance by instance", _instances),
    ("Are the differences real?", _pairs),
)


def _families(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return all runs together where there are several families, then each family."""
    each = [(str(name), rows) for name, rows in frame.groupby("family", sort=False)]
    return [("all", frame), *each] if len(each) > 1 else each


def _who(part: _Part) -> str:
    if part.kind == "allocator":
        return "an allocator answers once"
    return "each ended without an answer or reported only its last one"
