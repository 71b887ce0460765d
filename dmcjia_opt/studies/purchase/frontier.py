"""Cost against delay: what a shorter delay costs, and what it costs at least.

At a worth y of a second of the mean delay every node takes what costs least, delay counted; the plan that this gives is
the cheapest of all with its mean delay. With a(y) the least of cost and y times mean together, no plan of mean delay t
costs less than a(y) − y·t: the largest of these lines is the lower envelope of all plans.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import numpy as np

from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.base.errors import InfeasibleError, InputError
from dmcjia_opt.base.files import write_text
from dmcjia_opt.base.handing import check_arguments
from dmcjia_opt.base.showing import brief
from dmcjia_opt.bounds.bundle import climb
from dmcjia_opt.model.scenario.loading import scenario_of
from dmcjia_opt.model.scenario.scenario import Scenario
from dmcjia_opt.solving.contract import Stop
from dmcjia_opt.solving.solve import solve
from dmcjia_opt.studies.look.words import delay_called
from dmcjia_opt.studies.purchase.buying import Bought, cheapest
from dmcjia_opt.studies.purchase.market import Market, Offer
from dmcjia_opt.studies.purchase.sale import Sale
from dmcjia_opt.studies.purchase.size import Sizing

T = TypeVar("T")

#: Points of a frontier, unless told otherwise; at least and at most.
POINTS, FEWEST, MOST = 25, 2, 1000
_MS = 1e-3
_STEP = 4.0  # the worth of a second, or the excess of a deadline, from one look at its range to the next
_STEPS, _FLAT = 40, 3
_NEAR = 0.1  # a delay that exceeds the shortest by no more than this part is nearly as short
_FAR = 20.0  # times the shortest delay, and nobody asks further
_SAME = 0.01  # a quantity that changes by less than this part in some steps will hardly change further
_TODAY = Stop(seconds=20.0)


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """A delay, and what it costs.

    Parameters
    ----------
    delay_s
        The mean delay, or the deadline of every node, s.
    cost
        What the cheapest plan found costs, or the one capacity that it takes, in any amount.
    lower_bound
        No plan of that delay costs less.
    capacity
        (n_resources,) what it takes of each, GFLOP/s or Mbit/s; what is not for sale as it is.
    whole_capacity, whole_cost
        The same in whole steps, as it is sold, and what that costs.
    whole_delay_s
        The mean delay, or that of the worst node, when what rounding adds is shared out, s.

    Examples
    --------
    >>> from dmcjia_opt import frontier, generate
    >>> point = frontier(generate("paper", nodes=5, seed=1), deadlines_ms=[600]).points[0]
    >>> point.delay_s, point.cost >= point.lower_bound
    (0.6, True)
    """

    delay_s: float
    cost: float
    lower_bound: float
    capacity: FloatArray
    whole_capacity: FloatArray
    whole_cost: float
    whole_delay_s: float


@dataclass(frozen=True, slots=True)
class Today:
    """What the scenario says there is: its cost, and the shortest delay found with it, s; +inf where there is none.

    Examples
    --------
    >>> from dmcjia_opt import frontier, generate
    >>> frontier(generate("paper", nodes=5, seed=1), deadlines_ms=[600]).today.cost
    400.0
    """

    cost: float
    delay_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Frontier:
    """Cost against the mean delay, or against a deadline of every node.

    Parameters
    ----------
    scenario
        Whose frontier it is.
    sale
        What is for sale, and at which price.
    by_deadline
        Whether it is of a deadline, not of the mean delay.
    points
        The shortest delay first, which costs most.
    lines
        (n_lines, 2): y and a of lines a − y·delay that no plan's cost is below; empty with a deadline.
    today
        Where the scenario as it is lies.

    Examples
    --------
    >>> from dmcjia_opt import frontier, generate
    >>> frontier(generate("paper", nodes=5, seed=1), deadlines_ms=[600, 800]).by_deadline
    True
    """

    scenario: Scenario
    sale: Sale
    by_deadline: bool
    points: tuple[Point, ...]
    lines: FloatArray
    today: Today

    __repr__ = brief

    @property
    def called(self) -> str:
        """What the delay is called, ``"mean p95 delay"`` or ``"p95 delay of the worst node"``."""
        return delay_called(self.scenario.options.statistic, worst=self.by_deadline)

    @property
    def of(self) -> str:
        """What is said of a node's delay, ``"mean"`` or the percentile."""
        return self.scenario.options.statistic

    @property
    def cost_called(self) -> str:
        """What is least, with its unit, ``"cost"`` or ``"capacity of cloud, GFLOP/s"``."""
        return f"capacity of {self.sale.least}, {self.sale.unit}" if self.sale.least else "cost"

    @property
    def stepped(self) -> bool:
        """Whether anything is sold in steps."""
        return bool(((self.sale.steps > 0) & (self.sale.prices > 0)).any())

    def envelope(self, delay_s: float) -> float:
        """Return what no plan of a delay costs less than.

        Of the mean delay it is the largest of the lines, and 0 where all are below. Of a deadline it is the bound of
        the next longer one that was looked at: what keeps the shorter keeps the longer too.
        """
        if not delay_s > 0:
            raise InputError(f"a delay is a number of seconds > 0, got {delay_s:g}")
        if self.by_deadline:
            return max((p.lower_bound for p in self.points if p.delay_s >= delay_s), default=0.0)
        return max(0.0, float((self.lines[:, 1] - self.lines[:, 0] * delay_s).max()))

    def to_csv(self, path: str | Path) -> None:
        """Write a row for each point; the file appears whole or not at all."""
        bought = np.flatnonzero(self.sale.prices > 0).tolist()
        called = [f"{self.sale.resources[r].name} ({self.sale.units[r]})" for r in bought]
        head = ["deadline_s" if self.by_deadline else "mean_delay_s", "cost", "lower_bound", *called]
        if self.stepped:
            head += ["cost_in_steps", "delay_in_steps_s", *(f"{name} in steps" for name in called)]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(head)
        for p in self.points:
            row = [p.delay_s, p.cost, p.lower_bound, *p.capacity[bought].tolist()]
            if self.stepped:
                row += [p.whole_cost, p.whole_delay_s, *p.whole_capacity[bought].tolist()]
            writer.writerow(row)
        write_text(path, text.getvalue())

    def draw(self, path: str | Path) -> None:
        """Draw it in a PNG or SVG file."""
        from dmcjia_opt.studies.purchase.frontier_figures import draw_frontier

        draw_frontier(self, Path(path))

    def save_page(self, path: str | Path) -> None:
        """Write its page, one HTML file that needs no network."""
        from dmcjia_opt.studies.purchase.frontier_page import frontier_page

        write_text(path, frontier_page(self))


