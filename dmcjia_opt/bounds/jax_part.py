"""Parts of a fleet that JAX prices, on a CPU or a GPU as it finds.

The formulas are those of `columns.made` and `Columns.priced`, traced once for each kind of node. An option of all nodes
of a chunk is made, priced and forgotten before the next one, so that nothing is kept of a size nodes × options.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from dmcjia_opt.base.arrays import EPS, FloatArray, IntArray
from dmcjia_opt.bounds.columns import made
from dmcjia_opt.bounds.crowds import Between, Chosen, Step
from dmcjia_opt.bounds.dual import Sums
from dmcjia_opt.model.scenario.as_columns import Fleet
from dmcjia_opt.model.scenario.node_limits import NodeLimits
from dmcjia_opt.model.scenario.services import COLUMNS

jax.config.update("jax_enable_x64", True)

_CHUNK = {"cpu": 1 << 15, "gpu": 1 << 24}  # nodes that are priced at a time
_UNROLLED = 4  # options that a GPU prices before it writes down the best
_ROW = 512  # terms that are added in any order
_TABLES = ("cuts", "servers", "first", "work", "sent", "onward", "served", "trip", "memory")
_LIMITS = ("memory", "energy", "joule_per_flop", "watts")


class JaxPart:
    """Nodes of a fleet that JAX prices; it answers as `crowds.FleetPart` does.

    Parameters
    ----------
    fleet
        Their columns: of NumPy, or already of JAX.
    place
        Which part of all it is.

    Notes
    -----
    How JAX adds is not said, so sums are taken over rows of 512 terms, and of those again: whatever the order, each
    step errs by less than 512 roundings of the sum of absolute terms. By as much is the cost lowered that is returned.

    Attributes
    ----------
    lowered
        By how much, relative to the sum of absolute terms.
    """

    def __init__(self, fleet: Fleet, place: int = 0) -> None:
        self.fleet, self.place = fleet, place
        self._chunk = _CHUNK.get(jax.default_backend(), _CHUNK["gpu"])
        self.lowered = (1 + math.ceil(math.log(max(self._chunk, 2), _ROW))) * _ROW * EPS
        known: dict[object, Any] = {}
        kinds = range(len(fleet.menus.kinds))
        self.kinds = [_Kind(fleet, kind, self._chunk, _compiled(fleet, kind, known)) for kind in kinds]
        self._steps: tuple[Step, ...] = ()

    def ask(self, steps: tuple[Step, ...], prices: FloatArray) -> Sums:
        """Return what the nodes do at prices (n_resources,), after some steps."""
        self._take(steps)
        at = jnp.asarray(prices, dtype=jnp.float64)
        chunks = jax.device_get([found for kind in self.kinds for found in kind.sums(at)])
        cost, magnitude = (math.fsum(float(chunk[k]) for chunk in chunks) for k in (0, 1))
        use = np.sum([chunk[2] for chunk in chunks], axis=0)
        return Sums(cost - self.lowered * magnitude, magnitude, use, np.zeros(len(prices)))

    def between(self, steps: tuple[Step, ...], step: Between) -> tuple[Sums, Sums]:
        """Return what the nodes do at both ends; every pass looks at whole menus, so nothing is ruled out."""
        return self.ask(steps, np.array(step.low)), self.ask(steps, np.array(step.high))

    def more(self, steps: tuple[Step, ...], low: FloatArray, high: FloatArray) -> float:
        """Return by how much the shares grow if every node has the option for `low` instead of that for `high`."""
        self._take(steps)
        return float(self.ask(steps, low).use.sum() - self.ask(steps, high).use.sum())

    def plan(self, steps: tuple[Step, ...], prices: FloatArray) -> tuple[IntArray, FloatArray]:
        """Return the options (n_nodes,) at which the nodes are after some steps, and the shares (n_nodes, n_uses)."""
        self._take(steps)
        options = np.empty(self.fleet.n_nodes, dtype=np.int64)
        shares = np.zeros((self.fleet.n_nodes, len(self.fleet.times.slots)))
        for kind in self.kinds:
            for rows, option, used in kind.chosen(jnp.asarray(prices, dtype=jnp.float64)):
                options[rows], shares[rows] = option, used
        return options, shares

    def _take(self, steps: tuple[Step, ...]) -> None:
        if self._steps != steps[: len(self._steps)]:
            self._steps = ()
            for kind in self.kinds:
                kind.pick = None
        for step in steps[len(self._steps) :]:
            if isinstance(step, Chosen):
                self._choose(step)
        self._steps = steps

    def _choose(self, step: Chosen) -> None:
        low, high = (jnp.asarray(prices) for prices in (step.low, step.high))
        room = jnp.asarray(step.rooms[self.place] if step.rooms else 0.0)
        for kind in self.kinds:
            room = kind.choose(low, high, room)


class _Kind:
    """Nodes of one kind.

    Parameters
    ----------
    fleet, kind
        Whose, and which.
    chunk
        How many are priced at a time.
    compiled
        Its menu's tables and what prices them, which kinds that are alike have in common.
    """

    def __init__(self, fleet: Fleet, kind: int, chunk: int, compiled: tuple[dict[str, Any], Any]) -> None:
        self.rows = None if len(fleet.menus.kinds) == 1 else fleet.rows_of(kind)
        self.pick: Any = None
        self._n = fleet.n_nodes if self.rows is None else len(self.rows)
        self._size = min(chunk, 1 << (self._n - 1).bit_length())
        self._columns = _on_device(fleet, self.rows, self._size)
        self._tables, self._one = compiled

    def _answers(self, prices: Any) -> Iterator[Any]:  # noqa: ANN401 - arrays of JAX
        for start in range(0, self._n, self._size):
            first = max(min(start, self._n - self._size), 0)
            ends = first, start, self._n
            yield self._one(self._size, self._tables, self._columns, self.pick, ends, prices)

    def sums(self, prices: Any) -> list[Any]:  # noqa: ANN401
        """Return what every chunk costs and uses."""
        return [found[:3] for found in self._answers(prices)]

    def choose(self, low: Any, high: Any, room: Any) -> Any:  # noqa: ANN401
        """Leave every node one option (see `crowds.Chosen`); return the room that is left."""
        found = []
        for at_high, at_low in zip(self._answers(high), self._answers(low), strict=True):
            option, room = _switched_at_once(at_high[3:], at_low[3:], room)
            found.append(option)
        if len(found) > 1:  # the last chunk begins before the one in front of it ends
            found[-1] = found[-1][len(found) * self._size - self._n :]
        self.pick = jnp.concatenate(found)
        return room

    def chosen(self, prices: Any) -> Iterator[tuple[slice | IntArray, IntArray, FloatArray]]:  # noqa: ANN401
        """Yield nodes (n,), the options that cost them least, and the shares (n, n_uses) of those."""
        for start, found in zip(range(0, self._n, self._size), self._answers(prices), strict=True):
            count = min(self._size, self._n - start)
            rows = slice(start, start + count)
            skipped = max(start - max(self._n - self._size, 0), 0)
            mine = slice(skipped, skipped + count)
            yield (
                rows if self.rows is None else self.rows[rows],
                np.asarray(found[3])[mine],
                np.asarray(found[4]).T[mine],
            )


def _compiled(fleet: Fleet, kind: int, known: dict[object, Any]) -> tuple[dict[str, Any], Any]:
    """Return a menu's tables as arguments, and what prices nodes by them, traced once for menus that are alike."""
    menu = fleet.menu_of(kind)
    alike = menu.tiers is None and bool(menu.allowed.all()) and "first link" not in fleet.times.slots
    which = menu.network if fleet.times.measured else 0
    key = (len(menu), which, menu.linked, menu.uplinked, menu.hosted, menu.distant) if alike else kind
    if key not in known:
        known[key] = jax.jit(partial(_answer, fleet, kind), static_argnums=0)
    return {name: jnp.asarray(getattr(menu, name)) for name in _TABLES} if alike else {}, known[key]


