from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dmcjia_opt.base.errors import InfeasibleError, InputError
from dmcjia_opt.model.scenario.nodes import Labels, NodeTable
from dmcjia_opt.model.scenario.scenario import Options, Scenario
from dmcjia_opt.model.scenario.servers import Host, Link, Server
from dmcjia_opt.model.scenario.services import stage_times
from dmcjia_opt.solving.contract import Placement
from dmcjia_opt.solving.solve import solve
from dmcjia_opt.studies.simulation.arrivals import Deterministic, Trace
from dmcjia_opt.studies.simulation.fleet import simulate
from tests.studies.simulation.fleets import LAST, loaded

NETWORKS = ("resnet34", "alexnet", "vgg19")


def all_sent(sharing, load, seed, n=5, **options):
    """Return nodes that send all they have to a pooled cloud of a load, so that Poisson tasks come there."""
    rng = np.random.default_rng(seed)
    nodes = NodeTable(
        tuple(f"node-{d}" for d in range(n)),
        NETWORKS,
        5.0,
        100.0,
        rng.uniform(0.5, 5.0, n),
        network_index=rng.integers(0, len(NETWORKS), n),
    )
    nothing = np.zeros(n, dtype=np.int64)
    whole = Scenario(1000.0, nodes, cloud_sharing=sharing, options=Options(**options))
    asked = float(nodes.arrival_rate @ stage_times(whole).at(nothing).used[:, 0])
    return replace(whole, cloud_gflops=1000.0 * asked / load), Placement(nothing, np.zeros(n))


def outside(found, expected):
    """Return how many nodes have their expected delay outside their 99 % interval; their tasks meet, so not alone."""
    return int((np.abs(found.delay - expected) > found.half_width(0.99)).sum())


@pytest.mark.parametrize("options", [{}, {"delay": "mm1"}, {"delay": "mg1", "service_scv": 0.5}], ids=str)
@pytest.mark.parametrize("sharing", ["fifo", "ps"])
def test_what_is_pooled_is_the_queue_of_the_model(sharing, options):
    missed = 0
    for seed, load in enumerate((0.3, 0.6, 0.8)):
        scenario, plan = all_sent(sharing, load, seed, **options)
        found = simulate(scenario, plan, tasks=40_000, seed=seed)
        times = stage_times(scenario).at(plan.options)
        rate, s, scv = (
            scenario.nodes.arrival_rate,
            times.used[:, 0],
            {"mm1": 1.0, "mg1": 0.5}.get(scenario.options.delay, 0),
        )
        wait = (1 + scv) * rate @ s**2 / (2 * (1 - load))
        expected = times.upload + (s + wait if sharing == "fifo" else s / (1 - load))
        assert found.model == pytest.approx(expected, rel=1e-12)
        missed += abs(found.mean_delay - expected.mean()) > found.mean_half_width(0.99)
        assert outside(found, expected) <= 1
        assert found.load.cloud.sum() == pytest.approx(load, rel=0.02)
    assert not missed


def test_one_node_alone_meets_nobody():
    scenario, plan = loaded(0.3, 0.2, 0.6)
    alone = simulate(scenario, plan, tasks=20_000)
    pooled = simulate(replace(scenario, cloud_sharing="fifo"), Placement(plan.options, np.zeros(1)), tasks=20_000)
    np.testing.assert_allclose(pooled.stage_delays[:, [0, 2]], alone.stage_delays[:, [0, 2]], rtol=0.02)
    assert pooled.measured[0] == pytest.approx(alone.measured[0], rel=0.01)


def by_hand(times, services):
    """Return when tasks leave that are served equally: what is left of each, from event to event."""
    left, done = {k: float(service) for k, service in enumerate(services)}, {}
    there, now, coming = [], 0.0, sorted(range(len(times)), key=lambda k: times[k])
    while coming or there:
        at = times[coming[0]] if coming else np.inf
        finish = now + min((left[k] for k in there), default=np.inf) * len(there)
        until = min(at, finish)
        for k in there:
            left[k] -= (until - now) / len(there)
        now = until
        for k in [k for k in there if left[k] <= 1e-12]:
            done[k] = now
            there.remove(k)
        if coming and now == at:
            there.append(coming.pop(0))
    return np.array([done[k] for k in range(len(times))])


