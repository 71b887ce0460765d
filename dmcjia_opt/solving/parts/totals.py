"""What the rows of a part come to; those of all parts add up."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray, blocks
from dmcjia_opt.base.showing import brief
from dmcjia_opt.bounds.dual import rounding_slack
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.residuals import BUDGET_TOLERANCE
from dmcjia_opt.model.resources import Resource
from dmcjia_opt.solving.choices import Choices

#: Edges of the bins in which delays are counted, s: 50 for every power of ten.
EDGES: FloatArray = np.logspace(-6.0, 6.0, 601)
_BLOCK = 1 << 12  # nodes whose shares are summed at a time


@dataclass(frozen=True, slots=True, eq=False)
class Totals:
    """What the plan of some nodes comes to.

    Parameters
    ----------
    resources
        What all nodes share.
    mean_delay
        Weighted sum of the nodes' delays, s; of all nodes, their mean.
    worst_delay
        The largest, s.
    used, load
        (n_resources,) sums of shares, and the part of the time that is busy.
    counts
        How many nodes have a delay between two of `EDGES`, or beyond them.
    cuts
        (network, split, server) of how many nodes.
    violation
        The first constraint that is broken, in words; empty for a plan.

    Examples
    --------
    >>> from dmcjia_opt.solving.parts.crews import Foreman, in_process
    >>> from dmcjia_opt.solving.parts.solve_parts import solve_parts
    >>> from dmcjia_opt.testing.small_parts import small_parts
    >>> fleet = small_parts("folder")
    >>> total = solve_parts(Foreman(fleet, in_process(fleet))).total
    >>> int(total.counts.sum()), total.cuts["resnet34", 34, ""], round(total.worst_delay, 3)
    (300, 35, 0.693)
    """

    resources: tuple[Resource, ...]
    mean_delay: float
    worst_delay: float
    used: FloatArray
    load: FloatArray
    counts: IntArray
    cuts: Counter[tuple[str, int, str]]
    violation: str

    __repr__ = brief

    def quantile(self, part: float) -> float:
        """Return a delay, s, that this part of the nodes does not exceed, at most 5 % too long."""
        bins = int(np.searchsorted(np.cumsum(self.counts), part * self.counts.sum()))
        return min(float(np.append(EDGES, np.inf)[bins]), self.worst_delay)


def totals_of(
    problem: Problem, choices: Choices, networks: Sequence[str], delays: FloatArray, violation: str = ""
) -> Totals:
    """Return what the plan of the nodes of a problem comes to; `delays` are (n_nodes,), s."""
    n_servers = len(choices.servers) + 1
    code = (choices.network * (int(choices.splits.max()) + 1) + choices.splits) * n_servers + choices.server + 1
    cuts: Counter[tuple[str, int, str]] = Counter()
    _, first, counts = np.unique(code, return_index=True, return_counts=True)
    for d, count in zip(first.tolist(), counts.tolist(), strict=True):
        server = choices.server_of(d) or ""
        cuts[networks[int(choices.network[d])], int(choices.splits[d]), server] += count
    return Totals(
        resources=choices.resources,
        mean_delay=float((problem.weight * delays).sum()),
        worst_delay=float(delays.max()),
        used=_sums(problem, choices.shares),
        load=choices.load,
        counts=np.bincount(np.searchsorted(EDGES, delays), minlength=len(EDGES) + 1),
        cuts=cuts,
        violation=violation,
    )


def _sums(problem: Problem, values: FloatArray) -> FloatArray:
    """Return the sums (n_resources,) of values (n_nodes, n_uses), block by block, which rounds less than one by one."""
    if problem.n_resources == 1:
        return np.array([float(values.sum())])
    where, n = problem.resource[:, 0], problem.n_resources
    each = [np.bincount(where[rows].ravel(), values[rows].ravel(), n) for rows in blocks(len(values), 1, _BLOCK)]
    return np.asarray(np.sum(each, axis=0))


def fits(used: FloatArray, n_nodes: int) -> bool:
    """Return whether so many nodes together have no more shares than there are, up to rounding of their sums."""
    return bool((used <= 1.0 + BUDGET_TOLERANCE + rounding_slack(n_nodes, 1.0)).all())


def together(parts: Sequence[Totals]) -> Totals:
    """Return what parts come to together."""
    cuts: Counter[tuple[str, int, str]] = Counter()
    for part in parts:
        cuts.update(part.cuts)
    return Totals(
        resources=parts[0].resources,
        mean_delay=math.fsum(part.mean_delay for part in parts),
        worst_delay=max(part.worst_delay for part in parts),
        used=np.sum([part.used for part in parts], axis=0),
        load=np.sum([part.load for part in parts], axis=0),
        counts=np.sum([part.counts for part in parts], axis=0),
        cuts=cuts,
        violation=next(filter(None, (part.violation for part in parts)), ""),
    )
