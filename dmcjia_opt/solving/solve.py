"""From a scenario to a certified plan."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import numpy as np

from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.base.errors import InfeasibleError, InputError
from dmcjia_opt.base.handing import check_arguments
from dmcjia_opt.bounds.best import BestPrice
from dmcjia_opt.bounds.certificate import best_of, judge, lower_bound, relative_gap
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.scenario.loading import scenario_of
from dmcjia_opt.model.scenario.scenario import Scenario
from dmcjia_opt.solving.contract import Allocator, Callback, Kind, Placement, Spec, Status, Stop
from dmcjia_opt.solving.fleets import Backend, plan_of_columns
from dmcjia_opt.solving.plan import Plan, PlanFile
from dmcjia_opt.solving.registry import build_allocator, build_placer, spec_of
from dmcjia_opt.solving.running import CheckedAllocator, at_the_edge, check_method, check_support, place, unchanged
from dmcjia_opt.solving.search import Placer
from dmcjia_opt.solving.starting import start_of
from dmcjia_opt.solving.target import Target

_FULL = "no plan exists: every plan fills the cloud, up to rounding; add cloud or edge compute, or lower arrival_rate"

Method = TypeVar("Method", Placer, Allocator)


def solve(
    scenario: Scenario | str | Path | Problem,
    placer: str | Placer = "exact",
    allocator: str | Allocator = "waterfilling",
    *,
    stop: Stop | None = None,
    seed: int = 0,
    start: Plan | PlanFile | Placement | None = None,
    callback: Callback | None = None,
) -> Plan:
    """Return a certified plan.

    Parameters
    ----------
    scenario
        What to plan: a scenario, the path of its file, or a problem.
    placer, allocator
        Names of methods (see `registry`), or objects that follow the protocols. Methods that are not in the
        registry, or there as another's, are supervised (see `running`).
    stop
        The budget; none by default.
    seed
        Seed of the placer's generator: same seed and versions, same plan.
    start
        A plan for nodes like these, such as the last one before a link changed: its prices are where the best ones are
        sought first, and a placer that has no proof evaluates its options first. What is proved does not depend on it.
    callback
        Called with a `TracePoint` as the search goes on.

    Raises
    ------
    InputError, InfeasibleError, BackendMissing, BackendFailed
        If an argument is malformed, no plan exists or was found, or a method cannot run.

    Examples
    --------
    >>> from dmcjia_opt import generate, solve
    >>> plan = solve(generate("paper", nodes=10, seed=1))
    >>> print(f"{1e3 * plan.objective:.1f} ms, {plan.status}, splits {plan.splits.tolist()}")
    314.5 ms, optimal, splits [0, 16, 0, 0, 0, 0, 0, 0, 0, 0]
    """
    check_arguments(solve, locals(), "scenario", "placer", "allocator", "start")
    if seed < 0:
        raise InputError(f"seed must be at least 0, got {seed}")
    outer, name, row = _resolved("placer", placer, build_placer)
    inner, inner_name, inner_who, trusted = resolved_allocator(allocator)
    who = f'placer "{name}"'
    others = [*([] if row and row.trusted else [who]), *([] if trusted else [inner_who])]
    given = scenario if isinstance(scenario, Problem) else scenario_of(scenario)
    stop, began, started = stop or Stop(), datetime.now(UTC), time.perf_counter()
    backend: Backend = "numpy" if others else getattr(outer, "backend", "numpy")
    by_columns = not others and getattr(outer, "by_prices", False) and inner_name == "waterfilling" and start is None
    if backend != "numpy" and isinstance(given, Problem):
        raise InputError(f'backend = "{backend}" prices the nodes of a scenario, and this is a problem; leave it out')
    if backend != "numpy" and not by_columns:
        raise InputError(
            f'backend = "{backend}" prices fleets with the allocator waterfilling and no start; leave it out'
        )
    columns = given if by_columns and isinstance(given, Scenario) else None
    made = plan_of_columns(columns, inner, stop, callback, backend) if columns else None
    dual: BestPrice | None = None
    if columns and made and made.done:
        found, target = made.found, Target(made.problem, tuple(columns.nodes.names), columns, made.options)
    else:
        target = Target.of(given)
        problem = target.problem
        check_support(inner, problem, inner_name, inner_who)
        first, near = (None, None) if start is None else start_of(target, start)
        dual = BestPrice(problem, made.found.prices if made is not None else near)
        if dual.load >= 1.0:
            raise InfeasibleError(target.why_none())
        with unchanged(problem, others):
            if made is None:  # passes over columns count
                began, started = datetime.now(UTC), time.perf_counter()
            found = place(
                outer,
                problem,
                inner,
                stop=stop,
                rng=np.random.default_rng(seed),
                callback=callback,
                dual=dual,
                start=first,
                name=name,
                nodes=target.names,
                proves=row is not None and row.proves,
                supervised=who in others,
            )
            found = at_the_edge(found, problem, inner)
    seconds = time.perf_counter() - started
    problem, options, shares = target.problem, found.options, found.shares
    if shares is None and dual is not None and dual.full:
        raise InfeasibleError(_FULL)
    if shares is None and (why := target.why_none()):
        raise InfeasibleError(why)
    if shares is None:
        raise _without_plan(found, name, target.why_not(options))
    verdict = judge(problem, options, shares, target.names)
    if not verdict.feasible:
        raise _without_plan(found, name, target.why_not(options, shares) or verdict.violation)
    objective = verdict.objective
    bound, prices = found.lower_bound, found.prices
    if dual is not None:
        bound, prices = _bound(problem, dual, found.prices, objective, stop.tolerance)
    bound_from = "dual"
    if found.bound_from and found.lower_bound > bound:
        bound, bound_from = min(found.lower_bound, objective), found.bound_from
    # shares of other allocators are no optimum to the last digit, so that their gap is more than rounding
    rounded = found.status == Status.ROUNDED and row is not None and row.proves and inner_name == "waterfilling"
    return target.plan(
        found,
        objective,
        (bound, prices, bound_from),
        placer=name,
        allocator=inner_name,
        stop=stop,
        started=began.isoformat(timespec="seconds"),
        seconds=seconds,
        seed=seed,
        status=found.status if rounded or found.status == Status.LIMIT else Status.FEASIBLE,
    )


def resolved_allocator(given: str | Allocator) -> tuple[Allocator, str, str, bool]:
    """Return an allocator, its name, what messages call it, and whether it needs no supervision; else it has that."""
    inner, name, row = _resolved("allocator", given, build_allocator)
    who, trusted = f'allocator "{name}"', row is not None and row.trusted
    return inner if trusted else CheckedAllocator(inner, who), name, who, trusted


def _resolved(kind: Kind, given: str | Method, build: Callable[[str], Method]) -> tuple[Method, str, Spec | None]:
    """Return a method, its name, and its row in the registry if it was named."""
    if isinstance(given, str):
        row = spec_of(kind, given)
        return build(given), given, row
    name = type(given).__qualname__
    check_method(kind, given, f'{kind} "{name}"')
    return given, name, None


def _bound(
    problem: Problem, dual: BestPrice, prices: FloatArray, objective: float, tolerance: float
) -> tuple[float, FloatArray]:
    """Return a bound and its prices, s: the placer's prices where those close the gap, or else the best ones."""
    if prices.size:
        bound = lower_bound(problem, prices)
        if relative_gap(objective, bound) <= tolerance:
            return bound, prices
    return best_of(dual)


def _without_plan(found: Placement, placer: str, why: str) -> InfeasibleError:
    if found.status == Status.INFEASIBLE and why:
        return InfeasibleError(f'"{placer}" gives no feasible plan: {why}; other placers may')
    return InfeasibleError(
        f'"{placer}" found no feasible plan in {found.evaluations} evaluations, which does not prove that '
        "there is none; raise its budget or choose another placer"
    )
