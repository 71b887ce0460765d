"""Generalised Benders decomposition on class counts, with a HiGHS master that grows cut by cut.

Master: integer counts n of how many nodes of each class use each option, and θ, with a cut for each vector of prices
tried and a row for each resource,

    θ ≥ Σ (w·fixed + Σ φ(ν_i))·n − Σ ν_i,     Σ_o n = class size,     Σ least share · n ≤ 1.

Where several resources separate, each has an η of its own and every price of one resource is a cut of that alone,

    θ = Σ (reduced costs at ν*)·n + Σ_r η_r,     η_r ≥ Σ (φ_r(ν) − φ_r(ν*_r))·n − (ν − ν*_r),

so that a few prices a resource stand for all their combinations.

Each solution of the master is a plan; its shares come from the allocator and the price of those from the next cut,
until the master's bound meets the incumbent. Cuts are shifted and scaled so that the open gap is the unit: HiGHS's
absolute tolerances are then relative to what is still in question.

The bound is HiGHS's, with its tolerances subtracted: it rests on that solver, unlike the dual's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.base.processes import silenced
from dmcjia_opt.bounds.dual import rounding_slack, use_costs
from dmcjia_opt.methods.placers.exact.branch_and_bound import (
    NodeClass,
    class_rows,
    fixed_row,
    node_classes,
    over_resources,
    spread,
)
from dmcjia_opt.methods.placers.exact.lagrangian import LagrangianPlacer, left_open
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.contract import Status
from dmcjia_opt.solving.ending import BudgetSpent
from dmcjia_opt.solving.options import method
from dmcjia_opt.solving.search import Search

if TYPE_CHECKING:
    from highspy.highs import HighsCallbackEvent

_FEASIBILITY = 1e-10  # the least that HiGHS takes
_MAX_CUTS = 500
_LOOSE, _TIGHT = 0.3, 1e-3  # part of what is open that a master problem may leave open, and below which it is none
_NEARLY = 0.1  # of the unit open: then the rest is closed at once
_ANEW = 0.6  # part of what was open that is open still when a new master problem pays
_LEVELS = (1e-9, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 1.1, 1.25, 1.6, 2.2, 3.2, 5.0)  # prices of the first cuts, over ν*


class Master:
    """The master problem, kept warm while cuts are added.

    Parameters
    ----------
    problem
        The compiled problem.
    classes
        Open nodes; every other node stays at `cheapest`.
    cheapest
        (n_nodes,) options of the nodes that are not open.
    bound, unit
        The value that θ = 0 stands for, and what θ = 1 adds to it, s.
    prices
        (n_resources,) ν*, at which the dual has that value or more.
    """

    def __init__(
        self,
        problem: Problem,
        classes: list[NodeClass],
        cheapest: IntArray,
        bound: float,
        unit: float,
        prices: FloatArray,
    ) -> None:
        import highspy

        self.problem, self.classes, self.cheapest = problem, classes, cheapest
        self.bound, self.unit = bound, unit
        self.fixed = np.setdiff1d(np.arange(problem.n_nodes), np.concatenate([c.nodes for c in classes]))
        self.sizes = [len(c.options) for c in classes]
        self.n = sum(self.sizes)
        with silenced():  # the first solver of a process prints a banner before it can be told not to
            solver = highspy.Highs()
        self._solver, self._stop = solver, Event()
        for point in (solver.cbMipInterrupt, solver.cbSimplexInterrupt):
            point += partial(_end_when, self._stop)
        for name, value in (
            ("output_flag", False),
            ("threads", 1),
            ("random_seed", 0),
            ("mip_rel_gap", 0.0),
            ("mip_feasibility_tolerance", _FEASIBILITY),
            ("primal_feasibility_tolerance", _FEASIBILITY),
        ):
            solver.setOptionValue(name, value)
        starts = np.cumsum([0, *self.sizes])
        for c in classes:
            for _ in c.options:
                solver.addVar(0.0, float(len(c.nodes)))
        for j in range(self.n):
            solver.changeColIntegrality(j, highspy.HighsVarType.kInteger)
        self.prices, self.separate = prices, problem.n_resources > 1 and not problem.joint
        self._known: set[tuple[int, float]] = set()
        for k in range(problem.n_resources if self.separate else 1):
            solver.addVar(0.0, highspy.kHighsInf)
            solver.changeColCost(self.n + k, 1.0)
        if self.separate:
            costs = [class_rows(problem, c, prices[None, :])[:, 0] for c in classes]
            for j, cost in enumerate(np.concatenate([cost - cost.min() for cost in costs]).tolist()):
                solver.changeColCost(j, cost / unit)
            self.parts, self.others = self._by_resource(prices)
        for c, start, size in zip(classes, starts[:-1], self.sizes, strict=True):
            columns = np.arange(start, start + size, dtype=np.int32)
            solver.addRow(float(len(c.nodes)), float(len(c.nodes)), size, columns, np.ones(size))
        one = np.ones((1, problem.n_resources))
        loads = np.concatenate([class_rows(problem, c, one)[:, 1:] for c in classes])
        taken = fixed_row(problem, self.fixed, cheapest, one)[0, 1:]
        for load, rest in zip(loads.T, (1.0 - taken).tolist(), strict=True):
            used = np.flatnonzero(load).astype(np.int32)
            solver.addRow(-highspy.kHighsInf, rest, len(used), used, load[used])
        self.infinity = highspy.kHighsInf

    def _run(self, seconds: float) -> None:
        """Run the solver in a thread of its own, so that Ctrl-C and the deadline end it, and the first is heard here.

        A pool's thread is waited for when Python ends, whatever interrupts this: a solver still at work then would
        abort the process.
        """
        pool = ThreadPoolExecutor(1)
        try:
            running = pool.submit(self._solver.solve)
            wait([running], None if math.isinf(seconds) else seconds)
        finally:
            self._stop.set()
            pool.shutdown()
            self._stop.clear()

    def _by_resource(self, prices: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return what each column (n, n_resources), and all other nodes (n_resources,), cost at prices, by resource."""
        problem = self.problem

        def costs(nodes: IntArray, options: IntArray) -> FloatArray:
            by_use = np.stack(use_costs(problem, nodes, options, prices), axis=-1)
            return over_resources(problem, nodes, options, by_use)

        parts = [costs(np.repeat(c.nodes[:1], len(c.options)), c.options) for c in self.classes]
        return np.concatenate(parts), costs(self.fixed, self.cheapest[self.fixed]).sum(axis=0)

    def cut(self, prices: FloatArray, objective: float) -> None:
        """Add the cuts of prices (n_resources,), lowered by what rounding may add to them below `objective`."""
        if self.separate:
            self._cut_each(prices)
            return
        at = prices[None, :]
        costs = [class_rows(self.problem, c, at)[:, 0] for c in self.classes]
        least = [float(cost.min()) for cost in costs]
        constant = float(fixed_row(self.problem, self.fixed, self.cheapest, at)[0, 0])
        constant += math.fsum(len(c.nodes) * m for c, m in zip(self.classes, least, strict=True))
        slack = rounding_slack(self.problem.n_nodes, objective + 2.0 * float(prices.sum()))
        row = np.concatenate([(cost - m) / self.unit for cost, m in zip(costs, least, strict=True)])
        columns = np.arange(self.n + 1, dtype=np.int32)
        self._solver.addRow(
            (constant - slack - self.bound) / self.unit, self.infinity, self.n + 1, columns, np.append(-row, 1.0)
        )

    def _cut_each(self, prices: FloatArray) -> None:
        """Add a cut for each resource whose price has not had one."""
        parts, others = self._by_resource(prices)
        for r, price in enumerate(prices.tolist()):
            if (r, price) in self._known or price == self.prices[r]:
                continue
            self._known.add((r, price))
            row = parts[:, r] - self.parts[:, r]
            used = np.flatnonzero(row).astype(np.int32)
            least = float(others[r] - self.others[r]) - (price - float(self.prices[r]))
            index = np.append(used, np.int32(self.n + r))
            values = np.append(-row[used] / self.unit, 1.0)
            self._solver.addRow(least / self.unit, self.infinity, len(index), index, values)

    def solve(self, gap: float, seconds: float) -> tuple[IntArray | None, float]:
        """Return the best plan's options (n_nodes,), or None, and the proved least θ, after at most `seconds`."""
        solver = self._solver
        solver.setOptionValue("mip_abs_gap", gap)
        solver.setOptionValue("time_limit", solver.getRunTime() + seconds if math.isfinite(seconds) else self.infinity)
        self._run(seconds)
        info: Any = solver.getInfo()
        values = np.array(solver.getSolution().col_value)
        bound = float(info.mip_dual_bound) if math.isfinite(info.mip_dual_bound) else 0.0
        if len(values) < self.n or not np.isfinite(values[: self.n]).all():
            return None, bound
        plan = self.cheapest.copy()
        start = 0
        for c, size in zip(self.classes, self.sizes, strict=True):
            count = np.rint(values[start : start + size]).astype(np.int64)
            start += size
            if count.sum() != len(c.nodes):
                return None, bound
            plan[c.nodes] = spread(c.options, count[None, :])[0]
        return plan, bound


