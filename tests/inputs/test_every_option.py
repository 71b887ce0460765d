"""No option and no argument of any command is without effect and without a word.

`EXAMPLES` has for each of them two command lines that differ in it, and what comes of them must differ: the exit code,
what is printed, or the files. A new option without an entry fails the walk.
"""

from __future__ import annotations

import re
import shlex
import shutil
import time
from typing import NamedTuple

import numpy as np
import pytest
import typer

from dmcjia_opt import solve
from dmcjia_opt.base.errors import DmcjiaError
from dmcjia_opt.cli.main import app
from dmcjia_opt.model.networks.profile import LayerProfile
from dmcjia_opt.model.scenario.loading import load_scenario
from dmcjia_opt.studies.bench.rows import Outcome
from dmcjia_opt.studies.bench.running import runner
from dmcjia_opt.studies.bench.runs import Ran, Reply
from dmcjia_opt.studies.deploy import run_here
from tests.command_line import run
from tests.model.networks.onnx_models import flattened, residual_block
from tests.studies.deploy.deployed import alone, deployed, imagined
from tests.waiting import Clock

NODE = '[[nodes]]\nname = "{}"\nmodel = "{}"\ncompute_gflops = {}\nuplink_mbps = 8.0\narrival_rate = 0.5\n'
CLOUD = "[cloud]\ncompute_gflops = 40.0\n"
BENCH = "bench smoke --instances s.toml --methods greedy+ --seeds 1"
SIMULATE = "simulate s.toml plan.json --tasks 1000"
REPLAY = "replay s.toml --trace markov:20 --seed 1"
SIZE = "size s.toml --deadline-ms 4000"
MEASURE = "profile net.onnx --measure pi --repeats 1"
SPLIT = "split d/net.onnx --at 1 --out h"
DEPLOY = "deploy d/s.toml d/plan.json --out h"
RECORDED = "profile net.onnx --device pi --import"
GENETIC = "solve s.toml --placer genetic:population=4 --evaluations"

