import numpy as np
import pytest

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.model.networks.profile import LayerProfile
from dmcjia_opt.model.networks.reading import read_profile
from dmcjia_opt.model.networks.zoo import zoo_profile
from dmcjia_opt.model.scenario.scenario import load_scenario
from tests.model.networks.onnx_models import residual_block

TINY = LayerProfile("tiny", 1e6, ("a", "b"), [1e9, 1e9], [1e5, 10.0])


def test_the_zoo_a_json_and_an_onnx_file(tmp_path):
    assert read_profile("resnet34").profile is zoo_profile("resnet34")
    TINY.save(tmp_path / "tiny.json")
    assert read_profile(str(tmp_path / "tiny.json")).profile.to_dict() == TINY.to_dict()
    found = read_profile(str(residual_block().save(tmp_path / "net.onnx")), "blocks", "uint8")
    assert found.profile.layer_names == tuple(cut.name for cut in found.cuts) == ("stem", "b", "fc")
    assert found.profile.input_bytes == 256
    assert found.model is not None


def test_the_zoo_quantised():
    plain, small = zoo_profile("resnet50"), read_profile("resnet50", upload_dtype="float16").profile
    np.testing.assert_array_equal(small.upload_bytes, plain.upload_bytes / 2)
    np.testing.assert_array_equal(small.macs, plain.macs)
    assert "float16" in small.source


@pytest.mark.parametrize(
    ("reference", "options", "part"),
    [
        ("resnet35", {}, "no network"),
        ("notes.txt", {}, "no network"),
        ("", {}, "no network"),
        ("resnet34", {"cuts": "blocks"}, "need a graph"),
        ("tiny.json", {"input_shapes": {"x": (1,)}}, "need a graph"),
        ("tiny.json", {"upload_dtype": "uint8"}, "holds its own bytes"),
        ("resnet34", {"upload_dtype": "int3"}, "choose one of float32"),
        ("absent.json", {}, "cannot read the profile"),
        ("absent.onnx", {}, "cannot read the model"),
    ],
)
def test_what_does_not_apply_is_refused(reference, options, part):
    with pytest.raises(InputError, match=part):
        read_profile(reference, **options)


def test_scenarios_read_networks_in_the_same_way(tmp_path):
    residual_block().save(tmp_path / "NET.ONNX")
    node = '[[nodes]]\nname = "a"\nmodel = "{}"\ncompute_gflops = 1.0\nuplink_mbps = 8.0\narrival_rate = 1.0\n'
    (tmp_path / "s.toml").write_text("[cloud]\ncompute_gflops = 4.0\n" + node.format("NET.ONNX"))
    (profile,) = load_scenario(tmp_path / "s.toml").profiles.values()
    assert profile.to_dict() == read_profile(str(tmp_path / "NET.ONNX")).profile.to_dict()
    (tmp_path / "s.toml").write_text("[cloud]\ncompute_gflops = 4.0\n" + node.format("../resnet35"))
    with pytest.raises(InputError, match=r'unknown model "\.\./resnet35"'):
        load_scenario(tmp_path / "s.toml")
