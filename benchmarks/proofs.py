"""Proof files of the library's instances: made, written, read back, and checked without a solver.

    python benchmarks/proofs.py [--nodes 50] [--out FOLDER] [NAME ...]

Each line: nodes, cases of the proof, size of its file, what it proves below the best known plan (relative), the time
to make it and the time to check it. Exit code 1 where a proof proves less than `--gap`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from dmcjia_opt import check_proof, compile_problem, load_proof, prove, solve
from dmcjia_opt.bounds.certificate import relative_gap
from dmcjia_opt.studies.bench.library import Library

FOLDER = Path(__file__).parent / "instances"


def prove_one(library: Library, name: str, folder: Path) -> float:
    """Print a line about one instance; return the gap that its proof leaves."""
    scenario = library.instance(name).load()
    plan = solve(scenario)
    began = time.perf_counter()
    made = prove(scenario, plan)
    took = time.perf_counter() - began
    path = folder / f"{name}.proof.json"
    made.save(path)
    began = time.perf_counter()
    bound = check_proof(compile_problem(scenario), load_proof(path))
    checked = time.perf_counter() - began
    best = min(plan.objective, library.best[name].objective_s)
    gap = relative_gap(best, bound)
    print(
        f"{name:<34} {len(plan.splits):>4} {made.leaves:>5} {path.stat().st_size:>9,} B  {gap:.1e}  "
        f"{took:7.3f} s  {checked:7.3f} s",
        flush=True,
    )
    return gap


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--nodes", type=int, default=50, help="leave larger instances out")
    parser.add_argument("--gap", type=float, default=1e-9)
    parser.add_argument("--out", type=Path, help="keep the proofs here")
    options = parser.parse_args()
    library = Library(FOLDER)
    names = options.names or [name for name, entry in library.index.items() if entry.nodes <= options.nodes]
    print(f"{'instance':<34} nodes cases  size         gap      made       checked")
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.out or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        gaps = [prove_one(library, name, folder) for name in names]
    proved = sum(gap <= options.gap for gap in gaps)
    print(f"{proved} of {len(gaps)} proved to {options.gap:g}")
    return 0 if proved == len(gaps) else 1


if __name__ == "__main__":
    sys.exit(main())
