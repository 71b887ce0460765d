from __future__ import annotations

import re
import sys

import numpy as np
import pandas as pd
import pytest

from dmcjia_opt.base.errors import BackendMissing, Doubt, InputError
from dmcjia_opt.base.machine import installing
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.model.scenario.loading import load_scenario
from dmcjia_opt.model.scenario.node_files import read_nodes, write_nodes
from dmcjia_opt.model.scenario.nodes import LABELS, OPTIONAL, Labels, NodeTable
from dmcjia_opt.model.scenario.scenario import Scenario

HEADER = "name,model,compute_gflops,uplink_mbps,arrival_rate\n"
ROW = {"name": ["a"], "model": ["resnet34"], "compute_gflops": [5.0], "uplink_mbps": [8.0], "arrival_rate": [1.0]}


def csv(folder, text):
    path = folder / "n.csv"
    path.write_text(text, encoding="utf-8")
    return path


def refused(path, *parts):
    with pytest.raises(InputError) as caught:
        read_nodes(path)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_written_nodes_read_back_bit_for_bit(suffix, tmp_path):
    nodes = generate("paper", nodes=50, seed=2, tasks="table4").nodes
    write_nodes(tmp_path / f"n{suffix}", nodes)
    again = read_nodes(tmp_path / f"n{suffix}")
    assert again.names == nodes.names
    assert again.networks == nodes.networks
    for key in ("network_index", "compute_gflops", "uplink_mbps", "arrival_rate", "input_bytes"):
        np.testing.assert_array_equal(getattr(again, key), getattr(nodes, key))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_every_column_is_read_as_it_is_written(suffix, tmp_path):
    numbers = {key: np.array([1.0 + k, np.nan, 7.0 + k]) for k, key in enumerate(OPTIONAL)}
    numbers |= {"energy_j": numbers["joule_per_gflop"], "max_split": numbers["min_split"]}
    nodes = NodeTable(
        ("a", "b", "c"),
        ("resnet34",),
        5.0,
        np.array([np.nan, 8.0, np.nan]),
        1.0,
        link=Labels.of(["cell, east", None, "cell-2"]),
        servers=Labels.of([("site", "cloud"), None, None]),
        tiers=Labels.of([None, None, ("site", "cloud")]),
        host=Labels.of([None, "board", None]),
        splits=Labels.of([(0, 16, 34), (3,), None]),
        **numbers,
    )
    write_nodes(tmp_path / f"n{suffix}", nodes)
    again = read_nodes(tmp_path / f"n{suffix}")
    for key in ("uplink_mbps", *OPTIONAL):
        np.testing.assert_array_equal(getattr(again, key), getattr(nodes, key))
    for key in LABELS:
        assert [getattr(again, key).at(d) for d in range(3)] == [getattr(nodes, key).at(d) for d in range(3)]


WORDS = HEADER.replace("\n", ",arrivals\n")


def test_arrivals_are_words_or_numbers(tmp_path):
    rows = "".join(
        f"{n},resnet34,5,8,1,{cell}\n" for n, cell in zip("abcd", (" periodic", "poisson", "0.3", ""), strict=True)
    )
    nodes = read_nodes(csv(tmp_path, WORDS + rows))
    np.testing.assert_array_equal(nodes.arrivals, [0.0, np.nan, 0.3, np.nan])
    np.testing.assert_array_equal(nodes.arrival_scv, [0.0, 1.0, 0.3, 1.0])
    semicolons = (WORDS + rows).replace(",", ";").replace("0.3", "0,3")
    np.testing.assert_array_equal(read_nodes(csv(tmp_path, semicolons)).arrivals, nodes.arrivals)


@pytest.mark.parametrize("column", [["periodic", None, "0.3"], [0.0, None, 0.3]])
def test_arrivals_of_a_parquet_file_are_words_or_numbers(column, tmp_path):
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = {key: value * 3 for key, value in ROW.items()} | {"name": ["a", "b", "c"], "arrivals": column}
    parquet.write_table(pa.table(table), tmp_path / "n.parquet")
    np.testing.assert_array_equal(read_nodes(tmp_path / "n.parquet").arrivals, [0.0, np.nan, 0.3])


@pytest.mark.parametrize(
    ("cell", "sentence"),
    [
        ("perodic", 'arrivals must hold poisson or periodic or numbers, not "perodic" (did you mean "periodic"?)'),
        ("-1", "arrivals must be finite and >= 0, got -1"),
    ],
)
def test_arrivals_that_mean_nothing_are_told(cell, sentence, tmp_path):
    with pytest.raises(InputError, match=re.escape(sentence)):
        read_nodes(csv(tmp_path, WORDS + f"a,resnet34,5,8,1,{cell}\n"))
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pa.table(ROW | {"arrivals": [cell]}), tmp_path / "n.parquet")
    with pytest.raises(InputError, match="arrivals"):
        read_nodes(tmp_path / "n.parquet")


