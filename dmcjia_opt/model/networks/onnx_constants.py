"""Constants of an ONNX graph, computed where shapes are made of them.

Small ones are computed as they come; large ones, a mask of a thousand places for instance, only where a shape needs
them, by running the nodes that make them at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.model.networks.macs import COUNTED, count_macs
from dmcjia_opt.model.networks.onnx_facts import Facts, elements
from dmcjia_opt.model.networks.onnx_graph import kind_of, made_by, renamed

if TYPE_CHECKING:
    import onnx

#: Constants of more elements are weights, or masks: their values are computed only where a shape needs them.
MOST_SMALL = 1024
#: The most elements of all the tensors that are computed at once.
MOST_LARGE = 1 << 22
_MOST_MACS = 1 << 28
#: Operators whose outputs have no more elements than their inputs, times their rank, though how many is in the values.
_SELECTIONS = frozenset({"NonZero", "Compress", "Unique"})


def add_weights(
    graph: onnx.GraphProto | Sequence[onnx.TensorProto], sparse: Iterable[onnx.SparseTensorProto], facts: Facts
) -> None:
    """Record the types of weights, and the values of those that are in the file."""
    from onnx import TensorProto
    from onnx.helper import make_tensor_type_proto

    for tensor in graph if isinstance(graph, Sequence) else graph.initializer:
        facts.types[tensor.name] = make_tensor_type_proto(tensor.data_type, list(tensor.dims))
        facts.constants.add(tensor.name)
        count = elements(tensor.name, tensor.dims)
        if tensor.data_location != TensorProto.EXTERNAL and count <= MOST_LARGE:
            (facts.values if count <= MOST_SMALL else facts.large)[tensor.name] = tensor
    for each in sparse:
        elements(each.values.name, each.dims)
        facts.types[each.values.name] = make_tensor_type_proto(each.values.data_type, list(each.dims))
        facts.constants.add(each.values.name)


def shape_value(node: onnx.NodeProto, shape: tuple[int, ...]) -> onnx.TensorProto:
    """Return what a Shape or Size makes of a shape.

    Raises
    ------
    InputError
        If there are more elements than can be counted.
    """
    import numpy as np
    from onnx.numpy_helper import from_array

    if node.op_type == "Size":
        number = math.prod(shape)
        if number > np.iinfo(np.int64).max:
            raise InputError(f'the tensor "{node.input[0]}" has {number:.3g} elements, too many to be true')
        return from_array(np.array(number, dtype=np.int64))
    ends = {a.name: a.i for a in node.attribute}
    return from_array(np.array(shape[ends.get("start", 0) : ends.get("end", len(shape))], dtype=np.int64))


def evaluate(model: onnx.ModelProto, node: onnx.NodeProto, facts: Facts) -> None:
    """Record the values of a constant node if they are few, or if its shape is in them."""
    facts.makers.update(dict.fromkeys(made_by(node), node))
    shapes = [facts.shape(name) for name in made_by(node)]
    if any(shape is None for shape in shapes):
        if kind_of(node) in _SELECTIONS:
            compute(model, made_by(node), facts)
    elif all(math.prod(shape or ()) <= MOST_SMALL for shape in shapes) and all(
        name in facts.values for name in node.input if name
    ):
        compute(model, made_by(node), facts)


def compute(model: onnx.ModelProto, names: Iterable[str], facts: Facts) -> bool:
    """Compute constants whose values are not known yet, and record them; return whether there are new ones.

    Nothing is computed that is large, slow, in another file, or unknown to ONNX's reference.
    """
    import numpy as np
    from onnx import helper
    from onnx.numpy_helper import from_array
    from onnx.reference import ReferenceEvaluator

    wanted = [name for name in dict.fromkeys(names) if name in facts.constants and name not in facts.values]
    stored = [name for name in wanted if name in facts.large]
    facts.values.update({name: facts.large[name] for name in stored})
    wanted = [name for name in wanted if name not in facts.values]
    nodes, sources = _needed(wanted, facts)
    if not nodes:
        return bool(stored)
    inputs = [renamed(facts.values.get(name) or facts.large[name], name) for name in sources]
    outputs = [helper.make_value_info(name, facts.types[name]) for name in wanted]
    graph = helper.make_graph(nodes, "constant", [], outputs, inputs)
    try:
        with np.errstate(all="ignore"):
            program = helper.make_model(graph, opset_imports=list(model.opset_import), ir_version=model.ir_version)
            results = ReferenceEvaluator(program).run(None, {})
        found = {name: from_array(np.asarray(v)) for name, v in zip(wanted, results, strict=True)}
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError):
        return bool(stored)  # whatever needs the value will say that a shape is unknown
    for name, value in found.items():
        if math.prod(value.dims) <= MOST_LARGE:
            facts.values[name] = value
            facts.types[name] = helper.make_tensor_type_proto(value.data_type, list(value.dims))
    return True


def _needed(wanted: Sequence[str], facts: Facts) -> tuple[list[onnx.NodeProto], list[str]]:
    """Return the nodes that make some constants, in order, and what they start from; none if that is too much."""
    sources: dict[str, None] = {}
    order: dict[str, onnx.NodeProto] = {}  # by the first tensor that each makes
    total = macs = 0
    stack = [(name, False) for name in reversed(wanted)]
    while stack:
        name, ready = stack.pop()
        if name in facts.values or name in facts.large:
            if name not in sources:
                total += math.prod(facts.shape(name) or ())
            sources[name] = None
            continue
        node = facts.makers.get(name)
        if node is None:
            return [], []
        first = made_by(node)[0]
        if first in order:
            continue
        if not ready:
            selects = name in wanted and kind_of(node) in _SELECTIONS
            shape = facts.shape(name)
            if (shape is None and not selects) or any(map(_is_beyond, node.attribute)) or name not in facts.types:
                return [], []
            stack.append((name, True))
            stack += [(each, False) for each in reversed(node.input) if each]
            total += sum(math.prod(facts.shape(each) or ()) for each in made_by(node))
            macs += _macs(node, facts)
            if total > MOST_LARGE or macs > _MOST_MACS:
                return [], []
            continue
        order[first] = node
    return list(order.values()), list(sources)


def _macs(node: onnx.NodeProto, facts: Facts) -> int:
    kind = kind_of(node)
    if kind not in COUNTED:
        return 0
    if kind not in ("MatMul", "Gemm"):  # the reference computes others number by number
        return _MOST_MACS + 1
    attributes = {a.name: a.i for a in node.attribute}
    shapes = [[facts.shape(name) if name else None for name in names] for names in (node.input, node.output)]
    return count_macs(kind, shapes[0], shapes[1], attributes) or 0


def _is_beyond(attribute: onnx.AttributeProto) -> bool:
    """Return whether an attribute holds a graph, or a tensor that is in another file."""
    from onnx import TensorProto

    tensors = [attribute.t, *attribute.tensors, attribute.sparse_tensor.values, attribute.sparse_tensor.indices]
    return attribute.HasField("g") or any(tensor.data_location == TensorProto.EXTERNAL for tensor in tensors)
