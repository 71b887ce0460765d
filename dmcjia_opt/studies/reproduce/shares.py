"""The allocation on heterogeneous nodes that section 4.2 announces and does not show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.base.processes import Job
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.model.scenario.scenario import PAPER_MHZ_IN_MBPS, Scenario
from dmcjia_opt.solving.solve import solve
from dmcjia_opt.studies.look.colours import COLOURS
from dmcjia_opt.studies.look.pictures import new_figure, tidy
from dmcjia_opt.studies.reproduce.item import Finding, Item, Statement
from dmcjia_opt.studies.reproduce.tables import markdown, percent

_NODES, _FLEET_SEED, _CLOUD_GFLOPS = 10, 4, 40.0
_METHODS = ("dmcjia", "exact")
_TITLES = {"dmcjia": "DMCJIA", "exact": "proved optimum"}
_WHAT = ("split", "share")
_COLOURS = {"dmcjia": "red", "exact": "blue"}
_TEXT = """![Shares and splits on ten different nodes](shares.png)

Ten nodes drawn from Table 5 (seed {seed} of the family `paper`) under a cloud of {cloud:g} GFLOPS, scarce enough for
shares to matter. Nodes are ordered by load, arrival rate over compute.

{table}

The optimum has a mean delay of {best:.3f} s, DMCJIA {paper:.3f} s ({excess} more). The cloud goes to the most loaded
nodes: {helped} of {nodes} get a share, and the {without} others run their whole network. A share is more than the least
that keeps the node's cloud queue stable (the mark in the figure), but not in proportion to it: in the optimum the work
sent spans a factor of {work:.2f} and the share above the least one of {surplus:.2f}.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Allocated:
    """One method's plan.

    Parameters
    ----------
    splits, shares
        (n_nodes,) of the plan.
    least, work
        (n_nodes,) share below which the node's cloud queue is unstable, and cloud service time at full share, s.
    objective
        Mean delay, s.
    """

    splits: IntArray
    shares: FloatArray
    least: FloatArray
    work: FloatArray
    objective: float


def allocate(method: str) -> Allocated:
    """Return what a method does with the ten nodes."""
    scenario = _scenario()
    plan = solve(scenario, method)
    problem = compile_problem(scenario)
    work = problem.at(problem.cloud_time, plan.splits)
    return Allocated(plan.splits, plan.shares, problem.least_share(plan.splits), work, plan.objective)


def _jobs(seeds: int) -> list[Job[Allocated]]:
    return [Job(partial(allocate, method)) for method in _METHODS]


def _conclude(seeds: int, results: list[Allocated]) -> Finding:
    plans = dict(zip(_METHODS, results, strict=True))
    nodes = _scenario().nodes
    order = np.argsort(-nodes.arrival_rate / nodes.compute_gflops, kind="stable")
    rate, compute = nodes.arrival_rate[order], nodes.compute_gflops[order]
    uplink = nodes.uplink_mbps[order] / PAPER_MHZ_IN_MBPS
    names = [nodes.names[d] for d in order]
    figure = new_figure(7.6, 5.2)
    top, bottom = figure.subplots(2, 1, sharex=True)
    position = np.arange(_NODES)
    for k, (method, plan) in enumerate(plans.items()):
        place, look = position + 0.4 * (k - 0.5), {"width": 0.38, "color": COLOURS[_COLOURS[method]]}
        top.bar(place, 100 * plan.shares[order], label=_TITLES[method], **look)
        bottom.bar(place, plan.splits[order], **look)
        needed = np.where(plan.least[order] > 0, 100 * plan.least[order], np.nan)
        top.plot(place, needed, "_", color=COLOURS["black"], markersize=11, label=None if k else "least stable share")
    tidy(top, f"Share of a cloud of {_CLOUD_GFLOPS:g} GFLOPS", "", "share, %")
    tidy(bottom, "Split: layers of ResNet34 that run at the edge", "", "split")
    bottom.set_yticks([0, 8, 16, 24, 34])
    bottom.set_xticks(position)
    bottom.set_xticklabels(
        [f"{r:g}\n{c:.1f}\n{u:.1f}" for r, c, u in zip(rate, compute, uplink, strict=True)], fontsize=8
    )
    bottom.set_xlabel("each node's λ, 1/s; compute, GFLOPS; uplink, MiB/s", fontsize=9)
    figure.legend(loc="outside upper right", ncols=3, fontsize=8, frameon=False)
    best, paper = plans["exact"], plans["dmcjia"]
    table: dict[str, Sequence[object]] = {
        "node": names,
        "arrival_rate": rate.tolist(),
        "compute_gflops": compute.tolist(),
        "uplink_mib_per_s": uplink.tolist(),
    }
    for method, plan in plans.items():
        table |= {
            f"split_{method}": plan.splits[order].tolist(),
            f"share_{method}": plan.shares[order].tolist(),
            f"least_share_{method}": plan.least[order].tolist(),
        }
    head = ("node", "λ, 1/s", "GFLOPS", "MiB/s", *(f"{_TITLES[m]}: {what}" for m in _METHODS for what in _WHAT))
    rows = [
        [
            names[i],
            f"{rate[i]:g}",
            f"{compute[i]:.2f}",
            f"{uplink[i]:.2f}",
            *(cell for p in plans.values() for cell in (int(p.splits[d]), f"{100 * p.shares[d]:.1f} %")),
        ]
        for i, d in enumerate(order)
    ]
    served = best.shares > 0
    work, surplus = best.work[served], (best.shares - best.least)[served]
    load = nodes.arrival_rate / nodes.compute_gflops
    text = _TEXT.format(
        seed=_FLEET_SEED,
        cloud=_CLOUD_GFLOPS,
        table=markdown(head, rows),
        best=best.objective,
        paper=paper.objective,
        excess=percent(paper.objective / best.objective - 1),
        helped=int(served.sum()),
        nodes=_NODES,
        without=int((~served).sum()),
        work=work.max() / work.min(),
        surplus=surplus.max() / surplus.min(),
    )
    statements = (
        Statement(
            "shares follow need: every node that gets one is more loaded than every node that gets none",
            bool(load[served].min() > load[~served].max(initial=0.0)),
            f"{int(served.sum())} nodes share the cloud, from {100 * best.shares[served].min():.0f} to "
            f"{100 * best.shares.max():.0f} % each, where equal shares would be {100 / _NODES:.0f} %",
        ),
        Statement(
            "DMCJIA does not beat the proved optimum (ours to check)",
            paper.objective >= best.objective * (1 - 1e-9),
            f"{paper.objective:.4f} s against {best.objective:.4f} s",
        ),
    )
    return Finding({"shares": table}, text, statements, figure)


def _scenario() -> Scenario:
    return generate("paper", nodes=_NODES, seed=_FLEET_SEED, cloud_gflops=_CLOUD_GFLOPS)


SHARES = Item("shares", "Shares on heterogeneous nodes", _jobs, _conclude)
