"""The fleet by columns, and one node as a scenario file has it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Generic, SupportsIndex, TypeAlias, TypeVar, overload

import numpy as np
from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from dmcjia_opt.base.arrays import FloatArray, IntArray, constant, frozen, frozen_int
from dmcjia_opt.base.entries import TableEntry, all_of
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.fields import STRICT, Name, NonNegative, Positive, check_names, out_of_range
from dmcjia_opt.base.limits import MOST_LAYERS, MOST_NODES
from dmcjia_opt.base.showing import brief
from dmcjia_opt.base.suggesting import did_you_mean, listed

#: Columns of numbers that every fleet has; NaN in ``input_bytes`` and ``uplink_mbps`` where a node has none.
QUANTITIES = ("compute_gflops", "uplink_mbps", "arrival_rate", "input_bytes")
#: Columns of numbers that a node may do without; NaN where it does.
OPTIONAL = (
    "rtt_ms",
    "result_bytes",
    "downlink_mbps",
    "memory_mb",
    "min_split",
    "max_split",
    "energy_j",
    "joule_per_gflop",
    "transmit_watts",
    "weight",
    "deadline_ms",
    "arrivals",
)
#: Those of them that are whole numbers.
WHOLE = frozenset({"min_split", "max_split"})
#: Columns of labels that a node may do without, beside its device.
LABELS = ("link", "servers", "tiers", "host", "splits")
#: Quantities that may be 0.
ZERO = frozenset(
    {"input_bytes", "rtt_ms", "result_bytes", "min_split", "max_split", "joule_per_gflop", "transmit_watts", "arrivals"}
)
#: Arrivals with a name, by the squared coefficient of variation of the gaps between them; NaN as if left out.
ARRIVALS: Mapping[str, float] = MappingProxyType({"poisson": math.nan, "periodic": 0.0})
_MOST_SHOWN = 12

Label = TypeVar("Label")
Split = Annotated[int, Field(ge=0, le=MOST_LAYERS)]


def _varying(value: object) -> object:
    """Return the squared coefficient of variation that a word says, None for Poisson's."""
    if not isinstance(value, str):
        return value
    if value not in ARRIVALS:
        raise PydanticCustomError(
            "arrivals",
            'must be "poisson", "periodic" or the squared coefficient of variation of the gaps, a number >= 0{hint}',
            {"hint": did_you_mean(value, ARRIVALS)},
        )
    return None if math.isnan(ARRIVALS[value]) else ARRIVALS[value]


class Node(TableEntry):
    """One ``[[nodes]]`` entry of a scenario file; ``device`` names measured times in place of ``compute_gflops``.

    Examples
    --------
    >>> from dmcjia_opt import Node
    >>> Node("gate", "resnet34", compute_gflops=5, uplink_mbps=25, arrival_rate=1, deadline_ms=400)
    Node(name='gate', model='resnet34', compute_gflops=5.0, arrival_rate=1.0, uplink_mbps=25.0, deadline_ms=400.0)
    """

    model_config = STRICT
    name: Name
    model: Name
    compute_gflops: Positive
    arrival_rate: Positive
    uplink_mbps: Positive | None = None
    input_bytes: NonNegative | None = None
    device: Name | None = None
    link: Name | None = None
    servers: Annotated[list[Name], Field(min_length=1)] | None = None
    tiers: Annotated[list[Name], Field(min_length=2, max_length=2)] | None = None
    host: Name | None = None
    rtt_ms: NonNegative | None = None
    result_bytes: NonNegative | None = None
    downlink_mbps: Positive | None = None
    memory_mb: Positive | None = None
    min_split: Split | None = None
    max_split: Split | None = None
    splits: Annotated[list[Split], Field(min_length=1)] | None = None
    energy_j: Positive | None = None
    joule_per_gflop: NonNegative | None = None
    transmit_watts: NonNegative | None = None
    weight: Positive | None = None
    deadline_ms: Positive | None = None
    arrivals: Annotated[NonNegative | None, BeforeValidator(_varying)] = None


