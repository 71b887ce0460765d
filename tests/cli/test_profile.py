import json
import os

import pytest

from dmcjia_opt.base.limits import FILES
from dmcjia_opt.model.networks.measured import load_times
from dmcjia_opt.model.networks.profile import load_profile
from tests.cli.scenarios import CLOUD
from tests.command_line import fails, misused
from tests.model.networks.onnx_models import residual_block
from tests.model.networks.test_onnx_ import branching, flattened

NODE = '[[nodes]]\nname = "a"\nmodel = "net.onnx"\ncompute_gflops = 1.0\nuplink_mbps = 8.0\narrival_rate = 1.0\n'
QUICK = ("--repeats", 1, "--threads", 1)


@pytest.fixture(autouse=True)
def network(dmcjia, tmp_path):
    """Put `net.onnx`, a residual block, into the folder."""
    residual_block().save(tmp_path / "net.onnx")


def test_from_onnx_to_a_plan_in_two_commands(dmcjia, tmp_path):
    profiled = dmcjia("profile", "net.onnx", "--scenario", "one.toml")
    assert (profiled.code, profiled.err) == (0, "")
    assert "plan it with: dmcjia solve one.toml" in profiled.out
    solved = dmcjia("solve", "one.toml", "--out", "plan.json")
    assert solved.code == 0
    assert json.loads((tmp_path / "plan.json").read_text())["status"] == "optimal"
    assert dmcjia("verify", "one.toml", "plan.json").code == 0


def test_a_scenario_names_the_onnx_file_itself(dmcjia, tmp_path):
    (tmp_path / "s.toml").write_text(CLOUD + NODE)
    assert dmcjia("solve", "s.toml", "--out", "plan.json").code == 0
    assert dmcjia("verify", "s.toml", "plan.json").code == 0
    (tmp_path / "s.toml").write_text(CLOUD + '[profiles]\nupload_dtype = "uint8"\n' + NODE)
    fails_to_verify = dmcjia("verify", "s.toml", "plan.json")
    assert fails_to_verify.code == 1  # other bytes, another scenario


def test_the_tensors_that_a_plan_sends_are_named_wherever_it_is_shown(dmcjia, tmp_path):
    node = NODE.replace("compute_gflops = 1.0", "compute_gflops = 0.01\nmin_split = 2\nmax_split = 2")
    (tmp_path / "s.toml").write_text(CLOUD + node)
    solved = dmcjia("solve", "s.toml", "--out", "plan.json")
    assert solved.code == 0
    sent = "entry 1x8x8x8 float32, middle 1x8x8x8 float32"
    assert f"net at 2: {sent}\n" in solved.out
    assert json.loads((tmp_path / "plan.json").read_text())["nodes"][0]["cut_tensors"] == [["entry", "middle"]]
    assert dmcjia("report", "plan.json", "--out", "page.html").code == 0
    assert f'<td data-sort="2.0">2</td><td>{sent}</td>' in (tmp_path / "page.html").read_text()


def test_everything_that_can_be_written(dmcjia, tmp_path):
    ended = dmcjia(
        *("profile", "net.onnx", "--cuts", "blocks", "--upload-dtype", "float16"),
        *("--out", "p.json", "--picture", "p.svg", "--scenario", "one.toml"),
        *("--compute-gflops", 0.001, "--uplink-mbps", 1, "--arrival-rate", 2, "--cloud-gflops", 10),
    )
    assert (ended.code, ended.err) == (0, "")
    assert load_profile(tmp_path / "p.json").layer_names == ("stem", "b", "fc")
    assert (tmp_path / "p.svg").exists()
    assert "arrival_rate = 2.0" in (tmp_path / "one.toml").read_text()
    for part in (
        "Profile written to p.json",
        "Picture written to p.svg",
        "Least delay on one node (0.001 GFLOP/s, 1 Mbit/s",
    ):
        assert part in ended.out
    assert "Least delay on one node (5 GFLOP/s, 8 Mbit/s" in dmcjia("profile", "p.json").out


def test_measured_times_from_this_machine_to_a_plan(dmcjia, tmp_path):
    ended = dmcjia("profile", "net.onnx", "--measure", "pi", "--out-times", "t.csv", "--scenario", "one.toml", *QUICK)
    assert (ended.code, ended.err) == (0, "")
    assert 'on "pi", layer by layer' in ended.out
    assert dmcjia("profile", "net.onnx", "--measure", "gpu", "--out-times", "t.csv", *QUICK).code == 0
    times = load_times(tmp_path / "t.csv")
    assert set(times.seconds) == {("pi", "net"), ("gpu", "net")}  # what was there is kept
    assert dmcjia("solve", "one.toml").code == 0
    cloud = CLOUD + 'device = "gpu"\n[profiles]\ntimes_file = "t.csv"\n'
    (tmp_path / "s.toml").write_text(cloud + NODE + 'device = "pi"\n')
    assert dmcjia("solve", "s.toml", "--out", "plan.json").code == 0
    assert dmcjia("verify", "s.toml", "plan.json").code == 0
    text = (tmp_path / "t.csv").read_text().replace("pi,net,a,", "pi,net,a,9")
    (tmp_path / "t.csv").write_text(text)
    assert dmcjia("verify", "s.toml", "plan.json").code == 1


