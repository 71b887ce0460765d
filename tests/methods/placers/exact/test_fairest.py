"""The quickest worst node: by hand, beside bisection over whole menus, where nodes tie, and within a budget."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import brentq

from benchmarks.promises import iao
from dmcjia_opt import compile_problem, generate
from dmcjia_opt.bounds.certificate import certify, judge
from dmcjia_opt.methods.placers.exact import fairest
from dmcjia_opt.methods.placers.exact.exact import Exact
from dmcjia_opt.methods.placers.exact.exhaustive import Exhaustive
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.contract import Status, Stop
from dmcjia_opt.testing.problems import impossible, only_way_out, random_problem, random_shared_problem
from tests.methods.placers.searches import place


def fair(problem):
    return replace(problem, worst=True)


def by_menus(problem):
    """Return the least delay of the worst node behind one M/D/1 server, where each node takes its least share."""

    def over(t):
        room = t - problem.fixed_delay
        rate, s = problem.arrival_rate[:, None], problem.service[..., 0]
        with np.errstate(divide="ignore", invalid="ignore"):
            linear = room * rate + 1.0  # r μ² − (rλ + 1) μ + λ/2 = 0
            mu = (linear + np.sqrt(linear**2 - 2.0 * room * rate)) / (2.0 * room)
        share = np.where(s > 0, s * mu, 0.0)
        return np.where(room >= np.where(s > 0, 1e-300, 0.0), share, np.inf).min(axis=1).sum() - 1.0

    low = problem.fixed_delay.min(axis=1).max()
    if over(low) <= 0:
        return low
    high = 2.0 * low
    while over(high) > 0:
        high *= 2.0
    while np.isinf(over(low)):
        low = low + 1e-9 * (high - low) if low + 1e-9 * (high - low) > low else np.nextafter(low, high)
    return brentq(over, low, high, xtol=1e-300, rtol=1e-14)


@pytest.mark.parametrize("nodes", [2, 10, 100, 1000])
@pytest.mark.parametrize("utilisation", [0.5, 0.95])
def test_one_server_is_bisection_over_menus(nodes, utilisation):
    rng = np.random.default_rng(nodes)
    problem = fair(random_problem(rng, nodes, 5, utilisation=utilisation)[0])
    found = place(Exact(), problem)
    verdict = judge(problem, found.options, found.shares)
    assert found.status == Status.OPTIMAL
    assert verdict.objective == pytest.approx(by_menus(problem), rel=1e-12)
    assert verdict.objective * (1 - 1e-9) <= found.lower_bound <= verdict.objective


def test_a_choice_found_by_hand():
    """Two equal nodes, each with 1/3 s in the cloud, or 2 s at the edge; nothing is fixed, so that 0 s is the least."""
    tables = [[0.0, 2.0], [0.0, 2.0]], [[1 / 3, 0.0], [1 / 3, 0.0]], [1.0, 1.0], [0.5, 0.5]
    both = 0.5 / 1.5 + 0.5 / 0.5  # M/D/1, half of the server each
    found = place(Exact(), Problem(*tables, worst=True))
    assert found.options.tolist() == [0, 0]
    np.testing.assert_allclose(found.shares[:, 0], 0.5, rtol=1e-14)
    problem = Problem(*tables, worst=True)
    assert judge(problem, found.options, found.shares).objective == pytest.approx(both, rel=1e-14)
    slower = replace(problem, service=[[0.45, 0.0], [0.45, 0.0]])  # 0.45 + 5 s together: one stays at the edge
    found = place(Exact(), slower)
    assert judge(slower, found.options, found.shares).objective == 2.0
    assert sorted(found.options.tolist()) == [0, 1]  # and the other takes the server: the mean is less


@pytest.mark.parametrize("seed", range(4))
def test_twins_tie_and_their_order_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    drawn, _ = random_problem(rng, 3, 4)
    tables = [np.repeat(table, 2, axis=0) for table in (drawn.fixed_delay, drawn.service[..., 0] / 2)]
    problem = Problem(*tables, np.repeat(drawn.arrival_rate, 2), np.full(6, 1 / 6), worst=True)
    found = place(Exact(), problem)
    value = judge(problem, found.options, found.shares).objective
    assert value == pytest.approx(by_menus(problem), rel=1e-12)
    order = rng.permutation(6)
    moved = Problem(*(table[order] for table in tables), problem.arrival_rate[order], problem.weight, worst=True)
    again = place(Exact(), moved)
    assert judge(moved, again.options, again.shares).objective == pytest.approx(value, rel=1e-12)
    half = place(Exact(), fair(drawn))  # two halves of one server for pairs of twins are one server for one of each
    assert judge(fair(drawn), half.options, half.shares).objective <= value * (1 + 1e-9)


@pytest.mark.parametrize(("family", "nodes"), [("paper", 20), ("scarce", 20), ("homogeneous", 20), ("links", 12)])
def test_families(family, nodes):
    scenario = generate(family, nodes=nodes, seed=1)
    options = scenario.options.model_copy(update={"objective": "worst"})
    problem = compile_problem(replace(scenario, options=options))
    assert problem.worst
    found = place(Exact(), problem)
    certificate = certify(problem, found.options, found.shares, prices=found.prices)
    assert found.status == Status.OPTIMAL
    assert certificate.feasible
    assert found.lower_bound >= certificate.objective * (1 - 1e-9)
    if problem.single:
        assert certificate.objective == pytest.approx(by_menus(problem), rel=1e-12)
        assert certificate.gap <= 1e-9  # the price alone proves it
    mean = compile_problem(scenario)
    other = place(Exact(), mean)
    assert judge(problem, other.options, other.shares).objective >= certificate.objective * (1 - 1e-12)
    assert judge(mean, found.options, found.shares).objective >= judge(mean, other.options, other.shares).objective * (
        1 - 1e-12
    )


@pytest.mark.parametrize("seed", range(6))
def test_where_the_search_is_not_whole_exchanges_take_over(seed, monkeypatch):
    """With room for two partial plans: still a plan, a true bound, and no claim beyond it."""
    problem = fair(random_shared_problem(np.random.default_rng([seed, 14]), 5, 4, 3, 1)[0])
    best = place(Exhaustive(), problem)
    value = judge(problem, best.options, best.shares).objective
    monkeypatch.setattr(fairest, "_MOST_PARTIAL", 2)
    found = place(Exact(), problem)
    verdict = judge(problem, found.options, found.shares)
    assert verdict.feasible
    assert found.lower_bound <= value * (1 + 1e-12)
    assert value * (1 - 1e-12) <= verdict.objective <= 1.2 * value
    assert found.status != Status.OPTIMAL or verdict.objective <= value * (1 + 1e-9)


def test_where_there_is_no_plan():
    found = place(Exact(), fair(impossible()))
    assert (found.status, found.shares, found.lower_bound) == (Status.INFEASIBLE, None, np.inf)
    assert place(Exact(), fair(only_way_out())).options.tolist() == [3, 3, 3]


def test_a_budget_is_kept():
    problem = fair(random_shared_problem(np.random.default_rng(15), 6, 5, 3, 1)[0])
    found = place(Exact(), problem, stop=Stop(evaluations=3))
    assert found.evaluations <= 3
    assert judge(problem, found.options, found.shares).feasible
    full = place(Exact(), problem)
    assert found.lower_bound <= judge(problem, full.options, full.shares).objective * (1 + 1e-12)


@pytest.mark.parametrize(("nodes", "units"), [(5, 50), (20, 100), (50, 500)])
def test_moving_units_of_compute_is_never_quicker(nodes, units):
    problem = fair(compile_problem(generate("fleet", nodes=nodes, seed=1)))
    found = place(Exact(), problem)
    best, moved = judge(problem, found.options, found.shares).objective, iao(problem, units)
    assert best <= moved <= 1.2 * best
    assert iao(problem, 10 * units) <= best * 1.02
