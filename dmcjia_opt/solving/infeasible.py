"""Why no plan exists: which nodes fail even alone, or by how much the fleet asks for more than there is."""

from __future__ import annotations

import math

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.base.suggesting import listed
from dmcjia_opt.bounds.bundle import climb
from dmcjia_opt.bounds.loads import heaviest, least_load, least_shares
from dmcjia_opt.bounds.promises import Kept, keeping
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.resources import CLOUD
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.scenario import Scenario
from dmcjia_opt.model.scenario.services import allowed, stage_times

_MOST_NAMED, _MOST_LOOKED_AT = 3, 8
_STEPS, _ROUNDING = 60, 1e-11


def why_no_plan(scenario: Scenario, problem: Problem | None = None) -> str:
    """Return in one sentence why no plan of a scenario exists, and what would help; empty where it has one.

    `problem` is the scenario compiled, where somebody has it.
    """
    problem = problem or compile_problem(scenario)
    load = least_load(problem)
    if load < 1.0:
        return _broken_promises(scenario, problem) if problem.promised else ""
    names, rates = scenario.nodes.names, scenario.nodes.arrival_rate
    most = _carried(scenario)
    alone = np.flatnonzero(most <= rates)
    only_cloud = problem.resources == (CLOUD,)
    if alone.size:
        first = alone[0]
        told = [
            f'"{names[d]}" {"can carry " if d == first else ""}less than {most[d]:.4g} of its {rates[d]:g} tasks/s'
            for d in alone
        ]
        uplink = ", or its uplink_mbps" if scenario.options.uplink == "queue" else ""
        best = "split and with the whole cloud" if only_cloud else "option and with all that it may use to itself"
        of = "of the cloud" if only_cloud else "of what it may use"
        return (
            f"no plan exists: even at the best {best}, {listed(told, what='node')}; lower "
            f"arrival_rate there, or raise the compute_gflops of the node or {of}{uplink}"
        )
    kept = _kept(scenario)
    if not only_cloud:
        return _overfull(scenario, problem, kept)
    shares = least_shares(problem)
    largest = np.argsort(-shares, kind="stable")[:_MOST_NAMED]
    who = ", ".join(f'"{names[d]}" ({_clouds(shares[d])})' for d in largest)
    cloud = _enough(scenario, problem, 0, load)
    return (
        f"no plan exists: whatever the splits, the fleet needs at least {_clouds(load)}{kept}, most of it for {who}; "
        f"give it {cloud}, faster nodes{', a larger deadline_ms' if kept else ''} or a lower arrival_rate"
    )


def too_late(scenario: Scenario, problem: Problem, options: IntArray, shares: FloatArray | None = None) -> str:
    """Return which node has an option that left the menu because no shares keep its deadline; empty if none has.

    Parameters
    ----------
    scenario, problem
        What was planned, and the same compiled.
    options, shares
        (n_nodes,) and (n_nodes, n_uses) the plan; with everything to itself where there are no shares.
    """
    gone = np.isinf(problem.at(problem.fixed_delay, options)) & np.isfinite(problem.deadline)
    if not gone.any():
        return ""
    whole = np.ones((problem.n_nodes, problem.n_uses)) if shares is None else shares
    delay = compile_problem(scenario.without_deadlines()).node_delay(options, whole)
    for d in np.flatnonzero(gone & np.isfinite(delay))[:1].tolist():
        takes = f"takes {'' if shares is not None else 'at least '}{1e3 * delay[d]:.4g} ms"
        return f'"{scenario.nodes.names[d]}" {takes}, and its deadline is {scenario.nodes.deadline_ms[d]:.6g} ms'
    return ""


def _kept(scenario: Scenario) -> str:
    """Return that deadlines are why there is no plan, in words; empty where there is none without them either."""
    if not scenario.nodes.has("deadline_ms"):
        return ""
    return " to keep every deadline" if least_load(compile_problem(scenario.without_deadlines())) < 1.0 else ""


