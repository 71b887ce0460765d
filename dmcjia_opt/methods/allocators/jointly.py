"""Shares of several resources at once, where stages of one tandem couple them.

Given prices ν, every node knows the best rates of its stages (`delay.series_excess`). What is left is one equation a
resource, Σ shares = 1, the gradient of a concave dual with kinks in its slope. Shares grow about linearly in
q = ν^(−1/2), so Newton's method runs in that, with the derivatives of the shares: stages that are as slow as each
other move together. Along a segment of prices the dual's slope only falls, which tells when a step is too long.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dmcjia_opt.base.arrays import EPS, BoolArray, FloatArray, IntArray
from dmcjia_opt.bounds.columns import kept_within, late_of
from dmcjia_opt.bounds.dual import fixed_dual
from dmcjia_opt.bounds.responses import Asked
from dmcjia_opt.model.delay import TandemCurve, series_excess
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.contract import Allocation, Status

_STEPS = 200
_PATIENCE = 60  # steps without progress after which rounding is all that is left
_TOLERANCE = 4.0 * EPS  # of Σ shares
_PROGRESS = 0.5  # of the residual, in _PATIENCE steps
_OVERSHOT = 0.3  # of the slope at its start, with the opposite sign, where a step is too long
_IDLE = 1e-12  # of the surplus, a change of Σ shares with the logarithm of the price that is none
_HALVINGS = 40
_DENSE = 32  # resources up to which their equations are solved as a full matrix; threads cost more than they save
_LONGEST = -6.0, 1.5  # steps in logarithms of prices, which take q to 4 times and a quarter
_ENDLESS = 2.0**60  # times the first prices: deadlines that no shares keep drive them up without end
_FIRST_PACE = 0.2  # in logarithms of prices
#: Relative duality gap of shares that are called optimal; beyond what rounding takes.
_GAP = 1e-12


def fill_jointly(problem: Problem, options: IntArray) -> Allocation:
    """Return optimal shares and prices for `options` (n_plans, n_nodes)."""
    shape = (*options.shape, problem.n_uses)
    shares, status = np.full(shape, np.nan), np.full(len(options), Status.INFEASIBLE, dtype=np.int8)
    prices = np.full((len(options), problem.n_resources), np.nan)
    for row in np.flatnonzero(problem.overload(options) == 0):
        uses = Uses.of(problem, options[row])
        prices[row] = balanced(uses, uses.first_prices())
        shares[row] = uses.on_budget(uses.response(prices[row])[0])
        if problem.promised and not problem.residuals(options[row], shares[row]).feasible:
            shares[row] = np.nan  # its prices say that it is none: so do the bounds they give
            continue
        status[row] = Status.OPTIMAL if is_optimal(uses, shares[row], prices[row]) else Status.INACCURATE
    return Allocation(shares, prices, status)


@dataclass(frozen=True, slots=True, eq=False)
class Uses:
    """What one plan uses.

    Parameters
    ----------
    problem, options
        The compiled problem and (n_nodes,) the options of the plan.
    s, resource
        (n_nodes, n_uses) service times, s, and what they use.
    floor
        (n_nodes, n_uses) least excess rates, 1/s; −inf where nothing is used.
    wait
        (n_nodes,) wait upstream, s.
    load
        (n_nodes, n_uses) λs.
    used
        (n_resources,) whether anything is.
    surplus
        (n_resources,) 1 − Σλs.
    """

    problem: Problem
    options: IntArray
    s: FloatArray
    resource: IntArray
    floor: FloatArray
    wait: FloatArray
    load: FloatArray
    used: BoolArray
    surplus: FloatArray

    @classmethod
    def of(cls, problem: Problem, options: IntArray) -> Uses:
        """Return the uses of `options` (n_nodes,), for which shares exist."""
        s = problem.at(problem.service, options)
        rate = problem.arrival_rate[:, None]
        floor = np.where(s > 0, problem.at(problem.least_rate, options) - rate, -np.inf)
        load, total = rate * s, problem.by_resource(options, rate * s)
        resource, wait = problem.at(problem.resource, options), problem.at(problem.wait, options)
        return cls(problem, options, s, resource, floor, wait, load, total > 0, 1.0 - total)

    def total(self, values: FloatArray) -> FloatArray:
        """Return the sums (n_resources,) of values (n_nodes, n_uses)."""
        summed = np.bincount(self.resource.ravel(), values.ravel(), self.problem.n_resources)
        return summed.astype(np.float64, copy=False)

    def least(self) -> FloatArray:
        """Return the least shares (n_nodes, n_uses): the load and what floors add to it."""
        return np.where(self.s > 0, self.load + np.maximum(self.floor, 0.0) * self.s, 0.0)

    def first_prices(self) -> FloatArray:
        """Return the best prices (n_resources,) of M/M/1 queues; 0 of what is not used."""
        root = self.total(np.sqrt(self.problem.weight[:, None] * self.s))
        return np.where(self.used, (root / self.surplus) ** 2, 0.0)

    def response(self, prices: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return shares (n_nodes, n_uses), and minus their derivatives by the prices (n_nodes, n_uses, n_uses)."""
        problem, s = self.problem, self.s
        weight, rate, scv = problem.weight, problem.arrival_rate, problem.gaps()
        late, weight = self._raised(prices, weight)
        busy = s > 0
        c = np.where(busy, prices[self.resource] * s / weight[:, None], 0.0)
        excess = np.ones_like(s)
        fall = np.zeros((*s.shape, s.shape[1]))
        curves = problem.use_curves
        for k, curve in enumerate(curves):
            if isinstance(curve, TandemCurve):
                continue
            x = np.maximum(curve.excess_at(np.where(busy[:, k], c[:, k], 1.0), rate, self.wait, scv), self.floor[:, k])
            moves = busy[:, k] & (x > self.floor[:, k])
            excess[:, k] = x
            fall[:, k, k] = np.where(moves, s[:, k] ** 2 / (weight * curve.curvature(x, rate, self.wait, scv)), 0.0)
        stages = [k for k, curve in enumerate(curves) if isinstance(curve, TandemCurve)]
        if stages:
            excess[:, stages] = self._series(c, fall, stages, weight)
        if late.size:  # what one use gives up for a price, the others make good
            paid = np.einsum("dkj,dj->dk", fall[late], prices[self.resource[late]])
            total = np.einsum("dk,dk->d", paid, prices[self.resource[late]])
            back = paid[:, :, None] * paid[:, None, :] / np.where(total > 0, total, 1.0)[:, None, None]
            fall[late] = np.where((total > 0)[:, None, None], fall[late] - back, 0.0)
        return np.where(busy, s * (rate[:, None] + excess), 0.0), fall

    def _raised(self, prices: FloatArray, weight: FloatArray) -> tuple[IntArray, FloatArray]:
        """Return the nodes whose deadline binds at prices (n_resources,), and the weights (n_nodes,) that keep them."""
        problem = self.problem
        if not problem.promised:
            return np.empty(0, dtype=np.int64), weight
        asked = Asked(
            problem.use_curves,
            tuple(self.s.T),
            tuple(prices[self.resource].T),
            tuple(self.floor.T),
            problem.arrival_rate,
            self.wait,
            problem.gaps(),
            problem.coupled,
        )
        fixed = problem.at(problem.fixed_delay, self.options)
        delay = fixed + sum(asked.at(weight)[1])
        late = np.flatnonzero(late_of(delay, problem.deadline, list(self.s.T)))
        raised = np.array(weight)
        if late.size:
            mine = asked.only(late)
            raised[late] = kept_within(mine, fixed[late], problem.deadline[late], weight[late])[0]
        return late, raised

    def _series(self, c: FloatArray, fall: FloatArray, stages: list[int], weight: FloatArray) -> FloatArray:
        """Return the excess rates of a tandem's stages, and fill in how fast their shares fall."""
        s, rate, scv = self.s, self.problem.arrival_rate, self.problem.gaps()
        on, floor = s[:, stages] > 0, self.floor[:, stages]
        curve = self.problem.use_curves[stages[0]]
        assert isinstance(curve, TandemCurve)  # what is in series is
        found = np.where(on, series_excess(c[:, stages].T, floor.T, rate, self.wait, curve, scv).T, 1.0)
        slowest = np.where(on, found, np.inf).min(axis=1)
        alone = 1.0 / np.sqrt(np.where(on, c[:, stages], 1.0)) - rate[:, None]
        together = on & (found == slowest[:, None]) & (alone < found) & (found > floor)
        free = on & ~together & (found > floor)
        number = together.sum(axis=1)
        # at the crossing, and at another stage's floor, more than one price will do
        held = (on & (floor == slowest[:, None])).any(axis=1)
        moves = (number > 0) & ~held & (slowest < curve.crossing(rate, self.wait, scv))
        moved = np.zeros_like(rate)
        together_curved = curve.curvature_together(number[moves], slowest[moves], rate[moves], self.problem.gaps(moves))
        moved[moves] = 1.0 / (weight[moves] * together_curved)
        for i, k in enumerate(stages):
            mu = np.where(free[:, i], rate + found[:, i], 0.0)
            fall[:, k, k] = s[:, k] ** 2 * mu**3 / (2.0 * weight)
            for j, other in enumerate(stages):
                both = together[:, i] & together[:, j]
                fall[:, k, other] += np.where(both, s[:, k] * s[:, other] * moved, 0.0)
        return np.asarray(found)

    def slopes(self, fall: FloatArray, give: FloatArray) -> Any:  # noqa: ANN401 - an array, or a sparse one
        """Return minus the derivatives of Σ shares of each resource by each price, (n_resources, n_resources).

        `give` (n_resources,) is added to those of each resource by its own price. Many resources make it sparse.
        """
        n = self.problem.n_resources
        row = np.broadcast_to(self.resource[:, :, None], fall.shape)
        column = np.broadcast_to(self.resource[:, None, :], fall.shape)
        if n <= _DENSE:
            matrix = np.asarray(
                np.bincount((row * n + column).ravel(), fall.ravel(), n * n).reshape(n, n), dtype=np.float64
            )
            matrix[np.diag_indices(n)] += give
            return matrix
        from scipy import sparse

        on, own = fall > 0, np.arange(n)
        index = np.concatenate([row[on], own]), np.concatenate([column[on], own])
        return sparse.csc_array((np.concatenate([fall[on], give]), index), shape=(n, n))

    def stable(self, shares: FloatArray) -> bool:
        """Return whether rounding leaves every queue some of its share (n_nodes, n_uses) beyond its load."""
        scv, shape = self.problem.gaps(), self.s.shape[:1]
        waits = np.stack([np.broadcast_to(curve.waits(scv), shape) for curve in self.problem.use_curves], axis=-1)
        return bool(((shares > self.load) | ~waits | (self.s == 0)).all())

    def sensitivity(self, shares: FloatArray) -> float:
        """Return the most by which the mean delay changes with the logarithm of all shares (n_nodes, n_uses), s."""
        rate, scv, total = self.problem.arrival_rate, self.problem.gaps(), 0.0
        for k, curve in enumerate(self.problem.use_curves):
            busy = self.s[:, k] > 0
            mu = np.where(busy, shares[:, k] / np.where(busy, self.s[:, k], 1.0), np.inf)
            slope = curve.marginal(np.maximum(mu - rate, EPS * rate), rate, 0.0, scv)  # steepest without one upstream
            total += float((self.problem.weight * np.where(busy, mu, 0.0) * slope).sum())
        return total

    def on_budget(self, shares: FloatArray) -> FloatArray:
        """Return shares (n_nodes, n_uses) that use up every budget and overstep none.

        What a resource has too little or too much of is taken from, or given to, all that is above the floors.
        """
        least = self.least()
        part = np.where(self.s > 0, np.maximum(shares - least, 0.0), 0.0)
        total, spare = self.total(part), np.maximum(1.0 - self.total(least), 0.0)
        factor = np.where(total > 0, spare / np.where(total > 0, total, 1.0), 1.0)
        shares = least + part * factor[self.resource]
        over = self.total(shares) - 1.0
        if (over > 0).any():
            cut = np.where((over > 0) & (spare > 0), (over + 2 * EPS) / np.where(spare > 0, spare, 1.0), 0.0)
            shares = least + part * (factor * np.maximum(1.0 - cut, 0.0))[self.resource]
        return shares


