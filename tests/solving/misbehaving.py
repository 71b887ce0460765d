"""Plug-ins as they should not be, named on the command line as tests/solving/misbehaving.py:Class."""

import pickle
import time
from dataclasses import dataclass

import numpy as np

from dmcjia_opt import Allocation, Status
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling


def cloud_only(problem):
    return np.zeros_like(problem.last)


class Base:
    def supports(self, problem):
        return None


class Placer(Base):
    """Asks for random plans, some more than the budget."""

    more = 1

    def search(self, search, rng):
        for _ in range(search.stop.evaluations + self.more):
            self.ask(search, rng)

    def ask(self, search, rng):
        return search.evaluate(rng.integers(0, search.problem.last + 1, (1, search.problem.n_nodes)))


class Greedy(Placer):
    """One request, larger than the budget."""

    def search(self, search, rng):
        self.ask(search, rng)
        search.evaluate(rng.integers(0, search.problem.last + 1, (10_000, search.problem.n_nodes)))


class DeafToStops(Placer):
    """Takes every exception for a bad plan and tries again."""

    def search(self, search, rng):
        while True:
            try:
                self.ask(search, rng)
            except Exception:  # noqa: BLE001
                continue


class WrapsStops(Placer):
    """Turns every exception into one of its own."""

    def ask(self, search, rng):
        try:
            super().ask(search, rng)
        except Exception as error:
            raise RuntimeError("the environment broke") from error


class Repeats(Placer):
    """Asks for the same plan for ever."""

    def search(self, search, rng):
        while True:
            search.evaluate(np.tile(cloud_only(search.problem), (500, 1)))


class Sleeps(Base):
    """Never asks for a plan; would take 20 s."""

    def search(self, search, rng):
        for _ in range(2000):
            time.sleep(0.01)
        search.offer(cloud_only(search.problem))


class Dawdles(Base):
    """Has a plan, but late."""

    def search(self, search, rng):
        time.sleep(5.0)
        search.offer(cloud_only(search.problem))


class DawdlesAfterAPlan(Placer):
    """Asks for one plan and then for nothing."""

    def search(self, search, rng):
        self.ask(search, rng)
        for _ in range(2000):
            time.sleep(0.01)


class Offers(Base):
    """Offers everything in the cloud once `before` was done to the problem or the search."""

    def search(self, search, rng):
        self.before(search)
        search.offer(self.splits(search.problem), self.shares(search.problem))
        self.after(search)

    def before(self, search):
        pass

    def after(self, search):
        pass

    def splits(self, problem):
        return cloud_only(problem)

    def shares(self, problem):
        return None


class Raises(Offers):
    def before(self, search):
        raise KeyError


class Exits(Offers):
    def before(self, search):
        raise SystemExit(3)


class Interrupted(Offers):
    def before(self, search):
        raise KeyboardInterrupt


class InterruptedLater(Offers):
    def after(self, search):
        raise KeyboardInterrupt


class Writes(Offers):
    def before(self, search):
        search.problem.fixed_delay[0, 0] = 0.0


class WritesTheBest(Offers):
    def after(self, search):
        search.shares[:] = 1.0


class Forces(Offers):
    def before(self, search):
        table = search.problem.fixed_delay
        table.setflags(write=True)
        table[0, 0] /= 2
        table.setflags(write=False)


class Replaces(Offers):
    def before(self, search):
        search.problem.weight = np.ones(search.problem.n_nodes)


class ReplacesByForce(Offers):
    def before(self, search):
        object.__setattr__(search.problem, "weight", search.problem.weight / 2)


class OutOfRange(Offers):
    def splits(self, problem):
        return problem.last + 1


class AsksOutOfRange(Offers):
    def before(self, search):
        search.evaluate(search.problem.last[None] + 1)


class AsksForOnePlan(Offers):
    def before(self, search):
        search.evaluate(search.problem.last)


class Sends(Offers):
    def before(self, search):
        pickle.dumps(search)


class Floats(Offers):
    def splits(self, problem):
        return problem.last.astype(float)


class Nothing(Base):
    def search(self, search, rng):
        pass


class Ragged(Offers):
    def splits(self, problem):
        return [[1], [1, 2]]


class OddStatus(Offers):
    def before(self, search):
        search.claim("great")


class NanShares(Offers):
    def shares(self, problem):
        return np.full(problem.n_nodes, np.nan)

    def after(self, search):
        search.claim(Status.FEASIBLE)


class TooMuch(NanShares):
    def shares(self, problem):
        return np.ones(problem.n_nodes)


class Words(Offers):
    def shares(self, problem):
        return ["half"] * problem.n_nodes


class DearPrice(Offers):
    def before(self, search):
        search.raise_bound("dear")


class Boasts(Base):
    """Claims what it did not do."""

    def search(self, search, rng):
        search.evaluate(np.stack([search.problem.last, cloud_only(search.problem)]))
        search.prove(1e9, "exact")
        search.claim(Status.OPTIMAL, 1e9)
        search.raise_bound(np.inf)
        search.tick()


class Answers(Offers):
    """Refuses without a reason."""

    def supports(self, problem):
        return False


class Cracks(Offers):
    def supports(self, problem):
        raise RuntimeError("no licence:\n  none found")


class Incomplete(Base):
    """Has no method search."""


@dataclass(frozen=True)
class Deep:
    """Needs to be told how deep to look.

    Parameters
    ----------
    depth
        Layers looked ahead.
    """

    depth: int

    def __post_init__(self):
        if self.depth > 9:
            raise RuntimeError("too deep")

    def supports(self, problem):
        return None

    def search(self, search, rng):
        search.offer(np.minimum(search.problem.last, self.depth))


class Allocator(Base):
    """Water-filling, with `spoil` to spoil it."""

    def allocate(self, problem, splits):
        good = WaterFilling().allocate(problem, splits)
        return self.spoil(good.shares.copy(), good.prices, good.status)

    def spoil(self, shares, price, status):
        return Allocation(shares, price, status)


class NanAllocator(Allocator):
    def spoil(self, shares, price, status):
        return Allocation(shares * np.nan, price, status)


class GenerousAllocator(Allocator):
    def spoil(self, shares, price, status):
        return Allocation(shares * 1.1, price, status)


class FlatAllocator(Allocator):
    def spoil(self, shares, price, status):
        return Allocation(shares[0, :, 0], price, status)


class PricelessAllocator(Allocator):
    def spoil(self, shares, price, status):
        return Allocation(shares, None, status)


class OddStatusAllocator(Allocator):
    def spoil(self, shares, price, status):
        return Allocation(shares, price, np.full(len(status), 17))


class GarbageAllocator(Allocator):
    def spoil(self, shares, price, status):
        return shares


class WritingAllocator(Allocator):
    def allocate(self, problem, splits):
        splits[:] = 0
        return super().allocate(problem, splits)


class RaisingAllocator(Allocator):
    def allocate(self, problem, splits):
        raise ZeroDivisionError


class SingleAllocator(Allocator):
    """Float32 shares and long statuses will do."""

    def spoil(self, shares, price, status):
        return Allocation((shares * 0.999).astype(np.float32), price.tolist(), status.astype(np.int64))
