"""The honest finding: how far DMCJIA ends from the proved optimum, and what the same evaluations buy elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Literal

import numpy as np

from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.base.errors import InfeasibleError
from dmcjia_opt.base.processes import Job
from dmcjia_opt.bounds.certificate import best_lower_bound, relative_gap
from dmcjia_opt.methods.placers.genetic.dmcjia import Dmcjia
from dmcjia_opt.methods.placers.genetic.genetic import Genetic
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.model.scenario.scenario import Scenario
from dmcjia_opt.solving.contract import Stop, TracePoint
from dmcjia_opt.solving.search import Placer
from dmcjia_opt.solving.solve import solve
from dmcjia_opt.studies.look.colours import COLOURS
from dmcjia_opt.studies.look.pictures import new_figure, tidy
from dmcjia_opt.studies.reproduce.generations import ByGeneration
from dmcjia_opt.studies.reproduce.item import Conclusion, Item, Statement
from dmcjia_opt.studies.reproduce.paper import GENERATIONS
from dmcjia_opt.studies.reproduce.tables import by_column, markdown, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Tasks = Literal["imagenet", "table4"]

NODES = (10, 20)
TASKS: tuple[Tasks, ...] = ("imagenet", "table4")
FACTORS = (1, 10, 100)
METHODS = ("dmcjia", "genetic", "genetic-from-dual")
_FLEETS = tuple(product(TASKS, NODES))
_INPUTS = {"imagenet": "float32 input", "table4": "byte images"}
_TITLES = {"dmcjia": "DMCJIA", "genetic": "integer GA", "genetic-from-dual": "integer GA started from the dual"}
_LOOKS = {"dmcjia": ("red", "v"), "genetic": ("green", "o"), "genetic-from-dual": ("blue", "D")}
_OPTIMAL = 1e-9  # excess below it is rounding
_GOOD = 0.01
_COLUMNS = ("input", "nodes", "generations", "seed", "method", "mean_delay_s", "optimum_s", "excess", "evaluations")


@dataclass(frozen=True, slots=True)
class Climb:
    """What each of `METHODS` reaches on one instance.

    Parameters
    ----------
    rungs
        For each method where it stood at each of `FACTORS` times the published budget; +inf s without a feasible plan.
    optimum
        The least mean delay, s.
    at_zero
        Fraction of the nodes whose split is 0 in the optimum.
    """

    rungs: list[list[TracePoint]]
    optimum: float
    at_zero: float


def climb(tasks: Tasks, nodes: int, seed: int) -> Climb:
    """Return what each of `METHODS` reaches on one instance.

    A search with a larger budget begins like one with a smaller, so each runs once and is read off on its way.
    """
    scenario = generate("paper", nodes=nodes, seed=seed, tasks=tasks)
    best = solve(scenario, "exact")
    optimum = best.objective
    # a search knows the dual bound only; this gap to it is the optimum's
    enough = relative_gap(optimum, best_lower_bound(compile_problem(scenario))[0]) + 1e-12
    seen = ByGeneration()
    solve(scenario, Dmcjia(generations=GENERATIONS * FACTORS[-1]), stop=Stop(gap=enough), seed=seed, callback=seen)
    own = [seen.after(GENERATIONS * factor) for factor in FACTORS]
    budgets = [point.evaluations for point in own]
    stop = Stop(evaluations=budgets[-1], gap=enough)
    traces = [_trace(scenario, placer, stop, seed) for placer in (Genetic(), Genetic(start_from_dual=True))]
    others = [[_until(trace, budget) for budget in budgets] for trace in traces]
    return Climb([own, *others], optimum, float((best.splits == 0).mean()))


def _trace(scenario: Scenario, placer: Placer, stop: Stop, seed: int) -> tuple[TracePoint, ...]:
    try:
        return solve(scenario, placer, stop=stop, seed=seed).trace
    except InfeasibleError:
        return ()


def _until(trace: tuple[TracePoint, ...], evaluations: int) -> TracePoint:
    """Return the last point of a search that had solved for at most so many plans."""
    within = [point for point in trace if point.evaluations <= evaluations]
    return within[-1] if within else TracePoint(0, 0.0, float("inf"), 0.0)


def _jobs(seeds: int) -> list[Job[Climb]]:
    return [Job(partial(climb, tasks, n, s), 5.0 + 0.2 * n) for tasks, n in _FLEETS for s in range(seeds)]


def _conclude(seeds: int, results: list[Climb]) -> Conclusion:
    rungs = {fleet: results[k * seeds : (k + 1) * seeds] for k, fleet in enumerate(_FLEETS)}
    excess = {  # (methods, factors, seeds)
        fleet: np.array(
            [[[rung.objective / c.optimum - 1.0 for rung in ladder] for ladder in c.rungs] for c in climbs]
        ).transpose(1, 2, 0)
        for fleet, climbs in rungs.items()
    }
    figure = new_figure(8.0, 5.6)
    panels = figure.subplots(len(TASKS), len(NODES), sharex=True, sharey=True)
    for axes, fleet in zip(panels.flat, _FLEETS, strict=True):
        _draw(axes, excess[fleet])
        tidy(axes, f"{fleet[1]} nodes, {_INPUTS[fleet[0]]}", "", "")
    for axes in panels[:, 0]:
        axes.set_ylabel("above the optimum, %", fontsize=9)
    for axes in panels[-1]:
        axes.set_xlabel("DMCJIA's generations, or as many evaluations", fontsize=9)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    rows = [
        (
            *fleet,
            GENERATIONS * factor,
            seed,
            method,
            r.objective,
            c.optimum,
            r.objective / c.optimum - 1.0,
            r.evaluations,
        )
        for fleet, climbs in rungs.items()
        for k, factor in enumerate(FACTORS)
        for seed, c in enumerate(climbs)
        for method, r in zip(METHODS, (ladder[k] for ladder in c.rungs), strict=True)
    ]
    return Conclusion({"gap": by_column(_COLUMNS, rows)}, _text(seeds, rungs, excess), _statements(excess), figure)


def _draw(axes: Axes, excess: FloatArray) -> None:
    for m, method in enumerate(METHODS):
        colour, marker = _LOOKS[method]
        low, middle, high = 100 * np.quantile(np.maximum(excess[m], 0.0), (0.25, 0.5, 0.75), axis=-1)
        axes.errorbar(
            np.arange(len(FACTORS)) + 0.12 * (m - 1),
            middle,
            yerr=[middle - low, high - middle],
            color=COLOURS[colour],
            marker=marker,
            markersize=5,
            linewidth=1.2,
            capsize=3,
            label=_TITLES[method],
            clip_on=False,
            zorder=3,
        )
    axes.set_yscale("symlog", linthresh=0.1, linscale=0.5)
    axes.set_ylim(0.0, 200.0)
    axes.set_yticks([0, 0.1, 1, 10, 100], ["0", "0.1", "1", "10", "100"])
    axes.set_yticks([], minor=True)
    axes.set_xlim(-0.4, len(FACTORS) - 0.6)
    axes.set_xticks(range(len(FACTORS)), [f"{GENERATIONS * f} (×{f})" for f in FACTORS])


def _text(seeds: int, rungs: dict[tuple[Tasks, int], list[Climb]], excess: dict[tuple[Tasks, int], FloatArray]) -> str:
    def medians(method: int, factor: int) -> str:
        return ", ".join(percent(float(np.median(values[method, factor]))) for values in excess.values())

    def met(method: int, factor: int) -> int:
        return sum(int((values[method, factor] < _OPTIMAL).sum()) for values in excess.values())

    def zero(tasks: Tasks) -> str:
        return percent(float(np.mean([c.at_zero for (t, _), climbs in rungs.items() if t == tasks for c in climbs])))

    rows = []
    for tasks, nodes in _FLEETS:
        for k, factor in enumerate(FACTORS):
            cells = []
            for values in excess[tasks, nodes][:, k]:
                low, middle, high = (percent(q) for q in np.quantile(values, (0.25, 0.5, 0.75)))
                cells.append(f"{middle} [{low}, {high}], {int((values < _OPTIMAL).sum())}")
            solved = np.median([c.rungs[0][k].evaluations for c in rungs[tasks, nodes]])
            rows.append([f"{nodes} nodes, {_INPUTS[tasks]}", GENERATIONS * factor, f"{solved:.0f}", *cells])
    head = ("instances", "generations", "distinct plans, median", *_TITLES.values())
    new = [c.rungs[0][0].evaluations for climbs in rungs.values() for c in climbs]
    sizes, budgets = " and ".join(map(str, NODES)), ", ".join(str(GENERATIONS * f) for f in FACTORS)
    own, byte, whole = GENERATIONS, zero("table4"), zero("imagenet")
    asked = Dmcjia().population * own
    runs, order = seeds * len(_FLEETS), ", ".join(f"{nodes} nodes {_INPUTS[tasks]}" for tasks, nodes in _FLEETS)
    worst = percent(max(float(values[2, 0].max()) for values in excess.values()))
    return f"""![Excess over the proved optimum by budget](gap.png)

