from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import brentq

from dmcjia_opt.base.errors import InfeasibleError, InputError
from dmcjia_opt.model.quantiles import PERCENTILES
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.solving.contract import Placement
from dmcjia_opt.solving.plan import PlanFile
from dmcjia_opt.solving.solve import solve
from dmcjia_opt.studies.simulation.arrivals import Deterministic, Erlang, HyperExponential, Trace
from dmcjia_opt.studies.simulation.estimates import N_BATCHES
from dmcjia_opt.studies.simulation.fleet import TASKS, made_for, simulate
from dmcjia_opt.studies.simulation.result import LEVELS
from tests.studies.simulation.fleets import LAST, RATE, loaded, service_times, tandem

LOADS = np.array([0.1, 0.3, 0.5, 0.7, 0.8, 0.9])
WAIT_FREE = np.full(6, 0.2)
BALANCED = (0.5 + 0.5 * np.sqrt(0.8), 0.5 - 0.5 * np.sqrt(0.8))


def inside(found, expected, chance=0.01):
    """Whether every node's expected delay is in its interval; `chance` that one of them is not."""
    return (np.abs(found.delay - expected) <= found.half_width(1 - chance / len(expected))).all()


@pytest.mark.parametrize("uplink", ["delay", "queue"])
def test_the_tandem_formula_on_fifty_random_nodes(uplink):
    rng = np.random.default_rng(8)
    scenario, plan = loaded(*rng.uniform(0.1, 0.85, (3, 50)), splits=rng.integers(1, LAST, 50))
    found = simulate(scenario, plan, tasks=400_000, seed=1, uplink=uplink)
    exact = tandem(scenario, plan, uplink_queues=uplink == "queue")
    assert inside(found, exact)
    outside = np.abs(found.delay - exact) > found.half_width(0.99)
    assert outside.sum() <= 3  # of 50 at 99 %: four or more have a chance of 0.2 %
    assert abs(found.mean_delay - exact.mean()) <= found.mean_half_width(0.99)
    assert (found.half_width(0.99) < 0.05 * exact).all()
    assert not found.too_short.any()
    assert np.abs(found.model - exact).max() > 0.05 * exact.max()  # which the sum of two M/D/1 delays is not


@pytest.mark.parametrize(
    ("options", "scv"), [({}, 0.0), ({"delay": "mm1"}, 1.0), ({"delay": "mg1", "service_scv": 2.5}, 2.5)]
)
def test_single_cloud_queues(options, scv):
    scenario, plan = loaded(np.nan, WAIT_FREE, LOADS, splits=0, **options)
    found = simulate(scenario, plan, tasks=1_000_000, seed=2)
    _, upload, cloud = service_times(scenario, plan).T
    wait = (1 + scv) / 2 * LOADS * cloud / (1 - LOADS)
    assert found.model == pytest.approx(upload + cloud + wait)
    assert inside(found, upload + cloud + wait)
    assert found.delays.cloud == pytest.approx(found.delay - upload)
    assert not found.delays.edge.any()


def test_single_edge_queues():
    scenario, plan = loaded(LOADS, WAIT_FREE, np.nan, splits=LAST)
    found = simulate(scenario, plan, tasks=400_000, seed=3)
    edge, upload, _ = service_times(scenario, plan).T
    assert inside(found, edge + upload + LOADS * edge / (2 * (1 - LOADS)))
    assert found.load.edge == pytest.approx(LOADS, rel=0.02)
    assert found.load.upload == pytest.approx(WAIT_FREE, rel=0.02)
    assert not found.load.cloud.any()


@pytest.mark.parametrize("family", ["gamma", "lognormal"])
def test_variable_service_at_the_edge(family):
    scenario, plan = loaded(LOADS[:-1], 0.2, np.nan, splits=LAST)
    found = simulate(scenario, plan, tasks=600_000, seed=4, service_cv=0.8, service_family=family)
    edge, upload, _ = service_times(scenario, plan).T
    assert inside(found, edge + upload + (1 + 0.8**2) / 2 * LOADS[:-1] * edge / (1 - LOADS[:-1]))


