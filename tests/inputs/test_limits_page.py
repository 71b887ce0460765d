"""The table of docs/robustness.md says what the code refuses."""

import re
from pathlib import Path

from dmcjia_opt.model import limits

PAGE = Path(__file__).parents[2] / "docs" / "robustness.md"
UNITS = {"": 1, "MiB": 1 << 20, "GiB": 1 << 30}


def test_the_table_of_limits():
    rows = re.findall(r"^\| (.*?) \| ([\d,]+) ?(MiB|GiB|) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    said = {re.sub(r" \(.*\)", "", what): int(number.replace(",", "")) * UNITS[unit] for what, number, unit in rows}
    assert said == {what: limit.most_bytes for what, limit in limits.FILES.items()} | {
        "nodes of a fleet": limits.MOST_NODES,
        "layers of a network": limits.MOST_LAYERS,
        "operators of an ONNX graph, its functions inlined": limits.MOST_OPERATORS,
        "characters of a name": limits.MOST_CHARACTERS,
    }
    assert limits.MEMORY_PART == 0.25
