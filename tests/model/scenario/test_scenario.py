from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.model.networks.profile import LayerProfile
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.model.scenario.loading import load_scenario
from dmcjia_opt.model.scenario.nodes import NodeTable
from dmcjia_opt.model.scenario.scenario import PAPER_MHZ_IN_MBPS, Options, Scenario
from tests.refusals import refused

CLOUD = "[cloud]\ncompute_gflops = 400.0\n"
NODE = {
    "name": '"camera-7"',
    "model": '"resnet34"',
    "compute_gflops": "5.0",
    "uplink_mbps": "8",
    "arrival_rate": "1.0",
}


def node(**changes):
    lines = NODE | changes
    return "[[nodes]]\n" + "".join(f"{key} = {value}\n" for key, value in lines.items() if value is not None)


def write(folder, text):
    path = folder / "s.toml"
    path.write_text(text, encoding="utf-8")
    return path


def table(**changes):
    columns = {
        "names": ("a", "b"),
        "networks": ("resnet34",),
        "network_index": [0, 0],
        "compute_gflops": [5.0, 6.0],
        "uplink_mbps": [8.0, 9.0],
        "arrival_rate": [1.0, 2.0],
        "input_bytes": [np.nan, 784.0],
    }
    return NodeTable(**(columns | changes))


def test_the_example_of_the_format_loads(tmp_path):
    options = (
        '[options]\ndelay = "mg1"\nservice_scv = 0.5\nordering = "cloud-faster"\naverage = "tasks"\nflops_per_mac = 1\n'
    )
    path = write(tmp_path, CLOUD + options + node(input_bytes="602112") + node(name='"b"'))
    scenario = load_scenario(path)
    assert scenario.name == "s"
    assert scenario.cloud_gflops == 400
    assert scenario.options == Options(
        delay="mg1", service_scv=0.5, ordering="cloud-faster", average="tasks", flops_per_mac=1.0
    )
    assert scenario.nodes.names == ("camera-7", "b")
    assert scenario.nodes.networks == ("resnet34",)
    np.testing.assert_array_equal(scenario.nodes.input_bytes, [602112, np.nan])
    np.testing.assert_array_equal(scenario.nodes.uplink_mbps, [8, 8])
    assert scenario.profiles["resnet34"].n_layers == 34


def test_the_defaults_are_those_of_the_format(tmp_path):
    options = load_scenario(write(tmp_path, CLOUD + node())).options
    assert options == Options(delay="md1", ordering="stability", average="nodes", flops_per_mac=2.0)


def test_one_megahertz_of_the_paper_is_one_mebibyte_per_second():
    assert PAPER_MHZ_IN_MBPS == 8.388608


def test_a_profile_file_is_found_beside_the_scenario(tmp_path):
    (tmp_path / "nets").mkdir()
    LayerProfile("tiny", 8.0, ("a",), [1e9], [4.0]).save(tmp_path / "nets" / "tiny.json")
    scenario = load_scenario(write(tmp_path, CLOUD + node(model='"nets/tiny.json"')))
    assert scenario.profiles["nets/tiny.json"].total_macs == 1e9


@pytest.mark.parametrize("family", ["paper", "mixed", "near"])
@pytest.mark.parametrize("nodes_file", [None, "n.csv", "n.parquet"])
def test_what_is_saved_loads_with_the_same_hash(family, nodes_file, tmp_path):
    scenario = generate(family, nodes=12, seed=3)
    scenario.save(tmp_path / "s.toml", nodes_file=nodes_file)
    again = load_scenario(tmp_path / "s.toml")
    assert again.sha256() == scenario.sha256()
    assert again.name == scenario.name
    assert again.options == scenario.options
    assert (tmp_path / "n.csv").exists() == (nodes_file == "n.csv")


@pytest.mark.parametrize("nodes_file", [None, "n.csv", "n.parquet"])
def test_raw_inputs_survive_saving(nodes_file, tmp_path):
    scenario = Scenario(3.0, table())
    scenario.save(tmp_path / "s.toml", nodes_file=nodes_file)
    np.testing.assert_array_equal(load_scenario(tmp_path / "s.toml").nodes.input_bytes, [np.nan, 784])


@pytest.mark.parametrize(
    "options",
    [
        Options(delay="mm1"),
        Options(delay="mg1", service_scv=0.3),
        Options(delay="tandem"),
        Options(delay="tandem", uplink="queue"),
        Options(delay="tandem", statistic="p99.9"),
        Options(objective="worst"),
        Options(ordering="cloud-faster", average="tasks", flops_per_mac=1.0),
    ],
)
def test_options_survive_saving(options, tmp_path):
    Scenario(3.0, table(), options).save(tmp_path / "s.toml")
    assert load_scenario(tmp_path / "s.toml").options == options


