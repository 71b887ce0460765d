from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.model.delay import TandemCurve, delay_curve
from dmcjia_opt.model.networks.measured import MeasuredTimes, Timed
from dmcjia_opt.model.networks.profile import LayerProfile
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.model.scenario.nodes import NodeTable
from dmcjia_opt.model.scenario.scenario import Options, Scenario
from dmcjia_opt.model.scenario.services import stage_times


def wait(scv, rate, service):
    """Mean wait of an M/G/1 queue, s."""
    return rate * service**2 * (1 + scv) / (2 * (1 - rate * service))


def paper_delay(scenario, d, split, share):
    """(3-1) to (3-6) for one node, in the units of the file, with the cloud's queue as the options ask."""
    nodes, options = scenario.nodes, scenario.options
    profile = scenario.profiles[nodes.network_of(d)]
    flop = [macs * options.flops_per_mac for macs in profile.macs]
    done, total = sum(flop[:split]), sum(flop)
    rate = float(nodes.arrival_rate[d])
    edge = service = 0.0
    if done > 0:
        service = done / (nodes.compute_gflops[d] * 1e9)
        mu = nodes.compute_gflops[d] * 1e9 / done
        if mu <= rate:
            return math.inf
        edge = rate / (2 * mu * (mu - rate)) + 1 / mu
    sent = profile.output_bytes[split - 1]
    if split == 0:
        sent = profile.input_bytes if math.isnan(nodes.input_bytes[d]) else nodes.input_bytes[d]
    upload = sent * 8 / (nodes.uplink_mbps[d] * 1e6)
    cloud = 0.0
    if total > done:
        mu = share * scenario.cloud_gflops * 1e9 / (total - done)
        if mu <= rate:
            return math.inf
        cloud = 1 / mu
    if options.delay == "tandem":
        stages = [service, cloud] + ([upload] if options.uplink == "queue" else [])
        return math.inf if rate * max(stages) >= 1 else service + upload + cloud + wait(0.0, rate, max(stages))
    if total > done:
        scv = {"md1": 0.0, "mm1": 1.0, "mg1": options.service_scv}[options.delay]
        cloud = 1 / mu + wait(scv, rate, 1 / mu)
    return edge + upload + cloud


def paper_objective(scenario, splits, shares):
    rates = scenario.nodes.arrival_rate
    total = 0.0
    for d in range(scenario.n_nodes):
        weight = 1 / scenario.n_nodes if scenario.options.average == "nodes" else rates[d] / sum(rates)
        total += weight * paper_delay(scenario, d, int(splits[d]), float(shares[d]))
    return total


@pytest.mark.parametrize(
    "options",
    [
        Options(flops_per_mac=1.0),
        Options(),
        Options(delay="mm1", average="tasks"),
        Options(delay="mg1", service_scv=0.3),
        Options(delay="mg1", service_scv=4.0, flops_per_mac=1.0, average="tasks"),
        Options(delay="tandem", flops_per_mac=1.0),
        Options(delay="tandem", average="tasks"),
        Options(delay="tandem", uplink="queue", flops_per_mac=1.0),
    ],
    ids=str,
)
@pytest.mark.parametrize(("family", "tasks"), [("paper", None), ("paper", "table4"), ("mixed", None)])
def test_objective_is_the_formulas_of_the_paper(family, tasks, options):
    scenario = replace(generate(family, nodes=7, seed=4, tasks=tasks), options=options)
    problem = compile_problem(scenario)
    rng = np.random.default_rng(0)
    finite = 0
    for _ in range(60):
        splits = rng.integers(0, problem.last + 1)
        shares = rng.dirichlet(np.ones(7))
        want = paper_objective(scenario, splits, shares)
        assert problem.objective(splits, shares) == pytest.approx(want, rel=1e-12)
        finite += math.isfinite(want)
    zero = np.zeros(7, dtype=np.int64)
    assert problem.objective(zero, np.full(7, 1 / 7)) == pytest.approx(
        paper_objective(scenario, zero, np.full(7, 1 / 7)), rel=1e-12
    )
    assert finite > 0 or options.flops_per_mac == 2.0


