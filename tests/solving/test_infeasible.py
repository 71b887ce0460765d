"""Why no plan exists: the nodes that fail alone by name, or the clouds that the fleet needs."""

from dataclasses import replace

import numpy as np
import pytest

from dmcjia_opt.base.errors import ClaimFalse, InfeasibleError
from dmcjia_opt.model.networks.profile import LayerProfile
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.nodes import Labels, NodeTable
from dmcjia_opt.model.scenario.scenario import Options, Scenario
from dmcjia_opt.model.scenario.servers import Link, Server
from dmcjia_opt.solving.infeasible import why_no_plan
from dmcjia_opt.solving.plan import load_plan
from dmcjia_opt.solving.solve import solve
from dmcjia_opt.solving.verifying import verify
from dmcjia_opt.studies.plan.subject import subject_of_file


def fleet(rates, cloud=100.0, **options):
    names = tuple(f"c{k + 1}" for k in range(len(rates)))
    return Scenario(cloud, NodeTable(names, ("resnet34",), 5.0, 25.0, np.array(rates, float)), Options(**options))


def carried(why):
    return float(why.partition("less than ")[2].partition(" of")[0])


@pytest.mark.parametrize(
    "options", [{}, {"ordering": "cloud-faster"}, {"delay": "tandem"}, {"delay": "tandem", "uplink": "queue"}]
)
def test_a_node_that_fails_alone_is_named_with_what_it_could_carry(options):
    why = why_no_plan(fleet([0.1, 0.1, 25.0], **options))
    assert '"c3" can carry less than' in why
    assert " of its 25 tasks/s" in why
    assert "c1" not in why
    most = carried(why)
    assert not why_no_plan(fleet([most * 0.99], **options))
    assert why_no_plan(fleet([most * 1.01], **options))
    assert why.endswith("or its uplink_mbps") == ("uplink" in options)


def test_a_fleet_that_asks_for_too_much_is_told_how_many_clouds_it_needs():
    scenario = fleet([2.0, 3.0, 3.0], cloud=30.0)
    with pytest.raises(InfeasibleError) as caught:
        solve(scenario)
    why = str(caught.value)
    clouds = float(why.partition("at least ")[2].partition(" clouds")[0])
    assert 1.0 < clouds < 3.0
    assert 'most of it for "c2" (' in why
    assert not why_no_plan(fleet([2.0, 3.0, 3.0], cloud=30.0 * clouds * 1.01))
    assert why_no_plan(fleet([2.0, 3.0, 3.0], cloud=30.0 * clouds))


def test_a_load_a_hair_above_one_cloud_is_not_rounded_to_one():
    from dmcjia_opt.solving.infeasible import _clouds

    assert _clouds(1.7) == "1.7 clouds"
    assert _clouds(1.0000004) == "1.0000004 clouds"


def test_what_has_a_plan_has_no_reason():
    assert why_no_plan(fleet([0.1, 0.1])) == ""


def test_many_nodes_are_counted():
    assert "(and 988 more nodes)" in why_no_plan(fleet([25.0] * 1000))


def test_verify_and_report_say_the_same(tmp_path):
    solve(fleet([0.1, 0.1])).save(tmp_path / "plan.json")
    claims, scenario = load_plan(tmp_path / "plan.json"), fleet([0.1, 25.0])
    (row,) = (check for check in verify(scenario, claims) if check.what == "feasible")
    assert row.recomputed == f"no: {why_no_plan(scenario)}"
    again = claims.model_copy(update={"scenario_sha256": scenario.sha256()})
    with pytest.raises(ClaimFalse, match=r'it is no plan: no plan exists: .* "c2" can carry less than'):
        subject_of_file(scenario, again)


def shared(n, mbps=15.0, site=None, rate=0.3, **columns):
    """`n` nodes that must send 0.15 MB a task over one link, to the cloud or a site."""
    profile = LayerProfile("health", 1.5e5, ("task",), [1e8], [8.0])
    names = tuple(f"d{k}" for k in range(n))
    table = NodeTable(names, ("h.json",), 1.0, np.nan, rate, link=Labels.of(["wan"] * n), max_split=0.0, **columns)
    return Scenario(
        160.0,
        table,
        profiles={"h.json": profile},
        links=(Link(name="wan", mbps=mbps),),
        servers=() if site is None else (Server(name="site", compute_gflops=site),),
    )


def test_a_link_that_is_overfull_is_named_with_what_it_would_need():
    why = why_no_plan(shared(60))
    assert 'whatever the options, the link "wan" would be used 1.44 times, most of it for "d0" (0.02), "d1"' in why
    assert "give it mbps of 21.6" in why
    assert not why_no_plan(shared(60, mbps=21.7))


def test_a_server_that_is_overfull_is_named_with_what_it_would_need():
    scenario = shared(60, mbps=900.0, site=2.0, servers=Labels.of([("site",)] * 60))
    why = why_no_plan(scenario)
    assert 'the server "site" would be used 1.8 times' in why
    assert "give it compute_gflops of 3.6018 or more" in why
    assert not why_no_plan(shared(60, mbps=900.0, site=3.7, servers=Labels.of([("site",)] * 60)))


def test_nodes_that_fail_alone_are_named_wherever_they_send():
    scenario = shared(2, mbps=1.0, rate=np.array([0.3, 0.9]))
    why = why_no_plan(scenario)
    assert (
        'even at the best option and with all that it may use to itself, "d1" can carry less than 0.8333 of its' in why
    )