def test_the_hash_is_of_the_content():
    base = Scenario(3.0, table())
    assert replace(base, name="another").sha256() == base.sha256()
    tiny = LayerProfile("resnet34", 1.0, ("a",), [1.0], [1.0])
    others = [
        Scenario(3.5, table()),
        Scenario(3.0, table(), Options(delay="mm1")),
        Scenario(3.0, table(), Options(delay="tandem")),
        Scenario(3.0, table(), Options(delay="tandem", uplink="queue")),
        Scenario(3.0, table(), Options(delay="tandem", statistic="p95")),
        Scenario(3.0, table(), Options(objective="worst")),
        Scenario(3.0, table(deadline_ms=[np.nan, 500.0])),
        Scenario(3.0, table(deadline_ms=[500.0, np.nan])),
        Scenario(3.0, table(names=("a", "c"))),
        Scenario(3.0, table(compute_gflops=[5.0, 6.5])),
        Scenario(3.0, table(uplink_mbps=[8.0, 9.5])),
        Scenario(3.0, table(arrival_rate=[1.0, 2.5])),
        Scenario(3.0, table(input_bytes=[np.nan, 785.0])),
        Scenario(3.0, table(), profiles={"resnet34": tiny}),
    ]
    hashes = {scenario.sha256() for scenario in [base, *others]}
    assert len(hashes) == len(others) + 1


@pytest.mark.parametrize(
    ("options", "changes", "rule"),
    [
        (Options(), {}, "reserved shares, these cuts and the M/D/1 delay"),
        (
            Options(ordering="cloud-faster", objective="worst"),
            {},
            "reserved shares, these cuts, a cloud faster than its edges and the M/D/1 delay of the worst node",
        ),
        (
            Options(delay="tandem", statistic="p95", objective="worst"),
            {"deadline_ms": [np.nan, 500.0]},
            "reserved shares, these cuts, the tandem delay of the worst node at its 95th percentile and every deadline "
            "kept",
        ),
        (
            Options(delay="tandem", statistic="p99.9"),
            {},
            "reserved shares, these cuts and the tandem delay at its 99.9th percentile",
        ),
    ],
)
def test_the_rule_says_what_a_bound_is_about(options, changes, rule):
    assert Scenario(3.0, table(**changes), options).rule == rule


