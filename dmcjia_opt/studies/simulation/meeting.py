"""Nodes whose tasks meet at pooled resources, run together, a window of time after the other.

In a window every node's tasks pass its own stages up to the first pooled resource. Who comes there before the window's
end is then known, as nobody is faster than time; so the resource is served up to then, and its tasks go on to the next.
Resources are served in an order in which no task goes back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.studies.simulation.arrivals import BLOCK
from dmcjia_opt.studies.simulation.node import NodeRun, Stage, Tally
from dmcjia_opt.studies.simulation.passage import Passage
from dmcjia_opt.studies.simulation.pools import NOBODY, Pool, Tasks, pool
from dmcjia_opt.studies.simulation.serving import FifoQueue


@dataclass(slots=True, eq=False)
class Source:
    """When the tasks of a node arrive.

    Parameters
    ----------
    gaps
        Times between arrivals, s, in blocks.
    first
        What the first gap counts from, s.
    """

    gaps: Iterator[FloatArray]
    first: float = 0.0
    number: int = field(default=0, init=False)
    _times: FloatArray = field(default_factory=lambda: np.zeros(0), init=False)

    def until(self, end: float) -> FloatArray:
        """Return the arrivals before `end`, s, that were not returned yet."""
        parts = []
        while True:
            k = int(np.searchsorted(self._times, end))
            parts.append(self._times[:k])
            self._times = self._times[k:]
            block = None if len(self._times) else next(self.gaps, None)
            if block is None:
                break
            self._times = np.cumsum(block) + self.first
            self.first = float(self._times[-1])
        found = np.concatenate(parts)
        self.number += len(found)
        return found

    def move_origin(self, by: float) -> None:
        """Count times from `by` seconds later on."""
        self._times = self._times - by
        self.first -= by


@dataclass(slots=True, eq=False)
class Member:
    """A node that runs with others.

    Parameters
    ----------
    stages, pools
        (n_stages,) its stages, and which resource is pooled there; −1 where it is the node's own or reserved.
    source
        Its arrivals; those that no longer count keep the others busy until the last of them is done.
    measured, warm_up
        Tasks that count, and tasks before them.
    tally
        What is kept of them.
    """

    stages: Sequence[Stage]
    pools: Sequence[int]
    source: Source
    measured: int
    warm_up: int
    tally: Tally
    queues: list[FifoQueue] = field(init=False)
    sums: FloatArray = field(init=False)
    busy: FloatArray = field(init=False)
    span: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        """Begin with nobody there."""
        self.queues = [FifoQueue() for _ in self.stages]
        self.sums, self.busy = np.zeros(len(self.stages)), np.zeros(len(self.stages))

    @property
    def done(self) -> bool:
        """Whether all tasks that count have come."""
        return self.source.number >= self.warm_up + self.measured

    def counted(self, number: IntArray) -> IntArray:
        """Return which of some tasks count; beyond the last of them nothing is kept."""
        return np.flatnonzero((number >= self.warm_up) & (number < self.warm_up + self.measured))

    def spent(self, k: int, number: IntArray, delays: FloatArray) -> None:
        """Take in the delays of some tasks at a stage, s."""
        self.sums[k] += delays[self.counted(number)].sum()

    def worked(self, k: int, number: IntArray, services: FloatArray | float) -> None:
        """Take in how long some tasks keep a stage busy, s, those of the warm-up too."""
        self.busy[k] += (np.broadcast_to(services, number.shape)[number < self.warm_up + self.measured]).sum()

    def onward(self, tasks: Tasks, start: int) -> tuple[Tasks, int]:
        """Send tasks from stage `start` to the next pooled one, or to the end; return them and that stage, or −1."""
        for k in range(start, len(self.stages)):
            stage = self.stages[k]
            if not stage.service:
                continue
            if self.pools[k] >= 0:
                return tasks, k
            if not stage.waits:
                at = tasks.at + stage.service
                services: FloatArray | float = stage.service
            else:
                at, services = self._served(k, tasks.at)
            self.spent(k, tasks.number, at - tasks.at)
            self.worked(k, tasks.number, services)
            tasks = replace(tasks, at=at)
        return tasks, -1

    def _served(self, k: int, at: FloatArray) -> tuple[FloatArray, FloatArray | float]:
        stage, queue = self.stages[k], self.queues[k]
        factors = stage.factors(len(at))
        found = []
        for start in range(0, len(at), BLOCK):
            part = slice(start, start + BLOCK)
            found.append(queue.departures(at[part], stage.service, None if factors is None else factors[part]))
        return np.concatenate(found), stage.service if factors is None else stage.service * factors


def run_together(
    members: Sequence[Member], passage: Passage, rate: float, progress: Callable[[int], None] | None = None
) -> list[NodeRun]:
    """Send the tasks of nodes through their stages, together where they meet; all starts empty.

    Parameters
    ----------
    members
        The nodes.
    passage
        Which says what the resources are.
    rate
        Arrivals a second of all of them.
    progress
        Called with the number of tasks that came.

    Raises
    ------
    InputError
        If tasks of one node pass two pooled resources in one order and those of another in the other.
    """
    order = _order(members, passage)
    pools: dict[int, Pool] = {r: pool(passage.resources[r]) for r in order}
    waiting: dict[int, list[Tasks]] = {r: [NOBODY] for r in order}
    stage_of = {(d, r): k for d, member in enumerate(members) for k, r in enumerate(member.pools) if r >= 0}
    window, origin, ended = 0.5 * BLOCK / rate, 0.0, np.zeros(len(members), dtype=np.bool_)

    def send(d: int, tasks: Tasks, k: int) -> None:
        member = members[d]
        tasks, k = member.onward(tasks, k)
        if k >= 0:
            waiting[member.pools[k]].append(tasks)
            return
        which = member.counted(tasks.number)
        member.tally.add(tasks.at[which] - tasks.start[which])

    while True:
        last = bool(ended.all())
        end = math.inf if last else window
        for d, member in enumerate(members):
            if last:
                break
            at = member.source.until(end)
            first, n = member.source.number - len(at), len(at)
            whose, number = np.full(n, d), np.arange(first, first + n)
            counted = member.warm_up + member.measured
            if not ended[d] and member.done:
                ended[d], member.span = True, origin + float(at[counted - 1 - first])
            if n:
                send(d, Tasks(whose, number, at, at), 0)
        for r in order:
            came = Tasks.joined(waiting[r])
            now = came.at < end
            waiting[r] = [came.only(np.flatnonzero(~now))]
            came = came.only(np.flatnonzero(now)[np.argsort(came.at[now], kind="stable")])
            services = _services(members, stage_of, r, came)
            left, entered = pools[r].serve(came, services, end)
            for d, part in _by_node(left.node):
                k = stage_of[d, r]
                members[d].spent(k, left.number[part], left.at[part] - entered[part])
                send(d, left.only(part), k + 1)
            for d, part in _by_node(came.node):
                members[d].worked(stage_of[d, r], came.number[part], services[part])
        if last:
            break
        if progress is not None:
            progress(sum(min(member.source.number, member.warm_up + member.measured) for member in members))
        origin += window
        clocks: list[Source | FifoQueue | Pool] = [*pools.values()]
        for member in members:
            clocks += [member.source, *member.queues]
        for clock in clocks:
            clock.move_origin(window)
        waiting = {r: [part.later(window) for part in parts] for r, parts in waiting.items()}
    return [member.tally.run(member.sums, member.busy, member.span) for member in members]


def _order(members: Sequence[Member], passage: Passage) -> list[int]:
    """Return the pooled resources in an order in which tasks pass them."""
    graph: TopologicalSorter[int] = TopologicalSorter()
    for member in members:
        path = [r for r, stage in zip(member.pools, member.stages, strict=True) if r >= 0 and stage.service]
        for r in path:
            graph.add(r)
        for before, after in pairwise(path):
            graph.add(after, before)
    try:
        return list(graph.static_order())
    except CycleError as error:
        names = " and ".join(str(passage.resources[r]) for r in sorted(set(error.args[1])))
        raise InputError(
            f"tasks pass {names} in a circle, which is not simulated where they are pooled; reserve shares of one"
        ) from None


def _services(members: Sequence[Member], stage_of: dict[tuple[int, int], int], r: int, tasks: Tasks) -> FloatArray:
    """Return what tasks take of a resource, s."""
    services = np.empty(len(tasks))
    for d, part in _by_node(tasks.node):
        stage = members[d].stages[stage_of[d, r]]
        factors = stage.factors(len(part))
        services[part] = stage.service if factors is None else stage.service * factors
    return services


def _by_node(node: IntArray) -> Iterator[tuple[int, IntArray]]:
    """Yield every node that is there, and where it is, in order."""
    order = np.argsort(node, kind="stable")
    nodes, first = np.unique(node[order], return_index=True)
    yield from zip(nodes.tolist(), np.split(order, first[1:]) if len(nodes) else [], strict=True)