def test_exponential_stages_in_series_are_a_jackson_network():
    scenario, plan = loaded(LOADS, 0.2, LOADS[::-1])
    found = simulate(scenario, plan, tasks=600_000, seed=5, service_cv=1.0)
    edge, upload, cloud = service_times(scenario, plan).T
    assert inside(found, edge / (1 - LOADS) + upload + cloud / (1 - LOADS[::-1]))
    # the time in an M/M/1 queue is exponential
    alone, cloud_only = loaded(np.nan, 1e-9, 0.6, splits=0, delay="mm1")
    quantiles = simulate(alone, cloud_only, tasks=2_000_000, seed=1).quantiles[0]
    excess = (1 / 0.6 - 1) * RATE
    assert quantiles == pytest.approx(-np.log([0.5, 0.05, 0.01]) / excess, rel=0.02)


def test_intervals_cover_as_often_as_they_say():
    scenario, plan = loaded(np.full(300, 0.6), 0.2, 0.5)
    found = simulate(scenario, plan, tasks=20_000, seed=6)
    covered = np.abs(found.delay - tandem(scenario, plan)) <= found.half_width(0.95)
    assert 0.91 < covered.mean() < 0.985


@pytest.mark.parametrize(
    ("arrivals", "transform"),
    [
        (Deterministic(), lambda s: np.exp(-s / RATE)),
        (Erlang(4), lambda s: (1 + s / (4 * RATE)) ** -4),
        (HyperExponential(9.0), lambda s: 0.5 * sum(2 * p * p / (p + s / RATE / 2) for p in BALANCED)),
        (HyperExponential(1.0), lambda s: 1 / (1 + s / RATE)),
    ],
)
def test_other_arrivals_at_exponential_servers(arrivals, transform):
    # GI/M/1: the time in the queue is exponential of rate μ(1 − σ), σ the root of σ = A*(μ(1 − σ)) below 1
    scenario, plan = loaded(np.nan, WAIT_FREE, LOADS, splits=0, delay="mm1")
    found = simulate(scenario, plan, tasks=1_000_000, seed=7, arrivals=arrivals)
    expected = []
    for service in service_times(scenario, plan)[:, 2]:
        root = brentq(lambda x, mu=1 / service: x - transform(mu * (1 - x)), 0.0, 1 - 1e-6)
        expected.append(service / (1 - root))
    assert inside(found, 0.2 / RATE + np.array(expected))


def test_arrivals_at_equal_distances_do_not_wait():
    scenario, plan = loaded(0.95, 0.95, 0.9)
    found = simulate(scenario, plan, tasks=200_000, arrivals=Deterministic(), uplink="queue")
    assert found.batch_values == pytest.approx(service_times(scenario, plan).sum(), abs=1e-10)


def test_the_same_seed_is_the_same_numbers_and_another_is_not():
    scenario, plan = loaded([0.6, 0.4], 0.2, 0.5)
    one, two, other = (simulate(scenario, plan, tasks=3000, seed=s, service_cv=0.5) for s in (1, 1, 2))
    assert (one.batch_values == two.batch_values).all()
    assert (one.quantiles == two.quantiles).all()
    assert (one.batch_values != other.batch_values).all()
    assert len(set(one.batch_values.ravel())) == one.batch_values.size  # nodes do not share streams


def test_arrivals_and_services_do_not_depend_on_the_plan():
    scenario, plan = loaded([0.6, 0.4], 0.2, [0.5, 0.3])
    scaled = Placement(plan.options, plan.shares * [1.0, 0.9])
    other = Placement(np.array([20, 16]), plan.shares)
    base, second, third = (simulate(scenario, p, tasks=3000, seed=1, service_cv=0.5) for p in (plan, scaled, other))
    assert (base.batch_values[0] == second.batch_values[0]).all()
    assert (base.batch_values[1] < second.batch_values[1]).all()
    assert (base.batch_values[1] == third.batch_values[1]).all()
    assert (base.delays.edge[1], base.load.edge[1]) == (third.delays.edge[1], third.load.edge[1])


