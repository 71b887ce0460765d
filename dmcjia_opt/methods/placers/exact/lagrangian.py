"""Lagrangian placement: the best price, good plans on both sides of it, and the splits no optimum can use.

At the price ν* where the dual is largest every node has a cheapest split. What another split costs more is its
*reduced cost*, and a plan cannot be better than L(ν*) plus the sum of its reduced costs. So a split whose reduced
cost exceeds incumbent − L(ν*) is in no better plan. On heterogeneous fleets this leaves a handful of plans, or one.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from dmcjia_opt.base.arrays import IntArray
from dmcjia_opt.bounds.certificate import relative_gap, rounding_slack
from dmcjia_opt.bounds.dual import DualPoint, dual_point, least_load, maximise, priced
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.contract import Allocator, Callback, Placement, Status, Stop
from dmcjia_opt.solving.search import BudgetSpent, Evaluation

_BLOCK = 1 << 16
_BATCH_ENTRIES = 1 << 18
_FEW = 256  # so many plans are better searched than improved on
_MAX_MOVES = 2048


@dataclass(frozen=True, slots=True, eq=False)
class Survivors:
    """Splits that a plan better than the incumbent may use, where a node has more than one.

    Parameters
    ----------
    price
        ν*, s per unit share.
    bound
        L(ν*) less its rounding slack, s.
    nodes
        (n_open,) nodes with more than one split left.
    splits
        For each of them, its splits, cheapest first.
    reduced
        For each of them, those splits' reduced costs, s.
    cheapest
        (n_nodes,) every node's cheapest split at ν*.
    """

    price: float
    bound: float
    nodes: IntArray
    splits: tuple[IntArray, ...]
    reduced: tuple[np.ndarray[tuple[int, ...], np.dtype[np.float64]], ...]
    cheapest: IntArray

    @property
    def plans(self) -> float:
        """How many plans use only these splits."""
        return float(np.exp(min(sum(math.log(len(splits)) for splits in self.splits), 700.0)))


def survivors(problem: Problem, point: DualPoint, objective: float) -> Survivors:
    """Return the splits that a plan better than `objective` may use, by their reduced costs at `point`."""
    slack = rounding_slack(problem.n_nodes, point.magnitude)
    bound = point.value - slack
    room = objective - bound + slack
    nodes: list[int] = []
    kept: list[IntArray] = []
    costs = []
    step = max(1, _BLOCK // problem.n_options)
    for start in range(0, problem.n_nodes, step):
        rows = slice(start, min(start + step, problem.n_nodes))
        cost, _ = priced(problem, point.price, rows)
        reduced = cost - cost.min(axis=1, keepdims=True)
        near = (reduced <= room) & np.isfinite(cost)
        for i in np.flatnonzero(near.sum(axis=1) > 1):
            splits = np.flatnonzero(near[i])
            order = np.argsort(reduced[i, splits], kind="stable")
            nodes.append(start + int(i))
            kept.append(splits[order])
            costs.append(reduced[i, splits[order]])
    return Survivors(point.price, bound, np.array(nodes, dtype=np.int64), tuple(kept), tuple(costs), point.splits)


class Search:
    """A Lagrangian search: maximises the dual, recovers plans from both sides of the price and improves the best.

    Parameters
    ----------
    problem, allocator, stop, callback
        As for a placer.

    Attributes
    ----------
    point
        The dual at the best price.
    evaluation
        Holds the incumbent and the proved bound.
    spent
        Whether the budget ended the search, or there is nothing to search.
    """

    def __init__(self, problem: Problem, allocator: Allocator, stop: Stop, callback: Callback | None) -> None:
        self.problem, self.stop = problem, stop
        self.tolerance = stop.tolerance
        self.spent = least_load(problem) >= 1.0
        if self.spent:  # no plan exists, and the bound says so
            self.point = dual_point(problem, 0.0)
            self.evaluation = Evaluation(problem, allocator, stop, callback, lower_bound=np.inf)
            return
        low, high = maximise(problem)
        self.point = max(low, high, key=lambda point: point.value)
        bound = self.point.value - rounding_slack(problem.n_nodes, self.point.magnitude)
        self.evaluation = Evaluation(problem, allocator, stop, callback, lower_bound=bound)
        self.evaluation.price = self.point.price
        ends = [high.splits] if np.array_equal(low.splits, high.splits) else [high.splits, low.splits]
        with self.to_the_end():
            self.evaluation.solve_in_budget(np.stack(ends))
            if len(ends) > 1 and not self.closed:
                self._switch(low.splits, high.splits)
            self.improve(pairs=False)

    @contextmanager
    def to_the_end(self) -> Iterator[None]:
        """Let a spent budget or Ctrl-C end what is done inside, with the incumbent and the bound as they are."""
        try:
            yield
        except (BudgetSpent, KeyboardInterrupt):
            self.spent = True

    @property
    def closed(self) -> bool:
        """Whether the incumbent is proved good enough."""
        return relative_gap(self.evaluation.objective, self.evaluation.lower_bound) <= self.tolerance

    def survivors(self) -> Survivors:
        """Return the splits that a plan better than the incumbent may use."""
        return survivors(self.problem, self.point, self.evaluation.objective)

    def placement(self) -> Placement:
        """Return the incumbent and the bound as they are."""
        done = self.evaluation.placement(Status.OPTIMAL if self.closed else Status.LIMIT)
        return replace(done, price=self.point.price)

    def _switch(self, low: IntArray, high: IntArray) -> None:
        """Try plans between two: the first k of the nodes where they differ as in one, the rest as in the other."""
        differ = np.flatnonzero(low != high)
        first, last = 0, len(differ)
        while last - first > 1:
            counts = np.unique(np.linspace(first, last, min(last - first + 1, self._batch)).astype(np.int64))
            plans = np.repeat(high[None, :], len(counts), axis=0)
            for plan, count in zip(plans, counts, strict=True):
                plan[differ[:count]] = low[differ[:count]]
            values, _ = self.evaluation.solve_in_budget(plans)
            step = int(np.diff(counts).max())
            if step <= 1:
                return
            best = int(counts[values.argmin()])
            first, last = max(0, best - step), min(len(differ), best + step)

    def improve(self, *, pairs: bool) -> None:
        """Exchange one node's split, and with `pairs` two, for as long as that helps."""
        evaluation = self.evaluation
        while evaluation.splits is not None and not self.closed:
            before = evaluation.objective
            left = self.survivors()
            if left.plans <= _FEW:
                return
            moves = sorted(
                (float(c), int(d), int(g))
                for d, splits, costs in zip(left.nodes, left.splits, left.reduced, strict=True)
                for g, c in zip(splits, costs, strict=True)
            )
            self._exchange([((d, g),) for _, d, g in moves[: self._batch]])
            if evaluation.objective < before:
                continue
            if not pairs:
                return
            few = moves[: int(np.sqrt(2 * self._batch))]
            self._exchange([((d, g), (e, h)) for i, (_, d, g) in enumerate(few) for _, e, h in few[:i] if d != e])
            if evaluation.objective >= before:
                return

    def _exchange(self, changes: list[tuple[tuple[int, int], ...]]) -> None:
        incumbent = self.evaluation.splits
        assert incumbent is not None  # the caller's loop
        plans = np.repeat(incumbent[None, :], len(changes), axis=0)
        for plan, change in zip(plans, changes, strict=True):
            for d, g in change:
                plan[d] = g
        plans = plans[(plans != incumbent).any(axis=1)]
        if plans.size:
            self.evaluation.solve_in_budget(plans)

    @property
    def _batch(self) -> int:
        return int(min(_MAX_MOVES, max(8, _BATCH_ENTRIES // self.problem.n_nodes)))


class LagrangianPlacer(ABC):
    """A placer that begins with a Lagrangian search and differs in how it closes what that leaves open."""

    __slots__ = ()

    def supports(self, problem: Problem) -> str | None:
        """Every problem is supported."""
        return None

    def place(
        self,
        problem: Problem,
        allocator: Allocator,
        *,
        stop: Stop,
        rng: np.random.Generator,
        callback: Callback | None = None,
    ) -> Placement:
        """Return the best plan and bound; at a limit or an interrupt, those found so far."""
        search = Search(problem, allocator, stop, callback)
        with search.to_the_end():
            self.close(search)
        return search.placement()

    @abstractmethod
    def close(self, search: Search) -> None:
        """Raise the search's bound and improve its incumbent until they meet or there is no more to do."""


@dataclass(frozen=True, slots=True)
class Lagrangian(LagrangianPlacer):
    """The best price and the best plan around it; optimal whenever the two meet, as they do on large fleets."""

    def close(self, search: Search) -> None:
        """Exchange the splits of one node or two."""
        if not search.spent:
            search.improve(pairs=True)
