"""A base for placers that hand the cone model to a general solver: the anchors that our own `exact` is compared with.

What the solver says is recorded, and nothing of it is believed: the plan's shares come from the allocator, its value
from `Problem`, the bounds of its trace from our own dual; the solver's own status and bound are claims.
"""

from __future__ import annotations

import io
import math
import time
from abc import ABC, abstractmethod
from contextlib import redirect_stdout
from dataclasses import dataclass

import numpy as np

from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.base.errors import BackendFailed
from dmcjia_opt.base.processes import silenced
from dmcjia_opt.methods.placers.solvers.cone_model import ConeModel, cone_model, refusal
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.contract import Status
from dmcjia_opt.solving.search import Search

#: Relative gap asked of a solver when `Stop` names none.
DEFAULT_GAP = 1e-6
#: More nodes than this are refused unless a placer's `max_nodes` says otherwise.
MAX_NODES = 1000


@dataclass(frozen=True, slots=True)
class SolverLimits:
    """What a solver may spend.

    Parameters
    ----------
    gap
        Relative gap at which it may stop.
    deadline
        When it must, on the clock of `time.perf_counter`; +inf for never.
    """

    gap: float
    deadline: float

    @property
    def seconds(self) -> float:
        """Seconds left, ≥ 0; +inf without a time limit."""
        return max(self.deadline - time.perf_counter(), 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class SolverAnswer:
    """What a solver says of a cone model.

    Parameters
    ----------
    status
        OPTIMAL, LIMIT, INACCURATE or INFEASIBLE.
    z
        (n_candidates,) its best solution, or None.
    bound
        Its lower bound, in units of the model; −inf if it has none.
    """

    status: Status
    z: FloatArray | None = None
    bound: float = -math.inf


class ConePlacer(ABC):
    """A placer whose options are those of a mixed-integer solver; a subclass says how to call it."""

    __slots__ = ()

    max_nodes: int

    @property
    @abstractmethod
    def solver_name(self) -> str:
        """What to call the solver in a message."""

    @abstractmethod
    def solve(self, model: ConeModel, limits: SolverLimits) -> SolverAnswer:
        """Return the solver's answer within the limits.

        Raises
        ------
        BackendFailed
            If the solver crashes or ends in a way of its own.
        """

    def supports(self, problem: Problem) -> str | None:
        """Refuse curves that no cone holds, and problems of more than `max_nodes` nodes."""
        return refusal(problem, self.max_nodes)

    def search(self, search: Search, rng: np.random.Generator) -> None:
        """Have the solver's plan evaluated, and its bound recorded as a claim.

        Raises
        ------
        BackendFailed
            If the solver crashes, or what it says is nonsense.
        """
        model = None if math.isinf(search.lower_bound) else cone_model(search.problem)
        if model is None:
            return  # no plan exists, and the bound says so
        gap, deadline = search.stop.gap, time.perf_counter() + search.seconds_left
        with silenced(), redirect_stdout(io.StringIO()):  # CasADi prints to Python's own
            answer = self.solve(model, SolverLimits(DEFAULT_GAP if gap is None else gap, deadline))
        if answer.status == Status.INFEASIBLE:
            raise BackendFailed(f"{self.solver_name} says that no plan exists, and there is one; use another placer")
        search.claim(answer.status, answer.bound * model.unit if math.isfinite(answer.bound) else -math.inf)
        if answer.z is not None:
            self._evaluate(search, model, answer.z)

    def _evaluate(self, search: Search, model: ConeModel, z: FloatArray) -> None:
        if not model.is_choice(z):
            raise BackendFailed(f"{self.solver_name} returned a solution that is not integral; use another placer")
        problem, options = search.problem, model.options(z)
        if problem.overload(options) > 0:
            load = problem.by_resource(options, problem.least_share(options))
            full = problem.resources[int(load.argmax())]
            raise BackendFailed(f"{self.solver_name} returned a plan that overloads {full}; use another placer")
        search.solve_in_budget(options[None, :])
