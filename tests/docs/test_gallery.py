"""The notebooks of the gallery run, say something definite, and are kept small and without outputs."""

from __future__ import annotations

import ast
import json

import pytest

from dmcjia_opt.solving import plugins
from tests.docs.blocks import ROOT

NOTEBOOKS = sorted((ROOT / "docs" / "gallery").glob("*.ipynb"))
MOST_BYTES = 10_000
#: What each prints, or its last values say.
SAYS = {
    "changing-links": "oracle",
    "choose-a-backend": "neurosurgeon+",
    "first-plan": "neurosurgeon+     500 ms,   24% above the optimum",
    "own-network": "80 Mbit/s: cut after 0 of 6 layers",
    "reproduce-the-paper": "Neurosurgeon",
    "verify-a-plan": "FALSE  objective_s",
    "what-to-buy": " 1500 ms:    7.5 GFLOP/s",
    "write-a-placer": "random-walk",
}


def cells(path):
    content = json.loads(path.read_text(encoding="utf-8"))
    return [cell for cell in content["cells"] if cell["cell_type"] == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plugins, "_HERE", dict(plugins._HERE))
    names = {"__name__": "__main__"}
    for cell in cells(path):
        tree = ast.parse("".join(cell["source"]))
        shown = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, path.name, "exec"), names)  # noqa: S102 - our own page
        if shown is not None:
            value = eval(compile(ast.Expression(shown.value), path.name, "eval"), names)
            print("" if value is None else value)  # noqa: T201
    assert SAYS[path.stem] in capsys.readouterr().out


def test_they_are_small_and_without_outputs():
    assert {path.stem for path in NOTEBOOKS} == SAYS.keys()
    for path in NOTEBOOKS:
        assert path.stat().st_size < MOST_BYTES, path.name
        assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells(path)), path.name
