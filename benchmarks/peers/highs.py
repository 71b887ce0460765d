"""A mixed-integer linear program with share levels, in HiGHS: what one writes down first.

Source: the perspective of a separable convex function, tabulated; HiGHS (Q. Huangfu and J. A. J. Hall, 2018,
doi:10.1007/s12532-017-0130-5) as SciPy brings it.

A binary says which option a node takes. Each use of an option has `levels` shares between what is just stable and the
whole resource, weights over them that sum to the binary, and the delay at each. Delays are convex in the share, so that
a plan of the program is a plan, and no slower than the program says. The plan that it ends with is offered with its own
shares; its bound is one of the table and says nothing about the problem.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

from dmcjia_opt import Problem, Search
from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.solving.contract import of_shares, of_the_mean
from dmcjia_opt.solving.options import Factor, method

_CLOSEST = 1e-3  # part of what is left beyond the least share at which the first level stands


@method
class Highs:
    """Options as binaries and shares on levels, all in one linear program.

    Parameters
    ----------
    levels
        Shares that each use of an option may mix.
    gap
        Relative gap of the program at which it stops.
    """

    levels: Annotated[int, Field(ge=2)] = 60
    gap: Factor = 1e-6

    def supports(self, problem: Problem) -> str | None:
        """Return why not: it takes means of queues that are reserved and do not wait for each other."""
        if problem.kinked:
            return "its delays are those of queues on their own, and here stages wait for each other; use exact"
        return of_the_mean(problem, "exact") or of_shares(problem, "exact")

    def search(self, search: Search, rng: np.random.Generator) -> None:
        """Offer the plan of the program."""
        problem = search.problem
        node, option = np.nonzero(self._possible(problem))
        if len(np.unique(node)) < problem.n_nodes:
            return  # a node that no option makes stable: there is no plan
        n_binaries = len(node)
        entry, use = np.nonzero(problem.service[node, option] > 0)
        share, delay = self._table(problem, node[entry], option[entry], use)
        n_weights = share.size
        weight = n_binaries + np.arange(n_weights).reshape(share.shape)
        of = problem.weight
        cost = np.concatenate([(of[node] * problem.fixed_delay[node, option]), (of[node[entry], None] * delay).ravel()])
        ones, rows = np.ones(n_binaries), np.arange(len(entry))
        resource = problem.resource[node[entry], option[entry], use]
        each = np.repeat(rows, self.levels)
        constraints = [
            _rows(node, np.arange(n_binaries), ones, (problem.n_nodes, len(cost)), 1.0, 1.0),
            _rows(
                np.concatenate([each, rows]),
                np.concatenate([weight.ravel(), entry]),
                np.concatenate([np.ones(n_weights), -np.ones(len(rows))]),
                (len(rows), len(cost)),
                0.0,
                0.0,
            ),
            _rows(resource[each], weight.ravel(), share.ravel(), (problem.n_resources, len(cost)), -np.inf, 1.0),
        ]
        limit = {} if np.isinf(search.seconds_left) else {"time_limit": max(search.seconds_left, 1e-3)}
        found = milp(
            cost,
            integrality=np.arange(len(cost)) < n_binaries,
            bounds=Bounds(0.0, 1.0),
            constraints=[constraint for constraint in constraints if constraint.A.shape[0]],
            options={"mip_rel_gap": self.gap, **limit},
        )
        if found.x is None:
            return
        chosen = found.x[:n_binaries] > 0.5
        options, shares = np.zeros(problem.n_nodes, dtype=np.int64), np.zeros((problem.n_nodes, problem.n_uses))
        options[node[chosen]] = option[chosen]
        mine = chosen[entry]
        mixed = (share * found.x[weight])[mine].sum(axis=1)
        shares[node[entry[mine]], use[mine]] = mixed
        full = np.maximum(problem.by_resource(options, shares), 1.0)  # what HiGHS's tolerance lets rows overstep
        search.offer(options, shares / full[problem.at(problem.resource, options)])

    def _possible(self, problem: Problem) -> np.ndarray:
        least = self._least(problem)
        return np.isfinite(problem.fixed_delay) & ((problem.service <= 0) | (least < 1.0)).all(axis=-1)

    def _least(self, problem: Problem) -> FloatArray:
        rate = np.maximum(problem.arrival_rate[:, None, None], problem.least_rate)
        return np.asarray(rate * problem.service)

    def _table(
        self, problem: Problem, node: np.ndarray, option: np.ndarray, use: np.ndarray
    ) -> tuple[FloatArray, FloatArray]:
        """Return shares and delays (n_uses, levels), s, from just above the least share to the whole resource."""
        least = self._least(problem)[node, option, use][:, None]
        share = least + (1.0 - least) * np.geomspace(_CLOSEST, 1.0, self.levels)
        s, rate = problem.service[node, option, use][:, None], problem.arrival_rate[node][:, None]
        scv = problem.arrival_scv[node][:, None] if problem.renewal else 1.0
        delay = np.empty_like(share)
        for k, curve in enumerate(problem.use_curves):
            on = use == k
            of = scv[on] if isinstance(scv, np.ndarray) else scv
            delay[on] = curve.delay((share / s - rate)[on], rate[on], np.zeros(1), of)
        return share, delay


def _rows(
    row: np.ndarray, column: np.ndarray, value: np.ndarray, shape: tuple[int, int], low: float, high: float
) -> LinearConstraint:
    return LinearConstraint(coo_array((value, (row, column)), shape=shape).tocsc(), low, high)
