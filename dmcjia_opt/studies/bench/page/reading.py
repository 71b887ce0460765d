"""What a benchmark report says first, in sentences: who won, and what could be told apart."""

from __future__ import annotations

import math

import pandas as pd

from dmcjia_opt.studies.bench import frames
from dmcjia_opt.studies.bench.results import entrants, methods
from dmcjia_opt.studies.bench.statistics import TARGETS
from dmcjia_opt.studies.look.words import percent, scientific, seconds

#: A p-value below this counts as a difference.
SIGNIFICANT = 0.05


def short_names(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows with the allocator left out of placers' names where all use the same, and the sentence on it."""
    placers = rows["kind"] == "placer"
    endings = {name.rpartition(" + ")[2] for name in rows.loc[placers, "method"]}
    if len(endings) != 1 or not rows.loc[placers, "method"].str.contains(" + ", regex=False).all():
        return rows, []
    (ending,) = endings
    short = rows.assign(method=rows["method"].where(~placers, rows["method"].str.removesuffix(f" + {ending}")))
    return short, [f"Every placer used the allocator {ending}, which is left out of the names."]


def summary(rows: pd.DataFrame, kind: str) -> list[str]:
    """Return the answer in plain words, with numbers: the winner first."""
    frame = entrants(rows)
    refused = [name for name in methods(rows) if name not in set(frame["method"])]
    sentences = []
    if frame.empty:
        sentences.append(f"No {kind} could run here: every run was refused.")
    elif not frame["answered"].any():
        sentences.append(f"No {kind} gave an answer in any of {len(frame)} runs.")
    else:
        sentences += [_winner(frame, kind), *_others(frame, kind)]
    if len(frame):
        sentences += [*_claims(frame), *_unanswered(frame)]
    if refused:
        sentences.append(f"Could not take part: {', '.join(refused)}; the reasons are under Reliability.")
    return sentences


def _winner(frame: pd.DataFrame, kind: str) -> str:
    target = min(target for target in TARGETS if (frame["error"] <= target).any() or target == max(TARGETS))
    ranked = frames.reliability(frame).merge(frames.speed(frame, target)[["method", "geometric_mean"]], on="method")
    end = f"_{target:.0e}"
    ranked = ranked.sort_values(["rate" + end, "geometric_mean"], ascending=[False, True], kind="stable")
    best = ranked.iloc[0]
    measure = "gap" if kind == "placer" else "relative error"
    done = f"{best['successes' + end]} of {best['runs']} runs"
    span = f"{100 * best['low' + end]:.0f} to {100 * best['high' + end]:.0f} %"
    if not best["successes" + end]:
        closest = ranked.sort_values("error", kind="stable").iloc[0]
        return (
            f"No {kind} came within {percent(target)} of the proved bound. The closest was {closest['method']}, with a "
            f"median {measure} of {scientific(closest['error'])}."
        )
    took = f"in {seconds(best['geometric_mean'])} (shifted geometric mean)"
    if frame["method"].nunique() == 1:
        return f"{best['method']} reached a {measure} of {scientific(target)} in {done} (95 % interval {span}), {took}."
    equal = ranked[ranked["rate" + end] == best["rate" + end]]["method"].tolist()[1:]
    also = f", the fastest of {len(equal) + 1} {kind}s that did so ({', '.join(equal)} did too)" if equal else ""
    won = f"{best['method']} won: it reached a {measure} of {scientific(target)} in {done} (95 % interval {span})"
    return f"{won}, {took}{also}."


def _others(frame: pd.DataFrame, kind: str) -> list[str]:
    measure = "gap" if kind == "placer" else "relative error"
    ranked = frames.reliability(frame)
    sentences = []
    parts = []
    for row in ranked.head(8).to_dict("records"):
        ends = "no answer in half of its runs or more" if math.isinf(row["error"]) else f"{scientific(row['error'])}"
        parts.append(f"{row['method']} {ends}")
    more = f"; and {len(ranked) - 8} more below" if len(ranked) > 8 else ""
    sentences.append(f"Median {measure} at the end of a run: {'; '.join(parts)}{more}.")
    tests = frames.pairs(frame)
    if len(tests):
        sure = int((tests["p_holm"] < SIGNIFICANT).sum())
        sentences.append(
            f"Of {len(tests)} pairs of methods, {sure} can be told apart by {measure} at the 5 % level after "
            "correction for that many comparisons."
        )
    return sentences


def _claims(frame: pd.DataFrame) -> list[str]:
    checked = frames.claims(frame)
    false = checked[checked["false"] > 0]
    if len(false):
        who = ", ".join(f"{row['method']} ({row['false']} of {row['claims']})" for row in false.to_dict("records"))
        return [f"Claims of optimality or of a bound that our recomputation contradicts: {who}."]
    if total := int(checked["claims"].sum()):
        return [f"All {total} claims of optimality or of a bound that could be checked hold."]
    return []


def _unanswered(frame: pd.DataFrame) -> list[str]:
    failed = frame[~frame["answered"]]
    if failed.empty:
        return [f"Every one of the {len(frame)} runs gave an answer."]
    parts = [
        f"{method} ({', '.join(f'{n} {way}' for way, n in runs['outcome'].value_counts().items())})"
        for method, runs in failed.groupby("method", sort=False)
    ]
    return [f"{len(failed)} of {len(frame)} runs gave no answer: {', '.join(parts)}."]