def test_stages_add_up_to_the_objective():
    scenario = generate("paper", nodes=6, seed=1, tasks="table4")
    problem = compile_problem(scenario)
    splits = np.array([0, 3, 10, 0, 5, 0])
    shares = np.full(6, 1 / 6)
    stages = problem.breakdown(splits, shares)
    assert problem.weight @ stages.total == pytest.approx(problem.objective(splits, shares), rel=1e-14)
    sent = scenario.profiles["resnet34"].upload_bytes[splits]
    sent = np.where(splits == 0, scenario.nodes.input_bytes, sent)
    np.testing.assert_allclose(stages.upload, sent * 8e-6 / scenario.nodes.uplink_mbps, rtol=1e-14)
    np.testing.assert_allclose(stages.edge[[0, 3, 5]], 0.0, atol=1e-15)
    assert (stages.edge[[1, 2, 4]] > 0).all()
    assert (stages.cloud > 0).all()


@pytest.mark.parametrize("uplink", ["delay", "queue"])
def test_every_stage_of_a_tandem_has_the_wait_that_it_adds(uplink):
    """The first stages are a tandem of their own: what waits before the next one is what that would have."""
    scenario = generate("paper", nodes=40, seed=3)
    rates = np.random.default_rng(0).uniform(0.5, 3.0, 40)
    options = Options(delay="tandem", uplink=uplink, flops_per_mac=1.0)
    problem = compile_problem(
        replace(scenario, nodes=replace(scenario.nodes, arrival_rate=rates), options=options, cloud_gflops=2000.0)
    )
    stable = [np.flatnonzero(np.isfinite(row)) for row in problem.fixed_delay]
    rng = np.random.default_rng(1)
    splits = np.array([rng.choice(some) for some in stable])
    shares = WaterFilling().allocate(problem, splits[None]).shares[0, :, 0]
    stages = problem.breakdown(splits, shares)
    assert problem.weight @ stages.total == pytest.approx(problem.objective(splits, shares), rel=1e-14)
    sent = problem.uplinks.delay(splits)
    service = scenario.profiles["resnet34"].work[splits] / (scenario.nodes.compute_gflops * 1e9)
    cloud = np.where(shares > 0, problem.at(problem.service[..., 0], splits) / np.where(shares > 0, shares, 1.0), 0.0)
    before = after = 0.0
    link = sent if uplink == "queue" else 0.0 * sent
    slowest = [service, np.maximum(service, link), np.maximum(np.maximum(service, link), cloud)]
    for stage, own, m in zip((stages.edge, stages.upload, stages.cloud), (service, sent, cloud), slowest, strict=True):
        before, after = after, wait(0.0, rates, m)
        np.testing.assert_allclose(stage, own + after - before, rtol=1e-9, atol=1e-12)
    waits = stages.upload - sent
    assert (waits > 1e-3).sum() > 5 if uplink == "queue" else np.abs(waits).max() == 0.0


def simulated(rate, services, queues, n, rng):
    """Return the mean sojourn at every stage of n tasks, by Lindley's recursion."""
    arrived = np.cumsum(rng.exponential(1 / rate, n))
    means = []
    for service, queue in zip(services, queues, strict=True):
        number = np.arange(n)
        begun = np.maximum.accumulate(arrived - service * number) + service * number if queue else arrived
        left = begun + service
        means.append(float((left - arrived).mean()))
        arrived = left
    return means


@pytest.mark.parametrize("uplink", ["delay", "queue"])
@pytest.mark.parametrize(("gflops", "mbps", "share"), [(3.0, 20.0, 0.5), (8.0, 6.0, 0.5), (8.0, 20.0, 0.06)])
def test_a_simulated_tandem_has_the_delays_of_every_stage(gflops, mbps, share, uplink):
    """The edge, the link and the cloud take turns at being the slowest; 400,000 tasks at 1/s."""
    profile = LayerProfile("tiny", 1e6, ("a", "b"), [2e9, 1e9], [4e5, 100.0])
    nodes = NodeTable(("x",), ("tiny.json",), [gflops], [mbps], [1.0])
    options = Options(delay="tandem", uplink=uplink, flops_per_mac=1.0)
    problem = compile_problem(Scenario(24.0, nodes, options, {"tiny.json": profile}))
    stages = problem.breakdown(np.array([1]), np.array([share]))
    services = (2.0 / gflops, 3.2 / mbps, 1.0 / (24.0 * share))
    rng = np.random.default_rng(0)
    got = simulated(1.0, services, (True, uplink == "queue", True), 400_000, rng)
    for mean, stage in zip(got, (stages.edge, stages.upload, stages.cloud), strict=True):
        assert mean == pytest.approx(stage[0], rel=0.03)


