"""`dmcjia size`: what capacity to buy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dmcjia_opt.cli.arguments import Outside, ScenarioFile, written
from dmcjia_opt.cli.report import check_drawing


def size(
    scenario: ScenarioFile,
    deadline_ms: Annotated[
        float | None,
        typer.Option(metavar="MS", help="Longest delay of every node; a shorter deadline_ms of its own holds besides."),
    ] = None,
    mean_ms: Annotated[float | None, typer.Option(metavar="MS", help="Longest mean delay; deadlines hold too.")] = None,
    resource: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The server or link whose capacity is to be least, all others as they are; by default what has a "
            "price is for sale, or the only one there is.",
        ),
    ] = None,
    out: Annotated[Path | None, written("size.json", "Write what to buy here.", ".json", stdout=True)] = None,
    frontier: Annotated[
        Path | None,
        written(
            "DIR",
            "Write cost against the mean delay, or the deadline asked, and its proved lower envelope: CSV, PNG, page.",
        ),
    ] = None,
    outside: Outside = False,
) -> None:
    """Say what capacity keeps every deadline, or reaches a mean delay, at least cost.

    What has a [bold]price_per_gflops[/bold] or [bold]price_per_mbps[/bold] is for sale; [bold]step_gflops[/bold] and
    [bold]step_mbps[/bold] say in which amounts. Nothing cheaper keeps what is asked: the lower bound says so.
    """
    from dmcjia_opt.cli.progress import spinner
    from dmcjia_opt.cli.show_size import show_size
    from dmcjia_opt.model.scenario.loading import load_scenario
    from dmcjia_opt.studies.purchase.frontier import frontier as trade_off
    from dmcjia_opt.studies.purchase.size import size as needed

    if frontier is not None:
        check_drawing("--frontier")
    loaded = load_scenario(scenario, outside=outside)
    asked = deadline_ms is not None or mean_ms is not None or loaded.nodes.has("deadline_ms")
    if asked or frontier is None:
        with spinner("looking for what to buy"):
            found = needed(loaded, deadline_ms=deadline_ms, mean_ms=mean_ms, resource=resource)
        if out is not None:
            found.save(out)
        show_size(found)
    if frontier is not None:
        with spinner("looking at what other delays cost"):
            curve = trade_off(loaded, resource=resource, by_deadline=deadline_ms is not None and mean_ms is None)
        frontier.mkdir(parents=True, exist_ok=True)
        curve.to_csv(frontier / "frontier.csv")
        curve.draw(frontier / "frontier.png")
        curve.save_page(frontier / "frontier.html")
        typer.echo(f"Cost against delay written to {frontier}: frontier.csv, frontier.png, frontier.html")
