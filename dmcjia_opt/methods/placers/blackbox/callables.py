"""The placement problem as a plain Python function, and a placer made of any function that minimises one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike

from dmcjia_opt.base.arrays import IntArray
from dmcjia_opt.base.errors import BackendFailed
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.contract import Allocator, Callback, Placement, Status, Stop
from dmcjia_opt.solving.options import Count, method
from dmcjia_opt.solving.search import BudgetSpent, Evaluation

#: Distinct plans that a search without a budget and without an end of its own may evaluate.
DEFAULT_EVALUATIONS = 2000
_TICK = 50


class MeanDelay:
    """The mean delay as a function of the splits alone: ``f(splits)``, for any optimiser that takes a callable.

    Inside a placer it ends the search by an exception of its own when the budget is spent; let that pass. Made from
    a problem it never ends a search.

    Parameters
    ----------
    problem
        The compiled problem.
    allocator
        Chooses the shares of each plan; water-filling by default.
    evaluation
        Keeps budget, cache and incumbent; by default a new one that never ends the search.
    repair
        Round splits to the nearest integer and clip them into range; without it, such splits are an error.
    finite
        Give infeasible plans a large finite value that grows with their overload, instead of +inf.
    """

    def __init__(
        self,
        problem: Problem,
        allocator: Allocator | None = None,
        *,
        evaluation: Evaluation | None = None,
        repair: bool = True,
        finite: bool = True,
    ) -> None:
        self.problem = problem
        self.evaluation = evaluation or Evaluation(problem, allocator or WaterFilling(), None)
        self.repair = repair
        self.finite = finite

    @property
    def upper(self) -> IntArray:
        """(n_nodes,) largest split of each node; the least is 0."""
        return self.problem.layers

    @property
    def best(self) -> IntArray | None:
        """(n_nodes,) splits of the best feasible plan met so far, or None."""
        return self.evaluation.splits

    def __call__(self, splits: ArrayLike, /) -> Any:  # noqa: ANN401 - a float, or an array for several plans
        """Return the mean delay, s.

        Parameters
        ----------
        splits
            (n_nodes,) for one plan, or (n_plans, n_nodes).

        Returns
        -------
        A float for one plan, (n_plans,) for several.

        Raises
        ------
        BackendFailed
            If `splits` are not such an array, or without `repair` are not splits of the nodes.
        BudgetSpent
            When the budget of the search is spent.
        """
        plans = self._plans(splits)
        batch = np.atleast_2d(plans)
        before = self.evaluation.evaluations
        values = self.evaluation.finite(batch) if self.finite else self.evaluation(batch)
        if self.evaluation.evaluations // _TICK > before // _TICK:
            self.evaluation.tick()
        return float(values[0]) if plans.ndim == 1 else values

    def _plans(self, splits: ArrayLike) -> IntArray:
        n = self.problem.n_nodes
        try:
            array = np.asarray(splits)
        except ValueError:
            raise BackendFailed("the search proposed rows of different lengths; give (n_plans, n_nodes)") from None
        if array.dtype.kind not in "iufb" or array.ndim not in (1, 2) or array.shape[-1] != n:
            raise BackendFailed(
                f"the search proposed {array.dtype} of shape {array.shape}; "
                f"give numbers of shape ({n},) or (n_plans, {n}), one split a node"
            )
        if not np.isfinite(array).all():
            raise BackendFailed("the search proposed splits that are not finite numbers")
        whole = np.rint(array)
        if self.repair:
            return cast(IntArray, np.clip(whole, 0, self.upper).astype(np.int64))
        if (whole != array).any():
            raise BackendFailed("the search proposed splits that are not integers; round them, or set repair=True")
        if (whole < 0).any() or (whole > self.upper).any():
            d = int(np.argwhere((whole < 0) | (whole > self.upper))[0][-1])
            raise BackendFailed(
                f"the search proposed a split of node {d} outside 0 … {self.upper[d]}; clip it, or set repair=True"
            )
        return cast(IntArray, whole.astype(np.int64))


class SearchPlacer(ABC):
    """A placer that tries plans until it or the budget is at its end; a subclass says which plans.

    A search without a budget of evaluations or seconds ends after `evaluations` distinct plans.
    """

    __slots__ = ()

    evaluations: int
    repair: bool
    finite: bool

    def supports(self, problem: Problem) -> str | None:
        """Every problem is supported unless a subclass says otherwise."""
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
        """Return the best plan the search meets; at a limit or an interrupt, the best so far.

        Raises
        ------
        BackendFailed
            If the search proposes what is no plan.
        """
        budgeted = stop.evaluations is not None or stop.seconds is not None
        limits = stop if budgeted else replace(stop, evaluations=self.evaluations)
        evaluation = Evaluation(problem, allocator, limits, callback)
        f = MeanDelay(problem, evaluation=evaluation, repair=self.repair, finite=self.finite)
        status = Status.FEASIBLE
        try:
            self.search(f, limits, rng)
        except BudgetSpent:
            status = Status.LIMIT if budgeted else Status.FEASIBLE
        except KeyboardInterrupt:
            if evaluation.splits is None:
                raise
            status = Status.LIMIT
        return evaluation.placement(status)

    @abstractmethod
    def search(self, f: MeanDelay, stop: Stop, rng: np.random.Generator) -> None:
        """Call `f` on plans worth trying, until there are no more; `f` remembers the best and keeps the budget."""


Minimiser = Callable[[MeanDelay, IntArray, np.random.Generator], object]


@method
class FromFunction(SearchPlacer):
    """A placer made of a function that minimises another over a box of integers.

    Parameters
    ----------
    minimise
        ``minimise(f, upper, rng)``: calls `f` (a `MeanDelay`) on splits from 0 to `upper` (n_nodes,), drawing from
        `rng` alone if the same seed is to give the same plan. What it returns is not looked at: `f` remembers.
    evaluations
        Distinct plans, when no budget of evaluations or seconds is given.
    repair, finite
        As for `MeanDelay`.
    """

    minimise: Minimiser
    evaluations: Count = DEFAULT_EVALUATIONS
    repair: bool = True
    finite: bool = True

    def search(self, f: MeanDelay, stop: Stop, rng: np.random.Generator) -> None:
        """Hand `f` over."""
        self.minimise(f, f.upper, rng)
