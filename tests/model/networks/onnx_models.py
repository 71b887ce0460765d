"""Small ONNX models, and ResNet34 and ShuffleNet, written with onnx.helper; weights have shapes but few have values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
#: Networks whose weights are left out, as the onnx package ships them.
LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"


def light(name):
    return LIGHT / f"light_{name}.onnx"


class Builder:
    """Collects nodes and weights."""

    def __init__(self, opset=OPSET):
        self.nodes, self.weights, self.inputs, self.outputs = [], [], [], []
        self.opset = opset

    def input(self, name, shape, kind=TensorProto.FLOAT):
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def output(self, name, shape=None, kind=TensorProto.FLOAT):
        self.outputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def values(self, name, numbers, dtype=np.int64):
        self.weights.append(numpy_helper.from_array(np.array(numbers, dtype=dtype), name))
        return name

    def weight(self, name, *shape, kind=TensorProto.FLOAT):
        """Add a weight whose values are in another file, which does not exist."""
        tensor = TensorProto(name=name, data_type=kind, dims=shape, data_location=TensorProto.EXTERNAL)
        tensor.external_data.add(key="location", value="/nowhere/weights.bin")
        self.weights.append(tensor)
        return name

    def random(self, name, *shape):
        """Add a weight with values, for models that run."""
        rng = np.random.default_rng(len(self.weights))
        self.weights.append(numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name))
        return name

    def add(self, kind, inputs, name, outputs=1, domain="", **attributes):
        made = [name if k == 0 else f"{name}:{k}" for k in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, made, name=name, domain=domain, **attributes))
        return name

    def conv(self, x, name, inputs, channels, kernel, *, stride=1, pad=0, groups=1):
        shape = (channels, inputs // groups, kernel, kernel)
        return self.add(
            "Conv",
            [x, self.weight(f"{name}.w", *shape)],
            name,
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[pad] * 4,
            group=groups,
        )

    def norm(self, x, channels):
        names = [self.weight(f"{x}.{part}", channels) for part in ("scale", "bias", "mean", "var")]
        return self.add("BatchNormalization", [x, *names], f"{x}.bn")

    def relu(self, x):
        return self.add("Relu", [x], f"{x}.relu")

    def model(self, domains=()):
        graph = helper.make_graph(self.nodes, "graph", self.inputs, self.outputs, self.weights)
        opsets = [helper.make_opsetid("", self.opset), *(helper.make_opsetid(d, 1) for d in domains)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)

    def save(self, path, domains=()):
        path.write_bytes(self.model(domains).SerializeToString())
        return path


def residual_block():
    """Input 1×4×8×8 → stem 8×8×8 → [3×3, ReLU, 3×3] + shortcut → pool → 10 classes; weights with values."""
    b = Builder()
    b.input("x", [1, 4, 8, 8])
    b.add("Conv", ["x", b.random("stem.w", 8, 4, 3, 3)], "stem", pads=[1] * 4)
    b.add("Relu", ["stem"], "entry")
    b.add("Conv", ["entry", b.random("a.w", 8, 8, 3, 3)], "a", pads=[1] * 4)
    b.add("Relu", ["a"], "middle")
    b.add("Conv", ["middle", b.random("b.w", 8, 8, 3, 3)], "b", pads=[1] * 4)
    b.add("Add", ["b", "entry"], "sum")
    b.add("GlobalAveragePool", ["sum"], "pool")
    b.add("Flatten", ["pool"], "flat")
    b.add("Gemm", ["flat", b.random("fc.w", 8, 10), b.random("fc.b", 10)], "fc")
    b.output("fc", [1, 10])
    return b


def foreign(path):
    """Write a network with an operator of somebody's own: 16 MACs that count, and at least 32 that do not."""
    b = Builder()
    b.input("x", [1, 4])
    b.add("MatMul", ["x", b.weight("w", 4, 4)], "m")
    b.add("Strange", ["m", b.weight("v", 4, 8)], "y", domain="own")
    b.output("y", [1, 8])
    return b.save(path, ["own"])


def two_branches():
    """A heavy branch on a small input, a cheap one that makes little of a large input, and what joins them."""
    b = Builder()
    x = b.input("small", [1, 16, 32, 32])
    for k in range(6):
        x = b.relu(b.conv(x, f"heavy{k}", 16 if k == 0 else 256, 256, 3, pad=1))
    heavy = b.add("Flatten", [b.add("GlobalAveragePool", [x], "heavy.pool")], "heavy.flat")
    y = b.relu(b.conv(b.input("large", [1, 3, 512, 512]), "cheap", 3, 4, 16, stride=16))
    cheap = b.add("Flatten", [b.add("MaxPool", [y], "cheap.pool", kernel_shape=[4, 4], strides=[4, 4])], "cheap.flat")
    b.add("Gemm", [b.add("Concat", [heavy, cheap], "joined", axis=1), b.weight("fc.w", 512, 10)], "fc")
    b.output("fc", [1, 10])
    return b


