"""Networks to take apart: those of the onnx wheel with weights that say something, and small ones with odd cuts."""

from __future__ import annotations

import os

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.model.networks.onnx_models import Builder

LIGHT = os.path.join(os.path.dirname(onnx.__file__), "backend", "test", "data", "light")
NAMES = sorted(name for name in os.listdir(LIGHT) if name.endswith(".onnx"))
MOST = 1 << 20


def weighted(name, path):
    """Save a light network whose constant weights, but for the largest, are random: a tensor lost or swapped shows."""
    model = onnx.load(os.path.join(LIGHT, name))
    shapes = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    kept = []
    variances = {node.input[4] for node in model.graph.node if node.op_type == "BatchNormalization"}
    rng = np.random.default_rng(len(model.graph.node))
    for node in model.graph.node:
        if node.op_type != "ConstantOfShape" or node.input[0] not in shapes:
            kept.append(node)
            continue
        shape = tuple(shapes[node.input[0]].tolist())
        if np.prod(shape) > MOST:
            kept.append(node)
            continue
        values = rng.normal(size=shape) / np.sqrt(max(np.prod(shape[1:]), 1.0))
        values = 1.0 + np.abs(values) if node.output[0] in variances else values
        model.graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), node.output[0]))
    del model.graph.node[:]
    model.graph.node.extend(kept)
    onnx.save(model, path)
    return path


def views():
    """Return a model whose second half reads a reshaped, transposed tensor, its shape computed from a device tensor."""
    b = Builder()
    b.input("x", [2, 4, 8, 8])
    b.add("Conv", ["x", b.random("a.w", 8, 4, 3, 3)], "a", pads=[1] * 4)
    b.add("Shape", ["a"], "s")
    b.add("Gather", ["s", b.values("two", [0, 1])], "n")
    b.add("Concat", ["n", b.values("rest", [-1])], "to", axis=0)
    b.add("Reshape", ["a", "to"], "flat")
    b.add("Transpose", ["flat"], "turned", perm=[0, 2, 1])
    b.add("MatMul", ["turned", b.random("m", 8, 5)], "c")
    b.add("MatMul", ["c", b.random("k", 5, 5)], "d")
    b.add("ReduceSum", ["turned", b.values("axes", [2])], "sum", keepdims=1)
    b.add("Add", ["d", "sum"], "y")
    b.output("y", [2, 64, 5])
    return b.model()


def counting_loop():
    """Return a model with a loop that counts to 3 itself, reads a device tensor in its body, and piles products up."""
    b = Builder()
    b.input("x", [2, 4])
    b.add("MatMul", ["x", b.random("a.w", 4, 4)], "a")
    b.add("MatMul", ["a", b.random("b.w", 4, 4)], "b")
    b.random("v", 4, 4)
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["h", "v"], ["m"]),
            helper.make_node("Add", ["m", "a"], ["next"]),
            helper.make_node("Add", ["at", "one"], ["after"]),
            helper.make_node("Less", ["after", "until"], ["on"]),
            helper.make_node("Identity", ["next"], ["kept"]),
        ],
        "body",
        [
            helper.make_tensor_value_info(*each)
            for each in (("i", 7, []), ("go", 9, []), ("at", 7, []), ("h", 1, [2, 4]))
        ],
        [helper.make_tensor_value_info(*each) for each in (("on", 9, []), ("after", 7, []), ("next", 1, [2, 4]))]
        + [helper.make_tensor_value_info("kept", 1, [2, 4])],
    )
    for name, number in (("begin", 0), ("one", 1), ("until", 3)):
        b.values(name, number)
    b.add("Loop", ["", "", "begin", "b"], "l", outputs=3, body=body)
    b.add("MatMul", ["l:2", b.random("c.w", 4, 5)], "y")
    b.output("y", [3, 2, 5])
    return b.model()


def two_inputs():
    """Return a model with two inputs, one of which both halves read, and two outputs, one of which is made early."""
    b = Builder()
    b.input("x", [1, 6])
    b.input("ids", [1, 3], TensorProto.INT64)
    b.add("MatMul", ["x", b.random("a.w", 6, 6)], "a")
    b.add("Gather", [b.random("table", 7, 6), "ids"], "e")
    b.add("Relu", ["a"], "early")
    b.add("MatMul", ["early", b.random("b.w", 6, 6)], "b")
    b.add("Add", ["b", "e"], "sum")
    b.add("Add", ["sum", "x"], "again")
    b.add("MatMul", ["again", b.random("c.w", 6, 2)], "late")
    b.output("early", [1, 6])
    b.output("late", [1, 3, 2])
    return b.model()


def with_state():
    """Return a model of two layers, each of which adds what it was told the last time."""
    b = Builder()
    b.input("x", [1, 4])
    name = "x"
    for layer in "ab":
        b.input(f"past_{layer}", [1, 4])
        b.add("MatMul", [name, b.random(f"{layer}.w", 4, 4)], f"m{layer}")
        b.add("Add", [f"m{layer}", f"past_{layer}"], f"now_{layer}")
        name = b.add("Relu", [f"now_{layer}"], "y" if layer == "b" else "between")
    b.output("y", [1, 4])
    b.output("now_a", [1, 4])
    b.output("now_b", [1, 4])
    return b.model()


def drawn_at_random():
    """Return a model that draws numbers, so that no two runs are alike."""
    b = Builder()
    b.input("x", [1, 4])
    b.add("MatMul", ["x", b.random("a.w", 4, 4)], "a")
    b.add("RandomNormalLike", ["a"], "noise")
    b.add("Add", ["a", "noise"], "n")
    b.add("MatMul", ["n", b.random("b.w", 4, 4)], "y")
    b.output("y", [1, 4])
    return b.model()


def beside():
    """Return a model whose weights lie beside it in w.bin, and those bytes."""
    b = Builder()
    b.input("x", [1, 4])
    b.add("MatMul", ["x", b.random("a.w", 4, 4)], "a")
    b.add("MatMul", ["a", b.random("b.w", 4, 4)], "y")
    b.output("y", [1, 4])
    model, content = b.model(), b""
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor).tobytes()
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", "w.bin"), ("offset", len(content)), ("length", len(values))):
            tensor.external_data.add(key=key, value=str(value))
        content += values
    return model, content


def chain(*shapes):
    """Return a model of matrix products with so many columns each, of a 1 x 8 input."""
    b = Builder()
    b.input("x", [1, 8])
    name, width = "x", 8
    for k, columns in enumerate(shapes):
        b.add("MatMul", [name, b.random(f"w{k}", width, columns)], f"m{k}")
        name = b.add("Relu", [f"m{k}"], f"r{k}")
        width = columns
    b.output(name, [1, width])
    return b.model()
