"""Simulates a plan on every node of a scenario."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import numpy as np

from dmcjia_opt.base.arrays import BoolArray, FloatArray, IntArray
from dmcjia_opt.base.errors import InfeasibleError, InputError
from dmcjia_opt.base.handing import check_arguments
from dmcjia_opt.base.showing import described
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.quantiles import PERCENTILES
from dmcjia_opt.model.residuals import BUDGET_TOLERANCE
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.loading import scenario_of
from dmcjia_opt.model.scenario.scenario import Scenario, Uplink
from dmcjia_opt.model.scenario.services import stage_times
from dmcjia_opt.solving.plan import Plan, PlanFile, load_plan, options_and_shares
from dmcjia_opt.studies.online.traces import LinkTrace
from dmcjia_opt.studies.simulation.arrivals import BLOCK, Arrivals, Trace, own_arrivals
from dmcjia_opt.studies.simulation.changing import Changing
from dmcjia_opt.studies.simulation.estimates import N_BATCHES, Histogram
from dmcjia_opt.studies.simulation.meeting import Member, Source, run_together
from dmcjia_opt.studies.simulation.node import NodeRun, Tally, run_node
from dmcjia_opt.studies.simulation.notes import notes
from dmcjia_opt.studies.simulation.passage import Passage, stream
from dmcjia_opt.studies.simulation.result import LEVELS, Settings, Simulation
from dmcjia_opt.studies.simulation.serving import ServiceFamily, Variability

#: Tasks a node, unless told otherwise.
TASKS = 100_000
#: Share of the tasks left out at the start, unless told otherwise.
WARM_UP = 0.1
_LEAST_BATCH = 10
#: Tasks in all, at most, that rates far apart may make of those asked for where nodes meet.
_MOST = 1e9


class HasPlan(Protocol):
    """Anything that says what each node does and how to share, such as a `Placement`.

    Examples
    --------
    >>> import numpy as np
    >>> from dmcjia_opt import Placement, generate, simulate
    >>> mine = Placement(np.array([0, 16, 0]), np.array([0.3, 0.3, 0.4]))
    >>> simulate(generate("paper", nodes=3, seed=1), mine, tasks=2000).names[0]
    'node-0001'
    """

    @property
    def options(self) -> Sequence[int] | IntArray:
        """(n_nodes,) the option of each node; with one cloud, its split."""
        ...

    @property
    def shares(self) -> Sequence[float] | FloatArray | None:
        """(n_nodes, n_uses) shares of the resources; the last axis may be missing where there is one use."""
        ...


def simulate(
    scenario: Scenario | str | Path,
    plan: Plan | PlanFile | HasPlan | str | Path,
    *,
    tasks: int | None = None,
    seed: int = 0,
    arrivals: Arrivals | None = None,
    service_cv: float | None = None,
    service_family: ServiceFamily = "gamma",
    uplink: Uplink | None = None,
    warm_up: float = WARM_UP,
    links: LinkTrace | None = None,
    later: Sequence[tuple[float, HasPlan]] = (),
    progress: Callable[[float], None] | None = None,
) -> Simulation:
    """Send tasks through the stages of every node, and measure their delay.

    Tasks pass the node's device or its share of a host, its own uplink, its shares of links and of servers, each a
    stage of its own: where shares are reserved, nodes do not meet. At what is pooled they do: such nodes run together,
    as long as each other, so that those with more arrivals have more tasks. Periodic ones have random phases there, new
    ones in every batch. Every node starts empty; the first `warm_up` of its
    tasks does not count, and the rest is cut into 32 batches of equal size, which give the confidence intervals. They
    are of what the scenario plans with: the mean, or a percentile of each node's tasks. What arrives and how service
    times scatter depends on `seed` and the node's place in the scenario only, not on the plan, so that plans can be
    compared task by task.

    A node with too few recorded arrivals for an interval has none, and does not count in the fleet's means; the
    result's `notes` name it.

    Parameters
    ----------
    scenario
        The fleet and the cloud.
    plan
        A plan, a plan file as read, or anything else with options and shares.
    tasks
        Tasks a node, warm-up included; 100,000 by default, or the whole trace. Where nodes meet that is their mean.
    seed
        Same seed, same numbers.
    arrivals
        The arrival process; by default that of each node in the scenario: gaps that do not vary, gamma-distributed ones
        up to a squared coefficient of variation of 1, and hyper-exponential ones beyond.
    service_cv
        Coefficient of variation of service times at devices, hosts and servers. By default what the scenario's delay
        model says: deterministic at devices and hosts; at servers deterministic, exponential (``mm1``) or as
        ``service_scv`` says (``mg1``). Uplinks and links take as long for every task.
    service_family
        ``gamma`` (exponential at a `service_cv` of 1) or ``lognormal``.
    uplink
        ``delay``: uploads of a node do not wait for each other, as in the paper; ``queue``: one at a time, on its own
        uplink and on its shares of links. By default what the scenario's options say.
    warm_up
        Share of the tasks left out at the start, in [0, 1).
    links
        Speeds of links over time; what is on its way when one changes sees the change. After its end the trace begins
        anew; by default there are as many tasks as make whole rounds of it.
    later
        Plans that take over, and when, s: tasks that arrive at their node from then on. Those of a node stay in order.
        Where the trace begins anew, so do they.
    progress
        Called with the fraction done.

    Raises
    ------
    InputError
        If an argument is malformed or the plan is not one for this scenario.
    InfeasibleError
        If a queue would grow without end, or the shares exceed a resource.

    Examples
    --------
    >>> from dmcjia_opt import generate, simulate, solve
    >>> scenario = generate("paper", nodes=3, seed=1)
    >>> plan = solve(scenario)
    >>> found = simulate(scenario, plan, tasks=2000)
    >>> abs(found.mean_delay / plan.objective - 1) < 0.2
    True
    """
    check_arguments(simulate, locals(), "scenario", "plan", "service_family", "uplink")
    started = time.perf_counter()
    scenario = scenario_of(scenario)
    plan = load_plan(plan) if isinstance(plan, str | Path) else plan
    if not (isinstance(plan, PlanFile) or hasattr(plan, "options")):
        raise InputError(f"simulate needs a Plan, what load_plan returns, or a path, got {described(plan)}")
    arrivals = own_arrivals(scenario.nodes) if arrivals is None else arrivals
    uplink = uplink or scenario.options.uplink
    if uplink not in ("delay", "queue"):
        raise InputError(f'uplink = "{uplink}" is unknown; choose delay or queue')
    if seed < 0:
        raise InputError(f"seed must be at least 0, got {seed}")
    if not 0.0 <= warm_up < 1.0:
        raise InputError(f"warm_up must be at least 0 and below 1, got {warm_up:g}")
    modelled = {"mm1": 1.0, "mg1": math.sqrt(scenario.options.service_scv)}.get(scenario.options.delay, 0.0)
    cvs = (0.0, modelled) if service_cv is None else (service_cv, service_cv)
    scatter = Variability(cvs[0], service_family), Variability(cvs[1], service_family)
    times = stage_times(scenario)
    problem = compile_problem(scenario.without_deadlines(), times)
    options, shares = _checked(scenario, plan, problem)
    names, rates = scenario.nodes.names, scenario.nodes.arrival_rate.tolist()
    passage = Passage.of(times, times.at(options), shares, uplink)
    first, others = (passage, options, shares), _later(scenario, later, problem)
    changing = Changing.of(scenario, times, problem, first, links, others, uplink)
    meets = np.asarray(passage.pooled.any(axis=1))
    if changing.anything and meets.any():
        raise InputError("links and plans that change are simulated where all shares are reserved; leave links out")
    wanted = changing.tasks(scenario.nodes.arrival_rate, TASKS, warm_up) if tasks is None else tasks
    measured, skipped, quiet = _numbers(arrivals, scenario, meets, wanted, warm_up)
    trace = arrivals if isinstance(arrivals, Trace) else None
    own_rates = np.array([0.0 if quiet[d] else arrivals.rate(name, rates[d]) for d, name in enumerate(names)])
    varying = np.array([arrivals.varies(name) for name in names])
    for one, chosen in changing.passages():
        one.require_stable(scenario, chosen, own_rates, varying, one.scatters(*scatter), recorded=trace is not None)
    planned = scenario.nodes.arrival_rate
    said = notes(trace, names, (own_rates, planned), tasks, measured + skipped, quiet) if trace else ()
    weight = problem.weight
    if quiet.any():
        weight = np.where(quiet, 0.0, weight)
        weight /= weight.sum()

    n, n_stages = passage.service.shape
    batch_values, levels = np.full((n, N_BATCHES), np.nan), np.full((n, len(LEVELS)), np.nan)
    bounded, late, deadline = np.ones(n, dtype=np.bool_), np.full(n, np.nan), _deadlines(scenario)
    level = PERCENTILES.get(scenario.options.statistic)
    delays, load = np.full((n, n_stages), np.nan), np.full((n, n_stages), np.nan)
    mixed, runs = Histogram(), dict[int, NodeRun]()
    total, done = float((measured + skipped).sum()), 0.0
    together = _members(passage, arrivals, scenario, meets, (measured, skipped), scatter, seed, level, deadline)
    for d, name in enumerate(names):
        counts = int(measured[d]), int(skipped[d])
        each = sum(counts)
        if not each or d in together:
            continue
        gaps = arrivals.gaps(name, rates[d], each, stream(seed, d, 0))
        if progress is not None:
            gaps = _reported(gaps, progress, done, total)
        stages = changing.stages(d, passage.stages(d, *scatter, seed))
        runs[d] = run_node(stages, gaps, *counts, level, float(deadline[d]))
        done += each
    if together:
        report = None if progress is None else partial(_report, progress, done, total)
        found = run_together([*together.values()], passage, float(own_rates[[*together]].sum()), report)
        runs |= dict(zip(together, found, strict=True))
    for d, run in sorted(runs.items()):
        batch_values[d], bounded[d], delays[d] = run.batch_values, run.bounded, run.delays
        late[d] = run.late if deadline[d] < math.inf else np.nan
        load[d] = np.where(passage.works, run.busy, 0.0) / run.span if run.span else np.nan
        levels[d] = run.histogram.quantiles(LEVELS)
        mixed.mix(run.histogram, float(weight[d] / measured[d]))
    return Simulation(
        settings=Settings(
            scenario_sha256=scenario.sha256(),
            tasks=tasks if tasks is not None or arrivals.available(names[0]) is not None else TASKS,
            seed=seed,
            arrivals=arrivals.label,
            edge_cv=cvs[0],
            cloud_cv=cvs[1],
            service_family=service_family,
            uplink=uplink,
            warm_up=warm_up,
            statistic=scenario.options.statistic,
            objective=scenario.options.objective,
        ),
        names=names,
        weight=weight,
        batch_values=batch_values,
        bounded=bounded,
        passage=passage,
        stage_delays=delays,
        stage_load=load,
        quantiles=levels,
        mean_quantiles=mixed.quantiles(LEVELS),
        model=changing.model(problem.node_delay(options, shares)),
        deadline=deadline,
        late=late,
        rate=own_rates,
        planned_rate=planned,
        measured=measured,
        warm_up=skipped,
        notes=tuple(said),
        wall_seconds=time.perf_counter() - started,
    )


def _later(
    scenario: Scenario, later: Sequence[tuple[float, HasPlan]], problem: Problem
) -> list[tuple[float, IntArray, FloatArray]]:
    found = [(float(at), *_checked(scenario, plan, problem)) for at, plan in later]
    times = [0.0, *(at for at, _, _ in found)]
    if not all(before < after < math.inf for before, after in pairwise(times)):
        raise InputError("plans that take over need times > 0 s, in order")
    return found


def least_tasks(warm_up: float = WARM_UP) -> int:
    """Return how many tasks a node needs for an interval, warm-up included."""
    return math.ceil(_LEAST_BATCH * N_BATCHES / (1.0 - warm_up))


def _deadlines(scenario: Scenario) -> FloatArray:
    """Return each node's deadline, s; +inf where it has none."""
    nodes = scenario.nodes
    if not nodes.has("deadline_ms"):
        return np.full(len(nodes), np.inf)
    return np.nan_to_num(1e-3 * nodes.deadline_ms, nan=np.inf)


