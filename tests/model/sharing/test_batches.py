"""How long tasks wait for batches: by a Markov chain, by the formulas it must agree with, and step by step."""

import numpy as np
import pytest

from dmcjia_opt.model import pooling
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.queues import MD1
from dmcjia_opt.model.resources import Resource
from dmcjia_opt.model.sharing.batches import Batches, delay_over_service
from dmcjia_opt.model.sharing.crowding import Crowding

TABLES = [((1, 0.004), (8, 0.011)), ((1, 1.0), (32, 2.75)), ((1, 10.0), (2, 11.0), (4, 38.0)), ((1, 1.0), (64, 2.0))]


def stepped(factors, rate, n, rng):
    """Return the mean delay of equal tasks, a batch after the other."""
    at = np.cumsum(rng.exponential(1.0 / rate, n)).tolist()
    first, free, total = 0, 0.0, 0.0
    while first < n:
        free, end = max(free, at[first]), first + 1
        while end < n and end - first < len(factors) - 1 and at[end] <= free:
            end += 1
        free += factors[end - first]
        total += (end - first) * free - sum(at[first:end])
        first = end
    return total / n


@pytest.mark.parametrize("seconds", TABLES)
def test_the_chain_is_the_queue(seconds):
    kind = Batches(seconds)
    factors, rng = kind.factors(), np.random.default_rng(0)
    for load in (0.05, 0.4, 0.8):
        found = delay_over_service(factors, load)
        assert found == pytest.approx(stepped(factors, load * kind.most, 200_000, rng), rel=0.02)


def test_batches_of_one_are_one_queue():
    factors = np.array([0.0, 1.0])
    for load in (0.1, 0.5, 0.9, 0.95):
        assert delay_over_service(factors, load) == pytest.approx(1.0 + load / (2.0 * (1.0 - load)), rel=1e-9)
    useless = Batches(((1, 1.0), (2, 2.0)))
    assert useless.most == 1.0


@pytest.mark.parametrize("seconds", TABLES)
def test_between_the_points_it_is_near_the_chain(seconds):
    kind = Batches(seconds)
    crowding = Crowding.of([kind.points])
    for load in (0.005, 0.03, 0.15, 0.35, 0.55, 0.75, 0.85, 0.93, 0.97):
        wait = 0.5 * load * kind.most * float(crowding.factor(np.array([load]))[0])
        assert 1.0 + wait == pytest.approx(delay_over_service(kind.factors(), load), rel=0.015)


def test_sizes_between_those_given_are_interpolated():
    kind = Batches(((1, 4.0), (3, 8.0), (5, 8.0)))
    assert kind.factors().tolist() == [0.0, 1.0, 1.5, 2.0, 2.0, 2.0]
    assert kind.most == 2.5


def test_a_task_alone_takes_its_own_time_and_the_load_is_of_full_batches():
    seconds = TABLES[0]
    cloud = Resource("cloud", sharing="fifo", batches=seconds)
    service = np.array([[0.02, 0.0], [0.02, 0.0]])
    rate = np.array([5.0, 15.0])
    problem = Problem(np.zeros((2, 2)), service, rate, np.array([0.5, 0.5]), MD1, resources=(cloud,))
    options = np.zeros(2, dtype=np.int64)
    kind = Batches(seconds)
    assert pooling.undisturbed(problem, options)[:, 0] == pytest.approx(0.02 * kind.most)
    expected = 0.02 * kind.most * delay_over_service(kind.factors(), 20.0 * 0.02)
    assert problem.objective(options, np.zeros((2, 1))) == pytest.approx(expected, rel=1e-9)
    assert problem.residuals(options, np.zeros((2, 1))).stability[:, 0] == pytest.approx(-0.6)
    # a task alone is slower than a task of full batches: that must be fast enough
    least = np.array([[40.0, 0.0], [0.0, 0.0]])
    kept = Problem(np.zeros((2, 2)), service, rate, np.array([0.5, 0.5]), MD1, resources=(cloud,), least_rate=least)
    assert np.isinf(kept.fixed_delay[0, 0])


@pytest.mark.parametrize("seconds", TABLES)
def test_nobody_takes_less_than_alone_whoever_comes(seconds):
    cloud = Resource("cloud", sharing="fifo", batches=seconds)
    rng = np.random.default_rng(1)
    service = np.stack([10.0 ** rng.uniform(-4, -1, 5), np.zeros(5)], axis=1)
    weight = np.full(5, 0.2)
    problem = Problem(np.zeros((5, 2)), service, rng.uniform(0.1, 2.0, 5), weight, MD1, resources=(cloud,))
    alone = pooling.alone(problem)[:, 0, 0]
    for _ in range(50):
        options = rng.integers(0, 2, 5)
        delay = pooling.use_delay(problem, options)[:, 0]
        assert (delay[options == 0] >= alone[options == 0] * (1.0 - 1e-12)).all()
