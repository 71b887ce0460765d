import copy
import json
from dataclasses import replace

import numpy as np
import pytest

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.solving.contract import Stop
from dmcjia_opt.solving.plan import PlanFile
from dmcjia_opt.solving.registry import specs, why_not
from dmcjia_opt.solving.solve import solve
from dmcjia_opt.solving.verifying import verify
from tests.command_line import run

PAPER = generate("paper", nodes=4, seed=1)
PAPER_PROBLEM = compile_problem(PAPER)
#: The dual leaves a gap here, so the bound of an exact plan rests on the search that proved it.
EQUAL = generate("homogeneous", nodes=3, seed=0)
PLACERS = [spec.name for spec in specs("placer") if why_not(spec) is None and not spec.baseline]
PROVING = [spec.name for spec in specs("placer") if why_not(spec) is None and spec.proves and spec.exact]


@pytest.fixture(scope="module")
def content():
    """What an honest plan file holds: not optimal, so that every claim has room to be false."""
    return solve(PAPER, "genetic", stop=Stop(evaluations=60), seed=1).to_dict()


def check(scenario, content):
    return verify(scenario, PlanFile.model_validate_json(json.dumps(content)))


def false_claims(scenario, content):
    return [check.what for check in check(scenario, content) if not check.true]


@pytest.mark.parametrize("scenario", [PAPER, EQUAL], ids=["paper", "equal"])
@pytest.mark.parametrize("placer", PLACERS)
def test_honest_plans_of_every_placer_pass(placer, scenario):
    assert false_claims(scenario, solve(scenario, placer, stop=Stop(evaluations=40)).to_dict()) == []


@pytest.mark.parametrize("allocator", ["alm", "cvxpy:SCS", "ipopt"])
def test_honest_plans_of_other_allocators_pass(allocator):
    assert false_claims(PAPER, solve(PAPER, "genetic", allocator, stop=Stop(evaluations=30)).to_dict()) == []


@pytest.mark.parametrize("allocator", ["alm", "cvxpy:CLARABEL", "cvxpy:SCS"])
def test_bounds_proved_with_other_allocators_hold_too(allocator):
    scenario = generate("mixed", nodes=2, seed=4)
    assert false_claims(scenario, solve(scenario, "exhaustive", allocator).to_dict()) == []


def test_checks_are_named_and_readable(content):
    checks = check(PAPER, content)
    assert [c.what for c in checks] == [
        "scenario",
        "feasible",
        "objective_s",
        "lower_bound_s",
        "rule",
        "mean_delay_s",
        "worst_delay_s",
        "price_s",
        "resources",
        "gap",
        "status",
        "nodes",
    ]
    assert all(c.true and c.claimed and c.recomputed for c in checks)


def scaled(key, factor):
    def edit(content):
        content[key] *= factor

    return edit


def at(key, index, factor):
    def edit(content):
        content[key][index] *= factor

    return edit


def of_node(key, value):
    def edit(content):
        node = content["nodes"][2]
        node[key] = value(node[key]) if callable(value) else value

    return edit


def of_resource(key, value):
    def edit(content):
        content["resources"][0][key] = value

    return edit


def move_split(content):
    content["splits"][1] += 1


def move_split_everywhere(content):
    content["splits"][1] += 1
    content["nodes"][1]["split"] += 1


def swap_shares(content):
    for node, other in ((0, 1), (1, 0)):
        content["nodes"][node]["share"] = content["shares"][other]
    content["shares"][:2] = content["shares"][1::-1]


def better_bound_with_its_gap(content):
    content["lower_bound_s"] *= 1 + 1e-6
    content["gap"] = 1 - content["lower_bound_s"] / content["objective_s"]


