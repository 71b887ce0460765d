"""Files of what is done with plans: problems that were kept, arrivals, links, benchmarks, deployments."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.bounds.certificate import best_lower_bound
from dmcjia_opt.model.scenario.loading import load_scenario
from dmcjia_opt.solving.plan import load_plan
from dmcjia_opt.studies.bench.folder import open_folder, read_rows
from dmcjia_opt.studies.bench.results import load
from dmcjia_opt.studies.deploy.jobs import jobs
from dmcjia_opt.studies.deploy.manifest import load_manifest
from dmcjia_opt.studies.online.replay import replay
from dmcjia_opt.studies.online.traces import load_links
from dmcjia_opt.studies.simulation.arrivals import build_arrivals
from dmcjia_opt.studies.simulation.fleet import simulate
from tests.inputs.made import as_json, maybe_damaged, planned
from tests.inputs.mutations import mutated, renumbered
from tests.studies.deploy.manifests import HALVES, MANIFEST
from tools.fuzz.regression import load_regression

# a problem that `python -m tools.fuzz` kept

PROBLEM = {
    "format": "dmcjia-problem-1",
    "invariant": "bound",
    "message": "by hand",
    "seed": 1,
    "number": 2,
    "delay": "tandem",
    "service_scv": 0.0,
    "local_delay": [[0.5, 1.5, None], [0.25, 2.0, 3.0]],
    "cloud_time": [[0.5, 0.25, 0.0], [0.25, 0.125, 0.0]],
    "arrival_rate": [0.5, 1.0],
    "weight": [0.5, 0.5],
    "least_rate": [[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]],
    "upstream_wait": [[0.0, 0.5, 0.0], [0.0, 0.5, 1.0]],
    "n_layers": [1, 2],
}


def write_problem(folder: Path, rng: np.random.Generator, change=mutated) -> None:
    (folder / "problem.json").write_bytes(maybe_damaged(as_json(change(PROBLEM, rng)), rng, change))


def use_problem(folder: Path) -> None:
    regression = load_regression(folder / "problem.json")
    bound, _ = best_lower_bound(regression.problem)
    assert not math.isnan(bound)
    regression.save(folder / "again.json")
    assert load_regression(folder / "again.json").message == regression.message


# arrival times


def write_trace(folder: Path, rng: np.random.Generator, change=mutated) -> None:
    for name, content in planned().items():
        (folder / name).write_bytes(content)
    times = np.cumsum(rng.exponential(1.0, 400)).tolist()
    if rng.random() < 0.5:
        rows: list = [["time_s"], *([t] for t in times)]
    else:
        nodes = [f"node-{k % 5 + 1}" for k in range(400)]
        names = load_scenario(folder / "s.toml").nodes.names
        nodes = [names[k % len(names)] for k in range(400)]
        rows = [["time_s", "node"], *([t, node] for t, node in zip(times, nodes, strict=True))]
    rows = change(rows, rng)
    if change is renumbered and rng.random() < 0.7:
        rows.sort(key=lambda row: -1 if row[0] == "time_s" else row[0])  # what is out of order is refused for that
    rows = rows if isinstance(rows, list) else [[rows]]
    text = "\n".join(",".join(map(str, row)) if isinstance(row, list) else str(row) for row in rows) + "\n"
    (folder / "trace.csv").write_bytes(maybe_damaged(text.encode("utf-8", "surrogatepass"), rng, change))


def use_trace(folder: Path) -> None:
    arrivals = build_arrivals(str(folder / "trace.csv"))
    simulation = simulate(load_scenario(folder / "s.toml"), load_plan(folder / "plan.json"), arrivals=arrivals)
    assert np.isfinite(simulation.mean_delay)


# the speeds of links


def write_links(folder: Path, rng: np.random.Generator, change=mutated) -> None:
    for name, content in planned().items():
        (folder / name).write_bytes(content)
    names = load_scenario(folder / "s.toml").nodes.names
    speeds = rng.uniform(1.0, 9.0, 20).tolist()
    kind = int(rng.integers(4))
    if kind == 0:
        rows: list = [[speed, "Mbits/sec"] for speed in speeds]
    elif kind == 1:
        rows = [[k] for k in np.cumsum(rng.integers(1, 90, 60)).tolist()]
    elif kind == 2:
        rows = [["time_s", "uplink_mbps"], *([k, speed] for k, speed in enumerate(speeds))]
    else:
        rows = [["time_s", "node", "uplink_mbps"]]
        rows += [[k // len(names), names[k % len(names)], speed] for k, speed in enumerate(speeds)]
    rows = change(rows, rng)
    rows = rows if isinstance(rows, list) else [[rows]]
    text = "\n".join(",".join(map(str, row)) if isinstance(row, list) else str(row) for row in rows) + "\n"
    (folder / "links.csv").write_bytes(maybe_damaged(text.encode("utf-8", "surrogatepass"), rng, change))


def use_links(folder: Path) -> None:
    links = load_links(folder / "links.csv").until(20.0)
    found = replay(load_scenario(folder / "s.toml"), links.every(max(links.end / 5, 1.0)), ("change:0.5", "oracle"))
    assert all(run.mean_delay(found.trace.spans) >= found.lower_bound * (1 - 1e-9) for run in found.runs)


# the folder of a benchmark

_ROW = {
    "key": "0123456789ab",
    "suite": "smoke",
    "instance": "paper-n5-s1",
    "instance_sha256": "ab" * 32,
    "family": "paper",
    "n_nodes": 5,
    "n_splits": 35,
    "method": "exact + waterfilling",
    "kind": "placer",
    "seed": 0,
    "outcome": "answer",
    "message": "",
    "limit_seconds": 10.0,
    "limit_evaluations": 100,
    "limit_gap": None,
    "claimed_status": "optimal",
    "claimed_objective_s": 0.5,
    "claimed_lower_bound_s": 0.5,
    "objective_s": 0.5,
    "lower_bound_s": 0.499,
    "own_bound_s": 0.499,
    "gap": 0.002,
    "correct": True,
    "evaluations": 10,
    "setup_seconds": 0.01,
    "wall_seconds": 0.1,
    "cpu_seconds": 0.1,
    "peak_mb": 20.0,
    "trace": [[1, 0.01, None, None], [5, 0.05, 0.6, 0.4]],
    "plans": None,
    "converged": None,
    "worst_error": None,
    "started": "2024-01-01T00:00:00+00:00",
    "machine": "a machine",
    "load": 0.5,
    "versions": {"numpy": "2.0"},
    "revision": "abc",
}
RUN = {
    "suite": "smoke",
    "spec": {"name": "smoke", "summary": "", "blocks": []},
    "runs": 2,
    "started": "2024-01-01T00:00:00+00:00",
    "command": ["dmcjia", "bench", "smoke"],
    "workers": 2,
    "machine": {"cpu": "a", "cores": 2},
    "versions": {"numpy": "2.0"},
    "revision": "abc",
    "commit": "abc",
}


def bench_rows() -> list[dict]:
    """Return three rows of a benchmark, as `rows.jsonl` has them."""
    other = {"key": "b", "method": "genetic", "outcome": "timeout", "objective_s": None, "gap": None, "correct": None}
    batch = {"key": "c", "kind": "allocator", "method": "alm", "plans": 5, "converged": 5, "worst_error": 1e-9}
    return [dict(_ROW), _ROW | other, _ROW | batch]


def write_folder(folder: Path, rng: np.random.Generator, change=mutated) -> None:
    rows, run = bench_rows(), RUN
    if rng.random() < 0.8:
        rows = change(rows, rng)
    else:
        run = change(run, rng)
    rows = rows if isinstance(rows, list) else [rows]
    lines = b"".join(as_json(row) + b"\n" for row in rows)
    (folder / "rows.jsonl").write_bytes(maybe_damaged(lines, rng, change))
    (folder / "run.json").write_bytes(maybe_damaged(as_json(run), rng, change, 0.1))


def use_folder(folder: Path) -> None:
    from dmcjia_opt.studies.bench.page.overview import benchmark_report

    refused = []
    before = (folder / "rows.jsonl").read_bytes()
    try:
        rows = read_rows(folder)
    except InputError as error:
        rows = []
        refused.append(error)
    try:
        with open_folder(folder, "smoke", resume=True) as opened:
            if opened.rows:
                opened.finish([])
    except InputError as error:
        refused.append(error)
    after = (folder / "rows.jsonl").read_bytes()
    assert before.startswith(after), "resuming changed rows that were there"
    assert len(rows) == 0 or refused or len(after) > 0
    (folder / "rows.jsonl").write_bytes(before)
    try:
        results = load(folder)
        page = benchmark_report(results)
        assert "<script>alert" not in page
    except InputError as error:
        refused.append(error)
    if refused:
        raise refused[0]


def write_manifest(folder: Path, rng: np.random.Generator, change=mutated) -> None:
    for file in HALVES:
        (folder / file).write_bytes(b"half")
    (folder / "manifest.json").write_bytes(maybe_damaged(as_json(change(MANIFEST, rng)), rng, change))


def use_manifest(folder: Path) -> None:
    manifest = load_manifest(folder)
    arrivals = [np.arange(1.0, 20.0) for _ in manifest.nodes]
    of_nodes, of_servers = jobs(manifest, folder, arrivals, paced=True)
    assert len(of_nodes) == len(manifest.nodes)
    for job in of_nodes:
        assert job.hop is None or job.node in of_servers[job.hop.server].tenants
