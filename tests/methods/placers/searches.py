"""What the tests of placers that put a library's optimiser to work have in common."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.methods.placers.exact.exact import Exact
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.solving import running
from dmcjia_opt.solving.contract import Allocator, Callback, Placement, Stop
from dmcjia_opt.solving.search import Placer
from dmcjia_opt.testing.problems import brute_force, random_problem


def place(
    placer: Placer,
    problem: Problem,
    stop: Stop | None = None,
    seed: int = 0,
    allocator: Allocator | None = None,
    callback: Callback | None = None,
) -> Placement:
    """Search with a method on its own, without the supervision of `solve`."""
    rng = np.random.default_rng(seed)
    return running.place(placer, problem, allocator or WaterFilling(), stop=stop, rng=rng, callback=callback)


def five_nodes() -> Problem:
    """Return five nodes of Table 5: 35⁵, or 52 million plans."""
    return compile_problem(generate("paper", nodes=5, seed=1))


def assert_it_gets_somewhere(placer: Placer, evaluations: int) -> None:
    """The optimum of 4 nodes with 1,296 plans, and within 10 % of it on 5 nodes with 52 million."""
    small, _ = random_problem(np.random.default_rng(1), 4, 6)
    assert objective(small, place(placer, small, stop=Stop(evaluations=250))) == pytest.approx(
        brute_force(small)[0], rel=1e-12
    )
    large = five_nodes()
    assert objective(large, place(placer, large, stop=Stop(evaluations=evaluations))) <= 1.1 * optimum(large)


def objective(problem: Problem, placement: Placement) -> float:
    """Return the mean delay of a plan that is feasible."""
    assert placement.shares is not None
    assert problem.residuals(placement.options, placement.shares).feasible
    return float(problem.objective(placement.options, placement.shares))


def optimum(problem: Problem) -> float:
    return objective(problem, place(Exact(), problem))


@contextmanager
def global_state_kept(seed: int) -> Iterator[None]:
    """Seed the process's generators, and see that what is inside neither changes nor reseeds them."""
    np.random.seed(seed)  # noqa: NPY002 - that it has no effect is the point
    random.seed(seed)
    before = np.random.get_state()[1].tolist(), np.random.get_state()[2:], random.getstate()  # noqa: NPY002
    yield
    assert (np.random.get_state()[1].tolist(), np.random.get_state()[2:], random.getstate()) == before  # noqa: NPY002


def assert_its_seed_alone_decides(placer: Placer, problem: Problem, stop: Stop) -> Placement:
    """Place twice with one seed between other draws, and once with another seed; return what is found first."""
    found = []
    for state, seed in ((1, 5), (2, 5), (2, 6)):
        with global_state_kept(state):
            found.append(place(placer, problem, stop=stop, seed=seed))
    first, second, other = ([(p.evaluations, p.objective) for p in placement.trace] for placement in found)
    assert first == second
    assert first != other
    return found[0]
