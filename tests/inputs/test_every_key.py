"""No key of any file is without effect and without a word.

The keys are those of the models and tables in the code. `EXAMPLES` has for each of them a document that differs in it
from another one, and what comes of the two must differ: a plan, a page, what is printed, or a refusal. A new key
without an entry fails the walk.
"""

from __future__ import annotations

import importlib
import json
import shutil
import time
from dataclasses import fields
from datetime import date
from pathlib import Path

import pytest
from pydantic import BaseModel

from dmcjia_opt.model.networks.measured import _COLUMNS as TIME_COLUMNS
from dmcjia_opt.model.scenario.loading import load_scenario
from dmcjia_opt.model.scenario.node_columns import COLUMNS as NODE_COLUMNS
from dmcjia_opt.solving.solve import solve
from dmcjia_opt.studies.bench.library import BestKnown, Entry, find_library
from dmcjia_opt.studies.bench.rows import Row
from tests.inputs.formats import _PROFILE, _TIMES
from tests.inputs.formats_of_studies import PROBLEM, RUN, bench_rows
from tests.inputs.looks_at_files import (
    ARRIVALS,
    PROOF,
    SCENARIO,
    TIMES,
    Look,
    bench_page,
    bench_tables,
    claims,
    costs,
    library,
    node_table,
    or_refused,
    plan,
    plan_alone,
    problem,
    profile,
    proof,
    scenario,
    submission,
    timed_profile,
    times,
    trace,
    write_csv,
)
from tests.inputs.made import toml
from tests.inputs.manifest_keys import MANIFEST_KEYS, manifest
from tests.inputs.mutations import changed
from tests.inputs.proof_keys import PROOF_KEYS
from tests.model.networks.onnx_models import flattened, residual_block
from tests.studies.deploy.manifests import MANIFEST
from tests.waiting import Clock
from tools.fuzz import regression

