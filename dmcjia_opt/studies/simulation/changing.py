"""What changes while tasks pass: the speeds of links, and the plan."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.scenario.scenario import Scenario, Uplink
from dmcjia_opt.model.scenario.services import StageTimes
from dmcjia_opt.studies.online.conditions import Conditions
from dmcjia_opt.studies.online.traces import LinkTrace
from dmcjia_opt.studies.simulation.clock import Clock, Schedule
from dmcjia_opt.studies.simulation.node import Stage
from dmcjia_opt.studies.simulation.passage import Passage


@dataclass(frozen=True, eq=False)
class Changing:
    """Links and plans over time.

    Parameters
    ----------
    conditions
        The links that change; None where none does.
    problem
        As planned.
    times
        (n_plans,) when each plan begins, s; the first at 0.
    plans
        (n_plans,) their options and shares.
    passes
        (n_plans,) their stages.
    """

    conditions: Conditions | None
    problem: Problem
    times: FloatArray
    plans: tuple[tuple[IntArray, FloatArray], ...]
    passes: tuple[Passage, ...]

    @classmethod
    def of(
        cls,
        scenario: Scenario,
        times: StageTimes,
        problem: Problem,
        first: tuple[Passage, IntArray, FloatArray],
        links: LinkTrace | None,
        later: Sequence[tuple[float, IntArray, FloatArray]],
        uplink: Uplink,
    ) -> Changing:
        """Return what changes: the speeds of `links`, and the `first` plan for those that come `later`."""
        passage, options, shares = first
        others = [Passage.of(times, times.at(chosen), given, uplink) for _, chosen, given in later]
        plans = ((options, shares), *((chosen, given) for _, chosen, given in later))
        conditions = None if links is None else Conditions(scenario, links)
        if conditions is not None and conditions.rates:
            raise InputError(f"{conditions.trace.label}: arrival rates that change are replayed, not simulated")
        return cls(conditions, problem, np.array([0.0, *(at for at, _, _ in later)]), plans, (passage, *others))

    @property
    def anything(self) -> bool:
        """Whether something does."""
        return self.conditions is not None or len(self.plans) > 1

    @property
    def _period(self) -> float:
        """After which all begins anew, s; +inf without a trace."""
        return math.inf if self.conditions is None else self.conditions.trace.end

    def tasks(self, rate: FloatArray, least: int, warm_up: float) -> IntArray | None:
        """Return how many tasks (n_nodes,) make whole rounds of the trace, and at least `least`; None without one."""
        if self.conditions is None:
            return None
        end = self.conditions.trace.end
        rounds = np.maximum(np.ceil((1.0 - warm_up) * least / (rate * end)), 1.0)
        return np.ceil(rounds * end * rate / (1.0 - warm_up)).astype(np.int64)

    def passages(self) -> Iterator[tuple[Passage, IntArray]]:
        """Yield the stages of every plan at the mean speeds of the links, and its options."""
        mean = np.ones(self.passes[0].service.shape)
        for at, clock in self._clocks.items():
            mean[at] = clock.mean
        for passage, (chosen, _) in zip(self.passes, self.plans, strict=True):
            yield replace(passage, service=passage.service / mean), chosen

    def stages(self, node: int, stages: Sequence[Stage]) -> list[Stage]:
        """Return the stages of a node with what changes there."""
        if not self.anything:
            return list(stages)
        found = []
        for k, stage in enumerate(stages):
            services = np.array([one.service[node, k] for one in self.passes])
            if (services != services[0]).any():
                schedule = Schedule(self.times, services, self._period)
                stage = replace(stage, service=float(services.max()), schedule=schedule)
            found.append(replace(stage, clock=self._clocks.get((node, k))))
        return found

    @cached_property
    def _clocks(self) -> dict[tuple[int, int], Clock]:
        """The clocks of the stages whose speed changes, by node and stage."""
        if self.conditions is None:
            return {}
        n, n_stages = self.passes[0].service.shape
        found = {(d, k): self._clock(self.conditions, d, k) for d in range(n) for k in range(n_stages)}
        return {at: clock for at, clock in found.items() if clock is not None}

    def _clock(self, conditions: Conditions, node: int, k: int) -> Clock | None:
        """Return the clock of a stage of a node; None where its speed does not change."""
        trace, scenario, passage = conditions.trace, conditions.scenario, self.passes[0]
        if passage.names[k] == "uplink":
            column = conditions.column_of(node)
            planned = float(np.broadcast_to(scenario.nodes.uplink_mbps, scenario.n_nodes)[node])
        else:
            r = {int(one.resource[node, k]) for one in self.passes} - {-1}
            name = passage.resources[r.pop()].name if len(r) == 1 else ""
            column = trace.names.index(name) if name and name in trace.names else -1
            planned = next((link.mbps for link in scenario.links if link.name == name), math.nan)
        if column < 0:
            return None
        return Clock(np.append(trace.times, trace.end), trace.values[:, column] / planned)

    def model(self, delay: FloatArray) -> FloatArray:
        """Return the delays (n_nodes,) of the model in the mean over time, s; `delay` where nothing changes."""
        if not self.anything:
            return delay
        if self.conditions is None:
            return np.asarray(self.problem.node_delay(*self.plans[-1]))
        trace, total = self.conditions.trace, np.zeros(len(delay))
        edges = np.unique(np.concatenate([trace.times, self.times[self.times < trace.end]]))
        steps = np.searchsorted(trace.times, edges, side="right") - 1
        which = np.searchsorted(self.times, edges, side="right") - 1
        spans, problem, at = np.diff(np.append(edges, trace.end)), self.problem, -1
        for k, plan, span in zip(steps.tolist(), which.tolist(), spans.tolist(), strict=True):
            if k != at:
                problem, at = self.conditions.problem(trace.values[k]), k
            total += span * problem.node_delay(*self.plans[plan])
        return np.asarray(total / trace.end)
