"""All the code of the documentation runs, from the top of each page to its end, and prints what the page shows."""

from __future__ import annotations

import shutil
import subprocess
import sys
import warnings

import pytest

from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.solving.solve import solve
from tests.command_line import run
from tests.docs.blocks import PAGES, ROOT, blocks, commands, missing
from tests.model.networks.onnx_models import residual_block

#: Pages that begin with nothing but what they say themselves.
FROM_NOTHING = {"README.md", "examples/README.md", "docs/install.md", "docs/ten-minutes.md", "docs/fleet.md"}
#: Programs of others, whose lines are for the reader alone.
FOREIGN = {"make", "pip", "dask", "cd"}
#: How often the Python of a page prints a word.
SAYS = {
    "README.md": {"gap": 3, "optimal, proved": 1},
    "docs/genetic.md": {"proved gap": 3, "worst node": 3, "from the proved bound": 1},
    "docs/optimisers.md": {"gap": 9},
}


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """Write what readers have when they come to a page of the guide: scenarios, plans, and a network."""
    folder = tmp_path_factory.mktemp("given")
    paper = generate("paper", nodes=10, seed=1)
    paper.save(folder / "paper10.toml")
    solve(paper).save(folder / "plan.json")
    solve(paper, "greedy+").save(folder / "other.json")
    generate("paper", nodes=5, seed=1).save(folder / "scenario.toml")
    residual_block().save(folder / "net.onnx")
    return folder


def write_given(page, given, folder):
    """Write what is there when a reader comes to a page, some of which ask for more."""
    shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    if page in FROM_NOTHING:
        return
    shutil.copytree(given, folder, dirs_exist_ok=True)
    if page == "docs/plan-report.md":
        shutil.copy(folder / "paper10.toml", folder / "moved.toml")
    if page == "docs/simulation.md":
        (folder / "times.csv").write_text("".join(f"{0.7 * k:.1f}\n" for k in range(1, 20_001)), encoding="utf-8")


def runs(block):
    return block.language in ("python", "console") and not block.mark.startswith("not run")


@pytest.mark.parametrize("page", [page for page in PAGES if any(map(runs, blocks(page)))])
def test_the_code_runs_and_prints_what_the_page_shows(page, given, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    write_given(page, given, tmp_path)
    names = {}
    printed = everything = ""
    for block in blocks(page):
        where = f"{page}, line {block.line}"
        if block.mark.startswith("file: "):
            (tmp_path / block.mark.removeprefix("file: ")).write_text(block.code, encoding="utf-8")
        elif block.mark == "prints":
            assert missing(block.code, printed) == [], f"{where}:\n{printed}"
        elif runs(block) and block.language == "python":
            capsys.readouterr()
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", module="cma")  # used as it is there, without an adapter
                exec(compile(block.code, where, "exec"), names)  # noqa: S102 - our own page
            printed = capsys.readouterr().out
            everything += printed
        elif runs(block):
            for command in commands(block.code):
                run_as_shown(command, where, monkeypatch, capsys)
    for words, times in SAYS.get(page, {}).items():
        assert everything.count(words) >= times, words


def run_as_shown(command, where, monkeypatch, capsys):
    program, *words = command.words
    if program in FOREIGN:
        return
    if program.endswith("dmcjia"):
        ended = run(monkeypatch, capsys, *words)
        refused = command.shown.startswith("dmcjia: ")
        assert (ended.code > 0) == refused, f"{where}: {command.words} ended with {ended.code}\n{ended.err}"
        printed = ended.out + ended.err
    else:
        assert program in ("pytest", "python"), f"{where}: mark the block, or say how a test runs {program}"
        module = ("-m", "pytest", "-p", "no:cacheprovider", "-W", "error") if program == "pytest" else ()
        done = subprocess.run([sys.executable, *module, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{where}: {command.words}\n{done.stdout}{done.stderr}"
        printed = done.stdout + done.stderr
    assert missing(command.shown, printed) == [], f"{where}: {command.words}\n{printed}"
