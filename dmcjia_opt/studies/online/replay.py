"""A trace replayed: what each policy's plans take step by step, beside the best that could have been."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dmcjia_opt.base.arrays import BoolArray, FloatArray, IntArray
from dmcjia_opt.base.errors import InfeasibleError, InputError
from dmcjia_opt.base.files import finite_or_null, write_text
from dmcjia_opt.base.handing import check_arguments
from dmcjia_opt.base.processes import process_pool
from dmcjia_opt.base.showing import brief, described
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.scenario.loading import scenario_of
from dmcjia_opt.model.scenario.scenario import Scenario
from dmcjia_opt.studies.online.conditions import Conditions, links_of
from dmcjia_opt.studies.online.planner import Planned, Planner
from dmcjia_opt.studies.online.policies import Forecast, Now, Policy, build_forecast, build_policy, last
from dmcjia_opt.studies.online.traces import LinkTrace

#: What is replayed unless told otherwise.
POLICIES = ("static", "static:harmonic", "periodic:60", "change:0.3", "oracle")
#: Steps for which another process is worth its start.
LEAST_STEPS = 600
_TOGETHER = 64  # steps whose best plans are sought one after the other, each from the last


@dataclass(frozen=True, slots=True)
class Switching:
    """What another plan costs a node whose option it changes.

    Parameters
    ----------
    seconds
        For how long its tasks wait.
    load_mbps
        How fast the weights of its new part are loaded, where memory holds those of one option only; +inf where they
        are all there.

    Examples
    --------
    >>> from dmcjia_opt import Switching, generate, replay
    >>> found = replay(generate("paper", nodes=3, seed=1), "markov:10", ["oracle"], switching=Switching(seconds=0.5))
    >>> found.switching
    Switching(seconds=0.5, load_mbps=inf)
    """

    seconds: float = 0.0
    load_mbps: float = float("inf")

    __repr__ = brief

    def __post_init__(self) -> None:
        """Check the values."""
        for key in ("seconds", "load_mbps"):
            if not isinstance(getattr(self, key), int | float | np.number):
                raise InputError(f"{key} must be a number, got {described(getattr(self, key))}")
        if not (np.isfinite(self.seconds) and self.seconds >= 0.0):
            raise InputError(f"switch seconds must be finite and >= 0, got {self.seconds:g}")
        if not self.load_mbps > 0.0:
            raise InputError(f"load_mbps must be > 0, got {self.load_mbps:g}")


@dataclass(frozen=True, slots=True, eq=False)
class PolicyRun:
    """What a policy did.

    Parameters
    ----------
    policy
        Its name.
    delay
        (n_steps,) weighted mean delay of the nodes that were served, s; NaN where none was.
    served
        (n_steps,) weight of those.
    switched
        (n_steps,) how many nodes changed their option.
    paid
        (n_steps,) what that cost: how much it adds to the weighted mean delay, times seconds.
    planned
        (n_steps,) whether there was another plan.
    plan_seconds
        How long each of those took.
    options, shares
        (n_plans, n_nodes) and (n_plans, n_nodes, n_uses); `planned` says when each began.

    Examples
    --------
    >>> from dmcjia_opt import generate, replay
    >>> found = replay(generate("paper", nodes=3, seed=1), "markov:10", ["static", "oracle"])
    >>> static, oracle = (run.mean_delay(found.trace.spans) for run in found.runs)
    >>> bool(static >= oracle)
    True
    """

    policy: str
    delay: FloatArray
    served: FloatArray
    switched: IntArray
    paid: FloatArray
    planned: BoolArray
    plan_seconds: FloatArray
    options: IntArray
    shares: FloatArray

    __repr__ = brief

    def mean_delay(self, spans: FloatArray) -> float:
        """Return the mean over time and nodes, s, with what switching cost."""
        weight = spans * self.served
        total = weight.sum()
        return (
            float((np.where(weight > 0, self.delay * weight, 0.0).sum() + self.paid.sum()) / total) if total else np.inf
        )

    def quantile(self, spans: FloatArray, level: float) -> float:
        """Return the delay, s, that the mean over nodes keeps for that part of the time."""
        order = np.argsort(np.where(self.served > 0, self.delay, np.inf), kind="stable")
        row = int(np.searchsorted(np.cumsum(spans[order]), level * spans.sum() * (1.0 - 1e-12)))
        k = int(order[min(row, len(order) - 1)])
        return float(self.delay[k]) if self.served[k] > 0 else np.inf

    def unserved(self, spans: FloatArray) -> float:
        """Return for how many seconds some node's queue had no mean delay."""
        return float(spans[self.served < 1.0 - 1e-12].sum())


