"""A base for placers that hand the cone model to a general solver: the anchors that our own `exact` is compared with.

What the solver says is recorded, and nothing of it is believed: the plan's shares come from the allocator, its value
from `Problem`, the bounds of its trace from our own dual; `Placement.lower_bound` is the solver's claim.
"""

from __future__ import annotations

import io
import math
import time
from abc import ABC, abstractmethod
from contextlib import redirect_stdout
from dataclasses import dataclass, replace

import numpy as np

from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.base.errors import BackendFailed, InputError
from dmcjia_opt.base.processes import silenced
from dmcjia_opt.methods.placers.solvers.cone_model import ConeModel, cone_model, refusal
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.contract import Allocator, Callback, Placement, Status, Stop
from dmcjia_opt.solving.search import Evaluation

#: Relative gap asked of a solver when `Stop` names none.
DEFAULT_GAP = 1e-6
#: More nodes than this are refused unless a placer's `max_nodes` says otherwise.
MAX_NODES = 1000


@dataclass(frozen=True, slots=True)
class Limits:
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
class Answer:
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
    """A placer whose splits are those of a mixed-integer solver; a subclass says how to call it."""

    __slots__ = ()

    max_nodes: int

    @property
    @abstractmethod
    def solver_name(self) -> str:
        """What to call the solver in a message."""

    @abstractmethod
    def solve(self, model: ConeModel, limits: Limits) -> Answer:
        """Return the solver's answer within the limits.

        Raises
        ------
        BackendFailed
            If the solver crashes or ends in a way of its own.
        """

    def supports(self, problem: Problem) -> str | None:
        """Refuse curves that no cone holds, and problems of more than `max_nodes` nodes."""
        return refusal(problem, self.max_nodes)

    def place(
        self,
        problem: Problem,
        allocator: Allocator,
        *,
        stop: Stop,
        rng: np.random.Generator,
        callback: Callback | None = None,
    ) -> Placement:
        """Return the solver's plan, with its bound as a claim.

        Raises
        ------
        InputError
            If `supports` refuses the problem.
        BackendFailed
            If the solver crashes, or what it says is nonsense.
        """
        started = time.perf_counter()
        if (why := self.supports(problem)) is not None:
            raise InputError(why)
        evaluation = Evaluation(problem, allocator, stop, callback)
        model = cone_model(problem)
        if model is None or math.isinf(evaluation.lower_bound):
            return evaluation.placement(Status.INFEASIBLE)
        deadline = math.inf if stop.seconds is None else started + stop.seconds
        with silenced(), redirect_stdout(io.StringIO()):  # CasADi prints to Python's own
            answer = self.solve(model, Limits(DEFAULT_GAP if stop.gap is None else stop.gap, deadline))
        if answer.status == Status.INFEASIBLE:
            raise BackendFailed(f"{self.solver_name} says that no plan exists, and there is one; use another placer")
        if answer.z is not None:
            self._evaluate(evaluation, model, answer.z)
        bound = answer.bound * model.unit if math.isfinite(answer.bound) else -math.inf
        return replace(evaluation.placement(answer.status), lower_bound=bound)

    def _evaluate(self, evaluation: Evaluation, model: ConeModel, z: FloatArray) -> None:
        if not model.is_choice(z):
            raise BackendFailed(f"{self.solver_name} returned a solution that is not integral; use another placer")
        splits = model.splits(z)
        if evaluation.problem.overload(splits) > 0:
            raise BackendFailed(f"{self.solver_name} returned a plan that overloads the cloud; use another placer")
        evaluation.solve_in_budget(splits[None, :])
