"""How much of what is shared any plan needs, from weights y ≥ 0 of the resources that sum to 1 (weak duality).

Whatever the plan, Σ_d min_o Σ_k y_r·(least share) ≤ Σ_r y_r·load_r ≤ the load of its fullest resource. So if the left
side is 1 or more, no plan exists.
"""

from __future__ import annotations

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray, blocks, constant
from dmcjia_opt.model.problem import Problem

_BLOCK = 1 << 16
_PASSES = 60
_STEP = 8.0


def least_load(problem: Problem) -> float:
    """Return a load that some resource has in every plan; a plan exists only if it is below 1."""
    return heaviest(problem)[0]


def heaviest(problem: Problem) -> tuple[float, FloatArray]:
    """Return the load that `weights` prove of every plan, and those weights (n_resources,), which sum to 1.

    With several resources weights move to those that are overloaded until a plan is met that overloads none, or the
    passes are spent.
    """
    n_resources = problem.n_resources
    if n_resources == 1:
        one = np.ones(1)
        return sum(float(least.sum()) for least in _least(problem, one)), one
    best, at = -np.inf, np.full(n_resources, 1.0 / n_resources)
    score = np.zeros(n_resources)
    for step in range(_PASSES):
        weights = np.exp(score - score.max())
        weights /= weights.sum()
        load = np.zeros(n_resources)
        proved = 0.0
        for rows in blocks(problem.n_nodes, problem.n_options, _BLOCK):
            least, choice = _weighted(problem, rows, weights)
            proved += float(least.sum())
            load += _loads_of(problem, rows, choice)
        if proved > best:
            best, at = proved, weights
        if proved >= 1.0 or (load < 1.0).all():
            break
        score += _STEP / np.sqrt(step + 1.0) * (load - load @ weights) / max(float(load.max()), 1.0)
    return best, at


def least_shares(problem: Problem, weights: FloatArray | None = None) -> FloatArray:
    """Return the least weighted share that any option of each node needs, (n_nodes,); +inf where none is stable.

    `weights` (n_resources,) are those of `heaviest` unless given.
    """
    return np.concatenate(list(_least(problem, heaviest(problem)[1] if weights is None else weights)))


def _least(problem: Problem, weights: FloatArray) -> list[FloatArray]:
    parts = blocks(problem.n_nodes, problem.n_options, _BLOCK)
    return [_weighted(problem, rows, weights)[0] for rows in parts]


def _floors(problem: Problem, rows: slice) -> FloatArray:
    """Return the least rates (n, n_options or 1, n_uses or 1), 1/s."""
    rate = problem.arrival_rate[rows, None, None]
    if not problem.ordered:
        return rate
    floor = problem.least_rate[rows] - rate
    return np.asarray(rate + np.maximum(floor, 0.0))


def _weighted(problem: Problem, rows: slice, weights: FloatArray) -> tuple[FloatArray, IntArray]:
    """Return the least weighted share (n,) of some nodes, and the options (n,) that need no more."""
    shares = _floors(problem, rows) * problem.service[rows]
    fixed = problem.fixed_delay[rows]
    total: FloatArray = constant(0.0, fixed.shape)
    for k in range(problem.n_uses):
        own = shares[..., k] if len(weights) == 1 else weights[problem.resource[rows, :, k]] * shares[..., k]
        total = own if k == 0 else total + own
    total = np.where(np.isfinite(fixed), total, np.inf)
    choice = total.argmin(axis=1)
    return total[np.arange(len(total)), choice], choice


def _loads_of(problem: Problem, rows: slice, choice: IntArray) -> FloatArray:
    index = np.arange(rows.start, rows.stop), choice
    rate = problem.arrival_rate[rows, None]
    if problem.ordered:
        rate = np.maximum(rate, problem.least_rate[index])
    share = rate * problem.service[index]
    total: FloatArray = np.bincount(problem.resource[index].ravel(), share.ravel(), problem.n_resources).astype(
        np.float64
    )
    return total
