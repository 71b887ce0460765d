"""Passages of shared stages: hosts, links, servers and tiers, set beside services by hand, theory and ciw."""

from dataclasses import replace

import numpy as np
import pytest

from dmcjia_opt.base.errors import InfeasibleError, InputError
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.model.scenario.nodes import Node, node_table
from dmcjia_opt.model.scenario.scenario import Options, Scenario
from dmcjia_opt.model.scenario.servers import Link, Server
from dmcjia_opt.solving.contract import Placement
from dmcjia_opt.studies.simulation.arrivals import Deterministic, Trace
from dmcjia_opt.studies.simulation.estimates import N_BATCHES
from dmcjia_opt.studies.simulation.fleet import simulate
from tests.studies.simulation.fleets import LAST, PROFILE
from tests.studies.simulation.test_ciw import TASKS, by_ciw, sequence

# ciw copies iterators, of which Python 3.13 says that 3.14 will not
pytestmark = pytest.mark.filterwarnings("ignore:Pickle, copy, and deepcopy:DeprecationWarning")
MBPS = 125_000.0
NAMES = ["jetson", "uplink", "cell-3", "lan", "site", "backhaul", "cloud", "round trip"]
#: Loads of the stages where tasks may wait for each other, in their order; the uplink's follows from its bandwidth.
LOADS = {"jetson": 0.6, "cell-3": 0.5, "lan": 0.7, "site": 0.4, "backhaul": 0.8, "cloud": 0.3}
LINKS = {"uplink", "cell-3", "lan", "backhaul"}
RATE = 1.0


def site(**options):
    """Return two cameras on one board, two servers in a row, and every link there may be."""
    camera = Node(
        name="camera-0",
        model="resnet34",
        compute_gflops=40.0,
        uplink_mbps=40.0,
        arrival_rate=RATE,
        link="cell-3",
        tiers=["site", "cloud"],
        host="jetson",
        rtt_ms=15.0,
        result_bytes=1000.0,
        downlink_mbps=8.0,
    )
    return Scenario(
        cloud_gflops=400.0,
        nodes=node_table([camera, camera.model_copy(update={"name": "camera-1"})]),
        servers=(Server(name="site", compute_gflops=100.0, rtt_ms=2.0, link="lan"),),
        links=(Link(name="cell-3", mbps=200.0), Link(name="lan", mbps=300.0), Link(name="backhaul", mbps=400.0)),
        cloud_rtt_ms=30.0,
        cloud_link="backhaul",
        options=Options(**options),
    )


def spread_out(scenario, loads=LOADS):
    """Return a plan in which all three run layers, and (n_stages,) its service times at shares with these loads."""
    cuts = scenario.menus.of(0).cuts
    option = int(np.flatnonzero((cuts[:, 0] > 0) & (cuts[:, 0] < cuts[:, 1]) & (cuts[:, 1] < LAST))[0])
    first, second = cuts[option]
    work, sent = 2.0 * PROFILE.work, PROFILE.upload_bytes
    at_full_share = {
        "jetson": work[first] / 40e9,
        "cell-3": sent[first] / (200 * MBPS),
        "lan": sent[first] / (300 * MBPS),
        "site": (work[second] - work[first]) / 100e9,
        "backhaul": sent[second] / (400 * MBPS),
        "cloud": (work[LAST] - work[second]) / 400e9,
    }
    own = {"uplink": sent[first] / (40 * MBPS), "round trip": 0.015 + 0.030 + 1000 / (8 * MBPS)}
    services = [own[name] if name in own else loads[name] / RATE for name in NAMES]
    problem = compile_problem(scenario)
    options = np.full(2, option)
    shares = np.zeros((2, problem.n_uses))
    for k, r in enumerate(problem.resource[0, option]):
        name = problem.resources[r].name
        shares[:, k] = RATE * at_full_share[name] / loads[name]
    return Placement(options, shares), np.array(services)


