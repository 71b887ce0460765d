"""The rules of section 4.2.2 on two nodes worked by hand, and what they say when they have no plan."""

import json
import math
import pickle
import re
from dataclasses import replace

import numpy as np
import pytest

from dmcjia_opt.base.errors import InfeasibleError, InputError
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.methods.placers.baselines import CloudOnly, EdgeOnly, Greedy, Neurosurgeon
from dmcjia_opt.model.problem import Problem, Uplinks
from dmcjia_opt.model.queues import MD1, OVERLAP
from dmcjia_opt.model.resources import CLOUD, Resource
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.solving.contract import Status, Stop
from dmcjia_opt.solving.plan import PlanFile
from dmcjia_opt.solving.registry import build_placer, specs
from dmcjia_opt.solving.search import Placer
from dmcjia_opt.solving.solve import solve
from dmcjia_opt.solving.verifying import verify
from dmcjia_opt.testing.doubles import Counting, Even, Failing
from dmcjia_opt.testing.problems import impossible
from tests.methods.placers.searches import place

BASELINES = [spec.name for spec in specs("placer") if spec.baseline]
every_baseline = pytest.mark.parametrize("name", BASELINES)
every_optimal = pytest.mark.parametrize("name", [name for name in BASELINES if name.endswith("+")])

#: Bytes sent at splits 0 … 3 of two models; the second has no split 3.
SENT = np.array([[6.0, 8.0, 2.0, 1.0], [9.0, 3.0, 3.0, 0.0]])


def two_nodes(**changes) -> Problem:
    """Return two nodes with 1 byte/s uplinks; node 0 has three layers, node 1 two.

    Edge delays 0, 1, 2, 4 s and 0, 2, 5 s; λ = 0.1/s; full-share cloud times 2, 1.5, 1, 0 s and 4, 1, 0 s.
    """
    edge = np.array([[0.0, 1.0, 2.0, 4.0], [0.0, 2.0, 5.0, np.inf]])
    fields = {
        "fixed_delay": edge + SENT,
        "service": np.array([[2.0, 1.5, 1.0, 0.0], [4.0, 1.0, 0.0, 0.0]]),
        "arrival_rate": np.full(2, 0.1),
        "weight": np.full(2, 0.5),
        "last": np.array([3, 2]),
        "uplinks": Uplinks(SENT, np.array([0, 1]), np.ones(2), SENT[:, 0]),
    }
    return Problem(**(fields | changes))


def test_cloud_only_by_hand():
    """Equal shares: service 4 s and 8 s at λ = 0.1, so waits of 0.1·16/1.2 and 0.1·64/0.4 s, after 6 s and 9 s."""
    placement = place(CloudOnly(), two_nodes())
    assert placement.options.tolist() == [0, 0]
    assert placement.shares.tolist() == [[0.5], [0.5]]
    assert placement.status == Status.FEASIBLE
    assert placement.trace[-1].objective == pytest.approx((6 + 4 + 1.6 / 1.2 + 9 + 8 + 6.4 / 0.4) / 2, rel=1e-12)


def test_edge_only_by_hand():
    placement = place(EdgeOnly(), two_nodes())
    assert placement.options.tolist() == [3, 2]
    assert not placement.shares.any()
    assert placement.trace[-1].objective == pytest.approx((4 + 1 + 5 + 3) / 2)


def test_greedy_by_hand():
    """Node 0 sends 2 bytes after two layers, node 1 3 after one; cloud work 1 s each gives equal shares."""
    placement = place(Greedy(), two_nodes())
    assert placement.options.tolist() == [2, 1]
    assert placement.shares.tolist() == [[0.5], [0.5]]
    both = 2 + 0.1 * 4 / (2 * 0.8)
    assert placement.trace[-1].objective == pytest.approx((2 + 2 + both + 2 + 3 + both) / 2, rel=1e-12)


def test_greedy_shares_follow_the_cloud_work():
    cloud = np.array([[2.0, 1.5, 1.0, 0.0], [4.0, 3.0, 0.0, 0.0]])
    placement = place(Greedy(), two_nodes(service=cloud))
    assert placement.options.tolist() == [2, 1]
    assert placement.shares.tolist() == [[0.25], [0.75]]


