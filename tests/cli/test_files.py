"""No command writes over what it reads or writes otherwise in the same call; every output of every command is tried.

Outputs, inputs and words are every option and argument that takes a text, so that none can be added unseen.
"""

import json
import os
import shutil
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import get_args, get_type_hints

import pyarrow.csv
import pyarrow.parquet
import pytest
import typer

from dmcjia_opt.cli.main import app
from dmcjia_opt.model.networks.measured import load_times
from dmcjia_opt.model.networks.profile import LayerProfile
from dmcjia_opt.studies.deploy import run_here
from tests.cli.scenarios import CLOUD
from tests.command_line import fails, run
from tests.model.networks.onnx_models import residual_block
from tests.studies.bench.runs import placer_rows, write_folder
from tests.studies.deploy.deployed import alone, deployed, imagined

#: What is written, with how a name may end; "" stands for a folder.
OUTPUTS = {
    ("solve", "--out"): ".json",
    ("solve", "--proof"): ".json",
    ("solve", "--report"): ".html",
    ("simulate", "--out"): ".json",
    ("size", "--out"): ".json",
    ("size", "--frontier"): "",
    ("replay", "--out"): "",
    ("generate", "--out"): ".toml",
    ("generate", "--nodes-file"): ".csv",
    ("profile", "--out"): ".json",
    ("profile", "--picture"): ".svg",
    ("profile", "--scenario"): ".toml",
    ("profile", "--out-times"): ".csv",
    ("split", "--out"): "",
    ("deploy", "--out"): "",
    ("run", "--out"): ".json",
    ("run", "--csv"): ".csv",
    ("run", "--page"): ".html",
    ("run", "--times"): ".csv",
    ("profile", "--template"): ".csv",
    ("bench", "--out"): "",
    ("reproduce", "--out"): "",
    ("report", "--out"): ".html",
    ("report", "--csv"): "",
}
#: What goes to standard output by "-".
STREAMS = {
    *(("solve", name) for name in ("--out", "--proof")),
    *((name, "--out") for name in ("simulate", "size", "generate", "profile", "run")),
}
#: What names a file, or may.
INPUTS = {
    *(("solve", name) for name in ("scenario", "--placer", "--allocator")),
    *(("verify", name) for name in ("scenario", "plan", "--proof")),
    *(("simulate", name) for name in ("scenario", "plans", "--arrivals")),
    ("size", "scenario"),
    ("solve", "--start"),
    ("simulate", "--links"),
    *(("replay", name) for name in ("scenario", "--trace")),
    ("split", "network"),
    *(("deploy", name) for name in ("scenario", "plan")),
    ("run", "folder"),
    *(("profile", name) for name in ("model", "--import")),
    *(("report", name) for name in ("what", "--scenario")),
    *(("bench", name) for name in ("--instances", "--methods")),
}
#: What names no file.
WORDS = {
    ("bench", "suite"),
    ("bench", "--dask"),
    ("solve", "--dask"),
    ("verify", "--dask"),
    ("generate", "family"),
    ("methods", "name"),
    ("size", "--resource"),
    ("replay", "--policy"),
    ("replay", "--forecast"),
    ("profile", "--column"),
    ("profile", "--device"),
    ("profile", "--dim"),
    ("profile", "--input-shape"),
    ("profile", "--input-value"),
    ("profile", "--outputs"),
    ("profile", "--state"),
    ("profile", "--measure"),
    ("profile", "--upload-dtype"),
    *(("split", name) for name in ("--input-shape", "--dim", "--input-value", "--outputs", "--state")),
}
FLEET = ("s.toml", "nodes.csv", "net.json", "net.onnx", "times.csv")
#: Calls that read, and every file that each of them reads.
READ = {
    "solve": (("solve", "s.toml", "--placer", "./mine.py:Mine"), (*FLEET, "mine.py")),
    "solve, Parquet": (("solve", "p.toml"), ("p.toml", "nodes.parquet")),
    "solve, parts": (("solve", "q.toml"), ("q.toml", "parts/1.parquet")),
    "solve, an allocator": (("solve", "p.toml", "--allocator", "./mine.py:Mine"), ("mine.py",)),
    "simulate": (
        ("simulate", "s.toml", "plan.json", "other.json", "--arrivals", "arrivals.csv"),
        (*FLEET, "plan.json", "other.json", "arrivals.csv"),
    ),
    "size": (("size", "s.toml", "--deadline-ms", 9000), FLEET),
    "solve, from a plan": (("solve", "s.toml", "--start", "plan.json"), ("plan.json",)),
    "simulate, links": (("simulate", "p.toml", "of-p.json", "--links", "links.csv", "--tasks", 1000), ("links.csv",)),
    "replay": (("replay", "s.toml", "--trace", "links.csv"), (*FLEET, "links.csv")),
    "profile": (("profile", "net.onnx", "--measure", "pi"), ("net.onnx",)),
    "profile, recorded": (("profile", "net.onnx", "--import", "recorded.csv", "--device", "pi"), ("recorded.csv",)),
    "profile, JSON": (("profile", "net.json", "--measure", "pi"), ("net.json",)),
    "split": (("split", "net.onnx", "--at", 1), ("net.onnx",)),
    "deploy": (("deploy", "d/s.toml", "d/plan.json"), ("d/s.toml", "d/plan.json", "d/net.onnx")),
    "run": (("run", "d/dep"), ("d/dep/manifest.json", "d/dep/halves/net-1-1.onnx")),
    "bench": (("bench", "smoke", "--instances", "s.toml,p.toml", "--methods", "./mine.py:Mine"), (*FLEET, "mine.py")),
    "report": (("report", "plan.json", "--scenario", "s.toml"), ("plan.json", *FLEET)),
    "report, its own": (("report", "plan.json"), FLEET),
    "report, a benchmark": (("report", "results"), ("results/rows.jsonl", "results/run.json")),
}
#: What the scenario of every call refers to; one call shows it at once.
REFERRED = FLEET[1:]
EATEN = [
    pytest.param(
        arguments,
        option,
        suffix,
        file,
        id=f"{name} {option} {file}",
        marks=[pytest.mark.slow] * (file in REFERRED and name not in ("solve", "profile", "profile, JSON")),
    )
    for name, (arguments, files) in READ.items()
    for (command, option), suffix in OUTPUTS.items()
    for file in files
    if command == arguments[0] and (option != "--csv" or "results" in arguments)
]
MADE = {
    "solve": ("solve", "p.toml"),
    "simulate": ("simulate", "p.toml", "of-p.json", "--tasks", 1000),
    "size": ("size", "p.toml", "--mean-ms", 9000),
    "replay": ("replay", "p.toml", "--trace", "links.csv"),
    "generate": ("generate", "paper", "--nodes", 2),
    "profile": ("profile", "net.onnx", "--measure", "pi", "--repeats", 1),
    "split": ("split", "net.onnx", "--at", 1),
    "deploy": ("deploy", "d/s.toml", "d/plan.json"),
    "run": ("run", "d/dep"),
    "report": ("report", "results"),
}
PAIRS = [
    pytest.param(command, *pair, id=f"{command} {pair[0]} {pair[1]}")
    for command in MADE
    for pair in combinations([option for (of, option) in OUTPUTS if of == command], 2)
]


