"""Every file a user may hand us: how it is mutated, and what the public functions make of it."""

from __future__ import annotations

import io
import json
import math
import warnings
from collections.abc import Mapping
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from dmcjia_opt.base.errors import ClaimFalse, Doubt, InfeasibleError, InputError
from dmcjia_opt.bounds.proof.checking import check_proof
from dmcjia_opt.bounds.proof.document import load_proof
from dmcjia_opt.cli.show import show_checks, show_plan
from dmcjia_opt.cli.show_network import show_profile
from dmcjia_opt.cli.show_simulation import show_simulation
from dmcjia_opt.model.networks.matching import match
from dmcjia_opt.model.networks.measured import load_times
from dmcjia_opt.model.networks.profile import LayerProfile, load_profile
from dmcjia_opt.model.networks.reading import read_profile
from dmcjia_opt.model.networks.recorded import read_recorded
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.loading import load_scenario
from dmcjia_opt.model.scenario.scenario import Scenario
from dmcjia_opt.solving.contract import Stop
from dmcjia_opt.solving.plan import load_plan
from dmcjia_opt.solving.solve import solve
from dmcjia_opt.solving.verifying import verify
from dmcjia_opt.studies.network.delays import delay_along_cuts
from dmcjia_opt.studies.plan.subject import subject_of_file
from dmcjia_opt.studies.simulation.fleet import simulate
from tests.inputs import onnx_files
from tests.inputs.formats_of_studies import (
    use_folder,
    use_links,
    use_manifest,
    use_problem,
    use_trace,
    write_folder,
    write_links,
    write_manifest,
    write_problem,
    write_trace,
)
from tests.inputs.made import Format, as_json, maybe_damaged, planned, toml
from tests.inputs.mutations import damaged, mutated, renumbered, scalar
from tests.studies.network.nodes import on_a_node

_PROFILE = {
    "name": "tiny",
    "input_bytes": 602112.0,
    "parameters": 1000,
    "source": "by hand",
    "layers": [
        {"name": "conv1", "macs": 1e8, "output_bytes": 3e5, "tensors": 1},
        {"name": "conv2", "macs": 3e8, "output_bytes": 1e5, "tensors": 1},
        {"name": "fc", "macs": 1e7, "output_bytes": 4000.0, "tensors": 1},
    ],
}
_TIMES = (
    "device,model,layer,seconds\npi,tiny,conv1,0.01\npi,tiny,conv2,0.03\npi,tiny,fc,0.001\nserver,tiny,conv1,0.001\n"
    "server,tiny,conv2,0.003\nserver,tiny,fc,0.0001\n"
)
_SCENARIO = {
    "name": "example",
    "cloud": {"compute_gflops": 400.0, "device": "server"},
    "options": {
        "delay": "mg1",
        "service_scv": 0.5,
        "ordering": "stability",
        "average": "nodes",
        "flops_per_mac": 2.0,
    },
    "profiles": {"times_file": "times.csv", "cuts": "layers"},
    "nodes": [
        {"name": "a", "model": "tiny.json", "compute_gflops": 5.0, "uplink_mbps": 8.0, "arrival_rate": 1.0},
        {
            "name": "b",
            "model": "tiny.json",
            "compute_gflops": 2.0,
            "uplink_mbps": 9.5,
            "arrival_rate": 0.5,
            "input_bytes": 784,
            "device": "pi",
        },
        {"name": "c", "model": "tiny.json", "compute_gflops": 7.0, "uplink_mbps": 3.0, "arrival_rate": 2.0},
    ],
}
_CURVES = ("md1", "mm1", "mg1", "tandem")


def _beside(folder: Path) -> None:
    (folder / "tiny.json").write_text(json.dumps(_PROFILE), encoding="utf-8")
    (folder / "times.csv").write_text(_TIMES, encoding="utf-8")