def test_the_mean_is_weighted_as_the_objective_is():
    scenario, plan = loaded([0.6, 0.4], 0.2, 0.5, rate=[1.0, 3.0], average="tasks")
    found = simulate(scenario, plan, tasks=2000)
    assert found.mean_delay == pytest.approx(found.delay @ [0.25, 0.75])
    assert found.mean_model == pytest.approx(found.model @ [0.25, 0.75])
    assert min(found.quantiles[:, 1]) <= found.mean_quantiles[1] <= max(found.quantiles[:, 1])


def test_numbers_of_tasks():
    scenario, plan = loaded(0.6, 0.2, 0.5)
    found = simulate(scenario, plan, tasks=1234)
    assert found.measured[0] == (1234 * 9 // 10) // N_BATCHES * N_BATCHES
    assert found.measured[0] + found.warm_up[0] == 1234
    assert simulate(scenario, plan, tasks=320, warm_up=0.0).warm_up[0] == 0
    usual = simulate(scenario, plan)
    assert usual.measured[0] + usual.warm_up[0] == TASKS


def test_the_warm_up_is_left_out():
    # a queue that starts empty is too fast at first
    scenario, plan = loaded(np.full(60, 0.95), 0.2, 0.1)
    cold = simulate(scenario, plan, tasks=2000, warm_up=0.0).mean_delay
    warm = simulate(scenario, plan, tasks=2000, warm_up=0.5).mean_delay
    assert cold < 0.9 * warm


def test_progress_is_reported():
    scenario, plan = loaded([0.6, 0.4], 0.2, 0.5)
    done = []
    simulate(scenario, plan, tasks=200_000, progress=done.append)
    assert done == sorted(done)
    assert len(done) == 8
    assert done[-1] == 1.0


def test_runs_that_are_too_short_say_so():
    scenario, plan = loaded([0.999, 0.2], 0.2, 0.1)
    found = simulate(scenario, plan, tasks=20_000, seed=1)
    assert found.too_short.tolist() == [True, False, True]


def trace(times):
    return Trace(np.asarray(times, dtype=float))


def test_a_trace_is_taken_as_it_is():
    scenario, plan = loaded(0.6, 0.2, 0.5)
    # pairs of tasks, far enough apart not to meet others: the second waits for the first
    pairs = np.repeat(np.arange(200) * 100.0, 2)
    edge, upload, cloud = service_times(scenario, plan)[0]
    found = simulate(scenario, plan, arrivals=trace(pairs), warm_up=0.0)
    assert found.delay[0] == pytest.approx(edge + upload + cloud + max(edge, cloud) / 2)
    assert found.measured[0] == 384
    assert found.settings.tasks is None
    assert found.load.edge[0] == pytest.approx(400 * edge / pairs[-1])


def test_a_trace_of_each_node():
    scenario, plan = loaded([0.6, 0.4], 0.2, 0.5)
    lone, pairs = np.arange(400) * 100.0, np.repeat(np.arange(200) * 100.0, 2)
    found = simulate(scenario, plan, arrivals=Trace({"node-1": pairs, "node-0": lone}), tasks=400)
    services = service_times(scenario, plan)
    assert found.delay - services.sum(-1) == pytest.approx([0.0, services[1].max() / 2], abs=1e-10)
    with pytest.raises(InputError, match='trace: there is no arrival for any node of the scenario, such as "node-0"'):
        simulate(scenario, plan, arrivals=Trace({"node-7": lone}))
    with pytest.raises(InputError, match='trace has 400 arrivals for "node-0", fewer than the 401 tasks'):
        simulate(scenario, plan, arrivals=trace(lone), tasks=401)


def test_quiet_nodes_are_named_and_the_others_go_on():
    scenario, plan = loaded([0.6, 0.4, 0.5, 0.3], 0.2, 0.5)
    busy = np.arange(4000) / RATE
    gone = {"node-0": busy, "node-1": busy[:12], "node-2": busy[:1], "zebra": busy, "yak": busy[:3]}
    found = simulate(scenario, plan, arrivals=Trace(gone))
    services = service_times(scenario, plan).sum(-1)
    assert found.quiet.tolist() == [False, True, True, True]
    assert found.delay == pytest.approx([*services[:3], np.nan], nan_ok=True)
    assert np.isnan(found.half_width()).tolist() == [False, True, True, True]
    assert found.mean_delay == pytest.approx(services[0])
    assert found.mean_model == found.model[0]
    assert found.mean_quantiles == pytest.approx(found.quantiles[0])
    assert not found.too_short.any()
    assert found.measured.tolist()[1:] == [11, 1, 0]
    assert found.notes == (
        'trace has arrivals of nodes that the scenario does not have, left out: "yak", "zebra"',
        'trace has too few arrivals for an interval of "node-1" (12), "node-2" (1), "node-3" (none); the means are of '
        "the other 1 of 4 nodes",
    )
    rows = found.to_dict()["nodes"]
    assert [row["mean_s"] is None for row in rows] == [False, False, False, True]
    assert [row["half_width_s"] is None for row in rows] == [False, True, True, True]
    assert [row["batches_independent"] for row in rows] == [True, False, False, False]
    assert simulate(scenario, plan, tasks=1000).notes == ()


def test_other_rates_than_the_scenarios_are_said_with_both():
    scenario, plan = loaded([0.6, 0.4, 0.2], 0.2, 0.1)
    times = np.arange(4000) / RATE
    own = Trace({"node-0": times * 1.05, "node-1": times * 256, "node-2": times / 2})
    found = simulate(scenario, plan, arrivals=own)
    assert found.other_rates.tolist() == [False, True, True]
    assert found.notes == (
        "trace has other arrival rates than the scenario, for which the plan and the model's delays are: "
        '"node-1" 0.005859/s, not 1.5/s; "node-2" 3/s, not 1.5/s; set arrival_rate to the recorded ones, and '
        "solve again",
    )
    rows = found.to_dict()["nodes"]
    assert [row["arrival_rate"] for row in rows] == pytest.approx([RATE / 1.05, RATE / 256, 2 * RATE])
    assert {row["scenario_arrival_rate"] for row in rows} == {RATE}
    with pytest.raises(InfeasibleError, match=r"with 4\.5 recorded arrivals a second where the scenario says 1\.5"):
        simulate(scenario, plan, arrivals=Trace({"node-0": times / 3, "node-1": times}))
    short = simulate(scenario, plan, arrivals=Trace({"node-0": times, "node-1": times[:900]}), tasks=1000)
    assert short.notes[1:] == ('trace has fewer than the 1,000 tasks asked for, and all are taken, of "node-1" (900)',)
    assert short.measured.tolist()[:2] == [896, 800]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"tasks": 100}, '100 tasks are too few for "node-0": 32 batches of 10 and .* need at least 356'),
        ({"tasks": -5}, "-5 tasks are too few"),
        ({"tasks": 355}, "355 tasks are too few"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"warm_up": 1.0}, "warm_up must be at least 0 and below 1, got 1"),
        ({"warm_up": float("nan")}, "warm_up must be at least 0"),
        ({"service_cv": -0.1}, "coefficient of variation of service must be finite and >= 0, got -0.1"),
        ({"service_cv": float("inf")}, "coefficient of variation"),
        ({"service_family": "normal"}, 'service family "normal" is unknown; choose gamma or lognormal'),
        ({"uplink": "wire"}, 'uplink = "wire" is unknown; choose delay or queue'),
    ],
)
def test_nonsense_is_refused(arguments, words):
    scenario, plan = loaded(0.6, 0.2, 0.5)
    with pytest.raises(InputError, match=words):
        simulate(scenario, plan, **arguments)
    assert simulate(scenario, plan, tasks=356).measured[0] == 320