def test_columns_are_copied_and_read_only():
    compute = np.array([5.0, 6.0])
    nodes = table(compute_gflops=compute)
    compute[0] = -1.0
    assert nodes.compute_gflops[0] == 5.0
    with pytest.raises(ValueError, match="read-only"):
        nodes.network_index[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        nodes.compute_gflops[0] = 1.0


def test_a_missing_file_is_named(tmp_path):
    refused(load_scenario, tmp_path / "absent.toml", "cannot read the scenario", "No such file")


@pytest.mark.parametrize("text", ["[cloud", "cloud = = 3", "a = 1\na = 2", "[cloud]\ncompute_gflops = 4 GFLOPS\n"])
def test_broken_toml_says_so(text, tmp_path):
    refused(load_scenario, write(tmp_path, text), "not valid TOML")


def test_bytes_that_are_no_text_say_so(tmp_path):
    (tmp_path / "s.toml").write_bytes(b"\xff\xfe\x00")
    refused(load_scenario, tmp_path / "s.toml", "not TOML in UTF-8")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (node(), ['"cloud" is missing']),
        ("[cloud]\n" + node(), ['"cloud.compute_gflops" is missing']),
        ("cloud = 3\n" + node(), ['"cloud"']),
        ("colour = 3\n" + CLOUD + node(), ['unknown key "colour"']),
        (CLOUD + "gpus = 4\n" + node(), ['unknown key "cloud.gpus"']),
        (CLOUD + '[options]\ndelays = "md1"\n' + node(), ['unknown key "options.delays"']),
        (CLOUD + '[options]\ndelay = "md2"\n' + node(), ['"options.delay"', "md2", "mm1"]),
        (CLOUD + '[options]\nuplink = "link"\n' + node(), ['"options.uplink"', "link", "queue"]),
        (CLOUD + '[options]\nordering = "none"\n' + node(), ['"options.ordering"', "cloud-faster"]),
        (CLOUD + '[options]\naverage = "mean"\n' + node(), ['"options.average"', "tasks"]),
        (CLOUD + "[options]\nflops_per_mac = 0\n" + node(), ['"options.flops_per_mac"', "0"]),
        (CLOUD + "[options]\nflops_per_mac = true\n" + node(), ['"options.flops_per_mac"']),
        (CLOUD + "[options]\nservice_scv = -0.1\n" + node(), ['"options.service_scv"']),
        (CLOUD + "[options]\nservice_scv = nan\n" + node(), ['"options.service_scv"']),
        (
            CLOUD + '[options]\nstatistic = "p95"\n' + node(),
            ['statistic = "p95" needs delay = "tandem": percentiles of the M/D/1 delays', 'write delay = "tandem"'],
        ),
        (CLOUD + '[options]\nstatistic = "p97"\n' + node(), ['"options.statistic"', "'p99.9'", "p97"]),
        (CLOUD + "[options]\nstatistic = 95\n" + node(), ['"options.statistic"', 'did you mean "p95"']),
        (CLOUD + '[options]\nobjective = "max"\n' + node(), ['"options.objective"', "'mean' or 'worst'"]),
        (CLOUD + "[options]\npercentile = 95\n" + node(), ['"options.percentile" (did you mean "statistic"?)']),
        (CLOUD + "[options]\nservice_scv = 0.5\n" + node(), ['service_scv needs delay = "mg1", not "md1"']),
        ("name = 7\n" + CLOUD + node(), ['"name"']),
        (CLOUD, ["[[nodes]]", "nodes_file"]),
        ('nodes_file = "n.csv"\n' + CLOUD + node(), ["[[nodes]]", "nodes_file"]),
        ("nodes_file = 3\n" + CLOUD, ['"nodes_file"']),
        ('nodes_file = "absent.csv"\n' + CLOUD, ["absent.csv", "No such file"]),
        ("nodes = []\n" + CLOUD, ["at least one node"]),
        ("nodes = 3\n" + CLOUD, ['"nodes"']),
        (CLOUD + node() + node(), ['"camera-7" is used twice']),
        (CLOUD + node(name='"  "'), ['"nodes[0].name"']),
        (CLOUD + node(name="7"), ['"nodes[0].name"']),
        (CLOUD + node(model='"resnet35"'), ['unknown model "resnet35"', "resnet34", ".json", ".onnx"]),
        (CLOUD + node(model='"absent.onnx"'), ["absent.onnx", "No such file"]),
        (CLOUD + '[profiles]\ncuts = "some"\n' + node(), ['"profiles.cuts"', "blocks"]),
        (CLOUD + '[profiles]\nupload_dtype = "int3"\n' + node(), ['"profiles.upload_dtype"', "uint8"]),
        (CLOUD + "[profiles]\ninput_shapes = { x = [1, -1] }\n" + node(), ['"profiles.input_shapes.x[1]"']),
        (CLOUD + "[profiles]\ninput_shapes = { x = [1, 3] }\n" + node(), ['no ONNX model has an input "x"']),
        (CLOUD + "[profiles]\ndims = { n = 1 }\n" + node(), ['no ONNX model has an open dimension "n"']),
        (CLOUD + '[profiles]\noutputs = ["y"]\n' + node(), ['no ONNX model has a tensor "y"']),
        (CLOUD + "[profiles]\ninput_values = { sr = [] }\n" + node(), ['"profiles.input_values.sr']),
        (CLOUD + '[profiles.networks."resnet3"]\n' + node(), ['no node has the model "resnet3"', 'mean "resnet34"']),
        (CLOUD + "[profiles.networks.resnet34]\ndims = { n = 1 }\n" + node(), ["need a graph"]),
        (CLOUD + '[profiles]\ntimes = "t.csv"\n' + node(), ['unknown key "profiles.times"']),
        (CLOUD + '[profiles]\ntimes_file = "t.csv"\n' + node(), ["t.csv", "No such file"]),
        (CLOUD + node(device='"pi"'), ['device "pi" needs its measured times', "[profiles] times_file"]),
        (CLOUD + 'device = "gpu"\n' + node(), ['device "gpu" needs its measured times']),
        (CLOUD + node(device='""'), ['"nodes[0].device"']),
        (CLOUD + node(device="4"), ['"nodes[0].device"']),
        (CLOUD + node(compute_gflops="1e300"), ['"nodes[0].compute_gflops"', "must lie between 1e-30 and 1e+30"]),
        (CLOUD + node(uplink_mbps="1e-300"), ['"nodes[0].uplink_mbps"', "must lie between 1e-30 and 1e+30"]),
        (CLOUD + node(input_bytes="1e31"), ['"nodes[0].input_bytes"', "must lie between 1e-30 and 1e+30"]),
        (CLOUD + "[options]\nflops_per_mac = 1e31\n" + node(), ['"options.flops_per_mac"', "1e+30"]),
        (CLOUD.replace("400.0", "1e300") + node(), ['"cloud.compute_gflops"', "must lie between 1e-30 and 1e+30"]),
        (CLOUD + node(model='"absent.json"'), ["absent.json", "No such file"]),
        (CLOUD + node(model='""'), ['"nodes[0].model"']),
        (CLOUD + node(gpu="true"), ['unknown key "nodes[0].gpu"']),
        (CLOUD + node() + node(name='"b"', uplink_mbps="-8"), ['"nodes[1].uplink_mbps"', "-8"]),
        (CLOUD + node(input_bytes="-1"), ['"nodes[0].input_bytes"']),
        (CLOUD + node(input_bytes="inf"), ['"nodes[0].input_bytes"']),
        (CLOUD + node(input_bytes='"588 KiB"'), ['"nodes[0].input_bytes"']),
    ],
)
def test_a_malformed_file_is_refused_by_field(text, parts, tmp_path):
    refused(load_scenario, write(tmp_path, text), *parts)


