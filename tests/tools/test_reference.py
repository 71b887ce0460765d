from fractions import Fraction

import numpy as np
import pytest

from dmcjia_opt.model.problem import Problem
from dmcjia_opt.testing.known_answers import known_answers
from tools.fuzz.reference import exact_delay, exact_load, within_budget


@pytest.mark.parametrize("known", known_answers(), ids=lambda known: known.name)
def test_the_answers_that_are_known_on_paper(known):
    value = exact_delay(known.problem, known.splits, within_budget(known.shares), Fraction(1, 10**12))
    assert float(value) == pytest.approx(known.objective, rel=1e-9)


def problem(**changes):
    tables = {"fixed_delay": [[0.5, np.inf]], "service": [[0.25, 0.0]], "arrival_rate": [1.0], "weight": [1.0]}
    return Problem(**{**tables, **changes})


def test_one_node_by_hand():
    # μ = ½/¼ = 2: 1/(2·2) + 1/(2·(2 − 1)) = ¾, and half a second at the edge
    assert exact_delay(problem(), np.array([0]), [Fraction(1, 2)]) == Fraction(5, 4)
    assert exact_load(problem(), np.array([0])) == Fraction(1, 4)


def test_what_no_plan_is():
    assert exact_delay(problem(), np.array([0]), [Fraction(1, 4)]) is None  # μ = λ
    assert exact_delay(problem(), np.array([1]), [Fraction(1)]) is None
    assert exact_load(problem(), np.array([1])) is None
    least = problem(least_rate=[[3.0, 0.0]])
    assert exact_load(least, np.array([0])) == Fraction(3, 4)
    almost = [Fraction(3, 4) * (1 - Fraction(1, 10**13))]
    assert exact_delay(least, np.array([0]), almost) is None
    assert exact_delay(least, np.array([0]), almost, Fraction(1, 10**12)) is not None


def test_shares_beyond_the_cloud_are_scaled_down():
    assert within_budget(np.array([0.75, 0.75])) == [Fraction(1, 2), Fraction(1, 2)]
    assert within_budget(np.array([0.25, 0.5])) == [Fraction(1, 4), Fraction(1, 2)]
