"""Plans of sites: several servers, links and hosts, whose every claim is read back and found out if it is false."""

import copy
import json

import numpy as np
import pytest

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.loading import load_scenario
from dmcjia_opt.solving.choices import choices_of
from dmcjia_opt.solving.contract import Status, Stop
from dmcjia_opt.solving.plan import PlanFile, load_plan, options_and_shares
from dmcjia_opt.solving.solve import solve
from dmcjia_opt.solving.verifying import verify
from tests.command_line import run
from tests.model.networks.onnx_models import residual_block
from tests.refusals import refused
from tests.sites import SITES, site


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """The scenario and the plan of every site."""
    folder = tmp_path_factory.mktemp("sites")
    scenarios = {name: site(folder, content) for name, content in SITES.items()}
    return {name: (scenario, solve(scenario)) for name, scenario in scenarios.items()}


@pytest.fixture(scope="module")
def open_plan(tmp_path_factory):
    """The scenario of the access point, and what a plan file says whose bound rests on the prices alone."""
    scenario = site(tmp_path_factory.mktemp("open"), SITES["access point"])
    content = solve(scenario, stop=Stop(gap=0.5)).to_dict()
    assert (content["bound_from"], content["price_s"]) == ("dual", None)
    return scenario, content


def false_claims(scenario, content):
    checks = verify(scenario, PlanFile.model_validate_json(json.dumps(content)))
    return [check.what for check in checks if not check.true]


@pytest.mark.parametrize("name", SITES)
def test_a_plan_is_read_back_to_the_last_digit_and_true(planned, name, tmp_path):
    scenario, plan = planned[name]
    plan.save(tmp_path / "plan.json")
    claims = load_plan(tmp_path / "plan.json")
    options, shares = options_and_shares(scenario, compile_problem(scenario), claims)
    np.testing.assert_array_equal(options, plan.options)
    np.testing.assert_array_equal(shares, plan.shares_by_use)
    assert [row.price_s for row in claims.resources] == plan.prices.tolist()
    assert plan.status == Status.OPTIMAL
    assert false_claims(scenario, plan.to_dict()) == []


@pytest.mark.parametrize("name", SITES)
def test_stages_add_up_and_resources_are_what_the_nodes_have(planned, name):
    content = planned[name][1].to_dict()
    used = dict.fromkeys((row["name"] for row in content["resources"]), 0.0)
    for row in content["nodes"]:
        assert sum(row["stages"].values()) == pytest.approx(row["total_s"], rel=1e-13)
        assert (row["split"], row["share"]) == (row["cuts"][0], row["shares"].get(row["server"], 0.0))
        for resource, share in row["shares"].items():
            used[resource] += sum(share) if isinstance(share, list) else share
    assert used == pytest.approx({row["name"]: row["used"] for row in content["resources"]}, rel=1e-13)


def test_what_the_nodes_of_each_site_do(planned):
    rows = {name: plan.to_dict()["nodes"] for name, (_, plan) in planned.items()}
    assert [row["server"] for row in rows["access point"]] == ["edge-server", "edge-server", "cloud"]
    assert list(rows["access point"][2]["stages"]) == ["device", "wifi", "backhaul", "cloud", "round trip"]
    assert [row["cuts"] for row in rows["tiers"]] == [[1, 8], [1, 8], [1, 1]]
    near = next(row for row in rows["board"] if row["server"] == "edge-server")
    assert list(near["stages"]) == ["board", "uplink", "edge-server", "round trip"]
    assert rows["board"][2]["stages"]["round trip"] == pytest.approx(0.010 + 1000.0 / (10e6 / 8), rel=1e-12)
    assert [len(row["shares"]["wifi"]) for row in rows["twice"]] == [2, 2, 2]
    assert {row["model"] for row in rows["board"]} == {"alexnet"}


def test_the_price_of_one_resource_only_is_the_price(planned):
    for _, plan in planned.values():
        assert plan.price is None
        assert plan.to_dict()["price_s"] is None
        assert plan.prices.shape == (len(plan.choices.resources),)


def test_a_share_of_a_server_is_that_of_the_last_that_works(planned):
    scenario, plan = planned["board"]
    np.testing.assert_array_equal(plan.shares, plan.shares_by_use[:, -1])
    assert plan.shares.sum() == pytest.approx(2.0, rel=1e-12)
    everything_here = compile_problem(scenario).last
    idle = choices_of(scenario, compile_problem(scenario), everything_here, np.zeros_like(plan.shares_by_use))
    assert [idle.server_of(d) for d in range(3)] == [None, None, None]
    np.testing.assert_array_equal(idle.server_shares, [0.0, 0.0, 0.0])


def of_node(key, value):
    def edit(content):
        content["nodes"][1][key] = value(content["nodes"][1][key])

    return edit


