"""What a plan report is about: a plan whose every number is recomputed, and how busy its queues are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.base.errors import ClaimFalse
from dmcjia_opt.bounds.certificate import relative_gap
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.scenario import Scenario
from dmcjia_opt.model.scenario.services import Services, StageTimes, stage_times
from dmcjia_opt.model.uplinks import Stages
from dmcjia_opt.solving.choices import Choices
from dmcjia_opt.solving.contract import Status, proved
from dmcjia_opt.solving.infeasible import why_no_plan
from dmcjia_opt.solving.plan import Plan, PlanFile
from dmcjia_opt.solving.said import Provenance
from dmcjia_opt.solving.verifying import certify_file, check_objective
from dmcjia_opt.studies.look.words import delay_called

_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Loads:
    """The part of the time that each queue is busy; at 1 it is unstable.

    Parameters
    ----------
    stages
        (n_nodes,) by stage: λ x_e of the node's own compute, λ x_u of its uplink where that serves one task at a time,
        and λ/μ of what it has shares of, or the load of what is pooled, the largest of each kind; NaN where there is no
        queue.
    resources
        (n_resources,) Σ λ s: the part of the whole resource that is busy.
    """

    stages: Mapping[str, FloatArray]
    resources: FloatArray

    @property
    def busiest(self) -> FloatArray:
        """(n_nodes,) the load of each node's busiest queue."""
        return np.asarray(np.fmax.reduce(list(self.stages.values())))


@dataclass(frozen=True, eq=False)
class Subject:
    """A feasible plan with its scenario, everything about it recomputed.

    Parameters
    ----------
    scenario, problem, times
        What was planned, compiled, and the service times behind it.
    choices
        The plan: what every node does, and its shares.
    lower_bound
        Proved lower bound on what was minimised, of every plan, s.
    gap_tolerance
        The gap that was asked for.
    bound_from
        What the bound rests on.
    prices
        (n_resources,) prices where the dual is largest, s per unit share.
    provenance
        What is said about how the plan was made.
    scenario_file
        The scenario's file as whoever reads the report finds it; empty for none.
    claimed_bound
        What a plan file says its bound is, s; −inf where nothing but this package said so.
    """

    scenario: Scenario
    problem: Problem
    times: StageTimes
    choices: Choices
    lower_bound: float
    gap_tolerance: float
    bound_from: str
    prices: FloatArray
    provenance: Provenance
    scenario_file: str = ""
    claimed_bound: float = -math.inf

    @property
    def options(self) -> IntArray:
        """(n_nodes,) the option of each node."""
        return self.choices.options

    @property
    def several(self) -> bool:
        """Whether more is shared than one cloud."""
        return not self.scenario.menus.splits

    @property
    def price(self) -> float | None:
        """Price of the one resource there is, s per unit share; None where there are several."""
        return float(self.prices[0]) if len(self.prices) == 1 else None

    @cached_property
    def objective(self) -> float:
        """What was minimised, s: the mean of the nodes' delays, or the largest."""
        return float(self.problem.objective(self.options, self.choices.shares))

    @cached_property
    def delays(self) -> Stages:
        """Each node's delay by stage, s."""
        return self.problem.breakdown(self.options, self.choices.shares)

    @property
    def gap(self) -> float:
        """(objective − lower bound)/objective."""
        return relative_gap(self.objective, self.lower_bound)

    @property
    def status(self) -> Status:
        """OPTIMAL where the gap is closed, WITHIN where a looser one is met."""
        return proved(self.gap, self.gap_tolerance)

    @property
    def worst(self) -> bool:
        """Whether the delay of the worst node was minimised, not the mean."""
        return self.problem.worst

    @property
    def called(self) -> str:
        """What the delay that was minimised is called."""
        return delay_called(self.scenario.options.statistic, worst=self.worst)

    @property
    def bound_holds_for(self) -> str:
        """What the plans have in common that the bound is about."""
        return self.scenario.rule

    @cached_property
    def services(self) -> Services:
        """Service times of each node at its option, s."""
        return self.times.at(self.options)

    def with_bound(self, bound: float, bound_from: str) -> Subject:
        """Return the same with a proved lower bound, s, where that is more than rounding above the one it has."""
        if bound <= self.lower_bound * (1.0 + _ROUNDING):
            return self
        return replace(self, lower_bound=min(bound, self.objective), bound_from=bound_from)

    def loads(self) -> Loads:
        """Return how busy every queue is."""
        rate, services, choices = self.problem.arrival_rate, self.services, self.choices
        own = ("device", "uplink") if self.several else ("edge", "uplink")
        queue = self.scenario.options.uplink == "queue"
        upload = rate * services.upload if queue else np.full(len(rate), np.nan)
        asked = rate[:, None] * services.used
        with np.errstate(divide="ignore", invalid="ignore"):
            load = np.where(services.used > 0, asked / choices.shares, np.nan)
        pooled = (choices.resource >= 0) & np.append(self.problem.pooled, False)[choices.resource]
        load = np.where(pooled, np.append(choices.load, np.nan)[choices.resource], load)
        kinds = np.array([*(resource.kind for resource in choices.resources), ""])[choices.resource]
        shared = {"cloud": load[:, -1]}
        if self.several:
            there = sorted({resource.kind for resource in choices.resources})
            shared = {kind: np.fmax.reduce(np.where(kinds == kind, load, np.nan), axis=-1) for kind in there}
        stages = dict(zip(own, (rate * services.edge, upload), strict=True)) | shared
        return Loads(stages, choices.load)


def subject_of_plan(scenario: Scenario, plan: Plan, scenario_file: str = "") -> Subject:
    """Return the subject of a report on a plan that `solve` has just made, with the bound it proved."""
    times = stage_times(scenario)
    return Subject(
        scenario,
        compile_problem(scenario, times),
        times,
        plan.choices,
        lower_bound=plan.lower_bound,
        gap_tolerance=plan.gap_tolerance,
        bound_from=plan.bound_from,
        prices=plan.prices,
        provenance=Provenance.model_validate(plan.provenance()),
        scenario_file=scenario_file,
    )


def subject_of_file(scenario: Scenario, claims: PlanFile, scenario_file: str = "") -> Subject:
    """Return the subject of a report on a plan file, with the bound that the dual proves.

    Raises
    ------
    InputError
        If the plan has other splits than the scenario's nodes, or a field is malformed.
    ClaimFalse
        If it was made for another scenario, is not feasible, or has another delay than it says.
    """
    digest = scenario.sha256()
    if claims.scenario_sha256 != digest:
        raise ClaimFalse(
            f"it was made for another scenario: its hash is {claims.scenario_sha256[:12]}, that of "
            f"{scenario_file or scenario.name} {digest[:12]}; name the scenario it was made for with --scenario"
        )
    times = stage_times(scenario)
    problem = compile_problem(scenario, times)
    choices, certificate = certify_file(scenario, problem, claims)
    if not certificate.feasible:
        raise ClaimFalse(f"it is no plan: {why_no_plan(scenario, problem) or certificate.violation}")
    delay = check_objective(claims, certificate.objective)
    if not delay.true:
        raise ClaimFalse(
            f"{delay.what} is {delay.claimed}, recomputed {delay.recomputed}; dmcjia verify checks every claim"
        )
    return Subject(
        scenario,
        problem,
        times,
        choices,
        lower_bound=min(certificate.lower_bound, certificate.objective),
        gap_tolerance=claims.gap_tolerance,
        bound_from="dual",
        prices=certificate.prices,
        provenance=claims,
        scenario_file=scenario_file,
        claimed_bound=claims.lower_bound_s,
    )
