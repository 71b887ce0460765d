"""The report of a benchmark: which method won, how reliable it is, and everything that this rests on.

What it says is in ``bench.html.j2``, its tables in ``tables.html.j2``; here are the numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, cast, get_args

import pandas as pd

from dmcjia_opt.solving.registry import METHODS
from dmcjia_opt.studies.bench import frames
from dmcjia_opt.studies.bench.page import cells, curves
from dmcjia_opt.studies.bench.page.findings import FEW_INSTANCES, SIGNIFICANT, short_names, summary, untold
from dmcjia_opt.studies.bench.results import Results, Unit, asked, common, entrants, methods
from dmcjia_opt.studies.bench.rows import Compared
from dmcjia_opt.studies.bench.statistics import PENALTY, SHIFT_SECONDS
from dmcjia_opt.studies.look.colours import COLOURS
from dmcjia_opt.studies.look.page import Cell, render
from dmcjia_opt.studies.look.plots import Style, styles
from dmcjia_opt.studies.look.words import budget, scientific
from dmcjia_opt.studies.online.policies import build_policy

#: The target of what is shown for one target only.
HEADLINE = 1e-4
#: More instances than this are put together by family and size.
MOST_INSTANCES = 200


def benchmark_report(results: Results) -> str:
    """Return the report of a results folder as one HTML file.

    Parameters
    ----------
    results
        As `dmcjia_opt.studies.bench.results.load` returns them.
    """
    rows, shortened = short_names(results.rows)
    kinds = [kind for kind in get_args(Compared) if (rows["kind"] == kind).any()]
    suites = _listed(rows["suite"])
    run = results.run
    command = run.get("command") or f"dmcjia bench {suites} --out DIR"
    return render(
        "bench/page/bench.html.j2",
        rows=results.rows,
        suites=suites,
        started=min(filter(None, rows["started"]), default=""),
        parts=[_Part(rows[rows["kind"] == kind], kind) for kind in kinds],
        notes=(*shortened, *results.notes),
        fairness=_fairness(rows),
        made_with=_made_with(results),
        command=" ".join(command) if isinstance(command, list) else command,
        suite=run.get("suite"),
        curves=curves,
        shown=cells,
        headline=HEADLINE,
        virtual_best=frames.VIRTUAL_BEST,
        shift=SHIFT_SECONDS,
        penalty=PENALTY,
    )


@dataclass(frozen=True, eq=False)
class _Part:
    """The runs of one kind of method, and what is shown of them."""

    rows: pd.DataFrame
    kind: str

    @cached_property
    def compared(self) -> pd.DataFrame:
        """The runs without methods that were refused everywhere."""
        return entrants(self.rows)

    @cached_property
    def looks(self) -> dict[str, Style]:
        looks = dict(styles(methods(self.compared)))
        looks[frames.VIRTUAL_BEST] = Style(frames.VIRTUAL_BEST, COLOURS["grey"], "dot", "circle-open")
        return looks

    @property
    def kinds(self) -> str:
        return "policies" if self.kind == "policy" else f"{self.kind}s"

    @property
    def gap(self) -> str:
        return "relative error" if self.kind == "allocator" else "gap"

    @cached_property
    def summary(self) -> dict[str, Any]:
        return summary(self.rows)

    @property
    def untold(self) -> list[str]:
        return untold(self.rows, self.summary)

    def within(self, target: float) -> str:
        return f"{self.gap} ≤ {scientific(target)}"

    @property
    def targets(self) -> list[str]:
        return [self.within(target) for target in asked(self.compared)]

    @property
    def panels(self) -> list[tuple[str, float]]:
        return [(self.within(target), target) for target in sorted(asked(self.compared))]

    def table(self, name: str, *arguments: float) -> list[dict[str, Any]]:
        """Return the rows of a summary table by the name of its function in `frames`."""
        found: pd.DataFrame = getattr(frames, name)(self.compared, *arguments)
        return cast(list[dict[str, Any]], found.to_dict("records"))

    @property
    def detail(self) -> list[dict[Any, Any]]:
        return frames.detail(self.rows, HEADLINE).to_dict("records")

    def legend(self, *more: str, among: pd.DataFrame | None = None) -> list[Style]:
        present = methods(self.compared if among is None else among)
        return [look for name, look in self.looks.items() if name in present or name in more]

    def anytime(self, unit: Unit) -> list[tuple[str, dict[str, Any]]]:
        """Return the plots of gap over cost that there are, by family."""
        drawn = [(name, rows, curves.anytime(rows, unit, self.looks)) for name, rows in self._families()]
        return [(name, self._plot(name, rows, drawing)) for name, rows, drawing in drawn if drawing is not None]

    def sizes(self, target: float) -> list[tuple[str, dict[str, Any]]]:
        """Return the plots of time against size, by family; None where there is nothing to draw."""
        each = self._families()[-self.compared["family"].nunique() :]
        return [
            (name, self._plot(name, rows, curves.time_against_size(rows, target, self.looks))) for name, rows in each
        ]

    def _plot(self, family: str, rows: pd.DataFrame, drawing: Any) -> dict[str, Any]:  # noqa: ANN401 - a figure or None
        return {"family": family, "drawing": drawing, "legend": self.legend(among=rows)}

    def _families(self) -> list[tuple[str, pd.DataFrame]]:
        """Return all runs together where there are several families, then each family."""
        each = [(str(name), rows) for name, rows in self.compared.groupby("family", sort=False)]
        return [("all", self.compared), *each] if len(each) > 1 else each

    @cached_property
    def outcome_table(self) -> tuple[list[str], list[list[Cell | str]]]:
        """Return heading and rows of how runs ended."""
        counts = frames.outcomes(self.rows)
        head = [str(name) for name in counts.columns]
        rows: list[list[Cell | str]] = []
        for method, *numbers in counts.itertuples(index=False):
            ends = zip(head[1:], numbers, strict=True)
            rows.append([method, *(Cell(str(n), n, _tone(way, n)) for way, n in ends)])
        return head, rows

    @cached_property
    def failures(self) -> list[list[Cell | str]]:
        """Return every way in which runs gave no answer, with its message."""
        rows: list[list[Cell | str]] = []
        ways = frames.failures(self.rows).groupby(["method", "outcome", "message"], sort=False)
        for (method, outcome, message), group in ways:
            more = f" and {len(group) - 3} more" if len(group) > 3 else ""
            where = Cell(", ".join(group["instance"].iloc[:3]) + more, None, "text")
            said = Cell(str(message) or "–", None, "text")
            rows.append([str(method), str(outcome), cells.count(int(group["runs"].sum())), said, where])
        return rows

    @cached_property
    def heat_map(self) -> tuple[list[str], list[list[Cell | str]]]:
        """Return heading and rows of instances against methods."""
        names = methods(self.rows)
        single = self.rows["instance"].nunique() <= MOST_INSTANCES
        rows: list[list[Cell | str]] = []
        ordered = self.rows.sort_values(["family", "n_nodes"], kind="stable")
        for key, runs in ordered.groupby(["instance"] if single else ["family", "n_nodes"], sort=False):
            label = str(key[0]) if single else f"{key[0]}, {key[1]} nodes"
            found = [cells.heat(runs[runs["method"] == name], self.gap) for name in names]
            rows.append([label, cells.count(int(runs["n_nodes"].iloc[0])), *found])
        return ["instance" if single else "instances", "nodes", *names], rows

    @cached_property
    def proofs(self) -> tuple[list[str], list[list[Cell | str]]]:
        """Return heading and rows of families against methods that called some plan optimal, and were right."""
        found = frames.proofs(self.compared, min(asked(self.compared)))
        found = found[found.groupby("method")["proved"].transform("sum") > 0]
        names = methods(found)
        rows: list[list[Cell | str]] = []
        for family, each in found.groupby("family", sort=False):
            by = {str(row["method"]): row for row in each.to_dict("records")}
            instances = self.compared.loc[self.compared["family"] == family, "instance"].nunique()
            told = [cells.proved(by[name]) if name in by else cells.untried for name in names]
            rows.append([str(family), cells.count(instances), *told])
        return ["family", "instances", *names], rows

    @property
    def n_common(self) -> int:
        return int(common(self.compared)["instance"].nunique())

    @cached_property
    def pairs(self) -> list[list[Cell | str]]:
        """Return the paired tests, the surest first."""
        rows: list[list[Cell | str]] = []
        for row in frames.pairs(self.compared).sort_values("p_holm", kind="stable").to_dict("records"):
            sure = row["p_holm"] < SIGNIFICANT
            better = row["first"] if row["better"] > row["worse"] else row["second"]
            verdict = f"{better} is better" if sure and row["better"] != row["worse"] else "cannot be told apart"
            won = Cell(f"{row['better']} / {row['ties']} / {row['worse']}", row["better"])
            tests = [Cell(f"{row[name]:.2g}", row[name]) for name in ("p", "p_holm")]
            said = Cell(verdict, None, "good" if sure else "muted")
            rows.append([f"{row['first']} against {row['second']}", won, *tests, said])
        return rows


def _tone(outcome: str, number: int) -> Literal["", "muted", "bad"]:
    return "muted" if not number else "" if outcome == "answer" else "bad"


def _fairness(rows: pd.DataFrame) -> dict[str, Any]:
    """Return what the limitations of a benchmark rest on."""
    setup, load = rows["setup_seconds"].dropna(), rows["load"].dropna()
    budgets = rows[["limit_seconds", "limit_evaluations", "limit_gap"]].drop_duplicates().astype(object)
    said = [" and ".join(budget(*each)) or "none" for each in budgets.where(budgets.notna(), None).to_numpy()]
    return {
        "budgets": "; ".join(dict.fromkeys(said)),
        "setup": float(setup.median()) if len(setup) else None,
        "unlimited": bool(rows["limit_seconds"].isna().any()),
        "longest": float(rows["limit"].max()),
        "load": (load.min(), load.max()) if len(load) else None,
        "few": entrants(rows)["instance"].nunique() < FEW_INSTANCES,
        "methods": [_about(*pair) for pair in dict.fromkeys(zip(rows["method"], rows["kind"], strict=True))],
    }


def _about(method: str, kind: str) -> list[Cell | str]:
    name = method.partition(" + ")[0].partition(":")[0]
    if kind == "policy":
        summary = (type(build_policy(method)).__doc__ or "").partition("\n")[0].rstrip(".")
        return [method, kind, "–", "–", Cell(summary, None, "text")]
    spec = METHODS.get((cast(Literal["placer", "allocator"], kind), name))
    if spec is None:
        return [method, kind, "–", "–", Cell("not part of this package", None, "text")]
    bound = "–" if kind == "allocator" else "proved here" if spec.proves else "a claim" if spec.exact else "none"
    return [method, kind, "yes" if spec.exact else "no", bound, Cell(spec.summary, None, "text")]


def _made_with(results: Results) -> list[tuple[str, str]]:
    """Return the machine and the versions."""
    rows, run = results.rows, results.run
    versions = cast(Mapping[str, str], run.get("versions") or rows["versions"].iloc[-1])
    machine = run.get("machine") or "; ".join(dict.fromkeys(filter(None, rows["machine"])))
    if isinstance(machine, Mapping):
        machine = ", ".join(f"{key} {entry}" for key, entry in machine.items())
    pairs = [("machine", machine or "not recorded")]
    pairs.append(("revision of the code", _listed(filter(None, rows["revision"])) or "not recorded"))
    return pairs + [(f"version of {name}", str(version)) for name, version in sorted(versions.items())]


def _listed(names: Any) -> str:  # noqa: ANN401 - a column, or a part of it
    return ", ".join(dict.fromkeys(names))
