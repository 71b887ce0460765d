"""`dmcjia bench`: methods compared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.cli.arguments import written

_SUITES = "smoke, allocators, placers, exact, resources, promises, pooled, replay, scaling."


def bench(
    suite: Annotated[str | None, typer.Argument(metavar="SUITE", help=_SUITES)] = None,
    out: Annotated[Path | None, written("DIR", "The folder for rows.jsonl and rows.parquet.")] = None,
    methods: Annotated[
        str | None,
        typer.Option(metavar="A,B", help='In place of the suite\'s: names, "PLACER + ALLOCATOR", module:Class.'),
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Child processes; by default one a core.")] = None,
    dask: Annotated[str | None, typer.Option(metavar="ADDRESS", help="A Dask scheduler, e.g. tcp://host:8786.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on in DIR; what is done is not run again.")] = False,
    seeds: Annotated[int | None, typer.Option(min=1, help="Searches a method makes on each instance.")] = None,
    instances: Annotated[
        str | None, typer.Option(metavar="NAMES|DIR|FILE.toml", help="In place of the suite's: names, files, folders.")
    ] = None,
    seconds: Annotated[float | None, typer.Option(help="Wall time limit of a run, s.")] = None,
    outside: Annotated[bool, typer.Option("--outside", help="Let scenarios name files outside their folder.")] = False,
    list_suites: Annotated[bool, typer.Option("--list", help="Show the suites and what they cost.")] = False,
) -> None:
    """Compare methods: every run in a process of its own, every answer verified, every failure a row.

    [bold]dmcjia bench smoke --out DIR[/bold] shows how it works in under a minute.
    """
    from dmcjia_opt.base.machine import cores
    from dmcjia_opt.cli.progress import bar
    from dmcjia_opt.cli.show_bench import show_rows, show_suites
    from dmcjia_opt.studies.bench.folder import ROWS, TABLE
    from dmcjia_opt.studies.bench.planning import suite_called
    from dmcjia_opt.studies.bench.running.runner import bench as run
    from dmcjia_opt.studies.bench.suites import SUITES

    if list_suites:
        asked = {
            "--out": out, "--methods": methods, "--dask": dask, "--resume": resume, "--seeds": seeds,
            "--instances": instances, "--seconds": seconds, "--outside": outside,
        }  # fmt: skip
        if unused := [option for option, value in asked.items() if value]:
            raise InputError(f"--list shows the suites as they are and runs nothing; leave {', '.join(unused)} out")
        show_suites(SUITES if suite is None else {suite: suite_called(suite)}, workers or cores())
        return
    if suite is None:
        raise InputError(f"name a suite: {', '.join(SUITES)}; dmcjia bench --list shows what they are")
    if out is None:
        raise InputError(f"add --out DIR, the folder for the rows of {suite}")
    if dask is not None and workers is not None:
        raise InputError("--workers is for this machine and --dask for a cluster; give one of the two")
    with bar(f"bench {suite}", "{task.fields[state]}") as live:
        rows = run(
            suite,
            out,
            methods=None if methods is None else methods.split(","),
            instances=None if instances is None else instances.split(","),
            seeds=seeds,
            seconds=seconds,
            workers=workers,
            dask=dask,
            resume=resume,
            outside=outside,
            progress=lambda done, total, fraction: live.show(fraction, f"{done} of {total} runs"),
        )
    show_rows(rows)
    typer.echo(f"{len(rows)} rows: {out / ROWS}, and as a table {out / TABLE}")
