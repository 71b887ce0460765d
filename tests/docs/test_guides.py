"""The files in the guides for plug-ins are short and behave; the proof checked by hand proves what the page says."""

from __future__ import annotations

import pytest

from dmcjia_opt import Stop
from dmcjia_opt.model.instances import generate
from dmcjia_opt.solving import solve
from tests.docs.blocks import blocks


@pytest.mark.parametrize(
    ("page", "method", "option"),
    [
        ("docs/write-an-allocator.md", "allocator", "shares:SquareRoot:power=0"),
        ("docs/write-a-placer.md", "placer", "climb:HillClimb:starts=2"),
    ],
)
def test_the_files_in_the_guides_need_no_supervision(monkeypatch, tmp_path, page, method, option):
    (file,) = [block for block in blocks(page) if block.mark.startswith("file: ") and "test_" not in block.mark]
    assert file.code.count("\n") < 40
    (tmp_path / file.mark.removeprefix("file: ")).write_text(file.code, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    plan = solve(
        generate("paper", nodes=5, seed=1), **{"placer": "genetic", method: option}, stop=Stop(evaluations=200)
    )
    assert plan.notes == ()
    assert getattr(plan, method) == option


def test_the_proof_checked_by_hand(capsys):
    (code,) = [block.code for block in blocks("docs/certificates.md") if block.language == "python"]
    exec(compile(code, "certificates.md", "exec"), {})  # noqa: S102 - our own page
    assert float(capsys.readouterr().out) == pytest.approx(0.675, rel=1e-12)
