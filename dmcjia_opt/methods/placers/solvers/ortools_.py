"""OR-Tools CP-SAT on the tabulated problem: shares come from a grid that is refined around the prices.

At prices ν of the resources each option of a node wants one share of what it uses, in closed form (`dual.priced`). So a
menu of a few levels of ν gives each (node, option) a few shares, with the delay at each; choosing one entry a node
within Σ shares ≤ 1 of each resource is a multiple-choice knapsack, which CP-SAT takes as Booleans and a linear row a
resource. The optimum of P1 is itself such a choice, all of it at one vector of prices: as the levels close in on those
prices, so does the knapsack on the optimum. The options it chooses get their shares, and their prices, from the
allocator.
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
from dmcjia_opt.bounds.candidates import pareto_options, undominated
from dmcjia_opt.bounds.dual import dual_point, priced
from dmcjia_opt.bounds.loads import heaviest
from dmcjia_opt.methods.placers.blackbox.library_search import draw_seed
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.contract import Status, of_shares, of_the_mean
from dmcjia_opt.solving.options import Count, Factor, method
from dmcjia_opt.solving.search import Search

_CAPACITY = 10**7  # units of share
_COST_UNIT = 1e-9  # of the lower bound
_MOST_COST = 10**12  # units: far beyond any plan of interest, and a sum over nodes still fits 64 bits
_SPAN = 8.0  # the first menu's levels reach from the dual's prices divided by this to those times this
_LITTLE = 1e-8
_FEW = 8  # options of a node in a menu of several resources


@dataclass(frozen=True, slots=True, eq=False)
class Entries:
    """What each node may choose from: an option, at the shares it wants at some prices.

    Parameters
    ----------
    node, option
        (n_entries,) whose entry it is, and its option.
    share
        (n_entries, n_uses) shares in units of 1/`_CAPACITY`, rounded up.
    cost
        (n_entries,) weighted delay above the node's least, in units of `_COST_UNIT` of the lower bound.
    """

    node: IntArray
    option: IntArray
    share: IntArray
    cost: IntArray


def menu(problem: Problem, keep: BoolArray, prices: FloatArray, lower_bound: float) -> Entries:
    """Return the entries that no other entry of the same node beats in all shares and in cost.

    Parameters
    ----------
    problem
        The compiled problem.
    keep
        (n_nodes, n_options) options to look at.
    prices
        (n_levels, n_resources) > 0, s per unit share.
    lower_bound
        Scale of the costs, s.
    """
    delays, units = [], []
    for level in prices:
        cost, share = priced(problem, level)
        paid = level[0] * over_uses(share) if problem.n_resources == 1 else (level[problem.resource] * share).sum(-1)
        with np.errstate(invalid="ignore"):
            delays.append(np.where(keep, cost - paid, np.inf))
        units.append(np.where(keep[:, :, None], np.ceil(np.minimum(share, 2.0) * _CAPACITY), np.inf))
    delay, unit = np.stack(delays, axis=2), np.stack(units, axis=2)
    nodes, options, shares, costs = [], [], [], []
    for d in range(problem.n_nodes):
        here, level = np.nonzero(np.isfinite(delay[d]) & (unit[d] <= _CAPACITY).all(axis=-1))
        order = np.lexsort((delay[d, here, level], over_uses(unit[d, here, level])))
        here, level = here[order], level[order]
        value, share = delay[d, here, level], unit[d, here, level]
        where = None if problem.n_resources == 1 else problem.resource[None, d, here]
        better = undominated([value[None]], [share[None]], where)[0]
        nodes.append(np.full(int(better.sum()), d))
        options.append(here[better])
        shares.append(share[better].astype(np.int64))
        above = (value[better] - value.min(initial=np.inf)) / (_COST_UNIT * lower_bound)
        costs.append(np.minimum(np.rint(above), _MOST_COST).astype(np.int64))
    return Entries(*(np.concatenate(part) for part in (nodes, options, shares, costs)))


@method
class CpSat:
    """CP-SAT over menus of options and shares, refined around the prices of the best plan so far.

    The bound that CP-SAT proves is one of the menu, not of the problem; the one returned is the dual's. With several
    resources a menu has the few options of each node that are cheapest at the dual's prices.

    Parameters
    ----------
    levels
        Levels of the prices, and so shares an option, in each menu.
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
        if why := of_the_mean(problem, "exact") or of_shares(problem, "exact"):
            return why
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
        free = dual_point(problem, np.zeros(problem.n_resources))
        if not free.use.any():  # nobody would use a thing: every node has its least fixed delay
            search.evaluate(free.options[None, :])
            return
        keep = _worth_a_look(search)
        least = _least_prices(problem, keep)
        base, span = _best_prices(search), _SPAN
        for turn in range(self.rounds):
            before = search.objective
            prices = np.maximum(base, least) * np.geomspace(1.0 / span, span, self.levels)[:, None]
            plans, interrupted = self._choose(menu(problem, keep, prices, search.lower_bound), search, seed)
            if len(plans):
                search.evaluate(plans)
                base = np.where(search.prices > 0.0, search.prices, base)
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

    def _choose(self, entries: Entries, search: Search, seed: int) -> tuple[IntArray, bool]:
        """Return the plans that CP-SAT met, best first, and whether it was interrupted."""
        from ortools.sat.python import cp_model

        n = search.problem.n_nodes
        model = cp_model.CpModel()
        chosen = [model.new_bool_var("") for _ in entries.node]
        bounds = np.searchsorted(entries.node, np.arange(n + 1))
        rows = [range(a, b) for a, b in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)]
        for row in rows:
            model.add_exactly_one(chosen[i] for i in row)
        resource = search.problem.resource[entries.node, entries.option]
        for r in range(search.problem.n_resources):
            share = np.where(resource == r, entries.share, 0).sum(axis=1)
            if share.any():
                users = np.flatnonzero(share).tolist()
                used = cp_model.LinearExpr.weighted_sum([chosen[i] for i in users], share[users].tolist())
                model.add(used <= _CAPACITY)
        model.minimize(cp_model.LinearExpr.weighted_sum(chosen, entries.cost.tolist()))

        class Collector(cp_model.CpSolverSolutionCallback):  # type: ignore[misc]
            """Keeps the entries of every solution."""

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
        return entries.option[chosen_entries], interrupted


