"""What the page says of promises: what deadlines cost, who is the worst node, and which percentile all is of."""

from dataclasses import replace

import numpy as np
import pytest

from dmcjia_opt.bounds.certificate import lower_bound
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.solving.contract import Status
from dmcjia_opt.solving.solve import solve
from dmcjia_opt.studies.look.words import percent, seconds
from dmcjia_opt.studies.plan.promised import MOST_ALONE, by_mean, deadlines_of
from dmcjia_opt.studies.plan.subject import subject_of_plan
from dmcjia_opt.studies.plan.what_if import Least, costs
from tests.sites import site
from tests.studies.plan.test_plan_page import plots, report, tables, visible

FREE = generate("paper", nodes=8, seed=1, cloud_gflops=60.0)
#: Cameras with an uplink each, a server nearby and the cloud.
TWO_SERVERS = """
[cloud]
compute_gflops = 30.0
rtt_ms = 30.0
[[servers]]
name = "edge-server"
compute_gflops = 12.0
rtt_ms = 2.0
""" + "".join(
    f"""
[[nodes]]
name = "camera-{d}"
model = "alexnet"
compute_gflops = 1.0
uplink_mbps = 9.0
arrival_rate = {0.3 + 0.1 * d}
"""
    for d in range(3)
)


def planned_with(scenario=FREE, **options):
    return replace(scenario, options=scenario.options.model_copy(update=options))


def dated(scenario, factor, every=2):
    """Give every second node, say, a deadline of so many times its delay in the best plan."""
    delay = solve(scenario).delays.total
    limits = np.where(np.arange(len(delay)) % every == 0, 1e3 * factor * delay, np.nan)
    return replace(scenario, nodes=replace(scenario.nodes, deadline_ms=limits))


def without(scenario, d):
    limits = np.where(np.arange(scenario.n_nodes) == d, np.nan, scenario.nodes.deadline_ms)
    return replace(scenario, nodes=replace(scenario.nodes, deadline_ms=limits))


@pytest.fixture(scope="module", params=[{}, {"delay": "tandem", "statistic": "p95"}], ids=["mean", "p95"])
def kept(request):
    """A scenario with four deadlines that cost something, its plan and its page."""
    scenario = dated(planned_with(**request.param), 0.93)
    plan = solve(scenario)
    assert plan.status == Status.OPTIMAL
    return scenario, plan, report(scenario, plan)


def test_keeping_all_deadlines_costs_what_planning_without_them_saves(kept):
    scenario, plan, page = kept
    free = solve(scenario.without_deadlines()).objective
    called = "mean delay" if plan.statistic == "mean" else "mean p95 delay"
    cost = f"{seconds(plan.objective - free)} ({percent((plan.objective - free) / free)})"
    assert f"Keeping all 4 deadlines costs the {called} {cost}, against the fastest plan without any." in visible(page)
    assert f"That holds for plans with {scenario.without_deadlines().rule}." in visible(page)


def test_the_tightest_deadlines_come_first(kept):
    _, plan, page = kept
    rows = next(table for table in tables(page) if len(table[0]) == 6 and table[0][2].endswith("s"))
    limits, delays = plan.deadlines, plan.delays.total
    assert {row[0] for row in rows} == {plan.names[d] for d in np.flatnonzero(np.isfinite(limits))}
    parts = []
    for name, delay, limit, _, spare, _ in rows:
        d = plan.names.index(name)
        assert delay == seconds(delays[d])
        assert limit == seconds(limits[d])
        left = limits[d] - delays[d]
        assert spare == ("nothing" if left <= 1e-9 * limits[d] else seconds(left))
        parts.append(delays[d] / limits[d])
    assert np.diff(parts).max() <= 1e-9


def test_deadlines_are_marked_beside_the_bars(kept):
    _, plan, page = kept
    title = "Delay by stage" if plan.statistic == "mean" else "Delay by stage, p95"
    drawn = plots(page)[title]
    (marks,) = (trace for trace in drawn["data"] if trace["name"] == "deadline")
    names = drawn["layout"]["yaxis"]["ticktext"]
    size = 1e3 if drawn["layout"]["xaxis"]["title"]["text"].endswith(" ms") else 1.0
    found = {names[y]: x / size for x, y in zip(marks["x"], marks["y"], strict=True)}
    assert found == {
        plan.names[d]: pytest.approx(plan.deadlines[d], rel=1e-12) for d in np.flatnonzero(np.isfinite(plan.deadlines))
    }


def test_what_a_deadline_costs_at_the_prices_is_more_than_giving_it_up_saves(kept):
    scenario, plan, page = kept
    subject = subject_of_plan(scenario, plan)
    found = deadlines_of(subject, 10.0)
    assert (found.priced >= 0.0).all()
    assert not found.priced[np.isinf(subject.problem.deadline)].any()
    left = plan.objective - lower_bound(subject.problem, subject.prices)
    assert found.without.least.reached == pytest.approx(solve(scenario.without_deadlines()).objective, rel=1e-9)
    assert 1 <= len(found.alone) <= MOST_ALONE
    saved = {}
    for d, change in found.alone:
        best = solve(without(scenario, d)).objective
        assert change.least.reached == pytest.approx(best, rel=1e-9)
        assert plan.objective - best <= (found.priced[d] + left) * (1.0 + 1e-9)
        saved[d] = plan.objective - best
    d = max(saved, key=saved.get)
    words = f"The one that costs most is that of {plan.names[d]}: given up alone, it saves {seconds(saved[d])}"
    assert words in visible(page)


