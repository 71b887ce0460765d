from __future__ import annotations

import numpy as np
import pytest

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.bounds.best import BestPrice
from dmcjia_opt.bounds.certificate import certify
from dmcjia_opt.bounds.dual import priced
from dmcjia_opt.bounds.loads import least_load
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.model.scenario import published
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.families import FAMILIES, generate
from dmcjia_opt.model.scenario.loading import load_scenario
from dmcjia_opt.model.scenario.scenario import PAPER_MHZ_IN_MBPS
from dmcjia_opt.testing.known_answers import known_answers
from dmcjia_opt.testing.problems import brute_force

FROZEN = {
    "paper": "734a9e6da8c7c9da87688b07be367c5bf1bb3429f1b9894f1f0808369810bf94",
    "mixed": "b4694d66cae92adb279f3aedbecdfa19c6ecbb00208d3d6b74828320d5bbd8bc",
    "links": "1006b0b087c03bd36287605996f7e955b714d5e6698fdc56b1ff22f8f9c3b62d",
    "servers": "5deb9994751c8e663fb7fa577531ec1a55ad3d486ebba562a97993c4e4d3a04e",
    "tiers": "01a8efbea668227f3d19277f5a87eed752f9c9966c0798f2735c13efa3b2def1",
    "hard": "21e00d5d13eab731e4dca7debeb5b206a7cc5683f77f22c5d73364d3dba7a435",
    "measured": "8d634edb00bae7e70af204eae6d2fa7fbb6c4a9ccc1d94f97d5c742813da9a47",
    "hosts": "86c135a2ef5d02f46bea296659d25024b29197aa863a8ad7507a3c8195282347",
}
ANSWERS = known_answers()
answers = pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.name)


def column(scenario, key):
    return getattr(scenario.nodes, key)


def within(values, low, high):
    return low <= values.min() and values.max() <= high


def test_the_families_are_those_of_the_command_line():
    assert list(FAMILIES) == [
        *("paper", "homogeneous", "near", "scarce", "mixed", "fleet"),
        *("links", "servers", "tiers", "hosts", "measured", "hard"),
    ]
    with pytest.raises(TypeError):
        FAMILIES["mine"] = FAMILIES["paper"]


@pytest.mark.parametrize("family", FAMILIES)
def test_same_seed_same_scenario(family):
    first, again = (generate(family, nodes=30, seed=5) for _ in range(2))
    assert first.sha256() == again.sha256()
    assert first.name == f"{family}-n30-s5"
    assert first.nodes.names[:2] == ("node-0001", "node-0002")
    if family != "homogeneous":
        assert generate(family, nodes=30, seed=6).sha256() != first.sha256()


def test_links_are_shared_by_twenty_nodes_and_have_a_mebibyte_a_second_for_each():
    scenario = generate("links", nodes=40, seed=3)
    assert [link.name for link in scenario.links] == ["cell-1", "cell-2"]
    assert [link.mbps for link in scenario.links] == pytest.approx([20 * PAPER_MHZ_IN_MBPS] * 2)
    assert np.bincount(scenario.nodes.link.index).tolist() == [20, 20]
    assert np.isnan(column(scenario, "uplink_mbps")).all()
    assert scenario.cloud_gflops == 200
    assert generate("links", nodes=40, seed=3, links=5).name == "links-links5-n40-s3"
    assert len(generate("links", nodes=40, seed=3, links=5).links) == 5
    assert generate("links", nodes=3, seed=3).links[0].mbps == pytest.approx(3 * PAPER_MHZ_IN_MBPS)
    problem = compile_problem(scenario)
    assert [resource.kind for resource in problem.resources] == ["server", "link", "link"]


def test_nodes_may_use_two_edge_servers_and_the_cloud():
    scenario = generate("servers", nodes=20, seed=3)
    assert [server.name for server in scenario.servers] == ["edge-1", "edge-2", "edge-3"]
    assert all(100 / 3 <= server.compute_gflops <= 100 for server in scenario.servers)
    for d in range(20):
        usable = scenario.nodes.servers.at(d)
        assert usable[-1] == "cloud"
        assert len(set(usable)) == 3
    assert len(generate("servers", nodes=100, seed=3, servers=5).servers) == 5
    assert generate("servers", nodes=4, seed=3, servers=1).nodes.servers.values == (("edge-1", "cloud"),)