def test_a_link_that_serves_one_task_at_a_time_must_keep_up():
    scenario = generate("homogeneous", nodes=1, seed=0)
    nodes = replace(scenario.nodes, arrival_rate=np.array([3.0]))  # the raw input takes 0.57 s, the output 1 ms
    options = Options(delay="tandem", flops_per_mac=1.0)
    free = compile_problem(replace(scenario, nodes=nodes, options=options))
    queue = compile_problem(replace(scenario, nodes=nodes, options=options.model_copy(update={"uplink": "queue"})))
    assert np.isfinite(free.fixed_delay[0, 0])
    assert np.isinf(queue.fixed_delay[0, 0])
    assert queue.wait[0, 0] == 0.0
    poisson = compile_problem(replace(scenario, nodes=nodes, options=Options(flops_per_mac=1.0)))
    np.testing.assert_array_equal(free.fixed_delay, poisson.fixed_delay)
    assert (poisson.wait.any(), poisson.wait.strides) == (False, (0, 0))


def test_stages_of_a_plan_whose_link_cannot_keep_up_are_infinite():
    scenario = generate("homogeneous", nodes=1, seed=0)
    nodes = replace(scenario.nodes, arrival_rate=np.array([3.0]))
    options = Options(delay="tandem", uplink="queue", flops_per_mac=1.0)
    stages = compile_problem(replace(scenario, nodes=nodes, options=options)).breakdown(np.array([0]), np.ones(1))
    assert stages.total[0] == np.inf


def test_fewer_layers_are_padded():
    tiny = LayerProfile("tiny", 1000.0, ("a", "b"), [1e9, 2e9], [500.0, 100.0])
    nodes = NodeTable(("x", "y"), ("resnet34", "tiny.json"), 50.0, 8.0, 1.0, [0, 1])
    scenario = Scenario(100.0, nodes, profiles={"tiny.json": tiny})
    problem = compile_problem(scenario)
    assert problem.fixed_delay.shape == (2, 35)
    np.testing.assert_array_equal(problem.last, [34, 2])
    assert np.isinf(problem.fixed_delay[1, 3:]).all()
    np.testing.assert_array_equal(problem.service[..., 0][1, 2:], 0.0)
    np.testing.assert_allclose(problem.service[..., 0][1, :3], [0.06, 0.04, 0.0])
    np.testing.assert_allclose(
        problem.fixed_delay[1, :3] - [0.0, *(1 / mu + 1 / (2 * mu * (mu - 1)) for mu in (25, 25 / 3))],
        [1e-3, 5e-4, 1e-4],
    )
    problem.check_options(np.array([34, 2]))
    with pytest.raises(InputError, match="split of node 1 must lie in 0 … 2"):
        problem.check_options(np.array([34, 3]))


def test_an_unstable_edge_is_infinite():
    scenario = generate("homogeneous", nodes=2, seed=0)
    nodes = replace(scenario.nodes, arrival_rate=np.array([1.0, 2.0]))
    problem = compile_problem(replace(scenario, nodes=nodes))
    work = scenario.profiles["resnet34"].work
    np.testing.assert_array_equal(np.isinf(problem.fixed_delay[1]), 2.0 * work / 5e9 >= 1.0)
    assert np.isinf(problem.fixed_delay[1]).any()
    assert np.isfinite(problem.fixed_delay[0]).all()


@pytest.mark.parametrize("delay", ["md1", "tandem"])
def test_large_fleets_compile_block_by_block(delay):
    options = Options(ordering="cloud-faster", delay=delay)
    scenario = replace(generate("fleet", nodes=40_000, seed=2, tasks="table4"), options=options)
    whole = compile_problem(scenario)
    rows = [0, 1, 16383, 16384, 32767, 32768, 39999]
    columns = ("network_index", "compute_gflops", "uplink_mbps", "arrival_rate", "input_bytes")
    nodes = NodeTable(
        tuple(scenario.nodes.names[d] for d in rows),
        scenario.nodes.networks,
        **{key: getattr(scenario.nodes, key)[rows] for key in columns},
    )
    part = compile_problem(replace(scenario, nodes=nodes))
    for key in ("fixed_delay", "service", "least_rate", "arrival_rate"):
        np.testing.assert_array_equal(getattr(whole, key)[rows], getattr(part, key))
    if delay == "tandem":
        np.testing.assert_array_equal(whole.wait[rows], part.wait)