def test_a_host_that_is_overfull_is_named():
    profile = LayerProfile("app", 1e6, ("task",), [2e9], [0.0])
    table = NodeTable(
        ("a", "b"), ("app.json",), 5.0, 8.0, np.array([0.7, 0.8]), host=Labels.of(["board"] * 2), min_split=1.0
    )
    why = why_no_plan(Scenario(100.0, table, profiles={"app.json": profile}))
    assert 'the host "board" would be used 1.2 times, most of it for "b" (0.64), "a" (0.55)' in why
    assert "give it compute_gflops of 6.003 or more" in why


def test_resources_that_only_together_are_overfull_are_all_named():
    """Each node can go to one server or the other; half of them fit on each, and there are three halves."""
    servers = (Server(name="left", compute_gflops=2.0), Server(name="right", compute_gflops=2.0))
    profile = LayerProfile("app", 1e5, ("task",), [1e9], [0.0])
    table = NodeTable(tuple("abc"), ("app.json",), 1.0, 80.0, 0.8, max_split=0.0)
    scenario = Scenario(None, table, profiles={"app.json": profile}, servers=servers)
    why = why_no_plan(scenario)
    assert 'the average of the server "left"; the server "right", by their scarcity, would be used 1.2 times' in why


def test_deadlines_that_ask_for_too_much_together_are_told_how_many_clouds_they_need():
    def dated(gflops):
        base = fleet([1.0, 1.0, 1.0], cloud=gflops)
        return replace(base, nodes=replace(base.nodes, deadline_ms=np.array([420.0, 450.0, np.nan])))

    why = why_no_plan(dated(60.0))
    clouds = float(why.partition("at least ")[2].partition(" clouds")[0])
    assert f'{clouds:g} clouds to keep every deadline, most of it for "c1" (' in why
    enough = float(why.partition("give it a cloud.compute_gflops of ")[2].partition(" or more")[0])
    assert ", a larger deadline_ms or a lower arrival_rate" in why
    assert enough == pytest.approx(60.0 * clouds, rel=0.01)
    assert why_no_plan(dated(enough)) == ""
    assert max(solve(dated(enough)).delays.total[:2]) <= 0.45
    assert "clouds to keep every deadline" in why_no_plan(dated(0.998 * enough))


def test_a_fleet_that_no_larger_deadline_would_help_is_not_told_of_any():
    base = fleet([2.0, 3.0, 3.0], cloud=30.0)
    why = why_no_plan(replace(base, nodes=replace(base.nodes, deadline_ms=30_000.0)))
    assert "deadline" not in why
    assert "clouds, most of it for" in why


def test_a_link_that_deadlines_overfill_is_named():
    why = why_no_plan(shared(30, deadline_ms=100.0))
    assert 'the link "wan" would be used' in why
    assert " times to keep every deadline, most of it for " in why
    assert "raise deadline_ms, or lower arrival_rate" in why


def test_nodes_that_are_late_even_alone_are_named_with_what_they_take():
    """Cut 0 takes 150528·4/(25e6/8) s to send and 7.33e9/100e9 s in the whole cloud, and there is no faster option."""
    base = fleet([0.1] * 6)
    late = replace(base, nodes=replace(base.nodes, deadline_ms=np.array([250.0, np.nan, 300.0, 2.0, 3.0, 4.0])))
    undated = compile_problem(base)
    whole = np.ones((6, 1))
    least = min(undated.node_delay(np.full(6, split), whole)[0] for split in range(undated.n_options))
    with pytest.raises(InfeasibleError) as caught:
        solve(late)
    why = str(caught.value)
    assert (
        f'even at the fastest split and with the whole cloud, "c1" takes at least {1e3 * least:.4g} ms and has ' in why
    )
    assert "deadline_ms = 250; " in why
    assert '"c2"' not in why
    assert '"c3"' not in why
    assert "(and 1 more node); raise deadline_ms there" in why


def test_a_node_that_is_not_stable_is_not_called_late():
    base = fleet([0.1, 25.0])
    with pytest.raises(InfeasibleError, match='"c2" can carry less than'):
        solve(replace(base, nodes=replace(base.nodes, deadline_ms=500.0)))


def test_what_a_link_and_a_server_must_keep_together_is_told_by_their_scarcity():
    """Each fits by itself; together they leave no time, as the prices of both prove."""

    def dated(ms):
        return shared(30, mbps=200.0, site=20.0, servers=Labels.of([("site",)] * 30), deadline_ms=ms)

    enough = solve(replace(dated(1e6), options=Options(objective="worst"))).worst_delay
    assert why_no_plan(dated(1e3 * enough * 1.001)) == ""
    with pytest.raises(InfeasibleError) as caught:
        solve(dated(1e3 * enough * 0.98))
    why = str(caught.value)
    assert 'the link "wan"' in why
    assert 'the server "site"' in why
    times = float(why.partition("would be used ")[2].partition(" times to keep every deadline")[0])
    assert 1.0 < times < 1.1


def test_a_rule_that_is_too_late_is_told_of_the_deadline():
    base = fleet([0.1], cloud=1000.0)
    nodes = replace(base.nodes, compute_gflops=20.0, uplink_mbps=500.0)
    alone = solve(replace(base, nodes=nodes), "edge-only").delays.total[0]
    late = replace(base, nodes=replace(nodes, deadline_ms=0.9e3 * alone))
    said = f'"edge-only" gives no feasible plan: "c1" takes (at least )?{1e3 * alone:.4g} ms, and its deadline is '
    with pytest.raises(InfeasibleError, match=said):
        solve(late, "edge-only")
