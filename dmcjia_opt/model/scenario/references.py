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
from dmcjia_opt.model.networks.graph import check_state
from dmcjia_opt.model.networks.profile import LayerProfile
from dmcjia_opt.model.networks.reading import is_graph, read_profile
from dmcjia_opt.model.networks.zoo import ZOO


class Profiles(BaseModel):
    """The ``[profiles]`` table: how models are cut, what they upload, and the file of measured times.

    ``cuts`` is for ``.onnx`` models, which alone have a graph; ``upload_dtype`` for them and those of the zoo.
    ``state`` names inputs and outputs of ONNX models that stay where they are, ``*`` being any text.
    ``input_shapes`` is by the name of the input and holds for every ONNX model that has such an input.
    """

    model_config = ConfigDict(extra="forbid", strict=True)
    times_file: Name | None = None
    cuts: Cuts = "layers"
    upload_dtype: Literal["float32", "float16", "bfloat16", "int8", "uint8", "int4", "uint4"] | None = None
    state: list[Name] = []
    input_shapes: dict[str, list[Annotated[int, Field(ge=1, le=2**31 - 1)]]] = {}


def profiles_of(networks: Sequence[str], beside: Callable[[str, str], Path], how: Profiles) -> dict[str, LayerProfile]:
    """Return the profile of every network reference.

    Parameters
    ----------
    networks
        Names of the zoo, or paths.
    beside
        What gives the path of a field's reference, or refuses it.
    how
        How they are cut and what they upload.

    Raises
    ------
    InputError
        If one cannot be read, or an option of `how` has no use.
    """
    found, read_networks = {}, []
    shapes = {name: tuple(shape) for name, shape in how.input_shapes.items()}
    unused = set(shapes)
    files = {network for network in networks if Path(network).suffix.lower() in (".json", ".onnx")}
    unknown = [f'"{name}"{did_you_mean(name, ZOO)}' for name in networks if name not in ZOO and name not in files]
    if unknown:
        raise InputError(
            f"unknown model{'s' if len(unknown) > 1 else ''} {listed(unknown, what='model')}; use one of the zoo "
            f"({', '.join(sorted(ZOO))}) or the path of a profile .json or an .onnx file"
        )
    if how.cuts != "layers" and not any(map(is_graph, networks)):
        raise InputError(
            f'profiles.cuts = "{how.cuts}" needs the graph of an .onnx file, and "{networks[0]}" is none; leave cuts '
            "out, or give the .onnx file as model"
        )
    for network in networks:
        zoo = network in ZOO
        asked = (how.cuts, how.upload_dtype, shapes) if is_graph(network) else (None, how.upload_dtype)
        state = how.state if is_graph(network) else ()
        read = read_profile(network, *asked, path=None if zoo else beside("model", network), state=state, shared=True)
        if read.model is not None:
            read_networks.append(read.model.network)
            unused -= set(read.model.network.inputs)
        found[network] = read.profile
    check_state(how.state, read_networks, "profiles.state")
    if unused:
        raise InputError(f'profiles.input_shapes: no ONNX model has an input "{min(unused)}"; correct its name')
    return found