def test_task_average_weighs_by_arrival_rate():
    scenario = replace(generate("paper", nodes=9, seed=0), options=Options(average="tasks"))
    problem = compile_problem(scenario)
    np.testing.assert_allclose(problem.weight, scenario.nodes.arrival_rate / scenario.nodes.arrival_rate.sum())
    assert problem.weight.sum() == pytest.approx(1.0, abs=1e-15)


def test_literal_ordering_asks_for_the_rate_of_the_edge_where_both_work():
    scenario = generate("paper", nodes=3, seed=0)
    stability = compile_problem(scenario)
    assert (stability.ordered, stability.least_rate.any(), stability.least_rate.strides) == (False, False, (0, 0, 0))
    problem = compile_problem(replace(scenario, options=Options(ordering="cloud-faster", flops_per_mac=1.0)))
    floor = problem.least_rate[..., 0]
    np.testing.assert_array_equal(floor[:, [0, -1]], 0.0)
    want = scenario.nodes.compute_gflops[:, None] * 1e9 / scenario.profiles["resnet34"].work[1:-1]
    np.testing.assert_allclose(floor[:, 1:-1], want, rtol=1e-14)


def test_with_the_literal_ordering_no_task_of_a_tandem_waits_at_the_cloud():
    scenario = generate("paper", nodes=6, seed=1)
    options = Options(delay="tandem", ordering="cloud-faster", flops_per_mac=1.0)
    problem = compile_problem(replace(scenario, options=options, cloud_gflops=400.0))
    plans = np.random.default_rng(0).integers(1, 34, (200, 6))
    shares = WaterFilling().allocate(problem, plans).shares
    fine = np.isfinite(shares).all(axis=(1, 2))
    assert fine.sum() > 20
    service = problem.at(problem.service, plans)[fine] / shares[fine]
    np.testing.assert_allclose(problem.use_delay(plans[fine], shares[fine]), service, rtol=1e-9)


def test_layers_without_work_ask_for_nothing():
    profile = LayerProfile("tiny", 8.0, ("pool", "conv", "view"), [0.0, 1e9, 0.0], [4.0, 4.0, 4.0])
    nodes = NodeTable(("x",), ("tiny.json",), [5.0], [8.0], [1.0])
    options = Options(ordering="cloud-faster", flops_per_mac=1.0)
    problem = compile_problem(Scenario(10.0, nodes, options, {"tiny.json": profile}))
    np.testing.assert_array_equal(problem.least_rate[..., 0], 0.0)
    np.testing.assert_array_equal(problem.service[..., 0], [[0.1, 0.1, 0.0, 0.0]])


def test_measured_seconds_stand_for_work_at_the_edge_and_in_the_cloud():
    """Node b and the cloud are measured: M/D/1 at the edge on sums of seconds, what is left of them in the cloud."""
    tiny = LayerProfile("tiny", 8.0, ("a", "b"), [1e9, 2e9], [4.0, 2.0])
    longer = LayerProfile("longer", 8.0, ("a", "b", "c"), [1e9] * 3, [4.0] * 3)
    seconds = {"a": 0.5, "b": 0.25}
    times = MeasuredTimes(
        {
            Timed("pi", "tiny"): seconds,
            Timed("gpu", "tiny"): {"a": 0.02, "b": 0.01},
            Timed("gpu", "longer"): {"a": 0.3, "b": 0.2, "c": 0.1},
        }
    )
    nodes = NodeTable(
        names=("a", "b", "c"),
        networks=("tiny.json", "longer.json"),
        network_index=[0, 0, 1],
        compute_gflops=[50.0] * 3,
        uplink_mbps=[8.0] * 3,
        arrival_rate=[1.0, 0.5, 1.0],
        input_bytes=[np.nan] * 3,
        devices=("pi",),
        device_index=[-1, 0, -1],
    )
    profiles = {"tiny.json": tiny, "longer.json": longer}
    computed = compile_problem(Scenario(100.0, nodes, profiles=profiles, times=times))
    problem = compile_problem(Scenario(100.0, nodes, profiles=profiles, times=times, cloud_device="gpu"))
    np.testing.assert_array_equal(problem.fixed_delay[[0, 2]], computed.fixed_delay[[0, 2]])
    service = np.array([0.0, 0.5, 0.75])
    upload = np.array([8.0, 4.0, 2.0]) / 1e6
    expected = service + 0.5 * service**2 / (2 * (1 - 0.5 * service)) + upload
    np.testing.assert_allclose(problem.fixed_delay[1, :3], expected, rtol=1e-14)
    assert np.isinf(problem.fixed_delay[1, 3])
    np.testing.assert_allclose(computed.service[1, :3, 0], [0.06, 0.04, 0.0])
    np.testing.assert_allclose(problem.service[..., 0], [[0.03, 0.01, 0, 0], [0.03, 0.01, 0, 0], [0.6, 0.3, 0.1, 0]])
    assert (problem.service[..., 0][:, -1] == 0).all()  # exactly: all at the edge leaves the cloud nothing


