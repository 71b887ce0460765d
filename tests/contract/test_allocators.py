"""What every allocator owes, whoever wrote it: a new row of the registry is tested here without another line."""

import pickle
import re
from functools import cache

import numpy as np
import pytest

from dmcjia_opt.allocators.waterfilling import WaterFilling
from dmcjia_opt.certificate import splits_lower_bound
from dmcjia_opt.errors import InputError
from dmcjia_opt.model.arrays import EPS
from dmcjia_opt.model.delay import MD1, TANDEM, mg1
from dmcjia_opt.model.instances import generate
from dmcjia_opt.model.known_answers import known_answers
from dmcjia_opt.model.problem import Problem, compile_problem
from dmcjia_opt.protocols import Allocator, Status
from dmcjia_opt.registry import build_allocator, specs, why_not
from tests.strategies import CURVES, ORDERINGS, random_problem

#: Relative error of the mean delay that a method may have and still call its shares optimal.
ACCURACY = {"waterfilling": 1e-12, "alm": 1e-6, "cvxpy:CLARABEL": 1e-7, "cvxpy:SCS": 1e-3, "ipopt": 1e-8}
ACCURACY_OF_OTHERS = 1e-6
NOT_CONVERGED = (Status.INACCURATE, Status.LIMIT, Status.FAILED)

METHODS = [
    name
    for spec in specs("allocator")
    if why_not(spec) is None
    for name in ([n for n in ACCURACY if n.startswith(f"{spec.name}:")] or [spec.name])
]
every_method = pytest.mark.parametrize("name", METHODS)


@cache
def allocator_of(name: str) -> Allocator:
    """Return one object for all tests: solver models are compiled once, and state that leaks would show."""
    return build_allocator(name)


@pytest.fixture
def allocator(name):
    return allocator_of(name)


def plans_of(problem: Problem, splits: np.ndarray, rng: np.random.Generator, n_plans: int) -> np.ndarray:
    """Return plans that mix `splits`, for which shares exist, with others, for which they may not."""
    others = rng.integers(0, problem.layers + 1, (n_plans, problem.n_nodes))
    plans = np.where(rng.random(others.shape) < rng.uniform(0.0, 0.3, (n_plans, 1)), others, splits)
    plans[0] = splits
    return plans


def batches():
    """Yield random problems of 5 to 20 nodes over every curve and ordering, with plans."""
    rng = np.random.default_rng(20)
    for k, (curve, ordering) in enumerate((c, o) for c in CURVES for o in ORDERINGS):
        problem, splits = random_problem(
            rng,
            int(rng.integers(5, 21)),
            4,
            utilisation=(0.05, 0.5, 0.9, 0.99)[k % 4],
            spread=(10.0, 1e4)[k % 2],
            curve=curve,
            ordering=ordering,
        )
        yield problem, plans_of(problem, splits, rng, 8)


def check_refusal(allocator: Allocator, problem: Problem, splits: np.ndarray) -> bool:
    """Return whether `problem` is refused, and if it is, that this is done with a sentence."""
    why = allocator.supports(problem)
    if why is None:
        return False
    assert len(why.split()) >= 5
    assert "\n" not in why
    with pytest.raises(InputError, match=re.escape(why)):
        allocator.allocate(problem, splits)
    return True


def test_the_table_of_accuracies_names_methods_that_exist():
    assert set(ACCURACY) <= set(METHODS)


@every_method
def test_it_is_an_allocator(allocator):
    assert isinstance(allocator, Allocator)


@every_method
@pytest.mark.parametrize("known", known_answers(), ids=lambda known: known.name)
def test_known_answers(allocator, name, known):
    problem, splits = known.problem, known.splits[None]
    if check_refusal(allocator, problem, splits):
        return
    got = allocator.allocate(problem, splits)
    accuracy = ACCURACY.get(name, ACCURACY_OF_OTHERS)
    assert got.status[0] == Status.OPTIMAL
    assert problem.residuals(splits, got.shares).feasible[0]
    assert problem.objective(splits, got.shares)[0] == pytest.approx(known.objective, rel=accuracy)
    np.testing.assert_allclose(got.shares[0], known.shares, rtol=0, atol=np.sqrt(accuracy))
    assert got.price[0] == pytest.approx(known.price, rel=10 * np.sqrt(accuracy))


@every_method
def test_random_problems(allocator, name):
    accuracy = ACCURACY.get(name, ACCURACY_OF_OTHERS)
    solved = unsolved = 0
    for problem, splits in batches():
        if check_refusal(allocator, problem, splits):
            continue
        got = allocator.allocate(problem, splits)
        price = WaterFilling().allocate(problem, splits).price
        bound = splits_lower_bound(problem, splits, price)
        value = problem.objective(splits, got.shares)
        solvable = problem.overload(splits) == 0
        for row in np.flatnonzero(solvable):
            status = Status(got.status[row])
            if status in NOT_CONVERGED:
                unsolved += 1
                continue
            solved += 1
            assert status == Status.OPTIMAL
            slack = 64 * EPS * price[row]
            assert bound[row] <= value[row] <= bound[row] * (1 + accuracy) + slack
        kept = solvable & (got.status != Status.FAILED)
        assert problem.residuals(splits[kept], got.shares[kept]).feasible.all()
        assert (got.shares[kept].sum(-1) <= 1.0).all()
    assert solved >= 20
    assert unsolved <= solved // 10


