import json
from functools import partial

import pytest

from dmcjia_opt.base.machine import installing
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.studies.bench.rows import Outcome
from dmcjia_opt.studies.bench.suites import SUITES
from tests.command_line import fails


@pytest.fixture
def bench(dmcjia, tmp_path):
    (tmp_path / "s.toml").unlink()
    return partial(dmcjia, "bench")


def test_list(bench):
    ended = bench("--list")
    assert ended.code == 0
    for suite in SUITES.values():
        assert f"{suite.name}: {suite.summary}" in ended.out
        assert suite.blocks[0].instances[0] in ended.out
    assert "1,600 evaluations" in ended.out
    assert "exact: " not in bench("smoke", "--list").out
    fails(bench("--list", "--seeds", 3, "--resume"), 2, "runs nothing; leave --resume, --seeds out")
    fails(bench("smok", "--list"), 2, 'unknown suite "smok"')


def test_ones_own_scenarios_and_methods(bench, tmp_path):
    (tmp_path / "sites").mkdir()
    generate("paper", nodes=3, seed=7).save(tmp_path / "sites" / "harbour.toml")
    methods = "greedy+,neurosurgeon + alm,tests.studies.bench.misbehaving:Good"
    arguments = ("smoke", "--out", "out", "--instances", "sites", "--methods", methods, "--workers", 1)
    ended = bench(*arguments, "--seconds", 2, "--seeds", 1)
    assert ended.code == 0
    assert ended.err == ""
    assert "3 rows: out/rows.jsonl" in ended.out
    assert "tests.studies.bench.misbehaving:Good + waterfilling" in ended.out
    rows = [json.loads(line) for line in (tmp_path / "out" / "rows.jsonl").read_text().splitlines()]
    assert [row["method"] for row in rows] == [
        "greedy+ + waterfilling",
        "neurosurgeon + alm",
        "tests.studies.bench.misbehaving:Good + waterfilling",
    ]
    assert {(row["instance"], row["family"], row["n_nodes"], row["limit_seconds"]) for row in rows} == {
        ("harbour", "own", 3, 2.0)
    }
    assert {row["outcome"] for row in rows} == {Outcome.ANSWER}
    fails(bench(*arguments), 2, "--out out: the folder is not empty; add --resume to go on, or choose another one")
    fails(bench("exact", "--out", "out", "--resume"), 2, 'this folder holds the suite "smoke"')


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (
            (),
            ["name a suite: smoke, allocators, placers, exact, resources, promises, pooled, replay, scaling", "--list"],
        ),
        (("smoke",), ["add --out DIR"]),
        (("smok", "--out", "o"), ['unknown suite "smok"', "smoke"]),
        (("smoke", "--out", "o", "--methods", "genetik"), ['unknown placer "genetik"', "genetic"]),
        (("smoke", "--out", "o", "--instances", "nowhere"), ['"nowhere" is neither a scenario file', "paper-n20-s3"]),
        (("smoke", "--out", "o", "--instances", "a.toml"), ["a.toml: cannot read the scenario"]),
        (("smoke", "--out", "o", "--seconds", "0"), ["--seconds must be > 0"]),
        (("smoke", "--out", "o", "--workers", "2", "--dask", "tcp://h:1"), ["give one of the two"]),
    ],
)
def test_what_cannot_be_run(bench, tmp_path, arguments, parts):
    fails(bench(*arguments), 2, *parts)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_library_is_named(bench, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "psutil", None)
    fails(bench("smoke", "--out", "o"), 4, f"a benchmark needs psutil; {installing('bench')}")
