"""What every test of the fuzzer needs."""

from functools import partial

import pytest
import typer

from dmcjia_opt.cli.main import guarded
from tests.command_line import called
from tools.fuzz.command import main


@pytest.fixture
def dmcjia(monkeypatch, capsys):
    app = typer.Typer()
    app.command()(main)

    def command(*arguments):
        return called(partial(guarded, partial(app, prog_name="fuzz"), "fuzz"), monkeypatch, capsys, *arguments)

    return command
