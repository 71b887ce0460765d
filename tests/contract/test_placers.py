"""What every placer that searches owes: a new row of the registry is tested here without another line.

Baselines follow a rule instead, and have their own test file.
"""

import math
import pickle
import time
from itertools import pairwise

import numpy as np
import pytest

from dmcjia_opt.allocators.waterfilling import WaterFilling
from dmcjia_opt.certificate import best_lower_bound
from dmcjia_opt.model.delay import MD1, MM1, TANDEM, mg1
from dmcjia_opt.model.known_answers import known_answers
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.protocols import Placement, Placer, Status, Stop
from dmcjia_opt.registry import build_placer, specs, why_not
from tests.doubles import Counting, Even, Failing, impossible, only_way_out, trace_of
from tests.strategies import brute_force, random_problem

SPECS = {spec.name: spec for spec in specs("placer") if why_not(spec) is None and not spec.baseline}
every_placer = pytest.mark.parametrize("name", SPECS)
#: What searches without an end of their own may spend here.
FEW = Stop(evaluations=60)


def small_problems() -> list[Problem]:
    """Return problems of 3 to 5 nodes with up to 256 plans, over every curve and ordering."""
    cases = (
        (3, 6, MD1, "stability", "nodes"),
        (4, 4, MM1, "stability", "tasks"),
        (5, 3, mg1(4.0), "stability", "nodes"),
        (4, 4, MD1, "cloud-faster", "tasks"),
        (3, 5, mg1(0.3), "cloud-faster", "nodes"),
        (4, 4, TANDEM, "stability", "nodes"),
        (3, 5, TANDEM, "cloud-faster", "tasks"),
    )
    return [
        random_problem(np.random.default_rng(k), n, m, curve=curve, ordering=ordering, average=average)[0]
        for k, (n, m, curve, ordering, average) in enumerate(cases)
    ]


def place(placer, problem, allocator=None, *, stop=FEW, seed=0, callback=None) -> Placement:
    placer = build_placer(placer) if isinstance(placer, str) else placer
    rng = np.random.default_rng(seed)
    return placer.place(problem, allocator or WaterFilling(), stop=stop, rng=rng, callback=callback)


def value_of(problem: Problem, placement: Placement) -> float:
    """Return the mean delay of a placement after checking that it is a feasible plan."""
    splits = problem.check_splits(placement.splits)
    assert splits.shape == (problem.n_nodes,)
    shares = placement.shares
    if shares is None:
        shares = WaterFilling().allocate(problem, splits[None]).shares[0]
    assert shares.shape == (problem.n_nodes,)
    assert problem.residuals(splits, shares).feasible
    return float(problem.objective(splits, shares))


def rounding(name):
    """How far a bound may be above the optimum: bounds this package derives not at all, a solver's by its tolerance."""
    if name == "mindtpy":
        return 1e-4  # as its class says
    claimed = SPECS[name].exact and not SPECS[name].proves
    return 1e-5 if claimed else 1e-12


@every_placer
def test_it_is_a_placer(name):
    assert isinstance(build_placer(name), Placer)


@every_placer
@pytest.mark.parametrize("k", range(7))
def test_small_problems(name, k):
    problem = small_problems()[k]
    placer = build_placer(name)
    if why := placer.supports(problem):
        assert len(why.split()) >= 5
        return
    placement = place(placer, problem, stop=Stop() if SPECS[name].exact else FEW)
    best, _, _ = brute_force(problem)
    value = value_of(problem, placement)
    assert value >= best * (1 - 1e-12)
    assert placement.lower_bound <= best * (1 + rounding(name))
    if SPECS[name].exact:
        assert value <= best * (1 + 1e-9)
        assert placement.status == Status.OPTIMAL
    if SPECS[name].exact and SPECS[name].proves:
        assert value <= placement.lower_bound * (1 + 1e-9)


@every_placer
@pytest.mark.parametrize(
    "known", [k for k in known_answers() if k.name in ("symmetry broken", "all at the edge", "a wait saved")]
)
def test_known_choices(name, known):
    placement = place(name, known.problem, stop=Stop())
    assert value_of(known.problem, placement) >= known.objective * (1 - 1e-12)
    assert placement.lower_bound <= known.objective * (1 + rounding(name))
    if SPECS[name].exact:
        assert value_of(known.problem, placement) == pytest.approx(known.objective, rel=1e-9)


@every_placer
def test_the_same_seed_gives_the_same_plan(name):
    problem = random_problem(np.random.default_rng(21), 6, 8)[0]
    first, second = place(name, problem, seed=5), place(name, problem, seed=5)
    np.testing.assert_array_equal(first.splits, second.splits)
    np.testing.assert_array_equal(first.shares, second.shares)
    assert trace_of(first) == trace_of(second)
    assert first.evaluations == second.evaluations
    assert first.lower_bound == second.lower_bound


