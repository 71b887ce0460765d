"""The inner problem in scale-free form, shared by every allocator.

Write node d's share as λs + R·t·v: its load, plus a part of the surplus R = 1 − Σλs. With t = √(ws)/Σ√(ws) and
ρ = λs/(R·t) the inner problem P3 becomes

    minimise Σ t·(a/(v + ρ) + b/v)   subject to   Σ t·v ≤ 1,  v ≥ floor,

times the constant (Σ√(ws))²/R. Without floors its multiplier κ lies between min(b, 1) and max(b, 1) and every v is
of order 1, however far apart the scales of the nodes are and however close to saturation the cloud is. The tandem
curve's wait W becomes ω = W·R·t/s, and its κ lies between min 1/(1 + ρ)² and 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dmcjia_opt.base.arrays import EPS, BoolArray, FloatArray, IntArray
from dmcjia_opt.model.delay import DelayCurve
from dmcjia_opt.model.problem import Problem
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
        )

    def value(self, v: FloatArray) -> FloatArray:
        """Return Σ t·T(v), (n_plans,)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = np.where(self.t > 0, self.t * self.curve.delay(v, self.rho, self.wait), 0.0)
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
        swallowed = (working & (shares <= self.load)).any(-1) & (status == Status.OPTIMAL)
        status = np.where(self.solvable, np.where(swallowed, Status.INACCURATE, status), self.status).astype(np.int8)
        price = kappa * self.scale / self.surplus
        plain = status <= Status.INACCURATE
        if not (plain & self.solvable).all():
            idle = self.status == Status.OPTIMAL
            shares = np.where(plain[:, None], np.where(idle[:, None], 0.0, shares), np.nan)
            price = np.where(plain, np.where(idle, 0.0, price), np.nan)
        return Allocation(shares, price, status)


def normal_form(problem: Problem, splits: IntArray) -> NormalForm:
    """Return the inner problems of `splits` (n_plans, n_nodes) in normal form."""
    splits = np.ascontiguousarray(splits)  # sums along other strides would round differently
    s = problem.at(problem.service, splits)[..., 0]
    rate = problem.arrival_rate
    load = rate * s
    surplus = 1.0 - load.sum(-1)
    root = np.sqrt(problem.weight * s)
    total = root.sum(-1)
    feasible = surplus > 0.0
    if np.isinf(at := problem.at(problem.fixed_delay, splits)).any():
        feasible = feasible & np.isfinite(at).all(-1)
    surplus = np.where(feasible, surplus, 1.0)
    t = root / np.where(total > 0, total, 1.0)[:, None]
    unit = surplus[:, None] * t
    with np.errstate(divide="ignore", invalid="ignore"):
        rho = np.where(unit > 0, load / unit, 0.0)
    floor = np.zeros_like(t)
    if problem.ordered:
        above = np.maximum(problem.at(problem.least_rate, splits)[..., 0] - rate, 0.0) * s
        with np.errstate(divide="ignore", invalid="ignore"):
            floor = np.where(unit > 0, above / unit, 0.0)
        feasible = feasible & ((t * floor).sum(-1) <= 1.0)
    wait = problem.wait_at(splits)[..., 0]
    if problem.kinked:
        with np.errstate(divide="ignore", invalid="ignore"):
            wait = np.where(unit > 0, wait * unit / s, 1.0)  # any number > 0 will do for a node without cloud work
    status = np.where(feasible, np.where(total > 0, Status.FEASIBLE, Status.OPTIMAL), Status.INFEASIBLE)
    scale, ordered = total**2 / surplus, problem.ordered
    return NormalForm(problem.curve, t, rho, floor, wait, load, surplus, scale, status.astype(np.int8), ordered)