@pytest.mark.parametrize("sharing", ["fifo", "ps"])
def test_tasks_that_are_known_one_by_one(sharing):
    rng = np.random.default_rng(5)
    times = {name: np.cumsum(rng.exponential(1.0, 640)) for name in ("node-0", "node-1")}
    scenario, plan = loaded(np.nan, 0.001, [0.3, 0.2], splits=0, rate=1.0)
    scenario = replace(scenario, cloud_sharing=sharing)
    found = simulate(scenario, Placement(plan.options, np.zeros(2)), arrivals=Trace(times), warm_up=0.0)
    services = stage_times(scenario).at(plan.options)
    at = np.concatenate([times["node-0"] + services.upload[0], times["node-1"] + services.upload[1]])
    s = np.repeat(services.used[:, 0], 640)
    if sharing == "ps":
        left = by_hand(at, s)
    else:
        left, free = np.empty(1280), 0.0
        for k in np.argsort(at):
            free = left[k] = max(free, at[k]) + s[k]
    assert found.task_mean == pytest.approx(services.upload + (left - at).reshape(2, 640).mean(axis=1), rel=1e-9)


def test_pooled_and_reserved_stages_may_follow_each_other():
    nodes = NodeTable(
        ("a", "b", "c"),
        ("resnet34",),
        5.0,
        np.nan,
        np.array([0.4, 0.6, 0.5]),
        link=Labels.of(["cell"] * 3),
        host=Labels.of(["board", "board", None]),
    )
    scenario = Scenario(
        30.0,
        nodes,
        links=(Link(name="cell", mbps=40.0, sharing="ps"), Link(name="wan", mbps=60.0, sharing="fifo")),
        servers=(Server(name="site", compute_gflops=20.0, link="wan"),),
        hosts=(Host(name="board", sharing="ps"),),
        cloud_link="wan",
    )
    plan = solve(scenario)
    found = simulate(scenario, plan, tasks=40_000, seed=2)
    assert not found.too_short.any()
    assert found.task_mean == pytest.approx(found.delay, rel=1e-9)
    assert found.mean_delay == pytest.approx(plan.objective, rel=0.1)
    assert found.passage.pooled.any()


@pytest.mark.parametrize("sharing", ["fifo", "ps"])
def test_too_many_tasks_together_are_refused(sharing):
    scenario, plan = all_sent(sharing, 1.01, 1)
    with pytest.raises(InfeasibleError, match=r"all nodes together ask the cloud for 101 % of its time"):
        simulate(scenario, plan)


def test_pools_in_a_circle_are_refused():
    nodes = NodeTable(("a", "b"), ("resnet34",), 5.0, 8.0, 0.1, tiers=Labels.of([("x", "y"), ("y", "x")]))
    servers = tuple(Server(name=name, compute_gflops=50.0, sharing="fifo") for name in "xy")
    scenario = Scenario(None, nodes, servers=servers)
    options = np.array([scenario.option_of(d, (0, 16)) for d in range(2)])
    with pytest.raises(InputError, match=r'the server "x" and the server "y" in a circle'):
        simulate(scenario, Placement(options, np.zeros((2, 2))))


def test_rates_too_far_apart_are_refused():
    rate = np.array([1e9, 1.0])
    nodes = NodeTable(("often", "rare"), ("alexnet",), 5.0, 100.0, rate, network_index=np.zeros(2, dtype=np.int64))
    scenario = Scenario(1e12, nodes, cloud_sharing="fifo")
    with pytest.raises(InputError, match=r'tasks of "rare" are too rare .*: 3.57e\+11 tasks would have to come'):
        simulate(scenario, Placement(np.zeros(2, dtype=np.int64), np.zeros(2)))


def test_periodic_nodes_meet_at_random_phases():
    scenario, plan = loaded(np.nan, 0.001, [0.4, 0.4], splits=0, rate=1.0)
    scenario = replace(scenario, cloud_sharing="fifo", nodes=replace(scenario.nodes, arrivals=np.array(0.0)))
    plan = Placement(plan.options, np.zeros(2))
    found = simulate(scenario, plan, tasks=20_000)
    s = stage_times(scenario).at(plan.options).used[0, 0]
    upload = stage_times(scenario).at(plan.options).upload
    # each finds the other one at work with chance s, and then half of its service left
    expected = upload + s + s * s / 2
    assert np.abs(found.delay - expected).max() <= max(found.half_width(0.999))
    assert found.half_width().min() > 1e-4  # phases differ from batch to batch
    again = simulate(scenario, plan, tasks=20_000, arrivals=Deterministic())
    np.testing.assert_array_equal(again.delay, found.delay)


