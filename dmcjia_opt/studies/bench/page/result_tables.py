"""The tables of a benchmark report."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from plotly.colors import sample_colorscale, unlabel_rgb

from dmcjia_opt.studies.bench import frames
from dmcjia_opt.studies.bench.results import common, methods
from dmcjia_opt.studies.bench.rows import Outcome
from dmcjia_opt.studies.bench.statistics import GAP_FLOOR, TARGETS, spread
from dmcjia_opt.studies.look.page import Cell, Html, Tone, empty, table
from dmcjia_opt.studies.look.words import scientific, seconds

#: More instances than this are put together by family and size.
MOST_INSTANCES = 200
_SIGNIFICANT = 0.05
_NO_ANSWER = (178, 58, 28)


def reliability(frame: pd.DataFrame, gap: str) -> Html:
    """Return successes at each target with intervals, best first."""
    summary = frames.reliability(frame)
    head = [
        "method",
        "runs",
        "answers",
        *(f"{gap} ≤ {scientific(target)}" for target in TARGETS),
        f"median {gap}",
        "quartiles",
    ]
    rows: list[list[Cell | str]] = []
    for row in summary.to_dict("records"):
        cells: list[Cell | str] = [row["method"], _count(row["runs"]), _of(row["answers"], row["runs"])]
        for target in TARGETS:
            end = f"_{target:.0e}"
            low, high = row["low" + end], row["high" + end]
            text = f"{row['successes' + end]} of {row['runs']}  ({100 * low:.0f} to {100 * high:.0f} %)"
            cells.append(Cell(text, row["rate" + end]))
        quartiles = f"{scientific(row['error_low'])} to {scientific(row['error_high'])}"
        rows.append([*cells, _gap(row["error"]), Cell(quartiles, row["error_high"])])
    caption = (
        f"How often each method ends with a feasible plan whose recomputed {gap} is within a target, with 95 % Wilson "
        f"intervals; every run counts, failures too. “none” is no answer."
    )
    return table(head, rows, caption)


def claims(frame: pd.DataFrame) -> Html:
    """Return what methods claimed beside what was verified."""
    summary = frames.claims(frame)
    rows: list[list[Cell | str]] = []
    for row in summary.to_dict("records"):
        held = f"{row['held']} of {row['claims']}  ({100 * row['low']:.0f} to {100 * row['high']:.0f} %)"
        within = f"{row['within']} of {row['said_optimal']}"
        wrong = row["within"] < row["said_optimal"]
        rows.append(
            [
                row["method"],
                Cell(held, row["held"] / row["claims"]) if row["claims"] else _dash(),
                Cell(str(row["false"]), row["false"], "bad" if row["false"] else "muted"),
                Cell(within, row["said_optimal"], "bad" if wrong else "") if row["said_optimal"] else _dash(),
                _count(row["proved"]),
                _gap(row["worst_claim"]),
            ]
        )
    head = [
        "method",
        "claims that held",
        "false",
        "said optimal, and was within 1e-6",
        "proved by itself",
        "worst error",
    ]
    caption = (
        "What methods claimed, held against our recomputation. A claim is false when “optimal” is said of a plan that "
        "is not, or when a claimed bound lies above a plan that exists. Proved by itself: the run's own bound, "
        "recomputed by us, closes the gap to 1e-6. Worst error: of the claimed delay."
    )
    return table(head, rows, caption)


def outcomes(frame: pd.DataFrame) -> Html:
    """Return how runs ended."""
    counts = frames.outcomes(frame)
    ways = [str(name) for name in counts.columns if name != "method"]
    rows: list[list[Cell | str]] = [
        [
            row["method"],
            *(
                Cell(str(row[way]), row[way], "muted" if not row[way] else "" if way == "answer" else "bad")
                for way in ways
            ),
        ]
        for row in counts.to_dict("records")
    ]
    return table(["method", *ways], rows, "How the runs of each method ended, seen from outside its process.")


def failures(frame: pd.DataFrame) -> Html:
    """Return every way in which runs gave no answer, with its message."""
    failed = frames.failures(frame)
    if failed.empty:
        return empty("Every run gave an answer.")
    grouped = failed.groupby(["method", "outcome", "message"], sort=False)
    rows: list[list[Cell | str]] = []
    for (method, outcome, message), group in grouped:
        where = ", ".join(group["instance"].iloc[:3]) + (f" and {len(group) - 3} more" if len(group) > 3 else "")
        count = int(group["runs"].sum())
        rows.append(
            [
                str(method),
                str(outcome),
                _count(count),
                Cell(str(message) or "–", None, "text"),
                Cell(where, None, "text"),
            ]
        )
    caption = "Runs without an answer, and what was said."
    return table(["method", "outcome", "runs", "message", "instances"], rows, caption, tall=True)


def speed(frame: pd.DataFrame, target: float) -> Html:
    """Return what reaching a target cost, fastest first."""
    rows: list[list[Cell | str]] = [
        [
            row["method"],
            _of(row["reached"], row["runs"]),
            *(_time(row[name]) for name in ("geometric_mean", "par10", "ert_seconds")),
            Cell("never" if math.isinf(n := row["ert_evaluations"]) else "–" if math.isnan(n) else f"{n:,.1f}", n),
            _time(row["seconds"]),
            Cell(f"{_span(row['seconds_low'])} to {_span(row['seconds_high'])}", row["seconds_high"]),
        ]
        for row in frames.speed(frame, target).to_dict("records")
    ]
    head = ["method", "reached", "geometric mean", "PAR10", "ERT", "ERT, plans", "median", "quartiles"]
    caption = (
        "Time to the target. Geometric mean: shifted, a failure counting as the time limit. PAR10: mean, a failure "
        "counting as ten limits. ERT: everything spent over the number of successes, which is what a success costs "
        "when failures are tried again. Virtual best: the fastest method on each instance, taken by median."
    )
    return table(head, rows, caption)


def slopes(frame: pd.DataFrame, target: float) -> Html:
    """Return the exponents of time against size."""
    fits = frames.slopes(frame, target)
    if fits.empty:
        return empty("No slopes: a method needs successes at three sizes of one family at least.")
    rows: list[list[Cell | str]] = [
        [
            f"{row['method']}",
            str(row["family"]),
            Cell(f"{row['exponent']:.2f}", row["exponent"]),
            Cell(f"{row['low']:.2f} to {row['high']:.2f}", row["high"] - row["low"]),
            _count(row["points"]),
        ]
        for row in fits.to_dict("records")
    ]
    caption = (
        "Slopes: time ∝ nodes^slope, fitted to the runs that reached the target, with 95 % intervals. Runs that failed "
        "are not in the fit, so a method that fails on large instances looks flatter than it is."
    )
    return table(["method", "family", "slope", "95 % interval", "runs"], rows, caption)


def heat_map(frame: pd.DataFrame, gap: str) -> Html:
    """Return instances against methods, coloured by the median gap, with what went wrong in words."""
    names = methods(frame)
    by = ["instance"] if frame["instance"].nunique() <= MOST_INSTANCES else ["family", "n_nodes"]
    rows: list[list[Cell | str]] = []
    ordered = frame.sort_values(["family", "n_nodes"], kind="stable")
    for key, runs in ordered.groupby(by, sort=False):
        label = str(key[0]) if len(by) == 1 else f"{key[0]}, {key[1]} nodes"
        cells = [_heat(runs[runs["method"] == name], gap) for name in names]
        rows.append([label, _count(int(runs["n_nodes"].iloc[0])), *cells])
    caption = (
        f"Median {gap} over the runs of each method: yellow is close to 1, dark blue is proved optimal up to rounding, "
        "red gave no answer. “1 of 2” runs answered where some did not; point at a cell for how its runs ended."
    )
    return table(["instance" if len(by) == 1 else "instances", "nodes", *names], rows, caption, tall=True)


def detail(frame: pd.DataFrame, target: float, gap: str) -> Html:
    """Return medians and quartiles over seeds of every instance and method."""
    rows: list[list[Cell | str]] = [
        [
            row["instance"],
            _count(row["n_nodes"]),
            row["method"],
            _of(row["successes"], row["runs"]),
            _gap(row["error"]),
            Cell(f"{scientific(row['error_low'])} to {scientific(row['error_high'])}", row["error_high"]),
            _time(row["seconds"]),
            Cell(f"{_span(row['seconds_low'])} to {_span(row['seconds_high'])}", row["seconds_high"]),
            _time(row["ert_seconds"]),
            row["outcome"],
        ]
        for row in frames.detail(frame, target).to_dict("records")
    ]
    head = ["instance", "nodes", "method", f"≤ {scientific(target)}", f"median {gap}", "quartiles", "median wall time"]
    caption = f"Medians and quartiles over seeds; successes and ERT at a {gap} of {scientific(target)}."
    return table([*head, "quartiles", "ERT", "outcomes"], rows, caption, tall=True)


def pairs(frame: pd.DataFrame, gap: str) -> Html:
    """Return the paired tests, or why there are none."""
    n_methods = frame["method"].nunique()
    if n_methods < 2:
        return empty("There are no two methods to compare.")
    compared = frames.pairs(frame)
    if compared.empty:
        return empty("There is no instance that all methods were run on, so there is nothing to pair.")
    rows: list[list[Cell | str]] = []
    for row in compared.sort_values("p_holm", kind="stable").to_dict("records"):
        sure = row["p_holm"] < _SIGNIFICANT
        better = row["first"] if row["better"] > row["worse"] else row["second"]
        verdict = f"{better} is better" if sure and row["better"] != row["worse"] else "cannot be told apart"
        won = f"{row['better']} / {row['ties']} / {row['worse']}"
        tone: Tone = "good" if sure else "muted"
        tests = (Cell(f"{row[name]:.2g}", row[name]) for name in ("p", "p_holm"))
        rows.append(
            [f"{row['first']} against {row['second']}", Cell(won, row["better"]), *tests, Cell(verdict, None, tone)]
        )
    n = common(frame)["instance"].nunique()
    caption = (
        f"Wilcoxon's signed-rank test on the median {gap} of each of {n} instances that all methods were run on, with "
        f"Holm's correction for {len(rows)} comparisons. Gaps below 1e-6 count as equal and no answer as 1. With fewer "
        "than 6 instances no difference can be significant."
    )
    return table(["pair", "won / tied / lost", "p", "p after Holm", "verdict at 5 %"], rows, caption, tall=True)


def _heat(runs: pd.DataFrame, gap: str) -> Cell:
    if runs.empty:
        return Cell("not run", math.nan, "muted")
    ends = ", ".join(f"{n} {way}" for way, n in runs["outcome"].value_counts().items())
    answers = int(runs["answered"].sum())
    if not answers:
        outcome = str(runs["outcome"].value_counts().index[0])
        fill = None if outcome == str(Outcome.REFUSED) else _NO_ANSWER
        return Cell(outcome, math.inf, "muted" if fill is None else "", fill, ends)
    median = spread(runs.loc[runs["answered"], "error"]).median
    text = scientific(median) + (f", {answers} of {len(runs)}" if answers < len(runs) else "")
    hint = f"median {gap} {median:.3e}; {ends}"
    return Cell(text, median if answers == len(runs) else 1.0 + median, "", _colour(median), hint)


def _colour(gap: float) -> tuple[int, int, int]:
    position = math.log10(min(max(gap, GAP_FLOOR), 1.0)) / math.log10(GAP_FLOOR)
    (colour,) = sample_colorscale("Cividis_r", [position])
    red, green, blue = (int(value) for value in unlabel_rgb(colour))
    return red, green, blue


def _gap(value: float) -> Cell:
    return Cell(scientific(value), value, "bad" if math.isinf(value) else "")


def _time(value: float) -> Cell:
    return Cell(_span(value), value, "muted" if not math.isfinite(value) else "")


def _span(value: float) -> str:
    return "–" if math.isnan(value) else "never" if math.isinf(value) else seconds(value)


def _count(number: Any) -> Cell:  # noqa: ANN401 - an integer of pandas or of ours
    return Cell(f"{number:,}", number)


def _of(part: int, whole: int) -> Cell:
    return Cell(f"{part} of {whole}", part / whole if whole else math.nan, "bad" if part == 0 else "")


def _dash() -> Cell:
    return Cell("–", np.nan, "muted")