def solved(scenario: Scenario) -> None:
    """Plan a scenario; what comes out must be a feasible plan of finite numbers."""
    problem = compile_problem(scenario)
    assert not np.isnan(problem.fixed_delay).any()
    for placer in ("greedy+", "exact"):
        plan = solve(scenario, placer, stop=Stop(seconds=2.0))
        assert 0 <= plan.objective < math.inf
        assert plan.lower_bound <= plan.objective
        assert plan.gap >= 0
        assert plan.shares.min() >= 0
        assert plan.shares.sum() <= 1 + 1e-9
        assert np.isfinite(plan.delays.total).all()
        assert problem.residuals(plan.splits, plan.shares).feasible
        with redirect_stdout(io.StringIO()):
            show_plan(plan, scenario)
    json.dumps(plan.to_dict(), allow_nan=False).encode()


# scenario, TOML


def _scenario_document(rng: np.random.Generator):
    document = json.loads(json.dumps(_SCENARIO))
    document["options"]["delay"] = str(rng.choice(_CURVES))
    if document["options"]["delay"] != "mg1":
        del document["options"]["service_scv"]
    if rng.random() < 0.5:
        del document["cloud"]["device"], document["profiles"], document["nodes"][1]["device"]
        for node in document["nodes"]:
            node["model"] = str(rng.choice(["resnet34", "tiny.json", "alexnet"]))
    if rng.random() < 0.3:
        document["options"]["ordering"] = "cloud-faster"
    if rng.random() < 0.3:
        document["options"]["average"] = "tasks"
    if document["options"]["delay"] == "tandem" and rng.random() < 0.5:
        document["options"]["uplink"] = "queue"
    return document


def _write_scenario(folder: Path, rng: np.random.Generator, change=mutated) -> None:
    _beside(folder)
    document = _scenario_document(rng)
    while True:
        try:
            content = toml(change(document, rng))
            break
        except (TypeError, AttributeError, ValueError, RecursionError):
            continue  # TOML has no null, and a document is a table
    (folder / "s.toml").write_bytes(maybe_damaged(content, rng, change))


_SCALES = (1e-30, 1e-29, 1e-20, 1e-10, 1e-5, 1e-2, 1.0, 1e2, 1e5, 1e10, 1e20, 1e29, 1e30)


def _write_extreme(folder: Path, rng: np.random.Generator) -> None:
    """Write a scenario of numbers that are in range, each for itself, and absurd together."""
    document = _scenario_document(rng)
    for node in document["nodes"]:
        for key in ("compute_gflops", "uplink_mbps", "arrival_rate", "input_bytes"):
            if rng.random() < 0.4:
                node[key] = float(rng.choice(_SCALES))
    if rng.random() < 0.5:
        document["cloud"]["compute_gflops"] = float(rng.choice(_SCALES))
    for key in ("service_scv", "flops_per_mac"):
        if rng.random() < 0.2 and key in document["options"]:
            document["options"][key] = float(rng.choice(_SCALES))
    profile = json.loads(json.dumps(_PROFILE))
    for layer in profile["layers"]:
        for key in ("macs", "output_bytes"):
            if rng.random() < 0.3:
                layer[key] = float(rng.choice((0.0, 5e-324, 1e-300, *_SCALES)))
    (folder / "tiny.json").write_bytes(as_json(profile))
    times = _TIMES
    if rng.random() < 0.3:
        times = times.replace("0.03", str(rng.choice(_SCALES))).replace("0.003", str(rng.choice((5e-324, *_SCALES))))
    (folder / "times.csv").write_text(times, encoding="utf-8")
    (folder / "s.toml").write_bytes(toml(document))


def _use_scenario(folder: Path) -> None:
    solved(load_scenario(folder / "s.toml"))


# node tables

_ROWS = [
    {key: value for key, value in node.items() if key != "device"} | {"device": device}
    for node, device in zip(_SCENARIO["nodes"], ("", "pi", ""), strict=True)
]


