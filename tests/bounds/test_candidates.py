from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given

from dmcjia_opt.bounds import candidates as pareto
from dmcjia_opt.bounds.candidates import pareto_options
from dmcjia_opt.model.delay import TANDEM
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.queues import MD1
from dmcjia_opt.testing.problems import brute_force, random_problem, random_shared_problem
from dmcjia_opt.testing.strategies import problems


def problem_of(local, cloud, least=None, rate=1.0, wait=()):
    local = np.atleast_2d(np.array(local, dtype=float))
    n = len(local)
    return Problem(
        fixed_delay=local,
        service=np.atleast_2d(np.array(cloud, dtype=float)),
        arrival_rate=np.full(n, rate),
        weight=np.full(n, 1.0 / n),
        curves=MD1 if wait is None else TANDEM,
        wait=() if wait is None else np.atleast_2d(np.array(wait, dtype=float)),
        least_rate=() if least is None else np.atleast_2d(np.array(least, dtype=float)),
    )


def by_definition(problem):
    """Quadratic, straight from the definition."""
    rate = problem.arrival_rate[:, None]
    floor = 0.0 if not problem.ordered else problem.least_rate[..., 0]
    least = np.maximum(rate, floor) * problem.service[..., 0] if problem.ordered else 0 * problem.service[..., 0]
    wait = 0.0 if not problem.kinked else problem.wait
    moving = problem.fixed_delay - wait
    keep = np.zeros(problem.fixed_delay.shape, dtype=bool)
    for d in range(problem.n_nodes):
        rows = list(zip(problem.fixed_delay[d], problem.service[..., 0][d], least[d], moving[d], strict=True))
        for i, mine in enumerate(rows):
            beaten = any(
                all(a <= b for a, b in zip(other, mine, strict=True)) and (other != mine or j < i)
                for j, other in enumerate(rows)
                if j != i
            )
            keep[d, i] = np.isfinite(mine[0]) and not beaten
    return keep


@pytest.mark.parametrize(
    ("local", "cloud", "kept"),
    [
        ([0.1, 0.2, 0.3], [0.3, 0.2, 0.1], [1, 1, 1]),
        ([0.1, 0.2, 0.3], [0.1, 0.2, 0.3], [1, 0, 0]),
        ([0.2, 0.2, 0.2], [0.3, 0.1, 0.1], [0, 1, 0]),
        ([0.2, 0.1, 0.1], [0.1, 0.1, 0.1], [0, 1, 0]),
        ([np.inf, 0.2, np.inf], [0.0, 0.3, 0.1], [0, 1, 0]),
        ([np.inf, np.inf, np.inf], [0.3, 0.2, 0.1], [0, 0, 0]),
        ([0.5], [0.5], [1]),
    ],
)
def test_small_tables(local, cloud, kept):
    assert pareto_options(problem_of(local, cloud)).tolist() == [[bool(k) for k in kept]]
    assert pareto_options(problem_of(local, cloud, least=np.zeros(len(local)))).tolist() == [[bool(k) for k in kept]]


def test_a_larger_least_share_keeps_a_split_that_is_worse_otherwise():
    local, cloud = [0.1, 0.2], [0.1, 0.2]
    assert pareto_options(problem_of(local, cloud, least=[5.0, 0.0])).tolist() == [[True, True]]
    assert pareto_options(problem_of(local, cloud, least=[0.5, 0.0])).tolist() == [[True, False]]


def test_a_split_with_more_delay_of_which_more_is_waiting_stays():
    """The wait before the cloud is none in the cloud: 1/2 s with 3/8 s of waiting may beat 1/4 s without any."""
    local, cloud = [0.25, 0.5], [0.1, 0.1]
    assert pareto_options(problem_of(local, cloud, wait=[0.0, 0.375])).tolist() == [[True, True]]
    assert pareto_options(problem_of(local, cloud, wait=[0.0, 0.25])).tolist() == [[True, False]]
    assert pareto_options(problem_of(local, cloud, wait=[0.25, 0.375])).tolist() == [[True, False]]


def dominates(problem, d, j, i):
    """By the words of the definition, whether option j of a node is no worse than option i."""
    fixed, wait = problem.fixed_delay[d], problem.wait[d]
    if not (fixed[j] <= fixed[i] and fixed[j] - wait[j] <= fixed[i] - wait[i]):
        return False
    least = np.maximum(problem.arrival_rate[d], problem.least_rate[d]) * problem.service[d]
    for k in range(problem.n_uses):
        s, r = problem.service[d, :, k], problem.resource[d, :, k]
        if s[j] > 0 and not (r[j] == r[i] and s[j] <= s[i] and least[j, k] <= least[i, k]):
            return False
    return True


