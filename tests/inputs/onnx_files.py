"""ONNX files made invalid: fields of the protobuf changed by reflection, or its bytes damaged."""

from __future__ import annotations

import numpy as np
from onnx import GraphProto, ModelProto, TensorProto, defs, helper, numpy_helper

from tests.inputs.mutations import TEXTS, damaged
from tests.model.networks.onnx_models import Builder, residual_block

DIMS = (-1, 0, 1, 2, 3, 7, -(2**31), 2**31, 2**40, 2**62, -(2**63), 2**63 - 1)
MS = "com.microsoft"
_KINDS = sorted({schema.name for schema in defs.get_all_schemas()})


def computed_shapes() -> ModelProto:
    """Return a model whose shapes follow from constants: Shape, Gather, Concat, Reshape, Expand, Range, Slice."""
    b = Builder()
    b.input("x", [1, 4, 8, 8])
    b.add("Conv", ["x", b.random("w", 8, 4, 3, 3)], "c", pads=[1] * 4)
    b.add("Shape", ["c"], "s")
    b.add("Gather", ["s", b.values("zero", [0])], "n")
    b.add("Concat", ["n", b.values("rest", [8, 64])], "to", axis=0)
    b.add("Reshape", ["c", "to"], "r")
    b.add("ConstantOfShape", [b.values("long", [8])], "k")
    b.add("Expand", ["k", b.values("wide", [8])], "e")
    b.add("Cast", ["e"], "f", to=TensorProto.INT64)
    b.add("Range", [b.values("from", 0), b.values("until", 8), b.values("step", 1)], "g")
    b.add("Add", ["f", "g"], "h")
    b.add("Gather", ["r", "h"], "q", axis=1)
    b.add("MatMul", ["q", b.random("m", 64, 10)], "y")
    b.output("y", [1, 8, 10])
    return b.model()


def with_subgraphs() -> ModelProto:
    """Return a model with an If whose branches capture a tensor, and a local function."""
    b = Builder()
    b.input("x", [1, 4])
    b.add("MatMul", ["x", b.random("w", 4, 4)], "c")
    b.weights.append(numpy_helper.from_array(np.array(True), "yes"))
    out = helper.make_tensor_value_info("o", TensorProto.FLOAT, [1, 4])
    branches = {
        f"{name}_branch": helper.make_graph([helper.make_node(kind, ["c"], ["o"])], name, [], [out])
        for name, kind in (("then", "Relu"), ("else", "Neg"))
    }
    b.nodes.append(helper.make_node("If", ["yes"], ["i"], name="i", **branches))
    b.add("Twice", ["i"], "t", domain="own")
    b.add("MatMul", ["t", b.random("v", 4, 3)], "y")
    b.output("y", [1, 3])
    model = b.model(domains=["own"])
    body = [helper.make_node("Add", ["a", "a"], ["b"]), helper.make_node("Relu", ["b"], ["z"])]
    model.functions.append(helper.make_function("own", "Twice", ["a"], ["z"], body, [helper.make_opsetid("", 17)]))
    return model


def recurrent() -> ModelProto:
    """Return a model of many kinds of operators: LSTM, Gemm, Einsum, Split, attention by hand."""
    b = Builder()
    b.input("x", [5, 1, 4])
    b.add("LSTM", ["x", b.random("w", 1, 12, 4), b.random("r", 1, 12, 3)], "l", hidden_size=3)
    b.add("Squeeze", ["l", b.values("axis", [1])], "s")
    b.add("Transpose", ["s"], "t", perm=[1, 0, 2])
    b.add("Einsum", ["t", "t"], "e", equation="bij,bkj->bik")
    b.add("Softmax", ["e"], "p")
    b.add("MatMul", ["p", "t"], "a")
    b.add("Split", ["a", b.values("parts", [2, 3])], "u", outputs=2, axis=1)
    b.add("Flatten", ["u"], "f")
    b.add("Gemm", ["f", b.random("g", 6, 2)], "y")
    b.output("y", [1, 2])
    return b.model()


