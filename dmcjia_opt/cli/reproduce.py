"""`dmcjia reproduce`: the paper's tables and figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from dmcjia_opt.cli.arguments import written


def reproduce(
    item: Annotated[
        Literal["table1", "fig4", "fig5", "fig6", "shares", "gap", "delay", "all"],
        typer.Argument(metavar="ITEM", help="table1, fig4, fig5, fig6, shares, gap, delay, or all of them."),
    ],
    out: Annotated[Path, written("DIR", "The folder for data, figures and REPRODUCED.md.")],
    seeds: Annotated[
        int | None,
        typer.Option(min=1, help="Instances and searches per point of a random experiment.", show_default="10"),
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; by default one a core.")] = None,
) -> None:
    """Compute the paper's tables and figures anew, beside the proved optimum, and say what holds.

    [bold]shares[/bold] is the allocation on heterogeneous nodes, [bold]gap[/bold] how far each search ends from the
    optimum at 1, 10 and 100 times the paper's budget, [bold]delay[/bold] the paper's delay beside the exact one and a
    simulation.
    """
    from dmcjia_opt.cli.progress import bar
    from dmcjia_opt.cli.show import warn
    from dmcjia_opt.studies.reproduce.run import ITEMS
    from dmcjia_opt.studies.reproduce.run import reproduce as compute

    if seeds is not None and item != "all" and not ITEMS[item].random:
        warn(f"--seeds has no effect: nothing in {item} is random")
    with bar(f"reproduce {item}") as live:
        findings = compute(
            list(ITEMS) if item == "all" else [item], out, seeds=seeds or 10, workers=workers, progress=live.show
        )
    for name, finding in findings.items():
        hold = sum(statement.holds for statement in finding.statements)
        typer.echo(f"{ITEMS[name].title}: {hold} of {len(finding.statements)} statements hold")
    typer.echo(f"Data, figures and what they say: {out / 'REPRODUCED.md'}")
