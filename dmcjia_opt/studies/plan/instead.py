"""What one queue for everybody would give instead of reserved shares, and what reserving protects from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.base.errors import InfeasibleError, InputError
from dmcjia_opt.model import pooling
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.scenario.scenario import Scenario
from dmcjia_opt.model.scenario.servers import Host, hosts_in_common
from dmcjia_opt.solving.contract import Placement
from dmcjia_opt.studies.look.words import seconds
from dmcjia_opt.studies.simulation.arrivals import Bursts, own_arrivals
from dmcjia_opt.studies.simulation.fleet import HasPlan, least_tasks, simulate
from dmcjia_opt.studies.simulation.result import Simulation

#: How a neighbour sends that bursts.
BURSTS = Bursts(10.0)
#: Nodes of a fleet that is planned anew, at most; and tasks that are simulated, of a node and of all.
MOST_NODES, TASKS, MOST_TASKS = 2000, 40_000, 200_000
#: The same of what `solve` says, which is to be there at once.
FEW_NODES, FEW_TASKS = 100, 100_000
_SWEEPS = 50
#: How many times as many tasks may come where a node is rare, so that it has enough.
_LONGER = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class Instead:
    """One queue for all at everything that is shared, by the model.

    Parameters
    ----------
    same
        Mean delay with the plan's options, s; +inf where there is no such plan.
    anew
        Mean delay of the best plan that was found, s.
    options
        (n_nodes,) its options.
    neighbour
        The node that keeps what is shared busiest there.
    """

    same: float
    anew: float
    options: IntArray
    neighbour: int


def instead(problem: Problem, options: IntArray, shares: FloatArray) -> Instead | None:
    """Return what one queue for all would give instead of the shares of a plan; None where that is no question.

    It is none where a resource is pooled, fewer than two nodes share one, or not a mean without deadlines is planned.
    """
    used = problem.at(problem.service, options) > 0
    shared = problem.by_resource(options, np.where(used, 1.0, 0.0)).max() > 1
    mean = bool(all(curve.pieces() for curve in problem.use_curves)) and not problem.worst
    promised = bool(np.isfinite(problem.deadline).any())
    if problem.pooled.any() or not shared or not mean or promised or problem.n_nodes > MOST_NODES:
        return None
    one = one_queue(problem)
    nothing = np.zeros_like(shares)
    same = float(one.objective(options, nothing))
    anew = _descended(one, options)
    best = float(one.objective(anew, nothing))
    if not np.isfinite(best):
        return None
    asked = (problem.arrival_rate[:, None] * one.at(one.service, anew)).sum(-1)
    return Instead(same, best, anew, int(asked.argmax()))


def one_queue(problem: Problem) -> Problem:
    """Return the problem in which everything that is shared is one queue for all."""
    return replace(problem, resources=tuple(replace(resource, sharing="fifo") for resource in problem.resources))


def others(problem: Problem, node: int, delays: FloatArray) -> float:
    """Return the weighted mean over all nodes but one of their delays (n_nodes,), s."""
    weight = np.where(np.arange(problem.n_nodes) == node, 0.0, problem.weight)
    return float(weight @ np.where(weight > 0, delays, 0.0) / weight.sum())


def _descended(problem: Problem, options: IntArray) -> IntArray:
    """Return options from which no node alone can lower the mean of what is all pooled, from `options` downhill."""
    own, parts, empty = pooling.sums(problem)
    crowding = pooling.crowding(problem)
    with np.errstate(invalid="ignore"):
        private = problem.weight[:, None] * problem.fixed_delay + own
    nodes = np.arange(problem.n_nodes)
    fine = np.isfinite(problem.objective(options, np.zeros((*options.shape, problem.n_uses))))
    choice = (options if fine else problem.last).copy()
    total = empty + parts[nodes, choice].sum(axis=0)
    for _ in range(_SWEEPS):
        before = choice.copy()
        for d in range(problem.n_nodes):
            rest = total - parts[d, choice[d]]
            values = private[d] + crowding.cost(rest + parts[d]).sum(-1)
            best = int(values.argmin())
            if values[best] < values[choice[d]] * (1.0 - 1e-12):
                choice[d] = best
                total = rest + parts[d, best]
        if (choice == before).all():
            break
    return choice


def in_words(scenario: Scenario, problem: Problem, plan: HasPlan, objective: float) -> str:
    """Return in a few sentences what one queue would give, and what reserving protects from; empty if no question.

    Parameters
    ----------
    scenario, problem
        With reserved shares.
    plan, objective
        Its plan, and the mean delay of that, s.
    """
    options, shares = np.asarray(plan.options), np.asarray(plan.shares)
    found = instead(problem, options, problem.by_use(options, shares))
    if found is None:
        return ""
    same = f"{seconds(found.same)} with these options" if np.isfinite(found.same) else "no plan with these options"
    said = (
        f"One queue for all instead of reserved shares: {same}, {seconds(found.anew)} planned anew, against "
        f"{seconds(objective)}."
    )
    if problem.n_nodes > FEW_NODES:
        return said
    rows = simulated(scenario, problem, plan, objective, found, tasks=FEW_TASKS // problem.n_nodes)
    return said if rows is None else f"{said} {_protects(rows, scenario.nodes.names[found.neighbour])}"


def _protects(rows: Sequence[Way], name: str) -> str:
    reserved, queue = rows[0], rows[-1]
    sends = f"should {name} send its tasks in bursts of {BURSTS.size:g}"
    if queue.beside_burst <= queue.quiet + queue.half_width:
        return f"Nor would that queue be slower for the other nodes {sends}; simulated."
    return (
        f"What reserving protects from: {sends}, the other nodes would go from {seconds(queue.quiet)} to "
        f"{seconds(queue.beside_burst)} in that queue, and stay at {seconds(reserved.beside_burst)} here; simulated."
    )


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """One way to share, simulated.

    Parameters
    ----------
    name
        What it is.
    model
        Mean delay by the model, s.
    mean, half_width
        Mean delay as simulated and half its 95 % interval, s.
    quiet, beside_burst
        Mean delay of all nodes but the neighbour, s, as simulated: as the scenario says, and beside bursts.
    """

    name: str
    model: float
    mean: float
    half_width: float
    quiet: float
    beside_burst: float


def simulated(
    scenario: Scenario,
    problem: Problem,
    plan: HasPlan,
    objective: float,
    found: Instead,
    *,
    called: str = "options",
    tasks: int | None = None,
) -> list[Way] | None:
    """Return the plan and both ways to pool, simulated with the same arrivals: as they are, and with bursts.

    Parameters
    ----------
    scenario, problem
        With reserved shares.
    plan, objective
        Its plan, and the mean delay of that, s.
    found
        What one queue would give.
    called
        What options are called: ``"splits"`` where they are.
    tasks
        Of a node; `TASKS`, or fewer in a large fleet, when omitted.

    Returns
    -------
    None where one of them cannot be simulated, or not soon, as a node sends far less often than the others.
    """
    queue, nothing = pooled_scenario(scenario), np.zeros((problem.n_nodes, problem.n_uses))
    wanted: list[tuple[str, float, Scenario, HasPlan]] = [("reserved shares, this plan", objective, scenario, plan)]
    if np.isfinite(found.same):
        same = Placement(np.asarray(plan.options), nothing)
        wanted.append((f"one queue for all, these {called}", found.same, queue, same))
    wanted.append(("one queue for all, planned anew", found.anew, queue, Placement(found.options, nothing)))
    each = max(tasks or min(TASKS, MOST_TASKS // problem.n_nodes), 1000)
    rate = scenario.nodes.arrival_rate
    if least_tasks() * (rate / rate.min()).sum() > _LONGER * each * problem.n_nodes:
        return None
    bursting = own_arrivals(scenario.nodes, {scenario.nodes.names[found.neighbour]: BURSTS})
    rows = []
    for name, model, one, chosen in wanted:
        try:
            runs: list[Simulation] = [simulate(one, chosen, tasks=each, arrivals=how) for how in (None, bursting)]
        except (InfeasibleError, InputError):
            return None
        means = [others(problem, found.neighbour, run.delay) for run in runs]
        rows.append(Way(name, model, runs[0].mean_delay, runs[0].mean_half_width(), *means))
    return rows


def pooled_scenario(scenario: Scenario) -> Scenario:
    """Return the scenario in which everything that is shared is one queue for all."""
    return replace(
        scenario,
        cloud_sharing="fifo" if scenario.cloud_gflops is not None else "reserved",
        servers=tuple(server.model_copy(update={"sharing": "fifo"}) for server in scenario.servers),
        links=tuple(link.model_copy(update={"sharing": "fifo"}) for link in scenario.links),
        hosts=tuple(Host(name=name, sharing="fifo") for name in hosts_in_common(scenario.nodes).values()),
    )
