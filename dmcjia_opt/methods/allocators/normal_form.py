"""The inner problem in scale-free form, shared by every allocator.

Given the options, resources separate: a batch of plans is a batch of rows, one a plan and resource.

Write node d's share as λs + R·t·v: its load, plus a part of the surplus R = 1 − Σλs. With t = √(ws)/Σ√(ws) and
ρ = λs/(R·t) the inner problem P3 becomes

    minimise Σ t·(a/(v + ρ) + b/v)   subject to   Σ t·v ≤ 1,  v ≥ floor,

times the constant (Σ√(ws))²/R. Without floors its multiplier κ lies between min(b, 1) and max(b, 1) and every v is
of order 1, however far apart the scales of the nodes are and however close to saturation the cloud is. The tandem
curve's wait W becomes ω = W·R·t/s, and its κ lies between min 1/(1 + ρ)² and 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from dmcjia_opt.base.arrays import EPS, BoolArray, FloatArray, IntArray
from dmcjia_opt.model.delay import DelayCurve, TandemCurve
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.queues import Scv
from dmcjia_opt.solving.contract import Allocation, Status, StatusArray


@dataclass(frozen=True, slots=True, eq=False)
class NormalForm:
    """A batch of inner problems; nodes without cloud work have ``t = ρ = 0``.

    Parameters
    ----------
    curve
        Delay curve.
    t, rho
        (n_plans, n_nodes) as above.
    floor
        (n_plans, n_nodes) least v that the ordering constraint allows.
    wait
        (n_plans, n_nodes) ω; 0 where the curve has no kink.
    load
        (n_plans, n_nodes) λs.
    surplus, scale
        (n_plans,) R, and (Σ√(ws))²/R in s.
    status
        (n_plans,) OPTIMAL where there is nothing to share, INFEASIBLE where no shares exist, else FEASIBLE.
    floored
        Whether there may be floors.
    scv
        (n_plans, n_nodes) c_a² of the gaps, or 1.0 for all.
    """

    curve: DelayCurve
    t: FloatArray
    rho: FloatArray
    floor: FloatArray
    wait: FloatArray
    load: FloatArray
    surplus: FloatArray
    scale: FloatArray
    status: StatusArray
    floored: bool
    scv: Scv = 1.0

    @property
    def solvable(self) -> BoolArray:
        """(n_plans,) rows with something to decide."""
        rows: BoolArray = self.status == Status.FEASIBLE
        return rows

    def rows(self, index: IntArray | BoolArray) -> NormalForm:
        """Return the sub-batch at `index`."""
        return NormalForm(
            self.curve,
            self.t[index],
            self.rho[index],
            self.floor[index],
            self.wait[index],
            self.load[index],
            self.surplus[index],
            self.scale[index],
            self.status[index],
            self.floored,
            self.scv if isinstance(self.scv, float) else self.scv[index],
        )

    def value(self, v: FloatArray) -> FloatArray:
        """Return Σ t·T(v), (n_plans,)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = np.where(self.t > 0, self.t * self.curve.delay(v, self.rho, self.wait, self.scv), 0.0)
        return np.asarray(terms.sum(-1))

    def allocation(self, v: FloatArray, kappa: FloatArray, status: StatusArray) -> Allocation:
        """Return shares and prices for a solution in normal form.

        A solution that oversteps the budget is scaled back onto it; rounding never leaves Σ shares above 1.
        """
        working = self.t > 0
        part = np.where(working, self.t * v, 0.0)
        part *= (self.surplus / np.maximum(part.sum(-1), 1.0))[:, None]
        shares = self.load + part
        over = shares.sum(-1) - 1.0
        if (over > 0).any():
            part *= np.where(over > 0, 1.0 - (over + 2 * EPS) / self.surplus, 1.0)[:, None]
            shares = self.load + part
        # where rounding leaves nothing of a node's surplus, the answer is as good as none
        lost = working & (shares <= self.load) & self.curve.waits(self.scv)
        swallowed = lost.any(-1) & (status == Status.OPTIMAL)
        status = np.where(self.solvable, np.where(swallowed, Status.INACCURATE, status), self.status).astype(np.int8)
        price = kappa * self.scale / self.surplus
        plain = status <= Status.INACCURATE
        if not (plain & self.solvable).all():
            idle = self.status == Status.OPTIMAL
            shares = np.where(plain[:, None], np.where(idle[:, None], 0.0, shares), np.nan)
            price = np.where(plain, np.where(idle, 0.0, price), np.nan)
        return Allocation(shares, price, status)


#: By how much the least v may exceed the budget, relative to it, by rounding.
_BRIM = 1e-13

#: What solves rows in normal form: v (n_rows, n_nodes), κ and status (n_rows,).
Rows = Callable[[NormalForm], tuple[FloatArray, FloatArray, StatusArray]]


def normal_form(problem: Problem, options: IntArray, floors: FloatArray | None = None) -> NormalForm:
    """Return the inner problems of `options` (n_plans, n_nodes) in normal form, where there is one use.

    `floors` (n_plans, n_nodes, 1) are least rates, 1/s, in place of the problem's.
    """
    options = np.ascontiguousarray(options)  # sums along other strides would round differently
    feasible = np.asarray(np.isfinite(problem.at(problem.fixed_delay, options)).all(-1))
    if floors is None and problem.ordered:
        floors = problem.at(problem.least_rate, options)
    floor = None if floors is None else floors[..., 0]
    wait = problem.wait_at(options)[..., 0]
    s = problem.at(problem.service, options)[..., 0]
    scv = np.broadcast_to(problem.arrival_scv, s.shape) if problem.renewal else 1.0
    return _form(problem.curve, s, problem.arrival_rate, problem.weight, floor, wait, feasible, scv)


