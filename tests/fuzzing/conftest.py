import pytest

from tests.command_line import run


@pytest.fixture
def dmcjia(monkeypatch, capsys):
    def command(*arguments):
        return run(monkeypatch, capsys, *arguments)

    return command
