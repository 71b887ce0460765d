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

from dmcjia_opt.base.arrays import EPS, BoolArray, FloatArray, IntArray, frozen, over_uses
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.showing import brief, required
from dmcjia_opt.bounds.best import COMPILE, BestPrice
from dmcjia_opt.bounds.dual import LEAST_PRICE, MOST_PRICE, dual_point, fixed_dual, rounding_slack
from dmcjia_opt.bounds.promises import level_at, levels_of
from dmcjia_opt.model import pooling
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.residuals import BUDGET_TOLERANCE, DEADLINE_TOLERANCE, ORDERING_TOLERANCE, Residuals

#: Part of the cloud that a plan leaves beyond its load, below which rounding of its price shows.
_SCARCE = 2.0**-20
_TRIED = 2  # of the best points of the dual


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """Whether splits and shares are a plan, and its delay.

    Parameters
    ----------
    objective
        Recomputed mean delay, or that of the worst node where the problem asks for it, s; +inf where it is no plan.
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

    Examples
    --------
    >>> from dmcjia_opt import certify, compile_problem, generate
    >>> problem = compile_problem(generate("paper", nodes=3, seed=1))
    >>> certify(problem, [0, 16, 0], [0.3, 0.3, 0.8]).violation
    'its shares exceed the cloud by 0.4'
    """

    lower_bound: float
    prices: FloatArray

    __repr__ = brief

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
    """Return a proved lower bound, s, on the objective of every feasible plan, from any prices ≥ 0 (weak duality).

    Parameters
    ----------
    prices
        (n_resources,) s per unit share; a number where there is one resource. A price > 0 outside of the range of
        `dual` is taken at its end. What is not a finite number ≥ 0 proves nothing and gives −inf. What is pooled has
        no price: the bound is that of every node having it to itself.

    Raises
    ------
    InputError
        If there is not one price a resource.

    Examples
    --------
    >>> from dmcjia_opt import compile_problem, generate, lower_bound
    >>> problem = compile_problem(generate("paper", nodes=3, seed=1))
    >>> [round(lower_bound(problem, price), 4) for price in (0.0, 0.05, 0.5)]
    [0.1881, 0.2131, -0.0676]
    """
    required(Problem, problem, "problem", COMPILE)
    prices = np.atleast_1d(frozen(prices))
    if prices.shape != (problem.n_resources,):
        raise InputError(f"give one price a resource ({problem.n_resources}), got shape {prices.shape}")
    if not (np.isfinite(prices).all() and (prices >= 0.0).all()):
        return -math.inf
    if problem.pooled.any():
        problem, prices = problem.relaxed, np.where(problem.pooled, 0.0, prices)
    if problem.worst:
        return level_at(problem, prices).low
    point = dual_point(problem, np.where(prices > 0.0, np.clip(prices, LEAST_PRICE, MOST_PRICE), 0.0))
    bound = point.value - rounding_slack(problem.n_nodes, point.magnitude)
    return bound if math.isfinite(bound) else -math.inf  # a node without any option


def options_lower_bound(problem: Problem, options: IntArray, prices: FloatArray) -> FloatArray:
    """Return a proved lower bound, s, on the objective of given options whatever the shares.

    Parameters
    ----------
    options
        (n_plans, n_nodes).
    prices
        (n_plans, n_resources), or (n_plans,) where there is one resource: any prices; one outside of the range of
        `dual` proves nothing but the fixed delay. Plans that fill a resource to nearly the last bit are bounded at
        a price of their own besides: at that of their best shares rounding would swallow the bound.
    """
    prices = prices[:, None] if prices.ndim == 1 else prices
    if problem.pooled.any():
        return _where_pooled(problem, options, prices)
    if problem.worst:
        return levels_of(problem, options, prices)
    bound = _options_bound(problem, options, prices)
    service = problem.at(problem.service, options)
    surplus = 1.0 - problem.by_resource(options, problem.arrival_rate[:, None] * service)
    edge = np.flatnonzero((surplus < _SCARCE).any(-1))
    if edge.size:
        # that of M/M/1 queues without a load, if rounding took as much of the surplus as it may
        root = problem.by_resource(options[edge], np.sqrt(problem.weight[:, None] * service[edge]))
        own = (root / (np.maximum(surplus[edge], 0.0) + 4.0 * rounding_slack(problem.n_nodes, 1.0))) ** 2
        own = np.where(surplus[edge] < _SCARCE, own, prices[edge])
        bound[edge] = np.maximum(bound[edge], _options_bound(problem, options[edge], own))
    return bound