def of_resource(key, value):
    def edit(content):
        content["resources"][2][key] = value(content["resources"][2][key])

    return edit


def prices_times(factor):
    def edit(content):
        for row in content["resources"]:
            row["price_s"] *= factor

    return edit


def other_server(content):
    content["nodes"][1]["server"] = "cloud"


def changed(name, factor):
    return lambda values: values | {name: values[name] * factor}


EDITS = {
    "split of the list": (lambda c: c["splits"].__setitem__(1, 2), {"splits"}),
    "share of the list": (lambda c: c["shares"].__setitem__(1, 0.1), {"shares"}),
    "split": (of_node("split", lambda split: split + 1), {"nodes"}),
    "share": (of_node("share", lambda share: share / 2), {"nodes"}),
    "cuts": (of_node("cuts", lambda cuts: [3]), {"nodes", "objective_s", "splits"}),
    "server": (other_server, {"nodes", "feasible", "resources", "shares"}),
    "share of a link": (of_node("shares", changed("wifi", 0.9)), {"nodes", "objective_s", "resources"}),
    "more than a link": (of_node("shares", changed("wifi", 1.1)), {"nodes", "feasible", "resources"}),
    "share of a server": (of_node("shares", changed("edge-server", 0.9)), {"objective_s", "resources", "shares"}),
    "share of what is not used": (
        of_node("shares", lambda shares: shares | {"backhaul": 0.1}),
        {"feasible", "resources"},
    ),
    "share of nothing": (of_node("shares", lambda shares: shares | {"moon": 0.1}), {"nodes"}),
    "no share": (of_node("shares", lambda shares: {}), {"nodes", "feasible", "resources", "shares"}),
    "two shares": (of_node("shares", lambda shares: shares | {"wifi": [shares["wifi"], 0.0]}), {"nodes"}),
    "stage": (of_node("stages", changed("wifi", 1 + 1e-6)), {"nodes"}),
    "round trip": (of_node("stages", changed("round trip", 0.5)), {"nodes"}),
    "stage that is not": (of_node("stages", lambda stages: stages | {"backhaul": 0.1}), {"nodes"}),
    "resource's name": (of_resource("name", str.upper), {"resources"}),
    "resource's kind": (of_resource("kind", lambda _: "server"), {"resources"}),
    "resource's use": (of_resource("used", lambda used: used / 2), {"resources"}),
    "prices": (prices_times(3.0), {"prices"}),
    "a price below 0": (of_resource("price_s", lambda price: -price), {"prices"}),
    "fewer resources": (lambda c: c["resources"].pop(), {"resources"}),
    "one price": (lambda c: c.update(price_s=0.1), {"price_s"}),
    "rule": (lambda c: c.update(bound_holds_for="all plans"), {"rule"}),
    "a better bound": (lambda c: c.update(lower_bound_s=c["objective_s"] * 0.999), {"lower_bound_s", "prices", "gap"}),
}


@pytest.mark.parametrize("name", EDITS)
def test_every_false_claim_is_found_out(open_plan, name, tmp_path, monkeypatch, capsys):
    _, content = open_plan
    edit, expected = EDITS[name]
    edited = copy.deepcopy(content)
    edit(edited)
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps(edited), encoding="utf-8")
    site(tmp_path, SITES["access point"])
    ended = run(monkeypatch, capsys, "verify", tmp_path / "site.toml", plan)
    assert ended.code == 1
    found = set(ended.err.partition(": false: ")[2].strip().split(", "))
    assert expected <= found
    derived = {"objective_s", "mean_delay_s", "worst_delay_s", "gap", "status", "nodes", "shares", "resources"}
    assert found <= expected | derived


def test_an_honest_plan_passes_without_what_may_be_missing(open_plan):
    scenario, content = open_plan
    assert false_claims(scenario, content) == []
    short = copy.deepcopy(content)
    del short["resources"], short["bound_holds_for"]
    for row in short["nodes"]:
        del row["stages"]
    assert false_claims(scenario, short) == []


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda row: row.pop("cuts"), '"nodes[1].cuts" is missing; where more than one cloud is shared'),
        (lambda row: row.pop("server"), '"nodes[1].server" is missing'),
        (lambda row: row.pop("shares"), '"nodes[1].shares" is missing'),
        (lambda row: row.update(cuts=None), '"nodes[1].cuts" is missing'),
        (lambda row: row.update(cuts=[1, 2]), 'nodes[1]: "camera-2" needs a split of 0 … 8, not 1, 2'),
        (lambda row: row.update(server="edge-sever"), 'nodes[1]: there is no server "edge-sever" (did you mean'),
        (lambda row: row.update(server=None), 'nodes[1]: "camera-2" has a choice at (1,): say the server'),
        (lambda row: row.update(cuts=[8]), 'nodes[1]: "camera-2" has no option with the cuts 8 on edge-server'),
    ],
)
def test_what_is_no_option_is_refused_with_its_node(open_plan, edit, message, tmp_path, monkeypatch, capsys):
    scenario, content = open_plan
    edited = copy.deepcopy(content)
    edit(edited["nodes"][1])
    with pytest.raises(InputError) as caught:
        false_claims(scenario, edited)
    assert str(caught.value).startswith(message)
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps(edited), encoding="utf-8")
    site(tmp_path, SITES["access point"])
    assert run(monkeypatch, capsys, "verify", tmp_path / "site.toml", plan).code == 2


