"""What a user says of a network that its ONNX file leaves open: shapes, sizes, values of inputs, where it ends."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.showing import brief

_Said = TypeVar("_Said")
_WORDS = {"true": 1.0, "false": 0.0}


@dataclass(frozen=True, slots=True)
class Given:
    """What is said of a network beside its file.

    Parameters
    ----------
    input_shapes
        Concrete shape of each input by its name; the empty name stands for the only input.
    dims
        Size of each symbolic dimension by its name, such as ``batch``.
    input_values
        Value of each input that is a constant of the deployment, such as a sample rate: one number for all its
        elements, or one each.
    outputs
        Tensors that the network ends at, instead of the file's outputs.

    Examples
    --------
    >>> from dmcjia_opt.model.networks.given import Given
    >>> Given(dims={"batch": 1}, outputs=("boxes",)).dims
    {'batch': 1}
    """

    input_shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    dims: Mapping[str, int] = field(default_factory=dict)
    input_values: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()

    __repr__ = brief

    def __bool__(self) -> bool:
        """Return whether anything is said."""
        return bool(self.input_shapes or self.dims or self.input_values or self.outputs)

    def names(self) -> dict[str, tuple[str, ...]]:
        """Return the names that each field is about, by field."""
        return {
            "input_shapes": tuple(self.input_shapes),
            "dims": tuple(self.dims),
            "input_values": tuple(self.input_values),
            "outputs": self.outputs,
        }

    def over(self, other: Given) -> Given:
        """Return what both say; where they differ, what this one does."""
        shapes = {name: shape for name, shape in other.input_shapes.items() if name not in self.input_values}
        values = {name: value for name, value in other.input_values.items() if name not in self.input_shapes}
        return Given(
            {**shapes, **self.input_shapes},
            {**other.dims, **self.dims},
            {**values, **self.input_values},
            self.outputs or other.outputs,
        )

    def among(self, known: Mapping[str, Iterable[str]]) -> Given:
        """Return what is said of names that a network has, which are given by field."""
        has = {of: frozenset(names) for of, names in known.items()}
        return Given(
            {name: shape for name, shape in self.input_shapes.items() if name in has["input_shapes"]},
            {name: size for name, size in self.dims.items() if name in has["dims"]},
            {name: value for name, value in self.input_values.items() if name in has["input_values"]},
            tuple(name for name in self.outputs if name in has["outputs"]),
        )


def parse_given(
    input_shapes: Iterable[str] = (),
    dims: Iterable[str] = (),
    input_values: Iterable[str] = (),
    outputs: Iterable[str] = (),
) -> Given:
    """Return what the options of a command line say.

    Parameters
    ----------
    input_shapes
        Such as ``x=1x3x224x224``.
    dims
        Such as ``batch=1``.
    input_values
        Such as ``sr=16000`` or ``size=480,640``.
    outputs
        Names, one or several with commas between.

    Raises
    ------
    InputError
        If one is malformed or given twice.
    """
    return Given(
        _once("--input-shape", "shape", map(parse_shape, input_shapes)),
        _once("--dim", "size", map(_dim, dims)),
        _once("--input-value", "value", map(_value, input_values)),
        tuple(dict.fromkeys(name.strip() for text in outputs for name in text.split(",") if name.strip())),
    )


def parse_shape(text: str) -> tuple[str, tuple[int, ...]]:
    """Return the name, empty if there is none, and the shape of ``name=1x3x224x224``.

    Raises
    ------
    InputError
        If the shape is malformed.
    """
    name, _, sizes = text.rpartition("=")
    try:
        shape = tuple(int(size) for size in sizes.lower().split("x")) if sizes else ()
    except ValueError:
        shape = (-1,)
    if any(size < 0 for size in shape):
        raise InputError(f'input shape "{text}" is malformed; write it like name=1x3x224x224')
    return name.strip(), shape


def _dim(text: str) -> tuple[str, int]:
    name, _, size = text.rpartition("=")
    if not name.strip() or not re.fullmatch(r"\s*[0-9]{1,9}\s*", size):
        raise InputError(f'--dim "{text}" is malformed; write it like batch=1')
    return name.strip(), int(size)


def _value(text: str) -> tuple[str, tuple[float, ...]]:
    name, _, numbers = text.rpartition("=")
    try:
        parts = [part.strip().lower() for part in numbers.split(",")]
        value = tuple(_WORDS[part] if part in _WORDS else float(part) for part in parts)
    except ValueError:
        value = ()
    if not name.strip() or not value:
        raise InputError(f'--input-value "{text}" is malformed; write it like sr=16000, or size=480,640')
    return name.strip(), value


def _once(option: str, what: str, pairs: Iterable[tuple[str, _Said]]) -> dict[str, _Said]:
    found: dict[str, _Said] = {}
    for name, said in pairs:
        if name in found:
            raise InputError(f'{option}: the {what} of "{name}" is given twice')
        found[name] = said
    return found
