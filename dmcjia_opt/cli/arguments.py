"""Arguments that several commands have in common, and options that name what is written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dmcjia_opt.base.call import claim


def part(text: str) -> float:
    """Return a gap as given; it is a part, no percentage."""
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no number; 5 % is 0.05") from None


ScenarioFile = Annotated[Path, typer.Argument(metavar="SCENARIO.toml", help="The scenario: cloud, options and nodes.")]

Outside = Annotated[
    bool, typer.Option("--outside", help="Let the scenario name files outside its folder.", show_default=False)
]

Dask = Annotated[
    str | None,
    typer.Option(
        metavar="tcp://HOST:PORT|local:N",
        help="Price a fleet in parts on a Dask cluster, or on N of its workers here.",
        show_default="a process a core",
    ),
]

InputShapes = Annotated[
    list[str] | None, typer.Option(metavar="NAME=1x3x224x224", help="Shape of an input that the file leaves open.")
]
Dims = Annotated[
    list[str] | None, typer.Option(metavar="NAME=1", help="Size of a dimension that the file calls by this name.")
]
InputValues = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=16000", help="Value of an input that never changes, such as a sample rate."),
]
Outputs = Annotated[list[str] | None, typer.Option(metavar="NAME,NAME", help="End the network at these tensors.")]
State = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="An input or output that stays where it is, as caches do; * is any text."),
]


def written(metavar: str, text: str, *suffixes: str, stdout: bool = False, updates: str = "") -> Any:  # noqa: ANN401 - typer's
    """Return an option that names a file to write, or a folder where no suffix is given, and claims it.

    Every option that names one is made here, so that none writes over what the same call reads or writes otherwise;
    the parameters are those of `claim`.
    """

    def claimed(param: typer.CallbackParam, path: Path | None) -> Path | None:
        if path is not None:
            claim(param.opts[0], path, suffixes, stdout=stdout, updates=updates)
        return path

    return typer.Option(metavar=metavar, help=f"{text} (-: standard output.)" if stdout else text, callback=claimed)