def test_every_node_of_tiers_has_a_site_and_the_cloud_behind_it():
    scenario = generate("tiers", nodes=30, seed=3)
    assert {tiers[1] for tiers in scenario.nodes.tiers.values} == {"cloud"}
    assert sorted(tiers[0] for tiers in scenario.nodes.tiers.values) == ["site-1", "site-2", "site-3"]
    assert [server.compute_gflops for server in scenario.servers] == [20.0] * 3
    assert {resource.name for resource in compile_problem(scenario).resources} == {
        *("cloud", "site-1", "site-2", "site-3", "backhaul")
    }


def test_two_networks_share_a_board():
    scenario = generate("hosts", nodes=5, seed=3)
    nodes = scenario.nodes
    assert [nodes.host.at(d) for d in range(5)] == ["board-1", "board-1", "board-2", "board-2", None]
    assert [nodes.network_of(d) for d in range(4)] == ["resnet34", "mobilenet_v2"] * 2
    assert nodes.compute_gflops[0] == nodes.compute_gflops[1] != nodes.compute_gflops[2]
    assert generate("hosts", nodes=1, seed=3).nodes.networks == ("resnet34",)


def test_near_nodes_may_be_behind_links():
    own, shared = (generate("near", nodes=8, seed=3, **more) for more in ({}, {"links": 2}))
    np.testing.assert_array_equal(column(own, "compute_gflops"), column(shared, "compute_gflops"))
    assert [link.mbps for link in shared.links] == pytest.approx([4 * PAPER_MHZ_IN_MBPS] * 2)


def test_hard_nodes_are_nearly_identical_in_the_tandem():
    scenario = generate("hard", nodes=50, seed=3)
    assert scenario.options.delay == "tandem"
    assert scenario.cloud_gflops == 150
    assert np.ptp(column(scenario, "compute_gflops")) <= 5 * 2e-3
    assert generate("hard", nodes=50, seed=3, kind="alike").sha256() == scenario.sha256()
    near = generate("near", nodes=50, seed=3, epsilon=1e-3)
    np.testing.assert_array_equal(column(near, "uplink_mbps"), column(scenario, "uplink_mbps"))
    assert [link.mbps for link in generate("hard", nodes=8, seed=3, links=2).links] == pytest.approx(
        [4 * PAPER_MHZ_IN_MBPS] * 2
    )


def test_every_job_of_a_knapsack_is_as_well_off_here_as_there_at_one_price():
    scenario = generate("hard", nodes=40, seed=3, kind="knapsack")
    problem = compile_problem(scenario)
    price = BestPrice(problem).point.prices
    cost, shares = priced(problem, price)
    assert cost.shape == (40, 2)
    np.testing.assert_allclose(cost[:, 0], cost[:, 1], rtol=1e-5)
    assert 0.9 < shares[:, 0].sum() / 2 < 1.1
    assert len(np.unique(problem.service[:, 0])) > 15


def test_cells_are_the_paper_behind_scarce_links():
    scenario = generate("hard", nodes=40, seed=3, kind="cells")
    assert [link.mbps for link in scenario.links] == pytest.approx([4 * 0.7 * PAPER_MHZ_IN_MBPS] * 10)
    assert len(generate("hard", nodes=4, seed=3, kind="cells").links) == 4
    np.testing.assert_array_equal(
        column(scenario, "compute_gflops"), column(generate("paper", nodes=40, seed=3), "compute_gflops")
    )


@pytest.mark.parametrize(
    ("family", "options", "words"),
    [
        ("paper", {"kind": "knapsack"}, "kind does not apply"),
        ("hard", {"kind": "knapsack", "links": 2}, "links does not apply"),
        ("hard", {"kind": "cells", "epsilon": 0.1}, "epsilon does not apply"),
        ("hard", {"kind": "other"}, "must be one of 'alike', 'knapsack', 'cells'"),
    ],
)
def test_a_kind_is_one_of_hard_and_takes_what_it_has(family, options, words):
    with pytest.raises(InputError, match=words):
        generate(family, nodes=4, seed=1, **options)


def test_the_instances_never_change():
    """Published bounds and best-known values refer to these hashes."""
    for family, digest in FROZEN.items():
        assert generate(family, nodes=10, seed=1).sha256() == digest


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("nodes", [3, 5, 40])
def test_every_instance_has_a_plan(family, nodes):
    for seed in range(5):
        assert least_load(compile_problem(generate(family, nodes=nodes, seed=seed))) < 1


@pytest.mark.parametrize("family", FAMILIES)
def test_an_instance_survives_its_file(family, tmp_path):
    scenario = generate(family, nodes=6, seed=2)
    scenario.save(tmp_path / "s.toml")
    again = load_scenario(tmp_path / "s.toml")
    assert (again.name, again.sha256()) == (scenario.name, scenario.sha256())