@pytest.mark.parametrize("uplink", ["delay", "queue"])
def test_the_same_arrivals_take_the_same_time_in_ciw(uplink):
    scenario = site(uplink=uplink)
    plan, services = spread_out(scenario)
    times = np.cumsum(np.random.default_rng(1).exponential(1 / RATE, TASKS))
    found = simulate(scenario, plan, arrivals=Trace(times), warm_up=0.0)
    many = float("inf")
    overlaps = [name == "round trip" or (uplink == "delay" and name in LINKS) for name in NAMES]
    expected = by_ciw(
        sequence(np.diff(times, prepend=0.0)), services.tolist(), [many if overlap else 1 for overlap in overlaps]
    )
    for node in (0, 1):
        assert found.batch_values[node] == pytest.approx(expected.reshape(N_BATCHES, -1).mean(axis=1), rel=1e-9)


@pytest.mark.parametrize("uplink", ["delay", "queue"])
def test_each_stage_by_name(uplink):
    scenario = site(uplink=uplink)
    plan, services = spread_out(scenario)
    found = simulate(scenario, plan, tasks=1000, arrivals=Deterministic())
    row = found.to_dict()["nodes"][1]
    assert row["stages"] == pytest.approx(dict(zip(NAMES, services, strict=True)), rel=1e-6)
    assert list(row["stages"]) == list(row["loads"]) == NAMES
    loads = {name: RATE * s for name, s in row["stages"].items()} | {"round trip": 0.0}
    assert row["loads"] == pytest.approx(loads, rel=1e-6)
    assert found.delays.edge[0] == pytest.approx(services[0])
    assert found.delays.upload[0] == pytest.approx(services[[1, 2, 3, 5, 7]].sum())
    assert found.delays.cloud[0] == pytest.approx(services[[4, 6]].sum())
    assert (found.load.edge[0], found.load.upload[0], found.load.cloud[0]) == pytest.approx((0.6, 0.8, 0.4), rel=1e-6)


@pytest.mark.parametrize("uplink", ["delay", "queue"])
@pytest.mark.parametrize("slowest", list(LOADS))
def test_the_tandem_is_exact_whichever_stage_is_slowest(uplink, slowest):
    scenario = site(uplink=uplink, delay="tandem")
    plan, services = spread_out(scenario, LOADS | {slowest: 0.85})
    found = simulate(scenario, plan, tasks=300_000, seed=1)
    longest = services[[name != "round trip" and (uplink == "queue" or name not in LINKS) for name in NAMES]].max()
    exact = services.sum() + RATE * longest**2 / (2 * (1 - RATE * longest))
    assert found.model == pytest.approx(exact)
    assert (np.abs(found.delay - exact) <= found.half_width(0.999)).all()
    assert (found.half_width(0.999) < 0.05 * exact).all()


def any_plan(problem, rng):
    """Return options by chance, the least loaded of many, and shares in proportion to what they need."""
    last = np.where(np.isfinite(problem.fixed_delay), rng.random((2000, *problem.fixed_delay.shape)), -1.0)
    options = last.argmax(axis=-1)
    loads = problem.by_resource(options, problem.least_share(options)).max(axis=-1)
    chosen = options[loads.argmin()]
    needed = problem.least_share(chosen)
    total = problem.by_resource(chosen, needed)
    with np.errstate(divide="ignore", invalid="ignore"):
        return Placement(chosen, np.where(needed > 0, needed / total[problem.at(problem.resource, chosen)], 0.0))


@pytest.mark.parametrize("uplink", ["delay", "queue"])
@pytest.mark.parametrize("family", ["links", "servers", "tiers", "hosts"])
def test_plans_of_every_kind_take_as_long_as_the_tandem_says(family, uplink):
    scenario = generate(family, nodes=8, seed=3, delay="tandem")
    nodes = replace(scenario.nodes, arrival_rate=0.3 * scenario.nodes.arrival_rate)
    scenario = replace(scenario, nodes=nodes, options=scenario.options.model_copy(update={"uplink": uplink}))
    problem = compile_problem(scenario)
    plan = any_plan(problem, np.random.default_rng(1))
    found = simulate(scenario, plan, tasks=200_000, seed=2)
    assert found.mean_model == pytest.approx(float(problem.objective(plan.options, plan.shares)))
    assert abs(found.mean_delay - found.mean_model) <= found.mean_half_width(0.999) < 0.05 * found.mean_model
    assert (np.abs(found.delay - found.model) <= found.half_width(0.9999)).all()
    assert found.delays.total == pytest.approx(found.delay)


