"""The smoke suite as CI runs it, killed and resumed, and interrupted: nothing is lost and nothing is made twice."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas
import psutil
import pytest

from dmcjia_opt.studies.bench.folder import read_rows
from dmcjia_opt.studies.bench.rows import Outcome
from dmcjia_opt.studies.bench.running.runner import bench, run_suite
from tests.studies.bench.small import misbehaving, settled, small_suite
from tests.waiting import PATIENCE, until

ROOT = Path(__file__).parents[3]


def start(folder, *more):
    """Start the smoke suite as a shell would, and return once it has made some rows."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "dmcjia_opt", "bench", "smoke", "--out", str(folder), "--workers", "2", *more]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    rows = folder / "rows.jsonl"
    until(lambda: process.poll() is not None or (rows.exists() and rows.read_bytes().count(b"\n") >= 3))
    assert process.poll() is None
    return process


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    folder = tmp_path_factory.mktemp("smoke") / "out"
    return folder, bench("smoke", folder, workers=2)


def test_smoke(smoke):
    folder, rows = smoke
    assert len(rows) == 28
    assert {row.outcome for row in rows} == {Outcome.ANSWER}
    assert {row.correct for row in rows if "exact" in row.method} == {True}
    assert all(row.gap <= 1e-9 for row in rows if "exact" in row.method or row.method == "oracle")
    assert False not in {row.correct for row in rows}
    assert all(row.worst_error < 1e-8 and row.converged == row.plans == 5 for row in rows if row.kind == "allocator")
    assert all(row.setup_seconds > 0 and row.wall_seconds > 0 and row.cpu_seconds > 0 for row in rows)
    assert all(row.peak_mb >= 0 and row.started and row.machine and row.versions["numpy"] for row in rows)
    assert settled(read_rows(folder)) == settled(rows)
    table = pandas.read_parquet(folder / "rows.parquet")
    assert table["key"].tolist() == [row.key for row in rows]
    assert table["objective_s"].dropna().tolist() == [row.objective_s for row in rows if row.objective_s is not None]
    described = json.loads((folder / "run.json").read_text())
    assert described["suite"] == "smoke"
    assert described["runs"] == 28
    assert {"spec", "machine", "versions", "command", "revision"} <= set(described)


def test_methods_take_turns(smoke):
    _, rows = smoke
    first = [row.method for row in rows if row.instance == "paper-n5-s1" and row.kind == "placer"]
    assert [row.method for row in rows[: len(first)]] == first


def test_killed_and_resumed_it_equals_the_uninterrupted_run(smoke, tmp_path):
    process = start(tmp_path / "out")
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    kept = (tmp_path / "out" / "rows.jsonl").read_bytes()
    with (tmp_path / "out" / "rows.jsonl").open("ab") as log:
        log.write(b'{"key": "torn')
    _, left = psutil.wait_procs(children, timeout=PATIENCE)
    assert children
    assert not left
    told = []
    rows = bench("smoke", tmp_path / "out", workers=2, resume=True, progress=lambda *state: told.append(state))
    assert settled(rows) == settled(smoke[1])
    log = (tmp_path / "out" / "rows.jsonl").read_bytes()
    assert log.startswith(kept)
    assert log.count(b"\n") == 28
    assert told[0][:2] == (kept.count(b"\n") + 1, 28)
    assert told[-1] == (28, 28, pytest.approx(1.0))


def test_what_is_done_is_not_run_again(smoke, tmp_path):
    folder, rows = smoke
    before = (folder / "rows.jsonl").read_bytes()
    assert bench("smoke", folder, workers=2, resume=True) == rows
    assert (folder / "rows.jsonl").read_bytes() == before


def test_interrupted(tmp_path):
    process = start(tmp_path / "out")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert said.startswith("dmcjia: interrupted; ")
    assert said.endswith("of 28 runs are kept, go on with --resume\n")
    assert 3 <= len(read_rows(tmp_path / "out")) < 28


def test_another_seed_number_or_method_is_another_run(tmp_path):
    suite = small_suite(misbehaving("Good"))
    (first,) = run_suite(suite, tmp_path / "out", workers=1)
    both = run_suite(
        small_suite(misbehaving("Good"), misbehaving("GivesUp"), seeds=2), tmp_path / "out", workers=1, resume=True
    )
    assert len(both) == 4
    assert both[0] == first
    assert len({row.key for row in both}) == 4
