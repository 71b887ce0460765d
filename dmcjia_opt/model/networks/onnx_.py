"""ONNX files read as graphs: shapes, MACs and what flows between operators.

A file is only parsed as protobuf: no weight is needed, and paths in it to external weights are never followed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dmcjia_opt.base.errors import BackendMissing, InputError
from dmcjia_opt.base.files import read_bytes
from dmcjia_opt.base.limits import MOST_OPERATORS
from dmcjia_opt.base.machine import installing
from dmcjia_opt.model.networks.given import Given
from dmcjia_opt.model.networks.graph import Network, Operation, Tensor, topological_order
from dmcjia_opt.model.networks.onnx_facts import Facts, Work, elements
from dmcjia_opt.model.networks.onnx_graph import (
    check_origins,
    check_text,
    inlined,
    kind_of,
    made_by,
    name_nodes,
    reads_of,
)
from dmcjia_opt.model.networks.onnx_work import work_of

if TYPE_CHECKING:
    import onnx

_MOST_VERSION = 10_000
_MOST_SHOWN = 5
_LFS = b"version https://git-lfs"
#: Operators whose output is their input, arranged or named in another way.
_VIEWS = frozenset({"Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Dropout"})
#: Those too, where scale and zero point are constants: the smaller input is sent for it.
_DEQUANTISING = frozenset({"DequantizeLinear", "com.microsoft:DequantizeLinear"})
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
        The parsed file, with local functions and the branches that are always taken inlined, and every node named.
    facts
        Types of all tensors, values of small constants, and which tensors are constant.
    known
        Names that something can be said of, by the field of `Given`.
    """

    network: Network
    proto: onnx.ModelProto
    facts: Facts
    known: Mapping[str, tuple[str, ...]]


