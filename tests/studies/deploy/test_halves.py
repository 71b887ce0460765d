from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from dmcjia_opt.base.errors import BackendFailed, InputError
from dmcjia_opt.model.networks.cuts import take_cuts
from dmcjia_opt.model.networks.given import Given
from dmcjia_opt.model.networks.onnx_ import read_onnx
from dmcjia_opt.studies.deploy import halves
from dmcjia_opt.studies.deploy.halves import Divisible
from tests.studies.deploy.networks import (
    NAMES,
    beside,
    counting_loop,
    drawn_at_random,
    two_inputs,
    views,
    weighted,
    with_state,
)


def parts_of(path, cuts="layers"):
    model = read_onnx(path)
    found = take_cuts(model.network, cuts)
    return model, found, Divisible(model, found, path)


def saved(model, path):
    onnx.save(model, path)
    return path


def run(content, feed):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    # what is fused is summed in another order, which networks this deep make a per mille of
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(None, {v.name: feed[v.name] for v in session.get_inputs()}), strict=True))


def through(parts, taken, feed, path):
    """Return what the whole makes of a feed, and what the parts make one after the other, sending what crosses."""
    known = dict(feed)
    for half in taken:
        known |= run(half.content, known)
        known = {name: known[name] for name in parts.crossing(half.end)}
    return run(str(path), feed), known


def equal(whole, known):
    assert whole.keys() == known.keys()
    for name, values in whole.items():
        assert np.isfinite(values).all()
        assert values.std() > 0
        np.testing.assert_allclose(known[name], values, rtol=1e-4, atol=1e-4 * np.abs(values).max())


def fed(parts):
    rng = np.random.default_rng(7)
    return {
        t.name: (rng.normal(size=t.shape) if t.dtype == "float32" else rng.integers(0, 5, t.shape)).astype(t.dtype)
        for t in parts.inputs
    }


