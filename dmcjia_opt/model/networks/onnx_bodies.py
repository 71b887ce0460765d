"""Operators that hold graphs: an If whose condition is not known, Loop and Scan.

A Loop or Scan does the work of its body as often as it runs. How often is read off the length of what a Scan goes
along, or the trip count of a Loop, or found by running the counters that its condition is made of; where that is not
known the body counts once, and a note says so. An If counts as the larger of its branches, with a note.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dmcjia_opt.model.networks.onnx_constants import add_weights
from dmcjia_opt.model.networks.onnx_facts import Facts, Work, shape_of
from dmcjia_opt.model.networks.onnx_graph import body_of, captured, made_by
from dmcjia_opt.model.networks.onnx_work import check_work, work_of

if TYPE_CHECKING:
    import onnx

#: What infers the nodes of a graph in place, and returns those that run: branches that are always taken, inlined.
Walk = Callable[[Sequence["onnx.NodeProto"], Facts], Sequence["onnx.NodeProto"]]
#: What tells how often a Loop runs that its condition ends: of its body, what its states begin with, and what is known.
Passes = Callable[["onnx.GraphProto", Mapping[str, str], Facts, Facts], int | None]
#: Exporters write such trip counts for loops that end by their condition.
_ENDLESS = 1 << 31
_ITEM_BYTES = 4.0


def understand(node: onnx.NodeProto, facts: Facts, walk: Walk, passes: Passes) -> dict[str, onnx.TypeProto]:
    """Record the work of an operator that holds graphs; return the types of what it makes as its graphs show them."""
    found: dict[str, onnx.TypeProto] = {}
    work = None
    if node.op_type == "If":
        work, found = _either(node, facts, walk)
    elif node.op_type == "Loop":
        work, found = _loop(node, facts, walk, passes)
    elif node.op_type == "Scan":
        work, found = _scan(node, facts, walk)
    made = made_by(node)
    if work is not None and made:
        facts.work[made[0]] = replace(work, macs=check_work(node, work.macs))
    return found


def condition(node: onnx.NodeProto, facts: Facts) -> bool | None:
    """Return the condition of an If if it is known."""
    known = _known(node.input[0] if node.input else "", facts)
    return None if known is None else bool(known)


def _known(name: str, facts: Facts) -> int | None:
    """Return the one number that a constant holds, or None."""
    from onnx.numpy_helper import to_array

    if name not in facts.values:
        return None
    try:
        value = to_array(facts.values[name])
        return int(value.reshape(-1)[0]) if value.size == 1 else None
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return None


def _within(graph: onnx.GraphProto, facts: Facts) -> Facts:
    """Return the facts that a graph within an operator starts from."""
    from collections import ChainMap

    outside = [name for name in captured(graph) if name in facts.types]
    inner = Facts(
        (),
        {name: facts.types[name] for name in outside},
        {name: facts.values[name] for name in outside if name in facts.values},
        {name for name in outside if name in facts.constants},
        ChainMap({}, facts.large),
        ChainMap({}, facts.makers),
    )
    add_weights(list(graph.initializer), graph.sparse_initializer, inner)
    return inner


def _work_inside(graph: onnx.GraphProto, facts: Facts, walk: Walk, name: str) -> Work:
    """Return the work of a graph that runs once, its constants left out as at the top."""
    total, unknown, estimate = 0, Counter[str](), 0
    notes: list[str] = []
    weights: list[tuple[str, int, float, bool]] = [
        (f"{name}/{w.name}", math.prod(w.dims), math.prod(w.dims) * _ITEM_BYTES, facts.floating(w.name))
        for w in graph.initializer
    ]
    for node in walk(graph.node, facts):
        if all(made in facts.constants for made in made_by(node)):
            continue
        each = work_of(node, facts)
        total += each.macs
        unknown += each.unknown
        estimate += each.estimate
        notes += each.notes
        weights += [(f"{name}/{of}", *rest) for of, rest in ((w[0], w[1:]) for w in each.weights)]
    return Work(total, unknown, estimate, tuple(dict.fromkeys(notes)), tuple(weights))


def _either(node: onnx.NodeProto, facts: Facts, walk: Walk) -> tuple[Work | None, dict[str, onnx.TypeProto]]:
    found: list[tuple[Work, list[onnx.TypeProto | None]]] = []
    for name in ("then_branch", "else_branch"):
        graph = body_of(node, name)
        if graph is None or len(graph.output) != len(node.output):
            return None, {}
        inner = _within(graph, facts)
        work = _work_inside(graph, inner, walk, node.name)
        found.append((work, [inner.types.get(output.name) for output in graph.output]))
    larger = max(found, key=lambda each: (each[0].macs + each[0].estimate, _size(each[1])))
    same = found[0][0] == found[1][0] and [_shape(t) for t in found[0][1]] == [_shape(t) for t in found[1][1]]
    said = f'the If "{node.name}" counts as the larger of its branches: which one it takes is known only when it runs'
    work = replace(larger[0], notes=(*larger[0].notes, *([] if same else [said])))
    return work, {name: kind for name, kind in zip(node.output, larger[1], strict=True) if name and kind is not None}


def _shape(kind: onnx.TypeProto | None) -> tuple[int, ...] | None:
    return None if kind is None else shape_of(kind)


def _size(kinds: Sequence[onnx.TypeProto | None]) -> int:
    return sum(math.prod(shape) for shape in map(_shape, kinds) if shape is not None)


def _times(work: Work, trips: int) -> Work:
    return replace(work, macs=work.macs * trips, estimate=work.estimate * trips)


def _loop(
    node: onnx.NodeProto, facts: Facts, walk: Walk, passes: Passes
) -> tuple[Work | None, dict[str, onnx.TypeProto]]:
    from onnx import TensorProto
    from onnx.helper import make_tensor_type_proto
    from onnx.numpy_helper import from_array

    body = body_of(node, "body")
    carried = list(node.input[2:])
    if body is None or len(body.input) != 2 + len(carried) or len(body.output) != 1 + len(node.output):
        return None, {}
    import numpy as np

    inner = _within(body, facts)
    number, go, *states = [value.name for value in body.input]
    inner.types[number] = make_tensor_type_proto(TensorProto.INT64, [])
    inner.types[go] = make_tensor_type_proto(TensorProto.BOOL, [])
    begins = True if len(node.input) < 2 or not node.input[1] else _known(node.input[1], facts)
    if begins:  # if the body makes "go on" of "go on", it always does
        inner.values[go] = from_array(np.array(True), go)
        inner.constants.add(go)
    for state, outside in zip(states, carried, strict=True):
        if outside in facts.types:
            inner.types[state] = facts.types[outside]
    work = _work_inside(body, inner, walk, node.name)
    most = _known(node.input[0], facts) if node.input and node.input[0] else None
    exact = bool(begins) and _known(body.output[0].name, inner) == 1
    if begins and not exact and (ended := passes(body, dict(zip(states, carried, strict=True)), facts, inner)):
        most, exact = ended if most is None else min(most, ended), True
    if begins is not None and not begins:
        trips: int | None = 0
    else:
        trips = max(most, 0) if most is not None and most < _ENDLESS else None
    notes = list(work.notes)
    if trips is None:
        notes.append(f'the Loop "{node.name}" counts as one pass of its body: how often it runs is not known')
    elif trips and not exact:
        notes.append(f'the Loop "{node.name}" counts as {trips:,} passes, the most that it may make')
    made = [inner.types.get(output.name) for output in body.output[1:]]
    found = {}
    for k, (name, kind) in enumerate(zip(node.output, made, strict=True)):
        if not name or kind is None:
            continue
        if k < len(carried):
            if carried[k] in facts.types and shape_of(kind) == facts.shape(carried[k]):
                found[name] = kind
        elif trips is not None and exact and (shape := shape_of(kind)) is not None:
            found[name] = make_tensor_type_proto(kind.tensor_type.elem_type, [trips, *shape])
    return replace(_times(work, 1 if trips is None else trips), notes=tuple(notes)), found


def _scan(node: onnx.NodeProto, facts: Facts, walk: Walk) -> tuple[Work | None, dict[str, onnx.TypeProto]]:
    from onnx.helper import make_tensor_type_proto

    body = body_of(node, "body")
    numbers = {a.name: a.i for a in node.attribute if a.name == "num_scan_inputs"}
    lists = {a.name: list(a.ints) for a in node.attribute}
    along = numbers.get("num_scan_inputs", 0)
    carried = len(node.input) - along
    if body is None or not 0 < along <= len(node.input) or len(body.input) != len(node.input):
        return None, {}  # the Scan of ONNX 1.3 has an input more
    inner = _within(body, facts)
    axes = lists.get("scan_input_axes") or [0] * along
    lengths = set()
    for k, (value, outside) in enumerate(zip(body.input, node.input, strict=True)):
        shape = facts.shape(outside)
        if shape is None:
            return None, {}
        if k >= carried:
            axis = axes[k - carried] if k - carried < len(axes) else 0
            if not -len(shape) <= axis < len(shape):
                return None, {}
            lengths.add(shape[axis])
            shape = tuple(size for place, size in enumerate(shape) if place != axis % len(shape))
        inner.types[value.name] = make_tensor_type_proto(facts.types[outside].tensor_type.elem_type, list(shape))
    if len(lengths) != 1 or len(body.output) != len(node.output):
        return None, {}
    (length,) = lengths
    work = _times(_work_inside(body, inner, walk, node.name), length)
    placed = lists.get("scan_output_axes") or [0] * (len(body.output) - carried)
    found = {}
    for k, (name, output) in enumerate(zip(node.output, body.output, strict=True)):
        kind = inner.types.get(output.name)
        made = None if kind is None else shape_of(kind)
        if not name or kind is None or made is None:
            continue
        if k >= carried:
            axis = placed[k - carried] if k - carried < len(placed) else 0
            axis = axis + len(made) + 1 if axis < 0 else axis
            made = (*made[:axis], length, *made[axis:])
        found[name] = make_tensor_type_proto(kind.tensor_type.elem_type, list(made))
    return work, found
