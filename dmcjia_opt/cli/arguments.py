"""Arguments that several commands have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


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
