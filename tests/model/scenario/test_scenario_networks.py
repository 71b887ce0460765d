"""Scenarios whose networks are ONNX files, or whose layers were measured."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

from dmcjia_opt.base.errors import Doubt, InputError, UncountedOperators
from dmcjia_opt.model.networks.measured import MeasuredTimes, Timed
from dmcjia_opt.model.networks.onnx_ import read_onnx
from dmcjia_opt.model.networks.profile import LayerProfile
from dmcjia_opt.model.scenario.loading import load_scenario
from dmcjia_opt.model.scenario.scenario import Scenario
from tests.model.networks.onnx_models import flattened, foreign, residual_block
from tests.model.scenario.test_scenario import CLOUD, node, table, write
from tests.refusals import refused

TINY = LayerProfile("tiny", 8.0, ("a", "b"), [1e9, 2e9], [4.0, 2.0])
TIMES = MeasuredTimes({Timed("pi", "tiny"): {"a": 0.5, "b": 0.25}, Timed("gpu", "tiny"): {"a": 0.02, "b": 0.01}})


def measured(cloud_device="", times=TIMES, **changes):
    columns = {"networks": ("tiny.json",), "devices": ("pi",), "device_index": [-1, 0]} | changes
    return Scenario(3.0, table(**columns), profiles={"tiny.json": TINY}, times=times, cloud_device=cloud_device)


def test_times_of_one_network_are_not_those_of_another_of_its_name():
    longer = replace(TINY, macs=[1e9, 3e9], graph_id="b" * 12)
    both = {"networks": ("x.json", "y.json"), "network_index": [0, 1], "device_index": [0, 0]}

    def fleet(times, **profiles):
        columns = table(**both, devices=("pi",))
        return Scenario(3.0, columns, profiles={f"{name}.json": one for name, one in profiles.items()}, times=times)

    with pytest.raises(
        InputError, match=r'times of "tiny" on device "pi" would be .* "x.json" and "y.json"; measure each'
    ):
        fleet(TIMES, x=TINY, y=longer)
    assert fleet(TIMES, x=TINY, y=TINY).seconds("pi", "y.json").tolist() == [0.5, 0.25]
    own = TIMES.merged(MeasuredTimes({Timed("pi", "tiny", "b" * 12): {"a": 7.0, "b": 8.0, "c": 9.0}}))
    with pytest.raises(InputError, match='the profile has no layer "c"'):
        fleet(own, x=TINY, y=longer)
    own = MeasuredTimes({Timed("pi", "tiny"): {"*": 3.0}, Timed("pi", "tiny", "b" * 12): {"a": 7.0, "b": 8.0}})
    scenario = fleet(own, x=TINY, y=longer)
    assert [scenario.seconds("pi", name).tolist() for name in ("x.json", "y.json")] == [[1.0, 2.0], [7.0, 8.0]]


@pytest.mark.parametrize("cuts", ["layers", "blocks", "all", "graph", "chain"])
def test_an_onnx_file_is_a_model(cuts, tmp_path):
    path = residual_block().save(tmp_path / "net.onnx")
    text = CLOUD + f'[profiles]\ncuts = "{cuts}"\nupload_dtype = "uint8"\n' + node(model='"net.onnx"')
    profile = load_scenario(write(tmp_path, text)).profiles["net.onnx"]
    assert profile.to_dict() == LayerProfile.of_network(read_onnx(path).network, cuts, "uint8").to_dict()
    assert profile.input_bytes == 256


def test_open_shapes_are_given_in_the_scenario(tmp_path):
    flattened().save(tmp_path / "open.onnx")
    residual_block().save(tmp_path / "closed.onnx")
    nodes = node(model='"open.onnx"') + node(name='"b"', model='"closed.onnx"')
    refused(load_scenario, write(tmp_path, CLOUD + nodes), "open.onnx", "[profiles] input_shapes")
    # both call their input x; the shape holds for both, and the second contradicts it
    text = CLOUD + "[profiles]\ninput_shapes = { x = [1, 3, 4, 4] }\n"
    refused(load_scenario, write(tmp_path, text + nodes), "closed.onnx", "does not fit")
    scenario = load_scenario(write(tmp_path, text + node(model='"open.onnx"') + node(name='"b"')))
    assert scenario.profiles["open.onnx"].total_macs == 5 * 4 * 27 + 20 * 7


def test_operators_without_a_rule_are_warned_of(tmp_path):
    foreign(tmp_path / "net.onnx")
    with pytest.warns(UncountedOperators, match="no rule knows own:Strange"):
        scenario = load_scenario(write(tmp_path, CLOUD + node(model='"net.onnx"')))
    (caution,) = scenario.profiles["net.onnx"].cautions
    assert scenario.network_cautions() == (f'model "net": {caution}',)
    (tmp_path / "saved").mkdir()
    scenario.save(tmp_path / "saved" / "s.toml")  # the profile's file has it too
    assert load_scenario(tmp_path / "saved" / "s.toml").network_cautions() == scenario.network_cautions()


def test_what_files_leave_open_is_given_for_all_or_for_one(tmp_path):
    for name in ("small", "large"):
        flattened().save(tmp_path / f"{name}.onnx")
    nodes = node(model='"small.onnx"') + node(name='"b"', model='"large.onnx"')
    text = CLOUD + '[profiles]\ndims = { n = 2 }\n[profiles.networks."large.onnx"]\ndims = { n = 6 }\ncuts = "all"\n'
    profiles = load_scenario(write(tmp_path, text + nodes)).profiles
    work = 5 * 4 * 27 + 20 * 7
    assert [profiles[f"{name}.onnx"].total_macs for name in ("small", "large")] == [2 * work, 6 * work]
    assert [profiles[f"{name}.onnx"].n_layers for name in ("small", "large")] == [2, 3]
    text = CLOUD + '[profiles]\ninput_values = { x = 1 }\noutputs = ["flat"]\n[profiles.networks."large.onnx"]\n'
    refused(load_scenario, write(tmp_path, text + nodes), "small.onnx", 'input "x" is open (nx3x4x4)')


def test_a_scenario_of_an_onnx_file_never_writes_over_it(tmp_path):
    content = residual_block().save(tmp_path / "net.onnx").read_bytes()
    scenario = load_scenario(write(tmp_path, CLOUD + node(model='"net.onnx"')))
    scenario.save(tmp_path / "again.toml")
    assert (tmp_path / "net.onnx").read_bytes() == content
    again = load_scenario(tmp_path / "again.toml")
    assert again.nodes.networks == ("net.onnx.json",)
    assert again.sha256() == scenario.sha256()


def test_a_zoo_name_with_another_profile_is_saved_with_it(tmp_path):
    scenario = Scenario(3.0, table(), profiles={"resnet34": TINY})
    scenario.save(tmp_path / "s.toml")
    again = load_scenario(tmp_path / "s.toml")
    assert again.nodes.networks == ("resnet34.json",)
    assert again.sha256() == scenario.sha256()


def test_measured_times_are_read_with_the_scenario(tmp_path):
    TINY.save(tmp_path / "tiny.json")
    TIMES.save(tmp_path / "times.csv")
    text = CLOUD + 'device = "gpu"\n[profiles]\ntimes_file = "times.csv"\n'
    text += node(model='"tiny.json"') + node(name='"b"', model='"tiny.json"', device='"pi"')
    scenario = load_scenario(write(tmp_path, text))
    assert scenario.nodes.devices == ("pi",)
    assert [scenario.nodes.device_of(d) for d in range(2)] == [None, "pi"]
    assert scenario.cloud_device == "gpu"
    np.testing.assert_array_equal(scenario.seconds("pi", "tiny.json"), [0.5, 0.25])


def test_measured_times_without_a_device_have_no_effect_and_a_word(tmp_path):
    TIMES.save(tmp_path / "times.csv")
    path = write(tmp_path, CLOUD + '[profiles]\ntimes_file = "times.csv"\n' + node())
    with pytest.warns(Doubt, match='"times.csv" has no effect: neither a node nor a server has a device; add device'):
        load_scenario(path)


def test_one_time_of_a_whole_network_is_spread_and_said(tmp_path):
    (tmp_path / "t.csv").write_text("device,model,layer,seconds\norin,resnet50,*,0.00064\n")
    text = CLOUD + '[profiles]\ntimes_file = "t.csv"\n' + node(model='"resnet50"', device='"orin"')
    with pytest.warns(
        Doubt, match='t.csv: the one time of "resnet50" on "orin" is spread over its layers by their work'
    ):
        scenario = load_scenario(write(tmp_path, text))
    (profile,) = scenario.profiles.values()
    found = scenario.seconds("orin", "resnet50")
    np.testing.assert_allclose(found, 0.00064 * profile.macs / profile.total_macs, rtol=1e-12)
    assert found.sum() == pytest.approx(0.00064)


@pytest.mark.parametrize("cloud_device", ["", "gpu"])
@pytest.mark.parametrize("nodes_file", [None, "n.csv", "n.parquet"])
def test_measured_times_survive_saving(nodes_file, cloud_device, tmp_path):
    scenario = measured(cloud_device)
    scenario.save(tmp_path / "s.toml", nodes_file=nodes_file)
    again = load_scenario(tmp_path / "s.toml")
    assert again.sha256() == scenario.sha256()
    assert again.nodes.devices == ("pi",)
    np.testing.assert_array_equal(again.nodes.device_index, [-1, 0])
    assert set(again.times.seconds) == {Timed("pi", "tiny")} | ({Timed("gpu", "tiny")} if cloud_device else set())


def test_the_hash_covers_the_measured_times_that_matter():
    base = measured()
    slower = {Timed("pi", "tiny"): {"a": 0.5, "b": 0.26}}
    unused = {**TIMES.seconds, ("tpu", "tiny"): {"a": 1.0}}
    assert measured(times=MeasuredTimes(unused)).sha256() == base.sha256()
    others = [
        measured(times=MeasuredTimes(slower)),
        measured("gpu"),
        measured(device_index=[0, 0]),
        measured(device_index=[-1, -1]),
        measured(devices=("gpu",)),
    ]
    assert len({scenario.sha256() for scenario in [base, *others]}) == len(others) + 1


def test_times_are_looked_up_when_the_scenario_is_made():
    with pytest.raises(InputError, match='no times of model "tiny" on device "tpu"'):
        measured(devices=("tpu",))
    with pytest.raises(InputError, match='no times of model "tiny" on device "tpu"'):
        measured("tpu")


def test_scenarios_go_to_other_processes():
    scenario = measured("gpu")
    assert pickle.loads(pickle.dumps(scenario)).sha256() == scenario.sha256()
