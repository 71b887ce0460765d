"""A plan of somebody's own choice: its delay, and how good it is."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.base.errors import InfeasibleError, InputError
from dmcjia_opt.base.showing import described
from dmcjia_opt.base.suggesting import did_you_mean
from dmcjia_opt.bounds.best import BestPrice
from dmcjia_opt.bounds.certificate import best_of, judge, relative_gap
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.scenario.scenario import Scenario
from dmcjia_opt.solving.claimed import placed
from dmcjia_opt.solving.contract import Allocator, Placement, Stop, TracePoint, proved
from dmcjia_opt.solving.plan import Plan
from dmcjia_opt.solving.running import check_support
from dmcjia_opt.solving.solve import resolved_allocator
from dmcjia_opt.solving.target import Target

#: What made a plan that somebody handed over.
GIVEN = "given"


def evaluate(
    scenario: Scenario | str | Path | Problem,
    splits: npt.ArrayLike | Mapping[str, Any] | None = None,
    servers: str | Sequence[str | None] | Mapping[str, str | None] | None = None,
    *,
    options: npt.ArrayLike | None = None,
    shares: npt.ArrayLike | Sequence[Mapping[str, Any]] | Mapping[str, Any] | None = None,
    allocator: str | Allocator = "waterfilling",
    against: Plan | None = None,
) -> Plan:
    """Return a plan of your own choice, its delay recomputed and its gap to the optimum proved.

    Parameters
    ----------
    scenario
        What the plan is for: a scenario, the path of its file, or a problem.
    splits
        One for each node, in order or by its name: how many layers it runs itself; with tiers, both cuts.
    servers
        Who runs the rest, for each node or for all of them, None where all runs at the edge. May be left out where the
        cuts leave no choice.
    options
        (n_nodes,) indices into the nodes' menus, in place of splits and servers.
    shares
        Of what they use, for each node, in order or by its name: a number where there is one resource; else a mapping
        from resources to shares, or (n_nodes, n_uses). The best ones when omitted.
    allocator
        What computes them then: a name, or an object that follows the protocol.
    against
        A plan of the same scenario, such as the optimum: its lower bound, proved by a search, is then that of this plan
        where it is the better one. Without it the bound is what the best prices prove.

    Raises
    ------
    InputError
        If it is none for these nodes; the message says what was expected.
    InfeasibleError
        If a queue is unstable, a resource overfull or a deadline broken; the message says where.

    Examples
    --------
    >>> from dmcjia_opt import Node, Scenario, evaluate
    >>> common = {"model": "resnet34", "arrival_rate": 1}
    >>> gate = Node("gate", compute_gflops=5, uplink_mbps=25, **common)
    >>> yard = Node("yard", compute_gflops=10, uplink_mbps=6, **common)
    >>> mine = evaluate(Scenario(60, [gate, yard]), splits=[0, 16])
    >>> print(f"{1e3 * mine.objective:.1f} ms, shares {mine.shares.round(2)}, gap {100 * mine.gap:.2f} %")
    653.4 ms, shares [0.59 0.41], gap 0.00 %
    """
    target = Target.of(scenario)
    if (splits is None) == (options is None):
        raise InputError("evaluate needs splits, one for each node, or options in their place")
    chosen = (
        target.problem.check_options(_whole(options, "options")) if splits is None else _chosen(target, splits, servers)
    )
    if chosen.shape != (target.problem.n_nodes,):
        raise InputError(f"a plan has one option a node, ({target.problem.n_nodes},), got shape {chosen.shape}")
    began, started = datetime.now(UTC), time.perf_counter()
    if shares is None:
        given, name = _best(target, chosen, allocator)
    else:
        given, name = _shares(target, chosen, shares), GIVEN
    plan = certified(target, chosen, given, began=began, started=started, allocator=name)
    if against is None:
        return plan
    if not isinstance(against, Plan) or against.scenario_sha256 != plan.scenario_sha256 or not target.scenario:
        raise InputError(f"against must be a Plan of the same scenario, got {against!r:.80}")
    if against.lower_bound <= plan.lower_bound:
        return plan
    bound = min(against.lower_bound, plan.objective)
    gap = relative_gap(plan.objective, bound)
    return replace(
        plan,
        lower_bound=bound,
        gap=gap,
        status=proved(gap, plan.gap_tolerance),
        prices=against.prices,
        bound_from=against.bound_from,
    )


def certified(
    target: Target,
    options: IntArray,
    shares: FloatArray,
    *,
    began: datetime,
    started: float,
    allocator: str,
    placer: str = GIVEN,
    evaluations: int = 1,
) -> Plan:
    """Return options (n_nodes,) and shares (n_nodes, n_uses) as a plan with a proved bound.

    Parameters
    ----------
    began, started
        When that was begun: the time of day, and what ``time.perf_counter`` said.
    placer, allocator, evaluations
        Who made it, and how many plans were looked at.

    Raises
    ------
    InfeasibleError
        If it is no plan.
    """
    verdict = judge(target.problem, options, shares, target.names)
    if not verdict.feasible:
        raise InfeasibleError(f"this is no plan: {target.why_not(options, shares) or verdict.violation}")
    bound, prices = best_of(BestPrice(target.problem))
    bound, seconds = min(bound, verdict.objective), time.perf_counter() - started
    point = TracePoint(evaluations, seconds, verdict.objective, bound)
    return target.plan(
        Placement(options, shares, trace=(point,), evaluations=evaluations),
        verdict.objective,
        (bound, prices, "dual"),
        placer=placer,
        allocator=allocator,
        stop=Stop(),
        started=began.isoformat(timespec="seconds"),
        seconds=seconds,
    )


def _chosen(target: Target, splits: Any, servers: Any) -> IntArray:  # noqa: ANN401 - what anybody hands over
    scenario, names = target.scenario, target.names
    if scenario is None:
        raise InputError("a problem knows options, no splits; write options=[…], or evaluate a scenario")
    each = _by_node(splits, names, "splits")
    if isinstance(servers, str) or servers is None:
        who: list[Any] = [servers] * len(names)
    else:
        who = _by_node(servers, names, "servers")
    if scenario.menus.splits:
        known = {server.name for server in scenario.all_servers}
        for d, name in enumerate(who):
            if name is not None and name not in known:
                raise InputError(f'servers: "{names[d]}" cannot use {described(name)}; there is {", ".join(known)}')
        return _options(target, _whole(each, "splits"))
    found = np.empty(len(names), dtype=np.int64)
    for d, cuts in enumerate(each):
        pair = _whole(cuts, f'splits: the cuts of "{names[d]}"').ravel().tolist()
        last = scenario.profiles[scenario.nodes.network_of(d)].n_layers
        server = None if isinstance(servers, str) and pair and min(pair) >= last else who[d]
        found[d] = scenario.option_of(d, pair, server)
    return found


def _options(target: Target, splits: IntArray) -> IntArray:
    last = target.problem.last
    if splits.shape == last.shape:
        for d in np.flatnonzero((splits < 0) | (splits > last))[:1]:
            raise InputError(f'the split of "{target.names[d]}" must lie in 0 … {last[d]}, got {splits[d]}')
    return target.problem.check_options(splits)


def _whole(given: Any, what: str) -> IntArray:  # noqa: ANN401 - what anybody hands over
    try:
        array = np.asarray(given)
    except ValueError:
        array = np.array(None)
    if array.dtype.kind not in "iu":
        raise InputError(f"{what} must be whole numbers, got {described(given)}")
    return array.astype(np.int64)


def _by_node(given: Any, names: Sequence[str], what: str) -> list[Any]:  # noqa: ANN401 - what anybody hands over
    """Return what is given of each node, in order or by its name, as a list."""
    if isinstance(given, Mapping):
        known = set(names)
        for name in given:
            if name not in known:
                raise InputError(f"{what}: there is no node {described(name)}{did_you_mean(str(name), names)}")
        for name in names:
            if name not in given:
                raise InputError(f'{what}: there is nothing for "{name}"; say it for all {len(names)} nodes')
        return [given[name] for name in names]
    if isinstance(given, str) or not hasattr(given, "__len__"):
        raise InputError(f"{what} must have an entry for each of {len(names)} nodes, got {described(given)}")
    if len(given) != len(names):
        raise InputError(f"{what} must have an entry for each of {len(names)} nodes, got {len(given)}")
    return list(given)


def _best(target: Target, options: IntArray, allocator: str | Allocator) -> tuple[FloatArray, str]:
    inner, name, who, _ = resolved_allocator(allocator)
    check_support(inner, target.problem, name, who)
    found = inner.allocate(target.problem, options[None])
    if not np.isfinite(found.shares).all():
        raise InfeasibleError(f"no shares make a plan of this: {target.why_not(options) or f'{name} found none'}")
    return found.shares[0], name


def _shares(target: Target, options: IntArray, given: Any) -> FloatArray:  # noqa: ANN401 - what anybody hands over
    problem, names = target.problem, target.names
    each = _by_node(given, names, "shares")
    if any(isinstance(one, Mapping) for one in each):
        found = np.zeros((problem.n_nodes, problem.n_uses))
        known = [resource.name for resource in problem.resources]
        for d, one in enumerate(each):
            if not isinstance(one, Mapping):
                raise InputError(f'shares: "{names[d]}" must have a mapping as the others, got {described(one)}')
            for resource in one:
                if resource not in known:
                    hint = did_you_mean(str(resource), known)
                    raise InputError(
                        f'shares: "{names[d]}" has one of {described(resource)}{hint}, which is not shared'
                    )
            for k, share in placed(problem, d, int(options[d]), one):
                found[d, k] = share
        return found
    try:
        array = np.asarray(each, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.full(1, np.nan)
    shape = (problem.n_nodes, problem.n_uses)
    if array.shape == shape[:1] and problem.n_uses == 1:
        array = array[:, None]
    if array.shape != shape:
        raise InputError(
            f"shares must be numbers of shape {shape}, or one mapping from resources to shares a node, "
            f"got {described(given)}"
        )
    return array
