"""What holds on every problem, whatever its numbers. Each invariant says in a sentence how it is broken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from dmcjia_opt.base.arrays import EPS, FloatArray, IntArray
from dmcjia_opt.base.errors import DmcjiaError
from dmcjia_opt.bounds.certificate import lower_bound, options_lower_bound
from dmcjia_opt.bounds.dual import LEAST_PRICE, MOST_PRICE, priced
from dmcjia_opt.bounds.proof.checking import check_proof, price_bound
from dmcjia_opt.bounds.proof.making import prove_bound
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.methods.placers.exact.exact import Exact
from dmcjia_opt.model.problem import TABLES, Problem
from dmcjia_opt.model.residuals import BUDGET_TOLERANCE
from dmcjia_opt.solving.contract import Placement, Status
from dmcjia_opt.solving.registry import build_allocator, build_placer
from dmcjia_opt.testing.problems import all_plans
from tools.fuzz.reference import exact_delay, exact_loads, exact_use, exactly, lagrangian, within_budget
from tools.fuzz.subject import HAIR, Plan, Subject

#: Plans of one problem that are looked at in rational arithmetic.
_LOOKED_AT = 3
_AGREE = 1e-9
#: The tandem's kink, and nearly full clouds: what iterative solvers may still be off by when they say "optimal".
_CLAIM = 1e-6
_BASELINES = ("cloud-only", "edge-only", "greedy+", "neurosurgeon+")
_SEARCHES = ("dmcjia", "genetic", "memetic", "cma", "lagrangian", "branch-and-bound", "benders")
_SOLVERS = ("cvxpy:CLARABEL", "cvxpy:SCS", "ipopt")
_EVALUATIONS = 200
_PROOF_LEAVES = 200


@dataclass(frozen=True, slots=True)
class Invariant:
    """A property of every problem.

    Parameters
    ----------
    name
        What it is called on the command line.
    says
        What holds.
    check
        Yields a sentence for each way in which it does not.
    every
        It is looked at on every so many problems: those that cost much, more rarely.
    """

    name: str
    says: str
    check: Callable[[Subject], Iterator[str]]
    every: int = 1


def condition(problem: Problem, plan: Plan) -> float:
    """Return by how much a relative error of the shares grows in the delays.

    The larger of max δ/(δ − λs), of what waits, and what one is to the part of the fullest resource that no least
    share takes.
    """
    s = problem.at(problem.service, plan.options)
    busy = (s > 0) & np.array([curve.waits() for curve in problem.use_curves])
    excess = (plan.shares - problem.arrival_rate[:, None] * s)[busy]
    spare = 1.0 - float(problem.by_resource(plan.options, problem.least_share(plan.options)).max())
    if not (excess > 0).all() or spare <= 0:
        return np.inf
    return max(float((plan.shares[busy] / excess).max(initial=1.0)), 1.0 / spare)


def _some_prices(subject: Subject) -> list[FloatArray]:
    """Return prices of plans, prices at random, and some at the ends of the range of numbers."""
    rng, n = subject.rng, subject.problem.n_resources
    scale = float(subject.attained or 1)
    drawn = scale * 10.0 ** rng.uniform(-12, 12, (3, n))
    drawn[-1, rng.random(n) < 0.5] = 0.0
    ends = [np.full(n, end) for end in (0.0, 5e-324, 1e300)]
    plans = [plan.prices for plan in subject.plans[:_LOOKED_AT] if np.isfinite(plan.prices).all()]
    return [*plans, *ends, *drawn]


def _sound_bounds(subject: Subject) -> Iterator[str]:
    if subject.attained is None:
        return
    best = float(subject.attained)
    some = _some_prices(subject)
    for prices in some:
        bound = lower_bound(subject.problem, prices)
        if np.isfinite(bound) and Fraction(bound) > subject.attained:
            yield f"the bound at prices {prices.tolist()}, {bound!r}, is above a plan's exact mean delay, {best!r}"
    if subject.bound == np.inf or Fraction(subject.bound) > subject.attained:
        yield f"the best bound, {subject.bound!r}, is above a plan's exact mean delay, {best!r}"
    plan = subject.best
    assert plan is not None
    at = np.stack([plan.prices, *some])
    bounds = options_lower_bound(subject.problem, np.stack([plan.options] * len(at)), at)
    for prices, bound in zip(at, bounds.tolist(), strict=True):
        if np.isfinite(bound) and Fraction(bound) > subject.attained:
            yield f"the bound of options at prices {prices.tolist()}, {bound!r}, is above their exact delay, {best!r}"


def _dual(subject: Subject) -> Iterator[str]:
    """Compare what prices prove with what the nodes exactly pay at the shares that are best there, as computed."""
    problem = subject.problem
    for prices in _some_prices(subject):
        if not LEAST_PRICE <= prices.min() <= prices.max() <= MOST_PRICE:
            continue
        cost, shares = priced(problem, prices)
        options = cost.argmin(axis=1)
        least = problem.least_share(options)
        chosen = problem.at(shares, options)
        chosen = np.where(chosen <= least * (1 + 8 * EPS), least * (1 + 8 * EPS), chosen)  # not below by rounding
        exact = lagrangian(problem, options, exactly(chosen), prices)
        for name, bound in (
            ("the bound", lower_bound(problem, prices)),
            ("the proof", price_bound(problem, tuple(prices.tolist()))),
        ):
            if exact is not None and bound != -np.inf and (bound == np.inf or Fraction(bound) > exact):
                yield f"{name} at prices {prices.tolist()}, {bound!r}, is above what the nodes pay, {float(exact)!r}"


def _no_plan(subject: Subject) -> Iterator[str]:
    if not subject.is_small:
        return
    if subject.bound == np.inf or subject.overloaded or subject.exact is None:
        for options in all_plans(subject.problem):
            loads = exact_loads(subject.problem, options)
            room = Fraction(0) if subject.bound == np.inf else Fraction(1, 10**13)
            if loads is not None and max(loads) < 1 - room:
                yield f"options {options.tolist()} need {float(max(loads))!r} of a resource, but are said to need more"
                return


def _feasible(subject: Subject) -> Iterator[str]:
    problem, rng = subject.problem, subject.rng
    for plan in _some(subject):
        for factor in (1.0, 1.0 + 100 * EPS, 1.0 - 1e-12, 0.5, 1.5):
            shares = plan.shares * np.where(rng.random(plan.shares.shape) < 0.5, factor, 1.0)
            said = bool(problem.residuals(plan.options, shares).feasible)
            exact = exactly(shares)
            over = max(exact_use(problem, plan.options, exact)) - 1
            what = f"options {plan.options.tolist()} with shares {shares.tolist()}"
            if said and over > 2 * BUDGET_TOLERANCE:
                yield f"{what} take {float(over)!r} too much, but are said to be feasible"
            if said and exact_delay(problem, plan.options, exact, 2 * HAIR) is None:
                yield f"{what} are not feasible, but said to be"
            firm = [[share * (1 - 8 * Fraction(EPS)) for share in row] for row in exact]
            room = 4 * problem.n_nodes * problem.n_uses * EPS
            if not said and over < -room and exact_delay(problem, plan.options, firm) is not None:
                yield f"{what} are feasible, but said not to be"


def _objective(subject: Subject) -> Iterator[str]:
    for plan in _some(subject):
        exact = exact_delay(subject.problem, plan.options, exactly(plan.shares), 2 * HAIR)
        if exact is None:
            continue
        computed, loss = subject.value(plan), 64 * EPS * condition(subject.problem, plan)
        if loss < 1e-3 and abs(Fraction(computed) - exact) > Fraction(loss) * exact:
            yield f"options {plan.options.tolist()}: mean delay {computed!r}, exactly {float(exact)!r}"


def _optimal_shares(subject: Subject) -> Iterator[str]:
    problem = subject.problem
    for plan in _some(subject):
        if not plan.optimal:
            continue
        if not np.isfinite(plan.prices).all():
            yield f"options {plan.options.tolist()}: shares without a price"
            continue
        bound = float(options_lower_bound(problem, plan.options[None, :], plan.prices[None])[0])
        value, loss = subject.value(plan), _AGREE + 1e3 * EPS * condition(problem, plan)
        if value - bound > loss * value:
            yield f"options {plan.options.tolist()}: mean delay {value!r}, but their prices prove only {bound!r}"


def _allocator(name: str, subject: Subject) -> Iterator[str]:
    allocator = build_allocator(name)
    plans = _some(subject)
    if not plans or allocator.supports(subject.problem) is not None:
        return
    got = allocator.allocate(subject.problem, np.stack([plan.options for plan in plans]))
    for i, plan in enumerate(plans):
        if got.status[i] != Status.OPTIMAL:
            continue
        if not subject.problem.residuals(plan.options, got.shares[i]).feasible:
            yield f"{name}, options {plan.options.tolist()}: not feasible, but called optimal"
            continue
        value, best = float(subject.problem.objective(plan.options, got.shares[i])), subject.value(plan)
        if abs(value - best) > (_CLAIM + 1e3 * EPS * condition(subject.problem, plan)) * best:
            yield f"{name}, options {plan.options.tolist()}: {value!r} is called optimal, waterfilling has {best!r}"


def _alm(subject: Subject) -> Iterator[str]:
    return _allocator("alm", subject)


def _solvers(subject: Subject) -> Iterator[str]:
    for name in _SOLVERS:
        yield from _allocator(name, subject)


def _exact(subject: Subject) -> Iterator[str]:
    found = subject.exact
    if found is None or subject.best is None:
        return
    yield from _bounded(subject, "exact", found)
    if found.status != Status.OPTIMAL or found.shares is None:
        return
    value = float(subject.problem.objective(found.options, found.shares))
    lowest = float(subject.values.min(initial=np.inf))
    if value > lowest * (1.0 + 2e-9) + 1e3 * EPS * condition(subject.problem, subject.best) * lowest:
        yield f"{value!r} is called optimal, but a plan of {lowest!r} exists"


def _bounded(subject: Subject, name: str, found: Placement) -> Iterator[str]:
    """Compare a placer's bound with what a plan attains; HiGHS's may be above it by its tolerances."""
    if subject.attained is None or not np.isfinite(found.lower_bound):
        return
    spare = Fraction(1, 10**6) if found.bound_from == "benders" else Fraction(0)
    if Fraction(found.lower_bound) > subject.attained * (1 + spare):
        yield f"the bound of {name}, {found.lower_bound!r}, is above a plan's exact {float(subject.attained)!r}"


def _heuristics(names: tuple[str, ...], subject: Subject) -> Iterator[str]:
    problem = subject.problem
    for name in names:
        placer = build_placer(name)
        if subject.overloaded or placer.supports(problem) is not None:
            continue
        try:
            found = subject.place(placer, evaluations=_EVALUATIONS)
        except DmcjiaError:
            continue
        shares = found.shares
        if shares is None:
            shares = WaterFilling().allocate(problem, found.options[None, :]).shares[0]
        if problem.residuals(found.options, shares).feasible and subject.attained is not None:
            exact = exact_delay(problem, found.options, within_budget(problem, found.options, shares))
            if exact is not None and exact < Fraction(max(subject.bound, 0.0)):
                yield f"{name} has a plan of {float(exact)!r}, below the bound {subject.bound!r}"
            best = subject.exact
            if exact is not None and best is not None and exact < Fraction(max(best.lower_bound, 0.0)) * (1 - HAIR):
                yield f"{name} has a plan of {float(exact)!r}, below the bound of exact, {best.lower_bound!r}"
        yield from _bounded(subject, name, found)


def _baselines(subject: Subject) -> Iterator[str]:
    return _heuristics(_BASELINES, subject)


def _searches(subject: Subject) -> Iterator[str]:
    return _heuristics(_SEARCHES, subject)


def _proof(subject: Subject) -> Iterator[str]:
    if subject.attained is None or subject.bound == np.inf:
        return
    best = subject.best
    assert best is not None
    proof = prove_bound(subject.problem, "", subject.value(best) * (1 - 0.5e-9), most_leaves=_PROOF_LEAVES)
    proved = check_proof(subject.problem, proof)
    if proved != -np.inf and Fraction(proved) > subject.attained:
        yield f"a proof proves {proved!r}, above a plan's exact mean delay {float(subject.attained)!r}"
    if proved < proof.bound:
        yield f"a proof states {proof.bound!r}, but proves only {proved!r}"


def _optimum(subject: Subject, problem: Problem) -> float | None:
    """Return the optimum of another problem, s; None where it is not certain."""
    try:
        found = subject.place(Exact(), problem=problem)
    except DmcjiaError:
        return None
    if found.status != Status.OPTIMAL or found.shares is None:
        return None
    return float(problem.objective(found.options, found.shares))


def _compared(subject: Subject) -> tuple[float, float] | None:
    """Return the optimum, s, and how far another way to it may end from it, relative; None where it is not certain."""
    found = subject.exact
    if found is None or found.status != Status.OPTIMAL or found.shares is None:
        return None
    plan = Plan(found.options, found.shares, found.prices)
    loss = 4e-9 + 1e4 * EPS * condition(subject.problem, plan)
    return (subject.value(plan), loss) if loss < 1e-3 else None


def _permuted(subject: Subject) -> Iterator[str]:
    if (known := _compared(subject)) is None:
        return
    order = subject.rng.permutation(subject.problem.n_nodes)
    other = _optimum(subject, _rows(subject.problem, order))
    if other is not None and abs(other - known[0]) > known[1] * known[0]:
        yield f"the optimum is {known[0]!r}, and {other!r} with the nodes in the order {order.tolist()}"


def _rows(problem: Problem, nodes: IntArray) -> Problem:
    return replace(problem, **{key: getattr(problem, key)[nodes] for key in TABLES}, uplinks=None)


def _scaled(subject: Subject) -> Iterator[str]:
    if (known := _compared(subject)) is None:
        return
    problem, unit = subject.problem, 2.0 ** float(subject.rng.integers(-30, 31))
    other = replace(
        problem,
        fixed_delay=problem.fixed_delay * unit,
        service=problem.service * unit,
        arrival_rate=problem.arrival_rate / unit,
        least_rate=problem.least_rate / unit,
        wait=problem.wait * unit,
    )
    value = _optimum(subject, other)
    if value is not None and abs(value / unit - known[0]) > known[1] * known[0]:
        yield f"the optimum is {known[0]!r}, and {value / unit!r} with times in units of {unit!r}"


def _more(subject: Subject) -> Iterator[str]:
    if (known := _compared(subject)) is None:
        return
    problem = subject.problem
    wait = problem.wait
    sooner = np.maximum(wait + 0.9 * (problem.fixed_delay - wait), wait)
    sooner = np.where(sooner < 1e-70, problem.fixed_delay, sooner)
    more = {
        "more cloud": replace(problem, service=problem.service * 0.9),
        "more bandwidth": replace(problem, fixed_delay=np.where(np.isfinite(sooner), sooner, np.inf)),
    }
    for name, other in more.items():
        value = _optimum(subject, other)
        if value is not None and value > known[0] * (1.0 + known[1]):
            yield f"the optimum is {known[0]!r}, and {value!r} with {name}"


def _some(subject: Subject) -> list[Plan]:
    plans = subject.plans
    if len(plans) <= _LOOKED_AT:
        return plans
    return [plans[i] for i in subject.rng.choice(len(plans), _LOOKED_AT, replace=False)]


INVARIANTS = (
    Invariant("bound", "no lower bound, at any prices, is above what a plan attains", _sound_bounds),
    Invariant("dual", "no bound that prices prove is above what the nodes pay there in rational arithmetic", _dual),
    Invariant("no-plan", "who says that there is no plan is right", _no_plan),
    Invariant("feasible", "plans are called feasible where rational arithmetic does", _feasible),
    Invariant("objective", "the mean delay of a plan is that of rational arithmetic", _objective),
    Invariant("shares", "the prices of optimal shares prove them optimal", _optimal_shares),
    Invariant(
        "alm",
        "the paper's augmented Lagrangian agrees with the closed form, or says that it did not converge",
        _alm,
        10,
    ),
    Invariant("solvers", "Clarabel, SCS and IPOPT do too", _solvers, 250),
    Invariant("exact", "the proved optimum is no worse than any plan, and its bound no better", _exact),
    Invariant("baselines", "no baseline beats a bound", _baselines, 4),
    Invariant("searches", "no search beats a bound, and none proves one that is too high", _searches, 100),
    Invariant("proof", "a proof proves what it states, and nothing above what a plan attains", _proof, 5),
    Invariant("permuted", "the order of the nodes changes nothing", _permuted, 3),
    Invariant("scaled", "a unit of time scales the answer", _scaled, 3),
    Invariant("more", "more cloud or bandwidth never hurts", _more, 3),
)
