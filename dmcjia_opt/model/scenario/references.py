"""The profiles that the nodes of a scenario file refer to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.fields import Name
from dmcjia_opt.base.suggesting import did_you_mean, listed
from dmcjia_opt.model.networks.cuts import Cuts
from dmcjia_opt.model.networks.given import Given
from dmcjia_opt.model.networks.graph import check_state
from dmcjia_opt.model.networks.reading import Profiled, is_graph, read_profile
from dmcjia_opt.model.networks.zoo import ZOO

_Size = Annotated[int, Field(ge=0, le=2**31 - 1)]
_Number = Annotated[float, Field(allow_inf_nan=False)] | int | bool


class Reading(BaseModel):
    """What a scenario says of the networks in ``.onnx`` files: how they are cut, and what the files leave open.

    ``input_shapes`` and ``input_values`` are by the name of the input, ``dims`` by that of the dimension; ``outputs``
    are tensors that the network ends at. ``state`` names inputs and outputs that stay where they are, ``*`` being any
    text.
    """

    model_config = ConfigDict(extra="forbid", strict=True)
    cuts: Cuts | None = None
    upload_dtype: Literal["float32", "float16", "bfloat16", "int8", "uint8", "int4", "uint4"] | None = None
    input_shapes: dict[str, list[_Size]] = {}
    dims: dict[str, _Size] = {}
    input_values: dict[str, _Number | Annotated[list[_Number], Field(min_length=1)]] = {}
    outputs: list[Name] = []
    state: list[Name] = []

    def given(self) -> Given:
        """Return what the files leave open."""
        values = {
            name: tuple(map(float, value)) if isinstance(value, list) else (float(value),)
            for name, value in self.input_values.items()
        }
        shapes = {name: tuple(shape) for name, shape in self.input_shapes.items()}
        return Given(shapes, dict(self.dims), values, tuple(self.outputs))


class Profiles(Reading):
    """The ``[profiles]`` table: how models are cut, what they upload, and the file of measured times.

    ``cuts`` and what files leave open are for ``.onnx`` models, which alone have a graph; ``upload_dtype`` for them and
    those of the zoo. Each holds for every such model that has an input, dimension or tensor of the name; under
    ``networks``, by the model as nodes name it, it holds for that one alone and comes first.
    """

    times_file: Name | None = None
    networks: dict[str, Reading] = {}


def profiled_of(networks: Sequence[str], beside: Callable[[str, str], Path], how: Profiles) -> dict[str, Profiled]:
    """Return the profile of every network reference, with its graph if it has one.

    Parameters
    ----------
    networks
        Names of the zoo, or paths.
    beside
        What gives the path of a field's reference, or refuses it.
    how
        How they are cut, what they upload, and what their files leave open.

    Raises
    ------
    InputError
        If one cannot be read, or an option of `how` has no use.
    """
    files = {network for network in networks if Path(network).suffix.lower() in (".json", ".onnx")}
    unknown = [f'"{name}"{did_you_mean(name, ZOO)}' for name in networks if name not in ZOO and name not in files]
    if unknown:
        raise InputError(
            f"unknown model{'s' if len(unknown) > 1 else ''} {listed(unknown, what='model')}; use one of the zoo "
            f"({', '.join(sorted(ZOO))}) or the path of a profile .json or an .onnx file"
        )
    if how.cuts not in (None, "layers") and not any(map(is_graph, networks)):
        raise InputError(
            f'profiles.cuts = "{how.cuts}" needs the graph of an .onnx file, and "{networks[0]}" is none; leave cuts '
            "out, or give the .onnx file as model"
        )
    for name in how.networks:
        if name not in networks:
            raise InputError(
                f'profiles.networks: no node has the model "{name}"{did_you_mean(name, networks)}; write it as nodes do'
            )
    found, read_networks = dict[str, Profiled](), []
    shared = how.given()
    unused = {(of, name) for of, names in shared.names().items() for name in names}
    for network in networks:
        own = how.networks.get(network, Reading())
        cuts, upload = own.cuts, own.upload_dtype or how.upload_dtype
        path = None if network in ZOO else beside("model", network)
        if not is_graph(network):
            found[network] = read_profile(network, cuts, upload, own.given(), path=path, state=own.state)
            continue
        state = (*own.state, *how.state)
        read = read_profile(network, cuts or how.cuts, upload, own.given(), path=path, state=state, shared=shared)
        if read.model is not None:
            check_state(own.state, [read.model.network], f'profiles.networks."{network}".state')
            read_networks.append(read.model.network)
            unused -= {(of, name) for of, names in read.model.known.items() for name in names}
        found[network] = read
    check_state(how.state, read_networks, "profiles.state")
    if unused:
        of, name = min(unused)
        what = {"dims": "an open dimension", "outputs": "a tensor"}.get(of, "an input")
        raise InputError(f'profiles.{of}: no ONNX model has {what} "{name}"; correct its name')
    return found
