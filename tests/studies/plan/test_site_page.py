"""The page of a plan of a site: what the nodes share, who has how much of it, and what more of each would buy."""

from dataclasses import replace

import numpy as np
import pytest

from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.solving.contract import Stop
from dmcjia_opt.solving.plan import PlanFile
from dmcjia_opt.solving.solve import solve
from dmcjia_opt.studies.look.words import seconds
from dmcjia_opt.studies.plan import plan_page, what_if
from dmcjia_opt.studies.plan.plan_page import plan_report
from dmcjia_opt.studies.plan.subject import subject_of_file, subject_of_plan
from dmcjia_opt.studies.plan.what_if import best_shares, what_ifs
from tests.sites import SITES, site
from tests.studies.plan.test_plan_page import plots, report, tables, visible


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """The scenario, the plan and the page of every site."""
    folder = tmp_path_factory.mktemp("sites")
    scenarios = {name: site(folder, content) for name, content in SITES.items()}
    plans = {name: (scenario, solve(scenario)) for name, scenario in scenarios.items()}
    return {name: (scenario, plan, report(scenario, plan)) for name, (scenario, plan) in plans.items()}


@pytest.mark.parametrize("name", SITES)
def test_what_is_shared_is_a_table_the_dearest_first(planned, name):
    _, plan, page = planned[name]
    content = plan.to_dict()
    rows = tables(page)[2]
    order = np.argsort(-plan.prices, kind="stable")
    assert [row[0] for row in rows] == [content["resources"][r]["name"] for r in order]
    for r, (resource, kind, users, given, _, saved, most) in zip(order, rows, strict=True):
        claimed = content["resources"][r]
        shares = {row["name"]: row["shares"].get(resource, 0.0) for row in content["nodes"]}
        shares = {node: sum(share) if isinstance(share, list) else share for node, share in shares.items()}
        assert kind == claimed["kind"]
        assert int(users) == sum(share > 0 for share in shares.values())
        assert given == f"{100 * claimed['used']:.3g} %"
        assert saved == seconds(0.01 * claimed["price_s"])
        node, share = max(shares.items(), key=lambda pair: pair[1])
        assert most.endswith(f"{100 * share:.3g} %" if share else "–")
        assert not share or most.split()[0] in shares
        assert node in shares


def test_loads_are_those_of_the_queues(planned):
    scenario, plan, _ = planned["board"]
    subject = subject_of_plan(scenario, plan)
    loads = subject.loads()
    assert list(loads.stages) == ["device", "uplink", "host", "server"]
    work = scenario.profiles["alexnet"].work * 2
    rate = scenario.nodes.arrival_rate
    on_board = rate[:2] * work[1] / 3e9 / plan.shares_by_use[:2, 0]
    np.testing.assert_allclose(loads.stages["host"][:2], on_board, rtol=1e-12)
    assert np.isnan(loads.stages["host"][2])
    np.testing.assert_allclose(loads.stages["device"], [0.0, 0.0, rate[2] * work[1] / 2e9], rtol=1e-12)
    gflops = {"cloud": 30.0, "edge-server": 12.0}
    left = work[-1] - work[1]
    at = [gflops[plan.choices.server_of(d)] * 1e9 for d in range(3)]
    np.testing.assert_allclose(loads.stages["server"], rate * left / at / plan.shares, rtol=1e-12)
    np.testing.assert_allclose(loads.resources[0], (rate * left / 30e9)[plan.choices.server == 0].sum(), rtol=1e-12)


def test_shares_of_every_resource_are_drawn(planned):
    _, plan, page = planned["access point"]
    words = visible(page)
    for name in ("wifi", "backhaul", "edge-server"):
        assert f'the {"server" if name == "edge-server" else "link"} "{name}"' in words
    assert page.count("Share of each node") == 4
    dearest = int(np.argmax(plan.prices))
    held = np.where(plan.choices.resource == dearest, plan.shares_by_use, 0.0).sum(-1)
    drawn = [plot for title, plot in plots(page).items() if title == "Share of each node"]
    assert drawn
    assert plan.choices.resources[dearest].name == "edge-server"
    assert f"{np.count_nonzero(held)} of 3 nodes use the server" in words


