"""The README says what the package does: its table is the registry's, its commands are there; `docs` runs its code."""

from __future__ import annotations

import re
from pathlib import Path

from dmcjia_opt.solving.registry import METHODS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def methods_table() -> str:
    rows = ["| method | | exact | what it is |", "|---|---|---|---|"]
    for spec in METHODS.values():
        name = f"`{spec.name}:{spec.variant.upper()}`" if spec.variant else f"`{spec.name}`"
        rows.append(f"| {name} | {spec.kind} | {'yes' if spec.exact else ''} | {spec.summary} |")
    return "\n".join(rows)


def test_the_table_of_methods_is_the_registrys():
    assert methods_table() in README


def test_the_two_commands_are_there():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in ("demo", "test"):
        assert f"make {target}" in README
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)