def _interruptible(solver: Any, model: Any, collector: Any) -> tuple[Any, bool]:  # noqa: ANN401 - CP-SAT's own
    """Solve in a thread, so that Ctrl-C reaches us and not CP-SAT, which would go on as if it had finished."""
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(solver.solve, model, collector)
        try:
            return answer.result(), False
        except KeyboardInterrupt:
            solver.stop_search()
            return answer.result(), True


def _worth_a_look(search: Search) -> BoolArray:
    """Return the options (n_nodes, n_options) that go into menus: those that are not dominated.

    With several resources there may be hundreds of them. A node then has its cheapest at the dual's prices, and the one
    that asks for least.
    """
    problem = search.problem
    keep = pareto_options(problem)
    if problem.n_resources == 1 or problem.n_options <= _FEW:
        return keep
    cost = np.where(keep, priced(problem, search.dual.point.prices)[0], np.inf)
    order = np.argsort(cost, axis=1, kind="stable")[:, :_FEW]
    few = np.zeros_like(keep)
    np.put_along_axis(few, order, True, axis=1)
    few[np.arange(problem.n_nodes), least_load_plan(problem)] = True
    return few & np.isfinite(problem.fixed_delay)


def _best_prices(search: Search) -> FloatArray:
    """Return the prices (n_resources,) at which the dual is largest; for one, the middle of its bracket."""
    dual = search.dual
    return np.sqrt(dual.low.prices * dual.high.prices) if search.problem.n_resources == 1 else dual.point.prices


def _least_prices(problem: Problem, keep: BoolArray) -> FloatArray:
    """Return prices (n_resources,) below which whoever uses one of several resources wants more than all of it.

    In a plan with one user of a resource that is its price; so much more, that rounding up leaves the share within 1.
    """
    least = np.zeros(problem.n_resources)
    if problem.n_resources == 1:
        return least
    least[:] = np.inf
    for k, curve in enumerate(problem.use_curves):
        node, option = np.nonzero(keep & (problem.service[:, :, k] * problem.arrival_rate[:, None] < 1.0))
        s, rate = problem.service[node, option, k], problem.arrival_rate[node]
        used = s > 0
        node, option, s, rate = node[used], option[used], s[used], rate[used]
        wanted = (
            problem.weight[node]
            / s
            * curve.marginal(1.0 / s - rate, rate, problem.wait[node, option], problem.gaps(node))
        )
        np.minimum.at(least, problem.resource[node, option, k], wanted)
    return np.where(np.isfinite(least), least * (1.0 + _LITTLE), 1.0)


def least_load_plan(problem: Problem) -> IntArray:
    """Return the options (n_nodes,) that ask for the least, of several resources above all of those that are full."""
    rate, weights = problem.arrival_rate[:, None, None], heaviest(problem)[1]
    least = np.maximum(rate, problem.least_rate) * problem.service
    weighted = over_uses(least if problem.n_resources == 1 else weights[problem.resource] * least)
    load: FloatArray = np.where(np.isfinite(problem.fixed_delay), weighted, np.inf)
    return np.asarray(load.argmin(axis=1))
