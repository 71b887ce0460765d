import pytest

from dmcjia_opt.model.scenario.families import FAMILIES
from tests.command_line import fails


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_drawn_and_solved(dmcjia, tmp_path, family):
    ended = dmcjia("generate", family, "--nodes", 3, "--seed", 5, "--out", "g.toml")
    assert ended.code == 0
    assert ended.out == "3 nodes written to g.toml; plan them with: dmcjia solve g.toml\n"
    again = (tmp_path / "g.toml").read_bytes()
    dmcjia("generate", family, "--nodes", 3, "--seed", 5, "--out", "g.toml")
    assert (tmp_path / "g.toml").read_bytes() == again
    assert dmcjia("solve", "g.toml", "--evaluations", 100).code == 0


def test_options_of_families(dmcjia, tmp_path):
    assert dmcjia("generate", "near", "--nodes", 3, "--epsilon", 0.01, "--out", "near.toml").code == 0
    assert dmcjia("generate", "paper", "--nodes", 3, "--tasks", "table4", "--out", "tasks.toml").code == 0
    assert "input_bytes" in (tmp_path / "tasks.toml").read_text()
    dmcjia("generate", "fleet", "--nodes", 3, "--cloud-gflops", 7, "--nodes-file", "n.csv", "--out", "fleet.toml")
    assert (tmp_path / "n.csv").read_text().count("\n") == 4
    assert "compute_gflops = 7.0" in (tmp_path / "fleet.toml").read_text()
    assert dmcjia("solve", "fleet.toml").code == 0


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("nope", "--nodes", 3), ['unknown family "nope"', *FAMILIES]),
        (("paper", "--nodes", 0), ["nodes must be at least 1, got 0"]),
        (("paper", "--nodes", -5), ["nodes must be at least 1"]),
        (("near", "--nodes", 3, "--epsilon", "nan"), ["epsilon", "nan"]),
        (("near", "--nodes", 3, "--epsilon", 1), ["epsilon"]),
        (("paper", "--nodes", 3, "--epsilon", 0.1), ["epsilon does not apply"]),
        (("paper", "--nodes", 3, "--cloud-gflops", 0), ["cloud_gflops"]),
        (("paper", "--nodes", 3, "--cloud-gflops", "inf"), ["cloud_gflops"]),
        (("paper", "--nodes", 3, "--nodes-file", "n.xls"), ["n.xls", ".csv or .parquet"]),
        (("paper", "--nodes", 3, "--nodes-file", "missing/n.csv"), ["missing/n.csv", "create it first"]),
    ],
)
def test_nonsense_families_are_answered_with_a_sentence(dmcjia, tmp_path, arguments, parts):
    fails(dmcjia("generate", *arguments, "--out", "g.toml"), 2, *parts)
    assert not (tmp_path / "g.toml").exists()


def test_a_folder_that_is_missing_for_generate(dmcjia):
    ended = dmcjia("generate", "paper", "--nodes", 3, "--out", "missing/g.toml")
    fails(ended, 2, "--out missing/g.toml: the folder missing does not exist; create it first")


def test_too_many_nodes_to_hold(dmcjia):
    ended = dmcjia("generate", "paper", "--nodes", "9" * 30, "--out", "g.toml")
    fails(ended, 2, "--nodes: the most in one piece is 10,000,000; draw them in parts with --part-nodes")