def test_nodes_that_meet_run_as_long_as_each_other():
    scenario, plan = loaded(np.nan, 0.001, [0.1, 0.4], splits=0, rate=[1.0, 9.0])
    found = simulate(replace(scenario, cloud_sharing="ps"), Placement(plan.options, np.zeros(2)), tasks=10_000)
    each = found.measured + found.warm_up
    assert each.sum() == pytest.approx(20_000, abs=2)
    assert each[1] / each[0] == pytest.approx(9.0, rel=0.01)


@pytest.mark.parametrize("scv", [0.0, 0.3, 1.0, 4.0])
def test_arrivals_are_those_of_each_node(scv):
    scenario, plan = loaded(0.7, 0.2, 0.5)
    own = replace(scenario, nodes=replace(scenario.nodes, arrivals=np.array(scv)))
    found = simulate(own, plan, tasks=100_000)
    if scv == 0.0:
        assert found.delay == pytest.approx(found.model, rel=1e-9)  # nothing waits
    poisson = simulate(scenario, plan, tasks=100_000)
    assert np.sign(found.mean_delay - poisson.mean_delay) == np.sign(scv - 1.0)


def test_a_periodic_node_may_be_busy_all_the_time():
    scenario, plan = loaded(1.0, 0.2, np.nan, splits=LAST)
    own = replace(scenario, nodes=replace(scenario.nodes, arrivals=np.array(0.0)))
    found = simulate(own, plan, tasks=10_000)
    assert found.delay == pytest.approx(found.model, rel=1e-6)
    with pytest.raises(InfeasibleError, match="100 % of its time"):
        simulate(scenario, plan)


@pytest.mark.parametrize("seconds", [{"1": 0.004, "8": 0.011}, {"1": 1.0, "3": 1.5}])
def test_equal_tasks_in_batches_are_those_of_the_model(seconds):
    for seed, load in enumerate((0.2, 0.6, 0.8)):
        scenario, plan = all_sent("fifo", load, seed)
        one = replace(scenario.nodes, network_index=np.zeros(5, dtype=np.int64))
        scenario = replace(scenario, nodes=one, cloud_seconds_by_batch=seconds)
        asked = float(one.arrival_rate @ stage_times(scenario).at(plan.options).used[:, 0])
        scenario = replace(scenario, cloud_gflops=scenario.cloud_gflops * asked / load)
        found = simulate(scenario, plan, tasks=60_000, seed=seed)
        half = found.mean_half_width(0.99)
        assert abs(found.mean_delay - found.mean_model) <= half + 0.005 * found.mean_delay
        assert found.load.cloud.sum() == pytest.approx(load, rel=0.02)


def test_batches_that_are_known_one_by_one():
    rng = np.random.default_rng(6)
    times = {name: np.cumsum(rng.exponential(1.0, 640)) for name in ("node-0", "node-1")}
    scenario, plan = loaded(np.nan, 0.001, [0.6, 0.4], splits=0, rate=1.0)
    scenario = replace(scenario, cloud_sharing="fifo", cloud_seconds_by_batch={"1": 0.2, "2": 0.3, "4": 0.4})
    found = simulate(scenario, Placement(plan.options, np.zeros(2)), arrivals=Trace(times), warm_up=0.0)
    services = stage_times(scenario).at(plan.options)
    at = np.concatenate([times["node-0"] + services.upload[0], times["node-1"] + services.upload[1]])
    alone = np.repeat(services.used[:, 0], 640) * 2.0  # full batches of four take twice as long as one
    order, left, free, first = np.argsort(at), np.empty(1280), 0.0, 0
    while first < 1280:
        free = max(free, at[order[first]])
        batch = [k for k in order[first : first + 4] if at[k] <= free]
        free += alone[batch].mean() * (0.0, 1.0, 1.5, 1.75, 2.0)[len(batch)]
        left[batch] = free
        first += len(batch)
    assert found.task_mean == pytest.approx(services.upload + (left - at).reshape(2, 640).mean(axis=1), rel=1e-9)
