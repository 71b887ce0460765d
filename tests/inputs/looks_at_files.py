"""How a file is looked at: what comes of it, a plan, a page, what is printed, or a refusal."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

from dmcjia_opt.base.errors import DmcjiaError, Doubt
from dmcjia_opt.bounds.proof.checking import check_proof
from dmcjia_opt.bounds.proof.document import load_proof
from dmcjia_opt.cli.report import report
from dmcjia_opt.cli.show_network import show_profile
from dmcjia_opt.model.networks.reading import read_profile
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.loading import load_scenario
from dmcjia_opt.model.scenario.servers import COSTS
from dmcjia_opt.solving.plan import load_plan
from dmcjia_opt.solving.solve import solve
from dmcjia_opt.solving.verifying import verify
from dmcjia_opt.studies.bench.archive import ABOUT, submissions
from dmcjia_opt.studies.bench.exports import write_exports
from dmcjia_opt.studies.bench.library import Library, check
from dmcjia_opt.studies.bench.page.archive_page import archive_page
from dmcjia_opt.studies.bench.page.overview import benchmark_report
from dmcjia_opt.studies.bench.results import Results, load
from dmcjia_opt.studies.plan.plan_page import plan_report
from dmcjia_opt.studies.plan.subject import subject_of_file
from dmcjia_opt.studies.simulation.arrivals import load_trace
from dmcjia_opt.studies.simulation.fleet import simulate
from tests.inputs.formats import _TIMES
from tests.inputs.formats_of_studies import bench_rows
from tests.inputs.made import toml
from tools.fuzz import regression

Document = Any
Look = Callable[[Path, Document], object]

NODE = {"model": "alexnet", "compute_gflops": 5.0, "uplink_mbps": 8.0}
SCENARIO = {
    "name": "example",
    "cloud": {"compute_gflops": 40.0},
    "nodes": [{"name": "a", "arrival_rate": 0.5, **NODE}, {"name": "b", "arrival_rate": 1.5, **NODE}],
}
ARRIVALS = [{"time_s": float(k), "node": "ab"[k % 2]} for k in range(1000)]
#: Two cases by the number of nodes of class 0 at split 0, and in the second one two by that of all up to split 1.
PROOF = {
    "format": "dmcjia-proof-1",
    "bound_s": 0.1,
    "prices_s": [0.05, 0.1],
    "tree": [
        {"class": 0, "split": 0, "most": 0},
        {"price": 0, "charges_s": [[1, 0.001]]},
        {"up_to": 1, "most": 1},
        {"price": 0},
        {"price": 0},
    ],
}
TIMES = [{"graph_id": "", **row} for row in csv.DictReader(io.StringIO(_TIMES))]
#: What a plan has of the clock, of this machine, and of the hash, which covers every key whatever it does.
_NOT_THE_ANSWER = ("wall_s", "started", "trace", "versions", "scenario_sha256", "machine")


def scenario(folder: Path, document: Document) -> object:
    """Return the plan of a scenario."""
    (folder / "s.toml").write_bytes(toml(document))
    plan = solve(load_scenario(folder / "s.toml")).to_dict()
    return {key: value for key, value in plan.items() if key not in _NOT_THE_ANSWER}


def costs(folder: Path, document: Document) -> object:
    """Return what a scenario says of capacity that is bought, which no plan depends on."""
    (folder / "s.toml").write_bytes(toml(document))
    loaded = load_scenario(folder / "s.toml")
    return [entry.model_dump(include=COSTS) for entry in (*loaded.all_servers, *loaded.links)]


def node_table(folder: Path, rows: Document) -> object:
    """Return the plan of a fleet whose nodes are a CSV file."""
    write_csv(folder / "n.csv", rows)
    document = {key: value for key, value in SCENARIO.items() if key != "nodes"}
    profiles = {"times_file": "times.csv"} if any(row["device"] for row in rows) else {}
    return scenario(folder, document | {"nodes_file": "n.csv", "profiles": profiles})


def times(folder: Path, rows: Document) -> object:
    """Return the plan of a node whose layers were measured."""
    write_csv(folder / "times.csv", rows)
    node = SCENARIO["nodes"][0] | {"model": "tiny.json", "device": "pi"}
    return scenario(folder, SCENARIO | {"nodes": [node], "profiles": {"times_file": "times.csv"}})


def profile(folder: Path, document: Document) -> object:
    """Return what is printed of a profile, and the plan of a node that runs it."""
    (folder / "p.json").write_text(json.dumps(document), encoding="utf-8")
    with redirect_stdout(io.StringIO()) as printed:
        show_profile(read_profile(str(folder / "p.json")))
    return printed.getvalue(), scenario(folder, SCENARIO | {"nodes": [SCENARIO["nodes"][0] | {"model": "p.json"}]})


def timed_profile(folder: Path, document: Document) -> object:
    """Return the plan of a node that runs a profile, whose layers were measured."""
    (folder / "p.json").write_text(json.dumps(document), encoding="utf-8")
    write_csv(folder / "times.csv", [row | {"graph_id": "0" * 12} for row in TIMES])
    node = SCENARIO["nodes"][0] | {"model": "p.json", "device": "pi"}
    return scenario(folder, SCENARIO | {"nodes": [node], "profiles": {"times_file": "times.csv"}})


def claims(folder: Path, document: Document) -> object:
    """Return what `verify` makes of a plan."""
    (folder / "plan.json").write_text(json.dumps(document), encoding="utf-8")
    loaded, read = load_scenario(folder / "planned.toml"), load_plan(folder / "plan.json")
    return or_refused(lambda: verify(loaded, read))


def plan(folder: Path, document: Document) -> object:
    """Return the report of a plan, for keys that are no claims."""
    (folder / "plan.json").write_text(json.dumps(document), encoding="utf-8")
    loaded, read = load_scenario(folder / "planned.toml"), load_plan(folder / "plan.json")
    return or_refused(lambda: plan_report(subject_of_file(loaded, read, "planned.toml")))


def plan_alone(folder: Path, document: Document) -> object:
    """Return the page that `dmcjia report` makes of a plan, which finds the scenario by itself."""
    (folder / "plan.json").write_text(json.dumps(document), encoding="utf-8")
    with redirect_stdout(io.StringIO()):
        report(folder / "plan.json", folder / "page.html")
    return (folder / "page.html").read_text(encoding="utf-8")


def proof(folder: Path, document: Document) -> object:
    """Return what a proof proves, and what `verify` makes of it."""
    (folder / "proof.json").write_text(json.dumps(document), encoding="utf-8")
    loaded, read = load_scenario(folder / "planned.toml"), load_proof(folder / "proof.json")
    return (
        or_refused(lambda: check_proof(compile_problem(loaded), read)),
        or_refused(lambda: verify(loaded, load_plan(folder / "as_planned.json"), read)),
    )


def trace(folder: Path, rows: Document) -> object:
    """Return what is simulated with recorded arrivals."""
    write_csv(folder / "times.csv", rows)
    found = simulate(
        load_scenario(folder / "planned.toml"),
        load_plan(folder / "as_planned.json"),
        arrivals=replace(load_trace(folder / "times.csv"), label="trace"),
    )
    return found.to_dict(), found.notes


def submission(folder: Path, document: Document) -> str:
    """Return the page of an archive of one submission."""
    (folder / "mine" / "exact").mkdir(parents=True)
    (folder / "mine" / ABOUT).write_bytes(toml(document))
    lines = "".join(json.dumps(row) + "\n" for row in bench_rows())
    (folder / "mine" / "exact" / "rows.jsonl").write_text(lines, encoding="utf-8")
    return archive_page(submissions(folder))


def bench_page(folder: Path, document: Document) -> object:
    """Return the page of a benchmark's folder."""
    return benchmark_report(_results(folder, document))


