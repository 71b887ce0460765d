import nevergrad
import numpy as np

from dmcjia_opt.methods.placers.blackbox.nevergrad_ import OPTIMIZERS, Nevergrad
from dmcjia_opt.solving.contract import Stop
from dmcjia_opt.solving.registry import spec_of, variants
from dmcjia_opt.testing.problems import random_problem
from tests.methods.placers.searches import (
    five_nodes,
    place,
)


def test_the_optimizer_is_nevergrads_over_integers():
    problem = five_nodes()
    for name in ("NGOpt", "DE", "DiscreteLenglerOnePlusOne"):
        searcher = Nevergrad(name).start(problem, Stop(evaluations=77), np.random.default_rng(1))
        assert isinstance(searcher.optimizer, nevergrad.optimizers.base.Optimizer)
        assert searcher.optimizer.name == name
        assert searcher.optimizer.budget == 77
        plan = searcher.ask()
        assert plan.dtype == np.int64
        problem.check_options(plan)
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


def test_its_patience_ends_it():
    small, _ = random_problem(np.random.default_rng(3), 2, 3)
    assert place(Nevergrad("RandomSearch", patience=1), small).evaluations < 9


def test_the_names_are_nevergrads():
    assert set(OPTIMIZERS) <= set(nevergrad.optimizers.registry)
    assert variants(spec_of("placer", "nevergrad")) == OPTIMIZERS