def test_measured_nodes_have_the_literal_c3_of_their_seconds():
    tiny = LayerProfile("tiny", 8.0, ("a", "b"), [1e9, 2e9], [4.0, 2.0])
    times = MeasuredTimes({Timed("pi", "tiny"): {"a": 0.5, "b": 0.25}})
    columns = {key: [1.0] for key in ("compute_gflops", "uplink_mbps", "arrival_rate")}
    nodes = NodeTable(("x",), ("t",), **columns, devices=("pi",), device_index=[0])
    options = Options(ordering="cloud-faster")
    problem = compile_problem(Scenario(100.0, nodes, options, {"t": tiny}, times=times))
    np.testing.assert_allclose(problem.least_rate[..., 0], [[0.0, 2.0, 0.0]])


def test_deadlines_are_seconds_and_infinite_where_there_are_none():
    base = generate("paper", nodes=3, seed=1)
    nodes = replace(base.nodes, deadline_ms=np.array([np.nan, 5000.0, np.nan]))
    problem = compile_problem(replace(base, nodes=nodes, options=Options(objective="worst")))
    np.testing.assert_array_equal(problem.deadline, [np.inf, 5.0, np.inf])
    assert problem.worst
    assert np.isinf(compile_problem(base).deadline).all()
    assert not compile_problem(base).worst


@pytest.mark.parametrize("uplink", ["delay", "queue"])
@pytest.mark.parametrize("statistic", ["p50", "p95", "p99.9"])
def test_the_wait_upstream_is_of_the_statistic(statistic, uplink):
    base = generate("paper", nodes=3, seed=1)
    options = Options(delay="tandem", uplink=uplink, statistic=statistic)
    problem, means = (
        compile_problem(replace(base, options=o)) for o in (options, Options(delay="tandem", uplink=uplink))
    )
    curve = delay_curve("tandem", statistic=statistic)
    assert problem.curve == curve
    rate = problem.arrival_rate[:, None]
    finite = np.isfinite(problem.fixed_delay)
    np.testing.assert_array_equal(finite, np.isfinite(means.fixed_delay))
    services = np.where(finite, means.fixed_delay - means.wait, 0.0)
    assert problem.fixed_delay[finite] == pytest.approx((services + problem.wait)[finite], rel=1e-12)
    times = stage_times(replace(base, options=options))
    (menu,) = times.menus.kinds
    parts = times.of(menu, slice(None))
    longest = np.maximum(parts.edge, parts.upload) if uplink == "queue" else parts.edge
    assert problem.wait[finite] == pytest.approx(curve.wait_of(rate, longest)[finite], rel=1e-12)
    assert (problem.wait[finite] == 0.0)[(rate * longest)[finite] <= 1.0 - float(statistic[1:]) / 100 - 1e-12].all()


def test_a_host_is_a_stage_of_the_same_tandem():
    base = generate("hosts", nodes=6, seed=1)
    problem = compile_problem(replace(base, options=Options(delay="tandem", statistic="p95")))
    stages = [curve for curve in problem.use_curves if isinstance(curve, TandemCurve)]
    assert len(stages) >= 2
    assert {curve.statistic for curve in stages} == {"p95"}