Table 5 at {sizes} nodes and 400 GFLOPS of cloud, {seeds} seeds; a seed draws an instance and starts the searches. Nodes
send ResNet34's float32 input, or the byte image of one of Table 4's data sets at random. DMCJIA runs {budgets}
generations of 50. The integer GA (uniform crossover, mutation that resets or creeps, no duplicates) may solve for the
shares of as many distinct plans as DMCJIA did by then; so may the same GA with its first population drawn around the
plan of the Lagrangian dual. A search that has met the proved optimum ends there. Excess is mean delay over the
optimum's, less 1; median [lower, upper quartile], and how many of the {seeds} are at the optimum.

{markdown(head, rows)}

- **DMCJIA stops short.** At its published {own} generations it ends {medians(0, 0)} above the optimum, at 10 times
  {medians(0, 1)}, at 100 times {medians(0, 2)} ({order}). \
At 100 times it has met the optimum in {met(0, 2)} of {runs} runs: mutation at
  0.01 a bit and crossover at 0.1 breed near-copies. Of the {asked} plans it asks for in {own} generations the
  median run has {np.median(new):.0f} distinct ones.
- **Its evaluations are enough.** With as many the integer GA ends {medians(1, 0)} above the optimum at the published
  budget and {medians(1, 1)} at 10 times; it meets the optimum in {met(1, 2)} of {runs} runs at 100 times.
