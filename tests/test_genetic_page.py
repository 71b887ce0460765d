"""docs/genetic.md says what the code does: its Python runs, its options are the fields, its table is the results."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from dmcjia_opt.placers.genetic import CROSSOVERS, ENCODINGS, MUTATIONS, REPAIRS, SELECTIONS, Genetic

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "genetic.md").read_text(encoding="utf-8")


def test_its_python_runs_from_top_to_bottom(capsys):
    names: dict[str, object] = {}
    for code in re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL):
        exec(compile(code, "genetic.md", "exec"), names)  # noqa: S102 - our own page
    printed = capsys.readouterr().out
    assert printed.count("proved gap") == 3
    assert printed.count("worst node") >= 3
    assert "from the proved bound" in printed


def test_every_option_and_choice_is_on_the_page():
    table = PAGE[PAGE.index("| option |") : PAGE.index("They are fields")]
    for name in [field.name for field in fields(Genetic)] + [
        *ENCODINGS,
        *SELECTIONS,
        *CROSSOVERS,
        *MUTATIONS,
        *REPAIRS,
    ]:
        assert f"`{name}`" in table, name


def test_its_table_is_the_one_computed():
    computed = (ROOT / "benchmarks" / "results" / "ga-variants-0.1.0.txt").read_text(encoding="utf-8")
    assert f"```\n{computed.strip()}\n```" in PAGE
