"""What is released: an sdist, the wheel made from it, and that wheel at work in an environment of its own."""

import site
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

import dmcjia_opt

ROOT = Path(__file__).parents[2]


def build(kind, source, target):
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", target],
        check=True,
        cwd=source,
        capture_output=True,
    )
    (made,) = target.iterdir()
    return made


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    return build("sdist", ROOT, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (source,) = folder.iterdir()
    return build("wheel", source, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def dmcjia(wheel, tmp_path_factory):
    """Return the command of a fresh environment with the wheel and this one's other packages, outside the checkout."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder / "env", with_pip=False)
    python = folder / "env" / "bin" / "python"
    home = Path(
        subprocess.run(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    )
    others = "\n".join(f"import site; site.addsitedir({path!r})" for path in site.getsitepackages())
    (home / "others.pth").write_text(others + "\n", encoding="utf-8")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(home)

    def command(*arguments):
        code = "import sys, dmcjia_opt.__main__ as m; assert m.__file__.startswith(sys.prefix), m.__file__; m.main()"
        done = subprocess.run(
            [python, "-P", "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False, cwd=folder
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return command


def test_the_wheel_is_complete(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    code = {str(path.relative_to(ROOT)) for path in (ROOT / "dmcjia_opt").rglob("*") if path.is_file()}
    code = {name for name in code if "__pycache__" not in name}
    assert {"dmcjia_opt/py.typed", "dmcjia_opt/studies/bench/data/best_known.csv"} <= names
    assert code <= names
    assert not {name for name in names if name.startswith(("tests/", "docs/", "benchmarks/"))}


def test_the_sdist_has_what_a_packager_needs(sdist):
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "constraints.txt"} <= names
    assert any(name.startswith("tests/") for name in names)


def test_one_version_everywhere(wheel, sdist, dmcjia):
    version = dmcjia_opt.__version__
    assert wheel.name.startswith(f"dmcjia_opt-{version}-")
    assert sdist.name == f"dmcjia_opt-{version}.tar.gz"
    assert dmcjia("--version").strip() == version
    assert f"version: {version}" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_it_works_outside_the_checkout(dmcjia):
    dmcjia("generate", "paper", "--nodes", 5, "--seed", 1, "--out", "s.toml")
    dmcjia("solve", "s.toml", "--out", "plan.json", "--proof", "proof.json", "--report", "plan.html")
    dmcjia("verify", "s.toml", "plan.json", "--proof", "proof.json")
    assert "18 rows" in dmcjia("bench", "smoke", "--out", "smoke")
    dmcjia("report", "smoke", "--out", "smoke.html")
