"""Resources at which tasks of all nodes meet: one queue for all, or all at once; tasks in and tasks out."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.model.resources import Resource
from dmcjia_opt.model.sharing.batches import Batches
from dmcjia_opt.studies.simulation.serving import FifoQueue


@dataclass(frozen=True, slots=True, eq=False)
class Tasks:
    """Tasks on their way.

    Parameters
    ----------
    node
        (n_tasks,) whose they are.
    number
        (n_tasks,) which of the node's tasks, from 0.
    start
        (n_tasks,) when they arrived at the node, s.
    at
        (n_tasks,) when they are where they are, s.
    """

    node: IntArray
    number: IntArray
    start: FloatArray
    at: FloatArray

    def __len__(self) -> int:
        return len(self.node)

    def only(self, which: IntArray | slice) -> Tasks:
        """Return some of them."""
        return Tasks(self.node[which], self.number[which], self.start[which], self.at[which])

    def later(self, by: float) -> Tasks:
        """Return the same where times count from `by` seconds later on."""
        return replace(self, start=self.start - by, at=self.at - by)

    @staticmethod
    def joined(parts: list[Tasks]) -> Tasks:
        """Return all of some."""
        columns = zip(*((part.node, part.number, part.start, part.at) for part in parts), strict=True)
        return Tasks(*map(np.concatenate, columns)) if parts else NOBODY


NOBODY = Tasks(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros(0))


class Pool(Protocol):
    """A resource that starts empty, and remembers who is there."""

    def serve(self, tasks: Tasks, services: FloatArray, until: float) -> tuple[Tasks, FloatArray]:
        """Return the tasks that leave, in that order, and when each of them came, s.

        Parameters
        ----------
        tasks
            Who comes next, in order, before `until`.
        services
            (n_tasks,) what each of them takes of the whole resource, s.
        until
            Nobody else comes before then, s.
        """
        ...

    def move_origin(self, by: float) -> None:
        """Count times from `by` seconds later on."""
        ...


class OneQueue:
    """One queue for all, first come first served."""

    __slots__ = ("_queue",)

    def __init__(self) -> None:
        self._queue = FifoQueue()

    def serve(self, tasks: Tasks, services: FloatArray, until: float) -> tuple[Tasks, FloatArray]:
        """Return all that come: when they leave is known."""
        if not len(tasks):
            return tasks, tasks.at
        return replace(tasks, at=self._queue.departures(tasks.at, 1.0, services)), tasks.at

    def move_origin(self, by: float) -> None:
        """Count times from `by` seconds later on."""
        self._queue.move_origin(by)


class Together:
    """All tasks that are there share the resource equally, event by event.

    Notes
    -----
    What one task has been served since the resource was last empty grows by 1/n a second while n are there. A task
    leaves when it has grown by its own service since it came (L. Kleinrock 1967, doi:10.1145/321386.321388).
    """

    __slots__ = ("_levels", "_now", "_served", "_there")

    def __init__(self) -> None:
        self._there, self._levels = NOBODY, np.zeros(0)
        self._now, self._served = -math.inf, 0.0

    def serve(self, tasks: Tasks, services: FloatArray, until: float) -> tuple[Tasks, FloatArray]:
        """Return those that leave before `until`."""
        here = Tasks.joined([self._there, tasks])
        before = len(self._there)
        there = [*zip(self._levels.tolist(), range(before), strict=True)]
        heapq.heapify(there)
        now, served, push, pop = self._now, self._served, heapq.heappush, heapq.heappop
        gone: list[int] = []
        leaving: list[float] = []
        coming = zip([*tasks.at.tolist(), until], [*services.tolist(), math.inf], strict=True)
        for k, (at, service) in enumerate(coming, before):
            while there:
                level, first = there[0]
                leaves = now + (level - served) * len(there)
                if leaves > at:
                    served += (at - now) / len(there)
                    break
                pop(there)
                gone.append(first)
                leaving.append(leaves)
                now, served = leaves, level
            else:
                served = 0.0
            now = at
            push(there, (served + service, k))
        there.remove(max(there))  # which stands for what comes after
        self._now, self._served = now, served
        stay = np.array([k for _, k in there], dtype=np.int64)
        self._there, self._levels = here.only(stay), np.array([level for level, _ in there])
        left = here.only(np.array(gone, dtype=np.int64))
        return replace(left, at=np.array(leaving)), left.at

    def move_origin(self, by: float) -> None:
        """Count times from `by` seconds later on."""
        self._now -= by
        self._there = self._there.later(by)


class InBatches:
    """One queue for all that is served in batches: whenever the server is free, all that wait, up to a number.

    Parameters
    ----------
    batches
        How long they take: the mean of what their tasks take alone, times a factor of their size.
    """

    __slots__ = ("_batches", "_free", "_services", "_waiting")

    def __init__(self, batches: Batches) -> None:
        self._batches, self._free = batches, -math.inf
        self._waiting, self._services = NOBODY, np.zeros(0)

    def serve(self, tasks: Tasks, services: FloatArray, until: float) -> tuple[Tasks, FloatArray]:
        """Return those whose batch begins before `until`; `services` are those in full batches."""
        here = Tasks.joined([self._waiting, tasks])
        services = np.concatenate([self._services, services])
        work = np.concatenate([[0.0], np.cumsum(self._batches.most * services)]).tolist()
        factors, at, number = self._batches.factors().tolist(), here.at.tolist(), len(here)
        leaving, free, first = np.empty(number), self._free, 0
        while first < number:
            starts = max(free, at[first])
            if starts >= until:
                break
            end, most = first + 1, min(first + len(factors) - 1, number)
            while end < most and at[end] <= starts:
                end += 1
            size = end - first
            free = starts + (work[end] - work[first]) / size * factors[size]
            leaving[first:end] = free
            first = end
        self._free, self._waiting, self._services = free, here.only(slice(first, None)), services[first:]
        left = here.only(slice(first))
        return replace(left, at=leaving[:first]), left.at

    def move_origin(self, by: float) -> None:
        """Count times from `by` seconds later on."""
        self._free -= by
        self._waiting = self._waiting.later(by)


def pool(resource: Resource) -> Pool:
    """Return an empty resource that is pooled."""
    if isinstance(resource.pooled, Batches):
        return InBatches(resource.pooled)
    return OneQueue() if resource.sharing == "fifo" else Together()
