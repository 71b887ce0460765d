"""Policies in a benchmark: what their plans take along a trace of links, made in a child and judged in the parent.

The trace is drawn by the run's seed. A policy's time is that of making its plans, and its delay the mean over the
trace, each step at its own speeds by the plan of that moment; switching costs nothing. What this package's search
proves of every step, in the parent, adds up to a bound of all policies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.bounds.certificate import judge, relative_gap
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.scenario.scenario import Scenario
from dmcjia_opt.solving.contract import Stop
from dmcjia_opt.solving.registry import build_placer
from dmcjia_opt.solving.running import place
from dmcjia_opt.studies.bench.instances import Instance
from dmcjia_opt.studies.bench.rows import Outcome
from dmcjia_opt.studies.bench.runs import Checked, Reply, Task
from dmcjia_opt.studies.online.conditions import Conditions, links_of
from dmcjia_opt.studies.online.replay import replay
from dmcjia_opt.studies.online.traces import LinkTrace

_SECONDS_A_STEP = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Along:
    """A fleet along a trace: the problem of each step, the part of the time that it lasts, and the bound of all, s."""

    problems: tuple[Problem, ...]
    parts: FloatArray
    bound: float


def replayed(task: Task, scenario: Scenario, links: LinkTrace) -> Reply:
    """Return the plans of a policy, (n_plans, n_nodes), and as its status at which steps it had another one."""
    (run,) = replay(scenario, links, [task.method]).runs
    return Reply(
        options=run.options,
        shares=run.shares,
        status=run.planned.astype(np.int64),
        evaluations=len(run.options),
        wall_seconds=float(run.plan_seconds.sum()),
    )


def along(instance: Instance, trace: str, seed: int) -> Along:
    """Return the steps of a trace at which plans are judged."""
    scenario = instance.load()
    links = links_of(trace, scenario, seed)
    conditions = Conditions(scenario, links)
    problems = tuple(conditions.problem(speeds) for speeds in links.values)
    parts = np.asarray(links.spans / links.spans.sum())
    stop = Stop(seconds=_SECONDS_A_STEP)
    proved = [place(build_placer("exact"), problem, WaterFilling(), stop=stop).lower_bound for problem in problems]
    return Along(problems, parts, float(parts @ proved))


def check_replay(steps: Along, reply: Reply) -> Checked:
    """Return what is true of the plans of a policy."""
    planned = np.asarray(reply.status)
    n_plans = np.shape(reply.options)[0] if np.ndim(reply.options) == 2 else -1
    known = steps.bound if np.isfinite(steps.bound) else None
    if planned.shape != steps.parts.shape or not planned[0] or planned.sum() != n_plans:
        return Checked(Outcome.INVALID, "its plans are not those of the steps it names", lower_bound_s=known)
    total = 0.0
    for k, (problem, plan) in enumerate(zip(steps.problems, np.cumsum(planned != 0) - 1, strict=True)):
        verdict = judge(problem, problem.check_options(reply.options[plan]), reply.shares[plan])
        if not verdict.feasible:
            return Checked(Outcome.NO_PLAN, f"at step {k} its plan is none: {verdict.violation}", lower_bound_s=known)
        total += float(steps.parts[k]) * verdict.objective
    bound = min(steps.bound, total)
    return Checked(Outcome.ANSWER, objective_s=total, lower_bound_s=bound, gap=relative_gap(total, bound))
