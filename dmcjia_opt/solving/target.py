"""What somebody asks to plan: a scenario, its file or a problem, and what is known of its nodes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.machine import installed_versions
from dmcjia_opt.base.showing import described
from dmcjia_opt.bounds.certificate import overload_of, relative_gap
from dmcjia_opt.bounds.loads import least_load
from dmcjia_opt.model.delay import TandemCurve
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.loading import scenario_of
from dmcjia_opt.model.scenario.scenario import Scenario
from dmcjia_opt.model.scenario.streams import cautions
from dmcjia_opt.solving.choices import Choices, choices_of
from dmcjia_opt.solving.contract import Placement, Status, Stop, proved
from dmcjia_opt.solving.infeasible import too_late, why_no_plan
from dmcjia_opt.solving.plan import Plan
from dmcjia_opt.solving.registry import LIBRARIES


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """A problem, and the scenario that it was compiled from, if it was.

    Parameters
    ----------
    problem
        The compiled problem.
    names
        (n_nodes,) what the nodes are called; they are counted from 1 where nobody named them.
    scenario
        None where a problem was given.
    picked
        (n_nodes,) the options of the scenario's menus that the problem has, where it has one for each node.
    """

    problem: Problem
    names: tuple[str, ...]
    scenario: Scenario | None = None
    picked: IntArray | None = None

    @classmethod
    def of(cls, given: Scenario | str | Path | Problem) -> Target:
        """Return what to plan.

        Raises
        ------
        InputError
            If it is neither a scenario, nor the path of one, nor a problem.
        """
        if isinstance(given, Problem):
            return cls(given, tuple(f"node-{d + 1}" for d in range(given.n_nodes)))
        scenario = scenario_of(given)
        return cls(compile_problem(scenario), tuple(scenario.nodes.names), scenario)

    def why_none(self) -> str:
        """Return in one sentence why no plan exists; empty where one may."""
        if self.scenario:
            return why_no_plan(self.scenario, self.problem)
        load = least_load(self.problem)
        if load < 1.0:
            return ""
        return (
            f"no plan exists: whatever the options, what is shared would be used {load:.4g} times; lower arrival_rate"
        )

    def why_not(self, options: IntArray, shares: FloatArray | None = None) -> str:
        """Return why options (n_nodes,), with shares (n_nodes, n_uses) if there are some, are no plan; or nothing."""
        late = too_late(self.scenario, self.problem, options, shares) if self.scenario else ""
        return late or ("" if shares is not None else overload_of(self.problem, options, self.names))

    def choices(self, options: IntArray, shares: FloatArray) -> Choices:
        """Return what options (n_nodes,) and shares (n_nodes, n_uses) say of every node."""
        return choices_of(self.scenario, self.problem, options, shares, self.picked)

    @property
    def rule(self) -> str:
        """What the plans have in common that a bound is about, in a few words."""
        if self.scenario:
            return self.scenario.rule
        parts = "this sharing" if self.problem.pooled.any() else "reserved shares"
        return f"{parts}, these options and these delay curves"

    @property
    def statistic(self) -> str:
        """What is meant by a node's delay."""
        return next((c.statistic for c in self.problem.use_curves if isinstance(c, TandemCurve)), "mean")

    def plan(
        self,
        found: Placement,
        objective: float,
        bound: tuple[float, FloatArray, str],
        *,
        placer: str,
        allocator: str,
        stop: Stop,
        started: str,
        seconds: float,
        seed: int = 0,
        status: Status = Status.FEASIBLE,
    ) -> Plan:
        """Return the plan that a search found, with what is claimed about it.

        Parameters
        ----------
        found
            Options, shares, trace and notes.
        objective, bound
            The recomputed objective, s; a proved bound, its prices and what it rests on.
        placer, allocator, seed, stop, started, seconds
            How it was made, and what it cost.
        status
            What it is called unless a gap is proved.
        """
        problem, scenario, (lower, prices, source) = self.problem, self.scenario, bound
        options, shares = found.options, found.shares
        if shares is None:
            raise InputError(f"a plan needs shares, got {described(shares)}")
        gap, delay = relative_gap(objective, lower), problem.node_delay(options, shares)
        return Plan(
            status=proved(gap, stop.tolerance, status),
            objective=objective,
            lower_bound=lower,
            gap=gap,
            gap_tolerance=stop.tolerance,
            choices=self.choices(options, shares),
            names=self.names,
            networks=scenario.network_names() if scenario else ("",) * problem.n_nodes,
            delays=problem.breakdown(options, shares),
            mean_delay=float((problem.weight * delay).sum()),
            worst_delay=float(delay.max()),
            deadlines=problem.deadline,
            placer=placer,
            allocator=allocator,
            seed=seed,
            evaluations=found.evaluations,
            wall_seconds=seconds,
            prices=prices,
            bound_from=source,
            scenario_sha256=scenario.sha256() if scenario else "",
            trace=found.trace,
            versions=installed_versions(LIBRARIES),
            bound_holds_for=self.rule,
            notes=(*found.notes, *(cautions(scenario) if scenario else ())),
            cautions=scenario.network_cautions() if scenario else (),
            limits=stop,
            started=started,
            scenario_name=scenario.name if scenario else problem.name,
            statistic=self.statistic,
            worst=problem.worst,
        )
