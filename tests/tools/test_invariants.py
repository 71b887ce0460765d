"""Every invariant holds on a part of a series, and each of them notices when what it looks at is spoilt."""

from dataclasses import replace

import numpy as np
import pytest

from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.methods.placers.exact.exact import Exact
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.queues import MD1, OVERLAP
from dmcjia_opt.model.residuals import Residuals
from dmcjia_opt.testing.problems import random_problem, random_shared_problem
from tools.fuzz import invariants, subject
from tools.fuzz.fuzzing import broken, check_block
from tools.fuzz.invariants import INVARIANTS

NAMES = tuple(invariant.name for invariant in INVARIANTS)


@pytest.mark.slow
@pytest.mark.parametrize("block", [0, 1])
def test_they_hold(block):
    tally = check_block(11, block, NAMES)
    assert tally.failures == []
    assert tally.checked["bound"] == 100 - tally.refused
    assert set(tally.checked) >= set(NAMES) - {"solvers"}


def test_solvers_are_looked_at_too():
    (solvers,) = (invariant for invariant in INVARIANTS if invariant.name == "solvers")
    problem, _ = random_problem(np.random.default_rng(1), 3, 3)
    assert broken(problem, solvers, 0, 0) == []


def too_high(monkeypatch):
    monkeypatch.setattr(invariants, "lower_bound", lambda problem, price: 1e9)


def proof_by_prices_too_high(monkeypatch):
    monkeypatch.setattr(invariants, "price_bound", lambda problem, prices: 1e9)


def best_too_high(monkeypatch):
    monkeypatch.setattr(subject, "best_lower_bound", lambda problem: (1e9, 1.0))


def says_overloaded(monkeypatch):
    monkeypatch.setattr(subject, "least_load", lambda problem: 1.5)


def everything_is_feasible(monkeypatch):
    monkeypatch.setattr(Residuals, "feasible", property(lambda self: np.ones(self.budget.shape, dtype=bool)))


def nothing_is_feasible_but_waterfilling(monkeypatch):
    real = Residuals.feasible
    monkeypatch.setattr(
        Residuals, "feasible", property(lambda self: real.fget(self) & (self.budget.ndim > 1 or self.budget[0] > -0.1))
    )


def objective_is_off(monkeypatch):
    real = Problem.objective
    monkeypatch.setattr(Problem, "objective", lambda self, *plan: real(self, *plan) * (1 + 1e-11))


def shares_are_off(monkeypatch):
    real = WaterFilling.allocate

    def spoilt(self, problem, splits):
        found = real(self, problem, splits)
        return replace(found, shares=found.shares * 0.99)

    monkeypatch.setattr(WaterFilling, "allocate", spoilt)


def spoil_exact(monkeypatch, spoil):
    real = subject.place

    def spoilt(placer, *arguments, **options):
        found = real(placer, *arguments, **options)
        return spoil(found) if isinstance(placer, Exact) else found

    monkeypatch.setattr(subject, "place", spoilt)


def exact_is_a_coward(monkeypatch):
    spoil_exact(monkeypatch, lambda found: replace(found, shares=found.shares * 0.999))


def exact_boasts(monkeypatch):
    spoil_exact(monkeypatch, lambda found: replace(found, lower_bound=found.lower_bound * 1.001))


def proofs_prove_too_much(monkeypatch):
    real = invariants.check_proof
    monkeypatch.setattr(invariants, "check_proof", lambda *args: real(*args) * 1.001)


def depends_on_the_order(monkeypatch):
    real = invariants._optimum
    monkeypatch.setattr(
        invariants, "_optimum", lambda s, problem: real(s, problem) * (1 + 1e-2 * problem.arrival_rate[0])
    )


def half_as_much_again(monkeypatch):
    real = invariants._optimum
    monkeypatch.setattr(invariants, "_optimum", lambda s, problem: real(s, problem) * 1.5)


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("bound", too_high),
        ("bound", best_too_high),
        ("dual", too_high),
        ("dual", proof_by_prices_too_high),
        ("no-plan", says_overloaded),
        ("feasible", everything_is_feasible),
        ("feasible", nothing_is_feasible_but_waterfilling),
        ("objective", objective_is_off),
        ("shares", shares_are_off),
        ("alm", shares_are_off),
        ("exact", exact_is_a_coward),
        ("exact", exact_boasts),
        ("baselines", best_too_high),
        ("searches", best_too_high),
        ("proof", proofs_prove_too_much),
        ("permuted", depends_on_the_order),
        ("scaled", half_as_much_again),
        ("more", half_as_much_again),
    ],
)
def test_they_notice(monkeypatch, name, spoil):
    (invariant,) = (invariant for invariant in INVARIANTS if invariant.name == name)
    few = 1 if name == "searches" else 3
    problems = [random_problem(np.random.default_rng(seed), 3, 4)[0] for seed in range(few)]
    assert not any(broken(problem, invariant, 0, 0) for problem in problems)
    spoil(monkeypatch)
    assert any(broken(problem, invariant, 0, 0) for problem in problems)


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("bound", too_high),
        ("bound", best_too_high),
        ("dual", too_high),
        ("dual", proof_by_prices_too_high),
        ("no-plan", says_overloaded),
        ("feasible", everything_is_feasible),
        ("objective", objective_is_off),
        ("shares", shares_are_off),
        ("exact", exact_boasts),
        ("proof", proofs_prove_too_much),
    ],
)
def test_they_notice_with_several_resources(monkeypatch, name, spoil):
    (invariant,) = (invariant for invariant in INVARIANTS if invariant.name == name)
    problems = [random_shared_problem(np.random.default_rng(seed), 3, 3, curves=(OVERLAP, MD1))[0] for seed in range(3)]
    assert not any(broken(problem, invariant, 0, 0) for problem in problems)
    spoil(monkeypatch)
    assert any(broken(problem, invariant, 0, 0) for problem in problems)


def test_a_crash_is_a_failure(monkeypatch):
    def crash(problem, price):
        raise ZeroDivisionError("on purpose")

    monkeypatch.setattr(invariants, "lower_bound", crash)
    problem, _ = random_problem(np.random.default_rng(1), 3, 4)
    (message,) = broken(problem, INVARIANTS[0], 0, 0)
    assert message.startswith("ZeroDivisionError: on purpose (test_invariants.py, line")
