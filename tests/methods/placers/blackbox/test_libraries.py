"""What the adapters of all optimisation libraries owe: they learn, keep budgets, follow their seed, refuse nonsense."""

import numpy as np
import pytest

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.methods.placers.blackbox.cma_ import Cma
from dmcjia_opt.methods.placers.blackbox.nevergrad_ import OPTIMIZERS, Nevergrad
from dmcjia_opt.methods.placers.blackbox.optuna_ import SAMPLERS, Optuna
from dmcjia_opt.methods.placers.blackbox.scipy_ import METHODS, Scipy
from dmcjia_opt.solving.contract import Status, Stop
from dmcjia_opt.testing.problems import brute_force, random_problem
from tests.methods.placers.searches import (
    assert_it_gets_somewhere,
    assert_its_seed_alone_decides,
    five_nodes,
    objective,
    optimum,
    place,
)

LIBRARIES = (Cma, Nevergrad, Optuna, Scipy)


@pytest.mark.parametrize(("placer", "evaluations"), [(Cma(), 1500), (Nevergrad(), 600), (Scipy(), 600)], ids=str)
def test_the_defaults_get_somewhere(placer, evaluations):
    assert_it_gets_somewhere(placer, evaluations)


@pytest.mark.parametrize(("placer", "evaluations"), [(Optuna(), 60), *((Scipy(name), None) for name in METHODS)])
def test_small_problems_are_solved(placer, evaluations):
    problem, _ = random_problem(np.random.default_rng(2), 3, 4)
    found = place(placer, problem, Stop(evaluations=evaluations))
    assert objective(problem, found) == pytest.approx(brute_force(problem)[0], rel=1e-12)


@pytest.mark.parametrize(
    ("placer", "budget"),
    [
        (Cma(), 200),
        *((Nevergrad(name), 30) for name in OPTIMIZERS),
        *((Optuna(name), 20) for name in SAMPLERS),
        *((Scipy(name), 150) for name in METHODS),
    ],
    ids=str,
)
def test_each_runs_within_its_budget_and_by_its_seed(placer, budget):
    problem = five_nodes()
    found = assert_its_seed_alone_decides(placer, problem, Stop(evaluations=budget))
    assert found.evaluations == budget
    assert objective(problem, found) >= optimum(problem) * (1 - 1e-12)


@pytest.mark.parametrize(
    ("method", "options"),
    [(Cma, {}), (Nevergrad, {"optimizer": "RandomSearch"}), (Optuna, {"sampler": "Random"}), (Scipy, {})],
)
def test_their_options_end_them(method, options):
    found = place(method(evaluations=30, **options), five_nodes())
    assert (found.evaluations, found.status) == (30, Status.FEASIBLE)


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        *(
            (method, {"evaluations": 0}, "evaluations must be int >= 1, got 0")
            for method in (Cma, Nevergrad, Optuna, Scipy)
        ),
        *((method, {"patience": 0}, "patience must be int >= 1, got 0") for method in (Cma, Nevergrad, Optuna)),
        (Cma, {"population": 2}, "Cma: population must be 0 or int >= 3, got 2"),
        (Cma, {"population": -1}, "population must be 0 or int >= 3, got -1"),
        (Cma, {"step": 0.0}, "step must be float > 0 and <= 1, got 0.0"),
        (Cma, {"step": float("nan")}, "step must be float > 0 and <= 1, got nan"),
        (Cma, {"growth": 0.5}, "growth must be finite float >= 1, got 0.5"),
        (Nevergrad, {"optimizer": "ngopt"}, r'Nevergrad: optimizer must be "NGOpt", "Disc.*"RandomS.*, got "ngopt"'),
        (Optuna, {"sampler": "tpe"}, 'Optuna: sampler must be "TPE", "Random", "QMC" or "NSGAII", got "tpe"'),
        (Optuna, {"startup": 0}, "startup must be int >= 1, got 0"),
        (Optuna, {"patience": -1}, "patience must be int >= 1, got -1"),
        (
            Scipy,
            {"method": "shgo"},
            'Scipy: method must be "differential_evolution" or "dual_annealing", got "shgo"',
        ),
        (Scipy, {"population": 4}, "population must be int >= 5, got 4"),
    ],
)
def test_nonsense_is_refused(method, options, message):
    with pytest.raises(InputError, match=message):
        method(**options)
