"""Shapes of every tensor of an ONNX graph, in one pass over its nodes.

ONNX infers each node from the shapes before it; the integers that computed shapes are made of are evaluated on the
way, so that a network exported with open sizes needs nothing but the shapes of its inputs.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dmcjia_opt.base.errors import InputError

if TYPE_CHECKING:
    import onnx

#: Constants of more elements are weights; their values are of no use here.
_MOST_ELEMENTS = 1024
_MOST_RANK = 64
_EXAMPLE = (1, 3, 224, 224)


@dataclass(frozen=True, slots=True, eq=False)
class Facts:
    """What is known of the tensors of a graph before it runs.

    Parameters
    ----------
    inputs
        Names of the inputs that are not weights.
    types
        Type and shape by tensor.
    values
        Values of small constants, shapes among them.
    constants
        Tensors that do not depend on an input.
    """

    inputs: tuple[str, ...]
    types: dict[str, onnx.TypeProto]
    values: dict[str, onnx.TensorProto]
    constants: set[str]

    def shape(self, name: str) -> tuple[int, ...] | None:
        """Return the shape of a tensor, or None if it is not wholly known."""
        return _shape(self.types[name]) if name in self.types else None

    def floating(self, name: str) -> bool:
        """Return whether a tensor holds numbers of a floating-point type."""
        kind = type_name(self.types[name].tensor_type.elem_type) if name in self.types else ""
        return "FLOAT" in kind or kind == "DOUBLE"


def type_name(element: int) -> str:
    """Return what ONNX calls the type of a tensor's elements; ``UNDEFINED`` for a number that stands for none."""
    from onnx import TensorProto

    known = TensorProto.DataType.DESCRIPTOR.values_by_number.get(element)
    return "UNDEFINED" if known is None else str(known.name)


def infer(
    model: onnx.ModelProto,
    order: Sequence[int],
    reads: Sequence[Sequence[str]],
    input_shapes: Mapping[str, tuple[int, ...]],
    random: Collection[str],
) -> Facts:
    """Return what is known of every tensor.

    Parameters
    ----------
    model
        The model.
    order
        Indices of the nodes that matter, in topological order.
    reads
        Tensors that each node reads, captured ones included.
    input_shapes
        Shapes of inputs by name; the empty name stands for the only input.
    random
        Operators whose output is data although they read none.

    Raises
    ------
    InputError
        If an input's shape is open or contradicted, or a node contradicts itself.
    """
    graph = model.graph
    types, values = _weights(graph)
    constants = set(types)
    inputs = [v for v in graph.input if v.name not in constants]
    types |= _input_types(inputs, input_shapes)
    facts = Facts(tuple(v.name for v in inputs), types, values, constants)
    declared = {v.name: v.type for v in (*graph.value_info, *graph.output)}
    for i in order:
        node = graph.node[i]
        made = _infer_node(model, node, reads[i], facts)
        for name in filter(None, node.output):
            known = made.get(name)
            said = declared.get(name)
            if (known is None or _shape(known) is None) and said is not None and _shape(said) is not None:
                known = said
            if known is not None:
                types[name] = known
        shape = facts.shape(node.input[0]) if node.op_type in ("Shape", "Size") and node.input else None
        if shape is not None:
            values[node.output[0]] = _shape_value(node, shape)
            constants.add(node.output[0])
        elif node.op_type not in random and all(name in constants for name in reads[i]):
            constants.update(filter(None, node.output))
            _evaluate(model, node, facts)
    return facts


def _shape(kind: onnx.TypeProto) -> tuple[int, ...] | None:
    if not kind.HasField("tensor_type") or not kind.tensor_type.HasField("shape"):
        return None
    dims = kind.tensor_type.shape.dim
    if not all(dim.HasField("dim_value") and dim.dim_value >= 0 for dim in dims):
        return None
    return tuple(dim.dim_value for dim in dims)


def elements(name: str, shape: Sequence[int]) -> int:
    """Return how many elements a tensor has.

    Raises
    ------
    InputError
        If its shape is none: a negative size, or more dimensions than any tensor has.
    """
    if len(shape) > _MOST_RANK:
        raise InputError(
            f'the tensor "{name}" has {len(shape):,} dimensions, which is refused; the most is {_MOST_RANK}'
        )
    if any(size < 0 for size in shape):
        raise InputError(f'the tensor "{name}" has a size of {min(shape)}; the file is broken, export the model anew')
    return math.prod(shape)


def _weights(graph: onnx.GraphProto) -> tuple[dict[str, onnx.TypeProto], dict[str, onnx.TensorProto]]:
    """Return the types of the weights, and the values of the small ones that are in the file."""
    from onnx import TensorProto
    from onnx.helper import make_tensor_type_proto

    types, values = {}, {}
    for tensor in graph.initializer:
        types[tensor.name] = make_tensor_type_proto(tensor.data_type, list(tensor.dims))
        if elements(tensor.name, tensor.dims) <= _MOST_ELEMENTS and tensor.data_location != TensorProto.EXTERNAL:
            values[tensor.name] = tensor
    for sparse in graph.sparse_initializer:
        elements(sparse.values.name, sparse.dims)
        types[sparse.values.name] = make_tensor_type_proto(sparse.values.data_type, list(sparse.dims))
    return types, values


