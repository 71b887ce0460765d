"""Problems to test methods on: random ones of every shape, all plans of small ones, and two with hardly a plan."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Literal

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray, absent
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.model.delay import STATISTICS, TANDEM, DelayCurve, TandemCurve, tandem
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.queues import MD1, MM1, OVERLAP, mg1
from dmcjia_opt.model.resources import Resource, Sharing
from dmcjia_opt.model.scenario.scenario import Average, Ordering
from dmcjia_opt.solving.contract import Placement
from dmcjia_opt.solving.registry import build_placer
from dmcjia_opt.solving.running import place

#: Every shape that the curve of a queue with Poisson arrivals can take: a = b, a = 0, 0 < a < b, a < 0, a ≪ 0.
QUEUES: tuple[DelayCurve, ...] = (MD1, MM1, mg1(0.3), mg1(4.0), mg1(100.0))
#: Every shape of a server's curve.
CURVES: tuple[DelayCurve, ...] = (*QUEUES, TANDEM)
#: Sizes and seconds of batches.
BATCHES = ((1, 0.004), (8, 0.011))
ORDERINGS: tuple[Ordering, ...] = ("stability", "cloud-faster")
AVERAGES: tuple[Average, ...] = ("nodes", "tasks")


def random_problem(
    rng: np.random.Generator,
    n_nodes: int = 8,
    n_splits: int = 4,
    *,
    utilisation: float = 0.7,
    spread: float = 10.0,
    curve: DelayCurve = MD1,
    ordering: Ordering = "stability",
    average: Average = "nodes",
) -> tuple[Problem, IntArray]:
    """Return a random problem and splits (n_nodes,) for which shares exist.

    Parameters
    ----------
    rng
        Source of randomness.
    n_nodes, n_splits
        Shape of the tables. The last split, if there are two or more, has no cloud work.
    utilisation
        Load of the cloud, Σ λs, at the returned splits; in (0, 1).
    spread
        Ratio of the largest to the smallest arrival rate, and cloud time, that may be drawn.
    curve
        Delay curve. In a tandem, waits upstream are 1/30 to 30 times those in the cloud, so that at the returned
        splits some nodes wait here, some there, and some are at their kink; a fifth have none.
    ordering
        With "cloud-faster", about half of the busy nodes get a least rate; at the returned splits these take 0.3 to
        0.95 of the surplus, unevenly, so that some bind.
    average
        Equal weights, or weights proportional to the arrival rates.
    """
    rate = _log_uniform(rng, spread, n_nodes)
    time = _log_uniform(rng, spread, n_nodes)[:, None] * -np.sort(-rng.uniform(0.05, 1.0, (n_nodes, n_splits)))
    if n_splits > 1:
        time[:, -1] = 0.0
    splits = rng.integers(n_splits, size=n_nodes)
    pinned = rng.integers(n_nodes)
    splits[pinned] = 0
    here = np.arange(n_nodes), splits
    time *= utilisation / (rate * time[here]).sum()
    weight = np.full(n_nodes, 1.0 / n_nodes) if average == "nodes" else rate / rate.sum()
    typical = np.sqrt(weight * time[here]).sum() ** 2 / (1.0 - utilisation)
    local = typical * rng.uniform(0.0, 2.0, (n_nodes, n_splits))
    local[rng.random(local.shape) < 0.1] = np.inf
    local[here] = typical * rng.uniform(0.0, 2.0, n_nodes)
    least, wait = absent(), absent()
    if ordering == "cloud-faster":
        asked = rng.random(n_nodes) < 0.5
        asked[pinned] = True
        asked &= time[here] > 0
        extra = np.zeros(n_nodes)
        extra[asked] = rng.dirichlet(np.full(asked.sum(), 0.5)) * (1.0 - utilisation) * rng.uniform(0.3, 0.95)
        least = rate[:, None] * rng.uniform(0.0, 3.0, time.shape)
        least[here] = rate + extra / np.where(asked, time[here], 1.0)
        least = np.where(asked[:, None] & (time > 0), least, 0.0)
    if isinstance(curve, TandemCurve):
        wait = waits(rng, rate, weight, np.where(time > 0, time, time.max()), time[here])
        local += wait
    return Problem(local, time, rate, weight, curve, least, wait, name="random"), splits


def random_shared_problem(
    rng: np.random.Generator,
    n_nodes: int = 5,
    n_options: int = 4,
    n_resources: int = 3,
    n_uses: int = 2,
    *,
    utilisation: float = 0.7,
    spread: float = 10.0,
    curves: tuple[DelayCurve, ...] | None = None,
    ordering: Ordering = "stability",
    average: Average = "nodes",
) -> tuple[Problem, IntArray]:
    """Return a random problem with several resources and options (n_nodes,) for which shares exist.

    Parameters
    ----------
    rng
        Source of randomness.
    n_nodes, n_options, n_resources, n_uses
        Shape of the tables. The last option, if there are two or more, uses nothing; the others leave out about a
        quarter of what they might use. Half of the nodes use the same resources whatever the option. All uses of one
        resource have the same curve.
    utilisation
        Load of a resource at the returned options, in (0, 1); the fullest has this, others down to a third of it.
    spread
        Ratio of the largest to the smallest arrival rate, and service time, that may be drawn.
    curves
        (n_uses,) delay curves, no more different ones than resources; drawn when left out: one queue for all, a tandem
        of all uses, or any mixture, each with links on which tasks overlap before the last use. In a tandem there are
        waits upstream, as in `random_problem`.
    ordering
        With "cloud-faster", about half of the uses get a least rate; at the returned options these take 0.3 to 0.95
        of each surplus, unevenly.
    average
        Equal weights, or weights proportional to the arrival rates.
    """
    shape = (n_nodes, n_options, n_uses)
    curves = curves or _curves(rng, n_uses, n_resources)
    rate = _log_uniform(rng, spread, n_nodes)
    weight = np.full(n_nodes, 1.0 / n_nodes) if average == "nodes" else rate / rate.sum()
    service = _log_uniform(rng, spread, n_nodes)[:, None, None] * rng.uniform(0.05, 1.0, shape)
    service[rng.random(shape) < 0.25] = 0.0
    if n_options > 1:
        service[:, -1] = 0.0
    kinds = list(dict.fromkeys(curves))  # resource r has uses of curve r modulo their number
    kind = np.array([kinds.index(curve) for curve in curves])
    of_kind = np.array([len(range(i, n_resources, len(kinds))) for i in kind])
    resource = kind + len(kinds) * rng.integers(of_kind, size=shape)
    same = rng.random(n_nodes) < 0.5
    resource[same] = resource[same, :1]
    options = rng.integers(n_options, size=n_nodes)
    pinned = rng.integers(n_nodes)
    options[pinned] = 0
    if not service[pinned, 0].any():
        service[pinned, 0, -1] = rng.uniform(0.05, 1.0)
    here = np.arange(n_nodes), options

    def sums(values: FloatArray) -> FloatArray:
        """Return the sums by resource of values (n_nodes, n_uses) of what the returned options use."""
        return np.bincount(resource[here].ravel(), values.ravel(), n_resources).astype(np.float64)

    load = sums(rate[:, None] * service[here])
    wanted = utilisation * rng.uniform(1.0 / 3.0, 1.0, n_resources)
    wanted[int(load.argmax())] = utilisation
    factor = np.where(load > 0, wanted / np.where(load > 0, load, 1.0), utilisation / load.max())
    service *= factor[resource]
    free = 1.0 - sums(rate[:, None] * service[here])
    root = sums(np.sqrt(weight[:, None] * service[here]))
    typical = float((root**2 / free).sum())
    fixed = typical * rng.uniform(0.0, 2.0, shape[:2])
    fixed[rng.random(shape[:2]) < 0.1] = np.inf
    fixed[here] = typical * rng.uniform(0.0, 2.0, n_nodes)
    least, wait = absent(), absent()
    if ordering == "cloud-faster":
        asked = (rng.random((n_nodes, n_uses)) < 0.5) & (service[here] > 0)
        part = rng.gamma(0.5, size=asked.shape) * asked
        whole = sums(part)
        part *= (free * rng.uniform(0.3, 0.95, n_resources) / np.where(whole > 0, whole, 1.0))[resource[here]]
        least = rate[:, None, None] * rng.uniform(0.0, 3.0, shape)
        least[here] = rate[:, None] + part / np.where(asked, service[here], 1.0)
        least = np.where(asked[:, None] & (service > 0), least, 0.0)
    stages = np.array([isinstance(curve, TandemCurve) for curve in curves])
    if stages.any():
        busy = service > 0
        excess = free[resource] * np.sqrt(weight[:, None, None] / np.where(busy, service, 1.0))
        excess /= np.where(root > 0, root, root.max())[resource]
        own = 0.5 * rate[:, None, None] / ((rate[:, None, None] + excess) * excess)
        longest = np.where(busy & stages, own, 0.0).max(axis=2)
        wait = longest * 30.0 ** rng.uniform(-1.0, 1.0, shape[:2]) * (rng.random(shape[:2]) > 0.2)
        fixed += wait
    names = tuple(Resource(f"resource-{r}") for r in range(n_resources))
    tables = (fixed, service, rate, weight, curves, least, wait)
    return Problem(*tables, name="random shared", resource=resource, resources=names), options


def random_promises(rng: np.random.Generator, *, worst: bool = False) -> Problem:
    """Return a random problem of 2 to 4 nodes and 2 to 4 options with deadlines, or whose worst node counts.

    One resource or up to three, whose delays are means or, in tandems, percentiles; with or without least rates. About
    two thirds of the nodes get deadlines of 0.9 to 2 times their delay in the plan of least mean, so that some cannot
    be kept. Where the worst node counts, a third of the problems has deadlines too, which that plan keeps.
    """
    n, m, r, k = (int(rng.integers(low, high)) for low, high in ((2, 5), (2, 5), (1, 4), (1, 4)))
    ordering, average = ORDERINGS[rng.integers(2)], AVERAGES[rng.integers(2)]
    statistic = STATISTICS[rng.integers(len(STATISTICS))]

    def asked(curve: DelayCurve) -> DelayCurve:
        return tandem(statistic) if isinstance(curve, TandemCurve) else curve

    if rng.random() < 0.4:
        curve = asked(CURVES[rng.integers(len(CURVES))])
        problem, _ = random_problem(rng, n, m, curve=curve, ordering=ordering, average=average)
    else:
        curves = tuple(map(asked, _curves(rng, k, r)))
        problem, _ = random_shared_problem(rng, n, m, r, k, curves=curves, ordering=ordering, average=average)
    if worst and rng.random() < 2.0 / 3.0:
        return replace(problem, worst=True)
    return replace(problem, deadline=random_deadlines(rng, problem, 1.0 if worst else 0.9), worst=worst)


def random_deadlines(rng: np.random.Generator, problem: Problem, least: float) -> FloatArray:
    """Return deadlines (n_nodes,), s, `least` to 2 times the delays in the plan of least mean; +inf for a third."""
    best = best_plan(problem)
    assert best.shares is not None  # there is the plan that the problem was drawn with
    most = problem.node_delay(best.options, best.shares) * rng.uniform(least, 2.0, problem.n_nodes)
    return np.where(rng.random(problem.n_nodes) < 2.0 / 3.0, most, np.inf)


def best_plan(problem: Problem) -> Placement:
    """Return what the exact placer finds."""
    return place(build_placer("exact"), problem, WaterFilling())


def pooled(problem: Problem, *sharing: Sharing | Literal["batches"]) -> Problem:
    """Return a problem with its resources shared otherwise, one kind for each; the last stands for those after it.

    Of "batches", the services are then those of full batches.
    """
    kinds = [*sharing, *[sharing[-1]] * problem.n_resources]
    resources = tuple(
        replace(one, sharing="fifo", batches=BATCHES) if kind == "batches" else replace(one, sharing=kind)
        for one, kind in zip(problem.resources, kinds, strict=False)
    )
    return replace(problem, resources=resources)


def _curves(rng: np.random.Generator, n_uses: int, n_resources: int) -> tuple[DelayCurve, ...]:
    kind = rng.integers(3)
    one = QUEUES[int(rng.integers(len(QUEUES)))] if kind == 0 else TANDEM
    drawn = [CURVES[int(rng.integers(len(CURVES)))] if kind == 2 else one for _ in range(n_uses)]
    drawn[:-1] = [OVERLAP if rng.random() < 0.3 else curve for curve in drawn[:-1]]
    return tuple(drawn) if len(set(drawn)) <= n_resources else (one,) * n_uses


def waits(
    rng: np.random.Generator, rate: FloatArray, weight: FloatArray, time: FloatArray, here: FloatArray
) -> FloatArray:
    """Draw waits upstream, s, around those in a cloud whose surplus is shared in proportion to √(weight·time).

    `time` (n_nodes, n_splits) > 0 are cloud times, `here` (n_nodes,) those that use the cloud; a fifth of them are 0.
    """
    excess = (1.0 - (rate * here).sum()) * np.sqrt(weight[:, None] / time) / np.sqrt(weight * here).sum()
    cloud = 0.5 * rate[:, None] / ((rate[:, None] + excess) * excess)
    wait: FloatArray = cloud * 30.0 ** rng.uniform(-1.0, 1.0, cloud.shape) * (rng.random(cloud.shape) > 0.2)
    return wait


def brute_force(problem: Problem) -> tuple[float, IntArray, FloatArray]:
    """Return the least mean delay over every plan, +inf if there is none, and options and shares that have it."""
    plans = all_plans(problem)
    allocation = WaterFilling().allocate(problem, plans)
    feasible = problem.residuals(plans, allocation.shares).feasible
    value = np.where(feasible, problem.objective(plans, allocation.shares), np.inf)
    best = int(value.argmin())
    return float(value[best]), plans[best], allocation.shares[best]


def only_way_out(n_nodes: int = 3, n_splits: int = 4) -> Problem:
    """Return a problem whose one feasible plan leaves the cloud alone: any other overloads it."""
    depth = np.arange(n_splits)
    return Problem(
        fixed_delay=np.tile(0.1 + 0.2 * depth, (n_nodes, 1)),
        service=np.tile(np.where(depth < n_splits - 1, 3.0, 0.0), (n_nodes, 1)),
        arrival_rate=np.full(n_nodes, 0.5),
        weight=np.full(n_nodes, 1.0 / n_nodes),
    )


def impossible(n_nodes: int = 3, n_splits: int = 4) -> Problem:
    """Return a problem without any feasible plan."""
    return Problem(
        fixed_delay=np.full((n_nodes, n_splits), 0.1),
        service=np.full((n_nodes, n_splits), 1.0),
        arrival_rate=np.full(n_nodes, 0.5),
        weight=np.full(n_nodes, 1.0 / n_nodes),
    )


def _log_uniform(rng: np.random.Generator, spread: float, size: int) -> FloatArray:
    drawn: FloatArray = np.exp(np.log(spread) * rng.uniform(-0.5, 0.5, size))
    return drawn


def all_plans(problem: Problem) -> IntArray:
    """Return every choice of splits, (n_plans, n_nodes)."""
    return np.array(list(itertools.product(*(range(last + 1) for last in problem.last))), dtype=np.int64)
