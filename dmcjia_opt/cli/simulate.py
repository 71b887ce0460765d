"""`dmcjia simulate`: plans sent through their queues one after the other, and compared."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from dmcjia_opt.base.call import STDOUT
from dmcjia_opt.base.errors import DmcjiaError, InputError
from dmcjia_opt.cli.arguments import Outside, ScenarioFile, written


def simulate(
    scenario: ScenarioFile,
    plans: Annotated[
        list[Path], typer.Argument(metavar="plan.json ...", help="Plans; the first is what others are compared with.")
    ],
    tasks: Annotated[
        int | None,
        typer.Option(help="Tasks a node, warm-up included; 100,000, or the whole trace.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same numbers.")] = 0,
    arrivals: Annotated[
        str | None,
        typer.Option(
            metavar="PROCESS|FILE.csv",
            help="poisson, deterministic, erlang:K, gamma:SCV, hyperexponential:SCV, bursts:SIZE, or arrival times, s, "
            "one a line.",
            show_default="as the scenario says",
        ),
    ] = None,
    service_cv: Annotated[
        float | None,
        typer.Option(
            help="Coefficient of variation of service at devices and servers; as the delay model says.",
            show_default=False,
        ),
    ] = None,
    service_family: Annotated[Literal["gamma", "lognormal"], typer.Option(help="How service varies.")] = "gamma",
    uplink: Annotated[
        Literal["delay", "queue"] | None,
        typer.Option(
            help="Whether uploads of a node wait for each other (queue), on links too.",
            show_default="as the scenario says",
        ),
    ] = None,
    links: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Speeds of links over time, as `dmcjia replay --trace` takes them; as planned.",
            show_default=False,
        ),
    ] = None,
    warm_up: Annotated[float, typer.Option(help="Share of the tasks left out at the start.")] = 0.1,
    confidence: Annotated[float, typer.Option(help="Of the intervals.")] = 0.95,
    sample: Annotated[
        int | None, typer.Option(help="Nodes drawn of a fleet in parts; 1,000.", show_default=False)
    ] = None,
    out: Annotated[Path | None, written("sim.json", "Write everything here.", ".json", stdout=True)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what would be written, and nothing else.")] = False,
    outside: Outside = False,
) -> None:
    """Send tasks through the stages of a plan, and set the delay they meet beside the model's.

    Several plans meet the same arrivals, so that even small differences between them show.
    """
    from dmcjia_opt.cli.parts import is_of_parts, of_parts
    from dmcjia_opt.cli.progress import bar
    from dmcjia_opt.cli.show import warn
    from dmcjia_opt.cli.show_simulation import show_differences, show_simulation
    from dmcjia_opt.model.scenario.loading import load_scenario
    from dmcjia_opt.solving.contract import Placement
    from dmcjia_opt.solving.plan import PlanFile, load_claims, load_plan
    from dmcjia_opt.studies.online.conditions import links_of
    from dmcjia_opt.studies.simulation.arrivals import Trace, build_arrivals, own_arrivals
    from dmcjia_opt.studies.simulation.fleet import made_for
    from dmcjia_opt.studies.simulation.fleet import simulate as send_tasks
    from dmcjia_opt.studies.simulation.result import content, save
    from dmcjia_opt.studies.simulation.sample import NODES, Sample

    if not 0.0 < confidence < 1.0:
        raise InputError(f"--confidence must lie between 0 and 1, got {confidence:g}")
    drawn = None
    if any(map(is_of_parts, plans)):
        parted, _, _ = of_parts(scenario, plans[0], outside=outside)
        drawn = Sample.drawn(parted, min(NODES, parted.n_nodes) if sample is None else sample, seed)
    elif sample is not None:
        raise InputError(f"--sample: {plans[0]} is of no fleet in parts; leave it out")
    loaded = load_scenario(scenario, outside=outside) if drawn is None else drawn.scenario
    process = own_arrivals(loaded.nodes) if arrivals is None else build_arrivals(arrivals)
    if len(set(plans)) < len(plans):
        raise InputError(f"{max(plans, key=plans.count)} is given twice; name each plan once")
    speeds = None if links is None else links_of(links, loaded, seed)
    found = {}
    with bar("simulate") as live:
        for k, path in enumerate(plans):
            try:
                plan: PlanFile | Placement
                if drawn is not None:
                    plan = drawn.plan(path.parent / load_claims(path).rows_file)
                elif not made_for(loaded, plan := load_plan(path)):
                    warn(f"{path} was made when {scenario} said something else; it is simulated as it stands")
                found[str(path)] = send_tasks(
                    loaded,
                    plan,
                    tasks=tasks,
                    seed=seed,
                    arrivals=process,
                    service_cv=service_cv,
                    service_family=service_family,
                    uplink=uplink,
                    warm_up=warm_up,
                    links=speeds,
                    progress=partial(live.show_part, k, len(plans)),
                )
            except DmcjiaError as error:
                raise type(error)(f"{path}: {error}") from None
            if drawn is not None:
                told = f"a sample: {drawn.in_words}; the intervals are of their mean, not that of the fleet"
                found[str(path)] = replace(found[str(path)], notes=(*found[str(path)].notes, told))
    first = next(iter(found.values()))
    for note in first.notes:
        warn(note)
    if not first.settings.edge_cv and not first.settings.cloud_cv:
        if service_family != "gamma":
            warn(f"--service-family {service_family} has no effect: no service varies; add --service-cv")
        fixed = isinstance(process, Trace) or not any(map(process.varies, loaded.nodes.names))
        if seed and fixed and not first.passage.pooled.any():
            warn(f"--seed {seed} has no effect: neither arrivals nor services are random; add --service-cv")
    if out is not None:
        save(out, found, confidence)
    if as_json and out != STDOUT:
        typer.echo(json.dumps(content(found, confidence), indent=1, allow_nan=False))
    if as_json:
        return
    for name, simulation in found.items():
        show_simulation(simulation, f"{loaded.name}, {name}", confidence, by_node=len(found) == 1)
    if len(found) > 1:
        show_differences(found, confidence)
    if out not in (None, STDOUT):
        typer.echo(f"Simulation written to {out}")
