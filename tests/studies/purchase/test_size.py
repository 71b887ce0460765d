"""Sizes beside brute force: what each node needs at least, found by bisection of a formula of its own."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy.optimize import brentq

from dmcjia_opt import Scenario, Size, generate, load_scenario, size, solve
from dmcjia_opt.base.errors import InfeasibleError, InputError
from dmcjia_opt.model.scenario.nodes import NodeTable
from dmcjia_opt.studies.purchase.size import Sizing

GIGA, BYTES = 1e9, 1e6 / 8


def with_deadlines(scenario: Scenario, deadline_ms) -> Scenario:
    return replace(scenario, nodes=replace(scenario.nodes, deadline_ms=np.asarray(deadline_ms, dtype=np.float64)))


def fixed_and_work(scenario: Scenario, d: int):
    """Yield, by split, the delay before the cloud, s, and the FLOP left for it: (3-2) and (3-3) by hand."""
    nodes = scenario.nodes
    profile = scenario.profiles[nodes.network_of(d)]
    rate = float(nodes.arrival_rate[d])
    work = scenario.options.flops_per_mac * profile.work
    for k, (done, sent) in enumerate(zip(work, profile.upload_bytes, strict=True)):
        x = done / (nodes.compute_gflops[d] * GIGA)
        if rate * x >= 1:
            continue
        own = nodes.input_bytes[d]
        size = own if k == 0 and not math.isnan(own) else sent
        yield x + rate * x * x / (2 * (1 - rate * x)) + size / (nodes.uplink_mbps[d] * BYTES), work[-1] - done


def rate_for(room: float, rate: float) -> float:
    """Return the service rate at which an M/D/1 queue's delay is `room`."""
    return rate + brentq(lambda x: 0.5 / (rate + x) + 0.5 / x - room, 1e-9, 1e9, xtol=1e-300, rtol=8.9e-16)


def needs(scenario: Scenario, d: int, deadline: float) -> float:
    """Return the least GFLOP/s with which a node keeps a deadline, s."""
    least = math.inf
    for fixed, work in fixed_and_work(scenario, d):
        if work == 0.0:
            if fixed <= deadline:
                return 0.0
        elif fixed < deadline:
            least = min(least, rate_for(deadline - fixed, float(scenario.nodes.arrival_rate[d])) * work / GIGA)
    return least


@pytest.mark.parametrize("family", ["paper", "mixed", "fleet", pytest.param("scarce", marks=pytest.mark.slow)])
def test_a_size_is_the_sum_of_what_each_node_needs_at_least(family):
    rng = np.random.default_rng(4)
    for seed in range(80):
        scenario = generate(family, nodes=int(rng.integers(1, 5)), seed=seed)
        n = scenario.n_nodes
        least = np.array([min(fixed for fixed, _ in fixed_and_work(scenario, d)) for d in range(n)])
        deadline = least * rng.uniform(1.02, 4.0, n)
        found = size(with_deadlines(scenario, 1e3 * deadline))
        truth = math.fsum(needs(scenario, d, deadline[d]) for d in range(n))
        assert found.cost == pytest.approx(truth, rel=1e-9, abs=1e-12)
        assert found.resources == {"cloud": found.cost}
        assert found.lower_bound == pytest.approx(truth, rel=1e-9, abs=1e-12)
        assert found.lower_bound <= truth * (1 + 1e-13)
        assert (found.delays <= deadline * (1 + 1e-12)).all()


def excess_at(cost: float, rate: float) -> float:
    """Return the excess rate at which one more unit of rate saves what it costs, half of 1/mu^2 + 1/x^2."""
    return brentq(lambda x: 0.5 / (rate + x) ** 2 + 0.5 / x**2 - cost, 1e-12, 1e12)


def least_for_mean(scenario: Scenario, mean: float) -> float:
    """Return the least GFLOP/s for a mean delay by trying all plans: at a price each node's rate is by hand."""
    n = scenario.n_nodes
    rates = scenario.nodes.arrival_rate
    best = math.inf
    for plan in product(*(list(fixed_and_work(scenario, d)) for d in range(n))):
        spare = n * mean - sum(fixed for fixed, _ in plan)
        busy = [d for d in range(n) if plan[d][1] > 0]
        if spare <= 0:
            continue
        if not busy:
            return 0.0

        def excess(price, plan=plan, busy=busy):
            return [excess_at(price * plan[d][1], float(rates[d])) for d in busy]

        def over(log_price, busy=busy, spare=spare, excess=excess):
            found = excess(math.exp(log_price))
            return sum(0.5 / (rates[d] + x) + 0.5 / x for d, x in zip(busy, found, strict=True)) - spare

        at = brentq(over, -60, 10, xtol=1e-14)
        found = excess(math.exp(at))
        best = min(best, sum((rates[d] + x) * plan[d][1] for d, x in zip(busy, found, strict=True)) / GIGA)
    return best