def that_take(*types):
    """Return the command and the name of every option and argument that takes values of some types."""
    found = set()
    for command in app.registered_commands:
        hints = get_type_hints(command.callback, include_extras=True)
        for name, (taken, how) in ((name, get_args(hint)) for name, hint in hints.items() if name != "return"):
            if set(types) & {taken, *get_args(taken)}:
                option = isinstance(how, typer.models.OptionInfo)
                spelt = how.default if option and isinstance(how.default, str) else f"--{name.replace('_', '-')}"
                found.add((command.callback.__name__, spelt if option else name))
    return found


def test_every_option_that_takes_a_text_is_classified():
    assert that_take(Path, list[Path], str, list[str]) == OUTPUTS.keys() | INPUTS | WORDS
    assert not that_take(Path, list[Path]) & WORDS
    assert len(OUTPUTS.keys() | INPUTS | WORDS) == len(OUTPUTS) + len(INPUTS) + len(WORDS)
    assert {arguments[0] for arguments, _ in READ.values()} | {"verify"} == {command for command, _ in INPUTS}


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """Return a folder with every kind of file that a command reads."""
    folder = tmp_path_factory.mktemp("template")
    residual_block().save(folder / "net.onnx")
    profile = LayerProfile.from_onnx(folder / "net.onnx")
    profile.save(folder / "net.json")
    layers = "".join(f"pi,net,{layer},0.01\n" for layer in profile.layer_names)
    (folder / "times.csv").write_text(f"device,model,layer,seconds\n{layers}")
    (folder / "nodes.csv").write_text(
        "name,model,compute_gflops,uplink_mbps,arrival_rate,device\na,net.json,1,8,1,pi\nb,net.onnx,1,8,1,\n"
    )
    (folder / "recorded.csv").write_text("layer,ms\n" + "".join(f"{layer},1\n" for layer in profile.layer_names))
    (folder / "s.toml").write_text(f'nodes_file = "nodes.csv"\n{CLOUD}[profiles]\ntimes_file = "times.csv"\n')
    fleet = "name,model,compute_gflops,uplink_mbps,arrival_rate\na,resnet34,5,8,1\nb,resnet34,7,20,1\n"
    (folder / "fleet.csv").write_text(fleet)
    pyarrow.parquet.write_table(pyarrow.csv.read_csv(folder / "fleet.csv"), folder / "nodes.parquet")
    (folder / "parts").mkdir()
    pyarrow.parquet.write_table(pyarrow.csv.read_csv(folder / "fleet.csv"), folder / "parts" / "1.parquet")
    (folder / "q.toml").write_text(f'nodes_file = "parts"\n{CLOUD}')
    (folder / "p.toml").write_text(f'nodes_file = "nodes.parquet"\n{CLOUD}')
    (folder / "mine.py").write_text(
        "class Mine:\n    def supports(self, problem): return None\n"
        "    def search(self, search, rng): raise AssertionError\n"
        "    def allocate(self, problem, options): raise AssertionError\n"
    )
    (folder / "links.csv").write_text("3\n4\n2\n")
    (folder / "arrivals.csv").write_text("\n".join(map(str, range(1, 2000))))
    (folder / "d").mkdir()
    deployed(folder / "d", alone(splits=[1]))
    write_folder(folder / "results", placer_rows(), suite="small")
    return folder