@pytest.mark.parametrize(
    ("splits", "shares", "words"),
    [
        ([16], [0.5], "one entry a node"),
        ([16, 16], [0.5], "needs 2 options and shares, got 2 and 1"),
        ([[16, 16]], [[0.5, 0.5]], "needs 2 options and shares"),
        ([16, 16], None, "needs 2 options and shares"),
        ([16, 35], [0.5, 0.5], "the split of node 1 must lie in 0 … 34"),
        ([16.0, 16.0], [0.5, 0.5], "splits must be integers"),
        ([16, 16], [0.5, -0.1], 'the share of "node-1" must be finite and >= 0, got -0.1'),
        ([16, 16], [0.5, np.nan], 'the share of "node-1" must be finite'),
    ],
)
def test_what_is_no_plan_is_refused(splits, shares, words):
    scenario, _ = loaded([0.6, 0.6], 0.2, 0.5)
    with pytest.raises(InputError, match=words):
        simulate(scenario, Placement(np.array(splits), None if shares is None else np.array(shares)))


def test_plans_without_a_mean_delay_are_infeasible():
    scenario, plan = loaded([0.6, 0.6], 0.2, [0.5, 0.9])
    one, other = plan.shares
    for shares, words in (
        ([one, 0.0], 'the cloud of "node-1" has work and no share at split 16'),
        ([one, 0.8 * other], 'the cloud of "node-1" is asked for 112.5 % of its time at split 16: its queue grows'),
        ([0.1 * one, 0.8 * other], r'the cloud of "node-0" .* \(and 1 more node\)'),
        ([one, 1.1 * other], "the plan's shares exceed the cloud by 0.0"),
    ):
        with pytest.raises(InfeasibleError, match=words):
            simulate(scenario, Placement(plan.options, np.array(shares)))
    with pytest.raises(InfeasibleError, match=r'the edge of "node-0" is asked for .* at split 34 \(and 1 more node\)'):
        simulate(scenario, Placement(np.array([34, 34]), np.zeros(2)))
    scenario, plan = loaded(0.6, 1.2, 0.5)
    with pytest.raises(InfeasibleError, match='the uplink of "node-0" is asked for 120 %'):
        simulate(scenario, plan, uplink="queue")
    assert simulate(scenario, plan, tasks=1000).load.upload[0] > 1
    with pytest.raises(InfeasibleError, match='the edge of "node-0" is asked for'):
        simulate(scenario, plan, arrivals=trace(np.arange(1000) * 0.1))


