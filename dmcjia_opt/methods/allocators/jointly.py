"""Shares of several resources at once, where stages of one tandem couple them.

Given prices ν, every node knows the best rates of its stages (`delay.series_excess`). What is left is one equation a
resource, Σ shares = 1, the gradient of a smooth concave dual. Shares grow about linearly in ν^(−1/2), so Newton's
method runs in that, with the derivatives of the shares: stages that are as slow as each other move together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dmcjia_opt.base.arrays import EPS, BoolArray, FloatArray, IntArray
from dmcjia_opt.model.delay import TANDEM, QueueCurve, series_excess
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.contract import Allocation, Status

_STEPS = 200
_TOLERANCE = 1e-14
_ACCURATE = 1e-10
_MOST_TOGETHER = 64  # resources up to which their equations are solved together


def fill_jointly(problem: Problem, options: IntArray) -> Allocation:
    """Return optimal shares and prices for `options` (n_plans, n_nodes)."""
    shape = (*options.shape, problem.n_uses)
    shares, status = np.full(shape, np.nan), np.full(len(options), Status.INFEASIBLE, dtype=np.int8)
    prices = np.full((len(options), problem.n_resources), np.nan)
    for row in np.flatnonzero(problem.overload(options) == 0):
        shares[row], prices[row], status[row] = _fill(_OnePlan.of(problem, options[row]))
    return Allocation(shares, prices, status)


@dataclass(frozen=True, slots=True, eq=False)
class _OnePlan:
    """The uses of one plan, (n_nodes, n_uses) each."""

    problem: Problem
    s: FloatArray
    resource: IntArray
    floor: FloatArray  # least excess rate
    wait: FloatArray  # (n_nodes,)
    used: FloatArray  # (n_resources,) the load of each

    @classmethod
    def of(cls, problem: Problem, options: IntArray) -> _OnePlan:
        s = problem.at(problem.service, options)
        rate = problem.arrival_rate[:, None]
        floor = np.where(s > 0, problem.at(problem.least_rate, options) - rate, -np.inf)
        load = problem.by_resource(options, rate * s)
        return cls(problem, s, problem.at(problem.resource, options), floor, problem.at(problem.wait, options), load)

    def total(self, values: FloatArray) -> FloatArray:
        summed = np.bincount(self.resource.ravel(), values.ravel(), self.problem.n_resources)
        return summed.astype(np.float64, copy=False)

    def response(self, prices: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return shares (n_nodes, n_uses), and minus their derivatives by the prices (n_nodes, n_uses, n_uses)."""
        problem, s = self.problem, self.s
        weight, rate = problem.weight, problem.arrival_rate
        busy = s > 0
        c = np.where(busy, prices[self.resource] * s / weight[:, None], 0.0)
        excess = np.ones_like(s)
        fall = np.zeros((*s.shape, s.shape[1]))
        curves = problem.use_curves
        for k, curve in enumerate(curves):
            if curve == TANDEM:
                continue
            x = np.maximum(curve.excess_at(np.where(busy[:, k], c[:, k], 1.0), rate, self.wait), self.floor[:, k])
            moves = busy[:, k] & (x > self.floor[:, k])
            excess[:, k] = x
            with np.errstate(divide="ignore"):
                fall[:, k, k] = np.where(moves, s[:, k] ** 2 / (weight * curve.curvature(x, rate, self.wait)), 0.0)
        stages = [k for k, curve in enumerate(curves) if curve == TANDEM]
        found = series_excess(c[:, stages].T, self.floor[:, stages].T, rate, self.wait).T
        on = busy[:, stages]
        slowest = np.where(on, found, np.inf).min(axis=1)
        alone = 1.0 / np.sqrt(np.where(on, c[:, stages], 1.0)) - rate[:, None]
        together = on & (found == slowest[:, None]) & (alone < found) & (found > self.floor[:, stages])
        free = on & ~together & (found > self.floor[:, stages])
        excess[:, stages] = np.where(on, found, 1.0)
        number = np.maximum(together.sum(axis=1), 1)
        crossing = TANDEM.crossing(rate, self.wait)
        with np.errstate(divide="ignore"):
            moved = np.where(slowest < crossing, 1.0 / (weight * _curvature(number, slowest, rate)), 0.0)
        for i, k in enumerate(stages):
            mu = np.where(free[:, i], rate + found[:, i], 0.0)
            fall[:, k, k] = s[:, k] ** 2 * mu**3 / (2.0 * weight)
            for j, other in enumerate(stages):
                both = together[:, i] & together[:, j]
                fall[:, k, other] += np.where(both, s[:, k] * s[:, other] * moved, 0.0)
        return np.where(busy, s * (rate[:, None] + excess), 0.0), fall