def made_for(scenario: Scenario, claims: PlanFile) -> bool:
    """Return whether a plan file was made for exactly this scenario; its nodes must be the same in any case.

    Raises
    ------
    InputError
        If the plan is for other nodes.
    """
    names = scenario.nodes.names
    found = [row.name for row in claims.nodes]
    if len(found) != len(names):
        raise InputError(
            f"the plan has {len(found)} nodes, the scenario {len(names)}; simulate a plan with the scenario it was "
            "made for"
        )
    for d, (row, name, network) in enumerate(zip(claims.nodes, names, scenario.network_names(), strict=True)):
        if (row.name, row.model) != (name, network):
            raise InputError(
                f'node {d + 1} is "{row.name}" running {row.model} in the plan and "{name}" running {network} in the '
                "scenario; simulate a plan with the scenario it was made for"
            )
    return claims.scenario_sha256 == scenario.sha256()


def _checked(scenario: Scenario, plan: Plan | PlanFile | HasPlan, problem: Problem) -> tuple[IntArray, FloatArray]:
    """Return the options (n_nodes,) and the shares (n_nodes, n_uses) of a plan."""
    given: Sequence[float] | FloatArray | None
    if isinstance(plan, PlanFile):
        chosen, given = options_and_shares(scenario, problem, plan)
    else:
        chosen, given = np.asarray(plan.options), plan.shares_by_use if isinstance(plan, Plan) else plan.shares
    options = problem.check_options(chosen)
    shares = problem.by_use(options, np.asarray(np.nan if given is None else given, dtype=np.float64))
    if options.ndim != 1 or shares.shape != (problem.n_nodes, problem.n_uses):
        each = "shares" if problem.n_uses == 1 else f"{problem.n_uses} shares for each"
        raise InputError(f"a plan needs {problem.n_nodes} options and {each}, got {options.size} and {shares.size}")
    bad = np.flatnonzero(~(np.isfinite(shares) & (shares >= 0)).all(axis=1))
    if bad.size:
        d = int(bad[0])
        k = int(np.argmin(np.isfinite(shares[d]) & (shares[d] >= 0)))
        raise InputError(f'the share of "{scenario.nodes.names[d]}" must be finite and >= 0, got {shares[d, k]:g}')
    over = problem.by_resource(options, shares) - 1.0
    if (over > BUDGET_TOLERANCE).any():
        r = int(over.argmax())
        raise InfeasibleError(
            f"the plan's shares exceed {problem.resources[r]} by {over[r]:.3g}; scale them to a sum of at most 1"
        )
    return options, shares + 0.0  # −0 becomes 0: work over −0 is −inf, which no queue can be


