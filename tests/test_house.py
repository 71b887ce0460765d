"""How the package is laid out: one name, one thing; small files; nothing loose at the root."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

import dmcjia_opt

ROOT = Path(dmcjia_opt.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))


def repeated(places):
    return {name: sorted(where) for name, where in places.items() if len(where) > 1}


def test_no_two_modules_of_one_name():
    # a command's file is called like the command
    places = defaultdict(list)
    for path in FILES:
        if path.stem != "__init__" and path.parent != ROOT / "cli":
            places[path.stem].append(path.relative_to(ROOT).as_posix())
    assert repeated(places) == {}


def test_no_two_public_classes_of_one_name():
    places = defaultdict(list)
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(path.relative_to(ROOT).as_posix())
    assert repeated(places) == {}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_file_is_long(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 500


def test_nothing_is_loose_at_the_root():
    assert {path.name for path in ROOT.glob("*.py")} == {"__init__.py", "__main__.py"}
