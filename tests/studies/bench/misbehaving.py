"""Methods that go wrong in every way a benchmark must survive; named as ``tests.studies.bench.misbehaving:Class``."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np

from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.solving.contract import Allocation, Placement, Status, TracePoint


class Good:
    """Everything in the cloud at equal shares, a plan of the instances that the tests use."""

    def supports(self, problem):
        return None

    def place(self, problem, allocator, *, stop, rng, callback=None):
        return self.answer(problem)

    def answer(self, problem):
        return Placement(np.zeros_like(problem.layers), np.full(problem.n_nodes, 1.0 / problem.n_nodes))


class Raises(Good):
    def answer(self, problem):
        raise RuntimeError("the solver's licence\nhas expired")


class Exits(Good):
    def answer(self, problem):
        sys.exit(7)


class Dies(Good):
    def answer(self, problem):
        os.write(2, b"out of luck\n")
        os._exit(3)


class Segfaults(Good):
    def answer(self, problem):
        ctypes.string_at(0)


class KillsItself(Good):
    def answer(self, problem):
        os.kill(os.getpid(), signal.SIGKILL)


class Hangs(Good):
    def place(self, problem, allocator, *, stop, rng, callback=None):
        if problem.n_nodes == 3:  # not in the warm-up
            return self.answer(problem)
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", "a solver's own process"])
        time.sleep(600)
        return None


class HangsInWarmUp(Good):
    def answer(self, problem):
        time.sleep(600)


class Hogs(Good):
    def place(self, problem, allocator, *, stop, rng, callback=None):
        if problem.n_nodes == 3:
            return self.answer(problem)
        kept = np.ones(20_000_000)  # 160 MB
        time.sleep(600)
        return kept


class Chatters(Good):
    """Prints on every channel, and closes standard output."""

    def answer(self, problem):
        print("Python's own")  # noqa: T201
        os.write(1, b"\x00\x01 garbage \xff" * 1000)
        os.system("echo a program of its own")
        os.close(1)
        return super().answer(problem)


class Returns(Good):
    splits, shares, status, bound, trace = None, None, Status.FEASIBLE, -np.inf, ()

    def answer(self, problem):
        n = problem.n_nodes
        splits = np.zeros_like(problem.layers) if self.splits is None else self.splits(n)
        shares = np.full(n, 1.0 / n) if self.shares is None else self.shares(n)
        return Placement(splits, shares, status=self.status, lower_bound=self.bound, trace=self.trace)


class Nothing(Good):
    def answer(self, problem):
        return None


class NaNShares(Returns):
    shares = staticmethod(lambda n: np.full(n, np.nan))


class TooManyShares(Returns):
    shares = staticmethod(lambda n: np.full(n, 0.5))


class WrongShape(Returns):
    shares = staticmethod(lambda n: np.zeros(n + 1))


class OutOfRange(Returns):
    splits = staticmethod(lambda n: np.full(n, 99))


class FloatSplits(Returns):
    splits = staticmethod(lambda n: np.full(n, 0.5))


class Words(Returns):
    splits = staticmethod(lambda n: np.array(["edge"] * n))


class GivesUp(Returns):
    status = Status.LIMIT
    trace = (TracePoint(1, 0.0, np.inf, -np.inf),)

    def answer(self, problem):
        return Placement(problem.layers, None, status=self.status, trace=self.trace)


class ClaimsOptimal(Returns):
    status = Status.OPTIMAL


class ClaimsBound(Returns):
    bound = 1e9


class ClaimsInfeasible(Good):
    def answer(self, problem):
        return Placement(problem.layers, None, np.inf, Status.INFEASIBLE)


class Refuses(Good):
    def supports(self, problem):
        return "this method takes no problem at all"


class Remembers(Good):
    """Answers with how often this object, and global generators, were used before: never, in a fresh run."""

    def __init__(self):
        self.calls = 0

    def answer(self, problem):
        self.calls += 1
        drawn = np.random.random()  # noqa: NPY002 - as a careless author does
        return replace(super().answer(problem), trace=(TracePoint(self.calls, 0.0, drawn, -np.inf),))


class Slow(Good):
    def answer(self, problem):
        time.sleep(0.3 if problem.n_nodes > 3 else 0.0)
        return super().answer(problem)


class HalfAllocator:
    """Gives every second plan its shares."""

    def supports(self, problem):
        return None

    def allocate(self, problem, splits):
        found = WaterFilling().allocate(problem, splits)
        shares, status = found.shares.copy(), found.status.copy()
        shares[::2], status[::2] = np.nan, Status.FAILED
        return Allocation(shares, found.prices, status)


class FalseAllocator(HalfAllocator):
    def allocate(self, problem, splits):
        found = WaterFilling().allocate(problem, splits)
        return Allocation(found.shares * 2.0, found.prices, found.status)


class SpoilsItsInput(HalfAllocator):
    def allocate(self, problem, splits):
        splits[:] = 0
        return WaterFilling().allocate(problem, splits)