def _input_types(
    inputs: Sequence[onnx.ValueInfoProto], given: Mapping[str, tuple[int, ...]]
) -> dict[str, onnx.TypeProto]:
    from onnx.helper import make_tensor_type_proto

    names = [v.name for v in inputs]
    if not inputs:
        raise InputError("the model has no input")
    shapes = dict(given)
    if "" in shapes:
        if len(inputs) > 1:
            raise InputError(
                f"the model has {len(inputs)} inputs ({', '.join(names)}): name the one whose shape is given"
            )
        shapes[names[0]] = shapes.pop("")
    for name in shapes:
        if name not in names:
            raise InputError(f'the model has no input "{name}" to give a shape to; its inputs are {", ".join(names)}')
    found = {}
    for value in inputs:
        if not value.type.HasField("tensor_type"):
            raise InputError(f'the input "{value.name}" is not a tensor; such models cannot be profiled')
        tensor = value.type.tensor_type
        dims = tensor.shape.dim if tensor.HasField("shape") else ()
        said = [dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None for dim in dims]
        known = [str(dim.dim_value) if size else dim.dim_param or "?" for dim, size in zip(dims, said, strict=True)]
        shape = shapes.get(value.name)
        if shape is None:
            if not tensor.HasField("shape") or None in said:
                shown = "x".join(known) or "of unknown rank"
                usual = _EXAMPLE if len(said) in (0, len(_EXAMPLE)) else [1] * len(said)
                example = "x".join(str(size or other) for size, other in zip(said or usual, usual, strict=True))
                raise InputError(
                    f'the shape of input "{value.name}" is open ({shown}); give one, for '
                    f"instance --input-shape {value.name}={example}, or in a scenario [profiles] input_shapes"
                )
            shape = tuple(size for size in said if size is not None)
        elif tensor.HasField("shape") and (
            len(shape) != len(said) or any(s not in (None, size) for s, size in zip(said, shape, strict=True))
        ):
            given_shape = "x".join(map(str, shape))
            raise InputError(
                f'the shape {given_shape} does not fit the input "{value.name}", which is {"x".join(known)}'
            )
        found[value.name] = make_tensor_type_proto(tensor.elem_type, list(shape))
    return found


def _infer_node(
    model: onnx.ModelProto, node: onnx.NodeProto, reads: Sequence[str], facts: Facts
) -> dict[str, onnx.TypeProto]:
    """Return what ONNX infers for the outputs of a node; nothing if it does not know the operator."""
    from onnx import defs, shape_inference
    from onnx.checker import ValidationError

    domain = "" if node.domain == "ai.onnx" else node.domain
    version = next((o.version for o in model.opset_import if o.domain in (domain, domain or "ai.onnx")), None)
    if version is None or any(name not in facts.types for name in reads):
        return {}
    try:
        schema = defs.get_schema(node.op_type, version, domain)
    except defs.SchemaError:
        return {}
    try:
        found: dict[str, onnx.TypeProto] = shape_inference.infer_node_outputs(
            schema,
            node,
            {name: facts.types[name] for name in reads},
            {name: facts.values[name] for name in reads if name in facts.values},
            opset_imports=list(model.opset_import),
            ir_version=model.ir_version,
        )
    except (ValidationError, shape_inference.InferenceError, ValueError, RuntimeError) as error:
        reason = next(iter(str(error).splitlines()), "")
        raise InputError(f'the shapes at operator "{node.name}" ({node.op_type}) do not fit: {reason}') from None
    return found


def _shape_value(node: onnx.NodeProto, shape: tuple[int, ...]) -> onnx.TensorProto:
    import numpy as np
    from onnx.numpy_helper import from_array

    if node.op_type == "Size":
        number = elements(node.input[0], shape)
        if number > np.iinfo(np.int64).max:
            raise InputError(f'the tensor "{node.input[0]}" has {number:.3g} elements, too many to be true')
        return from_array(np.array(number, dtype=np.int64))
    ends = {a.name: a.i for a in node.attribute}
    return from_array(np.array(shape[ends.get("start", 0) : ends.get("end", len(shape))], dtype=np.int64))


def _evaluate(model: onnx.ModelProto, node: onnx.NodeProto, facts: Facts) -> None:
    """Record the values of a constant node if they are few and ONNX's reference knows how to compute them."""
    shapes = [facts.shape(name) for name in node.output if name]
    if any(shape is None or math.prod(shape) > _MOST_ELEMENTS for shape in shapes):
        return
    if any(name not in facts.values for name in node.input if name) or any(map(_is_beyond, node.attribute)):
        return
    import numpy as np
    from onnx import helper
    from onnx.numpy_helper import from_array
    from onnx.reference import ReferenceEvaluator

    names = [name for name in node.output if name]
    values = [renamed(facts.values[name], name) for name in dict.fromkeys(node.input) if name]
    outputs = [helper.make_value_info(name, facts.types[name]) for name in names]
    single = helper.make_graph([node], "constant", [], outputs, values)
    try:
        with np.errstate(all="ignore"):
            program = helper.make_model(single, opset_imports=list(model.opset_import), ir_version=model.ir_version)
            results = ReferenceEvaluator(program).run(None, {})
        facts.values.update({name: from_array(np.asarray(v)) for name, v in zip(names, results, strict=True)})
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError):
        return  # the reference cannot compute it; whatever needs the value will say that a shape is unknown


def _is_beyond(attribute: onnx.AttributeProto) -> bool:
    """Return whether an attribute holds a graph, or a tensor that is in another file."""
    from onnx import TensorProto

    tensors = [attribute.t, *attribute.tensors, attribute.sparse_tensor.values, attribute.sparse_tensor.indices]
    return attribute.HasField("g") or any(tensor.data_location == TensorProto.EXTERNAL for tensor in tensors)


def renamed(tensor: onnx.TensorProto, name: str) -> onnx.TensorProto:
    """Return a copy of a tensor under another name."""
    from onnx import TensorProto

    copy = TensorProto()
    copy.CopyFrom(tensor)
    copy.name = name
    return copy
