"""Shares where some of what is shared is pooled: an allocator gets the reserved rest, and what is pooled has none."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

import numpy as np

from dmcjia_opt.base.arrays import IntArray
from dmcjia_opt.model import pooling
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.contract import Allocation, Status

Method = TypeVar("Method")
Allocate = Callable[[Method, Problem, IntArray], Allocation]


def of_what_is_reserved(allocate: Allocate[Method]) -> Allocate[Method]:
    """Make a method that allocates shares one that knows pooled resources: its own problem holds none.

    Under fixed options the pooled delays are fixed, too. They do not change which shares are best for the mean; where
    there are deadlines, or the worst node counts, each plan is a problem of its own.
    """

    @wraps(allocate)
    def whole(self: Method, problem: Problem, options: IntArray) -> Allocation:
        if not problem.pooled.any():
            return allocate(self, problem, options)
        fine = problem.overload(options) == 0
        shares = np.zeros((*options.shape, problem.n_uses))
        prices = np.zeros((len(options), problem.n_resources))
        status = np.full(len(options), Status.OPTIMAL, dtype=np.int8)
        if not problem.pooled.all() and fine.any():
            found = _rest(self, problem, options[fine])
            shares[fine], status[fine] = found.shares, found.status
            prices[fine] = np.where(problem.pooled, 0.0, found.prices)
        shares[~fine], prices[~fine], status[~fine] = np.nan, np.nan, Status.INFEASIBLE
        return Allocation(shares, prices, status)

    def _rest(self: Method, problem: Problem, options: IntArray) -> Allocation:
        if not (problem.worst or np.isfinite(problem.deadline).any()):
            return allocate(self, problem.relaxed, options)
        none = np.zeros((1, problem.n_nodes), dtype=np.int64)
        found = [allocate(self, pooling.given(problem, plan), none) for plan in options]
        return Allocation(
            np.concatenate([one.shares for one in found]),
            np.concatenate([one.prices for one in found]),
            np.concatenate([one.status for one in found]),
        )

    return whole