@pytest.mark.parametrize("seed", range(3))
def test_a_mean_target_is_reached_at_the_least_of_all_plans(seed):
    scenario = generate("paper", nodes=2, seed=seed)
    least = np.mean([min(fixed for fixed, _ in fixed_and_work(scenario, d)) for d in range(2)])
    found = size(scenario, mean_ms=1.3e3 * least)
    assert found.mean_delay == pytest.approx(1.3 * least, rel=1e-9)
    assert found.cost == pytest.approx(least_for_mean(scenario, 1.3 * least), rel=1e-8)
    assert found.gap <= 1e-8


def test_a_mean_target_and_deadlines_are_kept_together():
    scenario = generate("paper", nodes=6, seed=1)
    mean, dated = size(scenario, mean_ms=600), size(scenario, deadline_ms=650)
    both = size(scenario, mean_ms=600, deadline_ms=650)
    assert both.cost >= max(mean.cost, dated.cost) * (1 - 1e-9)
    assert both.mean_delay <= 0.6 * (1 + 1e-9)
    assert both.worst_delay <= 0.65 * (1 + 1e-9)
    assert both.gap < 1e-6
    assert size(scenario, mean_ms=700, deadline_ms=650).cost == pytest.approx(dated.cost, rel=1e-9)


def test_the_declared_capacity_does_not_matter():
    scenario = generate("mixed", nodes=6)
    for change in ({"deadline_ms": 3000}, {"mean_ms": 1500}, {"deadline_ms": 3000, "mean_ms": 1500}):
        costs = [size(replace(scenario, cloud_gflops=c), **change).cost for c in (0.5, 40.0, 1e5)]
        assert costs == pytest.approx([costs[0]] * 3, rel=1e-9)


@pytest.mark.parametrize("asked", [{"deadline_ms": 900}, {"mean_ms": 600}, {"deadline_ms": 900, "mean_ms": 600}])
def test_what_was_sized_is_planned_within_what_was_asked(asked):
    found = size(generate("paper", nodes=8), **asked)
    grown = found.resized()
    assert grown.cloud_gflops == found.resources["cloud"]
    plan = solve(grown)
    assert plan.mean_delay <= found.mean_delay * (1 + 1e-9)
    worst = solve(replace(grown, options=grown.options.model_copy(update={"objective": "worst"})))
    assert worst.worst_delay <= found.worst_delay * (1 + 1e-9)
    if "deadline_ms" in asked:
        assert worst.worst_delay <= 0.9 * (1 + 1e-9)


SITE = """
[options]
delay = "tandem"
statistic = "p95"
[cloud]
compute_gflops = 3.0
price_per_gflops = 0.05
step_gflops = 7.0
[[servers]]
name = "site"
compute_gflops = 2.0
price_per_gflops = 0.2
[[links]]
name = "radio"
mbps = 10.0
price_per_mbps = 0.1
step_mbps = 5.0
[[nodes]]
name = "a"
model = "resnet34"
compute_gflops = 6.0
arrival_rate = 1.0
link = "radio"
[[nodes]]
name = "b"
model = "mobilenet_v2"
compute_gflops = 1.0
arrival_rate = 2.0
link = "radio"
"""


@pytest.fixture
def site(tmp_path):
    (tmp_path / "site.toml").write_text(SITE)
    return load_scenario(tmp_path / "site.toml")


def test_prices_decide_what_is_bought_and_steps_round_it_up(site):
    found = size(site, deadline_ms=400)
    have, prices = found.resources, {"cloud": 0.05, "site": 0.2, "radio": 0.1}
    assert found.cost == pytest.approx(sum(prices[name] * have[name] for name in have), rel=1e-12)
    for name, step in (("cloud", 7.0), ("radio", 5.0)):
        assert have[name] / step == pytest.approx(round(have[name] / step), abs=1e-9)
    assert (found.capacity >= found.exact).all()
    assert found.lower_bound <= found.cost_exact <= found.cost
    assert found.lower_bound == pytest.approx(found.cost_exact, rel=1e-9)
    assert (found.delays <= 0.4 * (1 + 1e-12)).all()
    for r, name in enumerate(have):
        if have[name] > 0:
            assert found.choices.used[r] == pytest.approx(1.0, rel=1e-9)


def test_a_dearer_resource_is_bought_less(site):
    cheap = size(site, deadline_ms=400)
    dear = size(replace(site, cloud_price_per_gflops=5.0), deadline_ms=400)
    assert dear.exact[0] <= cheap.exact[0]
    assert dear.cost_exact >= cheap.cost_exact


def test_one_resource_in_steps_has_a_bound_in_steps(tmp_path):
    scenario = generate("paper", nodes=4)
    plain = size(scenario, deadline_ms=900)
    stepped = size(replace(scenario, cloud_step_gflops=4.0), deadline_ms=900)
    assert stepped.cost == stepped.lower_bound == 4.0 * math.ceil(plain.cost / 4.0)
    assert stepped.gap == 0.0
    exactly = size(replace(scenario, cloud_step_gflops=plain.cost / 3.0), deadline_ms=900)
    assert exactly.cost == pytest.approx(plain.cost, rel=1e-11)


