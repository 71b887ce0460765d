"""A DNN as a chain of weighted layers: work done before each cut and bytes sent at it."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, FailFast, Field

from dmcjia_opt.base.arrays import FloatArray, IntArray, frozen, frozen_int
from dmcjia_opt.base.errors import Doubt, InputError, UncountedOperators
from dmcjia_opt.base.fields import RANGE, Name, NonNegative, check_names
from dmcjia_opt.base.files import read_json, write_text
from dmcjia_opt.base.limits import MOST, MOST_LAYERS
from dmcjia_opt.base.showing import brief, described
from dmcjia_opt.base.suggesting import listed
from dmcjia_opt.model.networks.cuts import Cuts, take_cuts
from dmcjia_opt.model.networks.given import Given
from dmcjia_opt.model.networks.graph import Network, check_state
from dmcjia_opt.model.networks.identity import graph_id

if TYPE_CHECKING:
    import torch

_MOST_PARAMETERS = 2**63 - 1


@dataclass(frozen=True, slots=True)
class CutTensor:
    """What a tensor that is sent looks like.

    Parameters
    ----------
    name
        As in its network.
    shape
        Its sizes.
    dtype
        Type of its elements as NumPy calls it, such as ``"float32"``; empty where nobody knows. An upload may quantise
        it.

    Examples
    --------
    >>> from dmcjia_opt.model.networks.profile import CutTensor
    >>> str(CutTensor("relu1", (1, 64, 56, 56), "float32"))
    'relu1 1x64x56x56 float32'
    """

    name: str
    shape: tuple[int, ...]
    dtype: str

    def __str__(self) -> str:
        """Return name, shape and type as ``relu 1x64x56x56 float32``."""
        return " ".join(filter(None, (self.name, "x".join(map(str, self.shape)), self.dtype)))


@dataclass(frozen=True, slots=True, eq=False)
class LayerProfile:
    """Work and output size of each layer of one network.

    Parameters
    ----------
    name
        The network's name, as nodes refer to it.
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
    tensors
        (n_layers,) how many tensors cross the cut after each layer, or None where nobody counted.
    weight_bytes
        (n_layers,) bytes of the weights of each layer, or None where nobody counted; only limits of memory read them.
    tensor_names
        (n_layers,) the tensors that cross the cut after each layer, or None where nobody named them.
    graph_id
        Which graph it is cut from (see `identity.graph_id`); empty where nobody knows.
    cautions
        What is not counted, and what was taken for granted, a sentence each.
    cut_tensors
        What each tensor in `tensor_names` looks like, in any order; empty where nobody said.

    Examples
    --------
    >>> from dmcjia_opt import LayerProfile
    >>> profile = LayerProfile("two", 1000, ("first", "second"), [5e6, 1e6], [200, 40])
    >>> profile.n_layers, profile.upload_bytes
    (2, array([1000.,  200.,   40.]))
    """

    name: str
    input_bytes: float
    layer_names: tuple[str, ...]
    macs: FloatArray
    output_bytes: FloatArray
    parameters: int = 0
    source: str = ""
    tensors: IntArray | None = None
    weight_bytes: FloatArray | None = None
    tensor_names: tuple[tuple[str, ...], ...] | None = None
    graph_id: str = ""
    cautions: tuple[str, ...] = ()
    cut_tensors: tuple[CutTensor, ...] = ()
    work: FloatArray = field(init=False)
    upload_bytes: FloatArray = field(init=False)

    __repr__ = brief

    def __post_init__(self) -> None:
        """Freeze the arrays and derive the cumulative ones."""
        if not (isinstance(self.name, str) and isinstance(self.layer_names, tuple | list)):
            raise InputError(
                f"a profile needs a name and a list of layer_names, got {described(self.name)} and "
                f"{described(self.layer_names)}"
            )
        for key in ("macs", "output_bytes"):
            if np.ndim(getattr(self, key)) != 1:
                raise InputError(f'profile "{self.name}": {key} must be a list of numbers, one a layer')
        check_names("the profile", [self.name])
        check_names(f'profile "{self.name}": the layer', self.layer_names)
        if len(self.layer_names) > MOST_LAYERS:
            raise InputError(
                f'profile "{self.name}": {len(self.layer_names):,} layers are refused; the most is {MOST_LAYERS:,}: '
                "join layers between which nobody would split"
            )
        for key in ("macs", "output_bytes"):
            object.__setattr__(self, key, frozen(getattr(self, key)))
        if not (len(self.layer_names) == len(self.macs) == len(self.output_bytes) > 0):
            raise InputError(f'profile "{self.name}" needs as many names and output_bytes as macs, at least one')
        if not 0 <= self.parameters <= _MOST_PARAMETERS:
            raise InputError(f'profile "{self.name}": parameters must lie between 0 and {_MOST_PARAMETERS:,}')
        values = np.concatenate([self.macs, self.output_bytes, [float(self.input_bytes)]])
        if not (np.isfinite(values).all() and (values >= 0).all()):
            raise InputError(f'profile "{self.name}": macs, output_bytes and input_bytes must be finite and >= 0')
        if not ((values == 0) | (values >= 1 / MOST) & (values <= MOST)).all():
            raise InputError(f'profile "{self.name}": macs, output_bytes and input_bytes must be 0 or {RANGE}')
        if self.tensors is not None:
            object.__setattr__(self, "tensors", frozen_int(self.tensors))
            if self.tensors.shape != self.macs.shape or (self.tensors < 0).any():
                raise InputError(f'profile "{self.name}" needs one count of tensors >= 0 for every layer, or none')
        if self.weight_bytes is not None:
            object.__setattr__(self, "weight_bytes", frozen(self.weight_bytes))
            sane = np.isfinite(self.weight_bytes) & (self.weight_bytes >= 0) & (self.weight_bytes <= MOST)
            if self.weight_bytes.shape != self.macs.shape or not sane.all():
                raise InputError(f'profile "{self.name}" needs weight_bytes >= 0 for every layer, or none')
        if self.tensor_names is not None:
            if len(self.tensor_names) != len(self.layer_names):
                raise InputError(f'profile "{self.name}" needs tensor_names for every layer, or none')
            if self.tensors is not None and [len(names) for names in self.tensor_names] != self.tensors.tolist():
                raise InputError(f'profile "{self.name}" needs as many tensor_names of each layer as tensors')
        if self.cut_tensors:
            seen = Counter(tensor.name for tensor in self.cut_tensors)
            twice = next((name for name, count in seen.items() if count > 1), None)
            if twice is not None:
                raise InputError(f'profile "{self.name}": cut_tensors has "{twice}" twice; remove one')
            lost = next((name for names in self.tensor_names or () for name in names if name not in seen), None)
            if lost is not None:
                raise InputError(f'profile "{self.name}": cut_tensors has no "{lost}", which tensor_names has; add it')
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

    def cut_tensors_of(self, split: int) -> tuple[CutTensor, ...] | None:
        """Return the tensors that cross a cut, `split` from 1 to n_layers; None where nobody named them.

        Where only names are known, a tensor has an empty type and no sizes.
        """
        if self.tensor_names is None:
            return None
        known = {tensor.name: tensor for tensor in self.cut_tensors}
        return tuple(known.get(name, CutTensor(name, (), "")) for name in self.tensor_names[split - 1])

    @classmethod
    def of_network(cls, network: Network, cuts: Cuts = "layers", upload_dtype: str | None = None) -> LayerProfile:
        """Return the profile of a network at the cuts asked for (see `cuts.take_cuts`).

        Warns
        -----
        UncountedOperators
            If no rule counts the MACs of some operators.
        Doubt
            If the reader took something for granted.
        """
        if caution := network.caution():
            warnings.warn(f"{network.name}: {caution}", UncountedOperators, stacklevel=2)
        for note in network.notes:
            warnings.warn(f"{network.name}: {note}", Doubt, stacklevel=2)
        found = take_cuts(network, cuts, upload_dtype)
        crossing = [network.tensors[name] for name in dict.fromkeys(name for cut in found for name in cut.tensor_names)]
        details = [network.source, f"cuts: {cuts}", f"upload as {upload_dtype}" if upload_dtype else ""]
        if network.state:
            details.insert(2, f"state that stays: {listed(sorted(network.state), what='tensor')}")
        return cls(
            name=network.name,
            input_bytes=sum(network.tensors[name].sent_bytes(upload_dtype) for name in network.received),
            layer_names=tuple(cut.name for cut in found),
            macs=np.array([cut.macs for cut in found], dtype=np.float64),
            output_bytes=np.array([cut.upload_bytes for cut in found], dtype=np.float64),
            parameters=network.parameters,
            source="; ".join(filter(None, details)),
            tensors=np.array([cut.tensors for cut in found]),
            weight_bytes=np.array([cut.weight_bytes for cut in found], dtype=np.float64),
            tensor_names=tuple(cut.tensor_names for cut in found),
            graph_id=graph_id(network),
            cautions=network.cautions,
            cut_tensors=tuple(CutTensor(tensor.name, tensor.shape, tensor.dtype) for tensor in crossing),
        )

    @classmethod
    def from_onnx(
        cls,
        path: str | Path,
        *,
        cuts: Cuts = "layers",
        upload_dtype: str | None = None,
        input_shapes: Mapping[str, tuple[int, ...]] | None = None,
        dims: Mapping[str, int] | None = None,
        input_values: Mapping[str, tuple[float, ...]] | None = None,
        outputs: Sequence[str] = (),
        state: Sequence[str] = (),
    ) -> LayerProfile:
        """Return the profile of an ONNX file.

        Parameters
        ----------
        path
            The file; weights are not needed.
        cuts
            ``"layers"``, ``"blocks"``, ``"all"``, ``"graph"`` or ``"chain"``; see
            `dmcjia_opt.model.networks.cuts.CUTS`.
        upload_dtype
            Type that floating tensors are quantised to for the upload, such as ``"uint8"``.
        input_shapes, dims, input_values, outputs
            What the file leaves open: see `Given`.
        state
            Inputs and outputs that stay where they are from task to task, such as caches; ``*`` is any text.

        Raises
        ------
        InputError
            If the file cannot be read or a shape is open.
        BackendMissing
            If onnx is not installed.

        Warns
        -----
        UncountedOperators
            If no rule counts the MACs of some operators.
        """
        from dmcjia_opt.model.networks.onnx_ import read_onnx

        given = Given(input_shapes or {}, dims or {}, input_values or {}, tuple(outputs))
        network = read_onnx(path, given).network
        check_state(state, [network])
        return cls.of_network(network.keeping(state), cuts, upload_dtype)

    @classmethod
    def from_torch(
        cls,
        module: torch.nn.Module,
        example: torch.Tensor | tuple[torch.Tensor, ...],
        *,
        name: str = "",
        cuts: Cuts = "layers",
        upload_dtype: str | None = None,
        state: Sequence[str] = (),
    ) -> LayerProfile:
        """Return the profile of a PyTorch module, traced by ``torch.export``.

        Parameters
        ----------
        module
            The module; it is traced in evaluation mode.
        example
            Its input, or a tuple of its inputs; only shapes and types matter.
        name
            The profile's name; the class of the module if empty.
        cuts, upload_dtype, state
            See `from_onnx`; inputs and outputs are called as ``torch.export`` calls them.

        Raises
        ------
        InputError
            If the module cannot be exported.
        BackendMissing
            If torch is not installed.

        Warns
        -----
        UncountedOperators
            If no rule counts the MACs of some operators.
        """
        from dmcjia_opt.model.networks.torch_ import trace

        network = trace(module, example, name)
        check_state(state, [network])
        return cls.of_network(network.keeping(state), cuts, upload_dtype)

    def to_dict(self) -> dict[str, Any]:
        """Return the content of a profile file."""
        columns: dict[str, Sequence[Any]] = {
            "name": self.layer_names,
            "macs": self.macs.tolist(),
            "output_bytes": self.output_bytes.tolist(),
        }
        if self.tensors is not None:
            columns["tensors"] = self.tensors.tolist()
        if self.weight_bytes is not None:
            columns["weight_bytes"] = self.weight_bytes.tolist()
        if self.tensor_names is not None:
            columns["tensor_names"] = [list(names) for names in self.tensor_names]
        told = [{"name": t.name, "shape": list(t.shape), "dtype": t.dtype} for t in self.cut_tensors]
        return {
            "name": self.name,
            "input_bytes": float(self.input_bytes),
            "parameters": int(self.parameters),
            "source": self.source,
            **({"graph_id": self.graph_id} if self.graph_id else {}),
            **({"cautions": list(self.cautions)} if self.cautions else {}),
            "layers": [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)],
            **({"cut_tensors": told} if told else {}),
        }

    def fingerprint(self) -> dict[str, Any]:
        """Return what of the content defines a problem, for hashing: neither tensors, nor weights, nor words."""
        bare = replace(self, source="", tensors=None, weight_bytes=None, tensor_names=None, cut_tensors=())
        return replace(bare, graph_id="", cautions=()).to_dict()

    def save(self, path: str | Path) -> None:
        """Write the profile as JSON."""
        write_text(path, json.dumps(self.to_dict(), indent=1) + "\n")


class _LayerFile(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    name: Name
    macs: NonNegative
    output_bytes: NonNegative
    tensors: int | None = Field(None, ge=0, le=2**31 - 1)
    weight_bytes: NonNegative | None = None
    tensor_names: list[str] | None = None


class _TensorFile(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    name: str
    shape: list[Annotated[int, Field(ge=0, le=2**31 - 1)]]
    dtype: str = ""


class _ProfileFile(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    name: Name
    input_bytes: NonNegative
    parameters: int = Field(0, ge=0, le=_MOST_PARAMETERS)
    source: str = ""
    graph_id: str = Field("", pattern="^([0-9a-f]{12})?$")
    cautions: Annotated[list[str], Field(max_length=1000)] = []
    layers: Annotated[list[_LayerFile], Field(min_length=1, max_length=MOST_LAYERS), FailFast()]
    cut_tensors: Annotated[list[_TensorFile], FailFast()] = []


def load_profile(path: str | Path) -> LayerProfile:
    """Read a profile from a JSON file.

    Raises
    ------
    InputError
        If the file is missing, is not JSON or breaks the format; the message names the field.

    Examples
    --------
    >>> from dmcjia_opt import LayerProfile, load_profile
    >>> LayerProfile("two", 1000, ("first", "second"), [5e6, 1e6], [200, 40]).save("two.json")
    >>> load_profile("two.json").layer_names
    ('first', 'second')
    """
    parsed = read_json(path, "the profile", _ProfileFile)
    tensors = [layer.tensors for layer in parsed.layers if layer.tensors is not None]
    if tensors and len(tensors) < len(parsed.layers):
        raise InputError(f"{path}: give tensors for every layer or for none")
    weights = [layer.weight_bytes for layer in parsed.layers if layer.weight_bytes is not None]
    if weights and len(weights) < len(parsed.layers):
        raise InputError(f"{path}: give weight_bytes for every layer or for none")
    named = [tuple(layer.tensor_names) for layer in parsed.layers if layer.tensor_names is not None]
    if named and len(named) < len(parsed.layers):
        raise InputError(f"{path}: give tensor_names for every layer or for none")
    return LayerProfile(
        name=parsed.name,
        input_bytes=parsed.input_bytes,
        layer_names=tuple(layer.name for layer in parsed.layers),
        macs=np.array([layer.macs for layer in parsed.layers]),
        output_bytes=np.array([layer.output_bytes for layer in parsed.layers]),
        parameters=parsed.parameters,
        source=parsed.source,
        tensors=np.array(tensors, dtype=np.int64) if tensors else None,
        weight_bytes=np.array(weights) if weights else None,
        tensor_names=tuple(named) if named else None,
        graph_id=parsed.graph_id,
        cautions=tuple(parsed.cautions),
        cut_tensors=tuple(CutTensor(tensor.name, tuple(tensor.shape), tensor.dtype) for tensor in parsed.cut_tensors),
    )
