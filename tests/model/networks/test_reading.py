import numpy as np
import pytest

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.model.networks.given import Given
from dmcjia_opt.model.networks.profile import LayerProfile
from dmcjia_opt.model.networks.reading import read_profile
from dmcjia_opt.model.networks.zoo import zoo_profile
from dmcjia_opt.model.scenario.loading import load_scenario
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
        ("resnet34", {"cuts": "blocks"}, "need a graph; leave them out, or give its .onnx file"),
        ("tiny.json", {"given": Given({"x": (1,)})}, "need a graph"),
        ("tiny.json", {"upload_dtype": "uint8"}, "holds its own bytes"),
        ("resnet34", {"upload_dtype": "int3"}, "choose one of float32"),
        ("absent.json", {}, "cannot read the profile"),
        ("absent.onnx", {}, "cannot read the model"),
    ],
)
def test_what_does_not_apply_is_refused(reference, options, part):
    with pytest.raises(InputError, match=part):
        read_profile(reference, **options)


def test_uploads_and_cuts_of_a_scenario_hold_for_every_network_or_are_refused(tmp_path):
    node = '[[nodes]]\nname = "{}"\nmodel = "{}"\ncompute_gflops = 5.0\nuplink_mbps = 8.0\narrival_rate = 0.1\n'
    residual_block().save(tmp_path / "net.onnx")
    TINY.save(tmp_path / "tiny.json")

    def profiles(profiles, *models):
        nodes = "".join(node.format(model, model) for model in models)
        (tmp_path / "s.toml").write_text(f"[cloud]\ncompute_gflops = 400\n[profiles]\n{profiles}\n{nodes}")
        return load_scenario(tmp_path / "s.toml").profiles

    small = profiles('upload_dtype = "uint8"', "resnet34", "net.onnx")
    assert small["resnet34"].input_bytes == 147 * 1024
    assert small["net.onnx"].to_dict() == read_profile(str(tmp_path / "net.onnx"), None, "uint8").profile.to_dict()
    assert small["resnet34"].to_dict() == read_profile("resnet34", upload_dtype="uint8").profile.to_dict()
    with pytest.raises(
        InputError, match=r"tiny\.json: a profile \.json holds its own bytes; quantise where it is made"
    ):
        profiles('upload_dtype = "uint8"', "resnet34", "tiny.json")
    remedy = 'needs the graph of an .onnx file, and "resnet34" is none; leave cuts out, or give the .onnx file as model'
    with pytest.raises(InputError, match=f'cuts = "blocks" {remedy}'):
        profiles('upload_dtype = "uint8"\ncuts = "blocks"', "resnet34")
    assert profiles('cuts = "layers"', "resnet34")["resnet34"] is zoo_profile("resnet34")
    blocks = profiles('cuts = "blocks"', "resnet34", "net.onnx")
    assert blocks["net.onnx"].layer_names == ("stem", "b", "fc")
    assert blocks["resnet34"] is zoo_profile("resnet34")


def test_scenarios_read_networks_in_the_same_way(tmp_path):
    residual_block().save(tmp_path / "NET.ONNX")
    node = '[[nodes]]\nname = "a"\nmodel = "{}"\ncompute_gflops = 1.0\nuplink_mbps = 8.0\narrival_rate = 1.0\n'
    (tmp_path / "s.toml").write_text("[cloud]\ncompute_gflops = 4.0\n" + node.format("NET.ONNX"))
    (profile,) = load_scenario(tmp_path / "s.toml").profiles.values()
    assert profile.to_dict() == read_profile(str(tmp_path / "NET.ONNX")).profile.to_dict()
    (tmp_path / "s.toml").write_text("[cloud]\ncompute_gflops = 4.0\n" + node.format("../resnet35"))
    with pytest.raises(InputError, match=r'unknown model "\.\./resnet35"'):
        load_scenario(tmp_path / "s.toml")
