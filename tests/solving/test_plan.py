import importlib.metadata
import json
import math
import re
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from dmcjia_opt.base import machine
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.machine import installed_versions
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.solving.contract import Status, Stop, TracePoint
from dmcjia_opt.solving.plan import load_plan
from dmcjia_opt.solving.registry import LIBRARIES
from dmcjia_opt.solving.solve import solve
from tests.refusals import refused

SCENARIO = generate("paper", nodes=4, seed=1)


@pytest.fixture(scope="module")
def plan():
    return solve(SCENARIO, "genetic", stop=Stop(evaluations=80), seed=3)


@pytest.fixture
def saved(plan, tmp_path):
    path = tmp_path / "plan.json"
    plan.save(path)
    return path


def test_the_file_holds_the_keys_that_scripts_read(saved):
    content = json.loads(saved.read_text())
    assert set(content) >= {
        "status",
        "objective_s",
        "lower_bound_s",
        "gap",
        "splits",
        "shares",
        "nodes",
        "placer",
        "allocator",
        "seed",
        "evaluations",
        "wall_s",
        "versions",
        "scenario_sha256",
    }
    first = ["name", "model", "split", "share", "edge_s", "upload_s", "cloud_s", "total_s"]
    assert list(content["nodes"][0]) == [*first, "server", "cuts", "cut_tensors", "shares", "stages", "deadline_s"]
    assert content["nodes"][0]["deadline_s"] is None
    assert (content["objective"], content["statistic"]) == ("mean", "mean")
    assert content["mean_delay_s"] == content["objective_s"]
    assert content["worst_delay_s"] == pytest.approx(max(node["total_s"] for node in content["nodes"]), rel=1e-14)
    assert content["status"] == "limit"
    assert content["placer"] == "genetic"
    assert content["allocator"] == "waterfilling"
    assert content["seed"] == 3
    assert content["evaluations"] == 80
    assert content["scenario_sha256"] == SCENARIO.sha256()
    assert content["versions"]["numpy"] == np.__version__
    assert content["cautions"] == []


def test_a_plan_says_what_is_not_counted_of_its_networks(plan, tmp_path):
    profile = replace(SCENARIO.profiles["resnet34"], cautions=("at least 40 % of the work is not counted",))
    careful = replace(SCENARIO, profiles=dict.fromkeys(SCENARIO.profiles, profile))
    made = solve(careful, "greedy")
    made.save(tmp_path / "plan.json")
    assert load_plan(tmp_path / "plan.json").cautions == [f'model "resnet34": {profile.cautions[0]}']
    assert made.scenario_sha256 == plan.scenario_sha256  # words are no part of the problem


def test_numbers_survive_to_the_last_digit(plan, saved):
    claims = load_plan(saved)
    assert claims.objective_s == plan.objective
    assert claims.lower_bound_s == plan.lower_bound
    assert claims.gap == plan.gap
    assert claims.price_s == plan.price
    assert claims.splits == plan.splits.tolist()
    np.testing.assert_array_equal(claims.shares, plan.shares)
    assert [node.total_s for node in claims.nodes] == plan.delays.total.tolist()
    assert [node.name for node in claims.nodes] == list(plan.names)


def test_how_it_was_made_survives_too(plan, saved):
    made = load_plan(saved)
    assert (made.placer, made.allocator, made.seed, made.evaluations) == ("genetic", "waterfilling", 3, 80)
    assert made.limits.model_dump() == {"seconds": None, "evaluations": 80, "gap": None}
    assert made.scenario == SCENARIO.name
    assert datetime.fromisoformat(made.started).tzinfo is not None
    assert [(p.evaluations, p.seconds, p.objective_s, p.lower_bound_s) for p in made.trace] == [
        (p.evaluations, p.seconds, p.objective, p.lower_bound) for p in plan.trace
    ]
    assert max(p.lower_bound_s for p in made.trace) == pytest.approx(plan.lower_bound, rel=1e-12)


def test_stages_add_up_to_the_mean(plan):
    content = plan.to_dict()
    for node in content["nodes"]:
        assert node["edge_s"] + node["upload_s"] + node["cloud_s"] == pytest.approx(node["total_s"], rel=1e-14)
    assert np.mean([node["total_s"] for node in content["nodes"]]) == pytest.approx(content["objective_s"], rel=1e-12)


