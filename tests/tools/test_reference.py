from fractions import Fraction

import numpy as np
import pytest

from dmcjia_opt.bounds.dual import dual_point, priced
from dmcjia_opt.model.delay import TANDEM
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.queues import MD1, OVERLAP
from dmcjia_opt.testing.known_answers import known_answers
from dmcjia_opt.testing.problems import random_shared_problem
from tools.fuzz.reference import exact_delay, exact_loads, exact_use, exactly, lagrangian, within_budget


@pytest.mark.parametrize("known", known_answers(), ids=lambda known: known.name)
def test_the_answers_that_are_known_on_paper(known):
    shares = known.problem.by_use(known.splits, known.shares)
    exact = within_budget(known.problem, known.splits, shares)
    value = exact_delay(known.problem, known.splits, exact, Fraction(1, 10**12))
    assert float(value) == pytest.approx(known.objective, rel=1e-9)


def problem(**changes):
    tables = {"fixed_delay": [[0.5, np.inf]], "service": [[0.25, 0.0]], "arrival_rate": [1.0], "weight": [1.0]}
    return Problem(**{**tables, **changes})


def test_one_node_by_hand():
    # μ = ½/¼ = 2: 1/(2·2) + 1/(2·(2 − 1)) = ¾, and half a second at the edge
    assert exact_delay(problem(), np.array([0]), [[Fraction(1, 2)]]) == Fraction(5, 4)
    assert exact_loads(problem(), np.array([0])) == [Fraction(1, 4)]
    # at price 2 half of it costs 1, and all of it is given back
    assert lagrangian(problem(), np.array([0]), [[Fraction(1, 2)]], np.array([2.0])) == Fraction(5, 4) + 1 - 2


def test_what_no_plan_is():
    assert exact_delay(problem(), np.array([0]), [[Fraction(1, 4)]]) is None  # μ = λ
    assert exact_delay(problem(curves=OVERLAP), np.array([0]), [[Fraction(1, 4)]]) == Fraction(3, 2)
    assert exact_delay(problem(curves=OVERLAP), np.array([0]), [[Fraction(1, 5)]]) is None
    assert exact_delay(problem(), np.array([1]), [[Fraction(1)]]) is None
    assert exact_loads(problem(), np.array([1])) is None
    assert lagrangian(problem(), np.array([1]), [[Fraction(1)]], np.ones(1)) is None
    least = problem(least_rate=[[3.0, 0.0]])
    assert exact_loads(least, np.array([0])) == [Fraction(3, 4)]
    almost = [[Fraction(3, 4) * (1 - Fraction(1, 10**13))]]
    assert exact_delay(least, np.array([0]), almost) is None
    assert exact_delay(least, np.array([0]), almost, Fraction(1, 10**12)) is not None


def test_shares_beyond_a_resource_are_scaled_down():
    two = Problem(np.full((2, 1), 0.1), np.full((2, 1), 0.1), np.ones(2), np.full(2, 0.5))
    half, options = Fraction(1, 2), np.zeros(2, dtype=np.int64)
    assert within_budget(two, options, np.array([[0.75], [0.75]])) == [[half], [half]]
    assert within_budget(two, options, np.array([[0.25], [0.5]])) == [[Fraction(1, 4)], [half]]
    apart = Problem(
        np.full((2, 1), 0.1),
        np.full((2, 1, 2), 0.1),
        np.ones(2),
        np.full(2, 0.5),
        resource=np.array([[[0, 1]], [[1, 1]]]),
    )
    shares = np.array([[0.75, 0.5], [1.0, 0.5]])
    assert exact_use(apart, options, exactly(shares)) == [Fraction(3, 4), 2]
    assert within_budget(apart, options, shares) == [[Fraction(3, 4), Fraction(1, 4)], [half, Fraction(1, 4)]]


def test_stages_of_a_tandem_by_hand():
    """Services of ½ s and ¼ s at one task a second: the longer waits ½·½/(2·½) = ¼ s, and ⅛ s of that upstream."""
    tables = {"fixed_delay": [[1.0]], "service": [[[0.25, 0.125, 0.5]]], "arrival_rate": [1.0], "weight": [1.0]}
    one = Problem(**tables, wait=[[0.125]], curves=(TANDEM, TANDEM, OVERLAP), resource=np.array([[[0, 1, 2]]]))
    shares = [[Fraction(1, 2), Fraction(1, 2), Fraction(1, 2)]]
    value = exact_delay(one, np.array([0]), shares)
    assert value == 1 + Fraction(1, 2) + Fraction(1, 4) + 1 + Fraction(1, 8)
    assert float(value) == one.objective(np.array([0]), np.full((1, 3), 0.5))


@pytest.mark.parametrize("curves", [(MD1, MD1), (OVERLAP, MD1), (TANDEM, TANDEM), (TANDEM, OVERLAP)], ids=str)
def test_what_nodes_pay_at_their_best_shares_is_the_dual(curves):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        drawn, _ = random_shared_problem(rng, 4, 3, 3, 2, curves=curves)
        prices = float(drawn.fixed_delay[np.isfinite(drawn.fixed_delay)].mean()) * rng.uniform(0.1, 1.0, 3)
        point = dual_point(drawn, prices)
        shares = drawn.at(priced(drawn, prices)[1], point.options)
        least = drawn.least_share(point.options)
        paid = lagrangian(drawn, point.options, exactly(np.maximum(shares, least * (1 + 1e-15))), prices)
        assert float(paid) == pytest.approx(point.value, rel=1e-12, abs=1e-12 * float(prices.sum()))
