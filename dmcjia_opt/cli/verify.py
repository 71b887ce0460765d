"""`dmcjia verify`: the claims of a plan, beside what is true."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dmcjia_opt.base.errors import ClaimFalse
from dmcjia_opt.cli.arguments import Outside, ScenarioFile


def verify(
    scenario: ScenarioFile,
    plan: Annotated[Path, typer.Argument(metavar="plan.json", help="The plan whose claims are checked.")],
    proof: Annotated[
        Path | None, typer.Option(metavar="proof.json", help="Derive the bound from this proof, without any search.")
    ] = None,
    outside: Outside = False,
) -> None:
    """Recompute everything a plan claims; exit code 1 if a claim is false."""
    from dmcjia_opt.bounds.proof.document import load_proof
    from dmcjia_opt.cli.progress import spinner
    from dmcjia_opt.cli.show import show_checks
    from dmcjia_opt.model.scenario.loading import load_scenario
    from dmcjia_opt.solving.plan import load_plan
    from dmcjia_opt.solving.verifying import verify as recompute

    with spinner("computing every claim anew"):
        loaded, claims = load_scenario(scenario, outside=outside), load_plan(plan)
        checks = recompute(loaded, claims, None if proof is None else load_proof(proof))
    show_checks(checks)
    false = [check.what for check in checks if not check.true]
    if false:
        raise ClaimFalse(f"{plan}: false: {', '.join(false)}")
    typer.echo("Every claim holds.")
