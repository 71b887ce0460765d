"""Plans as text, frames and figures: what they show, and that none grows with the fleet."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import dmcjia_opt
from dmcjia_opt import InputError, certify, compile_problem, evaluate, generate, size, solve
from dmcjia_opt.solving.plan import claims_of
from dmcjia_opt.studies.look.colours import COLOURS, STAGES
from tests.sites import TIERS, site


@pytest.fixture(scope="module")
def plan():
    return solve(generate("paper", nodes=4, seed=1))


@pytest.fixture(scope="module")
def tiers(tmp_path_factory):
    scenario = site(tmp_path_factory.mktemp("tiers"), TIERS)
    return solve(replace(scenario, nodes=replace(scenario.nodes, deadline_ms=np.full(3, 9000.0))))


@pytest.fixture(scope="module")
def large():
    scenario = generate("paper", nodes=2000, seed=1, cloud_gflops=8000)
    return scenario, solve(scenario, "greedy+")


def test_the_summary_says_every_node_and_how_good_it_is(plan, tiers):
    lines = plan.summary().splitlines()
    assert lines[0] == "paper-n4-s1: 4 nodes running resnet34"
    assert lines[1].split() == ["node", "split", "share", "edge", "upload", "cloud", "total"]
    for d, name in enumerate(plan.names):
        words = lines[2 + d].split()
        assert words[:2] == [name, str(plan.splits[d])]
        assert words[-2:] == [f"{1e3 * plan.delays.total[d]:.4g}", "ms"]
    assert f"mean delay   {1e3 * plan.objective:.4g} ms" in lines
    assert "status       optimal, proved" in lines
    several = tiers.summary()
    assert "shares" in several.splitlines()[1]
    assert " | ".join(map(str, tiers.choices.cuts_of(0))) in several
    assert "deadlines    3, all kept" in several


def test_a_large_fleet_shows_its_slowest_nodes(large):
    scenario, plan = large
    lines = plan.summary().splitlines()
    assert "2,000 nodes running resnet34, the 20 slowest" in lines[0]
    assert lines[2].split()[0] == plan.names[int(plan.delays.total.argmax())]
    assert len(lines) < 40
    assert plan._repr_html_().count("<tr>") == 21
    assert scenario._repr_html_().count("<tr>") == 11


def test_no_repr_is_longer_than_a_line(large):
    scenario, plan = large
    problem = compile_problem(scenario)
    forty = generate("paper", nodes=40, seed=1)
    found = size(forty, deadline_ms=2000)
    for shown in (
        *(scenario, plan, problem, scenario.nodes, scenario.menus, plan.choices, plan.delays, claims_of(plan)),
        *(certify(problem, plan.options, plan.shares_by_use), scenario.profiles["resnet34"], found),
        problem.residuals(plan.options, plan.shares_by_use),
        dmcjia_opt.build_allocator("waterfilling").allocate(problem, plan.options[None]),
        dmcjia_opt.Placement(plan.options, plan.shares_by_use),
        dmcjia_opt.simulate(forty, evaluate(forty, [0] * 40), tasks=400),
    ):
        assert len(repr(shown)) < 200
        assert "\n" not in repr(shown)
    assert "2,000 nodes" in repr(plan)
    assert found._repr_html_().count("<tr>") == 2


def test_a_frame_has_a_row_a_node(plan, tiers):
    pytest.importorskip("pandas")
    frame = plan.to_frame()
    assert list(frame["name"]) == list(plan.names)
    np.testing.assert_array_equal(frame["total_s"], plan.delays.total)
    np.testing.assert_array_equal(frame["share"], plan.shares)
    several = tiers.to_frame()
    wifi = [tiers.choices.shares_of(d).get("wifi", 0.0) for d in range(3)]
    np.testing.assert_array_equal(several["share of wifi"], wifi)
    assert list(several["second_cut"].dropna()) == [cut for cut in tiers.choices.cuts[:, 1] if cut >= 0]
    assert list(several["deadline_s"]) == [9.0] * 3


def test_the_figure_draws_delays_cuts_and_shares(plan, tiers, large):
    pytest.importorskip("matplotlib")
    delay, cut, share = plan.plot().axes
    drawn = {container.get_label(): [bar.get_width() for bar in container] for container in delay.containers}
    np.testing.assert_allclose(drawn["upload"], 1e3 * plan.delays.upload)
    np.testing.assert_array_equal(cut.lines[0].get_xdata(), plan.splits)
    np.testing.assert_allclose([bar.get_width() for bar in share.containers[0]], 100 * plan.shares)
    colours = {c.get_label(): c.patches[0].get_facecolor() for c in delay.containers}
    assert len(set(colours.values())) == len(colours)
    delay, cut, share = tiers.plot().axes
    assert {line.get_label() for line in share.lines} == {resource.name for resource in tiers.choices.resources}
    assert "deadline" in {line.get_label() for line in delay.lines}
    assert all(len(axes.get_yticks()) == 40 for axes in large[1].plot().axes[:1])


def test_the_trace_draws_the_best_plan_and_the_bound(plan):
    pytest.importorskip("matplotlib")
    found = solve(generate("paper", nodes=6, seed=1), "genetic:population=10:generations=5")
    (axes, *_) = found.plot_trace().axes
    best, bound = axes.lines[:2]
    assert best.get_label() == "best plan"
    assert list(best.get_ydata()) == sorted(best.get_ydata(), reverse=True)
    assert (bound.get_ydata() <= best.get_ydata() + 1e-9).all()
    with pytest.raises(InputError, match="the plan has no trace"):
        replace(plan, trace=()).plot_trace()
    assert len(evaluate(generate("paper", nodes=2, seed=1), [0, 0]).plot_trace().axes) == 1


#: From linear RGB to what people see who lack the long, middle or short cones (Machado, Oliveira & Fernandes 2009).
_SEEN = {
    "all": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


def lab(colour, seen):
    coded = np.array([int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)])
    linear = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ np.clip(np.array(seen) @ linear, 0, 1) / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("who", _SEEN)
def test_everybody_can_tell_the_stages_apart(who):
    three = [lab(STAGES[stage], _SEEN[who]) for stage in ("edge", "upload", "cloud")]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert np.linalg.norm(three[a] - three[b]) > 20
    assert set(STAGES.values()) <= set(COLOURS.values())
