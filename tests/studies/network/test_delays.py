import numpy as np
import pytest

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.model.networks.measured import MeasuredTimes
from dmcjia_opt.model.networks.profile import LayerProfile
from dmcjia_opt.model.networks.zoo import zoo_profile
from dmcjia_opt.solving.solve import solve
from dmcjia_opt.studies.network.delays import Device, delay_along_cuts, one_node, read_profile
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


@pytest.mark.parametrize("device", [Device(), Device(uplink_mbps=0.5), Device(compute_gflops=50.0, uplink_mbps=0.1)])
def test_the_best_cut_is_the_proved_optimum(device):
    scenario = one_node(zoo_profile("alexnet"), device)
    delays, plan = delay_along_cuts(scenario), solve(scenario)
    assert delays.best == plan.splits[0]
    assert delays.total[delays.best] == pytest.approx(plan.objective, rel=1e-9)
    assert scenario.nodes.networks == ("alexnet",)


def test_measured_times_drive_the_delay():
    times = MeasuredTimes({("pi", "tiny"): {"a": 0.001, "b": 10.0}})
    delays = delay_along_cuts(one_node(TINY, Device(name="pi", arrival_rate=0.05), times))
    service = np.array([0.0, 0.001, 10.001])
    np.testing.assert_allclose(delays.edge, service + 0.05 * service**2 / (2 * (1 - 0.05 * service)))
    assert delays.best == 1


def test_where_nothing_is_stable_there_is_no_best_cut():
    delays = delay_along_cuts(one_node(TINY, Device(arrival_rate=1e6)))
    assert delays.best is None
    assert np.isinf(delays.total).all()


def test_a_changed_profile_of_the_zoos_name_is_not_taken_for_the_zoos():
    small = read_profile("resnet34", upload_dtype="uint8").profile
    assert one_node(small, Device()).nodes.networks == ("resnet34.json",)
