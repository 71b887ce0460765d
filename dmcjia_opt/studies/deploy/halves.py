"""Networks taken apart at their cuts: each part an ONNX model of its own that onnxruntime has run against the whole."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dmcjia_opt.base.errors import BackendFailed, BackendMissing, InputError
from dmcjia_opt.base.files import is_beneath
from dmcjia_opt.base.machine import installing
from dmcjia_opt.base.showing import brief
from dmcjia_opt.model.networks.cuts import Cut
from dmcjia_opt.model.networks.graph import Operation, topological_order
from dmcjia_opt.model.networks.onnx_ import OnnxModel
from dmcjia_opt.model.networks.parts import part_of
from dmcjia_opt.studies.deploy.tensors import DTYPES, Array, Arrays, TensorEntry, drawn

if TYPE_CHECKING:
    import onnx
    import onnxruntime

#: How far a part's numbers may be from the whole's, relative to the largest of a tensor.
TOLERANCE = 1e-4
#: What NumPy calls the types that onnxruntime calls otherwise.
_DTYPES_OF = {"float": "float32", "double": "float64"}


@dataclass(frozen=True, slots=True, eq=False)
class Half:
    """A part of a network.

    Parameters
    ----------
    start, end
        The splits between which it is.
    inputs, outputs
        What it reads and makes.
    content
        The ONNX file.

    Examples
    --------
    >>> from dmcjia_opt.model.networks.reading import read_profile
    >>> from dmcjia_opt.studies.deploy.halves import Divisible
    >>> from dmcjia_opt.testing.networks import write_small
    >>> path = write_small("small.onnx")
    >>> read = read_profile(str(path))
    >>> device, server = Divisible(read.model, read.cuts, path).take_apart([1])
    >>> device.outputs == server.inputs, str(server.inputs[0])
    (True, 'b 1x16 float32')
    """

    start: int
    end: int
    inputs: tuple[TensorEntry, ...]
    outputs: tuple[TensorEntry, ...]
    content: bytes

    __repr__ = brief


class Divisible:
    """A network that can be taken apart anywhere.

    Parameters
    ----------
    model
        The network as read.
    cuts
        Where it may be cut.
    path
        Its file, for weights that are stored beside it, and to run the whole.

    Raises
    ------
    BackendMissing
        If onnxruntime is not installed.
    BackendFailed
        If onnxruntime cannot run the whole.
    InputError
        If weights beside the file cannot be read.

    Examples
    --------
    >>> from dmcjia_opt.model.networks.reading import read_profile
    >>> from dmcjia_opt.studies.deploy.halves import Divisible
    >>> from dmcjia_opt.testing.networks import write_small
    >>> path = write_small("small.onnx")
    >>> read = read_profile(str(path))
    >>> [(half.start, half.end) for half in Divisible(read.model, read.cuts, path).take_apart([1])]
    [(0, 1), (1, 2)]
    """

    def __init__(self, model: OnnxModel, cuts: Sequence[Cut], path: Path) -> None:
        self._model, self._cuts, self._path = model, tuple(cuts), path
        network = model.network
        self.inputs = tuple(map(self.type_of, network.received))
        self.outputs = tuple(network.results)
        self._state = network.state
        self._weights: dict[str, onnx.TensorProto] = {}
        self._feed = drawn([self.type_of(name) for name in network.inputs if name in {*network.received, *self._state}])
        session = _session(self._file(), "the network", plain=True)
        self._whole = _run(session, {**self._feed, **self._rest(session)}, network.outputs, "the network")

    def type_of(self, name: str) -> TensorEntry:
        """Return shape and type of a tensor.

        Raises
        ------
        InputError
            If NumPy has no such type.
        """
        tensor = self._model.network.tensors[name]
        if tensor.dtype not in DTYPES:
            raise InputError(
                f'the tensor "{name}" is of type {tensor.dtype}, which cannot be sent; export it in float32'
            )
        return TensorEntry.model_validate({"name": name, "shape": tensor.shape, "dtype": tensor.dtype})

    def crossing(self, split: int) -> tuple[str, ...]:
        """Return the tensors that cross a split: those received at 0, and the network's results behind its last."""
        if split == 0:
            return tuple(self._model.network.received)
        return self.outputs if split == len(self._cuts) else self._cuts[split - 1].tensor_names

    def take_apart(self, splits: Sequence[int]) -> tuple[Half, ...]:
        """Return the parts between splits, from the input to the outputs, which together are the whole.

        Raises
        ------
        InputError
            If a split does not exist, nothing is left for a part to do, or the parts differ from the whole.
        BackendFailed
            If onnxruntime cannot run a part.
        """
        n = len(self._cuts)
        places = [0, *splits, n]
        if any(split != int(split) or not 0 <= split <= n for split in splits):
            wrong = next(split for split in splits if not 0 <= split <= n)
            raise InputError(f"there is no cut {wrong}: the cuts are 0 to {n}")
        if any(start > end for start, end in pairwise(places)):
            raise InputError(f"the cuts {', '.join(map(str, splits))} are out of order; give the nearer one first")
        halves = tuple(self._half(start, end) for start, end in pairwise(places) if start < end)
        self._check(halves)
        return halves

    def _half(self, start: int, end: int) -> Half:
        network, there = self._model.network, set(self.crossing(start))
        usable = self._usable(start, end, there)
        kept = [name for op in usable for name in op.outputs if name in self._state and name in network.outputs]
        wanted = list(dict.fromkeys([*(name for name in self.crossing(end) if name not in there), *kept]))
        reads = [[name for name in op.inputs if name not in there] for op in usable]
        inside = [usable[i] for i in topological_order(reads, [op.outputs for op in usable], wanted)]
        made = {name for op in inside for name in op.outputs}
        read = {name for op in inside for name in op.inputs if name not in made}
        if not inside:
            raise InputError(
                f"between the cuts {start} and {end} nothing is computed: tensors are only named anew; choose other "
                "cuts"
            )
        if lost := sorted(read - there - self._state):
            raise InputError(
                f'the tensor "{lost[0]}" is needed behind cut {start} and does not cross it; cut elsewhere'
            )
        inputs = [name for name in (*self.crossing(start), *sorted(self._state)) if name in read]
        proto = part_of(self._model, inside, inputs, wanted, self._stored)
        types = tuple(map(self.type_of, inputs)), tuple(map(self.type_of, wanted))
        try:
            return Half(start, end, *types, proto.SerializeToString())
        except ValueError:
            raise InputError(
                f"the part of {network.name} between the cuts {start} and {end} is larger than 2 GiB, which one ONNX "
                "file cannot hold; choose other cuts"
            ) from None

    def _usable(self, start: int, end: int, there: set[str]) -> list[Operation]:
        """Return what a part may run: the operations between its cuts, and views of what crosses the first anew."""
        tensors = self._model.network.tensors
        views = [
            op
            for cut in self._cuts[:start]
            for op in cut.operations
            if all(tensors[name].data in there and name not in there for name in op.outputs)
        ]
        return [*views, *(op for cut in self._cuts[start:end] for op in cut.operations)]

    def _stored(self, tensor: onnx.TensorProto) -> onnx.TensorProto:
        """Return a weight with its values, from the file beside the model if they are there."""
        from onnx import TensorProto
        from onnx.external_data_helper import load_external_data_for_tensor

        if tensor.data_location != TensorProto.EXTERNAL:
            return tensor
        if tensor.name not in self._weights:
            folder = self._path.parent
            location = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
            if not location:
                raise InputError(f'{self._path}: the weight "{tensor.name}" has no values; store it in the file')
            where = f'{self._path}: the weight "{tensor.name}" is in the file "{location}"'
            if not is_beneath(folder, location):
                raise InputError(f"{where}, outside the model's folder; put it beside the model")
            try:
                load_external_data_for_tensor(tensor, str(folder))
            except (OSError, ValueError, RuntimeError) as error:
                reason = next(iter(str(error).splitlines()), "")
                raise InputError(f"{where}, which cannot be read ({reason}); put it beside the model") from None
            tensor.data_location = TensorProto.DEFAULT
            del tensor.external_data[:]
            self._weights[tensor.name] = tensor
        return self._weights[tensor.name]

    def _file(self) -> str | bytes:
        """Return what runs the whole: its file, or that with outputs where the network was told to end."""
        import onnx

        plain = onnx.load(self._path, load_external_data=False)
        if {value.name for value in plain.graph.output} >= set(self._model.network.outputs):
            return str(self._path)
        try:
            whole = onnx.load(self._path)
        except OSError as error:
            raise InputError(f"{self._path}: its weights cannot be read ({error}); put them beside the model") from None
        del whole.graph.output[:]
        whole.graph.output.extend(onnx.ValueInfoProto(name=name) for name in self._model.network.outputs)
        content: bytes = whole.SerializeToString()
        return content

    def _rest(self, session: onnxruntime.InferenceSession) -> dict[str, Array]:
        """Return the inputs of the file that are no data: constant as it was read, or read by nothing that counts."""
        from onnx.numpy_helper import to_array

        values, found = self._model.facts.values, dict[str, Array]()
        for one in session.get_inputs():
            if one.name in values:
                found[one.name] = to_array(values[one.name])
            elif one.name not in self._feed:
                kind = one.type.removeprefix("tensor(").removesuffix(")")
                shape = [size if isinstance(size, int) else 1 for size in one.shape]
                found[one.name] = np.zeros(shape, _DTYPES_OF.get(kind, kind))
        return found

    def _check(self, halves: Sequence[Half]) -> None:
        known: dict[str, Array] = dict(self._feed)
        stay = {name: value for name, value in self._feed.items() if name in self._state}
        found: dict[str, Array] = {}
        for half in halves:
            called = f"the part between the cuts {half.start} and {half.end}"
            session = _session(half.content, called, plain=True)
            feed = {tensor.name: known[tensor.name] for tensor in half.inputs}
            made = _run(session, feed, [tensor.name for tensor in half.outputs], called)
            found |= made
            known = stay | {name: made[name] if name in made else known[name] for name in self.crossing(half.end)}
        for name, value in self._whole.items():
            if (off := _difference(value, known.get(name, found.get(name)))) > TOLERANCE:
                cuts = ", ".join(str(half.start) for half in halves[1:])
                raise InputError(
                    f'taken apart at {cuts}, the output "{name}" differs from the whole\'s by {off:.2g} of its largest '
                    "number on random input; is something drawn at random in it? choose another cut"
                )


