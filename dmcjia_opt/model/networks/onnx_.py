"""ONNX files read as graphs: shapes, MACs and what flows between operators.

A file is only parsed as protobuf: no weight is needed, and paths in it to external weights are never followed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dmcjia_opt.base.errors import BackendMissing, InputError
from dmcjia_opt.base.files import read_bytes
from dmcjia_opt.base.limits import MOST, MOST_OPERATORS
from dmcjia_opt.base.machine import installing
from dmcjia_opt.model.networks.graph import Network, Operation, Tensor, topological_order
from dmcjia_opt.model.networks.macs import count_macs

if TYPE_CHECKING:
    import onnx

    from dmcjia_opt.model.networks.onnx_shapes import Facts

_MOST_VERSION = 10_000
_MOST_DEPTH = 100
_LFS = b"version https://git-lfs"
#: Operators whose output is their input, arranged or named in another way.
_VIEWS = frozenset({"Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Dropout"})
_RANDOM = frozenset(
    {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli"}
)
#: Which inputs of an operator are trained, where not every constant of floating type is.
_TRAINED = {
    "BatchNormalization": (1, 2),
    "ConvInteger": (1,),
    "MatMulInteger": (1,),
    "QLinearConv": (3, 8),
    "QLinearMatMul": (3,),
    "Resize": (),
    "Upsample": (),
}
_ITEM_BYTES = {
    **dict.fromkeys(("FLOAT", "INT32", "UINT32"), 4.0),
    **dict.fromkeys(("DOUBLE", "INT64", "UINT64", "COMPLEX64"), 8.0),
    **dict.fromkeys(("FLOAT16", "BFLOAT16", "INT16", "UINT16"), 2.0),
    **dict.fromkeys(("INT8", "UINT8", "BOOL", "FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ"), 1.0),
    **dict.fromkeys(("INT4", "UINT4", "FLOAT4E2M1"), 0.5),
    **dict.fromkeys(("INT2", "UINT2"), 0.25),
    "FLOAT8E8M0": 1.0,
    "COMPLEX128": 16.0,
}
#: NumPy's name of the types that are not called the same there.
_AS_NUMPY = {"FLOAT": "float32", "DOUBLE": "float64"}


@dataclass(frozen=True, slots=True, eq=False)
class OnnxModel:
    """A model with every shape known.

    Parameters
    ----------
    network
        Its data flow; ``Operation.index`` is the node's place in the file's list.
    proto
        The parsed file, local functions inlined and every node named.
    facts
        Types of all tensors, values of small constants, and which tensors are constant.
    """

    network: Network
    proto: onnx.ModelProto
    facts: Facts


def read_onnx(
    path: str | Path, input_shapes: Mapping[str, tuple[int, ...]] | None = None, *, shared: bool = False
) -> OnnxModel:
    """Read an ONNX file.

    Parameters
    ----------
    path
        The file.
    input_shapes
        Concrete shape of each input by its name, for those that the file leaves open; the empty name stands for the
        only input.
    shared
        `input_shapes` are meant for several models: names that this one lacks are not an error.

    Raises
    ------
    InputError
        If the file is missing, too large, not ONNX or empty, or a shape cannot be known before running; the message
        says what to do.
    BackendMissing
        If onnx is not installed.
    """
    path = Path(path)
    content = read_bytes(path, "the model")
    if not content:
        raise InputError(f"{path}: the file is empty; export the model anew")
    try:
        from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
        from onnx import load_model_from_string
    except ModuleNotFoundError as error:
        raise BackendMissing(f"reading {path} needs {error.name}; {installing('onnx')}") from None
    if content.startswith(_LFS):
        raise InputError(f"{path}: this is a Git LFS pointer, not the model; fetch it with: git lfs pull")
    try:
        model = load_model_from_string(content)
    except DecodeError:
        raise InputError(f"{path}: not an ONNX file, or a broken one: it cannot be parsed as protobuf") from None
    del content
    if not model.ir_version or not model.opset_import:
        raise InputError(f"{path}: not an ONNX file: it names no ONNX version or operator set; export the model anew")
    if not model.graph.node:
        raise InputError(f"{path}: the model is empty: its graph has no operators; export it anew")
    for version in (model.ir_version, *(opset.version for opset in model.opset_import)):
        if not 0 < version <= _MOST_VERSION:
            raise InputError(f"{path}: not an ONNX file: there is no version {version}; export the model anew")
    try:
        return _understood(model, path, input_shapes or {}, shared)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def parse_shape(text: str) -> tuple[str, tuple[int, ...]]:
    """Return the name, empty if there is none, and the shape of ``name=1x3x224x224``.

    Raises
    ------
    InputError
        If the shape is malformed.
    """
    name, _, sizes = text.rpartition("=")
    try:
        shape = tuple(int(size) for size in sizes.lower().split("x")) if sizes else ()
    except ValueError:
        shape = (-1,)
    if any(size < 1 for size in shape):
        raise InputError(f'input shape "{text}" is malformed; write it like name=1x3x224x224')
    return name.strip(), shape


def parse_shapes(texts: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """Return shapes by the name of the input (see `parse_shape`).

    Raises
    ------
    InputError
        If one is malformed, or given twice.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for name, shape in map(parse_shape, texts):
        if name in shapes:
            raise InputError(f'--input-shape: the shape of "{name}" is given twice')
        shapes[name] = shape
    return shapes