def test_greedy_may_be_told_to_mind_bytes_alone():
    """Then node 0 keeps everything (1 byte); of node 1's two options with 3 bytes the earlier leaves the cloud more."""
    placement = place(Greedy(cloud_work=False), two_nodes())
    assert placement.options.tolist() == [3, 1]
    assert placement.shares.tolist() == [[0.0], [1.0]]


def test_greedy_without_any_cloud_work():
    placement = place(Greedy(), two_nodes(service=np.zeros((2, 4))))
    assert placement.options.tolist() == [3, 1]
    assert placement.shares.tolist() == [[0.0], [0.0]]
    assert placement.status == Status.FEASIBLE


def test_greedy_counts_the_nodes_own_input():
    """A node whose raw input is an 1.5-byte image sends that, whatever its model's input tensor has."""
    uplinks = Uplinks(SENT, np.array([0, 1]), np.ones(2), np.array([1.5, 9.0]))
    assert place(Greedy(), two_nodes(uplinks=uplinks)).options.tolist() == [0, 1]


def test_greedy_on_resnet34_is_the_first_activation_of_98_kib():
    scenario = generate("paper", nodes=3, seed=1)
    placement = place(Greedy(), compile_problem(scenario))
    assert placement.options.tolist() == [28] * 3
    upload = scenario.profiles["resnet34"].upload_bytes
    assert upload[28] == upload[:34].min() == 98 * 1024 < upload[27]


def test_greedy_needs_upload_bytes():
    problem = two_nodes(uplinks=None)
    assert "does not have (uplinks)" in Greedy().supports(problem)
    assert Greedy().supports(two_nodes()) is None
    with pytest.raises(InputError, match=r"\"Greedy\" cannot take this scenario: it chooses by upload bytes"):
        place(Greedy(), problem)


def test_neurosurgeon_by_hand():
    """Half the cloud each: node 0 predicts 10, 12, 6 and 5 s, node 1 17, 7 and 8 s."""
    placement = place(Neurosurgeon(), two_nodes())
    assert placement.options.tolist() == [3, 1]
    assert placement.shares.tolist() == [[0.5], [0.5]]
    assert placement.trace[-1].objective == pytest.approx((5 + 5 + 2 + 0.1 * 4 / 1.6) / 2, rel=1e-12)


def test_a_loaded_server_drives_neurosurgeon_to_the_edge():
    """At twice the cloud latency node 1 predicts 25, 9 and 8 s."""
    assert place(Neurosurgeon(server_load=2.0), two_nodes()).options.tolist() == [3, 2]
    assert place(Neurosurgeon(server_load=1.4), two_nodes()).options.tolist() == [3, 1]


@pytest.mark.parametrize("load", [0.5, -1.0, math.nan, math.inf])
def test_impossible_server_loads_are_refused(load):
    with pytest.raises(InputError, match="server_load must be finite float >= 1"):
        Neurosurgeon(server_load=load)


def test_neurosurgeon_leaves_splits_that_its_share_cannot_serve():
    """At λ = 0.5 node 1's split 1 loads half the cloud to 0.5·2 = 1, however short the 2 s it predicts for it."""
    assert place(Neurosurgeon(), two_nodes(arrival_rate=np.array([0.1, 0.5]))).options.tolist() == [3, 2]
    assert place(Neurosurgeon(), two_nodes(arrival_rate=np.array([0.1, 0.49]))).options.tolist() == [3, 1]


def test_neurosurgeon_heeds_a_least_cloud_rate():
    """Split 1 of node 1 has a rate of 0.5/s at half the cloud."""
    floor = np.zeros((2, 4))
    floor[1, 1] = 0.5
    assert place(Neurosurgeon(), two_nodes(least_rate=floor)).options.tolist() == [3, 1]
    assert place(Neurosurgeon(), two_nodes(least_rate=floor * 1.01)).options.tolist() == [3, 2]


