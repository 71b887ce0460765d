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
    "networks": [
        {
            "name": "net",
            "model": "net.onnx",
            "layers": [{"name": name, "macs": 2048.0} for name in ("m0", "m1", "m2")],
            "inputs": [_TENSORS["x"]],
            "outputs": [_TENSORS["y"]],
        }
    ],
    "halves": [
        {"file": file, "model": "net.onnx", "start": k, "end": n, "inputs": [_TENSORS[a]], "outputs": [_TENSORS[b]]}
        for file, k, n, a, b in zip(HALVES, (0, 1), (1, 3), ("x", "r0"), ("r0", "y"), strict=True)
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
    "servers": [{"name": "cloud", "device": ""}],
}
