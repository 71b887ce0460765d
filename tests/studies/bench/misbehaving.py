"""Methods that go wrong in every way a benchmark must survive; named as ``tests.studies.bench.misbehaving:Class``."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time

import numpy as np

from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.solving.contract import Allocation, Status


class Good:
    """Everything in the cloud at equal shares, a plan of the instances that the tests use."""

    def supports(self, problem):
        return None

    def search(self, search, rng):
        self.answer(search)

    def answer(self, search):
        problem = search.problem
        search.offer(np.zeros_like(problem.last), np.full(problem.n_nodes, 1.0 / problem.n_nodes))


class Raises(Good):
    def answer(self, search):
        raise RuntimeError("the solver's licence\nhas expired")


class Exits(Good):
    def answer(self, search):
        sys.exit(7)


class Dies(Good):
    def answer(self, search):
        os.write(2, b"out of luck\n")
        os._exit(3)


class Segfaults(Good):
    def answer(self, search):
        ctypes.string_at(0)


class KillsItself(Good):
    def answer(self, search):
        os.kill(os.getpid(), signal.SIGKILL)


class Hangs(Good):
    def search(self, search, rng):
        if search.problem.n_nodes == 3:  # not in the warm-up
            self.answer(search)
            return
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", "a solver's own process"])
        time.sleep(600)


class HangsInWarmUp(Good):
    def answer(self, search):
        time.sleep(600)


class Hogs(Good):
    def search(self, search, rng):
        if search.problem.n_nodes == 3:
            self.answer(search)
            return
        kept = np.ones(20_000_000)  # 160 MB
        time.sleep(600)
        kept.fill(0.0)


class Chatters(Good):
    """Prints on every channel, and closes standard output."""

    def answer(self, search):
        print("Python's own")  # noqa: T201
        os.write(1, b"\x00\x01 garbage \xff" * 1000)
        os.system("echo a program of its own")
        os.close(1)
        super().answer(search)


class Returns(Good):
    splits, shares, status, bound = None, None, Status.FEASIBLE, None

    def answer(self, search):
        n = search.problem.n_nodes
        splits = np.zeros(n, dtype=int) if self.splits is None else self.splits(n)
        search.offer(splits, np.full(n, 1.0 / n) if self.shares is None else self.shares(n))
        search.claim(self.status, self.bound)


class Nothing(Good):
    def answer(self, search):
        pass


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


class GivesUp(Good):
    """Knows only plans that overload the cloud."""

    def answer(self, search):
        n = search.problem.n_nodes
        search.offer(np.zeros(n, dtype=int), np.full(n, 0.5))


class ClaimsOptimal(Returns):
    status = Status.OPTIMAL


class ClaimsBound(Returns):
    bound = 1e9


class ClaimsInfeasible(Good):
    def answer(self, search):
        search.claim(Status.INFEASIBLE, np.inf)


class Refuses(Good):
    def supports(self, problem):
        return "this method takes no problem at all"


class Remembers(Good):
    """Answers with how often this object, and global generators, were used before: never, in a fresh run."""

    def __init__(self):
        self.calls = 0

    def answer(self, search):
        self.calls += 1
        drawn = np.random.random()  # noqa: NPY002 - as a careless author does
        for _ in range(self.calls):
            super().answer(search)
        search.claim(bound=drawn)


class Slow(Good):
    def answer(self, search):
        time.sleep(0.3 if search.problem.n_nodes > 3 else 0.0)
        super().answer(search)


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
