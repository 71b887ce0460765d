"""An interpreter of ONNX files over onnxruntime, to judge ours by: every tensor is computed, and MACs counted by it.

It knows nothing of the package: which tensors depend on the input it finds by itself, sizes are those of the arrays,
and the table of work is its own.
"""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, ValueInfoProto, helper, numpy_helper

#: How many products a sum that makes one number of the output has, from the arrays that come in; weights by shape.
_SUMS = {
    "Conv": lambda x, w, a: np.prod(w[1:]),
    "FusedConv": lambda x, w, a: np.prod(w[1:]),
    "ConvInteger": lambda x, w, a: np.prod(w[1:]),
    "QLinearConv": lambda x, w, a: np.prod(a["shapes"][3][1:]),
    "MatMul": lambda x, w, a: x[-1],
    "MatMulInteger": lambda x, w, a: x[-1],
    "DynamicQuantizeMatMul": lambda x, w, a: x[-1],
    "QLinearMatMul": lambda x, w, a: x[-1],
    "FusedMatMul": lambda x, w, a: x[-2] if a.get("transA") else x[-1],
    "Gemm": lambda x, w, a: x[0] if a.get("transA") else x[1],
    "QGemm": lambda x, w, a: x[0] if a.get("transA") else x[1],
}
#: A transposed convolution is a convolution the other way: each number that comes in meets the weights of its channel.
_FROM_INPUT = {"ConvTranspose"}
_VIEWS = {"Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Dropout", "DequantizeLinear"}


class Interpreted:
    """All tensors of a model that depend on its input, of one run on random numbers."""

    def __init__(self, path):
        model = onnx.load(path)
        self.nodes = list(model.graph.node)
        stored = {w.name: tuple(w.dims) for w in model.graph.initializer}
        inputs = [v for v in model.graph.input if v.name not in stored]
        self.outputs = [v.name for v in model.graph.output]
        self.flowing = {v.name for v in inputs}
        for node in self.nodes:
            if any(name in self.flowing for name in node.input) and node.op_type not in ("Shape", "Size"):
                self.flowing.update(node.output)
        wanted = [name for node in self.nodes for name in node.output if name in self.flowing and name]
        del model.graph.output[:]
        model.graph.output.extend(ValueInfoProto(name=name) for name in wanted)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), sess_options=options, providers=["CPUExecutionProvider"]
        )
        rng = np.random.default_rng(1)
        feed = {v.name: _random(v.type.tensor_type, rng) for v in inputs}
        self.arrays = {**feed, **dict(zip(wanted, session.run(None, feed), strict=True))}
        self.shapes = {**stored, **{name: array.shape for name, array in self.arrays.items()}}
        sizes = {w.name: numpy_helper.to_array(w) for w in model.graph.initializer if w.data_type == TensorProto.INT64}
        for node in self.nodes:  # weights that are filled or dequantised rather than stored
            if node.op_type == "DequantizeLinear":
                self.shapes.setdefault(node.output[0], self.shapes[node.input[0]])
            if node.op_type == "ConstantOfShape" and node.input[0] in sizes:
                self.shapes[node.output[0]] = tuple(int(size) for size in sizes[node.input[0]])

    def macs(self):
        """Return the multiply–accumulates by the true sizes."""
        total = 0
        for node in self.nodes:
            if node.output[0] in self.flowing:
                total += self._macs(node)
        return int(total)

    def _macs(self, node):
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        attributes["shapes"] = [self.shapes.get(name, ()) for name in node.input]
        if node.op_type in _FROM_INPUT:
            x, w = attributes["shapes"][:2]
            return np.prod(x) * np.prod(w[1:])
        if node.op_type not in _SUMS:
            return 0
        x = attributes["shapes"][0]
        # quantised operators have scale and zero point behind each matrix
        w = attributes["shapes"][1] if len(node.input) > 1 else ()
        return np.prod(self.shapes[node.output[0]]) * _SUMS[node.op_type](x, w, attributes)

    def sent(self, names):
        """Return the bytes of some tensors."""
        return sum(self.arrays[name].nbytes for name in names)

    def suffices(self, names, done):
        """Return whether all that nodes which are not in `done` read can be made of some tensors, views rebuilt."""
        there = set(names)
        for node in self.nodes:
            read = [name for name in node.input if name in self.flowing]
            if (node.name or node.output[0]) in done or not read:
                if node.op_type in _VIEWS and read and set(read) <= there:
                    there.update(node.output)
                continue
            if not set(read) <= there:
                return False
            there.update(node.output)
        return set(self.outputs) & self.flowing <= there


def _random(kind, rng):
    shape = tuple(dim.dim_value for dim in kind.shape.dim)
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(kind.elem_type))
    return rng.random(shape).astype(dtype) if dtype.kind == "f" else np.zeros(shape, dtype)
