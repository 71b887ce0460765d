"""Plug-ins as they should not be, named on the command line as tests/solving/misbehaving.py:Class."""

import time
from dataclasses import dataclass

import numpy as np

from dmcjia_opt import Allocation, Placement, Status
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling


def cloud_only(problem):
    return np.zeros_like(problem.layers)


class Base:
    def supports(self, problem):
        return None


class Placer(Base):
    """Asks for random plans, some more than the budget."""

    more = 1

    def place(self, problem, allocator, *, stop, rng, callback=None):
        for _ in range(stop.evaluations + self.more):
            self.ask(problem, allocator, rng)
        return Placement(cloud_only(problem))

    def ask(self, problem, allocator, rng):
        return allocator.allocate(problem, rng.integers(0, problem.layers + 1, (1, problem.n_nodes)))


class Greedy(Placer):
    """One request, larger than the budget."""

    def place(self, problem, allocator, *, stop, rng, callback=None):
        self.ask(problem, allocator, rng)
        return allocator.allocate(problem, rng.integers(0, problem.layers + 1, (10_000, problem.n_nodes)))


class DeafToStops(Placer):
    """Takes every exception for a bad plan and tries again."""

    def place(self, problem, allocator, *, stop, rng, callback=None):
        while True:
            try:
                self.ask(problem, allocator, rng)
            except Exception:  # noqa: BLE001
                continue


class WrapsStops(Placer):
    """Turns every exception into one of its own."""

    def ask(self, problem, allocator, rng):
        try:
            super().ask(problem, allocator, rng)
        except Exception as error:
            raise RuntimeError("the environment broke") from error


class Repeats(Placer):
    """Asks for the same plan for ever."""

    def place(self, problem, allocator, *, stop, rng, callback=None):
        while True:
            allocator.allocate(problem, np.tile(cloud_only(problem), (500, 1)))


class Sleeps(Base):
    """Never asks for shares; would take 20 s."""

    def place(self, problem, allocator, *, stop, rng, callback=None):
        for _ in range(2000):
            time.sleep(0.01)
        return Placement(cloud_only(problem))


class Dawdles(Base):
    """Returns a plan, but late."""

    def place(self, problem, allocator, *, stop, rng, callback=None):
        time.sleep(5.0)
        return Placement(cloud_only(problem))


class DawdlesAfterAPlan(Placer):
    """Asks for one plan and then for nothing."""

    def place(self, problem, allocator, *, stop, rng, callback=None):
        self.ask(problem, allocator, rng)
        return Sleeps().place(problem, allocator, stop=stop, rng=rng)


class Raises(Base):
    def place(self, problem, allocator, *, stop, rng, callback=None):
        raise KeyError


class Exits(Base):
    def place(self, problem, allocator, *, stop, rng, callback=None):
        raise SystemExit(3)


class Interrupted(Base):
    def place(self, problem, allocator, *, stop, rng, callback=None):
        raise KeyboardInterrupt


class InterruptedLater(Placer):
    def place(self, problem, allocator, *, stop, rng, callback=None):
        allocator.allocate(problem, cloud_only(problem)[None])
        raise KeyboardInterrupt


class Writes(Base):
    def place(self, problem, allocator, *, stop, rng, callback=None):
        problem.fixed_delay[0, 0] = 0.0
        return Placement(cloud_only(problem))


class Forces(Base):
    def place(self, problem, allocator, *, stop, rng, callback=None):
        problem.fixed_delay.setflags(write=True)
        problem.fixed_delay[0, 0] /= 2
        problem.fixed_delay.setflags(write=False)
        return Placement(cloud_only(problem))


class Replaces(Base):
    def place(self, problem, allocator, *, stop, rng, callback=None):
        problem.weight = np.ones(problem.n_nodes)
        return Placement(cloud_only(problem))


class ReplacesByForce(Base):
    def place(self, problem, allocator, *, stop, rng, callback=None):
        object.__setattr__(problem, "weight", problem.weight / 2)
        return Placement(cloud_only(problem))


class OutOfRange(Base):
    def place(self, problem, allocator, *, stop, rng, callback=None):
        return Placement(problem.layers + 1)


class AsksOutOfRange(Base):
    def place(self, problem, allocator, *, stop, rng, callback=None):
        return allocator.allocate(problem, problem.layers[None] + 1)


class AsksForOnePlan(Base):
    def place(self, problem, allocator, *, stop, rng, callback=None):
        return allocator.allocate(problem, problem.layers)


class AsksOfAnother(Base):
    def place(self, problem, allocator, *, stop, rng, callback=None):
        from dataclasses import replace

        return allocator.allocate(replace(problem, name="mine"), problem.layers[None])


class Sends(Base):
    def place(self, problem, allocator, *, stop, rng, callback=None):
        import pickle

        return pickle.dumps(allocator)


class Floats(Base):
    def place(self, problem, allocator, *, stop, rng, callback=None):
        return Placement(problem.layers.astype(float))


class Garbage(Base):
    def place(self, problem, allocator, *, stop, rng, callback=None):
        return {"splits": problem.layers}


class Nothing(Base):
    def place(self, problem, allocator, *, stop, rng, callback=None):
        return None


class Ragged(Base):
    def place(self, problem, allocator, *, stop, rng, callback=None):
        return Placement([[1], [1, 2]])


class OddStatus(Base):
    def place(self, problem, allocator, *, stop, rng, callback=None):
        return Placement(cloud_only(problem), status="great")


class NanShares(Base):
    def place(self, problem, allocator, *, stop, rng, callback=None):
        return Placement(cloud_only(problem), np.full(problem.n_nodes, np.nan))


class TooMuch(Base):
    def place(self, problem, allocator, *, stop, rng, callback=None):
        return Placement(cloud_only(problem), np.ones(problem.n_nodes))


class Words(Base):
    def place(self, problem, allocator, *, stop, rng, callback=None):
        return Placement(cloud_only(problem), ["half"] * problem.n_nodes)


class Boasts(Base):
    """Claims what it did not do."""

    def place(self, problem, allocator, *, stop, rng, callback=None):
        allocator.allocate(problem, np.stack([problem.layers, cloud_only(problem)]))
        callback(None)
        return Placement(
            cloud_only(problem),
            lower_bound=1e9,
            status=Status.OPTIMAL,
            trace=("nonsense",),
            evaluations=-5,
            price="dear",
        )


class Answers(Base):
    """Refuses without a reason."""

    def supports(self, problem):
        return False

    def place(self, problem, allocator, *, stop, rng, callback=None):
        return Placement(cloud_only(problem))


class Cracks(Base):
    def supports(self, problem):
        raise RuntimeError("no licence:\n  none found")

    def place(self, problem, allocator, *, stop, rng, callback=None):
        return Placement(cloud_only(problem))


class Incomplete(Base):
    """Has no method place."""


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

    def place(self, problem, allocator, *, stop, rng, callback=None):
        return Placement(np.minimum(problem.layers, self.depth))


class Allocator(Base):
    """Water-filling, with `spoil` to spoil it."""

    def allocate(self, problem, splits):
        good = WaterFilling().allocate(problem, splits)
        return self.spoil(good.shares.copy(), good.price, good.status)

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
        return Allocation(shares[0], price, status)


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