def _difference(one: Array, other: Array | None) -> float:
    """Return the largest difference of two tensors relative to the largest finite number of the first."""
    if other is None or one.shape != other.shape or one.dtype != other.dtype:
        return math.inf
    if one.dtype.kind not in "fiub":
        return 0.0 if np.array_equal(one, other) else math.inf
    first, second = one.astype(np.float64), other.astype(np.float64)
    finite = np.isfinite(first)
    if not np.array_equal(first[~finite], second[~finite], equal_nan=True):
        return math.inf
    largest = float(np.abs(first[finite]).max(initial=0.0))
    off = float(np.abs(first[finite] - second[finite]).max(initial=0.0))
    return off if off == 0.0 else off / largest if largest else math.inf


def _session(model: bytes | str, what: str, *, plain: bool) -> onnxruntime.InferenceSession:
    """Return a session of one thread; a plain one computes node after node as it is written."""
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise BackendMissing(f"running a network needs {error.name}; {installing('onnx')}") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    if plain:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    make = partial(onnxruntime.InferenceSession, sess_options=options, providers=["CPUExecutionProvider"])
    try:
        return make(model)
    except Exception as error:  # noqa: BLE001 - onnxruntime's own exceptions have no common base
        raise BackendFailed(f"onnxruntime cannot load {what}: {_first_line(error)}") from None


def open_session(path: Path) -> onnxruntime.InferenceSession:
    """Return a session of one thread for a file, with all of onnxruntime's optimisations."""
    return _session(str(path), str(path), plain=False)


def _run(session: onnxruntime.InferenceSession, feed: Arrays, wanted: Sequence[str], what: str) -> dict[str, Any]:
    try:
        made = session.run(list(wanted), dict(feed))
    except Exception as error:  # noqa: BLE001 - as above
        raise BackendFailed(f"onnxruntime cannot run {what} on random input: {_first_line(error)}") from None
    return dict(zip(wanted, made, strict=True))


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
