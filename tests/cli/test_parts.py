import json

import pyarrow as pa
import pytest
from pyarrow import parquet

from dmcjia_opt.base import clusters
from dmcjia_opt.model.scenario import parted
from tests.command_line import fails, run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("parts")


@pytest.fixture
def here(folder, monkeypatch, capsys):
    """Return a function that runs a command where fleets of more than 1,000 nodes go in parts, by one process."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(parted, "MOST_WHOLE", 1000)
    monkeypatch.setattr("dmcjia_opt.solving.parts.crews.cores", lambda: 1)
    if not (folder / "plan.json").exists():
        drawn = "generate fleet --nodes 2500 --part-nodes 1000 --nodes-file parts --out fleet.toml"
        assert run(monkeypatch, capsys, *drawn.split())[0] == 0
        assert run(monkeypatch, capsys, "solve", "fleet.toml", "--out", "plan.parquet")[0] == 0
    return lambda line: run(monkeypatch, capsys, *line.split())


@pytest.fixture
def refused(here):
    def check(line, code, told):
        fails(here(line), code, told)

    return check


def test_a_fleet_in_parts_is_drawn_planned_and_verified(here, folder):
    code, out, _ = here("solve fleet.toml --out again.parquet")
    assert code == 0
    assert "2,500 nodes; where their networks are cut" in out
    assert "optimal, proved" in out
    assert "check it with: dmcjia verify fleet.toml again.json" in out
    claims = json.loads((folder / "again.json").read_text())
    assert (claims["rows_file"], claims["parts"], claims["scenario_file"]) == ("again.parquet", 3, "fleet.toml")
    assert "nodes" not in claims
    assert parquet.read_metadata(folder / "again.parquet").num_rows == 2500
    code, out, _ = here("verify fleet.toml again.json")
    assert code == 0
    assert "Every claim holds." in out
    (folder / "false.json").write_text(json.dumps(claims | {"objective_s": 0.3}))
    code, out, err = here("verify fleet.toml false.json")
    assert code == 1
    assert "false: objective_s" in err


def test_a_sample_is_simulated_and_says_so(here, folder):
    code, _, err = here("simulate fleet.toml plan.json --sample 40 --tasks 4000 --seed 5 --out sim.json")
    assert code == 0
    told = "a sample: 40 of 2,500 nodes, drawn with seed 5"
    assert told in err
    found = json.loads((folder / "sim.json").read_text())
    assert any(told in note for note in found["notes"])
    rows = found["plans"][0]["nodes"]
    assert len({row["name"] for row in rows}) == 40
    planned = {row["name"]: row["total_s"] for row in parquet.read_table(folder / "plan.parquet").to_pylist()}
    assert all(row["model_s"] == pytest.approx(planned[row["name"]], rel=1e-9) for row in rows)


def test_a_page_shows_the_whole(here, folder):
    code, _, _ = here("report plan.json --out page.html")
    page = (folder / "page.html").read_text()
    assert code == 0
    for words in ("2,500 nodes in 3 parts", "Where the networks are cut", "Delay over the whole fleet"):
        assert words in page
    claims = json.loads((folder / "plan.json").read_text())
    (folder / "false.json").write_text(json.dumps(claims | {"gap": 0.3}))
    code, _, err = here("report false.json --out page.html")
    assert code == 1
    assert "false: gap" in err


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("solve fleet.toml --out plan.json", "--out plan.json: the plan of a fleet in parts has 2,500 rows"),
        ("solve fleet.toml --start plan.json", "--start: a fleet in parts is planned without it"),
        ("solve fleet.toml --evaluations 3", "--evaluations: a fleet in parts is planned without it"),
        ("solve fleet.toml --placer genetic", "planned by the placer exact or lagrangian"),
        ("solve fleet.toml --dask local:none", "as in local:2"),
        ("size fleet.toml --mean-ms 900", "a fleet of 2,500 nodes goes in parts"),
        ("verify fleet.toml plan.json --proof proof.json", "leave it out"),
        ("simulate fleet.toml plan.json --sample 2501", "a sample has 1 to 2,500 nodes, got 2,501"),
        ("generate fleet --nodes 3 --part-nodes 2 --out g.toml", "name it with --nodes-file"),
        ("generate links --nodes 3 --part-nodes 2 --nodes-file n --out g.toml", "is not drawn in parts"),
        ("generate fleet --nodes 3 --part-nodes 2 --nodes-file parts --out g.toml", "name one that is empty"),
        ("generate fleet --nodes 3 --part-nodes 0 --nodes-file n --out g.toml", "part_nodes must be at least 1"),
        ("generate fleet --nodes 10000001 --out g.toml", "draw them in parts with --part-nodes"),
    ],
)
def test_what_is_not_for_parts_is_refused(line, told, refused):
    refused(line, 2, told)


def test_a_cluster_that_is_not_there_is_told(refused, monkeypatch):
    monkeypatch.setattr(clusters, "_CONNECT_SECONDS", 0.2)
    refused("solve fleet.toml --dask nowhere", 2, "with its port, as in tcp://host:8786")
    refused("solve fleet.toml --dask tcp://127.0.0.1:1", 4, "no Dask scheduler answers at tcp://127.0.0.1:1")


def test_a_part_that_changes_is_told_and_nothing_is_written(refused, folder):
    path = folder / "parts" / "part-1.parquet"
    kept = path.read_bytes()
    try:
        parquet.write_table(pa.table({"name": ["a"], "model": ["resnet34"]}), path)
        refused("solve fleet.toml --out other.parquet", 2, "part-1.parquet: the table lacks column compute_gflops")
        path.write_bytes(b"PAR1")
        refused("solve fleet.toml --out other.parquet", 2, "part-1.parquet: not a readable node table")
    finally:
        path.write_bytes(kept)
    assert not (folder / "other.parquet").exists()
    assert not [one for one in folder.iterdir() if one.name.startswith(".")]


def test_rows_and_plan_are_claimed(refused, folder):
    refused("solve fleet.toml --out fleet.parquet --report fleet.json", 2, "fleet.json")
