"""Allocators that tests put in the place of a real one, and small problems to search."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

from dmcjia_opt.allocators.waterfilling import WaterFilling
from dmcjia_opt.model.arrays import IntArray
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.protocols import Allocation, Allocator, Placement, Status


@dataclass
class Counting:
    """Passes on another allocator's shares, and records the plans it was asked for; may take its time."""

    inner: Allocator = field(default_factory=WaterFilling)
    seconds_a_plan: float = 0.0
    plans: list[tuple[int, ...]] = field(default_factory=list)

    def supports(self, problem: Problem) -> str | None:
        return self.inner.supports(problem)

    def allocate(self, problem: Problem, splits: IntArray) -> Allocation:
        self.plans += [tuple(row) for row in splits.tolist()]
        time.sleep(self.seconds_a_plan * len(splits))
        return self.inner.allocate(problem, splits)


class Even:
    """What a third party might write in a minute: the least share, and an equal part of the rest; no price."""

    def supports(self, problem: Problem) -> str | None:
        return None

    def allocate(self, problem: Problem, splits: IntArray) -> Allocation:
        least = problem.least_share(splits)
        busy = problem.at(problem.cloud_time, splits) > 0
        rest = (1.0 - least.sum(-1, keepdims=True)) * busy / np.maximum(busy.sum(-1, keepdims=True), 1)
        shares = (least + rest) * (1 - 1e-12)
        return Allocation(shares, np.full(len(splits), np.nan), np.full(len(splits), Status.FEASIBLE, dtype=np.int8))


class Failing:
    """An allocator whose backend fails on every plan."""

    def supports(self, problem: Problem) -> str | None:
        return None

    def allocate(self, problem: Problem, splits: IntArray) -> Allocation:
        n = len(splits)
        return Allocation(np.full(splits.shape, np.nan), np.full(n, np.nan), np.full(n, Status.FAILED, dtype=np.int8))


def only_way_out(n_nodes: int = 3, n_splits: int = 4) -> Problem:
    """Return a problem whose one feasible plan leaves the cloud alone: any other overloads it."""
    depth = np.arange(n_splits)
    return Problem(
        local_delay=np.tile(0.1 + 0.2 * depth, (n_nodes, 1)),
        cloud_time=np.tile(np.where(depth < n_splits - 1, 3.0, 0.0), (n_nodes, 1)),
        arrival_rate=np.full(n_nodes, 0.5),
        weight=np.full(n_nodes, 1.0 / n_nodes),
    )


def impossible(n_nodes: int = 3, n_splits: int = 4) -> Problem:
    """Return a problem without any feasible plan."""
    return Problem(
        local_delay=np.full((n_nodes, n_splits), 0.1),
        cloud_time=np.full((n_nodes, n_splits), 1.0),
        arrival_rate=np.full(n_nodes, 0.5),
        weight=np.full(n_nodes, 1.0 / n_nodes),
    )


def trace_of(placement: Placement) -> list[tuple[int, float]]:
    """Return the part of a trace that does not depend on the clock."""
    return [(point.evaluations, point.objective) for point in placement.trace]
