"""Deadlines: what they make of menus, in closed form."""

from dataclasses import replace

import numpy as np
import pytest

from dmcjia_opt.bounds.certificate import judge
from dmcjia_opt.model.delay import STATISTICS, tandem
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.queues import MD1, MM1, OVERLAP, mg1
from dmcjia_opt.testing.problems import random_problem

TIGHT = (1.0 - 1e-12, 1.0 + 1e-12)


def one(curve, deadline, *, service=0.05, fixed=0.1, wait=0.0, rate=2.0):
    """Return a node with one option of one use."""
    tables = [[fixed]], [[service]], [rate], [1.0], curve
    return Problem(*tables, wait=[[wait]] if wait else None, deadline=[deadline])


@pytest.mark.parametrize("deadline", [0.31, 0.5, 1.0, 30.0])
def test_the_least_rate_of_one_use_is_the_textbooks(deadline):
    """Rate 2/s, 0.1 s fixed: the larger root of the quadratic equation of each queue, not by the formula under test."""
    room = deadline - 0.1
    found = one(MD1, deadline).least_rate[0, 0, 0]
    md1 = np.roots([room, -(2.0 * room + 1.0), 0.5 * 2.0]).max()  # r μ² − (rλ + 1) μ + λ/2 = 0
    assert found == pytest.approx(md1, rel=1e-14)
    assert one(MM1, deadline).least_rate[0, 0, 0] == pytest.approx(2.0 + 1.0 / room, rel=1e-14)
    assert one(OVERLAP, deadline).least_rate[0, 0, 0] == pytest.approx(max(2.0, 1.0 / room), rel=1e-14)
    a, b = -1.5, 2.5  # M/G/1 with squared cv 4: a/μ + b/(μ − λ)
    mg1_rate = np.roots([room, -(2.0 * room + a + b), 2.0 * a]).max()
    assert one(mg1(4.0), deadline).least_rate[0, 0, 0] == pytest.approx(mg1_rate, rel=1e-13)


@pytest.mark.parametrize("statistic", STATISTICS)
@pytest.mark.parametrize("wait", [0.0, 0.05])
def test_the_least_rate_of_a_tandem_keeps_the_deadline_exactly(statistic, wait):
    curve = tandem(statistic)
    for deadline in (0.31, 0.45, 1.0, 30.0):
        problem = one(curve, deadline, fixed=0.1 + wait, wait=wait)
        if np.isinf(problem.fixed_delay[0, 0]):
            at_all = replace(problem, fixed_delay=[[0.1 + wait]], deadline=None, least_rate=None)
            assert at_all.node_delay(np.array([0]), np.array([[1.0]]))[0] > deadline
            continue
        share = 0.05 * problem.least_rate[0, 0, 0]
        less, more = (problem.node_delay(np.array([0]), np.array([[share * part]]))[0] for part in TIGHT)
        assert more <= deadline * (1 + 1e-11)
        assert less >= deadline * (1 - 1e-11)


def test_options_that_nothing_makes_quick_enough_leave_the_menu():
    """At full share the first takes 0.1 + 0.2 + 1/15 s; the second, local, 0.3 s; the third is not allowed."""
    tables = [[0.1, 0.3, np.inf]], [[0.2, 0.0, 0.1]], [2.0], [1.0]
    at_full = 0.1 + 0.5 * 0.2 + 0.5 / 3.0
    for deadline, kept in (
        (at_full * (1 + 1e-12), [True, True, False]),
        (at_full * (1 - 1e-12), [False, True, False]),
        (0.3, [False, True, False]),
        (0.3 * (1 - 1e-12), [False, False, False]),
    ):
        problem = Problem(*tables, deadline=[deadline])
        np.testing.assert_array_equal(np.isfinite(problem.fixed_delay[0]), kept)


def test_no_deadline_is_no_change():
    problem, options = random_problem(np.random.default_rng(3), 6, 4, ordering="cloud-faster")
    endless = replace(problem, deadline=np.full(6, np.inf))
    for key in ("fixed_delay", "least_rate", "wait"):
        np.testing.assert_array_equal(getattr(endless, key), getattr(problem, key))
    assert not endless.promised
    assert endless.residuals(options, np.full(6, 0.1)).lateness.max() == -np.inf


def test_who_is_late_is_told():
    problem = Problem([[0.1], [0.1]], [[0.2], [0.2]], [1.0, 1.0], [0.5, 0.5], deadline=[10.0, 0.62])
    options = np.zeros(2, dtype=np.int64)
    even = 0.1 + 0.5 * 0.4 + 0.5 / 1.5
    verdict = judge(problem, options, np.array([0.5, 0.5]), ("gate", "yard"))
    assert not verdict.feasible
    assert verdict.violation == '"yard" takes 633.3 ms at split 0, and its deadline is 620 ms'
    np.testing.assert_allclose(verdict.residuals.lateness, [even / 10.0 - 1.0, even / 0.62 - 1.0])
    assert judge(problem, options, np.array([0.45, 0.55])).feasible


def test_two_uses_keep_one_deadline_together():
    """Each use has 0.4 s at full share, and both together may take 1 s: M/M/1 links of one node in closed form."""
    tables = [[0.0]], [[[0.2, 0.2]]], [1.0], [1.0], MM1
    problem = Problem(*tables, resource=np.array([[[0, 1]]]), deadline=[1.0])
    assert problem.promised
    assert problem.joint
    # one alone, the other at full share: 1/(μ − 1) = 1 − 1/4 → μ = 1 + 4/3
    np.testing.assert_allclose(problem.least_rate, [[[1 + 4 / 3, 1 + 4 / 3]]], rtol=1e-14)
