"""`dmcjia run`: a plan as processes on this machine, and what they measure beside what was predicted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dmcjia_opt.cli.arguments import written
from dmcjia_opt.cli.report import PAGE, check_drawing


def run(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="What dmcjia deploy has written.")],
    tasks: Annotated[int, typer.Option(min=10, help="Tasks a node.")] = 300,
    pace: Annotated[
        bool, typer.Option("--pace", help="Stretch every stage to its planned time, to test the queueing alone.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same arrivals.")] = 0,
    out: Annotated[Path | None, written("run.json", "Write everything here.", ".json", stdout=True)] = None,
    csv: Annotated[Path | None, written("run.csv", "Write a line a stage here.", ".csv")] = None,
    page: Annotated[Path | None, written("run.html", "Write it as a page that opens without a network.", *PAGE)] = None,
    times: Annotated[
        Path | None,
        written(
            "times.csv",
            "Time every half on every device and server too, and write the seconds of layers here, beside those that "
            "are there.",
            ".csv",
            updates="the measured times",
        ),
    ] = None,
) -> None:
    """Run a plan here: a process for every node and server, real sockets, links let through what their bandwidth lets.

    Tasks come by the clock, as the scenario says. Their delays are set beside those predicted, stage by stage.
    """
    from dmcjia_opt.base.call import STDOUT
    from dmcjia_opt.cli.progress import bar
    from dmcjia_opt.cli.show import warn
    from dmcjia_opt.cli.show_run import show_run
    from dmcjia_opt.model.networks.measured import MeasuredTimes, load_times
    from dmcjia_opt.studies.deploy.manifest import load_manifest
    from dmcjia_opt.studies.deploy.run_here import run as run_here
    from dmcjia_opt.studies.deploy.run_result import result_of

    if page is not None:
        check_drawing("--page")
    load_manifest(folder)  # what is read is said before the times are, which are written anew
    known = load_times(times) if times is not None and times.exists() else MeasuredTimes()
    with bar("running") as live:
        records = run_here(folder, tasks=tasks, paced=pace, seed=seed, times=times is not None, progress=live.show)
    result = result_of(records)
    for note in result.notes():
        warn(note)
    if out is not None:
        result.save(out)
    if csv is not None:
        result.to_csv(csv)
    if page is not None:
        from dmcjia_opt.base.files import write_text
        from dmcjia_opt.studies.deploy.run_page import run_page

        write_text(page, run_page(result))
    if times is not None:
        known.merged(result.times()).save(times)
    show_run(result)
    for what, path in (("Run", out), ("Stages", csv), ("Page", page)):
        if path not in (None, STDOUT):
            typer.echo(f"{what} written to {path}")
    if times is not None:
        typer.echo(f"Times written to {times}; in a scenario: [profiles] times_file, and device of nodes and servers.")