def test_the_trace_has_no_number_that_json_lacks(saved):
    def refuse(constant):
        raise AssertionError(constant)

    content = json.loads(saved.read_text(), parse_constant=refuse)
    assert content["trace"][-1]["objective_s"] == content["objective_s"]
    assert content["trace"][-1]["evaluations"] == 80


def test_a_search_that_began_without_a_plan_is_written_too(plan, tmp_path):
    late = replace(plan, trace=(TracePoint(20, 0.1, math.inf, plan.lower_bound), *plan.trace))
    late.save(tmp_path / "plan.json")
    assert json.loads((tmp_path / "plan.json").read_text())["trace"][0]["objective_s"] is None


def test_saving_replaces_a_plan_or_leaves_it(plan, saved, monkeypatch):
    before = saved.read_bytes()
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    with pytest.raises(InputError, match=r"plan\.json: cannot write \(Permission denied\)"):
        plan.save(saved)
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == ["plan.json"]


@pytest.mark.parametrize("path", ["missing/plan.json", "."])
def test_places_that_cannot_be_written(plan, tmp_path, path):
    with pytest.raises(InputError, match="cannot write"):
        plan.save(tmp_path / path)


def changed(saved, change):
    content = json.loads(saved.read_text())
    change(content)
    saved.write_text(json.dumps(content))
    return saved


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("shares"), '"shares" is missing; add it'),
        (lambda c: c.pop("scenario_sha256"), '"scenario_sha256" is missing'),
        (lambda c: c.update(objective_s="0.3"), '"objective_s": input should be a valid number'),
        (lambda c: c.update(objective_s=math.nan), '"objective_s": input should be a finite number'),
        (lambda c: c.update(lower_bound_s=-math.inf), '"lower_bound_s": input should be a finite number'),
        (lambda c: c.update(gap=None), '"gap": input should be a valid number'),
        (lambda c: c["shares"].__setitem__(2, math.inf), '"shares[2]": input should be a finite number'),
        (lambda c: c["splits"].__setitem__(0, 1.5), '"splits[0]": input should be a valid integer'),
        (lambda c: c["splits"].__setitem__(0, -1), '"splits[0]": input should be greater than or equal to 0'),
        (lambda c: c["splits"].__setitem__(0, 10**30), '"splits[0]": '),
        (lambda c: c["nodes"][1].update(colour="red"), 'unknown key "nodes[1].colour"'),
        (lambda c: c["nodes"][3].pop("total_s"), '"nodes[3].total_s" is missing'),
        (lambda c: c.update(nodes={}), '"nodes": input should be a valid array'),
    ],
)
def test_malformed_files_are_refused_with_the_field(saved, change, message):
    refused(load_plan, changed(saved, change), message)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"status = 1"])
def test_what_is_no_plan_at_all_is_refused(tmp_path, content):
    path = tmp_path / "plan.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"plan\.json: "):
        load_plan(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.json: cannot read the plan \(No such file"):
        load_plan(tmp_path / "nowhere.json")


def test_more_keys_than_ours_are_welcome(saved):
    assert load_plan(changed(saved, lambda c: c.update(note="by hand"))).gap >= 0


def test_versions_name_what_is_installed_only(monkeypatch):
    real = importlib.metadata.version

    def version(name):
        if name == "cvxpy":
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    assert {"python", "dmcjia-opt", "numpy", "cvxpy", "pymoo"} <= set(installed_versions(LIBRARIES))
    monkeypatch.setattr(machine, "version", version)
    machine.installed_version.cache_clear()
    assert "cvxpy" not in installed_versions(LIBRARIES)
    assert "numpy" in installed_versions(LIBRARIES)
    machine.installed_version.cache_clear()


def test_a_plan_of_status_optimal_has_a_closed_gap():
    plan = solve(SCENARIO, "exhaustive")
    assert plan.status == Status.OPTIMAL
    assert plan.gap <= plan.gap_tolerance == 1e-9


@pytest.mark.parametrize(
    ("changes", "part"), [({"versions": "new"}, '"versions"'), ({"trace": [{"seconds": "soon"}]}, '"trace[0].')]
)
def test_how_it_was_made_is_read_or_refused(saved, changes, part):
    saved.write_text(json.dumps(json.loads(saved.read_text(encoding="utf-8")) | changes), encoding="utf-8")
    with pytest.raises(InputError, match=re.escape(part)):
        load_plan(saved)
