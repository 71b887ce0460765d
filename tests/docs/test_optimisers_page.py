"""The page on bringing an optimiser says what is true: its table holds the defaults; `docs` runs its code."""

from __future__ import annotations

import re
from pathlib import Path

from dmcjia_opt.solving.registry import build_placer

PAGE = (Path(__file__).parents[2] / "docs" / "optimisers.md").read_text(encoding="utf-8")


def test_the_defaults_in_the_table_are_the_placers():
    rows = re.findall(r"^\| `([a-z]+)(?::[A-Z]+)?` \|.*\| ([^|]*) \|$", PAGE, flags=re.MULTILINE)
    assert [name for name, _ in rows] == ["nevergrad", "cma", "optuna", "scipy", "cpsat", "pymoo"]
    for name, options in rows:
        placer = build_placer(name)
        for field, value in re.findall(r"`(\w+)`(?: ([\w.]+))?", options):
            actual = getattr(placer, field)
            if value:
                assert value == (f"{actual:g}" if isinstance(actual, float) else str(actual).replace("False", "false"))