@every_method
def test_plans_without_shares_are_infeasible_and_hold_no_numbers(allocator):
    rng = np.random.default_rng(1)
    problem, fine = random_problem(rng, 6, 4)
    table = problem.local_delay.copy()
    table[0, 2] = np.inf
    problem = Problem(table, problem.cloud_time * 1.2, problem.arrival_rate, problem.weight)
    unstable = fine.copy()
    unstable[0] = 2
    overloaded = np.zeros(6, dtype=np.int64)
    splits = np.stack([fine, unstable, fine, overloaded])
    assert (problem.overload(splits) > 0).tolist() == [False, True, False, True]
    got = allocator.allocate(problem, splits)
    assert (got.status == Status.INFEASIBLE).tolist() == [False, True, False, True]
    assert np.isnan(got.shares[[1, 3]]).all()
    assert np.isnan(got.price[[1, 3]]).all()
    assert np.isfinite(got.shares[[0, 2]]).all()


@every_method
def test_exactly_full_is_infeasible(allocator):
    """Σ λs = 1: a queue as fast as its arrivals waits for ever."""
    problem = Problem(np.zeros((4, 1)), np.full((4, 1), 0.25), np.ones(4), np.full(4, 0.25))
    got = allocator.allocate(problem, np.zeros((1, 4), dtype=np.int64))
    assert got.status[0] == Status.INFEASIBLE
    assert np.isnan(got.shares).all()


@every_method
def test_a_node_without_cloud_work_gets_no_share(allocator):
    drawn, splits = random_problem(np.random.default_rng(3), 6, 4)
    table = np.where(np.isinf(drawn.local_delay), 1.0, drawn.local_delay)
    problem = Problem(table, drawn.cloud_time, drawn.arrival_rate, drawn.weight)
    idle = np.full(6, 3)
    splits[[1, 4]] = 3
    got = allocator.allocate(problem, np.stack([splits, idle]))
    assert (got.shares[0] > 0).tolist() == [True, False, True, True, False, True]
    assert not got.shares[1].any()
    assert got.price[1] == 0.0
    assert got.status.tolist() == [Status.OPTIMAL, Status.OPTIMAL]


@every_method
def test_one_node_gets_the_whole_cloud(allocator, name):
    problem = Problem(np.zeros((1, 1)), np.full((1, 1), 0.1), np.ones(1), np.ones(1))
    got = allocator.allocate(problem, np.zeros((1, 1), dtype=np.int64))
    assert got.shares[0, 0] == pytest.approx(1.0, rel=ACCURACY.get(name, ACCURACY_OF_OTHERS))
    assert got.shares[0, 0] <= 1.0


@every_method
def test_results_have_one_row_a_plan(allocator):
    problem, splits = random_problem(np.random.default_rng(3), 6, 4)
    for n in (0, 1, 3):
        got = allocator.allocate(problem, np.repeat(splits[None], n, axis=0))
        assert got.shares.shape == (n, 6)
        assert got.price.shape == got.status.shape == (n,)
        assert got.status.dtype == np.int8
        assert got.shares.dtype == got.price.dtype == np.float64


@every_method
@pytest.mark.parametrize("curve", [MD1, mg1(0.3), TANDEM], ids=lambda curve: curve.name)
def test_a_batch_is_the_same_as_a_loop(allocator, name, curve):
    rng = np.random.default_rng(8)
    problem, splits = random_problem(rng, 8, 4, curve=curve)
    plans = plans_of(problem, splits, rng, 6)
    whole = allocator.allocate(problem, plans)
    backwards = allocator.allocate(problem, plans[::-1])
    fresh = build_allocator(name)
    for row in range(len(plans)):
        alone = fresh.allocate(problem, plans[row : row + 1])
        for key in ("shares", "price", "status"):
            np.testing.assert_array_equal(getattr(whole, key)[row], getattr(alone, key)[0])
            np.testing.assert_array_equal(getattr(whole, key)[row], getattr(backwards, key)[-1 - row])


@every_method
def test_inputs_are_not_modified(allocator):
    rng = np.random.default_rng(9)
    problem, splits = random_problem(rng, 7, 4, ordering="cloud-faster")
    plans = plans_of(problem, splits, rng, 3)
    before = plans.copy()
    tables = [getattr(problem, key).copy() for key in ("local_delay", "cloud_time", "arrival_rate", "weight")]
    allocator.allocate(problem, plans)
    np.testing.assert_array_equal(plans, before)
    plans.setflags(write=False)
    allocator.allocate(problem, plans)
    for key, table in zip(("local_delay", "cloud_time", "arrival_rate", "weight"), tables, strict=True):
        np.testing.assert_array_equal(getattr(problem, key), table)


@every_method
def test_a_used_allocator_can_be_pickled(allocator):
    problem, splits = random_problem(np.random.default_rng(10), 6, 4)
    before = allocator.allocate(problem, splits[None])
    twin = pickle.loads(pickle.dumps(allocator))
    assert twin == allocator
    after = twin.allocate(problem, splits[None])
    np.testing.assert_array_equal(before.shares, after.shares)
    np.testing.assert_array_equal(before.price, after.price)


@every_method
def test_a_scenario_in_si_units(allocator, name):
    """Table 5's scales: shares of 400 GFLOP/s, cloud times of 10 ms, and nodes whose edge queues are unstable."""
    problem = compile_problem(generate("paper", nodes=8, seed=4))
    splits = np.random.default_rng(0).integers(0, 35, (5, 8))
    got, best = allocator.allocate(problem, splits), WaterFilling().allocate(problem, splits)
    np.testing.assert_array_equal(got.status == Status.INFEASIBLE, best.status == Status.INFEASIBLE)
    rows = got.status == Status.OPTIMAL
    assert rows.sum() >= 2
    np.testing.assert_allclose(
        problem.objective(splits[rows], got.shares[rows]),
        problem.objective(splits[rows], best.shares[rows]),
        rtol=ACCURACY.get(name, ACCURACY_OF_OTHERS),
    )
