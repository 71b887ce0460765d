"""What holds on every problem, whatever its numbers. Each invariant says in a sentence how it is broken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from dmcjia_opt.base.arrays import EPS
from dmcjia_opt.base.errors import DmcjiaError
from dmcjia_opt.bounds.certificate import lower_bound, options_lower_bound
from dmcjia_opt.bounds.proof.checking import check_proof
from dmcjia_opt.bounds.proof.making import prove_bound
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.methods.placers.exact.exact import Exact
from dmcjia_opt.model.problem import BUDGET_TOLERANCE, TABLES, Problem, all_plans
from dmcjia_opt.solving.contract import Placement, Status
from dmcjia_opt.solving.registry import build_allocator, build_placer
from tools.fuzz.reference import exact_delay, exact_load, within_budget
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

    The larger of max δ/(δ − λs) and what one is to the part of the cloud that no least share takes.
    """
    s = problem.at(problem.service, plan.splits)[:, 0]
    busy = s > 0
    excess = (plan.shares - problem.arrival_rate * s)[busy]
    spare = 1.0 - float(problem.least_share(plan.splits).sum())
    if not (excess > 0).all() or spare <= 0:
        return np.inf
    return max(float((plan.shares[busy] / excess).max(initial=1.0)), 1.0 / spare)


def _sound_bounds(subject: Subject) -> Iterator[str]:
    if subject.attained is None:
        return
    best = float(subject.attained)
    prices = [plan.price for plan in subject.plans[:_LOOKED_AT] if np.isfinite(plan.price)]
    prices += [0.0, 5e-324, 1e300, *(best * 10.0 ** subject.rng.uniform(-12, 12, 3)).tolist()]
    for price in prices:
        bound = lower_bound(subject.problem, price)
        if np.isfinite(bound) and Fraction(bound) > subject.attained:
            yield f"the bound at price {price!r}, {bound!r}, is above a plan's exact mean delay, {best!r}"
    if subject.bound == np.inf or Fraction(subject.bound) > subject.attained:
        yield f"the best bound, {subject.bound!r}, is above a plan's exact mean delay, {best!r}"
    plan = subject.best
    assert plan is not None
    some = np.array([plan.price, *prices])
    for at, bound in zip(
        some, options_lower_bound(subject.problem, np.stack([plan.splits] * len(some)), some), strict=True
    ):
        if np.isfinite(bound) and Fraction(float(bound)) > subject.attained:
            yield f"the bound of splits at price {at!r}, {float(bound)!r}, is above their exact mean delay, {best!r}"


def _no_plan(subject: Subject) -> Iterator[str]:
    if not subject.is_small:
        return
    if subject.bound == np.inf or subject.overloaded or subject.exact is None:
        for splits in all_plans(subject.problem):
            load = exact_load(subject.problem, splits)
            room = Fraction(0) if subject.bound == np.inf else Fraction(1, 10**13)
            if load is not None and load < 1 - room:
                yield f"splits {splits.tolist()} need a share of {float(load)!r} only, but are said to need more"
                return


def _feasible(subject: Subject) -> Iterator[str]:
    problem, rng = subject.problem, subject.rng
    for plan in _some(subject):
        for factor in (1.0, 1.0 + 100 * EPS, 1.0 - 1e-12, 0.5, 1.5):
            shares = plan.shares * np.where(rng.random(problem.n_nodes) < 0.5, factor, 1.0)
            said = bool(problem.residuals(plan.splits, shares).feasible)
            exact = [Fraction(float(share)) for share in shares]
            over = sum(exact, Fraction(0)) - 1
            if said and over > 2 * BUDGET_TOLERANCE:
                yield f"shares {shares.tolist()} take {float(over)!r} too much, but are said to be feasible"
            if said and exact_delay(problem, plan.splits, exact, 2 * HAIR) is None:
                yield f"splits {plan.splits.tolist()} with shares {shares.tolist()} are not feasible, but said to be"
            firm = [share * (1 - 8 * Fraction(EPS)) for share in exact]
            if not said and over < -4 * problem.n_nodes * EPS and exact_delay(problem, plan.splits, firm) is not None:
                yield f"splits {plan.splits.tolist()} with shares {shares.tolist()} are feasible, but said not to be"


def _objective(subject: Subject) -> Iterator[str]:
    for plan in _some(subject):
        exact = exact_delay(subject.problem, plan.splits, [Fraction(float(d)) for d in plan.shares], 2 * HAIR)
        if exact is None:
            continue
        computed, loss = subject.value(plan), 64 * EPS * condition(subject.problem, plan)
        if loss < 1e-3 and abs(Fraction(computed) - exact) > Fraction(loss) * exact:
            yield f"splits {plan.splits.tolist()}: mean delay {computed!r}, exactly {float(exact)!r}"


def _optimal_shares(subject: Subject) -> Iterator[str]:
    problem = subject.problem
    for plan in _some(subject):
        if not np.isfinite(plan.price):
            yield f"splits {plan.splits.tolist()}: shares without a price"
            continue
        bound = float(options_lower_bound(problem, plan.splits[None, :], np.array([plan.price]))[0])
        value, loss = subject.value(plan), _AGREE + 1e3 * EPS * condition(problem, plan)
        if value - bound > loss * value:
            yield f"splits {plan.splits.tolist()}: mean delay {value!r}, but their price proves only {bound!r}"


def _allocator(name: str, subject: Subject) -> Iterator[str]:
    allocator = build_allocator(name)
    plans = _some(subject)
    if not plans or allocator.supports(subject.problem) is not None:
        return
    got = allocator.allocate(subject.problem, np.stack([plan.splits for plan in plans]))
    for i, plan in enumerate(plans):
        if got.status[i] != Status.OPTIMAL:
            continue
        if not subject.problem.residuals(plan.splits, got.shares[i]).feasible:
            yield f"{name}, splits {plan.splits.tolist()}: not feasible, but called optimal"
            continue
        value, best = float(subject.problem.objective(plan.splits, got.shares[i])), subject.value(plan)
        if abs(value - best) > (_CLAIM + 1e3 * EPS * condition(subject.problem, plan)) * best:
            yield f"{name}, splits {plan.splits.tolist()}: {value!r} is called optimal, waterfilling has {best!r}"


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
            exact = exact_delay(problem, found.options, within_budget(shares))
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
    plan = Plan(found.options, found.shares, found.price)
    loss = 4e-9 + 1e4 * EPS * condition(subject.problem, plan)
    return (subject.value(plan), loss) if loss < 1e-3 else None


def _permuted(subject: Subject) -> Iterator[str]:
    if (known := _compared(subject)) is None:
        return
    order = subject.rng.permutation(subject.problem.n_nodes)
    other = _optimum(subject, _rows(subject.problem, order))
    if other is not None and abs(other - known[0]) > known[1] * known[0]:
        yield f"the optimum is {known[0]!r}, and {other!r} with the nodes in the order {order.tolist()}"


def _rows(problem: Problem, nodes: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Problem:
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
    Invariant("bound", "no lower bound, at any price, is above what a plan attains", _sound_bounds),
    Invariant("no-plan", "who says that there is no plan is right", _no_plan),
    Invariant("feasible", "plans are called feasible where rational arithmetic does", _feasible),
    Invariant("objective", "the mean delay of a plan is that of rational arithmetic", _objective),
    Invariant("shares", "the price of optimal shares proves them optimal", _optimal_shares),
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
