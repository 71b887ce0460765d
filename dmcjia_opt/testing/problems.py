"""Problems to test methods on: random ones of every shape, all plans of small ones, and two with hardly a plan."""

from __future__ import annotations

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray, absent, over_uses
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.model.delay import MD1, MM1, TANDEM, DelayCurve, mg1
from dmcjia_opt.model.problem import Problem, all_plans
from dmcjia_opt.model.scenario.scenario import Average, Ordering

#: Every shape that the curve of a queue with Poisson arrivals can take: a = b, a = 0, 0 < a < b, a < 0, a ≪ 0.
QUEUES: tuple[DelayCurve, ...] = (MD1, MM1, mg1(0.3), mg1(4.0), mg1(100.0))
#: Every shape of a curve.
CURVES: tuple[DelayCurve, ...] = (*QUEUES, TANDEM)
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
    if len(curve.pieces) > 1:
        wait = waits(rng, rate, weight, np.where(time > 0, time, time.max()), time[here])
        local += wait
    return Problem(local, time, rate, weight, curve, least, wait, name="random"), splits


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
    """Return the least mean delay over every plan, +inf if there is none, and a plan that has it."""
    plans = all_plans(problem)
    allocation = WaterFilling().allocate(problem, plans)
    feasible = problem.residuals(plans, allocation.shares).feasible
    value = np.where(feasible, problem.objective(plans, allocation.shares), np.inf)
    best = int(value.argmin())
    return float(value[best]), plans[best], over_uses(allocation.shares[best])


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
