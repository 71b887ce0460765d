"""Whatever methods of others do, the answer is a plan with our numbers or a sentence that names them."""

import json
import re
import signal
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from dmcjia_opt.base.errors import BackendFailed, InputError
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.methods.placers.genetic.genetic import Genetic
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.solving.contract import Status, Stop
from dmcjia_opt.solving.solve import solve
from dmcjia_opt.testing.doubles import Counting
from dmcjia_opt.testing.placers import trace_of
from tests.solving import misbehaving

FILE = Path(misbehaving.__file__)
PAPER = generate("paper", nodes=4, seed=1)
TEN = Stop(evaluations=10)


@pytest.fixture
def dmcjia(dmcjia, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "path", list(sys.path))
    PAPER.save(tmp_path / "s.toml")
    return partial(dmcjia, "solve", "s.toml")


PLACERS = {
    "Raises": "failed: KeyError\n",
    "Exits": "failed: SystemExit: 3",
    "Writes": "tried to change what it was given; splits and the problem are read-only, it should change copies",
    "WritesTheBest": "tried to change what it was given; splits and the problem are read-only",
    "Replaces": "tried to change what it was given; splits and the problem are read-only",
    "Forces": "changed the problem it was given, so that no result can be trusted",
    "ReplacesByForce": "changed the problem it was given, so that no result can be trusted",
    "OutOfRange": "asked for a plan that is none: the split of node 0 must lie in 0 … 34",
    "AsksOutOfRange": "asked for a plan that is none: the split of node 0 must lie in 0 … 34",
    "AsksForOnePlan": "asked for options of shape (4,); it must be (n_plans, n_nodes)",
    "Sends": "sends the search it was given to another process, where nobody counts",
    "Floats": "asked for a plan that is none: splits must be integers, got float64",
    "Nothing": "ended without having had one plan evaluated",
    "Ragged": "asked for a plan that is none: setting an array element with a sequence",
    "OddStatus": "claims what cannot be: 'great' is not a valid Status",
    "NanShares": 'calls a plan feasible that is none: the share of "node-0001" is nan',
    "TooMuch": "calls a plan feasible that is none: its shares exceed the cloud by 3",
    "Words": "offered shares that are no array of real numbers: numbers of type <U4",
    "DearPrice": "raises the bound by what is no price: 'dear'",
    "Answers": "answered supports() with False; it must be None, or a sentence",
    "Cracks": "failed: RuntimeError: no licence: none found",
}
ALLOCATORS = {
    "NanAllocator": "calls shares optimal that are none: the share of node 0 is nan",
    "GenerousAllocator": "calls shares optimal that are none: its shares exceed the cloud by 0.1",
    "FlatAllocator": "returned shares of shape (4,); it must be (1, 4, 1)",
    "PricelessAllocator": "returned prices that are no array of real numbers: numbers of type object",
    "OddStatusAllocator": "returned a status that is none; use OPTIMAL, FEASIBLE, LIMIT",
    "GarbageAllocator": "returned a ndarray instead of an Allocation",
    "WritingAllocator": "tried to change what it was given; splits and the problem are read-only",
    "RaisingAllocator": "failed: ZeroDivisionError",
}


@pytest.mark.parametrize("name", PLACERS)
def test_misbehaving_placers_are_caught_in_a_sentence(dmcjia, name):
    ended = dmcjia("--placer", f"{FILE}:{name}", "--evaluations", 10)
    assert ended.code == 4
    assert ended.out == ""
    assert ended.err.startswith(f'dmcjia: placer "{FILE}:{name}" ')
    assert ended.err.count("\n") == 1
    assert PLACERS[name] in ended.err


