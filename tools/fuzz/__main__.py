"""``python -m tools.fuzz``: tries to break the bounds."""

from functools import partial

import typer

from dmcjia_opt.__main__ import heard
from dmcjia_opt.cli.main import guarded
from tools.fuzz.command import main

if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    heard(partial(guarded, partial(app, prog_name="python -m tools.fuzz"), "fuzz"), "fuzz")