#: By command and option (its arguments in small letters): a command line, and one that differs in it alone.
EXAMPLES = {
    "--debug": ("solve none.toml", "--debug solve none.toml"),
    "--version": ("methods exact", "--version methods exact"),
    "solve scenario": ("solve s.toml", "solve t.toml"),
    "solve --placer": ("solve s.toml --out p.json", "solve s.toml --out p.json --placer cloud-only"),
    "solve --allocator": ("solve s.toml --placer greedy", "solve s.toml --placer greedy --allocator alm"),
    "solve --seconds": ("solve s.toml --placer exhaustive", "solve s.toml --placer exhaustive --seconds 0.001"),
    "solve --evaluations": (f"{GENETIC} 40", f"{GENETIC} 5"),
    "solve --gap": ("solve s.toml --out p.json", "solve s.toml --out p.json --gap 0.5"),
    "solve --seed": (f"{GENETIC} 5 --out p.json", f"{GENETIC} 5 --out p.json --seed 3"),
    "solve --out": ("solve s.toml", "solve s.toml --out p.json"),
    "solve --proof": ("solve s.toml", "solve s.toml --proof p.json"),
    "solve --report": ("solve s.toml", "solve s.toml --report r.html"),
    "solve --json": ("solve s.toml", "solve s.toml --json"),
    "solve --quiet": ("solve s.toml", "solve s.toml --quiet"),
    "solve --outside": ("solve sub/o.toml", "solve sub/o.toml --outside"),
    "solve --dask": ("solve s.toml", "solve s.toml --dask local:2"),
    "verify --dask": ("verify s.toml plan.json", "verify s.toml plan.json --dask local:2"),
    "simulate --sample": (SIMULATE, f"{SIMULATE} --sample 2"),
    "generate --part-nodes": (
        "generate fleet --nodes 3 --out g.toml --nodes-file n",
        "generate fleet --nodes 3 --out g.toml --nodes-file n --part-nodes 2",
    ),
    "verify scenario": ("verify s.toml plan.json", "verify t.toml plan.json"),
    "verify plan": ("verify s.toml plan.json", "verify s.toml false.json"),
    "verify --proof": ("verify s.toml plan.json", "verify s.toml plan.json --proof proof.json"),
    "verify --outside": ("verify sub/o.toml plan.json", "verify sub/o.toml plan.json --outside"),
    "size scenario": (SIZE, SIZE.replace("s.toml", "t.toml")),
    "size --deadline-ms": (SIZE, f"{SIZE} --deadline-ms 2000"),
    "size --mean-ms": (SIZE, f"{SIZE} --mean-ms 900"),
    "size --resource": (SIZE, f"{SIZE} --resource sky"),
    "size --out": (SIZE, f"{SIZE} --out size.json"),
    "size --frontier": (SIZE, f"{SIZE} --frontier curve"),
    "size --outside": ("size sub/o.toml --mean-ms 9000", "size sub/o.toml --mean-ms 9000 --outside"),
    "solve --start": ("solve s.toml --placer cloud-only", "solve s.toml --placer cloud-only --start plan.json"),
    "replay scenario": (REPLAY, REPLAY.replace("s.toml", "t.toml")),
    "replay --trace": (REPLAY, REPLAY.replace("markov:20 --seed 1", "onoff:20 --seed 1")),
    "replay --policy": (REPLAY, f"{REPLAY} --policy static --policy oracle"),
    "replay --forecast": (f"{REPLAY} --out r", f"{REPLAY} --out r --forecast smooth:0.5"),
    "replay --step": (REPLAY, f"{REPLAY} --step 5"),
    "replay --until": (REPLAY, f"{REPLAY} --until 10"),
    "replay --switch-seconds": (REPLAY, f"{REPLAY} --switch-seconds 3"),
    "replay --load-mbps": (REPLAY, f"{REPLAY} --load-mbps 50"),
    "replay --seed": (REPLAY, REPLAY.replace("--seed 1", "--seed 2")),
    "replay --out": (REPLAY, f"{REPLAY} --out r"),
    "replay --outside": (REPLAY.replace("s.toml", "sub/o.toml"), f"{REPLAY.replace('s.toml', 'sub/o.toml')} --outside"),
    "simulate --links": (SIMULATE, f"{SIMULATE} --links markov:20"),
    "simulate scenario": (SIMULATE, "simulate t.toml plan.json --tasks 1000"),
    "simulate plans": (SIMULATE, "simulate s.toml greedy.json --tasks 1000"),
    "simulate --tasks": ("simulate s.toml plan.json", SIMULATE),
    "simulate --seed": (SIMULATE, f"{SIMULATE} --seed 1"),
    "simulate --arrivals": (SIMULATE, f"{SIMULATE} --arrivals deterministic"),
    "simulate --service-cv": (SIMULATE, f"{SIMULATE} --service-cv 0.5"),
    "simulate --service-family": (SIMULATE, f"{SIMULATE} --service-family lognormal"),
    "simulate --uplink": (SIMULATE, f"{SIMULATE} --uplink queue"),
    "simulate --warm-up": (SIMULATE, f"{SIMULATE} --warm-up 0.5"),
    "simulate --confidence": (SIMULATE, f"{SIMULATE} --confidence 0.5"),
    "simulate --out": (SIMULATE, f"{SIMULATE} --out sim.json"),
    "simulate --json": (SIMULATE, f"{SIMULATE} --json"),
    "simulate --outside": ("simulate sub/o.toml plan.json", "simulate sub/o.toml plan.json --outside"),
    "methods name": ("methods", "methods exact"),
    "methods --json": ("methods exact", "methods exact --json"),
    "generate family": ("generate paper --nodes 3 --out g.toml", "generate mixed --nodes 3 --out g.toml"),
    "generate --nodes": ("generate paper --nodes 3 --out g.toml", "generate paper --nodes 4 --out g.toml"),
    "generate --out": ("generate paper --nodes 3 --out g.toml", "generate paper --nodes 3 --out h.toml"),
    "generate --seed": ("generate paper --nodes 3 --out g.toml", "generate paper --nodes 3 --out g.toml --seed 1"),
    "generate --tasks": (
        "generate paper --nodes 3 --out g.toml",
        "generate paper --nodes 3 --out g.toml --tasks table4",
    ),
    "generate --epsilon": (
        "generate near --nodes 3 --out g.toml",
        "generate near --nodes 3 --out g.toml --epsilon 0.5",
    ),
    "generate --cloud-gflops": (
        "generate paper --nodes 3 --out g.toml",
        "generate paper --nodes 3 --out g.toml --cloud-gflops 9",
    ),
    "generate --delay": ("generate paper --nodes 3 --out g.toml", "generate paper --nodes 3 --out g.toml --delay mm1"),
    "generate --links": ("generate links --nodes 3 --out g.toml", "generate links --nodes 3 --out g.toml --links 2"),
    "generate --servers": (
        "generate servers --nodes 3 --out g.toml",
        "generate servers --nodes 3 --out g.toml --servers 2",
    ),
    "generate --kind": ("generate hard --nodes 3 --out g.toml", "generate hard --nodes 3 --out g.toml --kind knapsack"),
    "generate --nodes-file": (
        "generate paper --nodes 3 --out g.toml",
        "generate paper --nodes 3 --out g.toml --nodes-file n.csv",
    ),
    "profile model": ("profile resnet34", "profile alexnet"),
    "profile --out": ("profile resnet34", "profile resnet34 --out p.json"),
    "profile --state": ("profile net.onnx", "profile net.onnx --state x"),
    "profile --cuts": ("profile net.onnx", "profile net.onnx --cuts blocks"),
    "profile --upload-dtype": ("profile resnet34", "profile resnet34 --upload-dtype uint8"),
    "profile --input-shape": ("profile open.onnx", "profile open.onnx --input-shape 1x3x4x4"),
    "profile --dim": ("profile open.onnx", "profile open.onnx --dim n=1"),
    "profile --input-value": ("profile net.onnx", "profile net.onnx --input-value x=1"),
    "profile --outputs": ("profile net.onnx", "profile net.onnx --outputs middle"),
    "profile --picture": ("profile resnet34", "profile resnet34 --picture p.svg"),
    "profile --scenario": ("profile resnet34", "profile resnet34 --scenario p.toml"),
    "profile --compute-gflops": ("profile resnet34", "profile resnet34 --compute-gflops 9"),
    "profile --uplink-mbps": ("profile resnet34", "profile resnet34 --uplink-mbps 9"),
    "profile --arrival-rate": ("profile resnet34", "profile resnet34 --arrival-rate 0.2"),
    "profile --cloud-gflops": ("profile resnet34", "profile resnet34 --cloud-gflops 9"),
    "profile --measure": ("profile net.onnx", MEASURE),
    "profile --out-times": (MEASURE, f"{MEASURE} --out-times t.csv"),
    "profile --import": (f"{RECORDED} rows.csv", f"{RECORDED} other.csv"),
    "profile --device": (f"{RECORDED} rows.csv", f"{RECORDED} rows.csv --device box"),
    "profile --column": (f"{RECORDED} two.csv --column one_ms", f"{RECORDED} two.csv --column other_ms"),
    "profile --unit": (f"{RECORDED} plain.csv --unit ms", f"{RECORDED} plain.csv --unit us"),
    "profile --template": (f"{RECORDED} rows.csv", f"{RECORDED} rows.csv --template t.csv"),
    "profile --repeats": ("profile net.onnx", "profile net.onnx --repeats 2"),
    "profile --threads": ("profile net.onnx", "profile net.onnx --threads 2"),
    "split network": (SPLIT, SPLIT.replace("d/net.onnx", "net.onnx")),
    "split --at": (SPLIT, SPLIT.replace("--at 1", "--at 2")),
    "split --out": (SPLIT, SPLIT.replace("--out h", "--out k")),
    "split --cuts": (SPLIT, f"{SPLIT} --cuts all"),
    "split --input-shape": ("split open.onnx --at 1 --out h", "split open.onnx --at 1 --out h --input-shape 1x3x4x4"),
    "split --dim": ("split open.onnx --at 1 --out h", "split open.onnx --at 1 --out h --dim n=1"),
    "split --input-value": (SPLIT, f"{SPLIT} --input-value x=1"),
    "split --outputs": (SPLIT, f"{SPLIT} --outputs m2"),
    "split --state": (SPLIT, f"{SPLIT} --state r3"),
    "deploy scenario": (DEPLOY, DEPLOY.replace("d/s.toml", "s.toml")),
    "deploy plan": (DEPLOY, DEPLOY.replace("d/plan.json", "plan.json")),
    "deploy --out": (DEPLOY, DEPLOY.replace("--out h", "--out k")),
    "deploy --outside": (DEPLOY.replace("d/s.toml", "sub/d.toml"), DEPLOY.replace("d/s.toml", "sub/d.toml --outside")),
    "run folder": ("run d/dep", "run sub"),
    "run --tasks": ("run d/dep", "run d/dep --tasks 50"),
    "run --pace": ("run d/dep", "run d/dep --pace"),
    "run --seed": ("run d/dep", "run d/dep --seed 1"),
    "run --out": ("run d/dep", "run d/dep --out r.json"),
    "run --csv": ("run d/dep", "run d/dep --csv r.csv"),
    "run --page": ("run d/dep", "run d/dep --page r.html"),
    "run --times": ("run d/dep", "run d/dep --times t.csv"),
    "reproduce item": ("reproduce table1 --out a", "reproduce fig4 --out a"),
    "reproduce --out": ("reproduce table1 --out a", "reproduce table1 --out b"),
    "reproduce --seeds": ("reproduce table1 --out a", "reproduce table1 --out a --seeds 3"),
    "reproduce --workers": ("reproduce table1 --out a", "reproduce table1 --out a --workers 0"),
    "bench suite": (f"{BENCH} --out b", f"{BENCH.replace('smoke', 'exact')} --out b"),
    "bench --out": (BENCH, f"{BENCH} --out b"),
    "bench --methods": (f"{BENCH} --out b", f"{BENCH.replace('greedy+', 'exact')} --out b"),
    "bench --workers": (f"{BENCH} --out b --workers 1", f"{BENCH} --out b --workers 2"),
    "bench --dask": (f"{BENCH} --out b --workers 1", f"{BENCH} --out b --workers 1 --dask tcp://h:1"),
    "bench --resume": (f"{BENCH} --out done", f"{BENCH} --out done --resume"),
    "bench --seeds": (f"{BENCH} --out b", f"{BENCH.replace('--seeds 1', '--seeds 2')} --out b"),
    "bench --instances": (f"{BENCH} --out b", f"{BENCH.replace('s.toml', 't.toml')} --out b"),
    "bench --seconds": (f"{BENCH} --out b", f"{BENCH} --out b --seconds 1"),
    "bench --outside": (
        f"{BENCH.replace('s.toml', 'sub/o.toml')} --out b",
        f"{BENCH.replace('s.toml', 'sub/o.toml')} --out b --outside",
    ),
    "bench --list": ("bench smoke", "bench smoke --list"),
    "report what": ("report plan.json --out r.html", "report done --out r.html"),
    "report --out": ("report done --out r.html", "report done --out q.html"),
    "report --csv": ("report done --out r.html", "report done --out r.html --csv c"),
    "report --scenario": ("report lost.json --out r.html", "report lost.json --out r.html --scenario s.toml"),
}


