"""Bad files through the real command: exit code 2, one sentence on standard error, nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command_line import fails
from tests.inputs.formats_of_studies import bench_rows
from tests.inputs.made import planned
from tests.inputs.onnx_files import exploding
from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name, content in planned().items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "deep.toml").write_text("a = " + "[" * 5000, encoding="utf-8")
    plan = json.loads(planned()["plan.json"])
    (tmp_path / "wrong.json").write_text(json.dumps(plan | {"splits": [True]}), encoding="utf-8")
    (tmp_path / "absurd.toml").write_bytes(
        planned()["s.toml"].replace(b"compute_gflops = 30.0", b"compute_gflops = 1e300")
    )
    (tmp_path / "net.onnx").write_bytes(exploding(40).SerializeToString())
    (tmp_path / "trace.csv").write_text("1\n\x1b[31m2\n", encoding="utf-8")
    rows = [bench_rows()[0] | {"gap": "small"}, *bench_rows()[1:]]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


COMMANDS = {
    ("solve", "deep.toml"): "deep.toml: not a scenario: its values are nested too deeply",
    ("solve", "absurd.toml"): '"cloud.compute_gflops": must lie between 1e-30 and 1e+30; check its unit, got 1e+300',
    ("verify", "s.toml", "wrong.json"): '"splits[0]": input should be a valid integer, got True',
    ("verify", "s.toml", "plan.json", "--proof", "plan.json"): "plan.json: unknown key",
    (
        "simulate",
        "s.toml",
        "plan.json",
        "--arrivals",
        "trace.csv",
    ): 'trace.csv: line 2: time_s must hold numbers, not "\\x1b[31m2"',
    ("profile", "net.onnx"): "net.onnx: with its functions inlined the model has 1,099,511,627,776 operators",
    ("report", ".", "--out", "r.html"): 'rows.jsonl: line 1 is not a row: "gap": input should be a valid number',
    ("bench", "smoke", "--instances", "deep.toml", "--out", "b"): "deep.toml: not a scenario",
    ("bench", "smoke", "--out", ".", "--resume"): "",
}


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_one_sentence_and_exit_code_2(folder, dmcjia, arguments):
    fails(dmcjia(*arguments), 2, COMMANDS[arguments])


@pytest.mark.parametrize("arguments", [("solve", "deep.toml"), ("profile", "net.onnx")], ids=" ".join)
def test_in_a_process_of_its_own(folder, arguments):
    done = subprocess.run(
        [sys.executable, "-m", "dmcjia_opt", *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("dmcjia: ")
    assert done.stderr.count("\n") == 1
    assert COMMANDS[arguments] in done.stderr
