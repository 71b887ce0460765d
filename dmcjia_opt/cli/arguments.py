"""Arguments that several commands have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ScenarioFile = Annotated[Path, typer.Argument(metavar="SCENARIO.toml", help="The scenario: cloud, options and nodes.")]

Outside = Annotated[
    bool, typer.Option("--outside", help="Let the scenario name files outside its folder.", show_default=False)
]