EDITS = {
    "objective lower": (scaled("objective_s", 1 - 1e-7), {"objective_s"}),
    "objective higher": (scaled("objective_s", 1 + 1e-7), {"objective_s"}),
    "bound higher": (scaled("lower_bound_s", 1 + 1e-6), {"lower_bound_s", "price_s", "gap"}),
    "bound lower": (scaled("lower_bound_s", 1 - 1e-6), {"gap"}),
    "bound negative": (scaled("lower_bound_s", -1.0), {"gap"}),
    "bound with its gap": (better_bound_with_its_gap, {"lower_bound_s", "price_s"}),
    "mean delay": (scaled("mean_delay_s", 1 - 1e-6), {"mean_delay_s"}),
    "worst delay": (scaled("worst_delay_s", 1 - 1e-6), {"worst_delay_s"}),
    "what was minimised": (lambda c: c.update(objective="worst"), {"objective"}),
    "statistic": (lambda c: c.update(statistic="p95"), {"statistic"}),
    "a deadline that is none": (of_node("deadline_s", 7.0), {"nodes"}),
    "price": (scaled("price_s", 1.1), {"price_s", "resources"}),
    "price negative": (scaled("price_s", -1.0), {"price_s", "resources"}),
    "gap": (scaled("gap", 1 - 1e-6), {"gap"}),
    "gap zero": (scaled("gap", 0.0), {"gap"}),
    "status optimal": (lambda c: c.update(status="optimal"), {"status"}),
    "status within": (lambda c: c.update(status="within"), {"status"}),
    "status rounded": (lambda c: c.update(status="rounded"), {"status"}),
    "a looser tolerance": (lambda c: c.update(status="optimal", gap_tolerance=0.9), {"status"}),
    "a tolerance above 1": (lambda c: c.update(status="within", gap_tolerance=5.0), {"status"}),
    "rule": (lambda c: c.update(bound_holds_for="all plans"), {"rule"}),
    "status infeasible": (lambda c: c.update(status="infeasible"), {"status"}),
    "status nonsense": (lambda c: c.update(status="splendid"), {"status"}),
    "share less": (at("shares", 0, 1 - 1e-6), {"resources", "objective_s", "nodes"}),
    "share more": (at("shares", 0, 1 + 1e-6), {"resources", "feasible", "objective_s", "gap", "status", "nodes"}),
    "share gone": (at("shares", 0, 0.0), {"resources", "feasible", "objective_s", "gap", "status", "nodes"}),
    "share negative": (at("shares", 0, -1.0), {"resources", "feasible", "objective_s", "gap", "status", "nodes"}),
    "shares swapped": (swap_shares, {"objective_s", "nodes"}),
    "split": (move_split, {"objective_s", "nodes"}),
    "split everywhere": (move_split_everywhere, {"objective_s", "nodes"}),
    "hash": (lambda c: c.update(scenario_sha256="0" * 64), {"scenario"}),
    "node's split": (of_node("split", lambda k: k + 1), {"nodes"}),
    "node's share": (of_node("share", lambda x: x * (1 - 1e-7)), {"nodes"}),
    "node's edge delay": (of_node("edge_s", lambda x: x + 1e-7), {"nodes"}),
    "node's upload delay": (of_node("upload_s", lambda x: x * (1 - 1e-6)), {"nodes"}),
    "node's cloud delay": (of_node("cloud_s", lambda x: x * (1 - 1e-6)), {"nodes"}),
    "node's total delay": (of_node("total_s", lambda x: x * (1 - 1e-7)), {"nodes"}),
    "node's name": (of_node("name", "somebody else"), {"nodes"}),
    "node's model": (of_node("model", "alexnet"), {"nodes"}),
    "node's server": (of_node("server", "edge-server"), {"nodes"}),
    "node's cuts": (of_node("cuts", lambda cuts: [cuts[0] + 1]), {"nodes"}),
    "node's shares": (of_node("shares", lambda shares: {"cloud": shares["cloud"] * (1 - 1e-7)}), {"nodes"}),
    "node's stages": (of_node("stages", lambda stages: stages | {"uplink": stages["uplink"] * (1 - 1e-6)}), {"nodes"}),
    "a stage that is not": (of_node("stages", lambda stages: stages | {"wifi": 0.1}), {"nodes"}),
    "resource's name": (of_resource("name", "edge-server"), {"resources"}),
    "resource's kind": (of_resource("kind", "link"), {"resources"}),
    "resource's use": (of_resource("used", 0.5), {"resources"}),
    "resource's price": (of_resource("price_s", 0.5), {"resources"}),
    "no resources": (lambda c: c.update(resources=[]), {"resources"}),
}


