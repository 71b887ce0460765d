"""The nodes of an ONNX graph: what they read and make, checked text, functions and branches put in their places."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.limits import MOST_OPERATORS

if TYPE_CHECKING:
    import onnx

_MOST_DEPTH = 100


def kind_of(node: onnx.NodeProto) -> str:
    """Return the operator of a node, behind its domain if that is not ONNX's own."""
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}:{node.op_type}"


def subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """Yield the graphs that a node holds."""
    for attribute in node.attribute:
        yield from [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]


def body_of(node: onnx.NodeProto, attribute: str) -> onnx.GraphProto | None:
    """Return one graph of a node by the name of its attribute, or None."""
    return next((a.g for a in node.attribute if a.name == attribute and a.HasField("g")), None)


def reads_of(node: onnx.NodeProto) -> list[str]:
    """Return the tensors a node reads, those that its subgraphs capture from outside included."""
    found = [name for name in node.input if name]
    for graph in subgraphs(node):
        found += captured(graph)
    return list(dict.fromkeys(found))


def captured(graph: onnx.GraphProto) -> list[str]:
    """Return the tensors that a subgraph reads and does not make, in order."""
    own = {v.name for v in (*graph.input, *graph.initializer)} | {s.values.name for s in graph.sparse_initializer}
    found = []
    for node in graph.node:
        found += [name for name in reads_of(node) if name not in own]
        own.update(node.output)
    found += [o.name for o in graph.output if o.name not in own]
    return list(dict.fromkeys(found))


def made_by(node: onnx.NodeProto) -> list[str]:
    """Return the tensors a node makes."""
    return [name for name in node.output if name]


def name_nodes(nodes: Iterable[onnx.NodeProto]) -> None:
    """Give every node a name of its own: its own, or its first output's."""
    seen: set[str] = set()
    for i, node in enumerate(nodes):
        name = node.name or next(iter(made_by(node)), f"{node.op_type}_{i}")
        node.name = name if name not in seen else f"{name}#{i}"
        seen.add(node.name)


def check_text(graph: onnx.GraphProto | onnx.FunctionProto) -> None:
    """Refuse a graph with a name that is no text: protobuf hands those out as bytes.

    Raises
    ------
    InputError
        If there is one.
    """
    names: list[str | bytes] = [graph.name]
    if hasattr(graph, "initializer"):
        values = (*graph.input, *graph.output, *graph.value_info, *graph.initializer)
        names += [value.name for value in values] + [sparse.values.name for sparse in graph.sparse_initializer]
    else:
        names += [graph.domain, *graph.input, *graph.output]
    for node in graph.node:
        names += [node.name, node.op_type, node.domain, *node.input, *node.output, *(a.name for a in node.attribute)]
        for inner in subgraphs(node):
            check_text(inner)
    if any(isinstance(name, bytes) for name in names):
        raise InputError("a name in it is no text in UTF-8; the file is broken, export the model anew")


def check_origins(graph: onnx.GraphProto, reads: Sequence[Sequence[str]], order: Iterable[int]) -> None:
    """Refuse a graph in which two operators make a tensor, or nothing makes one that is read.

    Raises
    ------
    InputError
        If so.
    """
    made = Counter(name for node in graph.node for name in made_by(node))
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


def inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with its local functions inlined, unless they call each other without end or measure.

    Raises
    ------
    InputError
        If they do, or cannot be inlined.
    """
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
            total += counts.get(key, 1) + sum(count(graph.node, depth) for graph in subgraphs(node))
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


def branch_inlined(
    node: onnx.NodeProto, branch: onnx.GraphProto, taken: Collection[str]
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto], list[onnx.SparseTensorProto]]:
    """Return the nodes and the weights of the branch that an If always takes, to stand in its place.

    Parameters
    ----------
    node
        The If.
    branch
        One of its graphs.
    taken
        Names of the tensors there are; inner tensors of such a name get another.

    Raises
    ------
    InputError
        If the branch does not make as many tensors as the If.
    """
    from onnx.helper import make_node

    if len(branch.output) != len(node.output):
        raise InputError(f'a branch of operator "{node.name}" (If) does not make what it should; the graph is invalid')
    made = dict.fromkeys(name for part in branch.node for name in made_by(part))
    names: dict[str, str] = {}
    for inside, outside in zip(branch.output, node.output, strict=True):
        if outside and inside.name in made:
            names.setdefault(inside.name, outside)
    used = set(names.values())
    stored = [w.name for w in branch.initializer] + [s.values.name for s in branch.sparse_initializer]
    for name in (*made, *stored):
        new = name
        while name not in names and (new in taken or new in used):
            new = f"{node.name}/{new}"
        used.add(names.setdefault(name, new))
    nodes = [_renamed(part, names) for part in branch.node]
    weights = [renamed(weight, names[weight.name]) for weight in branch.initializer]
    sparse = []
    for each in branch.sparse_initializer:
        copy = type(each)()
        copy.CopyFrom(each)
        copy.values.name = names[each.values.name]
        sparse.append(copy)
    for part in nodes:
        part.name = f"{node.name}/{part.name or part.op_type}"
    for inside, outside in zip(branch.output, node.output, strict=True):
        inner = names.get(inside.name, inside.name)
        if outside and inner != outside:
            nodes.append(make_node("Identity", [inner], [outside], name=f"{node.name}/{outside}"))
    return nodes, weights, sparse


def _renamed(node: onnx.NodeProto, names: Mapping[str, str]) -> onnx.NodeProto:
    """Return a copy of a node with its tensors renamed, those that its subgraphs capture too."""
    copy = type(node)()
    copy.CopyFrom(node)
    copy.input[:] = [names.get(name, name) for name in node.input]
    copy.output[:] = [names.get(name, name) for name in node.output]
    for graph in subgraphs(copy):
        own = {v.name for v in (*graph.input, *graph.initializer)} | {s.values.name for s in graph.sparse_initializer}
        own |= {name for part in graph.node for name in made_by(part)}
        outer = {name: new for name, new in names.items() if name not in own}
        parts = [_renamed(part, outer) for part in graph.node]
        del graph.node[:]
        graph.node.extend(parts)
        for output in graph.output:
            output.name = outer.get(output.name, output.name)
    return copy


def renamed(tensor: onnx.TensorProto, name: str) -> onnx.TensorProto:
    """Return a copy of a tensor under another name."""
    from onnx import TensorProto

    copy = TensorProto()
    copy.CopyFrom(tensor)
    copy.name = name
    return copy