def _where_pooled(problem: Problem, options: IntArray, prices: FloatArray) -> FloatArray:
    """Return what `options_lower_bound` does: the options say what is pooled takes, up to the rounding of 1 − ρ."""
    relaxed = problem.relaxed
    prices = np.where(problem.pooled, 0.0, prices)
    crowded = over_uses(pooling.use_delay(problem, options))
    load = problem.by_resource(options, problem.arrival_rate[:, None] * problem.at(problem.service, options))
    with np.errstate(divide="ignore"):
        free = np.where(load < 1.0, 1.0 - load, 0.0)[:, problem.pooled].min(-1)
        slack = (16.0 + problem.n_nodes) * EPS * (1.0 + 1.0 / free)
    if problem.worst:
        whole = over_uses(relaxed.use_delay(options, np.ones((*options.shape, problem.n_uses))))
        delay = (problem.at(problem.fixed_delay, options) + crowded + whole).max(-1)
        quickest = np.where(np.isfinite(delay), delay * (1.0 - slack), 0.0)
        return np.maximum(options_lower_bound(relaxed, options, prices), quickest)
    alone = over_uses(problem.at(pooling.alone(problem), options))
    bound = options_lower_bound(relaxed, options, prices)
    with np.errstate(invalid="ignore"):
        more = (problem.weight * (crowded - alone)).sum(-1) - slack * (problem.weight * crowded).sum(-1)
    return np.where(
        np.isfinite(more) & np.isfinite(bound), bound + np.maximum(more, 0.0) - slack * np.abs(bound), bound
    )


def _options_bound(problem: Problem, options: IntArray, prices: FloatArray) -> FloatArray:
    usable = (prices >= LEAST_PRICE) & (prices <= MOST_PRICE)
    if problem.n_resources > 1:  # what a plan does not use may be free
        usable |= (prices == 0.0) & (problem.by_resource(options, problem.at(problem.service, options)) == 0.0)
    fine: BoolArray = np.all(usable, axis=-1)
    value = fixed_dual(problem, options, np.where(fine[:, None], prices, 1.0))
    paid = np.where(fine, prices.sum(-1), 0.0)
    fixed = (problem.weight * problem.at(problem.fixed_delay, options)).sum(-1)
    slack = rounding_slack(problem.n_nodes, 1.0)
    margin = slack * (np.where(np.isfinite(value), np.abs(value), 0.0) + 2 * paid)
    return np.asarray(np.where(fine, value - margin, fixed * (1 - slack)))


def best_lower_bound(problem: Problem) -> tuple[float, FloatArray]:
    """Return the best lower bound any prices give, s, and those (n_resources,); +inf and NaN if no plan exists.

    Examples
    --------
    >>> from dmcjia_opt import best_lower_bound, compile_problem, generate
    >>> bound, prices = best_lower_bound(compile_problem(generate("paper", nodes=3, seed=1)))
    >>> round(bound, 4), prices.round(4)
    (0.2161, array([0.0285]))
    """
    best = BestPrice(problem)
    if math.isinf(best.bound) and best.bound > 0:
        return math.inf, np.full(problem.n_resources, math.nan)
    return best_of(best)


def best_of(dual: BestPrice) -> tuple[float, FloatArray]:
    """Return the best lower bound that the points of a dual prove, s, and its prices (n_resources,)."""
    if dual.problem.worst:
        return dual.bound, dual.level.prices
    tried = dual.points[:_TRIED]
    bound, prices = max((lower_bound(dual.problem, point.prices), tuple(point.prices.tolist())) for point in tried)
    return bound, np.array(prices)


def judge(problem: Problem, options: IntArray, shares: FloatArray, names: Sequence[str] = ()) -> Verdict:
    """Return whether options and shares are a plan, and its mean delay; whoever made them.

    Parameters
    ----------
    problem
        The compiled problem.
    options, shares
        (n_nodes,) and (n_nodes, n_uses), or (n_nodes,) where there is one use: the plan.
    names
        (n_nodes,) names of the nodes, for the sentence; they are counted from 0 where there are none.

    Raises
    ------
    InputError
        If `options` are not options of this problem, or `shares` not one number a node.
    """
    required(Problem, problem, "problem", COMPILE)
    options = problem.check_options(options)
    given = frozen(shares)
    shares = problem.by_use(options, given)
    if options.shape != (problem.n_nodes,) or shares.shape != (problem.n_nodes, problem.n_uses):
        raise InputError(
            f"a plan has one {'split' if problem.single else 'option'} a node ({problem.n_nodes}) and one share a use "
            f"({problem.n_uses}), got shapes {options.shape} and {given.shape}"
        )
    residuals = problem.residuals(options, shares)
    broken = (
        _unstable_edge(problem, options, names)
        or _late(problem, residuals, options, shares, names)
        or _broken(problem, residuals, options, shares, names)
    )
    if broken:
        return Verdict(math.inf, residuals, broken)
    objective = float(problem.objective(options, shares))
    return Verdict(objective, residuals, "" if math.isfinite(objective) else "its mean delay is beyond any number")


