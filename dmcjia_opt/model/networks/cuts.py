"""Where a network may be cut: after levels of working operations, at single tensors, or along the best of its parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from types import MappingProxyType
from typing import Literal

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.model.networks.best_order import along_the_best
from dmcjia_opt.model.networks.graph import UPLOAD_BYTES, Network, Operation, alive_at, crossing_of, lifetimes

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

    Examples
    --------
    >>> from dmcjia_opt.model.networks.reading import read_profile
    >>> from dmcjia_opt.testing.networks import write_small
    >>> cut = read_profile(str(write_small("small.onnx"))).cuts[0]
    >>> cut.tensor_names, cut.upload_bytes
    (('b',), 64)
    """

    name: str
    operations: tuple[Operation, ...]
    macs: int
    upload_bytes: int
    tensors: int
    tensor_names: tuple[str, ...]
    own_bytes: int
    weight_bytes: float


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
    order = along_the_best(network, upload_dtype) if cuts == "graph" else range(len(network.operations))
    operations, levels = [network.operations[i] for i in order], [network.levels[i] for i in order]
    crossing, tensors = crossing_of(network, operations, upload_dtype)
    if cuts == "all":
        places = list(range(1, len(operations) + 1))
    elif cuts == "graph":
        places = _places_by_work(operations, crossing, tensors)
    else:
        places = _places_by_level(operations, levels, crossing, tensors, single=cuts == "blocks")
    names: dict[str, int] = {}
    weights: dict[str, float] = {}
    alive, found = alive_at(network, operations, places), []
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
    _, tensors = crossing_of(network, network.operations, None)
    alive = lifetimes(network, network.operations)
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
    *found, last = (_fewest(places, crossing, tensors) for places in choices)
    saving = [p for p in found if work[p] or crossing[p] < crossing[0]]
    return [*saving, *([last] if crossing[last] < crossing[n] else []), n]


def _fewest(places: Sequence[int], crossing: FloatArray, tensors: IntArray) -> int:
    """Return the position where the fewest bytes cross."""
    return min(places, key=lambda p: (crossing[p], tensors[p], -p))
