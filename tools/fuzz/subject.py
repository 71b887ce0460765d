"""One problem under test, and what several invariants ask of it, computed once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.base.errors import DmcjiaError
from dmcjia_opt.bounds.certificate import best_lower_bound
from dmcjia_opt.bounds.loads import least_load
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.methods.placers.exact.exact import Exact
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.contract import Placement, Status, Stop
from dmcjia_opt.solving.running import place
from dmcjia_opt.solving.search import Placer
from dmcjia_opt.testing.problems import all_plans
from tools.fuzz.reference import exact_delay, within_budget

#: Spaces of up to so many plans are searched through; of fewer where the shares of stages are found plan by plan.
MOST_PLANS, MOST_COUPLED = 400, 40
#: By how much a least rate may be missed by rounding, relative, and what that may change of a mean delay.
HAIR = Fraction(1, 10**12)
_SECONDS = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Options (n_nodes,) and shares (n_nodes, n_uses), and prices (n_resources,) of the shares, s per unit share.

    `optimal` says whether the shares are said to be the best for these options.
    """

    options: IntArray
    shares: FloatArray
    prices: FloatArray
    optimal: bool = True


class Subject:
    """A problem with its plans, its bound and its optimum.

    Parameters
    ----------
    problem
        The problem.
    rng
        For what an invariant draws.
    """

    def __init__(self, problem: Problem, rng: np.random.Generator) -> None:
        self.problem, self.rng = problem, rng

    @property
    def is_small(self) -> bool:
        """Whether every plan can be tried."""
        most = MOST_COUPLED if self.problem.coupled else MOST_PLANS
        return math.prod(int(last) + 1 for last in self.problem.last) <= most

    @cached_property
    def overloaded(self) -> bool:
        """Whether no plan exists, as computed."""
        return least_load(self.problem) >= 1.0

    @cached_property
    def bound(self) -> float:
        """The best lower bound of prices, s."""
        return best_lower_bound(self.problem)[0]

    @cached_property
    def plans(self) -> list[Plan]:
        """The plans that are tried: all of a small problem, some of a larger one; only those said to be feasible."""
        problem = self.problem
        if self.is_small:
            options = all_plans(problem)
        else:
            options = self.rng.integers(problem.last + 1, size=(20, problem.n_nodes))
        found = WaterFilling().allocate(problem, options)
        feasible = problem.residuals(options, found.shares).feasible
        return [
            Plan(options[i], found.shares[i], found.prices[i], bool(found.status[i] == Status.OPTIMAL))
            for i in np.flatnonzero(feasible)
        ]

    @cached_property
    def values(self) -> FloatArray:
        """Mean delays of `plans`, s."""
        if not self.plans:
            return np.zeros(0)
        options, shares = (np.stack([getattr(plan, key) for plan in self.plans]) for key in ("options", "shares"))
        return self.problem.objective(options, shares)

    def place(self, placer: Placer, *, evaluations: int | None = None, problem: Problem | None = None) -> Placement:
        """Return what a placer finds within a few seconds."""
        stop = Stop(seconds=_SECONDS, evaluations=evaluations)
        return place(placer, problem or self.problem, WaterFilling(), stop=stop)

    @cached_property
    def exact(self) -> Placement | None:
        """What `exact` finds; None where it says that there is no plan."""
        if self.overloaded:
            return None
        try:
            return self.place(Exact())
        except DmcjiaError:
            return None

    @cached_property
    def best(self) -> Plan | None:
        """The best plan known."""
        known = [self.plans[int(self.values.argmin())]] if self.plans else []
        if self.exact is not None and self.exact.options is not None and self.exact.shares is not None:
            known.append(Plan(self.exact.options, self.exact.shares, self.exact.prices))
        return min(known, key=self.value, default=None)

    def value(self, plan: Plan) -> float:
        """Return a plan's mean delay, s, as our evaluator computes it."""
        return float(self.problem.objective(plan.options, plan.shares))

    @cached_property
    def attained(self) -> Fraction | None:
        """A mean delay, s, that a plan which meets every constraint exactly is known to have."""
        if self.best is None:
            return None
        shares = within_budget(self.problem, self.best.options, self.best.shares)
        return exact_delay(self.problem, self.best.options, shares)
