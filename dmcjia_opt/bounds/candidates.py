"""Which splits can be part of an optimum: the Pareto filter."""

from __future__ import annotations

import numpy as np

from dmcjia_opt.base.arrays import BoolArray, blocks, distinct
from dmcjia_opt.model.problem import Problem

_BLOCK = 1 << 20


def pareto_splits(problem: Problem) -> BoolArray:
    """Return which splits of each node no other split of that node dominates, (n_nodes, n_options).

    A split is dominated if another has no more local delay, no more cloud time and, under an ordering constraint,
    no larger least share: at any share the other one is then at least as good. In the tandem model it must have no
    more local delay without its wait either, because a wait upstream is none at the cloud. Of equal splits the first
    stays. Splits with infinite local delay never stay.
    """
    n, m = problem.n_nodes, problem.n_options
    keep = np.empty((n, m), dtype=bool)
    if problem.n_uses == 1 and not (problem.ordered or distinct(problem.wait).any()):
        for rows in blocks(n, m, _BLOCK):
            keep[rows] = _two(problem, rows)
    else:
        for rows in blocks(n, m * m, _BLOCK):
            keep[rows] = _more(problem, rows)
    return keep


def _two(problem: Problem, rows: slice) -> BoolArray:
    local, s = problem.fixed_delay[rows], problem.service[rows, :, 0]
    order = np.lexsort((local, s), axis=-1)
    sorted_local = np.take_along_axis(local, order, 1)
    best_before = np.full_like(sorted_local, np.inf)
    np.minimum.accumulate(sorted_local[:, :-1], axis=1, out=best_before[:, 1:])
    keep = np.empty(local.shape, dtype=bool)
    np.put_along_axis(keep, order, sorted_local < best_before, 1)
    return keep


def _more(problem: Problem, rows: slice) -> BoolArray:
    local, s = problem.fixed_delay[rows], problem.service[rows]
    tables = [local, *np.moveaxis(s, 2, 0)]
    if problem.ordered:
        tables += [*np.moveaxis(np.maximum(problem.arrival_rate[rows, None, None], problem.least_rate[rows]) * s, 2, 0)]
    if distinct(problem.wait).any():
        tables.append(local - problem.wait[rows])
    no_worse = np.ones((*local.shape, local.shape[1]), dtype=bool)  # [d, i, j]: j is no worse than i
    better = np.zeros_like(no_worse)
    for table in tables:
        no_worse &= table[:, None, :] <= table[:, :, None]
        better |= table[:, None, :] < table[:, :, None]
    first = np.tri(local.shape[1], k=-1, dtype=bool)  # j < i breaks ties
    dominated: BoolArray = (no_worse & (better | first)).any(axis=2)
    return ~dominated & np.isfinite(local)
