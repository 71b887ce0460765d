"""A network as a graph of operations, and what is alive across each position in an order of them.

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
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from types import MappingProxyType

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.showing import brief
from dmcjia_opt.base.suggesting import listed

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
        The tensor that is sent for it: itself, or the origin of a reshaped, transposed or dequantised view.
    dtype
        Type of its elements as NumPy calls it, such as ``"float32"``; empty where nobody knows.

    Examples
    --------
    >>> from dmcjia_opt.model.networks.reading import read_profile
    >>> from dmcjia_opt.testing.networks import write_small
    >>> network = read_profile(str(write_small("small.onnx"))).model.network
    >>> network.tensors["b"].shape
    (1, 16)
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
    estimate
        MACs that no rule counts and that it has at least, by its weights; 0 if nothing is known.

    Examples
    --------
    >>> from dmcjia_opt.model.networks.reading import read_profile
    >>> from dmcjia_opt.testing.networks import write_small
    >>> network = read_profile(str(write_small("small.onnx"))).model.network
    >>> [operation.macs for operation in network.operations]
    [1024, 0, 64]
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    macs: int
    index: int = -1
    counted: bool = True
    weights: tuple[tuple[str, float], ...] = ()
    estimate: int = 0

    __repr__ = brief


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
    notes
        What the reader took for granted, a sentence each.
    state
        Inputs and outputs that stay where they are read and made from task to task, such as caches: no upload has them.

    Examples
    --------
    >>> from dmcjia_opt.model.networks.reading import read_profile
    >>> from dmcjia_opt.testing.networks import write_small
    >>> network = read_profile(str(write_small("small.onnx"))).model.network
    >>> [operation.kind for operation in network.operations]
    ['MatMul', 'Relu', 'MatMul']
    """

    name: str
    operations: tuple[Operation, ...]
    tensors: Mapping[str, Tensor]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    parameters: int = 0
    source: str = ""
    notes: tuple[str, ...] = ()
    state: frozenset[str] = frozenset()
    levels: tuple[int, ...] = field(init=False)

    __repr__ = brief

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
        """Names of the inputs that are read and not state."""
        read = {name for op in self.operations for name in op.inputs} | set(self.outputs)
        return [name for name in self.inputs if name in read and name not in self.state]

    @property
    def results(self) -> list[str]:
        """Names of the outputs that are not state."""
        return [name for name in self.outputs if name not in self.state]

    def keeping(self, patterns: Sequence[str]) -> Network:
        """Return the network with inputs and outputs as state: those of these names, in which ``*`` is any text."""
        ends = {*self.inputs, *self.outputs}
        return replace(self, state=frozenset(name for name in ends if any(fnmatchcase(name, p) for p in patterns)))

    def caution(self) -> str:
        """Return a sentence on the work that is not counted and the operators that do it; empty if there are none."""
        uncounted = self.uncounted
        if not uncounted:
            return ""
        least = sum(op.estimate for op in self.operations if not op.counted)
        share = "an unknown part of the work is not counted"
        if least:
            share = (
                f"at least {_at_least(least, self.total_macs)} % of the work is not counted, by the sizes of weights"
            )
        kinds = ", ".join(f"{kind} ({n})" if n > 1 else kind for kind, n in sorted(uncounted.items()))
        return f"{share}: no rule knows {kinds}"

    @property
    def cautions(self) -> tuple[str, ...]:
        """What is not counted and what was taken for granted, a sentence each."""
        return tuple(filter(None, [self.caution(), *self.notes]))


def _at_least(part: int, rest: int) -> str:
    """Return the percentage of a part in the sum of both, rounded down where its digits show."""
    per_million = part * 1_000_000 // (part + rest)
    percent = per_million / 10_000
    if 10 <= percent < 99:
        return f"{math.floor(percent)}"
    return f"{per_million // 100 / 100:g}" if percent >= 0.01 else f"{percent:g}"


def check_state(patterns: Sequence[str], networks: Iterable[Network], field: str = "state") -> None:
    """Refuse names of state, given in a field, that no input or output of any network has.

    Raises
    ------
    InputError
        If there is one; it names what there is.
    """
    ends = list(dict.fromkeys(name for network in networks for name in (*network.inputs, *network.outputs)))
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in ends):
            have = listed(ends, what="name")
            raise InputError(f'{field}: "{pattern}" is no input or output of a network; there are {have}: name those')


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


def lifetimes(network: Network, operations: Sequence[Operation]) -> dict[str, tuple[int, int]]:
    """Return, for each datum, the positions in an order between which it is alive: after the first, up to the last."""
    made = dict.fromkeys(network.received, -1)
    used: dict[str, int] = {}
    for i, op in enumerate(operations):
        for name in op.outputs:
            made.setdefault(network.tensors[name].data, i)
        for name in op.inputs:
            data = network.tensors[name].data
            made.setdefault(data, i)  # state is where it is read first
            used[data] = i
    for name in network.results:  # the result is uploaded too, (3-3)
        made.setdefault(network.tensors[name].data, -1)
        used[network.tensors[name].data] = len(operations)
    return {data: (made[data], last) for data, last in used.items()}


def crossing_of(
    network: Network, operations: Sequence[Operation], upload_dtype: str | None
) -> tuple[FloatArray, IntArray]:
    """Return the bytes and the number of the data that cross each position of an order, (n_operations + 1,) each."""
    n = len(operations)
    sent, count = np.zeros(n + 2), np.zeros(n + 2, dtype=np.int64)
    for data, (made, used) in lifetimes(network, operations).items():
        size = network.tensors[data].sent_bytes(upload_dtype)
        sent[made + 1] += size
        sent[used + 1] -= size
        count[made + 1] += 1
        count[used + 1] -= 1
    return np.cumsum(sent)[: n + 1], np.cumsum(count)[: n + 1]


def alive_at(network: Network, operations: Sequence[Operation], places: Sequence[int]) -> dict[int, tuple[str, ...]]:
    """Return the data that cross each of some positions of an order, given in order, by position."""
    found: dict[int, list[str]] = {place: [] for place in places}
    for data, (made, used) in sorted(lifetimes(network, operations).items(), key=lambda item: (item[1][0], item[0])):
        for place in places[bisect_right(places, made) : bisect_right(places, used)]:
            found[place].append(data)
    return {place: tuple(names) for place, names in found.items()}
