"""From what a run says to what is true of it: every number of a row that is not called a claim is computed here."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.bounds.certificate import best_lower_bound, judge, lower_bound, options_lower_bound, relative_gap
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.solving.contract import Status
from dmcjia_opt.solving.infeasible import why_no_plan
from dmcjia_opt.studies.bench.instances import Instance
from dmcjia_opt.studies.bench.library import BestKnown
from dmcjia_opt.studies.bench.lineup import parts, spec_or_none
from dmcjia_opt.studies.bench.replaying import along, check_replay
from dmcjia_opt.studies.bench.rows import Outcome
from dmcjia_opt.studies.bench.runs import Checked, Reply, Task
from dmcjia_opt.studies.bench.sampling import feasible_plans

#: Relative rounding a claimed bound may be above a plan that exists.
BOUND_TOLERANCE = 1e-9
#: Relative error at which a claim of "optimal" counts as contradicted, where no looser gap was asked for.
OPTIMAL_TOLERANCE = 1e-6
_PROBLEMS_KEPT = 2
_TINY = float(np.finfo(np.float64).tiny)
_SHARES = {int(Status.OPTIMAL), int(Status.FEASIBLE)}


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """What is known of an instance before a method is run on it.

    Parameters
    ----------
    problem
        Its tables.
    bound
        The best proved lower bound, s: the dual's, or the library's where that is larger; +inf without any plan.
    best
        The least objective known, s: the library's, +inf if there is none.
    why_none
        Why there is no plan at all, in a sentence; empty if there is one.
    """

    problem: Problem
    bound: float
    best: float
    why_none: str


class Verifier:
    """Verifies the replies of any thread; the last instances are kept compiled.

    Parameters
    ----------
    library
        Best known values by instance hash.
    """

    def __init__(self, library: Mapping[str, BestKnown]) -> None:
        self._library = library
        self._lock = threading.Lock()
        self._known = lru_cache(_PROBLEMS_KEPT)(self._look_up)
        self._along = lru_cache(_PROBLEMS_KEPT)(along)

    def reference(self, instance: Instance) -> Reference:
        """Return what is known of an instance.

        Raises
        ------
        InputError
            If the instance generated here is not the one its hash was taken of.
        """
        with self._lock:
            return self._known(instance)

    def _look_up(self, instance: Instance) -> Reference:
        scenario = instance.load()
        problem = compile_problem(scenario)
        bound, _ = best_lower_bound(problem)
        best = math.inf
        if known := self._library.get(instance.sha256):
            best, bound = known.objective_s, max(bound, known.lower_bound_s)
        return Reference(problem, bound, best, why_no_plan(scenario, problem))

    def check(self, task: Task, reply: Reply) -> Checked:
        """Return what is true of a reply that is not an error."""
        if task.kind == "policy":
            with self._lock:
                steps = self._along(task.instance, task.trace, task.seed)
            return check_replay(steps, reply)
        reference = self.reference(task.instance)
        if task.kind == "allocator":
            return _batch(task, reference.problem, reply)
        return _plan(task, reference, reply)


def _plan(task: Task, reference: Reference, reply: Reply) -> Checked:
    problem = reference.problem
    outcome, message, objective = _value(problem, reply)
    if outcome is Outcome.NO_PLAN:
        message = reference.why_none or message
    placer = parts(task.kind, task.method)[0] or ""
    spec = spec_or_none("placer", placer)
    own = lower_bound(problem, reply.prices) if np.shape(reply.prices) == (problem.n_resources,) else -math.inf
    if spec is not None and spec.proves and not math.isnan(reply.lower_bound):
        own = max(own, min(reply.lower_bound, objective))  # above the plan it has found a bound has only rounding
    bound = max(reference.bound, own if own < math.inf else -math.inf)
    tolerance = max(OPTIMAL_TOLERANCE, task.stop.gap or 0.0)
    return Checked(
        outcome,
        message,
        claimed_status=reply.status,
        claimed_objective_s=finite(reply.trace[-1][2]) if reply.trace else None,
        claimed_lower_bound_s=finite(reply.lower_bound),
        objective_s=finite(objective),
        lower_bound_s=finite(bound),
        own_bound_s=finite(own),
        gap=finite(relative_gap(objective, bound)),
        correct=_correct(reply, objective, reference, tolerance),
    )


def _value(problem: Problem, reply: Reply) -> tuple[Outcome, str, float]:
    """Return how the plan of a reply is to be called, why, and its recomputed objective, s."""
    try:
        options = problem.check_options(reply.options)
        if reply.shares is None:
            gave_up = reply.status in (str(Status.INFEASIBLE), str(Status.LIMIT), str(Status.FAILED))
            what = "found no plan" if gave_up else "returned options that no shares make a plan"
            return (Outcome.NO_PLAN if gave_up else Outcome.INVALID), what, math.inf
        verdict = judge(problem, options, reply.shares)
    except InputError as error:
        return Outcome.INVALID, str(error), math.inf
    if verdict.feasible:
        return Outcome.ANSWER, "", verdict.objective
    if reply.status == str(Status.INFEASIBLE):
        return Outcome.NO_PLAN, "says itself that its plan is infeasible", math.inf
    return Outcome.INVALID, f"infeasible: {verdict.violation}", math.inf


def _correct(reply: Reply, objective: float, reference: Reference, tolerance: float) -> bool | None:
    """Return None without a claim, False if the claimed bound or the claim to be optimal is contradicted."""
    best = min(objective, reference.best)
    nothing = reply.status == str(Status.INFEASIBLE) and reply.lower_bound == math.inf
    optimal = reply.status in (str(Status.OPTIMAL), str(Status.WITHIN))  # to within the gap that was asked for
    if not (nothing or optimal or reply.lower_bound > -math.inf or math.isnan(reply.lower_bound)):
        return None
    if nothing:
        return bool(reference.why_none)
    if math.isnan(reply.lower_bound) or reply.lower_bound > best * (1 + BOUND_TOLERANCE):
        return False
    return not optimal or (math.isfinite(objective) and (objective - best) / objective <= tolerance + BOUND_TOLERANCE)


def _batch(task: Task, problem: Problem, reply: Reply) -> Checked:
    plans = feasible_plans(problem, task.plans, np.random.default_rng(task.seed))
    if plans is None:
        return Checked(Outcome.NO_PLAN, "no plan exists for this instance", plans=task.plans)
    n = len(plans)
    expected = {"shares": (*plans.shape, problem.n_uses), "prices": (n, problem.n_resources), "status": (n,)}
    for what, shape in expected.items():
        if np.shape(getattr(reply, what)) != shape:
            found = np.shape(getattr(reply, what))
            return Checked(Outcome.INVALID, f"{what} of shape {found} for plans of {plans.shape}", plans=task.plans)
    shares = np.asarray(reply.shares, dtype=np.float64)
    status = np.asarray(reply.status).astype(np.int64)
    value = np.array([judge(problem, *plan).objective for plan in zip(plans, shares, strict=True)])
    bound = _bounds(problem, plans, np.asarray(reply.prices, dtype=np.float64))
    usable = np.isfinite(value)
    optimal = status == int(Status.OPTIMAL)
    error = np.maximum(value[usable] - bound[usable], 0.0) / np.maximum(bound[usable], _TINY)
    false = int((np.isin(status, list(_SHARES)) & ~usable).sum())
    worst = float(error.max()) if usable.any() else None
    claimed = optimal & usable
    wrong = bool(((value - bound)[claimed] > OPTIMAL_TOLERANCE * bound[claimed]).any())
    outcome, message = Outcome.ANSWER, ""
    if false:
        outcome, message = Outcome.INVALID, f"the shares of {false} of {task.plans} plans are infeasible or not finite"
    elif not usable.any():
        outcome, message = Outcome.NO_PLAN, "no plan of the batch was given shares"
    elif not usable.all():
        message = f"{int((~usable).sum())} of {task.plans} plans without shares"
    return Checked(
        outcome,
        message,
        claimed_status=", ".join(f"{int((status == s).sum())} {_name(s)}" for s in np.unique(status)),
        correct=None if not optimal.any() else not (wrong or (optimal & ~usable).any()),
        plans=task.plans,
        converged=int(claimed.sum()),
        worst_error=worst,
    )


def _bounds(problem: Problem, plans: IntArray, prices: FloatArray) -> FloatArray:
    """Return the best proved bound, s, on each plan of a batch: at the method's own prices, or at water-filling's."""
    filled = WaterFilling().allocate(problem, plans)
    at = (filled.prices, prices)
    bounds = [options_lower_bound(problem, plans, one) for one in at]
    return np.asarray(np.maximum(*bounds))


def _name(status: int) -> str:
    return str(Status(status)) if status in set(map(int, Status)) else f"of unknown status {status}"


def trace(reply: Reply) -> tuple[tuple[int, float, float | None, float | None], ...]:
    """Return the trace of a reply with numbers that JSON has."""
    return tuple((count, seconds, finite(best), finite(bound)) for count, seconds, best, bound in reply.trace)


def finite(value: float | None) -> float | None:
    """Return a number that JSON has, or None."""
    return None if value is None or not math.isfinite(value) else float(value)