def _broken_promises(scenario: Scenario, problem: Problem) -> str:
    """Return by how much all resources together fall short of what several uses of an option need to keep deadlines.

    Prices prove that: each node keeps its own at least cost, and that is more than all there is. Empty if none do.
    """

    def ask(prices: FloatArray) -> Kept:
        return keeping(problem, np.inf, prices)

    n = problem.n_resources
    equal = np.full(n, 1.0 / n)
    tried = climb(ask, [ask(equal)], 0.1 * equal, np.zeros(n), steps=_STEPS).points
    found = max(tried, key=lambda point: point.ratio)
    if not found.ratio > 1.0 + _ROUNDING:
        return ""
    dearest = [r for r in np.argsort(-found.prices, kind="stable") if found.prices[r] > 0.01 * found.prices.max()]
    several = [str(problem.resources[r]) for r in dearest[:_MOST_LOOKED_AT]]
    largest = np.argsort(-found.cost, kind="stable")[:_MOST_NAMED]
    who = ", ".join(f'"{scenario.nodes.names[d]}"' for d in largest)
    return (
        f"no plan exists: whatever the options, the average of {listed(several, what='resource')}, by their scarcity, "
        f"would be used {_rounded(found.ratio)} times to keep every deadline, most of it for {who}; give one of them "
        "more, raise deadline_ms, or lower arrival_rate"
    )


def _overfull(scenario: Scenario, problem: Problem, kept: str) -> str:
    """Return which resource, or which together, no choice of options keeps from being overfull."""
    load, weights = heaviest(problem)
    scarcest = np.argsort(-weights, kind="stable")[:_MOST_LOOKED_AT]
    each = [least_shares(problem, np.eye(1, problem.n_resources, int(r))[0]) for r in scarcest]
    k = int(np.argmax([float(shares.sum()) for shares in each]))
    if (alone := float(each[k].sum())) >= 1.0:
        shares, load, r = each[k], alone, int(scarcest[k])
        what = str(problem.resources[r])
        remedy = f"give it {_enough(scenario, problem, r, load)}, or its nodes something else to use"
    else:
        shares = least_shares(problem, weights)
        several = [str(problem.resources[r]) for r in scarcest if weights[r] > 0.01 * weights.max()]
        what = f"the average of {listed(several, what='resource')}, by their scarcity,"
        remedy = "give one of them more"
    names = scenario.nodes.names
    largest = [int(d) for d in np.argsort(-shares, kind="stable")[:_MOST_NAMED] if shares[d] > 0]
    who = ", ".join(f'"{names[d]}" ({_rounded(shares[d])})' for d in largest)
    return (
        f"no plan exists: whatever the options, {what} would be used {_rounded(load)} times{kept}, most of it for "
        f"{who}; {remedy}, {'raise deadline_ms, ' if kept else ''}or lower arrival_rate"
    )


def _enough(scenario: Scenario, problem: Problem, resource: int, load: float) -> str:
    """Return what a resource should be like to carry `load` times what it does, so that rounding takes none of it."""
    found, more = problem.resources[resource], load * (1 + 5e-4)
    if found.kind == "link":
        mbps = next(link.mbps for link in scenario.links if link.name == found.name)
        return f"mbps of {mbps * more:.5g} or more"
    if found.kind == "host":
        d = int(np.flatnonzero(scenario.nodes.host.index == scenario.nodes.host.values.index(found.name))[0])
        if scenario.nodes.device_of(d):
            return "a faster device"
        return f"compute_gflops of {scenario.nodes.compute_gflops[d] * more:.5g} or more"
    server = next(server for server in scenario.all_servers if server.name == found.name)
    if server.device:
        return "a faster cloud" if found == CLOUD else "a faster device"
    gflops = f"compute_gflops of {server.compute_gflops * more:.5g} or more"
    return f"a cloud.{gflops}" if found == CLOUD else gflops


def _clouds(load: float) -> str:
    return f"{_rounded(load)} clouds"


def _rounded(load: float) -> str:
    """Return a load rounded down, with as many digits as tell it from a whole resource."""
    scale = next(scale for scale in (10.0**k for k in range(2, 17)) if load < 1 or load * scale >= scale + 1)
    return f"{math.floor(load * scale) / scale:.16g}"


def _carried(scenario: Scenario) -> FloatArray:
    """Return the arrival rate (n_nodes,), 1/s, below which each node is stable at its best option, alone."""
    times, options = stage_times(scenario), scenario.options
    most = np.empty(scenario.n_nodes)
    for _, menu, rows in times.blocks():
        parts = times.of(menu, rows)
        slowest = parts.edge
        if options.uplink == "queue":
            slowest = np.maximum(slowest, parts.upload)
        fine = np.ones(1, dtype=np.bool_)
        for slot, (service, _) in parts.used.items():
            slowest = np.maximum(slowest, service)
            if options.ordering == "cloud-faster" and slot in ("first server", "second server"):
                fine = fine & ((service <= parts.computing) | (parts.computing == 0))
        limited = allowed(times, menu, rows, parts)
        fine = fine if limited is None else fine & limited
        with np.errstate(divide="ignore"):
            most[rows] = np.where(fine, 1.0 / slowest, 0.0).max(axis=1)
    return most
