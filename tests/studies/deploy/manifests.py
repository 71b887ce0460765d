"""A manifest as a file, of one node and a server."""

from __future__ import annotations

HALVES = ("one.onnx", "two.onnx")
_TENSORS = {
    name: {"name": name, "shape": [1, width], "dtype": "float32"} for name, width in (("x", 8), ("r0", 256), ("y", 8))
}
MANIFEST = {
    "scenario": "one",
    "scenario_sha256": "0" * 64,
    "statistic": "mean",
    "delay": "tandem",
    "uplink": "delay",
    "networks": [
        {
            "name": "net",
            "model": "net.onnx",
            "layers": [{"name": "m0", "macs": 2048.0}, {"name": "m1", "macs": 2048.0}],
            "inputs": [_TENSORS["x"]],
            "outputs": [_TENSORS["y"]],
        }
    ],
    "halves": [
        {"file": file, "model": "net.onnx", "start": k, "end": k + 1, "inputs": [_TENSORS[a]], "outputs": [_TENSORS[b]]}
        for k, (file, a, b) in enumerate(zip(HALVES, ("x", "r0"), ("r0", "y"), strict=True))
    ],
    "nodes": [
        {
            "name": "gate",
            "model": "net.onnx",
            "device": "",
            "arrival_rate": 20.0,
            "arrivals_scv": 1.0,
            "planned_s": 0.03,
            "cuts": [{"split": 1, "bytes": 1024.0, "tensors": [_TENSORS["r0"]]}],
            "stages": [
                {
                    "stage": "device",
                    "slot": "edge",
                    "service_s": 0.01,
                    "planned_s": 0.01,
                    "waits": True,
                    "half": "one.onnx",
                },
                {"stage": "uplink", "slot": "uplink", "service_s": 0.01, "planned_s": 0.01, "waits": False, "cut": 1},
                {
                    "stage": "cloud",
                    "slot": "first server",
                    "service_s": 0.01,
                    "planned_s": 0.01,
                    "share": 0.5,
                    "waits": True,
                    "sharing": "reserved",
                    "half": "two.onnx",
                },
            ],
        }
    ],
    "servers": [{"name": "cloud", "compute_gflops": 1.0, "device": ""}],
    "links": [{"name": "cell", "mbps": 1.0}],
}