def _write_csv(folder: Path, rng: np.random.Generator, change=mutated) -> None:
    _beside(folder)
    _refers(folder, "n.csv")
    rows = change(_ROWS, rng)
    rows = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else _ROWS
    frame = pd.DataFrame(rows, dtype=object)
    text = frame.to_csv(index=bool(rng.random() < 0.05))
    (folder / "n.csv").write_bytes(maybe_damaged(text.encode("utf-8", "surrogatepass"), rng, change, 0.4))


def _column(values: list, rng: np.random.Generator):
    kind = rng.integers(16)
    n = len(values)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind == 0:
            return pa.array([[v] for v in values])
        if kind == 1:
            return pa.array([{"x": v} for v in values])
        if kind == 2:
            return pa.nulls(n)
        if kind == 3:
            return pa.array([True] * n)
        if kind == 4:
            return pa.array([b"\xff\xfe"] * n)
        if kind == 5:
            return pa.array([1] * n, pa.timestamp("ns"))
        if kind == 6:
            return pa.array([str(v) for v in values]).dictionary_encode()
        if kind == 7:
            return pa.array([1] * n, pa.duration("s"))
        if kind == 8:
            return pa.array([1] * n).cast(pa.decimal128(30, 2))
        if kind == 9:
            return pa.array([str(v) for v in values])
        if kind == 10:
            return pa.array([float(rng.choice(_SCALES)) for _ in values])
        if kind == 11:
            return pa.array([2**63 - 1] * n)
        if kind == 12:
            return pa.array([1] * n, pa.uint8())
        if kind == 13:
            return pa.array([{}] * n, pa.map_(pa.string(), pa.int64()))
        if kind == 14:
            return pa.array(np.array([1.5] * n, dtype=np.float16))
    return pa.array([str(scalar(rng)).encode("utf-8", "replace").decode() for _ in values])


def _float(value):
    """Return a number as a float, as a column of a table holds it; everything else as it is."""
    try:
        return float(value) if isinstance(value, int | float) else value
    except OverflowError:
        return math.inf


def _write_parquet(folder: Path, rng: np.random.Generator, change=mutated) -> None:
    _beside(folder)
    _refers(folder, "n.parquet")
    if change is renumbered:
        rows = [{key: _float(value) for key, value in row.items()} for row in change(_ROWS, rng)]
        table = pa.table({key: pa.array([row.get(key) for row in rows]) for key in _SCENARIO["nodes"][1]})
        pa.parquet.write_table(table, folder / "n.parquet")
        return
    columns = {key: pa.array([row.get(key) for row in _ROWS]) for key in _SCENARIO["nodes"][1]}
    for key in list(columns):
        if rng.random() < 0.15:
            columns[key] = _column(columns[key].to_pylist(), rng)
        if rng.random() < 0.03:
            del columns[key]
    if rng.random() < 0.05:
        columns[str(scalar(rng)).encode("utf-8", "replace").decode()] = pa.array([1] * len(_ROWS))
    names = list(columns)
    table = pa.table(list(columns.values()), names=names)
    if rng.random() < 0.05:
        table = pa.table([*table.columns, table.column(0)], names=[*names, names[0]])
    if rng.random() < 0.05:
        table = table.slice(0, int(rng.integers(0, 2)))
    if rng.random() < 0.05:
        table = table.replace_schema_metadata({b"pandas": bytes(rng.integers(0, 256, 20, dtype=np.uint8))})
    buffer = io.BytesIO()
    pa.parquet.write_table(table, buffer, compression=str(rng.choice(["none", "snappy", "zstd", "gzip"])))
    content = buffer.getvalue()
    for _ in range(int(rng.integers(0, 4)) if rng.random() < 0.5 else 0):
        content = damaged(content, rng)
    (folder / "n.parquet").write_bytes(content)


