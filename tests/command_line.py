"""Runs the command line as a shell would: arguments in, exit code, standard output and standard error out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import pytest
import typer.main

from dmcjia_opt.__main__ import main

#: Typer makes its commands of the signatures anew at every call, which takes longer than most commands do.
_made = cache(typer.main.get_command)


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object) -> Ended:
    """Run `dmcjia` with `arguments`; a traceback, in place of a sentence, fails the test."""
    return called(main, monkeypatch, capsys, *arguments)


def called(
    command: Callable[[], object],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *arguments: object,
) -> Ended:
    """Run a command line with `arguments` (see `run`)."""
    monkeypatch.setenv("DMCJIA_DEBUG", "")
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr(typer.main, "get_command", _made)
    monkeypatch.setattr(sys, "argv", ["dmcjia", *map(str, arguments)])
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        command()
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    return Ended(end.value.code or 0, out, err)


def fails(ended: Ended, code: int, *parts: str) -> None:
    """One sentence on standard error, nothing on standard output, and the exit code of its kind."""
    assert ended.code == code
    assert ended.out == ""
    assert ended.err.startswith("dmcjia: ")
    assert ended.err.count("\n") == 1
    for part in parts:
        assert part in ended.err


def misused(ended: Ended, *parts: str) -> None:
    """What the argument parser refuses by itself."""
    assert ended.code == 2
    assert "Usage: dmcjia" in ended.err
    for part in parts:
        assert part in ended.err
