"""The README is short, its commands are there, and its numbers are those of one run; `test_code` runs its code."""

from __future__ import annotations

import re
from pathlib import Path

from dmcjia_opt import load_scenario, solve

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MOST_WORDS = 1000


def test_it_is_read_in_a_few_minutes():
    assert len(README.split()) <= MOST_WORDS


def test_the_two_commands_are_there():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in ("demo", "test"):
        assert f"make {target}" in README
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)


def test_the_comparisons_are_those_of_one_run():
    run = (ROOT / "benchmarks" / "results" / "headline-0.2.0.txt").read_text(encoding="utf-8")
    table = README.partition("| | here | beside it |")[2].partition("\n\n")[0]
    told = re.findall(r"[\d,]+\.\d+|\d{2,}(?= times)|\d[\d,]*(?= µs)", table)
    assert len(told) == 9
    for number in told:
        assert re.search(rf"(?<![\d.]){re.escape(number)}", run), number


def test_what_the_selfish_plan_loses():
    scenario = load_scenario(ROOT / "examples" / "warehouse.toml")
    lost = solve(scenario, "neurosurgeon+").objective / solve(scenario).objective - 1
    assert f"the mean delay is {100 * lost:.0f} % longer" in " ".join(README.split())
