"""Which nodes count as similar: groups of the same menu, and how much alike the nodes of one are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.bounds.columns import Columns, columns
from dmcjia_opt.model.problem import Problem

_APART = 1e3  # times what is open: further apart is no matter


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Open nodes with the same menu.

    Parameters
    ----------
    nodes
        (n,) which.
    options
        (k,) options any of them may use, ascending.
    columns
        What those cost.
    """

    nodes: IntArray
    options: IntArray
    columns: Columns


def groups_of(problem: Problem, nodes: IntArray, options: Sequence[IntArray]) -> list[Group]:
    """Return nodes, with the options each may use, in groups of the same menu."""
    members: dict[bytes, list[int]] = {}
    for i, d in enumerate(nodes.tolist()):
        members.setdefault(problem.menu(d), []).append(i)
    found = []
    for rows in members.values():
        usable = np.unique(np.concatenate([options[i] for i in rows]))
        keep = np.zeros((len(rows), problem.n_options), dtype=bool)
        keep[:, usable] = True
        found.append(Group(nodes[rows], usable, columns(problem, nodes[rows]).kept(keep)))
    return found


def reach(room: float, prices: FloatArray) -> float:
    """Return how far away, as the logarithm of a factor, plans within `room` of the best prices may have their own.

    A plan that uses the share 1 + r of a resource loses about ν·r² to its own best price, which is about 2r away.
    """
    return min(4.0 * math.sqrt(room / float(prices.sum())), 2.0)


def apart(groups: Sequence[Group], prices: FloatArray, room: float) -> float:
    """Return how little nodes of a group are alike, as a part of what is open.

    That is how far what an option costs more than the node's others, at the ends of the prices in question, is from
    what it does at the middle node of the group, on average over nodes and options.

    Parameters
    ----------
    groups
        The open nodes.
    prices
        (n_resources,) the best ones.
    room
        What is open, s.
    """
    factor = math.exp(reach(room, prices))
    total = []
    for group in groups:
        for at in (prices / factor, prices * factor):
            cost, _ = group.columns.priced(at)
            if not np.isfinite(cost).all():
                return math.inf
            more = cost - cost.mean(axis=1, keepdims=True)
            off = np.minimum(np.abs(more - np.median(more, axis=0)), _APART * room)
            total.append(0.5 * len(cost) * float(off.mean()))
    return math.fsum(total) / (room * sum(len(group.nodes) for group in groups))
