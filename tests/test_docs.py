"""The Python in the documentation runs, and says what the text around it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


def python_in(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), flags=re.DOTALL)


def test_the_proof_checked_by_hand(capsys):
    (code,) = python_in("certificates.md")
    exec(compile(code, "certificates.md", "exec"), {})  # noqa: S102 - our own page
    assert float(capsys.readouterr().out) == pytest.approx(0.675, rel=1e-12)
