import pickle
import threading
from dataclasses import dataclass

import numpy as np
import pytest

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.methods.allocators.one_by_one import Answer, Models, OneByOne, OnePlan
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.model.delay import TANDEM
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.queues import MD1, MM1, mg1
from dmcjia_opt.solving.contract import Allocator, Status


def bisected(plan: OnePlan) -> Answer:
    """The exact solution by nested bisection: on the multiplier, and on each y for a given one."""

    def spend(multiplier: float) -> np.ndarray:
        low, high = np.zeros_like(plan.t), 1.0 / plan.t
        for _ in range(75):
            y = 0.5 * (low + high)
            rates = [term.slope * y + term.rest for term in plan.terms]
            delays = [term.weight / rate for term, rate in zip(plan.terms, rates, strict=True)]
            saved = [d * term.slope / rate for d, term, rate in zip(delays, plan.terms, rates, strict=True)]
            saves = sum(saved)
            if plan.parts:
                pieces = [np.array(part.factors) @ np.array(delays) - part.relief for part in plan.parts]
                slopes = [np.array(part.factors) @ np.array(saved) for part in plan.parts]
                saves = np.choose(np.argmax(pieces, axis=0), slopes)
            more = saves > multiplier * plan.t
            low, high = np.where(more, y, low), np.where(more, high, y)
        return low

    low, high = 1e-9, 1e9
    for _ in range(62):
        middle = np.sqrt(low * high)
        low, high = (middle, high) if plan.t @ spend(middle) > 1.0 else (low, middle)
    return Answer(spend(high), high, Status.OPTIMAL)


@dataclass(frozen=True, slots=True)
class Exact(OneByOne):
    def supports(self, problem):
        return None

    def solve_one(self, plan):
        return bisected(plan)


@dataclass(frozen=True, slots=True)
class Spoilt(OneByOne):
    """Spoils the exact answer of the plans with 6 busy nodes."""

    how: str

    def supports(self, problem):
        return "it asks too much" if self.how == "refuse" else None

    def solve_one(self, plan):
        answer = bisected(plan)
        y, multiplier, status = answer.y, answer.multiplier, answer.status
        if len(plan.t) == 6:
            match self.how:
                case "none":
                    return None
                case "nan":
                    y = np.full_like(y, np.nan)
                case "inf":
                    y = np.full_like(y, np.inf)
                case "negative":
                    y = -y
                case "over budget":
                    y = y * (1 + 1e-7)
                case "even":
                    y = np.ones_like(y)
                case "wrong price":
                    multiplier *= 2.0
                case "no price":
                    multiplier = np.nan
                case "limit":
                    status = Status.LIMIT
        return Answer(y, multiplier, status)


@pytest.mark.parametrize("curve", [MD1, MM1, mg1(0.3), mg1(3.0), TANDEM], ids=str)
@pytest.mark.parametrize("floors", [False, True])
def test_reduction_keeps_the_problem(agrees, curve, floors):
    assert isinstance(Exact(), Allocator)
    agrees(Exact(), error=1e-12, price_error=1e-7, rows=5, curve=curve, floors=floors)


def test_terms_are_normalised(mixed_batch):
    seen = []

    @dataclass(frozen=True)
    class Spy(Exact):
        def solve_one(self, plan):
            seen.append(plan)
            return bisected(plan)

    Spy().allocate(*mixed_batch)
    assert [len(plan.t) for plan in seen] == [6, 4, 6, 4]
    for plan in seen:
        assert plan.t.sum() == pytest.approx(1.0)
        assert sum(term.weight.sum() for term in plan.terms) == pytest.approx(1.0)
        for term in plan.terms:
            np.testing.assert_allclose(term.slope + term.rest, 1.0)
        assert not plan.has_floor


