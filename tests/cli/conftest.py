"""What every test of a command needs."""

from functools import partial

import pytest

from tests.cli.scenarios import TWO
from tests.command_line import run


@pytest.fixture(autouse=True)
def quick(few_tasks):
    """Let no command simulate for long what it says beside a plan."""


@pytest.fixture
def dmcjia(monkeypatch, capsys, tmp_path):
    """Run a command in an empty folder that holds `s.toml`, a scenario of two nodes."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.toml").write_text(TWO, encoding="utf-8")
    return partial(run, monkeypatch, capsys)
