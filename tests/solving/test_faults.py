"""What happens when the machine, the disk or the user ends a command in the middle; every fault is really caused."""

from __future__ import annotations

import ast
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

import dmcjia_opt
from dmcjia_opt import Stop, generate, load_plan, load_proof, load_scenario, solve, verify
from tests.studies.bench.small import misbehaving, small_suite

MODULES = {"fuzz": "tools.fuzz"}
ROOT = Path(__file__).parents[2]


def start(*arguments, preexec_fn=None):
    """Start a command in a session of its own, so that a signal reaches it and its children only."""
    module = MODULES.get(arguments[0])
    told = [module, *arguments[1:]] if module else ["dmcjia_opt", *arguments]
    return subprocess.Popen(
        [sys.executable, "-m", *map(str, told)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=preexec_fn,
    )


def ended(*arguments, **options):
    process = start(*arguments, **options)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@pytest.fixture
def scenario(tmp_path):
    path = tmp_path / "s.toml"
    generate("paper", nodes=5, seed=1).save(path)
    return path


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "file"
    size = 1 << 22
    script = (
        "import sys\nfrom dmcjia_opt.base.files import write_text\n"
        f"for letter in 'ab' * 1000:\n    write_text(sys.argv[1], letter * {size})\n    print(letter, flush=True)\n"
    )
    wait = random.Random(1)
    for _ in range(6):
        child = subprocess.Popen([sys.executable, "-c", script, path], stdout=subprocess.PIPE)
        child.stdout.readline()
        time.sleep(wait.uniform(0.0, 0.05))
        child.kill()
        child.communicate()
        content = path.read_bytes()
        assert len(content) == size
        assert content in (b"a" * size, b"b" * size)


def test_solve_killed_at_any_time_leaves_whole_files(scenario, tmp_path):
    def arguments(folder):
        names = {"--out": "plan.json", "--proof": "proof.json", "--report": "plan.html"}
        return ["solve", scenario, *(part for option, name in names.items() for part in (option, folder / name))]

    began = time.monotonic()
    assert ended(*arguments(tmp_path))[0] == 0
    whole = time.monotonic() - began
    seen = 0
    for number in range(6):
        folder = tmp_path / str(number)
        folder.mkdir()
        process = start(*arguments(folder))
        time.sleep(whole * (0.6 + 0.08 * number))
        process.kill()
        process.communicate()
        for path in folder.glob("[!.]*"):
            seen += 1
            if path.name == "plan.json":
                assert all(check.true for check in verify(load_scenario(scenario), load_plan(path)))
            elif path.name == "proof.json":
                assert load_proof(path).bound > 0
            else:
                assert path.read_text(encoding="utf-8").endswith("</html>\n")
    assert seen > 0


def test_report_killed_leaves_no_page(tmp_path):
    results = Path(dmcjia_opt.__file__).parents[1] / "benchmarks" / "results" / "placers"
    process = start("report", results, "--out", tmp_path / "page.html")
    time.sleep(1.0)
    process.kill()
    process.communicate()
    assert not (tmp_path / "page.html").exists()


def test_fuzz_killed_leaves_no_process_behind(tmp_path):
    process = start("fuzz", "--out", tmp_path, "--workers", 2)
    deadline = time.monotonic() + 30.0
    while not (tmp_path / "blocks.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.1)  # until both are at work
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= 2
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(children, timeout=20.0)
    assert alive == []


@pytest.mark.parametrize("placer", ["genetic:generations=1000000", "pymoo:PSO:generations=1000000"])
def test_ctrl_c_in_a_search_keeps_the_best_plan(tmp_path, placer):
    path, plan = tmp_path / "s.toml", tmp_path / "plan.json"
    generate("near", nodes=100, seed=1, epsilon=1e-3, cloud_gflops=50.0).save(path)
    process = start("solve", path, "--placer", placer, "--out", plan, "--seconds", 60)
    time.sleep(6.0)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert "limit: the best when the budget was spent" in out
    assert all(check.true for check in verify(load_scenario(path), load_plan(plan)))


@pytest.mark.parametrize(
    "arguments",
    [
        ["simulate", "{plan}", "--tasks", "2000000000"],
        ["reproduce", "gap", "--out", "{folder}/r", "--seeds", "50"],
        ["fuzz", "--out", "{folder}/f", "--workers", "2"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_ctrl_c_elsewhere_is_a_sentence(scenario, tmp_path, arguments):
    plan = tmp_path / "plan.json"
    solve(load_scenario(scenario)).save(plan)
    told = [part.format(plan=plan, folder=tmp_path) for part in arguments]
    if told[0] == "simulate":
        told.insert(1, scenario)
    process = start(*told)
    time.sleep(3.0)
    assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=20)
    who = "fuzz" if told[0] == "fuzz" else "dmcjia"
    assert (process.returncode, err) == (130, f"{who}: interrupted before there was an answer\n")


def little_room():
    resource.setrlimit(resource.RLIMIT_FSIZE, (256, 256))


def test_a_disk_that_is_full_is_a_sentence_and_leaves_nothing(scenario, tmp_path):
    code, _, err = ended("solve", scenario, "--out", tmp_path / "plan.json", preexec_fn=little_room)
    assert (code, len(err.splitlines())) == (2, 1)
    assert "plan.json: cannot write (File too large)" in err
    assert [path.name for path in tmp_path.iterdir()] == ["s.toml"]


def test_fuzz_on_a_full_disk(tmp_path):
    told = ["fuzz", "--out", tmp_path, "--instances", 100, "--invariants", "no-plan", "--workers", 1]
    code, _, err = ended(*told, preexec_fn=little_room)
    assert (code, len(err.splitlines())) == (2, 1)
    assert "cannot write (File too large); make room and start it again" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["solve", "{scenario}", "--out", "/proc/plan.json"],
        ["solve", "{scenario}", "--proof", "/proc/proof.json"],
        ["solve", "{scenario}", "--report", "/proc/plan.html"],
        ["generate", "paper", "--nodes", "2", "--out", "/proc/s.toml"],
        ["bench", "smoke", "--out", "/proc/bench"],
        ["reproduce", "fig4", "--out", "/proc/figures"],
    ],
    ids=lambda arguments: " ".join(arguments[::2]),
)
def test_where_nothing_can_be_written(scenario, arguments):
    code, _, err = ended(*(part.format(scenario=scenario) for part in arguments))
    assert (code, len(err.splitlines())) == (2, 1)
    assert "/proc/" in err


def test_clocks_that_jump_change_nothing(tmp_path, monkeypatch):
    from dmcjia_opt.studies.bench.running.runner import run_suite

    jumps = random.Random(2)
    monkeypatch.setattr(time, "time", lambda: jumps.uniform(0.0, 4e9))
    scenario = generate("paper", nodes=10, seed=1)
    began = time.monotonic()
    plan = solve(scenario, "genetic:generations=1000000", stop=Stop(seconds=0.5))
    assert 0.4 <= time.monotonic() - began <= 5.0
    assert 0.4 <= plan.wall_seconds <= 5.0
    rows = run_suite(small_suite(misbehaving("Good"), seeds=2, wall_seconds=10.0), tmp_path / "out", workers=1)
    assert all(0.0 <= row.wall_seconds <= 10.0 for row in rows)


def test_nothing_measures_by_a_clock_that_jumps():
    for path in Path(dmcjia_opt.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                assert (node.value.id, node.attr) != ("time", "time"), path


def test_a_torn_plan_is_refused(scenario, tmp_path):
    path = tmp_path / "plan.json"
    solve(load_scenario(scenario)).save(path)
    content = path.read_text(encoding="utf-8")
    assert json.loads(content)
    path.write_text(content[: len(content) // 2], encoding="utf-8")
    code, _, err = ended("verify", scenario, path)
    assert (code, len(err.splitlines())) == (2, 1)
