"""Every way a method can go wrong is a row with a status, and the run goes on."""

import sys

import psutil
import pytest

from dmcjia_opt.solving.contract import Stop
from dmcjia_opt.studies.bench.instances import instance
from dmcjia_opt.studies.bench.rows import Outcome
from dmcjia_opt.studies.bench.running.runner import run_suite
from dmcjia_opt.studies.bench.running.worker import Stopped, Worker
from dmcjia_opt.studies.bench.runs import RunLimits, Task
from tests.studies.bench.small import misbehaving, small_suite

PLACERS = {
    "Good": (Outcome.ANSWER, ""),
    "Raises": (Outcome.ERROR, "RuntimeError: the solver's licence has expired (misbehaving.py:"),
    "Exits": (Outcome.ERROR, "SystemExit: 7"),
    "Dies": (Outcome.CRASH, "its process ended with exit code 3 in warm-up; it printed: out of luck"),
    "Segfaults": (Outcome.CRASH, "its process was ended by SIGSEGV"),
    "KillsItself": (Outcome.CRASH, "its process was ended by SIGKILL, as the system does when memory runs out"),
    "Hangs": (Outcome.TIMEOUT, "killed after the hard limit of 1 s in solve"),
    "Hogs": (Outcome.MEMORY, "above the limit of 160 MB, in solve"),
    "Chatters": (Outcome.ANSWER, ""),
    "Nothing": (Outcome.NO_PLAN, "found no plan"),
    "NaNShares": (Outcome.INVALID, "infeasible: the share of node 0 is nan"),
    "TooManyShares": (Outcome.INVALID, "infeasible: its shares exceed the cloud by 1.5"),
    "WrongShape": (Outcome.ERROR, "offered shares of shape (6,); it must be (5,)"),
    "OutOfRange": (Outcome.ERROR, "the split of node 0 must lie in 0 … 34"),
    "FloatSplits": (Outcome.ERROR, "splits must be integers, got float64"),
    "Words": (Outcome.ERROR, "splits must be integers, got <U4"),
    "GivesUp": (Outcome.NO_PLAN, "says itself that its plan is infeasible"),
    "ClaimsOptimal": (Outcome.ANSWER, ""),
    "ClaimsBound": (Outcome.ANSWER, ""),
    "ClaimsInfeasible": (Outcome.NO_PLAN, "found no plan"),
    "Refuses": (Outcome.REFUSED, "this method takes no problem at all"),
    "NotThere": (Outcome.ERROR, "tests.studies.bench.misbehaving has no class NotThere"),
}
ALLOCATORS = {
    "HalfAllocator": (Outcome.ANSWER, "2 of 4 plans without shares", 2, None),
    "FalseAllocator": (Outcome.INVALID, "the shares of 4 of 4 plans are infeasible or not finite", 0, False),
    "SpoilsItsInput": (Outcome.ERROR, "ValueError: assignment destination is read-only", None, None),
}


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    names, folder = [misbehaving(name) for name in PLACERS if name != "Hangs"], tmp_path_factory.mktemp("bench")
    found = run_suite(small_suite(*names), folder / "out", workers=2)
    found += run_suite(small_suite(misbehaving("Hangs"), wall_seconds=1.0), folder / "hangs", workers=1)
    return {row.method.removeprefix(misbehaving("")).removesuffix(" + waterfilling"): row for row in found}


@pytest.mark.parametrize("name", PLACERS)
def test_a_placer(rows, name):
    outcome, message = PLACERS[name]
    row = rows[name]
    assert row.outcome == outcome
    assert message in row.message
    assert "\n" not in row.message
    assert (row.objective_s is not None) == (row.gap is not None) == (outcome == Outcome.ANSWER)
    assert row.lower_bound_s == pytest.approx(0.2936269, rel=1e-6)
    assert (row.instance, row.n_nodes, row.n_splits, row.seed) == ("paper-n5-s1", 5, 35, 0)


def test_what_is_claimed_is_held_against_what_is_known(rows):
    false = {name for name, row in rows.items() if row.correct is False}
    assert false == {"ClaimsOptimal", "ClaimsBound", "ClaimsInfeasible"}
    assert rows["ClaimsBound"].claimed_lower_bound_s == 1e9
    assert rows["ClaimsBound"].own_bound_s is None
    assert rows["Good"].correct is None


def test_what_a_killed_run_took_is_known(rows):
    assert rows["Hangs"].wall_seconds >= 1.0
    assert rows["Hogs"].peak_mb > 80.0
    assert rows["Good"].peak_mb < 80.0


def test_nothing_is_left_running(rows):
    left = [process.cmdline() for process in psutil.Process().children(recursive=True)]
    assert not [
        line for line in left if "dmcjia_opt.studies.bench.running.child" in line or "a solver's own process" in line
    ]


def test_a_warm_up_that_hangs():
    task = Task(instance("paper-n5-s1", {}), "placer", f"{misbehaving('HangsInWarmUp')} + alm", 0, Stop())
    worker = Worker()
    ran = worker.run(task, RunLimits(wall_seconds=60.0, prepare_seconds=2.0))
    assert ran.outcome == Outcome.TIMEOUT
    assert "killed after the hard limit of 2 s in" in ran.message
    assert ran.reply.wall_seconds is None
    worker.stop()
    with pytest.raises(Stopped):
        worker.run(task, RunLimits(wall_seconds=60.0))


def test_a_child_runs_the_code_of_its_parent(tmp_path, monkeypatch):
    """Whatever lies in the working folder."""
    (tmp_path / "dmcjia_opt").mkdir()
    (tmp_path / "dmcjia_opt" / "__init__.py").write_text("raise ImportError('another package')\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [path for path in sys.path if path])
    worker = Worker()
    task = Task(instance("paper-n5-s1", {}), "placer", "greedy+ + waterfilling", 0, Stop())
    assert worker.run(task, RunLimits(wall_seconds=60.0)).reply.options is not None
    worker.stop()


def test_allocators(tmp_path):
    suite = small_suite(*map(misbehaving, ALLOCATORS), kind="allocator", plans=4)
    found = {row.method.removeprefix(misbehaving("")): row for row in run_suite(suite, tmp_path / "out", workers=1)}
    for name, (outcome, message, converged, correct) in ALLOCATORS.items():
        row = found[name]
        assert row.outcome == outcome
        assert message in row.message
        assert row.converged == converged
        assert row.correct is (True if name == "HalfAllocator" else correct)
    assert found["HalfAllocator"].worst_error < 1e-12
    assert found["HalfAllocator"].plans == 4


def test_a_run_does_not_depend_on_the_one_before(tmp_path):
    suite = small_suite(misbehaving("Remembers"), instances=("paper-n5-s1", "paper-n10-s1"), seeds=2)
    rows = run_suite(suite, tmp_path / "out", workers=1)
    assert [row.evaluations for row in rows] == [1, 1, 1, 1]
    drawn = [row.claimed_lower_bound_s for row in rows]
    assert drawn[0] == drawn[2] != drawn[1] == drawn[3]