def resnet34():
    """ResNet34 as exporters write it: convolution, batch normalisation, ReLU, projections where channels change."""
    b = Builder()
    x = b.input("image", [1, 3, 224, 224])
    x = b.relu(b.norm(b.conv(x, "conv1", 3, 64, 7, stride=2, pad=3), 64))
    x = b.add("MaxPool", [x], "pool1", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    inputs = 64
    for stage, (channels, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3)), start=2):
        for block in range(1, blocks + 1):
            name = f"conv{stage}_{block}"
            stride = 2 if inputs != channels else 1
            y = b.relu(b.norm(b.conv(x, f"{name}a", inputs, channels, 3, stride=stride, pad=1), channels))
            y = b.norm(b.conv(y, f"{name}b", channels, channels, 3, pad=1), channels)
            if stride == 2:
                x = b.norm(b.conv(x, f"{name}p", inputs, channels, 1, stride=2), channels)
            x = b.relu(b.add("Add", [y, x], f"{name}+"))
            inputs = channels
    x = b.add("Flatten", [b.add("GlobalAveragePool", [x], "pool5")], "flat")
    b.add("Gemm", [x, b.weight("fc.w", 1000, 512), b.weight("fc.b", 1000)], "fc", transB=1)
    b.output("fc", [1, 1000])
    return b


def shufflenet(groups, channels):
    """ShuffleNet 1× (arXiv:1707.01083) with its channel shuffles; the first pointwise layer is not grouped."""
    b = Builder()
    x = b.input("image", [1, 3, 224, 224])
    x = b.relu(b.conv(x, "conv1", 3, 24, 3, stride=2, pad=1))
    x = b.add("MaxPool", [x], "pool1", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    inputs = 24
    for stage, units in ((2, 4), (3, 8), (4, 4)):
        out, side = channels * 2 ** (stage - 2), 56 // 2 ** (stage - 1)
        for unit in range(units):
            name, first = f"s{stage}u{unit}", unit == 0
            middle, g = out // 4, 1 if stage == 2 and first else groups
            y = b.relu(b.conv(x, f"{name}a", inputs, middle, 1, groups=g))
            here = side * 2 if first else side
            apart = b.values(f"{name}.apart", [1, g, middle // g, here, here])
            y = b.add("Transpose", [b.add("Reshape", [y, apart], f"{name}.r")], f"{name}.t", perm=[0, 2, 1, 3, 4])
            y = b.add("Reshape", [y, b.values(f"{name}.together", [1, middle, here, here])], f"{name}.shuffled")
            y = b.conv(y, f"{name}b", middle, middle, 3, stride=2 if first else 1, pad=1, groups=middle)
            y = b.conv(y, f"{name}c", middle, out - inputs if first else out, 1, groups=groups)
            if first:
                pooled = b.add("AveragePool", [x], f"{name}.p", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
                x = b.relu(b.add("Concat", [pooled, y], f"{name}.joined", axis=1))
            else:
                x = b.relu(b.add("Add", [x, y], f"{name}+"))
            inputs = out
    x = b.add("Flatten", [b.add("GlobalAveragePool", [x], "pool5")], "flat")
    b.add("Gemm", [x, b.weight("fc.w", inputs, 1000)], "fc")
    b.output("fc", [1, 1000])
    return b


def flattened(batch="n"):
    """Flatten by computed shapes, as exporters write it for an open batch."""
    b = Builder()
    b.input("x", [batch, 3, 4, 4])
    b.add("Conv", ["x", b.weight("w", 5, 3, 3, 3)], "conv")
    b.add("Shape", ["conv"], "shape")
    b.add("Gather", ["shape", b.values("first", 0)], "n")
    b.add("Unsqueeze", ["n", b.values("axes", [0])], "n.1")
    b.add("Constant", [], "rest", value=helper.make_tensor("rest", TensorProto.INT64, [1], [-1]))
    b.add("Concat", ["n.1", "rest"], "wanted", axis=0)
    b.add("Reshape", ["conv", "wanted"], "flat")
    b.add("MatMul", ["flat", b.weight("dense", 20, 7)], "y")
    b.output("y", [batch, 7])
    return b


def branching():
    """Do one of two things, by what is computed."""
    b = Builder()
    b.input("x", [1, 4])
    b.add("MatMul", ["x", b.weight("w", 4, 4)], "m")
    b.add("ReduceMax", ["m"], "largest", keepdims=0)
    b.add("Greater", ["largest", b.values("zero", 0.0, np.float32)], "positive")
    out = helper.make_tensor_value_info("o", TensorProto.FLOAT, [1, 4])
    yes = helper.make_graph([helper.make_node("Identity", ["m"], ["o"])], "yes", [], [out])
    no = helper.make_graph([helper.make_node("Neg", ["x"], ["o"])], "no", [], [out])
    b.add("If", ["positive"], "either", then_branch=yes, else_branch=no)
    b.output("either", [1, 4])
    return b