def test_measured_has_the_times_that_were_published():
    scenario = generate("measured", nodes=40, seed=1, servers=2)
    assert set(scenario.network_names()) == {
        f"scission-{n}" for n in ("vgg16", "resnet50", "inception_v3", "mobilenetv2")
    }
    seconds = {device: scenario.seconds(device, "scission-vgg16.json") for device in published.DEVICES}
    assert {device: len(each) for device, each in seconds.items()} == dict.fromkeys(published.DEVICES, 22)
    # sums of the layers' means, as published: 2.1109 s, 0.3880 s and 7.43 ms
    assert [each.sum() for each in seconds.values()] == pytest.approx([2.1109, 0.38797, 0.0074286], rel=1e-3)
    vgg = scenario.profiles["scission-vgg16.json"]
    assert vgg.output_bytes[0] == 4 * 64 * 224 * 224
    assert vgg.output_bytes[-1] == 4 * 1000
    load = scenario.nodes.arrival_rate * [
        scenario.seconds("raspi4", f"{name}.json").sum() for name in scenario.network_names()
    ]
    assert within(load, 0.2, 0.9)
    assert {server.device for server in scenario.servers} == {"2500"}
    assert scenario.cloud_device == "6700k-gpu"
    assert {servers[1] for servers in scenario.nodes.servers.values} == {"cloud"}


def test_paper_is_table_5():
    scenario = generate("paper", nodes=500, seed=0)
    assert scenario.cloud_gflops == 400
    assert set(column(scenario, "arrival_rate")) == {0.5, 1.0, 2.0}
    assert within(column(scenario, "compute_gflops"), 5, 9)
    assert within(column(scenario, "uplink_mbps") / PAPER_MHZ_IN_MBPS, 1, 5)
    assert np.ptp(column(scenario, "compute_gflops")) > 3.9
    assert np.ptp(column(scenario, "uplink_mbps")) > 3.9 * PAPER_MHZ_IN_MBPS
    assert np.isnan(column(scenario, "input_bytes")).all()
    assert scenario.nodes.networks == ("resnet34",)
    assert scenario.options.flops_per_mac == 1
    assert (scenario.options.delay, scenario.options.ordering, scenario.options.average) == (
        "md1",
        "stability",
        "nodes",
    )


def test_table_4_gives_every_node_one_of_three_raw_inputs():
    scenario = generate("paper", nodes=300, seed=0, tasks="table4")
    values, counts = np.unique(column(scenario, "input_bytes"), return_counts=True)
    np.testing.assert_array_equal(values, [28 * 28, 32 * 32 * 3, 224 * 224 * 3])
    assert counts.min() > 60
    assert scenario.name == "paper-table4-n300-s0"
    plain = generate("paper", nodes=300, seed=0, tasks="imagenet")
    for key in ("arrival_rate", "compute_gflops", "uplink_mbps"):
        np.testing.assert_array_equal(column(plain, key), column(scenario, key))
    assert plain.sha256() == generate("paper", nodes=300, seed=0).sha256()


def test_homogeneous_nodes_are_identical():
    scenario = generate("homogeneous", nodes=8, seed=3)
    np.testing.assert_array_equal(column(scenario, "compute_gflops"), 5)
    np.testing.assert_array_equal(column(scenario, "uplink_mbps"), PAPER_MHZ_IN_MBPS)
    np.testing.assert_array_equal(column(scenario, "arrival_rate"), 1)
    assert scenario.cloud_gflops == 8
    problem = compile_problem(scenario)
    assert (problem.fixed_delay == problem.fixed_delay[0]).all()


@pytest.mark.parametrize(("epsilon", "most"), [(None, 1e-3), (0.2, 0.2), (0.0, 0.0)])
def test_near_nodes_differ_by_epsilon(epsilon, most):
    scenario = generate("near", nodes=200, seed=0, epsilon=epsilon)
    assert scenario.cloud_gflops == 400
    for key, centre in (("compute_gflops", 5.0), ("uplink_mbps", PAPER_MHZ_IN_MBPS)):
        off = np.abs(column(scenario, key) / centre - 1)
        assert 0.9 * most <= off.max() <= most * (1 + 1e-9)
    np.testing.assert_array_equal(column(scenario, "arrival_rate"), 1)


def test_scarce_and_fleet_are_the_paper_with_another_cloud():
    clouds = [generate("scarce", nodes=10, seed=seed).cloud_gflops / 10 for seed in range(200)]
    assert 1 <= min(clouds) < 1.2
    assert 4.8 < max(clouds) <= 5
    paper, fleet = generate("paper", nodes=20, seed=7), generate("fleet", nodes=20, seed=7)
    assert fleet.cloud_gflops == 400
    assert fleet.sha256() == paper.sha256()


