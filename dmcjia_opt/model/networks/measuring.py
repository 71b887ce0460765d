"""Seconds of each layer of an ONNX model on this machine, by onnxruntime.

Each layer of a profile, the operators between two cuts, becomes a model of its own and is timed alone, with all of
onnxruntime's optimisations within it. Weights that the file does not hold are filled with zeros: kernels do the same
work whatever the numbers.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dmcjia_opt.base.errors import BackendFailed, BackendMissing, InputError
from dmcjia_opt.base.machine import installing
from dmcjia_opt.model.networks.cuts import Cuts, take_cuts
from dmcjia_opt.model.networks.graph import Operation
from dmcjia_opt.model.networks.identity import graph_id
from dmcjia_opt.model.networks.measured import MeasuredTimes, Timed
from dmcjia_opt.model.networks.onnx_ import OnnxModel
from dmcjia_opt.model.networks.parts import part_of

if TYPE_CHECKING:
    import onnx

#: The largest message that protobuf holds.
_MOST_BYTES = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class Measurement:
    """How layers are timed.

    Parameters
    ----------
    repeats
        Timed runs of each layer, whose median counts.
    warm_up
        Runs before them.
    threads
        Threads within an operator; 0 for as many as onnxruntime takes.

    Raises
    ------
    InputError
        If a number is out of range.
    """

    repeats: int = 11
    warm_up: int = 3
    threads: int = 0

    def __post_init__(self) -> None:
        """Check the numbers."""
        for key, least in (("repeats", 1), ("warm_up", 0), ("threads", 0)):
            if getattr(self, key) < least:
                raise InputError(f"{key} must be at least {least}, got {getattr(self, key)}")


def measure(
    model: OnnxModel,
    device: str,
    cuts: Cuts = "layers",
    how: Measurement | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> MeasuredTimes:
    """Return the seconds of each layer of a model on this machine.

    Parameters
    ----------
    model
        The model.
    device
        What this machine is called in scenarios.
    cuts
        The cuts of the profile that the times are for.
    how
        Repeats and threads.
    progress
        Called after every layer with how many are done and how many there are.

    Raises
    ------
    InputError
        If the device has no name, the model no work, or a layer more weights than one file holds.
    BackendMissing
        If onnxruntime is not installed.
    BackendFailed
        If onnxruntime cannot run a layer.
    """
    if not device.strip():
        raise InputError("the device that is measured needs a name")
    try:
        import onnxruntime  # noqa: F401
    except ModuleNotFoundError as error:
        raise BackendMissing(f"measuring needs {error.name}; {installing('onnx')}") from None
    found = take_cuts(model.network, cuts)
    seconds: dict[str, float] = {}
    for cut in found:
        size = sum({name: size for op in cut.operations for name, size in op.weights}.values())
        if size > _MOST_BYTES:
            raise InputError(
                f'layer "{cut.name}" has {size:,.0f} bytes of weights and cannot be timed alone; the most is '
                f"{_MOST_BYTES:,}: time it elsewhere, or in smaller layers with --cuts all"
            )
    for k, cut in enumerate(found):
        later = [op for after in found[k + 1 :] for op in after.operations]
        seconds[cut.name] = _time(_part(model, cut.operations, later), cut.name, how or Measurement())
        if progress is not None:
            progress(k + 1, len(found))
    return MeasuredTimes({Timed(device.strip(), model.network.name, graph_id(model.network)): seconds})


def _part(model: OnnxModel, inside: Sequence[Operation], after: Iterable[Operation]) -> onnx.ModelProto:
    """Return the operators `inside` as a model; its outputs are what is read `after` them."""
    made = {name for op in inside for name in op.outputs}
    entering = dict.fromkeys(name for op in inside for name in op.inputs if name not in made)
    later = {name for op in after for name in op.inputs} | set(model.network.outputs)
    leaving = [name for op in inside for name in op.outputs if name in later]
    return part_of(model, inside, entering, leaving, _filled)


def _filled(weight: onnx.TensorProto) -> onnx.TensorProto:
    """Return the weight, with zeros where its values are in another file, which is not read."""
    from onnx import TensorProto
    from onnx.helper import tensor_dtype_to_np_dtype
    from onnx.numpy_helper import from_array

    if weight.data_location != TensorProto.EXTERNAL:
        return weight
    zeros = np.zeros(tuple(weight.dims), dtype=tensor_dtype_to_np_dtype(weight.data_type))
    return from_array(zeros, weight.name)


def _time(part: onnx.ModelProto, layer: str, how: Measurement) -> float:
    """Return the median seconds of one run of a model."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = how.threads
    options.log_severity_level = 4
    rng = np.random.default_rng(0)
    try:
        session = onnxruntime.InferenceSession(
            part.SerializeToString(), sess_options=options, providers=["CPUExecutionProvider"]
        )
        feed = {value.name: _numbers(value.type.tensor_type, rng) for value in part.graph.input}
        for _ in range(how.warm_up):
            session.run(None, feed)
        taken = []
        for _ in range(how.repeats):
            start = time.perf_counter()
            session.run(None, feed)
            taken.append(time.perf_counter() - start)
    except Exception as error:  # noqa: BLE001 - onnxruntime's own exceptions have no common base
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise BackendFailed(f'onnxruntime cannot run layer "{layer}": {reason}') from None
    return statistics.median(taken)


def _numbers(kind: onnx.TypeProto.Tensor, rng: np.random.Generator) -> np.ndarray[Any, Any]:
    """Return an input: random floats, or zeros where indices or masks may be meant."""
    from onnx.helper import tensor_dtype_to_np_dtype

    shape = tuple(dim.dim_value for dim in kind.shape.dim)
    dtype = np.dtype(tensor_dtype_to_np_dtype(kind.elem_type))
    if dtype.kind != "f":
        return np.zeros(shape, dtype=dtype)
    numbers: np.ndarray[Any, Any] = rng.random(math.prod(shape), dtype=np.float32).reshape(shape).astype(dtype)
    return numbers
