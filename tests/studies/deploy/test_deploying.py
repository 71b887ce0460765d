import json
import re

import onnx
import pytest

from dmcjia_opt.base.errors import InfeasibleError, InputError
from dmcjia_opt.model.networks.profile import LayerProfile
from dmcjia_opt.model.scenario.loading import load_graphs, load_scenario
from dmcjia_opt.solving.plan import load_plan
from dmcjia_opt.solving.solve import solve
from dmcjia_opt.studies.deploy.deploying import deploy
from dmcjia_opt.studies.deploy.manifest import load_manifest
from tests.inputs.mutations import changed
from tests.studies.deploy.deployed import alone, deployed, planned
from tests.studies.deploy.manifests import HALVES, MANIFEST


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("deployed")
    deployed(folder)
    return folder


@pytest.fixture
def again(folder):
    """Return what deploying the fleet takes: the scenario, the plan and the graphs."""
    scenario = load_scenario(folder / "s.toml")
    return scenario, load_plan(folder / "plan.json"), load_graphs(folder / "s.toml", scenario.nodes.networks)


def test_every_half_is_there_once_and_covers_what_somebody_runs(folder):
    manifest = load_manifest(folder / "dep")
    files = sorted(path.relative_to(folder / "dep").as_posix() for path in (folder / "dep").rglob("*.onnx"))
    assert sorted(half.file for half in manifest.halves) == files
    by_node = {node.name: [manifest.half(stage.half) for stage in node.stages if stage.half] for node in manifest.nodes}
    for halves in by_node.values():
        assert [half.start for half in halves] == [0, *(half.end for half in halves[:-1])]
        assert halves[-1].end == 4
    assert by_node["gate"] == by_node["yard"]
    assert len(by_node["dock"]) == 3
    assert len(files) == len({half.file for halves in by_node.values() for half in halves}) == 4


def test_the_manifest_has_the_stages_of_the_plan(folder):
    manifest, plan = load_manifest(folder / "dep"), json.loads((folder / "plan.json").read_text())
    for node, row in zip(manifest.nodes, plan["nodes"], strict=True):
        assert {stage.stage: stage.planned_s for stage in node.stages} == pytest.approx(row["stages"], rel=1e-9)
        assert node.planned_s == row["total_s"]
    gate, yard, dock = manifest.nodes
    assert [stage.slot for stage in yard.stages] == ["edge", "link", "first server", "round trip"]
    assert [stage.slot for stage in dock.stages] == ["edge", "uplink", "first server", "second server"]
    assert [stage.waits for stage in yard.stages] == [True, False, True, False]
    assert gate.stages[0].service_s == pytest.approx(2 * (8 * 256 + 256 * 256) / 0.015e9)
    assert gate.stages[1].service_s == pytest.approx(256 * 4 / (1.2e6 / 8))
    assert gate.stages[2].service_s * gate.stages[2].share == pytest.approx(2 * (256 * 256 + 256 * 8) / 0.05e9)
    assert yard.stages[1].service_s == pytest.approx(256 * 4 / (1.5e6 / 8))
    assert (gate.arrivals_scv, yard.arrivals_scv, yard.arrival_rate) == (1.0, 0.0, 32.0)
    (cut,) = gate.cuts
    assert (cut.split, cut.bytes, [str(tensor) for tensor in cut.tensors]) == (2, 1024.0, ["r1 1x256 float32"])
    assert [cut.split for cut in dock.cuts] == [1, dock.cuts[1].split]
    assert [server.name for server in manifest.servers] == ["cloud", "site"]
    (network,) = manifest.networks
    assert (network.name, network.model, sum(layer.macs for layer in network.layers)) == ("net", "net.onnx", 135168.0)


def test_all_at_a_node_is_the_whole_whose_result_is_sent(tmp_path):
    manifest = deployed(tmp_path, alone(splits=[4]))
    (node,) = manifest.nodes
    assert [stage.slot for stage in node.stages] == ["edge", "uplink"]
    (half,) = manifest.halves
    assert (half.start, half.end) == (0, 4)
    assert [str(tensor) for tensor in node.cuts[0].tensors] == ["r3 1x8 float32"]
    assert [server.name for server in manifest.servers] == ["cloud"]


def test_the_raw_input_may_be_as_large_as_the_node_says(tmp_path):
    (node,) = deployed(tmp_path, alone(splits=[0], input_bytes=500)).nodes
    assert [stage.slot for stage in node.stages] == ["uplink", "first server"]
    assert [(cut.split, cut.bytes, cut.tensors[0].n_bytes) for cut in node.cuts] == [(0, 500.0, 32)]


