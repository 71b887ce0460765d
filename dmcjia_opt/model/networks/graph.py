"""A network as a graph of operations: what is alive across each cut, and the cuts a node may choose from.

Operations are kept in one order that depends on the graph alone, not on the order of a file: level by level, and
within a level depth first from the outputs. The level of an operation is the number of working operations (those
with MACs) on the longest path that ends with it, counted from the far end: work is placed as late as it can be, so a
shortcut's projection shares the level of the convolution to which its result is added, and whatever needs no MACs
stays with the work before it.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, groupby
from types import MappingProxyType
from typing import Literal

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.model.networks.closed_sets import Datum, Graph, best_chain

Cuts = Literal["layers", "blocks", "all", "graph", "chain"]
#: Which cuts a profile offers, and what they are.
CUTS: Mapping[Cuts, str] = MappingProxyType(
    {
        "layers": "after each level of working operations, where the fewest bytes cross",
        "blocks": "only where a single tensor crosses",
        "all": "after every operation",
        "graph": "along the best parts of the graph, branches one after the other where that sends less",
        "chain": "after each level, but counting only its own output, as the paper draws it",
    }
)
#: Bytes of an element of each type that an upload may be quantised to.
UPLOAD_BYTES: Mapping[str, float] = MappingProxyType(
    {"float32": 4.0, "float16": 2.0, "bfloat16": 2.0, "int8": 1.0, "uint8": 1.0, "int4": 0.5, "uint4": 0.5}
)


@dataclass(frozen=True, slots=True)
class Tensor:
    """What passes between operations.

    Parameters
    ----------
    name
        Unique in its network.
    shape
        All sizes known.
    item_bytes
        Bytes of an element.
    floating
        Whether an upload may quantise it; token numbers and masks are sent as they are.
    data
        The tensor whose elements these are: itself, or the origin of a reshaped or transposed view.
    dtype
        Type of its elements as NumPy calls it, such as ``"float32"``; empty where nobody knows.
    """

    name: str
    shape: tuple[int, ...]
    item_bytes: float
    floating: bool
    data: str
    dtype: str = ""

    def sent_bytes(self, upload_dtype: str | None) -> int:
        """Return the bytes of an upload, quantised to `upload_dtype` if given."""
        item = UPLOAD_BYTES[upload_dtype] if upload_dtype and self.floating else self.item_bytes
        return math.ceil(math.prod(self.shape) * item)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operator that data flows through.

    Parameters
    ----------
    name, kind
        Its own name, and its operator's.
    inputs, outputs
        Names of tensors; weights and other constants are left out.
    macs
        Multiply–accumulates.
    index
        Where its source has it.
    counted
        Whether a rule knows its MACs; 0 stands for a better figure if none does.
    weights
        Name and bytes of every constant tensor that it reads.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    macs: int
    index: int = -1
    counted: bool = True
    weights: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A network's data flow, its operations in the order of this module.

    Parameters
    ----------
    name
        The network's name.
    operations
        Those that lead from an input to an output, in any order.
    tensors
        Every tensor by name.
    inputs, outputs
        Names of the tensors that come in and go out.
    parameters
        Number of trained parameters.
    source
        Where the figures come from.
    """

    name: str
    operations: tuple[Operation, ...]
    tensors: Mapping[str, Tensor]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    parameters: int = 0
    source: str = ""
    levels: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Put the operations in order."""
        found = topological_order(
            [op.inputs for op in self.operations], [op.outputs for op in self.operations], self.outputs
        )
        ordered = [self.operations[i] for i in found]
        levels = _levels(ordered)
        by_level = sorted(range(len(ordered)), key=levels.__getitem__)
        object.__setattr__(self, "operations", tuple(ordered[i] for i in by_level))
        object.__setattr__(self, "levels", tuple(levels[i] for i in by_level))

    @property
    def total_macs(self) -> int:
        """MACs of the whole network."""
        return sum(op.macs for op in self.operations)

    @property
    def uncounted(self) -> Counter[str]:
        """How many operations of each kind no rule counts."""
        return Counter(op.kind for op in self.operations if not op.counted)

    @property
    def received(self) -> list[str]:
        """Names of the inputs that are read."""
        read = {name for op in self.operations for name in op.inputs} | set(self.outputs)
        return [name for name in self.inputs if name in read]

    def caution(self) -> str:
        """Return a sentence that names every operator that is not counted and its share; empty if there is none."""
        uncounted, total = self.uncounted, len(self.operations)
        if not uncounted:
            return ""
        kinds = ", ".join(f"{kind} ({n}, {100 * n / total:.2g} %)" for kind, n in sorted(uncounted.items()))
        return f"{uncounted.total()} of {total} operators count as 0 MACs because no rule knows them: {kinds}"


@dataclass(frozen=True, slots=True)
class Cut:
    """A place to split a network.

    Parameters
    ----------
    name
        The layer that ends here, called after the largest working operation of its last level.
    operations
        Those since the cut before, each after those it reads from.
    macs
        MACs since the cut before.
    upload_bytes
        Bytes of all tensors alive across the cut, each once.
    tensors
        How many those are.
    tensor_names
        What they are called, in the order in which they are made.
    own_bytes
        Bytes of the output of that operation alone, as it leaves it.
    weight_bytes
        Bytes of the constants that are read since the cut before, and not before it.
    """

    name: str
    operations: tuple[Operation, ...]
    macs: int
    upload_bytes: int
    tensors: int
    tensor_names: tuple[str, ...]
    own_bytes: int
    weight_bytes: float


def topological_order(
    inputs: Sequence[Sequence[str]], outputs: Sequence[Sequence[str]], wanted: Sequence[str]
) -> list[int]:
    """Return the operations that `wanted` needs, each after those it reads from, depth first from `wanted`.

    The order depends on the graph alone, not on how the operations are listed.

    Raises
    ------
    InputError
        If an operation needs its own output.
    """
    maker = {name: i for i, names in enumerate(outputs) for name in names}
    order: list[int] = []
    state: dict[int, bool] = {}  # False while what it needs is being visited, True when placed
    stack = [maker[name] for name in reversed(wanted) if name in maker]
    while stack:
        i = stack[-1]
        if i in state:
            stack.pop()
            if not state[i]:
                state[i] = True
                order.append(i)
            continue
        state[i] = False
        for name in reversed(inputs[i]):
            j = maker.get(name)
            if j is None or state.get(j):
                continue
            if j in state:
                raise InputError(f'the graph has a cycle through "{name}"')
            stack.append(j)
    return order


def take_cuts(network: Network, cuts: Cuts = "layers", upload_dtype: str | None = None) -> tuple[Cut, ...]:
    """Return the cuts of a network in order; the last one has everything at the node.

    Raises
    ------
    InputError
        If `cuts` or `upload_dtype` is unknown, or there is no work to cut.
    """
    if cuts not in CUTS:
        raise InputError(f'unknown cuts "{cuts}"; choose one of {", ".join(CUTS)}')
    if upload_dtype is not None and upload_dtype not in UPLOAD_BYTES:
        raise InputError(f'unknown upload type "{upload_dtype}"; choose one of {", ".join(UPLOAD_BYTES)}')
    if cuts != "all" and not network.total_macs:
        raise InputError(
            f'the network "{network.name}" has no operator that multiplies and accumulates: there is nothing to place'
        )
    order = _along_the_best(network, upload_dtype) if cuts == "graph" else range(len(network.operations))
    operations, levels = [network.operations[i] for i in order], [network.levels[i] for i in order]
    crossing, tensors = _crossing(network, operations, upload_dtype)
    if cuts == "all":
        places = list(range(1, len(operations) + 1))
    elif cuts == "graph":
        places = _places_by_work(operations, crossing, tensors)
    else:
        places = _places_by_level(operations, levels, crossing, tensors, single=cuts == "blocks")
    names: dict[str, int] = {}
    weights: dict[str, float] = {}
    alive, found = _alive(network, operations, places), []
    for start, end in zip([0, *places], places, strict=False):
        part = operations[start:end]
        main = _main(part, levels[start:end])
        own = sum(network.tensors[name].sent_bytes(upload_dtype) for name in main.outputs[:1])
        sent = own if cuts == "chain" else int(crossing[end])
        names[main.name] = seen = names.get(main.name, 0) + 1
        name = main.name if seen == 1 else f"{main.name}#{seen}"
        new = {of: size for op in part for of, size in op.weights if of not in weights}
        weights |= new
        macs = sum(op.macs for op in part)
        found.append(Cut(name, tuple(part), macs, sent, int(tensors[end]), alive[end], own, sum(new.values())))
    return tuple(found)


def single_tensor_cuts(network: Network) -> tuple[str, ...]:
    """Return the tensors that all data passes through, in order: the articulation points of the graph."""
    _, tensors = _crossing(network, network.operations, None)
    alive = _lifetimes(network, network.operations)
    found: list[str] = []
    for position in range(1, len(network.operations) + 1):
        if tensors[position] == 1:
            (name,) = (data for data, (made, used) in alive.items() if made < position <= used)
            if name not in found[-1:]:
                found.append(name)
    return tuple(found)


def _main(part: Sequence[Operation], levels: Sequence[int]) -> Operation:
    """Return the operation that a layer is called after."""
    last = max((level for op, level in zip(part, levels, strict=True) if op.macs), default=None)
    if last is None:
        return part[-1]
    return max((op for op, level in zip(part, levels, strict=True) if level == last), key=lambda op: op.macs)


def _levels(operations: Sequence[Operation]) -> list[int]:
    """Return the level of each operation, given in topological order."""
    after: dict[str, int] = {}  # working operations on the longest path from a tensor to an output
    beyond = []
    for op in reversed(operations):
        longest = max((after.get(name, 0) for name in op.outputs), default=0)
        beyond.append(longest)
        for name in op.inputs:
            after[name] = max(after.get(name, 0), longest + (op.macs > 0))
    beyond.reverse()
    depth = max((b + (op.macs > 0) for b, op in zip(beyond, operations, strict=True)), default=0)
    return [depth - b for b in beyond]


def _lifetimes(network: Network, operations: Sequence[Operation]) -> dict[str, tuple[int, int]]:
    """Return, for each datum, the positions in an order between which it is alive: after the first, up to the last."""
    made = dict.fromkeys(network.received, -1)
    used: dict[str, int] = {}
    for i, op in enumerate(operations):
        for name in op.outputs:
            made.setdefault(network.tensors[name].data, i)
        for name in op.inputs:
            used[network.tensors[name].data] = i
    for name in network.outputs:  # the result is uploaded too, (3-3)
        used[network.tensors[name].data] = len(operations)
    return {data: (made[data], last) for data, last in used.items()}


def _crossing(
    network: Network, operations: Sequence[Operation], upload_dtype: str | None
) -> tuple[FloatArray, IntArray]:
    """Return the bytes and the number of the data that cross each position of an order, (n_operations + 1,) each."""
    n = len(operations)
    sent, count = np.zeros(n + 2), np.zeros(n + 2, dtype=np.int64)
    for data, (made, used) in _lifetimes(network, operations).items():
        size = network.tensors[data].sent_bytes(upload_dtype)
        sent[made + 1] += size
        sent[used + 1] -= size
        count[made + 1] += 1
        count[used + 1] -= 1
    return np.cumsum(sent)[: n + 1], np.cumsum(count)[: n + 1]


def _alive(network: Network, operations: Sequence[Operation], places: Sequence[int]) -> dict[int, tuple[str, ...]]:
    """Return the data that cross each of some positions of an order, given in order, by position."""
    found: dict[int, list[str]] = {place: [] for place in places}
    for data, (made, used) in sorted(_lifetimes(network, operations).items(), key=lambda item: (item[1][0], item[0])):
        for place in places[bisect_right(places, made) : bisect_right(places, used)]:
            found[place].append(data)
    return {place: tuple(names) for place, names in found.items()}


def _places_by_level(
    operations: Sequence[Operation], levels: Sequence[int], crossing: FloatArray, tensors: IntArray, *, single: bool
) -> list[int]:
    """Return the positions of the cuts after each level, of single tensors only if asked; the last is after all."""
    n = len(operations)
    choices = []  # positions between which no work lies, one list for each amount of work before them
    for _, run in groupby(range(n), key=levels.__getitem__):
        indices = list(run)
        working = [i for i in indices if operations[i].macs]
        if working:
            choices.append(range(working[-1] + 1, indices[-1] + 2))
    kept = [[p for p in places if not single or tensors[p] == 1] for places in choices[:-1]]
    return [_fewest(places, crossing, tensors) for places in kept if places] + [n]


def _places_by_work(operations: Sequence[Operation], crossing: FloatArray, tensors: IntArray) -> list[int]:
    """Return the positions of the cuts after each working operation, and where less is sent than at either end."""
    n = len(operations)
    work = [0, *accumulate(op.macs for op in operations)]
    choices = [list(run) for _, run in groupby(range(n + 1), key=work.__getitem__)]
    found = [_fewest(places, crossing, tensors) for places in choices]
    return [p for p in found[:-1] if p and (work[p] or crossing[p] < crossing[0])] + [
        *([found[-1]] if crossing[found[-1]] < crossing[n] else []),
        n,
    ]


def _fewest(places: Sequence[int], crossing: FloatArray, tensors: IntArray) -> int:
    """Return the position where the fewest bytes cross."""
    return min(places, key=lambda p: (crossing[p], tensors[p], -p))


def _along_the_best(network: Network, upload_dtype: str | None) -> list[int]:
    """Return an order of the operations in which the best closed sets of the graph come first, one after the other.

    Between two of them, of the orders that finish a branch before the next, or begin it early or late, that counts
    whose cuts send the fewest bytes on average over the work.
    """
    operations, n = network.operations, len(network.operations)
    stage = np.zeros(n, dtype=np.int64)
    for members in best_chain(_as_graph(network, upload_dtype)):
        stage += np.array([i not in members for i in range(n)])
    reads, made = [op.inputs for op in operations], [op.outputs for op in operations]
    turned = [names[::-1] for names in reads]
    deep = [topological_order(reads, made, network.outputs), topological_order(turned, made, network.outputs[::-1])]
    early = _earliest(network)
    found: dict[int, tuple[float, list[int]]] = {}
    for order in (list(range(n)), sorted(deep[0], key=early.__getitem__), *deep):
        staged = sorted(order, key=stage.__getitem__)
        crossing, _ = _crossing(network, [operations[i] for i in staged], upload_dtype)
        start = 0
        for s, run in groupby(staged, key=stage.__getitem__):
            part = list(run)
            least, area = np.inf, 0.0
            for p, i in enumerate(part, start):
                least = min(least, float(crossing[p]))
                if operations[i].macs:
                    area, least = area + least * operations[i].macs, np.inf
            start += len(part)
            if s not in found or area < found[s][0]:
                found[s] = area, part
    return [i for s in sorted(found) for i in found[s][1]]


def _as_graph(network: Network, upload_dtype: str | None) -> Graph:
    """Return a network's operations and data by number."""
    operations, tensors = network.operations, network.tensors
    maker = {name: i for i, op in enumerate(operations) for name in op.outputs}
    origin = dict.fromkeys(network.received, -1)
    readers: dict[str, dict[int, None]] = {tensors[name].data: {} for name in network.outputs}
    for i, op in enumerate(operations):
        for name in op.outputs:
            origin.setdefault(tensors[name].data, i)
        for name in op.inputs:
            readers.setdefault(tensors[name].data, {})[i] = None
    results = {tensors[name].data for name in network.outputs}
    return Graph(
        work=[op.macs for op in operations],
        reads=[sorted({maker[name] for name in op.inputs if name in maker}) for op in operations],
        data=[
            Datum(tensors[name].sent_bytes(upload_dtype), origin[name], tuple(who), name in results)
            for name, who in readers.items()
        ],
    )


def _earliest(network: Network) -> list[int]:
    """Return, for each operation, the working operations on the longest path that ends with it."""
    before: dict[str, int] = {}
    found = []
    for op in network.operations:
        found.append(max((before.get(name, 0) for name in op.inputs), default=0) + (op.macs > 0))
        before.update(dict.fromkeys(op.outputs, found[-1]))
    return found
