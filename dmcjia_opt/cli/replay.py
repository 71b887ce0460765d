"""`dmcjia replay`: links that change, and plans made again as they do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dmcjia_opt.cli.arguments import Outside, ScenarioFile, written
from dmcjia_opt.cli.report import check_drawing


def replay(
    scenario: ScenarioFile,
    trace: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="Speeds over time: a table of time_s, node or link, uplink_mbps; Mbit/s of each second, one a line; "
            "milliseconds of packets; or markov:SECONDS, onoff:SECONDS, which are drawn.",
        ),
    ],
    policy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="POLICY",
            help="When to plan again, any number of times: static, for the mean speed; static:harmonic; "
            "static:QUANTILE; periodic:SECONDS; change:FRACTION; robust; robust:QUANTILE; oracle. By default static, "
            "static:harmonic, periodic:60, change:0.3 and oracle.",
            show_default=False,
        ),
    ] = None,
    forecast: Annotated[str, typer.Option(help="What is expected next: last, or smooth:ALPHA.")] = "last",
    step: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Replay in steps of this length, each with its mean speed.")
    ] = None,
    until: Annotated[float | None, typer.Option(metavar="SECONDS", help="Replay so much of the trace.")] = None,
    switch_seconds: Annotated[
        float, typer.Option(metavar="SECONDS", help="How long a node that changes its option serves nobody.")
    ] = 0.0,
    load_mbps: Annotated[
        float | None,
        typer.Option(metavar="MBPS", help="How fast weights are loaded where memory holds those of one option only."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of a trace that is drawn.")] = 0,
    out: Annotated[Path | None, written("DIR", "Write replay.json, steps.csv and replay.html here.")] = None,
    outside: Outside = False,
) -> None:
    """Replay links that change: what each way to plan again takes, beside the best that could have been.

    Delays are those of the model at each step's speeds. [bold]oracle[/bold] has the best plan of every step; the lower
    bound is proved of all plans of every step, so that nothing is faster, whatever it knows.
    """
    import math

    from dmcjia_opt.base.errors import InputError
    from dmcjia_opt.base.machine import cores
    from dmcjia_opt.cli.progress import bar
    from dmcjia_opt.cli.show_replay import show_replay
    from dmcjia_opt.model.scenario.loading import load_scenario
    from dmcjia_opt.studies.online.conditions import links_of
    from dmcjia_opt.studies.online.replay import LEAST_STEPS, POLICIES, Switching
    from dmcjia_opt.studies.online.replay import replay as run

    if out is not None:
        check_drawing("--out")
    loaded = load_scenario(scenario, outside=outside)
    links = links_of(trace, loaded, seed)
    for name, value in (("--step", step), ("--until", until)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise InputError(f"{name} must be a number of seconds > 0, got {value:g}")
    links = links if until is None else links.until(until)
    links = links if step is None else links.every(step)
    paid = Switching(switch_seconds, math.inf if load_mbps is None else load_mbps)
    with bar("replay") as progress:
        found = run(
            loaded,
            links,
            policy or POLICIES,
            forecast=forecast,
            switching=paid,
            jobs=min(cores(), len(links.times) // LEAST_STEPS + 1),
            progress=progress.show,
        )
    show_replay(found)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        found.save(out / "replay.json")
        found.to_csv(out / "steps.csv")
        found.save_page(out / "replay.html")
        typer.echo(f"Written to {out}: replay.json, steps.csv, replay.html")
