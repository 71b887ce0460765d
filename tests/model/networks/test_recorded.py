import json

import pytest

from dmcjia_opt.model.networks.recorded import RecordedRow, read_recorded
from tests.refusals import refused

TRTEXEC = [
    {"count": 200},
    {"name": "stem + entry", "timeMs": 400.0, "averageMs": 2.0, "medianMs": 1.9, "percentage": 40},
    {"name": "b", "timeMs": 100.0, "percentage": 10},
    {"name": "b", "timeMs": 50.0, "averageMs": 0.25, "percentage": 5},
]


def ran(name, start, lasts, kind="Conv", thread=1):
    """Return what onnxruntime records of an operator, with what it records beside."""
    more = {"pid": 7, "tid": thread, "ph": "X", "args": {"op_name": kind, "provider": "CPUExecutionProvider"}}
    return {"cat": "Node", "name": f"{name}_kernel_time", "ts": start, "dur": lasts, **more}


ONNXRUNTIME = [
    {"cat": "Session", "name": "session_initialization", "ts": 0, "dur": 999, "ph": "X", "args": {}},
    *(event for k, lasts in enumerate((900, 30, 40)) for event in (
        ran("stem", 1000 * k, lasts),
        {**ran("stem", 1000 * k, 1), "name": "stem_fence_before"},
        ran("loop", 1000 * k + 950, 40, "Loop"),
        ran("inside", 1000 * k + 960, 20, "MatMul"),
        ran("beside", 1000 * k + 960, 20, "MatMul", 2),
        ran("twice", 1000 * k + 991, 1, "Add"),
        ran("twice", 1000 * k + 993, 2 + k, "Add"),
        {"cat": "Session", "name": "model_run", "ts": 1000 * k, "dur": 999, "ph": "X", "args": {}},
    )),
]  # fmt: skip


def read(folder, content, name="t.csv", **how):
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return read_recorded(path, **how)


def seconds(recorded):
    return {row.name: row.seconds for row in recorded.rows}


def test_trtexec_gives_means_in_milliseconds(tmp_path):
    recorded = read(tmp_path, TRTEXEC, "t.json")
    assert recorded.by == "trtexec"
    assert seconds(recorded) == pytest.approx({"stem + entry": 2e-3, "b": 0.5e-3 + 0.25e-3})


@pytest.mark.parametrize("whole", [ONNXRUNTIME, {"traceEvents": ONNXRUNTIME}])
def test_onnxruntime_gives_medians_of_runs_without_what_runs_within(whole, tmp_path):
    recorded = read(tmp_path, whole, "t.json")
    assert recorded.by == "onnxruntime"
    assert {row.name: row.kind for row in recorded.rows} == {
        "stem": "Conv", "loop": "Loop", "beside": "MatMul", "twice": "Add"
    }  # fmt: skip
    assert seconds(recorded) == pytest.approx({"stem": 40e-6, "loop": 40e-6, "beside": 20e-6, "twice": 4e-6})


@pytest.mark.parametrize(
    ("header", "how", "scale"),
    [
        ("layer,seconds", {}, 1.0),
        ("Layer Name,Latency (ms)", {}, 1e-3),
        ("name,averageMs", {}, 1e-3),
        ("op,time_us", {}, 1e-6),
        ("node,duration [µs]", {}, 1e-6),
        ("layer,latency", {"unit": "ns"}, 1e-9),
        ("layer,time_ms", {"unit": "s"}, 1.0),
    ],
)
def test_tables_say_their_unit_or_are_told(header, how, scale, tmp_path):
    recorded = read(tmp_path, f"{header}\na,3\nb,0\n", **how)
    assert recorded.rows == (RecordedRow("a", 3 * scale), RecordedRow("b", 0.0))
    assert recorded.by == "t.csv"


def test_operators_that_take_no_time_are_there(tmp_path):
    events = [ran("a", 10, 5), ran("b", 15, 0), ran("within\n", 16, 2), ran("c", 15, 5)]
    assert seconds(read(tmp_path, events, "t.json")) == pytest.approx({"a": 5e-6, "b": 0.0, "c": 5e-6})