@every_placer
@pytest.mark.parametrize("budget", [1, 7, 60])
def test_a_budget_of_evaluations_is_kept(name, budget):
    problem = random_problem(np.random.default_rng(21), 6, 8)[0]
    counting = Counting()
    placement = place(name, problem, counting, stop=Stop(evaluations=budget))
    assert placement.evaluations <= budget
    assert len(counting.plans) <= placement.evaluations
    assert placement.trace[-1].evaluations == placement.evaluations


@every_placer
def test_a_budget_of_seconds_is_kept(name):
    """Each plan takes 5 ms: without the limit the searches would take from 10 s to minutes."""
    problem = random_problem(np.random.default_rng(21), 5, 8)[0]
    started = time.perf_counter()
    placement = place(name, problem, Counting(seconds_a_plan=0.005), stop=Stop(seconds=0.3))
    assert time.perf_counter() - started < 3.0
    assert placement.evaluations >= 1


@every_placer
def test_a_gap_that_is_reached_ends_the_search(name):
    problem = random_problem(np.random.default_rng(21), 6, 8)[0]
    placement = place(name, problem, stop=Stop(gap=0.9, evaluations=150))
    bound, _ = best_lower_bound(problem)
    assert value_of(problem, placement) <= bound / (1 - 0.9)
    assert placement.status == Status.OPTIMAL
    assert placement.evaluations <= 150


@every_placer
def test_the_trace_tells_the_story(name):
    problem = random_problem(np.random.default_rng(22), 4, 5)[0]
    best, _, _ = brute_force(problem)
    seen = []
    placement = place(name, problem, callback=seen.append)
    trace = placement.trace
    assert trace
    assert seen
    assert set(trace) <= set(seen)
    for before, after in pairwise(trace):
        assert after.evaluations >= before.evaluations
        assert after.seconds >= before.seconds
        assert after.objective <= before.objective
        assert after.lower_bound >= before.lower_bound
    assert all(point.lower_bound <= best * (1 + 1e-12) for point in trace)
    assert trace[-1].objective == value_of(problem, placement)


@every_placer
def test_one_node_with_two_splits(name):
    """The smallest choice there is: 0.2 + 1/10 s in the cloud, or 0.25 s at the edge."""
    problem = Problem(np.array([[0.2, 0.25]]), np.array([[0.1, 0.0]]), np.ones(1), np.ones(1))
    placement = place(name, problem, stop=Stop())
    assert placement.splits.tolist() == [1]
    assert value_of(problem, placement) == 0.25


@every_placer
def test_from_an_infeasible_start(name):
    """One of 64 plans is feasible. A search may miss it, but not claim to have a plan, or that there is none."""
    problem = only_way_out()
    placement = place(name, problem, stop=Stop(evaluations=40))
    if placement.shares is None:
        assert placement.status == Status.LIMIT
        assert placement.evaluations == 40
    else:
        assert placement.splits.tolist() == [3, 3, 3]
    if SPECS[name].exact:
        assert place(name, problem, stop=Stop()).splits.tolist() == [3, 3, 3]


@every_placer
def test_an_impossible_problem(name):
    placement = place(name, impossible(), stop=Stop())
    assert placement.status == Status.INFEASIBLE
    assert placement.shares is None
    assert placement.lower_bound == math.inf


@every_placer
def test_a_node_without_a_stable_split(name):
    problem = Problem(
        local_delay=np.array([[0.1, 0.2], [np.inf, np.inf]]),
        cloud_time=np.array([[0.1, 0.0], [0.1, 0.0]]),
        arrival_rate=np.ones(2),
        weight=np.full(2, 0.5),
    )
    placement = place(name, problem, stop=Stop())
    assert placement.status == Status.INFEASIBLE
    assert placement.shares is None


@every_placer
def test_a_third_partys_allocator_will_do(name):
    problem = small_problems()[0]
    placement = place(name, problem, Even())
    assert value_of(problem, placement) >= brute_force(problem)[0] * (1 - 1e-12)
    expected = Even().allocate(problem, placement.splits[None]).shares[0]
    np.testing.assert_array_equal(placement.shares, expected)
    assert placement.lower_bound <= brute_force(problem)[0] * (1 + rounding(name))


@every_placer
def test_an_allocator_that_always_fails(name):
    problem = small_problems()[0]
    placement = place(name, problem, Failing())
    assert placement.shares is None
    assert placement.status == Status.LIMIT
    assert placement.lower_bound <= brute_force(problem)[0] * (1 + rounding(name))


@every_placer
def test_inputs_are_not_modified(name):
    problem = small_problems()[3]
    keys = ("local_delay", "cloud_time", "arrival_rate", "weight", "least_rate", "layers")
    before = {key: np.array(getattr(problem, key)) for key in keys}
    placement = place(name, problem)
    for key in keys:
        np.testing.assert_array_equal(getattr(problem, key), before[key])
    placement.splits.copy()[:] = 0
    np.testing.assert_array_equal(place(name, problem).splits, placement.splits)


@every_placer
def test_it_can_be_pickled(name):
    placer = build_placer(name)
    twin = pickle.loads(pickle.dumps(placer))
    assert twin == placer
    problem = small_problems()[1]
    np.testing.assert_array_equal(place(twin, problem).splits, place(placer, problem).splits)
