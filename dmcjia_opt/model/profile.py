"""A DNN as a chain of weighted layers: work done before each cut and bytes sent at it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dmcjia_opt.errors import InputError
from dmcjia_opt.model.arrays import FloatArray, frozen
from dmcjia_opt.model.files import explain, write_text


@dataclass(frozen=True, slots=True, eq=False)
class LayerProfile:
    """Work and output size of each layer of one network.

    Parameters
    ----------
    name
        The model's name, as nodes refer to it.
    input_bytes
        Bytes of the raw input, uploaded when the split is 0.
    layer_names
        One name a layer.
    macs
        (n_layers,) multiply–accumulates of each layer.
    output_bytes
        (n_layers,) bytes of each layer's output.
    parameters
        Number of trained parameters.
    source
        Where the figures come from.
    """

    name: str
    input_bytes: float
    layer_names: tuple[str, ...]
    macs: FloatArray
    output_bytes: FloatArray
    parameters: int = 0
    source: str = ""
    work: FloatArray = field(init=False)
    upload_bytes: FloatArray = field(init=False)

    def __post_init__(self) -> None:
        """Freeze the arrays and derive the cumulative ones."""
        for key in ("macs", "output_bytes"):
            object.__setattr__(self, key, frozen(getattr(self, key)))
        if not (len(self.layer_names) == len(self.macs) == len(self.output_bytes) > 0):
            raise InputError(f'profile "{self.name}" needs as many names and output_bytes as macs, at least one')
        values = np.concatenate([self.macs, self.output_bytes, [self.input_bytes]])
        if not (np.isfinite(values).all() and (values >= 0).all()):
            raise InputError(f'profile "{self.name}": macs, output_bytes and input_bytes must be finite and >= 0')
        object.__setattr__(self, "work", frozen(np.concatenate([[0.0], np.cumsum(self.macs)])))
        object.__setattr__(self, "upload_bytes", frozen(np.concatenate([[self.input_bytes], self.output_bytes])))

    @property
    def n_layers(self) -> int:
        """Number of layers; splits run from 0 to n_layers."""
        return len(self.macs)

    @property
    def total_macs(self) -> float:
        """MACs of the whole network."""
        return float(self.work[-1])

    def to_dict(self) -> dict[str, Any]:
        """Return the content of a profile file."""
        layers = [
            {"name": n, "macs": float(m), "output_bytes": float(o)}
            for n, m, o in zip(self.layer_names, self.macs, self.output_bytes, strict=True)
        ]
        return {
            "name": self.name,
            "input_bytes": float(self.input_bytes),
            "parameters": int(self.parameters),
            "source": self.source,
            "layers": layers,
        }

    def save(self, path: str | Path) -> None:
        """Write the profile as JSON."""
        write_text(path, json.dumps(self.to_dict(), indent=1) + "\n")


_NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _LayerFile(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    name: str
    macs: _NonNegative
    output_bytes: _NonNegative


class _ProfileFile(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    name: str
    input_bytes: _NonNegative
    parameters: int = Field(0, ge=0)
    source: str = ""
    layers: list[_LayerFile] = Field(min_length=1)


def load_profile(path: str | Path) -> LayerProfile:
    """Read a profile from a JSON file.

    Raises
    ------
    InputError
        If the file is missing, is not JSON or breaks the format; the message names the field.
    """
    path = Path(path)
    try:
        parsed = _ProfileFile.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot read the profile ({error.strerror})") from None
    except ValidationError as error:
        raise InputError(f"{path}: {explain(error)}") from None
    return LayerProfile(
        name=parsed.name,
        input_bytes=parsed.input_bytes,
        layer_names=tuple(layer.name for layer in parsed.layers),
        macs=np.array([layer.macs for layer in parsed.layers]),
        output_bytes=np.array([layer.output_bytes for layer in parsed.layers]),
        parameters=parsed.parameters,
        source=parsed.source,
    )
