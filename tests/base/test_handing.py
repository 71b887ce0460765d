"""Arguments held against annotations, and whatever else people hand over wrongly to the public functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

import dmcjia_opt
from dmcjia_opt import InputError, Plan, generate, solve
from dmcjia_opt.base.handing import check_arguments
from dmcjia_opt.solving.contract import Allocator


def annotated(
    number: float = 0.0,
    whole: int = 0,
    text: str = "",
    either: bool = False,
    path: str | Path = "",
    one_of: Literal["a", "b"] = "a",
    several: Sequence[float] | None = None,
    by_name: Mapping[str, int] | None = None,
    function: Callable[[int], int] | None = None,
    plan: Plan | None = None,
    allocator: Allocator | None = None,
    unknown: OnlyForTypeCheckers = None,  # noqa: F821 - as it is where a library is imported for type checkers alone
) -> None:
    check_arguments(annotated, locals())


@pytest.mark.parametrize(
    "given",
    [
        {"number": 1},
        {"number": np.float32(1)},
        {"whole": np.int64(1)},
        {"either": np.True_},
        {"path": Path("x")},
        {"several": np.ones(2)},
        {"several": (1, 2.0)},
        {"several": range(3)},
        {"by_name": {"a": 1}},
        {"function": len},
        {"allocator": dmcjia_opt.build_allocator("waterfilling")},
        {"unknown": object()},
    ],
)
def test_what_an_annotation_says_passes(given):
    annotated(**given)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"number": "1"}, "number must be a number, got '1'"),
        ({"number": True}, "number must be a number, got True"),
        ({"whole": 1.0}, "whole must be a whole number, got 1.0"),
        ({"text": None}, "text must be a text, got None"),
        ({"either": 1}, "either must be True or False, got 1"),
        ({"path": 3}, "path must be a path, got 3"),
        ({"one_of": "c"}, "one_of must be one of 'a', 'b', got 'c'"),
        ({"several": "123"}, "several must be a list, each entry a number, got '123'"),
        ({"several": [1, "2"]}, "several must be a list, each entry a number, got a list"),
        ({"by_name": [1]}, "by_name must be a mapping, got a list"),
        ({"function": 3}, "function must be a function, got 3"),
        ({"plan": {"splits": []}}, "plan must be a Plan, got a dict"),
        ({"allocator": 3}, "allocator must be an Allocator, got 3"),
    ],
)
def test_what_it_does_not_say_is_refused(given, told):
    with pytest.raises(InputError) as caught:
        annotated(**given)
    assert str(caught.value) == told


PAPER = generate("paper", nodes=3, seed=1)
PROBLEM = dmcjia_opt.compile_problem(PAPER)
WRONG = {
    "a scenario is needed, or the path of its file, got None": [
        lambda: solve(None),
        lambda: dmcjia_opt.size(None),
        lambda: dmcjia_opt.frontier(None),
        lambda: dmcjia_opt.replay(None, "markov:5"),
        lambda: dmcjia_opt.simulate(None, None),
        lambda: dmcjia_opt.verify(None, None),
        lambda: dmcjia_opt.compile_problem(None),
        lambda: dmcjia_opt.PlacementProblem(None),
        lambda: dmcjia_opt.sweep(None, cloud_gflops=[1]),
    ],
    "Scenario.from_dict reads one": [lambda: solve({"cloud": 60})],
    "the path of a file is needed, got None": [
        lambda: dmcjia_opt.load_plan(None),
        lambda: dmcjia_opt.load_profile(None),
        lambda: dmcjia_opt.load_proof(None),
        lambda: PAPER.save(None),
        lambda: solve(PAPER).save(None),
    ],
    "compile_problem(scenario) makes one": [
        lambda: dmcjia_opt.certify(PAPER, [0] * 3, [0.3] * 3),
        lambda: dmcjia_opt.lower_bound(PAPER, 1.0),
        lambda: dmcjia_opt.best_lower_bound(PAPER),
        lambda: dmcjia_opt.Search(PAPER, dmcjia_opt.build_allocator("waterfilling")),
    ],
    "an array of numbers is needed": [
        lambda: dmcjia_opt.lower_bound(PROBLEM, "a"),
        lambda: dmcjia_opt.Problem([[1.0]], [[1.0]], ["a"], [1.0]),
        lambda: dmcjia_opt.certify(PROBLEM, [0] * 3, "abc"),
    ],
    "must be a Problem": [lambda: dmcjia_opt.check_proof(PAPER, None)],
    "seed must be": [lambda: solve(PAPER, seed="a"), lambda: solve(PAPER, seed=-1)],
    "stop must be a Stop, got 5": [lambda: solve(PAPER, stop=5)],
    "start must be a Plan": [lambda: solve(PAPER, start="plan.json")],
    "arrivals must be an Arrivals": [lambda: dmcjia_opt.simulate(PAPER, solve(PAPER), arrivals="poisson")],
    "name must be a text": [lambda: dmcjia_opt.build_placer(3), lambda: dmcjia_opt.build_arrivals(3)],
    "nodes must be a whole number": [lambda: generate("paper", nodes="a")],
    "evaluations must be a whole number, got 1.5": [lambda: dmcjia_opt.Stop(evaluations=1.5)],
    "node must be an index of 0 … 2": [lambda: PAPER.route("gate", 0), lambda: PAPER.option_of(3, 0)],
    "must be whole numbers": [lambda: PAPER.option_of(0, "a")],
    "shares must have shape (3, 1)": [lambda: PROBLEM.gradient([0] * 3, [0.1])],
    "a profile needs a name": [lambda: dmcjia_opt.LayerProfile(None, None, None, None, None)],
    "must be a list of numbers, one a layer": [lambda: dmcjia_opt.LayerProfile("a", 1000, ("x",), None, [1])],
    "seconds must be a number": [lambda: dmcjia_opt.Switching("a")],
}


@pytest.mark.parametrize(("told", "call"), [(told, call) for told, calls in WRONG.items() for call in calls])
def test_whatever_is_handed_over_wrongly_is_refused_with_what_was_expected(told, call):
    with pytest.raises(InputError) as caught:
        call()
    assert told in str(caught.value)
