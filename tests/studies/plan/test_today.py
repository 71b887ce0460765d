"""What a fleet does today beside its plan: each way is the rule's own plan, as `solve` makes it."""

import pytest

from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.model.scenario.loading import load_scenario
from dmcjia_opt.solving.solve import solve
from dmcjia_opt.studies.plan.plan_page import plan_report
from dmcjia_opt.studies.plan.subject import subject_of_plan
from dmcjia_opt.studies.plan.today import PLANNED, WAYS, rows, today
from tests.docs.blocks import ROOT

WAREHOUSE = load_scenario(ROOT / "examples" / "warehouse.toml")


@pytest.fixture(scope="module")
def subject():
    return subject_of_plan(WAREHOUSE, solve(WAREHOUSE))


def test_every_way_is_the_plan_of_its_rule(subject):
    ways, without = today(subject)
    assert [way.name for way in ways] == [*WAYS, PLANNED]
    assert without == []
    for way, placer in zip(ways, [*WAYS.values(), "exact"], strict=True):
        plan = solve(WAREHOUSE, placer)
        assert way.objective == pytest.approx(plan.objective, rel=1e-9)
        assert way.worst == pytest.approx(plan.delays.total.max(), rel=1e-9)
        for stage, value in way.stages.items():
            assert value == pytest.approx(getattr(plan.delays, stage).mean(), rel=1e-9)


def test_a_row_says_how_much_more_it_is(subject):
    told = rows(subject, today(subject)[0])
    assert [row[0] for row in told] == [*WAYS, PLANNED]
    assert [row[2].text for row in told] == ["+274.05 %", "+145.83 %", "+23.54 %", "–"]


def test_a_way_that_cannot_keep_up_is_named():
    cameras = load_scenario(ROOT / "examples" / "three_cameras.toml")
    subject = subject_of_plan(cameras, solve(cameras))
    ways, without = today(subject)
    assert without == ["all at the edge"]
    assert len(ways) == 3
    page = plan_report(subject, 1.0)
    assert "Not possible here: all at the edge; some queue" in " ".join(page.split())
    assert page.index("Today, and planned") < page.index("At a glance")


@pytest.mark.parametrize("family", ["links", "servers", "tiers", "hosts"])
def test_it_is_there_where_more_is_shared(family):
    scenario = generate(family, nodes=4, seed=1)
    subject = subject_of_plan(scenario, solve(scenario))
    ways, without = today(subject)
    assert len(ways) + len(without) == len(WAYS) + 1
    assert all(way.objective >= subject.objective * (1 - 1e-9) for way in ways)
    assert set(ways[-1].stages) == {"device", "network", "servers"}
