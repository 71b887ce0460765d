"""docs/genetic.md: its options are the fields, its table is the results; `docs` runs its code."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from dmcjia_opt.methods.placers.genetic.genetic import CROSSOVERS, ENCODINGS, MUTATIONS, REPAIRS, SELECTIONS, Genetic

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "genetic.md").read_text(encoding="utf-8")


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
