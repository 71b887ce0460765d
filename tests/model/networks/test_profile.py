from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.model.networks.profile import CutTensor, LayerProfile, load_profile
from dmcjia_opt.model.networks.zoo import ZOO, zoo_profile
from tests.model.networks.onnx_models import residual_block
from tests.refusals import refused

KIB = 1024


def content(**changes):
    layers = [{"name": "a", "macs": 10.0, "output_bytes": 4.0}, {"name": "b", "macs": 5, "output_bytes": 2}]
    return {"name": "tiny", "input_bytes": 8, "layers": layers} | changes


def layer(**changes):
    return {"name": "a", "macs": 1, "output_bytes": 1} | changes


def test_resnet34_has_the_figures_of_the_paper():
    profile = zoo_profile("resnet34")
    assert profile.n_layers == 34
    assert round(profile.total_macs / 1e9, 2) == 3.66
    assert profile.parameters == 21_797_672
    assert profile.input_bytes == 588 * KIB
    assert profile.layer_names[0] == "conv1"
    assert profile.output_bytes[0] == 3136 * KIB
    assert profile.output_bytes[-2] == 98 * KIB
    assert profile.output_bytes[-1] == 4000


def test_resnet34_layers_are_counted_by_hand():
    profile = zoo_profile("resnet34")
    macs = dict(zip(profile.layer_names, profile.macs, strict=True))
    assert macs["conv1"] == 49 * 3 * 64 * 112**2
    assert macs["conv2_1a"] == macs["conv2_3b"] == 9 * 64 * 64 * 56**2
    assert macs["conv3_1a"] == 9 * 64 * 128 * 28**2
    assert macs["conv3_1b"] == (9 * 128 * 128 + 64 * 128) * 28**2
    assert macs["conv5_3b"] == 9 * 512 * 512 * 7**2
    assert macs["fc"] == 512_000


@pytest.mark.parametrize("name", sorted(ZOO))
def test_every_profile_of_the_zoo_is_a_chain_under_its_own_name(name):
    profile = zoo_profile(name)
    assert profile.name == name
    assert len(set(profile.layer_names)) == profile.n_layers
    assert profile.parameters > 0
    assert profile.source
    assert (profile.output_bytes > 0).all()
    assert profile.total_macs > 1e8


def test_an_unknown_zoo_model_is_named_with_the_choices():
    with pytest.raises(InputError, match=r'unknown model "resnet35".*resnet34'):
        zoo_profile("resnet35")


def test_cumulative_arrays_start_before_the_first_layer():
    profile = LayerProfile("tiny", 8.0, ("a", "b"), [10.0, 5.0], [4.0, 2.0])
    np.testing.assert_array_equal(profile.work, [0, 10, 15])
    np.testing.assert_array_equal(profile.upload_bytes, [8, 4, 2])
    assert profile.total_macs == 15
    assert profile.n_layers == 2


def test_arrays_are_copied_and_read_only():
    macs = np.array([10.0, 5.0])
    profile = LayerProfile("tiny", 8.0, ("a", "b"), macs, np.array([4.0, 2.0]))
    macs[0] = 99.0
    assert profile.macs[0] == 10.0
    for array in (profile.macs, profile.output_bytes, profile.work, profile.upload_bytes):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1.0


@pytest.mark.parametrize("name", sorted(ZOO))
def test_a_saved_profile_loads_equal(name, tmp_path):
    profile = zoo_profile(name)
    profile.save(tmp_path / "p.json")
    assert load_profile(tmp_path / "p.json").to_dict() == profile.to_dict()


def test_optional_fields_may_be_absent(tmp_path):
    (tmp_path / "p.json").write_text(json.dumps(content()))
    profile = load_profile(tmp_path / "p.json")
    assert profile.parameters == 0
    assert profile.source == ""
    assert profile.layer_names == ("a", "b")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"inputs": 1}, 'unknown key "inputs"'),
        ({"input_bytes": -1}, '"input_bytes"'),
        ({"input_bytes": float("nan")}, '"input_bytes"'),
        ({"input_bytes": float("inf")}, '"input_bytes"'),
        ({"input_bytes": "8"}, '"input_bytes"'),
        ({"input_bytes": True}, '"input_bytes"'),
        ({"name": 3}, '"name"'),
        ({"parameters": -1}, '"parameters"'),
        ({"parameters": 1.5}, '"parameters"'),
        ({"layers": []}, '"layers"'),
        ({"layers": 3}, '"layers"'),
        ({"layers": [layer(macs=-1)]}, '"layers[0].macs"'),
        ({"layers": [layer(), layer(macs="5")]}, '"layers[1].macs"'),
        ({"layers": [layer(output_bytes=float("inf"))]}, '"layers[0].output_bytes"'),
        ({"layers": [layer(depth=1)]}, 'unknown key "layers[0].depth"'),
        ({"layers": [{"name": "a", "macs": 1}]}, '"layers[0].output_bytes" is missing'),
    ],
)
def test_a_malformed_file_is_refused_by_field(changes, field, tmp_path):
    path = tmp_path / "p.json"
    path.write_text(json.dumps(content(**changes)))
    refused(load_profile, path, field)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"name": "x"}', "\x00"])