def test_exponential_servers_in_a_row_are_a_jackson_network():
    scenario = site(delay="mm1")
    cuts = scenario.menus.of(0).cuts
    option = int(np.flatnonzero((cuts[:, 0] == 0) & (cuts[:, 1] > 0) & (cuts[:, 1] < LAST))[0])
    problem = compile_problem(scenario)
    options = np.full(2, option)
    loads = np.array([[0.7], [0.5]])  # of each stage of the two nodes
    shares = RATE * problem.at(problem.service, options) / loads
    found = simulate(scenario, Placement(options, shares), tasks=400_000, seed=1)
    assert found.settings.cloud_cv == 1.0
    assert (np.abs(found.delay - found.model) <= found.half_width(0.995)).all()
    means = found.to_dict()["nodes"][0]["stages"]
    assert [means["site"], means["cloud"]] == pytest.approx([0.7 / 0.3 / RATE] * 2, rel=0.05)
    assert means["site"] != pytest.approx(means["cloud"], rel=1e-9)  # each draws its own service times


def test_what_waits_for_ever_is_named():
    scenario = site(uplink="queue")
    plan, _ = spread_out(scenario)
    problem = compile_problem(scenario)
    on = {problem.resources[r].name: k for k, r in enumerate(problem.resource[0, plan.options[0]])}
    cuts = ", ".join(map(str, scenario.route(0, int(plan.options[0])).cuts))
    for name, words in (
        ("jetson", 'the host "jetson"'),
        ("cell-3", 'the link "cell-3"'),
        ("site", 'the server "site"'),
        ("cloud", "the cloud"),
    ):
        shares = plan.shares.copy()
        shares[1, on[name]] *= LOADS[name] / 1.25
        with pytest.raises(
            InfeasibleError, match=f'{words} of "camera-1" is asked for 125 % of its time at cuts {cuts}'
        ):
            simulate(scenario, Placement(plan.options, shares))
    shares[1, on["cloud"]] = 0.0
    with pytest.raises(InfeasibleError, match='the cloud of "camera-1" has work and no share'):
        simulate(scenario, Placement(plan.options, shares))


def test_a_link_carries_no_more_than_its_share_where_tasks_overlap():
    scenario = site(uplink="delay")
    full, _ = spread_out(scenario, LOADS | {"cell-3": 1.0})
    assert simulate(scenario, full, tasks=1000).load.upload == pytest.approx(1.0, rel=0.2)
    with pytest.raises(InfeasibleError, match='the link "cell-3" of "camera-0" is asked for 100 % of its time'):
        simulate(scenario, full, uplink="queue")
    over, _ = spread_out(scenario, LOADS | {"cell-3": 1.1})
    words = r'"cell-3" of "camera-0" is asked for 110 % of what its share carries .* \(and 1 more node\): more and more'
    with pytest.raises(InfeasibleError, match=words):
        simulate(scenario, over)


def test_shares_are_counted_by_resource():
    scenario = site()
    plan, _ = spread_out(scenario)
    problem = compile_problem(scenario)
    k = [problem.resources[r].name for r in problem.resource[0, plan.options[0]]].index("lan")
    shares = plan.shares.copy()
    shares[:, k] = 0.55
    with pytest.raises(
        InfeasibleError, match=r'shares exceed the link "lan" by 0\.1; scale them to a sum of at most 1'
    ):
        simulate(scenario, Placement(plan.options, shares))
    with pytest.raises(InputError, match="a plan needs 2 options and 6 shares for each, got 2 and 2"):
        simulate(scenario, Placement(plan.options, shares[:, k]))
    shares[1, k] = -0.5
    with pytest.raises(InputError, match=r'the share of "camera-1" must be finite and >= 0, got -0\.5'):
        simulate(scenario, Placement(plan.options, shares))
