"""Every placer passes the conformance suite: a new row of the registry is tested here without another line."""

import re
from functools import partial

import numpy as np
import pytest

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.solving.contract import Stop
from dmcjia_opt.solving.registry import build_placer, specs, why_not
from dmcjia_opt.testing.placers import BaselineConformance, PlacerConformance, place, small, value_of
from dmcjia_opt.testing.problems import random_problem

SPECS = [spec for spec in specs("placer") if why_not(spec) is None]
#: Rules that look at upload bytes, which problems without a scenario do not have.
SUPPORTED = [spec for spec in SPECS if build_placer(spec.name).supports(small(0)[0]) is None]
#: How far above the optimum a solver's own bound may be where it is more than 1e-5; its class says why.
SOLVERS = {"mindtpy": 1e-4}


def class_name(name):
    return "Test_" + re.sub(r"\W", "_", name)


def suite(spec):
    """Return the suite of one method; its bounds, where they are a solver's, are held to the solver's tolerance."""
    return type(
        class_name(spec.name),
        (BaselineConformance if spec.baseline else PlacerConformance,),
        {
            "__module__": __name__,
            "method": partial(build_placer, spec.name),
            "exact": spec.exact,
            "bound_accuracy": SOLVERS.get(spec.name, 1e-5) if spec.exact and not spec.proves else 1e-12,
        },
    )


globals().update({class_name(spec.name): suite(spec) for spec in SUPPORTED})


def test_nearly_all_are_tested():
    assert {spec.name for spec in SPECS} - {spec.name for spec in SUPPORTED} == {"greedy", "greedy+"}


@pytest.mark.parametrize("name", [spec.name for spec in SPECS if spec.exact and spec.proves])
@pytest.mark.parametrize("k", range(5))
def test_proved_bounds_meet_the_plan(name, k):
    problem, best = small(k)
    placement = place(build_placer(name), problem, stop=Stop())
    assert value_of(problem, placement) <= placement.lower_bound * (1 + 1e-9)
    assert np.isclose(placement.lower_bound, best, rtol=1e-9)


@pytest.mark.parametrize("name", ["dmcjia", "genetic", "memetic", "pymoo", "nevergrad", "cma", "optuna", "scipy"])
def test_a_node_with_one_split_is_refused_with_a_sentence(name):
    problem, _ = random_problem(np.random.default_rng(0), 3, 1)
    assert build_placer(name).supports(problem) == "a node has only one option"
    with pytest.raises(InputError, match="a node has only one option"):
        place(build_placer(name), problem)
