"""What an allocator and a placer are: the two protocols, their results, statuses and budgets."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol, runtime_checkable

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.model.problem import Problem

#: A plan counts as optimal when its proved gap is no larger than this, or than the gap asked for if that is larger.
OPTIMALITY_GAP = 1e-9

StatusArray = np.ndarray[tuple[int, ...], np.dtype[np.int8]]


class Status(IntEnum):
    """How a method ended; what it says is a claim until recomputed."""

    OPTIMAL = 0
    FEASIBLE = 1
    LIMIT = 2
    INACCURATE = 3
    INFEASIBLE = 4
    FAILED = 5

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True, eq=False)
class Allocation:
    """Shares for a batch of plans.

    Parameters
    ----------
    shares
        (n_plans, n_nodes, n_uses) fractions of the resources; NaN rows where the plan is infeasible or the solver
        failed. The last axis may be left out where there is one use.
    prices
        (n_plans, n_resources) marginal value of each resource's capacity, s per unit share; NaN where unknown. The
        last axis may be left out where there is one resource.
    status
        (n_plans,) `Status` values as int8.
    """

    shares: FloatArray
    prices: FloatArray
    status: StatusArray

    def __post_init__(self) -> None:
        """Complete the last axes."""
        if np.ndim(self.shares) == 2:
            object.__setattr__(self, "shares", self.shares[..., None])
        if np.ndim(self.prices) == 1:
            object.__setattr__(self, "prices", self.prices[..., None])


@dataclass(frozen=True, slots=True)
class Stop:
    """Budget of a placer; None means no limit.

    Parameters
    ----------
    seconds
        Wall time, kept to within one inner solve.
    evaluations
        Number of distinct plans whose shares are computed.
    gap
        Relative gap, (objective − lower bound)/objective, at which to stop.
    """

    seconds: float | None = None
    evaluations: int | None = None
    gap: float | None = None

    @property
    def tolerance(self) -> float:
        """Relative gap at which a plan counts as optimal."""
        return max(OPTIMALITY_GAP, self.gap or 0.0)

    def __post_init__(self) -> None:
        """Check the limits."""
        for name in ("seconds", "evaluations", "gap"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise InputError(f"{name} must be a finite number >= 0, got {value}")
        if self.evaluations is not None and self.evaluations < 1:
            raise InputError(f"evaluations must be at least 1, got {self.evaluations}")


@dataclass(frozen=True, slots=True)
class TracePoint:
    """The search at one moment: distinct plans evaluated, wall seconds, incumbent (s) and proved lower bound (s)."""

    evaluations: int
    seconds: float
    objective: float
    lower_bound: float


Callback = Callable[[TracePoint], None]


@dataclass(frozen=True, slots=True, eq=False)
class Placement:
    """What a placer returns; only the splits are required.

    Parameters
    ----------
    splits
        (n_nodes,) split points.
    shares
        (n_nodes,) cloud shares, or None to have the allocator fill them in.
    lower_bound
        A claimed lower bound on the optimum, s.
    status
        How the search ended.
    trace
        The incumbent over time.
    evaluations
        Distinct plans whose shares were computed.
    price
        A multiplier of the capacity constraint from which a bound can be recomputed; NaN if none.
    bound_from
        The registered placer whose search proves `lower_bound`; the one that was called, when empty.
    notes
        What whoever reads the plan should know of how it was made, a sentence each.
    """

    splits: IntArray
    shares: FloatArray | None = None
    lower_bound: float = -np.inf
    status: Status = Status.FEASIBLE
    trace: tuple[TracePoint, ...] = ()
    evaluations: int = 0
    price: float = np.nan
    bound_from: str = ""
    notes: tuple[str, ...] = ()


@runtime_checkable
class Allocator(Protocol):
    """Shares for fixed splits: the inner problem, batch first."""

    def supports(self, problem: Problem) -> str | None:
        """Return None, or a sentence that says why this method cannot take `problem`."""

    def allocate(self, problem: Problem, splits: IntArray) -> Allocation:
        """Return shares for `splits` (n_plans, n_nodes)."""


@runtime_checkable
class Placer(Protocol):
    """Splits, given any allocator: the outer problem."""

    def supports(self, problem: Problem) -> str | None:
        """Return None, or a sentence that says why this method cannot take `problem`."""

    def place(
        self,
        problem: Problem,
        allocator: Allocator,
        *,
        stop: Stop,
        rng: np.random.Generator,
        callback: Callback | None = None,
    ) -> Placement:
        """Return the best plan found within `stop`."""