def _understood(
    model: onnx.ModelProto, path: Path, input_shapes: Mapping[str, tuple[int, ...]], shared: bool
) -> OnnxModel:
    from dmcjia_opt.model.networks.onnx_shapes import infer

    for graph in (model.graph, *model.functions):
        _check_text(graph)
    if model.functions:
        model = _inlined(model)
    nodes = model.graph.node
    if len(nodes) > MOST_OPERATORS:
        raise InputError(f"{len(nodes):,} operators are refused; the most is {MOST_OPERATORS:,}")
    _name(nodes)
    reads = [reads_of(node) for node in nodes]
    order = topological_order(reads, [_made(node) for node in nodes], [o.name for o in model.graph.output])
    _check_origins(model, reads, order)
    if shared:
        named = {v.name for v in model.graph.input}
        input_shapes = {name: shape for name, shape in input_shapes.items() if name in named}
    facts = infer(model, order, reads, input_shapes, _RANDOM)
    outputs = tuple(dict.fromkeys(o.name for o in model.graph.output if o.name not in facts.constants))
    read = {name for i in order for name in reads[i]} | set(outputs)
    flow = []
    for i in order:
        node = nodes[i]
        flowing = tuple(name for name in reads[i] if name not in facts.constants)
        made = tuple(name for name in _made(node) if name in read and name not in facts.constants)
        if made:
            flow.append(Operation(node.name, _kind(node), flowing, made, 0, i))
    if not flow or not outputs:
        raise InputError("nothing depends on the input: every output is constant")
    tensors = _tensors(flow, facts)  # first, so that a shape that cannot be known is blamed on its maker
    macs = [_macs(nodes[op.index], facts) for op in flow]
    operations = [
        replace(op, macs=n or 0, counted=n is not None, weights=_weights(nodes[op.index], facts))
        for op, n in zip(flow, macs, strict=True)
    ]
    network = Network(
        name=path.stem,
        operations=tuple(operations),
        tensors=tensors,
        inputs=facts.inputs,
        outputs=outputs,
        parameters=_parameters(nodes, operations, facts),
        source=f"computed from {path.name}",
    )
    return OnnxModel(network, model, facts)


def _check_text(graph: onnx.GraphProto | onnx.FunctionProto) -> None:
    """Refuse a graph with a name that is no text: protobuf hands those out as bytes."""
    names: list[str | bytes] = [graph.name]
    if hasattr(graph, "initializer"):
        values = (*graph.input, *graph.output, *graph.value_info, *graph.initializer)
        names += [value.name for value in values] + [sparse.values.name for sparse in graph.sparse_initializer]
    else:
        names += [graph.domain, *graph.input, *graph.output]
    for node in graph.node:
        names += [node.name, node.op_type, node.domain, *node.input, *node.output, *(a.name for a in node.attribute)]
        for inner in _subgraphs(node):
            _check_text(inner)
    if any(isinstance(name, bytes) for name in names):
        raise InputError("a name in it is no text in UTF-8; the file is broken, export the model anew")


def _inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with its local functions inlined, unless they call each other without end or measure."""
    from onnx.checker import ValidationError
    from onnx.inliner import inline_local_functions

    bodies = {(function.domain, function.name): function.node for function in model.functions}
    counts: dict[tuple[str, str], int] = {}

    def count(nodes: Iterable[onnx.NodeProto], depth: int) -> int:
        if depth > _MOST_DEPTH:
            raise InputError(f"functions call each other more than {_MOST_DEPTH} deep; export the model without them")
        total = 0
        for node in nodes:
            key = node.domain, node.op_type
            if key in bodies and key not in counts:
                counts[key] = count(bodies[key], depth + 1)
            total += counts.get(key, 1) + sum(count(graph.node, depth) for graph in _subgraphs(node))
        return total

    total = count(model.graph.node, 0)
    if total > MOST_OPERATORS:
        raise InputError(
            f"with its functions inlined the model has {total:,} operators, which is refused; the most is "
            f"{MOST_OPERATORS:,}"
        )
    try:
        return inline_local_functions(model)
    except (ValidationError, RuntimeError, ValueError) as error:
        reason = next(iter(str(error).splitlines()), "")
        raise InputError(f"its functions cannot be inlined: {reason}; export the model without them") from None


def _subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        yield from [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]


def reads_of(node: onnx.NodeProto) -> list[str]:
    """Return the tensors a node reads, those that its subgraphs capture from outside included."""
    found = [name for name in node.input if name]
    for graph in _subgraphs(node):
        own = {v.name for v in (*graph.input, *graph.initializer)}
        for inner in graph.node:
            found += [name for name in reads_of(inner) if name not in own]
            own.update(inner.output)
        found += [o.name for o in graph.output if o.name not in own]
    return list(dict.fromkeys(found))


def _made(node: onnx.NodeProto) -> list[str]:
    return [name for name in node.output if name]


def _name(nodes: Iterable[onnx.NodeProto]) -> None:
    """Give every node a name of its own: its own, or its first output's."""
    seen: set[str] = set()
    for i, node in enumerate(nodes):
        name = node.name or next(iter(_made(node)), f"{node.op_type}_{i}")
        node.name = name if name not in seen else f"{name}#{i}"
        seen.add(node.name)


