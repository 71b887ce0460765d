"""The page of a plan: its numbers are the evaluator's, every name is escaped, and it stays small."""

import json
import re
from dataclasses import replace
from html import unescape

import numpy as np
import pytest

from dmcjia_opt.base.errors import ClaimFalse, InputError
from dmcjia_opt.bounds.certificate import best_lower_bound, certify
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.solving.contract import Stop
from dmcjia_opt.solving.plan import PlanFile
from dmcjia_opt.solving.solve import solve
from dmcjia_opt.studies.look.words import percent, seconds
from dmcjia_opt.studies.plan.plan_page import MOST_ROWS, plan_report
from dmcjia_opt.studies.plan.subject import subject_of_file, subject_of_plan

NASTY = "<script>alert(1)</script>"
SCENARIO = generate("paper", nodes=10, seed=1)


def report(scenario, plan):
    return plan_report(subject_of_plan(scenario, plan, "s.toml"), 2.0)


def visible(page):
    markup = re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", markup)))


def plots(page):
    """The content of every plot by its title."""
    found = re.findall(r'<figure><h3>(.*?)</h3>.*?<script type="application/json">(.*?)</script>', page, re.DOTALL)
    return {unescape(title): json.loads(spec) for title, spec in found}


def tables(page):
    """The body rows of every table, as texts."""
    bodies = re.findall(r"<tbody>(.*?)</tbody>", page, re.DOTALL)
    return [
        [[unescape(cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row)] for row in re.findall(r"<tr>.*?</tr>", b)]
        for b in bodies
    ]


@pytest.fixture(scope="module")
def plan():
    return solve(SCENARIO, "genetic", stop=Stop(evaluations=200), seed=4)


@pytest.fixture(scope="module")
def page(plan):
    return report(SCENARIO, plan)


def times_as_many_tasks(factor):
    return replace(SCENARIO, nodes=replace(SCENARIO.nodes, arrival_rate=factor * SCENARIO.nodes.arrival_rate))


def claims_of(plan, **changes):
    return PlanFile.model_validate(plan.to_dict() | changes)


def test_the_numbers_are_the_evaluators(plan, page):
    problem = compile_problem(SCENARIO)
    objective = float(problem.objective(plan.splits, plan.shares))
    bound, (price,) = best_lower_bound(problem)
    words = visible(page)
    assert f"mean delay over nodes {seconds(objective)}" in words
    assert f"proved lower bound {seconds(bound)}, from the price of cloud capacity" in words
    assert f"gap {percent((objective - bound) / objective)}" in words
    assert f"{price:.4g} s of mean delay per unit share" in words
    assert f"no plan is faster than {seconds(bound)}" in words
    delays = problem.breakdown(plan.splits, plan.shares)
    order = np.argsort(-delays.total, kind="stable")
    drawn = plots(page)["Delay by stage"]
    for trace, stage in zip(drawn["data"], (delays.edge, delays.upload, delays.cloud), strict=True):
        np.testing.assert_allclose(trace["x"], 1e3 * stage[order], rtol=1e-12)
    assert drawn["layout"]["yaxis"]["ticktext"] == [SCENARIO.nodes.names[d] for d in order]
    rows = tables(page)[1]
    assert [row[0] for row in rows] == [SCENARIO.nodes.names[d] for d in order]
    assert [row[-1] for row in rows] == [seconds(delays.total[d]) for d in order]
    assert [row[3] for row in rows] == [f"{100 * plan.shares[d]:.3g} %" for d in order]


def test_shares_are_what_keeps_up_and_what_is_to_spare(plan, page):
    problem = compile_problem(SCENARIO)
    order = np.argsort(-plan.shares, kind="stable")
    needed, spare = (np.array(trace["x"]) / 100 for trace in plots(page)["Share of each node"]["data"])
    least = problem.arrival_rate * problem.at(problem.service[..., 0], plan.splits)
    np.testing.assert_allclose(needed, least[order], rtol=1e-12)
    np.testing.assert_allclose(needed + spare, plan.shares[order], rtol=1e-12)
    busy = percent(float(least.sum()))
    assert f"cloud {busy} busy, 100.00 % given out" in visible(page)


def test_cuts_are_counted_by_layer(plan, page):
    profile = SCENARIO.profiles["resnet34"]
    drawn = plots(page)["resnet34, 34 layers"]
    labels = drawn["layout"]["yaxis"]["ticktext"]
    used, counts = np.unique(plan.splits, return_counts=True)
    assert drawn["data"][0]["x"] == counts.tolist()
    for label, split in zip(labels, used.tolist(), strict=True):
        assert label.startswith(f"{split}: ")
        assert split == 0 or profile.layer_names[split - 1] in label