def test_mixed_has_several_models_and_rates():
    scenario = generate("mixed", nodes=200, seed=0)
    assert sorted(scenario.nodes.networks) == ["chain-16.json", "chain-6.json", "resnet34"]
    assert {profile.n_layers for profile in scenario.profiles.values()} == {6, 16, 34}
    assert np.bincount(scenario.nodes.network_index).min() > 40
    problem = compile_problem(scenario)
    alone = np.isfinite(problem.fixed_delay[np.arange(200), problem.last])
    assert 100 < alone.sum() < 200
    assert scenario.options.average == "tasks"
    load = [
        scenario.nodes.arrival_rate[d]
        * scenario.profiles[scenario.nodes.network_of(d)].total_macs
        * 2e-9
        / scenario.nodes.compute_gflops[d]
        for d in range(200)
    ]
    assert within(np.array(load), 0.2, 1.4)


def test_mixed_models_are_listed_by_first_use():
    for seed in range(10):
        nodes = generate("mixed", nodes=7, seed=seed).nodes
        assert list(nodes.networks) == list(dict.fromkeys(nodes.network_of(d) for d in range(7)))


def test_mixed_profiles_go_from_large_to_small_activations():
    for profile in generate("mixed", nodes=50, seed=0).profiles.values():
        assert profile.output_bytes[0] > 100 * profile.output_bytes[-1]


def test_fleets_are_drawn_by_columns():
    scenario = generate("fleet", nodes=200_000, seed=1)
    assert scenario.cloud_gflops == 4e6
    assert scenario.nodes.names[0] == "node-000001"
    assert scenario.nodes.names[-1] == "node-200000"


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "measured"])
def test_the_cloud_of_any_family_that_nobody_measured_can_be_set(family):
    scenario = generate(family, nodes=4, seed=1, cloud_gflops=12.5)
    assert scenario.cloud_gflops == 12.5
    assert scenario.name == f"{family}-cloud12.5-n4-s1"


@pytest.mark.parametrize("family", FAMILIES)
def test_the_delay_curve_of_any_family_can_be_set(family):
    scenario, own = generate(family, nodes=4, seed=1, delay="tandem"), generate(family, nodes=4, seed=1)
    assert scenario.options == own.options.model_copy(update={"delay": "tandem"})
    assert scenario.name == f"{family}-tandem-n4-s1"
    np.testing.assert_array_equal(scenario.nodes.arrival_rate, own.nodes.arrival_rate)


@pytest.mark.parametrize(
    ("family", "options", "name"),
    [
        ("paper", {"epsilon": 0.1}, "epsilon"),
        ("scarce", {"epsilon": 0.1}, "epsilon"),
        ("fleet", {"epsilon": 0.0}, "epsilon"),
        ("homogeneous", {"epsilon": 0.1}, "epsilon"),
        ("mixed", {"epsilon": 0.1}, "epsilon"),
        ("homogeneous", {"tasks": "table4"}, "tasks"),
        ("near", {"tasks": "imagenet"}, "tasks"),
        ("mixed", {"tasks": "table4"}, "tasks"),
        ("paper", {"links": 2}, "links"),
        ("links", {"servers": 2}, "servers"),
        ("servers", {"links": 2}, "links"),
        ("hosts", {"links": 2}, "links"),
    ],
)
def test_an_option_of_another_family_is_refused(family, options, name):
    with pytest.raises(InputError, match=f'option {name} does not apply to the family "{family}"'):
        generate(family, nodes=3, seed=0, **options)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"family": "papers"}, r'unknown family "papers".*paper, homogeneous'),
        ({"nodes": 0}, "nodes must be at least 1"),
        ({"nodes": -3}, "nodes must be at least 1"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"tasks": "mnist"}, 'tasks = "mnist" is unknown'),
        ({"family": "near", "epsilon": 1.0}, "epsilon must lie in"),
        ({"family": "near", "epsilon": -0.1}, "epsilon must lie in"),
        ({"family": "near", "epsilon": np.nan}, "epsilon must lie in"),
        ({"delay": "md2"}, 'delay = "md2" is unknown.*tandem'),
        ({"family": "links", "links": 0}, "links must be at least 1, got 0"),
        ({"family": "tiers", "servers": -1}, "servers must be at least 1, got -1"),
        ({"cloud_gflops": 0.0}, "cloud_gflops must be finite and > 0"),
        ({"cloud_gflops": -1.0}, "cloud_gflops"),
        ({"cloud_gflops": np.inf}, "cloud_gflops"),
        ({"cloud_gflops": np.nan}, "cloud_gflops"),
    ],
)
def test_impossible_arguments_are_refused_by_name(arguments, message):
    with pytest.raises(InputError, match=message):
        generate(**({"family": "paper", "nodes": 3, "seed": 0} | arguments))