- **The dual leaves next to nothing to search for.** Started from it, the GA is at the optimum in {met(2, 0)} of {runs}
  runs at the published budget and at most {worst} above it.
- **Byte images are harder.** They cost little to send, so the optimum has {byte} of those fleets' nodes at split 0
  ({whole} with the float32 input): one of 35 splits, whose neighbours are far worse, and which a search has to
  find for all those nodes. Where every node is at split 0, cloud-only with the right shares is the optimum.
"""


def _statements(excess: dict[tuple[Tasks, int], FloatArray]) -> tuple[Statement, ...]:
    every = np.concatenate([values.reshape(len(METHODS), len(FACTORS), -1) for values in excess.values()], axis=-1)
    medians = [np.median(values[0], axis=-1) for values in excess.values()]
    least = float(every.min())
    return (
        Statement(
            f"at its published settings DMCJIA nearly obtains the optimum (median within {percent(_GOOD)})",
            all(m[0] <= _GOOD for m in medians),
            f"medians {', '.join(percent(float(m[0])) for m in medians)} above it",
        ),
        Statement(
            f"iterated until it converges, it is there (median within {percent(_GOOD)} at 100 times the budget)",
            all(m[-1] <= _GOOD for m in medians),
            f"medians {', '.join(percent(float(m[-1])) for m in medians)} above it",
        ),
        Statement(
            "no search beats the proved optimum (ours to check)",
            least >= -_OPTIMAL,
            f"least excess of {every.size} results: {percent(least)}",
        ),
    )


GAP = Item("gap", "How far from the optimum: DMCJIA, and what its evaluations buy elsewhere", _conclude, _jobs)