def parameters() -> dict[str, typer.core.TyperArgument | typer.core.TyperOption]:
    """Return every argument and option of every command that there is, by its key in `EXAMPLES`."""
    group = typer.main.get_command(app)
    found = {}
    for command in ("", *group.commands):
        for one in (group.commands[command] if command else group).params:
            if "completion" not in one.name:  # of the shell
                found[f"{command} {one.opts[-1]}".strip()] = one
    return found


class FakeWorker:
    """Answers no run, at once."""

    def __init__(self, core: int | None) -> None: ...

    def run(self, task: object, limits: object) -> Ran:
        return Ran(Reply(), Outcome.ERROR, "by hand", "", "", None)

    def stop(self) -> None: ...


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    (folder / "sub").mkdir()
    (folder / "s.toml").write_text(CLOUD + NODE.format("a", "resnet34", 5) + NODE.format("b", "alexnet", 3))
    (folder / "t.toml").write_text(CLOUD + NODE.format("a", "resnet34", 6) + NODE.format("b", "alexnet", 3))
    (folder / "sub" / "o.toml").write_text(CLOUD + NODE.format("a", "../tiny.json", 5) + NODE.format("b", "alexnet", 3))
    LayerProfile("tiny", 1e6, ("one", "two"), np.array([1e9, 1e9]), np.array([1e5, 10.0])).save(folder / "tiny.json")
    residual_block().save(folder / "net.onnx")
    flattened().save(folder / "open.onnx")
    (folder / "d").mkdir()
    deployed(folder / "d", alone(splits=[1]))
    (folder / "sub" / "d.toml").write_text((folder / "d" / "s.toml").read_text().replace("net.onnx", "../d/net.onnx"))
    layers = LayerProfile.from_onnx(folder / "net.onnx").layer_names
    for name, header, cells in (
        ("rows", "layer,ms", "1"),
        ("other", "layer,ms", "2"),
        ("plain", "layer,time", "3"),
        ("two", "layer,one_ms,other_ms", "4,5"),
    ):
        (folder / f"{name}.csv").write_text("\n".join([header, *(f"{layer},{cells}" for layer in layers), ""]))
    scenario = load_scenario(folder / "s.toml")
    plan = solve(scenario)
    plan.save(folder / "lost.json")
    text = (folder / "lost.json").read_text()
    (folder / "plan.json").write_text(text.replace('"scenario_file": ""', '"scenario_file": "s.toml"'))
    (folder / "false.json").write_text(text.replace('"gap": ', '"gap": 1'))
    solve(scenario, "greedy").save(folder / "greedy.json")
    return folder