def test_loads_are_those_of_the_queues(plan, page):
    nodes, profile = SCENARIO.nodes, SCENARIO.profiles["resnet34"]
    done = profile.work[plan.splits]
    edge = nodes.arrival_rate * done / (nodes.compute_gflops * 1e9)
    cloud = nodes.arrival_rate * (profile.total_macs - done) / (SCENARIO.cloud_gflops * 1e9 * plan.shares)
    rows = tables(page)[4]
    assert len(rows) == 10
    for name, at_edge, in_cloud, room in rows:
        d = nodes.names.index(name)
        assert at_edge == (f"{100 * edge[d]:.3g} %" if edge[d] else "–")
        assert in_cloud == f"{100 * cloud[d]:.3g} %"
        more = float(room.removeprefix("+").removesuffix(" %").replace(",", ""))
        assert more == pytest.approx(100 / max(edge[d], cloud[d]) - 100, rel=6e-3)
    assert "No queue is busy for 80 %" in visible(page)


def test_a_queue_close_to_instability_is_named():
    crowded = times_as_many_tasks(8)
    page = report(crowded, solve(crowded))
    match = re.search(r"(\d+) of 10 nodes ha(s|ve) a queue that is busy for 80 % of the time or more", visible(page))
    assert match
    assert page.count('class="bad"') >= int(match[1]) > 0


def test_the_uplink_counts_where_it_is_a_queue():
    options = SCENARIO.options.model_copy(update={"delay": "tandem", "uplink": "queue"})
    series = replace(SCENARIO, options=options)
    plan = solve(series)
    for row in tables(report(series, plan))[-1]:
        d = series.nodes.names.index(row[0])
        sent = series.profiles["resnet34"].upload_bytes[plan.splits[d]]
        load = series.nodes.arrival_rate[d] * sent / (series.nodes.uplink_mbps[d] * 1e6 / 8)
        assert row[2] == f"{100 * load:.3g} %"


def test_the_first_row_of_changes_is_planning_anew(plan, page):
    rows = tables(page)[2]
    best = solve(SCENARIO).objective
    assert [row[0].split()[0] for row in rows] == ["as", "10", "10", "10"]
    assert rows[0][1] == seconds(best)
    assert rows[0][2].startswith(f"{seconds(plan.objective - best)} (")
    assert len(tables(report(SCENARIO, solve(SCENARIO)))[2]) == 3


def test_what_is_not_counted_of_the_networks_is_said(plan, page):
    caution = 'model "net": at least 40 % of the work is not counted'
    assert caution not in visible(page)
    assert f"Of the networks: {caution}." in visible(report(SCENARIO, replace(plan, cautions=(caution,))))


def test_how_it_was_made(page):
    words = visible(page)
    assert "dmcjia solve s.toml --placer genetic --allocator waterfilling --evaluations 200 --seed 4" in words
    assert SCENARIO.sha256() in words
    assert "limits 200 plans" in words
    assert f"numpy {np.__version__}" in words


def test_the_search_is_drawn_where_it_was_recorded(plan, page):
    data = plots(page)["Best plan and bound"]["data"]
    assert [trace["legendgroup"] for trace in data] == ["best plan", "lower bound"]
    assert "Best plan and bound" not in plots(report(SCENARIO, solve(SCENARIO, "greedy")))


def test_every_name_is_escaped():
    profile = replace(SCENARIO.profiles["resnet34"], name=NASTY)
    layers = tuple(f"</script>{NASTY}{name}" for name in profile.layer_names)
    nasty = replace(
        SCENARIO,
        nodes=replace(SCENARIO.nodes, names=(NASTY, "</script>", *SCENARIO.nodes.names[2:]), networks=(NASTY,)),
        profiles={NASTY: replace(profile, layer_names=layers)},
        name=NASTY,
    )
    made = replace(
        solve(nasty), notes=(NASTY,), cautions=(NASTY,), machine=NASTY, placer=NASTY, versions={NASTY: NASTY}
    )
    page = report(nasty, made)
    assert NASTY not in page
    assert page.count("&lt;script&gt;alert(1)") > 10
    specs = re.findall(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)
    assert len(specs) == page.count('class="plot"')
    assert all("<" not in spec and json.loads(spec)["data"] for spec in specs)
    assert any("\\u003c" in spec or "&lt;script" in spec for spec in specs)
    shown = plots(page)["Delay by stage"]["layout"]["yaxis"]["ticktext"]
    assert all("<" not in label for label in shown)
    hints = [hint for plot in plots(page).values() for trace in plot["data"] for hint in trace.get("customdata", ())]
    assert any("&lt;script" in hint for hint in hints)
    assert all("<" not in hint for hint in hints)


