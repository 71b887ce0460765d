"""Plans that shares exist for, drawn at random: what allocators are compared on."""

from __future__ import annotations

import numpy as np

from dmcjia_opt.base.arrays import IntArray
from dmcjia_opt.bounds.loads import heaviest
from dmcjia_opt.model.problem import Problem


def feasible_plans(problem: Problem, number: int, rng: np.random.Generator) -> IntArray | None:
    """Return random plans (number, n_nodes) for which shares exist, or None if there is no such plan.

    Every node draws among its stable options. Where that overloads a resource, nodes in random order take the option
    that asks least (of several resources, weighted as `heaviest` does), no more of them than needed.
    """
    rows = np.arange(problem.n_nodes)
    stable = np.isfinite(problem.fixed_delay)
    if not stable.any(axis=1).all():
        return None
    weights = heaviest(problem)[1]
    every = [np.full(problem.n_nodes, k) for k in range(problem.n_options)]
    asked = np.stack(
        [(weights[problem.at(problem.resource, k)] * problem.least_share(k)).sum(-1) for k in every], axis=1
    )
    least = np.where(stable, asked, np.inf).argmin(axis=1)
    if problem.overload(least) > 0:
        return None
    plans = np.empty((number, problem.n_nodes), dtype=np.int64)
    for plan in plans:
        plan[:] = np.where(stable, rng.random(stable.shape), -1.0).argmax(axis=1)
        order = rng.permutation(problem.n_nodes)
        if problem.overload(plan) > 0:
            saved = np.cumsum((asked[rows, plan] - asked[rows, least])[order])
            over = asked[rows, plan].sum() - 1.0
            first = int(np.searchsorted(saved, over, side="right")) if problem.n_resources == 1 else 0
            count = min(first + 1, problem.n_nodes)
            plan[order[:count]] = least[order[:count]]
            while problem.overload(plan) > 0:  # what is saved may be less than what rounding adds
                count += 1
                plan[order[:count]] = least[order[:count]]
    return plans