@pytest.mark.parametrize("placer", [Greedy(), Neurosurgeon()])
def test_an_unstable_edge_is_chosen_only_where_there_is_nothing_else(placer):
    local = two_nodes().fixed_delay.copy()
    first = place(placer, two_nodes()).options
    local[0, first[0]] = np.inf
    other = place(placer, two_nodes(fixed_delay=local))
    assert other.options[0] != first[0]
    assert other.options[1] == first[1]
    assert other.status == Status.FEASIBLE
    local[0] = np.inf
    stuck = place(placer, two_nodes(fixed_delay=local))
    assert stuck.status == Status.INFEASIBLE
    assert 0 <= stuck.options[0] <= 3


@pytest.mark.parametrize(
    ("plain", "plus"),
    [("cloud-only", "cloud-only+"), ("greedy", "greedy+"), ("neurosurgeon", "neurosurgeon+")],
)
def test_optimal_shares_keep_the_splits_and_gain(plain, plus):
    scenario = generate("paper", nodes=6, seed=3)
    fixed, better = solve(scenario, plain), solve(scenario, plus)
    np.testing.assert_array_equal(fixed.splits, better.splits)
    assert better.objective < fixed.objective
    problem = compile_problem(scenario)
    best = WaterFilling().allocate(problem, fixed.splits[None]).shares[0, :, 0]
    np.testing.assert_array_equal(better.shares, best)


@every_baseline
def test_plans_are_certified_like_any_other(name):
    scenario = generate("paper", nodes=4, seed=1)
    scenario = replace(scenario, nodes=replace(scenario.nodes, arrival_rate=np.full(4, 0.5)))
    plan = solve(scenario, name)
    assert (plan.placer, plan.evaluations, plan.bound_from) == (name, 1, "dual")
    assert solve(scenario).objective <= plan.objective
    assert plan.lower_bound <= plan.objective
    claims = PlanFile.model_validate_json(json.dumps(plan.to_dict()))
    assert [check.what for check in verify(scenario, claims) if not check.true] == []


def test_the_registry_fixes_the_option():
    assert build_placer("greedy+") == Greedy(optimal_shares=True)
    assert build_placer("neurosurgeon+") == Neurosurgeon(optimal_shares=True)
    assert build_placer("cloud-only+") == CloudOnly(optimal_shares=True)
    assert build_placer("greedy") == Greedy()
    assert build_placer("edge-only") == EdgeOnly()


def test_every_rule_of_the_paper_is_registered():
    names = ["cloud-only", "cloud-only+", "edge-only", "greedy", "greedy+", "neurosurgeon", "neurosurgeon+"]
    assert names == BASELINES


@every_baseline
def test_one_plan_and_no_more(name):
    seen = []
    counting = Counting()
    placement = place(build_placer(name), two_nodes(), Stop(evaluations=1), allocator=counting, callback=seen.append)
    assert placement.evaluations == 1
    assert len(counting.plans) == name.endswith("+")
    assert placement.trace == (seen[-1],)
    assert {point.evaluations for point in seen} == {1}
    problem = two_nodes()
    assert problem.residuals(problem.check_options(placement.options), placement.shares).feasible
    assert seen[0].objective == problem.objective(placement.options, placement.shares)
    assert placement.lower_bound == -math.inf


@every_baseline
def test_the_problem_is_left_alone_and_the_placer_travels(name):
    problem = two_nodes()
    placer = pickle.loads(pickle.dumps(build_placer(name)))
    assert isinstance(placer, Placer)
    assert placer == build_placer(name)
    first, second = place(placer, problem), place(placer, problem)
    np.testing.assert_array_equal(first.options, second.options)
    np.testing.assert_array_equal(first.shares, second.shares)
    assert not any(part.flags.writeable for part in (first.options, first.shares))
    options, _ = placer.plan(problem)
    options[:] = 0
    assert problem.last.tolist() == [3, 2]
    assert problem.uplinks.upload_bytes[0, 0] == 6.0


@every_baseline
@pytest.mark.parametrize("nodes", [1, 3, 7, 49, 1000])
def test_shares_never_exceed_the_cloud(name, nodes):
    """Equal shares of 49 nodes sum to 1 only up to rounding."""
    scenario = generate("fleet", nodes=nodes, seed=2)
    slow = replace(scenario.nodes, arrival_rate=np.full(nodes, 0.5))
    placement = place(build_placer(name), compile_problem(replace(scenario, nodes=slow)))
    assert placement.status == Status.FEASIBLE
    assert placement.shares.sum() <= 1 + 1e-14


