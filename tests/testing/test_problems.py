"""Random problems are of every kind, and have the plan that they are returned with."""

import numpy as np
import pytest

from dmcjia_opt.model.delay import TANDEM
from dmcjia_opt.model.queues import OVERLAP
from dmcjia_opt.testing.problems import AVERAGES, ORDERINGS, random_shared_problem


def drawn(seed, **how):
    shape = {"n_resources": 1 + seed % 4, "n_uses": 1 + seed % 3, "average": AVERAGES[seed % 2]}
    return random_shared_problem(np.random.default_rng(seed), **{**shape, **how})


@pytest.mark.parametrize("ordering", ORDERINGS)
@pytest.mark.parametrize("seed", range(40))
def test_shares_exist_for_the_returned_options(seed, ordering):
    problem, options = drawn(seed, ordering=ordering)
    assert (problem.n_resources, problem.n_uses) == (1 + seed % 4, 1 + seed % 3)
    load = problem.by_resource(options, problem.arrival_rate[:, None] * problem.at(problem.service, options))
    assert load.max() == pytest.approx(0.7)
    assert problem.overload(options) == 0
    least = problem.least_share(options)
    asked = problem.by_resource(options, least)
    busy = problem.at(problem.service, options) > 0
    users = problem.by_resource(options, busy.astype(np.float64))
    spare = np.where(users > 0, (1.0 - asked) / np.maximum(users, 1), 0.0)
    shares = np.where(busy, least + spare[problem.at(problem.resource, options)], 0.0)
    assert problem.residuals(options, shares).feasible
    assert np.isfinite(problem.objective(options, shares))


def test_they_hold_every_kind():
    problems = [drawn(seed, n_uses=2, ordering=ORDERINGS[seed % 2])[0] for seed in range(80)]
    assert any(problem.coupled for problem in problems)
    assert any(problem.kinked and not problem.coupled for problem in problems)
    assert any(OVERLAP in problem.use_curves and TANDEM in problem.use_curves for problem in problems)
    assert {curve.name for problem in problems for curve in problem.use_curves} == {
        "md1",
        "mm1",
        "mg1",
        "tandem",
        "delay",
    }
    assert sum(problem.ordered for problem in problems) > 20
    assert any((problem.wait > 0).any() for problem in problems)
    assert any(problem.coupled and (problem.wait == 0).any() for problem in problems)
    both = [
        (problem.service[:, 0] > 0).all(axis=1) & (np.diff(problem.resource[:, 0]) == 0).ravel() for problem in problems
    ]
    assert sum(same.any() for same in both) > 10  # two uses of one resource
