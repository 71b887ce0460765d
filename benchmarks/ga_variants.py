"""Genetic algorithms at equal evaluations: one part changed at a time, beside the paper's, pymoo's and the memetic.

    python benchmarks/ga_variants.py [--nodes 10 20] [--seeds 20] [--csv FILE]

A seed draws an instance of Table 5 and starts every search. The paper's algorithm runs at its published settings, 32
generations of 50; every other method may solve for the shares of as many distinct plans as it did. The excess is the
mean delay over that of the proved optimum, less 1. Shares come from 'waterfilling'; one process, interleaved by seed.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from dmcjia_opt import Stop, compile_problem, generate
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.methods.placers.exact.exact import Exact
from dmcjia_opt.methods.placers.genetic.dmcjia import Dmcjia
from dmcjia_opt.methods.placers.genetic.genetic import Genetic
from dmcjia_opt.methods.placers.genetic.memetic import Memetic
from dmcjia_opt.methods.placers.genetic.pymoo_ import PymooPlacer
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.running import place
from dmcjia_opt.solving.search import Placer

#: What is changed, from the default, → the placer; the first is the reference of the evaluations.
METHODS: dict[str, Placer] = {
    "dmcjia": Dmcjia(),
    "pymoo:GA": PymooPlacer("GA"),
    "genetic": Genetic(),
    "encoding=binary": Genetic(encoding="binary"),
    "encoding=gray": Genetic(encoding="gray"),
    "selection=roulette": Genetic(selection="roulette"),
    "selection=rank": Genetic(selection="rank"),
    "selection=random": Genetic(selection="random"),
    "tournament=4": Genetic(tournament=4),
    "crossover=one-point": Genetic(crossover="one-point"),
    "crossover=sbx": Genetic(crossover="sbx"),
    "crossover_rate=0.1": Genetic(crossover_rate=0.1),
    "mutation=polynomial": Genetic(mutation="polynomial"),
    "mutation_rate=3": Genetic(mutation_rate=3.0),
    "reset=1": Genetic(reset=1.0),
    "elitism=0": Genetic(elitism=0),
    "elitism=2": Genetic(elitism=2),
    "duplicates=true": Genetic(duplicates=True),
    "offspring=10": Genetic(offspring=10),
    "population=20": Genetic(population=20),
    "population=50": Genetic(population=50),
    "repair=to-feasible": Genetic(repair="to-feasible"),
    "start_from_dual=true": Genetic(start_from_dual=True),
    "memetic": Memetic(),
    "memetic, random start": Memetic(start_from_dual=False),
    "memetic, no descent": Memetic(descents=0),
}
REFERENCE = "dmcjia"
TARGETS = (1e-2, 1e-4)
_COLUMNS = "{:26s} {:>8s} {:>8s} {:>8s} {:>6s} {:>6s} {:>6s} {:>7s}"


@dataclass(frozen=True, slots=True)
class Run:
    """One search on one instance: excess over the optimum (+inf without a plan), distinct plans, seconds."""

    nodes: int
    seed: int
    method: str
    excess: float
    evaluations: int
    seconds: float


def search(placer: Placer, problem: Problem, stop: Stop, seed: int) -> tuple[float, int, float]:
    """Return the mean delay a search ends at, recomputed, its evaluations and its seconds."""
    started = time.perf_counter()
    placement = place(placer, problem, WaterFilling(), stop=stop, rng=np.random.default_rng(seed))
    seconds = time.perf_counter() - started
    splits, shares = placement.options, placement.shares
    if shares is None or not problem.residuals(splits, shares).feasible:
        return np.inf, placement.evaluations, seconds
    return float(problem.objective(splits, shares)), placement.evaluations, seconds


def runs(nodes: int, seed: int) -> Iterable[Run]:
    """Yield the run of every method on one instance."""
    problem = compile_problem(generate("paper", nodes=nodes, seed=seed))
    optimum = search(Exact(), problem, Stop(), seed)[0]
    stop = Stop()
    for name, placer in METHODS.items():
        value, evaluations, seconds = search(placer, problem, stop, seed)
        if name == REFERENCE:
            stop = Stop(evaluations=evaluations)
        yield Run(nodes, seed, name, value / optimum - 1.0, evaluations, seconds)


def show(nodes: int, seeds: int, found: list[Run]) -> None:
    """Print the table of one size."""
    print(f"\npaper, {nodes} nodes, {seeds} seeds: excess over the proved optimum, %")
    print(_COLUMNS.format("method", "median", "lower q", "upper q", "<=1e-2", "<=1e-4", "plans", "seconds"))
    for name in METHODS:
        mine = [run for run in found if run.method == name]
        excess = np.array([run.excess for run in mine])
        quartiles = [f"{100 * max(float(q), 0.0):.3f}" for q in np.quantile(excess, (0.5, 0.25, 0.75))]
        met = [f"{int((excess <= target).sum())}/{len(mine)}" for target in TARGETS]
        plans, seconds = (float(np.median([getattr(r, key) for r in mine])) for key in ("evaluations", "seconds"))
        print(_COLUMNS.format(name, *quartiles, *met, f"{plans:.0f}", f"{seconds:.3f}"))


def main() -> None:
    """Print the tables, and write every run to a file if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", nargs="+", type=int, default=[10, 20])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--csv", type=Path, help="write one row a run")
    options = parser.parse_args()
    rows: list[Run] = []
    for nodes in options.nodes:
        found = [run for seed in range(options.seeds) for run in runs(nodes, seed)]
        show(nodes, options.seeds, found)
        rows += found
    if options.csv is not None:
        with options.csv.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(asdict(rows[0])))
            writer.writeheader()
            writer.writerows(map(asdict, rows))


if __name__ == "__main__":
    main()
