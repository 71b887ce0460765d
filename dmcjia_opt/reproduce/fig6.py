"""Fig. 6: mean delay by bandwidth of the methods the paper compares, and of the proved optimum."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from dmcjia_opt.model.arrays import FloatArray
from dmcjia_opt.reproduce.drawing import COLOURS, new_figure, tidy
from dmcjia_opt.reproduce.item import Finding, Item, Job, Statement
from dmcjia_opt.reproduce.paper import CLOUD_GFLOPS, COMPUTE_GFLOPS, fleet, mean_delay
from dmcjia_opt.reproduce.tables import markdown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BANDWIDTHS = tuple(0.5 * k for k in range(1, 11))
SCARCE_GFLOPS = 30.0
CLOUDS = (CLOUD_GFLOPS, SCARCE_GFLOPS)
RULES = ("cloud-only", "greedy", "neurosurgeon")
METHODS = (*RULES, "dmcjia", "exact")
_NODES = 10
_TITLES = {"exact": "proved optimum", "dmcjia": "DMCJIA", "cloud-only": "cloud-only", "greedy": "greedy"}
_LOOKS = {  # colour, line, marker, width
    "exact": ("black", "-", "", 3.0),
    "cloud-only": ("sky", "-", "s", 1.4),
    "greedy": ("green", "-", "^", 1.4),
    "neurosurgeon": ("orange", "--", "o", 1.4),
    "dmcjia": ("red", "-", "v", 1.4),
}
_TEXT = """![Mean delay by bandwidth, abundant and scarce cloud](fig6.png)

Ten nodes of 5 GFLOPS, λ = 1/s, MHz read as MiB/s. Rules have the shares the paper gives them; DMCJIA is the median of
{seeds} seeds with its quartiles. Mean delay, s:

{tables}

- **The paper's cloud (400 GFLOPS) is so large that there is little to decide.** Equal nodes want equal shares, and
  neurosurgeon's own choice of split is off the optimum by at most {rule:.1%}. From {switch:g} MiB/s up sending
  everything to the cloud *is* the optimum, and DMCJIA, which has to find split 0 for ten nodes at once, ends up to
  {lost:.0%} above it.
- **Under a scarce cloud ({scarce:g} GFLOPS) the methods separate.** {infeasible} Equal shares mislead neurosurgeon by
  {misled:.0%} to {misled_most:.0%}; joint optimisation pays, and DMCJIA ends within {near:.1%} of the optimum.
- **Units and input.** Cloud-only is worst at low bandwidth only if the network's float32 input (588 KiB) is sent, not
  the byte image of a quarter of that; that is how we read the figure.
- **C3.** Taken literally the paper's C3 asks the cloud to be faster than the edge for every node, which forbids
  cloud-only, its own baseline. We ask for stable queues, as its problem P4 does.
"""


def compare(cloud_gflops: float, mhz: float, seeds: int) -> FloatArray:
    """Return mean delays, s: of the rules and the optimum, then DMCJIA's by seed; +inf without a feasible plan."""
    scenario = fleet(np.full(_NODES, COMPUTE_GFLOPS[0]), mhz, cloud_gflops)
    fixed = [mean_delay(scenario, method) for method in (*RULES, "exact")]
    return np.array(fixed + [mean_delay(scenario, "dmcjia", seed=seed) for seed in range(seeds)])


def _jobs(seeds: int) -> list[Job[FloatArray]]:
    return [Job(partial(compare, cloud, mhz, seeds), 0.1 * seeds + 0.1) for cloud in CLOUDS for mhz in BANDWIDTHS]


def _conclude(seeds: int, results: list[FloatArray]) -> Finding:
    delays = np.array(results).reshape(len(CLOUDS), len(BANDWIDTHS), -1)
    fixed = dict(zip((*RULES, "exact"), np.moveaxis(delays, -1, 0), strict=False))
    runs = delays[:, :, len(fixed) :]
    lines = fixed | {"dmcjia": np.median(runs, axis=-1)}
    figure = new_figure(8.4, 4.2)
    panels = figure.subplots(1, len(CLOUDS))
    for k, axes in enumerate(panels):
        _draw(axes, k, lines, runs)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(METHODS), fontsize=8, frameon=False)
    table: dict[str, list[object]] = {"cloud_gflops": [], "bandwidth_mib_per_s": [], "method": [], "seed": []}
    table["mean_delay_s"] = []
    for k, cloud in enumerate(CLOUDS):
        for j, mhz in enumerate(BANDWIDTHS):
            values = [(m, None, fixed[m][k, j]) for m in fixed] + [("dmcjia", s, runs[k, j, s]) for s in range(seeds)]
            for method, seed, value in values:
                for column, cell in zip(table, (cloud, mhz, method, seed, value), strict=True):
                    table[column].append(cell)
    return Finding({"fig6": table}, _text(seeds, lines), _statements(lines, runs), figure)


