"""Uplinks, round trips and results: the networks on which nodes do not meet."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from dmcjia_opt.base.arrays import BoolArray, FloatArray, IntArray, absent, constant
from dmcjia_opt.base.showing import brief


@dataclass(frozen=True, slots=True, eq=False)
class Stages:
    """What is said of each node by stage, each (..., n_nodes): mean delay or service time, s, or load.

    Examples
    --------
    >>> from dmcjia_opt import generate, solve
    >>> delays = solve(generate("paper", nodes=3, seed=1)).delays
    >>> bool((delays.total == delays.edge + delays.upload + delays.cloud).all())
    True
    """

    edge: FloatArray
    upload: FloatArray
    cloud: FloatArray

    __repr__ = brief

    @property
    def total(self) -> FloatArray:
        """Sum of the stages, (3-6)."""
        return self.edge + self.upload + self.cloud


@dataclass(frozen=True, slots=True, eq=False)
class Uplinks:
    """What tasks take on private networks in factored form, for the breakdown by stage and for baselines.

    Parameters
    ----------
    upload_bytes
        (n_menus, n_options) bytes that leave the node.
    menu_index
        (n_nodes,) row of the tables.
    bandwidth, input_bytes
        (n_nodes,) byte/s of its own uplink, +inf where it has none; raw input of the node.
    queue
        Whether the uplink serves one task at a time, so that tasks may wait for it.
    raw
        (n_menus, n_options) whether what leaves is the node's raw input, whose size the node says; at option 0 only
        when omitted.
    away
        (n_menus, n_options) whether it goes to a server; always when omitted.
    round_trip
        (n_menus, n_options) s; 0 when omitted.
    latency
        (n_nodes,) the node's own round trip, and the time of fetching the result, of what goes to a server, s; 0 when
        omitted.

    Examples
    --------
    >>> import numpy as np
    >>> from dmcjia_opt import compile_problem, generate
    >>> uplinks = compile_problem(generate("paper", nodes=3, seed=1)).uplinks
    >>> uplinks.sent(np.array([0, 16, 34]))
    array([602112., 200704.,   4000.])
    """

    upload_bytes: FloatArray
    menu_index: IntArray
    bandwidth: FloatArray
    input_bytes: FloatArray
    queue: bool = False
    raw: BoolArray = field(default_factory=lambda: np.empty(0, dtype=np.bool_))
    away: BoolArray = field(default_factory=lambda: np.empty(0, dtype=np.bool_))
    round_trip: FloatArray = field(default_factory=absent)
    latency: FloatArray = field(default_factory=absent)

    __repr__ = brief

    def __post_init__(self) -> None:
        """Complete the tables."""
        shape = self.upload_bytes.shape
        for key, table in (
            ("raw", np.broadcast_to(np.arange(shape[1]) == 0, shape)),
            ("away", np.broadcast_to(np.True_, shape)),
            ("round_trip", constant(0.0, shape)),
            ("latency", constant(0.0, self.bandwidth.shape)),
        ):
            if np.size(getattr(self, key)) == 0:
                object.__setattr__(self, key, table)

    def sent(self, options: IntArray) -> FloatArray:
        """Return the bytes that leave each node at `options` (..., n_nodes)."""
        sent = self.upload_bytes[self.menu_index, options]
        return np.where(self.raw[self.menu_index, options], self.input_bytes, sent)

    def upload(self, options: IntArray) -> FloatArray:
        """Return the time on the own uplink without any wait, s, of each node at `options` (..., n_nodes)."""
        return self.sent(options) / self.bandwidth

    def delay(self, options: IntArray) -> FloatArray:
        """Return all time on private networks without any wait, s: the uplink, round trips and the result."""
        return self.upload(options) + self.trip(options)

    def trip(self, options: IntArray) -> FloatArray:
        """Return the time of round trips and of fetching the result, s, of each node at `options` (..., n_nodes)."""
        latency = np.where(self.away[self.menu_index, options], self.latency, 0.0)
        return np.asarray(self.round_trip[self.menu_index, options] + latency)
