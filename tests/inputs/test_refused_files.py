"""Files that once made a traceback, a hang, a crash or a plan from nonsense: the smallest that did."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import re
import warnings

import numpy as np
import psutil
import pyarrow as pa
import pytest
from onnx import TensorProto, helper
from pyarrow import parquet

from dmcjia_opt.base import limits
from dmcjia_opt.base.errors import InfeasibleError, InputError
from dmcjia_opt.bounds.proof.document import load_proof
from dmcjia_opt.model.networks.measured import load_times
from dmcjia_opt.model.networks.profile import LayerProfile, load_profile
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.model.scenario.loading import load_scenario
from dmcjia_opt.model.scenario.node_files import read_nodes
from dmcjia_opt.model.scenario.nodes import NodeTable
from dmcjia_opt.model.scenario.scenario import Scenario
from dmcjia_opt.solving.plan import load_plan
from dmcjia_opt.solving.verifying import verify
from dmcjia_opt.studies.bench.folder import open_folder, read_rows
from dmcjia_opt.studies.bench.results import load
from dmcjia_opt.studies.simulation.arrivals import load_trace
from dmcjia_opt.studies.simulation.fleet import simulate
from tests.inputs.formats_of_studies import bench_rows
from tests.inputs.made import planned
from tests.inputs.onnx_files import exploding, nested, with_subgraphs
from tests.model.networks.onnx_models import Builder, residual_block
from tests.waiting import ends

HEADER = "name,model,compute_gflops,uplink_mbps,arrival_rate\n"
PROFILE = {"name": "net", "input_bytes": 8.0, "layers": [{"name": "a", "macs": 1e9, "output_bytes": 4.0}]}
READERS = {
    "s.toml": load_scenario,
    "n.csv": read_nodes,
    "n.parquet": read_nodes,
    "p.json": load_profile,
    "times.csv": load_times,
    "plan.json": load_plan,
    "proof.json": load_proof,
    "trace.csv": load_trace,
    "net.onnx": LayerProfile.from_onnx,
    "rows.jsonl": lambda path: read_rows(path.parent),
}


def refused(read, path, *parts, content=None):
    """Read a file; it must be refused with a sentence that has every part, and none of a hole or a device be read."""
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    before = psutil.Process().io_counters().read_chars
    with ends(), pytest.raises(InputError) as caught:
        read(path)
    assert psutil.Process().io_counters().read_chars - before < 200_000_000  # among them modules, at the first call
    sentence = str(caught.value)
    assert sentence.isprintable()
    assert len(sentence) < 2000
    for part in parts:
        assert part in sentence
    return sentence


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("a = " + "[" * 5000, "nested too deeply"),
        ("a = " + "{a = " * 5000, "nested too deeply"),
        ("a" + ".a" * 100_000 + " = 1\n", "more than 100 parts"),
        ("name = " + "1" * 5000 + "\n", "not valid TOML"),
        ('name = "' + "x" * 1_000_000 + '"\n', "at most 1,000 characters"),
        ('name = "a\\u0000"\n', "control characters"),
        ('name = "a\\u202Eb"\n', "control characters"),
        ("".join(f"k{k} = 1\n" for k in range(2000)), "and 1,988 more problems"),
        ("x" * 5000 + " = 1\n", "unknown key"),
        ("\ud800 = 1\n", "not TOML in UTF-8"),
    ],
)
def test_scenarios(content, part, tmp_path):
    refused(load_scenario, tmp_path / "s.toml", "s.toml", part, content=content)


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (HEADER + "a,resnet34,1_0,8,1\n", '"1_0"'),
        (HEADER + "a,resnet34,१,8,1\n", "must hold numbers"),
        (HEADER + "a,resnet34,True,8,1\n", '"True"'),
        (HEADER + "a,resnet34,0x10,8,1\n", '"0x10"'),
        (HEADER + '"a\x1b[31m",resnet34,5,8,1\n', "control characters"),
        (HEADER + f"{'x' * 1001},resnet34,5,8,1\n", "at most 1,000 characters"),
        ("," * 3_000_000, "a line has more than 1,000,000 bytes"),
        (HEADER + "\x81", "not readable as CSV"),
        (HEADER.encode("utf-16"), "not readable as CSV: in UTF-16"),
        (HEADER + "a,resnet34,1e-31,8,1\n", "between 1e-30 and 1e+30"),
        (HEADER.replace("\n", ",input_bytes\n") + "a,resnet34,5,8,1,5e-324\n", "0 or between 1e-30 and 1e+30"),
    ],
)
def test_node_tables_in_csv(content, part, tmp_path):
    content = content.encode("latin-1") if isinstance(content, str) and content.endswith("\x81") else content
    refused(read_nodes, tmp_path / "n.csv", part, content=content)


def fleet(n, **columns):
    numbers = {key: [1.0] * n for key in ("compute_gflops", "uplink_mbps", "arrival_rate")}
    return pa.table({"name": [f"n{k}" for k in range(n)], "model": ["resnet34"] * n} | numbers | columns)


@pytest.mark.parametrize(
    ("columns", "part"),
    [
        ({"compute_gflops": ["5.0", "6.0"]}, "compute_gflops must hold numbers"),
        ({"compute_gflops": [[5.0], [6.0]]}, "compute_gflops must hold numbers"),
        ({"arrival_rate": pa.array([1, 2], pa.timestamp("ns"))}, "not timestamp"),
        ({"arrival_rate": [True, False]}, "not bool"),
        ({"name": pa.array([b"a", b"b"])}, "name must hold text"),
        ({"name": ["a", "a"]}, '"a" is used twice'),
        ({"model": ["resnet34", None]}, "row 2 has no model"),
        ({"device": [1, 2]}, "device must hold text"),
    ],
)
def test_node_tables_in_parquet(columns, part, tmp_path):
    parquet.write_table(fleet(2, **columns), tmp_path / "n.parquet")
    refused(read_nodes, tmp_path / "n.parquet", part)


def test_a_parquet_that_unpacks_to_terabytes_is_refused_in_a_second(tmp_path):
    n = 500_000
    same = pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, dtype=np.int32)), ["x" * 900_000])
    parquet.write_table(fleet(n, name=same), tmp_path / "n.parquet", compression="zstd")
    assert (tmp_path / "n.parquet").stat().st_size < 5_000_000
    refused(read_nodes, tmp_path / "n.parquet", "is used twice")
    parquet.write_table(fleet(n, model=same), tmp_path / "n.parquet", compression="zstd")
    refused(read_nodes, tmp_path / "n.parquet", "the model", "at most 1,000 characters, not 900,000")


def test_tables_of_too_many_rows_are_refused_unread(tmp_path):
    nothing = {key: pa.nulls(limits.MOST_NODES + 1) for key in HEADER.strip().split(",")}
    parquet.write_table(pa.table(nothing), tmp_path / "n.parquet")
    refused(read_nodes, tmp_path / "n.parquet", "10,000,001 nodes are refused", "10,000,000")


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"layers": [{"name": "a", "macs": 5e-324, "output_bytes": 1.0}]}, "between 1e-30 and 1e+30"),
        ({"parameters": 10**400}, "parameters"),
        ({"name": ""}, '"name"'),
        ({"name": "a\nb"}, "control characters"),
        ({"a\nb": 1}, "unknown key"),
        ({"layers": [1] * 70_000}, "layers[0]"),
        ({"layers": PROFILE["layers"] * (limits.MOST_LAYERS + 1)}, "65535 items"),
    ],
)
def test_profiles(change, part, tmp_path):
    refused(load_profile, tmp_path / "p.json", part, content=json.dumps(PROFILE | change))


def test_lists_are_not_read_on_after_their_first_mistake(tmp_path):
    wrong = "[" + "{}," * 300_000 + "{}]"
    plan = '{"splits": ' + wrong + ', "shares": ' + wrong + ', "nodes": ' + wrong + "}"
    proof, profile = '{"tree": ' + wrong + "}", '{"layers": ' + wrong + "}"
    for read, content in ((load_plan, plan), (load_proof, proof), (load_profile, profile)):
        sentence = refused(read, tmp_path / "wrong.json", content=content)
        more = re.search(r"and (\d+) more problems", sentence)
        assert sentence.count(";") + (int(more[1]) if more else 0) < 40


@pytest.mark.parametrize("value", [1.1e100, -1e308, 1.7e308])
@pytest.mark.parametrize("key", ["objective_s", "lower_bound_s", "gap", "gap_tolerance", "price_s", "wall_s"])
def test_no_number_of_a_plan_overflows_who_checks_it(key, value, tmp_path):
    plan = json.loads(planned()["plan.json"]) | {key: value}
    refused(load_plan, tmp_path / "plan.json", f'"{key}"', "between -1e+100 and 1e+100", content=json.dumps(plan))


def test_shares_and_times_at_the_ends_of_their_range_make_no_warning(tmp_path):
    """Each was one: a share of 5e-324 that carries work, and arrivals 1e308 s apart, back and forth."""
    for name, content in planned().items():
        (tmp_path / name).write_bytes(content)
    scenario, plan = load_scenario(tmp_path / "s.toml"), json.loads(planned()["plan.json"])
    busy = next(k for k, share in enumerate(plan["shares"]) if share > 0)
    for share in (5e-324, 1e-305, 1e-100):
        shares = [*plan["shares"][:busy], share, *plan["shares"][busy + 1 :]]
        (tmp_path / "plan.json").write_text(json.dumps(plan | {"shares": shares}), encoding="utf-8")
        claims = load_plan(tmp_path / "plan.json")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert next(check.what for check in verify(scenario, claims) if not check.true) == "feasible"
            with pytest.raises(InfeasibleError, match="its queue grows without end"):
                simulate(scenario, claims, tasks=400)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        refused(
            load_trace,
            tmp_path / "trace.csv",
            "line 2: time_s must be 0 or between 1e-30 and 1e+30",
            content="0\n1.7e308\n-1.7e308\n",
        )


def test_a_proof_that_overflowed_its_checker_is_refused(tmp_path):
    proof = json.loads(planned()["proof.json"])
    leaf = {"price": 0, "charges_s": [[0, -1e308]]}
    content = json.dumps(proof | {"tree": [leaf]})
    refused(load_proof, tmp_path / "proof.json", '"tree[0].charges_s[0][1]"', "got -1e+308", content=content)


@pytest.mark.parametrize("cell", ["1_0", "nan", "१", "1e400", "-1", "5e-324", "0x1", ""])
def test_measured_times_are_numbers(cell, tmp_path):
    content = f"device,model,layer,seconds\npi,net,a,{cell}\n"
    refused(load_times, tmp_path / "times.csv", "line 2", content=content)


@pytest.mark.parametrize("cell", ["1_0", "nan", "inf", "१", "1e400", '"', "\x00", "time_s"])
def test_arrival_times_are_numbers(cell, tmp_path):
    refused(load_trace, tmp_path / "trace.csv", content=f"0.5\n1\n{cell}\n")


def _model(change):
    model = residual_block().model()
    change(model)
    return model


def _weight(*dims):
    def change(model):
        del model.graph.initializer[0].dims[:]
        model.graph.initializer[0].dims.extend(dims)

    return _model(change)


def _of_functions(change):
    model = with_subgraphs()
    change(model.functions)
    return model


def _huge(*shape):
    b = Builder()
    b.input("x", shape)
    b.add("MatMul", ["x", "x"], "y")
    b.output("y")
    return b.model()


def _recursive():
    model = exploding(1)
    model.functions[0].node[0].domain, model.functions[0].node[0].op_type = "own", "F0"
    return model


def _size_of_everything():
    b = Builder()
    b.input("x", [2**62, 2**62])
    b.add("Size", ["x"], "n")
    b.add("Reshape", ["x", "n"], "r")
    b.add("MatMul", ["r", "r"], "y")
    b.output("y")
    return b.model()


ONNX = {
    "an operator of more outputs than it has": (
        lambda: _model(lambda m: m.graph.node[0].output.append("more")),
        "do not fit",
    ),
    "an operator set of the far future": (
        lambda: _model(lambda m: setattr(m.opset_import[0], "version", 2**31)),
        "no version 2147483648",
    ),
    "a format of the far future": (lambda: _model(lambda m: setattr(m, "ir_version", 2**40)), "there is no version"),
    "a type that does not exist": (
        lambda: _model(lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", 2**31 - 1)),
        "Invalid tensor data type",
    ),
    "a name that is no text": (
        lambda: residual_block().model().SerializeToString().replace(b"GlobalAveragePool", b"GlobalAveragePoo\xff"),
        "no text in UTF-8",
    ),
    "a weight of negative size": (lambda: _weight(8, -4, 3, 3), "has a size of -4"),
    "a weight of a thousand dimensions": (lambda: _weight(*[2**40] * 1000), "1,000 dimensions"),
    "a weight of 10^55 elements": (lambda: _weight(8, 2**62, 2**62, 2**62), "stem"),
    "an input of 10^37 elements": (lambda: _huge(2**62, 2**62), "elements"),
    "a product of 10^45 MACs": (lambda: _huge(2**49, 2**49), "more than 1e+30 MACs"),
    "a size beyond 64 bits": (_size_of_everything, "too many to be true"),
    "functions of one name": (lambda: _of_functions(lambda f: f.add().CopyFrom(f[0])), "cannot be inlined"),
    "a function that lacks its inputs": (lambda: _of_functions(lambda f: f[0].ClearField("input")), "inlined"),
    "a function that calls itself": (_recursive, "more than 100 deep"),
    "functions that explode": (lambda: exploding(40), "1,099,511,627,776 operators"),
    "functions that call each other very deep": (lambda: exploding(150), "more than 100 deep"),
    "graphs in graphs": (lambda: nested(30), ""),
    "graphs in graphs beyond what protobuf reads": (lambda: nested(500), "cannot be parsed"),
    "a control character in the name of a layer": (
        lambda: _model(lambda m: setattr(m.graph.node[0], "name", "a\x1b[31m")),
        "control characters",
    ),
}


@pytest.mark.parametrize("name", ONNX)
def test_onnx_files(name, tmp_path):
    make, part = ONNX[name]
    model = make()
    content = model if isinstance(model, bytes) else model.SerializeToString()
    refused(LayerProfile.from_onnx, tmp_path / "net.onnx", part, content=content)


def test_a_constant_in_another_file_is_never_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.bin").write_bytes(np.array([2, 2], dtype=np.int64).tobytes())
    value = TensorProto(data_type=TensorProto.INT64, dims=[2], data_location=TensorProto.EXTERNAL)
    value.external_data.add(key="location", value="w.bin")
    b = Builder()
    b.input("x", [1, 4])
    b.nodes.append(helper.make_node("Constant", [], ["to"], value=value))
    b.add("Cast", ["to"], "shape", to=TensorProto.INT64)
    b.add("Reshape", ["x", "shape"], "r")
    b.add("MatMul", ["r", "r"], "y")
    b.output("y")
    refused(LayerProfile.from_onnx, b.save(tmp_path / "net.onnx"), "net.onnx")


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"key": {}}, '"key"'),
        ({"n_nodes": "5"}, '"n_nodes"'),
        ({"n_nodes": 0}, '"n_nodes"'),
        ({"seed": 10**400}, "line 1"),
        ({"kind": "neither"}, '"kind"'),
        ({"outcome": "won"}, '"outcome"'),
        ({"versions": ["numpy"]}, '"versions"'),
        ({"trace": [[1]]}, '"trace[0]'),
        ({"trace": [[10**400, 1.0, 1.0, 1.0]]}, "line 1"),
        ({"objective_s": "0.5"}, '"objective_s"'),
        ({"gap": float("nan")}, "line 1"),
        ({"wall_seconds": -1.0}, '"wall_seconds"'),
        ({"correct": "yes"}, '"correct"'),
    ],
)
def test_rows_of_a_benchmark(change, part, tmp_path):
    rows = bench_rows()
    rows[0] |= change
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    before = (tmp_path / "rows.jsonl").read_bytes()
    for read in (read_rows, load, lambda path: open_folder(path, "smoke", resume=True).__enter__()):
        refused(read, tmp_path, "rows.jsonl", "line 1", part)
    assert (tmp_path / "rows.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    "content",
    ["[" * 5000, "[]", '{"versions": "2"}', '{"suite": {}}', '{"command": [1]}', "\xff", '{"suite": "\\ud800"}'],
)
def test_descriptions_of_a_run(content, tmp_path):
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in bench_rows()), encoding="utf-8")
    (tmp_path / "run.json").write_bytes(content.encode("latin-1"))
    refused(load, tmp_path, "run.json")
    refused(lambda path: open_folder(path, "smoke", resume=True).__enter__(), tmp_path, "run.json")


@pytest.mark.parametrize("name", READERS)
def test_what_is_no_file_is_refused_at_once(name, tmp_path):
    os.mkfifo(tmp_path / name)
    refused(READERS[name], tmp_path / name, "a pipe or a device is no file")
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to("/dev/zero")
    refused(READERS[name], tmp_path / name, "a pipe or a device is no file")
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to(tmp_path / name)
    refused(READERS[name], tmp_path / name, name)


@pytest.mark.parametrize("name", READERS)
def test_files_beyond_their_limit_are_refused_unread(name, tmp_path):
    with (tmp_path / name).open("wb") as stream:
        os.truncate(stream.fileno(), 3 << 30)  # a hole: no disk is used
    refused(READERS[name], tmp_path / name, "3,221,225,472 bytes is refused")


def test_a_file_that_fills_a_quarter_of_the_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "memory_bytes", lambda: 4000)
    refused(load_plan, tmp_path / "plan.json", "1,001 bytes", "the most on this machine is 1,000", content=b" " * 1001)


def test_tables_that_do_not_fit_the_memory_are_refused(monkeypatch):
    monkeypatch.setattr(limits, "memory_bytes", lambda: 1_000_000)
    with pytest.raises(InputError, match=r"1,000 nodes × 35 splits with tables of 281,120 bytes is refused.*250,000"):
        compile_problem(generate("paper", nodes=1000, seed=1))
    assert compile_problem(generate("paper", nodes=100, seed=1)).n_nodes == 100


def test_a_fleet_of_too_many_nodes_is_refused(monkeypatch):
    monkeypatch.setattr("dmcjia_opt.model.scenario.nodes.MOST_NODES", 2)
    with pytest.raises(InputError, match=r"3 nodes are refused; the most is 2"):
        generate("paper", nodes=3, seed=1)


def test_a_share_of_minus_zero_is_none(tmp_path):
    for name, content in planned().items():
        (tmp_path / name).write_bytes(content)
    plan = json.loads(planned()["plan.json"])
    for zero in (0.0, -0.0):
        (tmp_path / "plan.json").write_text(
            json.dumps(plan | {"shares": [zero, *plan["shares"][1:]]}), encoding="utf-8"
        )
        with pytest.raises(InfeasibleError, match="has work and no share"):
            simulate(load_scenario(tmp_path / "s.toml"), load_plan(tmp_path / "plan.json"), tasks=400)


class Payload:
    """What a pickle may do to whoever reads it."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("name", READERS)
def test_a_pickle_is_never_read(name, tmp_path):
    for protocol in (0, 4):
        (tmp_path / name).write_bytes(pickle.dumps(Payload(str(tmp_path / "read")), protocol=protocol) + b"\n")
        with contextlib.suppress(InputError):  # rows have none either: a last line that is torn is left out
            assert READERS[name](tmp_path / name) == []
        assert not (tmp_path / "read").exists()


def test_numbers_at_the_ends_of_their_ranges_are_planned_without_a_warning():
    table = {"names": ("a", "b"), "networks": ("net",), "network_index": [0, 0], "input_bytes": [1e30, 1e-30]}
    profile = LayerProfile("net", 1e30, ("a", "b"), [1e30, 1e-30], [1e-30, 1e30])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for compute in (1e-30, 1e30):
            for rate in (1e-30, 1e30):
                values = {"compute_gflops": [compute, 1.0], "uplink_mbps": [1e-30, 1e30], "arrival_rate": [rate, 1.0]}
                problem = compile_problem(Scenario(1e30, NodeTable(**table, **values), profiles={"net": profile}))
                assert not np.isnan(problem.fixed_delay).any()
                assert np.isfinite(problem.service[..., 0]).all()
