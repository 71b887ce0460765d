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
from dmcjia_opt.model.scenario.fleet import Fleet
from dmcjia_opt.model.scenario.node_limits import NodeLimits
from dmcjia_opt.model.scenario.services import COLUMNS

jax.config.update("jax_enable_x64", True)

_CHUNK = {"cpu": 1 << 15, "gpu": 1 << 22}  # nodes that are priced at a time
_ROW = 512  # terms that are added in any order
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
    """

    def __init__(self, fleet: Fleet, place: int = 0) -> None:
        self.fleet, self.place = fleet, place
        self._chunk = _CHUNK.get(jax.default_backend(), _CHUNK["gpu"])
        self._kinds = [_Kind(fleet, kind, self._chunk) for kind in range(len(fleet.menus.kinds))]
        self._steps: tuple[Step, ...] = ()

    def ask(self, steps: tuple[Step, ...], prices: FloatArray) -> Sums:
        """Return what the nodes do at prices (n_resources,), after some steps."""
        self._take(steps)
        at = jnp.asarray(prices, dtype=jnp.float64)
        chunks = jax.device_get([found for kind in self._kinds for found in kind.sums(at)])
        cost, magnitude = (math.fsum(float(chunk[k]) for chunk in chunks) for k in (0, 1))
        use = np.sum([chunk[2] for chunk in chunks], axis=0)
        depth = 1 + math.ceil(math.log(max(self._chunk, 2), _ROW))
        return Sums(cost - depth * _ROW * EPS * magnitude, magnitude, use, np.zeros(len(prices)))

    def between(self, steps: tuple[Step, ...], step: Between) -> tuple[Sums, Sums]:
        """Return what the nodes do at both ends; every pass looks at whole menus, so nothing is ruled out."""
        return self.ask(steps, np.array(step.low)), self.ask(steps, np.array(step.high))

    def more(self, steps: tuple[Step, ...], low: FloatArray, high: FloatArray) -> float:
        """Return by how much the shares grow if every node has the option for `low` instead of that for `high`."""
        self._take(steps)
        ends = [jnp.asarray(prices, dtype=jnp.float64) for prices in (low, high)]
        return float(sum((kind.cheapest(ends[0])[1] - kind.cheapest(ends[1])[1]).sum() for kind in self._kinds))

    def plan(self, steps: tuple[Step, ...], prices: FloatArray) -> tuple[IntArray, FloatArray]:
        """Return the options (n_nodes,) at which the nodes are after some steps, and the shares (n_nodes, n_uses)."""
        self._take(steps)
        options = np.empty(self.fleet.n_nodes, dtype=np.int64)
        shares = np.zeros((self.fleet.n_nodes, len(self.fleet.times.slots)))
        for kind in self._kinds:
            for rows, option, used in kind.chosen(jnp.asarray(prices, dtype=jnp.float64)):
                options[rows], shares[rows] = option, used
        return options, shares

    def _take(self, steps: tuple[Step, ...]) -> None:
        if self._steps != steps[: len(self._steps)]:
            self._steps = ()
            for kind in self._kinds:
                kind.pick = None
        for step in steps[len(self._steps) :]:
            if isinstance(step, Chosen):
                self._choose(step)
        self._steps = steps

    def _choose(self, step: Chosen) -> None:
        low, high = (jnp.asarray(prices) for prices in (step.low, step.high))
        room = step.rooms[self.place] if step.rooms else 0.0
        for kind in self._kinds:
            option, shares = kind.cheapest(high)
            if room > 0.0:
                other, more = kind.cheapest(low)
                extra = np.where(other != option, more - shares, 0.0)
                total = np.cumsum(extra)
                option = np.where((other != option) & (total <= room), other, option)
                room -= float(extra[total <= room].sum())
            kind.pick = jnp.asarray(option)


class _Kind:
    """Nodes of one kind.

    Parameters
    ----------
    fleet, kind
        Whose, and which.
    chunk
        How many are priced at a time.
    """

    def __init__(self, fleet: Fleet, kind: int, chunk: int) -> None:
        self.rows = fleet.rows_of(kind)
        self.pick: Any = None
        self._columns = _on_device(fleet, None if len(fleet.menus.kinds) == 1 else self.rows)
        self._n, self._size = len(self.rows), min(chunk, len(self.rows))
        self._n_uses = len(fleet.times.slots)
        self._one = jax.jit(partial(_answer, fleet, kind, self._size))

    def _answers(self, prices: Any) -> Iterator[Any]:  # noqa: ANN401 - arrays of JAX
        for start in range(0, self._n, self._size):
            first = min(start, self._n - self._size)
            yield self._one(self._columns, self.pick, first, start, prices)

    def sums(self, prices: Any) -> list[Any]:  # noqa: ANN401
        """Return what every chunk costs and uses."""
        return [found[:3] for found in self._answers(prices)]

    def cheapest(self, prices: Any) -> tuple[IntArray, FloatArray]:  # noqa: ANN401
        """Return the cheapest options (n,) that are left, and the sums (n,) of their shares."""
        found = list(self.chosen(prices))
        return np.concatenate([option for _, option, _ in found]), np.concatenate([used.sum(1) for *_, used in found])

    def chosen(self, prices: Any) -> Iterator[tuple[IntArray, IntArray, FloatArray]]:  # noqa: ANN401
        """Yield nodes (n,), the options that cost them least, and the shares (n, n_uses) of those."""
        for start, found in zip(range(0, self._n, self._size), self._answers(prices), strict=True):
            skipped = max(start - (self._n - self._size), 0)
            option, used = np.asarray(found[3])[skipped:], np.asarray(found[4]).T[skipped:]
            yield self.rows[start : start + self._size], option, used


def _on_device(fleet: Fleet, rows: IntArray | None) -> dict[str, Any]:
    """Return the columns of some nodes, (n,), or (1,) where all entries are the same."""

    def sent(column: Any) -> Any:  # noqa: ANN401 - an array of NumPy or JAX
        if isinstance(column, jax.Array):
            return column if rows is None else column[rows]
        one = column[:1]
        if column.strides[0] == 0 or bool((column == one).all()):
            return jnp.asarray(one)
        return jnp.asarray(column if rows is None else column[rows])

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
    columns: dict[str, Any],
    pick: Any,  # noqa: ANN401
    first: Any,  # noqa: ANN401
    start: Any,  # noqa: ANN401
    prices: Any,  # noqa: ANN401
) -> tuple[Any, ...]:
    """Return cost, its magnitude and use of the nodes of a chunk from `start` on, and their options and shares."""
    own = {key: lax.dynamic_slice(v, (first,), (size,)) if v.shape[0] > 1 else v for key, v in columns.items()}
    limits = None if fleet.times.limits is None else NodeLimits(**{key: own[key] for key in _LIMITS})
    times = replace(fleet.times, **{key: own[key] for key in COLUMNS}, limits=limits)
    deadline = own.get("deadline", fleet.deadline)
    some = replace(fleet, times=times, weight=own["weight"], deadline=deadline)
    slots = fleet.times.slots
    n_resources = len(fleet.resources)

    def at(option: Any) -> tuple[Any, Any, Any]:  # noqa: ANN401
        """Return cost (n,), shares and resources (n_uses, n) of one option, (1, 1) or of each node its own (n, 1)."""
        group = made(some, kind, slice(None), option)
        cost, shares = group.priced(prices)
        used = [slot for slot in slots if slot in group.slots]
        wide = [jnp.zeros(size)] * len(slots)
        which = [jnp.zeros(size, dtype=jnp.int32)] * len(slots)
        for slot, share, use in zip(used, shares, group.uses, strict=True):
            k = slots.index(slot)
            wide[k] = jnp.broadcast_to(share[:, 0], size)
            if use.resource is not None:
                which[k] = jnp.broadcast_to(use.resource[:, 0], size).astype(jnp.int32)
        return jnp.broadcast_to(cost[:, 0], size), jnp.stack(wide), jnp.stack(which)

    if pick is None:

        def better(option: Any, best: tuple[Any, ...]) -> tuple[Any, ...]:  # noqa: ANN401
            cost, shares, which = at(jnp.full((1, 1), option))
            less = cost < best[0]
            return (
                jnp.where(less, cost, best[0]),
                jnp.where(less, shares, best[1]),
                jnp.where(less, which, best[2]),
                jnp.where(less, option, best[3]).astype(jnp.int16),
            )

        nothing = (
            jnp.full(size, jnp.inf),
            jnp.zeros((len(slots), size)),
            jnp.zeros((len(slots), size), dtype=jnp.int32),
            jnp.zeros(size, dtype=jnp.int16),
        )
        cost, shares, which, option = lax.fori_loop(0, len(fleet.menu_of(kind)), better, nothing)
    else:
        option = lax.dynamic_slice(pick, (first,), (size,))
        cost, shares, which = at(option[:, None].astype(jnp.int32))
    mine = first + jnp.arange(size) >= start
    cost, shares = jnp.where(mine, cost, 0.0), jnp.where(mine, shares, 0.0)
    if n_resources == 1:
        use = _added(shares.sum(0))[None]
    else:
        use = jnp.zeros(n_resources).at[which.ravel()].add(shares.ravel())
    return _added(cost), _added(jnp.abs(cost)), use, option, shares


def _added(values: Any) -> Any:  # noqa: ANN401
    """Return the sum of values (n,), over rows and rows of rows."""
    while values.shape[0] > 1:
        short = -values.shape[0] % _ROW if values.shape[0] > _ROW else 0
        values = jnp.pad(values, (0, short)).reshape(-1, min(values.shape[0], _ROW)).sum(1)
    return values[0]
