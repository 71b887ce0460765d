"""Rows that other tools recorded, matched to the layers of a profile: by name, or by the operators that were fused."""

from __future__ import annotations

import math
import re
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from dmcjia_opt.base.arrays import BoolArray, FloatArray
from dmcjia_opt.base.errors import InputError, shortened
from dmcjia_opt.base.limits import MOST
from dmcjia_opt.base.quantities import doubt
from dmcjia_opt.model.networks.graph import Operation
from dmcjia_opt.model.networks.measured import MOST_SECONDS, MeasuredTimes, Timed
from dmcjia_opt.model.networks.reading import Profiled
from dmcjia_opt.model.networks.recorded import Recorded, RecordedRow

_SHOWN, _MOST_SHOWN = 60, 3
#: What stands before or after the names of operators, where a tool copies or arranges their tensors.
_COPIES = re.compile(
    r"^Reformatting CopyNode for (?:(?:Input|Output) Tensor \d+ (?:to|from)|Network (?:Input|Output)) "
    r"|^node_of_|^fused "
    r"| (?:input|output) reformatter \d+$| copy$| finish$| (?:to|from) nvm$"
    r"|_token_\d+$|_nchwc$|/(?:MatMulAdd|Gelu|LayerNorm|FastGelu|BiasGelu)Fusion/?$|_(?:MatMulAdd|Gelu|LayerNorm)Fusion$"
)
_RANGE = re.compile(r"\{ForeignNode\[(.+?)\.\.\.(.+?)\]\}")
_JOINT = re.compile(r" \+ | \|\| |, |PWN\(")


@dataclass(frozen=True, slots=True, eq=False)
class Matched:
    """Recorded times as those of layers.

    Parameters
    ----------
    times
        The seconds of each layer.
    sentences
        What was matched, what was spread by work, and what was left.
    """

    times: MeasuredTimes
    sentences: tuple[str, ...]


def match(recorded: Recorded, profiled: Profiled, device: str) -> Matched:
    """Return recorded times as those of the layers of a profile.

    A row that names operators of one layer is that layer's. Where it names those of several, its time is spread over
    them by their work. What names none is spread by work over the layers that no row names, or over all.

    Parameters
    ----------
    recorded
        What was recorded.
    profiled
        The network; without its graph, rows must name its layers.
    device
        What scenarios call the device.

    Raises
    ------
    InputError
        If the rows are those of another network: if none names a part of this one, or some work has no time.
    """
    profile = profiled.profile
    find = _Layers(profiled).find
    found = [find(row) for row in recorded.rows]
    sentences = []
    if not any(share.any() for share in found):
        if len(recorded.rows) != profile.n_layers:
            raise InputError(
                f"{recorded.by}: no row names a layer or an operator of {profile.name}, such as "
                f'"{shortened(profile.layer_names[0], _SHOWN)}"; the first is called '
                f'"{shortened(recorded.rows[0].name, _SHOWN)}": take the network that was recorded, or rename the rows'
            )
        found = list(np.eye(profile.n_layers))
        sentences.append(
            f"No row has the name of a layer; the {len(found)} rows are taken for as many layers, in their order."
        )
    seconds, named = np.zeros(profile.n_layers), np.zeros(profile.n_layers, dtype=bool)
    nameless: list[RecordedRow] = []
    one, several = 0, 0
    for row, share in zip(recorded.rows, found, strict=True):
        count = int((share > 0).sum())
        one, several = one + (count == 1), several + (count > 1)
        if count:
            seconds += row.seconds * share
            named |= share > 0
        else:
            nameless.append(row)
    sentences += _of_matched(len(recorded.rows), one, several)
    silent = (profile.macs > 0) & ~named
    left = sum(row.seconds for row in nameless)
    if left:
        over = silent if silent.any() else np.ones(profile.n_layers, dtype=bool)
        work = np.where(over, profile.macs, 0.0) if profile.total_macs else np.ones(profile.n_layers)
        seconds += left * work / work.sum()
        where = f"{_names(profile.layer_names, silent)}, which no row names" if silent.any() else "all layers"
        sentences.append(_of_nameless(nameless, left, seconds.sum(), where))
    elif silent.any():
        part = 100 * profile.macs[silent].sum() / profile.total_macs
        raise InputError(
            f"{recorded.by}: no row has the time of {_names(profile.layer_names, silent)}, {part:.2g} % of the work of "
            f"{profile.name}; profile the network that was recorded, or add what is missing"
        )
    if (seconds > MOST_SECONDS).any():
        raise InputError(f"{recorded.by}: a layer takes more than {MOST_SECONDS:g} s; check the unit of its time")
    seconds[seconds < 1 / MOST] = 0.0  # less than a file of times may hold
    doubt("seconds", seconds, recorded.by, profile.layer_names)
    layers = dict(zip(profile.layer_names, seconds.tolist(), strict=True))
    return Matched(MeasuredTimes({Timed(device, profile.name, profile.graph_id): layers}), tuple(sentences))


def _of_matched(rows: int, one: int, several: int) -> Iterator[str]:
    if one + several:
        which = f": {one} of one layer each, {several} of several, over which their time is spread by work"
        yield f"{one + several} of {rows} rows name parts of the network{which if several else ', each of one layer'}."