def overload_of(problem: Problem, options: IntArray, names: Sequence[str] = ()) -> str:
    """Return why no shares make a plan of `options` (n_nodes,), in words; empty if some do."""
    if edge := _unstable_edge(problem, options, names):
        return edge
    if not problem.overload(options) > 0:
        return ""
    load = problem.by_resource(options, problem.least_share(options))
    fullest = int(load.argmax())
    what = "splits" if problem.single else "options"
    return f"its {what} load {problem.resources[fullest]} to {100 * load[fullest]:.4g} %"


def _place(problem: Problem, options: IntArray, d: int) -> str:
    option = int(options[d])
    if problem.single:
        return f"split {option}"
    used = dict.fromkeys(problem.resource[d, option][problem.service[d, option] > 0].tolist())
    return f"option {option}, of {' and '.join(str(problem.resources[r]) for r in used) or 'nothing that is shared'}"


def _named(d: int, names: Sequence[str]) -> str:
    return f'"{names[d]}"' if len(names) else f"node {d}"


def _unstable_edge(problem: Problem, options: IntArray, names: Sequence[str]) -> str:
    unstable = np.flatnonzero(np.isinf(problem.at(problem.fixed_delay, options)))
    if len(unstable) == 0:
        return ""
    return f"the edge queue of {_named(unstable[0], names)} is unstable at {_place(problem, options, unstable[0])}"


def _late(problem: Problem, residuals: Residuals, options: IntArray, shares: FloatArray, names: Sequence[str]) -> str:
    """Return which node is the latest of those whose queues are stable, in words; empty if none is late."""
    lateness = np.where(np.isfinite(residuals.lateness), residuals.lateness, -np.inf)
    d = int(lateness.argmax())
    if not lateness[d] > DEADLINE_TOLERANCE or not (residuals.budget <= BUDGET_TOLERANCE).all():
        return ""
    delay = float(problem.node_delay(options, shares)[d])
    most, digits = float(problem.deadline[d]), 4
    while digits < 16 and f"{1e3 * delay:.{digits}g}" == f"{1e3 * most:.{digits}g}":
        digits += 1
    told = f"{1e3 * delay:.{digits}g} ms at {_place(problem, options, d)}"
    return f"{_named(d, names)} takes {told}, and its deadline is {1e3 * most:.{digits}g} ms"


def _broken(problem: Problem, residuals: Residuals, options: IntArray, shares: FloatArray, names: Sequence[str]) -> str:
    def first(broken: BoolArray, what: str) -> str:
        d, k = (int(i[0]) for i in np.nonzero(broken))
        on = problem.resources[int(problem.resource[d, options[d], k])]
        queue, slow = ("its cloud queue", "its cloud") if problem.single else (f"its use of {on}", f"its use of {on}")
        of = "" if problem.single else f" of {on}"
        told = what.format(share=shares[d, k], place=_place(problem, options, d), queue=queue, slow=slow)
        return f"the share of {_named(d, names)}{of}{told}"

    if problem.pooled.any():
        on = problem.pooled[problem.at(problem.resource, options)] & (problem.at(problem.service, options) > 0)
        if (on & (shares != 0)).any():
            return first(on & (shares != 0), " is {share:.3g}, and it is pooled: nobody has a share of it")
        if problem.overload(options) > 0:
            return overload_of(problem, options, names)
    if not (shares >= 0).all():
        return first(~(shares >= 0), " is {share:.3g}")
    if not (residuals.budget <= BUDGET_TOLERANCE).all():
        given = shares[shares > 0]
        in_percent = abs(given.sum() - 100.0) < 5.0 or (given.min() > 1.0 and given.sum() >= 2.0)
        hint = "; they look like percentages, and the whole cloud is 1" if in_percent else ""
        fullest = int(residuals.budget.argmax())
        return f"its shares exceed {problem.resources[fullest]} by {residuals.budget[fullest]:.3g}{hint}"
    if not (residuals.stability < 0).all():
        return first(~(residuals.stability < 0), ", {share:.3g}, leaves {queue} unstable at {place}")
    if not (residuals.ordering <= ORDERING_TOLERANCE).all():
        slow = ~(residuals.ordering <= ORDERING_TOLERANCE)
        than = "slower than its edge" if problem.single else "slower than it must be"
        return first(slow, ", {share:.3g}, leaves {slow} " + than + " at {place}")
    return ""


def certify(
    problem: Problem,
    options: IntArray,
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

    Examples
    --------
    >>> from dmcjia_opt import certify, compile_problem, generate
    >>> problem = compile_problem(generate("paper", nodes=3, seed=1))
    >>> found = certify(problem, [0, 16, 0], [0.3, 0.3, 0.4])
    >>> found.feasible, round(found.objective, 4), round(found.gap, 4)
    (True, 0.2562, 0.1567)
    """
    verdict = judge(problem, options, shares, names)
    if prices is None:
        bound, at = best_lower_bound(problem)
    else:
        bound, at = lower_bound(problem, prices), np.atleast_1d(np.asarray(prices, dtype=np.float64))
    return Certificate(verdict.objective, verdict.residuals, verdict.violation, bound, at)
