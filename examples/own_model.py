"""A network of your own: an ONNX file, the cuts it allows, and where two different cameras cut it."""

import sys
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save_model

from dmcjia_opt import LayerProfile, Node, Scenario, solve

out = Path(*sys.argv[1:] or ["out"])
out.mkdir(parents=True, exist_ok=True)

nodes, weights, shape = [], [], (3, 128, 128)
for k, channels in enumerate((32, 64, 128, 256), start=1):
    kernel = np.zeros((channels, shape[0], 3, 3), dtype=np.float32)  # only its shape matters
    weights.append(numpy_helper.from_array(kernel, f"w{k}"))
    source = "image" if k == 1 else f"relu{k - 1}"
    nodes.append(helper.make_node("Conv", [source, f"w{k}"], [f"conv{k}"], f"conv{k}", strides=[2, 2], pads=[1] * 4))
    nodes.append(helper.make_node("Relu", [f"conv{k}"], [f"relu{k}"], f"relu{k}"))
    shape = (channels, shape[1] // 2, shape[2] // 2)
ends = [
    helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 128, 128]),
    helper.make_tensor_value_info("relu4", TensorProto.FLOAT, [1, *shape]),
]
graph = helper.make_graph(nodes, "small", ends[:1], ends[1:], weights)
save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), out / "small.onnx")

profile = LayerProfile.from_onnx(out / "small.onnx", upload_dtype="uint8")
for layer, macs, sent in zip(profile.layer_names, profile.macs, profile.output_bytes, strict=True):
    print(f"{layer}: {macs / 1e6:5.1f} MMAC, then {sent / 1e3:5.1f} kB to send")
common = {"model": "small", "compute_gflops": 2.0, "arrival_rate": 5.0}
fleet = [Node(name, uplink_mbps=mbps, **common) for name, mbps in (("wired", 100.0), ("radio", 4.0))]
plan = solve(Scenario(cloud_gflops=20.0, nodes=fleet, profiles={"small": profile}))
for name, split, delay in zip(plan.names, plan.splits, plan.delays.total, strict=True):
    print(f"{name} camera cuts after {split} of {profile.n_layers} layers: {1e3 * delay:.1f} ms")