def _check_origins(model: onnx.ModelProto, reads: list[list[str]], order: list[int]) -> None:
    graph = model.graph
    made = Counter(name for node in graph.node for name in _made(node))
    twice = next((name for name, count in made.items() if count > 1), None)
    if twice is not None:
        raise InputError(f'two operators make the tensor "{twice}"; the graph is invalid')
    known = {
        *made,
        *(v.name for v in (*graph.input, *graph.initializer)),
        *(s.values.name for s in graph.sparse_initializer),
    }
    for i in order:
        for name in reads[i]:
            if name not in known:
                raise InputError(
                    f'operator "{graph.node[i].name}" reads "{name}", which nothing makes; the graph is invalid'
                )
    lost = next((o.name for o in graph.output if o.name not in known), None)
    if lost is not None or not graph.output:
        what = f'the output "{lost}" is made by no operator' if lost is not None else "the graph has no output"
        raise InputError(f"{what}; the graph is invalid")


def _kind(node: onnx.NodeProto) -> str:
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}:{node.op_type}"


def _macs(node: onnx.NodeProto, facts: Facts) -> int | None:
    from onnx.helper import get_attribute_value

    attributes = {}
    for attribute in node.attribute:
        if attribute.name in ("transA", "equation"):
            value = get_attribute_value(attribute)
            attributes[attribute.name] = value.decode() if isinstance(value, bytes) else value
    shapes = [[facts.shape(name) if name else None for name in names] for names in (node.input, node.output)]
    try:
        macs = count_macs(_kind(node), shapes[0], shapes[1], attributes)
    except InputError as error:
        raise InputError(f'operator "{node.name}": {error}') from None
    if macs is not None and macs > MOST:
        raise InputError(f'operator "{node.name}" has more than {MOST:g} MACs; correct the shapes of its inputs')
    return macs


def _tensors(operations: list[Operation], facts: Facts) -> dict[str, Tensor]:
    from dmcjia_opt.model.networks.onnx_shapes import elements, type_name

    found: dict[str, Tensor] = {}

    def add(name: str, maker: str, origin: Tensor | None = None) -> None:
        element = facts.types[name].tensor_type.elem_type if name in facts.types else 0
        kind = type_name(element)
        shape = facts.shape(name)
        if shape is None or kind not in _ITEM_BYTES:
            what = "shape" if shape is None else f"size as {kind}"
            raise InputError(
                f'the {what} of "{name}", made by {maker}, cannot be known before running; replace that operator, or '
                "profile the part of the network before it"
            )
        size = _ITEM_BYTES[kind]
        if elements(name, shape) > MOST:
            raise InputError(f'the tensor "{name}" has more than {MOST:g} elements; correct its shape')
        data = origin.data if origin is not None and origin.item_bytes == size else name
        dtype = _AS_NUMPY.get(kind, kind.lower())
        found[name] = Tensor(name, shape, size, "FLOAT" in kind or kind == "DOUBLE", data, dtype)

    for name in facts.inputs:
        add(name, "the input")
    for op in operations:
        origin = found[op.inputs[0]] if op.kind in _VIEWS and op.inputs else None
        for name in op.outputs:
            add(name, f'operator "{op.name}" ({op.kind})', origin)
    return found


def _weights(node: onnx.NodeProto, facts: Facts) -> tuple[tuple[str, float], ...]:
    """Return the name and the bytes of the constants that an operator reads, those of one number left out."""
    from dmcjia_opt.model.networks.onnx_shapes import type_name

    found = []
    for name in dict.fromkeys(node.input):
        if name in facts.constants and name in facts.types:
            count = math.prod(facts.shape(name) or ())
            if count > 1:
                found.append((name, count * _ITEM_BYTES.get(type_name(facts.types[name].tensor_type.elem_type), 4.0)))
    return tuple(found)


def _parameters(nodes: Sequence[onnx.NodeProto], operations: list[Operation], facts: Facts) -> int:
    """Return the elements of the constants that data meets: weights, not statistics, sizes or single numbers."""
    found: dict[str, int] = {}
    for op in operations:
        kept = _TRAINED.get(op.kind)
        for k, name in enumerate(nodes[op.index].input):
            if name in facts.constants and (k in kept if kept is not None else facts.floating(name)):
                found[name] = math.prod(facts.shape(name) or ())
    return sum(count for count in found.values() if count > 1)