def test_lists_may_have_blanks_around_their_entries(tmp_path):
    text = HEADER.replace("\n", ",servers,splits\n") + "a,resnet34,5,8,1,site | cloud, 0 |16\nb,resnet34,5,8,1,,\n"
    nodes = read_nodes(csv(tmp_path, text))
    assert (nodes.servers.at(0), nodes.splits.at(0)) == (("site", "cloud"), (0, 16))
    assert (nodes.servers.at(1), nodes.splits.at(1)) == (None, None)


def test_a_csv_may_be_written_by_hand(tmp_path):
    text = "uplink_mbps,arrival_rate,name,model,compute_gflops,input_bytes\n8,1,007,b.json,5,\n9,2e0,NA,a.json,6,784\n"
    nodes = read_nodes(csv(tmp_path, text))
    assert nodes.names == ("007", "NA")
    assert nodes.networks == ("b.json", "a.json")
    np.testing.assert_array_equal(nodes.network_index, [0, 1])
    np.testing.assert_array_equal(nodes.compute_gflops, [5, 6])
    np.testing.assert_array_equal(nodes.arrival_rate, [1, 2])
    np.testing.assert_array_equal(nodes.input_bytes, [np.nan, 784])


def test_a_fleet_goes_through_a_file_by_columns(tmp_path):
    scenario = generate("fleet", nodes=100_000, seed=1)
    scenario.save(tmp_path / "s.toml", nodes_file="n.csv")
    again = load_scenario(tmp_path / "s.toml")
    assert again.n_nodes == 100_000
    assert again.sha256() == scenario.sha256()
    assert again.nodes.networks == ("resnet34",)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ["n.csv", "lacks column name, model, compute_gflops"]),
        (HEADER, ["at least one node"]),
        (HEADER.rstrip("\n") + ",device,link\n", ["at least one node"]),
        (
            HEADER.replace("uplink_mbps", "uplink_MBps"),
            ['lacks column uplink_mbps; rename "uplink_MBps" to uplink_mbps (Mbit/s)'],
        ),
        (
            HEADER.replace("arrival_rate", "lambda"),
            ['lacks column arrival_rate; rename "lambda" to arrival_rate (tasks/s)'],
        ),
        (HEADER.replace("name,", "name,name,") + "a,b,resnet34,5,8,1\n", ["has column name twice"]),
        (HEADER + "a,resnet34,five,8,1\n", ["n.csv", "compute_gflops", "five"]),
        (HEADER + 'a,resnet34,"5,0",8,1\n', ["compute_gflops", "5,0"]),
        (HEADER + "a,resnet34,5,8,2024-01-01\n", ["arrival_rate"]),
        (HEADER + "a,resnet34,True,8,1\n", ["compute_gflops", "numbers"]),
        (HEADER + "a,resnet34,5,8,1\nb,resnet34,,8,1\n", ["line 3: no compute_gflops; fill it in"]),
        (HEADER + "a,resnet34,5,8\n", ["line 2: no arrival_rate; fill it in"]),
        (HEADER + "a,resnet34,5,nan,1\n", ["uplink_mbps", '"nan"']),
        (HEADER + "a,resnet34,5,inf,1\n", ['line 2: uplink_mbps must hold numbers, not "inf"']),
        (HEADER + "a,resnet34,5,8,-1\n", ["line 2: arrival_rate must be finite and > 0, got -1"]),
        (HEADER + "a,resnet34,0,8,1\n", ["line 2: compute_gflops must be finite and > 0, got 0"]),
        (HEADER + "a,resnet34,5,8,1\na,resnet34,5,8,1\n", ['"a" is used twice']),
        (HEADER + "a,resnet34,5,8,1\n,resnet34,5,8,1\n", ["line 3: no name; fill it in"]),
        (HEADER + " ,resnet34,5,8,1\n", ["line 2: no name; fill it in"]),
        (HEADER + "a,,5,8,1\n", ["line 2: no model; fill it in"]),
        (
            HEADER + "a,resnet34,5,8,1,602112\n",
            ["line 2: 6 cells for 5 columns; put a cell with a comma in quotes"],
        ),
        (HEADER + "a,resnet34,5,8,1\nb,resnet34,5,8,1,9\n", ["n.csv", "line 3: 6 cells for 5 columns"]),
        (HEADER + '"a,resnet34,5,8,1\n', ["n.csv", "not readable as CSV: line 2"]),
        (
            HEADER.replace("\n", ",input_bytes\n") + "a,resnet34,5,8,1,-4\n",
            ["input_bytes must be finite and >= 0, got -4"],
        ),
        (HEADER.replace("\n", ",input_bytes\n") + "a,resnet34,5,8,1,big\n", ["input_bytes", "big"]),
        (HEADER.replace("\n", ",splits\n") + "a,resnet34,5,8,1,0|x\n", ["splits must hold whole numbers", '"0|x"']),
        (HEADER.replace("\n", ",splits\n") + "a,resnet34,5,8,1,-1\n", ["splits must hold whole numbers", '"-1"']),
        (
            HEADER.replace("\n", ",tiers\n") + "a,resnet34,5,8,1,site\n",
            ['tiers of "a" must name two servers, got site'],
        ),
        (HEADER.replace("\n", ",servers\n") + "a,resnet34,5,8,1,x|x\n", ['servers of "a" must have each']),
        (HEADER.replace("\n", ",servers\n") + "a,resnet34,5,8,1,x||y\n", ["servers must have no empty entry", "x||y"]),
        (HEADER.replace("\n", ",min_split\n") + "a,resnet34,5,8,1,1.5\n", ['min_split of "a" must be a whole number']),
        (HEADER.replace("\n", ",weight\n") + "a,resnet34,5,8,1,0\n", ["weight must be finite and > 0, got 0"]),
        (HEADER.replace("\n", ",link\n") + "a,resnet34,5,,1,\n", ['uplink_mbps of "a" must be finite', "or link must"]),
    ],
)
def test_a_malformed_csv_is_refused_by_column(text, parts, tmp_path):
    refused(csv(tmp_path, text), *parts)