def _draw(axes: Axes, k: int, lines: dict[str, FloatArray], runs: FloatArray) -> None:
    low, high = np.quantile(runs[k], (0.25, 0.75), axis=-1)
    axes.fill_between(BANDWIDTHS, low, high, color=COLOURS["red"], alpha=0.18, linewidth=0)
    for method in ("exact", *RULES, "dmcjia"):
        colour, style, marker, width = _LOOKS[method]
        values = np.where(np.isfinite(lines[method][k]), lines[method][k], np.nan)
        look = {"color": COLOURS[colour], "linestyle": style, "marker": marker, "linewidth": width, "markersize": 4}
        axes.plot(BANDWIDTHS, values, label=_TITLES.get(method, method), alpha=0.35 if method == "exact" else 1, **look)
    kind = "the paper's" if k == 0 else "scarce"
    tidy(axes, f"{kind} cloud, {CLOUDS[k]:g} GFLOPS", "bandwidth, MiB/s (the paper's MHz)", "mean delay, s")
    axes.set_xticks(range(1, 6))
    axes.set_ylim(bottom=0.0)
    absent = [_TITLES.get(m, m) for m in METHODS if not np.isfinite(lines[m][k]).all()]
    if absent:
        note = f"{' and '.join(absent)}: no feasible plan\nwhere the line has a gap or is absent"
        axes.text(0.5, 0.06, note, transform=axes.transAxes, ha="center", va="bottom", fontsize=8, color="#444444")


def _text(seeds: int, lines: dict[str, FloatArray]) -> str:
    tables = []
    for k, cloud in enumerate(CLOUDS):
        head = (f"cloud {cloud:g} GFLOPS, at MiB/s", *(f"{mhz:g}" for mhz in BANDWIDTHS))
        rows = [[_TITLES.get(m, m), *(f"{v:.3f}" if np.isfinite(v) else "none" for v in lines[m][k])] for m in METHODS]
        tables.append(markdown(head, rows))
    excess = {method: lines[method] / lines["exact"] - 1 for method in METHODS}
    optimal = excess["cloud-only"][0] <= 1e-9
    gone = [float(mhz) for mhz, v in zip(BANDWIDTHS, lines["cloud-only"][1], strict=True) if not np.isfinite(v)]
    infeasible = f"Cloud-only has no feasible plan at {len(gone)} of {len(BANDWIDTHS)} bandwidths: its load exceeds 1."
    return _TEXT.format(
        seeds=seeds,
        tables="\n\n".join(tables),
        rule=excess["neurosurgeon"][0].max(),
        switch=BANDWIDTHS[int(np.argmax(optimal))],
        lost=excess["dmcjia"][0][optimal].max(),
        scarce=SCARCE_GFLOPS,
        infeasible=infeasible,
        misled=excess["neurosurgeon"][1].min(),
        misled_most=excess["neurosurgeon"][1].max(),
        near=excess["dmcjia"][1].max(),
    )


def _statements(lines: dict[str, FloatArray], runs: FloatArray) -> tuple[Statement, ...]:
    paper = {method: lines[method][0] for method in METHODS}
    fall = {method: float(paper[method].max() - paper[method].min()) for method in METHODS}
    most = max((m for m in METHODS if m != "exact"), key=lambda m: fall[m])
    apart = np.abs(paper["neurosurgeon"] / paper["dmcjia"] - 1)
    best_rule = np.minimum.reduce([paper[rule] for rule in RULES])
    beaten = int((paper["dmcjia"] > best_rule * (1 + 1e-9)).sum())
    slope = np.diff(paper["dmcjia"])
    ratio = float(slope[0] / slope[-1])
    scarce_best = np.minimum.reduce([lines[rule][1] for rule in RULES])
    won = int((lines["dmcjia"][1] < scarce_best).sum())
    n = len(BANDWIDTHS)
    return (
        Statement(
            "cloud-only is the most affected by bandwidth",
            most == "cloud-only",
            "from 0.5 to 5 MiB/s delays fall by "
            + ", ".join(f"{fall[m]:.3f} s ({_TITLES.get(m, m)})" for m in METHODS if m != "exact"),
        ),
        Statement(
            "greedy falls with bandwidth, but little",
            bool((np.diff(paper["greedy"]) < 0).all()) and fall["greedy"] == min(fall.values()),
            f"by {fall['greedy'] / paper['greedy'].max():.0%}, the least of all",
        ),
        Statement(
            "neurosurgeon is close to DMCJIA (within 25 %)",
            bool((apart <= 0.25).all()),
            f"they differ by {apart.min():.0%} to {apart.max():.0%}; neurosurgeon is the better one at "
            f"{int((paper['neurosurgeon'] < paper['dmcjia']).sum())} of {n} bandwidths",
        ),
        Statement(
            "delay falls linearly with bandwidth (first and last step within a factor of 2)",
            ratio <= 2,
            f"DMCJIA's first step of 0.5 MiB/s gains {ratio:.0f} times what the last one does: uploads take bytes "
            "over bandwidth, a hyperbola",
        ),
        Statement(
            "DMCJIA is better than the other methods",
            beaten == 0,
            f"at 400 GFLOPS a rule beats its median at {beaten} of {n} bandwidths; at {SCARCE_GFLOPS:g} GFLOPS it "
            f"beats every rule at {won} of {n}",
        ),
        Statement(
            "no run of DMCJIA beats the proved optimum (ours to check)",
            bool((runs >= lines["exact"][:, :, None] * (1 - 1e-9)).all()),
            f"{runs.size} runs, the best {float((runs / lines['exact'][:, :, None]).min() - 1):.2%} above it",
        ),
    )


FIG6 = Item("fig6", "Fig. 6: methods compared by bandwidth", _jobs, _conclude)
