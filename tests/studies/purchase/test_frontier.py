"""Points of a frontier are plans, what is proved holds for all plans, and files say what is known."""

import csv
import math
from dataclasses import replace

import numpy as np
import pytest

from dmcjia_opt import generate, load_scenario
from dmcjia_opt.base.errors import InfeasibleError, InputError
from dmcjia_opt.studies.purchase.frontier import frontier
from dmcjia_opt.studies.purchase.frontier_page import frontier_page
from dmcjia_opt.studies.purchase.size import Sizing, size
from tests.studies.plan.test_plan_page import plots, tables, visible

COLUMNS = ["mean_delay_s", "cost", "lower_bound", "cloud (GFLOP/s)"]
SITE = """
[options]
delay = "tandem"
uplink = "queue"
statistic = "p90"
[cloud]
compute_gflops = 60.0
price_per_gflops = 0.4
step_gflops = 25.0
link = "line"
[[links]]
name = "line"
mbps = 60.0
{price}
"""
NODE = """
[[nodes]]
name = "{name}"
model = "{model}"
compute_gflops = {gflops}
uplink_mbps = {mbps}
arrival_rate = {rate}
"""
NODES = "".join(
    NODE.format(name=f"camera-{k}", model=model, gflops=gflops, mbps=mbps, rate=rate)
    for k, (model, gflops, mbps, rate) in enumerate(
        [("alexnet", 4.0, 20.0, 2.0), ("mobilenet_v2", 3.0, 10.0, 1.0), ("resnet34", 30.0, 40.0, 0.5)]
    )
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A site whose cloud and line are for sale, and the same whose line is not."""
    folder = tmp_path_factory.mktemp("site")
    for name, price in (("both", "price_per_mbps = 0.5"), ("cloud", "")):
        (folder / f"{name}.toml").write_text(SITE.format(price=price) + NODES, encoding="utf-8")
    return {name: load_scenario(folder / f"{name}.toml") for name in ("both", "cloud")}


@pytest.fixture(scope="module")
def bought(site):
    return {name: frontier(scenario, points=5) for name, scenario in site.items()}


@pytest.fixture(scope="module")
def cloud():
    return frontier(generate("paper", nodes=6, seed=3), points=9)


def test_a_shorter_delay_costs_more_and_every_point_is_proved(cloud):
    keys = "delay_s", "cost", "lower_bound"
    delays, costs, bounds = (np.array([getattr(p, key) for p in cloud.points]) for key in keys)
    assert len(delays) == 9
    assert (np.diff(delays) > 0).all()
    assert (np.diff(costs) < 0).all()
    assert (bounds <= costs).all()
    np.testing.assert_allclose(bounds, costs, rtol=1e-10)
    np.testing.assert_allclose(
        [p.capacity[0] for p in cloud.points], costs, rtol=1e-12
    )  # the capacity is what is least
    assert cloud.today.cost == cloud.scenario.cloud_gflops


def test_points_are_the_sizes_of_their_mean_and_the_envelope_is_below_those_between(cloud):
    for p in cloud.points[1::3]:
        found = size(cloud.scenario, mean_ms=1e3 * p.delay_s)
        assert found.cost >= p.lower_bound * (1.0 - 1e-12)
        assert found.cost == pytest.approx(p.cost, rel=1e-8)
    for a, b in zip(cloud.points[:-1:3], cloud.points[1::3], strict=False):
        middle = math.sqrt(a.delay_s * b.delay_s)
        found = size(cloud.scenario, mean_ms=1e3 * middle)
        assert b.lower_bound < cloud.envelope(middle) <= found.cost * (1.0 + 1e-12)
        assert cloud.envelope(middle) >= 0.5 * found.cost


def test_no_random_plan_lies_below_the_envelope(cloud):
    fleet = Sizing.of(cloud.scenario)
    problem, rng = fleet.problem, np.random.default_rng(1)
    rows, seen = np.arange(problem.n_nodes), 0
    for _ in range(2000):
        options = rng.integers(problem.n_options, size=problem.n_nodes)
        least = problem.arrival_rate * problem.service[rows, options, 0]
        shares = (least * (1.0 + rng.exponential(2.0, problem.n_nodes)))[:, None]
        delay = problem.node_delay(options, shares)
        if np.isfinite(delay).all():
            seen += 1
            cost = float(shares.sum()) * cloud.scenario.cloud_gflops
            assert cloud.envelope(float(problem.weight @ delay)) <= cost * (1.0 + 1e-12)
    assert seen > 500


def least_shares(problem, deadline):
    """(n_options, n_nodes): the least share of each option that keeps a deadline, by halving; +inf where none does."""
    found = np.full((problem.n_options, problem.n_nodes), np.inf)
    for o in range(problem.n_options):
        options = np.full(problem.n_nodes, o)
        idle = problem.service[:, o, 0] == 0
        low, high = np.zeros(problem.n_nodes), np.where(idle, 0.0, 1e6)
        kept = problem.node_delay(options, high[:, None]) <= deadline
        for _ in range(90):
            middle = 0.5 * (low + high)
            enough = problem.node_delay(options, np.where(idle, 0.0, middle)[:, None]) <= deadline
            low, high = np.where(enough, low, middle), np.where(enough, middle, high)
        found[o, kept] = np.where(idle, 0.0, high)[kept]
    return found


def test_with_a_deadline_each_point_is_the_least_of_each_node_alone():
    scenario = generate("paper", nodes=5, seed=2)
    found = frontier(scenario, deadlines_ms=[900, 600, 700])
    assert [p.delay_s for p in found.points] == pytest.approx([0.6, 0.7, 0.9], rel=1e-15)
    problem, gflops = Sizing.of(scenario).problem, scenario.cloud_gflops
    for p in found.points:
        alone = gflops * least_shares(problem, p.delay_s).min(axis=0).sum()
        assert p.cost == pytest.approx(alone, rel=1e-9)
        assert p.lower_bound <= p.cost <= p.lower_bound * (1.0 + 1e-9)
    assert found.envelope(0.65) == found.points[1].lower_bound
    assert found.envelope(0.7) == found.points[1].lower_bound
    assert found.envelope(0.5) == found.points[0].lower_bound
    assert found.envelope(1.0) == 0.0
    assert math.isfinite(found.today.delay_s)


def test_the_worst_node_has_a_grid_of_deadlines():
    scenario = generate("paper", nodes=4, seed=5)
    scenario = replace(scenario, options=scenario.options.model_copy(update={"objective": "worst"}))
    found = frontier(scenario, points=6)
    assert found.by_deadline
    assert len(found.points) == 6
    costs = [p.cost for p in found.points]
    assert costs == sorted(costs, reverse=True)
    assert all(p.whole_delay_s <= p.delay_s * (1.0 + 1e-9) for p in found.points)
    assert found.envelope(found.today.delay_s) <= found.today.cost


@pytest.mark.parametrize("name", ["both", "cloud"])
def test_what_is_not_for_sale_stays_as_it_is(bought, site, name):
    found = bought[name]
    names = [one.name for one in found.sale.resources]
    for p in found.points:
        assert p.lower_bound <= p.cost
        assert p.cost == pytest.approx(p.lower_bound, rel=1e-9)
        assert p.lower_bound >= found.envelope(p.delay_s)
        capacity = dict(zip(names, p.capacity, strict=True))
        if name == "cloud":
            assert capacity["line"] == 60.0
        paid = 0.4 * capacity["cloud"] + (0.5 * capacity["line"] if name == "both" else 0.0)
        assert p.cost == pytest.approx(paid, rel=1e-12)
    delay = found.points[1].delay_s
    assert size(site[name], mean_ms=1e3 * delay).cost_exact == pytest.approx(found.points[1].cost, rel=1e-6)


def test_in_whole_steps_more_is_bought_and_less_is_waited(bought):
    for p in bought["both"].points:
        cloud = [one.name for one in bought["both"].sale.resources].index("cloud")
        assert p.whole_capacity[cloud] % 25.0 == 0.0
        assert 0.0 <= p.whole_capacity[cloud] - p.capacity[cloud] < 25.0
        assert p.whole_cost >= p.cost * (1.0 - 1e-12)
        assert p.whole_delay_s <= p.delay_s * (1.0 + 1e-9)


def test_the_table_has_a_row_for_each_point(bought, cloud, tmp_path):
    for found, head in (
        (cloud, COLUMNS),
        (
            bought["cloud"],
            [*COLUMNS, "cost_in_steps", "delay_in_steps_s", "cloud (GFLOP/s) in steps"],
        ),
    ):
        found.to_csv(tmp_path / "frontier.csv")
        with (tmp_path / "frontier.csv").open(encoding="utf-8", newline="") as stream:
            rows = list(csv.reader(stream))
        assert rows[0] == head
        assert [float(row[1]) for row in rows[1:]] == [p.cost for p in found.points]
        assert [float(row[2]) for row in rows[1:]] == [p.lower_bound for p in found.points]


def test_the_page_says_what_is_claimed_and_draws_every_point(bought):
    found = bought["both"]
    page = frontier_page(found)
    text = visible(page)
    assert "mean p90 delay" in text
    assert found.scenario.rule in text
    assert len(tables(page)[0]) == len(found.points)
    (plot,) = plots(page).values()
    drawn = {trace["name"]: trace for trace in plot["data"]}
    assert set(drawn) == {"cheapest plan", "proved lower envelope", "in whole steps", "today"}
    assert plot["layout"]["xaxis"]["title"]["text"] in ("mean p90 delay, ms", "mean p90 delay, s")
    assert plot["layout"]["yaxis"]["title"]["text"] == "cost"


def test_pictures_are_the_same_bytes_for_the_same_data(bought, tmp_path):
    for k in range(2):
        bought["cloud"].draw(tmp_path / f"{k}.png")
    assert (tmp_path / "0.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "0.png").read_bytes() == (tmp_path / "1.png").read_bytes()
    with pytest.raises(InputError, match=r"\.png or \.svg"):
        bought["cloud"].draw(tmp_path / "p.pdf")


def test_what_makes_no_sense_is_refused(cloud):
    scenario = cloud.scenario
    with pytest.raises(InputError, match="points must be from 2 to 1000, got 1"):
        frontier(scenario, points=1)
    with pytest.raises(InputError, match="milliseconds > 0, got -1"):
        frontier(scenario, deadlines_ms=[-1.0])
    with pytest.raises(InputError, match="deadlines_ms is empty"):
        frontier(scenario, deadlines_ms=[])
    with pytest.raises(InfeasibleError, match="no capacity keeps every deadline"):
        frontier(scenario, deadlines_ms=[1.0])
    with pytest.raises(InputError, match="no server or link"):
        frontier(scenario, resource="moon")
    with pytest.raises(InputError, match="seconds > 0"):
        cloud.envelope(0.0)


def test_a_fleet_that_needs_nothing_says_so():
    scenario = generate("paper", nodes=3, seed=1)
    nodes = replace(scenario.nodes, compute_gflops=np.full(3, 1e6), uplink_mbps=np.full(3, 1e-3))
    with pytest.raises(InputError, match="nothing has to be bought"):
        frontier(replace(scenario, nodes=nodes))
