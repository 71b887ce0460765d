"""The same invariants on scenarios that hypothesis draws, and makes small where one fails."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.loading import load_scenario
from dmcjia_opt.testing.strategies import scenarios
from tools.fuzz.fuzzing import broken
from tools.fuzz.invariants import INVARIANTS

CHEAP = ("bound", "no-plan", "feasible", "objective", "shares", "exact", "baselines", "proof", "scaled", "more")


@settings(max_examples=30, deadline=None)
@given(scenarios(), st.integers(0, 1000))
def test_invariants(scenario, seed):
    problem = compile_problem(scenario)
    for invariant in INVARIANTS:
        if invariant.name in CHEAP:
            assert broken(problem, invariant, seed, 0) == [], invariant.name


@pytest.mark.filterwarnings("ignore::dmcjia_opt.base.errors.Doubt")
@settings(max_examples=30, deadline=None)
@given(scenarios())
def test_files(tmp_path_factory, scenario):
    folder = tmp_path_factory.mktemp("drawn")
    scenario.profiles["drawn"].save(folder / "drawn.json")
    path = folder / "s.toml"
    scenario.save(path)
    path.write_text(path.read_text(encoding="utf-8").replace('"drawn"', '"drawn.json"'), encoding="utf-8")
    read = load_scenario(path)
    np.testing.assert_array_equal(compile_problem(read).fixed_delay, compile_problem(scenario).fixed_delay)
