"""What is known of the tensors of an ONNX graph before it runs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.limits import MOST

if TYPE_CHECKING:
    import onnx

_MOST_RANK = 64


@dataclass(frozen=True, slots=True)
class Work:
    """The work of one operator of a graph, that of the graphs it holds included.

    Parameters
    ----------
    macs
        Multiply–accumulates that rules count.
    unknown
        How many operators of each kind no rule counts.
    estimate
        MACs that those have at least, by their weights; 0 if nothing is known.
    notes
        What is taken for granted, a sentence each.
    weights
        Name, elements, bytes and whether they are floating of each weight that the graphs hold themselves.
    """

    macs: int = 0
    unknown: Counter[str] = field(default_factory=Counter)
    estimate: int = 0
    notes: tuple[str, ...] = ()
    weights: tuple[tuple[str, int, float, bool], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Facts:
    """What is known of the tensors of a graph before it runs.

    Parameters
    ----------
    inputs
        Names of the inputs that data comes in through.
    types
        Type and shape by tensor.
    values
        Values of small constants, shapes among them.
    constants
        Tensors that do not depend on an input.
    large
        Other constants whose values are in the file.
    makers
        The node that makes each computed constant.
    work
        Work of each operator that holds graphs, by the first tensor that it makes.
    """

    inputs: tuple[str, ...]
    types: dict[str, onnx.TypeProto]
    values: dict[str, onnx.TensorProto]
    constants: set[str]
    large: MutableMapping[str, onnx.TensorProto] = field(default_factory=dict)
    makers: MutableMapping[str, onnx.NodeProto] = field(default_factory=dict)
    work: dict[str, Work] = field(default_factory=dict)

    def shape(self, name: str) -> tuple[int, ...] | None:
        """Return the shape of a tensor, or None if it is not wholly known."""
        return shape_of(self.types[name]) if name in self.types else None

    def kind(self, name: str) -> str:
        """Return what ONNX calls the type of a tensor's elements; ``UNDEFINED`` if it is not known."""
        return type_name(self.types[name].tensor_type.elem_type) if name in self.types else "UNDEFINED"

    def floating(self, name: str) -> bool:
        """Return whether a tensor holds numbers of a floating-point type."""
        kind = self.kind(name)
        return "FLOAT" in kind or kind == "DOUBLE"


def type_name(element: int) -> str:
    """Return what ONNX calls the type of a tensor's elements; ``UNDEFINED`` for a number that stands for none."""
    from onnx import TensorProto

    known = TensorProto.DataType.DESCRIPTOR.values_by_number.get(element)
    return "UNDEFINED" if known is None else str(known.name)


def shape_of(kind: onnx.TypeProto) -> tuple[int, ...] | None:
    """Return the shape that a type has, or None if it is not wholly known."""
    if not kind.HasField("tensor_type") or not kind.tensor_type.HasField("shape"):
        return None
    dims = kind.tensor_type.shape.dim
    if not all(dim.HasField("dim_value") and dim.dim_value >= 0 for dim in dims):
        return None
    return tuple(dim.dim_value for dim in dims)


def elements(name: str, shape: Sequence[int]) -> int:
    """Return how many elements a tensor has.

    Raises
    ------
    InputError
        If its shape is none: a negative size, more elements or more dimensions than any tensor has.
    """
    if len(shape) > _MOST_RANK:
        raise InputError(
            f'the tensor "{name}" has {len(shape):,} dimensions, which is refused; the most is {_MOST_RANK}'
        )
    if any(size < 0 for size in shape):
        raise InputError(f'the tensor "{name}" has a size of {min(shape)}; the file is broken, export the model anew')
    count = math.prod(shape)
    if count > MOST:
        raise InputError(f'the tensor "{name}" has more than {MOST:g} elements; correct its shape')
    return count