def test_of_a_published_table_the_rows_of_one_device_and_network_count(tmp_path):
    text = "idx;device;model;layer;macs;min_ms;mean_ms;total_ms\n" + "".join(
        f"{k};{device};{model};{layer};9;1;{k},5;99\n"
        for k, (device, model, layer) in enumerate(
            (device, model, layer) for device in ("TX2", "Nano") for model in ("m", "n") for layer in ("a", "b")
        )
    )
    assert seconds(read(tmp_path, text, device="Nano", network="m")) == pytest.approx({"a": 4.5e-3, "b": 5.5e-3})
    with pytest.raises(Exception, match='no row has "pi" in column device; it has TX2, Nano'):
        read(tmp_path, text, device="pi", network="m")
    one = "device,layer,ms\nTX2,a,1\nTX2,b,2\n"
    assert seconds(read(tmp_path, one, device="pi")) == pytest.approx({"a": 1e-3, "b": 2e-3})


def test_the_median_of_as_many_runs_of_every_layer_counts(tmp_path):
    assert seconds(read(tmp_path, "layer,ms\na,1\nb,4\na,9\nb,5\na,2\nb,6\n")) == pytest.approx({"a": 2e-3, "b": 5e-3})


@pytest.mark.parametrize(
    ("name", "content", "how", "parts"),
    [
        ("t.txt", "", {}, ["a .json file of trtexec or onnxruntime, or a .csv file"]),
        ("t.json", "[", {}, ["t.json", "invalid JSON"]),
        ("t.json", [], {}, ["no times of layers in it", "--exportProfile", "enable_profiling"]),
        ("t.json", {"Layers": [{"Name": "a"}]}, {}, ["no times of layers in it"]),
        ("t.json", {"traceEvents": 7}, {}, ["no times of layers in it"]),
        ("t.json", TRTEXEC, {"unit": "ms"}, ["only a .csv file needs to be told its column and unit"]),
        ("t.json", [{"averageMs": 1.0}], {}, ["entry 1 has times and no name"]),
        ("t.json", [{"name": "a", "timeMs": 1.0}], {}, ["entry 1 has no averageMs, and none says the count"]),
        ("t.json", [{"name": "a", "averageMs": "1"}], {}, ['"averageMs" of "a" must be a number from 0', "not '1'"]),
        ("t.json", [{"name": "a", "averageMs": -1}], {}, ['"averageMs" of "a" must be a number from 0']),
        ("t.json", [ran("a", 1, None)], {}, ['"dur" of "a" must be a number from 0 to 1e+15, not None']),
        ("t.json", [{**ran("a", 1, 1), "name": "a_fence_before"}], {}, ["no operator ran in it; record a run"]),
        ("t.json", [ran("a", True, 1)], {}, ['"ts" of "a" must be a number']),
        ("t.csv", "a,b\n1,2\n", {}, ["no column names the layers; call it layer (the columns are a, b)"]),
        ("t.csv", "layer,macs\na,2\n", {}, ["no column has times; choose it with --column"]),
        ("t.csv", "layer,time\na,2\n", {}, ['is "time" in s, ms or us? Say so with --unit']),
        ("t.csv", "layer,edge_ms,cloud_ms\na,2,1\n", {}, ["may be in edge_ms or cloud_ms; choose one with --column"]),
        ("t.csv", "layer,edge_ms\na,2\n", {"column": "edge"}, ['no column "edge"', "edge_ms"]),
        ("t.csv", "layer,ms\na,2\n", {"unit": "hours"}, ['unknown unit "hours"', "choose one of s, ms, us, ns"]),
        ("t.csv", "layer,ms\na,\n", {}, ["line 2: no ms; fill it in, or remove the row"]),
        ("t.csv", "layer,ms\n,1\n", {}, ["line 2: no layer; fill it in, or remove the row"]),
        ("t.csv", "layer,ms\na,quick\n", {}, ['line 2: ms must hold numbers, not "quick"']),
        ("t.csv", "layer,ms\na,1e20\n", {}, ['ms of "a" must be a number from 0 to 1e+18']),
        ("t.csv", "layer,ms\n", {}, ["the file has no times"]),
        ("t.csv", "layer,ms\na,1\na,2\nb,1\n", {}, ['layer "a" has 2 rows and "b" 1']),
    ],
)
def test_what_cannot_be_understood_is_told(name, content, how, parts, tmp_path):
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    refused(lambda path: read_recorded(path, **how), path, *parts)