@pytest.mark.parametrize(
    ("edit", "field"),
    [
        (lambda c: c["nodes"][0].update(cuts=[]), '"nodes[0].cuts"'),
        (lambda c: c["nodes"][0].update(cuts=[1, 2, 3]), '"nodes[0].cuts"'),
        (lambda c: c["nodes"][0].update(cuts=[-1]), '"nodes[0].cuts[0]"'),
        (lambda c: c["nodes"][0].update(server=7), '"nodes[0].server"'),
        (lambda c: c["nodes"][0].update(shares=[0.5]), '"nodes[0].shares"'),
        (lambda c: c["nodes"][0]["shares"].update(wifi="half"), '"nodes[0].shares.wifi'),
        (lambda c: c["nodes"][0]["stages"].update(wifi=None), '"nodes[0].stages.wifi"'),
        (lambda c: c["resources"][1].update(kind="moon"), '"resources[1].kind"'),
        (lambda c: c["resources"][1].pop("used"), '"resources[1].used" is missing'),
        (lambda c: c["resources"][1].update(colour="red"), 'unknown key "resources[1].colour"'),
        (lambda c: c["resources"][1].update(price_s=None), '"resources[1].price_s"'),
    ],
)
def test_malformed_files_are_refused_with_the_field(open_plan, edit, field, tmp_path):
    edited = copy.deepcopy(open_plan[1])
    edit(edited)
    (tmp_path / "plan.json").write_text(json.dumps(edited), encoding="utf-8")
    refused(load_plan, tmp_path / "plan.json", field)


def test_one_cloud_in_other_words_is_the_same_plan(tmp_path):
    nodes = SITES["board"].partition("[[nodes]]")[2].replace('host = "board"\n', "").replace("servers = ['cloud']", "")
    cloud = solve(site(tmp_path, "[cloud]\ncompute_gflops = 20.0\n[[nodes]]" + nodes, "cloud"))
    server = solve(site(tmp_path, '[[servers]]\nname = "it"\ncompute_gflops = 20.0\n[[nodes]]' + nodes, "server"))
    np.testing.assert_array_equal(cloud.splits, server.splits)
    np.testing.assert_array_equal(cloud.shares, server.shares)
    assert (cloud.objective, cloud.price) == (server.objective, server.price)
    assert {row["server"] for row in server.to_dict()["nodes"]} <= {"it", None}
    assert server.to_dict()["resources"][0]["name"] == "it"


def test_tensors_at_each_cut_have_the_names_of_the_network(tmp_path):
    residual_block().save(tmp_path / "block.onnx")
    tiers = '[[nodes]]\nname = "{d}"\nmodel = "block.onnx"\ncompute_gflops = 0.002\nuplink_mbps = {mbps}\n'
    content = SITES["board"].partition("[[nodes]]")[0] + "".join(
        tiers.format(d=d, mbps=mbps) + 'arrival_rate = 1.0\ntiers = ["edge-server", "cloud"]\n'
        for d, mbps in (("near", 100.0), ("far", 0.02))
    )
    scenario = site(tmp_path, content)
    names = scenario.profiles[scenario.nodes.networks[0]].tensor_names
    plan = solve(scenario)
    rows = plan.to_dict()["nodes"]
    assert {cut for row in rows for cut in row["cuts"]} > {0}
    for row in rows:
        assert row["cut_tensors"] == [list(names[cut - 1]) if cut else None for cut in row["cuts"]]
    assert false_claims(scenario, plan.to_dict()) == []
    edited = copy.deepcopy(plan.to_dict())
    edited["nodes"][1]["cut_tensors"][-1] = ["another"]
    assert false_claims(scenario, edited) == ["nodes"]
    scenario.save(tmp_path / "saved.toml")
    assert false_claims(load_scenario(tmp_path / "saved.toml"), plan.to_dict()) == []


def test_tensors_that_nobody_named_cannot_be_claimed(open_plan):
    scenario, content = open_plan
    assert [row["cut_tensors"] for row in content["nodes"]] == [None, None, None]
    edited = copy.deepcopy(content)
    edited["nodes"][0]["cut_tensors"] = [["pool1"]]
    assert false_claims(scenario, edited) == ["nodes"]
