"""`dmcjia solve`: the search, and what is shown and written of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from dmcjia_opt.base.call import STDOUT, claim
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.cli.arguments import Dask, Outside, ScenarioFile, part, written
from dmcjia_opt.cli.report import PAGE, check_drawing, write_page


def solve(
    scenario: ScenarioFile,
    placer: Annotated[
        str, typer.Option(help="Chooses the splits; see `dmcjia methods`. name[:option=value], or ./file.py:Class.")
    ] = "exact",
    allocator: Annotated[str, typer.Option(help="Chooses the shares, in the same way.")] = "waterfilling",
    seconds: Annotated[float | None, typer.Option(help="Wall time limit, s.")] = None,
    evaluations: Annotated[int | None, typer.Option(help="Limit on distinct plans evaluated.")] = None,
    gap: Annotated[
        float | None, typer.Option(parser=part, metavar="PART", help="Stop at this relative gap: 0.05 is 5 %.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed and versions, same plan.")] = 0,
    start: Annotated[
        Path | None,
        typer.Option(metavar="plan.json", help="Start from this plan, made before something changed: it is quicker."),
    ] = None,
    out: Annotated[
        Path | None,
        written(
            "plan.json|plan.parquet",
            "Write the plan here; .parquet has a row a node, with plan.json beside it.",
            ".json",
            ".parquet",
            stdout=True,
        ),
    ] = None,
    proof: Annotated[
        Path | None,
        written("proof.json", "Write here what proves the bound, for anyone to check.", ".json", stdout=True),
    ] = None,
    report: Annotated[
        Path | None, written("plan.html", "Write a page about the plan; it opens without a network.", *PAGE)
    ] = None,
    dask: Dask = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the plan without its lists, as JSON, and nothing else.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing but warnings, and show no progress.")] = False,
    outside: Outside = False,
) -> None:
    """Place the splits, share the cloud, and say how good the answer is.

    [bold]--placer dmcjia --allocator alm[/bold] is the algorithm of the paper.
    """
    from dmcjia_opt.base.files import path_from, write_text
    from dmcjia_opt.base.machine import computer
    from dmcjia_opt.base.processes import interrupts_remembered
    from dmcjia_opt.bounds.proof.checking import require_provable
    from dmcjia_opt.cli.parts import beside, refuse_whole, solve_in_parts
    from dmcjia_opt.cli.progress import SearchProgress, spinner
    from dmcjia_opt.cli.show import show_plan, show_proof, warn, warn_of
    from dmcjia_opt.model.scenario.compiling import compile_problem
    from dmcjia_opt.model.scenario.loading import load_parts
    from dmcjia_opt.model.scenario.parted import PartedScenario
    from dmcjia_opt.solving.contract import Stop
    from dmcjia_opt.solving.plan import load_plan
    from dmcjia_opt.solving.registry import conflicts
    from dmcjia_opt.solving.solve import solve as search
    from dmcjia_opt.solving.verifying import prove

    stop = Stop(seconds=seconds, evaluations=evaluations, gap=gap)
    if as_json:
        claim("--json", STDOUT, stdout=True)
    if report is not None:
        check_drawing("--report")
    rows = beside(out)
    chosen = ("placer", placer.partition(":")[0]), ("allocator", allocator.partition(":")[0])
    for method, sentence in conflicts().items():
        if method in chosen:
            warn(sentence)
    with spinner("reading the scenario", quiet=quiet):
        loaded = load_parts(scenario, outside=outside, most=None if dask is None else 0)
    if isinstance(loaded, PartedScenario):
        given = {
            "--evaluations": evaluations,
            "--start": start,
            "--proof": proof,
            "--report": report,
            "--json": as_json or None,
        }
        refuse_whole(given, out, loaded)
        found = solve_in_parts(
            loaded, scenario, placer, allocator, stop=stop, seed=seed, out=out, dask=dask, told=not (as_json or quiet)
        )
        if as_json:
            write_text(STDOUT, json.dumps(found.to_brief_dict(), indent=1, allow_nan=False) + "\n")
        return
    if dask is not None:
        raise InputError(f"--dask: the nodes of {scenario} are in no folder of parts; leave it out")
    before = None if start is None else load_plan(start)
    if proof is not None:
        require_provable(compile_problem(loaded))
    with SearchProgress(stop, f"{placer} + {allocator}", quiet=quiet) as progress, interrupts_remembered():
        plan = search(loaded, placer, allocator, stop=stop, seed=seed, start=before, callback=progress.update)
    plan = replace(plan, machine=computer())
    if out is not None:
        claims = out.with_suffix(".json") if rows else out
        replace(plan, scenario_file=path_from(out.parent, scenario)).save(claims, rows)
    told = not (as_json or quiet)
    if as_json:
        write_text(STDOUT, json.dumps(plan.to_brief_dict(), indent=1, allow_nan=False) + "\n")
    if told:
        show_plan(plan, loaded)
    else:
        warn_of(plan)
    if proof is not None:
        with spinner("finding a proof that anyone can check", quiet=quiet):
            made = prove(loaded, plan)
        made.save(proof)
        if told:
            show_proof(made, plan)
    if told and out not in (None, STDOUT):
        checked_by = f" --proof {proof}" if proof not in (None, STDOUT) else ""
        typer.echo(f"Plan written to {out}; check it with: dmcjia verify {scenario} {claims}{checked_by}")
    if report is not None:
        from dmcjia_opt.studies.plan.subject import subject_of_plan

        write_page(subject_of_plan(loaded, plan, str(scenario)), report, told=told)
