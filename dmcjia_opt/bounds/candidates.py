"""Which options can be part of an optimum: the Pareto filter."""

from __future__ import annotations

import numpy as np

from dmcjia_opt.base.arrays import BoolArray, FloatArray, IntArray, blocks, distinct
from dmcjia_opt.model.problem import Problem

_BLOCK = 1 << 20


def pareto_options(problem: Problem) -> BoolArray:
    """Return which options of each node no other option of that node dominates, (n_nodes, n_options).

    An option is dominated if another has no more fixed delay and, for every use, needs nothing there, or the same
    resource for no longer and, under an ordering constraint, with no larger least share: with the same shares the
    other one is then at least as good. In the tandem model it must have no more fixed delay without its wait either,
    because a wait upstream is none behind it. Of equal options the first stays. Options with infinite fixed delay
    never stay.
    """
    n, m = problem.n_nodes, problem.n_options
    keep = np.empty((n, m), dtype=bool)
    waits = bool(distinct(problem.wait).any())
    quick = problem.single and not (problem.ordered or waits)
    for rows in blocks(n, m if quick else m * m, _BLOCK):
        fixed, service = problem.fixed_delay[rows], problem.service[rows]
        costs, amounts = [fixed], [service]
        if waits:
            costs.append(fixed - problem.wait[rows])
        if problem.ordered:
            least = np.maximum(problem.arrival_rate[rows, None, None], problem.least_rate[rows])
            amounts.append(least * service)
        resource = None if problem.n_resources == 1 else problem.resource[rows]
        keep[rows] = undominated(costs, amounts, resource) & np.isfinite(fixed)
    return keep


def undominated(costs: list[FloatArray], amounts: list[FloatArray], resource: IntArray | None = None) -> BoolArray:
    """Return which entries (n, m) no other entry of the same row beats in every table; of equal ones the first.

    Parameters
    ----------
    costs
        (n, m) each.
    amounts
        (n, m, n_uses) each: what is needed of a resource, 0 where nothing is.
    resource
        (n, m, n_uses) of which one; None where there is only one.
    """
    if resource is None and len(costs) == len(amounts) == 1 and amounts[0].shape[2] == 1:
        return _two(costs[0], amounts[0][:, :, 0])
    n, m = costs[0].shape
    no_worse = np.ones((n, m, m), dtype=bool)  # [d, i, j]: j is no worse than i
    for table in costs:
        no_worse &= table[:, None, :] <= table[:, :, None]
    for k in range(amounts[0].shape[2]):
        no_more = np.ones_like(no_worse)
        for amount in amounts:
            no_more &= amount[:, None, :, k] <= amount[:, :, None, k]
        if resource is not None:
            no_more &= resource[:, None, :, k] == resource[:, :, None, k]
            no_more |= amounts[0][:, None, :, k] == 0.0
        no_worse &= no_more
    first = np.tri(m, k=-1, dtype=bool)  # j < i breaks ties
    dominated: BoolArray = np.any(no_worse & (first | ~no_worse.swapaxes(1, 2)), axis=2)
    return ~dominated


def _two(cost: FloatArray, amount: FloatArray) -> BoolArray:
    order = np.lexsort((cost, amount), axis=-1)
    in_order = np.take_along_axis(cost, order, 1)
    best_before = np.full_like(in_order, np.inf)
    np.minimum.accumulate(in_order[:, :-1], axis=1, out=best_before[:, 1:])
    keep = np.empty(cost.shape, dtype=bool)
    np.put_along_axis(keep, order, in_order < best_before, 1)
    return keep