@pytest.mark.parametrize("name", EDITS)
def test_every_edited_number_is_found_out(name, content, tmp_path, monkeypatch, capsys):
    edit, expected = EDITS[name]
    edited = copy.deepcopy(content)
    edit(edited)
    found = set(false_claims(PAPER, edited))
    assert expected <= found
    assert found <= expected | {"objective_s", "gap", "mean_delay_s", "worst_delay_s", "resources"}
    scenario, plan = tmp_path / "s.toml", tmp_path / "p.json"
    PAPER.save(scenario)
    plan.write_text(json.dumps(edited))
    ended = run(monkeypatch, capsys, "verify", scenario, plan)
    assert ended.code == 1
    assert ended.err.startswith(f"dmcjia: {plan}: false: ")
    assert expected <= set(ended.err.partition(": false: ")[2].strip().split(", "))


def test_an_honest_file_passes(content, tmp_path, monkeypatch, capsys):
    scenario, plan = tmp_path / "s.toml", tmp_path / "p.json"
    PAPER.save(scenario)
    plan.write_text(json.dumps(content))
    ended = run(monkeypatch, capsys, "verify", scenario, plan)
    assert ended.code == 0
    assert ended.out.rstrip().endswith("Every claim holds.")
    assert "FALSE" not in ended.out


def test_a_weaker_claim_that_is_true_passes(content):
    weaker = copy.deepcopy(content)
    weaker["lower_bound_s"] *= 0.5
    weaker["gap"] = 1 - weaker["lower_bound_s"] / weaker["objective_s"]
    weaker["status"] = "feasible"
    assert false_claims(PAPER, weaker) == []


def test_rounding_of_the_last_digits_passes(content):
    rounded = json.loads(json.dumps(content), parse_float=lambda text: float(f"{float(text):.15g}"))
    assert false_claims(PAPER, rounded) == []


def test_optional_claims_may_be_missing(content):
    short = {
        k: v
        for k, v in content.items()
        if k not in ("gap_tolerance", "bound_from", "bound_holds_for", "price_s", "trace")
    }
    assert false_claims(PAPER, short) == []


@pytest.mark.parametrize("placer", PROVING)
def test_a_bound_beyond_the_dual_is_proved_again(placer):
    content = solve(EQUAL, placer).to_dict()
    assert content["bound_from"] == {"exact": "branch-and-bound"}.get(placer, placer)
    bound = next(c for c in check(EQUAL, content) if c.what == "lower_bound_s")
    assert bound.true
    assert "searched again" in bound.recomputed
    for edited in (
        content | {"bound_from": "dual"},
        content | {"bound_from": "a friend"},
        content | {"lower_bound_s": content["lower_bound_s"] * (1 + 1e-6)},
    ):
        assert "lower_bound_s" in false_claims(EQUAL, edited)


def test_an_optimum_that_is_none_is_found_out():
    content = solve(EQUAL, "genetic", stop=Stop(evaluations=20)).to_dict()
    best = solve(EQUAL, "exhaustive").objective
    assert content["objective_s"] > best * (1 + 1e-6)
    content |= {
        "status": "optimal",
        "lower_bound_s": content["objective_s"],
        "gap": 0.0,
        "bound_from": "exhaustive",
    }
    assert false_claims(EQUAL, content) == ["lower_bound_s"]