@pytest.fixture
def dmcjia(monkeypatch, capsys, tmp_path, template):
    """Run a command in a copy of the template, with plans."""
    folder = tmp_path / "work"
    shutil.copytree(template, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(run_here, "run", imagined)
    command = partial(run, monkeypatch, capsys)
    if not (template / "plan.json").exists():
        for scenario, plan in (("s.toml", "plan.json"), ("s.toml", "other.json"), ("p.toml", "of-p.json")):
            assert command("solve", scenario, "--out", plan).code == 0
            shutil.copy(plan, template)
    return command


def contents():
    """Return every file of the folder by its name, links by where they lead."""
    found = (path for path in Path().rglob("*") if path.is_symlink() or path.is_file())
    return {str(path): path.readlink() if path.is_symlink() else path.read_bytes() for path in found}


def ways_to(file, suffix):
    """Yield names that lead to a file, and whether they end as an output must."""
    yield file, Path(file).suffix == suffix
    yield f"results/../{file}", Path(file).suffix == suffix
    yield str(Path(file).with_name(Path(file).name.upper())), Path(file).suffix == suffix
    Path("here").symlink_to(".")
    yield f"here/{file}", Path(file).suffix == suffix
    Path(f"link{suffix}").symlink_to(file)
    yield f"link{suffix}", True
    os.link(file, f"other-name{suffix}")
    yield f"other-name{suffix}", True


@pytest.mark.parametrize(("arguments", "option", "suffix", "file"), EATEN)
def test_no_output_eats_an_input(dmcjia, arguments, option, suffix, file):
    page = ("--out", "page.html") if option == "--csv" else ()
    for way, ends_well in ways_to(file, suffix):
        before = contents()
        if not suffix and not Path(way).exists():
            continue  # a folder that will be made, on a file system with case
        told = f"{option} {way}: " if suffix else f"{way}: this is a file; name a folder"
        fails(dmcjia(*arguments, option, way, *page), 2, told, "would be written over" if suffix and ends_well else "")
        assert contents() == before


@pytest.mark.parametrize(("command", "first", "second"), PAIRS)
def test_no_output_eats_another(dmcjia, command, first, second):
    one, other = (f"new{OUTPUTS[command, option]}" for option in (first, second))
    if one != other:
        Path(other).symlink_to(one)  # it leads nowhere yet
    rest = ("--out", "g.toml") if (command, first) == ("generate", "--nodes-file") else ()
    before = contents()
    for name in (other, f"results/../{other}", *([other.upper()] if one == other else [])):
        ended = dmcjia(*MADE[command], first, one, second, name, *rest)
        fails(ended, 2, "asks for the same file; give each its own name")
        assert contents() == before


def test_a_table_of_nodes_is_not_the_scenario(dmcjia):
    Path("n.csv").symlink_to("g.toml")
    fails(dmcjia("generate", "paper", "--nodes", 2, "--out", "g.toml", "--nodes-file", "n.csv"), 2, "same file")
    assert not Path("g.toml").exists()


def test_times_that_a_scenario_brings_are_an_output_too(dmcjia):
    measured = ("profile", "net.onnx", "--measure", "pi", "--repeats", 1)
    Path("one-times.csv").write_text("device,model,layer,seconds\ngpu,other,l,1.0\n")
    ended = dmcjia(*measured, "--scenario", "one.toml", "--out-times", "one-times.csv")
    fails(ended, 2, "one-times.csv: --out-times asks for the same file")
    assert set(load_times("one-times.csv").seconds) == {("gpu", "other", "")}


def test_a_profile_written_by_hand_is_not_written_anew_beside_a_scenario(dmcjia):
    content = json.dumps(json.loads(Path("net.json").read_text()))
    Path("net.json").write_text(content)
    ended = dmcjia("profile", "net.json", "--scenario", "one.toml")
    assert ended.code == 2
    assert "net.json: the profile in net.json would be written over; choose another folder or name" in ended.err
    assert Path("net.json").read_text() == content
    assert not Path("one.toml").exists()


def test_a_profile_that_stays_as_it_is_may_lie_beside_a_scenario(dmcjia):
    for more in ((), ("--out", "net.json")):
        before = Path("net.json").read_bytes()
        assert dmcjia("profile", "net.onnx" if more else "net.json", "--scenario", "one.toml", *more).code == 0
        assert Path("net.json").read_bytes() == before
        assert dmcjia("solve", "one.toml").code == 0


def test_rows_of_a_benchmark_are_not_its_nodes(dmcjia):
    shutil.copy("nodes.parquet", "results/rows.parquet")
    Path("results/b.toml").write_text(Path("p.toml").read_text().replace("nodes.parquet", "rows.parquet"))
    Path("results/run.json").write_text('{"suite": "smoke"}')
    before = contents()
    ended = dmcjia("bench", "smoke", "--instances", "results/b.toml", "--out", "results", "--resume")
    fails(ended, 2, "--out results/rows.parquet: the nodes in results/rows.parquet would be written over")
    assert {name: content for name, content in contents().items() if not name.endswith(".lock")} == before


@pytest.mark.parametrize("output", OUTPUTS, ids=" ".join)
def test_a_minus_is_standard_output_or_refused(dmcjia, output):
    command, option = output
    calls = {**MADE, "bench": ("bench", "smoke"), "reproduce": ("reproduce", "table1")}
    more = ("--out", "g.toml" if command == "generate" else "p.html") if option in ("--nodes-file", "--csv") else ()
    if output in STREAMS:
        ended = dmcjia(*calls[command], option, "-")
        assert ended.code == 0
        kept = dmcjia(*calls[command], option, f"kept{OUTPUTS[output]}")
        assert kept.code == 0
        if OUTPUTS[output] == ".json":
            printed, written = json.loads(ended.out), json.loads(Path("kept.json").read_text())
            assert printed.keys() == written.keys()
        else:
            assert ended.out == Path("kept.toml").read_text()
        assert "written to" not in ended.err
    else:
        fails(dmcjia(*calls[command], option, "-", *more), 2, f"{option} -", "standard output")
    assert not Path("-").exists()


def test_only_one_output_is_standard_output(dmcjia):
    ended = dmcjia("solve", "p.toml", "--out", "-", "--proof", "-")
    fails(ended, 2, "--proof -: --out asks for the same file")
    ended = dmcjia("simulate", "p.toml", "of-p.json", "--tasks", 1000, "--json", "--out", "-")
    assert json.loads(ended.out)["plans"]
    fails(dmcjia("generate", "paper", "--nodes", 2, "--out", "-", "--nodes-file", "n.csv"), 2, "--nodes-file", "--out")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names")
def test_a_pipe_is_no_file(dmcjia):
    os.mkfifo("pipe.json")
    fails(dmcjia("solve", "p.toml", "--out", "pipe.json"), 2, "a pipe or a device is no file")


def test_a_name_that_no_file_can_have(dmcjia):
    longest = "x" * 250 + ".json"
    for name in (f"x{longest}", f"x{longest}/p.json"):
        fails(dmcjia("solve", "p.toml", "--out", name), 2, f"--out {name}: cannot write (File name too long)")
    assert dmcjia("solve", "p.toml", "--out", longest).code == 0
    assert Path(longest).is_file()
    fails(dmcjia("reproduce", "table1", "--out", f"x{longest}"), 2, "cannot write (File name too long)")


def test_a_folder_that_cannot_be_written_is_told_before_the_search(dmcjia, monkeypatch):
    monkeypatch.setattr("dmcjia_opt.base.call.os.access", lambda folder, how: not how & os.W_OK)
    fails(dmcjia("solve", "p.toml", "--out", "p.json"), 2, "--out p.json: the folder . cannot be written")