def test_known_answers_have_names_of_their_own():
    assert len({answer.name for answer in ANSWERS}) == len(ANSWERS) >= 15
    assert all(answer.name == answer.problem.name for answer in ANSWERS)


@answers
def test_known_shares_give_the_known_objective(answer):
    assert answer.problem.objective(answer.splits, answer.shares) == pytest.approx(answer.objective, rel=1e-12)
    assert answer.problem.residuals(answer.splits, answer.shares).feasible


@answers
def test_no_small_move_of_the_known_shares_is_better(answer):
    """Moving share between any two nodes that may give some away costs time; the whole of the cloud is used."""
    problem, splits, shares = answer.problem, answer.splits, answer.shares
    spare = np.flatnonzero(shares > problem.least_share(splits)[:, 0] * (1 + 1e-9))
    assert (len(spare) == 0) == (answer.price == 0)
    if len(spare):
        assert shares.sum() == pytest.approx(1.0, abs=1e-15)
    busy = np.flatnonzero(problem.at(problem.service[..., 0], splits) > 0)
    for giver in spare:
        for taker in busy[busy != giver]:
            moved = shares.copy()
            amount = 1e-4 * (shares[giver] - problem.least_share(splits)[:, 0][giver])
            moved[giver] -= amount
            moved[taker] += amount
            assert problem.objective(splits, moved) > problem.objective(splits, shares) * (1 - 1e-15)


@answers
def test_the_known_price_is_what_more_cloud_saves(answer):
    """A little more cloud, given to the nodes that are neither at a floor nor at a kink, saves price times as much."""
    problem, splits, shares = answer.problem, answer.splits, answer.shares
    least = problem.least_share(splits)[:, 0]
    spare = shares > least * (1 + 1e-9)
    if problem.kinked:
        wait = problem.wait_at(splits)[:, 0]
        rate, s = problem.arrival_rate, problem.at(problem.service[..., 0], splits)
        spare &= ~np.isclose(shares / s - rate, problem.curve.crossing(rate, wait), rtol=1e-9)
    extra = np.where(spare, shares - problem.arrival_rate * problem.at(problem.service[..., 0], splits), 0.0)
    step = 1e-4 * extra
    saved = problem.objective(splits, shares - step) - problem.objective(splits, shares + step)
    assert saved == pytest.approx(answer.price * 2 * step.sum(), rel=1e-7, abs=0.0)


@answers
def test_known_splits_are_the_best_ones(answer):
    value, _, _ = brute_force(answer.problem)
    assert value == pytest.approx(answer.objective, rel=1e-12)


@answers
def test_water_filling_finds_the_known_answer(answer):
    allocation = WaterFilling().allocate(answer.problem, answer.splits[None])
    np.testing.assert_allclose(allocation.shares[0, :, 0], answer.shares, rtol=1e-12, atol=0.0)
    assert allocation.prices[0, 0] == pytest.approx(answer.price, rel=1e-11)


@answers
def test_the_known_answer_is_certified(answer):
    certificate = certify(answer.problem, answer.splits, answer.shares)
    assert certificate.feasible
    assert certificate.lower_bound <= answer.objective
    assert certificate.gap < (0.01 if answer.name == "symmetry broken" else 1e-10)


def test_general_service_has_the_answers_of_its_special_cases():
    by_name = {answer.name: answer for answer in ANSWERS}
    for general, special in (("mg1, c² = 0", "md1"), ("mg1, c² = 1", "mm1")):
        one, other = by_name[f"identical, {general}"], by_name[f"identical, {special}"]
        assert (one.objective, one.price) == (other.objective, other.price)
        assert one.problem.curve.name == "mg1"


def test_known_answers_reach_the_hard_corners():
    loads = {
        a.name: float((a.problem.arrival_rate * a.problem.at(a.problem.service[..., 0], a.splits)).sum())
        for a in ANSWERS
    }
    assert max(loads.values()) > 0.999
    assert min(loads.values()) == 0.0
    assert any(a.problem.ordered for a in ANSWERS)
    assert {a.problem.curve.name for a in ANSWERS} == {"md1", "mm1", "mg1", "tandem"}
    assert (
        max(
            np.ptp(np.log10(a.problem.service[..., 0][:, -1])) for a in ANSWERS if (a.problem.service[..., 0] > 0).all()
        )
        >= 6
    )