@pytest.mark.parametrize(
    ("column", "values", "parts"),
    [
        ("compute_gflops", [True], ["compute_gflops", "bool"]),
        ("arrival_rate", pd.to_datetime(["2024-01-01"]), ["arrival_rate", "timestamp"]),
        ("uplink_mbps", [[1, 2]], ["uplink_mbps"]),
        ("compute_gflops", [None], ["compute_gflops must hold numbers, not null"]),
        ("name", [None], ["name must hold text, not null"]),
        ("compute_gflops", ["5.0"], ["must hold numbers, not "]),
        ("name", [""], ["node 1 has no name"]),
    ],
)
def test_a_malformed_parquet_is_refused_by_column(column, values, parts, tmp_path):
    frame = pd.DataFrame(ROW)
    frame[column] = values
    frame.to_parquet(tmp_path / "n.parquet", index=False)
    refused(tmp_path / "n.parquet", *parts)


def test_a_parquet_with_an_index_of_its_own_is_read(tmp_path):
    frame = pd.DataFrame(ROW)
    frame.index = [17]
    frame.to_parquet(tmp_path / "n.parquet")
    assert read_nodes(tmp_path / "n.parquet").names == ("a",)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_columns_that_mean_nothing_are_listed_and_ignored(suffix, tmp_path):
    frame = pd.DataFrame(ROW).assign(colour=["red"], input_size=[7])
    path = tmp_path / f"n{suffix}"
    frame.to_csv(path, index=False) if suffix == ".csv" else frame.to_parquet(path)
    with pytest.warns(Doubt) as said:
        assert read_nodes(path).names == ("a",)
    (warning,) = said
    assert 'columns "colour"; "input_size" (did you mean "input_bytes" (byte)?) ignored' in str(warning.message)


@pytest.mark.parametrize("name", ["n.csv", "n.parquet"])
def test_files_that_cannot_be_read_are_named(name, tmp_path):
    refused(tmp_path / name, name, "No such file")
    (tmp_path / name).write_bytes(b"\xff\xfe\x00\x01")
    refused(tmp_path / name, name, "not readable as CSV: in UTF-16" if name == "n.csv" else "not a readable node table")


@pytest.mark.parametrize("name", ["n.txt", "nodes", "n.csv.gz"])
def test_other_kinds_of_file_are_refused(name, tmp_path):
    refused(tmp_path / name, name, ".csv or .parquet")
    with pytest.raises(InputError, match=r"\.csv or \.parquet"):
        generate("paper", nodes=2, seed=0).save(tmp_path / "s.toml", nodes_file=name)


def test_an_error_names_the_scenario_and_the_table(tmp_path):
    csv(tmp_path, HEADER + "a,resnet34,5,8,1\n" + "b,resnet35,5,8,1\n")
    (tmp_path / "s.toml").write_text('nodes_file = "n.csv"\n[cloud]\ncompute_gflops = 1\n')
    with pytest.raises(InputError, match=r's\.toml: unknown model "resnet35"'):
        load_scenario(tmp_path / "s.toml")


