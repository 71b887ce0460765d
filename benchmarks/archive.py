"""The archive of results: check a submission before it is added, or make the page over all of them.

    python benchmarks/archive.py check FOLDER [FOLDER ...]    say what is wrong with a submission
    python benchmarks/archive.py page --out archive.html      one page over benchmarks/results
    python benchmarks/archive.py factors FOLDER               `exact` beside the best general solver of each family
    python benchmarks/archive.py false FOLDER                 every claim that does not hold, with the solver's version

A submission is a folder with ``submission.toml`` (name, who, date, machine, about) and a folder a suite as
``dmcjia bench SUITE --out FOLDER/SUITE`` writes it. Exit code 1 if one of them is not to be added.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from dmcjia_opt.base.errors import DmcjiaError, InputError
from dmcjia_opt.base.files import write_text
from dmcjia_opt.solving.registry import METHODS
from dmcjia_opt.studies.bench import frames
from dmcjia_opt.studies.bench.archive import complaints, load_submission, submissions
from dmcjia_opt.studies.bench.library import find_library
from dmcjia_opt.studies.bench.page.archive_page import archive_page
from dmcjia_opt.studies.bench.page.findings import short_names
from dmcjia_opt.studies.bench.results import asked, entrants

RESULTS = Path(__file__).parent / "results"


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


def factors(folder: Path) -> None:
    """Print, for each family, how much longer the best general solver takes than `exact` to a plan proved optimal."""
    print(
        f"{'suite':<12}{'family':<14}{'runs':>5}  {'exact':>10}  {'best other':<20}{'':>10}{'proved':>8}{'factor':>8}"
    )
    for suite, results in load_submission(folder).suites.items():
        rows, _ = short_names(results.rows[results.rows["kind"] == "placer"])
        if rows.empty:
            continue
        found = frames.proofs(entrants(rows), min(asked(rows)))
        others = found[found["method"].map(_claims_only) & (found["proved"] > 0)]
        for family, each in others.groupby("family", sort=False):
            both = rows[(rows["family"] == family) & rows["instance"].isin(_tried(rows, family, each["method"]))]
            costs = frames.proofs(both, min(asked(rows))).set_index("method")
            best = costs.loc[each["method"], "seconds"].idxmin()
            ours, theirs = costs.loc["exact"], costs.loc[best]
            print(
                f"{suite:<12}{family:<14}{ours['runs']:>5}  {ours['seconds']:>8.4f} s  {best:<20}"
                f"{theirs['seconds']:>8.4f} s{theirs['proved']:>5} of{theirs['runs']:>3}"
                f"{theirs['seconds'] / ours['seconds']:>8.0f}"
            )


def _claims_only(method: str) -> bool:
    """Return whether a method means to end with the optimum, and its bound is not this package's own."""
    spec = METHODS.get(("placer", method.partition(":")[0]))
    return spec is not None and spec.exact and not spec.proves


def _tried(rows: pd.DataFrame, family: str, methods: Iterable[str]) -> set[str]:
    """Return the instances of a family that `exact` and some of the methods were run on."""
    mine = rows[rows["family"] == family]
    return set(mine.loc[mine["method"].isin(list(methods)), "instance"]) & set(
        mine.loc[mine["method"] == "exact", "instance"]
    )


def false_claims(folder: Path) -> None:
    """Print every claim that does not hold: of a plan that is not optimal, or a bound above a plan that exists."""
    for suite, results in load_submission(folder).suites.items():
        rows, _ = short_names(results.rows)
        for row in rows[rows["correct"] == False].to_dict("records"):  # noqa: E712 - an object column
            off = row["claimed_lower_bound_s"] / row["objective_s"] - 1.0
            print(
                f"{suite:<12}{row['instance']:<28}{row['method']:<18}said {row['claimed_status']}, "
                f"gap {row['gap']:.1e}, bound {off:+.1e} of its plan; {_version(row)}"
            )


def _version(row: Mapping[str, Any]) -> str:
    """Return the solver behind a row, with its version."""
    known = {
        "scip": "pyscipopt",
        "cvxpy:SCIP": "pyscipopt",
        "cvxpy:ECOS_BB": "ecos",
        "bonmin": "casadi",
        "mindtpy": "pyomo",
    }
    name = next((package for start, package in known.items() if row["method"].startswith(start)), "")
    version = {key.lower(): value for key, value in row["versions"].items()}.get(name)
    return f"{name} {version}" if version else "this package"


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    checking = commands.add_parser("check", help="say what is wrong with a submission")
    checking.add_argument("folders", nargs="+", metavar="FOLDER", type=Path)
    paging = commands.add_parser("page", help="write the page over all submissions")
    paging.add_argument("--archive", type=Path, default=RESULTS)
    paging.add_argument("--out", type=Path, required=True, metavar="FILE.html")
    for name, said in (("factors", "how much faster exact is"), ("false", "list claims that do not hold")):
        commands.add_parser(name, help=said).add_argument("folder", type=Path)
    options = parser.parse_args()
    try:
        if options.command == "check":
            return 0 if check(options.folders) else 1
        if options.command in ("factors", "false"):
            (factors if options.command == "factors" else false_claims)(options.folder)
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
