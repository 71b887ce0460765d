import numpy as np
import pytest
from hypothesis import given

from dmcjia_opt.bounds import candidates as pareto
from dmcjia_opt.bounds.candidates import pareto_options
from dmcjia_opt.model.delay import MD1, TANDEM
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.testing.problems import brute_force, random_problem
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
