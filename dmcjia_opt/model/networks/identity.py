"""Which network a graph is, whatever its file is called."""

from __future__ import annotations

import hashlib
import json

from dmcjia_opt.model.networks.graph import Network

_DIGITS = 12


def graph_id(network: Network) -> str:
    """Return 12 hexadecimal digits that two networks share if the same operators work on tensors of the same shapes.

    Only operators with work count, neither names nor trained numbers, nor where the graph is cut.
    """
    parts = [
        [
            op.kind,
            *([*network.tensors[name].shape, network.tensors[name].item_bytes] for name in (*op.inputs, *op.outputs)),
            sorted(size for _, size in op.weights),
        ]
        for op in network.operations
        if op.macs or not op.counted
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:_DIGITS]
