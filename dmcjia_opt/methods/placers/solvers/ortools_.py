"""OR-Tools CP-SAT on the tabulated problem: shares come from a grid that is refined around the price.

At a price ν of cloud capacity each split of a node wants one share, in closed form (`dual.priced`). So a menu of a
few prices gives each (node, split) a few shares, with the delay at each; choosing one entry a node within Σ shares ≤ 1
is a multiple-choice knapsack, which CP-SAT takes as Booleans and one linear row. The optimum of P1 is itself such a
choice, all of it at one price: as the prices close in on that price, so does the knapsack on the optimum. The splits
it chooses get their shares, and their price, from the allocator.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from dmcjia_opt.base.arrays import BoolArray, FloatArray, IntArray, over_uses
from dmcjia_opt.base.errors import BackendFailed
from dmcjia_opt.bounds.candidates import pareto_options
from dmcjia_opt.bounds.dual import priced
from dmcjia_opt.methods.placers.blackbox.library_search import draw_seed
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.contract import Status
from dmcjia_opt.solving.options import Count, Factor, method
from dmcjia_opt.solving.search import Search

_CAPACITY = 10**7  # units of share
_COST_UNIT = 1e-9  # of the lower bound
_MOST_COST = 10**12  # units: far beyond any plan of interest, and a sum over nodes still fits 64 bits
_SPAN = 8.0  # the first menu's prices reach from the dual's price divided by this to that times this


@dataclass(frozen=True, slots=True, eq=False)
class Menu:
    """What each node may choose from: a split, at the share it wants at some price.

    Parameters
    ----------
    node, split
        (n_entries,) whose entry it is, and its split.
    share
        (n_entries,) share in units of 1/`_CAPACITY`, rounded up.
    cost
        (n_entries,) weighted delay above the node's least, in units of `_COST_UNIT` of the lower bound.
    """

    node: IntArray
    split: IntArray
    share: IntArray
    cost: IntArray


def menu(problem: Problem, keep: BoolArray, prices: FloatArray, lower_bound: float) -> Menu:
    """Return the entries that no other entry of the same node beats in both share and cost.

    Parameters
    ----------
    problem
        The compiled problem.
    keep
        (n_nodes, n_options) splits to look at.
    prices
        (n_levels,) > 0, s per unit share.
    lower_bound
        Scale of the costs, s.
    """
    tables = ((cost, over_uses(shares)) for cost, shares in (priced(problem, np.array([price])) for price in prices))
    cost, share = (np.stack(table, axis=-1) for table in zip(*tables, strict=True))
    with np.errstate(invalid="ignore"):
        delay = np.where(keep[:, :, None], cost - prices * share, np.inf)
    units = np.where(keep[:, :, None], np.ceil(np.minimum(share, 2.0) * _CAPACITY), np.inf)
    nodes, splits, shares, costs = [], [], [], []
    for d in range(problem.n_nodes):
        here, level = np.nonzero(np.isfinite(delay[d]) & (units[d] <= _CAPACITY))
        order = np.lexsort((delay[d, here, level], units[d, here, level]))
        here, level = here[order], level[order]
        value = delay[d, here, level]
        better = np.r_[True, value[1:] < np.minimum.accumulate(value)[:-1]] if len(value) else np.zeros(0, dtype=bool)
        nodes.append(np.full(int(better.sum()), d))
        splits.append(here[better])
        shares.append(units[d, here, level][better].astype(np.int64))
        above = (value[better] - value.min(initial=np.inf)) / (_COST_UNIT * lower_bound)
        costs.append(np.minimum(np.rint(above), _MOST_COST).astype(np.int64))
    return Menu(*(np.concatenate(part) for part in (nodes, splits, shares, costs)))


@method
class CpSat:
    """CP-SAT over menus of splits and shares, refined around the price of the best plan so far.

    The bound that CP-SAT proves is one of the menu, not of the problem; the one returned is the dual's.

    Parameters
    ----------
    levels
        Shares a split, in each menu.
    rounds
        Menus at most; each spans the square root of the range of prices of the one before. From the second on, one
        without a better plan is the last.
    effort
        Limit of one menu in CP-SAT's deterministic time, about seconds.
    max_nodes
        Refuse problems of more nodes.
    """

    levels: Annotated[int, Field(ge=2)] = 9
    rounds: Count = 5
    effort: Factor = 1.0
    max_nodes: Count = 1000

    def supports(self, problem: Problem) -> str | None:
        """Refuse problems of more than `max_nodes` nodes."""
        if problem.n_nodes <= self.max_nodes:
            return None
        return f"{problem.n_nodes:,} nodes are more than CP-SAT is given (max_nodes = {self.max_nodes:,}); use exact"

    def search(self, search: Search, rng: np.random.Generator) -> None:
        """Evaluate the plans that CP-SAT meets on its way.

        Raises
        ------
        BackendFailed
            If CP-SAT refuses its model.
        """
        if math.isinf(search.lower_bound):
            return
        self._refine(search, draw_seed(rng))
        if search.options is None:
            search.evaluate(least_load_plan(search.problem)[None, :])

    def _refine(self, search: Search, seed: int) -> None:
        problem = search.problem
        low, high = search.dual.low, search.dual.high
        if high.price <= 0.0:  # capacity is free: every node has its least local delay
            search.evaluate(high.options[None, :])
            return
        keep = pareto_options(problem)
        price, span = math.sqrt(low.price * high.price), _SPAN
        for turn in range(self.rounds):
            before = search.objective
            prices = price * np.geomspace(1.0 / span, span, self.levels)
            plans, interrupted = self._choose(menu(problem, keep, prices, search.lower_bound), search, seed)
            if len(plans):
                search.evaluate(plans)
                price = float(search.prices[0]) if search.prices[0] > 0.0 else price
                span = math.sqrt(span)
            else:
                span *= span
            if interrupted:
                raise KeyboardInterrupt
            search.tick()
            if search.closed:
                search.claim(Status.OPTIMAL)
                return
            if turn > 0 and len(plans) and search.objective >= before:
                return

    def _choose(self, entries: Menu, search: Search, seed: int) -> tuple[IntArray, bool]:
        """Return the plans that CP-SAT met, best first, and whether it was interrupted."""
        from ortools.sat.python import cp_model

        n = search.problem.n_nodes
        model = cp_model.CpModel()
        chosen = [model.new_bool_var("") for _ in entries.node]
        bounds = np.searchsorted(entries.node, np.arange(n + 1))
        rows = [range(a, b) for a, b in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)]
        for row in rows:
            model.add_exactly_one(chosen[i] for i in row)
        model.add(cp_model.LinearExpr.weighted_sum(chosen, entries.share.tolist()) <= _CAPACITY)
        model.minimize(cp_model.LinearExpr.weighted_sum(chosen, entries.cost.tolist()))

        class Collector(cp_model.CpSolverSolutionCallback):  # type: ignore[misc]
            """Keeps the splits of every solution."""

            def __init__(self) -> None:
                super().__init__()
                self.plans: list[list[int]] = []

            def on_solution_callback(self) -> None:
                self.plans.append([next(i for i in row if self.boolean_value(chosen[i])) for row in rows])

        solver, collector = cp_model.CpSolver(), Collector()
        solver.parameters.num_workers = 1
        solver.parameters.random_seed = seed
        solver.parameters.max_deterministic_time = self.effort
        solver.parameters.catch_sigint_signal = False
        if math.isfinite(search.seconds_left):
            solver.parameters.max_time_in_seconds = max(search.seconds_left, 1e-3)
        status, interrupted = _interruptible(solver, model, collector)
        if status == cp_model.MODEL_INVALID:
            raise BackendFailed(f"CP-SAT refuses its model ({model.validate()}); use another placer")
        chosen_entries = np.array(collector.plans[::-1], dtype=np.int64).reshape(-1, n)
        return entries.split[chosen_entries], interrupted


def _interruptible(solver: Any, model: Any, collector: Any) -> tuple[Any, bool]:  # noqa: ANN401 - CP-SAT's own
    """Solve in a thread, so that Ctrl-C reaches us and not CP-SAT, which would go on as if it had finished."""
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(solver.solve, model, collector)
        try:
            return answer.result(), False
        except KeyboardInterrupt:
            solver.stop_search()
            return answer.result(), True


def least_load_plan(problem: Problem) -> IntArray:
    """Return the splits (n_nodes,) that ask for the least of the cloud."""
    rate = problem.arrival_rate[:, None]
    least = np.maximum(rate, problem.least_rate[:, :, 0])
    load = np.where(np.isfinite(problem.fixed_delay), least * problem.service[:, :, 0], np.inf)
    return np.asarray(load.argmin(axis=1))
