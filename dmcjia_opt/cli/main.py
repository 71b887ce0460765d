"""The command line: `dmcjia COMMAND`; each command imports what it needs when it runs."""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from dmcjia_opt.base.call import one_call
from dmcjia_opt.base.errors import DmcjiaError, Doubt, InputError
from dmcjia_opt.cli.bench import bench
from dmcjia_opt.cli.deploy import deploy
from dmcjia_opt.cli.generate import generate
from dmcjia_opt.cli.methods import methods
from dmcjia_opt.cli.profile import profile
from dmcjia_opt.cli.replay import replay
from dmcjia_opt.cli.report import report
from dmcjia_opt.cli.reproduce import reproduce
from dmcjia_opt.cli.run import run
from dmcjia_opt.cli.simulate import simulate
from dmcjia_opt.cli.size import size
from dmcjia_opt.cli.solve import solve
from dmcjia_opt.cli.split import split
from dmcjia_opt.cli.verify import verify

if TYPE_CHECKING:
    from typing_extensions import Buffer


class _Command(TyperCommand):
    """A command that suggests options by meaning too."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - click's, of which typer has a copy
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            from dmcjia_opt.base.suggesting import nearest

            if unknown := getattr(error, "option_name", ""):
                known = [name for parameter in self.params for name in parameter.opts if name.startswith("--")]
                error.possibilities = nearest(unknown, known)  # type: ignore[attr-defined]
            raise


class _Group(TyperGroup):
    """Commands that are suggested by meaning too."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401
        try:
            return super().resolve_command(ctx, args)
        except Exception as error:
            from dmcjia_opt.base.suggesting import did_you_mean

            if hint := did_you_mean(args[0], self.list_commands(ctx)):
                error.message = f'No such command "{args[0]}"{hint}'  # type: ignore[attr-defined]
            raise


app = typer.Typer(
    cls=_Group,
    name="dmcjia",
    help="Split the DNN of each edge node, share the cloud among them, and prove how good the answer is.",
    epilog="Exit codes: 0 done, 1 a claim was false, 2 bad input, 3 infeasible, 4 a backend is missing or failed.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _command in (
    solve,
    size,
    verify,
    simulate,
    replay,
    methods,
    generate,
    profile,
    split,
    deploy,
    run,
    reproduce,
    bench,
    report,
):
    app.command(cls=_Command)(_command)

_STDERR = 2
_INTERRUPTED = 130  # what typer makes of KeyboardInterrupt


def _print_version(asked: bool) -> None:
    if asked:
        from dmcjia_opt.base.machine import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _common(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    if debug:
        os.environ["DMCJIA_DEBUG"] = "1"


def _say_warning(
    otherwise: Callable[..., None], message: Warning | str, category: type[Warning], *where: object
) -> None:
    """Print a warning about the user's own files as one sentence, and any other as Python does."""
    if issubclass(category, Doubt):
        typer.echo(f"dmcjia: warning: {message}", err=True)
    else:
        otherwise(message, category, *where)


class _Pipe(io.FileIO):
    """A pipe that somebody may read to its end, or stop reading; or a file on a disk that may be full."""

    _full = False

    def write(self, content: Buffer, /) -> int:
        """Write, or lose what nobody reads; a full disk is told once."""
        try:
            return super().write(content) or 0
        except BrokenPipeError:
            pass
        except OSError as error:
            if not self._full and self.fileno() != _STDERR:
                self._full = True
                raise InputError(f"standard output: cannot write ({error.strerror}); send it elsewhere") from None
        return memoryview(content).nbytes


@contextmanager
def _pipes_may_close() -> Iterator[None]:
    """Let the command end as it would where the reader of its words has left, as ``head`` does.

    What it writes to files is written all the same, and its exit code says what it always says.
    """
    plain = sys.stdout, sys.stderr
    for name, stream in zip(("stdout", "stderr"), plain, strict=True):
        try:
            if not stream.isatty():
                stream.flush()
                binary = io.BufferedWriter(_Pipe(stream.fileno(), "w", closefd=False))
                text = io.TextIOWrapper(binary, stream.encoding, stream.errors, line_buffering=name == "stderr")
                setattr(sys, name, text)
        except (AttributeError, OSError):
            continue  # it is no file, or there is none
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        sys.stdout, sys.stderr = plain


@_pipes_may_close()
def guarded(command: Callable[[], object], name: str) -> None:
    """Run a command line called `name`; an error is one sentence on standard error, and its exit code.

    Raises
    ------
    KeyboardInterrupt
        If a command was interrupted, where typer would end without a word.
    """
    try:
        with one_call(), warnings.catch_warnings():
            warnings.simplefilter("always", Doubt)
            warnings.showwarning = partial(_say_warning, warnings.showwarning)
            command()
    except DmcjiaError as error:
        if os.environ.get("DMCJIA_DEBUG"):
            raise
        typer.echo(f"{name}: {error}", err=True)
        sys.exit(error.exit_code)
    except SystemExit as end:
        if end.code == _INTERRUPTED:
            raise KeyboardInterrupt from None
        raise


def main() -> None:
    """Run the command line."""
    guarded(partial(app, prog_name="dmcjia"), "dmcjia")
