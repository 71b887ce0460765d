"""What a benchmark report says first: who won, and what could be told apart; in words in ``summary.html.j2``."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd

from dmcjia_opt.base.showing import counted
from dmcjia_opt.studies.bench import frames
from dmcjia_opt.studies.bench.results import asked, entrants, methods
from dmcjia_opt.studies.bench.statistics import TARGETS
from dmcjia_opt.studies.look.words import seconds

#: A p-value below this counts as a difference.
SIGNIFICANT = 0.05
#: Fewer instances, and fewer seeds, than these tell little about others; so do times below this, s.
FEW_INSTANCES, FEW_SEEDS, SHORT_SECONDS = 6, 3, 0.05


_FILE = re.compile(r"[^\s+]*\.py:(?=(\w+))")


def short_names(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows with shorter names of methods where they stay apart, and a sentence on each thing left out.

    That is the allocator of placers where all use the same, and the file that a class of one's own is in.
    """
    rows, said = _without_files(rows)
    rows, more = _without_allocator(rows)
    return rows, said + more


def _without_files(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    short = rows["method"].str.replace(_FILE, "", regex=True)
    files = {found[1]: found[0][:-1] for name in methods(rows) for found in _FILE.finditer(name)}
    if not files or short.nunique() < rows["method"].nunique():
        return rows, []
    where = ", ".join(f"{name} in {file}" for name, file in files.items())
    return rows.assign(method=short), [f"Classes of one's own stand by their names: {where}."]


def _without_allocator(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    placers = rows["kind"] == "placer"
    endings = {name.rpartition(" + ")[2] for name in rows.loc[placers, "method"]}
    if len(endings) != 1 or not rows.loc[placers, "method"].str.contains(" + ", regex=False).all():
        return rows, []
    (ending,) = endings
    short = rows.assign(method=rows["method"].where(~placers, rows["method"].str.removesuffix(f" + {ending}")))
    return short, [f"Every placer used the allocator {ending}, which is left out of the names."]


def summary(rows: pd.DataFrame) -> dict[str, Any]:
    """Return the numbers behind the answer; ``best`` is None where no run gave one."""
    frame = entrants(rows)
    failed = frame[~frame["answered"]]
    claimed = frames.claims(frame).to_dict("records")
    found: dict[str, Any] = {
        "runs": len(frame),
        "best": None,
        "refused": [name for name in methods(rows) if name not in set(frame["method"])],
        "n_unanswered": len(failed),
        "unanswered": [f"{name} ({ways_of(runs)})" for name, runs in failed.groupby("method", sort=False)],
        "claims": sum(row["claims"] for row in claimed),
        "contradicted": [f"{row['method']} ({row['false']} of {row['claims']})" for row in claimed if row["false"]],
    }
    return found | _ranking(frame) if frame["answered"].any() else found


def untold(rows: pd.DataFrame, found: dict[str, Any]) -> list[str]:
    """Return what runs as few as these cannot tell, a sentence each; `found` is their `summary`."""
    frame = entrants(rows)
    if frame.empty:
        return []
    instances, placers = frame["instance"].nunique(), frame["kind"].iloc[0] == "placer"
    seeds = int(frame.groupby(["method", "instance"])["seed"].nunique().max())
    usual = frame["wall_seconds"].median()
    said = []
    if instances < FEW_INSTANCES:
        largest = counted(int(frame["n_nodes"].max()), "node")
        said.append(
            f"They are about {counted(instances, 'instance')} of up to {largest}: whether the order is the same on "
            "other families and sizes is open."
        )
    if placers and seeds < FEW_SEEDS:
        said.append(f"With {counted(seeds, 'seed')} an instance the luck of a search looks like its merit.")
    if usual < SHORT_SECONDS:
        said.append(f"Half of the runs took less than {seconds(usual)}: differences of time may be the machine's.")
    if placers and found.get("pairs") and not found["told_apart"]:
        said.append("By their gaps no two methods can be told apart, so that their order may be chance.")
    return said


def ways_of(runs: pd.DataFrame) -> str:
    """Return how runs ended, the most frequent way first."""
    return ", ".join(f"{n} {way}" for way, n in runs["outcome"].value_counts().items())


def _ranking(frame: pd.DataFrame) -> dict[str, Any]:
    """Return the best method at the hardest target that any run reached, those as reliable, and all in order."""
    target = min(target for target in asked(frame) if (frame["error"] <= target).any() or target == max(TARGETS))
    ranked = frames.reliability(frame)
    timed = ranked.merge(frames.speed(frame, target)[["method", "geometric_mean"]], on="method")
    at_target = {f"{name}_{target:.0e}": name for name in ("successes", "rate", "low", "high")}
    timed = timed.rename(columns=at_target)
    timed = timed.sort_values(["rate", "geometric_mean"], ascending=[False, True], kind="stable")
    tests = frames.pairs(frame)
    return {
        "target": target,
        "best": timed.iloc[0].to_dict(),
        "equal": timed[timed["rate"] == timed["rate"].iloc[0]]["method"].tolist()[1:],
        "closest": timed.sort_values("error", kind="stable").iloc[0].to_dict(),
        "ranked": ranked.to_dict("records"),
        "pairs": len(tests),
        "told_apart": int((tests["p_holm"] < SIGNIFICANT).sum()),
    }