def of_the_runtime() -> ModelProto:
    """Return a model of onnxruntime's operators, a Scan, a Loop and an open size, with stale types written down."""
    b = Builder()
    b.input("x", [1, 6, 8])
    b.input("once", [1])
    b.add("Attention", ["x", b.random("w", 8, 24), b.random("wb", 24)], "a", domain=MS, num_heads=2)
    b.add("SkipLayerNormalization", ["a", "x", b.random("g", 8)], "n", domain=MS)
    b.add(
        "DynamicQuantizeMatMul",
        ["n", b.values("q", np.ones((8, 8)), np.uint8), b.values("s", 0.5, np.float32)],
        "d",
        domain=MS,
    )
    value = helper.make_tensor_value_info
    state, step, out = (value(name, TensorProto.FLOAT, [1, 8]) for name in ("h", "t", "o"))
    parts = [helper.make_node("MatMul", ["h", "v"], ["hv"]), helper.make_node("Add", ["hv", "t"], ["o"])]
    body = helper.make_graph(parts, "body", [state, step], [out])
    b.random("v", 8, 8)
    b.add(
        "Scan",
        [b.values("zero", np.zeros((1, 8)), np.float32), "d"],
        "r",
        num_scan_inputs=1,
        scan_input_axes=[1],
        body=body,
    )
    go = [value(name, TensorProto.BOOL, []) for name in ("go", "on")]
    parts = [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("FastGelu", ["l"], ["m"], domain=MS)]
    around = value("l", TensorProto.FLOAT, [1, 8]), value("m", TensorProto.FLOAT, [1, 8])
    count = value("i", TensorProto.INT64, [])
    body = helper.make_graph(parts, "again", [count, go[0], around[0]], [go[1], around[1]])
    b.add("Loop", [b.values("times", 3), "", "r"], "y", body=body)
    b.output("y", [1, 8])
    model = b.model(domains=[MS])
    model.graph.value_info.append(value("n", TensorProto.FLOAT, [1, 9, 8]))
    return model


MODELS = (lambda: residual_block().model(), computed_shapes, with_subgraphs, recurrent, of_the_runtime)


def _messages(message, found: list) -> list:
    found.append(message)
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for each in value if field.is_repeated else [value]:
                _messages(each, found)
    return found


def _scalar(field, rng: np.random.Generator, names: list[str]):
    if field.type == field.TYPE_STRING:
        if rng.random() < 0.6:
            return str(rng.choice(names))
        return str(TEXTS[rng.integers(len(TEXTS))]).encode("utf-8", "replace").decode()
    if field.type == field.TYPE_BYTES:
        return bytes(rng.integers(0, 256, int(rng.choice([0, 1, 8, 1000])), dtype=np.uint8))
    if field.type in (field.TYPE_FLOAT, field.TYPE_DOUBLE):
        return float(rng.choice([0, -1, 1e30, np.nan, np.inf, -np.inf, 0.5]))
    if field.type == field.TYPE_ENUM:
        return int(rng.choice([value.number for value in field.enum_type.values]))
    small = field.type in (field.TYPE_INT32, field.TYPE_UINT32)
    value = int(rng.integers(0, 30)) if rng.random() < 0.4 else int(DIMS[rng.integers(len(DIMS))])
    unsigned = field.type in (field.TYPE_UINT32, field.TYPE_UINT64)
    value = abs(value) if unsigned else value
    return max(min(value, 2**31 - 1), -(2**31)) if small else value


def mutated_model(model: ModelProto, rng: np.random.Generator) -> ModelProto:
    """Return the model with one to four fields changed."""
    for _ in range(int(rng.integers(1, 5))):
        messages = _messages(model, [])
        names = [text for node in model.graph.node for text in (*node.input, *node.output)] or ["x"]
        kind = rng.integers(8)
        if kind == 0 and model.graph.node:
            node = model.graph.node[rng.integers(len(model.graph.node))]
            node.op_type = str(rng.choice(_KINDS))
        elif kind == 1 and model.graph.initializer:
            tensor = model.graph.initializer[rng.integers(len(model.graph.initializer))]
            del tensor.dims[:]
            tensor.dims.extend(int(DIMS[k]) for k in rng.integers(len(DIMS), size=int(rng.integers(0, 6))))
        elif kind == 2 and model.graph.initializer:
            tensor = model.graph.initializer[rng.integers(len(model.graph.initializer))]
            values = rng.choice(DIMS, size=int(rng.integers(1, 5)))
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.int64), tensor.name))
        elif kind == 3 and model.graph.initializer:
            tensor = model.graph.initializer[rng.integers(len(model.graph.initializer))]
            tensor.data_location = TensorProto.EXTERNAL
            entry = tensor.external_data.add()
            entry.key, entry.value = "location", str(rng.choice(["../../../etc/passwd", "/dev/zero", "w.bin", ""]))
        else:
            _change(messages[rng.integers(len(messages))], rng, names)
    return model


