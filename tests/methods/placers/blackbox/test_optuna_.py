import logging
import warnings

import numpy as np
import optuna
import pytest

from dmcjia_opt.methods.placers.blackbox.optuna_ import SAMPLERS, Optuna
from dmcjia_opt.solving.contract import Stop
from tests.methods.placers.searches import five_nodes, objective, optimum, place


def test_tpe_learns_where_random_does_not():
    problem = five_nodes()
    stop, best = Stop(evaluations=50), optimum(problem)
    tpe, random = (
        np.median([objective(problem, place(Optuna(name), problem, stop=stop, seed=seed)) for seed in (1, 2, 3)])
        for name in ("TPE", "Random")
    )
    assert best <= tpe < random


@pytest.mark.parametrize(("name", "kind"), SAMPLERS.items())
def test_the_study_is_optunas(name, kind):
    problem = five_nodes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        searcher = Optuna(name).start(problem, Stop(), np.random.default_rng(1))
        assert isinstance(searcher.study, optuna.Study)
        assert type(searcher.study.sampler).__name__ == kind
        plan = searcher.ask()
        problem.check_options(plan)
        searcher.tell(plan, 1.5)
    assert searcher.study.best_value == 1.5
    assert list(searcher.study.best_params.values()) == plan.tolist()


def test_a_repeated_plan_is_followed_by_one_drawn_at_random():
    searcher = Optuna().start(five_nodes(), Stop(), np.random.default_rng(1))
    plan = searcher.ask()
    searcher.tell(plan, 1.5)
    assert not searcher.study.get_trials(states=[optuna.trial.TrialState.WAITING])
    searcher.ask()
    searcher.tell(plan, 1.5)  # as if it had been proposed again
    (waiting,) = searcher.study.get_trials(states=[optuna.trial.TrialState.WAITING])
    assert searcher.ask().tolist() == list(waiting.system_attrs["fixed_params"].values())


def test_options_reach_the_sampler():
    searcher = Optuna(startup=3).start(five_nodes(), Stop(), np.random.default_rng(1))
    assert searcher.study.sampler._n_startup_trials == 3
    problem = five_nodes()
    stop = Stop(evaluations=25)
    traces = {
        tuple(point.objective for point in place(Optuna(**options), problem, stop=stop).trace)
        for options in ({}, {"startup": 3}, {"multivariate": True})
    }
    assert len(traces) == 3


def test_logging_is_left_as_it_was(capfd):
    for level in (optuna.logging.INFO, optuna.logging.WARNING):
        optuna.logging.set_verbosity(level)
        place(Optuna(), five_nodes(), stop=Stop(evaluations=12))
        assert optuna.logging.get_verbosity() == level
        assert logging.getLogger("optuna").level == level
    assert capfd.readouterr() == ("", "")