def _of_nameless(rows: Sequence[RecordedRow], left: float, total: float, over: str) -> str:
    first = sorted(rows, key=lambda row: -row.seconds)[:_MOST_SHOWN]
    shown = ", ".join(f'"{shortened(row.name, _SHOWN)}"' for row in first) + (", …" if len(rows) > len(first) else "")
    return (
        f"{len(rows)} {'rows name' if len(rows) > 1 else 'row names'} no part of it ({shown}): "
        f"{1e3 * left:.4g} ms, {100 * left / total:.2g} % of all, spread by work over {over}."
    )


def _names(names: Sequence[str], which: BoolArray) -> str:
    chosen = [f'"{shortened(names[k], _SHOWN)}"' for k in map(int, np.flatnonzero(which))]
    more = f" and {len(chosen) - _MOST_SHOWN} more" if len(chosen) > _MOST_SHOWN else ""
    return f"layer{'s' if len(chosen) > 1 else ''} {', '.join(chosen[:_MOST_SHOWN])}{more}"


class _Layers:
    """Finds what rows name in a network: operators if its graph is known, or else layers."""

    def __init__(self, profiled: Profiled) -> None:
        profile = profiled.profile
        self._n_layers = profile.n_layers
        self._layer_of = list(range(profile.n_layers))
        self._work = profile.macs.tolist()
        self._at = {name: k for k, name in enumerate(profile.layer_names)}
        self._operations: tuple[Operation, ...] = ()
        self._in_file: dict[str, int] = {}
        if profiled.model is not None:
            self._operations = tuple(op for cut in profiled.cuts for op in cut.operations)
            self._layer_of = [k for k, cut in enumerate(profiled.cuts) for _ in cut.operations]
            self._work = [op.macs for op in self._operations]
            self._at = {}
            for names in (lambda op: op.inputs, lambda op: op.outputs, lambda op: (op.name,)):
                for i in reversed(range(len(self._operations))):
                    self._at |= dict.fromkeys(names(self._operations[i]), i)
            for i in sorted(range(len(self._operations)), key=lambda i: not self._work[i]):
                self._at.setdefault(_module(self._operations[i].name), i)
            nodes = profiled.model.proto.graph.node
            self._in_file = {name: k for k, node in enumerate(nodes) for name in (*node.output, node.name)}
            places = {op.index: i for i, op in enumerate(self._operations)}
            running = (k for k, node in enumerate(nodes) if node.op_type != "Constant")
            for number, k in enumerate(running):  # as onnxruntime calls operators without a name
                if k in places:
                    self._at.setdefault(f"{nodes[k].op_type}_{number}", places[k])
        self._maker = {name: i for i, op in enumerate(self._operations) for name in op.outputs}
        loose = [_loose(name) for name in self._at]
        once = {name for name, count in Counter(loose).items() if count == 1}
        self._loosely = {name: i for name, i in zip(loose, self._at.values(), strict=True) if name in once}

    def find(self, row: RecordedRow) -> FloatArray:
        """Return the part of a row's time that each layer has, (n_layers,); zeros where it names none."""
        share = np.zeros(self._n_layers)
        places = self._places(row)
        work = sum(self._work[i] for i in places)
        for i in places:
            share[self._layer_of[i]] += self._work[i] if work else 1.0
        return share / share.sum() if places else share

    def _places(self, row: RecordedRow) -> list[int]:
        """Return the operators, or layers, that a row names."""
        between = _RANGE.search(row.name)
        ends = [self._in_file.get(end) for end in between.groups()] if between else []
        if any(end is not None for end in ends):
            first, last = (end if end is not None else other for end, other in zip(ends, (0, math.inf), strict=True))
            return [i for i, op in enumerate(self._operations) if first <= op.index <= last]
        for names in _readings(row.name):
            found = [self._at.get(name, self._loosely.get(_loose(name))) for name in names]
            places = list(dict.fromkeys(i for i in found if i is not None))
            if places:
                return self._with_makers(places, row.kind)
        return []

    def _with_makers(self, places: list[int], kind: str) -> list[int]:
        """Return operators, and if they only finish the work of the operator that ran, that one too.

        A fused operator is called after the last of those that it does in one, or after what that makes.
        """
        operations = self._operations
        if not kind or not operations or any(self._work[i] or operations[i].kind == kind for i in places):
            return places
        seen, queue = set(places), deque(places)
        while queue:
            for name in operations[queue.popleft()].inputs:
                maker = self._maker.get(name)
                if maker is None or maker in seen:
                    continue
                if self._work[maker]:
                    return [*places, maker]
                seen.add(maker)
                queue.append(maker)
        return places


def _loose(name: str) -> str:
    """Return a name without what tools write in different ways."""
    return re.sub(r"[\W_]+", "_", name).strip("_").casefold()


def _module(name: str) -> str:
    """Return the module that PyTorch exported as an operator: ``layer1.0.conv1`` of ``/layer1/layer1.0/conv1/Conv``."""
    scopes = name.strip("/").split("/")[:-1]
    own = [scope for scope, inner in pairwise([*scopes, ""]) if not inner.startswith(f"{scope}.")]
    return ".".join(own) or name


def _readings(name: str) -> Iterator[list[str]]:
    """Yield what names a row's name may stand for: itself, what it copies, or those that were fused."""
    yield [name]
    while (bare := _COPIES.sub("", name)) != name:
        name = bare
        yield [name]
    parts = [part.strip() for part in _JOINT.split(name)]
    yield [part for joint in parts for part in (joint, _COPIES.sub("", joint.rstrip(")"))) if part]