@dataclass(frozen=True, slots=True, eq=False)
class Labels(Generic[Label]):
    """A column of few distinct values, of which a node may have none.

    Parameters
    ----------
    values
        The distinct ones.
    index
        (n_nodes,) index into `values`, −1 where a node has none; one number stands for a column of it.

    Examples
    --------
    >>> from dmcjia_opt.model.scenario.nodes import Labels
    >>> links = Labels.of(["cell-3", None, "cell-3"])
    >>> links.values, links.index, links.at(1)
    (('cell-3',), array([ 0, -1,  0]), None)
    """

    values: tuple[Label, ...] = ()
    index: IntArray = field(default_factory=lambda: frozen_int(-1))

    __repr__ = brief

    @classmethod
    def of(cls, cells: Iterable[Label | None]) -> Labels[Label]:
        """Return the column that holds these values, None for none."""
        place: dict[Label, int] = {}
        index = [-1 if cell is None else place.setdefault(cell, len(place)) for cell in cells]
        return cls(tuple(place), frozen_int(index))

    def at(self, d: int) -> Label | None:
        """Return the value of node `d`, or None."""
        row = int(self.index[d])
        return self.values[row] if row >= 0 else None


class Unnamed(Sequence[str]):
    """Names that were not read: every node is called by its row.

    Parameters
    ----------
    n
        How many nodes there are.
    digest
        A hash of the names, if they were looked at.
    """

    def __init__(self, n: int, digest: str = "") -> None:
        self._n, self.digest = n, digest

    def __len__(self) -> int:
        return self._n

    @overload
    def __getitem__(self, d: SupportsIndex, /) -> str: ...
    @overload
    def __getitem__(self, d: slice, /) -> Sequence[str]: ...
    def __getitem__(self, d: SupportsIndex | slice, /) -> str | Sequence[str]:
        """Return what a node is called, or what some are."""
        if isinstance(d, slice):
            return [self[k] for k in range(*d.indices(self._n))]
        return f"row {range(self._n)[d] + 1}"


Names: TypeAlias = tuple[str, ...] | Unnamed


