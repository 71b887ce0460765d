"""Crowds: nodes that answer to prices, in tables or on the fly, here or elsewhere.

The dual is a sum over nodes, so parts of a fleet are asked one by one and their sums added up, in their order. What a
part remembers from pass to pass is which options of its nodes are left: first those that may be chosen between two
prices, in the end one a node. That follows from the steps taken so far, so that a part that was lost can be taken up
anywhere, and answers the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

import numpy as np

from dmcjia_opt.base.arrays import BoolArray, FloatArray, IntArray, blocks, over_uses
from dmcjia_opt.bounds.buckets import ShortArray, bucketed
from dmcjia_opt.bounds.columns import Columns, made
from dmcjia_opt.bounds.dual import DualPoint, PriceTally, Sums, point_of, sums_of
from dmcjia_opt.model.scenario.as_columns import Fleet

_ENTRIES = 1 << 17  # table entries that are priced at a time
_SMALL = 200  # nodes, for which leaving options out takes longer than pricing them
_KEPT = 1 << 21  # entries of what is left that are kept from pass to pass


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """A crowd whose options are in tables.

    Parameters
    ----------
    groups
        Yields its columns.
    n
        How many nodes there are.
    capacity
        How much of every resource they have; of a sample, its part.
    """

    groups: Callable[[], Iterable[Columns]]
    n: int
    capacity: float = 1.0

    def ask(self, prices: FloatArray) -> DualPoint:
        """Return the dual at prices."""
        return point_of(self.groups(), prices, self.n, self.capacity)

    def between(self, low: FloatArray, high: FloatArray) -> Tables:
        """Return the crowd with what may be chosen between two vectors of prices; a small one as it is, to be quick."""
        if self.n <= _SMALL:
            return self
        left = [g for group in self.groups() for g in (group.inside(low, high) if group.open else [group])]
        return replace(self, groups=left.__iter__)


class Asking(Protocol):
    """What asks the parts of a fleet."""

    def __call__(self, what: str, steps: tuple[Step, ...], *arguments: Sequence[Any]) -> list[Any]:
        """Return what a method of every `FleetPart` returns, given an entry of each of the arguments."""


@dataclass(frozen=True, slots=True, eq=False)
class PartedCrowd:
    """A crowd in parts, which somebody asks.

    Parameters
    ----------
    asked
        Who asks them.
    n
        How many parts there are.
    steps
        What has been taken so far.
    seen
        Who is told of every point.
    """

    asked: Asking
    n: int
    steps: tuple[Step, ...] = ()
    seen: Callable[[tuple[Step, ...], DualPoint], None] | None = None

    def ask(self, prices: FloatArray) -> DualPoint:
        """Return the dual at prices, without anybody's options."""
        return self._point(self.asked("ask", self.steps, [prices] * self.n), prices)

    def ends(self, low: FloatArray, high: FloatArray) -> tuple[PartedCrowd, DualPoint, DualPoint]:
        """Return the crowd with what may be chosen between two vectors of prices, and the dual at both."""
        step = Between(tuple(low.tolist()), tuple(high.tolist()))
        found = self.asked("between", self.steps, [step] * self.n)
        left = replace(self, steps=(*self.steps, step))
        at_low, at_high = zip(*found, strict=True)
        return left, self._point(at_low, low), self._point(at_high, high)

    def between(self, low: FloatArray, high: FloatArray) -> PartedCrowd:
        """Return the crowd with what may be chosen between two vectors of prices."""
        return self.ends(low, high)[0]

    def after(self, step: Step) -> PartedCrowd:
        """Return the crowd after one more step."""
        return replace(self, steps=(*self.steps, step))

    def _point(self, parts: Sequence[Sums], prices: FloatArray) -> DualPoint:
        point = Sums.all(parts).point(prices, 1.0, np.empty(0, dtype=np.int64))
        if self.seen is not None:
            self.seen(self.steps, point)
        return point