def test_a_looser_target_that_is_met_is_true_and_no_optimum():
    content = solve(PAPER, "genetic", stop=Stop(gap=0.3, evaluations=5000)).to_dict()
    assert content["status"] == "within"
    status = next(c for c in check(PAPER, content) if c.what == "status")
    assert (status.true, status.recomputed) == (True, "within 30 % of the optimum, proved")
    assert false_claims(PAPER, content | {"status": "optimal"}) == ["status"]
    assert false_claims(PAPER, content | {"gap_tolerance": 0.1}) == ["status"]


def test_a_search_that_left_only_rounding_is_searched_again():
    content = solve(EQUAL, "branch-and-bound", stop=Stop(gap=0.0)).to_dict()
    assert content["status"] == "rounded"
    assert false_claims(EQUAL, content) == []
    assert false_claims(EQUAL, content | {"placer": "genetic"}) == ["status"]


def test_shares_in_percent_are_no_plan_and_nothing_of_it_is_true(content):
    edited = copy.deepcopy(content)
    edited["shares"] = [100 * share for share in edited["shares"]]
    delays = PAPER_PROBLEM.breakdown(np.array(edited["splits"]), np.array(edited["shares"]))
    for row, share, cloud, total in zip(edited["nodes"], edited["shares"], delays.cloud, delays.total, strict=True):
        row |= {"share": share, "cloud_s": float(cloud), "total_s": float(total)}
    edited |= {"objective_s": float(delays.total.mean()), "gap": 0.0, "status": "optimal"}
    assert false_claims(PAPER, edited) == [
        "feasible",
        "objective_s",
        "mean_delay_s",
        "worst_delay_s",
        "resources",
        "gap",
        "status",
        "nodes",
    ]
    feasible = next(c.recomputed for c in check(PAPER, edited) if c.what == "feasible")
    assert feasible.endswith("they look like percentages, and the whole cloud is 1")


def test_another_scenario_of_the_same_size(content):
    other = replace(PAPER, cloud_gflops=401.0)
    assert {"scenario", "objective_s"} <= set(false_claims(other, content))
    relaid = replace(PAPER, name="another label")
    assert false_claims(relaid, content) == []


def test_why_a_plan_is_infeasible(content):
    def sentence(scenario, edited):
        return next(c.recomputed for c in check(scenario, edited) if c.what == "feasible")

    over, starved, slow = (copy.deepcopy(content) for _ in range(3))
    over["shares"][0] += 0.25
    assert sentence(PAPER, over) == "no: its shares exceed the cloud by 0.25"
    starved["shares"][3] = 0.0
    starved["splits"][3] = 0
    assert sentence(PAPER, starved) == 'no: the share of "node-0004", 0, leaves its cloud queue unstable at split 0'
    literal = replace(PAPER, options=PAPER.options.model_copy(update={"ordering": "cloud-faster"}))
    slow["splits"] = [1, 1, 1, 1]
    slow["shares"] = [0.2, 0.2, 0.2, 0.05]
    slower = 'no: the share of "node-0001", 0.2, leaves its cloud slower than its edge at split 1'
    assert sentence(literal, slow) == slower


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c["splits"].pop(), "the plan has 3 splits, 4 shares and 4 nodes, the scenario 4 nodes"),
        (lambda c: c["shares"].append(0.0), "the plan has 4 splits, 5 shares and 4 nodes"),
        (lambda c: c["nodes"].clear(), "the plan has 4 splits, 4 shares and 0 nodes"),
        (lambda c: c["splits"].__setitem__(2, 35), "the split of node 2 must lie in 0 … 34"),
    ],
)
def test_what_is_no_plan_for_this_fleet_is_refused(content, edit, message):
    edited = copy.deepcopy(content)
    edit(edited)
    with pytest.raises(InputError, match=message):
        check(PAPER, edited)


def test_a_single_node():
    scenario = generate("paper", nodes=1, seed=0)
    plan = solve(scenario, "exhaustive")
    assert false_claims(scenario, plan.to_dict()) == []
    assert np.isclose(plan.shares.sum(), 1.0) or plan.shares[0] == 0.0