def is_optimal(uses: Uses, shares: FloatArray, prices: FloatArray, gap: float = _GAP) -> bool:
    """Return whether prices (n_resources,) prove shares to be within a relative `gap` of the best, up to rounding."""
    if not uses.stable(shares):
        return False
    value = float(uses.problem.objective(uses.options, shares))
    bound = float(fixed_dual(uses.problem, uses.options[None], prices[None])[0])
    # what the last digits of the shares cost, and those of the bound
    rounding = EPS * uses.sensitivity(shares) + 64.0 * EPS * float(prices.sum())
    return value - bound <= gap * value + rounding


def balanced(
    uses: Uses, start: FloatArray, anchor: FloatArray | float = 0.0, give: FloatArray | float = 0.0
) -> FloatArray:
    """Return the prices ν (n_resources,) at which Σ shares − 1 + give·(anchor − ν) = 0 for each used resource.

    Without `give` those are the multipliers of the budgets; with it, those of budgets that may be overstepped at a
    penalty 1/give beyond `anchor`. What is not used keeps its price of `start`.
    """
    used = uses.used
    prices = np.where(used, start, 1.0)
    give = np.where(used, give, 0.0).astype(np.float64)

    def at(prices: FloatArray) -> tuple[FloatArray, Any]:
        shares, fall = uses.response(prices)
        over = uses.total(shares) - 1.0 + give * (anchor - prices)
        return np.where(used, over, 0.0), uses.slopes(fall, give)

    over, slopes = at(prices)
    best, least, mark, since = prices, np.inf, np.inf, 0
    first = float(prices.max())
    apart, pace = 0.0, np.full(len(prices), _FIRST_PACE)
    for _ in range(_STEPS):
        size = float((np.abs(over) / uses.surplus).max())
        if size < least:
            best, least = prices, size
        since = 0 if least <= _PROGRESS * mark else since + 1
        mark = least if since == 0 else mark
        far = np.abs(over) > _TOLERANCE
        # where nobody answers, at floors and crossings, the price goes on until somebody does
        idle = used & (slopes.diagonal() * prices <= _IDLE * uses.surplus)
        if prices.max() > _ENDLESS * first:
            best = prices
            break
        if not far.any() or (since > _PATIENCE and not (idle & far).any()):
            break
        step = np.where(idle, pace * np.sign(over), _newton(prices, over, slopes, used & ~idle, apart))
        step = np.clip(step, *_LONGEST)
        moved = _moved(prices, step)
        rise = float(over @ (moved - prices))
        if not rise > 0.0:
            apart = max(10.0 * apart, 0.1)
            continue
        new = at(moved)
        for _ in range(_HALVINGS):
            if new[0] @ (moved - prices) >= -_OVERSHOT * rise:
                break
            before, after = over * step, new[0] * step
            past = (before > 0) & (after < 0)
            cut = np.where(past, np.clip(before / np.where(past, before - after, 1.0), 0.1, 0.7), 1.0)
            step = step * (np.where(before < 0, 0.3, cut) if past.any() else 0.5)
            moved = _moved(prices, step)
            rise = float(over @ (moved - prices))
            new = at(moved)
            apart = max(2.0 * apart, 1e-3)
        else:
            apart *= 10.0
        apart = 0.3 * apart if apart > 1e-6 else 0.0
        pace = np.where(idle & far, np.abs(step) * np.where(new[0] * over > 0, 3.0, 0.5), pace)
        prices, (over, slopes) = moved, new
    return np.where(used, best, start)