def _refers(folder: Path, nodes_file: str) -> None:
    document = {key: value for key, value in _SCENARIO.items() if key != "nodes"}
    (folder / "s.toml").write_bytes(toml({"nodes_file": nodes_file, **document}))


# profile and measured times


def _write_profile(folder: Path, rng: np.random.Generator, change=mutated) -> None:
    (folder / "p.json").write_bytes(maybe_damaged(as_json(change(_PROFILE, rng)), rng, change))


def _use_profile(folder: Path) -> None:
    profile = load_profile(folder / "p.json")
    check_profile(profile, folder)


def check_profile(profile: LayerProfile, folder: Path) -> None:
    """Write a profile and read it back, show it, and plan one node that runs it."""
    assert np.isfinite(profile.work).all()
    assert np.isfinite(profile.upload_bytes).all()
    profile.save(folder / "again.json")
    again = load_profile(folder / "again.json")
    assert again.to_dict() == profile.to_dict()
    lone = on_a_node(profile)
    delays = delay_along_cuts(lone)
    assert not np.isnan(delays.total).any()
    lone.save(folder / "one.toml")
    assert load_scenario(folder / "one.toml").sha256() == lone.sha256()
    solved(lone)


def _write_times(folder: Path, rng: np.random.Generator, change=mutated) -> None:
    _beside(folder)
    (folder / "s.toml").write_bytes(toml(_SCENARIO))
    rows = [line.split(",") for line in _TIMES.splitlines()]
    rows = change(rows, rng)
    rows = rows if isinstance(rows, list) else [[rows]]
    text = "\n".join(",".join(map(str, row)) if isinstance(row, list) else str(row) for row in rows) + "\n"
    (folder / "times.csv").write_bytes(maybe_damaged(text.encode("utf-8", "surrogatepass"), rng, change, 0.4))


def _use_times(folder: Path) -> None:
    times = load_times(folder / "times.csv")
    times.save(folder / "again.csv")
    assert load_times(folder / "again.csv").seconds == times.seconds
    _use_scenario(folder)


_RECORDED = (
    [
        {"count": 9},
        *({"name": name, "timeMs": 9 * ms, "averageMs": ms} for name, ms in (("conv1 + relu", 2.0), ("conv2", 4.0))),
        {"name": "fc", "timeMs": 9.0, "percentage": 10},
        {"name": "Reformatting CopyNode for Input Tensor 0 to fc", "averageMs": 0.5},
    ],
    [
        {"cat": "Session", "name": "model_run", "ts": 0, "dur": 99, "args": {}},
        *(
            {
                "cat": "Node",
                "name": f"{name}_kernel_time",
                "ts": 10 * k,
                "dur": 9,
                "tid": 1,
                "args": {"op_name": "Conv"},
            }
            for k, name in enumerate(("conv1", "conv2", "fc", "ReorderOutput"))
        ),
    ],
)
_TABLE = [["device", "layer", "mean_ms"], ["pi", "conv1", 1.5], ["pi", "conv2", 2.0], ["pi", "fc", 0.25]]


def _write_recorded(folder: Path, rng: np.random.Generator, change=mutated) -> None:
    _beside(folder)
    which = int(rng.integers(3))
    if which < 2:
        (folder / "recorded.json").write_bytes(maybe_damaged(as_json(change(_RECORDED[which], rng)), rng, change, 0.4))
        return
    rows = change(_TABLE, rng)
    rows = rows if isinstance(rows, list) else [[rows]]
    text = "\n".join(",".join(map(str, row)) if isinstance(row, list) else str(row) for row in rows) + "\n"
    (folder / "recorded.csv").write_bytes(maybe_damaged(text.encode("utf-8", "surrogatepass"), rng, change, 0.4))


def _use_recorded(folder: Path) -> None:
    (path,) = folder.glob("recorded.*")
    profiled = read_profile(str(folder / "tiny.json"))
    found = match(read_recorded(path, "pi", "tiny"), profiled, "pi")
    assert np.isfinite(found.times.of("pi", profiled.profile)).all()
    found.times.save(folder / "again.csv")
    assert load_times(folder / "again.csv").seconds == found.times.seconds