def test_what_is_no_profile_at_all_is_refused(text, tmp_path):
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(InputError, match=r"p\.json: "):
        load_profile(tmp_path / "p.json")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"absent\.json: cannot read the profile \(No such file"):
        load_profile(tmp_path / "absent.json")


@pytest.mark.parametrize(
    ("names", "macs", "outputs", "input_bytes"),
    [
        ((), [], [], 1.0),
        (("a",), [1.0, 2.0], [1.0, 2.0], 1.0),
        (("a", "b"), [1.0, 2.0], [1.0], 1.0),
        (("a",), [-1.0], [1.0], 1.0),
        (("a",), [1.0], [np.nan], 1.0),
        (("a",), [1.0], [1.0], np.inf),
    ],
)
def test_impossible_layers_are_refused(names, macs, outputs, input_bytes):
    with pytest.raises(InputError, match='profile "bad"'):
        LayerProfile("bad", input_bytes, names, macs, outputs)


def test_saving_into_a_missing_folder_says_so(tmp_path):
    with pytest.raises(InputError, match="cannot write"):
        zoo_profile("resnet34").save(tmp_path / "absent" / "p.json")


def test_counts_of_tensors_survive_saving(tmp_path):
    profile = LayerProfile("net", 8.0, ("a", "b"), [1.0, 2.0], [4.0, 2.0], tensors=[2, 1])
    profile.save(tmp_path / "p.json")
    np.testing.assert_array_equal(load_profile(tmp_path / "p.json").tensors, [2, 1])
    plain = LayerProfile("net", 8.0, ("a", "b"), [1.0, 2.0], [4.0, 2.0])
    plain.save(tmp_path / "p.json")
    assert load_profile(tmp_path / "p.json").tensors is None
    assert "tensors" not in (tmp_path / "p.json").read_text()


def test_the_fingerprint_is_of_what_defines_a_problem():
    plain = LayerProfile("net", 8.0, ("a",), [1.0], [4.0])
    told = LayerProfile("net", 8.0, ("a",), [1.0], [4.0], source="measured", tensors=[3])
    assert told.fingerprint() == plain.fingerprint()
    assert LayerProfile("net", 8.0, ("a",), [2.0], [4.0]).fingerprint() != plain.fingerprint()


def test_the_weights_of_the_zoo_are_its_parameters_in_float32():
    for name in ZOO:
        profile = zoo_profile(name)
        assert profile.weight_bytes.sum() == 4 * profile.parameters
    assert zoo_profile("resnet34").weight_bytes[0] == 4 * (7 * 7 * 3 * 64 + 2 * 64)
    assert zoo_profile("resnet34").weight_bytes[-1] == 4 * (512 * 1000 + 1000)


def test_the_weights_of_an_onnx_file_are_the_constants_that_each_layer_reads(tmp_path):
    profile = LayerProfile.from_onnx(residual_block().save(tmp_path / "net.onnx"), cuts="layers")
    conv = 4 * 8 * 8 * 3 * 3
    assert profile.weight_bytes.tolist() == [conv / 2, conv, conv, 4 * (8 * 10 + 10)]
    assert profile.weight_bytes.sum() == 4 * profile.parameters


def test_weights_survive_saving_and_are_no_part_of_the_fingerprint(tmp_path):
    profile = zoo_profile("alexnet")
    profile.save(tmp_path / "p.json")
    np.testing.assert_array_equal(load_profile(tmp_path / "p.json").weight_bytes, profile.weight_bytes)
    assert replace(profile, weight_bytes=None).fingerprint() == profile.fingerprint()


@pytest.mark.parametrize("weights", [[1.0], [-1.0, 1.0], [np.nan, 1.0], [np.inf, 1.0]])
def test_impossible_weights_are_refused(weights):
    with pytest.raises(InputError, match="needs weight_bytes >= 0 for every layer, or none"):
        LayerProfile("p", 1.0, ("a", "b"), [1.0, 1.0], [1.0, 1.0], weight_bytes=np.array(weights))


def test_weights_are_for_all_layers_or_none(tmp_path):
    layers = [
        {"name": "a", "macs": 1, "output_bytes": 1, "weight_bytes": 4},
        {"name": "b", "macs": 1, "output_bytes": 1},
    ]
    (tmp_path / "p.json").write_text(json.dumps({"name": "p", "input_bytes": 1, "layers": layers}))
    refused(load_profile, tmp_path / "p.json", "give weight_bytes for every layer or for none")


