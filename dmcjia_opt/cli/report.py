"""`dmcjia report`, and `--report` of `dmcjia solve`: what is asked for is checked before anything is computed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from dmcjia_opt.base.errors import BackendMissing, DmcjiaError, InputError
from dmcjia_opt.base.files import check_destination, write_text
from dmcjia_opt.model.scenario.scenario import Scenario, load_scenario
from dmcjia_opt.solving.plan import Plan, load_plan
from dmcjia_opt.studies.look.progress import Bar


def check_page(option: str, path: Path) -> None:
    """Raise an error where no page can be written to `path`, or nothing can draw one."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{option} {path}: the report is a page; let its name end in .html")
    check_destination(option, path)
    if missing := [module for module in ("plotly", "jinja2") if find_spec(module) is None]:
        raise BackendMissing(f"{option} needs {' and '.join(missing)}; pip install 'dmcjia-opt[report]'")


def run(what: Path, out: Path, csv: Path | None, scenario: Path | None) -> tuple[str, ...]:
    """Write the report of a benchmark's folder or of a plan, and return what to say of it."""
    check_page("--out", out)
    if what.is_dir():
        if scenario is not None:
            raise InputError(f"--scenario belongs to a plan, and {what} is a folder; leave it out")
        return _benchmark(what, out, csv)
    if not what.exists():
        raise InputError(
            f"{what}: there is no such folder or file; give the folder that dmcjia bench wrote with --out, or the "
            "plan.json of dmcjia solve"
        )
    if csv is not None:
        raise InputError(f"--csv belongs to the folder of a benchmark, and {what} is a file; leave it out")
    return _plan(what, out, scenario)


def write_plan_page(scenario: Scenario, plan: Plan, scenario_file: Path, out: Path) -> None:
    """Write the report of a plan that has just been made."""
    from dmcjia_opt.studies.plan.plan_page import plan_report
    from dmcjia_opt.studies.plan.subject import subject_of_plan

    with Bar("report") as bar:
        write_text(out, plan_report(subject_of_plan(scenario, plan, str(scenario_file)), progress=bar.update))


def _plan(path: Path, out: Path, scenario: Path | None) -> tuple[str, ...]:
    from dmcjia_opt.studies.plan.plan_page import plan_report
    from dmcjia_opt.studies.plan.subject import subject_of_file

    claims = load_plan(path)
    try:
        where = _named(path, claims.scenario_file) if scenario is None else scenario
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    loaded = load_scenario(where)
    try:
        subject = subject_of_file(loaded, claims, str(where))
    except DmcjiaError as error:
        raise type(error)(f"{path}: {error}") from None
    with Bar("report") as bar:
        write_text(out, plan_report(subject, progress=bar.update))
    return (f"Page written to {out}",)


def _named(plan: Path, scenario_file: str) -> Path:
    if not scenario_file:
        raise InputError("it does not say which file its scenario is; name it with --scenario SCENARIO.toml")
    where = plan.parent / scenario_file
    if not where.is_file():
        raise InputError(f"its scenario {where} is not there; name the file with --scenario SCENARIO.toml")
    return where


def _benchmark(folder: Path, out: Path, csv: Path | None) -> tuple[str, ...]:
    from dmcjia_opt.studies.bench.exports import write_exports
    from dmcjia_opt.studies.bench.page.overview import benchmark_report
    from dmcjia_opt.studies.bench.results import load

    loaded = load(folder)
    write_text(out, benchmark_report(loaded))
    if csv is None:
        return (f"{len(loaded.rows)} runs in {out}",)
    write_exports(loaded, csv)
    return f"{len(loaded.rows)} runs in {out}", f"The same as CSV, and for iohinspector, in {csv}"
