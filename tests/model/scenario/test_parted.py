import re

import pyarrow as pa
import pytest
from pyarrow import parquet

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.model.scenario.drawn_parts import generate_parts
from dmcjia_opt.model.scenario.loading import load_parts, load_scenario
from dmcjia_opt.model.scenario.node_files import read_nodes


@pytest.fixture
def parts(tmp_path):
    """Return a folder of three parts, and the scenario that names it."""
    folder = tmp_path / "parts"
    generate_parts(folder, "fleet", nodes=25, part_nodes=10, seed=4).save(tmp_path / "fleet.toml", nodes_file="parts")
    return folder


def rewritten(path, change):
    """Write a part anew, its columns changed."""
    table = pa.table(change(parquet.read_table(path).to_pydict()))
    parquet.write_table(table, path)


def test_a_small_folder_of_parts_is_read_whole(parts):
    scenario = load_scenario(parts.parent / "fleet.toml")
    assert scenario.nodes.names == tuple(f"node-{d:02d}" for d in range(1, 26))
    one = read_nodes(parts / "part-1.parquet")
    assert scenario.nodes.compute_gflops[10:20].tolist() == one.compute_gflops.tolist()
    assert scenario.cloud_gflops == 500.0


def test_a_large_folder_is_left_in_parts(parts):
    found = load_parts(parts.parent / "fleet.toml", most=24)
    assert (found.n_nodes, [part.n_nodes for part in found.files]) == (25, [10, 10, 5])
    first = found.scenario(0)
    assert first.nodes.names[3] == "row 4"
    assert first.nodes.names[-2:] == ["row 9", "row 10"]
    assert first.nodes.arrival_rate.tolist() == read_nodes(parts / "part-0.parquet").arrival_rate.tolist()


def refused(path, told):
    with pytest.raises(InputError, match=re.escape(told)):
        load_parts(path)


def test_folders_that_are_no_parts_are_refused(parts):
    scenario = parts.parent / "fleet.toml"
    (parts / "notes.txt").touch()
    refused(scenario, "notes.txt: a folder of nodes has .parquet files alone")
    (parts / "notes.txt").unlink()
    rewritten(parts / "part-1.parquet", lambda columns: columns | {"rtt_ms": [1.0] * 10})
    refused(
        scenario, "part-1.parquet: all parts have the same columns, and rtt_ms is in part-1.parquet and not in part-0"
    )
    rewritten(parts / "part-1.parquet", lambda columns: {k: v for k, v in columns.items() if k != "rtt_ms"})
    as_text = lambda columns: columns | {"arrivals": ["periodic"] * 10}  # noqa: E731
    as_number = lambda columns: columns | {"arrivals": [0.5] * len(columns["name"])}  # noqa: E731
    for part, change in (("0", as_number), ("1", as_text), ("2", as_number)):
        rewritten(parts / f"part-{part}.parquet", change)
    refused(scenario, "part-1.parquet: column arrivals holds text, and numbers in part-0.parquet; write both alike")
    for path in parts.iterdir():
        path.unlink()
    refused(scenario, "parts: a folder of nodes needs at least one .parquet file")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda columns: columns | {"name": ["a", *columns["name"][1:-1], "a"]}, 'the name "a" is used twice'),
        (lambda columns: columns | {"name": [None, *columns["name"][1:]]}, "row 1 has no name"),
        (lambda columns: columns | {"name": [*columns["name"][:-1], " "]}, "row 10 has no name"),
        (lambda columns: columns | {"name": ["a\nb", *columns["name"][1:]]}, "row 1 has a name that cannot be shown"),
        (lambda columns: columns | {"name": ["a" * 1001, *columns["name"][1:]]}, "more than 1,000 characters"),
        (
            lambda columns: columns | {"arrival_rate": [-1.0] * 10},
            'part-1.parquet: nodes: arrival_rate of "row 1" must',
        ),
        (lambda columns: columns | {"model": ["resnet35"] * 10}, 'part-1.parquet: unknown model "resnet35"'),
        (lambda columns: {key: column[1:] for key, column in columns.items()}, "part-1.parquet: it was changed"),
        (None, "part-1.parquet: cannot read the nodes"),
    ],
)
def test_what_is_wrong_in_a_part_is_told_with_its_file(parts, change, told):
    found = load_parts(parts.parent / "fleet.toml", most=0)
    path = parts / "part-1.parquet"
    if change is None:
        path.unlink()
    else:
        rewritten(path, change)
    found.facts(0)
    with pytest.raises(InputError, match=re.escape(told)):
        found.facts(1)


def test_hosts_and_pools_go_in_no_parts(parts):
    scenario = parts.parent / "fleet.toml"
    for path in parts.iterdir():
        rewritten(path, lambda columns: columns | {"host": ["board"] * len(columns["name"])})
    with pytest.raises(InputError, match="cannot share hosts; leave host out"):
        load_parts(scenario, most=0).check()
    for path in parts.iterdir():
        rewritten(path, lambda columns: {key: column for key, column in columns.items() if key != "host"})
    text = scenario.read_text()
    scenario.write_text(text.replace("compute_gflops = 500.0", 'compute_gflops = 500.0\nsharing = "fifo"'))
    with pytest.raises(InputError, match='the cloud has sharing = "fifo"'):
        load_parts(scenario, most=0).check()
    scenario.write_text(text.replace("[options]", '[options]\nobjective = "worst"'))
    with pytest.raises(InputError, match='leave "worst" to a part of it'):
        load_parts(scenario, most=0).check()
