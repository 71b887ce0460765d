"""Problems in which something is pooled: delays by formula, residuals, and what is left without it."""

from dataclasses import replace

import numpy as np
import pytest

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.bounds.certificate import judge
from dmcjia_opt.model import pooling
from dmcjia_opt.model.delay import TANDEM, tandem
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.queues import MD1, MM1, mg1
from dmcjia_opt.model.resources import Resource
from dmcjia_opt.testing.problems import all_plans, pooled, random_shared_problem

RATE, S, W = np.array([2.0, 1.0, 0.5]), np.array([0.1, 0.2, 0.4]), np.array([0.5, 0.25, 0.25])


def one_cloud(sharing, curve=MD1, **more):
    service = np.stack([S, np.zeros(3)], axis=1)
    fixed = np.array([[0.1, 1.0], [0.2, 1.0], [0.3, 1.0]])
    return Problem(fixed, service, RATE, W, curve, resources=(Resource("cloud", sharing=sharing),), **more)


@pytest.mark.parametrize(("curve", "varies"), [(MD1, 0.0), (MM1, 1.0), (mg1(3.0), 3.0), (TANDEM, 0.0)])
def test_one_queue_for_all_is_the_formula_of_pollaczek_and_khinchine(curve, varies):
    problem = one_cloud("fifo", curve)
    options = np.array([0, 0, 1])
    load = 2.0 * 0.1 + 1.0 * 0.2
    wait = (2.0 * 0.1**2 + 1.0 * 0.2**2) * (1.0 + varies) / (2.0 * (1.0 - load))
    delay = problem.node_delay(options, np.zeros((3, 1)))
    assert delay == pytest.approx([0.1 + 0.1 + wait, 0.2 + 0.2 + wait, 1.0])
    assert problem.objective(options, np.zeros((3, 1))) == pytest.approx(W @ delay)


def test_processor_sharing_stretches_what_each_takes():
    problem = one_cloud("ps", mg1(7.0))
    delay = problem.use_delay(np.zeros(3, dtype=np.int64), np.zeros((3, 1)))[:, 0]
    assert delay == pytest.approx(S / (1.0 - 0.6))


def test_one_alone_waits_as_in_a_queue_of_its_own():
    for curve in (MD1, MM1, mg1(0.3)):
        problem = one_cloud("fifo", curve)
        delay = problem.use_delay(np.array([1, 1, 0]), np.zeros((3, 1)))[2, 0]
        assert delay == pytest.approx(float(curve.delay(1.0 / 0.4 - 0.5, 0.5)))
        assert pooling.alone(problem)[2, 0, 0] == pytest.approx(delay)


def test_residuals_of_what_is_pooled():
    problem = one_cloud("fifo")
    options = np.zeros(3, dtype=np.int64)
    fine = problem.residuals(options, np.zeros((3, 1)))
    assert fine.feasible
    assert fine.stability[:, 0] == pytest.approx(-0.4)
    assert fine.budget.tolist() == [-1.0]
    assert "is 0.5, and it is pooled" in judge(problem, options, np.array([0.5, 0.0, 0.0])).violation
    assert not problem.residuals(options, np.array([[0.5], [0.0], [0.0]])).feasible
    busy = replace(problem, arrival_rate=2.0 * RATE)
    assert busy.overload(options) == pytest.approx(0.2)
    assert not busy.residuals(options, np.zeros((3, 1))).feasible
    assert judge(busy, options, np.zeros((3, 1))).violation == "its splits load the cloud to 120 %"


def test_a_deadline_depends_on_the_others():
    alone = 0.1 + 0.1 + 2.0 * 0.01 / (2.0 * 0.8)
    deadline = np.array([alone * 1.01, np.inf, np.inf])
    problem = one_cloud("fifo", deadline=deadline)
    assert np.isfinite(problem.fixed_delay[0, 0])
    assert not problem.least_rate.any()
    none = np.zeros((3, 1))
    assert problem.residuals(np.array([0, 1, 1]), none).feasible
    late = problem.residuals(np.array([0, 0, 0]), none)
    assert not late.feasible
    assert late.lateness[0] > 0
    assert judge(problem, np.array([0, 0, 0]), none).violation.startswith("node 0 takes")
    gone = one_cloud("fifo", deadline=deadline * 0.98)
    assert np.isinf(gone.fixed_delay[0, 0])


def test_a_least_rate_is_that_of_the_whole_resource():
    least = np.stack([np.array([9.0, 6.0, 0.0]), np.zeros(3)], axis=1)
    problem = one_cloud("fifo", least_rate=least)
    assert np.isfinite(problem.fixed_delay[:, 0]).tolist() == [True, False, True]  # 1/0.1 ≥ 9, 1/0.2 < 6
    assert not problem.ordered


def test_percentiles_are_refused():
    with pytest.raises(InputError, match="percentiles need reserved shares, and the cloud is pooled"):
        one_cloud("ps", tandem("p95"))


@pytest.mark.parametrize("seed", range(12))
def test_the_relaxed_problem_is_never_slower_and_the_given_one_is_the_same(seed):
    problem, _ = random_shared_problem(np.random.default_rng(seed), 4, 3, 3, 2)
    problem = pooled(problem, ("reserved", "fifo", "ps")[seed % 3], "fifo", "ps")
    plans = all_plans(problem)
    plans = plans[problem.overload(plans) == 0]
    shares = np.where(problem.pooled[problem.at(problem.resource, plans)], 0.0, 1.0)
    own = problem.objective(plans, shares)
    assert (problem.relaxed.objective(plans, shares) <= own * (1 + 1e-12)).all()
    for plan, share, value in zip(plans[:5], shares, own, strict=False):
        left = pooling.given(problem, plan)
        assert left.n_options == 1
        assert left.objective(np.zeros(4, dtype=np.int64), share) == pytest.approx(value)


@pytest.mark.parametrize("seed", range(12))
def test_sums_say_what_plans_cost(seed):
    problem, _ = random_shared_problem(np.random.default_rng(seed), 4, 3, 3, 2)
    problem = pooled(problem, "fifo", "ps")
    own, parts, empty = pooling.sums(problem)
    plans = all_plans(problem)
    plans = plans[problem.overload(plans) == 0]
    nodes = np.arange(4)
    whole = parts[nodes, plans].sum(1) + empty
    fixed = (problem.weight * problem.at(problem.fixed_delay, plans)).sum(-1)
    found = fixed + own[nodes, plans].sum(-1) + pooling.crowding(problem).cost(whole).sum(-1)
    assert found == pytest.approx(problem.objective(plans, np.zeros((*plans.shape, 2))))
