"""The instance library of the checkout, and its rule that only the better and proved comes in."""

import csv
import json
import runpy
import shutil
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dmcjia_opt import compile_problem, solve
from dmcjia_opt.base.errors import DmcjiaError, InputError
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.model.scenario.families import FAMILIES
from dmcjia_opt.model.scenario.loading import load_scenario
from dmcjia_opt.studies.bench.library import Evidence, Library, check, find_library, offer
from dmcjia_opt.studies.bench.suites import SUITES

ROOT = Path(__file__).parents[3]
#: What prices alone prove of the worst node where nodes choose between servers is not the whole truth.
OPEN = ("servers-n10-s1+worst",)
LARGEST = 20  # nodes of what is checked here; benchmarks/library.py check takes the rest
#: What takes seconds to prove again.
SLOW = {"hosts-n10-s1", "hosts-n20-s1", "servers-n20-s1", "servers-n20-s2", "tiers-n20-s1", "links-n20-s1+worst"}


@pytest.fixture(scope="module")
def library():
    found = find_library()
    assert found is not None
    return found


@pytest.fixture
def copy(library, tmp_path):
    shutil.copytree(library.folder, tmp_path / "instances", ignore=shutil.ignore_patterns("fleet-*", "*-n1000-*"))
    return Library(tmp_path / "instances")


def test_it_covers_every_family_from_small_to_a_million(library):
    assert len(library.index) >= 120
    families = Counter(entry.family for entry in library.index.values())
    asked = {"worst", "deadline", "p95", "pooled", "periodic"}
    assert set(families) >= set(FAMILIES) | asked
    assert all(families[family] >= 4 for family in asked)
    assert min(entry.nodes for entry in library.index.values()) <= 5
    assert max(entry.nodes for entry in library.index.values()) == 1_000_000
    assert set(library.best) == set(library.index)
    for row in library.best.values():
        assert 0 < row.lower_bound_s <= row.objective_s
        assert row.gap < (0.02 if row.name in OPEN else 1e-9)
        assert row.method
        assert row.version
        assert row.date


def test_suites_are_of_its_instances(library):
    named = {name for suite in SUITES.values() for block in suite.blocks for name in block.instances}
    assert named <= set(library.index)


def test_what_it_says_is_true(library):
    for name in library.index:
        if library.index[name].nodes <= LARGEST and name not in SLOW:
            check(library, name)


def test_every_stored_scenario_is_the_one_of_the_index(library):
    stored = [entry for entry in library.index.values() if entry.file]
    assert {entry.file for entry in stored} == {path.name for path in library.folder.glob("*.toml")}
    for entry in stored:
        if entry.nodes <= 20:
            assert load_scenario(library.folder / entry.file).sha256() == entry.sha256


def test_it_has_promises(library):
    """The worst node, percentiles and deadlines, and what was minimised is what the rows are about."""
    scenarios = {name: library.instance(name).load() for name in library.index if library.index[name].nodes <= 20}
    worst = [name for name, scenario in scenarios.items() if scenario.options.objective == "worst"]
    assert len(worst) >= 3
    assert sum(scenario.options.statistic == "p95" for scenario in scenarios.values()) >= 3
    assert sum(scenario.nodes.has("deadline_ms") for scenario in scenarios.values()) >= 3
    for name in worst:
        problem, options = compile_problem(scenarios[name]), library.evidence(name).options
        shares = WaterFilling().allocate(problem, options[None]).shares[0]
        assert problem.node_delay(options, shares).max() == pytest.approx(library.best[name].objective_s, rel=1e-12)
    easier = {name: name.partition("+deadline")[0] for name in library.index if "+deadline" in name}
    for name, without in easier.items():
        if without in library.best:
            assert library.best[name].objective_s > library.best[without].objective_s