def _end_when(asked: Event, at: HighsCallbackEvent) -> None:
    """End HiGHS where it asks, once it has been asked to."""
    if asked.is_set():
        at.interrupt()


def close(search: Search) -> Status:
    """Raise the bound of a Lagrangian search and improve its incumbent until they meet; return what it is if not.

    Raises
    ------
    BudgetSpent
        When the time or the evaluations are.
    """
    problem, dual = search.problem, search.dual
    middle = dual.point.prices
    separate = problem.n_resources > 1 and not problem.joint
    around = [middle * factor for factor in _LEVELS] if separate else []
    others = [point.prices for point in dual.points[1:]] if problem.n_resources > 1 else []
    cuts = {prices.tobytes(): prices for prices in (middle, *around, *others)}
    rounding = rounding_slack(problem.n_nodes, search.objective + 2.0 * float(middle.sum()))
    master = _with_cuts(search, cuts)
    if master is None:
        return Status.ROUNDED
    loose, opened = _LOOSE if separate else 0.0, search.objective
    for tried in range(_MAX_CUTS):
        seconds = search.seconds_left
        if seconds <= 0:
            raise BudgetSpent
        wanted = 0.25 * search.stop.tolerance * search.objective / master.unit
        still = (search.objective - search.lower_bound) / master.unit
        goal = max(wanted, loose * still if still > _NEARLY else 0.0)
        plan, theta = master.solve(goal, seconds)
        proved = master.bound + master.unit * (theta - 4 * _FEASIBILITY * (1 + abs(theta)))
        proved -= 4.0 * rounding if separate else 0.0
        search.prove(min(proved, search.objective), "benders")
        search.tick()
        if plan is None or search.closed:
            return Status.LIMIT
        _, prices = search.solve_in_budget(plan[None, :])
        if search.closed:
            return Status.LIMIT
        following = _next_prices(prices[0], middle, tried)
        if following.tobytes() in cuts and goal <= wanted:
            return Status.ROUNDED
        loose = 0.1 * loose if following.tobytes() in cuts else loose
        loose = loose if loose > _TIGHT else 0.0
        cuts[following.tobytes()] = following
        if separate and search.objective - search.dual.bound < _ANEW * (opened - search.dual.bound):
            master, opened = _with_cuts(search, cuts), search.objective  # fewer options are left now
            if master is None:
                return Status.ROUNDED
        else:
            master.cut(following, search.objective)
    return Status.LIMIT


def _with_cuts(search: Search, cuts: Mapping[bytes, FloatArray]) -> Master | None:
    """Return a master problem of what is open now, with all cuts so far; None where nothing is open."""
    left = left_open(search)
    classes = node_classes(search.problem, left)
    if not classes:
        return None
    master = Master(search.problem, classes, left.cheapest, left.bound, search.objective - left.bound, left.prices)
    for prices in cuts.values():
        master.cut(prices, search.objective)
    return master


def _next_prices(prices: FloatArray, middle: FloatArray, tried: int) -> FloatArray:
    """Return prices > 0 that cut off a plan: its own, or some that suit where it has none.

    What a plan does not use has price 0, and any small price is as good. Where the allocator failed, or the plan
    fills a resource to the brim, ever higher prices are.
    """
    higher = middle * 2.0 ** (1 + tried % 64)
    usable = (prices > 0.0) & (prices <= 2.0**40 * middle)
    return np.where(usable, prices, np.where(prices == 0.0, middle * 1e-9, higher))


@method
class Benders(LagrangianPlacer):
    """The optimum by price, reduced costs and generalised Benders with a HiGHS master."""

    def close(self, search: Search) -> Status:
        """Add cuts until the master's bound meets the incumbent."""
        return close(search)
