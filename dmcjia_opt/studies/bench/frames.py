"""Summary tables of a benchmark: one row a method, or a method and an instance. Every run counts, failures too."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.studies.bench.results import asked, by_instance, common, methods, runtimes, spent
from dmcjia_opt.studies.bench.rows import Outcome
from dmcjia_opt.studies.bench.statistics import (
    CLOSE,
    Slope,
    compare,
    expected_running_time,
    penalised_average,
    proportion,
    scaling,
    shifted_geometric_mean,
    spread,
    virtual_best,
)

VIRTUAL_BEST = "virtual best"


def reliability(frame: pd.DataFrame, targets: Sequence[float] = ()) -> pd.DataFrame:
    """Return, for each method, runs, answers, successes at each target with Wilson bounds, and quartiles of the error.

    Targets are those that were asked for (`asked`) unless given.

    The columns of a target end in its number, such as ``rate_1e-04``; sorted by successes at the last target, then
    at those before it.
    """
    rows, targets = [], targets or asked(frame)
    for method, runs in frame.groupby("method", sort=False):
        row: dict[str, object] = {
            "method": method,
            "instances": runs["instance"].nunique(),
            "runs": len(runs),
            "answers": int(runs["answered"].sum()),
        }
        for target in targets:
            found = proportion(int((runs["error"] <= target).sum()), len(runs))
            row |= {f"successes_{target:.0e}": found.successes, f"rate_{target:.0e}": found.rate}
            row |= {f"low_{target:.0e}": found.low, f"high_{target:.0e}": found.high}
        rows.append(row | _quartiles("error", runs["error"]))
    order = [f"rate_{target:.0e}" for target in reversed(targets)]
    return pd.DataFrame(rows).sort_values(order, ascending=False, kind="stable", ignore_index=True)


def speed(frame: pd.DataFrame, target: float) -> pd.DataFrame:
    """Return, for each method, what reaching `target` cost, fastest first, and for the virtual best of them.

    Seconds: shifted geometric mean with failures at the limit, PAR10, ERT, quartiles (+inf where that many runs
    failed), and apart the median of the set-up. Evaluations: ERT. The virtual best takes on each instance the least
    median over seeds.
    """
    time = runtimes(frame, [target])[:, 0]
    counted = runtimes(frame, [target], "evaluations")[:, 0]
    limit = np.asarray(frame["limit"], dtype=np.float64)
    rows: list[dict[str, Any]] = []
    for method in methods(frame):
        mine = (frame["method"] == method).to_numpy()
        rows.append(
            {
                "method": method,
                "runs": int(mine.sum()),
                "reached": int(np.isfinite(time[mine]).sum()),
                "setup": spread(frame["setup_seconds"][mine].dropna()).median,
                **_costs(time[mine], limit[mine]),
                "ert_seconds": expected_running_time(time[mine], spent(frame)[mine]),
                "ert_evaluations": expected_running_time(counted[mine], spent(frame, "evaluations")[mine]),
            }
        )
    rows.sort(key=lambda row: row["geometric_mean"])
    if len(rows) > 1:
        best = np.asarray(virtual_best(by_instance(frame, time)), dtype=np.float64)
        limits = np.asarray(frame.groupby("instance", sort=False)["limit"].max(), dtype=np.float64)
        oracle = {"method": VIRTUAL_BEST, "runs": len(best), "reached": int(np.isfinite(best).sum())}
        unknown = dict.fromkeys(("setup", "ert_seconds", "ert_evaluations"), math.nan)
        rows.append(oracle | _costs(best, limits) | unknown)
    return pd.DataFrame(rows)


def dropping(frame: pd.DataFrame, target: float) -> pd.DataFrame:
    """Return what the time to `target` would be if runs that did not reach it were left out.

    ``kept``: the shifted geometric mean, s, with failures at the limit, as everywhere else; ``dropped``: that of the
    runs that reached it, NaN where none did; ``factor``: kept over dropped; ``rank`` and ``rank_dropped``: places by
    each, from 1. Sorted by `kept`.
    """
    time, limit = runtimes(frame, [target])[:, 0], np.asarray(frame["limit"], dtype=np.float64)
    rows: list[dict[str, Any]] = []
    for method in methods(frame):
        mine = (frame["method"] == method).to_numpy()
        reached = mine & np.isfinite(time)
        kept = shifted_geometric_mean(np.where(np.isfinite(time), time, limit)[mine])
        rest = shifted_geometric_mean(time[reached])
        counts = {"method": method, "runs": int(mine.sum()), "reached": int(reached.sum())}
        rows.append(counts | {"kept": kept, "dropped": rest, "factor": kept / rest if rest > 0 else math.nan})
    found = pd.DataFrame(rows).sort_values("kept", kind="stable", ignore_index=True)
    for rank, by in (("rank", "kept"), ("rank_dropped", "dropped")):
        found[rank] = found[by].rank(method="min")
    return found


def variants(frame: pd.DataFrame, target: float) -> pd.DataFrame:
    """Return methods that were run at their defaults and with options, side by side.

    A row a variant: ``method`` at its defaults and ``tuned``; of each, with the ending ``_tuned`` of the second, runs,
    reached and the shifted geometric mean of the time to `target`, s, failures at the limit; ``factor``: the first
    mean over the second. Only instances that both were run on count.
    """
    rows: list[dict[str, Any]] = []
    names = methods(frame)
    for tuned in names:
        placer, plus, allocator = tuned.partition(" + ")
        default = placer.partition(":")[0] + plus + allocator
        if default == tuned or default not in names:
            continue
        both = common(frame[frame["method"].isin([default, tuned])])
        if both.empty:
            continue
        costs = speed(both, target).set_index("method")
        row: dict[str, Any] = {"method": default, "tuned": tuned}
        for name, ending in ((default, ""), (tuned, "_tuned")):
            row |= {f"{key}{ending}": costs.loc[name, key] for key in ("runs", "reached", "geometric_mean")}
        rows.append(row | {"factor": row["geometric_mean"] / row["geometric_mean_tuned"]})
    columns = [f"{key}{ending}" for ending in ("", "_tuned") for key in ("runs", "reached", "geometric_mean")]
    return pd.DataFrame(rows, columns=["method", "tuned", *columns, "factor"])


def claims(frame: pd.DataFrame, optimal: float = CLOSE) -> pd.DataFrame:
    """Return, for each method, what it claimed beside what was verified.

    ``claims`` that could be checked, those ``held`` with Wilson bounds, those ``false``; ``said_optimal`` and how
    many of these were ``within`` the gap `optimal`; ``proved``: answers whose own bound, recomputed, closes that gap;
    ``worst_claim``: the largest relative difference between the claimed and the recomputed delay.
    """
    rows = []
    for method, runs in frame.groupby("method", sort=False):
        checked = runs["correct"].dropna()
        held = proportion(int((checked == True).sum()), len(checked))  # noqa: E712 - an object column
        said = _said_optimal(runs)
        own = (runs["objective_s"] - runs["own_bound_s"]) / runs["objective_s"]
        difference = ((runs["claimed_objective_s"] - runs["objective_s"]) / runs["objective_s"]).abs()
        rows.append(
            {
                "method": method,
                "runs": len(runs),
                "claims": held.runs,
                "held": held.successes,
                "false": held.runs - held.successes,
                "low": held.low,
                "high": held.high,
                "said_optimal": int(said.sum()),
                "within": int((said & (runs["error"] <= optimal)).sum()),
                "proved": int((runs["answered"] & (own <= optimal)).sum()),
                "worst_claim": float(difference.max()),
            }
        )
    return pd.DataFrame(rows)


def proofs(frame: pd.DataFrame, target: float) -> pd.DataFrame:
    """Return, for each family and method, how long it took to call a plan optimal, and be right.

    ``runs``; ``proved``: those that called a plan optimal that is, within `target`, and claimed nothing false;
    ``seconds``: the shifted geometric mean of their time in whole, with that limit for every other run.
    """
    right = _said_optimal(frame) & (frame["error"] <= target) & (frame["correct"] != False)  # noqa: E712 - objects
    time = frame["spent"].where(right, frame["limit"])
    rows = [
        {
            "family": family,
            "method": method,
            "runs": len(runs),
            "proved": int(right[runs.index].sum()),
            "seconds": shifted_geometric_mean(time[runs.index]),
        }
        for (family, method), runs in frame.groupby(["family", "method"], sort=False)
    ]
    return pd.DataFrame(rows, columns=["family", "method", "runs", "proved", "seconds"])


def outcomes(frame: pd.DataFrame) -> pd.DataFrame:
    """Return how many runs of each method ended in each way; ways in which none ended are left out."""
    counts = pd.crosstab(frame["method"], frame["outcome"])
    ways = [str(way) for way in Outcome if str(way) in counts]
    counts = counts.loc[methods(frame), ways].reset_index()
    counts.columns.name = None
    return counts


def failures(frame: pd.DataFrame) -> pd.DataFrame:
    """Return method, instance, outcome, message and number of runs of everything that gave no answer."""
    failed = frame[~frame["answered"]]
    keys = ["method", "instance", "outcome", "message"]
    return failed.groupby(keys, sort=False).agg(runs=("key", "size")).reset_index()


def pairs(frame: pd.DataFrame) -> pd.DataFrame:
    """Return Wilcoxon's test with Holm's correction between all methods on their common instances (see `compare`).

    Paired over instances on log₁₀ of the median error over seeds: no answer counts as 1, and what is below `CLOSE` as
    that, because nobody would call the difference one of quality.
    """
    shared = common(frame)
    if shared.empty:
        return compare(pd.DataFrame(columns=methods(frame)))[:0]
    gaps = by_instance(shared, np.asarray(shared["error"], dtype=np.float64)).clip(CLOSE, 1.0)
    return compare(gaps.map(math.log10))


def sizes(frame: pd.DataFrame, target: float) -> pd.DataFrame:
    """Return family, method, n_nodes, instances, solved and the median time, s, over the instances of each size."""
    wide = by_instance(frame, runtimes(frame, [target])[:, 0])
    time = wide.melt(var_name="method", value_name="seconds", ignore_index=False).set_index("method", append=True)
    facts = frame.groupby(["instance", "method"], sort=False)[["family", "n_nodes"]].first()
    rows = []
    for (family, method, n_nodes), group in facts.join(time).groupby(["family", "method", "n_nodes"], sort=False):
        row = {"family": family, "method": method, "n_nodes": n_nodes, "instances": len(group)}
        rows.append(
            row | {"solved": int(np.isfinite(group["seconds"]).sum()), "seconds": spread(group["seconds"]).median}
        )
    return pd.DataFrame(rows)


def slopes(frame: pd.DataFrame, target: float) -> pd.DataFrame:
    """Return family, method, exponent, low, high, constant and points of time ∝ nodes^exponent, per run that solved."""
    rows = []
    time = pd.Series(runtimes(frame, [target])[:, 0], index=frame.index)
    for (family, method), runs in frame.groupby(["family", "method"], sort=False):
        fit = scaling(runs["n_nodes"], time[runs.index])
        if fit is not None:
            rows.append({"family": family, "method": method, **asdict(fit)})
    return pd.DataFrame(rows, columns=["family", "method", *(field.name for field in fields(Slope))])


def detail(frame: pd.DataFrame, target: float) -> pd.DataFrame:
    """Return a row an instance and method: runs, answers, successes, quartiles of error and time, ERT, outcomes."""
    time = pd.Series(runtimes(frame, [target])[:, 0], index=frame.index)
    rows = []
    for (instance, method), runs in frame.groupby(["instance", "method"], sort=False):
        rows.append(
            {
                "instance": instance,
                "n_nodes": int(runs["n_nodes"].iloc[0]),
                "method": method,
                "runs": len(runs),
                "answers": int(runs["answered"].sum()),
                "successes": int((runs["error"] <= target).sum()),
                **_quartiles("error", runs["error"]),
                **_quartiles("seconds", runs["spent"]),
                "ert_seconds": expected_running_time(time[runs.index], runs["spent"]),
                "outcome": ", ".join(f"{n} {way}" for way, n in runs["outcome"].value_counts().items()),
            }
        )
    return pd.DataFrame(rows)


def _said_optimal(frame: pd.DataFrame) -> pd.Series[bool]:
    return frame["claimed_status"].fillna("").str.lower().isin(["optimal", "within"])


def _costs(time: FloatArray, limit: FloatArray) -> dict[str, float]:
    mean = shifted_geometric_mean(np.where(np.isfinite(time), time, limit))
    return {"geometric_mean": mean, "par10": penalised_average(time, limit), **_quartiles("seconds", time)}


def _quartiles(name: str, values: ArrayLike) -> dict[str, float]:
    found = spread(values)
    return {f"{name}_low": found.low, name: found.median, f"{name}_high": found.high}
