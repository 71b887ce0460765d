"""Which parts of a graph a node may do itself: the chain of best closed sets of operations.

A set of operations is closed if it has whatever its members read from: then a node can do all of it, and send what
the rest reads. Of all closed sets those matter most that minimise bytes sent − y · work done for some y: but for
waits at the node itself its delay at given prices is concave in both, so that one of them is the best. For each y that
is a minimum cut, as in project selection, with a vertex for every datum, so that what many read is sent once. The
smallest minimisers grow with y, hence they are nested and make a chain (Gallo, Grigoriadis and Tarjan 1989,
doi:10.1137/0218003); all are found by bisection: from two of them, with the y at which both are as good.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Members = frozenset[int]

_SOURCE, _SINK = -1, -2
#: The largest flow and the capacity of what must not be cut: SciPy counts in 32 bits.
_MOST_FLOW, _ENDLESS = 2**28, 2**30


@dataclass(frozen=True, slots=True)
class Datum:
    """What is sent once if it is made before a cut and read behind it.

    Parameters
    ----------
    size
        Its bytes.
    maker
        The operation that makes it; −1 for an input.
    readers
        The operations that read it.
    kept
        Whether it is a result, which is sent in any case.
    """

    size: int
    maker: int
    readers: tuple[int, ...]
    kept: bool


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """Operations by number, each after those it reads from.

    Parameters
    ----------
    work
        Work of each operation.
    reads
        The operations that each operation reads from.
    data
        What passes between them.
    """

    work: Sequence[int]
    reads: Sequence[Sequence[int]]
    data: Sequence[Datum]

    def sent(self, members: Members) -> int:
        """Return the bytes that are sent if `members` are done before the cut."""
        return sum(
            datum.size
            for datum in self.data
            if (datum.maker < 0 or datum.maker in members) and (datum.kept or not members.issuperset(datum.readers))
        )

    def done(self, members: Members) -> int:
        """Return the work of `members`."""
        return sum(self.work[i] for i in members)


def best_chain(graph: Graph) -> list[Members]:
    """Return the closed sets that minimise bytes − y · work for some y, each within the next.

    The first does no work, and is empty unless fewer bytes are sent behind it; the last does all work.
    """
    idle, needed = _idle(graph), _needed(graph)
    everything = frozenset(range(len(graph.work)))
    first = _least(graph, frozenset(), idle, 1, 0)
    found = [first]
    if any(graph.work):
        rest = [_least(graph, needed, everything, 1, 0)]  # of what lies between, the largest not yet reached comes last
        while rest:
            low, high = found[-1], rest[-1]
            between = _between(graph, low, high)
            if between is None:
                found.append(rest.pop())
            else:
                rest.append(between)
    return found


def _idle(graph: Graph) -> Members:
    """Return the operations that need no work, nor anything that needs some."""
    found: set[int] = set()
    for i, work in enumerate(graph.work):
        if not work and found.issuperset(graph.reads[i]):
            found.add(i)
    return frozenset(found)


def _needed(graph: Graph) -> Members:
    """Return the operations with work, and whatever they need."""
    found: set[int] = set()
    for i in reversed(range(len(graph.work))):
        if graph.work[i] or i in found:
            found |= {i, *graph.reads[i]}
    return frozenset(found)


def _between(graph: Graph, low: Members, high: Members) -> Members | None:
    """Return a set between two that is better than both for the y at which these are as good; None if none is."""
    work, more = graph.done(low), graph.done(high) - graph.done(low)
    sent, larger = graph.sent(low), graph.sent(high) - graph.sent(low)
    middle = _least(graph, low, high, more, larger)
    gain, growth = graph.done(middle) - work, graph.sent(middle) - sent
    return middle if 0 < gain < more and more * growth < larger * gain else None


def _least(graph: Graph, low: Members, high: Members, per_byte: int, per_work: int) -> Members:
    """Return the smallest closed set from `low` to `high` that minimises per_byte · bytes − per_work · work."""
    free = high - low
    arcs: dict[tuple[int, int], int] = {}

    def add(tail: int, head: int, capacity: int) -> None:
        if capacity:
            arcs[tail, head] = arcs.get((tail, head), 0) + capacity

    endless: set[tuple[int, int]] = set()
    for i in free:
        add(_SOURCE, i, max(per_work * graph.work[i], 0))
        add(i, _SINK, max(-per_work * graph.work[i], 0))
        endless.update((i, j) for j in graph.reads[i] if j in free)
    for k, datum in enumerate(graph.data, start=len(graph.work)):
        if datum.maker >= 0 and datum.maker not in high:
            continue
        origin = datum.maker if datum.maker in free else _SOURCE
        if datum.kept or not high.issuperset(datum.readers):  # it is sent wherever the cut is, once it is made
            if origin != _SOURCE:
                add(origin, _SINK, per_byte * datum.size)
        elif readers := free.intersection(datum.readers):
            add(origin, k, per_byte * datum.size)
            endless.update((k, reader) for reader in readers)
    return low | (free & _reached(arcs, endless))


def _reached(arcs: dict[tuple[int, int], int], endless: set[tuple[int, int]]) -> set[int]:
    """Return what a maximum flow leaves within reach of the source: the smallest side of a minimum cut."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import breadth_first_order, maximum_flow

    total = sum(capacity for (tail, _), capacity in arcs.items() if tail == _SOURCE)
    scale = max(-(-total // _MOST_FLOW), 1)
    pairs = [*arcs, *endless]
    capacities = [min(capacity // scale, _ENDLESS) for capacity in arcs.values()] + [_ENDLESS] * len(endless)
    names = [_SOURCE, _SINK, *sorted({end for pair in pairs for end in pair} - {_SOURCE, _SINK})]
    number = {name: k for k, name in enumerate(names)}
    ends = np.array([(number[tail], number[head]) for tail, head in pairs], dtype=np.int32).reshape(-1, 2)
    shape = len(names), len(names)
    network = csr_array((np.array(capacities, dtype=np.int32), (ends[:, 0], ends[:, 1])), shape=shape)
    left = csr_array(network - maximum_flow(network, 0, 1).flow)
    left.eliminate_zeros()
    return {names[k] for k in breadth_first_order(left, 0, return_predecessors=False).tolist()}
