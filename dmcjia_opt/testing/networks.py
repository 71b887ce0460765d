"""A small ONNX network and a fleet that runs it, for examples and trials."""

from __future__ import annotations

from pathlib import Path

from dmcjia_opt.base.files import write_text

_SMALL = """
<ir_version: 8, opset_import: ["" : 17]>
small (float[1, 64] x) => (float[1, 4] y) {
  wide = Constant <value_ints = [64, 16]> ()
  v = ConstantOfShape (wide)
  a = MatMul (x, v)
  b = Relu (a)
  narrow = Constant <value_ints = [16, 4]> ()
  w = ConstantOfShape (narrow)
  y = MatMul (b, w)
}
"""
_FLEET = """
[cloud]
compute_gflops = 0.001

[options]
delay = "tandem"

[[nodes]]
name = "gate"
model = "small.onnx"
compute_gflops = 0.0001
uplink_mbps = 0.5
arrival_rate = 20.0

[[nodes]]
name = "yard"
model = "small.onnx"
compute_gflops = 0.0002
uplink_mbps = 0.1
arrival_rate = 20.0
"""


def write_small(path: str | Path) -> Path:
    """Write a network of two matrices with a ReLU between them as ONNX, and return where it is.

    Examples
    --------
    >>> from dmcjia_opt.testing.networks import write_small
    >>> write_small("small.onnx").name
    'small.onnx'
    """
    import onnx
    import onnx.parser

    onnx.save(onnx.parser.parse_model(_SMALL), str(path))
    return Path(path)


def small_fleet(path: str | Path) -> Path:
    """Write a scenario of two nodes that run such a network, the network beside it, and return where it is.

    Examples
    --------
    >>> from dmcjia_opt import load_scenario
    >>> from dmcjia_opt.testing.networks import small_fleet
    >>> load_scenario(small_fleet("fleet.toml"))
    Scenario("fleet", 2 nodes running small, cloud 0.001 GFLOP/s, delay='tandem')
    """
    path = Path(path)
    write_small(path.with_name("small.onnx"))
    write_text(path, _FLEET.lstrip())
    return path
