"""Is this a plan, and how good is it? The one judge: recomputed delay, residuals, a bound proved from a price, the gap.

Nothing here imports a solver, and nothing a solver says is believed: a multiplier from any backend only chooses
*where* the dual is evaluated, and every value of the dual is a bound.

Rounding. A bound is the dual's value minus ``(16 + log2 n)·ε·M``: ε the unit roundoff, M the sum of absolute terms.
Each term takes fewer than 16 roundings to compute from the problem's tables, pairwise summation adds at most
log2 n, and the error of the minimiser itself enters only in second order. At the kink of the tandem curve it enters
in first order, but the crossing takes six roundings, each of which costs no more than its part of the wait and the
service. So the bound may be a hair too low, never too high, for the problem as tabulated in float64.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dmcjia_opt.base.arrays import EPS, BoolArray, FloatArray, IntArray
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.bounds.dual import LEAST_PRICE, MOST_PRICE, dual_point, fixed_dual, least_load, maximise
from dmcjia_opt.model.problem import BUDGET_TOLERANCE, ORDERING_TOLERANCE, Problem, Residuals

#: Part of the cloud that a plan leaves beyond its load, below which rounding of its price shows.
_SCARCE = 2.0**-20


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """Whether splits and shares are a plan, and its mean delay.

    Parameters
    ----------
    objective
        Recomputed mean delay, s; +inf where it is no plan.
    residuals
        Recomputed constraint residuals.
    violation
        The first constraint that is broken, and where, in words; empty for a plan.
    """

    objective: float
    residuals: Residuals
    violation: str

    @property
    def feasible(self) -> bool:
        """Whether it is a plan."""
        return not self.violation


@dataclass(frozen=True, slots=True, eq=False)
class Certificate(Verdict):
    """What can be said about a plan without trusting whoever made it.

    Parameters
    ----------
    lower_bound
        Proved lower bound on the optimum, s; +inf if it is proved that no plan exists.
    prices
        (n_resources,) the prices of the resources the bound was computed at, s per unit share.
    """

    lower_bound: float
    prices: FloatArray

    @property
    def gap(self) -> float:
        """(objective − lower bound)/objective, at least 0; +inf for an infeasible plan."""
        return relative_gap(self.objective, self.lower_bound)


def relative_gap(objective: float, lower_bound: float) -> float:
    """Return (objective − bound)/objective, at least 0; +inf where there is no objective."""
    if not math.isfinite(objective):
        return math.inf
    if objective <= 0.0:
        return 0.0 if lower_bound >= objective else math.inf
    return max(0.0, (objective - lower_bound) / objective)


def lower_bound(problem: Problem, prices: FloatArray | float) -> float:
    """Return a proved lower bound, s, on the mean delay of every feasible plan, from any prices ≥ 0 (weak duality).

    Parameters
    ----------
    prices
        (n_resources,) s per unit share; a number where there is one resource. A price > 0 outside of the range of
        `dual` is taken at its end. What is not a finite number ≥ 0 proves nothing and gives −inf.

    Raises
    ------
    InputError
        If there is not one price a resource.
    """
    prices = np.atleast_1d(np.asarray(prices, dtype=np.float64))
    if prices.shape != (problem.n_resources,):
        raise InputError(f"give one price a resource ({problem.n_resources}), got shape {prices.shape}")
    price = float(prices[0])
    if not (math.isfinite(price) and price >= 0.0):
        return -math.inf
    point = dual_point(problem, min(max(price, LEAST_PRICE), MOST_PRICE) if price else 0.0)
    bound = point.value - rounding_slack(problem.n_nodes, point.magnitude)
    return bound if math.isfinite(bound) else -math.inf  # a node without any split


def splits_lower_bound(problem: Problem, splits: IntArray, prices: FloatArray) -> FloatArray:
    """Return a proved lower bound, s, on the mean delay of given splits whatever the shares.

    Parameters
    ----------
    splits
        (n_plans, n_nodes).
    prices
        (n_plans, n_resources), or (n_plans,) where there is one resource: any prices; one outside of the range of
        `dual` proves nothing but the fixed delay. Plans that fill the cloud to nearly the last bit are bounded at
        a price of their own besides: at that of their best shares rounding would swallow the bound.
    """
    prices = prices[:, None] if prices.ndim == 1 else prices
    bound = _splits_bound(problem, splits, prices)
    surplus = 1.0 - (problem.arrival_rate[:, None] * problem.at(problem.service, splits)).sum((-2, -1))
    edge = np.flatnonzero(surplus < _SCARCE)
    if edge.size:
        # that of M/M/1 queues without a load, if rounding took as much of the surplus as it may
        root = np.sqrt(problem.weight[:, None] * problem.at(problem.service, splits[edge])).sum((-2, -1))
        own = (root / (np.maximum(surplus[edge], 0.0) + 4.0 * rounding_slack(problem.n_nodes, 1.0))) ** 2
        own = np.repeat(own[:, None], problem.n_resources, axis=1)
        bound[edge] = np.maximum(bound[edge], _splits_bound(problem, splits[edge], own))
    return bound


def _splits_bound(problem: Problem, splits: IntArray, prices: FloatArray) -> FloatArray:
    usable: BoolArray = np.all((prices >= LEAST_PRICE) & (prices <= MOST_PRICE), axis=-1)
    value = fixed_dual(problem, splits, np.where(usable[:, None], prices, 1.0))
    paid = np.where(usable, prices.sum(-1), 0.0)
    fixed = (problem.weight * problem.at(problem.fixed_delay, splits)).sum(-1)
    slack = rounding_slack(problem.n_nodes, 1.0)
    margin = slack * (np.where(np.isfinite(value), np.abs(value), 0.0) + 2 * paid)
    return np.asarray(np.where(usable, value - margin, fixed * (1 - slack)))


def rounding_slack(n_nodes: int, magnitude: float) -> float:
    """Return by how much a computed dual value of `n_nodes` terms may exceed the true one."""
    return (16.0 + math.log2(n_nodes + 1)) * EPS * magnitude


def best_lower_bound(problem: Problem) -> tuple[float, FloatArray]:
    """Return the best lower bound any prices give, s, and those (n_resources,); +inf and NaN if no plan exists."""
    if least_load(problem) >= 1.0 + 4.0 * problem.n_nodes * EPS:
        return math.inf, np.full(problem.n_resources, math.nan)
    ends = {point.price for point in maximise(problem)}
    bound, price = max((lower_bound(problem, price), price) for price in ends)
    return bound, np.array([price])


def judge(problem: Problem, splits: IntArray, shares: FloatArray, names: Sequence[str] = ()) -> Verdict:
    """Return whether splits and shares are a plan, and its mean delay; whoever made them.

    Parameters
    ----------
    problem
        The compiled problem.
    splits, shares
        (n_nodes,) and (n_nodes, n_uses), or (n_nodes,) where there is one use: the plan.
    names
        (n_nodes,) names of the nodes, for the sentence; they are counted from 0 where there are none.

    Raises
    ------
    InputError
        If `splits` are not splits of this problem, or `shares` not one number a node.
    """
    splits = problem.check_options(splits)
    given = np.asarray(shares, dtype=np.float64)
    shares = problem.by_use(splits, given)
    if splits.shape != (problem.n_nodes,) or shares.shape != (problem.n_nodes, problem.n_uses):
        raise InputError(
            f"a plan has one split and one share a node ({problem.n_nodes}), got {splits.shape} splits "
            f"and {given.shape} shares"
        )
    residuals = problem.residuals(splits, shares)
    broken = _unstable_edge(problem, splits, names) or _broken(residuals, splits, shares, names)
    if broken:
        return Verdict(math.inf, residuals, broken)
    objective = float(problem.objective(splits, shares))
    return Verdict(objective, residuals, "" if math.isfinite(objective) else "its mean delay is beyond any number")


def overload_of(problem: Problem, splits: IntArray, names: Sequence[str] = ()) -> str:
    """Return why no shares make a plan of `splits` (n_nodes,), in words; empty if some do."""
    if edge := _unstable_edge(problem, splits, names):
        return edge
    load = 100 * problem.least_share(splits).sum()
    return f"its splits load the cloud to {load:.4g} %" if problem.overload(splits) > 0 else ""


def _named(d: int, names: Sequence[str]) -> str:
    return f'"{names[d]}"' if len(names) else f"node {d}"


def _unstable_edge(problem: Problem, splits: IntArray, names: Sequence[str]) -> str:
    unstable = np.flatnonzero(np.isinf(problem.at(problem.fixed_delay, splits)))
    if len(unstable) == 0:
        return ""
    return f"the edge queue of {_named(unstable[0], names)} is unstable at split {splits[unstable[0]]}"


def _broken(residuals: Residuals, splits: IntArray, shares: FloatArray, names: Sequence[str]) -> str:
    def first(broken: BoolArray, what: str) -> str:
        d, k = (int(i[0]) for i in np.nonzero(broken))
        return f"the share of {_named(d, names)}{what.format(share=shares[d, k], split=splits[d])}"

    if not (shares >= 0).all():
        return first(~(shares >= 0), " is {share:.3g}")
    if not (residuals.budget <= BUDGET_TOLERANCE).all():
        given = shares[shares > 0]
        in_percent = abs(given.sum() - 100.0) < 5.0 or (given.min() > 1.0 and given.sum() >= 2.0)
        hint = "; they look like percentages, and the whole cloud is 1" if in_percent else ""
        return f"its shares exceed the cloud by {residuals.budget.max():.3g}{hint}"
    if not (residuals.stability < 0).all():
        return first(~(residuals.stability < 0), ", {share:.3g}, leaves its cloud queue unstable at split {split}")
    if not (residuals.ordering <= ORDERING_TOLERANCE).all():
        what = ", {share:.3g}, leaves its cloud slower than its edge at split {split}"
        return first(~(residuals.ordering <= ORDERING_TOLERANCE), what)
    return ""


def certify(
    problem: Problem,
    splits: IntArray,
    shares: FloatArray,
    *,
    prices: FloatArray | float | None = None,
    names: Sequence[str] = (),
) -> Certificate:
    """Recompute everything about a plan (see `judge` for arguments and errors).

    Parameters
    ----------
    prices
        (n_resources,) evaluate the bound at these prices; by default where it is best.
    """
    verdict = judge(problem, splits, shares, names)
    if prices is None:
        bound, at = best_lower_bound(problem)
    else:
        bound, at = lower_bound(problem, prices), np.atleast_1d(np.asarray(prices, dtype=np.float64))
    return Certificate(verdict.objective, verdict.residuals, verdict.violation, bound, at)
