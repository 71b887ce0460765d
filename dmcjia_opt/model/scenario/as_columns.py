"""A scenario as columns: options of any of its nodes are made on the fly, from the nodes' columns and their menu.

Nothing of a size nodes × options is kept. Some nodes of one kind at some of their options are a `Problem` of their own
that shares the whole fleet's resources, and what the fleet does at given prices is the sum of what its blocks do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from dmcjia_opt.base.arrays import AnyArray, FloatArray, IntArray, absent, same
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.resources import Resource
from dmcjia_opt.model.scenario.menus import Menu, Menus
from dmcjia_opt.model.scenario.rules import Rules, counts_of, deadlines_of, weights_of
from dmcjia_opt.model.scenario.scenario import Scenario
from dmcjia_opt.model.scenario.services import COLUMNS, Rows, StageTimes, stage_times
from dmcjia_opt.model.uplinks import Uplinks


@dataclass(frozen=True, slots=True, eq=False)
class Fleet:
    """The columns of a fleet, or of a part of one, and what its nodes share.

    Parameters
    ----------
    times
        Service times in factored form, which are the columns.
    rules
        What delay is.
    weight
        (n_nodes,) weight of each node's delay in the mean; sums to 1, or to less for a part of a fleet.
    deadline
        (n_nodes,) most delay that is allowed, s; empty where there is none.
    name
        A label.

    Examples
    --------
    >>> from dmcjia_opt import generate
    >>> fleet = Fleet.of(generate("fleet", nodes=1000, seed=1))
    >>> fleet.problem(0, slice(0, 10)).fixed_delay.shape
    (10, 35)
    """

    times: StageTimes
    rules: Rules
    weight: FloatArray
    deadline: FloatArray = field(default_factory=absent)
    name: str = ""

    @classmethod
    def of(cls, scenario: Scenario, also: Iterable[str] = (), count: float | None = None) -> Fleet:
        """Return the columns of a scenario.

        Parameters
        ----------
        scenario
            The fleet, or a part of one.
        also
            Names of servers and links that are among the resources even where none of these nodes uses them.
        count
            What all nodes of the whole count together (see `counts_of`), of which these are a part.
        """
        times, rules = stage_times(scenario, also), Rules.of(scenario.options)
        weight = weights_of(scenario) if count is None else counts_of(scenario) / count
        return cls(times, rules, weight, deadlines_of(scenario), scenario.name)

    @property
    def n_nodes(self) -> int:
        """Number of nodes."""
        return len(self.weight)

    @property
    def n_bytes(self) -> int:
        """Memory of the columns."""
        limits = self.times.limits
        columns: list[AnyArray] = [
            self.weight,
            self.deadline,
            self.menus.index,
            *(getattr(self.times, key) for key in COLUMNS),
        ]
        held = 0 if limits is None else 4 * limits.memory.nbytes
        return held + sum(column.nbytes for column in columns if column.size and column.strides[0])

    @property
    def menus(self) -> Menus:
        """The options of every node."""
        return self.times.menus

    @property
    def resources(self) -> tuple[Resource, ...]:
        """(n_resources,) what is shared."""
        return self.times.resources

    def rows_of(self, kind: int) -> IntArray:
        """Return the nodes of a kind."""
        return np.arange(self.n_nodes) if len(self.menus.kinds) == 1 else self.menus.rows(kind)

    def problem(self, kind: int, rows: Rows, pick: slice | IntArray = slice(None)) -> Problem:
        """Return the problem of some nodes of one kind at some of their options.

        Parameters
        ----------
        kind
            Which kind, an index into the menus.
        rows
            (n_rows,) which of its nodes.
        pick
            Which options: those of a slice, or (n_rows, n_options) of each node its own.
        """
        menu = self.menus.kinds[kind]
        found = self.rules.entries(self.times, menu, rows, pick)
        shape = found.fixed.shape
        slots = self.times.slots
        service, resource = np.zeros((len(slots), *shape)), np.zeros((len(slots), *shape), dtype=np.int32)
        floors = np.zeros((len(slots), *shape)) if found.floors else absent()
        for k, slot in enumerate(slots):
            if slot in found.used:
                service[k], resource[k] = found.used[slot]
            if slot in found.floors:
                floors[k] = found.floors[slot]
        for table in (service, floors, found.fixed, found.wait):
            table.setflags(write=False)
        return Problem(
            fixed_delay=found.fixed,
            service=np.moveaxis(service, 0, -1),
            arrival_rate=self.times.rate[rows],
            arrival_scv=self.times.scv[rows],
            weight=self.weight[rows],
            curves=tuple(map(self.rules.curve_of, slots)),
            least_rate=np.moveaxis(floors, 0, -1) if found.floors else floors,
            wait=found.wait,
            name=self.name,
            resource=np.moveaxis(resource, 0, -1),
            resources=self.resources,
            deadline=self.deadline[rows] if self.deadline.size else self.deadline,
            partial=True,
        )

    def at(self, options: IntArray) -> Problem:
        """Return the problem in which every node has nothing but the option of `options` (n_nodes,)."""
        n, n_uses = self.n_nodes, len(self.times.slots)
        fixed, wait, floors = np.empty((n, 1)), np.zeros((n, 1)), np.zeros((n, 1, n_uses))
        service, resource = np.zeros((n, 1, n_uses)), np.zeros((n, 1, n_uses), dtype=np.int64)
        sent, trip = np.empty((n, 1)), np.empty((n, 1))
        raw, away = np.empty((n, 1), dtype=np.bool_), np.empty((n, 1), dtype=np.bool_)
        for kind, menu in enumerate(self.menus.kinds):
            rows = self.rows_of(kind)
            chosen = options[rows]
            part = self.problem(kind, rows, chosen[:, None])
            fixed[rows], wait[rows], floors[rows] = part.fixed_delay, part.wait, part.least_rate
            service[rows], resource[rows] = part.service, part.resource
            for table, values in (
                (sent, menu.sent),
                (trip, menu.trip),
                (raw, menu.cuts[:, 0] == 0),
                (away, menu.away),
            ):
                table[rows, 0] = values[chosen]
        return Problem(
            fixed_delay=fixed,
            service=service,
            arrival_rate=self.times.rate,
            arrival_scv=self.times.scv,
            weight=self.weight,
            curves=tuple(map(self.rules.curve_of, self.times.slots)),
            least_rate=floors,
            wait=wait,
            uplinks=Uplinks(
                upload_bytes=sent,
                menu_index=np.arange(n),
                bandwidth=self.times.bandwidth,
                input_bytes=self.times.input_bytes,
                queue=self.rules.queue,
                raw=raw,
                away=away,
                round_trip=trip,
                latency=self.times.latency,
            ),
            name=self.name,
            resource=resource,
            resources=self.resources,
            deadline=self.deadline,
            partial=True,
        )

    def only(self, rows: IntArray) -> Fleet:
        """Return some of the nodes as a fleet; their weights stay what they are in the whole."""
        deadline = self.deadline[rows] if self.deadline.size else self.deadline
        return replace(self, times=self.times.only(rows), weight=self.weight[rows], deadline=deadline)

    def slim(self) -> Fleet:
        """Return the same, where a column of one value takes no memory for each node."""
        deadline = same(self.deadline) if self.deadline.size else self.deadline
        return replace(self, times=self.times.slim(), weight=same(self.weight), deadline=deadline)

    def menu_of(self, kind: int) -> Menu:
        """Return the menu of a kind."""
        return self.menus.kinds[kind]
