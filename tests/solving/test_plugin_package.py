"""The example package, installed into an environment of its own: its methods go by name on the command line."""

import json
import shutil
import site
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from dmcjia_opt.model.scenario.families import generate

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """Return the Python of a fresh environment that sees this one's packages and the checkout, with the plug-in."""
    folder = tmp_path_factory.mktemp("plugin")
    shutil.copytree(
        ROOT / "examples" / "plugin", folder / "package", ignore=shutil.ignore_patterns("build", "*.egg-info")
    )
    venv.create(folder / "env", with_pip=False)
    binaries = folder / "env" / ("Scripts" if sys.platform == "win32" else "bin")
    found = subprocess.run(
        [binaries / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    here = "\n".join(f"import site; site.addsitedir({path!r})" for path in site.getsitepackages())
    (Path(found.stdout.strip()) / "running.pth").write_text(f"{ROOT}\n{here}\n", encoding="utf-8")
    install = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", folder / "package"]
    done = subprocess.run([binaries / "python", *install], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return binaries / "python"


@pytest.fixture
def dmcjia(python, tmp_path):
    def command(*arguments, code=0):
        done = subprocess.run(
            [python, "-m", "dmcjia_opt", *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )
        assert done.returncode == code, done.stderr
        return done.stdout

    return command


def test_an_installed_plug_in_goes_by_its_name(dmcjia, tmp_path):
    rows = {(row["kind"], row["name"]): row for row in json.loads(dmcjia("methods", "--json"))}
    assert rows["allocator", "even"]["plugin"] == rows["placer", "annealing"]["plugin"] == "dmcjia-example 0.1.0"
    assert rows["placer", "annealing"]["summary"] == "Simulated annealing that moves one node's split at a time"
    assert rows["placer", "annealing"]["available"]
    generate("paper", nodes=5, seed=1).save(tmp_path / "s.toml")
    chosen = ("--placer", "annealing:steps=300", "--allocator", "even:reserve=0.1")
    shown = dmcjia("solve", "s.toml", *chosen, "--evaluations", 200, "--out", "p.json")
    assert "annealing:steps=300 + even:reserve=0.1" in shown
    plan = json.loads((tmp_path / "p.json").read_text(encoding="utf-8"))
    assert plan["notes"] == []
    assert plan["evaluations"] <= 200
    assert sum(plan["shares"]) == pytest.approx(0.9, abs=0.1)
    assert "Every claim holds." in dmcjia("verify", "s.toml", "p.json")


@pytest.mark.slow
def test_it_passes_its_own_tests(python):
    tests = ROOT / "examples" / "plugin" / "tests"
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", "-c", "pyproject.toml", tests]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT / "examples" / "plugin")
    assert done.returncode == 0, done.stdout + done.stderr
