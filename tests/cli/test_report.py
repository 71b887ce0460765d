"""`dmcjia report plan.json` and `dmcjia solve --report`: one page either way, or one sentence and no page."""

import json
import subprocess
import sys

import pytest

from dmcjia_opt.base.machine import installing
from dmcjia_opt.cli import report as command
from dmcjia_opt.model.scenario.families import generate
from tests.command_line import fails
from tests.studies.bench.runs import placer_rows, write_folder


@pytest.fixture(autouse=True)
def five(dmcjia):
    """Put `s.toml`, a scenario of five nodes, into the folder."""
    generate("paper", nodes=5, seed=1).save("s.toml")


@pytest.fixture
def solved(dmcjia, tmp_path):
    ended = dmcjia("solve", "s.toml", "--evaluations", 50, "--placer", "genetic", "--out", "plan.json")
    assert ended.code == 0
    return tmp_path / "plan.json"


def test_one_page_either_way(dmcjia, tmp_path):
    ended = dmcjia("solve", "s.toml", "--out", "plan.json", "--report", "a.html")
    assert (ended.code, ended.err) == (0, "")
    assert "Page written to a.html" in ended.out
    ended = dmcjia("report", "plan.json", "--out", "b.html")
    assert (ended.code, ended.out, ended.err) == (0, "Page written to b.html\n", "")
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert page == (tmp_path / "b.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert page.endswith("</html>\n")


def test_a_page_without_a_plan_file(dmcjia, tmp_path):
    assert dmcjia("solve", "s.toml", "--report", "a.htm").code == 0
    assert "dmcjia solve s.toml --placer exact" in (tmp_path / "a.htm").read_text(encoding="utf-8")


def test_the_scenario_is_found_from_the_plans_folder(dmcjia, tmp_path, monkeypatch):
    (tmp_path / "plans").mkdir()
    (tmp_path / "else" / "where").mkdir(parents=True)
    assert dmcjia("solve", "s.toml", "--out", "plans/plan.json").code == 0
    assert json.loads((tmp_path / "plans" / "plan.json").read_text())["scenario_file"] == "../s.toml"
    monkeypatch.chdir(tmp_path / "else" / "where")
    assert dmcjia("report", tmp_path / "plans" / "plan.json", "--out", "p.html").code == 0


def test_a_scenario_that_moved_is_named(dmcjia, solved, tmp_path):
    (tmp_path / "s.toml").rename(tmp_path / "moved.toml")
    fails(dmcjia("report", "plan.json", "--out", "p.html"), 2, "plan.json", "s.toml is not there", "--scenario")
    assert not (tmp_path / "p.html").exists()
    assert dmcjia("report", "plan.json", "--out", "p.html", "--scenario", "moved.toml").code == 0


def test_a_plan_that_names_no_scenario(dmcjia, solved, tmp_path):
    content = json.loads(solved.read_text())
    del content["scenario_file"]
    solved.write_text(json.dumps(content))
    fails(dmcjia("report", "plan.json", "--out", "p.html"), 2, "plan.json", "does not say", "--scenario")
    assert dmcjia("report", "plan.json", "--out", "p.html", "--scenario", "s.toml").code == 0


def test_another_scenario_is_fails(dmcjia, solved, tmp_path):
    generate("paper", nodes=5, seed=2).save("other.toml")
    ended = dmcjia("report", "plan.json", "--out", "p.html", "--scenario", "other.toml")
    fails(ended, 1, "plan.json", "made for another scenario", "other.toml")
    generate("paper", nodes=5, seed=2).save("s.toml")
    fails(dmcjia("report", "plan.json", "--out", "p.html"), 1, "made for another scenario")
    assert not (tmp_path / "p.html").exists()


def test_a_false_delay_is_refused_and_the_old_page_stays(dmcjia, solved, tmp_path):
    (tmp_path / "p.html").write_text("old")
    content = json.loads(solved.read_text())
    solved.write_text(json.dumps(content | {"objective_s": content["objective_s"] / 2}))
    fails(dmcjia("report", "plan.json", "--out", "p.html"), 1, "objective_s", "recomputed")
    solved.write_text("{")
    fails(dmcjia("report", "plan.json", "--out", "p.html"), 2, "plan.json")
    assert (tmp_path / "p.html").read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"s.toml", "plan.json", "p.html"}


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("report", "plan.json", "--out", "p.txt"), "end in .html"),
        (("report", "plan.json", "--out", "none/p.html"), "create it first"),
        (("report", "none.json", "--out", "p.html"), "no such folder or file"),
        (("report", "plan.json", "--out", "p.html", "--csv", "folder"), "--csv"),
        (("report", "plan.json", "--out", "p.html", "--scenario", "none.toml"), "none.toml"),
        (("report", "bench", "--out", "p.html", "--scenario", "s.toml"), "--scenario"),
        (("solve", "s.toml", "--report", "p.txt"), "end in .html"),
        (("solve", "s.toml", "--report", "none/p.html"), "create it first"),
        (("solve", "s.toml", "--report", "folder.html"), "this is a folder"),
        (("solve", "s.toml", "--out", "p.html", "--report", "p.html"), "end in .json"),
    ],
)
def test_misuse_is_a_sentence(dmcjia, solved, tmp_path, arguments, part):
    write_folder(tmp_path / "bench", placer_rows(), suite="small")
    (tmp_path / "folder.html").mkdir()
    fails(dmcjia(*arguments), 2, part)
    assert not (tmp_path / "p.html").exists()


def test_plotly_is_asked_for_before_anything_is_computed(dmcjia, monkeypatch, tmp_path):
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    fails(dmcjia("solve", "s.toml", "--out", "plan.json", "--report", "p.html"), 4, "plotly", installing("report"))
    assert not (tmp_path / "plan.json").exists()


def test_plotly_is_all_it_needs(solved, tmp_path):
    absent = ("pandas", "pyarrow", "statsmodels", "moocore", "psutil", "matplotlib")
    code = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({absent!r}))\n"
        "sys.argv = ['dmcjia', 'report', 'plan.json', '--out', 'p.html']\n"
        "from dmcjia_opt.cli.main import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "Page written to p.html\n"), done.stderr
