"""`dmcjia split`, `deploy` and `run` as people use them; runs of real processes are in tests/studies/deploy."""

import json
from functools import partial

import onnx
import pytest

from dmcjia_opt.model.networks.measured import Timed, load_times
from dmcjia_opt.studies.deploy import run_here
from tests.command_line import fails, run
from tests.model.networks.onnx_models import flattened, residual_block
from tests.studies.deploy.deployed import NODES, imagined, planned


@pytest.fixture
def dmcjia(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    residual_block().save(tmp_path / "net.onnx")
    return partial(run, monkeypatch, capsys)


def test_the_halves_of_a_network(dmcjia, tmp_path):
    code, said, _ = dmcjia("split", "net.onnx", "--at", 2, "--out", "halves")
    assert code == 0
    assert sorted(path.name for path in (tmp_path / "halves").iterdir()) == ["device.onnx", "server.onnx"]
    server = onnx.load(tmp_path / "halves" / "server.onnx")
    for value in server.graph.input:
        assert f"{value.name} 1x8x8x8 float32" in said
    assert {value.name for value in server.graph.input} == {"entry", "middle"}
    assert "On random input the parts give what the whole gives." in said
    assert dmcjia("split", "net.onnx", "--at", 1, "--at", 3, "--out", "parts").code == 0
    assert len(list((tmp_path / "parts").iterdir())) == 3


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("net.onnx", "--at", 0), "--at 0: the cuts between layers of net.onnx are 1 to 3; at 0 nothing would be left"),
        (("net.onnx", "--at", 4), "at 4 for the server"),
        (("net.onnx", "--at", 3, "--at", 1), "--at 3 --at 1: give the nearer cut first, and two that differ"),
        (("net.onnx", "--at", 1, "--at", 1), "two that differ"),
        (("net.onnx", "--at", 1, "--at", 2, "--at", 3), "--at is given 3 times; give one cut, or two for three parts"),
        (("resnet34", "--at", 1), "resnet34: only an .onnx file can be taken apart"),
        (("open.onnx", "--at", 1), "--input-shape"),
        (("none.onnx", "--at", 1), "cannot read the model (No such file or directory)"),
    ],
)
def test_what_cannot_be_taken_apart_leaves_nothing_behind(dmcjia, tmp_path, arguments, why):
    flattened().save(tmp_path / "open.onnx")
    fails(dmcjia("split", *arguments, "--out", "halves"), 2, why)
    assert not (tmp_path / "halves").exists()


def test_other_halves_are_not_written_over(dmcjia, tmp_path):
    assert dmcjia("split", "net.onnx", "--at", 1, "--out", "halves").code == 0
    before = (tmp_path / "halves" / "device.onnx").read_bytes()
    assert dmcjia("split", "net.onnx", "--at", 1, "--out", "halves").code == 0
    fails(dmcjia("split", "net.onnx", "--at", 2, "--out", "halves"), 2, "device.onnx is there already")
    assert (tmp_path / "halves" / "device.onnx").read_bytes() == before


def test_a_plan_is_deployed_and_run(dmcjia, tmp_path, monkeypatch):
    planned(tmp_path)
    code, said, _ = dmcjia("deploy", "s.toml", "plan.json", "--out", "dep")
    assert code == 0
    assert "halves/net-1-2.onnx" in said
    assert "its node" in said
    monkeypatch.setattr(run_here, "run", imagined)
    outputs = ("--out", "run.json", "--csv", "run.csv", "--page", "run.html", "--times", "times.csv")
    code, said, err = dmcjia("run", "dep", "--pace", "--tasks", 100, *outputs)
    assert (code, err) == (0, "")
    assert "three: 90 tasks a node, every stage stretched to its planned time; delays in ms" in said
    content = json.loads((tmp_path / "run.json").read_text())
    assert (content["paced"], content["nodes"][0]["tasks"]) == (True, 90)
    assert {key.device for key in load_times(tmp_path / "times.csv").seconds} == {
        "gate",
        "yard",
        "dock",
        "cloud",
        "site",
    }
    (tmp_path / "more.csv").write_text("device,model,layer,seconds\npi,other,l,1.0\n")
    assert dmcjia("run", "dep", "--times", "more.csv").code == 0
    assert Timed("pi", "other") in load_times(tmp_path / "more.csv").seconds


def test_a_plan_of_a_changed_scenario_is_not_deployed(dmcjia, tmp_path):
    planned(tmp_path)
    (tmp_path / "s.toml").write_text(NODES.replace("compute_gflops = 0.015", "compute_gflops = 0.016"))
    fails(
        dmcjia("deploy", "s.toml", "plan.json", "--out", "dep"), 2, "plan.json: the plan was made for another scenario"
    )
    assert not (tmp_path / "dep").exists()


def test_a_folder_that_is_no_deployment_is_not_run(dmcjia, tmp_path):
    fails(dmcjia("run", "none"), 2, "none/manifest.json: cannot read the manifest (No such file or directory)")
    fails(dmcjia("run", "."), 2, ".: holds no manifest.json; name a folder that dmcjia deploy has written")