SOME = ["light_squeezenet.onnx", "light_shufflenet.onnx", "light_inception_v1.onnx"]


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in SOME else pytest.mark.slow) for name in NAMES],
)
def test_at_a_few_cuts_the_parts_of_public_networks_equal_the_whole(tmp_path, name):
    path = weighted(name, tmp_path / "net.onnx")
    _, cuts, parts = parts_of(path)
    n = len(cuts)
    for splits in ([n // 3], [n // 3, n - 2]):
        equal(*through(parts, parts.take_apart(splits), fed(parts), path))


@pytest.mark.slow
@pytest.mark.parametrize("cuts", ["layers", "graph"])
@pytest.mark.parametrize("name", NAMES)
def test_at_every_cut_the_halves_of_public_networks_equal_the_whole(tmp_path, name, cuts):
    path = weighted(name, tmp_path / "net.onnx")
    _, found, parts = parts_of(path, cuts)
    for split in range(1, len(found)):
        device, server = parts.take_apart([split])
        assert [t.name for t in server.inputs] == [
            n for n in parts.crossing(split) if n in {t.name for t in server.inputs}
        ]
        if split % 10 == 1:
            equal(*through(parts, (device, server), fed(parts), path))


@pytest.mark.parametrize(
    ("build", "cuts"), [(views, "layers"), (views, "graph"), (two_inputs, "layers"), (counting_loop, "layers")]
)
def test_at_every_cut_views_are_rebuilt_and_inputs_of_both_halves_travel(tmp_path, build, cuts):
    path = saved(build(), tmp_path / "net.onnx")
    _, found, parts = parts_of(path, cuts)
    for split in range(1, len(found)):
        equal(*through(parts, parts.take_apart([split]), fed(parts), path))


def test_the_shapes_of_device_tensors_are_folded_and_views_travel_as_what_they_show(tmp_path):
    _, _, parts = parts_of(saved(views(), tmp_path / "net.onnx"))
    device, server = parts.take_apart([1])
    assert [str(tensor) for tensor in server.inputs] == ["a 2x8x8x8 float32"]
    kinds = [node.op_type for node in onnx.load_from_string(server.content).graph.node]
    assert {"Reshape", "Transpose"} <= set(kinds)
    assert not {"Shape", "Concat"} & set(kinds)
    assert [node.op_type for node in onnx.load_from_string(device.content).graph.node] == ["Conv"]


def test_what_is_made_before_the_cut_and_is_a_result_is_no_output_of_the_server(tmp_path):
    _, _, parts = parts_of(saved(two_inputs(), tmp_path / "net.onnx"))
    device, server = parts.take_apart([1])
    assert [t.name for t in device.outputs] == ["early"]
    assert {t.name for t in server.inputs} == {"early", "ids", "x"}
    assert [t.name for t in server.outputs] == ["late"]
    assert set(parts.crossing(1)) == {"early", "ids", "x"}


def test_state_stays_at_the_half_that_reads_it(tmp_path):
    path = saved(with_state(), tmp_path / "net.onnx")
    model = read_onnx(path)
    model = replace(model, network=model.network.keeping(["past*", "now*"]))
    parts = Divisible(model, take_cuts(model.network, "layers"), path)
    device, server = parts.take_apart([1])
    assert [t.name for t in device.inputs] == ["x", "past_a"]
    assert {t.name for t in device.outputs} == {*parts.crossing(1), "now_a"}
    assert {t.name for t in server.inputs} == {*parts.crossing(1), "past_b"}
    assert [t.name for t in server.outputs] == ["y", "now_b"]
    assert parts.crossing(2) == ("y",)


def test_a_network_may_end_before_its_file_does(tmp_path):
    path = saved(two_inputs(), tmp_path / "net.onnx")
    model = read_onnx(path, Given(outputs=("sum",)))
    parts = Divisible(model, take_cuts(model.network, "layers"), path)
    _, server = parts.take_apart([1])
    assert [t.name for t in server.outputs] == ["sum"]


def test_weights_beside_the_file_come_into_the_halves(tmp_path):
    model, content = beside()
    path = saved(model, tmp_path / "net.onnx")
    (tmp_path / "w.bin").write_bytes(content)
    _, _, parts = parts_of(path)
    taken = parts.take_apart([1])
    (tmp_path / "w.bin").rename(tmp_path / "elsewhere.bin")
    for half in taken:
        onnxruntime.InferenceSession(half.content, providers=["CPUExecutionProvider"])
    (weight,) = onnx.load_from_string(taken[1].content).graph.initializer
    np.testing.assert_array_equal(numpy_helper.to_array(weight).ravel(), np.frombuffer(content, np.float32)[16:])


def test_weights_that_are_not_there_or_outside_the_folder_are_refused(tmp_path):
    model, content = beside()
    path = saved(model, tmp_path / "net.onnx")
    with pytest.raises(BackendFailed, match="onnxruntime cannot load the network"):
        parts_of(path)
    (tmp_path / "w.bin").write_bytes(content)
    _, _, parts = parts_of(path)
    for tensor in parts._model.proto.graph.initializer:
        next(entry for entry in tensor.external_data if entry.key == "location").value = "../w.bin"
    with pytest.raises(InputError, match=r"is in the file \"\.\./w\.bin\", outside the model's folder"):
        parts.take_apart([1])


def test_halves_that_differ_are_refused(tmp_path, monkeypatch):
    path = saved(two_inputs(), tmp_path / "net.onnx")
    _, _, parts = parts_of(path)
    plain = halves.part_of

    def wrong(model, operations, entering, leaving, weight):
        part = plain(model, operations, entering, leaving, weight)
        for tensor in part.graph.initializer:
            if tensor.name == "c.w":
                tensor.CopyFrom(numpy_helper.from_array(1.001 * numpy_helper.to_array(tensor), tensor.name))
        return part

    monkeypatch.setattr(halves, "part_of", wrong)
    with pytest.raises(InputError, match=r'taken apart at 1, the output "late" differs from the whole\'s by 0\.001'):
        parts.take_apart([1])


def test_a_network_that_draws_numbers_is_refused(tmp_path):
    _, _, parts = parts_of(saved(drawn_at_random(), tmp_path / "net.onnx"), "all")
    with pytest.raises(InputError, match=r'the output "y" differs .* is something drawn at random in it'):
        parts.take_apart([1])


@pytest.mark.parametrize(
    ("splits", "why"),
    [([9], "there is no cut 9: the cuts are 0 to 3"), ([2, 1], "the cuts 2, 1 are out of order")],
)
def test_cuts_that_are_none_are_refused(tmp_path, splits, why):
    _, _, parts = parts_of(saved(two_inputs(), tmp_path / "net.onnx"))
    with pytest.raises(InputError, match=why):
        parts.take_apart(splits)


def test_where_nothing_is_computed_before_a_cut_it_is_refused(tmp_path):
    _, cuts, parts = parts_of(saved(views(), tmp_path / "net.onnx"), "all")
    names = [op.name for cut in cuts for op in cut.operations]
    at = names.index("flat")
    with pytest.raises(InputError, match=f"between the cuts {at} and {at + 1} nothing is computed"):
        parts.take_apart([at, at + 1])


def test_at_the_ends_there_is_one_part(tmp_path):
    path = saved(two_inputs(), tmp_path / "net.onnx")
    _, cuts, parts = parts_of(path)
    for splits in ([], [0], [len(cuts)]):
        (whole,) = parts.take_apart(splits)
        assert (whole.start, whole.end) == (0, len(cuts))
        equal(*through(parts, (whole,), fed(parts), path))
