"""Plans of large fleets: prices, and the options they make cheapest, from a few passes over the nodes' columns.

On a large fleet the plan around the best price is as good as the bound, to within what one node takes. So nothing is
searched: a sample tells the price, a pass rules out what no price nearby makes cheapest, and a few more close in.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Any, Literal, TypeAlias

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.base.errors import BackendMissing, InputError
from dmcjia_opt.base.machine import installing
from dmcjia_opt.base.processes import raise_if_interrupted
from dmcjia_opt.bounds.certificate import relative_gap
from dmcjia_opt.bounds.crowds import Asking, Between, Chosen, FleetPart, PartedCrowd, Step
from dmcjia_opt.bounds.dual import DualPoint, rounding_slack
from dmcjia_opt.bounds.maximise import SAMPLE, all_at_once, around, guessed, roots_of
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.scenario.as_columns import Fleet
from dmcjia_opt.model.scenario.scenario import Scenario
from dmcjia_opt.solving.contract import Allocator, Callback, Placement, Status, Stop, TracePoint

#: Entries, nodes × options, from which fleets of one resource are planned from their columns.
LARGE = 1 << 21
#: Entries, nodes × options × uses, from which no tables are made: what prices leave open stays open.
MOST_TABLES = 1 << 26
_TRIED = 3  # of the best points of several prices
_FILLS, _FILLED = 30, 1e-13  # passes to fill what is shared, and the part that may be left


Backend: TypeAlias = Literal["numpy", "jax"]


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """A plan made from columns.

    Parameters
    ----------
    options
        (n_nodes,) the option of each node in the menus of its scenario.
    problem, found
        The problem of those options alone, and the plan there.
    done
        Whether that is it; otherwise its prices are where a search begins.
    """

    options: IntArray
    problem: Problem
    found: Placement
    done: bool


class _Spent(Exception):
    """Ends the passes when the budget is spent."""


@dataclass(eq=False)
class Passes:
    """Passes over a fleet: they look at the time, and remember the best bound and the best plan met on the way.

    Parameters
    ----------
    asked
        What asks the parts.
    n_parts, n_nodes
        How many there are of both.
    stop, callback
        The budget, and who is told of every pass.

    Attributes
    ----------
    best, incumbent
        The point that proves most, and that whose plan is best among those that fit.
    steps, latest
        The steps before the incumbent, and those before the last point.
    """

    asked: Asking
    n_parts: int
    n_nodes: int
    stop: Stop = field(default_factory=Stop)
    callback: Callback | None = None
    count: int = 0
    best: DualPoint | None = None
    incumbent: DualPoint | None = None
    steps: tuple[Step, ...] = ()
    latest: tuple[Step, ...] = ()
    trace: list[TracePoint] = field(default_factory=list)
    limited: bool = False

    def __post_init__(self) -> None:
        """Look at the clock."""
        self._started = time.perf_counter()

    @property
    def crowd(self) -> PartedCrowd:
        """The fleet, before any step."""
        return PartedCrowd(self._counted, self.n_parts, seen=self._seen)

    @property
    def seconds(self) -> float:
        """Wall time since the first pass."""
        return time.perf_counter() - self._started

    @property
    def bound(self) -> float:
        """The best lower bound so far, s."""
        if self.best is None:
            return -math.inf
        bound = self.best.value - rounding_slack(self.n_nodes, self.best.magnitude)
        return bound if math.isfinite(bound) else -math.inf

    @property
    def objective(self) -> float:
        """The mean delay, s, of the best plan met; +inf before there is one."""
        return math.inf if self.incumbent is None else delay_at(self.incumbent)

    def _counted(self, what: str, steps: tuple[Step, ...], *arguments: Sequence[Any]) -> list[Any]:
        if not self.limited:
            raise_if_interrupted()
        late = self.stop.seconds is not None and self.seconds >= self.stop.seconds
        done = self.stop.gap is not None and relative_gap(self.objective, self.bound) <= self.stop.gap
        searched = what in ("ask", "between") and not _is_chosen(steps)
        if self.incumbent is not None and searched and (late or done):
            self.limited = late and not done
            raise _Spent
        self.count += 1
        return self.asked(what, steps, *arguments)

    def _seen(self, steps: tuple[Step, ...], point: DualPoint) -> None:
        if _is_chosen(steps):
            return
        self.latest = steps
        if self.best is None or point.value > self.best.value:
            self.best = point
        if (point.use <= 1.0).all() and delay_at(point) < self.objective:
            self.incumbent, self.steps = point, steps
        self.trace.append(TracePoint(self.count, self.seconds, self.objective, self.bound))
        if self.callback is not None:
            self.callback(self.trace[-1])


def delay_at(point: DualPoint) -> float:
    """Return the mean delay, s, that options and shares at some prices have, if those fit."""
    return point.value + float((point.prices * (1.0 - point.use)).sum())


def _is_chosen(steps: tuple[Step, ...]) -> bool:
    return any(isinstance(step, Chosen) for step in steps)


def _inside(prices: FloatArray, step: Between) -> bool:
    return bool((np.array(step.low) <= prices).all() and (prices <= np.array(step.high)).all())


def passes_over(part: Any, stop: Stop, callback: Callback | None = None) -> Passes:  # noqa: ANN401 - see `part_of`
    """Return what asks a fleet that fits into memory, in one part."""

    def asked(what: str, steps: tuple[Step, ...], *arguments: Sequence[Any]) -> list[Any]:
        return [getattr(part, what)(steps, *(entries[0] for entries in arguments))]

    return Passes(asked, 1, part.fleet.n_nodes, stop, callback)


def part_of(fleet: Fleet, place: int, backend: Backend) -> Any:  # noqa: ANN401 - one of two that are used alike
    """Return what prices a part of a fleet.

    Raises
    ------
    BackendMissing
        If it takes JAX, and that is not installed.
    """
    if backend == "numpy":
        return FleetPart(fleet, place)
    if find_spec("jax") is None:
        raise BackendMissing(f'backend = "jax" needs JAX; {installing("jax")}')
    from dmcjia_opt.bounds.jax_part import JaxPart

    return JaxPart(fleet, place)


def chosen(passes: Passes, near: FloatArray) -> list[PartedCrowd]:
    """Return crowds in which every node has one option, the likeliest plan first; none if no price is in sight.

    Parameters
    ----------
    passes
        What asks the fleet.
    near
        (n_resources,) prices that are not far off, s per unit share.
    """
    try:
        if len(near) == 1:
            if (found := around(passes.crowd, float(near[0]))) is None:
                return []
            left, low, high = found
            room = 1.0 - float(high.use[0])
            return [_choose(left, low.prices, high.prices, room)]
        left, points = all_at_once(passes.crowd, near, narrow=True)
        return [
            _choose(left if k == 0 else passes.crowd, p.prices, p.prices, 0.0) for k, p in enumerate(points[:_TRIED])
        ]
    except (_Spent, KeyboardInterrupt) as error:
        if passes.incumbent is None:
            raise
        passes.limited = passes.limited or isinstance(error, KeyboardInterrupt)
        prices = passes.incumbent.prices
        within = all(isinstance(step, Between) and _inside(prices, step) for step in passes.latest)
        steps = passes.latest if within else passes.steps
        return [_choose(replace(passes.crowd, steps=steps), prices, prices, 0.0)]


def _choose(crowd: PartedCrowd, low: FloatArray, high: FloatArray, room: float) -> PartedCrowd:
    rooms = [room] * crowd.n
    if room > 0.0 and crowd.n > 1:
        more = crowd.asked("more", crowd.steps, [low] * crowd.n, [high] * crowd.n)
        before = np.concatenate([[0.0], np.cumsum(more)[:-1]])
        rooms = np.maximum(room - before, 0.0).tolist()
    return crowd.after(Chosen(tuple(low.tolist()), tuple(high.tolist()), tuple(rooms)))


def filled(crowd: PartedCrowd, near: FloatArray) -> DualPoint:
    """Return the point at which a crowd with one option a node uses up what is shared, and no more.

    `near` (n_resources,) are prices that are not far off. Newton's method on log axes, or where no slope is known the
    secant of the last two points.
    """
    prices, slope = np.array(near), np.full(len(near), -0.5)
    point = crowd.ask(prices)
    for _ in range(_FILLS):
        off = np.log(np.maximum(point.use, 1e-300))
        paid = prices > 0.0
        if (np.abs(off[paid]) <= _FILLED).all() and (point.use <= 1.0).all():
            break
        slope = np.where(point.elasticity < -1e-3, point.elasticity, slope)
        # a hair more than enough, so that rounding leaves no share over
        step = np.where(paid, np.clip(-(off + 0.25 * _FILLED) / slope, -2.0, 2.0), 0.0)
        prices = prices * np.exp(step)
        last, point = point, crowd.ask(prices)
        with np.errstate(divide="ignore", invalid="ignore"):
            secant = np.log(point.use / last.use) / step
        slope = np.where(np.isfinite(secant) & (secant < -1e-3) & (secant > -1.5), secant, slope)
    return point


def plan_of_columns(
    scenario: Scenario, allocator: Allocator, stop: Stop, callback: Callback | None = None, backend: Backend = "numpy"
) -> Made | None:
    """Return a plan of a large fleet from its columns alone (see `place_fleet`), if its prices prove it good enough.

    None where tables are better: the fleet is small, something is pooled, the worst node counts, or prices leave a
    larger gap than was asked for. Where JAX is asked for, that is what is known before there are tables.

    Raises
    ------
    InputError, BackendMissing
        If JAX is asked for what has no prices, or is not installed.
    """
    entries = scenario.n_nodes * scenario.menus.n_options
    if entries < LARGE and backend == "numpy":
        return None
    fleet = Fleet.of(scenario)
    whole = entries * len(fleet.times.slots) > MOST_TABLES
    pooled = any(resource.pooled for resource in fleet.resources)
    if pooled or scenario.options.objective == "worst":
        if backend == "numpy":
            return None
        what = "something is pooled" if pooled else "the worst node counts"
        raise InputError(f'backend = "jax" finds prices of reserved shares for the mean, and here {what}; leave it out')
    if len(fleet.resources) > 1 and not whole and backend == "numpy":
        return None
    passes = passes_over(part_of(fleet, 0, backend), stop, callback)
    made = place_fleet(fleet, allocator, passes, beginning([fleet]))
    return replace(made, done=True) if made and whole else made


def place_fleet(fleet: Fleet, allocator: Allocator, passes: Passes, near: FloatArray) -> Made | None:
    """Return a plan of a fleet that fits into memory.

    None if prices do not lead to a plan: the tables will tell why.
    """
    best: tuple[float, IntArray, Problem, FloatArray] | None = None
    for crowd in chosen(passes, near):
        ((options, _),) = crowd.asked("plan", crowd.steps, [near])
        problem = fleet.at(options)
        none = np.zeros(fleet.n_nodes, dtype=np.int64)
        if problem.overload(none) > 0:
            continue
        shares = allocator.allocate(problem, none[None]).shares[0]
        objective = float(problem.objective(none, shares))
        if math.isfinite(objective) and (best is None or objective < best[0]):
            best = objective, options, problem, shares
        if passes.limited or relative_gap(objective, passes.bound) <= passes.stop.tolerance:
            break
    if best is None or passes.best is None:
        return None
    objective, options, problem, shares = best
    passes.trace.append(TracePoint(passes.count, passes.seconds, objective, passes.bound))
    placement = Placement(
        options=np.zeros(fleet.n_nodes, dtype=np.int64),
        shares=shares,
        lower_bound=passes.bound,
        status=Status.LIMIT if passes.limited else Status.FEASIBLE,
        trace=tuple(passes.trace),
        evaluations=passes.count,
        prices=passes.best.prices,
    )
    closed = relative_gap(objective, passes.bound) <= passes.stop.tolerance
    return Made(options, problem, placement, passes.limited or closed)


def beginning(parts: Sequence[Fleet]) -> FloatArray:
    """Return prices (n_resources,) that are not far from the best ones, as a look at some of the nodes tells."""
    n = sum(part.n_nodes for part in parts)
    if len(parts[0].resources) > 1:
        roots = [roots_of(FleetPart(part).columns(), len(part.resources)) for part in parts]
        return np.asarray(np.sum(roots, axis=0) ** 2)
    some = [problem for part in parts for problem in sampled(part, SAMPLE * part.n_nodes // n)]
    return price_of(some, n)


def sampled(fleet: Fleet, wanted: int) -> list[Problem]:
    """Return the problems of about so many nodes of a fleet, spread over it."""
    some = fleet.only(np.unique(np.linspace(0, fleet.n_nodes - 1, max(wanted, 1)).astype(np.int64)))
    return [some.problem(kind, some.rows_of(kind)) for kind in np.unique(some.menus.index).tolist()]


def price_of(sample: Sequence[Problem], n_nodes: int) -> FloatArray:
    """Return the price (1,) of the one resource of so many nodes, as far as a sample of them tells."""
    return np.array([guessed(sample, sum(problem.n_nodes for problem in sample) / n_nodes)])
