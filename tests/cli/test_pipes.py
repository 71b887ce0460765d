"""What is said into a pipe that nobody reads is lost, and nothing else: files are written, and exit codes stay."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.solving.contract import Stop
from dmcjia_opt.solving.solve import solve


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a folder with `s.toml`, a scenario of sixty nodes, and two plans of it, one of them false."""
    folder, scenario = tmp_path_factory.mktemp("made"), generate("paper", nodes=60, seed=1)
    scenario.save(folder / "s.toml")
    solve(scenario, stop=Stop(evaluations=50)).save(folder / "plan.json")
    content = json.loads((folder / "plan.json").read_text())
    (folder / "false.json").write_text(json.dumps(content | {"objective_s": content["objective_s"] / 2}))
    return folder


@pytest.fixture(autouse=True)
def files(made, monkeypatch, tmp_path):
    """Run in a folder of copies."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)


def unread(*arguments, error=False):
    """Run a command that writes to a pipe whose other end is closed; `error` sends standard error there, too."""
    other_end, pipe = os.pipe()
    os.close(other_end)
    try:
        return subprocess.run(
            [sys.executable, "-m", "dmcjia_opt", *map(str, arguments)],
            stdout=pipe,
            stderr=pipe if error else subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(pipe)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--version",),
        pytest.param(("--help",), marks=pytest.mark.slow),
        ("solve", "--help"),
        ("solve", "s.toml", "--evaluations", 50),
        ("solve", "s.toml", "--evaluations", 50, "--out", "-"),
        pytest.param(("verify", "s.toml", "plan.json"), marks=pytest.mark.slow),
        pytest.param(("simulate", "s.toml", "plan.json", "--tasks", 1000), marks=pytest.mark.slow),
        ("simulate", "s.toml", "plan.json", "--tasks", 1000, "--json"),
        ("methods",),
        pytest.param(("methods", "--json"), marks=pytest.mark.slow),
        pytest.param(("methods", "genetic"), marks=pytest.mark.slow),
        ("generate", "paper", "--nodes", 900, "--out", "-"),
        pytest.param(("profile", "resnet34"), marks=pytest.mark.slow),
        pytest.param(("bench", "--list"), marks=pytest.mark.slow),
    ],
    ids=lambda arguments: " ".join(map(str, arguments)),
)
def test_nobody_reads(arguments):
    done = unread(*arguments)
    assert done.returncode == 0
    if "-" not in arguments:
        assert done.stderr == ""
    assert "Traceback" not in done.stderr


def test_files_are_written_all_the_same(tmp_path):
    generate("paper", nodes=3, seed=1).save("few.toml")
    done = unread("solve", "few.toml", "--out", "p.json", "--proof", "q.json", "--report", "r.html")
    assert (done.returncode, done.stderr) == (0, "")
    assert all((tmp_path / name).stat().st_size for name in ("p.json", "q.json", "r.html"))
    assert unread("verify", "few.toml", "p.json", "--proof", "q.json").returncode == 0


def test_exit_codes_stay():
    done = unread("verify", "s.toml", "false.json")
    assert done.returncode == 1
    assert done.stderr.startswith("dmcjia: false.json: false: objective_s")
    assert unread("verify", "s.toml", "false.json", error=True).returncode == 1
    assert unread("solve", "none.toml", error=True).returncode == 2
    assert unread("solve", "--colour", error=True).returncode == 2


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a disk that is full")
@pytest.mark.parametrize("arguments", [("--version",), ("generate", "paper", "--nodes", "3", "--out", "-")])
def test_a_full_disk_is_one_sentence(arguments):
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "dmcjia_opt", *arguments]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "dmcjia: standard output: cannot write (No space left on device); send it elsewhere\n"


def test_what_is_read_is_whole():
    """The first line of many, and all of what fills a pipe more than once."""
    arguments = [sys.executable, "-m", "dmcjia_opt", "generate", "paper", "--nodes", "900", "--out", "-"]
    whole = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout
    assert whole.count("[[nodes]]") == 900
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout.readline() == 'name = "paper-n900-s0"\n'
        running.stdout.close()
        assert running.stderr.read() == ""
    assert running.returncode == 0
