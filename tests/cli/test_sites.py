"""What the terminal shows of plans of sites, and that every command takes their files."""

import json
import re

import pytest

from dmcjia_opt.__main__ import main
from tests.cli.test_widths import columns
from tests.command_line import called
from tests.sites import SITES, site


@pytest.fixture
def shown(dmcjia, monkeypatch, capsys, tmp_path):
    """Solve a site in a terminal of some width; return what is shown and the plan."""

    def run(name, width=200, *more):
        def sized():
            monkeypatch.setenv("COLUMNS", str(width))
            main()

        site(tmp_path, SITES[name])
        ended = called(sized, monkeypatch, capsys, "solve", "site.toml", "--out", "plan.json", *more)
        assert (ended.code, ended.err) == (0, "")
        return ended.out, json.loads((tmp_path / "plan.json").read_text(encoding="utf-8"))

    return run


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("access point", ["split", "link", "server"]),
        ("tiers", ["cuts", "link", "server"]),
        ("board", ["split", "host", "server"]),
        ("twice", ["cuts", "link", "server"]),
    ],
)
def test_columns_are_the_kinds_of_what_is_shared(shown, name, names):
    out, plan = shown(name)
    nodes, shared = columns(out)
    assert nodes == ["node", *names, "total", "device", "network", "servers"]
    assert shared == ["shared", "kind", "given out", "1 % more saves", "most to"]
    assert "site: 3 nodes running alexnet; delays in ms" in out
    for row in plan["nodes"]:
        (line,) = (line for line in out.splitlines() if line.startswith(f" {row['name']} "))
        cuts = " | ".join(map(str, row["cuts"])) if len(row["cuts"]) == 2 else f"{row['cuts'][0]}/8"
        assert re.split(r" {2,}", line.strip())[1] == cuts
        for resource, share in row["shares"].items():
            parts = share if isinstance(share, list) else [share]
            assert f"{resource} {' + '.join(f'{100 * part:.3g} %' for part in parts)}" in line
        times = [row[f"{stage}_s"] for stage in ("total", "edge", "upload", "cloud")]
        assert re.split(r" +", line.strip())[-4:] == [f"{1e3 * time:.4g}" for time in times]


def test_what_is_shared_has_its_price_and_who_has_most(shown):
    out, plan = shown("twice")
    whole = {row["name"]: 0.0 for row in plan["nodes"]}
    for row in plan["nodes"]:
        whole[row["name"]] = sum(row["shares"]["wifi"])
    most = max(whole.values())
    lines = {line.split()[0]: line for line in out.splitlines() if line.startswith(" ") and line.strip()}
    wifi = next(row for row in plan["resources"] if row["name"] == "wifi")
    assert lines["wifi"].split()[1:6] == ["link", "100", "%", f"{10 * wifi['price_s'] * 1e3:.4g}", "µs"]
    assert lines["wifi"].rstrip().endswith(f" {100 * most:.3g} %")
    assert lines["edge-server"].rstrip().endswith("–")


@pytest.mark.parametrize("name", SITES)
def test_nothing_is_cut_at_80_columns(shown, name):
    out, plan = shown(name, 80)
    told = out.partition("Plan written")[0]
    assert max(map(len, told.splitlines())) <= 80
    assert "…" not in told
    pieces = columns(told)
    assert [piece[0] for piece in pieces] == ["node"] * (len(pieces) - 1) + ["shared"]
    assert "total" in pieces[0]
    assert sorted(piece for names in pieces[:-1] for piece in names[1:]) == sorted(
        {p for n in pieces[:-1] for p in n[1:]}
    )
    for row in plan["resources"]:
        assert row["name"] in told


def test_a_bound_of_several_prices_is_said_so(shown):
    out, plan = shown("access point", 200, "--gap", "0.5")
    assert plan["bound_from"] == "dual"
    assert "from the prices of what is shared" in out


@pytest.mark.parametrize("name", ["access point", "board"])
def test_a_site_is_planned_proved_verified_and_reported(dmcjia, tmp_path, name):
    site(tmp_path, SITES[name])
    solved = dmcjia("solve", "site.toml", "--out", "plan.json", "--proof", "proof.json", "--gap", "0.2")
    assert (solved.code, solved.err) == (0, "")
    verified = dmcjia("verify", "site.toml", "plan.json", "--proof", "proof.json")
    assert verified.code == 0
    assert "Every claim holds." in verified.out
    assert dmcjia("report", "plan.json", "--out", "plan.html").code == 0
    assert "What the nodes share" in (tmp_path / "plan.html").read_text(encoding="utf-8")