def test_a_tandem_is_reduced_to_the_largest_of_two_parts(random_problem):
    plans = []

    @dataclass(frozen=True)
    class Spy(Exact):
        def solve_one(self, plan):
            plans.append(plan)
            return bisected(plan)

    problem = random_problem(np.random.default_rng(0), 6, 0.7, curve=TANDEM)
    Spy().allocate(problem, np.zeros((1, 6), dtype=np.int64))
    (plan,) = plans
    assert plan.factors == ((1.0, 1.0), (0.0, 2.0))
    even = np.array([term.weight for term in plan.terms])
    pieces = [np.array(part.factors) @ even - part.relief for part in plan.parts]
    assert np.max(pieces, axis=0).sum() == pytest.approx(1.0)
    assert (plan.parts[0].relief > 0).any()
    assert not plan.parts[1].relief.any()


@pytest.mark.parametrize(
    ("how", "status"),
    [
        ("none", Status.FAILED),
        ("nan", Status.FAILED),
        ("inf", Status.FAILED),
        ("negative", Status.FAILED),
        ("over budget", Status.OPTIMAL),
        ("even", Status.INACCURATE),
        ("wrong price", Status.INACCURATE),
        ("no price", Status.INACCURATE),
        ("limit", Status.LIMIT),
    ],
)
def test_claims_are_checked_row_by_row(mixed_batch, how, status):
    problem, splits = mixed_batch
    got = Spoilt(how).allocate(problem, splits)
    best = WaterFilling().allocate(problem, splits)
    good = [1, 5]
    assert list(got.status) == [status, Status.OPTIMAL, Status.OPTIMAL, Status.INFEASIBLE, status, Status.OPTIMAL]
    np.testing.assert_allclose(got.shares[..., 0][good], best.shares[..., 0][good], rtol=1e-7)
    assert np.isnan(got.shares[..., 0][3]).all()
    assert got.prices[:, 0][2] == 0.0
    for row in (0, 4):
        if status == Status.FAILED:
            assert np.isnan(got.shares[..., 0][row]).all()
            assert np.isnan(got.prices[:, 0][row])
        else:
            assert problem.residuals(splits[row], got.shares[..., 0][row]).feasible
    assert np.isnan(got.prices[:, 0][0]) == (status == Status.FAILED or how == "no price")


def test_refused_problem_is_an_input_error(mixed_batch):
    with pytest.raises(InputError, match="asks too much"):
        Spoilt("refuse").allocate(*mixed_batch)


def test_floors_that_use_the_whole_cloud_leave_nothing_to_solve():
    s, rate = np.array([0.25, 0.125]), np.array([1.0, 2.0])
    least = np.array([2.0, 4.0])
    problem = Problem(np.zeros((2, 1)), s[:, None], rate, np.full(2, 0.5), MD1, least[:, None])
    splits = np.zeros((1, 2), dtype=np.int64)
    got = Spoilt("none").allocate(problem, splits)
    np.testing.assert_allclose(got.shares[..., 0], [[0.5, 0.5]])
    assert got.status[0] == Status.OPTIMAL
    assert problem.residuals(splits, got.shares[..., 0]).feasible.all()


def test_floors_that_leave_a_node_nothing_fail():
    s, rate = np.array([0.25, 0.25]), np.array([1.0, 1.0])
    problem = Problem(np.zeros((2, 1)), s[:, None], rate, np.full(2, 0.5), MD1, np.array([[3.0], [0.0]]))
    got = Exact().allocate(problem, np.zeros((1, 2), dtype=np.int64))
    assert got.status[0] == Status.FAILED


def _shape(*shape: int) -> list[int]:
    return list(shape)


def test_models_are_kept_by_shape_and_thread_and_never_pickled():
    models = Models(_shape)
    first = models.get(3, 1)
    assert models.get(3, 1) is first
    assert models.get(3, 2) is not first
    elsewhere = []
    thread = threading.Thread(target=lambda: elsewhere.append(models.get(3, 1)))
    thread.start()
    thread.join()
    assert elsewhere[0] == first
    assert elsewhere[0] is not first
    copied = pickle.loads(pickle.dumps(models))
    assert copied.get.cache_info().currsize == 0
    assert copied.get(3, 1) == first
