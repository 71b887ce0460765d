"""`dmcjia methods`: what there is to choose from."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def methods(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Show one method with its options; module:Class will do.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """List every placer and allocator, plug-ins too: installed or why not, exact or not; or show one and its options.

    Options follow the name: [bold]--placer genetic:population=50:crossover_rate=0.8[/bold].
    """
    from dmcjia_opt.cli.show import warn
    from dmcjia_opt.cli.show_methods import method_row, show_method, show_methods
    from dmcjia_opt.solving.registry import KINDS, conflicts, specs_called, with_plugins

    for sentence in conflicts().values():
        warn(sentence)
    found = specs_called(name) if name else [spec for kind in KINDS for spec in with_plugins(kind)]
    if as_json:
        typer.echo(json.dumps([method_row(spec, with_options=bool(name)) for spec in found], indent=1))
    elif name:
        for spec in found:
            show_method(spec)
    else:
        show_methods(found)
