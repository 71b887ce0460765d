"""Why no plan exists: the nodes that fail alone by name, or the clouds that the fleet needs."""

import numpy as np
import pytest

from dmcjia_opt.base.errors import ClaimFalse, InfeasibleError
from dmcjia_opt.model.scenario.nodes import NodeTable
from dmcjia_opt.model.scenario.scenario import Options, Scenario
from dmcjia_opt.solving.infeasible import why_no_plan
from dmcjia_opt.solving.plan import load_plan
from dmcjia_opt.solving.solve import solve
from dmcjia_opt.solving.verifying import verify
from dmcjia_opt.studies.plan.subject import subject_of_file


def fleet(rates, cloud=100.0, **options):
    names = tuple(f"c{k + 1}" for k in range(len(rates)))
    return Scenario(cloud, NodeTable(names, ("resnet34",), 5.0, 25.0, np.array(rates, float)), Options(**options))


def carried(why):
    return float(why.partition("less than ")[2].partition(" of")[0])


@pytest.mark.parametrize(
    "options", [{}, {"ordering": "cloud-faster"}, {"delay": "tandem"}, {"delay": "tandem", "uplink": "queue"}]
)
def test_a_node_that_fails_alone_is_named_with_what_it_could_carry(options):
    why = why_no_plan(fleet([0.1, 0.1, 25.0], **options))
    assert '"c3" can carry less than' in why
    assert " of its 25 tasks/s" in why
    assert "c1" not in why
    most = carried(why)
    assert not why_no_plan(fleet([most * 0.99], **options))
    assert why_no_plan(fleet([most * 1.01], **options))
    assert why.endswith("or its uplink_mbps") == ("uplink" in options)


def test_a_fleet_that_asks_for_too_much_is_told_how_many_clouds_it_needs():
    scenario = fleet([2.0, 3.0, 3.0], cloud=30.0)
    with pytest.raises(InfeasibleError) as caught:
        solve(scenario)
    why = str(caught.value)
    clouds = float(why.partition("at least ")[2].partition(" clouds")[0])
    assert 1.0 < clouds < 3.0
    assert 'most of it for "c2" (' in why
    assert not why_no_plan(fleet([2.0, 3.0, 3.0], cloud=30.0 * clouds * 1.01))
    assert why_no_plan(fleet([2.0, 3.0, 3.0], cloud=30.0 * clouds))


def test_a_load_a_hair_above_one_cloud_is_not_rounded_to_one():
    from dmcjia_opt.solving.infeasible import _clouds

    assert _clouds(1.7) == "1.7 clouds"
    assert _clouds(1.0000004) == "1.0000004 clouds"


def test_what_has_a_plan_has_no_reason():
    assert why_no_plan(fleet([0.1, 0.1])) == ""


def test_many_nodes_are_counted():
    assert "(and 988 more nodes)" in why_no_plan(fleet([25.0] * 1000))


def test_verify_and_report_say_the_same(tmp_path):
    solve(fleet([0.1, 0.1])).save(tmp_path / "plan.json")
    claims, scenario = load_plan(tmp_path / "plan.json"), fleet([0.1, 25.0])
    (row,) = (check for check in verify(scenario, claims) if check.what == "feasible")
    assert row.recomputed == f"no: {why_no_plan(scenario)}"
    again = claims.model_copy(update={"scenario_sha256": scenario.sha256()})
    with pytest.raises(ClaimFalse, match=r'it is no plan: no plan exists: .* "c2" can carry less than'):
        subject_of_file(scenario, again)