def _curvature(number: IntArray, excess: FloatArray, rate: FloatArray) -> FloatArray:
    """Return the second derivative, s³, of what `number` stages that are as slow as each other delay."""
    found = np.ones_like(excess)
    for j in np.unique(number):
        b = 0.5 / j
        at = number == j
        found[at] = j * QueueCurve("mg1", 1.0 - b, b).curvature(excess[at], rate[at])
    return found


def _fill(plan: _OnePlan) -> tuple[FloatArray, FloatArray, Status]:
    problem = plan.problem
    used = plan.used > 0
    surplus = np.where(used, 1.0 - plan.used, 1.0)
    root = plan.total(np.sqrt(problem.weight[:, None] * plan.s))
    q = np.where(used, surplus / np.where(used, root, 1.0), 1.0)  # ν^(−1/2) of M/M/1 queues
    best, best_over, shares = q, np.inf, np.zeros_like(plan.s)
    shrink = 1.0
    for _ in range(_STEPS):
        tried, fall = plan.response(q**-2.0)
        over = np.where(used, (plan.total(tried) - 1.0) / surplus, 0.0)
        size = float(np.abs(over).max())
        if size < best_over:
            best, best_over, shares = q, size, tried
            shrink = min(1.0, 2.0 * shrink)
        else:
            shrink = max(0.5 * shrink, 1.0 / 64.0)
        if size <= _TOLERANCE:
            break
        step = _step(plan, fall, q, over * surplus, used)
        q = q * np.clip(1.0 + shrink * step / q, 0.25, 4.0)
    part = np.where(plan.s > 0, shares - problem.arrival_rate[:, None] * plan.s, 0.0)
    total = plan.total(part)
    scale = np.where(total > surplus, surplus / np.where(total > 0, total, 1.0) * (1.0 - 4.0 * EPS), 1.0)
    shares = np.where(plan.s > 0, shares - part * (1.0 - scale[plan.resource]), 0.0)
    status = Status.OPTIMAL if best_over <= _ACCURATE else Status.INACCURATE
    return shares, np.where(used, best**-2.0, 0.0), status


def _step(plan: _OnePlan, fall: FloatArray, q: FloatArray, over: FloatArray, used: BoolArray) -> FloatArray:
    """Return Newton's step in q (n_resources,), all resources together or each on its own where there are many."""
    n = plan.problem.n_resources
    slope = 2.0 * q**-3.0  # −dν/dq
    if n > _MOST_TOGETHER:
        own = np.einsum("dkk->dk", fall)
        diagonal = plan.total(own) * slope
        return -over / np.where(diagonal > 0, diagonal, np.inf)
    index = plan.resource[:, :, None] * n + plan.resource[:, None, :]
    matrix = np.bincount(index.ravel(), fall.ravel(), n * n).reshape(n, n) * slope
    idle = np.diag(matrix) <= 0
    matrix[np.diag_indices(n)] = np.where(idle, 1.0, np.diag(matrix) * (1.0 + 1e-13))
    over = np.where(idle & used, 0.1 * np.sign(over) * q, over)
    return np.asarray(-np.linalg.solve(matrix, over), dtype=np.float64)