ROOT = Path(__file__).parents[2]
MOMENT = {"evaluations": 7, "seconds": 2.0, "objective_s": 3.0, "lower_bound_s": 1.0}
NODE_ROWS = [{**dict.fromkeys(NODE_COLUMNS, ""), **node} for node in SCENARIO["nodes"]]
MG1, TANDEM = {"options.delay": "mg1"}, {"options.delay": "tandem"}
ONNX, OPEN = {"nodes.0.model": "net.onnx"}, {"nodes.0.model": "open.onnx"}
MG1_PROBLEM = {"delay": "mg1", "upstream_wait": None}
MEASURED = {"profiles.times_file": "times.csv", "nodes.0.model": "tiny.json"}
FILE = {"nodes": ..., "nodes_file": "nodes.csv"}
SITE = {"name": "site", "compute_gflops": 30.0}
BATCHES = {"1": 0.004, "8": 0.011}
SERVERS, LINKS = {"servers": [SITE]}, {"links": [{"name": "cell", "mbps": 30.0}]}
ON_LINK = LINKS | {"nodes.0.link": "cell"}
ON_BOARD = {"nodes.0.host": "board", "nodes.1.host": "board"}
_NODES = [{**SCENARIO["nodes"][k % 2], "name": "abcd"[k], "host": ["board", "other"][k // 2]} for k in range(4)]
TWO_BOARDS = {"nodes": _NODES, "nodes.0.arrival_rate": 0.25, "hosts": [{"name": "board", "sharing": "fifo"}]}
RESULT = {"nodes.0.downlink_mbps": 1.0, "nodes.0.result_bytes": 1e4, "nodes.0.max_split": 0}
SAID = {
    "layers": [layer | {"tensor_names": [layer["name"]]} for layer in _PROFILE["layers"]],
    "cut_tensors": [{"name": layer["name"], "shape": [1], "dtype": "float32"} for layer in _PROFILE["layers"]],
}
RESOURCE_CLAIM = {
    "name": "another",
    "kind": "link",
    "sharing": "ps",
    "used": 0.123,
    "load": 0.123,
    "wait_s": 0.123,
    "price_s": 7.0,
}
#: What each key of a node that may be left out is set to, and what must be there for it.
OF_A_NODE: dict[str, tuple[dict[str, object], object]] = {
    "link": (LINKS, "cell"),
    "servers": (SERVERS, ["site"]),
    "tiers": (SERVERS, ["site", "cloud"]),
    "host": ({"nodes.1.host": "board"}, "board"),
    "rtt_ms": ({}, 50.0),
    "result_bytes": (RESULT, 1e5),
    "downlink_mbps": (RESULT, 2.0),
    "memory_mb": ({}, 10.0),
    "min_split": ({}, 8),
    "max_split": ({}, 0),
    "splits": ({}, [8]),
    "energy_j": ({"nodes.0.joule_per_gflop": 1.0, "nodes.0.energy_j": 9.0}, 1.0),
    "joule_per_gflop": ({"nodes.0.joule_per_gflop": 1.0, "nodes.0.energy_j": 9.0}, 20.0),
    "transmit_watts": ({"nodes.0.joule_per_gflop": 1.0, "nodes.0.energy_j": 2.0}, 10.0),
    "weight": ({}, 3.0),
    "deadline_ms": ({}, 1000.0),
    "arrivals": ({}, "periodic"),
}

#: By file and key: how the file is looked at, what is changed in the base document for both, and in one of them.
EXAMPLES: dict[str, tuple[Look, dict[str, object], dict[str, object]]] = {
    "loading._File.name": (scenario, {}, {"name": "another"}),
    "loading._File.cloud": (scenario, {}, {"cloud": {"compute_gflops": 9.0}}),
    "loading._File.options": (scenario, {}, {"options": {"delay": "mm1"}}),
    "loading._File.profiles": (scenario, {}, {"profiles": {"upload_dtype": "uint8"}}),
    "loading._File.nodes": (scenario, {}, {"nodes": SCENARIO["nodes"][:1]}),
    "loading._File.nodes_file": (scenario, {}, FILE),
    "loading.Cloud.compute_gflops": (scenario, {}, {"cloud.compute_gflops": 9.0}),
    "loading._File.servers": (scenario, {}, SERVERS),
    "loading._File.links": (scenario, {}, LINKS),
    "loading.Cloud.rtt_ms": (scenario, {}, {"cloud.rtt_ms": 50.0}),
    "loading.Cloud.link": (scenario, ON_LINK, {"cloud.link": "wan"}),
    "loading._File.hosts": (scenario, ON_BOARD, {"hosts": [{"name": "board", "sharing": "fifo"}]}),
    "loading.Cloud.sharing": (scenario, {}, {"cloud.sharing": "fifo"}),
    "loading.Cloud.seconds_by_batch": (scenario, {"cloud.sharing": "fifo"}, {"cloud.seconds_by_batch": BATCHES}),
    "servers.Server.seconds_by_batch": (
        scenario,
        SERVERS | {"servers.0.sharing": "fifo"},
        {"servers.0.seconds_by_batch": BATCHES},
    ),
    "servers.Server.sharing": (scenario, SERVERS, {"servers.0.sharing": "ps"}),
    "servers.Link.sharing": (scenario, ON_LINK, {"links.0.sharing": "ps"}),
    "servers.Host.name": (scenario, TWO_BOARDS, {"hosts.0.name": "other"}),
    "servers.Host.sharing": (scenario, ON_BOARD | {"hosts": [{"name": "board"}]}, {"hosts.0.sharing": "ps"}),
    "loading.Cloud.price_per_gflops": (costs, {}, {"cloud.price_per_gflops": 0.5}),
    "loading.Cloud.step_gflops": (costs, {}, {"cloud.step_gflops": 10.0}),
    "servers.Server.name": (scenario, SERVERS | {"nodes.0.servers": ["site"]}, {"servers.0.name": "another"}),
    "servers.Server.compute_gflops": (scenario, SERVERS, {"servers.0.compute_gflops": 90.0}),
    "servers.Server.device": (scenario, SERVERS, {"servers.0.device": "gpu"}),
    "servers.Server.rtt_ms": (scenario, SERVERS, {"servers.0.rtt_ms": 90.0}),
    "servers.Server.link": (scenario, SERVERS | ON_LINK, {"servers.0.link": "wan"}),
    "servers.Server.price_per_gflops": (costs, SERVERS, {"servers.0.price_per_gflops": 0.5}),
    "servers.Server.step_gflops": (costs, SERVERS, {"servers.0.step_gflops": 10.0}),
    "servers.Link.price_per_mbps": (costs, ON_LINK, {"links.0.price_per_mbps": 0.5}),
    "servers.Link.step_mbps": (costs, ON_LINK, {"links.0.step_mbps": 10.0}),
    "servers.Link.name": (scenario, ON_LINK, {"links.0.name": "wan"}),
    "servers.Link.mbps": (scenario, ON_LINK, {"links.0.mbps": 5.0}),
    "loading.Cloud.device": (scenario, MEASURED | {"nodes.1.model": "tiny.json"}, {"cloud.device": "server"}),
    "scenario.Options.delay": (scenario, {}, {"options.delay": "mm1"}),
    "scenario.Options.statistic": (scenario, TANDEM, {"options.statistic": "p95"}),
    "scenario.Options.objective": (scenario, {}, {"options.objective": "worst"}),
    "scenario.Options.uplink": (scenario, TANDEM, {"options.uplink": "queue"}),
    "scenario.Options.service_scv": (scenario, MG1, {"options.service_scv": 2.0}),
    "scenario.Options.ordering": (scenario, {"cloud.compute_gflops": 6.0}, {"options.ordering": "cloud-faster"}),
    "scenario.Options.average": (scenario, {}, {"options.average": "tasks"}),
    "scenario.Options.flops_per_mac": (scenario, {}, {"options.flops_per_mac": 1.0}),
    "references.Profiles.times_file": (scenario, {"nodes.0.device": "pi"}, MEASURED),
    "references.Profiles.networks": (scenario, ONNX, {"profiles.networks": {"net.onnx": {"cuts": "blocks"}}}),
    "references.Reading.cuts": (scenario, ONNX, {"profiles.cuts": "blocks"}),
    "references.Reading.upload_dtype": (scenario, {}, {"profiles.upload_dtype": "uint8"}),
    "references.Reading.input_shapes": (scenario, OPEN, {"profiles.input_shapes": {"x": [1, 3, 4, 4]}}),
    "references.Reading.dims": (scenario, OPEN, {"profiles.dims": {"n": 2}}),
    "references.Reading.input_values": (scenario, ONNX, {"profiles.input_values": {"x": 7.0}}),
    "references.Reading.outputs": (scenario, ONNX, {"profiles.outputs": ["middle"]}),
    "references.Reading.state": (scenario, ONNX, {"profiles.state": ["fc"]}),
    "nodes.Node.name": (scenario, {}, {"nodes.0.name": "another"}),
    "nodes.Node.model": (scenario, {}, {"nodes.0.model": "resnet34"}),
    "nodes.Node.compute_gflops": (scenario, {}, {"nodes.0.compute_gflops": 6.0}),
    "nodes.Node.uplink_mbps": (scenario, {}, {"nodes.0.uplink_mbps": 9.0}),
    "nodes.Node.arrival_rate": (scenario, {}, {"nodes.0.arrival_rate": 0.6}),
    "nodes.Node.input_bytes": (scenario, {}, {"nodes.0.input_bytes": 1e4}),
    "nodes.Node.device": (scenario, MEASURED, {"nodes.0.device": "pi"}),
    **{f"nodes.Node.{key}": (scenario, both, {f"nodes.0.{key}": one}) for key, (both, one) in OF_A_NODE.items()},
    **{
        f"node_files.columns.{key}": (
            node_table,
            {path.removeprefix("nodes."): cell for path, cell in both.items() if path.startswith("nodes.")},
            {f"0.{key}": "|".join(map(str, one)) if isinstance(one, list) else one},
        )
        for key, (both, one) in OF_A_NODE.items()
    },
    "node_files.columns.name": (node_table, {}, {"0.name": "another"}),
    "node_files.columns.model": (node_table, {}, {"0.model": "resnet34"}),
    "node_files.columns.compute_gflops": (node_table, {}, {"0.compute_gflops": 6.0}),
    "node_files.columns.uplink_mbps": (node_table, {}, {"0.uplink_mbps": 9.0}),
    "node_files.columns.arrival_rate": (node_table, {}, {"0.arrival_rate": 0.6}),
    "node_files.columns.input_bytes": (node_table, {}, {"0.input_bytes": 1e4}),
    "node_files.columns.device": (node_table, {"0.model": "tiny.json"}, {"0.device": "pi"}),
    "profile._ProfileFile.name": (profile, {}, {"name": "another"}),
    "profile._ProfileFile.input_bytes": (profile, {}, {"input_bytes": 1e4}),
    "profile._ProfileFile.parameters": (profile, {}, {"parameters": 7}),
    "profile._ProfileFile.cautions": (profile, {}, {"cautions": ["something is not counted"]}),
    "profile._ProfileFile.source": (profile, {}, {"source": "another"}),
    "profile._ProfileFile.layers": (profile, {}, {"layers": _PROFILE["layers"][:1]}),
    "profile._LayerFile.name": (profile, {}, {"layers.0.name": "another"}),
    "profile._LayerFile.macs": (profile, {}, {"layers.0.macs": 7.0}),
    "profile._LayerFile.output_bytes": (profile, {}, {"layers.0.output_bytes": 7.0}),
    "profile._LayerFile.tensors": (profile, {}, {"layers.0.tensors": 2}),
    "profile._LayerFile.weight_bytes": (profile, {}, {"layers.0.weight_bytes": 7.0}),
    "profile._LayerFile.tensor_names": (profile, {}, {"layers.0.tensor_names": ["another"]}),
    "profile._ProfileFile.graph_id": (timed_profile, {"graph_id": "0" * 12}, {"graph_id": "f" * 12}),
    "profile._ProfileFile.cut_tensors": (profile, SAID, {"cut_tensors": []}),
    **{
        f"profile._TensorFile.{key}": (profile, SAID, {f"cut_tensors.0.{key}": value})
        for key, value in {"name": "another", "shape": [7], "dtype": "int8"}.items()
    },
    "measured.columns.device": (times, {}, {"0.device": "another"}),
    "measured.columns.model": (times, {}, {"0.model": "another"}),
    "measured.columns.graph_id": (times, {}, {"0.graph_id": "another"}),
    "measured.columns.layer": (times, {}, {"0.layer": "another"}),
    "measured.columns.seconds": (times, {}, {"0.seconds": 0.5}),
    "plan.PlanHeadFile.status": (claims, {}, {"status": "proved"}),
    "plan.PlanHeadFile.objective": (claims, {}, {"objective": "worst"}),
    "plan.PlanHeadFile.statistic": (claims, {}, {"statistic": "p95"}),
    "plan.PlanHeadFile.mean_delay_s": (claims, {}, {"mean_delay_s": 1.0}),
    "plan.PlanHeadFile.worst_delay_s": (claims, {}, {"worst_delay_s": 1.0}),
    "plan.PlanHeadFile.objective_s": (claims, {}, {"objective_s": 1.0}),
    "plan.PlanHeadFile.lower_bound_s": (claims, {}, {"lower_bound_s": 1.0}),
    "plan.PlanHeadFile.gap": (claims, {}, {"gap": 0.5}),
    "plan.PlanHeadFile.gap_tolerance": (claims, {}, {"gap_tolerance": 0.5}),
    "plan.PlanHeadFile.bound_from": (claims, {}, {"bound_from": "exact"}),
    "plan.PlanHeadFile.bound_holds_for": (claims, {}, {"bound_holds_for": "all plans"}),
    "plan.PlanHeadFile.price_s": (claims, {"bound_from": "dual"}, {"price_s": 1e-9}),
    "plan.PlanHeadFile.resources": (claims, {}, {"resources": []}),
    "plan.PlanHeadFile.rows_file": (claims, {}, {"rows_file": "rows.parquet"}),
    "plan.PlanHeadFile.parts": (claims, {}, {"parts": 2}),
    "plan.PlanFile.splits": (claims, {}, {"splits": [1, 1]}),
    "plan.PlanFile.shares": (claims, {}, {"shares": [0.4, 0.6]}),
    "plan.PlanFile.nodes": (claims, {}, {"nodes": []}),
    "plan.PlanHeadFile.scenario_sha256": (claims, {}, {"scenario_sha256": "ab" * 32}),
    **{
        f"said.NodeClaim.{key}": (claims, {}, {f"nodes.0.{key}": value})
        for key, value in {
            "name": "another",
            "model": "another",
            "split": 1,
            "share": 0.123,
            "edge_s": 7.0,
            "upload_s": 7.0,
            "cloud_s": 7.0,
            "total_s": 7.0,
            "server": "another",
            "cuts": [7],
            "cut_tensors": [["another"]],
            "shares": {"another": 0.5},
            "stages": {"another": 7.0},
            "deadline_s": 7.0,
        }.items()
    },
    **{
        f"said.ResourceClaim.{key}": (claims, {}, {f"resources.0.{key}": value})
        for key, value in RESOURCE_CLAIM.items()
    },
    "said.Provenance.scenario_file": (plan_alone, {}, {"scenario_file": "another.toml"}),
    "said.Limits.seconds": (plan, {}, {"limits.seconds": 77.0}),
    "said.Limits.evaluations": (plan, {}, {"limits.evaluations": 77}),
    "said.Limits.gap": (plan, {}, {"limits.gap": 0.077}),
    "said.Moment.evaluations": (plan, {}, {"trace.0.evaluations": 77}),
    "said.Moment.seconds": (plan, {}, {"trace.0.seconds": 77.0}),
    "said.Moment.objective_s": (plan, {}, {"trace.0.objective_s": 77.0}),
    "said.Moment.lower_bound_s": (plan, {}, {"trace.0.lower_bound_s": 0.077}),
    **{
        f"said.Provenance.{key}": (plan, {}, {key: value})
        for key, value in {
            "placer": "another",
            "allocator": "another",
            "seed": 77,
            "evaluations": 77,
            "wall_s": 77.0,
            "notes": ["something that a reader should know"],
            "cautions": ["something that is not counted"],
            "versions": {"another": "7.7"},
            "limits": {"seconds": 77.0},
            "started": "1977-07-07T00:00:00+00:00",
            "machine": "another",
            "scenario": "another",
            "trace": [],
        }.items()
    },
    **PROOF_KEYS,
    "arrivals.columns.time_s": (trace, {}, {"0.time_s": 0.5}),
    "arrivals.columns.node": (trace, {}, {"0.node": "b"}),
    **{
        f"rows.Row.{key}": (bench_tables, {}, {f"0.0.{key}": value})
        for key, value in {
            "suite": "another",
            "instance": "another",
            "instance_sha256": "cd" * 32,
            "family": "another",
            "n_nodes": 7,
            "n_splits": 7,
            "method": "another",
            "kind": "allocator",
            "seed": 7,
            "outcome": "crash",
            "message": "another",
            "limit_seconds": 7.0,
            "limit_evaluations": 7,
            "limit_gap": 0.7,
            "claimed_status": "limit",
            "claimed_objective_s": 0.7,
            "claimed_lower_bound_s": 0.7,
            "objective_s": 0.7,
            "lower_bound_s": 0.07,
            "own_bound_s": 0.07,
            "gap": 0.7,
            "correct": False,
            "evaluations": 77,
            "setup_seconds": 7.0,
            "wall_seconds": 7.0,
            "cpu_seconds": 7.0,
            "peak_mb": 7.0,
            "trace": [[7, 0.07, 0.7, 0.07]],
            "plans": 7,
            "converged": 7,
            "worst_error": 0.7,
            "started": "1977-07-07T00:00:00+00:00",
            "machine": "another",
            "load": 7.0,
            "revision": "another",
        }.items()
    },
    "rows.Row.key": (bench_tables, {}, {"0.0.key": "b"}),
    "rows.Row.versions": (bench_page, {"1.versions": {}}, {"0.2.versions": {"another": "7.7"}}),
    **{
        f"archive.About.{key}": (submission, {}, {key: value})
        for key, value in {
            "name": "another",
            "who": "another",
            "date": date(2031, 1, 1),
            "machine": "another",
            "about": "another",
        }.items()
    },
    "folder.RunFile.suite": (bench_page, {}, {"1.suite": "another"}),
    "folder.RunFile.command": (bench_page, {}, {"1.command": ["another"]}),
    "folder.RunFile.machine": (bench_page, {}, {"1.machine": "another"}),
    "folder.RunFile.versions": (bench_page, {}, {"1.versions": {"another": "7.7"}}),
    **{
        f"library.Entry.{key}": (library, {}, {f"0.{key}": value})
        for key, value in {
            "name": "another",
            "family": "another",
            "nodes": 7,
            "splits": 7,
            "sha256": "ab" * 32,
            "file": "another.toml",
        }.items()
    },
    **{
        f"library.BestKnown.{key}": (library, {}, {f"1.{key}": value})
        for key, value in {
            "name": "another",
            "objective_s": 7.0,
            "lower_bound_s": 7.0,
            "gap": 0.7,
            "method": "another",
            "bound_from": "another",
            "version": "7.7",
            "date": "1977-07-07",
        }.items()
    },
    **{
        f"regression._File.{key}": (problem, MG1_PROBLEM if key == "service_scv" else {}, {key: value})
        for key, value in {
            "format": "another",
            "invariant": "another",
            "message": "another",
            "seed": 7,
            "number": 7,
            "delay": "mm1",
            "service_scv": 2.0,
            "local_delay": [[0.7, 1.5, None], [0.25, 2.0, 3.0]],
            "cloud_time": [[0.7, 0.25, 0.0], [0.25, 0.125, 0.0]],
            "arrival_rate": [0.7, 1.0],
            "weight": [0.3, 0.7],
            "least_rate": None,
            "upstream_wait": None,
            "n_layers": None,
            "resource": [[0, 0, 1], [0, 0, 1]],
            "resources": ["site", "cloud"],
        }.items()
    },
    **{key: (manifest, {}, one) for key, one in MANIFEST_KEYS.items()},
}


def keys() -> list[str]:
    """Return every key of every file that the package and its fuzzer read, derived from the code."""
    for path in (ROOT / "dmcjia_opt").rglob("*.py"):
        if "BaseModel" in path.read_text(encoding="utf-8"):
            importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    found = [f"node_files.columns.{name}" for name in NODE_COLUMNS]
    found += [f"arrivals.columns.{name}" for name in ("time_s", "node")]
    found += [f"measured.columns.{name}" for name in TIME_COLUMNS]
    for table in (Row, Entry, BestKnown):
        found += [f"{_module(table)}.{table.__name__}.{one.name}" for one in fields(table)]
    models = BaseModel.__subclasses__()
    while models:
        model = models.pop()
        models += model.__subclasses__()
        if model.__module__.startswith(("dmcjia_opt.", regression.__name__)):
            own = {name: one for name, one in model.model_fields.items() if name in vars(model)["__annotations__"]}
            found += [f"{_module(model)}.{model.__name__}.{one.alias or name}" for name, one in own.items()]
    return sorted(found)


def _module(owner: type) -> str:
    return owner.__module__.rpartition(".")[2]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    (folder / "tiny.json").write_text(json.dumps(_PROFILE), encoding="utf-8")
    (folder / "times.csv").write_text(_TIMES, encoding="utf-8")
    write_csv(folder / "nodes.csv", NODE_ROWS[:1])
    residual_block().save(folder / "net.onnx")
    flattened().save(folder / "open.onnx")
    (folder / "planned.toml").write_bytes(toml(SCENARIO))
    solve(load_scenario(folder / "planned.toml")).save(folder / "as_planned.json")
    (folder / "plans").mkdir()
    shutil.copy(find_library().folder / "plans" / "paper-n5-s1.json", folder / "plans")
    return folder


@pytest.fixture(scope="module")
def bases(files):
    as_planned = json.loads((files / "as_planned.json").read_text(encoding="utf-8"))
    known = find_library()
    rows = [vars_of(table[("paper-n5-s1")]) for table in (known.index, known.best)]
    return {
        scenario: SCENARIO,
        costs: SCENARIO,
        node_table: NODE_ROWS,
        times: TIMES,
        profile: _PROFILE,
        timed_profile: _PROFILE,
        claims: as_planned,
        plan: as_planned | {"limits": {}, "trace": [MOMENT, MOMENT | {"objective_s": 2.0, "seconds": 3.0}]},
        plan_alone: as_planned | {"scenario_file": "planned.toml"},
        proof: PROOF | {"scenario_sha256": as_planned["scenario_sha256"]},
        trace: ARRIVALS,
        bench_page: [bench_rows(), RUN],
        bench_tables: [bench_rows(), RUN],
        submission: {"name": "mine", "who": "me", "date": date(2030, 1, 1), "machine": "a box", "about": "A try."},
        library: [rows[0] | {"file": ""}, rows[1]],
        problem: PROBLEM,
        manifest: MANIFEST,
    }


def vars_of(row: Entry | BestKnown) -> dict[str, object]:
    return {one.name: getattr(row, one.name) for one in fields(row)}


@pytest.fixture
def seen(files, tmp_path, monkeypatch):
    """Return what comes of a document in a fresh folder, at a clock that ticks when it is looked at."""

    def look(how, document, name):
        folder = tmp_path / name
        shutil.copytree(files, folder)
        clock = Clock(tick=1e-3)
        for watch in ("perf_counter", "monotonic"):
            monkeypatch.setattr(time, watch, clock.look)
        came = or_refused(lambda: how(folder, document))
        return str(came).replace(str(folder), "")

    return look


def test_every_key_has_an_example_and_no_other():
    assert sorted(EXAMPLES) == keys()


@pytest.fixture(scope="module")
def without():
    return {}


@pytest.mark.parametrize("key", EXAMPLES)
def test_it_has_an_effect_or_a_word(key, bases, seen, without):
    how, both, one = EXAMPLES[key]
    base = changed(bases[how], both)
    at = how, str(both)
    if at not in without:
        without[at] = seen(how, base, "without")
    assert without[at] != seen(how, changed(base, one), "with")


@pytest.mark.parametrize("how", dict.fromkeys(how for how, *_ in EXAMPLES.values()), ids=lambda how: how.__name__)
def test_nothing_but_the_key_makes_the_difference(how, bases, seen):
    assert seen(how, bases[how], "once") == seen(how, bases[how], "again")