def _none() -> FloatArray:
    return frozen(np.nan)


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
        (n_nodes,) GFLOP/s, Mbit/s (10⁶ bit/s; NaN where a node has a shared link only) and tasks per second.
    network_index
        (n_nodes,) index into `networks`; 0 if omitted.
    input_bytes
        (n_nodes,) bytes of the raw input; NaN, as if omitted, where the profile's own holds.
    devices
        Distinct devices whose measured times replace ``compute_gflops``.
    device_index
        (n_nodes,) index into `devices`; −1, as if omitted, for a node without measured times.
    link, servers, tiers, host
        Names of a node's shared link; of the servers it may use; of the two servers in a row behind it; of the device
        that it has in common with others.
    splits
        The splits a node may have.
    rtt_ms, result_bytes, downlink_mbps, memory_mb, min_split, max_split, energy_j, joule_per_gflop, transmit_watts
        (n_nodes,) as in a scenario file; NaN, as if omitted, for none.
    weight
        (n_nodes,) how much a node counts in the mean; NaN, as if omitted, for 1.
    deadline_ms
        (n_nodes,) the longest delay that a node may have, ms; NaN, as if omitted, for any.
    arrivals
        (n_nodes,) squared coefficient of variation of the gaps between a node's tasks, 0 where they are periodic; NaN,
        as if omitted, for Poisson arrivals.

    Examples
    --------
    >>> from dmcjia_opt import Scenario
    >>> from dmcjia_opt.model.scenario.nodes import NodeTable
    >>> columns = {"compute_gflops": [5, 10], "uplink_mbps": [25, 6], "arrival_rate": 1.0}
    >>> Scenario(60, NodeTable(("gate", "yard"), ("resnet34",), **columns))
    Scenario(2 nodes running resnet34, cloud 60 GFLOP/s)
    """

    names: Names
    networks: tuple[str, ...]
    compute_gflops: FloatArray
    uplink_mbps: FloatArray
    arrival_rate: FloatArray
    network_index: IntArray = field(default_factory=lambda: frozen_int(0))
    input_bytes: FloatArray = field(default_factory=lambda: frozen(np.nan))
    devices: tuple[str, ...] = ()
    device_index: IntArray = field(default_factory=lambda: frozen_int(-1))
    link: Labels[str] = field(default_factory=Labels)
    servers: Labels[tuple[str, ...]] = field(default_factory=Labels)
    tiers: Labels[tuple[str, ...]] = field(default_factory=Labels)
    host: Labels[str] = field(default_factory=Labels)
    splits: Labels[tuple[int, ...]] = field(default_factory=Labels)
    rtt_ms: FloatArray = field(default_factory=_none)
    result_bytes: FloatArray = field(default_factory=_none)
    downlink_mbps: FloatArray = field(default_factory=_none)
    memory_mb: FloatArray = field(default_factory=_none)
    min_split: FloatArray = field(default_factory=_none)
    max_split: FloatArray = field(default_factory=_none)
    energy_j: FloatArray = field(default_factory=_none)
    joule_per_gflop: FloatArray = field(default_factory=_none)
    transmit_watts: FloatArray = field(default_factory=_none)
    weight: FloatArray = field(default_factory=_none)
    deadline_ms: FloatArray = field(default_factory=_none)
    arrivals: FloatArray = field(default_factory=_none)

    __repr__ = brief

    def __post_init__(self) -> None:
        """Freeze the columns and check their lengths and values."""
        n = len(self.names)
        for key in (*QUANTITIES, *OPTIONAL, "network_index", "device_index"):
            column = np.asarray(getattr(self, key))
            freeze = frozen_int if key in ("network_index", "device_index") else frozen
            column = freeze(column)
            object.__setattr__(self, key, column if column.ndim else np.broadcast_to(column, n))
            if getattr(self, key).shape != (n,):
                raise InputError(f"nodes: column {key} has {column.size} values for {n} names")
        for key in LABELS:
            labels = getattr(self, key)
            index = labels.index if labels.index.ndim else np.broadcast_to(labels.index, n)
            if index.shape != (n,) or index.min(initial=0) < -1 or index.max(initial=-1) >= len(labels.values):
                raise InputError(
                    f"nodes: column {key} needs −1 or one of its {len(labels.values)} values for every name"
                )
            object.__setattr__(self, key, Labels(labels.values, index))
        if not self.names:
            raise InputError("nodes: a scenario needs at least one node; add [[nodes]], or a row to nodes_file")
        if len(self.names) > MOST_NODES:
            raise InputError(f"nodes: {len(self.names):,} nodes are refused; the most is {MOST_NODES:,}")
        several = [name for labels in (self.servers, self.tiers) for names in labels.values for name in names]
        for what, names in (
            ("name", () if isinstance(self.names, Unnamed) else self.names),
            ("model", self.networks),
            ("device", self.devices),
            ("link", self.link.values),
            ("host", self.host.values),
            ("server", several),
        ):
            check_names(f"nodes: the {what}", names)
        if not isinstance(self.names, Unnamed):
            self._check_names(self.names)
        if self.network_index.min() < 0 or self.network_index.max() >= len(self.networks):
            raise InputError("nodes: network_index needs one row of networks for every name")
        if self.device_index.min() < -1 or self.device_index.max() >= len(self.devices):
            raise InputError("nodes: device_index needs −1 or one row of devices for every name")
        self._check_quantities()

    def _check_names(self, names: tuple[str, ...]) -> None:
        """Refuse names of nothing but blanks, and names that several nodes have."""
        if not all(map(str.strip, names)):
            d = next(d for d, name in enumerate(names) if not name.strip())
            raise InputError(f"nodes: node {d + 1} has no name; give every node its own")
        counts = Counter(names) if len(set(names)) < len(names) else Counter[str]()
        twice = [f'"{name}"' for name, count in counts.items() if count > 1]
        if twice:
            what = "the name" if len(twice) == 1 else "the names"
            is_are = "is" if len(twice) == 1 else "are"
            raise InputError(f"nodes: {what} {listed(twice)} {is_are} used twice; give every node its own")

    def _check_quantities(self) -> None:
        """Refuse what is no sensible quantity, told for the first dozen nodes."""
        wrong: dict[int, list[str]] = {}
        for key in (*QUANTITIES, *(key for key in OPTIONAL if self.has(key))):
            values = getattr(self, key)
            rules = out_of_range(values, zero=key in ZERO)
            if key in ("compute_gflops", "arrival_rate"):
                rules = [(np.isnan(values), "finite and > 0"), *rules]
            elif key == "uplink_mbps":
                rules = [(np.isnan(values) & (self.link.index < 0), "finite and > 0, or link must name a link"), *rules]
            elif key in WHOLE:
                rules = [*rules, (np.isfinite(values) & (values != np.floor(values)), "a whole number")]
            for refused, what in rules:
                for d in np.flatnonzero(refused):
                    wrong.setdefault(int(d), []).append(f'{key} of "{self.names[d]}" must be {what}, got {values[d]}')
        self._check_pairs(wrong)
        if wrong:
            first = sorted(wrong)[:_MOST_SHOWN]
            told = [", and ".join(wrong[d]) for d in first]
            raise InputError(f"nodes: {listed(told, len(wrong) - len(first), 'node')}")

    def _check_pairs(self, wrong: dict[int, list[str]]) -> None:
        """Refuse keys that mean nothing without another one, or beside it."""
        given = {key: np.isfinite(getattr(self, key)) for key in OPTIONAL if self.has(key)}
        none = np.zeros(len(self), dtype=np.bool_)
        result, down = given.get("result_bytes", none), given.get("downlink_mbps", none)
        energy = given.get("energy_j", none)
        powers = given.get("joule_per_gflop", none) | given.get("transmit_watts", none)
        low, high = self.min_split, self.max_split
        for refused, sentence in (
            (result & ~down, '"{}" has result_bytes and no downlink_mbps to fetch them over; add it'),
            (down & ~result, '"{}" has downlink_mbps and no result_bytes to fetch; add them'),
            (energy & ~powers, '"{}" has energy_j; add joule_per_gflop or transmit_watts, or both'),
            (powers & ~energy, '"{}" has joule_per_gflop or transmit_watts and no energy_j to keep to; add it'),
            (low > high, 'min_split of "{}" is above its max_split; let it be no larger'),
            (
                (self.servers.index >= 0) & (self.tiers.index >= 0),
                '"{}" has servers and tiers; keep servers to choose one, tiers for two in a row',
            ),
        ):
            for d in np.flatnonzero(refused):
                wrong.setdefault(int(d), []).append(sentence.format(self.names[d]))
        for key in ("servers", "tiers", "splits"):
            labels = getattr(self, key)
            for k, value in enumerate(labels.values):
                short = key == "tiers" and len(value) != 2
                if short or not value or len(set(value)) < len(value):
                    what = "must name two servers" if short else "must have each of its entries once"
                    got = f"got {', '.join(map(str, value))}"
                    first = int(np.argmax(labels.index == k))
                    wrong.setdefault(first, []).append(f'{key} of "{self.names[first]}" {what}, {got}')

    def has(self, key: str) -> bool:
        """Return whether some node has the optional quantity `key`."""
        column = getattr(self, key)
        return bool(np.isfinite(column[:1] if column.strides == (0,) else column).any() or np.isinf(column).any())

    @property
    def arrival_scv(self) -> FloatArray:
        """(n_nodes,) squared coefficient of variation of the gaps between a node's tasks; 1 for Poisson arrivals."""
        return np.nan_to_num(self.arrivals, nan=1.0) if self.has("arrivals") else constant(1.0, (len(self),))

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
    """Return the columns of validated nodes.

    Examples
    --------
    >>> from dmcjia_opt import Node
    >>> from dmcjia_opt.model.scenario.nodes import node_table
    >>> len(node_table([Node("gate", "resnet34", compute_gflops=5, uplink_mbps=25, arrival_rate=1)]))
    1
    """
    rows = list(nodes)
    index: dict[str, int] = {}
    network_index = [index.setdefault(node.model, len(index)) for node in rows]
    devices = Labels.of(node.device for node in rows)
    numbers = {key: np.array([getattr(node, key) for node in rows], dtype=np.float64) for key in QUANTITIES}
    optional = {key: [getattr(node, key) for node in rows] for key in OPTIONAL}
    numbers |= {
        key: np.array(cells, dtype=np.float64)
        for key, cells in optional.items()
        if any(cell is not None for cell in cells)
    }
    return NodeTable(
        names=tuple(node.name for node in rows),
        networks=tuple(index),
        network_index=np.array(network_index, dtype=np.int64),
        devices=devices.values,
        device_index=devices.index,
        link=Labels.of(node.link for node in rows),
        servers=Labels.of(_tuple(node.servers) for node in rows),
        tiers=Labels.of(_tuple(node.tiers) for node in rows),
        host=Labels.of(node.host for node in rows),
        splits=Labels.of(_tuple(node.splits) for node in rows),
        **numbers,
    )


class AnyNodes:
    """A field of a scenario: a node table, which may be given as nodes one by one."""

    def __get__(self, owner: object, kind: type | None = None) -> NodeTable:
        return owner.__dict__["nodes"] if owner is not None else ()  # type: ignore[return-value] # no nodes by default

    def __set__(self, owner: object, given: NodeTable | Iterable[Node]) -> None:
        owner.__dict__["nodes"] = given if isinstance(given, NodeTable) else node_table(all_of(Node, given, "nodes"))


def _tuple(cells: list[Label] | None) -> tuple[Label, ...] | None:
    return None if cells is None else tuple(cells)
