"""Fleets in parts on the command line: who asks the parts, and `dmcjia solve` of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from dmcjia_opt.base.call import STDOUT, claim
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.solving.contract import Stop

if TYPE_CHECKING:
    from dmcjia_opt.cli.progress import PassesProgress
    from dmcjia_opt.model.scenario.parted import PartedScenario
    from dmcjia_opt.solving.fleets import Backend
    from dmcjia_opt.solving.parts.crews import Foreman
    from dmcjia_opt.solving.parts.solve_parts import PartedPlan
    from dmcjia_opt.solving.plan import PlanHeadFile


def beside(out: Path | None) -> str | None:
    """Return the name of the file of rows that `--out` asks for, and claim the plan beside it; None for none."""
    if out is None or out.suffix.lower() != ".parquet":
        return None
    from dmcjia_opt.solving.node_rows import require_arrow

    require_arrow(f"--out {out}")
    claim("--out", out.with_suffix(".json"), (".json",))
    return out.name


def refuse_whole(given: Mapping[str, object], out: Path | None, parted: PartedScenario) -> None:
    """Refuse what a fleet in parts has no use for.

    Raises
    ------
    InputError
        With the remedy.
    """
    for option, value in given.items():
        if value is not None:
            raise InputError(f"{option}: a fleet in parts is planned without it; leave it out")
    if out is not None and out.suffix.lower() != ".parquet":
        raise InputError(
            f"--out {out}: the plan of a fleet in parts has {parted.n_nodes:,} rows; write --out "
            f"{'plan' if out == STDOUT else out.stem}.parquet, and the rest is beside it"
        )


def is_of_parts(plan: Path) -> bool:
    """Return whether a plan file is of a fleet in parts; of one that cannot be read whoever reads it will tell."""
    from dmcjia_opt.base.files import read_bytes
    from dmcjia_opt.solving.plan import load_claims

    with suppress(InputError):
        return b'"rows_file"' in read_bytes(plan, "the plan") and load_claims(plan).parts > 0
    return False


def of_parts(scenario: Path, plan: Path, *, outside: bool = False) -> tuple[PartedScenario, PlanHeadFile, Path]:
    """Return the fleet in parts that a plan file is of, its claims, and the file of its rows."""
    from dmcjia_opt.model.scenario.loading import load_parts
    from dmcjia_opt.model.scenario.parted import PartedScenario
    from dmcjia_opt.solving.plan import load_claims

    claims, parted = load_claims(plan), load_parts(scenario, outside=outside, most=0)
    if not isinstance(parted, PartedScenario):
        raise InputError(f"{plan}: it is of a fleet in {claims.parts} parts, and the nodes of {scenario} are in none")
    return parted, claims, plan.parent / claims.rows_file


@contextmanager
def foreman_of(
    parted: PartedScenario, dask: str | None, title: str, backend: Backend = "numpy", *, quiet: bool = False
) -> Iterator[tuple[Foreman, PassesProgress]]:
    """Return who asks the parts, through Dask's workers at an address or processes here, and what shows it."""
    from dmcjia_opt.base.processes import interrupts_remembered
    from dmcjia_opt.bounds.crowds import FleetPart
    from dmcjia_opt.cli.progress import PassesProgress
    from dmcjia_opt.solving.fleets import part_of
    from dmcjia_opt.solving.parts.crews import Foreman, crew_here
    from dmcjia_opt.solving.parts.dask_crew import crew_on_dask

    maker = FleetPart if backend == "numpy" else partial(part_of, backend=backend)
    workers = None if backend == "numpy" else 1  # JAX has threads of its own
    with (
        crew_here(parted, workers, maker) if dask is None else crew_on_dask(parted, dask, maker) as crew,
        PassesProgress(title, quiet=quiet) as progress,
        interrupts_remembered(),
    ):
        yield Foreman(parted, crew, progress.answered), progress


def solve_in_parts(
    parted: PartedScenario,
    scenario: Path,
    placer: str,
    allocator: str,
    *,
    stop: Stop,
    seed: int,
    out: Path | None,
    dask: str | None,
    told: bool,
) -> PartedPlan:
    """Plan a fleet in parts and write the plan; show what it comes to if that is to be `told`."""
    from dmcjia_opt.base.files import path_from
    from dmcjia_opt.base.machine import computer
    from dmcjia_opt.cli.show import warn_of
    from dmcjia_opt.cli.show_parts import show_parted_plan
    from dmcjia_opt.solving.node_rows import write_rows
    from dmcjia_opt.solving.parts.solve_parts import solve_parts
    from dmcjia_opt.solving.registry import build_placer

    parted.check()
    backend: Backend = getattr(build_placer(placer), "backend", "numpy")
    with foreman_of(parted, dask, "solve", backend, quiet=not told) as (foreman, progress):
        plan = solve_parts(
            foreman,
            placer=placer,
            allocator=allocator,
            stop=stop,
            seed=seed,
            callback=progress.update,
            keep=None if out is None else lambda tables: write_rows(out, tables),
        )
    plan = replace(plan, machine=computer())
    if out is not None:
        replace(plan, scenario_file=path_from(out.parent, scenario)).save(out.with_suffix(".json"), out.name)
    if told:
        show_parted_plan(plan)
    else:
        warn_of(plan)
    if told and out is not None:
        typer.echo(
            f"Plan written to {out}, and what is claimed of it to {out.with_suffix('.json')}; check it with: "
            f"dmcjia verify {scenario} {out.with_suffix('.json')}"
        )
    return plan
