"""Allocators to put in the place of a real one."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

from dmcjia_opt.base.arrays import IntArray
from dmcjia_opt.methods.allocators.waterfilling import WaterFilling
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.contract import Allocation, Allocator, Status


@dataclass
class Counting:
    """Passes on another allocator's shares, and records the plans it was asked for; may take its time."""

    inner: Allocator = field(default_factory=WaterFilling)
    seconds_a_plan: float = 0.0
    plans: list[tuple[int, ...]] = field(default_factory=list)

    def supports(self, problem: Problem) -> str | None:
        """Return what the other allocator says."""
        return self.inner.supports(problem)

    def allocate(self, problem: Problem, options: IntArray) -> Allocation:
        """Return the other allocator's shares."""
        self.plans += [tuple(row) for row in options.tolist()]
        time.sleep(self.seconds_a_plan * len(options))
        return self.inner.allocate(problem, options)


class Even:
    """What a third party might write in a minute: the least share, and an equal part of the rest; no price."""

    def supports(self, problem: Problem) -> str | None:
        """Every problem is supported."""
        return None

    def allocate(self, problem: Problem, options: IntArray) -> Allocation:
        """Return shares that are a plan wherever one exists."""
        least = problem.least_share(options)
        busy = problem.at(problem.service, options) > 0
        number = problem.by_resource(options, busy.astype(np.float64))
        rest = (1.0 - problem.by_resource(options, least)) / np.maximum(number, 1.0)
        part = np.take_along_axis(rest[:, None], problem.at(problem.resource, options), axis=-1)
        shares = (least + busy * part) * (1 - 1e-12)
        prices = np.full((len(options), problem.n_resources), np.nan)
        return Allocation(shares, prices, np.full(len(options), Status.FEASIBLE, dtype=np.int8))


class Failing:
    """An allocator whose backend fails on every plan."""

    def supports(self, problem: Problem) -> str | None:
        """Every problem is supported."""
        return None

    def allocate(self, problem: Problem, options: IntArray) -> Allocation:
        """Return failures."""
        n = len(options)
        shares = np.full((*options.shape, problem.n_uses), np.nan)
        return Allocation(shares, np.full((n, problem.n_resources), np.nan), np.full(n, Status.FAILED, dtype=np.int8))
