import json
import math

import numpy as np
import pytest

from dmcjia_opt import Simulation, build_arrivals, compare, simulate
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.solving.contract import Placement
from dmcjia_opt.studies.simulation.arrivals import Trace
from dmcjia_opt.studies.simulation.result import content, save
from tests.studies.simulation.fleets import loaded, tandem

SCENARIO, PLAN = loaded([0.6, 0.4], 0.2, [0.5, 0.3])
OTHER = Placement(PLAN.options, PLAN.shares * [1.0, 0.99])


@pytest.fixture(scope="module")
def pair():
    return tuple(simulate(SCENARIO, plan, tasks=20_000, seed=1) for plan in (PLAN, OTHER))


def test_paired_differences_show_what_intervals_hide(pair):
    first, second = pair
    difference = compare(first, second)
    expected = (tandem(SCENARIO, OTHER) - tandem(SCENARIO, PLAN)).mean()
    assert difference.mean == pytest.approx(second.mean_delay - first.mean_delay)
    assert abs(difference.mean - expected) <= difference.half_width(0.999)
    assert difference.is_clear()
    assert difference.half_width() < 0.1 * first.mean_half_width()
    assert compare(second, first).mean == pytest.approx(-difference.mean)


def test_a_plan_does_not_differ_from_itself(pair):
    difference = compare(pair[0], pair[0])
    assert (difference.mean, difference.half_width(), difference.is_clear()) == (0.0, 0.0, False)


@pytest.mark.parametrize(
    ("key", "changed"),
    [
        ("tasks", {"tasks": 2000}),
        ("seed", {"seed": 2}),
        ("arrivals", {"arrivals": build_arrivals("erlang:2")}),
        ("edge_cv", {"service_cv": 0.1}),
        ("service_family", {"service_family": "lognormal"}),
        ("uplink", {"uplink": "queue"}),
        ("warm_up", {"warm_up": 0.2}),
    ],
)
def test_only_like_compares_with_like(key, changed):
    usual = {"tasks": 1000, "seed": 1}
    with pytest.raises(InputError, match=f"only with the same {key}, got "):
        compare(simulate(SCENARIO, PLAN, **usual), simulate(SCENARIO, PLAN, **(usual | changed)))


def test_stages_add_up(pair):
    assert isinstance(pair[0], Simulation)
    assert pair[0].delays.total == pytest.approx(pair[0].delay)


def test_the_file_holds_everything_in_plain_numbers(tmp_path, pair):
    save(tmp_path / "sim.json", {"a": pair[0], "b": pair[1]}, 0.9)
    read = json.loads((tmp_path / "sim.json").read_text())
    assert read == json.loads(json.dumps(content({"a": pair[0], "b": pair[1]}, 0.9)))
    assert read["settings"]["confidence"] == 0.9
    assert read["settings"]["scenario_sha256"] == SCENARIO.sha256()
    assert [plan["plan"] for plan in read["plans"]] == ["a", "b"]
    plan = read["plans"][0]
    assert plan["mean_s"] == pair[0].mean_delay
    assert plan["half_width_s"] == pair[0].mean_half_width(0.9)
    node = plan["nodes"][1]
    assert node["name"] == "node-1"
    assert node["mean_s"] == pair[0].delay[1]
    assert node["edge_s"] + node["upload_s"] + node["cloud_s"] == pytest.approx(node["mean_s"])
    assert node["p50_s"] < node["p95_s"] < node["p99_s"]
    assert node["batches_independent"] is True
    (difference,) = read["differences"]
    assert (difference["plan"], difference["minus"], difference["clear"]) == ("b", "a", True)
    assert difference["mean_s"] == pytest.approx(read["plans"][1]["mean_s"] - plan["mean_s"])


def test_a_model_without_a_delay_is_null():
    scenario, plan = loaded(1.2, 0.2, 0.5)
    found = simulate(scenario, plan, arrivals=Trace(np.arange(1000) * 10.0))
    written = found.to_dict()
    assert math.isinf(found.mean_model)
    assert written["model_s"] is None
    assert written["nodes"][0]["model_s"] is None