def test_a_trace_may_be_gentler_than_the_scenario():
    scenario, plan = loaded(1.2, 0.2, 0.5)
    found = simulate(scenario, plan, arrivals=trace(np.arange(1000) * 10.0))
    assert np.isinf(found.model[0])
    assert found.delay[0] == pytest.approx(service_times(scenario, plan).sum())


def test_plans_of_every_kind_are_taken():
    scenario = generate("paper", nodes=3, seed=1)
    plan = solve(scenario)
    read = PlanFile.model_validate(plan.to_dict())
    found = [simulate(scenario, p, tasks=1000) for p in (plan, read, Placement(plan.options, plan.shares_by_use))]
    assert (found[0].batch_values == found[1].batch_values).all()
    assert (found[0].batch_values == found[2].batch_values).all()
    assert found[0].model == pytest.approx(plan.delays.total)
    assert made_for(scenario, read)


def test_a_plan_for_other_nodes_is_refused():
    scenario = generate("paper", nodes=3, seed=1)
    read = PlanFile.model_validate(solve(scenario).to_dict())
    assert not made_for(generate("paper", nodes=3, seed=2), read)
    with pytest.raises(InputError, match="the plan has 3 nodes, the scenario 2"):
        made_for(generate("paper", nodes=2, seed=1), read)
    with pytest.raises(InputError, match='node 1 is "node-0001" running resnet34 in the plan and "node-0" running'):
        made_for(loaded([0.5, 0.5, 0.5], 0.2, 0.5)[0], read)


def test_the_uplink_queues_where_the_scenario_says_so():
    scenario, plan = loaded(0.5, 0.6, 0.4)
    options = scenario.options.model_copy(update={"delay": "tandem", "uplink": "queue"})
    scenario = replace(scenario, options=options)
    assert simulate(scenario, plan, tasks=20_000).delay == simulate(scenario, plan, tasks=20_000, uplink="queue").delay
    assert simulate(scenario, plan, tasks=20_000).delay > simulate(scenario, plan, tasks=20_000, uplink="delay").delay


