"""Parts of an ONNX model as models of their own: between two cuts, with what is constant folded or made in the part."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.model.networks.graph import Operation, topological_order
from dmcjia_opt.model.networks.onnx_ import OnnxModel
from dmcjia_opt.model.networks.onnx_graph import reads_of, renamed

if TYPE_CHECKING:
    import onnx


def part_of(
    model: OnnxModel,
    operations: Sequence[Operation],
    entering: Iterable[str],
    leaving: Iterable[str],
    weight: Callable[[onnx.TensorProto], onnx.TensorProto],
) -> onnx.ModelProto:
    """Return some operations of a model as a model.

    Parameters
    ----------
    model
        The whole.
    operations
        In topological order.
    entering, leaving
        The tensors that come in and go out.
    weight
        What makes of each constant that the file holds the one that the part holds.

    Raises
    ------
    InputError
        If a weight is stored sparsely.
    """
    from onnx import helper

    proto, facts = model.proto, model.facts
    nodes = [proto.graph.node[op.index] for op in operations]
    known, weights = _constants(model, nodes)
    graph = helper.make_graph(
        [*known, *nodes],
        "part",
        [helper.make_value_info(name, facts.types[name]) for name in entering],
        [helper.make_value_info(name, facts.types[name]) for name in leaving],
        [weight(tensor) for tensor in weights],
    )
    return helper.make_model(graph, opset_imports=list(proto.opset_import), ir_version=max(proto.ir_version, 4))


def _constants(model: OnnxModel, nodes: list[onnx.NodeProto]) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Return the nodes and weights that make the constants which `nodes` read, the nodes in order."""
    stored = {tensor.name: tensor for tensor in model.proto.graph.initializer} | model.facts.values
    wanted = [name for node in nodes for name in reads_of(node) if name in model.facts.constants]
    makers = list(model.proto.graph.node)
    reads = [reads_of(node) for node in makers]
    rests = [[name for name in names if name not in stored] for names in reads]
    order = topological_order(rests, [node.output for node in makers], [name for name in wanted if name not in stored])
    made = {name for i in order for name in makers[i].output}
    read = dict.fromkeys([*wanted, *(name for i in order for name in reads[i])])
    weights = []
    for name in read:
        if name not in made:
            if name not in stored:
                raise InputError(f'the weight "{name}" is stored sparsely; such a network cannot be taken apart')
            weights.append(renamed(stored[name], name))
    return [makers[i] for i in order], weights
