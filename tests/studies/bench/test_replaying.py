"""Policies in a benchmark: their plans are judged at every step of the trace, whatever they say."""

from dataclasses import replace

import numpy as np
import pytest

from dmcjia_opt import compile_problem
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.solving.contract import Stop
from dmcjia_opt.studies.bench.instances import instance
from dmcjia_opt.studies.bench.lineup import check, expand, full_name, parts, sources
from dmcjia_opt.studies.bench.planning import changed, plan_runs, suite_called
from dmcjia_opt.studies.bench.replaying import along, check_replay, replayed
from dmcjia_opt.studies.bench.rows import Outcome
from dmcjia_opt.studies.bench.running.runner import run_suite
from dmcjia_opt.studies.bench.runs import Task
from dmcjia_opt.studies.online.conditions import links_of
from dmcjia_opt.studies.online.replay import replay
from tests.studies.bench.small import small_suite

NAME, TRACE = "mixed-n5-s1", "markov:12"


def task(policy):
    return Task(instance(NAME, {}), "policy", policy, 0, Stop(), trace=TRACE)


@pytest.fixture(scope="module")
def steps():
    return along(instance(NAME, {}), TRACE, 0)


def plans_of(policy):
    scenario = instance(NAME, {}).load()
    return replayed(task(policy), scenario, links_of(TRACE, scenario))


@pytest.fixture(scope="module")
def static():
    return plans_of("static")


def test_it_is_what_replay_says(steps, static):
    said = replay(instance(NAME, {}).load(), TRACE, ["static", "oracle"])
    found = check_replay(steps, static)
    assert found.outcome == Outcome.ANSWER
    assert found.objective_s == pytest.approx(said.runs[0].mean_delay(said.trace.spans), rel=1e-12)
    assert found.lower_bound_s == pytest.approx(said.lower_bound, rel=1e-9)
    best = check_replay(steps, plans_of("oracle"))
    assert best.gap < 1e-9 < found.gap


def test_plans_that_are_none_count_for_nothing(steps, static):
    over = check_replay(steps, replace(static, shares=2.0 * static.shares))
    assert (over.outcome, over.objective_s, over.gap) == (Outcome.NO_PLAN, None, None)
    assert over.message.startswith("at step 0 its plan is none")
    assert over.lower_bound_s == pytest.approx(steps.bound)
    for planned in (np.zeros(len(static.status), dtype=int), np.ones(len(static.status), dtype=int), None, [1]):
        assert check_replay(steps, replace(static, status=planned)).outcome == Outcome.INVALID


def test_a_suite_of_policies(tmp_path):
    suite = small_suite("static", "oracle", kind="policy", instances=(NAME,), trace=TRACE)
    rows = run_suite(suite, tmp_path / "out", workers=1)
    assert [(row.method, row.instance, row.kind, row.outcome) for row in rows] == [
        (policy, f"{NAME} {TRACE}", "policy", Outcome.ANSWER) for policy in ("static", "oracle")
    ]
    assert rows[1].gap < 1e-9 < rows[0].gap
    assert rows[0].evaluations == 1 < rows[1].evaluations
    assert rows[0].n_splits == compile_problem(instance(NAME, {}).load()).n_options


def test_names_of_policies():
    assert full_name("policy", "change:0.3") == "change:0.3"
    assert parts("policy", "static:harmonic") == (None, "static:harmonic")
    assert expand("policy", ["static", "*"], exact=False) == ("static",)
    assert sources("policy", "static:harmonic") == {}
    check("policy", "static:harmonic")
    with pytest.raises(InputError, match='policy "sometimes" is unknown'):
        check("policy", "sometimes")


def test_other_policies_in_the_place_of_a_suites_own():
    suite = changed(suite_called("replay"), methods=["change:0.5"], instances=[NAME], seeds=1)
    assert {block.methods for block in suite.blocks} == {("change:0.5",)}
    with pytest.raises(InputError, match="is unknown"):
        changed(suite_called("replay"), methods=["exact"])


def test_the_trace_and_its_seed_are_part_of_the_key():
    def keys(trace, seeds=1):
        suite = small_suite("static", kind="policy", instances=(NAME,), trace=trace, seeds=seeds)
        return [run.key for run in plan_runs(suite, (), {NAME: "1" * 64})]

    assert len({*keys("markov:12", 2), *keys("markov:13"), *keys("onoff:12")}) == 4


def test_a_policy_that_cannot_plan_for_a_fleet_refuses_it(tmp_path):
    suite = small_suite("robust", kind="policy", instances=("links-n5-s1",), trace="onoff:9")
    (row,) = run_suite(suite, tmp_path / "out", workers=1)
    assert row.outcome == Outcome.REFUSED
    assert "one plan for all speeds" in row.message
