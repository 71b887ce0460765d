from collections.abc import Callable

import numpy as np
import pytest

from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.model.delay import DelayCurve
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.queues import MD1
from dmcjia_opt.solving.contract import Allocator, Status
from dmcjia_opt.testing.problems import waits

LOADS = (0.05, 0.5, 0.9, 0.99, 0.999)


def _random_problem(
    rng: np.random.Generator,
    n: int,
    load: float,
    *,
    curve: DelayCurve = MD1,
    floors: bool = False,
    idle: float = 0.0,
) -> Problem:
    """One split a node; cloud times and loads spread over 10⁶, a part `idle` of the nodes without cloud work."""
    s = 10 ** rng.uniform(-6, 0, n) * (rng.random(n) >= idle)
    s[rng.integers(n)] = 0.1
    busy = s > 0
    demand = 10 ** rng.uniform(-6, 0, n) * busy
    demand *= load / demand.sum()
    rate = np.where(busy, demand / np.where(busy, s, 1.0), 1.0)
    weight = rng.uniform(0.1, 1.0, n)
    least = None
    if floors:
        above = rng.uniform(0.0, 1.0, n) * (rng.random(n) < 0.5) * busy
        above *= rng.uniform(0.1, 0.95) * (1.0 - load) / max(above.sum(), 1e-9)
        least = np.where(busy, rate + above / np.where(busy, s, 1.0), 0.0)[:, None]
    wait = None
    if len(curve.pieces()) > 1:
        wait = waits(rng, rate, weight, np.where(busy, s, 1.0)[:, None], s)
    return Problem(
        np.zeros((n, 1)) if wait is None else wait, s[:, None], rate, weight / weight.sum(), curve, least, wait
    )


def _agrees(
    allocator: Allocator, *, error: float, price_error: float, rows: int = 10, **family: object
) -> tuple[float, float]:
    """Assert what every exact allocator owes on a random family; return the largest errors seen."""
    rng = np.random.default_rng(7)
    worst, worst_price, not_converged = 0.0, 0.0, 0
    for k in range(rows):
        problem = _random_problem(rng, int(rng.integers(5, 21)), LOADS[k % len(LOADS)], **family)  # type: ignore[arg-type]
        splits = np.zeros((1, problem.n_nodes), dtype=np.int64)
        best, got = WaterFilling().allocate(problem, splits), allocator.allocate(problem, splits)
        assert got.shares[..., 0].sum() <= 1.0
        assert problem.residuals(splits, got.shares[..., 0]).feasible.all()
        if got.status[0] != Status.OPTIMAL:
            assert got.status[0] in (Status.INACCURATE, Status.LIMIT)
            not_converged += 1
            continue
        reference = problem.objective(splits, best.shares[..., 0])[0]
        worst = max(worst, abs(problem.objective(splits, got.shares[..., 0])[0] / reference - 1.0))
        worst_price = max(worst_price, abs(got.prices[:, 0][0] / best.prices[:, 0][0] - 1.0))
    # at the kinks of tandems a cone solver's multiplier is often off by more than its claim may be
    assert not_converged <= rows // (4 if len(family.get("curve", MD1).pieces()) > 1 else 10)  # type: ignore[attr-defined]
    assert worst <= error
    assert worst_price <= price_error
    return worst, worst_price


@pytest.fixture
def random_problem() -> Callable[..., Problem]:
    return _random_problem


@pytest.fixture
def agrees() -> Callable[..., tuple[float, float]]:
    return _agrees


@pytest.fixture
def mixed_batch() -> tuple[Problem, np.ndarray]:
    """Plans of every kind: all offloaded, some, none (nothing to share), and one that overloads the cloud."""
    rng = np.random.default_rng(3)
    n = 6
    cloud = np.column_stack([rng.uniform(0.01, 0.1, n), rng.uniform(0.005, 0.05, n), np.zeros(n), np.ones(n)])
    problem = Problem(rng.uniform(0.0, 1.0, (n, 4)), cloud, rng.uniform(0.5, 2.0, n), np.full(n, 1.0 / n))
    splits = np.array([[0] * 6, [0, 1, 2, 2, 1, 0], [2] * 6, [3] * 6, [1] * 6, [1, 1, 2, 2, 0, 0]])
    return problem, splits