def bench_tables(folder: Path, document: Document) -> object:
    """Return the tables that `dmcjia report --csv` makes of a benchmark's folder."""
    write_exports(_results(folder, document), folder / "csv")
    return [path.read_text(encoding="utf-8") for path in sorted((folder / "csv").rglob("*")) if path.is_file()]


def _results(folder: Path, document: Document) -> Results:
    rows, run = document
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / "run.json").write_text(json.dumps(run), encoding="utf-8")
    return load(folder)


def library(folder: Path, document: Document) -> object:
    """Return what the instance library says of its instance, and whether that is true."""
    entry, best = document
    write_csv(folder / "index.csv", [entry])
    write_csv(folder / "best_known.csv", [best])
    found = Library(folder)
    return found.instance("paper-n5-s1"), found.best, or_refused(lambda: check(found, "paper-n5-s1"))


def problem(folder: Path, document: Document) -> object:
    """Return a problem that the fuzzer kept, as it would keep it again."""
    (folder / "problem.json").write_text(json.dumps(document), encoding="utf-8")
    regression.load_regression(folder / "problem.json").save(folder / "again.json")
    return (folder / "again.json").read_text(encoding="utf-8")


def or_refused(work: Callable[[], object]) -> object:
    try:
        return work()
    except (DmcjiaError, Doubt) as error:
        return str(error)


def write_csv(path: Path, rows: list[Mapping[str, object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