def test_a_large_fleet_is_counted_not_listed(monkeypatch):
    monkeypatch.setattr("dmcjia_opt.studies.plan.instead.MOST_NODES", 100)
    sizes = []
    for n in (300, 6000):
        fleet = generate("fleet", nodes=n, seed=1)
        plan = solve(fleet)
        page = report(fleet, plan)
        drawn = plots(page)
        assert len(drawn["Delay by stage"]["data"][0]["y"]) == MOST_ROWS
        assert len(drawn["Share of each node"]["data"][0]["y"]) == MOST_ROWS
        assert len(tables(page)[1]) == MOST_ROWS
        assert "Delay over the whole fleet" in drawn
        words = visible(page)
        total = plan.delays.total
        assert fleet.nodes.names[int(total.argmax())] in words
        assert fleet.nodes.names[int(total.argmin())] not in words
        quantiles = np.sort(total)[[int(np.ceil(part * n)) - 1 for part in (0.5, 0.95, 0.99)]]
        assert ", ".join(seconds(float(q)) for q in quantiles) in words
        counts = [sum(plot["data"][0]["x"]) for title, plot in drawn.items() if title.startswith("resnet34")]
        assert counts == [n]
        sizes.append(len(page))
    assert abs(sizes[1] - sizes[0]) < 20_000


def test_nobody_in_the_cloud():
    quiet = times_as_many_tasks(0.1)
    assert "No node uses the cloud" in visible(report(quiet, solve(quiet, "edge-only")))


def test_a_bound_that_a_search_proved_is_proved_again():
    near = generate("near", nodes=8, seed=2)
    plan = solve(near)
    dual = certify(compile_problem(near), plan.splits, plan.shares)
    assert dual.gap > plan.gap_tolerance >= plan.gap
    subject = subject_of_file(near, claims_of(plan))
    words = visible(plan_report(subject, 20.0))
    assert "Proved: no plan is faster by more than" in words
    assert f"from {plan.bound_from}" in words or "Benders cuts" in words
    assert "claims a lower bound" not in words


def test_a_looser_gap_that_is_met_is_said_as_a_number():
    loose = solve(SCENARIO, "genetic", stop=Stop(gap=0.4), seed=4)
    words = visible(report(SCENARIO, loose))
    assert "within 40 % of the optimum, proved" in words
    assert "That holds for plans with reserved shares, these cuts and the M/D/1 delay." in words


def test_a_bound_that_cannot_be_proved_is_only_a_claim(plan):
    subject = subject_of_file(SCENARIO, claims_of(plan, lower_bound_s=plan.objective, gap=0.0, status="optimal"))
    words = visible(plan_report(subject, 2.0))
    assert f"The plan file claims a lower bound of {seconds(plan.objective)}" in words
    assert f"no plan is faster than {seconds(plan.lower_bound)}" in words


@pytest.mark.parametrize(
    ("changes", "error", "part"),
    [
        ({"scenario_sha256": "0" * 64}, ClaimFalse, "another scenario"),
        ({"objective_s": 0.1}, ClaimFalse, "objective_s is 0.1, recomputed"),
        ({"shares": [0.2] * 10}, ClaimFalse, "exceed the cloud"),
        ({"splits": [0] * 9}, InputError, "9 splits"),
        ({"splits": [35] * 10}, InputError, "split of node 0"),
    ],
)
def test_a_plan_that_is_none_is_refused(plan, changes, error, part):
    with pytest.raises(error, match=re.escape(part)):
        subject_of_file(SCENARIO, claims_of(plan, **changes))


def test_what_a_file_does_not_say_is_not_made_up(plan):
    content = plan.to_dict()
    for key in plan.provenance():
        del content[key]
    words = visible(plan_report(subject_of_file(SCENARIO, PlanFile.model_validate(content)), 2.0))
    for key in ("method", "time", "seed", "limits", "machine", "placer"):
        assert f"{key} not recorded" in words
    assert "dmcjia solve" not in words


def test_each_node_is_told_what_part_of_its_deadline_it_takes():
    delay = solve(SCENARIO).delays.total
    deadline = np.where(np.arange(10) < 3, 1e3 * delay * 1.25, np.nan)
    dated = replace(SCENARIO, nodes=replace(SCENARIO.nodes, deadline_ms=deadline))
    page = report(dated, solve(dated))
    rows = {row[0]: row[-1] for row in next(table for table in tables(page) if len(table) == 10)}
    names = SCENARIO.nodes.names
    assert [rows[name] for name in names[:3]] == [f"80 % of {seconds(1.25 * float(d))}" for d in delay[:3]]
    assert {rows[name] for name in names[3:]} == {"–"}
    assert "deadlines 3, all kept; the tightest is that of " in visible(page)


def test_the_page_of_the_worst_node_says_so():
    worst = replace(SCENARIO, options=SCENARIO.options.model_copy(update={"objective": "worst"}))
    plan = solve(worst)
    words = visible(report(worst, plan))
    assert f"delay of the worst node {seconds(plan.worst_delay)}" in words
    assert "no plan has a worst node that is faster" in words
    assert "delay of the worst node, all anew" in words
