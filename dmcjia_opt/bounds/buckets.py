"""Buckets of similar nodes, and the options that none of them ever chooses between two prices.

What an option costs never falls where a node gets slower, sends more, has less room or pays more. So in a bucket its
cost lies between what it costs a node that has the best of every column at the lower price, and one that has the worst
at the higher. An option that costs the former more than another one costs the latter is chosen by no node in between.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from dmcjia_opt.base.arrays import EPS, BoolArray, FloatArray, IntArray
from dmcjia_opt.bounds.dual import priced
from dmcjia_opt.model.scenario.as_columns import Fleet
from dmcjia_opt.model.scenario.node_limits import NodeLimits

_MEMBERS, _MOST_BINS = 200, 64  # nodes that a bucket should have, and bins of one column
#: Columns by whether more of them is better.
_MORE_IS_BETTER = {
    "compute": True,
    "bandwidth": True,
    "rate": False,
    "scv": False,
    "input_bytes": False,
    "latency": False,
}
ShortArray: TypeAlias = np.ndarray[tuple[Any, ...], np.dtype[np.int16]]
_LIMITS = {"memory": True, "energy": True, "joule_per_flop": False, "watts": False}


def bucketed(
    fleet: Fleet, kind: int, rows: IntArray, low: FloatArray, high: FloatArray
) -> Iterator[tuple[IntArray, ShortArray | None]]:
    """Yield nodes of one kind, (n,), and the options (n, k) that may be chosen between two prices of one resource.

    Where buckets would be too small to pay, or costs do not go one way, that is the whole menu, None.
    """
    code = None if fleet.rules.literal else _code(fleet, rows)
    if code is None:
        yield rows, None
        return
    order = np.argsort(code, kind="stable")
    rows, code = rows[order], code[order]
    starts = np.flatnonzero(np.concatenate([[True], code[1:] != code[:-1]]))
    keep = _kept(fleet, kind, rows, starts, low, high)
    count = keep.sum(axis=1)
    width = int(count.max())
    first = np.argsort(~keep, axis=1, kind="stable")[:, :width]
    option: ShortArray = np.where(np.arange(width) < count[:, None], first, first[:, :1]).astype(np.int16)
    bucket = np.repeat(np.arange(len(starts)), np.diff([*starts, len(rows)]))
    for k in np.unique(count).tolist():
        mine = count[bucket] == k
        yield rows[mine], option[bucket[mine], :k]


def _code(fleet: Fleet, rows: IntArray) -> IntArray | None:
    """Return the bucket (n,) of every node; None if there would be hardly more nodes than buckets."""
    varying = [column for column in _columns(fleet, rows) if column.min() < column.max()]
    bins = int(min((len(rows) / _MEMBERS) ** (1.0 / max(len(varying), 1)), _MOST_BINS))
    if bins < 2:
        return None
    code = np.zeros(len(rows), dtype=np.int64)
    for column in varying:
        finite = np.where(np.isfinite(column) & (column > 0), column, 1.0)
        place = np.log(finite)
        least, most = place.min(), place.max()
        found = ((place - least) * ((bins - 1e-9) / (most - least))).astype(np.int64) if most > least else 0
        code = code * (bins + 1) + np.where(np.isfinite(column) & (column > 0), found, bins)
    for index in (fleet.times.device_index[rows], fleet.times.link[rows], fleet.times.host[rows]):
        if index.min() < index.max():
            code = code * (int(index.max()) + 2) + index + 1
    return code if len(np.unique(code)) * _MEMBERS <= 2 * len(rows) else None


def _columns(fleet: Fleet, rows: IntArray) -> Iterator[FloatArray]:
    yield from (getattr(fleet.times, key)[rows] for key in _MORE_IS_BETTER)
    if fleet.times.limits is not None:
        yield from (getattr(fleet.times.limits, key)[rows] for key in _LIMITS)
    yield fleet.weight[rows]
    if fleet.deadline.size:
        yield fleet.deadline[rows]


def _kept(fleet: Fleet, kind: int, rows: IntArray, starts: IntArray, low: FloatArray, high: FloatArray) -> BoolArray:
    """Return which options (n_buckets, n_options) some node of each bucket may choose."""
    cheapest = _corner(fleet, rows, starts, best=True)
    dearest = _corner(fleet, rows, starts, best=False)
    every = slice(None)
    # a price counts as much as the weight of who pays it is small
    least = priced(cheapest.problem(kind, every), low)[0] / cheapest.weight[:, None]
    most = priced(dearest.problem(kind, every), high)[0] / dearest.weight[:, None]
    ceiling = most.min(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        keep: BoolArray = ~(least > ceiling * (1.0 + 64.0 * EPS))
    keep[:, -1] |= ~keep.any(axis=1)
    return keep


def _corner(fleet: Fleet, rows: IntArray, starts: IntArray, *, best: bool) -> Fleet:
    """Return a fleet of one node a bucket, which has the best or the worst of all columns of its nodes."""

    def of(column: FloatArray, more: bool) -> FloatArray:
        return np.asarray((np.maximum if more is best else np.minimum).reduceat(column[rows], starts))

    def limit(column: FloatArray) -> FloatArray:  # NaN is no limit
        found = of(np.where(np.isnan(column), np.inf, column), more=True)
        return np.where(np.isinf(found), np.nan, found)

    times = fleet.times
    first = rows[starts]
    columns: dict[str, Any] = {key: of(getattr(times, key), more) for key, more in _MORE_IS_BETTER.items()}
    columns |= {key: getattr(times, key)[first] for key in ("link", "host", "device_index")}
    limits = times.limits
    if limits is not None:
        limits = NodeLimits(
            **{
                key: limit(getattr(limits, key)) if more else of(getattr(limits, key), more)
                for key, more in _LIMITS.items()
            }
        )
    times = replace(times, **columns, limits=limits, menus=replace(times.menus, index=times.menus.index[first]))
    deadline = of(fleet.deadline, more=True) if fleet.deadline.size else fleet.deadline
    return replace(fleet, times=times, weight=of(fleet.weight, more=True), deadline=deadline)