@pytest.mark.parametrize("uplink", ["delay", "queue"])
@pytest.mark.parametrize("statistic", ["p50", "p90", "p95", "p99"])
def test_percentiles_are_those_of_the_tandem(statistic, uplink):
    rng = np.random.default_rng(11)
    scenario, plan = loaded(*rng.uniform(0.02, 0.85, (3, 20)), splits=rng.integers(1, LAST, 20), delay="tandem")
    options = scenario.options.model_copy(update={"statistic": statistic, "uplink": uplink})
    scenario = replace(scenario, options=options)
    found = simulate(scenario, plan, tasks=200_000, seed=1)
    level = PERCENTILES[statistic]
    exact = tandem(scenario, plan, uplink_queues=uplink == "queue", level=level)
    assert inside(found, exact)
    assert found.model == pytest.approx(exact, rel=1e-8)
    assert (found.half_width(0.99) < 0.15 * exact).all()
    assert abs(found.mean_delay - exact.mean()) <= found.mean_half_width(0.99) < 0.03 * exact.mean()
    assert found.task_mean == pytest.approx(tandem(scenario, plan, uplink_queues=uplink == "queue"), rel=0.05)
    if level in LEVELS:
        assert found.delay == pytest.approx(found.quantiles[:, LEVELS.index(level)], rel=1e-12)


@pytest.mark.slow
def test_intervals_of_percentiles_cover_as_often_as_they_say():
    scenario, plan = loaded(np.full(300, 0.6), 0.2, 0.5, delay="tandem", statistic="p95")
    found = simulate(scenario, plan, tasks=20_000, seed=6)
    covered = np.abs(found.delay - tandem(scenario, plan, level=0.95)) <= found.half_width(0.95)
    assert 0.91 < covered.mean() < 0.995


def test_tasks_that_never_wait_take_exactly_their_services():
    scenario, plan = loaded(0.2, 0.3, 0.1, delay="tandem", statistic="p50")
    found = simulate(scenario, plan, tasks=20_000)
    assert found.delay[0] == pytest.approx(service_times(scenario, plan).sum(), rel=1e-5)
    assert found.half_width()[0] < 5e-4 * found.delay[0]


def test_too_few_tasks_beyond_a_percentile_are_a_run_too_short():
    scenario, plan = loaded([0.6, 0.4], 0.2, 0.5, delay="tandem", statistic="p99.9")
    assert simulate(scenario, plan, tasks=1000).too_short.all()
    assert not simulate(scenario, plan, tasks=200_000).too_short.any()


def test_late_tasks_are_those_beyond_the_deadline():
    base, plan = loaded([0.6, 0.5, 0.4], 0.2, 0.5, delay="tandem", statistic="p90")
    exact = tandem(base, plan, level=0.9)
    nodes = replace(base.nodes, deadline_ms=np.array([1e3 * exact[0], np.nan, 1e3 * exact[2] / 0.99]))
    found = simulate(replace(base, nodes=nodes), plan, tasks=400_000)
    assert found.late[0] == pytest.approx(0.1, abs=0.005)
    assert np.isnan(found.late[1])
    assert 0.05 < found.late[2] < 0.1
    assert found.deadline == pytest.approx([exact[0], np.inf, exact[2] / 0.99])
    # nobody waits: every task takes its services, to rounding
    alone = service_times(base, plan).sum(-1)
    nodes = replace(base.nodes, deadline_ms=1e3 * alone * [1.0, 1.0 - 1e-6, 1.0])
    regular = simulate(replace(base, nodes=nodes), plan, tasks=70_000, arrivals=Deterministic())
    assert regular.late.tolist() == [0.0, 1.0, 0.0]


def test_the_slowest_node_lies_in_its_interval():
    scenario, plan = loaded(np.full(40, 0.6), 0.2, 0.5)
    found = simulate(scenario, plan, tasks=20_000, seed=2)
    exact = float(tandem(scenario, plan)[0])
    d, least, most = found.worst(0.95)
    assert d == found.delay.argmax()
    assert found.delay[d] > exact  # the largest of many is too large
    assert (found.half_width() < most - least).all()
    assert least <= exact <= most
    assert found.worst_model == found.model.max()


def test_a_plan_that_misses_its_deadline_is_simulated_all_the_same():
    scenario = generate("paper", nodes=3, seed=1)
    plan = solve(scenario)
    late = replace(scenario, nodes=replace(scenario.nodes, deadline_ms=0.9e3 * plan.delays.total))
    assert simulate(late, plan, tasks=5000).model == pytest.approx(plan.delays.total, rel=1e-12)
