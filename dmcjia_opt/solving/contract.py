"""What an allocator is, and what a method is to the registry: protocol, results, statuses, budgets, one row each."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray, absent
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.showing import brief
from dmcjia_opt.model.problem import Problem

#: A plan is optimal when its proved gap is no larger than this, or than the gap asked for if that is smaller.
OPTIMALITY_GAP = 1e-9

Kind = Literal["allocator", "placer"]
StatusArray = np.ndarray[tuple[int, ...], np.dtype[np.int8]]


class Status(IntEnum):
    """How a method ended; what it says is a claim until recomputed.

    ROUNDED is a search that left nothing out, with a gap that is all rounding; WITHIN one that met a looser gap.

    Examples
    --------
    >>> from dmcjia_opt import Status
    >>> str(Status.OPTIMAL), Status.WITHIN.in_words(0.01)
    ('optimal', 'within 1 % of the optimum, proved')
    """

    OPTIMAL = 0
    FEASIBLE = 1
    LIMIT = 2
    INACCURATE = 3
    INFEASIBLE = 4
    FAILED = 5
    ROUNDED = 6
    WITHIN = 7

    def __str__(self) -> str:
        return self.name.lower()

    def in_words(self, tolerance: float) -> str:
        """Return what the status of a plan says, `tolerance` being the gap that was asked for."""
        words = {
            Status.OPTIMAL: "optimal, proved",
            Status.WITHIN: f"within {100 * tolerance:.4g} % of the optimum, proved",
            Status.FEASIBLE: "feasible, not proved optimal",
            Status.LIMIT: "limit: the best when the budget was spent",
            Status.ROUNDED: "closed up to rounding: nothing was left out",
        }
        return words.get(self, str(self))


def proved(gap: float, tolerance: float, otherwise: Status = Status.FEASIBLE) -> Status:
    """Return what a proved gap makes of a plan: OPTIMAL, WITHIN the tolerance asked for, or else `otherwise`."""
    if gap <= min(tolerance, OPTIMALITY_GAP):
        return Status.OPTIMAL
    return Status.WITHIN if gap <= tolerance < 1.0 else otherwise


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

    Examples
    --------
    >>> import numpy as np
    >>> from dmcjia_opt import build_allocator, compile_problem, generate
    >>> problem = compile_problem(generate("paper", nodes=3, seed=1))
    >>> found = build_allocator("waterfilling").allocate(problem, np.array([[0, 16, 0]]))
    >>> found.shares.shape, found.status
    ((1, 3, 1), array([0], dtype=int8))
    """

    shares: FloatArray
    prices: FloatArray
    status: StatusArray

    __repr__ = brief

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
        Relative gap, (objective − lower bound)/objective, at which to stop; below 1.

    Examples
    --------
    >>> from dmcjia_opt import Stop, generate, solve
    >>> solve(generate("paper", nodes=10, seed=1), "genetic", stop=Stop(evaluations=500)).evaluations
    500
    """

    seconds: float | None = None
    evaluations: int | None = None
    gap: float | None = None

    @property
    def tolerance(self) -> float:
        """Relative gap that closes the search, the one asked for or else that of an optimum."""
        return OPTIMALITY_GAP if self.gap is None else self.gap

    def __post_init__(self) -> None:
        """Check the limits."""
        for name in ("seconds", "evaluations", "gap"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int | float | np.number) and 0 <= value < math.inf):
                part = "; 5 % is 0.05" if name == "gap" else ""
                raise InputError(f"{name} must be a finite number >= 0, got {value}{part}")
        if self.gap is not None and self.gap >= 1.0:
            raise InputError(f"gap is a part of the delay, below 1: 5 % is 0.05, got {self.gap:g}")
        if self.evaluations is not None and self.evaluations != int(self.evaluations):
            raise InputError(f"evaluations must be a whole number, got {self.evaluations}")
        if self.evaluations is not None and self.evaluations < 1:
            raise InputError(f"evaluations must be at least 1, got {self.evaluations}")


@dataclass(frozen=True, slots=True)
class TracePoint:
    """The search at one moment: distinct plans evaluated, wall seconds, incumbent (s) and proved lower bound (s).

    Examples
    --------
    >>> from dmcjia_opt import generate, solve
    >>> solve(generate("paper", nodes=3, seed=1)).trace[-1].evaluations
    1
    """

    evaluations: int
    seconds: float
    objective: float
    lower_bound: float


Callback = Callable[[TracePoint], None]


@dataclass(frozen=True, slots=True, eq=False)
class Placement:
    """What a search ended with.

    Parameters
    ----------
    options
        (n_nodes,) the option of each node: with one cloud, its split.
    shares
        (n_nodes, n_uses) shares of the resources; None where no plan was found.
    lower_bound
        A proved lower bound on the optimum, s; −inf if none was asked for.
    status
        How the search ended: LIMIT where the budget or Ctrl-C ended it, FAILED where the allocator did, INFEASIBLE
        where there is no plan, or options and shares are none; or what the method says, a claim until recomputed.
    trace
        The incumbent over time.
    evaluations
        Distinct plans whose shares were computed.
    prices
        (n_resources,) prices at which the bound may be recomputed, s per unit share; empty if there are none.
    bound_from
        The registered placer whose search proves `lower_bound`; empty where it is the dual's.
    notes
        What whoever reads the plan should know of how it was made, a sentence each.
    claimed_bound
        The lower bound that the method says and nobody believes, s; None where it says none.

    Examples
    --------
    >>> import numpy as np
    >>> from dmcjia_opt import Placement
    >>> Placement(np.array([0, 16, 0])).status
    <Status.FEASIBLE: 1>
    """

    options: IntArray
    shares: FloatArray | None = None
    lower_bound: float = -np.inf
    status: Status = Status.FEASIBLE
    trace: tuple[TracePoint, ...] = ()
    evaluations: int = 0
    prices: FloatArray = field(default_factory=absent)
    bound_from: str = ""
    notes: tuple[str, ...] = ()
    claimed_bound: float | None = None

    __repr__ = brief


@runtime_checkable
class Allocator(Protocol):
    """Shares for fixed options: the inner problem, batch first.

    Examples
    --------
    >>> from dmcjia_opt import Allocator, build_allocator
    >>> isinstance(build_allocator("waterfilling"), Allocator)
    True
    """

    def supports(self, problem: Problem) -> str | None:
        """Return None, or a sentence that says why this method cannot take `problem`."""

    def allocate(self, problem: Problem, options: IntArray) -> Allocation:
        """Return shares for `options` (n_plans, n_nodes)."""


def of_the_mean(problem: Problem, instead: str, *, percentiles: bool = True, renewal: bool = True) -> str | None:
    """Return why a method that models each use on its own, and the mean, cannot take a problem; None if it can.

    Parameters
    ----------
    problem
        The compiled problem.
    instead
        A method that takes it.
    percentiles
        Whether the method takes those.
    renewal
        Whether it takes arrivals that are not Poisson.
    """
    if problem.renewal and not renewal:
        return f"it has no form for arrivals that are not Poisson; use {instead}"
    if problem.worst:
        return f"it minimises the mean, not the worst node; use {instead}"
    if problem.promised:
        return f"it has no model of a deadline that several uses of one option keep together; use {instead}"
    if not (percentiles or all(curve.pieces() for curve in problem.use_curves)):
        return f"it has no form in which to write percentiles, which are tabulated; use {instead}"
    return None


def of_shares(problem: Problem, instead: str) -> str | None:
    """Return why a method that knows reserved shares only cannot take a problem; None if it can.

    `instead` is a method that takes it.
    """
    if not problem.pooled.any():
        return None
    return (
        f"{problem.resources[int(problem.pooled.argmax())]} is pooled, and it knows reserved shares only; use {instead}"
    )


class AnyProblem:
    """A method that takes every problem."""

    __slots__ = ()

    def supports(self, problem: Problem) -> str | None:
        """Every problem is supported."""
        return None


class AnyChoice:
    """A method that takes every problem whose nodes all have a choice."""

    __slots__ = ()

    def supports(self, problem: Problem) -> str | None:
        """Return why not, if a node has a single option."""
        return "a node has only one option" if (problem.last == 0).any() else None


@dataclass(frozen=True, slots=True)
class Spec:
    """One method.

    Parameters
    ----------
    kind
        ``"allocator"`` or ``"placer"``.
    name
        As given on the command line.
    target
        ``"module:Class"``.
    summary
        One line for people who choose.
    exact
        Allocator: the shares are optimal up to a tolerance. Placer: it ends with the optimum.
    requires
        Modules it imports beyond NumPy.
    extra
        The extra of this package that brings them; empty for the core.
    variant
        What may follow a colon in the name, and the first field of the class it sets; empty if nothing may.
    proves
        The bound it returns was derived by this package's own code, not claimed by a solver.
    options
        Fields of the class that this name fixes, with their values.
    baseline
        Placer: it follows a rule instead of searching, and may end without a plan where there are some.
    origin
        What a plug-in comes from: a distribution, or the module or file that was named; empty for our own methods.
    broken
        Why a plug-in cannot be loaded, in one sentence; empty if it can.
    """

    kind: Kind
    name: str
    target: str
    summary: str
    exact: bool = False
    requires: tuple[str, ...] = ()
    extra: str = ""
    variant: str = ""
    proves: bool = False
    options: tuple[tuple[str, bool], ...] = ()
    baseline: bool = False
    origin: str = ""
    broken: str = ""

    @property
    def trusted(self) -> bool:
        """Whether it is this package's own, which needs no supervision."""
        return not self.origin
