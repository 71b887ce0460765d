import nevergrad
import numpy as np
import pytest

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.methods.placers.blackbox.nevergrad_ import OPTIMIZERS, Nevergrad
from dmcjia_opt.solving.contract import Status, Stop
from dmcjia_opt.solving.registry import spec_of, variants
from dmcjia_opt.testing.problems import random_problem
from tests.methods.placers.searches import (
    assert_it_gets_somewhere,
    assert_its_seed_alone_decides,
    five_nodes,
    objective,
    optimum,
    place,
)


def test_the_default_gets_somewhere():
    assert_it_gets_somewhere(Nevergrad(), 600)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_runs_within_its_budget_and_by_its_seed(name):
    problem = five_nodes()
    assert_its_seed_alone_decides(Nevergrad(name), problem, Stop(evaluations=40))
    found = place(Nevergrad(name), problem, stop=Stop(evaluations=40))
    assert found.evaluations == 40
    assert objective(problem, found) >= optimum(problem) * (1 - 1e-12)


def test_the_optimizer_is_nevergrads_over_integers():
    problem = five_nodes()
    for name in ("NGOpt", "DE", "DiscreteLenglerOnePlusOne"):
        searcher = Nevergrad(name).start(problem, Stop(evaluations=77), np.random.default_rng(1))
        assert isinstance(searcher.optimizer, nevergrad.optimizers.base.Optimizer)
        assert searcher.optimizer.name == name
        assert searcher.optimizer.budget == 77
        plan = searcher.ask()
        assert plan.dtype == np.int64
        problem.check_splits(plan)
        searcher.tell(plan, 1.5)
        assert searcher.optimizer.num_tell == 1
        assert searcher.optimizer.current_bests["minimum"].mean == 1.5


def test_every_split_of_a_node_can_be_reached():
    problem, _ = random_problem(np.random.default_rng(1), 2, 4)
    searcher = Nevergrad("RandomSearch").start(problem, Stop(), np.random.default_rng(1))
    seen = np.array([searcher.ask() for _ in range(300)])
    assert [set(column) for column in seen.T.tolist()] == [{0, 1, 2, 3}] * 2


def test_seconds_alone_leave_the_optimizer_its_own_budget():
    searcher = Nevergrad(evaluations=123).start(five_nodes(), Stop(seconds=1.0), np.random.default_rng(1))
    assert searcher.optimizer.budget == 123


def test_its_options_end_it():
    problem = five_nodes()
    found = place(Nevergrad("RandomSearch", evaluations=30), problem)
    assert (found.evaluations, found.status) == (30, Status.FEASIBLE)
    small, _ = random_problem(np.random.default_rng(3), 2, 3)
    assert place(Nevergrad("RandomSearch", patience=1), small).evaluations < 9


def test_the_names_are_nevergrads():
    assert set(OPTIMIZERS) <= set(nevergrad.optimizers.registry)
    assert variants(spec_of("placer", "nevergrad")) == OPTIMIZERS


def test_nonsense_is_refused():
    with pytest.raises(
        InputError, match=r'Nevergrad: optimizer must be "NGOpt", "Disc.* or "RandomSearch", got "ngopt"'
    ):
        Nevergrad("ngopt")
    with pytest.raises(InputError, match="evaluations must be int >= 1"):
        Nevergrad(evaluations=0)
    with pytest.raises(InputError, match="patience must be int >= 1"):
        Nevergrad(patience=0)
