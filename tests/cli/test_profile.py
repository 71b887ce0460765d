import json
import os

import pytest

from dmcjia_opt.base.limits import FILES
from dmcjia_opt.model.networks.measured import load_times
from dmcjia_opt.model.networks.profile import LayerProfile, load_profile
from tests.cli.scenarios import CLOUD
from tests.command_line import fails, misused
from tests.model.networks.onnx_models import Builder, flattened, foreign, residual_block

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


def test_state_is_named_for_a_profile_and_for_a_scenario(dmcjia, tmp_path):
    shown = dmcjia("profile", "net.onnx", "--state", "x*", "--out", "p.json")
    assert (shown.code, shown.err) == (0, "")
    assert load_profile(tmp_path / "p.json").input_bytes == 0
    assert "state that stays: x" in shown.out
    fails(
        dmcjia("profile", "net.onnx", "--state", "past"), 2, '--state: "past" is no input or output', "there are x; fc"
    )
    fails(
        dmcjia("profile", "p.json", "--state", "x"),
        2,
        "cuts, state and what is said of inputs and outputs need a graph",
    )
    (tmp_path / "s.toml").write_text(CLOUD + '[profiles]\nstate = ["x", "y"]\n' + NODE)
    fails(dmcjia("solve", "s.toml"), 2, "s.toml", 'profiles.state: "y" is no input or output')


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
    graph = LayerProfile.from_onnx(tmp_path / "net.onnx").graph_id
    assert set(times.seconds) == {("pi", "net", graph), ("gpu", "net", graph)}  # what was there is kept
    assert dmcjia("solve", "one.toml").code == 0
    cloud = CLOUD + 'device = "gpu"\n[profiles]\ntimes_file = "t.csv"\n'
    (tmp_path / "s.toml").write_text(cloud + NODE + 'device = "pi"\n')
    assert dmcjia("solve", "s.toml", "--out", "plan.json").code == 0
    assert dmcjia("verify", "s.toml", "plan.json").code == 0
    text = (tmp_path / "t.csv").read_text().replace(f"pi,net,{graph},a,", f"pi,net,{graph},a,9")
    (tmp_path / "t.csv").write_text(text)
    assert dmcjia("verify", "s.toml", "plan.json").code == 1


def test_networks_of_one_name_are_measured_into_one_file(dmcjia, tmp_path):
    for folder, sizes in (("small", 4), ("large", 9)):
        (tmp_path / folder).mkdir()
        b = Builder()
        b.input("x", [1, 3, sizes, sizes])
        b.add("Conv", ["x", b.random("w", 8, 3, 1, 1)], "conv")
        b.output("conv", [1, 8, sizes, sizes])
        b.save(tmp_path / folder / "model.onnx")
        ended = dmcjia("profile", f"{folder}/model.onnx", "--measure", "pi", "--out-times", "t.csv", *QUICK)
        assert (ended.code, "in place of" in ended.out) == (0, False)
    nodes = (NODE.replace('"a"', f'"{name}"').replace("net.onnx", f"{name}/model.onnx") for name in ("small", "large"))
    (tmp_path / "s.toml").write_text(
        CLOUD + '[profiles]\ntimes_file = "t.csv"\n' + "".join(node + 'device = "pi"\n' for node in nodes)
    )
    assert dmcjia("solve", "s.toml").code == 0
    times = load_times(tmp_path / "t.csv").seconds
    assert [key[:2] for key in times] == [("pi", "model")] * 2
    ended = dmcjia("profile", "small/model.onnx", "--measure", "pi", "--out-times", "t.csv", *QUICK)
    assert "Times written to t.csv, in place of those that were there;" in ended.out
    lines = (tmp_path / "t.csv").read_text().splitlines()
    (tmp_path / "t.csv").write_text("\n".join([lines[0], lines[1].replace(lines[1].split(",")[2], "")]))
    fails(dmcjia("solve", "s.toml"), 2, 't.csv: the times of "model" on device "pi" would be taken for two networks')
    (tmp_path / "t.csv").write_text("\n".join(lines[:2]))
    fails(dmcjia("solve", "s.toml"), 2, 't.csv: no times of this "model" on device "pi"', "those of another network")


