import math

import casadi
import numpy as np
import pytest

from dmcjia_opt.base.errors import BackendFailed, InputError
from dmcjia_opt.methods.placers.solvers.casadi_ import ALGORITHMS, Bonmin
from dmcjia_opt.methods.placers.solvers.cone_model import cone_model
from dmcjia_opt.solving.registry import build_placer
from tests.methods.placers.searches import place
from tests.methods.placers.solvers.test_general_solvers import SMALL


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_gives_a_plan_and_a_claim(algorithm):
    placement = place(build_placer(f"bonmin:{algorithm}"), SMALL[0])
    assert SMALL[0].residuals(placement.options, placement.shares).feasible
    assert 0.0 < placement.claimed_bound < math.inf


def test_algorithms_are_named():
    assert Bonmin() == Bonmin("B-OA") == build_placer("bonmin")
    with pytest.raises(InputError, match=r'Bonmin: algorithm must be "B-OA", "B-Hyb" or "B-BB", got "OA"'):
        Bonmin("OA")


@pytest.mark.parametrize(
    ("status", "outcome"), [("SUCCESS", "not integral"), ("CONTINUOUS_UNBOUNDED", "CONTINUOUS_UNBOUNDED")]
)
def test_nonsense_is_a_failure(monkeypatch, status, outcome):
    k = len(cone_model(SMALL[0]).node)

    class Solver:
        def __call__(self, **_):
            return {"x": casadi.DM(np.full(3 * k + 40, 0.5)), "f": casadi.DM(1.0)}

        def stats(self):
            return {"return_status": status}

    monkeypatch.setattr(casadi, "nlpsol", lambda *_: Solver())
    with pytest.raises(BackendFailed, match=outcome):
        place(Bonmin(), SMALL[0])


def test_a_crash_is_a_failure_in_one_sentence(monkeypatch):
    def crash(*_):
        raise RuntimeError(".../function_internal.cpp:1:\nno memory")

    monkeypatch.setattr(casadi, "nlpsol", crash)
    with pytest.raises(BackendFailed, match=r"^Bonmin crashed: no memory$"):
        place(Bonmin(), SMALL[0])
