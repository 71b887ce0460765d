"""Transportation: nodes are dealt to options of which so many are to be used each, as cheaply as can be.

Shortest augmenting paths over the options, of which there are few: an edge from one to another is the node that changes
most cheaply. What is found at the end is the plan and a charge for each option, at which every node is at one that is
cheapest for it; both are best together (linear programming duality).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from dmcjia_opt.base.arrays import BoolArray, FloatArray, IntArray

_HAIR = 1e-14  # of the largest edge: less is rounding


#: Of more nodes than the first, where more than so many part of them and a few are not where they belong, every so
#: many-th node is dealt first, for charges that suit the rest.
_MANY, _FEW, _EACH = 40, 4, 4


def transport(cost: FloatArray, count: IntArray, charges: FloatArray) -> tuple[IntArray, FloatArray] | None:
    """Deal nodes to options; return the option of each (n,), and the charges (k,).

    Parameters
    ----------
    cost
        (n, k), +inf where a node must not use an option.
    count
        (k,) how many nodes use each option; they sum to n.
    charges
        (k,) where to begin: the better they fit, the quicker it is.

    Returns
    -------
    None where no such plan was found.
    """
    n, rows = len(cost), np.arange(len(cost))
    choice = (cost + charges).argmin(axis=1)
    if n > _MANY and np.abs(np.bincount(choice, minlength=len(count)) - count).sum() > n // _MANY + _FEW:
        some = np.arange(0, n, _EACH)
        upto = np.rint(np.cumsum(count) * (len(some) / n)).astype(np.int64)
        coarse = transport(cost[some], np.diff(upto, prepend=0), charges)
        charges = charges if coarse is None else coarse[1]
        choice = (cost + charges).argmin(axis=1)
    own = cost[rows, choice]
    have = np.bincount(choice, minlength=len(count))
    edge = np.full((len(count), len(count)), np.inf)
    mover = np.zeros(edge.shape, dtype=np.int64)
    for used in np.flatnonzero(have).tolist():
        _edges(cost, own, choice, used, edge, mover)
    while (have != count).any():
        path = _path(edge, have > count, have < count)
        if path is None:
            return None
        moved = [(int(mover[a, b]), b) for a, b in pairwise(path)]
        for node, option in moved:
            choice[node], own[node] = option, cost[node, option]
        have[path[0]] -= 1
        have[path[-1]] += 1
        for option in path:
            _edges(cost, own, choice, option, edge, mover)
    return choice, _charges(edge, int(count.argmax()))


def _edges(cost: FloatArray, own: FloatArray, choice: IntArray, option: int, edge: FloatArray, mover: IntArray) -> None:
    """Write down, for one option, what its cheapest change to each other one costs, and whose that is."""
    nodes = np.flatnonzero(choice == option)
    if not len(nodes):
        edge[option] = np.inf
        return
    more = cost[nodes] - own[nodes, None]
    first = more.argmin(axis=0)
    edge[option], mover[option] = more[first, np.arange(more.shape[1])], nodes[first]
    edge[option, option] = np.inf


def _path(edge: FloatArray, sources: BoolArray, sinks: BoolArray) -> list[int] | None:
    """Return the options on the cheapest way from one that is used too much to one that is used too little."""
    every = np.arange(len(edge))
    length = np.where(sources, 0.0, np.inf)
    before = np.full(len(edge), -1)
    hair = _HAIR * np.abs(edge, where=np.isfinite(edge), out=np.zeros_like(edge)).max()  # no cycle is shorter than 0
    for _ in range(len(edge)):
        through = length[:, None] + edge
        best = through.argmin(axis=0)
        shorter = through[best, every]
        better = shorter + hair < length
        if not better.any():
            break
        length = np.where(better, shorter, length)
        before = np.where(better, best, before)
    at = int(np.where(sinks, length, np.inf).argmin())
    path = [at]
    while before[at] >= 0 and len(path) <= len(edge):
        at = int(before[at])
        path.append(at)
    found = bool(sinks[path[0]] and np.isfinite(length[path[0]]) and sources[at]) and before[at] < 0
    return path[::-1] if found else None


def _charges(edge: FloatArray, base: int) -> FloatArray:
    """Return charges in the middle of those that are best; the least there are of what nobody uses.

    y_a − y_b is no more than the edge from a to b, and the charge of `base` is 0.
    """
    k = len(edge)
    ahead, back = edge[base].copy(), edge[:, base].copy()
    ahead[base] = back[base] = 0.0
    for _ in range(k):
        ahead = np.minimum(ahead, (ahead[:, None] + edge).min(axis=0))
        back = np.minimum(back, (edge + back[None, :]).min(axis=1))
    ahead[base] = back[base] = 0.0
    used = np.isfinite(back)
    charges = np.where(used, 0.5 * (np.where(used, back, 0.0) - ahead), -ahead)
    if not used.all():
        asked = (charges[:, None] - edge)[used].max(axis=0)
        charges = np.where(used, charges, asked)
    return np.where(np.isfinite(charges), charges, 0.0)
