"""Deadlines and the worst node: beside every plan of small instances, and beside each other."""

from dataclasses import replace

import numpy as np
import pytest

from dmcjia_opt.bounds.certificate import judge
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.methods.placers.exact.exact import Exact
from dmcjia_opt.methods.placers.exact.exhaustive import Exhaustive
from dmcjia_opt.model.delay import MD1
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.contract import Placement, Status
from dmcjia_opt.solving.running import place as run
from dmcjia_opt.testing.problems import (
    best_plan,
    random_deadlines,
    random_problem,
    random_promises,
    random_shared_problem,
)
from tests.methods.placers.searches import place

MANY, CHUNKS = {False: 600, True: 400}, 10
#: Seeds of problems that take no seconds, a joint one among those whose worst node counts.
QUICK = {False: range(16), True: (0, 2, 7, 10, 14, 33)}


def value_of(problem: Problem, found: Placement) -> float:
    """Return the objective of a plan after judging it; +inf where there is none."""
    if found.shares is None:
        # where a deadline over several uses cannot be kept, prices prove it by a bound without end
        assert found.status == Status.INFEASIBLE or found.lower_bound > 1e12
        return np.inf
    verdict = judge(problem, found.options, found.shares)
    assert verdict.feasible, verdict.violation
    return verdict.objective


def beside_every_plan(problem: Problem) -> float:
    """Return the least objective, +inf where nothing keeps the deadlines, and compare that with every plan."""
    exact, every = best_plan(problem), place(Exhaustive(pareto=problem.joint), problem)
    best, value = value_of(problem, every), value_of(problem, exact)
    if np.isinf(best) or np.isinf(value):
        assert best == value
        return np.inf
    assert value == pytest.approx(best, rel=1e-7)
    assert max(exact.lower_bound, every.lower_bound) <= min(best, value) * (1 + 1e-12)
    assert exact.status in (Status.OPTIMAL, Status.ROUNDED)
    return value


def drawn(seed: int, *, worst: bool) -> Problem:
    return random_promises(np.random.default_rng([seed, int(worst)]), worst=worst)


@pytest.mark.parametrize("worst", [False, True], ids=["deadlines", "worst"])
def test_no_plan_is_better(worst):
    problems = [drawn(seed, worst=worst) for seed in QUICK[worst]]
    answers = [beside_every_plan(problem) for problem in problems]
    assert any(problem.joint for problem in problems)
    assert np.isfinite(answers).sum() > 0.5 * len(problems)


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
@pytest.mark.parametrize("worst", [False, True], ids=["deadlines", "worst"])
def test_no_plan_is_better_of_a_thousand_problems(worst, chunk):
    each = MANY[worst] // CHUNKS
    answers = [beside_every_plan(drawn(seed, worst=worst)) for seed in range(each * chunk, each * (chunk + 1))]
    some = np.isfinite(answers).sum()
    assert some == each if worst else 0.5 * each < some < each  # some deadlines cannot be kept


def without_promises(seed: int) -> Problem:
    """Return a problem of means, for which shares exist."""
    rng = np.random.default_rng([seed, 4])
    if seed % 2:
        return random_shared_problem(rng, 3, 3, 2, 2)[0]
    return random_problem(rng, 4, 4)[0]


@pytest.mark.parametrize("seed", range(8))
def test_a_later_deadline_never_costs_more(seed):
    problem = without_promises(seed)
    deadline, last = random_deadlines(np.random.default_rng(seed), problem, 0.9), np.inf
    for factor in (1.0, 1.02, 1.1, 1.5, 3.0, np.inf):
        eased = replace(problem, deadline=factor * deadline)
        value = value_of(eased, best_plan(eased))
        assert value <= last * (1 + 1e-9)
        last = value
    assert last == pytest.approx(value_of(problem, best_plan(problem)), rel=1e-9)


#: Problems without promises; some take seconds.
seeds = pytest.mark.parametrize(
    "seed", [0, 1, 2, 4, 5, 6, *(pytest.param(k, marks=pytest.mark.slow) for k in (3, 7, 8, 9))]
)


@seeds
def test_the_worst_node_is_the_least_deadline_that_all_can_keep(seed):
    problem = without_promises(seed)
    fair = replace(problem, worst=True)
    found = best_plan(fair)
    level = value_of(fair, found)
    mean = value_of(problem, best_plan(problem))
    assert level >= mean * (1 - 1e-12) or problem.weight.max() > problem.weight.min() * (1 + 1e-9)
    for factor, kept in ((1 + 1e-8, True), (1 - 1e-6, False)):
        promised = replace(problem, deadline=np.full(problem.n_nodes, level * factor))
        assert (best_plan(promised).shares is not None) == kept


@seeds
def test_what_the_worst_node_leaves_lowers_the_mean(seed):
    """No plan whose worst node is as quick has a smaller mean, beyond the gap that is asked for there."""
    problem = without_promises(seed)
    fair = replace(problem, worst=True)
    found = best_plan(fair)
    level = value_of(fair, found)
    mean = float(problem.objective(found.options, found.shares))
    promised = replace(problem, deadline=np.full(problem.n_nodes, level * (1 + 1e-10)))
    assert mean <= value_of(promised, best_plan(promised)) * (1 + 1e-5)


class Blind:
    """Water-filling that finds no shares for one plan."""

    def __init__(self, plan):
        self.plan = plan

    def supports(self, problem):
        return None

    def allocate(self, problem, options):
        found = WaterFilling().allocate(problem, options)
        none = (options == self.plan).all(axis=1)
        shares = np.where(none[:, None, None], np.nan, found.shares)
        return replace(found, shares=shares, prices=np.where(none[:, None], np.nan, found.prices))


def test_what_an_allocator_misses_is_not_proved_away():
    """The plans that are left are bounded by their prices, not by what was made of them."""
    missed = 0
    for seed in range(4):
        problem, _ = random_shared_problem(np.random.default_rng(seed), 3, 3, 3, 1, curves=(MD1,))
        problem = replace(problem, worst=True)
        best = run(Exact(), problem, WaterFilling())
        value = float(problem.objective(best.options, best.shares))
        found = run(Exact(), problem, Blind(best.options))
        assert found.lower_bound <= value * (1 + 1e-12)
        missed += found.shares is None or float(problem.objective(found.options, found.shares)) > value * (1 + 1e-6)
    assert missed >= 3
