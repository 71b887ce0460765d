"""Shapes, MACs and bytes at cuts against an interpreter over onnxruntime, for files that others have made.

Those are the networks of the onnx wheel, and what onnxruntime's optimiser and quantiser make of ours.
"""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.model.networks.cuts import take_cuts
from dmcjia_opt.model.networks.onnx_ import read_onnx
from tests.inputs.onnx_files import of_the_runtime
from tests.model.networks.onnx_interpreter import Interpreted
from tests.model.networks.onnx_models import LIGHT, light, residual_block

QUICK = ("squeezenet", "shufflenet")


def agree(path, cuts="layers"):
    network, truth = read_onnx(path).network, Interpreted(path)
    assert network.total_macs == truth.macs()
    for name, tensor in network.tensors.items():
        assert tensor.shape == truth.arrays[name].shape
    found = take_cuts(network, cuts) if network.total_macs or cuts == "all" else ()
    done = set()
    for cut in found:
        done.update(op.name for op in cut.operations)
        assert cut.upload_bytes == truth.sent(cut.tensor_names)
        assert truth.suffices(cut.tensor_names, done)
    return network, len(found)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(path.stem.removeprefix("light_"), marks=[] if path.stem[6:] in QUICK else pytest.mark.slow)
        for path in sorted(LIGHT.glob("*.onnx"))
    ],
)
def test_light_networks(name):
    network, cuts = agree(light(name))
    assert cuts >= 8
    assert not network.cautions


@pytest.mark.slow
def test_everything_that_the_wheel_ships_and_onnxruntime_runs():
    root = Path(onnx.__file__).parent / "backend" / "test" / "data"
    agreed, refused, failed = 0, [], []
    for path in sorted(root.rglob("*.onnx")):
        if "light" in path.parts:
            continue
        try:
            read_onnx(path)
            Interpreted(path)
        except InputError as error:
            refused.append(str(error))
        except Exception as error:  # noqa: BLE001 - onnxruntime's own exceptions have no common base
            failed.append(type(error).__module__)
        else:
            agree(path, "all")
            agreed += 1
    assert agreed > 80
    assert all("onnxruntime" in module for module in failed)  # operators so old that it has none
    assert all("known before running" in said or "is open" in said for said in refused)  # text and sequences


@pytest.mark.parametrize("name", ["squeezenet", pytest.param("densenet121", marks=pytest.mark.slow)])
def test_what_onnxruntime_fuses_has_the_same_work(name, tmp_path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(tmp_path / "fused.onnx")
    onnxruntime.InferenceSession(str(light(name)), sess_options=options, providers=["CPUExecutionProvider"])
    network = read_onnx(tmp_path / "fused.onnx").network
    assert "com.microsoft:FusedConv" in {op.kind for op in network.operations}
    assert network.total_macs == read_onnx(light(name)).network.total_macs
    assert not network.cautions


class Samples(CalibrationDataReader):
    """Two random images to calibrate by."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.left = [{"x": rng.random((1, 4, 8, 8), dtype=np.float32)} for _ in range(2)]

    def get_next(self):
        return self.left.pop() if self.left else None


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("how", [QuantFormat.QOperator, QuantFormat.QDQ, None])
def test_what_onnxruntime_quantises_has_the_same_work(how, tmp_path):
    plain, path = residual_block().save(tmp_path / "net.onnx"), tmp_path / "quantised.onnx"
    if how is None:
        quantize_dynamic(plain, path, weight_type=QuantType.QUInt8)
    else:
        quantize_static(plain, path, Samples(), quant_format=how)
    network, _ = agree(path)
    assert network.total_macs == read_onnx(plain).network.total_macs
    assert not network.cautions
    if how is not None:  # eight channels of 8 by 8 cross as bytes, not as floats
        assert take_cuts(network)[0].upload_bytes == 8 * 8 * 8


def test_the_shapes_of_the_runtimes_own_operators(tmp_path):
    (tmp_path / "net.onnx").write_bytes(of_the_runtime().SerializeToString())
    network, truth = read_onnx(tmp_path / "net.onnx").network, Interpreted(tmp_path / "net.onnx")
    assert {name: tensor.shape for name, tensor in network.tensors.items()} == {
        name: truth.arrays[name].shape for name in network.tensors
    }
    # projections and attention; a product; six steps of a recurrence; its last state, three times through nothing
    assert network.total_macs == 6 * 8 * 24 + 2 * 6 * 6 * 8 + 6 * 64 + 6 * 64
