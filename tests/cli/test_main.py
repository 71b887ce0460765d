import importlib.metadata
import subprocess
import sys

import pytest

import dmcjia_opt.__main__
from dmcjia_opt import __version__
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.cli.main import main
from tests.cli.scenarios import TWO
from tests.command_line import fails, misused

COMMANDS = ("solve", "verify", "size", "simulate", "methods", "generate", "profile", "reproduce", "bench")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("solve", "s.toml", "--seconds", "soon"), ["--seconds"]),
        (("solve", "s.toml", "--evaluations", "1.5"), ["--evaluations"]),
        (("solve", "s.toml", "--gap", "1%"), ["--gap"]),
        (("solve", "s.toml", "--seed", "-1"), ["--seed"]),
        (("solve", "s.toml", "--colour"), ["--colour"]),
        (("solve",), ["SCENARIO.toml"]),
        (("verify", "s.toml"), ["plan.json"]),
        (("generate", "paper", "--out", "x.toml"), ["--nodes"]),
        (("generate", "paper", "--nodes", "3"), ["--out"]),
        (("generate", "paper", "--nodes", "ten", "--out", "x.toml"), ["--nodes"]),
        (("generate", "paper", "--nodes", "3", "--tasks", "mnist", "--out", "x.toml"), ["--tasks"]),
        (("solv", "s.toml"), ["solv"]),
    ],
)
def test_misuse_is_answered_by_the_parser(dmcjia, arguments, parts):
    misused(dmcjia(*arguments), *parts)


def test_version(dmcjia):
    ended = dmcjia("--version")
    assert ended.code == 0
    assert ended.out.strip() == __version__


def test_help_of_everything(dmcjia):
    top = dmcjia("--help")
    assert top.code == 0
    assert all(command in top.out for command in COMMANDS)
    assert "Exit codes: 0 done" in top.out
    for command in COMMANDS:
        for flag in ("--help", "-h"):
            ended = dmcjia(command, flag)
            assert ended.code == 0
            assert f"Usage: dmcjia {command}" in ended.out
    for option in ("--placer", "--allocator", "--seconds", "--evaluations", "--gap", "--seed", "--out"):
        assert option in dmcjia("solve", "--help").out


def test_no_command_shows_the_help(dmcjia):
    ended = dmcjia()
    assert "Usage: dmcjia" in ended.out + ended.err
    assert "solve" in ended.out + ended.err


def test_debug_shows_where_an_error_came_from(monkeypatch, tmp_path):
    monkeypatch.setenv("DMCJIA_DEBUG", "")
    monkeypatch.setattr(sys, "argv", ["dmcjia", "--debug", "solve", str(tmp_path / "none.toml")])
    with pytest.raises(InputError, match="cannot read the scenario"):
        main()


def test_an_interrupt_is_one_sentence_too(dmcjia, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("dmcjia_opt.solving.solve.solve", interrupted)
    fails(dmcjia("solve", "s.toml"), 130, "interrupted before there was an answer")


def test_the_command_is_installed():
    scripts = importlib.metadata.entry_points(group="console_scripts", name="dmcjia")
    assert [script.load() for script in scripts] == [dmcjia_opt.__main__.main]


def test_starting_up_imports_no_solver():
    code = (
        "import sys; import dmcjia_opt.cli.main; "
        "found = {'numpy', 'pymoo', 'cvxpy', 'pyomo', 'casadi', 'scipy', 'pandas'} & set(sys.modules); "
        "sys.exit(str(found) if found else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("solve", "s.toml", "--time-limit", "3"), "--seconds"),
        (("solve", "s.toml", "--tolerance", "3"), "--gap"),
        (("plan", "s.toml"), 'did you mean "solve"?'),
        (("benchmark",), 'did you mean "bench"?'),
    ],
)
def test_the_command_line_suggests_options_and_commands(dmcjia, arguments, part):
    misused(dmcjia(*arguments), part)


@pytest.mark.parametrize(
    "arguments",
    [
        ("profile", "resnet34", "--uplink-mbps", "25000000"),
        ("solve", "bits.toml"),
    ],
)
def test_a_doubt_is_one_line_and_no_failure(dmcjia, tmp_path, arguments):
    (tmp_path / "bits.toml").write_text(TWO.replace("uplink_mbps = 8.0", "uplink_mbps = 25000000"), encoding="utf-8")
    ended = dmcjia(*arguments)
    assert ended.code == 0
    assert ended.err.startswith(
        f"dmcjia: warning: {'profile' if arguments[0] == 'profile' else 'bits.toml'}: uplink_mbps"
    )
    assert "25,000,000 Mbit/s, more than 400,000; did you mean Mbit/s, not bit/s?" in " ".join(ended.err.split())
    assert ended.err.count("\n") == 1
