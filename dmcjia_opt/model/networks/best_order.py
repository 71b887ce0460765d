"""The order of a network's operations in which the parts come first that send the fewest bytes for their work."""

from __future__ import annotations

from itertools import groupby

import numpy as np

from dmcjia_opt.model.networks.closed_sets import Datum, Graph, best_chain
from dmcjia_opt.model.networks.graph import Network, crossing_of, topological_order


def along_the_best(network: Network, upload_dtype: str | None) -> list[int]:
    """Return an order of the operations in which the best closed sets of the graph come first, one after the other.

    Between two of them, of the orders that finish a branch before the next, or begin it early or late, that counts
    whose cuts send the fewest bytes on average over the work.
    """
    operations, n = network.operations, len(network.operations)
    stage = np.zeros(n, dtype=np.int64)
    for members in best_chain(_as_graph(network, upload_dtype)):
        stage += np.array([i not in members for i in range(n)])
    reads, made = [op.inputs for op in operations], [op.outputs for op in operations]
    turned = [names[::-1] for names in reads]
    deep = [topological_order(reads, made, network.outputs), topological_order(turned, made, network.outputs[::-1])]
    early = _earliest(network)
    found: dict[int, tuple[float, list[int]]] = {}
    for order in (list(range(n)), sorted(deep[0], key=early.__getitem__), *deep):
        staged = sorted(order, key=stage.__getitem__)
        crossing, _ = crossing_of(network, [operations[i] for i in staged], upload_dtype)
        start = 0
        for s, run in groupby(staged, key=stage.__getitem__):
            part = list(run)
            least, area = np.inf, 0.0
            for p, i in enumerate(part, start):
                least = min(least, float(crossing[p]))
                if operations[i].macs:
                    area, least = area + least * operations[i].macs, np.inf
            start += len(part)
            if s not in found or area < found[s][0]:
                found[s] = area, part
    return [i for s in sorted(found) for i in found[s][1]]


def _as_graph(network: Network, upload_dtype: str | None) -> Graph:
    """Return a network's operations and data by number."""
    operations, tensors = network.operations, network.tensors
    maker = {name: i for i, op in enumerate(operations) for name in op.outputs}
    origin = dict.fromkeys(network.received, -1)
    results = {tensors[name].data for name in network.results}
    readers: dict[str, dict[int, None]] = {data: {} for data in results}
    reads: list[set[int]] = []
    for i, op in enumerate(operations):
        for name in op.outputs:
            origin.setdefault(tensors[name].data, i)
        for name in op.inputs:
            readers.setdefault(tensors[name].data, {})[i] = None
            origin.setdefault(tensors[name].data, i)  # state is where it is read first
        reads.append({maker[name] for name in op.inputs if name in maker})
        reads[i] |= {origin[name] for name in op.inputs if name in network.state} - {i}
    return Graph(
        work=[op.macs for op in operations],
        reads=[sorted(those) for those in reads],
        data=[
            Datum(tensors[name].sent_bytes(upload_dtype), origin.get(name, -1), tuple(who), name in results)
            for name, who in readers.items()
        ],
    )


def _earliest(network: Network) -> list[int]:
    """Return, for each operation, the working operations on the longest path that ends with it."""
    before: dict[str, int] = {}
    found = []
    for op in network.operations:
        found.append(max((before.get(name, 0) for name in op.inputs), default=0) + (op.macs > 0))
        before.update(dict.fromkeys(op.outputs, found[-1]))
    return found