def frontier(
    scenario: Scenario | str | Path,
    *,
    deadlines_ms: Sequence[float] | None = None,
    points: int = POINTS,
    resource: str | None = None,
    by_deadline: bool = False,
) -> Frontier:
    """Return what each delay costs at least: cost, or the one capacity, against the delay.

    The delay is the mean over the nodes, of the scenario's statistic, or the longest of all nodes where deadlines are
    given or the objective is ``"worst"``. Deadlines that nodes have of their own are kept besides.

    Parameters
    ----------
    scenario
        The fleet: a scenario or its file.
    deadlines_ms
        Deadlines of every node, ms. When omitted, plans at a grid of what a second is worth, from a delay that is
        nearly the shortest to a purchase that is nearly none; with the objective ``"worst"`` such a grid of deadlines.
    points
        How many there are to be in a grid.
    resource
        The server or link whose capacity is to be least, all others as they are; see `size`.
    by_deadline
        Whether the delay is the longest of all nodes, at a grid of deadlines.

    Raises
    ------
    InputError
        If it is not clear what is for sale, nothing has to be bought, or a number makes no sense.
    InfeasibleError
        If no capacity is enough.

    Examples
    --------
    >>> from dmcjia_opt import frontier, generate
    >>> found = frontier(generate("paper", nodes=5, seed=1), deadlines_ms=[600, 800, 1000])
    >>> [round(point.cost) for point in found.points]
    [52, 22, 14]
    """
    check_arguments(frontier, locals(), "scenario")
    loaded = scenario_of(scenario)
    if not FEWEST <= points <= MOST:
        raise InputError(f"points must be from {FEWEST} to {MOST}, got {points}")
    for value in deadlines_ms or ():
        if not (math.isfinite(value) and value > 0):
            raise InputError(f"deadlines_ms must be numbers of milliseconds > 0, got {value:g}")
    if deadlines_ms is not None and not len(deadlines_ms):
        raise InputError("deadlines_ms is empty; name deadlines, or leave it out")
    fleet = Sizing.of(loaded, resource)
    by_deadline |= deadlines_ms is not None or loaded.options.objective == "worst"
    lines: FloatArray = np.empty((0, 2))
    if deadlines_ms is not None:
        found = [_kept(fleet, deadline) for deadline in sorted({_MS * float(value) for value in deadlines_ms})]
    elif by_deadline:
        found = _over_deadlines(fleet, points)
    else:
        found, lines = _over_worths(fleet, points)
    drawn = Frontier(loaded, fleet.sale, by_deadline, tuple(found), lines, _today(fleet, by_deadline))
    proved = [replace(p, lower_bound=min(p.cost, max(p.lower_bound, drawn.envelope(p.delay_s)))) for p in found]
    return replace(drawn, points=tuple(proved))


def _today(fleet: Sizing, by_deadline: bool) -> Today:
    """Return where the scenario as it is lies."""
    scenario = fleet.scenario
    options = scenario.options.model_copy(update={"objective": "worst" if by_deadline else "mean"})
    try:
        delay = solve(replace(scenario, options=options), stop=_TODAY).objective
    except InfeasibleError:
        delay = math.inf
    return Today(float(fleet.sale.prices @ fleet.sale.declared), delay)


def _point(fleet: Sizing, plan: Bought, delay: float, deadline: FloatArray, *, of_mean: bool = True) -> Point:
    found = fleet.sized(plan, deadline, delay if of_mean else math.inf)
    reached = found.mean_delay if of_mean else found.worst_delay
    return Point(delay, found.cost_exact, max(plan.bound, 0.0), found.exact, found.capacity, found.cost, reached)


