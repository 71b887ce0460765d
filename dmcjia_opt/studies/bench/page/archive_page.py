"""The page over all submissions of an archive: who ran what, how each method did in each, the best of each instance."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import pandas as pd

from dmcjia_opt.bounds.certificate import relative_gap
from dmcjia_opt.studies.bench import frames
from dmcjia_opt.studies.bench.archive import Submission
from dmcjia_opt.studies.bench.certificates import CERTIFICATES, read_certificates
from dmcjia_opt.studies.bench.page import cells
from dmcjia_opt.studies.bench.page.findings import short_names
from dmcjia_opt.studies.bench.results import Results, entrants, runtimes
from dmcjia_opt.studies.bench.statistics import TARGETS
from dmcjia_opt.studies.look.page import Cell, render
from dmcjia_opt.studies.look.words import scientific

_TIMED = 1e-6  # gap to which times are given


def archive_page(archive: Sequence[Submission]) -> str:
    """Return the page of the submissions of an archive as one HTML file."""
    suites = list(dict.fromkeys(suite for each in archive for suite in each.suites))
    found = [(suite, _methods(archive, suite), _instances(archive, suite)) for suite in suites]
    return render(
        "bench/page/archive.html.j2",
        archive=archive,
        runs=sum(len(results.rows) for each in archive for results in each.suites.values()),
        heads={
            "submissions": [
                "submission",
                "who",
                "date",
                "machine",
                "version",
                "suites",
                "runs",
                "false",
                "certificates",
            ],
            "methods": ["method", "submission", "instances", "answers", *_within(), "false", "time"],
            "instances": [
                "instance",
                "nodes",
                "best objective",
                "gap",
                "found by",
                f"first within {scientific(_TIMED)}",
            ],
        },
        rows=[_row(each) for each in archive],
        suites=found,
        timed=scientific(_TIMED),
    )


def _within() -> list[str]:
    return [f"≤ {scientific(target)}" for target in TARGETS]


def _row(each: Submission) -> list[Cell | str]:
    runs = [results.rows for results in each.suites.values()]
    made_with = (results.run.get("versions", {}).get("dmcjia-opt", "–") for results in each.suites.values())
    versions = dict.fromkeys(map(str, made_with))
    logs = [each.folder / suite / CERTIFICATES for suite in each.suites]
    certificates = sum(len(read_certificates(log)) for log in logs if log.is_file())
    about = each.about
    return [
        about.name,
        Cell(about.who, None, "text"),
        str(about.date),
        Cell(about.machine, None, "text"),
        ", ".join(versions),
        Cell(", ".join(each.suites), None, "text"),
        cells.count(sum(map(len, runs))),
        cells.count(sum(int((rows["correct"] == False).sum()) for rows in runs)),  # noqa: E712 - an object column
        cells.count(certificates),
    ]


def _methods(archive: Sequence[Submission], suite: str) -> list[list[Cell | str]]:
    """Return a row a method and submission, the most reliable first."""
    ranked: list[tuple[tuple[float, ...], list[Cell | str]]] = []
    for each in archive:
        if suite not in each.suites:
            continue
        rows, _ = short_names(each.suites[suite].rows)
        frame = entrants(rows)
        if frame.empty:
            continue
        speed = frames.speed(frame, _TIMED).set_index("method")["geometric_mean"]
        false = frames.claims(frame).set_index("method")["false"]
        for row in frames.reliability(frame).to_dict("records"):
            name = str(row["method"])
            order = tuple(-float(row.get(f"rate_{target:.0e}", 0.0)) for target in reversed(TARGETS))
            wrong = int(false[name])
            ranked.append(
                (
                    (*order, float(speed[name])),
                    [
                        name,
                        each.about.name,
                        cells.count(row["instances"]),
                        cells.part(row["answers"], row["runs"]),
                        *(_reached(row, f"successes_{target:.0e}") for target in TARGETS),
                        Cell(str(wrong), wrong, "bad" if wrong else "muted"),
                        cells.time(float(speed[name])),
                    ],
                )
            )
    return [row for _, row in sorted(ranked, key=lambda pair: pair[0])]


def _reached(row: Mapping[Hashable, Any], successes: str) -> Cell:
    return cells.part(row[successes], row["runs"]) if successes in row else Cell("not asked", math.nan, "muted")


def _instances(archive: Sequence[Submission], suite: str) -> list[list[Cell | str]]:
    """Return a row an instance: the best objective of all submissions, who found it, and the least time to close it."""
    runs = [_labelled(each, each.suites[suite]) for each in archive if suite in each.suites]
    frame = pd.concat(runs, ignore_index=True)
    frame = frame[frame["objective_s"].notna()]
    found: list[list[Cell | str]] = []
    for name, rows in frame.groupby("instance", sort=False):
        records = rows.to_dict("records")
        best = min(records, key=lambda row: float(row["objective_s"]))
        gap = max(relative_gap(float(best["objective_s"]), float(rows["lower_bound_s"].max())), 0.0)
        quickest = min(records, key=lambda row: float(row["closed"]))
        closed: Cell = cells.nothing
        if math.isfinite(seconds := float(quickest["closed"])):
            closed = Cell(f"{cells.time(seconds).text}, {quickest['method']} ({quickest['submission']})", seconds)
        by = f"{best['method']} ({best['submission']})"
        value = Cell(f"{1e3 * best['objective_s']:.6f} ms", float(best["objective_s"]))
        found.append([str(name), cells.count(int(best["n_nodes"])), value, cells.gap(gap), by, closed])
    return found


def _labelled(each: Submission, results: Results) -> pd.DataFrame:
    rows, _ = short_names(results.rows)
    return rows.assign(submission=each.about.name, closed=runtimes(rows, [_TIMED])[:, 0])