@dataclass(frozen=True, slots=True, eq=False)
class Replay:
    """What all policies did.

    Parameters
    ----------
    scenario, trace, switching
        What was replayed.
    runs
        One a policy.
    bound
        (n_steps,) what is proved of every plan of each step, s.

    Examples
    --------
    >>> from dmcjia_opt import generate, replay
    >>> found = replay(generate("paper", nodes=3, seed=1), "markov:10", ["static", "oracle"])
    >>> [run.policy for run in found.runs]
    ['static', 'oracle']
    """

    scenario: Scenario
    trace: LinkTrace
    switching: Switching
    runs: tuple[PolicyRun, ...]
    bound: FloatArray

    __repr__ = brief

    @property
    def lower_bound(self) -> float:
        """The mean over time of what is proved of each step, s; no policy is faster, whatever it knows."""
        return float(self.bound @ self.trace.spans / self.trace.end)

    def regret(self, run: PolicyRun) -> float:
        """Return by which part of that bound a policy is slower."""
        return run.mean_delay(self.trace.spans) / self.lower_bound - 1.0

    def to_dict(self) -> dict[str, Any]:
        """Return what `save` writes."""
        spans = self.trace.spans
        policies = [
            {
                "policy": run.policy,
                "mean_delay_s": finite_or_null(run.mean_delay(spans)),
                "p95_s": finite_or_null(run.quantile(spans, 0.95)),
                "lower_bound_s": finite_or_null(self.lower_bound),
                "regret": finite_or_null(self.regret(run)),
                "switches": int(run.switched.sum()),
                "replans": int(run.planned.sum()),
                "replan_ms": finite_or_null(1e3 * float(np.median(run.plan_seconds))),
                "unserved_s": run.unserved(spans),
            }
            for run in self.runs
        ]
        return {
            "format": "dmcjia-opt-replay-1",
            "scenario": self.scenario.name,
            "scenario_sha256": self.scenario.sha256(),
            "trace": self.trace.label,
            "seconds": self.trace.end,
            "steps": len(self.trace.times),
            "switch_seconds": self.switching.seconds,
            "load_mbps": finite_or_null(self.switching.load_mbps),
            "bound_holds_for": self.scenario.rule,
            "policies": policies,
        }

    def save(self, path: str | Path) -> None:
        """Write it as JSON; the file appears whole or not at all."""
        write_text(path, json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n")

    def to_csv(self, path: str | Path) -> None:
        """Write a row for each step: when it begins, what is proved of it, and the mean delay of each policy, s."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["time_s", "lower_bound_s", *(f"{run.policy} (s)" for run in self.runs)])
        columns = [self.trace.times, self.bound, *(run.delay for run in self.runs)]
        writer.writerows([["" if np.isnan(cell) else cell for cell in row] for row in np.stack(columns, 1).tolist()])
        write_text(path, text.getvalue())

    def save_page(self, path: str | Path) -> None:
        """Write its page, one HTML file that needs no network."""
        from dmcjia_opt.studies.online.replay_page import replay_page

        write_text(path, replay_page(self))


def replay(
    scenario: Scenario | str | Path,
    trace: LinkTrace | str | Path,
    policies: Sequence[str | Policy] = POLICIES,
    *,
    seed: int = 0,
    forecast: Forecast | str = last,
    switching: Switching | None = None,
    jobs: int = 1,
    progress: Callable[[float], None] | None = None,
) -> Replay:
    """Return what policies do under links that change, and the least that anyone could take.

    Delays are those of the model while a step lasts: at its speeds, by the plan of the policy. A policy plans when a
    step begins, and knows the steps before it.

    Parameters
    ----------
    scenario
        The fleet, or the path of its file; its speeds count where the trace says none.
    trace
        Which links change, and how; or the path of a file, ``markov:SECONDS`` or ``onoff:SECONDS``.
    policies
        Names (see `policies.build_policy`) or objects.
    seed
        Of a trace that is drawn.
    forecast
        What is expected of the next step, from those before it; a function, or ``last`` or ``smooth:ALPHA``.
    switching
        What another plan costs; nothing by default.
    jobs
        Processes that look for the best plans.
    progress
        Called with the fraction done.

    Raises
    ------
    InputError, InfeasibleError
        If an argument is malformed; if there is no plan to begin with.

    Examples
    --------
    >>> from dmcjia_opt import generate, replay
    >>> found = replay(generate("paper", nodes=3), "markov:20", ["static", "oracle"])
    >>> found.regret(found.runs[0]) >= found.regret(found.runs[1])
    True
    """
    check_arguments(replay, locals(), "scenario")
    scenario = scenario_of(scenario)
    trace = trace if isinstance(trace, LinkTrace) else links_of(str(trace), scenario, seed)
    forecast = build_forecast(forecast) if isinstance(forecast, str) else forecast
    conditions, switching = Conditions(scenario, trace), switching or Switching()
    if np.isfinite(switching.load_mbps):
        for profile in scenario.profiles.values():
            if profile.weight_bytes is None:
                raise InputError(f'load_mbps needs the size of weights, and the profile "{profile.name}" has none')
    chosen = [build_policy(policy) if isinstance(policy, str) else policy for policy in policies]
    best = _best(conditions, jobs, progress)
    n_steps = len(trace.times)
    known = {trace.values[k].tobytes(): best[k] for k in range(n_steps)}
    states = [_State(policy, Planner(conditions, known=known), switching, forecast) for policy in chosen]
    for k in range(n_steps):
        problem = conditions.problem(trace.values[k])
        for state in states:
            state.step(k, problem)
        if progress is not None:
            progress(0.5 + 0.5 * (k + 1) / n_steps)
    bound = np.array([np.nan if one is None else one.lower_bound for one in best])
    return Replay(scenario, trace, switching, tuple(state.run() for state in states), bound)


def _best(conditions: Conditions, jobs: int, progress: Callable[[float], None] | None) -> list[Planned | None]:
    """Return the best plan of every step; the same whatever the number of processes."""
    n_steps = len(conditions.trace.times)
    parts = [range(start, min(start + _TOGETHER, n_steps)) for start in range(0, n_steps, _TOGETHER)]
    found: list[Planned | None] = []
    with ExitStack() as stack:
        several = min(jobs, len(parts))
        if several > 1:
            pool = stack.enter_context(process_pool(several))
        for part in (pool.map if several > 1 else map)(partial(_best_of, conditions), parts):
            found += part
            if progress is not None:
                progress(0.5 * len(found) / n_steps)
    return found


def _best_of(conditions: Conditions, steps: range) -> list[Planned | None]:
    planner = Planner(conditions)
    return [planner.at(conditions.trace.values[k]) for k in steps]


class _State:
    """A policy on its way through the trace."""

    def __init__(self, policy: Policy, planner: Planner, switching: Switching, forecast: Forecast) -> None:
        self.policy, self.planner, self.switching, self.forecast = policy, planner, switching, forecast
        self.conditions = conditions = planner.conditions
        self.current: Planned | None = None
        self.began = 0.0
        n = len(conditions.trace.times)
        self.delay, self.served, self.paid = np.full(n, np.nan), np.zeros(n), np.zeros(n)
        self.switched, self.planned = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.bool_)
        self.plans: list[Planned] = []

    def step(self, k: int, problem: Problem) -> None:
        """Go through a step."""
        trace = self.conditions.trace
        expected = np.asarray(self.forecast(trace.values[: max(k, 1)]), dtype=np.float64)
        if expected.shape != (len(trace.names),) or not (np.isfinite(expected) & (expected > 0)).all():
            raise InputError(f"the forecast must be {len(trace.names)} speeds > 0, in Mbit/s, got {expected!r}")
        seconds = float(trace.times[k])
        now = Now(k, seconds, expected, self.current, seconds - self.began, trace, self.planner)
        found = self.policy.plan(now)
        if found is not None:
            self._adopt(k, seconds, problem, found)
        if self.current is None:
            raise InfeasibleError(f"{self.policy.name}: there is no plan at the speeds that it begins with")
        delay = problem.node_delay(self.current.options, self.current.shares)
        fine = np.isfinite(delay)
        self.served[k] = problem.weight[fine].sum()
        if fine.any():
            self.delay[k] = problem.weight[fine] @ delay[fine] / self.served[k]

    def _adopt(self, k: int, seconds: float, problem: Problem, found: Planned) -> None:
        if self.current is not None:
            moved = found.options != self.current.options
            self.switched[k] = moved.sum()
            if moved.any():
                away = self._away(found.options, moved)
                self.paid[k] = 0.5 * problem.weight[moved] @ away**2
        self.current, self.began, self.planned[k] = found, seconds, True
        self.plans.append(found)

    def _away(self, options: IntArray, moved: BoolArray) -> FloatArray:
        """Return for how long nodes that change their option serve nobody, s."""
        away = np.full(int(moved.sum()), self.switching.seconds)
        if np.isfinite(self.switching.load_mbps):
            scenario = self.conditions.scenario
            cuts = scenario.menus.all_cuts(options)[moved, 0]
            for i, (d, cut) in enumerate(zip(np.flatnonzero(moved).tolist(), cuts.tolist(), strict=True)):
                weights = scenario.profiles[scenario.nodes.network_of(d)].weight_bytes
                away[i] += (0.0 if weights is None else float(weights[:cut].sum())) * 8e-6 / self.switching.load_mbps
        return away

    def run(self) -> PolicyRun:
        """Return what was done."""
        return PolicyRun(
            policy=self.policy.name,
            delay=self.delay,
            served=self.served,
            switched=self.switched,
            paid=self.paid,
            planned=self.planned,
            plan_seconds=np.array([plan.seconds for plan in self.plans]),
            options=np.array([plan.options for plan in self.plans]),
            shares=np.array([plan.shares for plan in self.plans]),
        )