def _numbers(
    arrivals: Arrivals, scenario: Scenario, meets: BoolArray, tasks: int | IntArray | None, warm_up: float
) -> tuple[IntArray, IntArray, BoolArray]:
    """Return how many tasks of each node count, how many come before them, and which have too few for batches."""
    names, rate = scenario.nodes.names, scenario.nodes.arrival_rate
    each = np.empty(len(names), dtype=np.int64)
    for d, name in enumerate(names):
        available = arrivals.available(name)
        wanted = TASKS if tasks is None and available is None else tasks[d] if isinstance(tasks, np.ndarray) else tasks
        each[d] = min(number for number in (wanted, available) if number is not None)
    most = int(each.argmax())
    if isinstance(arrivals, Trace) and not each[most]:
        raise InputError(
            f'{arrivals.label}: there is no arrival for any node of the scenario, such as "{names[0]}"; correct the '
            "names in column node, or leave the column out"
        )
    if isinstance(tasks, int) and each[most] < tasks:
        raise InputError(
            f'{arrivals.label} has {each[most]} arrivals for "{names[most]}", fewer than the {tasks} tasks asked for; '
            "ask for fewer"
        )
    if meets.any() and not isinstance(arrivals, Trace):  # as long as each other, and so that the rarest have batches
        least = least_tasks(warm_up) + 1
        asked, rarest = float(each[meets].sum()), int(np.where(meets, rate, np.inf).argmin())
        parts = rate[meets] / rate[meets].max()  # of the most frequent node's tasks; sums of rates may be beyond range
        scale = max(asked / parts.sum(), min(least, int(each.max())) * (rate[meets].max() / rate[rarest]))
        if scale * parts.sum() > max(asked, _MOST):
            raise InputError(
                f'tasks of "{names[rarest]}" are too rare among those it meets: {scale * parts.sum():.3g} tasks would '
                "have to come before it has enough; raise its arrival_rate, or reserve shares"
            )
        each[meets] = np.ceil(scale * parts)
    measured = ((1.0 - warm_up) * each).astype(np.int64) // N_BATCHES * N_BATCHES
    quiet = measured < _LEAST_BATCH * N_BATCHES
    if quiet.all():
        raise InputError(
            f'{each[most]} tasks are too few for "{names[most]}": {N_BATCHES} batches of {_LEAST_BATCH} and a warm-up '
            f"of {100 * warm_up:g} % need at least {least_tasks(warm_up)}"
        )
    measured[quiet] = each[quiet] - (warm_up * each[quiet]).astype(np.int64)
    return measured, each - measured, quiet