def test_counts_of_tensors_are_for_all_layers_or_none(tmp_path):
    with pytest.raises(InputError, match="one count of tensors"):
        LayerProfile("net", 8.0, ("a", "b"), [1.0, 2.0], [4.0, 2.0], tensors=[1])
    with pytest.raises(InputError, match="one count of tensors"):
        LayerProfile("net", 8.0, ("a",), [1.0], [4.0], tensors=[-1])
    layer = {"name": "a", "macs": 1, "output_bytes": 1}
    content = {"name": "net", "input_bytes": 1, "layers": [layer | {"tensors": 1}, layer]}
    (tmp_path / "p.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="tensors for every layer or for none"):
        load_profile(tmp_path / "p.json")


def test_absurd_counts_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"0 or between 1e-30 and 1e\+30"):
        LayerProfile("net", 8.0, ("a",), [1e31], [4.0])
    content = {"name": "net", "input_bytes": 1e300, "layers": [{"name": "a", "macs": 1, "output_bytes": 1}]}
    (tmp_path / "p.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r'"input_bytes": .*1e\+30'):
        load_profile(tmp_path / "p.json")


def test_tensors_have_names_that_files_keep(tmp_path):
    profile = LayerProfile("p", 1.0, ("a", "b"), [1.0, 1.0], [1.0, 1.0], tensor_names=(("x", "y"), ("z",)))
    profile.save(tmp_path / "p.json")
    assert load_profile(tmp_path / "p.json").tensor_names == (("x", "y"), ("z",))
    assert replace(profile, tensor_names=None).fingerprint() == profile.fingerprint()


def test_tensors_have_shapes_and_types_that_files_keep(tmp_path):
    profile = LayerProfile.from_onnx(residual_block().save(tmp_path / "net.onnx"))
    inside = profile.cut_tensors_of(2)
    assert inside == (CutTensor("entry", (1, 8, 8, 8), "float32"), CutTensor("middle", (1, 8, 8, 8), "float32"))
    assert profile.cut_tensors_of(4) == (CutTensor("fc", (1, 10), "float32"),)
    assert [tensor.name for tensor in profile.cut_tensors] == ["entry", "middle", "pool", "fc"]
    profile.save(tmp_path / "p.json")
    loaded = load_profile(tmp_path / "p.json")
    assert loaded.to_dict() == profile.to_dict()
    assert loaded.cut_tensors_of(2) == inside
    assert str(inside[0]) == "entry 1x8x8x8 float32"
    assert replace(profile, cut_tensors=()).fingerprint() == profile.fingerprint()
    assert replace(profile, cut_tensors=()).cut_tensors_of(4) == (CutTensor("fc", (), ""),)
    assert zoo_profile("resnet34").cut_tensors_of(1) is None


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ([{"name": "x", "shape": [1]}], 'cut_tensors has no "y", which tensor_names has; add it'),
        ([{"name": "x", "shape": [1]}, {"name": "x", "shape": [2]}], 'cut_tensors has "x" twice; remove one'),
        ([{"name": "x", "shape": [-1]}], r'"cut_tensors\[0\].shape\[0\]"'),
        ([{"name": "x"}], r'"cut_tensors\[0\].shape" is missing'),
    ],
)
def test_tensors_that_do_not_fit_are_refused(tensors, message, tmp_path):
    layers = [{"name": name, "macs": 1, "output_bytes": 1, "tensor_names": ["x", "y"]} for name in "ab"]
    content = {"name": "p", "input_bytes": 1, "layers": layers, "cut_tensors": tensors}
    (tmp_path / "p.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        load_profile(tmp_path / "p.json")


@pytest.mark.parametrize(
    ("names", "tensors", "message"),
    [
        ((("x",),), None, "needs tensor_names for every layer, or none"),
        ((("x",), ("y",)), [1, 2], "needs as many tensor_names of each layer as tensors"),
    ],
)
def test_names_of_tensors_that_do_not_fit_are_refused(names, tensors, message):
    with pytest.raises(InputError, match=message):
        LayerProfile("p", 1.0, ("a", "b"), [1.0, 1.0], [1.0, 1.0], tensors=tensors, tensor_names=names)


def test_names_for_some_layers_only_are_refused(tmp_path):
    layers = [{"name": name, "macs": 1, "output_bytes": 1} for name in "ab"]
    content = {"name": "p", "input_bytes": 1, "layers": [layers[0] | {"tensor_names": ["x"]}, layers[1]]}
    (tmp_path / "p.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="give tensor_names for every layer or for none"):
        load_profile(tmp_path / "p.json")