class Came(NamedTuple):
    code: int
    said: str
    files: dict[str, bytes]


@pytest.fixture(scope="module")
def known():
    return {}


@pytest.fixture
def came(files, known, tmp_path, monkeypatch, capsys):
    """Return what comes of a command line in a fresh folder, at a clock that ticks when it is looked at."""
    monkeypatch.setattr(runner, "Worker", FakeWorker)
    monkeypatch.setattr(run_here, "run", imagined)

    def begin(folder):
        shutil.copytree(files, folder)
        monkeypatch.chdir(folder)
        clock = Clock(tick=1e-3)
        for name in ("perf_counter", "monotonic"):
            monkeypatch.setattr(time, name, clock.look)

    def once(line, folder):
        begin(folder)
        if "done" in line:
            run(monkeypatch, capsys, *shlex.split(f"{BENCH} --out done"))
        try:
            code, *said = run(monkeypatch, capsys, *shlex.split(line))
        except DmcjiaError as error:
            code, said = 1, [repr(error)]
        dates = re.compile(rb"20\d\d-\d\d-\d\dT[\d:.+]+|\"command\": \[[^]]*\]")
        return Came(
            code,
            "\n".join(said),
            {
                path.relative_to(folder).as_posix(): dates.sub(b"", path.read_bytes())
                for path in sorted(folder.rglob("*"))
                if path.is_file() and path.suffix != ".parquet"
            },
        )

    def look(line):
        if line not in known:
            known[line] = once(line, tmp_path / str(len(known)))
        return known[line]

    return look, once


def test_every_parameter_has_an_example_and_no_other():
    assert sorted(EXAMPLES) == sorted(parameters())


@pytest.mark.parametrize("key", EXAMPLES)
def test_it_has_an_effect_or_a_word(key, came):
    look, _ = came
    without, given = map(look, EXAMPLES[key])
    assert key.rpartition(" ")[2] in EXAMPLES[key][1] or not key.rpartition(" ")[2].startswith("--")
    assert without != given


@pytest.mark.parametrize("line", sorted({line for line, _ in EXAMPLES.values()}))
def test_nothing_but_the_option_makes_the_difference(line, came, tmp_path):
    look, once = came
    assert look(line) == once(line, tmp_path / "again")