def test_what_is_not_for_sale_stays_within_what_there_is(site):
    roomy = replace(site, cloud_gflops=60.0, cloud_price_per_gflops=None, cloud_step_gflops=None)
    found = size(roomy, deadline_ms=500, resource="radio")
    assert found.resources["cloud"] == 60.0
    assert found.resources["site"] == 2.0
    assert (found.choices.used <= 1 + 1e-9).all()
    assert found.worst_delay <= 0.5 * (1 + 1e-12)
    assert found.lower_bound <= found.cost
    alone = size(replace(roomy, cloud_price_per_gflops=1e-9, servers=()), deadline_ms=500)
    everything = size(site, deadline_ms=500)
    assert alone.cost_exact / 0.1 <= found.exact[2] * (1 + 1e-6)  # with as much of the cloud as one likes
    assert everything.cost_exact <= 0.1 * found.exact[2] + 0.05 * 60.0 + 0.2 * 2.0


def test_what_no_capacity_keeps_names_the_node_and_what_it_takes():
    scenario = generate("paper", nodes=4)
    d = int(np.argmax([min(fixed for fixed, _ in fixed_and_work(scenario, d)) for d in range(4)]))
    with pytest.raises(InfeasibleError, match=f'"{scenario.nodes.names[d]}" takes at least .* ms and has 1 ms'):
        size(scenario, deadline_ms=1)
    with pytest.raises(InfeasibleError, match="no capacity reaches a mean delay of 1 ms"):
        size(scenario, mean_ms=1)


def test_with_too_little_of_what_is_not_for_sale_there_is_no_plan(site):
    with pytest.raises(InfeasibleError, match=r'no plan keeps .* the link "radio" as large as the scenario says'):
        size(site, deadline_ms=250, resource="cloud")


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({}, "nothing is asked"),
        ({"deadline_ms": 0.0}, "--deadline-ms must be a number of milliseconds > 0"),
        ({"mean_ms": math.nan}, "--mean-ms must be a number"),
        ({"deadline_ms": 500, "resource": "clod"}, 'there is no server or link "clod"'),
    ],
)
def test_what_makes_no_sense_is_refused(asked, says):
    with pytest.raises(InputError, match=says):
        size(generate("paper", nodes=2), **asked)


def test_several_things_without_a_price_are_named():
    with pytest.raises(InputError, match="4 things to buy: cloud, site, access-point, line; say which"):
        size("examples/site.toml", deadline_ms=900)


def test_the_worst_node_has_no_mean_target():
    scenario = generate("paper", nodes=2)
    worst = replace(scenario, options=scenario.options.model_copy(update={"objective": "worst"}))
    with pytest.raises(InputError, match='objective = "worst"'):
        size(worst, mean_ms=900)
    assert size(worst, deadline_ms=900).cost == size(scenario, deadline_ms=900).cost


def test_a_node_without_a_deadline_runs_at_home_or_is_refused():
    scenario = generate("paper", nodes=2)
    at_home = replace(scenario.nodes, compute_gflops=np.array([500.0, 5.0]))
    nodes = replace(at_home, deadline_ms=np.array([np.nan, 900.0]))
    found = size(replace(scenario, nodes=nodes))
    assert found.choices.server_of(0) is None
    assert found.cost == pytest.approx(needs(replace(scenario, nodes=nodes), 1, 0.9), rel=1e-9)
    slow = replace(nodes, compute_gflops=np.array([0.5, 5.0]))
    with pytest.raises(InputError, match=f'"{scenario.nodes.names[0]}" has no deadline'):
        size(replace(scenario, nodes=slow))


def test_the_file_says_what_was_found(tmp_path, site):
    found = size(site, deadline_ms=400)
    found.save(tmp_path / "size.json")
    said = json.loads((tmp_path / "size.json").read_text())
    assert said["resources"] == found.resources
    assert (said["cost"], said["lower_bound"], said["gap"]) == (found.cost, found.lower_bound, found.gap)
    assert (said["mean_delay_s"], said["worst_delay_s"]) == (found.mean_delay, found.worst_delay)
    assert said["scenario_sha256"] == site.sha256()
    assert [row["name"] for row in said["nodes"]] == ["a", "b"]
    assert all(row["delay_s"] <= row["deadline_s"] * (1 + 1e-12) for row in said["nodes"])
    assert (said["statistic"], said["minimised"], said["mean_target_s"]) == ("p95", "cost", None)
    assert len(repr(found)) < 200
    assert isinstance(found, Size)


def test_a_compiled_fleet_keeps_no_deadline_of_its_own():
    scenario = with_deadlines(generate("paper", nodes=3), [700.0, np.nan, 800.0])
    fleet = Sizing.of(scenario)
    assert np.isinf(fleet.problem.deadline).all()
    assert fleet.deadlines(750).tolist() == pytest.approx([0.7, 0.75, 0.75])
    assert isinstance(scenario.nodes, NodeTable)


def test_what_is_pooled_has_no_size():
    scenario = replace(generate("paper", nodes=3), cloud_sharing="fifo")
    with pytest.raises(InputError, match='sharing = "reserved"'):
        size(scenario, deadline_ms=2000)
