"""One way in for a network that is named by a text: the zoo's, a profile .json or an .onnx file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.showing import brief
from dmcjia_opt.base.suggesting import did_you_mean
from dmcjia_opt.model.networks.cuts import Cut, Cuts, take_cuts
from dmcjia_opt.model.networks.given import Given
from dmcjia_opt.model.networks.graph import UPLOAD_BYTES
from dmcjia_opt.model.networks.profile import LayerProfile, load_profile
from dmcjia_opt.model.networks.zoo import ZOO, zoo_profile

if TYPE_CHECKING:
    from dmcjia_opt.model.networks.onnx_ import OnnxModel


@dataclass(frozen=True, slots=True, eq=False)
class Profiled:
    """A profile, with the graph and the cuts it comes from if they are known.

    Examples
    --------
    >>> from dmcjia_opt.model.networks.reading import read_profile
    >>> from dmcjia_opt.testing.networks import write_small
    >>> read = read_profile(str(write_small("small.onnx")))
    >>> read.profile.name, len(read.cuts)
    ('small', 2)
    """

    profile: LayerProfile
    model: OnnxModel | None = None
    cuts: tuple[Cut, ...] = ()

    __repr__ = brief


def is_graph(reference: str) -> bool:
    """Return whether a reference is to an .onnx file, whose graph can be cut in more than one way."""
    return reference not in ZOO and Path(reference).suffix.lower() == ".onnx"


def read_profile(
    reference: str,
    cuts: Cuts | None = None,
    upload_dtype: str | None = None,
    given: Given | None = None,
    *,
    path: Path | None = None,
    shared: Given | None = None,
    state: Sequence[str] = (),
) -> Profiled:
    """Return the profile of a zoo network, a profile .json or an .onnx file.

    Parameters
    ----------
    reference
        The name or the path.
    cuts, upload_dtype
        See `LayerProfile.from_onnx`; only an ONNX file has a graph to cut, and a .json holds its own bytes.
    given
        What an ONNX file leaves open.
    path
        Where the file is, if not where `reference` says.
    state
        See `LayerProfile.from_onnx`; names that an ONNX file lacks are not an error.
    shared
        See `read_onnx`.

    Raises
    ------
    InputError
        If there is no such network, it cannot be read, or an option does not apply to it.

    Examples
    --------
    >>> from dmcjia_opt.model.networks.reading import read_profile
    >>> read_profile("resnet34").profile.n_layers
    34
    """
    path = path or Path(reference)
    if is_graph(reference):
        from dmcjia_opt.model.networks.onnx_ import read_onnx

        model = read_onnx(path, given, shared=shared)
        model = replace(model, network=model.network.keeping(state))
        profile = LayerProfile.of_network(model.network, cuts or "layers", upload_dtype)
        return Profiled(profile, model, take_cuts(model.network, cuts or "layers", upload_dtype))
    if cuts is not None or given or state:
        raise InputError(
            f'"{reference}" is no .onnx file: cuts, state and what is said of inputs and outputs need a graph; leave '
            "them out, or give its .onnx file"
        )
    if reference in ZOO:
        return Profiled(_quantised(zoo_profile(reference), upload_dtype))
    if path.suffix.lower() != ".json":
        raise InputError(
            f'"{reference}" is no network{did_you_mean(reference, ZOO)}; give an .onnx file, a profile .json or one of '
            f"the zoo ({', '.join(sorted(ZOO))})"
        )
    if upload_dtype is not None:
        raise InputError(f"{reference}: a profile .json holds its own bytes; quantise where it is made")
    return Profiled(load_profile(path))


def _quantised(profile: LayerProfile, upload_dtype: str | None) -> LayerProfile:
    """Return a profile of float32 tensors with its uploads quantised."""
    if upload_dtype is None:
        return profile
    if upload_dtype not in UPLOAD_BYTES:
        raise InputError(f'unknown upload type "{upload_dtype}"; choose one of {", ".join(UPLOAD_BYTES)}')
    factor = UPLOAD_BYTES[upload_dtype] / UPLOAD_BYTES["float32"]
    return replace(
        profile,
        input_bytes=profile.input_bytes * factor,
        output_bytes=profile.output_bytes * factor,
        source=f"{profile.source}; upload as {upload_dtype}",
    )
