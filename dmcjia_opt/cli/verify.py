"""`dmcjia verify`: the claims of a plan, beside what is true."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dmcjia_opt.base.errors import ClaimFalse, InputError
from dmcjia_opt.cli.arguments import Dask, Outside, ScenarioFile


def verify(
    scenario: ScenarioFile,
    plan: Annotated[Path, typer.Argument(metavar="plan.json", help="The plan whose claims are checked.")],
    proof: Annotated[
        Path | None, typer.Option(metavar="proof.json", help="Derive the bound from this proof, without any search.")
    ] = None,
    dask: Dask = None,
    outside: Outside = False,
) -> None:
    """Recompute everything a plan claims; exit code 1 if a claim is false."""
    from dmcjia_opt.bounds.proof.document import load_proof
    from dmcjia_opt.cli.parts import foreman_of, is_of_parts, of_parts
    from dmcjia_opt.cli.progress import spinner
    from dmcjia_opt.cli.show import show_checks
    from dmcjia_opt.model.scenario.loading import load_scenario
    from dmcjia_opt.solving.parts.auditing import audit
    from dmcjia_opt.solving.plan import load_plan
    from dmcjia_opt.solving.verifying import verify as recompute

    if not is_of_parts(plan):
        if dask is not None:
            raise InputError(f"--dask: {plan} is of no fleet in parts; leave it out")
        with spinner("computing every claim anew"):
            loaded, claims = load_scenario(scenario, outside=outside), load_plan(plan)
            checks = recompute(loaded, claims, None if proof is None else load_proof(proof))
    else:
        if proof is not None:
            raise InputError("--proof: the bound of a fleet in parts follows from its prices alone; leave it out")
        parted, said, rows = of_parts(scenario, plan, outside=outside)
        with foreman_of(parted, dask, "verify") as (foreman, _):
            checks = audit(foreman, said, rows).checks
    show_checks(checks)
    false = [check.what for check in checks if not check.true]
    if false:
        raise ClaimFalse(f"{plan}: false: {', '.join(false)}")
    typer.echo("Every claim holds.")