@pytest.mark.parametrize("key", ["compute_gflops", "uplink_mbps", "arrival_rate"])
@pytest.mark.parametrize(
    "value", ["0", "0.0", "-1.0", "nan", "inf", "-inf", '"5"', "true", "[5.0]", "2024-01-01", None]
)
def test_every_number_of_a_node_must_be_positive(key, value, tmp_path):
    what = f'"nodes[0].{key}"' if (key, value) != ("uplink_mbps", None) else 'uplink_mbps of "camera-7" must be'
    refused(load_scenario, write(tmp_path, CLOUD + node(**{key: value})), what)


@pytest.mark.parametrize("value", ["0", "-1.0", "nan", "inf", '"400"', "true"])
def test_the_cloud_must_be_positive(value, tmp_path):
    refused(load_scenario, write(tmp_path, f"[cloud]\ncompute_gflops = {value}\n" + node()), '"cloud.compute_gflops"')


def test_several_problems_are_all_named(tmp_path):
    refused(
        load_scenario,
        write(tmp_path, CLOUD + node(compute_gflops="-1", uplink_mbps="-1", colour="1")),
        'unknown key "nodes[0].colour"; remove it, or write one of name, model, compute_gflops, uplink_mbps',
        '; "nodes[0].compute_gflops": input should be greater than 0, got -1; "nodes[0].uplink_mbps": input should be',
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"compute_gflops": [5.0, -6.0]}, 'compute_gflops of "b" must be finite and > 0, got -6.0'),
        ({"uplink_mbps": [np.nan, 1.0]}, 'uplink_mbps of "a" must be finite'),
        ({"arrival_rate": [1.0, np.inf]}, 'arrival_rate of "b" must be finite'),
        ({"arrival_rate": [0.0, 1.0]}, 'arrival_rate of "a" must be finite and > 0'),
        ({"input_bytes": [-1.0, 1.0]}, 'input_bytes of "a" must be finite and >= 0'),
        ({"input_bytes": [np.inf, 1.0]}, 'input_bytes of "a"'),
        ({"compute_gflops": [5.0, 1e300]}, 'compute_gflops of "b" must be between 1e-30 and 1e+30; check its unit'),
        ({"arrival_rate": [1e-31, 1.0]}, 'arrival_rate of "a" must be between 1e-30 and 1e+30'),
        ({"input_bytes": [np.nan, 1e31]}, 'input_bytes of "b" must be 0 or between 1e-30 and 1e+30'),
        ({"devices": ("pi",), "device_index": [0, 1]}, "device_index"),
        ({"devices": ("pi",), "device_index": [-2, 0]}, "device_index"),
        ({"devices": ("pi",), "device_index": [0]}, "device_index"),
        ({"compute_gflops": [5.0]}, "column compute_gflops has 1 values for 2 names"),
        ({"names": ("a", "a")}, '"a" is used twice'),
        ({"names": ("a", " ")}, "node 2 has no name"),
        ({"network_index": [0]}, "network_index"),
        ({"network_index": [0, 1]}, "network_index"),
        ({"network_index": [0, -1]}, "network_index"),
    ],
)
def test_impossible_columns_are_refused(changes, message):
    with pytest.raises(InputError) as caught:
        table(**changes)
    assert message in str(caught.value)


@pytest.mark.parametrize("cloud", [0.0, -1.0, np.nan, np.inf, 1e31, 1e-31])
def test_an_impossible_cloud_is_refused(cloud):
    with pytest.raises(InputError, match=r"cloud\.compute_gflops"):
        Scenario(cloud, table())


def test_a_scenario_with_an_unknown_model_is_refused():
    with pytest.raises(InputError, match='unknown model "resnet35"'):
        Scenario(1.0, table(networks=("resnet35",)))


def test_saving_into_a_missing_folder_says_so(tmp_path):
    with pytest.raises(InputError, match="cannot write"):
        Scenario(1.0, table()).save(tmp_path / "absent" / "s.toml")


def test_saving_leaves_nothing_else_behind(tmp_path):
    Scenario(1.0, table()).save(tmp_path / "s.toml")
    Scenario(2.0, table()).save(tmp_path / "s.toml")
    assert os.listdir(tmp_path) == ["s.toml"]
    assert load_scenario(tmp_path / "s.toml").cloud_gflops == 2.0