def test_recorded_times_from_a_file_to_a_plan(dmcjia, tmp_path):
    rows = [{"count": 10}]
    for name, ms in (("stem + entry", 4.0), ("a + middle", 2.0), ("b + sum", 2.0), ("fc", 1.0), ("copy of x", 1.0)):
        rows.append({"name": name, "timeMs": 10 * ms, "averageMs": ms, "percentage": 10 * ms})
    (tmp_path / "trt.json").write_text(json.dumps(rows))
    arguments = ("profile", "net.onnx", "--import", "trt.json", "--device", "orin", "--out-times", "t.csv")
    ended = dmcjia(*arguments, "--scenario", "one.toml")
    assert (ended.code, ended.err) == (0, "")
    assert 'The network takes 10 ms on "orin", says trtexec. 4 of 5 rows name parts of the network, ' in ended.out
    assert '1 row names no part of it ("copy of x"): 1 ms, 10 % of all, spread by work over all layers.' in ended.out
    assert dmcjia("solve", "one.toml").code == 0
    before = load_times(tmp_path / "t.csv").of("orin", LayerProfile.from_onnx(tmp_path / "net.onnx"))
    assert before.sum() == pytest.approx(0.01)
    table = "layer;seconds\n" + "".join(f"{name};0,5\n" for name in ("stem", "a", "b", "fc"))
    (tmp_path / "table.csv").write_text(table)
    ended = dmcjia(*(argument if argument != "trt.json" else "table.csv" for argument in arguments))
    assert "Times written to t.csv, in place of those that were there;" in ended.out
    after = load_times(tmp_path / "t.csv").of("orin", LayerProfile.from_onnx(tmp_path / "net.onnx"))
    assert after.tolist() == [0.5] * 4


def test_a_template_is_filled_in_elsewhere(dmcjia, tmp_path):
    ended = dmcjia("profile", "net.onnx", "--template", "t.csv", "--device", "pi")
    assert ended.code == 0
    assert "Template written to t.csv; fill in the seconds" in ended.out
    fails(dmcjia("profile", "net.onnx", "--template", "t.csv", "--device", "pi"), 2, "perhaps filled in")
    (tmp_path / "s.toml").write_text(CLOUD + '[profiles]\ntimes_file = "t.csv"\n' + NODE + 'device = "pi"\n')
    fails(dmcjia("solve", "s.toml"), 2, "t.csv: line 2: no seconds; fill it in")
    lines = (tmp_path / "t.csv").read_text().splitlines()
    (tmp_path / "t.csv").write_text("\n".join([lines[0], *(f"{line}0.01" for line in lines[1:])]))
    assert dmcjia("solve", "s.toml").code == 0


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
    foreign(tmp_path / "net.onnx")
    for arguments in (("profile", "net.onnx", "--out", "net.json"), ("solve", "s.toml")):
        (tmp_path / "s.toml").write_text(CLOUD + NODE)
        ended = dmcjia(*arguments)
        assert ended.code == 0
        assert ended.err.startswith("dmcjia: warning: net: at least 66 % of the work is not counted")
        assert ended.err.count("\n") == 1
    assert 'Caution: model "net": at least 66 % of the work' in " ".join(ended.out.split())
    assert "Caution: at least 66 % of the work is not counted" in dmcjia("profile", "net.json").out


def test_what_a_file_leaves_open_is_given(dmcjia, tmp_path):
    flattened().save(tmp_path / "open.onnx")
    assert dmcjia("profile", "open.onnx", "--dim", "n=1", "--outputs", "flat").code == 0
    fails(dmcjia("profile", "open.onnx", "--dim", "m=1"), 2, 'no open dimension "m"', "those are n")
    fails(dmcjia("profile", "open.onnx", "--dim", "n=1", "--dim", "n=2"), 2, '--dim: the size of "n" is given twice')
    fails(dmcjia("profile", "open.onnx", "--dim", "n"), 2, '--dim "n" is malformed', "batch=1")
    fails(dmcjia("profile", "open.onnx", "--input-value", "x=a"), 2, "malformed", "sr=16000")
    fails(dmcjia("profile", "open.onnx", "--dim", "n=1", "--input-value", "x=1"), 2, "nothing depends on the input")
    fails(dmcjia("profile", "open.onnx", "--dim", "n=1", "--outputs", "flatt"), 2, 'did you mean "flat"?')
    fails(dmcjia("profile", "resnet34", "--dim", "n=1"), 2, "need a graph")


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
        (("net.onnx", "--import", "t.csv"), ["--import needs --device NAME"]),
        (("net.onnx", "--template", "t.csv"), ["--template needs --device NAME"]),
        (("net.onnx", "--device", "pi"), ["--device needs --import FILE, or --template FILE"]),
        (("net.onnx", "--unit", "ms"), ["--unit needs --import FILE"]),
        (("net.onnx", "--column", "ms"), ["--column needs --import FILE"]),
        (("net.onnx", "--measure", "pi", "--device", "pi"), ["leave --import and --device out"]),
        (("net.onnx", "--import", "text.onnx", "--device", "pi"), ["text.onnx: recorded times are a .json file"]),
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