def _change(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: _change(f / "paper-n5-s1.toml", "arrival_rate = 2.0", "arrival_rate = 1.0"), "not the scenario"),
        (lambda f: _change(f / "best_known.csv", "paper-n5-s1,0.29", "paper-n5-s1,0.28"), "the plan's delay is"),
        (lambda f: _change(f / "best_known.csv", ",0.2936269133110085,", ",0.2936269133120085,"), "can be proved is"),
        (lambda f: _change(f / "plans" / "paper-n5-s1.json", "{", ""), "not the plan of an instance"),
        (lambda f: (f / "plans" / "paper-n5-s1.json").unlink(), "cannot read"),
        (lambda f: _change(f / "best_known.csv", "paper-n5-s1,", "paper-n6-s1,"), "no row"),
        (lambda f: _change(f / "best_known.csv", "objective_s", "objective"), "not a table with the columns"),
    ],
)
def test_what_is_not_true_is_found(copy, spoil, message):
    spoil(copy.folder)
    with pytest.raises(DmcjiaError, match=message):
        check(Library(copy.folder), "paper-n5-s1")


def test_only_what_is_better_comes_in(copy):
    name = "homogeneous-n5-s0"
    best, evidence = copy.best[name], copy.evidence(name)
    assert offer(copy, name, evidence, method="m", bound_from=best.bound_from, date="2030-01-01") is None
    worse = Evidence(np.where(np.arange(5) == 0, 33, evidence.options), 0.5 * evidence.prices)
    assert offer(copy, name, worse, method="m", date="2030-01-01") is None
    assert copy.best[name] == best
    overloaded = Evidence(np.zeros(5, dtype=np.int64), evidence.prices)
    with pytest.raises(InputError, match="no feasible plan"):
        offer(copy, name, overloaded, method="m", date="2030-01-01")
    with pytest.raises(InputError, match="not a placer whose search proves"):
        offer(copy, name, evidence, method="m", bound_from="scip", date="2030-01-01")


def test_a_better_plan_or_bound_comes_in_alone(copy):
    name = "homogeneous-n5-s0"
    best, evidence = copy.best[name], copy.evidence(name)
    worse = np.where(np.arange(5) == 0, 33, evidence.options)
    loose = replace(best, objective_s=2.0, lower_bound_s=1.0, gap=0.5, bound_from="dual")
    copy.save(loose, Evidence(worse, np.array([1e-3])))
    said = offer(copy, name, Evidence(evidence.options, np.zeros(1)), method="new", date="2030-01-01")
    assert said.startswith("objective 2.0 → 1.62")
    assert (copy.best[name].method, copy.best[name].date, copy.best[name].lower_bound_s) == ("new", "2030-01-01", 1.0)
    said = offer(copy, name, Evidence(worse, evidence.prices), method="other", date="2030-01-02")
    assert said.startswith("bound 1.0 → 1.6")
    assert copy.best[name].method == "new"
    assert copy.evidence(name).options.tolist() == evidence.options.tolist()
    check(copy, name)


def test_the_command(copy, tmp_path, monkeypatch, capsys):
    main = runpy.run_path(str(ROOT / "benchmarks" / "library.py"))["main"]

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["library.py", *map(str, arguments), "--folder", str(copy.folder)])
        return main(), *capsys.readouterr()

    name = "paper-n5-s1"
    assert command("check", name) == (0, f"true   {name}\n1 of 1 instances hold\n", "")
    plan = solve(load_scenario(copy.folder / f"{name}.toml"))
    plan.save(tmp_path / "plan.json")
    assert command("update", name, tmp_path / "plan.json") == (1, f"{name}: nothing better than what is known\n", "")
    claims = json.loads((tmp_path / "plan.json").read_text()) | {"objective_s": 0.1}
    (tmp_path / "false.json").write_text(json.dumps(claims), encoding="utf-8")
    code, _, said = command("update", name, tmp_path / "false.json")
    assert code == 2
    assert "false: objective_s = 0.1" in said
    _change(copy.folder / "best_known.csv", f"{name},0.29", f"{name},0.39")
    assert command("check", name)[0] == 1
    code, said, _ = command("update", name, tmp_path / "plan.json")
    assert code == 0
    assert f"{name}: objective 0.39" in said
    with (copy.folder / "best_known.csv").open(encoding="utf-8") as stream:
        row = next(row for row in csv.DictReader(stream) if row["name"] == name)
    assert float(row["objective_s"]) == plan.objective
    assert row["method"] == "exact + waterfilling"
