"""Fig. 5: how DMCJIA converges for 5 to 20 nodes, beside the proved optimum."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import numpy as np

from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.base.processes import Job
from dmcjia_opt.solving.solve import solve
from dmcjia_opt.studies.look.colours import COLOURS
from dmcjia_opt.studies.look.pictures import new_figure, tidy
from dmcjia_opt.studies.reproduce.generations import ByGeneration
from dmcjia_opt.studies.reproduce.item import Conclusion, Item, Statement
from dmcjia_opt.studies.reproduce.paper import COMPUTE_GFLOPS, GENERATIONS, fleet, mean_delay
from dmcjia_opt.studies.reproduce.tables import markdown, percent

NODES = (5, 10, 15, 20)
_COLOURS = dict(zip(NODES, ("blue", "green", "orange", "red"), strict=True))
_NEAR = 0.01  # converged: within 1 % of the optimum
_HALF = GENERATIONS // 2


def converge(n_nodes: int, seed: int) -> tuple[FloatArray, float]:
    """Return DMCJIA's mean delay, s, after each generation (GENERATIONS,), and the optimum's, for one fleet."""
    compute = np.random.default_rng(seed).uniform(*COMPUTE_GFLOPS, max(NODES))[:n_nodes]
    scenario = fleet(compute, 1.0)
    seen = ByGeneration()
    solve(scenario, "dmcjia", seed=seed, callback=seen)
    curve = [seen.after(k).objective for k in range(1, GENERATIONS + 1)]
    return np.array(curve), mean_delay(scenario, "exact")


def _jobs(seeds: int) -> list[Job[tuple[FloatArray, float]]]:
    return [Job(partial(converge, n, seed), 0.2) for n in NODES for seed in range(seeds)]


def _conclude(seeds: int, results: list[tuple[FloatArray, float]]) -> Conclusion:
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
    start, end, best = np.median(curves[..., 0], axis=1), np.median(curves[..., -1], axis=1), np.median(optima, axis=1)
    way = np.median((curves[..., 0] - curves[..., _HALF - 1]) / (curves[..., 0] - optima), axis=1)
    excess = np.median(curves[..., -1] / optima - 1, axis=1)
    head = ("nodes", "iteration 1, s", f"iteration {GENERATIONS}, s", "optimum, s", "above it", f"way after {_HALF}")
    rows = [
        [n, f"{a:.3f}", f"{b:.3f}", f"{c:.3f}", percent(x), percent(w)]
        for n, a, b, c, x, w in zip(NODES, start, end, best, excess, way, strict=True)
    ]
    listed = ", ".join
    sizes = listed(map(str, NODES))
    statements = (
        Statement(
            "the algorithm converges to the optimum (within 1 %) for every number of nodes",
            bool((excess <= _NEAR).all()),
            f"it ends {listed(map(percent, excess))} above the proved optimum at {sizes} nodes",
        ),
        Statement(
            "fewer nodes, faster convergence",
            all(a > b for a, b in pairwise(way)),
            f"after {_HALF} iterations it has gone {listed(map(percent, way))} of the way from the random population "
            f"to the optimum at {sizes} nodes",
        ),
        Statement(
            "more nodes, greater delay",
            all(a < b for a, b in pairwise(end)),
            f"DMCJIA {listed(f'{e:.3f}' for e in end)} s at {sizes} nodes. Of the {end[-1] - end[0]:.3f} s between the "
            f"first and the last {best[-1] - best[0]:.3f} s are in the optimum too; the rest is search left undone",
        ),
    )
    table = {
        "nodes": np.repeat(NODES, seeds * GENERATIONS).tolist(),
        "seed": np.tile(np.repeat(np.arange(seeds), GENERATIONS), len(NODES)).tolist(),
        "iteration": np.tile(iteration, len(NODES) * seeds).tolist(),
        "mean_delay_s": curves.ravel().tolist(),
        "optimum_s": np.repeat(optima.ravel(), GENERATIONS).tolist(),
    }
    text = f"""![Convergence of DMCJIA, and the proved optimum](fig5.png)

DMCJIA at the settings of Table 5 with optimal shares inside (water-filling), {seeds} seeds; λ = 1/s, 1 MHz read as
1 MiB/s, cloud 400 GFLOPS, 5 to 9 GFLOPS a node. A seed draws a fleet of 20, of which a smaller one has the first nodes,
and starts the search. Lines are medians, bands reach from the lower to the upper quartile, dashed lines are the medians
of the proved optimum.

{markdown(head, rows)}

The last column is how much of the way from the random population to the optimum DMCJIA has gone after half of its
iterations. What the paper's figure cannot show is the dashed line: the curves flatten above it, and further above it
the more nodes there are. An iteration is a generation; the first is the random population.
"""
    return Conclusion({"fig5": table}, text, statements, figure)


FIG5 = Item("fig5", "Fig. 5: convergence of DMCJIA", _conclude, _jobs)
