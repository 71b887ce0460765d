"""The fleet by columns, and one node as a scenario file has it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from pydantic import BaseModel

from dmcjia_opt.base.arrays import FloatArray, IntArray, frozen, frozen_int
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.fields import STRICT, Name, NonNegative, Positive, check_names, out_of_range
from dmcjia_opt.base.limits import MOST_NODES
from dmcjia_opt.base.suggesting import listed

#: Columns of numbers.
QUANTITIES = ("compute_gflops", "uplink_mbps", "arrival_rate", "input_bytes")
_MOST_SHOWN = 12


class Node(BaseModel):
    """One ``[[nodes]]`` entry of a scenario file; ``device`` names measured times in place of ``compute_gflops``."""

    model_config = STRICT
    name: Name
    model: Name
    compute_gflops: Positive
    uplink_mbps: Positive
    arrival_rate: Positive
    input_bytes: NonNegative | None = None
    device: Name | None = None


@dataclass(frozen=True, slots=True, eq=False)
class NodeTable:
    """The fleet by columns; row d is node d, and one number stands for a column of it.

    Parameters
    ----------
    names
        (n_nodes,) unique node names.
    networks
        Distinct network references (zoo names or profile paths), in order of first use.
    compute_gflops, uplink_mbps, arrival_rate
        (n_nodes,) GFLOP/s, Mbit/s (10⁶ bit/s) and tasks per second.
    network_index
        (n_nodes,) index into `networks`; 0 if omitted.
    input_bytes
        (n_nodes,) bytes of the raw input; NaN, as if omitted, where the profile's own holds.
    devices
        Distinct devices whose measured times replace ``compute_gflops``.
    device_index
        (n_nodes,) index into `devices`; −1, as if omitted, for a node without measured times.
    """

    names: tuple[str, ...]
    networks: tuple[str, ...]
    compute_gflops: FloatArray
    uplink_mbps: FloatArray
    arrival_rate: FloatArray
    network_index: IntArray = field(default_factory=lambda: frozen_int(0))
    input_bytes: FloatArray = field(default_factory=lambda: frozen(np.nan))
    devices: tuple[str, ...] = ()
    device_index: IntArray = field(default_factory=lambda: frozen_int(-1))

    def __post_init__(self) -> None:
        """Freeze the columns and check their lengths and values."""
        n = len(self.names)
        for key in (*QUANTITIES, "network_index", "device_index"):
            column = np.asarray(getattr(self, key))
            freeze = frozen if key in QUANTITIES else frozen_int
            object.__setattr__(self, key, freeze(column if column.ndim else np.full(n, column)))
            if getattr(self, key).shape != (n,):
                raise InputError(f"nodes: column {key} has {column.size} values for {n} names")
        if not self.names:
            raise InputError("nodes: a scenario needs at least one node; add [[nodes]], or a row to nodes_file")
        if len(self.names) > MOST_NODES:
            raise InputError(f"nodes: {len(self.names):,} nodes are refused; the most is {MOST_NODES:,}")
        for what, names in (("name", self.names), ("model", self.networks), ("device", self.devices)):
            check_names(f"nodes: the {what}", names)
        if not all(map(str.strip, self.names)):
            d = next(d for d, name in enumerate(self.names) if not name.strip())
            raise InputError(f"nodes: node {d + 1} has no name; give every node its own")
        if self.network_index.min() < 0 or self.network_index.max() >= len(self.networks):
            raise InputError("nodes: network_index needs one row of networks for every name")
        if self.device_index.min() < -1 or self.device_index.max() >= len(self.devices):
            raise InputError("nodes: device_index needs −1 or one row of devices for every name")
        self._check_quantities()
        counts = Counter(self.names) if len(set(self.names)) < n else Counter[str]()
        twice = [f'"{name}"' for name, count in counts.items() if count > 1]
        if twice:
            what = "the name" if len(twice) == 1 else "the names"
            is_are = "is" if len(twice) == 1 else "are"
            raise InputError(f"nodes: {what} {listed(twice)} {is_are} used twice; give every node its own")

    def _check_quantities(self) -> None:
        """Refuse what is no sensible quantity, told for the first dozen nodes."""
        wrong: dict[int, list[str]] = {}
        for key in QUANTITIES:
            values = getattr(self, key)
            rules = out_of_range(values, zero=key == "input_bytes")
            if key != "input_bytes":
                rules = [(np.isnan(values), "finite and > 0"), *rules]
            for refused, what in rules:
                for d in np.flatnonzero(refused):
                    wrong.setdefault(int(d), []).append(f'{key} of "{self.names[d]}" must be {what}, got {values[d]}')
        if wrong:
            first = sorted(wrong)[:_MOST_SHOWN]
            told = [", and ".join(wrong[d]) for d in first]
            raise InputError(f"nodes: {listed(told, len(wrong) - len(first), 'node')}")

    def __len__(self) -> int:
        return len(self.names)

    def network_of(self, d: int) -> str:
        """Return the network reference of node `d`."""
        return self.networks[int(self.network_index[d])]

    def device_of(self, d: int) -> str | None:
        """Return the device of node `d`, None if its times are not measured."""
        row = int(self.device_index[d])
        return self.devices[row] if row >= 0 else None

    def measured(self) -> tuple[tuple[str, str], ...]:
        """Return every pair of a device and a network reference that some node has, in order of the tables."""
        keys = np.unique((self.device_index * len(self.networks) + self.network_index)[self.device_index >= 0])
        return tuple((self.devices[key // len(self.networks)], self.networks[key % len(self.networks)]) for key in keys)


def node_table(nodes: Iterable[Node]) -> NodeTable:
    """Return the columns of validated nodes."""
    rows = list(nodes)
    index: dict[str, int] = {}
    network_index = [index.setdefault(node.model, len(index)) for node in rows]
    devices: dict[str, int] = {}
    on = [-1 if node.device is None else devices.setdefault(node.device, len(devices)) for node in rows]
    return NodeTable(
        names=tuple(node.name for node in rows),
        networks=tuple(index),
        network_index=np.array(network_index, dtype=np.int64),
        **{key: np.array([getattr(node, key) for node in rows], dtype=np.float64) for key in QUANTITIES},
        devices=tuple(devices),
        device_index=np.array(on, dtype=np.int64),
    )
