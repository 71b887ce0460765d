"""`python -m tools.fuzz`: its options, and what it shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from dmcjia_opt.base.errors import ClaimFalse, InputError
from dmcjia_opt.base.machine import cores
from dmcjia_opt.cli.progress import bar
from tools.fuzz.fuzzing import FAILURES, Tally, broken, fuzz
from tools.fuzz.invariants import INVARIANTS
from tools.fuzz.regression import load_regression


def main(
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="What is done and what failed; a run goes on in it."),
    ] = None,
    instances: Annotated[int | None, typer.Option(min=1, help="End after so many problems.")] = None,
    seconds: Annotated[float | None, typer.Option(min=0, help="End after so much time, s.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Which series of problems.")] = 0,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; by default one a core.")] = None,
    invariants: Annotated[str | None, typer.Option(metavar="A,B", help="Only these.")] = None,
    again: Annotated[
        list[Path] | None,
        typer.Option("--replay", metavar="FILE.json", help="Look at a kept failure again; may be repeated."),
    ] = None,
) -> None:
    """Try to break the bounds: odd problems at random, and what must hold on every one of them.

    Without --instances or --seconds it goes on until Ctrl-C. Failures are kept as small files.
    """
    if again:
        replay(again)
        return
    if out is None:
        raise InputError("add --out DIR, the folder for what is done and what failed")
    run(out, instances, seconds, seed, workers or cores(), None if invariants is None else invariants.split(","))


def run(
    out: Path, instances: int | None, seconds: float | None, seed: int, workers: int, invariants: Sequence[str] | None
) -> None:
    """Fuzz, show what was checked, and raise ClaimFalse where something did not hold."""
    chosen = [invariant.name for invariant in INVARIANTS] if invariants is None else list(invariants)
    with bar(f"fuzz, series {seed}", "{task.fields[state]}") as live:
        tally = fuzz(
            out,
            instances=instances,
            seconds=seconds,
            seed=seed,
            workers=workers,
            chosen=chosen,
            progress=lambda part, seen: live.show(part, _state(seen)),
        )
    show(tally)
    if tally.failures:
        raise ClaimFalse(
            f"{len(tally.failures)} failure{'s' if len(tally.failures) > 1 else ''}, each as a small file in "
            f"{out / FAILURES}; look at one again with python -m tools.fuzz --replay FILE"
        )


def show(tally: Tally) -> None:
    """Print a table of the invariants: how often each was looked at, and how often it did not hold."""
    title = (
        f"{tally.instances:,} problems, {tally.without_plan:,} of them without any plan"
        f"{f', {tally.refused:,} refused as out of range' if tally.refused else ''}"
    )
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("invariant", no_wrap=True)
    table.add_column("what holds", overflow="fold")
    table.add_column("checked", justify="right", no_wrap=True)
    table.add_column("failed", justify="right", no_wrap=True)
    for invariant in INVARIANTS:
        if number := tally.checked[invariant.name]:
            failed = sum(failure.invariant == invariant.name for failure in tally.failures)
            table.add_row(invariant.name, invariant.says, f"{number:,}", f"{failed:,}")
    Console().print(table)


def replay(paths: Sequence[Path]) -> None:
    """Check kept problems again, and raise ClaimFalse where one still fails."""
    still = 0
    for path in paths:
        kept = load_regression(path)
        named = [invariant for invariant in INVARIANTS if invariant.name == kept.invariant]
        if not named:
            raise InputError(f'{path}: no invariant is called "{kept.invariant}"; correct the field "invariant"')
        messages = broken(kept.problem, named[0], kept.seed, kept.number)
        print(f"{path}: {messages[0] if messages else named[0].says + ': holds'}")  # noqa: T201
        still += bool(messages)
    if still:
        raise ClaimFalse(f"{still} of {len(paths)} still fail{'s' if still == 1 else ''}")


def _state(tally: Tally) -> str:
    return f"{tally.instances:,} problems, {len(tally.failures)} failures"