def _members(
    passage: Passage,
    arrivals: Arrivals,
    scenario: Scenario,
    meets: BoolArray,
    numbers: tuple[IntArray, IntArray],
    scatter: tuple[Variability, Variability],
    seed: int,
    level: float | None,
    deadline: FloatArray,
) -> dict[int, Member]:
    """Return the nodes that run together, by their index."""
    measured, skipped = numbers
    pools = np.where(passage.pooled, passage.resource, -1)
    found = {}
    for d in np.flatnonzero(meets & (measured > 0)).tolist():
        name, rate = scenario.nodes.names[d], float(scenario.nodes.arrival_rate[d])
        each, size = int(measured[d] + skipped[d]), max(int(measured[d]) // N_BATCHES, 1)
        recorded = isinstance(arrivals, Trace)
        # more than count, so that the last of the others do not have the resources to themselves
        gaps = arrivals.gaps(name, rate, each if recorded else 2 * each + BLOCK, stream(seed, d, 0))
        first = arrivals.start(name) if isinstance(arrivals, Trace) else 0.0
        if not arrivals.varies(name):
            phases = stream(seed, d, 4)
            first = phases.random() / rate
            gaps = _restarted(gaps, int(skipped[d]), size, phases)
        found[d] = Member(
            stages=passage.stages(d, *scatter, seed),
            pools=pools[d].tolist(),
            source=Source(gaps, first),
            measured=int(measured[d]),
            warm_up=int(skipped[d]),
            tally=Tally(int(measured[d]), level, float(deadline[d])),
        )
    return found


def _restarted(gaps: Iterator[FloatArray], start: int, size: int, rng: np.random.Generator) -> Iterator[FloatArray]:
    """Yield gaps that do not vary, longer by a random part where a batch begins: at `start` and every `size` on."""
    seen = 0
    for block in gaps:
        at = np.arange((start - seen) % size, len(block), size)
        block[at] *= 1.0 + rng.random(len(at))
        seen += len(block)
        yield block


def _report(progress: Callable[[float], None], done: float, total: float, tasks: int) -> None:
    progress((done + tasks) / total)


def _reported(
    gaps: Iterator[FloatArray], progress: Callable[[float], None], done: float, total: float
) -> Iterator[FloatArray]:
    for block in gaps:
        yield block
        done += len(block)
        progress(done / total)