def _on_device(fleet: Fleet, rows: IntArray | None, least: int) -> dict[str, Any]:
    """Return the columns of some nodes, (n,) with at least so many rows, or (1,) where all entries are the same."""

    def sent(column: Any) -> Any:  # noqa: ANN401 - an array of NumPy or JAX
        if isinstance(column, jax.Array):
            column = column if rows is None else column[rows]
            return jnp.pad(column, (0, least - len(column)), mode="edge") if len(column) < least else column
        one = column[:1]
        if column.strides[0] == 0 or bool((column == one).all()):
            return jnp.asarray(one)
        column = column if rows is None else column[rows]
        return jnp.asarray(np.pad(column, (0, least - len(column)), mode="edge") if len(column) < least else column)

    columns = {key: sent(getattr(fleet.times, key)) for key in COLUMNS}
    if fleet.times.limits is not None:
        columns |= {key: sent(getattr(fleet.times.limits, key)) for key in _LIMITS}
    columns["weight"] = sent(fleet.weight)
    if fleet.deadline.size:
        columns["deadline"] = sent(fleet.deadline)
    return columns


def _answer(
    fleet: Fleet,
    kind: int,
    size: int,
    tables: dict[str, Any],
    columns: dict[str, Any],
    pick: Any,  # noqa: ANN401
    ends: tuple[Any, Any, Any],
    prices: Any,  # noqa: ANN401
) -> tuple[Any, ...]:
    """Return cost, its magnitude and use of the nodes of a chunk, and their options and shares.

    `ends` are where the chunk begins, from where on its nodes count, and how many nodes there are.
    """
    first, start, n = ends
    own = {key: lax.dynamic_slice(v, (first,), (size,)) if v.shape[0] > 1 else v for key, v in columns.items()}
    limits = None if fleet.times.limits is None else NodeLimits(**{key: own[key] for key in _LIMITS})
    times = replace(fleet.times, **{key: own[key] for key in COLUMNS}, limits=limits)
    deadline = own.get("deadline", fleet.deadline)
    menu = replace(fleet.menu_of(kind), **tables)
    times = replace(times, menus=replace(times.menus, kinds=(menu,)))
    some = replace(fleet, times=times, weight=own["weight"], deadline=deadline)
    slots = fleet.times.slots
    n_resources = len(fleet.resources)

    def at(option: Any) -> tuple[Any, Any, Any]:  # noqa: ANN401
        """Return cost (n,), and shares and resources of each use, of one option (1, 1) or each node's own (n, 1)."""
        group = made(some, 0, slice(None), option)
        cost, shares = group.priced(prices)
        wide, which = [jnp.zeros(size)] * len(slots), [jnp.zeros(size, dtype=jnp.int32)] * len(slots)
        for slot, share, use in zip(group.slots, shares, group.uses, strict=True):
            k = slots.index(slot)
            wide[k] = jnp.broadcast_to(share[:, 0], size)
            if use.resource is not None:
                which[k] = jnp.broadcast_to(use.resource[:, 0], size).astype(jnp.int32)
        return jnp.broadcast_to(cost[:, 0], size), tuple(wide), tuple(which) if n_resources > 1 else ()

    if pick is None:

        def better(option: Any, best: tuple[Any, ...]) -> tuple[Any, ...]:  # noqa: ANN401
            found = at(jnp.full((1, 1), option))
            less = found[0] < best[0]
            kept = jax.tree.map(lambda one, other: jnp.where(less, one, other), found, best[:-1])
            return (*kept, jnp.where(less, option, best[-1]).astype(jnp.int16))

        nothing = jax.tree.map(jnp.zeros_like, jax.eval_shape(at, jnp.zeros((1, 1), dtype=jnp.int64)))
        start_at = (jnp.full(size, jnp.inf), *nothing[1:], jnp.zeros(size, dtype=jnp.int16))
        unroll = 1 if jax.default_backend() == "cpu" else _UNROLLED
        *found, option = lax.fori_loop(0, len(fleet.menu_of(kind)), better, start_at, unroll=unroll)
    else:
        option = lax.dynamic_slice(pick, (first,), (size,))
        found = list(at(option[:, None].astype(jnp.int64)))
    cost, shares = found[0], jnp.stack(found[1])
    place = first + jnp.arange(size)
    mine = (place >= start) & (place < n)
    cost, shares = jnp.where(mine, cost, 0.0), jnp.where(mine, shares, 0.0)
    if n_resources == 1:
        use = _added(shares.sum(0))[None]
    else:
        use = jnp.zeros(n_resources).at[jnp.stack(found[2]).ravel()].add(shares.ravel())
    return _added(cost), _added(jnp.abs(cost)), use, option, shares


def _switched(at_high: Any, at_low: Any, room: Any) -> tuple[Any, Any]:  # noqa: ANN401
    """Return the options of a chunk, and the room that is left for others."""
    (option, shares), (other, more) = at_high, at_low
    extra = jnp.where(other != option, (more - shares).sum(0), 0.0)
    fits = (jnp.cumsum(extra) <= room) & (other != option)
    return jnp.where(fits, other, option), room - jnp.where(fits, extra, 0.0).sum()


_switched_at_once = jax.jit(_switched)


def _added(values: Any) -> Any:  # noqa: ANN401
    """Return the sum of values (n,), over rows and rows of rows."""
    while values.shape[0] > 1:
        short = -values.shape[0] % _ROW if values.shape[0] > _ROW else 0
        values = jnp.pad(values, (0, short)).reshape(-1, min(values.shape[0], _ROW)).sum(1)
    return values[0]