@pytest.mark.parametrize("placer", ["dmcjia", "tests.solving.misbehaving:Placer", "cloud-only+"])
@pytest.mark.parametrize("name", ALLOCATORS)
def test_misbehaving_allocators_are_caught_in_a_sentence(dmcjia, name, placer):
    ended = dmcjia("--placer", placer, "--allocator", f"{FILE}:{name}", "--evaluations", 10)
    assert ended.code == 4
    assert ended.out == ""
    assert ended.err.startswith(f'dmcjia: allocator "{FILE}:{name}" ')
    assert ended.err.count("\n") == 1
    assert ALLOCATORS[name].replace("(1, 4, 1)", "") in re.sub(r"\(\d+, 4, 1\)", "", ended.err)


@pytest.mark.parametrize("name", ["Placer", "Greedy", "DeafToStops", "WrapsStops"])
def test_a_budget_of_evaluations_is_kept_for_them(dmcjia, tmp_path, name):
    ended = dmcjia("--placer", f"{FILE}:{name}", "--evaluations", 10, "--out", "p.json")
    assert ended.code == 0
    note = f'placer "{FILE}:{name}" asked for plan 11 of a budget of 10 and was stopped there'
    plan = json.loads((tmp_path / "p.json").read_text())
    assert plan["notes"] == ([note] if name == "DeafToStops" else [])
    assert ("Note: " in ended.out) == (name == "DeafToStops")
    assert (plan["status"], plan["evaluations"]) == ("limit", 10)
    assert plan["trace"][-1]["evaluations"] == 10


def test_the_plans_within_the_budget_are_the_ones_that_were_evaluated():
    counting = Counting()
    plan = solve(PAPER, misbehaving.Greedy(), counting, stop=TEN, seed=3)
    assert len(counting.plans) == len(set(counting.plans)) <= 10
    values = [solve(PAPER, Fixed(splits)).objective for splits in counting.plans]
    assert plan.objective == min(values)


class Fixed(misbehaving.Offers):
    def __init__(self, splits):
        self.fixed = splits

    def splits(self, problem):
        return self.fixed


class WithinBudget(misbehaving.Placer):
    more = -1


def test_who_stays_within_the_budget_is_not_stopped():
    plan = solve(PAPER, WithinBudget(), stop=TEN, seed=3)
    assert plan.status == Status.FEASIBLE
    assert plan.notes == ()
    assert plan.evaluations == 9


def test_asking_for_known_plans_costs_nothing_but_is_not_for_ever():
    plan = solve(PAPER, misbehaving.Repeats(), stop=TEN)
    assert plan.evaluations == 1
    assert plan.splits.tolist() == [0] * 4
    assert "times in a row for plans it knew, and was stopped there" in plan.notes[0]


def test_a_gap_that_is_reached_ends_them_too():
    plan = solve(PAPER, misbehaving.DeafToStops(), stop=Stop(gap=0.9))
    assert plan.evaluations == 1
    assert plan.status == Status.WITHIN
    assert plan.notes == ()


def test_time_is_looked_at_when_they_ask(clock):
    slow = Counting(seconds_a_plan=1 / 64)
    plan = solve(PAPER, misbehaving.DeafToStops(), slow, stop=Stop(seconds=0.25))
    assert plan.status == Status.LIMIT
    assert len(slow.plans) == 16
    assert plan.notes == ()


