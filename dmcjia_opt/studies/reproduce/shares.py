"""The allocation on heterogeneous nodes that section 4.2 announces and does not show."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from dmcjia_opt.base.processes import Job
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.model.scenario.scenario import PAPER_MHZ_IN_MBPS, Scenario
from dmcjia_opt.solving.plan import Plan
from dmcjia_opt.solving.solve import solve
from dmcjia_opt.studies.look.colours import COLOURS
from dmcjia_opt.studies.look.pictures import new_figure, tidy
from dmcjia_opt.studies.reproduce.item import Conclusion, Item, Statement
from dmcjia_opt.studies.reproduce.tables import markdown, percent

_NODES, _FLEET_SEED, _CLOUD_GFLOPS = 10, 4, 40.0
_METHODS = ("dmcjia", "exact")
_TITLES = {"dmcjia": "DMCJIA", "exact": "proved optimum"}
_WHAT = ("split", "share")
_COLOURS = {"dmcjia": "red", "exact": "blue"}


def _jobs(seeds: int) -> list[Job[Plan]]:
    return [Job(partial(solve, _scenario(), method)) for method in _METHODS]


def _conclude(seeds: int, results: list[Plan]) -> Conclusion:
    plans = dict(zip(_METHODS, results, strict=True))
    nodes, problem = _scenario().nodes, compile_problem(_scenario())
    least = {method: problem.least_share(plan.splits)[:, 0] for method, plan in plans.items()}
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
        needed = np.where(least[method][order] > 0, 100 * least[method][order], np.nan)
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
            f"least_share_{method}": least[method][order].tolist(),
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
    work = problem.at(problem.service, best.splits)[served, 0]
    surplus = (best.shares - least["exact"])[served]
    ratio = surplus.max() / surplus.min()
    load = nodes.arrival_rate / nodes.compute_gflops
    more, helped = percent(paper.objective / best.objective - 1), int(served.sum())
    text = f"""![Shares and splits on ten different nodes](shares.png)

Ten nodes drawn from Table 5 (seed {_FLEET_SEED} of the family `paper`) under a cloud of {_CLOUD_GFLOPS:g} GFLOPS, \
scarce enough for
shares to matter. Nodes are ordered by load, arrival rate over compute.

{markdown(head, rows)}

The optimum has a mean delay of {best.objective:.3f} s, DMCJIA {paper.objective:.3f} s ({more} more). \
The cloud goes to the most loaded
nodes: {helped} of {_NODES} get a share, and the {_NODES - helped} others run their whole network. A share is more \
than the least
that keeps the node's cloud queue stable (the mark in the figure), but not in proportion to it: in the optimum the work
sent spans a factor of {work.max() / work.min():.2f} and the share above the least one of {ratio:.2f}.
"""
    statements = (
        Statement(
            "shares follow need: every node that gets one is more loaded than every node that gets none",
            bool(load[served].min() > load[~served].max(initial=0.0)),
            f"{helped} nodes share the cloud, from {100 * best.shares[served].min():.0f} to "
            f"{100 * best.shares.max():.0f} % each, where equal shares would be {100 / _NODES:.0f} %",
        ),
        Statement(
            "DMCJIA does not beat the proved optimum (ours to check)",
            paper.objective >= best.objective * (1 - 1e-9),
            f"{paper.objective:.4f} s against {best.objective:.4f} s",
        ),
    )
    return Conclusion({"shares": table}, text, statements, figure)


def _scenario() -> Scenario:
    return generate("paper", nodes=_NODES, seed=_FLEET_SEED, cloud_gflops=_CLOUD_GFLOPS)


SHARES = Item("shares", "Shares on heterogeneous nodes", _conclude, _jobs, random=False)
