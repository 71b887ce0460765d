"""Tensors that cross cuts: what they are, random ones, and their bytes on the way."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

Array: TypeAlias = np.ndarray[Any, Any]
#: By name, what flows between parts.
Arrays: TypeAlias = Mapping[str, Array]
#: Types that both onnxruntime and NumPy know.
Dtype = Literal[
    "float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool"
]
DTYPES: tuple[str, ...] = get_args(Dtype)
_MOST_RANK = 64


class TensorEntry(BaseModel):
    """A tensor: its name, its shape, and what NumPy calls the type of its elements.

    Examples
    --------
    >>> from dmcjia_opt.studies.deploy.tensors import TensorEntry
    >>> TensorEntry(name="relu1", shape=(1, 16), dtype="float32").n_bytes
    64
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    name: str
    shape: Annotated[tuple[Annotated[int, Field(ge=0, le=2**31 - 1)], ...], Field(max_length=_MOST_RANK, strict=False)]
    dtype: Dtype

    def __str__(self) -> str:
        """Return name, shape and type as ``relu 1x64x56x56 float32``."""
        return f"{self.name} {'x'.join(map(str, self.shape)) or 'scalar'} {self.dtype}"

    @property
    def n_bytes(self) -> int:
        """Bytes of all elements."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


def drawn(tensors: Sequence[TensorEntry], seed: int = 0) -> dict[str, Array]:
    """Return random tensors: normal floats, and integers 0 and 1, which are in every vocabulary."""
    rng, found = np.random.default_rng(seed), {}
    for tensor in tensors:
        floats = tensor.dtype.startswith("float")
        values = rng.normal(size=tensor.shape) if floats else rng.integers(0, 2, tensor.shape)
        found[tensor.name] = values.astype(tensor.dtype)
    return found


def packed(tensors: Sequence[TensorEntry], values: Arrays, n_bytes: int) -> bytes:
    """Return the bytes of tensors one after the other; zeros where the plan counts another number of bytes."""
    if sum(tensor.n_bytes for tensor in tensors) != n_bytes:
        return bytes(n_bytes)
    return b"".join(np.ascontiguousarray(values[tensor.name]).tobytes() for tensor in tensors)


def unpacked(tensors: Sequence[TensorEntry], content: bytes | bytearray) -> dict[str, Array]:
    """Return the tensors in some bytes; random ones where the bytes are not theirs."""
    if sum(tensor.n_bytes for tensor in tensors) != len(content):
        return drawn(tensors)
    found, at = {}, 0
    for tensor in tensors:
        part = memoryview(content)[at : at + tensor.n_bytes]
        found[tensor.name] = np.frombuffer(part, tensor.dtype).reshape(tensor.shape)
        at += tensor.n_bytes
    return found
