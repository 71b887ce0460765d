"""Fig. 5: how DMCJIA converges for 5 to 20 nodes, beside the proved optimum."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise

import numpy as np

from dmcjia_opt.model.arrays import FloatArray
from dmcjia_opt.protocols import TracePoint
from dmcjia_opt.reproduce.drawing import COLOURS, new_figure, tidy
from dmcjia_opt.reproduce.item import Finding, Item, Job, Statement
from dmcjia_opt.reproduce.paper import COMPUTE_GFLOPS, GENERATIONS, fleet, mean_delay
from dmcjia_opt.reproduce.tables import markdown
from dmcjia_opt.solving import solve

NODES = (5, 10, 15, 20)
_COLOURS = dict(zip(NODES, ("blue", "green", "orange", "red"), strict=True))
_NEAR = 0.01  # converged: within 1 % of where the run ends
_TEXT = """![Convergence of DMCJIA, and the proved optimum](fig5.png)

DMCJIA at the settings of Table 5 with optimal shares inside (water-filling), {seeds} seeds; λ = 1/s, 1 MHz read as
1 MiB/s, cloud 400 GFLOPS, 5 to 9 GFLOPS a node. A seed draws a fleet of 20, of which a smaller one has the first nodes,
and starts the search. Lines are medians, bands reach from the lower to the upper quartile, dashed lines are the medians
of the proved optimum.

{table}

What the paper's figure cannot show is the dashed line: the curves flatten, but above the optimum, and the more so the
more nodes there are. An iteration is a generation; the first is the random population.
"""


@dataclass(slots=True)
class ByGeneration:
    """Reads the incumbent at the end of each generation off a search's callbacks.

    A search calls back when it finds a new incumbent and once more at the end of a generation; only the former
    lowers the objective.
    """

    best: float = math.inf
    curve: list[float] = field(default_factory=list)

    def __call__(self, point: TracePoint) -> None:
        """Take one point of the trace."""
        if point.objective < self.best:
            self.best = point.objective
        else:
            self.curve.append(point.objective)


def converge(n_nodes: int, seed: int) -> tuple[FloatArray, float]:
    """Return DMCJIA's mean delay, s, after each generation (GENERATIONS,), and the optimum's, for one fleet."""
    compute = np.random.default_rng(seed).uniform(*COMPUTE_GFLOPS, max(NODES))[:n_nodes]
    scenario = fleet(compute, 1.0)
    seen = ByGeneration()
    solve(scenario, "dmcjia", seed=seed, callback=seen)
    return np.array(seen.curve[:GENERATIONS]), mean_delay(scenario, "exact")


def _jobs(seeds: int) -> list[Job[tuple[FloatArray, float]]]:
    return [Job(partial(converge, n, seed), 0.2) for n in NODES for seed in range(seeds)]


def _conclude(seeds: int, results: list[tuple[FloatArray, float]]) -> Finding:
    curves = np.array([curve for curve, _ in results]).reshape(len(NODES), seeds, GENERATIONS)
    optima = np.array([optimum for _, optimum in results]).reshape(len(NODES), seeds)
    iteration = np.arange(1, GENERATIONS + 1)
    figure = new_figure(6.4, 4.4)
    axes = figure.subplots()
    for n, runs, optimum in zip(NODES, curves, optima, strict=True):
        colour = COLOURS[_COLOURS[n]]
        low, middle, high = np.quantile(runs, (0.25, 0.5, 0.75), axis=0)
        axes.fill_between(iteration, low, high, color=colour, alpha=0.18, linewidth=0)
        axes.plot(iteration, middle, color=colour, linewidth=1.6, label=f"{n} nodes")
        axes.axhline(float(np.median(optimum)), color=colour, linewidth=1.2, linestyle="--")
    axes.plot([], [], color=COLOURS["grey"], linewidth=1.2, linestyle="--", label="proved optimum")
    tidy(axes, "DMCJIA, median and quartiles", "iteration", "mean delay, s")
    axes.set_xlim(1, GENERATIONS)
    axes.set_xticks([1, *range(4, GENERATIONS + 1, 4)])
    figure.legend(loc="outside lower center", ncols=5, fontsize=8, frameon=False)
    end, best = np.median(curves[:, :, -1], axis=1), np.median(optima, axis=1)
    # the first iteration after which a run stays within 1 % of its end
    settled = (curves <= (1 + _NEAR) * curves[:, :, -1:]).argmax(axis=2) + 1
    pace = np.median(settled, axis=1)
    excess = np.median(curves[:, :, -1] / optima - 1, axis=1)
    head = ("nodes", "iteration 1, s", f"iteration {GENERATIONS}, s", "optimum, s", "above it", "within 1 % of its end")
    rows = [
        [n, f"{a:.3f}", f"{b:.3f}", f"{c:.3f}", f"{x:.1%}", f"iteration {p:.0f}"]
        for n, a, b, c, x, p in zip(NODES, np.median(curves[:, :, 0], axis=1), end, best, excess, pace, strict=True)
    ]
    listed = ", ".join
    statements = (
        Statement(
            "the algorithm converges to the optimum (within 1 %) for every number of nodes",
            bool((excess <= _NEAR).all()),
            f"it ends {listed(f'{x:.1%}' for x in excess)} above the proved optimum at {listed(map(str, NODES))} nodes",
        ),
        Statement(
            "fewer nodes need fewer iterations",
            bool((np.diff(pace) >= 0).all() and pace[-1] > pace[0]),
            f"median iteration from which a run is within 1 % of its end: {listed(f'{p:.0f}' for p in pace)}",
        ),
        Statement(
            "more nodes, greater delay",
            all(a < b for a, b in pairwise(end)),
            f"medians {listed(f'{e:.3f}' for e in end)} s; of the optimum {listed(f'{b:.3f}' for b in best)} s, so most "
            "of the growth at the end of the search is the search's",
        ),
    )
    table = {
        "nodes": np.repeat(NODES, seeds * GENERATIONS),
        "seed": np.tile(np.repeat(np.arange(seeds), GENERATIONS), len(NODES)),
        "iteration": np.tile(iteration, len(NODES) * seeds),
        "mean_delay_s": curves.ravel(),
        "optimum_s": np.repeat(optima.ravel(), GENERATIONS),
    }
    text = _TEXT.format(seeds=seeds, table=markdown(head, rows))
    return Finding({"fig5": table}, text, statements, figure)


FIG5 = Item("fig5", "Fig. 5: convergence of DMCJIA", _jobs, _conclude)
