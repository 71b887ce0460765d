"""The files in the guides for plug-ins are short and behave; numbers told are computed."""

from __future__ import annotations

import math

import pytest

from dmcjia_opt import Stop
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.model.scenario.loading import load_scenario
from dmcjia_opt.solving.solve import solve
from tests.docs.blocks import ROOT, blocks


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


def test_the_numbers_of_the_five_minutes():
    page = (ROOT / "docs" / "five-minutes.md").read_text(encoding="utf-8")
    scenario = load_scenario(ROOT / "examples" / "warehouse.toml")
    for method in ("edge-only", "cloud-only+", "neurosurgeon", "neurosurgeon+", "exact"):
        plan = solve(scenario, method)
        assert f"{1e3 * plan.objective:,.{method == 'exact':d}f} ms" in page, method
    assert plan.splits.tolist() == [8, 0, 53, 53, 53]
    assert plan.shares.round(2).tolist() == [0.5, 0.5, 0.0, 0.0, 0.0]
    layers = [scenario.profiles[scenario.nodes.network_of(d)].n_layers for d in range(scenario.n_nodes)]
    assert f"{math.prod(n + 1 for n in layers):,}" in page
    paper = solve(scenario, "dmcjia", "alm", seed=1)
    assert f"algorithm | {1e3 * paper.objective:,.0f} ms" in page
    selfish = solve(scenario, "neurosurgeon+")
    assert f"Selfish cameras lose {100 * (selfish.objective / plan.objective - 1):.0f} %" in page
    assert selfish.objective > 1.1 * plan.objective


def test_the_site_of_the_guide_is_the_example(tmp_path):
    site, board = (block for block in blocks("docs/fleet.md") if block.mark in ("file: site.toml", "file: board.toml"))
    assert site.code == (ROOT / "examples" / "site.toml").read_text(encoding="utf-8")
    scenario = load_scenario(ROOT / "examples" / "site.toml")
    plan = solve(scenario)
    parts = [scenario.route(d, option).parts for d, option in enumerate(plan.options.tolist())]
    assert parts[0] == (("site", 1, 16), ("cloud", 17, 34))
    assert parts[1] == ((None, 1, 16), ("cloud", 17, 34))
    assert parts[2] == ((None, 1, 21), ("site", 22, 53))
    page = (ROOT / "docs" / "fleet.md").read_text(encoding="utf-8")
    (tmp_path / "apart.toml").write_text(board.code.replace('host = "gate-board"\n', ""), encoding="utf-8")
    apart = load_scenario(tmp_path / "apart.toml")
    alone = solve(apart)
    assert f"Without `host` the promise is {1e3 * alone.objective:.1f} ms" in page
    assert alone.splits.tolist() == [16, apart.profiles["mobilenet_v2"].n_layers]


def test_the_proof_checked_by_hand(capsys):
    (code,) = [block.code for block in blocks("docs/certificates.md") if block.language == "python"]
    exec(compile(code, "certificates.md", "exec"), {})  # noqa: S102 - our own page
    assert float(capsys.readouterr().out) == pytest.approx(0.675, rel=1e-12)