# plan and proof


def _write_planned(folder: Path, rng: np.random.Generator, change=mutated, *, which: str) -> None:
    for name, content in planned().items():
        (folder / name).write_bytes(content)
    document = json.loads(planned()[which])
    (folder / which).write_bytes(maybe_damaged(as_json(change(document, rng)), rng, change))


def _use_plan(folder: Path) -> None:
    scenario = load_scenario(folder / "s.toml")
    claims = load_plan(folder / "plan.json")
    checks = verify(scenario, claims)
    assert all(isinstance(check.true, bool | np.bool_) for check in checks)
    simulation = simulate(scenario, claims, tasks=400)
    with redirect_stdout(io.StringIO()):
        show_checks(checks)
        show_simulation(simulation, "title", 0.95, by_node=True)
    subject_of_file(scenario, claims, "s.toml")
    assert np.isfinite(simulation.mean_delay)


def _use_proof(folder: Path) -> None:
    scenario = load_scenario(folder / "s.toml")
    proof = load_proof(folder / "proof.json")
    plan = load_plan(folder / "plan.json")
    bound = check_proof(compile_problem(scenario), proof)
    assert bound <= plan.objective_s * (1 + 1e-9), "a mutated proof proves what is false"
    verify(scenario, plan, proof)


def _write_onnx(folder: Path, rng: np.random.Generator, change=mutated) -> None:
    (folder / "net.onnx").write_bytes(onnx_files.content(rng) if change is mutated else onnx_files.renumbered(rng))


def _use_onnx(folder: Path) -> None:
    for cuts in ("layers", "all", "graph"):
        profile = LayerProfile.from_onnx(folder / "net.onnx", cuts=cuts)
        profile.save(folder / "again.json")
        assert load_profile(folder / "again.json").to_dict() == profile.to_dict()
        delays = delay_along_cuts(on_a_node(profile))
        assert not np.isnan(delays.total).any()
    with redirect_stdout(io.StringIO()):
        show_profile(read_profile(str(folder / "net.onnx")))


def refusal(kind: Format, folder: Path) -> Exception | None:
    """Use a file; return what refused it, None if nothing did, and let any other error through."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Doubt)
            kind.use(folder)
    except (InputError, InfeasibleError, ClaimFalse) as error:
        sentence = str(error)
        assert sentence
        assert sentence.isprintable(), repr(sentence)
        assert len(sentence) <= 2000, len(sentence)
        assert "Traceback" not in sentence
        return error
    return None


_KINDS: Mapping[str, Format] = {
    "scenario": Format(_write_scenario, _use_scenario),
    "extreme": Format(_write_extreme, _use_scenario),
    "nodes.csv": Format(_write_csv, _use_scenario),
    "nodes.parquet": Format(_write_parquet, _use_scenario),
    "profile": Format(_write_profile, _use_profile),
    "times": Format(_write_times, _use_times),
    "recorded": Format(_write_recorded, _use_recorded),
    "plan": Format(partial(_write_planned, which="plan.json"), _use_plan),
    "proof": Format(partial(_write_planned, which="proof.json"), _use_proof),
    "manifest": Format(write_manifest, use_manifest),
    "problem": Format(write_problem, use_problem),
    "trace": Format(write_trace, use_trace),
    "links": Format(write_links, use_links),
    "onnx": Format(_write_onnx, _use_onnx),
    "bench": Format(write_folder, use_folder),
}
#: Every kind, with its structure and its bytes changed, and with nothing but its numbers.
FORMATS: Mapping[str, Format] = _KINDS | {
    f"numbers of {name}": Format(partial(kind.write, change=renumbered), kind.use)
    for name, kind in _KINDS.items()
    if name != "extreme"
}
