"""`dmcjia report`, and `--report` of `dmcjia solve`: what is asked for is checked before anything is computed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dmcjia_opt.base.errors import BackendMissing, ClaimFalse, DmcjiaError, InputError
from dmcjia_opt.base.machine import installing
from dmcjia_opt.cli.arguments import written

if TYPE_CHECKING:
    from dmcjia_opt.studies.plan.subject import Subject

#: How the name of a page ends.
PAGE = ".html", ".htm"


def report(
    what: Annotated[
        Path,
        typer.Argument(metavar="DIR|plan.json", help="The folder of a benchmark (dmcjia bench --out DIR), or a plan."),
    ],
    out: Annotated[Path, written("FILE.html", "The page to write; it opens without a network.", *PAGE)],
    csv: Annotated[
        Path | None,
        written("FOLDER", "Of a benchmark: rows.csv, trajectories.csv and files for iohinspector here, too."),
    ] = None,
    scenario: Annotated[
        Path | None,
        typer.Option(metavar="SCENARIO.toml", help="Of a plan: its scenario, where the plan does not say or it moved."),
    ] = None,
) -> None:
    """Show a benchmark or a plan as one page.

    Of a benchmark: who won, how reliably, how fast, on what evidence. Of a plan: how good it is, where the delay comes
    from, what more capacity would buy, how it was made.
    """
    check_drawing("--out")
    if what.is_dir():
        if scenario is not None:
            raise InputError(f"--scenario belongs to a plan, and {what} is a folder; leave it out")
        _benchmark(what, out, csv)
        return
    if not what.exists():
        raise InputError(
            f"{what}: there is no such folder or file; give the folder that dmcjia bench wrote with --out, or the "
            "plan.json of dmcjia solve"
        )
    if csv is not None:
        raise InputError(f"--csv belongs to the folder of a benchmark, and {what} is a file; leave it out")
    from dmcjia_opt.model.scenario.loading import load_scenario
    from dmcjia_opt.solving.plan import load_claims, load_plan
    from dmcjia_opt.studies.plan.subject import subject_of_file

    claims = load_claims(what)
    if scenario is None:
        if not claims.scenario_file:
            raise InputError(
                f"{what}: it does not say which file its scenario is; name it with --scenario SCENARIO.toml"
            )
        scenario = what.parent / claims.scenario_file
        if not scenario.is_file():
            raise InputError(
                f"{what}: its scenario {scenario} is not there; name the file with --scenario SCENARIO.toml"
            )
    if claims.parts:
        _in_parts(what, scenario, out)
        return
    loaded = load_scenario(scenario)
    try:
        subject = subject_of_file(loaded, load_plan(what), str(scenario))
    except DmcjiaError as error:
        raise type(error)(f"{what}: {error}") from None
    write_page(subject, out)


def _in_parts(plan: Path, scenario: Path, out: Path) -> None:
    """Write the report of a plan of a fleet in parts."""
    from dmcjia_opt.base.files import write_text
    from dmcjia_opt.cli.parts import foreman_of, of_parts
    from dmcjia_opt.solving.parts.auditing import audit
    from dmcjia_opt.studies.plan.parts_page import parts_report

    parted, claims, rows = of_parts(scenario, plan)
    with foreman_of(parted, None, "report") as (foreman, _):
        found = audit(foreman, claims, rows)
    try:
        write_text(out, parts_report(claims, found, str(scenario)))
    except ClaimFalse as error:
        raise ClaimFalse(f"{plan}: {error}") from None
    typer.echo(f"Page written to {out}")


def check_drawing(option: str) -> None:
    """Raise an error where nothing can draw the page that an option asks for."""
    if missing := [module for module in ("plotly", "jinja2") if find_spec(module) is None]:
        raise BackendMissing(f"{option} needs {' and '.join(missing)}; {installing('report')}")


def write_page(subject: Subject, out: Path, *, told: bool = True) -> None:
    """Write the report of a plan, and say so where that is `told`."""
    from dmcjia_opt.base.files import write_text
    from dmcjia_opt.cli.progress import bar
    from dmcjia_opt.studies.plan.plan_page import plan_report

    with bar("report", quiet=not told) as live:
        write_text(out, plan_report(subject, progress=live.show))
    if told:
        typer.echo(f"Page written to {out}")


def _benchmark(folder: Path, out: Path, csv: Path | None) -> None:
    from dmcjia_opt.base.files import write_text
    from dmcjia_opt.base.showing import counted
    from dmcjia_opt.cli.progress import spinner
    from dmcjia_opt.studies.bench.exports import write_exports
    from dmcjia_opt.studies.bench.page.overview import benchmark_report
    from dmcjia_opt.studies.bench.results import load

    with spinner("reading and drawing"):
        loaded = load(folder)
        write_text(out, benchmark_report(loaded))
        if csv is not None:
            write_exports(loaded, csv)
    typer.echo(f"{counted(len(loaded.rows), 'run') or 'no run'} in {out}")
    if csv is not None:
        typer.echo(f"The same as CSV, and for iohinspector, in {csv}")
