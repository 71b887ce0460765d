"""Settings of the whole suite: property tests draw the same examples everywhere; no module leaves processes behind."""

import os
import signal
import time
from functools import partial

import pytest
from hypothesis import settings

from dmcjia_opt.testing.methods import end_workers
from tests.command_line import run
from tests.waiting import Clock

os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")  # what JAX compiles runs once or twice
settings.register_profile("fixed", derandomize=True, deadline=None, database=None)
settings.load_profile("fixed")


@pytest.fixture(autouse=True, scope="module")
def no_processes_left():
    yield
    end_workers()


@pytest.fixture
def clock(monkeypatch):
    """Put a clock that only sleeping moves in the place of this process's."""
    clock = Clock()
    for name in ("perf_counter", "monotonic"):
        monkeypatch.setattr(time, name, clock.look)
    monkeypatch.setattr(time, "sleep", clock.sleep)
    return clock


@pytest.fixture
def few_tasks(monkeypatch):
    """Simulate what is said beside a plan with few tasks, where only the words matter."""
    for name, number in (("TASKS", 1000), ("MOST_TASKS", 10_000), ("FEW_TASKS", 3000)):
        monkeypatch.setattr(f"dmcjia_opt.studies.plan.instead.{name}", number)


@pytest.fixture
def dmcjia(monkeypatch, capsys, tmp_path):
    """Run a command in an empty folder; modules override it with one that fills the folder."""
    monkeypatch.chdir(tmp_path)
    return partial(run, monkeypatch, capsys)


def pytest_configure() -> None:
    # what a shell starts in the background is told to ignore Ctrl-C, and would tell the commands under test so
    signal.signal(signal.SIGINT, signal.default_int_handler)
