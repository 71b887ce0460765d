"""No column, number or name is cut, whatever the terminal's width; in a pipe no line is broken."""

import json
import os
import re
from pathlib import Path

import pytest

from dmcjia_opt.__main__ import main
from dmcjia_opt.cli.main import app
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.solving.registry import METHODS
from dmcjia_opt.studies.bench.suites import SUITES
from tests.cli.scenarios import CLOUD, OPTIONS, node
from tests.command_line import called

LONG = "camera at the north gate of the second building, 4th mast, left"
WIDTHS = (60, 80, 120, None)


@pytest.fixture(params=WIDTHS, ids=lambda width: f"{width or 'a pipe'}")
def width(request):
    return request.param


@pytest.fixture
def at(width, monkeypatch, capsys, dmcjia, tmp_path):
    """Run a command at a width, beside `s.toml` and `long.toml`, whose first node has a long name, and their plans."""
    long = CLOUD + OPTIONS + node(LONG) + node("b", model="mobilenet_v2", compute=7.0)
    (tmp_path / "long.toml").write_text(long)
    generate("paper", nodes=3, seed=1, cloud_gflops=12.0).save("s.toml")
    for name in ("s", "long"):
        assert dmcjia("solve", f"{name}.toml", "--allocator", "cvxpy:CLARABEL", "--out", f"{name}.json").code == 0

    def sized():
        os.environ.pop("COLUMNS") if width is None else monkeypatch.setenv("COLUMNS", str(width))
        main()

    def run(*arguments):
        ended = called(sized, monkeypatch, capsys, *arguments)
        assert (ended.code, ended.err) == (0, "")
        assert "…" not in re.sub(r":… ", "", ended.out)
        return ended.out

    return run


def fits(out, width):
    assert max(map(len, out.splitlines())) <= (width or 1000)


def columns(out):
    """Return the names of the columns of every table and piece of a table."""
    lines = out.splitlines()
    above = (lines[k - 1] for k, line in enumerate(lines) if line.strip("─ ") == "" and "─" in line)
    return [re.split(r" {2,}", line.strip()) for line in above]


def test_a_plan(at, width):
    out = at("solve", "s.toml", "--allocator", "cvxpy:CLARABEL")
    fits(out.replace(" " * 20, ""), width)
    assert "exact + cvxpy:CLARABEL, seed 0" in out
    numbers = ["split", "share %", "edge ms", "upload ms", "cloud ms", "total ms"]
    first, *others = columns(out)
    assert [*first, *(name for piece in others for name in piece[1:])] == ["node", *numbers]
    assert all(piece[0] == "node" for piece in others)
    assert len(others) == (1 if width == 60 else 0)
    for row in json.loads(Path("s.json").read_text())["nodes"]:
        assert sum(line.startswith(f" {row['name']} ") for line in out.splitlines()) == 1 + len(others)
        assert re.search(rf"{row['name']} .* {1e3 * row['total_s']:.4g} ", out)


def test_names_are_whole(at, width):
    for arguments in (("solve", "long.toml"), ("simulate", "long.toml", "long.json", "--tasks", 1000)):
        out = at(*arguments)
        assert all(LONG in line for line in out.splitlines() if "camera" in line)
        assert out.count(LONG) == len(columns(out))
    assert "mobilenet_v2 " in at("solve", "long.toml")


def test_every_column_of_a_simulation(at, width):
    out = at("simulate", "s.toml", "s.json", "--tasks", 1000)
    first, *others = columns(out)
    names = [*first, *(name for piece in others for name in piece[1:])]
    assert names == ["node", "simulated", "±", "model", "off %", "edge", "link", "cloud", "p95", "p99"]
    assert len(others) == (1 if width == 60 else 0)
    assert out.count("node-0001") == 1 + len(others)


def test_claims(at, width):
    out = at("verify", "s.toml", "s.json")
    fits(out, width)
    assert columns(out) == [["claim", "says", "recomputed"]]
    for word in ("objective_s", "lower_bound_s", " true ", "yes"):
        assert word in out


def test_methods(at, width):
    out = at("methods")
    fits(out.replace(" " * 20, ""), width)
    for spec in METHODS.values():
        assert re.search(rf"^ {re.escape(spec.name)} ", out, re.MULTILINE)
    for variant in ("LognormalDiscreteOnePlusOne", "differential_evolution", "CLARABEL"):
        assert variant in out
    assert "crossover_rate " in at("methods", "genetic")


def test_layers_and_suites(at, width):
    out = at("profile", "resnet34")
    assert columns(out) == [["split", "layer", "MMAC", "done %", "cut KiB", "tensors"]]
    out = at("bench", "--list")
    assert "cvxpy:CLARABEL" in out
    assert all(instance in out for suite in SUITES.values() for block in suite.blocks for instance in block.instances)


def test_rows_of_a_benchmark(at, width):
    name = "tests.studies.bench.misbehaving:Good"
    out = at("bench", "smoke", "--out", "o", "--instances", "s.toml", "--methods", name, "--workers", 1)
    assert f"{name} + waterfilling" in out
    first, *others = columns(out)
    names = [*first, *(found for piece in others for found in piece[1:])]
    assert names == ["method", "runs", "answers", "false", "gap", "error", "s", "other"]


@pytest.mark.parametrize("command", [command.callback.__name__ for command in app.registered_commands])
@pytest.mark.parametrize("columns", [80, 120])
def test_help(monkeypatch, capsys, command, columns):
    def sized():
        monkeypatch.setenv("COLUMNS", str(columns))
        main()

    ended = called(sized, monkeypatch, capsys, command, "--help")
    assert ended.code == 0
    assert "…" not in ended.out
    fits(ended.out, columns)