def _kept(fleet: Sizing, deadline_s: float) -> Point:
    """Return the least cost at which every node keeps a deadline, s."""
    deadline = fleet.deadlines(deadline_s / _MS)
    return _point(fleet, cheapest(fleet.market(deadline)), deadline_s, deadline, of_mean=False)


def _over_deadlines(fleet: Sizing, n: int) -> list[Point]:
    """Return the points of a grid of deadlines: nearly nothing is bought with the longest."""
    least = float(fleet.problem.fixed_delay.min(axis=1).max())
    unit = least or float(fleet.problem.service.max())

    def at(excess: float) -> Point | None:
        try:
            return _kept(fleet, least + excess)
        except InfeasibleError:  # what is not for sale allows no shorter one
            return None

    lowest = _NEAR * unit
    first = next((p for k in range(_STEPS) if (p := at(lowest * _STEP**k)) is not None), None)
    if first is None:
        raise InfeasibleError(
            "no deadline can be kept, however much is bought; raise what is too small, or give it a price"
        )

    def over(point: Point) -> bool:
        return point.cost == 0.0 or point.delay_s >= _FAR * unit

    seen = _until(first, lambda k: at((first.delay_s - least) * _STEP**k), lambda p: p.cost, over)
    excess = np.geomspace(first.delay_s - least, max(p.delay_s for p in seen) - least, n)
    found = [at(value) for value in excess.tolist()]
    return [p for p in found if p is not None]


def _over_worths(fleet: Sizing, n: int) -> tuple[list[Point], FloatArray]:
    """Return the points of a grid of what a second of the mean delay is worth, and the lines they prove."""
    deadline = fleet.deadlines(None)
    fastest = float(fleet.problem.weight @ fleet.problem.fixed_delay.min(axis=1))
    mean = 2.0 * fastest or 1.0  # any that can be reached: lines do not depend on it
    market = fleet.market(deadline, mean)
    scale = float(market.prices.max()) / mean
    first = _at_worth(market, scale)
    up = _until(
        first,
        lambda k: _at_worth(market, scale * _STEP**k),
        lambda offer: offer.mean,
        lambda offer: offer.mean <= (1.0 + _NEAR) * fastest,
    )
    down = _until(
        first,
        lambda k: _at_worth(market, scale / _STEP**k),
        lambda offer: offer.cost,
        lambda offer: offer.cost == 0.0 or offer.mean >= _FAR * fastest > 0.0,
    )
    if all(offer.cost == 0.0 for offer in up):
        raise InputError("nothing has to be bought: what is for sale shortens no node's delay")
    worths = np.geomspace(down[-1].x[-1], up[-1].x[-1], n)
    offers = [_at_worth(market, worth) for worth in worths[::-1].tolist()]
    lines = np.array([[offer.x[-1], offer.value + offer.x[-1] * mean] for offer in (*up, *down, *offers)])
    distinct = [offers[0], *(b for a, b in pairwise(offers) if b.mean > a.mean)]
    found = [_supported(fleet, market, offer, deadline) for offer in distinct]
    if not any(found):
        raise InfeasibleError(
            "no plan was found with as much as there is of what is not for sale; raise what is too small, or give it "
            "a price"
        )
    return [p for p in found if p is not None], lines


def _until(first: T, at: Callable[[int], T | None], value: Callable[[T], float], done: Callable[[T], bool]) -> list[T]:
    """Return `first` and what follows at 1, 2, …, until it is done, or its value hardly falls any more."""
    found = [first]
    for k in range(1, _STEPS + 1):
        if done(found[-1]):
            break
        there = at(k)
        if there is None:
            break
        found.append(there)
        if len(found) > _FLAT and value(there) >= (1.0 - _SAME) * value(found[-1 - _FLAT]) > 0.0:
            break
    return found


def _at_worth(market: Market, worth: float) -> Offer:
    """Return what a fleet takes where a second of the mean delay is worth so much, at the best other multipliers."""

    def ask(x: FloatArray) -> Offer:
        offer = market.ask(np.append(x, worth))
        return replace(offer, x=x, slope=offer.slope[:-1])

    n = len(market.kept)
    if not n:
        return market.ask(np.array([worth]))
    x = np.full(n, worth * market.mean / n)
    return market.ask(np.append(climb(ask, [ask(x)], x, np.zeros(n)).best.x, worth))


def _supported(fleet: Sizing, market: Market, offer: Offer, deadline: FloatArray) -> Point | None:
    """Return the cheapest plan with the mean delay of an offer: that is the offer, where nothing else ties nodes.

    None where no plan was found: the offer may take more than there is of what is not for sale.
    """
    market = replace(market, mean=offer.mean)
    if not market.kept.size:
        shares = market.shares(offer.x, offer.options)
        return _point(fleet, Bought(offer.options, shares, offer.use, offer.cost, -math.inf), offer.mean, deadline)
    try:
        return _point(fleet, cheapest(market), offer.mean, deadline)
    except InfeasibleError:
        return None