def test_nodes_have_their_shares_by_name(planned):
    _, _, page = planned["twice"]
    for row in tables(page)[1]:
        assert row[2] == "1 | 1"
        assert row[3].startswith("wifi 16.7 % + 16.7 %, cloud 33.")


def test_each_resource_by_name_is_what_a_larger_one_buys(planned):
    scenario, plan, page = planned["access point"]
    changes = {change.name: change for change in what_ifs(subject_of_plan(scenario, plan), 10.0).changes}
    names = ["edge-server", "wifi", "backhaul", "cloud"]
    assert list(changes) == [*(f"10 % more {name}" for name in names), "10 % more compute for every node"]
    assert [row[0] for row in tables(page)[3]] == list(changes)
    links = tuple(link.model_copy(update={"mbps": 1.1 * link.mbps}) for link in scenario.links)
    servers = tuple(s.model_copy(update={"compute_gflops": 1.1 * s.compute_gflops}) for s in scenario.servers)
    larger = {
        "edge-server": replace(scenario, servers=servers),
        "wifi": replace(scenario, links=(links[0], scenario.links[1])),
        "backhaul": replace(scenario, links=(scenario.links[0], links[1])),
        "cloud": replace(scenario, cloud_gflops=1.1 * scenario.cloud_gflops),
    }
    prices = dict(zip((resource.name for resource in plan.choices.resources), plan.prices, strict=True))
    for name, changed in larger.items():
        change = changes[f"10 % more {name}"]
        assert change.least.reached == pytest.approx(solve(changed).objective, rel=1e-9)
        problem = compile_problem(changed)
        options = np.array([changed.option_of(d, plan.choices.cuts_of(d), plan.choices.server_of(d)) for d in range(3)])
        assert change.held == pytest.approx(best_shares(problem, options), rel=1e-9)
        assert plan.objective - change.least.reached <= 0.1 * prices[name] + plan.gap + (
            plan.objective - what_if.least_delay(compile_problem(scenario), 0.0).bound
        )


def test_the_own_uplink_and_compute_of_nodes_are_changes_too(planned):
    scenario, plan, _ = planned["board"]
    names = [change.name for change in what_ifs(subject_of_plan(scenario, plan), 10.0).changes]
    assert names[-2:] == ["10 % more bandwidth for every node’s own uplink", "10 % more compute for every node"]
    assert "10 % more board" in names


def test_no_more_resources_are_planned_anew_or_drawn_than_some(planned, monkeypatch):
    scenario, plan, _ = planned["access point"]
    monkeypatch.setattr(what_if, "MOST_RESOURCES", 2)
    monkeypatch.setattr(plan_page, "MOST_RESOURCES", 2)
    monkeypatch.setattr(plan_page, "MOST_PANELS", 2)
    words = visible(plan_report(subject_of_plan(scenario, plan), 2.0))
    assert "Of the 4 resources the 2 dearest are planned anew" in words
    assert "The 2 dearest of 4 resources have a plot" in words
    assert "10 % more wifi" in words
    assert "10 % more backhaul" not in words


def test_a_file_of_a_site_is_read_like_the_plan(planned):
    scenario, plan, _ = planned["tiers"]
    subject = subject_of_file(scenario, PlanFile.model_validate(plan.to_dict()))
    np.testing.assert_array_equal(subject.options, plan.options)
    assert subject.objective == plan.objective
    assert "1 | 8" in {row[2] for row in tables(plan_report(subject, 2.0))[1]}


def test_where_tasks_overlap_nobody_waits_for_ever(planned):
    scenario, _, page = planned["twice"]
    assert "Tasks overlap on it" in visible(page)
    queue = replace(scenario, options=scenario.options.model_copy(update={"uplink": "queue"}))
    planned_anew = solve(queue, stop=Stop(gap=0.5))
    assert "Tasks overlap on it" not in visible(report(queue, planned_anew))