def read_onnx(path: str | Path, given: Given | None = None, *, shared: Given | None = None) -> OnnxModel:
    """Read an ONNX file.

    Parameters
    ----------
    path
        The file.
    given
        What the user says of it: shapes of inputs that the file leaves open, for instance.
    shared
        What is said of several models: names that this one lacks are not an error, and `given` comes first.

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
        return _understood(model, path, given or Given(), shared or Given())
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _understood(model: onnx.ModelProto, path: Path, given: Given, shared: Given) -> OnnxModel:
    from onnx import TensorProto

    from dmcjia_opt.model.networks.onnx_inputs import check_given, ended_at, inputs_of, known_names
    from dmcjia_opt.model.networks.onnx_shapes import infer

    for part in (model.graph, *model.functions):
        check_text(part)
    if model.functions:
        model = inlined(model)
    graph = model.graph
    if len(graph.node) > MOST_OPERATORS:
        raise InputError(f"{len(graph.node):,} operators are refused; the most is {MOST_OPERATORS:,}")
    known = known_names(graph)
    check_given(graph, given)
    given = given.over(shared.among(known))
    if given.outputs:
        ended_at(graph, given.outputs)
    order, reads = _ordered(graph)
    inputs = inputs_of(graph, given, {i: reads[i] for i in order})
    facts = infer(model, order, inputs, _RANDOM)
    for name, kind in inputs.weights.items():  # as weights are stored whose values are elsewhere
        graph.initializer.add(
            name=name,
            data_type=kind.tensor_type.elem_type,
            dims=facts.shape(name),
            data_location=TensorProto.EXTERNAL,
        )
    order, reads = _ordered(graph)  # branches that are not taken are gone
    outputs = tuple(dict.fromkeys(o.name for o in graph.output if o.name not in facts.constants))
    read = {name for i in order for name in reads[i]} | set(outputs)
    flow = []
    for i in order:
        node = graph.node[i]
        flowing = tuple(name for name in reads[i] if name not in facts.constants)
        made = tuple(name for name in made_by(node) if name in read and name not in facts.constants)
        if made:
            flow.append(Operation(node.name, kind_of(node), flowing, made, 0, i))
    if not flow or not outputs:
        raise InputError("nothing depends on the input: every output is constant")
    tensors = _tensors(flow, facts)  # first, so that a shape that cannot be known is blamed on its maker
    work = [work_of(graph.node[op.index], facts) for op in flow]
    operations = [
        replace(
            op,
            macs=each.macs,
            counted=not each.unknown,
            weights=_weights(reads[op.index], each, facts),
            estimate=each.estimate,
        )
        for op, each in zip(flow, work, strict=True)
    ]
    network = Network(
        name=path.stem,
        operations=tuple(operations),
        tensors=tensors,
        inputs=facts.inputs,
        outputs=outputs,
        parameters=_parameters(graph.node, operations, work, facts),
        source=f"computed from {path.name}",
        notes=(*_on_weights(inputs.weights), *dict.fromkeys(note for each in work for note in each.notes)),
    )
    return OnnxModel(network, model, facts, known)


def _ordered(graph: onnx.GraphProto) -> tuple[list[int], list[list[str]]]:
    """Name every node; return those that the outputs need, in order, and what each reads."""
    name_nodes(graph.node)
    reads = [reads_of(node) for node in graph.node]
    order = topological_order(reads, [made_by(node) for node in graph.node], [o.name for o in graph.output])
    check_origins(graph, reads, order)
    return order, reads


def _on_weights(names: Iterable[str]) -> list[str]:
    if not (taken := list(names)):
        return []
    shown = ", ".join(f'"{name}"' for name in taken[:_MOST_SHOWN])
    more = f" and {len(taken) - _MOST_SHOWN} more" if len(taken) > _MOST_SHOWN else ""
    who = f"the inputs {shown}{more} count" if len(taken) > 1 else f"the input {shown} counts"
    return [f"{who} as weights, which are not sent: a shape given for one makes it data"]


def _tensors(operations: list[Operation], facts: Facts) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}

    def add(name: str, maker: str, before: Sequence[str] = (), origin: Tensor | None = None) -> None:
        kind, shape = facts.kind(name), facts.shape(name)
        if shape is None or kind not in _ITEM_BYTES:
            what = "shape" if shape is None else f"size as {kind}"
            raise InputError(
                f'the {what} of "{name}", made by {maker}, cannot be known before running; replace that operator, or '
                f"end the network before it, for instance with --outputs {','.join(before) or 'NAME'}"
            )
        size = _ITEM_BYTES[kind]
        elements(name, shape)
        data = origin.data if origin is not None and origin.item_bytes <= size else name
        dtype = _AS_NUMPY.get(kind, kind.lower())
        found[name] = Tensor(name, shape, size, "FLOAT" in kind or kind == "DOUBLE", data, dtype)

    for name in facts.inputs:
        add(name, "the input")
    for op in operations:
        origin = found[op.inputs[0]] if len(op.inputs) > 0 and _is_view(op) else None
        for name in op.outputs:
            add(name, f'operator "{op.name}" ({op.kind})', op.inputs, origin)
    return found


def _is_view(op: Operation) -> bool:
    """Return whether an operator's output is its input in another form, made of it without loss anywhere."""
    return op.kind in _VIEWS or (op.kind in _DEQUANTISING and len(op.inputs) == 1)


def _weights(reads: Iterable[str], work: Work, facts: Facts) -> tuple[tuple[str, float], ...]:
    """Return the name and the bytes of the constants that an operator reads, those of one number left out."""
    found = []
    for name in reads:
        if name in facts.constants and name in facts.types:
            count = math.prod(facts.shape(name) or ())
            if count > 1:
                found.append((name, count * _ITEM_BYTES.get(facts.kind(name), 4.0)))
    return (*found, *((name, size) for name, count, size, _ in work.weights if count > 1))


def _parameters(
    nodes: Sequence[onnx.NodeProto], operations: Sequence[Operation], work: Sequence[Work], facts: Facts
) -> int:
    """Return the elements of the constants that data meets: weights, not statistics, sizes or single numbers."""
    found: dict[str, int] = {}
    for op, each in zip(operations, work, strict=True):
        kept = _TRAINED.get(op.kind)
        node = nodes[op.index]
        for k, name in enumerate((*node.input, *(name for name in reads_of(node) if name not in node.input))):
            if name in facts.constants and (k in kept if kept is not None else facts.floating(name)):
                found[name] = math.prod(facts.shape(name) or ())
        found |= {name: count for name, count, _, floating in each.weights if floating}
    return sum(count for count in found.values() if count > 1)
