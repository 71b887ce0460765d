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
from tests.command_line import fails
from tests.studies.bench.runs import placer_rows, write_folder
from tests.studies.bench.small import misbehaving, small_suite
from tests.waiting import PATIENCE, Clock, until

ROOT = Path(__file__).parents[2]


def start(*command, first=None, preexec_fn=None):
    """Start a command in a session of its own, so that a signal reaches it and its children only."""
    told = ["tools.fuzz", *command[1:]] if command[0] == "fuzz" else ["dmcjia_opt", *command]
    return subprocess.Popen(
        [sys.executable, "-m", *filter(None, [first]), *map(str, told)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=preexec_fn,
    )


def ended(*command, **options):
    process = start(*command, **options)
    out, err = process.communicate(timeout=PATIENCE)
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


def killed_at_every_step(folder, *command):
    """Return where a command ran, killed before the first file it writes, the second …, and last to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.solving.killed", folder, *map(str, command)], cwd=ROOT, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    *killed, last = (folder / str(number) for number in range(len(list(folder.iterdir()))))
    return killed, last


def whole(folder):
    """Return the names of the files there, which must be whole."""
    found = {path.name: path for path in folder.glob("[!.]*")}
    if plan := found.get("plan.json"):
        assert all(check.true for check in verify(load_scenario(folder.parents[1] / "s.toml"), load_plan(plan)))
    if proof := found.get("proof.json"):
        assert load_proof(proof).bound > 0
    for page in folder.glob("*.html"):
        assert page.read_text(encoding="utf-8").endswith("</html>\n")
    return set(found)


@pytest.mark.slow
def test_solve_killed_at_every_step_leaves_whole_files(scenario, tmp_path):
    (folder := tmp_path / "runs").mkdir()
    told = ("--out", "plan.json", "--proof", "proof.json", "--report", "plan.html")
    killed, last = killed_at_every_step(folder, "solve", scenario, *told)
    assert whole(last) == {"plan.json", "proof.json", "plan.html"}
    assert [len(whole(run)) for run in killed] == [0, 0, 1, 1, 2, 2]  # each is written, then renamed


def test_report_killed_leaves_no_page(tmp_path):
    write_folder(tmp_path / "results", placer_rows()[:1])
    (folder := tmp_path / "runs").mkdir()
    killed, last = killed_at_every_step(folder, "report", tmp_path / "results", "--out", "page.html")
    assert [whole(run) for run in (*killed, last)] == [set(), set(), {"page.html"}]


@pytest.mark.slow
def test_fuzz_killed_leaves_no_process_behind(tmp_path):
    process = start("fuzz", "--out", tmp_path, "--workers", 2, "--invariants", "no-plan")
    until((tmp_path / "blocks.jsonl").exists)  # both have begun
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= 2
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(children, timeout=PATIENCE)
    assert alive == []


def interrupted(*command):
    """Interrupt a command when it is at work, and return how it ended, what it had said, and its errors."""
    process = start(*command, first="tests.solving.announcing")
    assert process.stdout.readline() == "at work\n"
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


@pytest.mark.parametrize(
    "placer",
    ["genetic:generations=1000000", pytest.param("pymoo:PSO:generations=1000000", marks=pytest.mark.slow)],
)
def test_ctrl_c_in_a_search_keeps_the_best_plan(tmp_path, placer):
    path, plan = tmp_path / "s.toml", tmp_path / "plan.json"
    generate("near", nodes=100, seed=1, epsilon=1e-3, cloud_gflops=50.0).save(path)
    code, out, err = interrupted("solve", path, "--placer", placer, "--out", plan)
    assert (code, err) == (0, "")
    assert "limit: the best when the budget was spent" in out
    assert all(check.true for check in verify(load_scenario(path), load_plan(plan)))


@pytest.mark.parametrize(
    "command",
    [
        ["simulate", "{scenario}", "{plan}", "--tasks", "2000000000"],
        ["reproduce", "delay", "--out", "{folder}/r", "--seeds", "50", "--workers", "1"],
        pytest.param(
            ["fuzz", "--out", "{folder}/f", "--workers", "2", "--invariants", "no-plan"], marks=pytest.mark.slow
        ),
    ],
    ids=["simulate", "reproduce", "fuzz"],
)
def test_ctrl_c_elsewhere_is_a_sentence(scenario, tmp_path, command):
    plan = tmp_path / "plan.json"
    solve(load_scenario(scenario)).save(plan)
    code, _, err = interrupted(*(part.format(scenario=scenario, plan=plan, folder=tmp_path) for part in command))
    who = "fuzz" if command[0] == "fuzz" else "dmcjia"
    assert (code, err) == (130, f"{who}: interrupted before there was an answer\n")


def little_room():
    resource.setrlimit(resource.RLIMIT_FSIZE, (256, 256))


def test_a_disk_that_is_full_is_a_sentence_and_leaves_nothing(scenario, tmp_path):
    code, _, err = ended("solve", scenario, "--out", tmp_path / "plan.json", preexec_fn=little_room)
    assert (code, len(err.splitlines())) == (2, 1)
    assert "plan.json: cannot write (File too large)" in err
    assert [path.name for path in tmp_path.iterdir()] == ["s.toml"]


@pytest.mark.slow
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
def test_where_nothing_can_be_written(scenario, arguments, dmcjia):
    code, _, err = dmcjia(*(part.format(scenario=scenario) for part in arguments))
    assert (code, len(err.splitlines())) == (2, 1)
    assert "/proc/" in err


def test_clocks_that_jump_change_nothing(tmp_path, monkeypatch):
    from dmcjia_opt.studies.bench.running.runner import run_suite

    jumps, clock = random.Random(2), Clock(tick=1e-3)
    monkeypatch.setattr(time, "time", lambda: jumps.uniform(0.0, 4e9))
    with monkeypatch.context() as patch:
        patch.setattr(time, "perf_counter", clock.look)
        plan = solve(generate("paper", nodes=10, seed=1), "genetic:generations=1000000", stop=Stop(seconds=0.5))
        assert 0.5 <= plan.wall_seconds <= clock.looks * clock.tick
        assert plan.evaluations > 50
    suite = small_suite(misbehaving("Good"), seeds=2)
    assert all(0.0 <= row.wall_seconds <= PATIENCE for row in run_suite(suite, tmp_path / "out", workers=1))


def clocks_in(path):
    """Return which functions of `time` a module uses."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return {
        n.attr for n in nodes if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name) and n.value.id == "time"
    }


def test_nothing_measures_by_a_clock_that_jumps():
    for path in Path(dmcjia_opt.__file__).parent.rglob("*.py"):
        assert "time" not in clocks_in(path), path


def test_no_test_measures_at_all():
    for path in (ROOT / "tests").rglob("*.py"):
        if path.name != "waiting.py":
            assert not {"time", "perf_counter", "monotonic", "process_time"} & clocks_in(path), path


def test_a_torn_plan_is_refused(scenario, tmp_path, dmcjia):
    path = tmp_path / "plan.json"
    solve(load_scenario(scenario)).save(path)
    content = path.read_text(encoding="utf-8")
    assert json.loads(content)
    path.write_text(content[: len(content) // 2], encoding="utf-8")
    fails(dmcjia("verify", scenario, path), 2, "plan.json: ")
