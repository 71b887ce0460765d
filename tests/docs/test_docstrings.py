"""Every public name has an example in its docstring, and the examples print what stands there."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
from pathlib import Path

import pytest

import dmcjia_opt
from dmcjia_opt.solving import plugins
from tests.docs.blocks import ROOT

PACKAGE = Path(dmcjia_opt.__file__).parent
#: What starts processes: its examples are for the reader, and tests/studies/deploy and tests/solving/parts run it.
SKIPPED = {"run", "Records", "result_of", "RunResult", "crew_on_dask"}
#: What has no docstring of its own.
ALIASES = {"Callback"}
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def modules():
    """Return the modules whose source has examples."""
    files = sorted(path for path in PACKAGE.rglob("*.py") if ">>> " in path.read_text(encoding="utf-8"))
    return [".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in files]


def public():
    """Yield every public name: those of the package, and those that the reference lists."""
    yield from (("dmcjia_opt", name) for name in dmcjia_opt.__all__)
    for page in sorted((ROOT / "docs" / "api").glob("*.md")):
        text = page.read_text(encoding="utf-8")
        for name in re.findall(r"\.\. auto(?:class|function):: (dmcjia_opt\.\S+)", text):
            module, _, attribute = name.rpartition(".")
            yield module, attribute


@pytest.mark.parametrize(("module", "name"), sorted(set(public()) - {("dmcjia_opt", name) for name in ALIASES}))
def test_every_public_name_has_an_example(module, name):
    doc = inspect.getdoc(getattr(importlib.import_module(module), name))
    assert ">>> " in doc
    assert ("+SKIP" in doc) == (name in SKIPPED)


@pytest.mark.parametrize("module", modules())
def test_examples_print_what_stands_there(module, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plugins, "_HERE", dict(plugins._HERE))
    failed, tried = doctest.testmod(importlib.import_module(module), optionflags=FLAGS)
    assert tried > 0
    assert failed == 0, capsys.readouterr().out