def test_times_of_other_cuts_are_refused(dmcjia, tmp_path):
    assert (
        dmcjia("profile", "net.onnx", "--measure", "pi", "--out-times", "t.csv", "--cuts", "blocks", *QUICK).code == 0
    )
    (tmp_path / "s.toml").write_text(CLOUD + '[profiles]\ntimes_file = "t.csv"\n' + NODE + 'device = "pi"\n')
    fails(dmcjia("solve", "s.toml"), 2, "s.toml: ", "t.csv", 'layer "a" has no time', "measure with the cuts")
    text = (tmp_path / "s.toml").read_text().replace("[profiles]\n", '[profiles]\ncuts = "blocks"\n')
    (tmp_path / "s.toml").write_text(text)
    assert dmcjia("solve", "s.toml").code == 0


def test_open_shapes_are_asked_for(dmcjia, tmp_path):
    flattened().save(tmp_path / "open.onnx")
    fails(dmcjia("profile", "open.onnx"), 2, 'input "x" is open (nx3x4x4)', "--input-shape x=1x3x4x4")
    assert dmcjia("profile", "open.onnx", "--input-shape", "x=1x3x4x4").code == 0
    assert dmcjia("profile", "open.onnx", "--input-shape", "2x3x4x4").code == 0


@pytest.mark.filterwarnings("default::dmcjia_opt.base.errors.UncountedOperators")
def test_what_is_not_counted_is_a_sentence_on_standard_error(dmcjia, tmp_path):
    branching().save(tmp_path / "net.onnx")
    for arguments in (("profile", "net.onnx"), ("solve", "s.toml")):
        (tmp_path / "s.toml").write_text(CLOUD + NODE)
        ended = dmcjia(*arguments)
        assert ended.code == 0
        assert ended.err.startswith("dmcjia: warning: net: 1 of 4 operators count as 0 MACs")
        assert ended.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("absent.onnx",), ["absent.onnx: cannot read the model (No such file or directory)"]),
        (("empty.onnx",), ["empty.onnx: the file is empty"]),
        (("text.onnx",), ["text.onnx: not an ONNX file"]),
        (("broken.onnx",), ["broken.onnx: not an ONNX file"]),
        (("enormous.onnx",), ["enormous.onnx: the model of", "the most is 2,147,483,648"]),
        (("resnet35",), ['"resnet35" is no network', "resnet34"]),
        (("resnet34", "--cuts", "all"), ["need a graph"]),
        (("resnet34", "--measure", "pi"), ["cannot be measured"]),
        (("net.onnx", "--measure", " "), ["needs a name"]),
        (("net.onnx", "--measure", "pi", "--cuts", "chain"), ["--cuts chain"]),
        (("net.onnx", "--out-times", "t.csv"), ["--out-times needs --measure"]),
        (("net.onnx", "--repeats", "3"), ["--repeats needs --measure"]),
        (("net.onnx", "--threads", "0"), ["--threads needs --measure"]),
        (("net.onnx", "--upload-dtype", "int3"), ['"int3"', "uint8"]),
        (("net.onnx", "--input-shape", "x=axb"), ['"x=axb"', "name=1x3x224x224"]),
        (("net.onnx", "--input-shape", "y=1"), ['no input "y"']),
        (("net.onnx", "--input-shape", "x=1", "--input-shape", "x=1"), ["given twice"]),
        (("net.onnx", "--picture", "p.pdf"), [".png or .svg"]),
        (("net.onnx", "--picture", "missing/p.png"), ["folder missing does not exist"]),
        (("net.onnx", "--out", "."), ["--out .: this is a folder"]),
        (("net.onnx", "--compute-gflops", "0"), ["compute_gflops", "finite and > 0"]),
        (("net.onnx", "--uplink-mbps", "nan"), ["uplink_mbps", "finite"]),
        (("net.onnx", "--cloud-gflops", "1e300"), ["cloud.compute_gflops", "1e+30"]),
    ],
)
def test_nonsense_is_answered_with_a_sentence(dmcjia, tmp_path, arguments, parts):
    (tmp_path / "empty.onnx").touch()
    (tmp_path / "text.onnx").write_text("no model at all")
    (tmp_path / "broken.onnx").write_bytes((tmp_path / "net.onnx").read_bytes()[:-20])
    with (tmp_path / "enormous.onnx").open("wb") as stream:
        os.truncate(stream.fileno(), FILES["the model"][0] + 1)
    fails(dmcjia("profile", *arguments), 2, *parts)


def test_misuse_is_answered_by_the_parser(dmcjia):
    misused(dmcjia("profile"), "MODEL.onnx")
    misused(dmcjia("profile", "net.onnx", "--cuts", "some"), "--cuts")
    misused(dmcjia("profile", "net.onnx", "--repeats", 0), "--repeats")
