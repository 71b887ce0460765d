"""Every example runs in a few seconds, says something definite, and writes only where it was told to."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from dmcjia_opt.model.scenario.loading import load_scenario
from dmcjia_opt.solving.contract import Status
from dmcjia_opt.solving.solve import solve

EXAMPLES = Path(__file__).parents[2] / "examples"
#: What each script prints, and what it writes.
SAYS = {
    "one_camera": (r"best split 16 of 34: \d+ ms, optimal", {"one_camera.csv"}),
    "ten_cameras": (r"optimum 314\.5 ms.*\n.*algorithm 3\d\d\.\d ms", {"ten_cameras.toml", "ten_cameras_plan.json"}),
    "own_model": (r"wired camera cuts after 0 of 4.*\nradio camera cuts after 4 of 4", {"small.onnx"}),
    "own_placer": (
        r"AskTell .*\ngenetic .*\nexact +314\.5 ms",
        {"own_placer_AskTell.json", "own_placer_genetic.json", "own_placer_exact.json"},
    ),
    "own_allocator": (
        r"Proportional 356\.9 ms.*\nwaterfilling 314\.5 ms",
        {"own_allocator_Proportional.json", "own_allocator_waterfilling.json"},
    ),
    "cloud_sweep": (r"20 GFLOP/s:.*\n(.*\n){3} *1000 GFLOP/s:", {"cloud_sweep.csv", "cloud_sweep.png"}),
    "compare_backends": (r"\A(exact|memetic|bonmin) \+ waterfilling(.*\n){9}\Z", {"compare_backends.csv"}),
    "tandem": (r"changes [1-9] splits of 10 and saves \d+\.\d ±", {"tandem_md1.json", "tandem_tandem.json"}),
    "promises": (
        r"mean +mean 617 ms, 2 promises broken; .*\npromises +mean \d+ ms, 0 promises broken; [45]\.\d%.*\n"
        r"keeping them changes [1-9] splits of 10, and costs the mean p95 delay \d+\.\d ms",
        {"promised.toml", "promised_plan.json"},
    ),
    "office": (
        r"cloud 1500, line 200 for 700 a month; the worst has 189 ms\n.* 662\.86; less than 662\.86 is not enough\n"
        r"today 250 for a mean p95 of 293 ms, which costs at least 240\n( .*\n)+",
        {"office_size.json", "office_frontier.csv", "office_frontier.png", "office_frontier.html"},
    ),
    "proof": (
        r"cases prove.*\n13 of 13 claims hold\n(.*\n)*caught: objective_s",
        {"proof_plan.json", "proof.json", "proof_false.json"},
    ),
    "two_objectives": (r"[1-9]\d plans; the first is within", {"two_objectives.csv"}),
    "fleet_csv": (r"mean over tasks \d+\.\d ms, optimal", {"fleet_csv_plan.csv"}),
    "fleet_parquet": (r"10,000 nodes read.*\n.*optimal", {"fleet.toml", "fleet.parquet", "fleet_plan.json"}),
    "changing_links": (
        r"no policy is faster than 6\d\d ms in the mean\nstatic +7\d\d ms, +1\d\.\d% more; +1 plans, +0 switches\n"
        r"(.*\n){3}oracle +6\d\d ms, +0\.0% more; +60 plans,",
        {"changing_links.json", "changing_links.csv", "changing_links.html"},
    ),
    "dask_bench": (
        r"exact \+ waterfilling +answer .*True\nlagrangian \+ .*answer .*True\nneurosurgeon\+ \+ .*answer",
        {"dask_fleet.toml", "dask_fleet.parquet", "dask_bench"},
    ),
}


def in_its_own_process(script, *arguments):
    """Return what a script prints that is run as a reader runs it."""
    done = subprocess.run(
        [sys.executable, "-B", "-W", "error", script, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n == "dask_bench")) for n in SAYS])
def test_an_example(name, tmp_path, monkeypatch, capsys):
    before = sorted(EXAMPLES.iterdir())
    monkeypatch.chdir(tmp_path)
    if name in ("one_camera", "dask_bench"):  # one that everybody begins with, and one whose workers import it
        there = () if name == "one_camera" else ("results",)  # `out` unless told otherwise
        printed = in_its_own_process(EXAMPLES / f"{name}.py", *there)
    else:
        there = ("results",)
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *there])
        runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
        printed, _ = capsys.readouterr()
    says, writes = SAYS[name]
    assert re.search(says, printed), printed
    (folder,) = tmp_path.iterdir()
    assert folder.name == (there[0] if there else "out")
    assert {path.name for path in folder.iterdir() if not path.name.startswith("dask-")} == writes
    assert sorted(EXAMPLES.iterdir()) == before


def test_every_script_is_short_tested_and_in_the_list():
    page = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(SAYS)
    for path in EXAMPLES.glob("*.py"):
        assert path.read_text(encoding="utf-8").count("\n") <= 40, path.name
        assert page.count(f"| `{path.name}` |") == 1, path.name
    for path in (*EXAMPLES.glob("*.toml"), *EXAMPLES.glob("*.csv")):
        assert f"`{path.name}`" in page, path.name


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_scenario_is_planned(path):
    assert solve(load_scenario(path)).status == Status.OPTIMAL


def test_every_script_is_on_its_page():
    page = (EXAMPLES.parent / "docs" / "examples.md").read_text(encoding="utf-8")
    for script in sorted(EXAMPLES.glob("*.py")):
        assert f"literalinclude}} ../examples/{script.name}" in page, script.name
