"""The Python in the documentation runs, and says what the text around it says."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dmcjia_opt.model.instances import generate
from tests.command_line import run

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize(
    ("guide", "file", "kind", "method", "option"),
    [
        ("write-an-allocator.md", "shares.py", "allocator", "SquareRoot", "power=0"),
        ("write-a-placer.md", "climb.py", "placer", "HillClimb", "starts=2"),
    ],
)
def test_the_files_in_the_guides_run(monkeypatch, capsys, tmp_path, guide, file, kind, method, option):
    method_file, suite = re.findall(r"```python\n(.*?)```", (DOCS / guide).read_text(encoding="utf-8"), re.DOTALL)
    assert method_file.count("\n") < 40
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / file).write_text(method_file, encoding="utf-8")
    (tmp_path / "test_it.py").write_text(suite, encoding="utf-8")
    generate("paper", nodes=5, seed=1).save("s.toml")
    for name in (f"./{file}:{method}", f"{file.removesuffix('.py')}:{method}:{option}"):
        arguments = ("--placer", "genetic") if kind == "allocator" else ()
        ended = run(
            monkeypatch,
            capsys,
            *("solve", "s.toml", *arguments, f"--{kind}", name, "--evaluations", 200, "--out", "p.json"),
        )
        assert ended.code == 0
        plan = json.loads(Path("p.json").read_text(encoding="utf-8"))
        assert plan[kind] == name
        assert plan["notes"] == []
        assert run(monkeypatch, capsys, "verify", "s.toml", "p.json").code == 0
    assert option.partition("=")[0] in run(monkeypatch, capsys, "methods", f"./{file}:{method}").out
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", "test_it.py"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert re.search(r"\d\d passed in", done.stdout)


def test_the_proof_checked_by_hand(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", (DOCS / "certificates.md").read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(code, "certificates.md", "exec"), {})  # noqa: S102 - our own page
    assert float(capsys.readouterr().out) == pytest.approx(0.675, rel=1e-12)
