"""`dmcjia deploy`: everything that runs a plan, in one folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dmcjia_opt.base.errors import DmcjiaError
from dmcjia_opt.cli.arguments import Outside, ScenarioFile, written


def deploy(
    scenario: ScenarioFile,
    plan: Annotated[Path, typer.Argument(metavar="plan.json", help="The plan, made for this scenario.")],
    out: Annotated[Path, written("DIR", "Write the halves and manifest.json here.")],
    outside: Outside = False,
) -> None:
    """Take every network of a plan apart where the plan cuts it, and write down who runs what.

    Halves that several nodes have in common are written once, each checked against the whole on random input.
    """
    from dmcjia_opt.cli.progress import spinner
    from dmcjia_opt.cli.show_deploy import show_deployment
    from dmcjia_opt.model.scenario.loading import load_graphs, load_scenario
    from dmcjia_opt.solving.plan import load_plan
    from dmcjia_opt.studies.deploy.deploying import deploy as taken_apart

    loaded, claims = load_scenario(scenario, outside=outside), load_plan(plan)
    with spinner("taking the networks apart"):
        graphs = load_graphs(scenario, loaded.nodes.networks, outside=outside)
        try:
            deployment = taken_apart(loaded, claims, graphs)
        except DmcjiaError as error:
            raise type(error)(f"{plan}: {error}") from None
    deployment.save(out)
    show_deployment(deployment.manifest, out)