def test_deadlines_that_nobody_notices_cost_nothing():
    scenario = dated(FREE, 1.5)
    words = visible(report(scenario, solve(scenario)))
    assert "Keeping all 4 deadlines costs the mean delay nothing. At the plan's prices none of them costs any" in words
    one = without(without(without(scenario, 0), 2), 4)
    assert "Keeping the deadline costs the mean delay nothing." in visible(report(one, solve(one)))
    assert "What the deadlines cost" not in visible(report(FREE, solve(FREE)))


def test_every_word_of_a_percentile_is_of_it():
    scenario = planned_with(delay="tandem", statistic="p99")
    plan = solve(scenario)
    page = report(scenario, plan)
    words = visible(page)
    assert "Of the mean p99 delay " in words
    assert "mean p99 delay over nodes" in words
    assert "p99 of each node, mean over nodes" in words
    assert "mean p99 delay, all anew" in words
    for wrong in ("of the mean delay", "Of the mean delay", "the mean delay ", "s of mean delay"):
        assert wrong not in words
    assert plots(page)["Delay by stage, p99"]["layout"]["xaxis"]["title"]["text"].startswith("p99 delay, ")
    assert "total p99" in words


def test_the_worst_node_is_set_beside_the_plan_of_least_mean():
    worst, mean = planned_with(objective="worst"), solve(FREE)
    plan = solve(worst)
    page = report(worst, plan)
    ties = int((plan.delays.total >= plan.worst_delay * (1 - 1e-9)).sum())
    rows = next(table for table in tables(page) if table[0][0] == "this plan")
    more = f" and {ties - 1} more" if ties > 1 else ""
    slowest = plan.names[int(plan.delays.total.argmax())]
    assert rows[0] == ["this plan", seconds(plan.worst_delay), slowest + more, seconds(plan.mean_delay)]
    assert rows[1][::2] == ["the plan of least mean", mean.names[int(mean.delays.total.argmax())]]
    assert rows[1][1::2] == [seconds(mean.worst_delay), seconds(mean.objective)]
    larger = solve(replace(worst, cloud_gflops=1.1 * worst.cloud_gflops)).worst_delay
    saved = f"{seconds(plan.worst_delay - larger)} ({percent(1 - larger / plan.worst_delay)})"
    assert f"What lowers it is more of the cloud: 10 % more cloud saves {saved}." in visible(page)
    assert f"both among plans with {FREE.rule}." in visible(page)
    assert by_mean(subject_of_plan(FREE, mean), 1.0) is None


def test_what_lowers_the_worst_node_is_what_is_dearest(tmp_path):
    scenario = planned_with(site(tmp_path, TWO_SERVERS), objective="worst")
    plan = solve(scenario)
    dearest = int(plan.prices.argmax())
    part = f"{100 * plan.prices[dearest] / plan.prices.sum():.3g} %"
    words = visible(report(scenario, plan))
    assert f"more of {plan.choices.resources[dearest]}, with {part} of the prices: 10 % more " in words


def test_a_worst_node_that_needs_nothing_of_others_says_so():
    worst = planned_with(generate("paper", nodes=3, seed=1), objective="worst")
    slow = replace(worst.nodes, compute_gflops=np.array([0.9, 50.0, 50.0]), uplink_mbps=np.array([0.01, 50.0, 50.0]))
    alone = replace(worst, nodes=replace(slow, arrival_rate=np.array([0.05, 1.0, 1.0])))
    words = visible(report(alone, solve(alone)))
    assert "More of the cloud does not lower it: what is the node's own decides." in words


def test_deadlines_beside_the_worst_node():
    worst = planned_with(objective="worst")
    delay = solve(worst).delays.total
    limits = np.where(np.arange(8) == 1, 0.9e3 * delay, np.nan)
    scenario = replace(worst, nodes=replace(worst.nodes, deadline_ms=limits))
    plan = solve(scenario)
    words = visible(report(scenario, plan))
    cost = plan.objective - solve(worst).objective
    assert cost > 0.0
    assert f"Keeping the deadline costs the delay of the worst node {seconds(cost)} (" in words
    found = deadlines_of(subject_of_plan(scenario, plan), 5.0)
    assert 0.0 < found.priced[1] < 1.0
    assert "takes of what is shared" in words


@pytest.mark.parametrize(
    ("whole", "less", "said"),
    [
        (Least(1.1, 1.1), Least(1.0, 1.0), "100 ms (10.00 %)"),
        (Least(1.1, 1.2), Least(1.0, 1.05), "50 ms (4.76 %) to 200 ms (20.00 %)"),
        (Least(1.0, 1.1), Least(1.0, 1.0), "at most 100 ms (10.00 %)"),
        (Least(1.0, 1.0), Least(1.0, 1.0), "nothing"),
    ],
)
def test_costs_are_as_sure_as_the_bounds(whole, less, said):
    assert costs(whole, less) == said
