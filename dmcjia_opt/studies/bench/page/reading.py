"""What a benchmark report says in sentences: who won, what to keep in mind, and how to do it again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, cast

import pandas as pd

from dmcjia_opt.solving.registry import METHODS
from dmcjia_opt.studies.bench import frames
from dmcjia_opt.studies.bench.results import Results, entrants, methods
from dmcjia_opt.studies.bench.statistics import PENALTY, SHIFT_SECONDS, TARGETS
from dmcjia_opt.studies.look.page import Cell, Html, bullets, code, facts, heading, table, text
from dmcjia_opt.studies.look.words import percent, scientific, seconds

_SIGNIFICANT = 0.05
_FEW_INSTANCES = 6


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


def limitations(rows: pd.DataFrame) -> tuple[Html, ...]:
    """Return what the numbers do not say, and what was done to be fair."""
    fair = [
        f"Budget of every run: {_budgets(rows)}.",
        "No method was tuned for these instances; options that differ from the defaults are part of a method's name.",
        "Delay and feasibility of every answer were recomputed here; nothing that a method says about itself is used "
        "in a ranking. What a method reported on the way counts only as far as its verified answer bears it out.",
        "A run that gives no answer stays in every statistic: as not reached, as the time limit, or as a gap of 1. "
        "Methods that could run nowhere are listed, and left out of comparisons.",
    ]
    known = [
        "The gap is measured from the best proved bound on an instance. Where that bound is not tight, every method's "
        "gap is too large by the same amount.",
        "An evaluation is one plan whose shares were computed. Exact methods and solvers work between evaluations, so "
        "counts of plans compare only methods that search by trying plans.",
        "A method that reports only its end is taken to have found its answer at its end.",
        "The intervals treat runs as independent. Runs on the same instance are not, and repeated runs of a method "
        "without randomness least of all; the paired tests use one number an instance for that reason.",
        "Wall time leaves out starting a process, importing libraries and compiling the problem"
        + _setup(rows)
        + ". Times below a millisecond depend on the machine's clock and caches.",
    ]
    if rows["limit_seconds"].isna().any():
        known.append(
            f"Some runs had no time limit; where one is needed, the longest run counts: {seconds(rows['limit'].max())}."
        )
    if rows["load"].notna().any():
        low, high = rows["load"].min(), rows["load"].max()
        known.append(
            f"Load average of the machine at the start of runs: {low:.2f} to {high:.2f}; busy machines are slower."
        )
    if entrants(rows)["instance"].nunique() < _FEW_INSTANCES:
        known.append("There are fewer than 6 instances: treat every difference as a hint, not as a finding.")
    return heading("Fairness"), bullets(fair), heading("Known limitations"), bullets(known), _about_methods(rows)


def provenance(results: Results) -> tuple[Html, ...]:
    """Return the command, the machine, the versions, and the suite as it was run."""
    rows, run = results.rows, results.run
    suite = ", ".join(dict.fromkeys(rows["suite"]))
    command = run.get("command") or f"dmcjia bench {suite} --out DIR"
    command = " ".join(command) if isinstance(command, list) else command
    versions = cast(Mapping[str, str], run.get("versions") or rows["versions"].iloc[-1])
    machines = run.get("machine") or "; ".join(dict.fromkeys(filter(None, rows["machine"])))
    revisions = ", ".join(dict.fromkeys(filter(None, rows["revision"])))
    pairs = [("machine", _flat(machines)), ("revision of the code", revisions or "not recorded")]
    pairs += [(f"version of {name}", str(version)) for name, version in sorted(versions.items())]
    blocks = [
        text("Run the suite again, then write this page from its folder:"),
        code(f"{command}\ndmcjia report DIR --out report.html --csv tables"),
        text(
            "Seeds fix the answers, not the clock: compare times as ratios. --csv also writes the runs as CSV, and as "
            "a folder that iohinspector and IOHanalyzer read."
        ),
        facts(pairs),
    ]
    if run.get("suite"):
        blocks += [heading("The suite"), code(run["suite"])]
    return tuple(blocks)


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
        sure = int((tests["p_holm"] < _SIGNIFICANT).sum())
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


def _budgets(rows: pd.DataFrame) -> str:
    said = []
    for values in rows[["limit_seconds", "limit_evaluations", "limit_gap"]].drop_duplicates().itertuples(index=False):
        parts = [
            form.format(value)
            for value, form in zip(values, ("{:g} s", "{:,.0f} plans", "gap {:g}"), strict=True)
            if not math.isnan(value)
        ]
        said.append(" and ".join(parts) or "none")
    return "; ".join(dict.fromkeys(said))


def _setup(rows: pd.DataFrame) -> str:
    setup = rows["setup_seconds"].dropna()
    return f" (median {seconds(float(setup.median()))})" if len(setup) else ""


def _about_methods(rows: pd.DataFrame) -> Html:
    lines: list[list[Cell | str]] = []
    for (method, kind), _ in rows.groupby(["method", "kind"], sort=False):
        name = str(method).partition(" + ")[0].partition(":")[0]
        spec = METHODS.get((cast(Literal["placer", "allocator"], kind), name))
        if spec is None:
            lines.append([str(method), str(kind), "–", "–", Cell("not part of this package", None, "text")])
        else:
            bound = (
                "–" if kind == "allocator" else "proved here" if spec.proves else "a claim" if spec.exact else "none"
            )
            lines.append(
                [str(method), str(kind), "yes" if spec.exact else "no", bound, Cell(spec.summary, None, "text")]
            )
    caption = (
        "The methods. Exact: means to end with the optimum. Its bound: derived by this package, claimed by a solver, "
        f"or none. Constants: shift {seconds(SHIFT_SECONDS)}, failures {PENALTY:g} limits in PAR10."
    )
    return table(["method", "kind", "exact", "its bound", "what it is"], lines, caption)


def _flat(value: Any) -> str:  # noqa: ANN401 - whatever run.json holds
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {entry}" for key, entry in value.items())
    return str(value) if value else "not recorded"
