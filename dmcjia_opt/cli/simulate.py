"""`dmcjia simulate`: plans sent through their queues one after the other, and compared."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from dmcjia_opt.base.errors import DmcjiaError, InputError
from dmcjia_opt.base.files import check_destination
from dmcjia_opt.cli.show import say, show_differences, show_simulation, warn
from dmcjia_opt.model.scenario.scenario import load_scenario
from dmcjia_opt.solving.plan import load_plan
from dmcjia_opt.studies.look.progress import Bar
from dmcjia_opt.studies.simulation.arrivals import build_arrivals
from dmcjia_opt.studies.simulation.fleet import made_for, simulate
from dmcjia_opt.studies.simulation.result import content, save


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of the command; see its help."""

    scenario: Path
    plans: tuple[Path, ...]
    tasks: int | None
    seed: int
    arrivals: str
    service_cv: float | None
    service_family: Literal["gamma", "lognormal"]
    uplink: Literal["delay", "queue"] | None
    warm_up: float
    confidence: float
    out: Path | None
    as_json: bool
    outside: bool


def run(asked: Asked) -> None:
    """Simulate, and show or write what was found."""
    check_destination("--out", asked.out)
    if not 0.0 < asked.confidence < 1.0:
        raise InputError(f"--confidence must lie between 0 and 1, got {asked.confidence:g}")
    scenario, process = load_scenario(asked.scenario, outside=asked.outside), build_arrivals(asked.arrivals)
    if len(set(asked.plans)) < len(asked.plans):
        raise InputError(f"{max(asked.plans, key=asked.plans.count)} is given twice; name each plan once")
    found = {}
    with Bar("simulate") as bar:
        for k, path in enumerate(asked.plans):
            plan = load_plan(path)
            try:
                if not made_for(scenario, plan):
                    warn(f"{path} was made when {asked.scenario} said something else; it is simulated as it stands")
                found[str(path)] = simulate(
                    scenario,
                    plan,
                    tasks=asked.tasks,
                    seed=asked.seed,
                    arrivals=process,
                    service_cv=asked.service_cv,
                    service_family=asked.service_family,
                    uplink=asked.uplink,
                    warm_up=asked.warm_up,
                    progress=partial(bar.update_part, k, len(asked.plans)),
                )
            except DmcjiaError as error:
                raise type(error)(f"{path}: {error}") from None
    if asked.out is not None:
        save(asked.out, found, asked.confidence)
    if asked.as_json:
        say(json.dumps(content(found, asked.confidence), indent=1, allow_nan=False))
        return
    for name, simulation in found.items():
        show_simulation(simulation, f"{scenario.name}, {name}", asked.confidence, by_node=len(found) == 1)
    if len(found) > 1:
        show_differences(found, asked.confidence)
    if asked.out is not None:
        say(f"Simulation written to {asked.out}")