@every_optimal
def test_a_third_partys_allocator_will_do(name):
    placement = place(build_placer(name), two_nodes(), allocator=Even())
    np.testing.assert_array_equal(placement.shares, Even().allocate(two_nodes(), placement.options[None]).shares[0])
    assert np.isnan(placement.prices).all()


@every_optimal
def test_a_failing_allocator_leaves_no_plan(name):
    assert place(build_placer(name), two_nodes(), allocator=Failing()).status == Status.FAILED
    with pytest.raises(InfeasibleError, match="choose another placer"):
        solve(generate("paper", nodes=3), name, Failing())


@every_baseline
def test_an_impossible_problem(name):
    uplinks = Uplinks(np.ones((1, 4)), np.zeros(3, dtype=np.int64), np.ones(3), np.ones(3))
    placement = place(build_placer(name), replace(impossible(), uplinks=uplinks))
    assert placement.status == Status.INFEASIBLE
    assert placement.options.shape == (3,)
    assert placement.trace[-1].objective == math.inf


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("cloud-only", r'the share of "node-0001", 0\.333, leaves its cloud queue unstable at split 0'),
        ("cloud-only+", r"its splits load the cloud to 366\.4 %"),
    ],
)
def test_a_scarce_cloud_is_too_small_for_everything(name, sentence):
    with pytest.raises(InfeasibleError, match=f'"{re.escape(name)}" gives no feasible plan: {sentence}; other placers'):
        solve(generate("homogeneous", nodes=3), name)


def test_an_edge_too_slow_for_everything_is_named():
    scenario = generate("homogeneous", nodes=3)
    nodes = replace(scenario.nodes, arrival_rate=np.array([1.0, 2.0, 1.0]))
    scenario = replace(scenario, nodes=nodes, cloud_gflops=100.0)
    with pytest.raises(
        InfeasibleError, match='the edge queue of "node-0002" is unstable at split 34; other placers may'
    ):
        solve(scenario, "edge-only")
    assert solve(scenario, "neurosurgeon").objective < math.inf


def test_a_cloud_slower_than_the_edge_is_named():
    """Greedy's share of a fast edge's few last layers is below what the literal C3 asks for."""
    scenario = generate("homogeneous", nodes=3)
    literal = scenario.options.model_copy(update={"ordering": "cloud-faster"})
    nodes = replace(scenario.nodes, compute_gflops=np.array([5.0, 500.0, 5.0]))
    with pytest.raises(InfeasibleError, match=r'share of "node-0002", 0\.333, leaves its cloud slower than its edge'):
        solve(replace(scenario, nodes=nodes, options=literal, cloud_gflops=100.0), "greedy")


#: A camera behind a shared link and one with a host in common may use a slow server or the cloud, after either cut.
KINDS = (Resource("site", "server"), CLOUD, Resource("cell", "link"), Resource("jetson", "host"))


def shared(**changes) -> Problem:
    """Return two nodes; options are cut 0 at the site, cut 0 in the cloud, cut 1 in the cloud, all at the edge.

    Node 0 sends over the link, in which tasks overlap; node 1's own part runs on the host.
    """
    service = np.array(
        [
            [[0.0, 1.5, 4.0], [0.0, 1.5, 2.0], [0.0, 0.5, 1.0], [0.0, 0.0, 0.0]],
            [[0.0, 0.0, 4.0], [0.0, 0.0, 2.0], [1.0, 0.0, 1.0], [2.0, 0.0, 0.0]],
        ]
    )
    resource = np.broadcast_to(np.array([[3, 2, 0], [3, 2, 1], [3, 2, 1], [3, 2, 0]]), (2, 4, 3))
    fields = {
        "fixed_delay": np.array([[0.0, 0.0, 5.0, 12.0], [3.0, 3.0, 1.0, 0.0]]),
        "service": service,
        "arrival_rate": np.full(2, 0.1),
        "weight": np.full(2, 0.5),
        "curves": (MD1, OVERLAP, MD1),
        "resource": resource,
        "resources": KINDS,
        "uplinks": Uplinks(np.array([[6.0, 6.0, 2.0, 0.0]]), np.zeros(2, dtype=np.int64), np.ones(2), np.full(2, 6.0)),
    }
    return Problem(**(fields | changes))


