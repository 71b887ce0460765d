"""Counts of similar nodes: the tree ends with the optimum, and no bound is above a plan that exists."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from dmcjia_opt.bounds.best import BestPrice
from dmcjia_opt.bounds.count_tree import CountTree
from dmcjia_opt.bounds.similar import groups_of
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.model.delay import TANDEM
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.queues import MD1, MM1
from dmcjia_opt.testing.problems import all_plans, brute_force, random_problem, random_shared_problem


class Dealer:
    """Keeps the best plan it was shown, and the bounds it heard."""

    def __init__(self, problem: Problem, tolerance: float = 1e-9) -> None:
        self.problem, self.tolerance = problem, tolerance
        self.best = np.inf
        self.bounds: list[float] = []
        self.least = 0.0

    @property
    def target(self) -> float:
        return self.best * (1.0 - self.tolerance)

    def prices_of(self, plan):
        found = WaterFilling().allocate(self.problem, plan[None])
        self.best = min(self.best, float(self.problem.objective(plan, found.shares[0])))
        return found.prices[0]

    def proved(self, bound):
        self.bounds.append(bound)


def similar(problem: Problem, rng: np.random.Generator, spread: float) -> Problem:
    """Return a problem whose nodes are all like its first, but for a part of `spread`."""
    n = problem.n_nodes

    def spread_out(table):
        first = np.broadcast_to(table[:1], table.shape)
        return first * (1.0 + spread * rng.uniform(-1.0, 1.0, table.shape))

    rate = spread_out(problem.arrival_rate)
    least = problem.least_rate[..., 0] if problem.ordered else ()
    wait = spread_out(problem.wait) if problem.kinked else ()
    fixed = spread_out(problem.fixed_delay) + (wait if problem.kinked else 0.0)
    return dataclasses.replace(
        problem,
        fixed_delay=fixed,
        service=spread_out(problem.service[..., 0]),
        arrival_rate=rate,
        weight=np.full(n, 1.0 / n),
        least_rate=least,
        wait=wait,
    )


def searched(problem: Problem, tolerance: float = 1e-9, cases: int = 20_000):
    """Return the dealer and the bound of a tree over all plans, begun at any of them."""
    every = [np.flatnonzero(np.isfinite(row)) for row in problem.fixed_delay]
    dual = BestPrice(problem)
    base = dual.bound
    dealer = Dealer(problem, tolerance)
    plans = all_plans(problem)
    start = plans[np.argmin(problem.overload(plans))]
    dealer.prices_of(start)
    tree = CountTree(problem, groups_of(problem, np.arange(problem.n_nodes), every), start, dual.point.prices, base)
    return dealer, tree.close(dealer, start, cases), tree


def check(problem: Problem) -> bool:
    """Look whether bounds hold; return whether the tree was searched whole, and then ended with the optimum."""
    best, _, _ = brute_force(problem)
    dealer, bound, _ = searched(problem)
    assert max(dealer.bounds) <= best * (1 + 1e-12)
    if bound is None:
        return False
    assert dealer.best == pytest.approx(best, rel=1e-9)
    assert best * (1 - 2e-9) <= min(bound, dealer.best)
    return True


@pytest.mark.parametrize("curve", [MD1, MM1, TANDEM])
@pytest.mark.parametrize("spread", [0.0, 1e-4, 0.1, None])
def test_the_tree_ends_with_the_optimum_and_no_bound_above_it(curve, spread):
    for seed in range(4):
        rng = np.random.default_rng(seed)
        load, ordering = float(rng.choice([0.3, 0.9])), ("stability", "cloud-faster")[seed % 2]
        problem, _ = random_problem(rng, 6, 3, utilisation=load, curve=curve, ordering=ordering)
        assert check(problem if spread is None else similar(problem, rng, spread)), seed


def test_several_resources_have_no_bound_above_the_optimum():
    problems = [random_shared_problem(np.random.default_rng(k), 5, 4, 3, 2, utilisation=0.9)[0] for k in range(12)]
    assert sum(check(problem) for problem in problems) >= 10
