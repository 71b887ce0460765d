"""How often a Loop runs whose condition is made of numbers that are known: its counters are run without its data."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from dmcjia_opt.model.networks.graph import topological_order
from dmcjia_opt.model.networks.onnx_constants import MOST_SMALL
from dmcjia_opt.model.networks.onnx_facts import Facts
from dmcjia_opt.model.networks.onnx_graph import kind_of, made_by, reads_of, renamed, subgraphs

if TYPE_CHECKING:
    import onnx

#: Operators run in all; a counter needs a handful at every pass, and loops that need more are not followed.
_MOST_RUNS = 1 << 15


def passes_of(
    model: onnx.ModelProto,
    random: Collection[str],
    body: onnx.GraphProto,
    starts: Mapping[str, str],
    outside: Facts,
    inside: Facts,
) -> int | None:
    """Return how often the body of a Loop that begins runs until its own condition ends it, or None.

    Parameters
    ----------
    model
        The model, for the versions of operators in it.
    random
        Operators whose output differs from run to run.
    body
        The body.
    starts
        The tensor outside that each state of the body begins with.
    outside, inside
        What is known around the body and in it.
    """
    import numpy as np
    from onnx import helper
    from onnx.numpy_helper import to_array
    from onnx.reference import ReferenceEvaluator

    number, go = (value.name for value in body.input[:2])
    after = dict(zip(starts, (value.name for value in body.output[1:]), strict=False))
    ends = body.output[0].name
    nodes, read = _deciding(body, ends, after)
    states = [name for name in starts if name in read]
    given = [name for name in read if name not in (number, go, *states)]
    stored = [inside.values.get(name) for name in given]
    begins = [outside.values.get(starts[name]) for name in states]
    if any(kind_of(node) in random or any(subgraphs(node)) for node in nodes):
        return None
    sizes = [inside.shape(name) for name in (*read, *(name for node in nodes for name in made_by(node)))]
    if None in sizes or any(math.prod(size or ()) > MOST_SMALL for size in sizes):
        return None
    if any(tensor is None for tensor in (*stored, *begins)):
        return None
    weights = [renamed(tensor, name) for name, tensor in zip(given, stored, strict=True) if tensor is not None]
    wanted = list(dict.fromkeys([ends, *(after[name] for name in states)]))
    graph = helper.make_graph(
        nodes,
        "passes",
        [helper.make_value_info(name, inside.types[name]) for name in (number, go, *states)],
        [helper.make_value_info(name, inside.types[name]) for name in wanted],
        weights,
    )
    program = helper.make_model(graph, opset_imports=list(model.opset_import), ir_version=model.ir_version)
    try:
        evaluator = ReferenceEvaluator(program)
        feed = {name: to_array(tensor) for name, tensor in zip(states, begins, strict=True) if tensor is not None}
        for passes in range(_MOST_RUNS // max(len(nodes), 1)):
            with np.errstate(all="ignore"):
                found = evaluator.run(None, {**feed, number: np.array(passes, np.int64), go: np.array(True)})
            made = dict(zip(wanted, found, strict=True))
            feed = {name: made[after[name]] for name in states}
            if not bool(np.asarray(made[ends]).item()):
                return passes + 1
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError):
        return None
    return None


def _deciding(
    body: onnx.GraphProto, ends: str, after: Mapping[str, str]
) -> tuple[list[onnx.NodeProto], dict[str, None]]:
    """Return the nodes that make the condition and the states that it hangs on, in order, and what they start from."""
    reads, makes = [reads_of(node) for node in body.node], [made_by(node) for node in body.node]
    made = {name for names in makes for name in names}
    wanted, order, read = [ends], list[int](), dict[str, None]()
    while True:
        order = topological_order(reads, makes, wanted)
        read = dict.fromkeys(name for name in (*wanted, *(n for i in order for n in reads[i])) if name not in made)
        more = [after[name] for name in read if name in after and after[name] not in wanted]
        if not more:
            return [body.node[i] for i in order], read
        wanted += more