def _form(
    curve: DelayCurve,
    s: FloatArray,
    rate: FloatArray,
    weight: FloatArray,
    least_rate: FloatArray | None,
    wait: FloatArray,
    feasible: BoolArray,
    scv: Scv,
) -> NormalForm:
    load = rate * s
    surplus = 1.0 - load.sum(-1)
    root = np.sqrt(weight * s)
    total = root.sum(-1)
    feasible = feasible & (surplus > 0.0)
    surplus = np.where(feasible, surplus, 1.0)
    t = root / np.where(total > 0, total, 1.0)[:, None]
    unit = surplus[:, None] * t
    with np.errstate(divide="ignore", invalid="ignore"):
        rho = np.where(unit > 0, load / unit, 0.0)
    floor = np.zeros_like(t)
    if least_rate is not None:
        above = np.maximum(least_rate - rate, 0.0) * s
        with np.errstate(divide="ignore", invalid="ignore"):
            floor = np.where(unit > 0, above / unit, 0.0)
        feasible = feasible & ((t * floor).sum(-1) <= 1.0 + _BRIM)
    if isinstance(curve, TandemCurve):
        with np.errstate(divide="ignore", invalid="ignore"):
            wait = np.where(unit > 0, wait * unit / s, 1.0)  # any number > 0 will do for a node without cloud work
    status = np.where(feasible, np.where(total > 0, Status.FEASIBLE, Status.OPTIMAL), Status.INFEASIBLE)
    scale, floored = total**2 / surplus, least_rate is not None
    return NormalForm(curve, t, rho, floor, wait, load, surplus, scale, status.astype(np.int8), floored, scv)


def by_resource(problem: Problem, options: IntArray, solve: Rows, floors: FloatArray | None = None) -> Allocation:
    """Return shares and prices for `options` (n_plans, n_nodes), each resource's by `solve`.

    The uses must not be tied together. A plan's status is the worst of its resources'. `floors`
    (n_plans, n_nodes, n_uses) are least rates, 1/s, in place of the problem's.
    """
    if problem.single:
        form = normal_form(problem, options, floors)
        return form.allocation(*solve(form))
    shares = np.zeros((*options.shape, problem.n_uses))
    prices = np.zeros((len(options), problem.n_resources))
    status = np.zeros(len(options), dtype=np.int8)
    none = np.isinf(problem.at(problem.fixed_delay, options)).any(-1)
    for form, (plan, node, use), row_plan, row_resource in _rows(problem, options, floors):
        found = form.allocation(*solve(form))
        on = node >= 0
        shares[plan[on], node[on], use[on]] = found.shares[..., 0][on]
        prices[row_plan, row_resource] = found.prices[:, 0]
        np.maximum.at(status, row_plan, np.where(found.status == Status.INFEASIBLE, _WORST, found.status))
    status = np.where(none | (status == _WORST), Status.INFEASIBLE, status).astype(np.int8)
    plain = status <= Status.INACCURATE
    return Allocation(np.where(plain[:, None, None], shares, np.nan), np.where(plain[:, None], prices, np.nan), status)


_WORST = np.int8(np.iinfo(np.int8).max)
_Index = tuple[IntArray, IntArray, IntArray]


def _rows(
    problem: Problem, options: IntArray, floors: FloatArray | None
) -> Iterator[tuple[NormalForm, _Index, IntArray, IntArray]]:
    """Yield rows of about the same length in normal form, and whose they are.

    That is plan, node and use of each entry, (n_rows, width) with node −1 where a row has ended, and plan and resource
    (n_rows,) of each row.
    """
    service = problem.at(problem.service, options)
    plan, node, use = np.nonzero(service > 0)
    key = plan * problem.n_resources + problem.at(problem.resource, options)[plan, node, use]
    order = np.argsort(key, kind="stable")
    plan, node, use = plan[order], node[order], use[order]
    keys, first, count = np.unique(key[order], return_index=True, return_counts=True)
    curve_of = np.array([problem.use_curves.index(curve) for curve in problem.use_curves])[use[first]]
    size = np.ceil(np.log2(np.maximum(count, 1))).astype(np.int64)
    for kind in np.unique(size * problem.n_uses + curve_of):
        rows = np.flatnonzero(size * problem.n_uses + curve_of == kind)
        at = first[rows, None] + np.arange(1 << int(size[rows[0]]))  # of one width always: sums round alike
        on = at < (first + count)[rows, None]
        at = np.where(on, at, 0)
        d, k = node[at], use[at]
        index = plan[at], np.where(on, d, -1), k
        chosen = options[index[0], d]
        least = problem.least_rate[d, chosen, k] if problem.ordered else None
        if floors is not None:
            least = floors[index[0], d, k]
        form = _form(
            problem.use_curves[int(curve_of[rows[0]])],
            np.where(on, problem.service[d, chosen, k], 0.0),
            problem.arrival_rate[d],
            problem.weight[d],
            least,
            problem.wait[d, chosen],
            np.ones(len(rows), dtype=bool),
            problem.arrival_scv[d] if problem.renewal else 1.0,
        )
        yield form, index, plan[first[rows]], keys[rows] % problem.n_resources