@dataclass(frozen=True, slots=True)
class Between:
    """A step after which only options are left that may be chosen between two vectors of prices."""

    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Chosen:
    """A step after which every node has one option: the cheapest at the prices `high`.

    The first of those for which another is cheapest at the prices `low` have that one, as far as the shares that they
    take more of a single resource fit into the part's `room`.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    rooms: tuple[float, ...] = ()


Step: TypeAlias = Between | Chosen


@dataclass(frozen=True, slots=True, eq=False)
class _Left:
    """Options that are left to some nodes of one kind: rows (n,), and (n, k) options, or None for the whole menu."""

    kind: int
    rows: IntArray
    pick: ShortArray | None


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """How far a part has come: the steps it took, and what they left."""

    steps: tuple[Step, ...]
    left: list[_Left]


class FleetPart:
    """Nodes of a fleet whose options are made whenever they are asked.

    Parameters
    ----------
    fleet
        Their columns.
    place
        Which part of all it is.
    """

    def __init__(self, fleet: Fleet, place: int = 0) -> None:
        self.fleet, self.place = fleet, place
        self._steps: tuple[Step, ...] = ()
        self._left = self._whole()
        self._kept: list[Columns] | None = None

    @property
    def taken(self) -> Taken:
        """How far it has come."""
        return Taken(self._steps, self._left)

    def resume(self, taken: Taken) -> None:
        """Go on where the same part was."""
        self._steps, self._left, self._kept = taken.steps, taken.left, None

    @property
    def n_bytes(self) -> int:
        """About how much memory it takes beside what it has taken."""
        entries = sum(group.local.size for group in self._kept or ())
        return self.fleet.n_bytes + 8 * entries * (6 + 5 * len(self.fleet.times.slots))

    def forget(self) -> None:
        """Free what can be made again."""
        self._kept = None

    def ask(self, steps: tuple[Step, ...], prices: FloatArray) -> Sums:
        """Return what the nodes do at prices (n_resources,), after some steps."""
        self._take(steps)
        return sums_of(self.columns(), prices, self.fleet.n_nodes)

    def between(self, steps: tuple[Step, ...], step: Between) -> tuple[Sums, Sums]:
        """Take one more step; return what the nodes do at both ends."""
        self._take(steps)
        return self._narrowed(step)

    def more(self, steps: tuple[Step, ...], low: FloatArray, high: FloatArray) -> float:
        """Return by how much the shares grow if every node has the option for `low` instead of that for `high`."""
        self._take(steps)
        (_, at_low), (_, at_high) = self._cheapest(low), self._cheapest(high)
        return float((over_uses(at_low) - over_uses(at_high)).sum())

    def plan(self, steps: tuple[Step, ...], prices: FloatArray) -> tuple[IntArray, FloatArray]:
        """Return the options (n_nodes,) at which the nodes are after some steps, and the shares (n_nodes, n_uses)."""
        self._take(steps)
        return self._cheapest(prices)

    def _whole(self) -> list[_Left]:
        menus = self.fleet.menus
        return [_Left(kind, self.fleet.rows_of(kind).astype(np.int32), None) for kind in range(len(menus.kinds))]

    def _take(self, steps: tuple[Step, ...]) -> None:
        """Take up the nodes after some steps, from the beginning if they are elsewhere."""
        if self._steps != steps[: len(self._steps)]:
            self._steps, self._left, self._kept = (), self._whole(), None
        for step in steps[len(self._steps) :]:
            if isinstance(step, Between):
                self._narrowed(step)
            else:
                self._choose(step)

    def columns(self) -> Iterable[Columns]:
        """Return what is left to every node, some nodes at a time."""
        entries = sum(_KEPT if some.pick is None else some.pick.size for some in self._left)
        if self._kept is None and entries < _KEPT:
            self._kept = [group for some in self._left for group in self._made(some)]
        if self._kept is not None:
            return self._kept
        return (group for some in self._left for group in self._made(some))

    def _made(self, some: _Left) -> Iterator[Columns]:
        width = len(self.fleet.menu_of(some.kind)) if some.pick is None else some.pick.shape[1]
        for part in blocks(len(some.rows), width, _ENTRIES):
            rows = some.rows[part]
            if some.pick is None:
                yield made(self.fleet, some.kind, rows)
            else:
                yield made(self.fleet, some.kind, rows, some.pick[part].astype(np.int64))

    def _narrowed(self, step: Between) -> tuple[Sums, Sums]:
        low, high = np.array(step.low), np.array(step.high)
        if not self._steps and len(low) == 1:
            self._left = [
                _Left(some.kind, rows, pick)
                for some in self._left
                for rows, pick in bucketed(self.fleet, some.kind, some.rows, low, high)
            ]
        kept: dict[int, list[tuple[IntArray, ShortArray]]] = {}
        ends = [PriceTally(prices, self.fleet.n_nodes) for prices in (low, high)]
        for some in self._left:
            for group in self._made(some):
                priced = [group.priced(prices) for prices in (low, high)]
                for tally, found in zip(ends, priced, strict=True):
                    tally.add(group, *group.cheapest(*found))
                keep = group.ruled(low, high, *priced)
                if some.pick is not None:  # what only fills up a row
                    keep[:, 1:] &= group.option[:, 1:] != group.option[:, :1]
                kept.setdefault(some.kind, []).extend(_compressed(group, keep))
        self._left = [_Left(kind, *pair) for kind, found in kept.items() for pair in _joined(found)]
        self._steps, self._kept = (*self._steps, step), None
        return ends[0].sums(), ends[1].sums()

    def _cheapest(self, prices: FloatArray) -> tuple[IntArray, FloatArray]:
        """Return the cheapest options (n_nodes,) that are left, and their shares (n_nodes, n_uses)."""
        options = np.empty(self.fleet.n_nodes, dtype=np.int64)
        shares = np.empty((self.fleet.n_nodes, len(self.fleet.times.slots)))
        for group in self.columns():
            _, used, choice = group.at(prices)
            options[group.rows] = np.take_along_axis(group.option, choice, 1)[:, 0]
            shares[group.rows] = np.stack(used, axis=-1)
        return options, shares

    def _choose(self, step: Chosen) -> None:
        options, shares = self._cheapest(np.array(step.high))
        room = step.rooms[self.place] if step.rooms else 0.0
        if room > 0.0:
            other, more = self._cheapest(np.array(step.low))
            differ = np.flatnonzero(other != options)
            fits = np.cumsum(over_uses(more[differ]) - over_uses(shares[differ])) <= room
            options[differ[fits]] = other[differ[fits]]
        self._left = [_Left(some.kind, some.rows, options[some.rows, None].astype(np.int16)) for some in self._whole()]
        self._steps, self._kept = (*self._steps, step), None


def _compressed(group: Columns, keep: BoolArray) -> list[tuple[IntArray, ShortArray]]:
    """Return rows and options that are left, of nodes with one and of those with more, which are filled up."""
    count = keep.sum(axis=1)
    found = []
    for some in (count == 1, count > 1):
        if some.any():
            width, mine = int(count[some].max()), keep[some]
            order = np.argsort(~mine, axis=1, kind="stable")[:, :width]
            option = np.take_along_axis(np.broadcast_to(group.option, keep.shape)[some], order, 1)
            option = np.where(np.arange(width) < count[some][:, None], option, option[:, :1])
            found.append((group.rows[some], option.astype(np.int16)))
    return found


def _joined(found: Iterable[tuple[IntArray, ShortArray]]) -> Iterator[tuple[IntArray, ShortArray]]:
    """Yield rows and options with as many options each in one piece."""
    by_width: dict[int, list[tuple[IntArray, ShortArray]]] = {}
    for rows, option in found:
        by_width.setdefault(option.shape[1], []).append((rows, option))
    for width in sorted(by_width):
        yield tuple(np.concatenate(column) for column in zip(*by_width[width], strict=True))  # type: ignore[misc]
