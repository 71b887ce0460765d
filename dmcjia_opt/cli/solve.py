"""`dmcjia solve`: the search, and what is shown and written of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.files import check_destination, path_from
from dmcjia_opt.base.machine import computer
from dmcjia_opt.base.processes import interrupts_remembered
from dmcjia_opt.cli.report import check_page, write_plan_page
from dmcjia_opt.cli.show import SearchProgress, Spinner, say, show_plan, show_proof, warn
from dmcjia_opt.model.scenario.scenario import load_scenario
from dmcjia_opt.solving.contract import Stop
from dmcjia_opt.solving.registry import conflicts
from dmcjia_opt.solving.solve import solve
from dmcjia_opt.solving.verifying import prove


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of the command; see its help."""

    scenario: Path
    placer: str
    allocator: str
    stop: Stop
    seed: int
    out: Path | None
    proof: Path | None
    report: Path | None
    outside: bool


def run(asked: Asked) -> None:
    """Plan, show the plan, and write what was asked for."""
    for option, file in (("--out", asked.out), ("--proof", asked.proof)):
        check_destination(option, file)
    if asked.report is not None:
        check_page("--report", asked.report)
        if asked.report in (asked.out, asked.proof):
            raise InputError(f"--report {asked.report}: the same file is asked for twice; give each its own name")
    chosen = ("placer", asked.placer.partition(":")[0]), ("allocator", asked.allocator.partition(":")[0])
    for method, sentence in conflicts().items():
        if method in chosen:
            warn(sentence)
    scenario = load_scenario(asked.scenario, outside=asked.outside)
    with SearchProgress(asked.stop, f"{asked.placer} + {asked.allocator}") as progress, interrupts_remembered():
        plan = solve(
            scenario, asked.placer, asked.allocator, stop=asked.stop, seed=asked.seed, callback=progress.update
        )
    if asked.out is not None:
        replace(plan, machine=computer(), scenario_file=path_from(asked.out.parent, asked.scenario)).save(asked.out)
    show_plan(plan, scenario)
    if asked.proof is not None:
        with Spinner("finding a proof that anyone can check"):
            made = prove(scenario, plan)
        made.save(asked.proof)
        show_proof(made, plan)
    if asked.out is not None:
        checked_by = f" --proof {asked.proof}" if asked.proof is not None else ""
        say(f"Plan written to {asked.out}; check it with: dmcjia verify {asked.scenario} {asked.out}{checked_by}")
    if asked.report is not None:
        write_plan_page(scenario, replace(plan, machine=computer()), asked.scenario, asked.report)
        say(f"Page written to {asked.report}")
