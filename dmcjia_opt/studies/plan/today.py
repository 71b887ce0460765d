"""What fleets do that nobody plans together, beside the plan: all at the edge, all on the servers, each for itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from dmcjia_opt.base.showing import percent
from dmcjia_opt.bounds.certificate import judge
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.model.uplinks import Stages
from dmcjia_opt.solving.registry import build_placer
from dmcjia_opt.solving.running import place
from dmcjia_opt.studies.look.page import Cell
from dmcjia_opt.studies.look.words import seconds
from dmcjia_opt.studies.plan.subject import Subject

#: How each way is called, and the placer that goes it; what is shared is shared as well as possible for all of them.
WAYS: Mapping[str, str] = MappingProxyType(
    {"all at the edge": "edge-only", "all on the servers": "cloud-only+", "each for itself": "neurosurgeon+"}
)
PLANNED = "this plan"


@dataclass(frozen=True, slots=True, eq=False)
class Habit:
    """A way to run the fleet.

    Parameters
    ----------
    name
        What it is called.
    objective
        What is minimised, s.
    stages
        The weighted mean over the nodes of what each stage takes, s.
    worst
        The largest delay of a node, s.
    """

    name: str
    objective: float
    stages: Mapping[str, float]
    worst: float


def today(subject: Subject) -> tuple[list[Habit], list[str]]:
    """Return every way that has a plan, this plan last, and the names of those that have none."""
    found, without = [], []
    problem = subject.problem
    for name, placer in WAYS.items():
        chosen = build_placer(placer)
        if chosen.supports(problem) is not None:
            continue
        made = place(chosen, problem, WaterFilling())
        if made.shares is None or not (verdict := judge(problem, made.options, made.shares)).feasible:
            without.append(name)
        else:
            found.append(_habit(subject, name, verdict.objective, problem.breakdown(made.options, made.shares)))
    return [*found, _habit(subject, PLANNED, subject.objective, subject.delays)], without


def _habit(subject: Subject, name: str, objective: float, delays: Stages) -> Habit:
    weight = subject.problem.weight / subject.problem.weight.sum()
    called = ("device", "network", "servers") if subject.several else ("edge", "upload", "cloud")
    stages = (delays.edge, delays.upload, delays.cloud)
    means = {stage: float(weight @ each) for stage, each in zip(called, stages, strict=True)}
    return Habit(name, objective, means, float(delays.total.max()))


def rows(subject: Subject, ways: list[Habit]) -> list[list[Cell | str]]:
    """Return a row a way: what it takes, how much more than the plan that is, its stages and its slowest node."""
    told: list[list[Cell | str]] = []
    for way in ways:
        more = way.objective / subject.objective - 1.0
        told.append(
            [
                way.name,
                Cell(seconds(way.objective), way.objective),
                Cell("–" if way.name == PLANNED else f"{'+' if more > 0 else ''}{percent(more)}", more),
                *(Cell(seconds(value) if value else "–", value) for value in way.stages.values()),
                Cell(seconds(way.worst), way.worst),
            ]
        )
    return told
