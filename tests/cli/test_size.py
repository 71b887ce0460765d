"""`dmcjia size` as people use it."""

from __future__ import annotations

import json

import pytest

from dmcjia_opt import generate, size
from tests.command_line import run


@pytest.fixture
def fleet(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    generate("paper", nodes=3).save("s.toml")
    return tmp_path


def test_a_size_is_shown_and_written(fleet, monkeypatch, capsys):
    code, said, _ = run(monkeypatch, capsys, *["size", "s.toml", "--deadline-ms", "900", "--out", "size.json"])
    assert code == 0
    written = json.loads((fleet / "size.json").read_text(encoding="utf-8"))
    found = size("s.toml", deadline_ms=900)
    assert written == found.to_dict()
    assert f"{found.cost:.6g} GFLOP/s" in said
    assert f"Proved: less than {found.lower_bound:.6g} GFLOP/s of cloud does not keep what is asked." in said
    assert "3, all kept" in said


def test_a_size_goes_to_standard_output_alone(fleet, monkeypatch, capsys):
    code, said, told = run(monkeypatch, capsys, *["size", "s.toml", "--mean-ms", "700", "--out", "-"])
    assert code == 0
    content = json.loads(said)
    assert content["mean_delay_s"] <= content["mean_target_s"] * (1 + 1e-9) == pytest.approx(0.7)
    assert "at most 700 ms asked" in told


def test_steps_are_told_with_what_the_bound_is_of(fleet, monkeypatch, capsys):
    text = (fleet / "s.toml").read_text(encoding="utf-8")
    server = '[[servers]]\nname = "site"\ncompute_gflops = 9.0\nprice_per_gflops = 0.3\nstep_gflops = 2.0\n'
    steps = "price_per_gflops = 0.5\nstep_gflops = 3.0\n"
    (fleet / "t.toml").write_text(text.replace("[cloud]\n", f"[cloud]\n{steps}") + server, encoding="utf-8")
    code, said, _ = run(monkeypatch, capsys, "size", "t.toml", "--deadline-ms", "900")
    assert code == 0
    found = size("t.toml", deadline_ms=900)
    assert found.cost > found.cost_exact
    assert f"{found.cost:.6g}; {found.cost_exact:.6g} before it is rounded up to steps" in said
    assert f"{found.lower_bound:.6g}, in any amount rather than in steps" in said


def test_a_frontier_goes_into_a_folder(fleet, monkeypatch, capsys):
    code, said, _ = run(monkeypatch, capsys, *["size", "s.toml", "--frontier", "curve"])
    assert code == 0
    assert {path.name for path in (fleet / "curve").iterdir()} == {"frontier.csv", "frontier.png", "frontier.html"}
    assert "Cost against delay written to curve" in said


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("size s.toml", 2, "nothing is asked of the delay"),
        ("size s.toml --deadline-ms 1", 3, "no capacity keeps every deadline"),
        ("size s.toml --mean-ms 1", 3, "no capacity reaches a mean delay of 1 ms"),
        ("size s.toml --mean-ms -5", 2, "--mean-ms must be a number of milliseconds > 0"),
        ("size s.toml --deadline-ms 900 --out s.toml", 2, "let the name end in .json"),
        ("size s.toml --deadline-ms 900 --resource sky", 2, 'there is no server or link "sky"'),
    ],
)
def test_what_cannot_be_done_is_said(fleet, monkeypatch, capsys, line, code, says):
    before = (fleet / "s.toml").read_bytes()
    found, _, told = run(monkeypatch, capsys, *line.split())
    assert found == code
    assert says in told
    assert (fleet / "s.toml").read_bytes() == before