def dated(margin):
    """Return PAPER with deadlines this much above what two nodes take in its best plan."""
    delay = solve(PAPER).delays.total
    nodes = replace(
        PAPER.nodes, deadline_ms=np.array([np.nan, margin * 1e3 * delay[1], np.nan, margin * 1e3 * delay[3]])
    )
    return replace(PAPER, nodes=nodes)


def test_a_plan_that_keeps_its_deadlines_passes_and_says_them():
    scenario = dated(0.97)
    content = solve(scenario).to_dict()
    assert false_claims(scenario, content) == []
    assert [row["deadline_s"] is None for row in content["nodes"]] == [True, False, True, False]
    for row, deadline in zip(content["nodes"], scenario.nodes.deadline_ms, strict=True):
        if row["deadline_s"] is not None:
            assert row["deadline_s"] == pytest.approx(deadline / 1e3, rel=1e-15)
            assert row["total_s"] <= row["deadline_s"] * (1 + 1e-10)


@pytest.mark.parametrize("value", [None, 7.0])
def test_another_deadline_than_the_scenarios_is_found_out(value):
    scenario = dated(1.2)
    content = solve(scenario).to_dict()
    content["nodes"][1]["deadline_s"] = value
    (nodes,) = (c for c in check(scenario, content) if not c.true)
    assert (nodes.what, nodes.claimed) == ("nodes", f'deadline_s of "{PAPER.nodes.names[1]}" = {value}')


def test_a_plan_that_misses_a_deadline_is_refused_with_both():
    scenario = dated(0.97)
    late = solve(PAPER).to_dict() | {"scenario_sha256": scenario.sha256(), "bound_holds_for": scenario.rule}
    (feasible,) = (c for c in check(scenario, late) if c.what == "feasible")
    assert not feasible.true
    delay, name = solve(PAPER).delays.total[1], PAPER.nodes.names[1]
    assert f'"{name}"' in feasible.recomputed
    assert f"{1e3 * delay:.4g} ms" in feasible.recomputed
    assert f"{1e3 * delay * 0.97:.4g} ms" in feasible.recomputed


def test_the_worst_node_is_recomputed():
    scenario = replace(PAPER, options=PAPER.options.model_copy(update={"objective": "worst"}))
    content = solve(scenario).to_dict()
    assert (content["objective"], content["statistic"]) == ("worst", "mean")
    assert content["objective_s"] == content["worst_delay_s"] == max(row["total_s"] for row in content["nodes"])
    assert content["mean_delay_s"] <= content["worst_delay_s"]
    assert false_claims(scenario, content) == []
    content["worst_delay_s"] *= 1 - 1e-6
    assert false_claims(scenario, content) == ["worst_delay_s"]
    assert "objective" in false_claims(scenario, {key: value for key, value in content.items() if key != "objective"})


def test_a_percentile_is_recomputed():
    options = {"delay": "tandem", "statistic": "p95"}
    scenario = replace(PAPER, options=PAPER.options.model_copy(update=options))
    content = solve(scenario).to_dict()
    assert content["statistic"] == "p95"
    assert false_claims(scenario, content) == []
    assert false_claims(scenario, content | {"statistic": "mean"}) == ["statistic"]


def test_an_option_that_no_share_makes_quick_enough_is_late_and_not_unstable():
    base = replace(PAPER, nodes=replace(PAPER.nodes, compute_gflops=20.0, uplink_mbps=500.0))
    plan = solve(base, "edge-only")
    nodes = replace(base.nodes, deadline_ms=0.9e3 * plan.delays.total)
    scenario = replace(base, nodes=nodes)
    (feasible,) = (c for c in check(scenario, plan.to_dict()) if c.what == "feasible")
    said = f"{1e3 * plan.delays.total[0]:.4g} ms, and its deadline is {nodes.deadline_ms[0]:.6g} ms"
    assert feasible.recomputed == f'no: "{PAPER.nodes.names[0]}" takes {said}'