def test_cloud_only_goes_to_the_cloud_with_all_work():
    placement = place(CloudOnly(), shared())
    assert placement.options.tolist() == [1, 1]
    assert placement.shares.tolist() == [[0.0, 1.0, 0.5], [0.0, 0.0, 0.5]]
    assert placement.status == Status.FEASIBLE


def test_cloud_only_without_a_cloud_goes_to_the_first_server_that_is_allowed():
    renamed = (KINDS[0], Resource("rack"), *KINDS[2:])
    assert place(CloudOnly(), shared(resources=renamed)).options.tolist() == [0, 0]
    fixed = shared().fixed_delay.copy()
    fixed[0, 0] = np.inf
    assert place(CloudOnly(), shared(resources=renamed, fixed_delay=fixed)).options.tolist() == [1, 0]


def test_edge_only_shares_hosts_equally():
    placement = place(EdgeOnly(), shared())
    assert placement.options.tolist() == [3, 3]
    assert placement.shares.tolist() == [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]
    assert placement.trace[-1].objective == pytest.approx((12 + 2 + 0.1 * 4 / (2 * 0.8)) / 2, rel=1e-12)
    both = shared().service.copy()
    both[0, 3, 0] = 1.0
    assert place(EdgeOnly(), shared(service=both)).shares[:, 0].tolist() == [0.5, 0.5]


def test_greedy_shares_every_resource_in_proportion_to_the_work():
    placement = place(Greedy(), shared())
    assert placement.options.tolist() == [2, 2]
    assert placement.shares.tolist() == [[0.0, 1.0, 0.5], [1.0, 0.0, 0.5]]
    longer = shared().service.copy()
    longer[1, 2] = [1.0, 0.5, 3.0]
    assert place(Greedy(), shared(service=longer)).shares.tolist() == [[0.0, 0.5, 0.25], [1.0, 0.5, 0.75]]
    assert place(Greedy(cloud_work=False), shared()).options.tolist() == [3, 3]


def test_neurosurgeon_predicts_at_equal_shares_of_what_it_may_use():
    """Node 0 has all of the link and half of each server: 9.5, 5.5, 7.5 and 12 s; node 1's host is its own."""
    placement = place(Neurosurgeon(), shared())
    assert placement.options.tolist() == [1, 3]
    assert placement.shares.tolist() == [[0.0, 1.0, 0.5], [1.0, 0.0, 0.0]]
    assert place(Neurosurgeon(server_load=2.0), shared()).options.tolist() == [1, 3]
    assert place(Neurosurgeon(server_load=2.5), shared()).options.tolist() == [2, 3]


def test_neurosurgeon_leaves_a_link_that_its_share_cannot_serve():
    """Tasks overlap on the link, which may be full: at 1.5 s each it carries 2/3 a second."""
    fixed = np.array([[0.0, 0.0, 50.0, 90.0], [3.0, 3.0, 1.0, 0.0]])
    service = shared().service / np.array([1.0, 1.0, 10.0])
    for rate, option in ((2 / 3, 1), (0.67, 2)):
        rates = np.array([rate, 0.1])
        assert (
            place(Neurosurgeon(), shared(fixed_delay=fixed, service=service, arrival_rate=rates)).options[0] == option
        )


def test_who_uses_a_resource_twice_divides_its_share():
    service, resource = np.array([[[0.1, 0.1], [0.0, 0.0]]] * 2), np.zeros((2, 2, 2), dtype=np.int64)
    problem = Problem(np.array([[0.0, 9.0]] * 2), service, np.ones(2), np.full(2, 0.5), resource=resource)
    placement = place(Neurosurgeon(), problem)
    assert placement.shares.tolist() == [[0.25, 0.25]] * 2
    assert placement.status == Status.FEASIBLE