def test_networks_of_one_name_have_files_of_their_own(tmp_path):
    (tmp_path / "small").mkdir()
    scenario, _ = planned(tmp_path)
    (tmp_path / "small" / "net.onnx").write_bytes((tmp_path / "net.onnx").read_bytes())
    text = (tmp_path / "s.toml").read_text().replace('model = "net.onnx"', 'model = "small/net.onnx"', 1)
    (tmp_path / "s.toml").write_text(text)
    scenario = load_scenario(tmp_path / "s.toml")
    solve(scenario).save(tmp_path / "plan.json")
    graphs = load_graphs(tmp_path / "s.toml", scenario.nodes.networks)
    manifest = deploy(scenario, load_plan(tmp_path / "plan.json"), graphs).manifest
    files = [half.file for half in manifest.halves]
    assert len(set(files)) == len(files) == 6
    assert sum(file.startswith("halves/net-2-") for file in files) == 4


def test_a_plan_of_another_scenario_is_refused(again):
    scenario, plan, graphs = again
    other = plan.model_copy(update={"scenario_sha256": "0" * 64})
    with pytest.raises(InputError, match="made for another scenario, or for this one before it changed; solve it anew"):
        deploy(scenario, other, graphs)


def test_a_plan_that_breaks_a_limit_is_refused(again):
    scenario, plan, graphs = again
    nodes = [plan.nodes[0].model_copy(update={"shares": {"cloud": 0.9}}), *plan.nodes[1:]]
    with pytest.raises(InfeasibleError, match="the plan cannot be run: "):
        deploy(scenario, plan.model_copy(update={"nodes": nodes}), graphs)


@pytest.mark.parametrize(
    ("model", "what"),
    [("resnet34", "one of the zoo, which has figures and no weights"), ("net.json", "a profile, which has no weights")],
)
def test_networks_without_weights_are_refused(tmp_path, model, what):
    planned(tmp_path)
    LayerProfile.from_onnx(tmp_path / "net.onnx").save(tmp_path / "net.json")
    text = (
        f'[cloud]\ncompute_gflops = 40.0\n[[nodes]]\nname = "gate"\nmodel = "{model}"\ncompute_gflops = 5.0\n'
        "uplink_mbps = 8.0\narrival_rate = 0.1\n"
    )
    (tmp_path / "s.toml").write_text(text)
    scenario = load_scenario(tmp_path / "s.toml")
    solve(scenario).save(tmp_path / "plan.json")
    graphs = load_graphs(tmp_path / "s.toml", scenario.nodes.networks)
    with pytest.raises(InputError, match=re.escape(f'"{model}" of node "gate" is {what}: nothing of it can run')):
        deploy(scenario, load_plan(tmp_path / "plan.json"), graphs)


def test_what_is_there_is_not_written_over(again, tmp_path):
    deployment = deploy(*again)
    deployment.save(tmp_path)
    deployment.save(tmp_path)
    (half, *_) = deployment.files
    onnx.save(onnx.ModelProto(), tmp_path / half)
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(InputError, match=re.escape(f"{tmp_path / half} is there already, with other content")):
        deployment.save(tmp_path)
    assert not (tmp_path / "manifest.json").exists()


def test_a_folder_without_a_manifest_or_without_a_half_is_refused(folder, tmp_path):
    with pytest.raises(InputError, match=r"holds no manifest\.json; name a folder that dmcjia deploy has written"):
        load_manifest(tmp_path)
    content = json.loads((folder / "dep" / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"net-1-2\.onnx: cannot read the model \(No such file or directory\)"):
        load_manifest(tmp_path)
    content["halves"] = []
    (tmp_path / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match='the stage "device" of node "gate" names a half'):
        load_manifest(tmp_path)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"halves": [*MANIFEST["halves"], MANIFEST["halves"][0]]}, "the half one.onnx is there twice"),
        ({"halves.0.end": 0}, "the half one.onnx is there twice, or has layers that no network has"),
        ({"halves.1.end": 4}, "the half two.onnx is there twice, or has layers that no network has"),
        ({"halves.1.model": "another"}, "the half two.onnx is there twice, or has layers that no network has"),
        ({"nodes": MANIFEST["nodes"] * 2}, "two nodes have one name"),
        (
            {"networks": [*MANIFEST["networks"], MANIFEST["networks"][0] | {"model": "b"}], "nodes.0.model": "b"},
            'the stage "device" of node "gate" names a half',
        ),
    ],
)
def test_a_manifest_at_odds_with_itself_is_refused(tmp_path, changes, why):
    for file in HALVES:
        (tmp_path / file).write_bytes(b"half")
    (tmp_path / "manifest.json").write_text(json.dumps(changed(MANIFEST, changes)))
    with pytest.raises(InputError, match=rf"manifest\.json: {re.escape(why)}.*; deploy the plan anew"):
        load_manifest(tmp_path)
