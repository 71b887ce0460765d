"""From a scenario to a certified plan."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.base.errors import InfeasibleError, InputError
from dmcjia_opt.base.machine import installed_versions
from dmcjia_opt.bounds.best import BestPrice
from dmcjia_opt.bounds.certificate import best_of, judge, lower_bound, overload_of, relative_gap
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.scenario import Scenario
from dmcjia_opt.model.scenario.streams import cautions
from dmcjia_opt.solving.choices import choices_of
from dmcjia_opt.solving.contract import Allocator, Callback, Kind, Placement, Spec, Status, Stop, proved
from dmcjia_opt.solving.fleets import Backend, plan_of_columns
from dmcjia_opt.solving.infeasible import too_late, why_no_plan
from dmcjia_opt.solving.plan import Plan, PlanFile
from dmcjia_opt.solving.registry import LIBRARIES, build_allocator, build_placer, spec_of
from dmcjia_opt.solving.running import CheckedAllocator, at_the_edge, check_method, check_support, place, unchanged
from dmcjia_opt.solving.search import Placer
from dmcjia_opt.solving.starting import start_of

_FULL = "no plan exists: every plan fills the cloud, up to rounding; add cloud or edge compute, or lower arrival_rate"

Method = TypeVar("Method", Placer, Allocator)


def solve(
    scenario: Scenario,
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
        What to plan.
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
    """
    outer, name, row = _resolved("placer", placer, build_placer)
    inner, inner_name, inner_row = _resolved("allocator", allocator, build_allocator)
    who, inner_who = f'placer "{name}"', f'allocator "{inner_name}"'
    others = [w for w, r in ((who, row), (inner_who, inner_row)) if r is None or not r.trusted]
    if inner_who in others:
        inner = CheckedAllocator(inner, inner_who)
    stop, nodes = stop or Stop(), scenario.nodes.names
    began, started = datetime.now(UTC), time.perf_counter()
    by_columns = not others and getattr(outer, "by_prices", False) and inner_name == "waterfilling" and start is None
    backend: Backend = "numpy" if others else getattr(outer, "backend", "numpy")
    if backend != "numpy" and not by_columns:
        raise InputError(
            f'backend = "{backend}" prices fleets with the allocator waterfilling and no start; leave it out'
        )
    made = plan_of_columns(scenario, inner, stop, callback, backend) if by_columns else None
    picked: IntArray | None = None
    dual: BestPrice | None = None
    if made is not None and made.done:
        picked, problem, found = made.options, made.problem, made.found
    else:
        problem = compile_problem(scenario)
        check_support(inner, problem, inner_name, inner_who)
        first, near = (None, None) if start is None else start_of(scenario, problem, start)
        dual = BestPrice(problem, made.found.prices if made is not None else near)
        if dual.load >= 1.0:
            raise InfeasibleError(why_no_plan(scenario, problem))
        with unchanged(problem, others):
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
                nodes=nodes,
                proves=row is not None and row.proves,
                supervised=who in others,
            )
            found = at_the_edge(found, problem, inner)
    seconds = time.perf_counter() - started
    options, shares = found.options, found.shares
    if shares is None and dual is not None and dual.full:
        raise InfeasibleError(_FULL)
    if shares is None and (why := why_no_plan(scenario, problem)):
        raise InfeasibleError(why)
    if shares is None:
        why = too_late(scenario, problem, options) or overload_of(problem, options, nodes)
        raise _without_plan(found, name, why)
    verdict = judge(problem, options, shares, nodes)
    if not verdict.feasible:
        raise _without_plan(found, name, too_late(scenario, problem, options, shares) or verdict.violation)
    objective = verdict.objective
    bound, prices = found.lower_bound, found.prices
    if dual is not None:
        bound, prices = _bound(problem, dual, found.prices, objective, stop.tolerance)
    bound_from = "dual"
    if found.bound_from and found.lower_bound > bound:
        bound, bound_from = min(found.lower_bound, objective), found.bound_from
    gap = relative_gap(objective, bound)
    delay = problem.node_delay(options, shares)
    # shares of other allocators are no optimum to the last digit, so that their gap is more than rounding
    rounded = found.status == Status.ROUNDED and row is not None and row.proves and inner_name == "waterfilling"
    status = found.status if rounded or found.status == Status.LIMIT else Status.FEASIBLE
    return Plan(
        status=proved(gap, stop.tolerance, status),
        objective=objective,
        lower_bound=bound,
        gap=gap,
        gap_tolerance=stop.tolerance,
        choices=choices_of(scenario, problem, options, shares, picked),
        names=tuple(nodes),
        networks=scenario.network_names(),
        delays=problem.breakdown(options, shares),
        mean_delay=float((problem.weight * delay).sum()),
        worst_delay=float(delay.max()),
        deadlines=problem.deadline,
        placer=name,
        allocator=inner_name,
        seed=seed,
        evaluations=found.evaluations,
        wall_seconds=seconds,
        prices=prices,
        bound_from=bound_from,
        scenario_sha256=scenario.sha256(),
        trace=found.trace,
        versions=installed_versions(LIBRARIES),
        bound_holds_for=scenario.rule,
        notes=(*found.notes, *cautions(scenario)),
        cautions=scenario.network_cautions(),
        limits=stop,
        started=began.isoformat(timespec="seconds"),
        scenario_name=scenario.name,
        statistic=scenario.options.statistic,
        worst=problem.worst,
    )


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