def _newton(
    prices: FloatArray,
    over: FloatArray,
    slopes: Any,  # noqa: ANN401 - of `Uses.slopes`
    on: BoolArray,
    apart: float,
) -> FloatArray:
    """Return Newton's step for the resources that are `on`, in logarithms of prices.

    The larger `apart` (≥ 0), the more each resource goes its own way, which is uphill for certain.
    """
    # in logarithms of prices the matrix is symmetric, and its scale that of the shares
    scale = np.where(on, prices, 0.0)
    own = np.where(on, prices * slopes.diagonal() * prices * (1.0 + 1e-13), 1.0)
    wanted = np.where(on, prices * over, 0.0)
    if len(prices) <= _DENSE:
        matrix = scale[:, None] * slopes * scale / (1.0 + apart)
        matrix[np.diag_indices(len(own))] = own
        return np.asarray(np.linalg.solve(matrix, wanted))
    from scipy import sparse
    from scipy.sparse.linalg import spsolve

    entries = slopes.tocoo()
    off = entries.row != entries.col
    row, column = (np.concatenate([index[off], np.arange(len(own))]) for index in (entries.row, entries.col))
    mixed = entries.data[off] * scale[entries.row[off]] * scale[entries.col[off]] / (1.0 + apart)
    matrix = sparse.csc_array((np.concatenate([mixed, own]), (row, column)), shape=(len(own), len(own)))
    return np.asarray(spsolve(matrix, wanted))


def _moved(prices: FloatArray, step: FloatArray) -> FloatArray:
    """Return prices after a step in their logarithms, taken as one in q."""
    q = 1.0 - 0.5 * step
    return np.asarray(prices / (q * q))