def test_who_never_asks_is_ended_when_time_is_up():
    """In a process of its own, whose main thread can be interrupted."""
    code = """
from dmcjia_opt import Stop, generate, solve
from dmcjia_opt.base.errors import BackendFailed
from tests.solving import misbehaving
paper = generate("paper", nodes=4, seed=1)
try:
    solve(paper, misbehaving.Sleeps(), stop=Stop(seconds=0.05))
except BackendFailed as error:
    print(error)
plan = solve(paper, misbehaving.DawdlesAfterAPlan(), stop=Stop(seconds=0.05))
print(plan.status, plan.evaluations, *plan.notes)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=FILE.parents[2])
    nothing, plan = done.stdout.splitlines()
    after = r"was ended after \d+\.\d+ s of a limit of 0\.05 s"
    assert re.fullmatch(f'placer "Sleeps" {after} without having had one plan evaluated', nothing)
    assert re.fullmatch(f'limit 1 placer "DawdlesAfterAPlan" {after}', plan)


def test_where_nobody_can_be_interrupted_the_time_is_measured(clock):
    plans = []
    thread = threading.Thread(target=lambda: plans.append(solve(PAPER, misbehaving.Dawdles(), stop=Stop(seconds=0.05))))
    thread.start()
    thread.join()
    assert plans[0].notes[0] == 'placer "Dawdles" returned after 5 s of a limit of 0.05 s'


def test_alarms_of_others_are_restored(clock):
    rung = []
    before = signal.signal(signal.SIGALRM, lambda number, frame: rung.append(number))
    try:
        signal.setitimer(signal.ITIMER_REAL, 100.0, 7.0)
        handler = signal.getsignal(signal.SIGALRM)
        solve(PAPER, misbehaving.Dawdles(), stop=Stop(seconds=20))
        assert signal.getsignal(signal.SIGALRM) is handler
        left, interval = signal.setitimer(signal.ITIMER_REAL, 0)
        assert 0 < left <= 95  # five have passed
        assert interval == 7.0
    finally:
        signal.signal(signal.SIGALRM, before)


def test_what_they_claim_is_not_used():
    seen = []
    plan = solve(PAPER, misbehaving.Boasts(), stop=TEN, callback=seen.append)
    assert plan.evaluations == 2
    assert plan.lower_bound < plan.objective
    assert plan.status == Status.FEASIBLE
    assert plan.trace
    assert seen[-1] == plan.trace[-1]
    assert set(plan.trace) <= set(seen)
    assert max(point.lower_bound for point in seen) < plan.objective
    json.dumps(plan.to_dict())


def test_interrupts_pass_unless_there_is_a_plan():
    with pytest.raises(KeyboardInterrupt):
        solve(PAPER, misbehaving.Interrupted())
    plan = solve(PAPER, misbehaving.InterruptedLater())
    assert plan.splits.tolist() == [0] * 4
    assert plan.notes == ('placer "InterruptedLater" was interrupted',)


def test_errors_of_the_allocator_and_the_callback_are_theirs():
    with pytest.raises(BackendFailed, match=r'^allocator "RaisingAllocator" failed: ZeroDivisionError$'):
        solve(PAPER, misbehaving.WrapsStops(), misbehaving.RaisingAllocator(), stop=TEN)

    def follow(point):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        solve(PAPER, misbehaving.WrapsStops(), stop=TEN, callback=follow)


def test_other_types_of_numbers_will_do():
    plan = solve(PAPER, "genetic", misbehaving.SingleAllocator(), stop=TEN)
    assert plan.shares.dtype == np.float64
    assert plan.shares.sum() == pytest.approx(0.999, rel=1e-6)


@pytest.mark.parametrize(
    ("placer", "allocator", "message"),
    [
        (misbehaving.Raises, "waterfilling", r'placer "type" is a class; hand over an object of it, Raises\(\)'),
        (misbehaving.Incomplete(), "waterfilling", 'placer "Incomplete" cannot be used: it has no method search'),
        ("genetic", misbehaving.Raises(), 'allocator "Raises" cannot be used: it has no method allocate'),
        ("genetic", WaterFilling, r"hand over an object of it, WaterFilling\(\)"),
    ],
)
def test_what_is_no_method_is_refused(placer, allocator, message):
    with pytest.raises(InputError, match=message):
        solve(PAPER, placer, allocator)


def test_who_is_called_by_name_is_run_like_everyone_else():
    class Mine(Genetic):
        pass

    counting = Counting()
    ours = solve(PAPER, "genetic", stop=Stop(evaluations=80), seed=5)
    theirs = solve(PAPER, Mine(), counting, stop=Stop(evaluations=80), seed=5)
    np.testing.assert_array_equal(ours.splits, theirs.splits)
    np.testing.assert_array_equal(ours.shares, theirs.shares)
    assert len(set(counting.plans)) == len(counting.plans) <= theirs.evaluations == ours.evaluations == 80
    assert trace_of(ours) == trace_of(theirs)
    assert theirs.notes == ()
