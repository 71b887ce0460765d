"""From a scenario to a certified plan."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray, over_uses
from dmcjia_opt.base.errors import InfeasibleError, InputError
from dmcjia_opt.base.machine import installed_versions
from dmcjia_opt.bounds.certificate import Certificate, certify, judge, overload_of, relative_gap
from dmcjia_opt.bounds.dual import least_load
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.scenario import Scenario
from dmcjia_opt.solving.contract import Allocator, Callback, Placement, Placer, Status, Stop
from dmcjia_opt.solving.plan import Plan
from dmcjia_opt.solving.registry import build_allocator, build_placer, spec_of
from dmcjia_opt.solving.running import guarded_allocator, guarded_placer, unchanged


def solve(
    scenario: Scenario,
    placer: str | Placer = "exact",
    allocator: str | Allocator = "waterfilling",
    *,
    stop: Stop | None = None,
    seed: int = 0,
    callback: Callback | None = None,
) -> Plan:
    """Return a certified plan.

    Parameters
    ----------
    scenario
        What to plan.
    placer, allocator
        Names of methods (see `registry`), or objects that follow the protocols. Methods that are not this package's
        are supervised (see `guard`).
    stop
        The budget; none by default.
    seed
        Seed of the placer's generator: same seed and versions, same plan.
    callback
        Called with a `TracePoint` as the search goes on.

    Raises
    ------
    InputError, InfeasibleError, BackendMissing, BackendFailed
        If an argument is malformed, no plan exists or was found, or a method cannot run.
    """
    spec = spec_of("placer", placer) if isinstance(placer, str) else None
    outer = build_placer(placer) if isinstance(placer, str) else placer
    inner = build_allocator(allocator) if isinstance(allocator, str) else allocator
    names = [name if isinstance(name, str) else type(name).__qualname__ for name in (placer, allocator)]
    place = guarded_placer(outer, names[0], scenario.nodes.names)
    allocate = guarded_allocator(inner, names[1])
    problem = compile_problem(scenario)
    for name, why in zip(names, (place.supports(problem), allocate.supports(problem)), strict=True):
        if why:
            raise InputError(f'"{name}" cannot take this scenario: {why}')
    if stop is None:
        stop = Stop()
    if least_load(problem) >= 1.0:
        raise InfeasibleError(
            "no plan exists: whatever the splits, some queue is unstable; "
            "add cloud or edge compute, or lower arrival_rate"
        )
    with unchanged(problem, (outer, f'placer "{names[0]}"'), (inner, f'allocator "{names[1]}"')):
        began, started = datetime.now(UTC), time.perf_counter()
        placement = place.place(problem, allocate, stop=stop, rng=np.random.default_rng(seed), callback=callback)
        seconds = time.perf_counter() - started
        splits, shares = _complete(problem, placement, allocate, names[0], scenario.nodes.names)
    tolerance = stop.tolerance
    certificate = _certify(problem, splits, shares, placement.price, tolerance)
    bound, bound_from = certificate.lower_bound, "dual"
    if spec is not None and spec.proves and placement.lower_bound > bound:
        bound, bound_from = min(placement.lower_bound, certificate.objective), placement.bound_from or spec.name
    gap = relative_gap(certificate.objective, bound)
    status = Status.LIMIT if placement.status == Status.LIMIT else Status.FEASIBLE
    if gap <= tolerance:
        status = Status.OPTIMAL
    return Plan(
        status=status,
        objective=certificate.objective,
        lower_bound=bound,
        gap=gap,
        gap_tolerance=tolerance,
        splits=splits,
        shares=shares,
        names=scenario.nodes.names,
        networks=tuple(
            scenario.profiles[m].name for m in np.array(scenario.nodes.networks)[scenario.nodes.network_index]
        ),
        delays=problem.breakdown(splits, shares),
        placer=names[0],
        allocator=names[1],
        seed=seed,
        evaluations=placement.evaluations,
        wall_seconds=seconds,
        price=float(certificate.prices[0]),
        bound_from=bound_from,
        scenario_sha256=scenario.sha256(),
        trace=placement.trace,
        versions=installed_versions(),
        notes=placement.notes,
        limits=stop,
        started=began.isoformat(timespec="seconds"),
        scenario_name=scenario.name,
    )


def _certify(problem: Problem, splits: IntArray, shares: FloatArray, price: float, tolerance: float) -> Certificate:
    """Certify at the placer's price where that closes the gap, which saves a search for the best one."""
    if np.isfinite(price):
        certificate = certify(problem, splits, shares, prices=price)
        if certificate.gap <= tolerance:
            return certificate
    return certify(problem, splits, shares)


def _complete(
    problem: Problem, placement: Placement, allocator: Allocator, placer: str, nodes: Sequence[str]
) -> tuple[IntArray, FloatArray]:
    splits, shares = placement.splits, placement.shares
    if shares is None and problem.overload(splits) == 0:
        shares = allocator.allocate(problem, splits[None, :]).shares[0]
    why = overload_of(problem, splits, nodes) if shares is None else judge(problem, splits, shares, nodes).violation
    if shares is None or why:
        if placement.status == Status.INFEASIBLE and not np.isposinf(placement.lower_bound):
            raise InfeasibleError(f'"{placer}" gives no feasible plan: {why}; other placers may')
        raise InfeasibleError(
            f'"{placer}" found no feasible plan in {placement.evaluations} evaluations, which does not prove that '
            "there is none; raise its budget or choose another placer"
        )
    return splits, over_uses(problem.by_use(splits, np.asarray(shares, dtype=np.float64)))