@pytest.mark.parametrize("ordering", ["stability", "cloud-faster"])
@pytest.mark.parametrize("curve", [MD1, TANDEM], ids=lambda curve: curve.name)
@pytest.mark.parametrize("seed", range(4))
def test_the_definition_with_several_resources(seed, curve, ordering):
    """Services and delays are rounded to a coarse grid, so that much is dominated and tied."""
    rng = np.random.default_rng(seed)
    drawn, _ = random_shared_problem(rng, 6, 12, 2, 2, curves=(curve, curve), ordering=ordering)
    grid = drawn.service.max() / 3.0
    service = np.ceil(drawn.service / grid) * grid
    idle = (service == 0).sum(axis=2)
    fixed = np.where(np.isfinite(drawn.fixed_delay), rng.integers(1, 4, drawn.fixed_delay.shape) + 2 * idle, np.inf)
    problem = Problem(
        fixed,
        service,
        drawn.arrival_rate,
        drawn.weight,
        drawn.curves,
        np.where(rng.random(drawn.service.shape) < 0.3, drawn.least_rate, 0.0),
        np.where(np.isfinite(fixed), rng.integers(0, 2, fixed.shape), 0.0) if curve == TANDEM else (),
        resource=drawn.resource,
    )
    keep = pareto_options(problem)
    assert 6 < keep.sum() < 48
    for d in range(6):
        for i in range(12):
            beaten = any(
                dominates(problem, d, j, i) and (j < i or not dominates(problem, d, i, j))
                for j in range(12)
                if j != i and np.isfinite(fixed[d, j])
            )
            assert keep[d, i] == (np.isfinite(fixed[d, i]) and not beaten)


def test_an_option_that_uses_less_of_another_resource_stays():
    """Half the time on a second server says nothing of the first; nothing at all is less than anything."""
    service, resource = np.array([[[0.2], [0.1], [0.0]]]), np.array([[[0], [1], [1]]])
    fixed, rest = np.array([[0.1, 0.1, 0.1]]), (np.ones(1), np.ones(1))
    assert pareto_options(Problem(fixed, service, *rest, resource=resource)).tolist() == [[False, False, True]]
    dearer = np.array([[0.1, 0.1, 0.2]])
    assert pareto_options(Problem(dearer, service, *rest, resource=resource)).tolist() == [[True, True, True]]
    alike = Problem(dearer, service, *rest, resource=np.zeros_like(resource))
    assert pareto_options(alike).tolist() == [[False, True, True]]


@pytest.mark.parametrize("seed", range(12))
def test_no_optimum_of_several_resources_is_filtered_out(seed):
    ordering = ("stability", "cloud-faster")[seed % 2]
    problem, _ = random_shared_problem(np.random.default_rng(seed), 3, 5, ordering=ordering, curves=(MD1, MD1))
    keep = pareto_options(problem)
    best, _, _ = brute_force(problem)
    left = np.where(keep, problem.fixed_delay, np.inf)
    assert brute_force(replace(problem, fixed_delay=left))[0] == pytest.approx(best, rel=1e-12)


@given(problems(max_nodes=5, max_splits=7))
def test_the_definition(drawn):
    problem, _ = drawn
    np.testing.assert_array_equal(pareto_options(problem), by_definition(problem))


@pytest.mark.parametrize("ordering", ["stability", "cloud-faster"])
def test_ties_and_blocks(monkeypatch, ordering):
    """Coarse tables are full of ties; tiny blocks put every node into one of its own."""
    rng = np.random.default_rng(4)
    n, m = 40, 9
    problem = problem_of(
        rng.integers(1, 4, (n, m)),
        rng.integers(0, 4, (n, m)),
        least=rng.integers(0, 3, (n, m)) if ordering == "cloud-faster" else None,
        rate=0.01,
    )
    whole = pareto_options(problem)
    np.testing.assert_array_equal(whole, by_definition(problem))
    monkeypatch.setattr(pareto, "_BLOCK", 1)
    np.testing.assert_array_equal(pareto_options(problem), whole)


@pytest.mark.parametrize("curve", [MD1, TANDEM], ids=lambda curve: curve.name)
@pytest.mark.parametrize("ordering", ["stability", "cloud-faster"])
@pytest.mark.parametrize("seed", range(8))
def test_no_optimum_is_filtered_out(seed, ordering, curve):
    problem, _ = random_problem(np.random.default_rng(seed), 4, 5, ordering=ordering, curve=curve)
    best, _, _ = brute_force(problem)
    closed = np.where(pareto_options(problem), problem.fixed_delay, np.inf)
    left, _, _ = brute_force(
        Problem(
            closed,
            problem.service[..., 0],
            problem.arrival_rate,
            problem.weight,
            problem.curve,
            problem.least_rate[..., 0],
            problem.wait,
        )
    )
    assert left == best
