"""The archive of results: check a submission before it is added, or make the page over all of them.

    python benchmarks/archive.py check FOLDER [FOLDER ...]    say what is wrong with a submission
    python benchmarks/archive.py page --out archive.html      one page over benchmarks/results
    python benchmarks/archive.py tables FOLDER                `exact` beside general solvers by family, and false claims

A submission is a folder with ``submission.toml`` (name, who, date, machine, about) and a folder a suite as
``dmcjia bench SUITE --out FOLDER/SUITE`` writes it. Exit code 1 if one of them is not to be added.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pandas as pd

from dmcjia_opt.base.errors import DmcjiaError, InputError
from dmcjia_opt.base.files import write_text
from dmcjia_opt.solving.registry import METHODS
from dmcjia_opt.studies.bench import frames
from dmcjia_opt.studies.bench.archive import complaints, load_submission, submissions
from dmcjia_opt.studies.bench.library import find_library
from dmcjia_opt.studies.bench.page.archive_page import archive_page
from dmcjia_opt.studies.bench.page.findings import short_names
from dmcjia_opt.studies.bench.results import asked

RESULTS = Path(__file__).parent / "results"
#: What brings the solver of a method, by how its name begins.
_PACKAGES = {
    "scip": "pyscipopt",
    "cvxpy:scip": "pyscipopt",
    "cvxpy:ecos": "ecos",
    "bonmin": "casadi",
    "mindtpy": "pyomo",
}


def check(folders: list[Path]) -> bool:
    """Print what is wrong with each folder; return whether all may be added."""
    library = find_library()
    if library is None:
        raise InputError("there is no instance library to compare with; run this in a checkout")
    wrong = 0
    for folder in folders:
        submission = load_submission(folder)
        said = complaints(submission, library)
        wrong += bool(said)
        for sentence in said:
            print(f"{folder}: {sentence}")
        runs = sum(len(results.rows) for results in submission.suites.values())
        print(f"{folder}: {runs:,} runs of {', '.join(submission.suites)}, {'not to be added' if said else 'fine'}")
    return wrong == 0


def tables(folder: Path) -> None:
    """Print `exact` beside the best general solver of every family, and false claims, as tables in Markdown."""
    suites = load_submission(folder).suites
    every = {suite: short_names(results.rows[results.rows["kind"] == "placer"])[0] for suite, results in suites.items()}
    print("| suite | family | nodes | `exact` | best general solver | | proved | times as long |\n" + 8 * "|---" + "|")
    for suite, rows in every.items():
        for family, mine in rows.groupby("family", sort=False):
            if line := _beside(mine, min(asked(rows))):
                print(f"| {suite} | {family} | {line} |")
    print("\n| method | version | false | of | for instance | |\n" + 6 * "|---" + "|")
    together = pd.concat([rows for rows in every.values() if not rows.empty], ignore_index=True)
    together = together[together["method"].map(_only_claims)]
    for method, runs in together.groupby("method", sort=False):
        print(f"| `{method}` | {_solver(runs)} | {' | '.join(_false(runs))} |")


def _only_claims(method: str) -> bool:
    """Return whether a method means to end with the optimum, and its bound is not this package's own."""
    spec = METHODS.get(("placer", method.partition(":")[0]))
    return spec is not None and spec.exact and not spec.proves


def _beside(rows: pd.DataFrame, target: float) -> str:
    """Return a line on the instances of a family that general solvers were given; empty where there are none."""
    solvers = rows["method"].map(_only_claims) & (rows["outcome"] != "refused")
    given = rows[rows["instance"].isin(rows.loc[solvers, "instance"])]
    costs = frames.proofs(given, target).set_index("method")
    others = costs[costs.index.map(_only_claims) & (costs["proved"] > 0)] if len(costs) else costs
    if others.empty:
        return ""
    best = str(others["seconds"].idxmin())
    ours, theirs = costs.loc["exact"], others.loc[best]
    sizes = ", ".join(f"{nodes}" for nodes in sorted(set(given["n_nodes"])))
    times = f"{theirs['seconds'] / ours['seconds']:.0f}"
    spans = f"{1e3 * ours['seconds']:.1f} ms | `{best}` | {1e3 * theirs['seconds']:,.0f} ms"
    return f"{sizes} | {spans} | {theirs['proved']} of {theirs['runs']} | {times}"


def _false(runs: pd.DataFrame) -> list[str]:
    """Return how many claims do not hold of how many, and the worst of them."""
    wrong = runs[runs["correct"] == False]  # noqa: E712 - an object column
    counts = [f"{len(wrong)}", f"{runs['correct'].notna().sum()}"]
    if wrong.empty:
        return [*counts, "–", "–"]
    above = wrong["claimed_lower_bound_s"] / wrong["lower_bound_s"] - 1.0
    off = wrong["gap"].where(wrong["claimed_status"].str.lower() == "optimal", 0.0)
    worst = pd.concat([off, above], axis=1).max(axis=1).idxmax()
    where = f"`{wrong.loc[worst, 'instance']}`"
    if above[worst] > off[worst]:
        return [*counts, where, f"a bound {above[worst]:.1e} above the optimum"]
    return [*counts, where, f"“optimal”, and {off[worst]:.1e} above it"]


def _solver(runs: pd.DataFrame) -> str:
    """Return the package whose solver it is, with its version."""
    method = str(runs["method"].iloc[0])
    package = next(package for start, package in _PACKAGES.items() if method.lower().startswith(start))
    versions = {key.lower(): version for key, version in runs["versions"].iloc[-1].items()}
    return f"{package} {versions.get(package, '–')}"


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    checking = commands.add_parser("check", help="say what is wrong with a submission")
    checking.add_argument("folders", nargs="+", metavar="FOLDER", type=Path)
    paging = commands.add_parser("page", help="write the page over all submissions")
    paging.add_argument("--archive", type=Path, default=RESULTS)
    paging.add_argument("--out", type=Path, required=True, metavar="FILE.html")
    telling = commands.add_parser("tables", help="exact beside general solvers by family, and false claims")
    telling.add_argument("folder", metavar="FOLDER", type=Path)
    options = parser.parse_args()
    try:
        if options.command == "check":
            return 0 if check(options.folders) else 1
        if options.command == "tables":
            tables(options.folder)
            return 0
        found = submissions(options.archive)
        write_text(options.out, archive_page(found))
        print(f"{len(found)} submissions in {options.out}")
    except DmcjiaError as error:
        print(f"archive: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
