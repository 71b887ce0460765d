"""The archive of results: check a submission before it is added, or make the page over all of them.

    python benchmarks/archive.py check FOLDER [FOLDER ...]    say what is wrong with a submission
    python benchmarks/archive.py page --out archive.html      one page over benchmarks/results

A submission is a folder with ``submission.toml`` (name, who, date, machine, about) and a folder a suite as
``dmcjia bench SUITE --out FOLDER/SUITE`` writes it. Exit code 1 if one of them is not to be added.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dmcjia_opt.base.errors import DmcjiaError, InputError
from dmcjia_opt.base.files import write_text
from dmcjia_opt.studies.bench.archive import complaints, load_submission, submissions
from dmcjia_opt.studies.bench.library import find_library
from dmcjia_opt.studies.bench.page.archive_page import archive_page

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


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    checking = commands.add_parser("check", help="say what is wrong with a submission")
    checking.add_argument("folders", nargs="+", metavar="FOLDER", type=Path)
    paging = commands.add_parser("page", help="write the page over all submissions")
    paging.add_argument("--archive", type=Path, default=RESULTS)
    paging.add_argument("--out", type=Path, required=True, metavar="FILE.html")
    options = parser.parse_args()
    try:
        if options.command == "check":
            return 0 if check(options.folders) else 1
        found = submissions(options.archive)
        write_text(options.out, archive_page(found))
        print(f"{len(found)} submissions in {options.out}")
    except DmcjiaError as error:
        print(f"archive: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
