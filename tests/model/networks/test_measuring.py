import re
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto

from dmcjia_opt.base.errors import BackendFailed, BackendMissing, InputError
from dmcjia_opt.base.machine import installing
from dmcjia_opt.model.networks import measuring
from dmcjia_opt.model.networks.cuts import take_cuts
from dmcjia_opt.model.networks.given import Given
from dmcjia_opt.model.networks.measured import Timed
from dmcjia_opt.model.networks.measuring import Measurement, measure
from dmcjia_opt.model.networks.onnx_ import read_onnx
from dmcjia_opt.model.networks.profile import LayerProfile
from tests.model.networks.onnx_models import Builder, branching, flattened, light, residual_block

QUICK = Measurement(repeats=1, warm_up=0, threads=1)


def layers_of(times):
    """Return the layers of the only network there."""
    (layers,) = times.seconds.values()
    return set(layers)


@pytest.fixture
def block(tmp_path):
    return read_onnx(residual_block().save(tmp_path / "net.onnx"))


@pytest.mark.parametrize("cuts", ["layers", "blocks", "all", "graph"])
def test_every_layer_of_the_profile_has_a_time(block, cuts):
    seen = []
    times = measure(block, " here ", cuts, QUICK, lambda done, total: seen.append((done, total)))
    profile = LayerProfile.of_network(block.network, cuts)
    seconds = times.of("here", profile)
    assert (seconds > 0).all()
    assert seen == [(k + 1, profile.n_layers) for k in range(profile.n_layers)]


@pytest.mark.parametrize("cuts", ["layers", "blocks", "all", "graph"])
def test_the_parts_run_one_after_the_other_compute_what_the_whole_does(block, cuts):
    rng = np.random.default_rng(1)
    known = {"x": rng.normal(size=(1, 4, 8, 8)).astype(np.float32)}
    whole = onnxruntime.InferenceSession(block.proto.SerializeToString(), providers=["CPUExecutionProvider"])
    (expected,) = whole.run(None, dict(known))
    names, found = set(known), take_cuts(block.network, cuts)
    for k, cut in enumerate(found):
        part = measuring._part(block, cut.operations, [op for later in found[k + 1 :] for op in later.operations])
        assert {v.name for v in part.graph.input} <= names
        session = onnxruntime.InferenceSession(part.SerializeToString(), providers=["CPUExecutionProvider"])
        made = [v.name for v in part.graph.output]
        known |= dict(zip(made, session.run(None, {v.name: known[v.name] for v in part.graph.input}), strict=True))
        names |= set(made)
    np.testing.assert_allclose(known["fc"], expected, rtol=1e-5)


def test_the_median_of_the_repeats_counts(block, monkeypatch):
    clock = iter([0.0, 5.0, 10.0, 11.0, 20.0, 22.0] * 4)
    monkeypatch.setattr(measuring.time, "perf_counter", lambda: next(clock))
    times = measure(block, "here", "layers", Measurement(repeats=3, warm_up=1))
    key = Timed("here", "net", LayerProfile.of_network(block.network).graph_id)
    assert times.seconds == {key: dict.fromkeys(("stem", "a", "b", "fc"), 2.0)}


def test_computed_shapes_and_open_inputs(tmp_path):
    b = flattened()
    del b.weights[:]
    for name, *shape in (("w", 5, 3, 3, 3), ("dense", 20, 7)):
        b.weight(name, *shape)  # in another file: measured as zeros
    b.values("first", 0)
    b.values("axes", [0])
    model = read_onnx(b.save(tmp_path / "net.onnx"), Given({"x": (2, 3, 4, 4)}))
    assert layers_of(measure(model, "here", "layers", QUICK)) == {"conv", "y"}


def test_weights_that_operators_make(tmp_path):
    model = read_onnx(light("squeezenet"))
    assert len(layers_of(measure(model, "here", "blocks", QUICK))) == 18


def test_subgraphs_that_capture_what_is_outside(tmp_path):
    model = read_onnx(branching().save(tmp_path / "net.onnx"))
    assert layers_of(measure(model, "here", "all", QUICK)) == {"m", "largest", "positive", "either"}


def test_tokens_are_fed_as_zeros(tmp_path):
    b = Builder()
    b.input("tokens", [1, 6], TensorProto.INT64)
    b.add("Gather", [b.random("table", 3, 16), "tokens"], "embedded")
    b.add("MatMul", ["embedded", b.random("w", 16, 8)], "y")
    b.output("y", [1, 6, 8])
    assert measure(read_onnx(b.save(tmp_path / "net.onnx")), "here", "all", QUICK).seconds


def test_what_cannot_run_is_named(tmp_path):
    b = Builder()
    b.input("x", [1, 4])
    b.add("Strange", ["x"], "s", domain="my.domain")
    b.add("MatMul", ["s", b.random("w", 6, 4)], "y")
    b.output("y", [1, 4])
    model = b.model(["my.domain"])
    model.graph.value_info.append(onnx.helper.make_tensor_value_info("s", TensorProto.FLOAT, [1, 6]))
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(BackendFailed, match=r'onnxruntime cannot run layer "y": .*Strange'):
        measure(read_onnx(tmp_path / "net.onnx"), "here", "layers", QUICK)


def test_nonsense_is_refused(block, monkeypatch):
    with pytest.raises(InputError, match="needs a name"):
        measure(block, "  ")
    for options in ({"repeats": 0}, {"warm_up": -1}, {"threads": -1}):
        with pytest.raises(InputError, match=next(iter(options))):
            Measurement(**options)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(BackendMissing, match=re.escape(installing("onnx"))):
        measure(block, "here")
