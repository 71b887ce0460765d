"""The inputs of an ONNX model: which of them are data, weights or known values, and how large the data is.

A shape that the user gives also binds the symbols of its dimensions, for the other inputs and for what the file says
of the tensors within. What a file says of them in numbers may be of other inputs (exporters write it down, editors
leave it behind): where an input was open it is not believed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.suggesting import did_you_mean
from dmcjia_opt.model.networks.given import Given
from dmcjia_opt.model.networks.onnx_graph import kind_of, made_by, reads_of, subgraphs

if TYPE_CHECKING:
    import onnx

_EXAMPLE = (1, 3, 224, 224)
_MOST_VALUES = 1 << 20
#: Which inputs of an operator can only be weights.
_WEIGHTS = {
    **dict.fromkeys(("Conv", "ConvTranspose", "ConvInteger", "PRelu", "LayerNormalization"), (1, 2)),
    **dict.fromkeys(("InstanceNormalization", "GroupNormalization", "RMSNormalization"), (1, 2)),
    "Gemm": (1, 2),
    "BatchNormalization": (1, 2, 3, 4),
    "QLinearConv": (1, 2, 3, 4, 5, 6, 7, 8),
    "QLinearMatMul": (1, 2, 3, 4, 5, 6, 7),
    **dict.fromkeys(("RNN", "GRU", "LSTM"), (1, 2, 3, 7)),
}
#: Which inputs of an operator may be weights where a model holds no weight at all.
_LIKELY = {
    **dict.fromkeys(("MatMul", "MatMulInteger"), (1,)),
    "Gather": (0,),
    **dict.fromkeys(("Add", "Sub", "Mul", "Div"), (0, 1)),
}
#: Operators that give a weight another form.
_FORMS = frozenset({"Cast", "DequantizeLinear", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})
_CALLED = re.compile(r"weight|bias|kernel|gamma|beta\b|(running|moving)_(mean|var)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """What comes into a model.

    Parameters
    ----------
    data
        Type of each input that data comes in through.
    weights
        Type of each input that is taken for a weight.
    values
        Value of each input that the user knows.
    declared
        What the file says of other tensors and can be believed, symbols bound.
    """

    data: dict[str, onnx.TypeProto]
    weights: dict[str, onnx.TypeProto]
    values: dict[str, onnx.TensorProto]
    declared: dict[str, onnx.TypeProto]


def known_names(graph: onnx.GraphProto) -> dict[str, tuple[str, ...]]:
    """Return the names that something can be said of, by the field of `Given`."""
    stored = {w.name for w in graph.initializer} | {s.values.name for s in graph.sparse_initializer}
    inputs = tuple(v.name for v in graph.input if v.name not in stored)
    symbols = dict.fromkeys(
        dim.dim_param for v in (*graph.input, *graph.value_info, *graph.output) for dim in _dims(v) if dim.dim_param
    )
    tensors = dict.fromkeys([*inputs, *(name for node in graph.node for name in made_by(node))])
    return {"input_shapes": inputs, "dims": tuple(symbols), "input_values": inputs, "outputs": tuple(tensors)}


def check_given(graph: onnx.GraphProto, given: Given) -> None:
    """Refuse what is said of a name that the model does not have.

    Raises
    ------
    InputError
        With the names there are.
    """
    known, said = known_names(graph), given.names()
    about = {
        "input_shapes": ("input", "to give a shape to; its inputs are"),
        "dims": ("open dimension", "to give a size to; those are"),
        "input_values": ("input", "to give a value to; its inputs are"),
        "outputs": ("tensor", "to end at; its last ones are"),
    }
    for of, (what, there) in about.items():
        for name in said[of]:
            if name and name not in known[of]:
                shown = ", ".join(known[of][-8:] if of == "outputs" else known[of][:20]) or "none"
                raise InputError(f'the model has no {what} "{name}"{did_you_mean(name, known[of])} {there} {shown}')
    if both := sorted(set(given.input_shapes) & set(given.input_values)):
        raise InputError(f'the input "{both[0]}" has a value given, which is not sent: leave its shape out')


def ended_at(graph: onnx.GraphProto, outputs: Sequence[str]) -> None:
    """Make a graph end at other tensors than its outputs."""
    from onnx import ValueInfoProto

    said = {v.name: v for v in (*graph.value_info, *graph.output)}
    kept = [said.get(name, ValueInfoProto(name=name)) for name in outputs]
    graph.value_info.extend(v for v in graph.output if v.name not in outputs)
    ends = [type(value).FromString(value.SerializeToString()) for value in kept]
    del graph.output[:]
    graph.output.extend(ends)


def inputs_of(graph: onnx.GraphProto, given: Given, reads: Mapping[int, Sequence[str]]) -> Inputs:
    """Return what comes into a model.

    Parameters
    ----------
    graph
        Its graph.
    given
        What the user says; the names are right.
    reads
        What each operator that the outputs need reads.

    Raises
    ------
    InputError
        If there is no input, one is open, or what is given does not fit.
    """
    from onnx.helper import make_tensor_type_proto

    stored = {w.name for w in graph.initializer} | {s.values.name for s in graph.sparse_initializer}
    every = [v for v in graph.input if v.name not in stored]
    named = {*given.input_shapes, *given.input_values}
    weights = _weights_among(graph, every, named, reads)
    inputs = [v for v in every if v.name not in weights]
    if not inputs:
        raise InputError("the model has no input")
    shapes = dict(given.input_shapes)
    names = [v.name for v in inputs if v.name not in given.input_values]
    if "" in shapes:
        if len(names) != 1:
            raise InputError(
                f"the model has {len(names)} inputs ({', '.join(names)}): name the one whose shape is given"
            )
        shapes[names[0]] = shapes.pop("")
    for value in inputs:
        if not value.type.HasField("tensor_type"):
            raise InputError(f'the input "{value.name}" is not a tensor; such models cannot be profiled')
        if value.name in shapes:
            _check_fits(value, shapes[value.name])
    symbols = _symbols(inputs, shapes, given.dims)
    data, values = {}, {}
    read = {name for names in reads.values() for name in names} | {o.name for o in graph.output}
    for value in inputs:
        if value.name not in read and _open([value]) and value.name not in shapes:
            continue  # nothing that the network ends at needs it, so its size does not matter
        element = value.type.tensor_type.elem_type
        if value.name in given.input_values:
            values[value.name] = _value_of(value, given.input_values[value.name], symbols)
        else:
            data[value.name] = make_tensor_type_proto(element, _shape_of(value, shapes.get(value.name), symbols))
    types = {v.name: v.type for v in every if v.name in weights}
    return Inputs(data, types, values, _declared(graph, symbols, bool(shapes or symbols) and _open(inputs)))


def _declared(graph: onnx.GraphProto, symbols: Mapping[str, int], opened: bool) -> dict[str, onnx.TypeProto]:
    """Return the types that a graph and those within it tell of tensors and that can be believed, symbols bound."""
    from onnx.helper import make_tensor_type_proto

    found: dict[str, onnx.TypeProto | None] = {}
    graphs = [graph]
    while graphs:
        part = graphs.pop()
        graphs += [inner for node in part.node for inner in subgraphs(node)]
        for value in (*part.value_info, *part.output):
            if not value.type.HasField("tensor_type") or not value.type.tensor_type.HasField("shape"):
                continue
            bound = [_size(dim, symbols) for dim in _dims(value)]
            if None in bound or (opened and not any(dim.dim_param for dim in _dims(value))):
                continue
            kind = make_tensor_type_proto(value.type.tensor_type.elem_type, bound)
            # graphs may call different tensors the same
            found[value.name] = kind if found.get(value.name, kind) == kind else None
    return {name: kind for name, kind in found.items() if kind is not None}


def _dims(value: onnx.ValueInfoProto) -> Sequence[onnx.TensorShapeProto.Dimension]:
    return value.type.tensor_type.shape.dim if value.type.HasField("tensor_type") else ()


def _size(dim: onnx.TensorShapeProto.Dimension, symbols: Mapping[str, int]) -> int | None:
    """Return the size of a dimension, or None if it is open; older exporters write 0 for open ones."""
    if dim.HasField("dim_value"):
        return dim.dim_value if dim.dim_value > 0 else None
    return symbols.get(dim.dim_param)


def _open(inputs: Sequence[onnx.ValueInfoProto]) -> bool:
    return any(
        not value.type.tensor_type.HasField("shape") or any(_size(dim, {}) is None for dim in _dims(value))
        for value in inputs
    )


def _written(value: onnx.ValueInfoProto, symbols: Mapping[str, int]) -> str:
    sizes = [_size(dim, symbols) for dim in _dims(value)]
    known = [str(size) if size else dim.dim_param or "?" for dim, size in zip(_dims(value), sizes, strict=True)]
    if not value.type.tensor_type.HasField("shape"):
        return "of unknown rank"
    return "x".join(known) or "a scalar"


def _check_fits(value: onnx.ValueInfoProto, shape: Sequence[int]) -> None:
    if not value.type.tensor_type.HasField("shape"):
        return
    said = [_size(dim, {}) for dim in _dims(value)]
    if len(shape) != len(said) or any(s not in (None, size) for s, size in zip(said, shape, strict=True)):
        given = "x".join(map(str, shape))
        raise InputError(f'the shape {given} does not fit the input "{value.name}", which is {_written(value, {})}')


def _symbols(
    inputs: Sequence[onnx.ValueInfoProto], shapes: Mapping[str, Sequence[int]], dims: Mapping[str, int]
) -> dict[str, int]:
    """Return the size of every symbol that is known.

    A symbol that is given two sizes by shapes names no size: some exporters call every open dimension "?" or "None".
    """
    found: dict[str, set[int]] = {}
    for value in inputs:
        for dim, size in zip(_dims(value), shapes.get(value.name, ()), strict=False):
            if dim.dim_param:
                found.setdefault(dim.dim_param, set()).add(size)
                if dims.get(dim.dim_param, size) != size:
                    raise InputError(
                        f'the shape given to input "{value.name}" has {size} for "{dim.dim_param}", which is given as '
                        f"{dims[dim.dim_param]}; leave one out"
                    )
    return {**{name: next(iter(sizes)) for name, sizes in found.items() if len(sizes) == 1}, **dims}


def _shape_of(value: onnx.ValueInfoProto, given: Sequence[int] | None, symbols: Mapping[str, int]) -> list[int]:
    if given is not None:
        return list(given)
    said = [_size(dim, symbols) for dim in _dims(value)]
    if not value.type.tensor_type.HasField("shape") or None in said:
        usual = _EXAMPLE if len(said) in (0, len(_EXAMPLE)) else [1] * len(said)
        example = "x".join(str(size or other) for size, other in zip(said or usual, usual, strict=True))
        symbol = next((dim.dim_param for dim in _dims(value) if dim.dim_param and dim.dim_param not in symbols), "")
        # what some exporters call every open dimension is no name
        or_dim = f" or --dim {symbol}=1" if symbol.strip("?") not in ("", "None") and "=" not in symbol else ""
        raise InputError(
            f'the shape of input "{value.name}" is open ({_written(value, symbols)}); give one, for '
            f"instance --input-shape {value.name}={example}{or_dim}, or in a scenario [profiles] input_shapes"
        )
    return [size for size in said if size is not None]


def _value_of(value: onnx.ValueInfoProto, given: Sequence[float], symbols: Mapping[str, int]) -> onnx.TensorProto:
    """Return the value that is given to an input as a tensor."""
    import numpy as np
    from onnx.helper import tensor_dtype_to_np_dtype
    from onnx.numpy_helper import from_array

    listed = not value.type.tensor_type.HasField("shape") or [_size(dim, symbols) for dim in _dims(value)] == [None]
    shape = [len(given)] if listed else _shape_of(value, None, symbols)
    count = math.prod(shape)
    if len(given) not in (1, count) or not 0 <= count <= _MOST_VALUES:
        raise InputError(
            f'the input "{value.name}", which is {_written(value, symbols)}, does not take {len(given)} '
            f"value{'s' if len(given) > 1 else ''}; give one for all its elements, or one each"
        )
    try:
        dtype = np.dtype(tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))
        numbers = np.array(given, dtype=np.float64)
        with np.errstate(all="ignore"):
            typed = numbers.astype(dtype)
        exact = dtype.kind not in "biu" or bool((typed.astype(np.float64) == numbers).all())
    except (KeyError, TypeError, ValueError):
        exact = False
    if not exact:
        shown = ", ".join(f"{number:g}" for number in given[:4])
        raise InputError(f'the input "{value.name}" takes no such value as {shown}: its type is another')
    full = np.broadcast_to(typed, count) if len(given) == 1 else typed
    return from_array(np.ascontiguousarray(full.reshape(shape)), value.name)


def _weights_among(
    graph: onnx.GraphProto,
    inputs: Sequence[onnx.ValueInfoProto],
    named: Collection[str],
    reads: Mapping[int, Sequence[str]],
) -> set[str]:
    """Return the inputs that are taken for weights: of fixed size, and read only where operators have their weights.

    Second factors and summands count as such places only where the input is called so, or the model holds no other
    weight; an input that the user says something of is data.
    """
    fixed = {
        v.name: v.name
        for v in inputs
        if v.name not in named
        and v.type.HasField("tensor_type")
        and v.type.tensor_type.HasField("shape")
        and all(_size(dim, {}) for dim in _dims(v))
    }
    if len(inputs) < 2 or not fixed:
        return set()
    rank = {v.name: len(_dims(v)) for v in inputs}
    holds_none = not any(math.prod(w.dims) > 1 and len(w.dims) > 1 for w in graph.initializer)
    certain: set[str] = set()
    taken: set[str] = set()
    refused = {o.name for o in graph.output}
    forms = dict(fixed)  # an input, and what is the same in another form
    for i in reads:
        node = graph.node[i]
        kind = kind_of(node)
        for k, name in enumerate(node.input):
            if name not in forms:
                continue
            origin = forms[name]
            if k == 0 and kind in _FORMS and all(other not in rank for other in node.input[1:]):
                forms[node.output[0]] = origin
                continue
            called = bool(_CALLED.search(origin))
            likely = k in _LIKELY.get(kind, ()) and _likely(kind, rank, node.input, k, rank[origin])
            if k in _WEIGHTS.get(kind, ()) or (called and likely):
                certain.add(origin)
            elif not (holds_none and likely):
                refused.add(origin)
            taken.add(origin)
        refused.update(forms[name] for name in reads_of(node) if name in forms and name not in node.input)
    refused.update(forms[o.name] for o in graph.output if o.name in forms)
    taken -= refused
    # of two inputs that meet in a product none is known to be a weight
    sure = bool(certain & taken) or len(taken) > 1
    return taken if sure and any(v.name not in taken for v in inputs) else set()


def _likely(kind: str, rank: Mapping[str, int], inputs: Sequence[str], place: int, mine: int) -> bool:
    """Return whether an input of rank `mine` is at a weight's place in an operator that takes data there too."""
    if kind in ("MatMul", "MatMulInteger", "Gather"):
        return mine == 2
    return mine <= 1 and all(name not in rank for k, name in enumerate(inputs) if k != place)