def test_a_missing_library_is_named_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(BackendMissing, match=re.escape(f"needs pyarrow; {installing('fleet')}")):
        read_nodes(tmp_path / "n.parquet")


def test_csv_needs_no_library(tmp_path, monkeypatch):
    for library in ("pandas", "pyarrow"):
        monkeypatch.setitem(sys.modules, library, None)
    nodes = generate("paper", nodes=3, seed=1).nodes
    write_nodes(tmp_path / "n.csv", nodes)
    assert read_nodes(tmp_path / "n.csv").names == nodes.names


def test_rows_are_counted_across_parts_of_a_large_table(tmp_path):
    rows = "".join(f"n{k},resnet34,5,8,1\n" for k in range(70_000))
    refused(csv(tmp_path, HEADER + rows + "a,resnet34,5,8,one\n"), "line 70002: arrival_rate must hold", '"one"')
    refused(csv(tmp_path, HEADER + rows + "a,,5,8,1\n"), "line 70002: no model; fill it in")
    text = HEADER + rows.replace("resnet34", "alexnet", 69_999) + "\n  \na,vgg16,5,8,1\n"
    nodes = read_nodes(csv(tmp_path, text))
    assert (len(nodes), nodes.networks) == (70_001, ("alexnet", "resnet34", "vgg16"))
    assert [nodes.network_of(d) for d in (69_998, 69_999, 70_000)] == ["alexnet", "resnet34", "vgg16"]


def test_cells_are_quoted_where_they_must_be(tmp_path):
    names = ('a,"b"', " c", "d;e")
    columns = dict.fromkeys(["compute_gflops", "uplink_mbps", "arrival_rate"], np.array([5.1, 1e-7, 1e22]))
    nodes = NodeTable(names=names, networks=("m",), network_index=[0, 0, 0], input_bytes=[1.0, np.nan, 3.0], **columns)
    write_nodes(tmp_path / "n.csv", nodes)
    assert (tmp_path / "n.csv").read_text(encoding="utf-8") == (
        "name,model,compute_gflops,uplink_mbps,arrival_rate,input_bytes\n"
        '"a,""b""",m,5.1,5.1,5.1,1.0\n c,m,1e-07,1e-07,1e-07,\nd;e,m,1e+22,1e+22,1e+22,3.0\n'
    )
    assert read_nodes(tmp_path / "n.csv").names == names


def test_a_row_without_end_is_refused(tmp_path):
    refused(csv(tmp_path, HEADER + "," * 2_000_000), "a line has more than 1,000,000 bytes")


def test_writing_into_a_missing_folder_says_so(tmp_path):
    scenario: Scenario = generate("paper", nodes=2, seed=0)
    with pytest.raises(InputError, match="cannot write"):
        write_nodes(tmp_path / "absent" / "n.csv", scenario.nodes)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_devices_are_optional_for_each_node(suffix, tmp_path):
    frame = pd.DataFrame(
        {"name": ["a", "b", "c"], "model": ["resnet34"] * 3}
        | dict.fromkeys(["compute_gflops", "uplink_mbps", "arrival_rate"], 1.0)
    )
    frame["device"] = ["pi", None, "gpu"]
    path = tmp_path / f"n{suffix}"
    frame.to_csv(path, index=False) if suffix == ".csv" else frame.to_parquet(path)
    nodes = read_nodes(path)
    assert nodes.devices == ("pi", "gpu")
    assert [nodes.device_of(d) for d in range(3)] == ["pi", None, "gpu"]
    write_nodes(path, nodes)
    again = read_nodes(path)
    assert again.devices == nodes.devices
    np.testing.assert_array_equal(again.device_index, nodes.device_index)


def test_devices_are_text(tmp_path):
    nodes = read_nodes(
        csv(tmp_path, HEADER.strip() + ",device\na,resnet34,5,8,1,007\nb,resnet34,5,8,1,NA\nc,resnet34,5,8,1,\n")
    )
    assert nodes.devices == ("007", "NA")
    np.testing.assert_array_equal(nodes.device_index, [0, 1, -1])


def test_which_device_runs_which_model():
    columns = dict.fromkeys(["compute_gflops", "uplink_mbps", "arrival_rate", "input_bytes"], np.ones(5))
    nodes = NodeTable(
        names=tuple("abcde"),
        networks=("m", "n"),
        network_index=[0, 1, 1, 1, 0],
        devices=("pi", "gpu"),
        device_index=[1, 0, -1, 0, 1],
        **columns,
    )
    assert nodes.measured() == (("pi", "n"), ("gpu", "m"))