def _change(message, rng: np.random.Generator, names: list[str]) -> None:
    fields = list(message.DESCRIPTOR.fields)
    present = [field for field, _ in message.ListFields()]
    field = (present or fields)[rng.integers(len(present or fields))] if rng.random() < 0.8 else None
    field = fields[rng.integers(len(fields))] if field is None else field
    if field.is_repeated:
        values = getattr(message, field.name)
        what = rng.integers(4)
        if what == 0 and len(values):
            del values[int(rng.integers(len(values)))]
        elif field.type == field.TYPE_MESSAGE:
            if what == 1 and len(values):
                values.add().CopyFrom(values[int(rng.integers(len(values)))])
            elif what == 2:
                values.add()
            elif len(values):
                values[int(rng.integers(len(values)))].Clear()
        elif what == 1 and len(values):
            values[int(rng.integers(len(values)))] = _scalar(field, rng, names)
        else:
            values.append(_scalar(field, rng, names))
    elif field.type == field.TYPE_MESSAGE:
        if rng.random() < 0.5:
            message.ClearField(field.name)
        else:
            getattr(message, field.name).SetInParent()
    elif rng.random() < 0.2:
        message.ClearField(field.name)
    else:
        setattr(message, field.name, _scalar(field, rng, names))


def content(rng: np.random.Generator) -> bytes:
    """Return the bytes of a mutated model."""
    model = MODELS[rng.integers(len(MODELS))]()
    kind = rng.random()
    if kind < 0.8:
        model = mutated_model(model, rng)
    raw: bytes = model.SerializeToString()
    while kind > 0.75 and rng.random() < 0.6:
        raw = damaged(raw, rng)
    return raw


def _field(number: int, content: bytes) -> bytes:
    """Return a field of the protobuf wire format that holds bytes, or a message."""
    size, n = b"", len(content)
    while n >= 0x80:
        size += bytes([n & 0x7F | 0x80])
        n >>= 7
    return bytes([number << 3 | 2]) + size + bytes([n]) + content


def nested(depth: int) -> bytes:
    """Return a model whose If holds an If, and so on."""
    graph = GraphProto(node=[helper.make_node("Relu", ["x"], ["o"])], name="innermost").SerializeToString()
    node = helper.make_node("If", ["yes"], ["o"]).SerializeToString()
    for _ in range(depth):
        branch = _field(1, b"then_branch") + _field(6, graph) + b"\xa0\x01\x05"  # its type is GRAPH
        graph = _field(1, node + _field(5, branch)) + _field(2, b"outer")
    b = Builder()
    b.input("x", [1])
    b.output("o", [1])
    b.weights.append(numpy_helper.from_array(np.array(True), "yes"))
    return b.model().SerializeToString() + _field(7, graph)


def exploding(levels: int) -> ModelProto:
    """Return a model of functions each of which calls the one before twice, 2^levels operators in all."""
    b = Builder()
    b.input("x", [1])
    b.add(f"F{levels - 1}", ["x"], "y", domain="own")
    b.output("y", [1])
    model = b.model(domains=["own"])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    for k in range(levels):
        kind, domain = (f"F{k - 1}", "own") if k else ("Relu", "")
        body = [helper.make_node(kind, [a], [z], domain=domain) for a, z in (("a", "b"), ("b", "z"))]
        model.functions.append(helper.make_function("own", f"F{k}", ["a"], ["z"], body, opsets))
    return model


def renumbered(rng: np.random.Generator) -> bytes:
    """Return the bytes of a model of which nothing but numbers is changed: sizes, attributes, constants."""
    model = MODELS[rng.integers(len(MODELS))]()
    for _ in range(int(rng.integers(1, 4))):
        found = [(message, field) for message in _messages(model, []) for field in _numbers(message)]
        message, field = found[rng.integers(len(found))]
        if field.is_repeated:
            values = getattr(message, field.name)
            values[int(rng.integers(len(values)))] = _scalar(field, rng, [])
        else:
            setattr(message, field.name, _scalar(field, rng, []))
    raw: bytes = model.SerializeToString()
    return raw


def _numbers(message) -> list:
    other = ("TYPE_STRING", "TYPE_BYTES", "TYPE_ENUM", "TYPE_MESSAGE")
    return [f for f, _ in message.ListFields() if f.type not in [getattr(f, kind) for kind in other]]
