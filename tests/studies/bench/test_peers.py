"""Methods of others, each in a file of `benchmarks/peers`: their rules by hand, and plans that the judge accepts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dmcjia_opt import build_placer, compile_problem, generate
from dmcjia_opt.bounds.certificate import judge
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.contract import Status, Stop
from dmcjia_opt.testing.problems import brute_force, pooled, random_problem, random_shared_problem
from tests.methods.placers.searches import assert_its_seed_alone_decides, optimum, place

FOLDER = Path(__file__).parents[3] / "benchmarks" / "peers"
PEERS = {
    "iao": "Iao",
    "scission": "Scission",
    "dads": "Dads",
    "highs": "Highs",
    "policy_gradient": "PolicyGradient",
    "joint_ga": "JointGa",
}


def peer(name, options=""):
    return build_placer(f"{FOLDER / name}.py:{PEERS[name]}{options}")


@pytest.fixture(scope="module")
def small():
    return random_problem(np.random.default_rng(1), 4, 6)[0]


@pytest.fixture(scope="module")
def shared():
    return random_shared_problem(np.random.default_rng(3), 4, 5)[0]


def judged(problem, found):
    assert found.shares is not None
    verdict = judge(problem, found.options, found.shares)
    assert verdict.feasible, verdict.violation
    return verdict.objective


def one_server(fixed, service, rate=0.1, **more):
    """Return two like nodes behind one server."""
    n = 2
    table = np.tile(np.array(fixed, dtype=np.float64), (n, 1))
    return Problem(table, np.tile(np.array(service), (n, 1)), np.full(n, rate), np.full(n, 0.5), **more)


def test_each_file_is_one_peer_with_its_source():
    assert {path.stem for path in FOLDER.glob("*.py")} == set(PEERS)
    for path in FOLDER.glob("*.py"):
        assert "Source: " in path.read_text(encoding="utf-8").split('"""')[1]


@pytest.mark.parametrize("name", PEERS)
def test_a_plan_is_one_and_no_better_than_the_optimum(name, small):
    found = place(peer(name), small, Stop(evaluations=300))
    assert judged(small, found) >= brute_force(small)[0] * (1 - 1e-12)


@pytest.mark.parametrize("name", PEERS)
def test_it_takes_many_resources_or_says_why_not(name, shared):
    method = peer(name)
    if why := method.supports(shared):
        assert why.endswith("use exact")
        return
    found = place(method, shared, Stop(evaluations=300))
    if found.status != Status.INFEASIBLE:
        assert judged(shared, found) >= optimum(shared) * (1 - 1e-9)


def test_what_each_can_take(small, shared):
    odd = pooled(small, "fifo")
    takes = {
        name: [not peer(name).supports(problem) for problem in (small, shared, odd, replace(small, worst=True))]
        for name in PEERS
    }
    assert takes == {
        "iao": [True, False, False, True],
        "scission": [True] * 4,
        "dads": [True] * 4,
        "highs": [True, not shared.kinked, False, False],
        "policy_gradient": [True] * 4,
        "joint_ga": [True] * 4,
    }


def test_iao_moves_units_to_the_worst_node():
    problem = replace(one_server([0.0], [1.0]), arrival_rate=np.array([0.1, 0.4]), worst=True)
    options, owned = peer("iao", ":units=10").moved(problem)
    best = min(
        (max(1 / (2 * m) + 0.5 / (m - r) for m, r in ((k / 10, 0.1), (1 - k / 10, 0.4))), k) for k in range(2, 6)
    )
    assert (options.tolist(), owned.tolist()) == ([0, 0], [best[1], 10 - best[1]])
    assert judged(problem, place(peer("iao", ":units=10"), problem)) == pytest.approx(best[0], rel=1e-12)


def test_iao_counts_the_wait_upstream():
    tandem = compile_problem(replace(generate("paper", nodes=5, seed=1, delay="tandem")))
    fair = replace(tandem, worst=True)
    coarse, fine = (judged(fair, place(peer("iao", f":units={n}"), fair)) for n in (50, 2000))
    assert optimum(fair) <= fine <= coarse
    assert fine == pytest.approx(optimum(fair), rel=0.01)


def test_scission_forgets_the_others():
    # alone, each would leave 1 s to the server; both together overload it
    problem = one_server([3.0, 0.0], [0.0, 1.0], rate=0.6)
    assert place(peer("scission"), problem).status == Status.INFEASIBLE
    assert place(peer("scission"), problem).options.tolist() == [1, 1]
    easy = one_server([3.0, 0.0], [0.0, 1.0], rate=0.1)
    equal = place(peer("scission", ":optimal_shares=false"), easy)
    assert equal.shares[:, 0].tolist() == [0.5, 0.5]


def test_dads_balances_where_a_stage_cannot_keep_up():
    # at half of the server: 0.2 + 2 × 1.0 s and 1.9 + 2 × 0.4 s; at a rate of 0.6/s only the second keeps up
    problem = one_server([0.2, 1.2], [1.0, 0.7], rate=0.1)
    assert place(peer("dads"), problem).options.tolist() == [0, 0]
    busy = one_server([0.2, 1.2], [1.0, 0.7], rate=0.6)
    assert place(peer("dads"), busy).options.tolist() == [1, 1]


def test_highs_comes_closer_with_more_levels(small):
    best = brute_force(small)[0]
    loose, tight = (judged(small, place(peer("highs", f":levels={n}"), small)) for n in (6, 60))
    assert best * (1 - 1e-12) <= tight <= loose
    assert tight == pytest.approx(best, rel=2e-3)


def test_highs_has_no_plan_where_there_is_none():
    assert place(peer("highs"), one_server([0.0], [1.0], rate=0.6)).status != Status.OPTIMAL
    assert place(peer("highs"), one_server([0.0], [3.0], rate=0.6)).shares is None


@pytest.mark.parametrize("name", ["policy_gradient", "joint_ga"])
def test_a_search_learns_and_its_seed_alone_decides(name):
    fleet = compile_problem(generate("paper", nodes=5, seed=1))
    short, long = (judged(fleet, place(peer(name), fleet, Stop(evaluations=n))) for n in (64, 2000))
    assert optimum(fleet) < long < short
    assert long < 1.15 * optimum(fleet)
    assert_its_seed_alone_decides(peer(name), fleet, Stop(evaluations=600))


def test_the_policy_gradient_finds_the_optimum_of_a_small_fleet(small):
    assert judged(small, place(peer("policy_gradient"), small, Stop(evaluations=600))) == pytest.approx(
        brute_force(small)[0], rel=1e-9
    )
